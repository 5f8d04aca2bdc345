"""Mutations guided by coverage: libFuzzer, by the package atheris."""

from __future__ import annotations

import hashlib
import importlib
import os
import pkgutil
import sys
import time
import traceback
from pathlib import Path
from random import Random
from typing import Any

MAX_LENGTH = 1 << 14  # bytes of an input
NOT_FUZZED = ("minifloat.__main__", "minifloat.interop", "minifloat.testing")  # no target calls it


def instrumented() -> None:
    """Import all of minifloat with coverage, and of the analyses the distributions."""
    import atheris  # type: ignore[import-untyped, unused-ignore]

    import_below("minifloat._kernels")  # before: Numba compiles no instrumented function
    with atheris.instrument_imports(include=["minifloat", "analysis"]):
        import_below("minifloat")
        import analysis.errors.distributions  # noqa: F401


def import_below(name: str) -> None:
    """Import a package and the modules below it, but those that no target calls."""
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, f"{name}."):
        if not module.name.startswith(NOT_FUZZED):
            importlib.import_module(module.name)


def fuzz(name: str, seconds: int, corpus: Path | None, found: Path) -> None:
    """Fuzz a target for a time, write the inputs that find faults to a folder, and exit.

    The exit code is 1 if there are any. A fault is told by the place that raises it: another input
    that finds it again is not written.
    """
    import atheris  # type: ignore[import-untyped, unused-ignore]

    instrumented()
    from tests.fuzz import faults, workplace
    from tests.fuzz.targets import TARGETS

    target = TARGETS[name]
    places: set[Any] = set()
    count = 0
    end = time.monotonic() + seconds

    def one_input(data: bytes) -> None:
        nonlocal count
        if time.monotonic() > end:
            print(f"{name}: {count} inputs, {len(places)} faults", flush=True)
            workplace.remove()
            os._exit(1 if places else 0)  # libFuzzer takes any other exit for a crash
        count += 1
        try:
            faults.run(target.run, data)
        except faults.Fault as fault:
            place = place_of(fault)
            if place not in places:
                places.add(place)
                found.mkdir(parents=True, exist_ok=True)
                path = found / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
                path.write_bytes(data)
                print(f"{path}: {fault}", flush=True)
                traceback.print_exception(fault)

    def mutate(data: bytes, limit: int, seed: int) -> bytes:
        random = Random(seed)
        return target.mutate(data, random, lambda part: atheris.Mutate(part, limit))[:limit]

    corpus = corpus or found / f"{name}-corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for data in target.seeds().values():
        (corpus / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)
    options = [f"-max_len={MAX_LENGTH}", "-timeout=600", "-rss_limit_mb=4096", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one_input, custom_mutator=mutate)
    atheris.Fuzz()


def place_of(fault: BaseException) -> tuple[Any, ...]:
    """Return where a fault was raised, with that of its cause."""
    cause = fault.__cause__ or fault
    frames = traceback.extract_tb(cause.__traceback__)
    return type(cause), tuple((frame.filename, frame.lineno) for frame in frames[-2:])

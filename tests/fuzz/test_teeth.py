"""The targets find faults: each fault planted here is found, most by a seed, some by a mutation."""

from __future__ import annotations

import dataclasses
import pickle
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.comparison.result import Comparison
from minifloat.files import WeightFile, WeightsError, open_weights
from minifloat.files.checkpoints import Dequantizable
from tests.fuzz import command, faults, loop, reading
from tests.fuzz.regressions import escape_in_csv, formula_in_csv
from tests.fuzz.targets import TARGETS
from tests.fuzz.workplace import SECRET, folder

Plant = Callable[[pytest.MonkeyPatch], None]
shards_module = import_module("minifloat.files.shards")


def found(target: str, match: str, mutations: int = 0) -> None:
    """Expect a fault from the seeds, or else from mutations."""
    with pytest.raises(faults.Fault, match=match):
        _run(target, mutations)


def _run(target: str, mutations: int) -> None:
    for data in TARGETS[target].seeds().values():
        faults.run(TARGETS[target].run, data)
    loop.run_some(TARGETS[target], mutations)


def reader(first: Callable[[Path], object]) -> Plant:
    """Plant something that `open_weights` does first."""

    def opener(path: Path) -> WeightFile:
        with suppress(ValueError, EOFError, pickle.UnpicklingError):
            first(path)
        return open_weights(path)

    return lambda patch: patch.setattr(reading, "open_weights", opener)


def raising(error: Exception) -> Callable[..., Any]:
    """Return a function that raises."""

    def function(*_: object, **__: object) -> Any:
        raise error

    return function


def busy(seconds: float) -> None:
    """Use the CPU."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


class RawError(WeightsError):
    """An error whose message is as a file has it."""

    def __str__(self) -> str:
        return "\x1b[31m; download it again"

    def __init__(self) -> None:
        super().__init__("x")


READERS: dict[str, tuple[str, str, Plant]] = {
    "an exception that is not documented": (
        "npy", "KeyError",
        lambda patch: patch.setattr(reading, "open_weights", raising(KeyError("dtype"))),
    ),
    "a control character in a message": (
        "npy", "printable",
        lambda patch: patch.setattr(reading, "open_weights", raising(RawError())),
    ),
    "a warning": ("npy", "RuntimeWarning", reader(lambda _: warnings.warn(
        "overflow", RuntimeWarning, stacklevel=1))),
    "memory": ("npy", "bytes of memory", reader(lambda _: np.ones(1 << 23))),
    "a secret that is opened": (
        "safetensors", "outside the folder",
        reader(lambda _: (folder().parent / f"{SECRET}.safetensors").read_bytes()),
    ),
    "a pickle that is loaded": (
        "npy", "code out of a file", reader(lambda path: np.load(path, allow_pickle=True)),
    ),
    "shards that lie anywhere": (
        "index", "secret was read",
        lambda patch: patch.setattr(shards_module, "PureWindowsPath", lambda _: PurePosixPath("a")),
    ),
    "weights of another shape than the description says": (
        "checkpoint", "has weights of shape",
        lambda patch: patch.setattr(Dequantizable, "dequantize", lambda _: np.zeros(77)),
    ),
    "an exception that no reader documents": (
        "checkpoint", "ZeroDivisionError",
        lambda patch: patch.setattr(Dequantizable, "dequantize", raising(ZeroDivisionError("x"))),
    ),
    "another shape than the list says": (
        "gguf", "was loaded with shape",
        lambda patch: patch.setattr(WeightFile, "load", lambda *_: np.zeros(77)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", READERS)
def test_faults_of_readers_are_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target, match, plant = READERS[fault]
    plant(monkeypatch)
    found(target, match)


def test_a_slow_reader_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "SECONDS", 0.2)
    reader(lambda _: busy(0.3))(monkeypatch)
    found("npy", "s of CPU")


def test_a_fault_that_no_seed_reaches_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = mf.parse

    def parse(name: str) -> mf.NumberFormat:
        fmt = real(name)
        if fmt.bits not in (3, 4, 5, 8):  # the seeds have no others
            raise KeyError(fmt.bits)
        return fmt

    monkeypatch.setattr(mf, "parse", parse)
    for data in TARGETS["texts"].seeds().values():
        faults.run(TARGETS["texts"].run, data)
    found("texts", "KeyError", mutations=1000)


@pytest.mark.parametrize("target", ["load_npz", "load_safetensors"])
def test_faults_of_saved_weights_are_found(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real, linear = mf.load, mf.linear
    monkeypatch.setattr(mf, "linear", lambda x, q: linear(x, q) + np.float32(0.01))
    found(target, "linear is wrong")
    monkeypatch.setattr(mf, "linear", linear)

    def changed(path: Path) -> mf.Quantized:
        q = real(path)
        again = path.name.startswith("again") and q.double is None
        return dataclasses.replace(q, scales=q.scales * 2) if again else q

    monkeypatch.setattr(mf, "load", changed)
    found(target, "another one when saved")
    monkeypatch.setattr(mf, "load", raising(KeyError("scales")))
    found(target, "KeyError")


def printing(text: str, code: int, to: str = "stdout") -> Callable[..., int]:
    """Return a command that prints a text."""

    def main(_: object) -> int:
        import sys

        print(text, file=getattr(sys, to))
        return code

    return main


MAINS = {
    "stdout must be printable": printing("\x1b[31m", 0),
    "exit code": printing("minifloat: error: x", 1, "stderr"),
    "stderr must be printable": printing("\x9b1m", 0, "stderr"),
    "an error, and code 0": printing("minifloat: error: x", 0, "stderr"),
    "stderr must be one printable line": printing("minifloat: error: x\ny", 2, "stderr"),
    "an error must be called so": printing("Traceback", 2, "stderr"),
    "a traceback, OverflowError": raising(OverflowError("too large")),
}


@pytest.mark.parametrize("target", ["command_lines", "compare_command"])
@pytest.mark.parametrize("match", MAINS)
def test_faults_of_the_command_are_found(
    match: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "main", MAINS[match])
    found(target, match)


def test_bad_json_and_csv_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    target = TARGETS["compare_command"]
    monkeypatch.setattr(Comparison, "to_json", lambda _: "[NaN]")
    found("compare_command", "JSON must have no NaN")
    monkeypatch.undo()
    for make, text in ((formula_in_csv, "=1+1"), (escape_in_csv, "\x1b[31m")):
        monkeypatch.setattr(Comparison, "to_csv", lambda _, text=text: f"tensor\n{text}\n")
        with pytest.raises(faults.Fault, match=r"a formula|printable"):
            faults.run(target.run, make())
    monkeypatch.setattr(Comparison, "to_csv", lambda _: "a,b\nc\n")
    with pytest.raises(faults.Fault, match="of one length"):
        faults.run(target.run, formula_in_csv())


def test_faults_of_texts_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = mf.parse
    monkeypatch.setattr(mf, "parse", raising(OverflowError("int too large")))
    found("texts", "OverflowError")
    monkeypatch.setattr(mf, "parse", lambda name: real("e2m1" if name == "e4m3fn" else name))
    found("texts", "is not what its name means")
    monkeypatch.setattr(mf, "parse", lambda _: real("e2m2"))
    found("texts", "must not be taken for a name")


def test_faults_of_arrays_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = mf.quantize

    def unequal(x: np.ndarray, *args: Any, **options: Any) -> mf.Quantized:
        return real(x if x.flags.c_contiguous else x * 2, *args, **options)

    def changing(x: np.ndarray, *args: Any, **options: Any) -> mf.Quantized:
        q = real(x, *args, **options)
        if x.flags.writeable:
            x[...] = 0
        return q

    for planted, match in (
        (unequal, "its copy"),
        (changing, "its copy|was changed"),
        (raising(IndexError("axis")), "IndexError"),
    ):
        monkeypatch.setattr(mf, "quantize", planted)
        found("arrays", match, mutations=200)

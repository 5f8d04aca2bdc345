"""The folder that files lie in, a secret beside it, and a trap that no file may spring."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tests.fuzz.faults import Fault

MARK = -7_654_321.0  # the number that the secret holds
SECRET = "secret"  # its name, without the suffix
PLACEHOLDER = b"$OUTSIDE"  # in an input: the absolute path of the folder that holds the secret

_happened: list[str] = []


@cache
def _root() -> TemporaryDirectory[str]:
    root = TemporaryDirectory(prefix="minifloat-fuzz-")
    outside = Path(root.name)
    (outside / "model").mkdir()
    np.savez(outside / f"{SECRET}.npz", secret=np.full(4, MARK, np.float32))
    header = b'{"secret":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'
    blob = len(header).to_bytes(8, "little") + header + np.full(4, MARK, "<f4").tobytes()
    (outside / f"{SECRET}.safetensors").write_bytes(blob)
    sys.addaudithook(_audit)
    return root


def folder() -> Path:
    """Return the folder; the secret lies in the one above."""
    return Path(_root().name) / "model"


def remove() -> None:
    """Remove the folder and the secret."""
    _root().cleanup()


def written(name: str, content: bytes) -> Path:
    """Write a file into the folder, with the secret's path for the placeholder; return its path."""
    path = folder() / name
    path.write_bytes(content.replace(PLACEHOLDER, os.fsencode(folder().parent)))
    return path


class Trap:
    """Pickled, it tells when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (spring, ())


def spring() -> None:
    """Note that code out of a file was executed."""
    _happened.append("code out of a file was executed")


def trapped() -> bytes:
    """Return a pickle that springs the trap."""
    return pickle.dumps(np.array([Trap()], dtype=object), protocol=4)


@contextmanager
def watched() -> Iterator[None]:
    """Refuse that the secret is opened, or code out of a file is executed, within the block."""
    folder()
    _happened.clear()
    yield
    if _happened:
        raise Fault(_happened[0])


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if event == "open" and isinstance(args[0], str | bytes):
        path = Path(os.fsdecode(args[0]))
        if path.stem == SECRET and path.parent.resolve() == Path(_root().name).resolve():
            _happened.append(f"{path.name}, outside the folder, was opened")
    elif event in ("os.system", "os.exec", "os.posix_spawn"):
        _happened.append(f"{event} was called")

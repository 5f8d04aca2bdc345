"""Named arrays and a text in one file, .npz or .safetensors: `write_arrays` and `read_arrays`.

The text is a JSON object, read by `description`, and named "minifloat": in .npz a string array, in
.safetensors an entry of the metadata.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence, Set
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from minifloat._paths import file_path, replacing
from minifloat.files._json import json_object
from minifloat.files._safe import WeightsError, missing_package, untrusted
from minifloat.files._source import SourceFile
from minifloat.files.npz import npz_arrays
from minifloat.files.safetensors import read_header, read_tensor

Array = NDArray[Any]
Arrays = dict[str, Array]
CheckNames = Callable[[Sequence[str]], object]  # raises a ValueError
Made = TypeVar("Made")

MARK = "minifloat"  # the name of the text


def write_arrays(path: str | os.PathLike[str], arrays: Arrays, text: str) -> None:
    """Write arrays and a text to a file, whole or not at all.

    Parameters
    ----------
    path : path
        Ends in .npz or .safetensors.
    arrays : dict of str to ndarray
        By names other than "minifloat".
    text : str

    Raises
    ------
    TypeError
        If ``path`` is no path.
    ValueError
        If ``path`` is empty, has a NUL, or ends otherwise, or its writer is not installed.
    OSError
        If the file cannot be written; it names ``path``.
    """
    path = checked_path(path)
    write = {".npz": _write_npz, ".safetensors": _write_safetensors}[path.suffix.lower()]
    write(path, arrays, text)


def read_arrays(
    path: str | os.PathLike[str], check_names: CheckNames, make: Callable[[Arrays, str], Made]
) -> Made:
    """Return what is made of the arrays and the text of a file.

    Parameters
    ----------
    path : path
        Ends in .npz or .safetensors.
    check_names : callable
        Called with the names of the arrays before any of them is read.
    make : callable
        Called with the arrays and the text; may raise anything.

    Raises
    ------
    WeightsError
        If the file is none that `write_arrays` writes, or ``check_names`` or ``make`` raise.
    """
    path = checked_path(path)
    read = {".npz": _read_npz, ".safetensors": _read_safetensors}[path.suffix.lower()]
    with untrusted(path):
        return make(*read(SourceFile(path), check_names))


def description(
    text: str, fields: Set[str], version: int, mark: str = "version", of: str = ""
) -> dict[str, Any]:
    """Return the JSON object that `minifloat.save` writes beside the arrays, its fields all there.

    Parameters
    ----------
    text : str
    fields : set of str
        Names of all fields.
    version : int
        That is read.
    mark : str
        The field of the version.
    of : str
        What the version is of, for the message: " of composites".

    Raises
    ------
    ValueError
        If the text is something else, or of another version.
    """
    described = json_object(text)
    if described.get(mark) != version:
        raise ValueError(
            f"it has version {described.get(mark)!r:.40}{of}, and this minifloat reads version "
            f"{version}; use the minifloat that wrote it"
        )
    if described.keys() != fields:
        raise ValueError(f"its description must have {', '.join(sorted(fields))}")
    return described


def checked_path(path: str | os.PathLike[str]) -> Path:
    """Return the path of such a file; raise as `write_arrays` unless it can be one."""
    path = file_path("path", path)
    if path.suffix.lower() not in (".npz", ".safetensors"):
        raise WeightsError(f"{path}: must end in .npz or .safetensors; rename it")
    return path


def _write_npz(path: Path, arrays: Arrays, text: str) -> None:
    members: dict[str, Any] = {**arrays, MARK: np.array(text)}
    with replacing(path) as file:
        np.savez(file, **members)


def _read_npz(file: SourceFile, check_names: CheckNames) -> tuple[Arrays, str]:
    stored = npz_arrays(file)
    names = [info.name for info, _ in stored]
    if MARK not in names:
        raise ValueError(f"it has no array {MARK}, which minifloat.save writes")
    names.remove(MARK)
    check_names(names)
    if any(info.parameters * np.dtype(info.dtype).itemsize > file.size for info, _ in stored):
        raise WeightsError(f"{file.path}: is compressed; write it with minifloat.save")
    arrays = {info.name: load() for info, load in stored}
    return arrays, str(arrays.pop(MARK))


def _write_safetensors(path: Path, arrays: Arrays, text: str) -> None:
    try:
        from safetensors.numpy import save as to_bytes
    except ImportError:
        raise missing_package(path, "safetensors", "cli") from None
    with replacing(path) as file:
        file.write(to_bytes(arrays, metadata={MARK: text}))


def _read_safetensors(file: SourceFile, check_names: CheckNames) -> tuple[Arrays, str]:
    entries, metadata = read_header(file)
    if MARK not in metadata:
        raise ValueError(f"its metadata has no entry {MARK}, which minifloat.save writes")
    check_names([entry.name for entry in entries])
    return {entry.name: read_tensor(file, entry) for entry in entries}, metadata[MARK]

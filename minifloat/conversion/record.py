"""conversion.json, beside the new shards: what is done already, and what each tensor lost."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from minifloat._paths import replacing
from minifloat.comparison.records import RecipeError, TensorErrors
from minifloat.files import WeightsError
from minifloat.files.checkpoints.config import json_file

NAME = "conversion.json"
FRACTION = re.compile(r"[0-9]{1,2000}(/[0-9]{1,2000})?")
LARGEST_COUNT = 1 << 60
SQUARES = ("squared_error", "squared_weight")


@dataclass(frozen=True)
class Done:
    """A shard that was written.

    Attributes
    ----------
    made_of : dict
        Everything that its bytes depend on.
    facts : tuple of int
        Its size, and the time of its last change in nanoseconds.
    tensors : tuple of TensorErrors
    """

    made_of: dict[str, Any]
    facts: tuple[int, int]
    tensors: tuple[TensorErrors, ...]

    def is_whole(self, path: Path, made_of: Mapping[str, Any]) -> bool:
        """Return whether the file is still as it was written, and would be written alike now."""
        return self.made_of == made_of and path.is_file() and facts_of(path) == self.facts


@dataclass
class Record:
    """The content of the file.

    Attributes
    ----------
    settings : dict of str to str
        For readers: the recipe, the layout ...
    complete : bool
        Whether the whole model was written.
    shards : dict of str to Done
        By their names.
    """

    settings: dict[str, str]
    complete: bool
    shards: dict[str, Done]

    def write(self, folder: Path) -> None:
        """Replace the file in a folder."""
        content = {
            **self.settings,
            "complete": self.complete,
            "shards": {
                name: {
                    "made_of": done.made_of,
                    "facts": list(done.facts),
                    "tensors": [_row(tensor) for tensor in done.tensors],
                }
                for name, done in self.shards.items()
            },
        }
        write_json(folder / NAME, content)


def read(folder: Path) -> Record | None:
    """Return the record of a folder, or None if there is none.

    Raises
    ------
    WeightsError
        If it is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    content = json_file(path)
    try:
        shards = {
            name: _done(done["made_of"], done["facts"], [_tensor(row) for row in done["tensors"]])
            for name, done in content.pop("shards").items()
        }
        complete = content.pop("complete") is True
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, ZeroDivisionError):
        raise WeightsError(
            f"{path}: is damaged or was written by another program; remove its folder"
        ) from None
    return Record(content, complete, shards)


def facts_of(path: Path) -> tuple[int, int]:
    """Return a file's size, and the time of its last change in nanoseconds."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace a file by JSON, with the NaN and Infinity that Python adds to it."""
    text = json.dumps(content, indent=2)
    with replacing(path) as file:
        file.write(f"{text}\n".encode())


def _row(tensor: TensorErrors) -> dict[str, Any]:
    [error] = tensor.errors
    exact = {name: str(getattr(error, name)) for name in SQUARES}
    sqnr = error.sqnr_db if error.relative_rms else None  # infinite without an error
    return {
        "file": tensor.file,
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "sqnr_db": sqnr,
        "relative_rms": error.relative_rms,
        **vars(error),
        **exact,
    }


def _tensor(row: Mapping[str, Any]) -> TensorErrors:
    error = RecipeError(
        _text(row["recipe"]),
        _count(row["element_bits"]),
        _count(row["parameters"]),
        _figure(row["bits_per_weight"]),
        _fraction(row["squared_error"]),
        _fraction(row["squared_weight"]),
        _figure(row["max_abs_error"]),
        _figure(row["max_abs_error_relative"]),
    )
    shape = tuple(_count(length) for length in row["shape"])
    return TensorErrors(
        _text(row["file"]), _text(row["name"]), _text(row["dtype"]), shape, (error,)
    )


def _done(made_of: dict[str, Any], facts: list[Any], tensors: list[TensorErrors]) -> Done:
    if [tensor.name for tensor in tensors] != made_of["tensors"]:
        raise ValueError("the errors must be those of the shard's tensors")
    return Done(made_of, _facts(*facts), tuple(tensors))


def _facts(size: object, time: object) -> tuple[int, int]:
    if type(time) is not int:
        raise TypeError("a time must be there")
    return _count(size), time


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text must be there")
    return value


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < LARGEST_COUNT:
        raise ValueError("a count must be there")
    return value


def _figure(value: object) -> float:
    if type(value) not in (int, float) or not 0 <= float(str(value)) < math.inf:
        raise ValueError("a finite number must be there")
    return float(str(value))


def _fraction(value: object) -> Fraction:
    if not FRACTION.fullmatch(_text(value)):  # 1e999999999 would not fit into memory
        raise ValueError("a fraction must be there")
    return Fraction(_text(value))

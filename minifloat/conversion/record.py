"""conversion.json, beside the new shards: what is done already, and what each tensor lost."""

from __future__ import annotations

import json
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
            name: Done(
                done["made_of"],
                (int(done["facts"][0]), int(done["facts"][1])),
                tuple(_tensor(row) for row in done["tensors"]),
            )
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
    """Replace a file by JSON."""
    text = json.dumps(content, indent=2, allow_nan=False)
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
        str(row["recipe"]),
        int(row["element_bits"]),
        int(row["parameters"]),
        float(row["bits_per_weight"]),
        Fraction(row["squared_error"]),
        Fraction(row["squared_weight"]),
        float(row["max_abs_error"]),
        float(row["max_abs_error_relative"]),
    )
    shape = tuple(int(length) for length in row["shape"])
    return TensorErrors(str(row["file"]), str(row["name"]), str(row["dtype"]), shape, (error,))

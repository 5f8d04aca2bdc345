"""Which tensors of a source are compared: float tensors, by their names and sizes."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from numpy.typing import NDArray

from minifloat.comparison.records import Skipped
from minifloat.files import TensorInfo, WeightFile
from minifloat.formats.base import shown

NEAR = 3  # names that a message proposes
SEARCHED = 2000  # names among which near ones are looked for

Files = Sequence[tuple[str, WeightFile]]  # each with the name it has in the result


@dataclass(frozen=True)
class Task:
    """One tensor to measure."""

    file: str
    info: TensorInfo
    load: Callable[[], NDArray[Any]]

    def skipped(self, reason: str) -> Skipped:
        """Return the record that the tensor is left out."""
        return Skipped(self.file, self.info.name, self.info.dtype, reason)


def select(
    source: str,
    files: Files,
    include: Sequence[str] | None,
    exclude: Sequence[str],
    min_size: int,
) -> tuple[list[Task], list[Skipped]]:
    """Return the tensors to compare, and the records of the others.

    Parameters
    ----------
    source : str
        In words, for messages.
    files : sequence of (str, WeightFile)
    include, exclude : sequence of str
        Shell patterns. A tensor is taken if it matches one of ``include`` (or that is None) and
        none of ``exclude``.
    min_size : int

    Raises
    ------
    ValueError
        If a pattern matches no tensor, or no tensor is left.
    """
    names = [info.name for _, file in files for info in (*file.tensors, *file.skipped)]
    for argument, patterns in (("include", include or ()), ("exclude", exclude)):
        for pattern in patterns:
            check_matches(argument, pattern, names)
    skipped = [
        Skipped(label, info.name, info.dtype, info.skipped)
        for label, file in files
        for info in file.skipped
    ]
    tasks: list[Task] = []
    small: list[int] = []
    for label, file in files:
        for info in file.tensors:
            task = Task(label, info, file.loader(info.name))
            if include is not None and not matches(info.name, include):
                skipped.append(task.skipped("not included by name"))
            elif matches(info.name, exclude):
                skipped.append(task.skipped("excluded by name"))
            elif info.parameters < min_size:
                skipped.append(task.skipped(f"fewer than {shown(min_size)} elements"))
                small.append(info.parameters)
            else:
                tasks.append(task)
    if not tasks and small:
        raise ValueError(
            f"min_size must be at most {max(small)}, the elements of the largest float tensor of "
            f"{source}, got {shown(min_size)}"
        )
    if not tasks:
        raise ValueError(nothing_left(source, skipped))
    return tasks, skipped


def nothing_left(source: str, skipped: Iterable[Skipped]) -> str:
    """Return the message that no tensor can be compared, with reasons."""
    reasons = dict.fromkeys(
        f"{tensor.name!r} of {tensor.dtype}: {tensor.reason}" for tensor in skipped
    )
    several = list(reasons)[:NEAR]
    more = f"; and {len(reasons) - NEAR} more" if len(reasons) > NEAR else ""
    why = f" ({'; '.join(several)}{more})" if several else ""
    return (
        "source must hold a float tensor that every recipe can quantize, got "
        f"{source}{why}; name another file, or take other tensors or recipes"
    )


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Return whether a name matches a pattern, or is one: a name may have brackets."""
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)


def check_matches(argument: str, pattern: str, names: Sequence[str]) -> None:
    """Raise a ValueError if a pattern, given as this argument, matches none of the names."""
    if any(matches(name, [pattern]) for name in names):
        return
    few = list(dict.fromkeys(names[:SEARCHED]))
    near = difflib.get_close_matches(pattern, few, NEAR, cutoff=0.4)
    remedy = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    if few and not near:
        remedy = f"; the first names are {', '.join(map(repr, few[:NEAR]))}"
    raise ValueError(f"{argument} must match the name of a tensor, got {pattern!r}{remedy}")

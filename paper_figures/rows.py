"""The numbers of a figure: rows, and how they are taken apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from analysis.records import Row, Rows, from_csv

__all__ = ["NotAvailable", "Progress", "Row", "Rows", "grouped", "stored"]

Progress = Callable[[int, int], object]  # called with the steps done and all steps


class NotAvailable(RuntimeError):
    """A package or a file for a figure is missing; the message says how to get it."""


def grouped(rows: Sequence[Row], column: str) -> Iterator[tuple[Any, Rows]]:
    """Yield runs of rows that have the same value in a column.

    Parameters
    ----------
    rows : sequence of dict
    column : str

    Yields
    ------
    value, list of dict

    Examples
    --------
    >>> from paper_figures.rows import grouped
    >>> [(key, len(group)) for key, group in grouped([{"a": 1}, {"a": 1}, {"a": 2}], "a")]
    [(1, 2), (2, 1)]
    """
    for value, group in groupby(rows, key=lambda row: row[column]):
        yield value, list(group)


def stored(file: Path, what: str, command: str) -> Rows:
    """Return the records of a file that was written by hand, since measuring takes long.

    Parameters
    ----------
    file : Path
    what : str
        The records in words.
    command : str
        What measures them and takes ``--csv FILE``.

    Raises
    ------
    NotAvailable
        If they are missing or damaged.
    """
    try:
        return from_csv(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NotAvailable(f"{what}: {error}; {command} --csv {file}") from None

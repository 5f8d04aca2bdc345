"""The numbers of a figure: rows, and how they are taken apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

from analysis.records import Row, Rows

__all__ = ["NotAvailable", "Progress", "Row", "Rows", "grouped"]

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

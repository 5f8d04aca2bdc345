"""Text for a terminal: aligned tables and a number line, with or without rich."""

from __future__ import annotations

import contextlib
import math
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

WINNER = "*"  # before the best figure of a row


class Table(NamedTuple):
    """Rows of text; the columns named in ``left`` are flush left, the others flush right."""

    title: str
    columns: tuple[str, ...]
    left: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def text(self) -> str:
        """Return the table as aligned plain text."""
        lines = [self.columns, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        padded = [
            "  ".join(
                cell.ljust(width) if name in self.left else cell.rjust(width)
                for cell, width, name in zip(line, widths, self.columns, strict=True)
            ).rstrip()
            for line in lines
        ]
        return "\n".join([self.title, *padded] if self.title else padded)

    def show(self) -> None:
        """Print the table, by rich where that is installed and the terminal is wide enough."""
        widths = [max(map(len, column)) for column in zip(self.columns, *self.rows, strict=True)]
        least = {
            name: min(width, 16) if name in self.left else width
            for name, width in zip(self.columns, widths, strict=True)
        }
        room = shutil.get_terminal_size().columns - 2 * len(widths)
        if not (sys.stdout.isatty() and has_rich() and sum(least.values()) <= room):
            print(self.text())
            return
        from rich import box
        from rich.console import Console
        from rich.table import Table as RichTable
        from rich.text import Text

        table = RichTable(
            title=self.title or None,
            title_justify="left",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            collapse_padding=True,
        )
        for name in self.columns:
            if name in self.left:  # folded where the terminal is too narrow
                table.add_column(Text(name), overflow="fold", min_width=least[name])
            else:
                table.add_column(Text(name), justify="right", no_wrap=True)
        for row in self.rows:
            # Text, because the names of tensors may look like rich's markup
            table.add_row(*(Text(cell, "bold green" if WINNER in cell else "") for cell in row))
        Console().print(table)


def has_rich() -> bool:
    """Return whether rich is installed, without importing it."""
    from importlib.util import find_spec

    return find_spec("rich") is not None


@contextlib.contextmanager
def progress_bar(doing: str) -> Iterator[Callable[[int, int], object] | None]:
    """Yield what shows progress on stderr, if that is a terminal."""
    if not sys.stderr.isatty():
        yield None
    elif has_rich():
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(doing, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
    else:
        try:
            yield lambda done, total: print(
                f"\r{done / max(total, 1):4.0%}", end="", file=sys.stderr, flush=True
            )
        finally:
            print("\r    \r", end="", file=sys.stderr)


def printable(text: str) -> str:
    """Return the text with control characters escaped, for names out of untrusted files."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def can_print(text: str) -> bool:
    """Return whether stdout's encoding has all characters of ``text``."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def number_line(values: Sequence[float], width: int, unicode: bool = True) -> str:
    """Draw the finite values where they lie on a line, with as many labels as fit.

    Parameters
    ----------
    values : sequence of float
        At least one of them finite.
    width : int
        Columns.
    unicode : bool
        Draw with box characters rather than ASCII.

    Returns
    -------
    str
        Two lines, and a third where several values share a column.

    Raises
    ------
    Nothing.

    Examples
    --------
    >>> print(number_line([0, 0.5, 1, 1.5, 2, 3, 4, 6], 25, unicode=False))
    |-|-|-|-|---|---|-------|
    0   1   2   3   4       6
    """
    rule, one, several = "─┼█" if unicode else "-|#"
    points = sorted({value + 0.0 for value in values if math.isfinite(value)})  # -0 is 0
    low, high = points[0], points[-1]
    half = high / 2 - low / 2 or 1.0  # halved, because the range may be beyond float64

    def column(value: float) -> int:
        return round((value / 2 - low / 2) / half * (width - 1))

    marks = [rule] * width
    for point in points:
        marks[column(point)] = one if marks[column(point)] == rule else several
    labels = [" "] * width
    names = {point: f"{point:.4g}" for point in points}
    shortest = sorted(points, key=lambda point: (len(names[point]), -abs(point)))
    for point in (low, high, *shortest):
        label = names[point]
        start = max(0, min(column(point) - len(label) // 2, width - len(label)))
        around = labels[max(0, start - 1) : start + len(label) + 1]
        if set(around) == {" "}:
            labels[start : start + len(label)] = label
    lines = ["".join(marks), "".join(labels).rstrip()]
    return "\n".join([*lines, f"{several} several values"] if several in marks else lines)

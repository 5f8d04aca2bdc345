"""What a terminal shows beside tables: a progress bar, and a number line."""

from __future__ import annotations

import contextlib
import json
import math
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from minifloat._tables import BEST, Table, has_rich, terminal_width
from minifloat._text import printable, shortened

__all__ = [
    "BEST",
    "Table",
    "can_print",
    "number_line",
    "print_json",
    "print_parts",
    "print_text",
    "printable",
    "progress_bar",
    "shortened",
]

COMPILING = "compiling (once)"
_QUOTED = re.compile("'[^']*'")
_SPACE = "\0"  # in quotes, while lines are broken


@contextlib.contextmanager
def progress_bar(doing: str) -> Iterator[Callable[[int, int], object] | None]:
    """Yield a function that shows progress on stderr, or None if that is no terminal.

    A word says when functions are compiled, which takes seconds in a new installation.
    """
    from minifloat._jit import observed  # which imports NumPy

    if not sys.stderr.isatty():
        yield None
    elif has_rich():
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(doing, total=None)
            with observed(lambda: bar.update(task, description=COMPILING)):
                yield lambda done, total: bar.update(
                    task, description=doing, completed=done, total=total
                )
    else:
        width = len(COMPILING)

        def show(text: str) -> None:
            print(f"\r{text:<{width}}", end="", file=sys.stderr, flush=True)

        try:
            with observed(lambda: show(COMPILING)):
                yield lambda done, total: show(f"{done / max(total, 1):4.0%}")
        finally:
            show("")
            print("\r", end="", file=sys.stderr)


def print_text(text: str) -> None:
    """Print lines of text, broken between words where the terminal is too narrow."""
    width = terminal_width()
    print(text if width is None else folded(text, width))


def print_parts(parts: Iterable[str | Table]) -> None:
    """Print texts and tables, an empty line between them."""
    for number, part in enumerate(parts):
        if number:
            print()
        if isinstance(part, str):
            print_text(part)
        else:
            part.show()


def folded(text: str, width: int) -> str:
    r"""Return lines of text; a line longer than ``width`` is broken between words.

    An indented command stays one that a shell reads: it is broken outside of quotes, with
    backslashes.

    Examples
    --------
    >>> print(folded("  the first of two lines", 20))
      the first of two
        lines
    >>> print(folded("  minifloat show '[-1 0 1]' --all", 30))
      minifloat show '[-1 0 1]' \
        --all
    """
    lines = []
    for line in text.split("\n"):
        if len(line) <= width:
            lines.append(line)
        elif line.startswith("  minifloat "):
            kept = _QUOTED.sub(lambda match: match[0].replace(" ", _SPACE), line)
            parts = [part.replace(_SPACE, " ") for part in _wrapped(kept, width - len(" \\"))]
            lines += [f"{part} \\" for part in parts[:-1]] + parts[-1:]
        else:
            lines += _wrapped(line, width)
    return "\n".join(lines)


def _wrapped(line: str, width: int) -> list[str]:
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.wrap(
        line.strip(),
        max(width, 20),
        initial_indent=indent,
        subsequent_indent=f"{indent}  " if indent else "",
        break_on_hyphens=False,
        break_long_words=False,
    )


def print_json(content: Any) -> None:
    """Print a value as JSON; numbers that are not finite must be strings."""
    print(json.dumps(content, indent=1, allow_nan=False))


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
    zero = [0.0] if 0.0 in names else []
    shortest = sorted(points, key=lambda point: (len(names[point]), -abs(point)))
    for point in (low, high, *zero, *shortest):
        label = names[point]
        start = max(0, min(column(point) - len(label) // 2, width - len(label)))
        around = labels[max(0, start - 1) : start + len(label) + 1]
        if set(around) == {" "}:
            labels[start : start + len(label)] = label
    lines = ["".join(marks), "".join(labels).rstrip()]
    return "\n".join([*lines, f"{several} several values"] if several in marks else lines)

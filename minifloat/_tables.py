"""Tables of text: aligned, as wide as the terminal, coloured by rich, as HTML in a notebook."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from html import escape
from typing import Literal, NamedTuple

from minifloat._text import shortened

BEST = "*"  # before the best figure of a row
GAP = 2  # spaces between columns
MIN_KEY = 24  # columns to which a longer name may be shortened rather than others moved down


class Table(NamedTuple):
    """Rows of text; the columns named in ``left`` are flush left, the others flush right.

    Lines of ``notes`` stand below the rows. The first ``keys`` columns say what a row is about; on
    a terminal that is too narrow, a part of the table below begins with them again.
    """

    title: str
    columns: tuple[str, ...]
    left: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    notes: tuple[str, ...] = ()
    keys: int = 1

    def text(self) -> str:
        """Return the table as aligned plain text."""
        widths = self._widths()
        padded = [
            (" " * GAP)
            .join(
                cell.ljust(width) if name in self.left else cell.rjust(width)
                for cell, width, name in zip(line, widths, self.columns, strict=True)
            )
            .rstrip()
            for line in [self.columns, *self.rows]
        ]
        return "\n".join([*([self.title] if self.title else []), *padded, *self.notes])

    def html(self) -> str:
        """Return the table as HTML, with the best figures in bold."""

        def row(tag: str, cells: Sequence[str]) -> str:
            parts = []
            for cell, name in zip(cells, self.columns, strict=True):
                style = ' style="text-align: left"' if name in self.left else ""
                content = f"<b>{escape(cell)}</b>" if cell.startswith(BEST) else escape(cell)
                parts.append(f"<{tag}{style}>{content}</{tag}>")
            return f"<tr>{''.join(parts)}</tr>"

        caption = f"<caption>{escape(self.title)}</caption>" if self.title else ""
        rows = "".join(row("td", cells) for cells in self.rows)
        notes = "".join(f"<div>{escape(note)}</div>" for note in self.notes)
        return f"<table>{caption}{row('th', self.columns)}{rows}</table>{notes}"

    def show(self) -> None:
        """Print the table, by rich where that is installed and the terminal is wide enough."""
        width = terminal_width()
        if width and sys.stdout.isatty() and has_rich() and self.width <= width - GAP:
            self._show_by_rich()
        else:
            self.show_plainly()

    def show_plainly(self) -> None:
        """Print the table as text, as several tables where the terminal is narrow."""
        width = terminal_width()
        tables = [self] if width is None else self.fitted(width)
        print("\n\n".join(table.text() for table in tables))

    def fitted(self, width: int) -> list[Table]:
        """Return the table as tables of some columns each, none wider than ``width``.

        Examples
        --------
        >>> table = Table("", ("name", "size", "error"), ("name",), [("w", "12", "0.25")])
        >>> for part in table.fitted(12):
        ...     print(part.text())
        name  size
        w       12
        name  error
        w      0.25
        """
        if self.width <= width:
            return [self]
        widths = [size + GAP for size in self._widths()]
        width += GAP
        first, keys, others = widths[0], sum(widths[1 : self.keys]), widths[self.keys :]
        name = min(first, width - keys - sum(others))  # shorter names may do
        if name < min(first, MIN_KEY):
            name = min(first, max(width // 2 - keys, MIN_KEY // 2))
        room = max(width - keys - name, MIN_KEY // 2)  # for the others
        parts: list[list[int]] = [[]]
        used = 0
        for index, size in enumerate(others, self.keys):
            if parts[-1] and used + size > room:
                parts.append([])
                used = 0
            parts[-1].append(index)
            used += size
        tables = []
        for part in parts:
            chosen = [*range(self.keys), *part]
            limits = [name - GAP, *(room - GAP for _ in chosen[1:])]
            columns, *rows = (
                tuple(shortened(line[i], most) for i, most in zip(chosen, limits, strict=True))
                for line in [self.columns, *self.rows]
            )
            left = tuple(
                c for c, i in zip(columns, chosen, strict=True) if self.columns[i] in self.left
            )
            tables.append(Table("", columns, left, rows, keys=self.keys))
        tables[0] = tables[0]._replace(title=self.title)
        tables[-1] = tables[-1]._replace(notes=self.notes)
        return tables

    @property
    def width(self) -> int:
        """Characters of a line."""
        return sum(self._widths()) + GAP * (len(self.columns) - 1)

    def _widths(self) -> list[int]:
        return [max(map(len, column)) for column in zip(self.columns, *self.rows, strict=True)]

    def _show_by_rich(self) -> None:
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
            justify: Literal["left", "right"] = "left" if name in self.left else "right"
            table.add_column(Text(name), justify=justify, no_wrap=True)
        for row in self.rows:
            # Text, because the names of tensors may look like rich's markup
            table.add_row(
                *(Text(cell, "bold green" if cell.startswith(BEST) else "") for cell in row)
            )
        console = Console()
        console.print(table)
        for note in self.notes:
            console.print(Text(note))


def terminal_width() -> int | None:
    """Return how many columns stdout has: those of the terminal, or of COLUMNS; None in a pipe."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal():
        return shutil.get_terminal_size().columns
    return None


def has_rich() -> bool:
    """Return whether rich is installed, without importing it."""
    from importlib.util import find_spec

    return find_spec("rich") is not None

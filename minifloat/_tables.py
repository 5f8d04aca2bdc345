"""Tables of text: aligned, coloured where rich is installed, as HTML in a notebook."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

BEST = "*"  # before the best figure of a row
MIN_WIDTH = 16  # rich may fold a longer cell of a left column


class Table(NamedTuple):
    """Rows of text; the columns named in ``left`` are flush left, the others flush right.

    Lines of ``notes`` stand below the rows.
    """

    title: str
    columns: tuple[str, ...]
    left: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    notes: tuple[str, ...] = ()

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
        return "\n".join([*([self.title] if self.title else []), *padded, *self.notes])

    def html(self) -> str:
        """Return the table as HTML, with the best figures in bold."""

        def row(tag: str, cells: Sequence[str]) -> str:
            parts = []
            for cell, name in zip(cells, self.columns, strict=True):
                style = ' style="text-align: left"' if name in self.left else ""
                content = f"<b>{escape(cell)}</b>" if BEST in cell else escape(cell)
                parts.append(f"<{tag}{style}>{content}</{tag}>")
            return f"<tr>{''.join(parts)}</tr>"

        caption = f"<caption>{escape(self.title)}</caption>" if self.title else ""
        rows = "".join(row("td", cells) for cells in self.rows)
        notes = "".join(f"<div>{escape(note)}</div>" for note in self.notes)
        return f"<table>{caption}{row('th', self.columns)}{rows}</table>{notes}"

    def show(self) -> None:
        """Print the table, by rich where that is installed and the terminal is wide enough."""
        widths = [max(map(len, column)) for column in zip(self.columns, *self.rows, strict=True)]
        narrowest = {
            name: min(width, MIN_WIDTH) if name in self.left else width
            for name, width in zip(self.columns, widths, strict=True)
        }
        columns = shutil.get_terminal_size().columns - 2 * len(widths)
        if not (sys.stdout.isatty() and has_rich() and sum(narrowest.values()) <= columns):
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
                table.add_column(Text(name), overflow="fold", min_width=narrowest[name])
            else:
                table.add_column(Text(name), justify="right", no_wrap=True)
        for row in self.rows:
            # Text, because the names of tensors may look like rich's markup
            table.add_row(*(Text(cell, "bold green" if BEST in cell else "") for cell in row))
        console = Console()
        console.print(table)
        for note in self.notes:
            console.print(Text(note))


def has_rich() -> bool:
    """Return whether rich is installed, without importing it."""
    from importlib.util import find_spec

    return find_spec("rich") is not None

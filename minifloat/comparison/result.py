"""`Comparison`, the result of `minifloat.compare`: printed as tables, written as JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from minifloat._tables import Table
from minifloat._text import printable, shortened
from minifloat.comparison.records import Row, Skipped, TensorErrors
from minifloat.comparison.tables import (
    FIGURES_EXPLAINED,
    details,
    left_out,
    mark_in_words,
    noted,
    other_meanings,
    overview,
    scale_alike,
    scaling_in_words,
    short_names,
    totals,
)
from minifloat.quantization.recipes import Recipe

LISTED = 10  # tensors in a printed comparison
# what begins a formula for some spreadsheet, in full width too (OWASP, "CSV Injection")
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


@dataclass(frozen=True, repr=False)
class Comparison:
    """The result of `compare`; prints as tables, in a notebook too.

    Attributes
    ----------
    source : str
        Where the weights come from, in words.
    recipes : tuple of Recipe
    axis : int
        The axis along which blocks run.
    tensors : tuple of TensorErrors
        In file order.
    total : TensorErrors
        Errors summed over all parameters of all tensors.
    skipped : tuple of Skipped
        The tensors that were left out, each with the reason: not floats, not asked for, not
        finite, not readable ...
    """

    source: str
    recipes: tuple[Recipe, ...]
    axis: int
    tensors: tuple[TensorErrors, ...]
    total: TensorErrors
    skipped: tuple[Skipped, ...]

    def __repr__(self) -> str:
        parts = self.report(self.tensors[:LISTED])
        return "\n\n".join(part if isinstance(part, str) else part.text() for part in parts)

    def _repr_html_(self) -> str:
        parts = self.report(self.tensors[:LISTED])
        return "".join(
            f"<p>{'<br>'.join(map(escape, part.splitlines()))}</p>"
            if isinstance(part, str)
            else part.html()
            for part in parts
        )

    def report(
        self, listed: Sequence[TensorErrors], *, every_figure: bool = False
    ) -> list[str | Table]:
        """Return the comparison as lines of text and tables, in the order of printing.

        Parameters
        ----------
        listed : sequence of TensorErrors
            The tensors that get a line of their own.
        every_figure : bool
            All figures of the listed tensors, instead of the relative rms error alone.
        """
        labels = short_names(self.recipes)
        kind = "format" if scale_alike(self.recipes) else "recipe"
        several = len({tensor.file for tensor in self.tensors}) > 1
        named = [
            (
                shortened(printable(f"{tensor.file}: {tensor.name}" if several else tensor.name)),
                tensor,
            )
            for tensor in listed
        ]
        more = len(self.tensors) - len(listed)
        scaling = scaling_in_words(self.recipes, self.axis, self.tensors)
        parts: list[str | Table] = [
            f"{printable(self.source)}\n{scaling}{mark_in_words(self.total)}"
            f"{other_meanings(self.recipes)}"
        ]
        if every_figure:
            parts.append(details(named, labels, more, kind))
        elif len(self.tensors) > 1:
            parts.append(overview(named, labels, more))
        parts += [totals(self.total, self.tensors, labels, kind), FIGURES_EXPLAINED]
        if notes := noted(self.tensors):
            parts.append(notes)
        if self.skipped:
            parts.append(left_out(self.skipped, len(self.tensors) + len(self.skipped)))
        return parts

    def rows(self) -> list[Row]:
        """Return one flat dict for each tensor and recipe, as `pandas.DataFrame` takes them.

        Examples
        --------
        >>> import numpy as np
        >>> import minifloat as mf
        >>> row, = mf.compare({"w": np.ones((2, 32), np.float32)}, ["int4"]).rows()
        >>> row["tensor"], row["parameters"], row["recipe"]
        ('w', 64, 'int4/128/float16')
        """
        return [row for tensor in self.tensors for row in tensor.rows()]

    def to_json(self) -> str:
        """Return everything as JSON; figures that are infinite are null."""
        content = {
            "source": self.source,
            "recipes": [str(recipe) for recipe in self.recipes],
            "axis": self.axis,
            "tensors": [_finite(row) for row in self.rows()],
            "total": [_finite(row) for row in self.total.rows()],
            "notes": [
                {"file": tensor.file, "name": tensor.name, "note": tensor.note}
                for tensor in self.tensors
                if tensor.note
            ],
            "skipped": [vars(skipped) for skipped in self.skipped],
        }
        return json.dumps(content, indent=1, allow_nan=False)

    def to_csv(self) -> str:
        """Return one line for each tensor and recipe, the totals last with ``level`` total.

        Names come from files that may be hostile: control characters are escaped, and text that a
        spreadsheet would take for a formula (it begins with =, +, - or @) gets a quote before it,
        as OWASP advises against CSV injection.
        """
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["level", *self.total.rows()[0]])
        for level, rows in (("tensor", self.rows()), ("total", self.total.rows())):
            for row in rows:
                shape = "x".join(map(str, row["shape"]))
                cells = {**_finite(row), "shape": shape}.values()
                writer.writerow([level, *map(_harmless, cells)])
        return stream.getvalue()


def _harmless(cell: object) -> object:
    """Return a cell that neither steers a terminal nor is a formula of a spreadsheet."""
    if not isinstance(cell, str):
        return cell
    text = printable(cell)
    return f"'{text}" if cell.startswith(FORMULAS) else text


def _finite(row: Mapping[str, object]) -> dict[str, object]:
    """Return a row with None for figures that are infinite."""
    return {
        name: None if isinstance(figure, float) and math.isinf(figure) else figure
        for name, figure in row.items()
    }

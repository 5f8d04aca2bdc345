"""Figures in tests: their modules and rows, and the search for texts that cannot be read."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

import paper_figures
from analysis.records import from_csv
from paper_figures import style
from paper_figures.rows import Row, Rows

PACKAGE = Path(paper_figures.__file__).parent
IN_DOCS = PACKAGE.parent / "docs" / "figures"


def quiet(done: int, total: int) -> None:
    assert 0 <= done <= total


def module_of(name: str) -> ModuleType:
    return import_module(f"paper_figures.{name}")


def decibels(mse: float) -> float:
    return -10 * math.log10(mse)


def changed(rows: Rows, column: str, change: Callable[[Any], Any]) -> Rows:
    """Return rows with another number in one column, wherever it has one."""

    def other(row: Row) -> Row:
        return {**row, column: change(row[column])} if row.get(column) is not None else row

    return [other(row) for row in rows]


def assert_seen(check: Callable[[Rows], None], wrong: Rows) -> None:
    """Assert that a check of a figure's numbers finds the wrong ones."""
    with pytest.raises((AssertionError, KeyError)):
        check(wrong)


def drawn_texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in visible_texts(figure)]


def visible_texts(figure: Figure) -> list[Text]:
    figure.draw_without_rendering()
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()] if axes.axison else []
            seen = {axis.label, *(t.label1 for t in ticks if low <= t.get_loc() <= high)}
            hidden = set(axis.findobj(Text)) - seen  # ticks beyond the ends of the axis
            texts = [text for text in texts if text not in hidden]
    return texts


def mistakes(figure: Figure) -> list[str]:
    """Return illegible texts: small letters, text cut off, texts on each other."""
    texts = visible_texts(figure)
    problems = [f"small: {t.get_text()!r}" for t in texts if t.get_fontsize() < style.SMALL]
    boxes = {text: text.get_window_extent() for text in texts}
    page = figure.bbox
    problems += [
        f"cut off: {text.get_text()!r}"
        for text, box in boxes.items()
        if box.x0 < page.x0 - 1
        or box.y0 < page.y0 - 1
        or box.x1 > page.x1 + 1
        or box.y1 > page.y1 + 1
    ]
    for (one, a), (other, b) in itertools.combinations(boxes.items(), 2):
        across = min(a.x1, b.x1) - max(a.x0, b.x0)
        down = min(a.y1, b.y1) - max(a.y0, b.y0)
        if across > 1 and down > 0.25 * min(a.height, b.height) and other.get_rotation() % 90 == 0:
            problems.append(f"on each other: {one.get_text()!r}, {other.get_text()!r}")
    return problems


def assert_legible(name: str, rows: Rows) -> None:
    with style.house_style():
        figure = module_of(name).draw(rows)
        assert figure.get_figwidth() in (style.COLUMN, style.PAGE)
        assert mistakes(figure) == []


def in_docs(name: str) -> Rows:
    """Return the numbers of a figure of the docs, whose picture must be small."""
    assert (IN_DOCS / f"{name}.png").stat().st_size < 250_000
    return from_csv((IN_DOCS / f"{name}.csv").read_text(encoding="utf-8"))


def assert_agree(shown: Iterable[Row], rows: Iterable[Row]) -> None:
    for ours, theirs in zip(shown, rows, strict=True):
        assert ours.keys() == theirs.keys()
        for column, value in theirs.items():
            if isinstance(value, float):
                assert ours[column] == pytest.approx(value, rel=1e-9, abs=0), column
            else:
                assert ours[column] == value, column

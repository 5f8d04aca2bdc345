"""A float becomes a code: its bits, the two values around it, and the code that is chosen."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import minifloat as mf
from paper_figures import style
from paper_figures.fields import COLOURS, MEANINGS, draw_bit, fields
from paper_figures.rows import Progress, Row, Rows, grouped

FORMAT, NUMBER = "e2m2", 0.3
FLOAT32 = "S" + 8 * "E" + 23 * "M"
SHOWN = 7  # values of the format on the line
EXPLAINED = "the middle: from here on the next code (nearest even)"


def data(progress: Progress) -> Rows:
    """Return the bits of the number, its place among the format's values, and those of its code."""
    fmt, x = mf.parse(FORMAT), np.float32(NUMBER)
    code = int(mf.encode(x, fmt))
    rows = _bits("number", FLOAT32, int(x.view(np.uint32)), float(x))
    values = [float(mf.decode(each, fmt)) for each in range(SHOWN)]
    rows += [_row("value", code=each, value=value) for each, value in enumerate(values)]
    rows += _bits("code", fields(fmt), code, values[code])
    progress(1, 1)
    return rows


def _bits(part: str, letters: str, word: int, value: float) -> Rows:
    last = len(letters) - 1
    return [
        _row(part, field=letter, bit=word >> (last - place) & 1, value=value)
        for place, letter in enumerate(letters)
    ]


def _row(part: str, **facts: object) -> Row:
    return {"part": part, "field": None, "bit": None, "code": None, **facts}


def draw(rows: Rows) -> Figure:
    """Draw the bits of the number, the line of values and the code, one below another."""
    parts = dict(grouped(rows, "part"))
    figure = style.new_figure(style.PAGE, 2.6)
    word, line, code = figure.subplots(3, 1, height_ratios=(1.1, 1.7, 0.6))
    x = parts["number"][0]["value"]
    _draw_word(word, f"1  {x:.7g} as float32", parts["number"])
    for place, letter in enumerate("SEM"):
        draw_bit(word, 6 * place, -0.72, letter, colour=COLOURS[letter])
        word.text(6 * place + 1.4, -0.72, MEANINGS[letter], va="center")
    word.set(ylim=(-1, 0.65))
    _draw_line(line, x, parts["value"])
    chosen = parts["code"][0]["value"]
    number = int("".join(str(row["bit"]) for row in parts["code"]), 2)
    _draw_word(code, f"3  code {number}, the value {chosen:g}", parts["code"])
    code.set(ylim=(-0.3, 0.65))
    return figure


def _draw_word(axes: Axes, text: str, bits: Rows) -> None:
    axes.text(0, 0.32, text)
    for place, row in enumerate(bits):
        draw_bit(axes, place, 0, str(row["bit"]), colour=COLOURS[row["field"]])
    axes.set_xlim(-0.2, len(FLOAT32) + 0.2)
    axes.axis("off")


def _draw_line(axes: Axes, x: float, values: Rows) -> None:
    """Draw the values, the number between two of them, and the middle of the two."""
    numbers = [row["value"] for row in values]
    low = max(value for value in numbers if value <= x)
    high = min(value for value in numbers if value > x)
    middle = (low + high) / 2
    axes.plot([0, numbers[-1]], [0, 0], color=style.BLUE, linewidth=0.8)
    axes.vlines(numbers, -0.15, 0.15, color=style.BLUE)
    for row in values:
        text = f"{row['value']:g}\ncode {row['code']}"
        axes.text(row["value"], -0.25, text, ha="center", va="top")
    axes.vlines(middle, -0.15, 0.55, color=style.GREY, linestyle=(0, (3, 2)))
    axes.text(middle + 0.01, 0.5, EXPLAINED, va="center")
    axes.plot([x], [0], "o", color=style.VERMILLION)
    bent = {"arrowstyle": "->", "color": style.VERMILLION, "connectionstyle": "arc3,rad=0.6"}
    axes.annotate("", (low, 0.15), (x, 0.08), arrowprops=bent)
    share = f"2  {(x - low) / (high - low):.1g} of the way from {low:g} to {high:g}"
    axes.text(-0.04, 0.95, share, va="center")
    axes.set(xlim=(-0.05, numbers[-1] + 0.05), ylim=(-0.95, 1.1))
    axes.axis("off")

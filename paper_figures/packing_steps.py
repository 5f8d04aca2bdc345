"""Weights become packed codes: the block's scale, the quotients, their codes and the bytes."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import minifloat as mf
from paper_figures import style
from paper_figures.fields import COLOURS, MEANINGS, draw_bit, fields
from paper_figures.rows import Progress, Rows, grouped

FORMAT, SCALE = "e2m2", "float32"
WEIGHTS = (0.7, -0.1, 0.02, 1.3)  # one block
COLUMN = 8  # bits wide


def data(progress: Progress) -> Rows:
    """Return each bit of the packed codes, with the weight that it belongs to."""
    fmt, w = mf.parse(FORMAT), np.array([WEIGHTS], np.float32)
    q = mf.quantize(w, f"{FORMAT}/{len(WEIGHTS)}/{SCALE}")
    scale = float(q.scales.ravel()[0])
    codes, values = q.codes.ravel(), q.dequantize().ravel()
    packed = np.unpackbits(q.packed.ravel(), bitorder="little")
    letters = fields(fmt)
    rows = []
    for place, weight in enumerate(WEIGHTS):
        for bit, letter in enumerate(reversed(letters)):
            position = place * fmt.bits + bit
            rows.append(
                {
                    "weight": weight,
                    "scale": scale,
                    "quotient": weight / scale,
                    "code": int(codes[place]),
                    "value": float(values[place]),
                    "field": letter,
                    "bit": int(packed[position]),  # of the code, from its least significant one
                    "position": position,  # in the bytes, from the first one's least significant
                }
            )
    progress(1, 1)
    return rows


def draw(rows: Rows) -> Figure:
    """Draw a column for each weight, and the bytes below."""
    figure = style.new_figure(style.PAGE, 2.9)
    axes = figure.add_subplot()
    blocks = [list(bits) for _, bits in grouped(rows, "weight")]
    absmax = max(abs(bits[0]["weight"]) for bits in blocks)
    scale, largest = rows[0]["scale"], mf.parse(FORMAT).max
    heads = {
        0.0: "weights of a block",
        -0.55: f"over the scale {absmax:g} / {largest:g} = {scale:.4g}",
        -1.1: f"rounded to {style.title(FORMAT)}",
        -1.65: "codes",
        -2.6: "bytes, first bit right",
        -3.3: "times the scale",
    }
    for y, head in heads.items():
        axes.text(-1, y, head, ha="right", va="center")
    for place, bits in enumerate(blocks):
        first, x = bits[0], COLUMN * place
        rounded = first["value"] / scale
        for y, number in ((0.0, first["weight"]), (-0.55, first["quotient"]), (-1.1, rounded)):
            axes.text(x + 2.5, y, f"{number:.3g}".replace("-", "−"), ha="center", va="center")
        for bit, row in enumerate(reversed(bits)):
            draw_bit(axes, x + bit, -1.65, str(row["bit"]), colour=COLOURS[row["field"]])
        axes.text(
            x + 2.5, -3.3, f"{first['value']:.3g}".replace("-", "−"), ha="center", va="center"
        )
    _draw_bytes(axes, rows, -2.6)
    for place, letter in enumerate("SEM"):
        draw_bit(axes, COLUMN * place, -3.95, letter, colour=COLOURS[letter])
        axes.text(COLUMN * place + 1.4, -3.95, MEANINGS[letter], va="center")
    draw_bit(axes, 3 * COLUMN, -3.95, edge=style.GREY)
    axes.text(3 * COLUMN + 1.4, -3.95, "not used", va="center")
    axes.set(xlim=(-16, 30), ylim=(-4.25, 0.3))
    axes.axis("off")
    return figure


def _draw_bytes(axes: Axes, rows: Rows, y: float) -> None:
    """Draw the bytes with their most significant bit left; bits beyond the codes are empty."""
    bits = {row["position"]: row for row in rows}
    for byte in range(-(-len(bits) // 8)):
        for bit in range(8):
            row, x = bits.get(8 * byte + bit), 10 * byte + 7 - bit
            if row is None:
                draw_bit(axes, x, y, edge=style.GREY)
            else:
                draw_bit(axes, x, y, str(row["bit"]), colour=COLOURS[row["field"]])
        axes.text(10 * byte + 4, y + 0.27, f"byte {byte}", ha="center")

"""Formats inside formats: E2M4 read at fewer bits, in three ways, beside the narrow formats."""

from __future__ import annotations

import math

from matplotlib.figure import Figure

from analysis.errors.nested import MIDDLE, nested_error
from minifloat.formats.names import parse
from paper_figures import style
from paper_figures.rows import Progress, Rows, grouped
from paper_figures.style import Look

FAMILIES = (("e2m4", ("e2m3", "e2m2", "e2m1")), ("int8full", ("int6full", "int4full", "int3full")))
DIRECT = "the narrow format directly"
READINGS = {
    DIRECT: ("directly", Look(style.BLACK, "*", (0, (8, 2)))),
    MIDDLE: ("the middle of what is cut", Look(style.BLUE, "o", "-")),
    "rounded": ("rounded again", Look(style.ORANGE, "v", (0, (3, 1, 1, 1, 1, 1)))),
    "cut": ("cut", Look(style.VERMILLION, "s", (0, (4, 1.5)))),
}


def data(progress: Progress) -> Rows:
    """Return the exact SQNR on Gaussian weights in blocks of 128 for each width and reading."""
    rows: Rows = []
    for done, (wide, narrow) in enumerate(FAMILIES, 1):
        for reading in READINGS:
            for name in narrow:
                error = nested_error(wide, name, "normal", MIDDLE if reading == DIRECT else reading)
                mse = error.direct_in_blocks if reading == DIRECT else error.in_blocks
                rows.append(
                    {
                        "stored": wide,
                        "reading": reading,
                        "read": name,
                        "bits": parse(name).bits,
                        "sqnr_db": -10 * math.log10(mse),
                    }
                )
        progress(done, len(FAMILIES))
    return rows


def draw(rows: Rows) -> Figure:
    """Draw a panel for each stored format."""
    figure = style.new_figure(style.PAGE, 2.6)
    panels = figure.subplots(1, len(FAMILIES), sharey=True)
    for axes, (wide, own) in zip(panels, grouped(rows, "stored"), strict=True):
        for reading, line in grouped(own, "reading"):
            label, look = READINGS[reading]
            axes.plot(
                [row["bits"] for row in line], [row["sqnr_db"] for row in line],
                color=look.colour, marker=look.marker, linestyle=look.line, label=label,
            )  # fmt: skip
        bits = sorted({row["bits"]: row["read"] for row in own}.items())
        axes.set_xticks(
            [width for width, _ in bits],
            [f"{width}\n{style.title(name.removesuffix('full'))}" for width, name in bits],
        )
        axes.set(title=f"stored as {style.title(wide.removesuffix('full'))}", xlabel="bits read")
        axes.margins(x=0.12)
    panels[0].set_ylabel("SQNR on Gaussian weights (dB)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure

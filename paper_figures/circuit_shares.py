"""Where the transistors of a dot product's lane go, for formats times themselves."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis.hardware.circuits import FORMATS, PARTS
from analysis.hardware.shares import Shares, shares
from paper_figures import style
from paper_figures.cost_plane import encoding, saved
from paper_figures.rows import Progress, Row, Rows, grouped

PANELS = ((4, 5), (8,))  # widths of each
LOOKS = {  # of each part: its colour and its hatch, for print in grey
    "decode": (style.YELLOW, ""),
    "multiply": (style.BLUE, ""),
    "align": (style.VERMILLION, "////"),
    "tree": (style.SKY, ""),
    "accumulate": (style.GREY, ""),
}
DARK = ("multiply", "align", "accumulate")  # their numbers are white
GAP = 0.6  # between widths, in bars
LEAST = 0.01, 0.025  # of the longest bar: how wide a share is to have its number, and a digit


def data(progress: Progress) -> Rows:
    """Return the transistors of each part of each format's lane."""
    rows = saved()
    found: Rows = []
    for width, formats in FORMATS.items():
        for fmt in (fmt for fmt in PARTS if fmt in formats):
            parts = shares(rows, fmt)
            if parts is not None:
                found.append({"format": fmt, "bits": width, **parts._asdict()})
    progress(1, 1)
    return found


def draw(rows: Rows) -> Figure:
    """Draw a bar for each format, a panel for widths of about as long bars."""
    panels = [[row for row in rows if row["bits"] in widths] for widths in PANELS]
    most = max(len(panel) + GAP * len({row["bits"] for row in panel}) for panel in panels) - GAP
    figure = style.new_figure(style.PAGE, 0.75 + 0.26 * most)
    ratios = [1.25, 1.0]
    for axes, mine, widths in zip(
        figure.subplots(1, len(PANELS), width_ratios=ratios), panels, PANELS, strict=True
    ):
        _panel(axes, mine, most)
        axes.set_title(" and ".join(map(str, widths)) + " bits")
        axes.set_xlabel("transistors a lane, of static CMOS")
    handles = [
        Patch(facecolor=colour, hatch=hatch, edgecolor="white", label=part)
        for part, (colour, hatch) in LOOKS.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(LOOKS))
    return figure


def _panel(axes: Axes, rows: Rows, most: float) -> None:
    totals = [_total(row) for row in rows]
    heights, names, height = [], [], 0.0
    for _, alike in grouped(rows, "bits"):
        for row in alike:
            heights.append(height)
            names.append(encoding(row["format"]))
            height += 1
        height += GAP
    left = [0.0] * len(rows)
    for part, (colour, hatch) in LOOKS.items():
        values = [row[part] for row in rows]
        axes.barh(heights, values, 0.78, left, color=colour, hatch=hatch, edgecolor="white", lw=0.5)
        for y, start, value in zip(heights, left, values, strict=True):
            text = f"{value:.0f}"
            if value > (LEAST[0] + LEAST[1] * len(text)) * max(totals):
                colour_of_text = "white" if part in DARK else "black"
                axes.text(
                    start + value / 2, y, text, ha="center", va="center",
                    color=colour_of_text,
                    bbox={"facecolor": colour, "edgecolor": "none", "pad": 0.6} if hatch else None,
                )  # fmt: skip
        left = [start + value for start, value in zip(left, values, strict=True)]
    for y, total in zip(heights, totals, strict=True):
        axes.text(total + 0.01 * max(totals), y, f"{total:.0f}", va="center", fontweight="bold")
    axes.set_yticks(heights, names)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(most - 0.4, -0.6)  # downward, and bars of all panels as high
    axes.set_xlim(0, 1.12 * max(totals))


def _total(row: Row) -> float:
    return float(sum(row[part] for part in Shares._fields))

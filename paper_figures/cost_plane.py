"""The plane of cost and accuracy: how formats are marked and named in it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter, NullLocator, ScalarFormatter
from matplotlib.transforms import Bbox

from analysis.hardware.circuits import BLOCK_FORMATS
from analysis.hardware.errors import DATA, MODELS
from paper_figures import style
from paper_figures.rows import Row, Rows, stored
from paper_figures.style import Look

RECORDS: Path = DATA / "counts.csv"
UNITS = {"cmos": "transistors a lane, of static CMOS", "xc7": "LUT6 sites a lane, of xc7"}
TICKS = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
FINE = (5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000)
SIGN_AND_MAGNITUDE = "integer, sign and magnitude"
KINDS = {
    "ExMy": Look(style.BLUE, "o", ""),
    "integer, two's complement": Look(style.VERMILLION, "s", ""),
    SIGN_AND_MAGNITUDE: Look(style.ORANGE, "D", ""),
    "codebook": Look(style.GREEN, "^", ""),
    "MX and NVFP4": Look(style.PURPLE, "P", ""),
}
NAMED = (  # off the front
    "e2m1", "int4", "e2m2", "int5", "int8", "e4m3fn", "mxfp4", "nvfp4", "mxint8", "nf4", "int6",
    "e3m1", "e3m2", "e3m0", "e5m2", "mxfp8e4m3", "e1m2", "e1m3", "e2m3",
)  # fmt: skip
SIDES = (  # of a name beside its point: the shift in points, and how it is aligned
    ((-4, 0), "right", "center"),
    ((0, 3), "center", "bottom"),
    ((4, 0), "left", "center"),
    ((0, -3), "center", "top"),
)


def saved() -> Rows:
    """Return the records of `analysis.hardware` from ``docs/data/hardware``.

    Raises
    ------
    NotAvailable
        If they are missing or damaged.
    """
    return stored(RECORDS, "the counts of circuits", "python -m analysis.hardware")


def kind_of(fmt: str) -> str:
    """Return one of `KINDS`.

    Examples
    --------
    >>> kind_of("e1m3"), kind_of("mxint8")
    ('integer, sign and magnitude', 'MX and NVFP4')
    """
    if fmt in BLOCK_FORMATS:
        return "MX and NVFP4"
    if fmt.startswith("e1m"):
        return SIGN_AND_MAGNITUDE
    family = style.family(fmt)
    named = {"floating point": "ExMy", "integer": "integer, two's complement"}
    return named.get(family, family)


def encoding(fmt: str) -> str:
    """Return the name of a format; of integers in sign and magnitude with that of the integer.

    Examples
    --------
    >>> encoding("e1m3"), encoding("e2m2")
    ('E1M3 (±INT5)', 'E2M2')
    """
    integer = f" (±INT{int(fmt[3:]) + 2})" if kind_of(fmt) == SIGN_AND_MAGNITUDE else ""
    return style.title(fmt) + integer


def source_title(source: str) -> str:
    """Return the name of a law or a model."""
    return MODELS.get(source) or style.title(source)


def legend(figure: Figure) -> None:
    """Say above a figure what the marks mean."""
    handles = [
        Line2D([], [], color=look.colour, marker=look.marker, linestyle="", label=name)
        for name, look in KINDS.items()
    ]
    handles.append(Line2D([], [], color="black", linewidth=0.8, label="no other beats these"))
    figure.legend(handles=handles, loc="outside upper center", ncols=3)


def cost_axis(axes: Axes, costs: list[float]) -> None:
    """Make x the cost, on a logarithmic scale."""
    axes.set_xscale("log")
    low, high = min(costs) / 1.3, 1.3 * max(costs)
    ticks = TICKS if high > 6 * low else FINE
    axes.set_xticks([tick for tick in ticks if low <= tick <= high])
    axes.set_xlim(low, high)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def name_points(axes: Axes, rows: Rows, y: str) -> None:
    """Write names beside points where there is room, those on the front first.

    Parameters
    ----------
    axes : Axes
        That have their place on the page: after ``draw_without_rendering``.
    rows : list of dict
        With ``cost``, ``kind``, ``format``, ``on_front`` and ``y``.
    y : str
        The name of the column that is drawn upward.
    """
    taken = []
    for row in rows:
        across, up = axes.transData.transform((row["cost"], row[y]))
        taken.append(Bbox.from_bounds(across - 3, up - 3, 6, 6))
    taken += _steps(axes, [row for row in rows if row["on_front"]], y)
    for row in sorted(rows, key=_importance):
        if not row["on_front"] and row["format"] not in NAMED:
            continue
        for shift, ha, va in SIDES:
            text = axes.annotate(
                style.title(row["format"]),
                (row["cost"], row[y]),
                xytext=shift,
                textcoords="offset points",
                ha=ha,
                va=va,
                color=KINDS[row["kind"]].colour,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.2, "alpha": 0.7},
            )
            box = text.get_window_extent()
            inside = axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 + 8
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                break
            text.remove()


def _steps(axes: Axes, front: Rows, y: str) -> list[Bbox]:
    """Return the places of the lines that join the front's points."""
    corners = [axes.transData.transform((row["cost"], row[y])) for row in front]
    found = []
    for (x0, y0), (x1, y1) in pairwise(corners):
        found += [Bbox([[x0, y0 - 1], [x1, y0 + 1]]), Bbox([[x1 - 1, y0], [x1 + 1, y1]])]
    return found


def _importance(row: Row) -> tuple[bool, float]:
    return not row["on_front"], row["cost"]


def _overlap(one: Bbox, other: Bbox) -> bool:
    across = min(one.x1, other.x1) - max(one.x0, other.x0)
    down = min(one.y1, other.y1) - max(one.y0, other.y0)
    return bool(across > 0.5 and down > 0.5)

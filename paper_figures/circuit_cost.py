"""SQNR of products against the transistors of a lane: which formats are worth their circuit."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter, ScalarFormatter

from analysis.hardware.circuits import BLOCK_FORMATS, ITSELF
from analysis.hardware.tradeoff import front, points
from analysis.records import from_csv
from paper_figures import style
from paper_figures.rows import NotAvailable, Progress, Rows
from paper_figures.style import Look

RECORDS = Path(__file__).parents[1] / "docs" / "data" / "hardware" / "counts.csv"
DISTRIBUTIONS = ("normal", "laplace")
ACTIVATIONS = {ITSELF: "times themselves", "e1m6": "times INT8 in sign and magnitude"}
SIGN_AND_MAGNITUDE = "integer, sign and magnitude"
KINDS = {
    "ExMy": Look(style.BLUE, "o", ""),
    "integer, two's complement": Look(style.VERMILLION, "s", ""),
    SIGN_AND_MAGNITUDE: Look(style.ORANGE, "D", ""),
    "codebook": Look(style.GREEN, "^", ""),
    "blocks of their own": Look(style.PURPLE, "P", ""),
}

PLACES = {  # of a name beside its point: the shift in points, and how it is aligned
    "left": ((-4, 0), "right", "center"),
    "above": ((0, 3), "center", "bottom"),
    "below": ((3, -2), "left", "top"),
}


def saved() -> Rows:
    """Return the records of `analysis.hardware` from ``docs/data/hardware``.

    Raises
    ------
    NotAvailable
        If they are missing or damaged.
    """
    try:
        return from_csv(RECORDS.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NotAvailable(
            f"the counts of circuits: {error}; python -m analysis.hardware --csv {RECORDS}"
        ) from None


def data(progress: Progress) -> Rows:
    """Return cost and SQNR of each dot product that was counted, and whether another beats it."""
    rows = saved()
    found: Rows = []
    for distribution in DISTRIBUTIONS:
        for activations in ACTIVATIONS:
            mine = points(rows, distribution, "cmos", activations)
            best = front(mine)
            found += [
                {
                    "distribution": distribution,
                    "activations": activations,
                    "format": point.fmt,
                    "kind": kind_of(point.fmt),
                    "bits": point.bits,
                    "transistors": point.cost,
                    "sqnr_db": point.sqnr_db,
                    "on_front": int(point in best),
                }
                for point in mine
            ]
    progress(1, 1)
    return found


def kind_of(fmt: str) -> str:
    """Return one of `KINDS`.

    Examples
    --------
    >>> kind_of("e1m3"), kind_of("mxint8")
    ('integer, sign and magnitude', 'blocks of their own')
    """
    if fmt in BLOCK_FORMATS:
        return "blocks of their own"
    if fmt.startswith("e1m"):
        return SIGN_AND_MAGNITUDE
    family = style.family(fmt)
    named = {"floating point": "ExMy", "integer": "integer, two's complement"}
    return named.get(family, family)


def draw(rows: Rows) -> Figure:
    """Draw a row of panels for each kind of activations, a column for each distribution."""
    kinds = [name for name in ACTIVATIONS if any(row["activations"] == name for row in rows)]
    figure = style.new_figure(style.PAGE, 0.4 + 3.0 * len(kinds))
    axes = figure.subplots(
        len(kinds), len(DISTRIBUTIONS), sharey="row", sharex="row", squeeze=False
    )
    for line, activations in zip(axes, kinds, strict=True):
        for place, distribution in zip(line, DISTRIBUTIONS, strict=True):
            mine = [
                row
                for row in rows
                if (row["activations"], row["distribution"]) == (activations, distribution)
            ]
            _panel(place, mine)
            place.set_title(f"{style.title(distribution)}, weights {ACTIVATIONS[activations]}")
        line[0].set_ylabel("SQNR of products (dB)")
    for place in axes[-1]:
        place.set_xlabel("transistors a lane, of static CMOS")
    handles = [
        Line2D([], [], color=look.colour, marker=look.marker, linestyle="", label=name)
        for name, look in KINDS.items()
    ]
    handles.append(Line2D([], [], color="black", linewidth=0.8, label="no other beats these"))
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure


def _panel(axes: Axes, rows: Rows) -> None:
    for row in rows:
        look = KINDS[row["kind"]]
        x, y = row["transistors"], row["sqnr_db"]
        axes.plot(x, y, look.marker, color=look.colour, markersize=3.5)
        place = "left" if row["kind"] == SIGN_AND_MAGNITUDE else "below"
        if place == "below" and row["on_front"]:
            place = "above"
        shift, ha, va = PLACES[place]
        axes.annotate(
            style.title(row["format"]),
            (x, y),
            xytext=shift,
            textcoords="offset points",
            ha=ha,
            va=va,
            color=look.colour,
        )
    best = [row for row in rows if row["on_front"]]
    x = [row["transistors"] for row in best]
    y = [row["sqnr_db"] for row in best]
    axes.plot(x, y, color="black", drawstyle="steps-post", linewidth=0.8, zorder=0)
    axes.set_xscale("log")
    axes.set_xticks([200, 500, 1000, 2000, 5000])
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.22, y=0.12)

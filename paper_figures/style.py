"""How all figures look: sizes, fonts, colours, and the same marks for a format in every one.

Colours are those of Okabe and Ito, which the colour-blind can distinguish. Markers and dashes
differ too, for print in grey.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, cycle
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from minifloat.formats import Format, Integer
from minifloat.formats.names import parse

COLUMN, PAGE = 3.3, 7.0  # widths of a column and of a page, inches
SMALL = 7  # points; nothing is smaller

BLACK, GREY, PALE = "#000000", "#767676", "#D9D9D9"
BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
ORANGE, PURPLE, SKY, YELLOW = "#E69F00", "#CC79A7", "#56B4E9", "#F0E442"

# The files hold nothing that differs from run to run.
METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "svg": {"Date": None, "Creator": None},
}
SETTINGS: dict[Any, Any] = {
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
    "font.family": "DejaVu Sans",
    "font.size": SMALL,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": False,
    "grid.color": PALE,
    "grid.linewidth": 0.4,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # letters stay text
    "svg.fonttype": "path",  # drawn the same wherever the fonts are
    "svg.hashsalt": "minifloat",
}


class Look(NamedTuple):
    """How a format or a family is drawn."""

    colour: str
    marker: str
    line: Any  # a Matplotlib linestyle


LOOKS = {
    "e2m2": Look(BLUE, "o", "-"),
    "int5": Look(VERMILLION, "s", (0, (4, 1.5))),
    "nf5": Look(GREEN, "^", (0, (6, 1.5, 1, 1.5))),
    "e3m1": Look(PURPLE, "D", (0, (1, 1))),
    "nf4": Look(ORANGE, "v", (0, (3, 1, 1, 1, 1, 1))),
    "e2m1": Look(SKY, "P", (0, (2, 1))),
    "int4": Look(GREY, "X", (0, (5, 2))),
}
SPARE = (Look(BLACK, "*", (0, (8, 2))), Look(YELLOW, "h", (0, (1, 2))))
FAMILIES = {
    "floating point": Look(BLUE, "o", "-"),
    "integer": Look(VERMILLION, "s", (0, (4, 1.5))),
    "codebook": Look(GREEN, "^", (0, (6, 1.5, 1, 1.5))),
}


def looks(formats: Iterable[str]) -> dict[str, Look]:
    """Return how to draw each format: its own look, or one that no other here has.

    Parameters
    ----------
    formats : iterable of str
        After nine names the looks repeat.

    Returns
    -------
    dict of str to Look

    Examples
    --------
    >>> from paper_figures.style import looks
    >>> chosen = looks(["e2m2", "e3m2", "int6"])
    >>> len(set(chosen.values()))
    3
    """
    names = list(dict.fromkeys(formats))
    free = [look for name, look in LOOKS.items() if name not in names]
    spare = cycle(chain(free, SPARE))
    return {name: LOOKS[name] if name in LOOKS else next(spare) for name in names}


def family(fmt: str) -> str:
    """Return the family of a format, one of `FAMILIES`.

    Examples
    --------
    >>> from paper_figures.style import family
    >>> family("e2m2"), family("int5"), family("nf4")
    ('floating point', 'integer', 'codebook')
    """
    parsed = parse(fmt)
    if isinstance(parsed, Format):
        return "floating point"
    return "integer" if isinstance(parsed, Integer) else "codebook"


def title(fmt: str) -> str:
    """Return a format's name, or a distribution's, as papers write it.

    Examples
    --------
    >>> from paper_figures.style import title
    >>> title("e2m2"), title("bnb_fp4"), title("sp2_4"), title("student_t(5)")
    ('E2M2', 'bnb FP4', 'SP2 4', 'Student t, ν = 5')
    >>> title("bfloat16"), title("e4m3fn")
    ('bfloat16', 'E4M3')
    """
    student = re.fullmatch(r"student_t\(([0-9.]+)\)", fmt)
    if student:
        return f"Student t, ν = {student[1]}"
    if fmt == "normal":
        return "Gaussian"
    if "float" in fmt:
        return fmt
    kind, _, rest = fmt.removesuffix("fn").rpartition("_")  # as in bipolar_int4
    name = rest.upper() if re.search("[0-9]", rest) else rest.capitalize()
    kind = kind.upper() if re.search("[0-9]", kind) else kind
    return f"{kind} {name}" if kind else name


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the house style within the context, whatever the user's own settings are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches."""
    return Figure(figsize=(width, height))


def image(figure: Figure, kind: str) -> bytes:
    """Return a figure as the bytes of an image file.

    Parameters
    ----------
    figure : Figure
    kind : str
        A key of `METADATA`.

    Returns
    -------
    bytes
        The same for the same figure and the same version of Matplotlib.
    """
    buffer = io.BytesIO()
    _settle(figure)
    figure.savefig(buffer, format=kind, metadata=METADATA[kind])
    return in_palette(buffer.getvalue()) if kind == "png" else buffer.getvalue()


def in_palette(picture: bytes) -> bytes:
    """Return a PNG picture in 256 colours, which takes a third of the bytes.

    Parameters
    ----------
    picture : bytes
        Opaque. Plain areas and the edges of letters need few colours: no colour of our figures
        changes by more than 10 of 255.

    Returns
    -------
    bytes
    """
    buffer = io.BytesIO()
    colours = Image.open(io.BytesIO(picture)).convert("RGB")
    few = colours.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(buffer, "png", optimize=True)
    return buffer.getvalue()


def _settle(figure: Figure) -> None:
    """Lay the figure out, and round the places of its axes, whose last bits differ between runs."""
    if figure.get_layout_engine() is None:
        return
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        left, bottom, width, height = (round(float(x), 6) for x in axes.get_position().bounds)
        axes.set_position((left, bottom, width, height))


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """Return positions moved apart as little as needed to be ``gap`` apart.

    Parameters
    ----------
    positions : sequence of float
    gap : float
        Least distance of neighbours.

    Returns
    -------
    list of float
        In the order of ``positions``.

    Examples
    --------
    >>> from paper_figures.style import spread
    >>> spread([1.0, 1.0, 5.0], 1.0)
    [0.5, 1.5, 5.0]
    """
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    groups: list[list[int]] = []  # of neighbours that touch
    centres: list[float] = []
    for index in order:
        groups.append([index])
        centres.append(positions[index])
        while len(groups) > 1 and (
            centres[-1] - centres[-2] < gap * (len(groups[-1]) + len(groups[-2])) / 2
        ):
            groups[-2:] = [groups[-2] + groups[-1]]
            centres[-2:] = [sum(positions[i] for i in groups[-1]) / len(groups[-1])]
    moved = list(positions)
    for group, centre in zip(groups, centres, strict=True):
        for place, index in enumerate(group):
            moved[index] = centre + gap * (place - (len(group) - 1) / 2)
    return moved


def label_ends(
    axes: Axes, ends: dict[str, tuple[float, float]], colours: dict[str, str], gap: float
) -> None:
    """Write names to the right of the ends of lines, at least ``gap`` apart in y.

    Parameters
    ----------
    axes : Axes
    ends : dict of str to (x, y)
    colours : dict of str to str
    gap : float
        In units of y.
    """
    heights = spread([y for _, y in ends.values()], gap)
    for (name, (x, _)), height in zip(ends.items(), heights, strict=True):
        axes.annotate(
            name,
            (x, height),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=colours[name],
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.3, "alpha": 0.8},
            annotation_clip=False,
        )

"""Error against bits per weight, scales included.

Formats and block sizes under absmax scaling, on Gaussian weights, where scales take half a bit per
weight or less. The steps connect the recipes that no other beats in both.
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MultipleLocator

from analysis.formats.format_comparison import exact_errors, pareto_front, recipes_of
from minifloat.formats.names import parse
from paper_figures import style
from paper_figures.rows import Progress, Rows, grouped

FORMATS = (
    "int4", "e2m1", "e3m0", "nf4", "af4", "sf4", "int5", "e2m2", "e3m1", "nf5", "int6", "e2m3",
    "e3m2",
)  # fmt: skip
DISTRIBUTION = "normal"
SCALES = ("float16", "e4m3fn", "e8m0:up")
BLOCK_SIZES = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
MAX_SCALE_BITS = 0.5  # bits per weight that a scale may take


def data(progress: Progress) -> Rows:
    """Return the error and the size of each format, scale and block size."""
    points = []
    for done, scale in enumerate(SCALES, 1):
        for name in FORMATS:
            max_bits = parse(name).bits + MAX_SCALE_BITS
            errors = exact_errors(recipes_of([name], BLOCK_SIZES, [scale]), [DISTRIBUTION])
            points += [
                (name, scale, error) for error in errors if error.bits_per_weight <= max_bits
            ]
        progress(done, len(SCALES))
    front = set(pareto_front(error for _, _, error in points))
    return [
        {
            "format": name,
            "family": style.family(name),
            "scale": scale,
            "block_size": error.recipe.block,
            "bits_per_weight": error.bits_per_weight,
            "sqnr_db": error.sqnr_db,
            "on_front": int(error in front),
        }
        for name, scale, error in points
    ]


def draw(rows: Rows) -> Figure:
    """Draw a panel for each kind of scale, with a curve for each format, and the front."""
    panels = list(grouped(rows, "scale"))
    figure = style.new_figure(style.PAGE, 3.4)
    front = sorted(
        (row for row in rows if row["on_front"]), key=lambda row: float(row["bits_per_weight"])
    )
    for place, (scale, points) in enumerate(panels):
        axes = figure.add_subplot(
            1, len(panels), place + 1, sharex=figure.axes[0] if place else None,
            sharey=figure.axes[0] if place else None,
        )  # fmt: skip
        _panel(axes, points)
        axes.plot(
            [row["bits_per_weight"] for row in front],
            [row["sqnr_db"] for row in front],
            color=style.PALE,
            drawstyle="steps-post",
            linewidth=2.5,
            zorder=0,
        )
        sizes = [row["block_size"] for row in points]
        axes.set_title(f"scales in {scale}\nblocks of {max(sizes)} to {min(sizes)}")
        axes.label_outer()
    figure.axes[0].set_ylabel("SQNR of Gaussian weights (dB)")
    figure.axes[0].xaxis.set_major_locator(MultipleLocator(1))
    figure.supxlabel(
        "bits per weight, scales included; along a curve from large blocks to small ones",
        fontsize=8,
    )
    _key(figure)
    return figure


def _panel(axes: Axes, rows: Rows) -> None:
    groups: dict[int, dict[str, tuple[float, float]]] = {}  # where the curves of a width end
    colours = {}
    for name, curve in grouped(rows, "format"):
        look = style.FAMILIES[curve[0]["family"]]
        x, y = [row["bits_per_weight"] for row in curve], [row["sqnr_db"] for row in curve]
        axes.plot(x, y, look.marker, linestyle="-", color=look.colour, linewidth=0.5, markersize=2)
        colours[style.title(name)] = look.colour
        groups.setdefault(int(x[-1]), {})[style.title(name)] = (x[0], y[0])
    for ends in groups.values():
        style.label_ends(axes, ends, colours, gap=0.9)
    axes.set_xlim(right=max(groups) + 1)


def _key(figure: Figure) -> None:
    handles = [Line2D([], [], color=style.PALE, linewidth=2.5, label="best of all panels")]
    handles += [
        Line2D(
            [], [], linewidth=0.5, markersize=3, color=look.colour, marker=look.marker, label=name
        )
        for name, look in style.FAMILIES.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))

"""Error against the bits that a weight takes, its share of the scale included.

Formats and block sizes under absmax scaling, on Gaussian weights, where scales take half a bit or
less; the steps go over those that no other beats in both.
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MultipleLocator

from analysis.formats.format_comparison import compare_formats, pareto_front
from minifloat.formats.names import parse
from paper_figures import style
from paper_figures.rows import Progress, Rows, grouped

FORMATS = (
    "int4", "e2m1", "e3m0", "nf4", "af4", "sf4", "int5", "e2m2", "e3m1", "nf5", "int6", "e2m3",
    "e3m2",
)  # fmt: skip
DISTRIBUTION = "normal"
SCALES = ("float16", "e4m3fn", "e8m0:nearest")
BLOCK_SIZES = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
MOST = 0.5  # bits per weight that a scale may take


def data(progress: Progress) -> Rows:
    """Return the loss and the size of each format, scale and block size."""
    found = []
    for done, scale in enumerate(SCALES, 1):
        for name in FORMATS:
            losses = compare_formats([name], [DISTRIBUTION], BLOCK_SIZES, [scale])
            most = parse(name).bits + MOST
            found += [(name, loss) for loss in losses if loss.bits_per_weight <= most]
        progress(done, len(SCALES))
    front = set(pareto_front(loss for _, loss in found))
    return [
        {
            "format": name,
            "family": style.family(name),
            "scale": loss.scale,
            "block_size": int(loss.block_size),
            "bits_per_weight": loss.bits_per_weight,
            "sqnr_db": loss.sqnr_db,
            "on_front": int(loss in front),
        }
        for name, loss in found
    ]


def draw(rows: Rows) -> Figure:
    """Draw a panel for each kind of scale, with a curve for each format, and the front."""
    panels = list(grouped(rows, "scale"))
    figure = style.new_figure(style.PAGE, 3.4)
    front = sorted(
        (row for row in rows if row["on_front"]), key=lambda row: float(row["bits_per_weight"])
    )
    for place, (scale, some) in enumerate(panels):
        axes = figure.add_subplot(
            1, len(panels), place + 1, sharex=figure.axes[0] if place else None,
            sharey=figure.axes[0] if place else None,
        )  # fmt: skip
        _panel(axes, some)
        axes.plot(
            [row["bits_per_weight"] for row in front],
            [row["sqnr_db"] for row in front],
            color="black",
            drawstyle="steps-post",
            linewidth=0.9,
            zorder=1,
        )
        axes.set_title(f"scales in {scale}")
        axes.label_outer()
    sizes = [row["block_size"] for row in rows]
    figure.axes[0].set_ylabel("SQNR of Gaussian weights (dB)")
    figure.axes[0].xaxis.set_major_locator(MultipleLocator(1))
    figure.supxlabel(
        f"bits per weight, scales included; along a curve blocks of {max(sizes)} to {min(sizes)}",
        fontsize=8,
    )
    _key(figure)
    return figure


def _panel(axes: Axes, rows: Rows) -> None:
    groups: dict[int, dict[str, tuple[float, float]]] = {}  # where the curves of a width end
    colours = {}
    for name, some in grouped(rows, "format"):
        look = style.FAMILIES[some[0]["family"]]
        x, y = [row["bits_per_weight"] for row in some], [row["sqnr_db"] for row in some]
        axes.plot(x, y, look.marker, linestyle="-", color=look.colour, linewidth=0.5, markersize=2)
        colours[style.title(name)] = look.colour
        groups.setdefault(int(x[-1]), {})[style.title(name)] = (x[0], y[0])
    for ends in groups.values():
        style.label_ends(axes, ends, colours, gap=0.9)
    axes.set_xlim(right=max(groups) + 1)


def _key(figure: Figure) -> None:
    handles = [Line2D([], [], color="black", linewidth=0.9, label="best of all panels")]
    handles += [
        Line2D(
            [], [], linewidth=0.5, markersize=3, color=look.colour, marker=look.marker, label=name
        )
        for name, look in style.FAMILIES.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))

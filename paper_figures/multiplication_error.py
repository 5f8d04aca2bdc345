"""What other ways to multiply lose: relative errors, positive dot products, races at equal bits."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.numerics.gaussian_products import (
    RACES,
    Multiplier,
    dot_error,
    gaussian_error,
    measured_error,
)
from analysis.numerics.multiplication import (
    METHODS,
    PUBLISHED,
    relative_error,
    significand_error,
)
from paper_figures import style
from paper_figures.rows import Progress, Row, Rows, grouped
from paper_figures.style import BLUE, GREEN, GREY, ORANGE, VERMILLION, Look

MANTISSA_BITS = range(1, 8)
POSITIVE = ("l-mul addition:e4m3fn", "mitchell:e4m3fn", "l-mul formula:e4m3fn", "exact:e4m3fn")
LENGTHS = [2**k for k in range(13)]
LENGTH = 256  # of the dot products that are drawn

LOOKS = {
    "exact": Look(BLUE, "o", "-"),
    "l-mul formula": Look(VERMILLION, "s", (0, (4, 1.5))),
    "l-mul addition": Look(ORANGE, "v", (0, (6, 1.5, 1, 1.5))),
    "mitchell": Look(GREEN, "^", (0, (1, 1))),
}
NAMES = {
    "exact": "exact", "l-mul formula": "L-Mul, formula", "l-mul addition": "L-Mul, addition",
    "mitchell": "Mitchell",
}  # fmt: skip


def data(progress: Progress) -> Rows:
    """Return relative errors by mantissa bits, and errors of Gaussian products and sums."""
    rows = [
        _row("relative", method, m, relative_error(method, f"e3m{m}none", normal=True).mean_abs)
        for method in list(METHODS)[1:]
        for m in MANTISSA_BITS
    ]
    rows += [_row("rounding", "exact", m, significand_error("exact", m)) for m in MANTISSA_BITS]
    rows += [_row("published", f"l-mul formula:{name}", int(name[-1]), mean)
             for name, (mean, _) in PUBLISHED.items()]  # fmt: skip
    rows += [
        _row("positive", text, length, dot_error(text, length, positive=True))
        for text in POSITIVE
        for length in LENGTHS
    ]
    count = sum(map(len, RACES.values()))
    for bits, race in RACES.items():
        for text in race:
            error, drawn = gaussian_error(text), measured_error(text, LENGTH)
            rows.append(
                _row("race", text, bits, error.rms)
                | {"with_factor": error.rms_with_factor, "factor": error.factor}
                | {"drawn": drawn.mean, "drawn_error": drawn.standard_error}
            )
            progress(sum(row["kind"] == "race" for row in rows), count)
    return rows


def _row(kind: str, multiplier: str, x: int, error: float) -> Row:
    drawn = {"with_factor": None, "factor": None, "drawn": None, "drawn_error": None}
    return {"kind": kind, "multiplier": multiplier, "x": x, "error": error, **drawn}


def draw(rows: Rows) -> Figure:
    """Draw lines on the left, and a row of dots for each multiplier on the right."""
    kinds = {kind: list(part) for kind, part in grouped(rows, "kind")}
    figure = style.new_figure(style.PAGE, 5.4)
    grid = figure.add_gridspec(2, 2, width_ratios=(1, 1.25))
    _relative(figure.add_subplot(grid[0, 0]), kinds)
    _positive(figure.add_subplot(grid[1, 0]), kinds["positive"])
    _races(figure.add_subplot(grid[:, 1]), kinds["race"])
    return figure


def _relative(axes: Axes, kinds: dict[str, Rows]) -> None:
    for method, curve in grouped(kinds["relative"], "multiplier"):
        _line(axes, curve, LOOKS[method], NAMES[method])
    rounding = kinds["rounding"]
    axes.plot(*_points(rounding), color=GREY, linewidth=0.8, label="rounding of real operands")
    axes.plot(*_points(kinds["published"]), "x", color="black", label="published, formula")
    axes.set_yscale("log")
    axes.set_xticks(list(MANTISSA_BITS))
    ticks = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4]
    axes.set_yticks(ticks, [f"{100 * tick:g}%" for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(0.0015, 1.2)
    axes.set(xlabel="mantissa bits", ylabel="mean relative error")
    axes.legend(loc="upper right", borderpad=0)


def _positive(axes: Axes, rows: Rows) -> None:
    for text, curve in grouped(rows, "multiplier"):
        method = Multiplier.of(text).method
        _line(axes, curve, LOOKS[method], NAMES[method], 2)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks([1, 8, 64, 512, 4096], ["1", "8", "64", "512", "4096"])
    ticks = [0.002, 0.005, 0.01, 0.02, 0.05]
    axes.set_yticks(ticks, [f"{100 * tick:g}%" for tick in ticks])
    axes.minorticks_off()
    axes.set(xlabel="length of dot products of positive data, E4M3", ylabel="relative rms error")
    axes.set_ylim(0.0013, 0.2)
    axes.legend(loc="upper right", ncols=2, columnspacing=1.0)


def _races(axes: Axes, rows: Rows) -> None:
    labels, place = [], 0.0
    for bits, race in grouped(rows, "x"):
        axes.text(0.0105, place, f"{bits} bits", weight="bold", va="center")
        labels.append((place, ""))
        for row in race:
            place += 1
            m = Multiplier.of(row["multiplier"])
            look = LOOKS[m.method]
            axes.plot(
                [row["error"], row["with_factor"]], [place] * 2, color=look.colour, linewidth=0.8
            )
            axes.plot(row["error"], place, look.marker, color=look.colour)
            axes.plot(
                row["with_factor"], place, look.marker, color=look.colour, markerfacecolor="white"
            )
            axes.errorbar(
                row["drawn"], place + 0.32, xerr=2 * row["drawn_error"], color="black",
                linewidth=0.6, capsize=1.2, capthick=0.6,
            )  # fmt: skip
            labels.append((place, _label(m)))
        place += 1.6
    axes.set_yticks(*zip(*labels, strict=True))
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_xscale("log")
    ticks = [0.01, 0.02, 0.05, 0.1, 0.2, 0.4]
    axes.set_xticks(ticks, [f"{100 * tick:g}%" for tick in ticks])
    axes.minorticks_off()
    axes.grid(axis="x")
    axes.set(
        xlabel="relative rms error of Gaussian products\n(open: times the best constant;\n"
        "bars: draws, two standard errors to each side)"
    )


def _label(m: Multiplier) -> str:
    left, right = style.title(m.left.removesuffix("ieee")), style.title(m.right)
    if m.method != "exact":
        return f"{NAMES[m.method]}, {left}"
    return left if m.left == m.right else f"{left} × {right}"


def _line(axes: Axes, rows: Rows, look: Look, name: str, every: int = 1) -> None:
    axes.plot(
        *_points(rows), color=look.colour, linestyle=look.line, marker=look.marker,
        markevery=every, label=name,
    )  # fmt: skip


def _points(rows: Rows) -> tuple[list[float], list[float]]:
    return [row["x"] for row in rows], [row["error"] for row in rows]

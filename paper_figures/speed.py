"""How fast codes and weights are converted, beside other libraries, as ratios to copying memory.

The cases are those of ``python -m tests.benchmarks``, on one thread, measured when the figure is
made: only these numbers differ from run to run. ``--redraw`` draws the same ones again.
"""

from __future__ import annotations

import statistics
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paper_figures import style
from paper_figures.rows import NotAvailable, Progress, Rows, grouped


class Line(NamedTuple):
    """One line of the figure: a task, a library, and the name of the benchmark's case."""

    task: str
    library: str
    case: str
    format: str


LINES = (
    Line("encode float32", "minifloat", "encode", "e2m2"),
    Line("encode float32", "minifloat", "encode", "e4m3fn"),
    Line("encode float32", "ml_dtypes", "ml_dtypes encode", "e4m3fn"),
    Line("encode float32", "gfloat (round)", "gfloat round", "e4m3fn"),
    Line("decode to float32", "minifloat", "decode float32", "e2m2"),
    Line("decode to float32", "minifloat", "decode float32", "e4m3fn"),
    Line("decode to float32", "numpy.take", "numpy.take decode float32", "e4m3fn"),
    Line("decode to float32", "ml_dtypes", "ml_dtypes decode float32", "e4m3fn"),
    Line("decode to float16", "minifloat", "decode float16", "e2m2"),
    Line("decode to float16", "minifloat", "decode float16", "e4m3fn"),
    Line("decode to float16", "numpy.take", "numpy.take decode float16", "e4m3fn"),
    Line("quantize to packed bytes", "minifloat", "quantize, blocks of 128", "e2m2"),
    Line("quantize to packed bytes", "minifloat", "quantize, blocks of 64", "nf4"),
    Line("dequantize to float32", "minifloat", "dequantize e2m2/128/float16", "e2m2"),
    Line("dequantize to float32", "minifloat", "dequantize nf4/64/float32", "nf4"),
)
SIZE = 1 << 24  # elements
REPEATS, TURNS = 7, 3  # a repeat is the median of so many turns with the copy


def data(progress: Progress) -> Rows:
    """Time each case several times, in turns with a copy of the same float32 array."""
    try:
        from tests.benchmarks.__main__ import measure, one_core
        from tests.benchmarks.cases import CASES, Inputs
    except ModuleNotFoundError as error:
        raise NotAvailable(
            f"timings need {error.name}: pip install -e '.[test]', and run in the checkout"
        ) from None
    cases = {(case.task, case.fmt): case for case in CASES}
    inputs = Inputs(SIZE)
    rows: Rows = []
    with one_core():
        for line in LINES:
            for repeat in range(REPEATS):
                case = cases[line.case, line.format]
                measured = measure(case, inputs, turns=TURNS, seconds=2e-3)
                rows.append(
                    {
                        "task": line.task,
                        "library": line.library,
                        "format": line.format,
                        "elements": SIZE,
                        "repeat": repeat,
                        "ratio": float(measured.ratio),
                        "ns_per_element": float(measured.ns_per_element),
                    }
                )
                progress(len(rows), len(LINES) * REPEATS)
    return rows


def draw(rows: Rows) -> Figure:
    """Draw a mark for each case, and a bar from quartile to quartile."""
    tasks = list(grouped(rows, "task"))
    counts = [len({(row["library"], row["format"]) for row in timings}) for _, timings in tasks]
    figure = style.new_figure(style.COLUMN, 0.8 + 0.2 * sum(counts) + 0.2 * len(tasks))
    panels = figure.subplots(
        len(tasks), 1, sharex=True, squeeze=False, height_ratios=[count + 0.4 for count in counts]
    )[:, 0]
    for axes, (task, timings) in zip(panels, tasks, strict=True):
        _panel(axes, timings)
        axes.set_title(task)
    first = rows[0]
    repeats = 1 + max(row["repeat"] for row in rows)
    power = first["elements"].bit_length() - 1
    ratios = [row["ratio"] for row in rows]
    panels[-1].set_xlim(0.7 * min(ratios), 1.4 * max(1, *ratios))
    figure.supxlabel(
        f"elements per second / those of copying float32\n"
        f"(2$^{{{power}}}$ Gaussians, one thread, {repeats} runs)",
        fontsize=8,
    )
    return figure


def _panel(axes: Axes, rows: Rows) -> None:
    lines: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        lines.setdefault((row["library"], row["format"]), []).append(row["ratio"])
    for place, ((library, _), ratios) in enumerate(lines.items()):
        ours = library == "minifloat"
        colour = style.BLUE if ours else style.VERMILLION
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        axes.plot([low, high], [place, place], color=colour)
        axes.plot(middle, place, "o" if ours else "s", color=colour)
        axes.text(1.01, place, f"{middle:#.2g}", transform=axes.get_yaxis_transform(), va="center")
    axes.axvline(1, color="black", linewidth=0.6, linestyle=(0, (3, 2)), zorder=0)
    names = [f"{library} {style.title(fmt)}" for library, fmt in lines]
    axes.set_yticks(range(len(lines)), names)
    axes.set(xscale="log", ylim=(len(lines) - 0.5, -0.5))
    axes.set_xticks([0.01, 0.1, 1], ["0.01", "0.1", "1"])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y")
    axes.set_axisbelow(True)

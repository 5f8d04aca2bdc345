"""Instructions of a GPU to convert a weight to float16: the model's count and the machine's.

The bars are the instructions of the cheapest known program, by kind. The marks are the machine
instructions of NVIDIA's compiler; without it (extra ``cuda``) there are none.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis.gpu.conversion_costs import ConversionCost, conversion_costs
from analysis.gpu.cuda_toolkit import compile_cubin
from minifloat.registers import KINDS
from paper_figures import style
from paper_figures.rows import Progress, Rows

FORMATS = ("e2m1", "int4", "nf4", "e2m2", "e3m1", "int5", "nf5", "e2m3", "int6", "e4m3fn")
ARCHITECTURES = ("sm_90",)
PARTS = (  # how the power of two of an ExMy is applied, and its name in the figure
    ("folded", "ExMy without their power of two, left to the scale"),
    ("whole", "all values finished"),
)
FILLS = {  # by kind: colour and hatch
    "logic": (style.BLUE, ""),
    "shift": (style.SKY, ""),
    "permute": (style.GREEN, "...."),
    "half": (style.YELLOW, ""),
    "load": (style.VERMILLION, "xxxx"),
}


def data(progress: Progress) -> Rows:
    """Return the instructions per weight of each format's cheapest known program."""
    architectures = ARCHITECTURES if _can_compile() else ()
    rows: Rows = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        searched = pool.map(lambda name: conversion_costs([name], architectures), FORMATS)
        for done, (cost,) in enumerate(searched, 1):
            rows += _rows(cost)
            progress(done, len(FORMATS))
    return rows


def _can_compile() -> bool:
    """Return whether NVIDIA's compiler and its host compiler are installed."""
    try:
        compile_cubin("__global__ void nothing() {}", ARCHITECTURES[0])
    except RuntimeError:
        return False
    return True


def _rows(cost: ConversionCost) -> Rows:
    """Return a row for each way to apply the power of two that has a program."""
    rows: Rows = []
    for part, program, counted in (
        ("folded", cost.row.folded, cost.folded),
        ("whole", cost.row.whole, cost.whole),
    ):
        if program is not None:
            count = program.cost
            kinds = {kind: getattr(count, kind) / count.weights for kind in KINDS}
            machine = {
                arch: counted[arch].per_code if arch in counted else None for arch in ARCHITECTURES
            }
            facts = {"format": cost.row.fmt.name, "part": part, "codes": count.weights}
            rows.append({**facts, **kinds, **machine})
    return rows


def draw(rows: Rows) -> Figure:
    """Draw a bar for each format, in a panel for each way to apply the power of two."""
    figure = style.new_figure(style.PAGE, 2.9)
    panels = figure.subplots(1, len(PARTS), sharey=True, sharex=True)
    for axes, (part, name) in zip(panels, PARTS, strict=True):
        bars = [row for row in rows if row["part"] == part]
        for place, row in enumerate(bars):
            left = 0.0
            for kind in KINDS:
                colour, hatch = FILLS[kind]
                axes.barh(
                    place, row[kind], 0.7, left, color=colour, hatch=hatch, edgecolor="white",
                    linewidth=0.5,
                )  # fmt: skip
                left += row[kind]
            axes.annotate(
                f"{left:.2f}", (left, place), (6, 0), textcoords="offset points", va="center"
            )
            for machine in (row[arch] for arch in ARCHITECTURES if row[arch] is not None):
                axes.plot(machine, place, "D", markersize=4, color="black", markerfacecolor="white")
        axes.set_yticks(range(len(bars)), [style.title(row["format"]) for row in bars])
        axes.tick_params(axis="y", length=0)
        axes.set_title(name)
    panels[0].invert_yaxis()
    panels[0].set_xlim(0, 1.15 * max(sum(row[kind] for kind in KINDS) for row in rows))
    figure.supxlabel("instructions per weight (issue slots)", fontsize=8)
    counted = any(row[arch] is not None for row in rows for arch in ARCHITECTURES)
    _key(figure, rows, counted=counted)
    return figure


def _key(figure: Figure, rows: Rows, *, counted: bool) -> None:
    handles: list[Artist] = [
        Patch(facecolor=FILLS[kind][0], hatch=FILLS[kind][1], edgecolor="white", label=kind)
        for kind in KINDS
        if any(row[kind] for row in rows)
    ]
    if counted:
        label = f"machine code ({', '.join(ARCHITECTURES)})"
        handles.append(
            Line2D(
                [], [], linewidth=0, marker="D", color="black", markerfacecolor="white", label=label
            )
        )
        title = None
    else:
        title = "the model's count alone: machine code needs the extra cuda"
    figure.legend(
        handles=handles, loc="outside upper center", ncols=len(handles), title=title,
        title_fontsize=style.SMALL,
    )  # fmt: skip

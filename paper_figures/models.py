"""Whole models: how much worse each recipe of weights makes them, lower is better.

From the records of `analysis.claims`. A bar is the interval of 95 % of `analysis.claims.figures`,
of the larger of the errors over items and over groupings of the input channels.
"""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis.claims import embeddings, speech, text
from analysis.claims.figures import figure as figure_of
from analysis.claims.recipes import recipe, title
from analysis.models.evaluation import REFERENCE
from paper_figures import style
from paper_figures.rows import NotAvailable, Progress, Rows, grouped
from paper_figures.studies import saved
from paper_figures.style import Look

NAMES = (
    "int8/128/float16", "e4m3fn/128/float16", "e2m3/128/float16", "int6/128/float16",
    "e2m2/128/float16", "int5/128/float16", "uint5/128/float16/zero-point", "nf5/128/float16",
    "fpe2m2", "e2m1/128/float16", "int4/128/float16", "nf4/128/float16", "mxfp4", "nvfp4",
)  # fmt: skip
SHORT_NAMES = {  # of records that have recipes as text
    "e2m1/32/e8m0": "mxfp4",
    "e2m1/16/e4m3fn/tensor-scale": "nvfp4",
    "e2m2b0/channel/bfloat16": "fpe2m2",
}  # fmt: skip


@dataclass(frozen=True)
class Panel:
    """A model, one of its metrics, and the most that it may change in a nearly lossless model."""

    study: str
    model: str
    metric: str
    called: str
    limit: float | None = None


PANELS = (
    Panel("text", "SmolLM2: text", text.NATS, "nats per token", text.LIMITS[text.NATS]),
    Panel("text", "SmolLM2: text", text.DIVERGENCE, "divergence in nats"),
    Panel("embeddings", "MiniLM: embeddings", embeddings.CHANGES, "changed neighbours",
          embeddings.LIMITS[embeddings.CHANGES]),
    Panel("embeddings", "MiniLM: embeddings", embeddings.TURNED, "1 − cosine"),
    Panel("speech", "Whisper: speech", speech.NATS, "nats per token", speech.LIMITS[speech.NATS]),
    Panel("speech", "Whisper: speech", speech.DIVERGENCE, "divergence in nats"),
    Panel("images", "EfficientNet: images", "share of first classes that change",
          "changed classes", 0.01),
    Panel("images", "EfficientNet: images", "divergence from fp32 in nats", "divergence in nats",
          0.01),
)  # fmt: skip
LOOKS = {
    8: Look(style.GREY, "D", ""),
    6: Look(style.GREEN, "^", ""),
    5: Look(style.BLUE, "o", ""),
    4: Look(style.VERMILLION, "s", ""),
}
LINEAR = 0.01  # up to here the axis is linear, then logarithmic
TICKS = (-0.1, 0.0, 0.01, 0.1, 1.0)


def data(progress: Progress) -> Rows:
    """Return how much worse each recipe makes each model, by the metrics that have records.

    Parameters
    ----------
    progress : callable

    Returns
    -------
    list of dict

    Raises
    ------
    NotAvailable
        If no model has records.
    """
    found: Rows = []
    missing: list[NotAvailable] = []
    for done, panel in enumerate(PANELS, 1):
        try:
            records = saved(panel.study, "claims")
        except NotAvailable as error:
            missing.append(error)
            continue
        records = [
            row | {"recipe": SHORT_NAMES.get(row["recipe"], row["recipe"])} for row in records
        ]
        have = {row["recipe"] for row in records}
        for name in NAMES:
            if name in have:
                worse = figure_of(records, panel.metric, name, REFERENCE)
                found.append(
                    {
                        "model": panel.model,
                        "metric": panel.called,
                        "recipe": name,
                        "bits": recipe(name).fmt.bits,
                        "groupings": len(worse.draws),
                        "over_items": worse.over_items,
                        "over_groupings": worse.over_draws,
                        "worse_by": worse.mean,
                        "half": worse.half,
                        "limit": panel.limit,
                    }
                )
        progress(done, len(PANELS))
    if not found:
        raise missing[0]
    return found


def draw(rows: Rows) -> Figure:
    """Draw a panel for each model and metric, two to a row, with the recipes that it has."""
    models = [list(group) for _, group in grouped(rows, "model")]
    counts = [len({row["recipe"] for row in group}) for group in models]
    figure = style.new_figure(style.COLUMN, sum(0.125 * count + 0.55 for count in counts) + 0.35)
    parts = figure.subfigures(len(models), 1, height_ratios=[c + 4 for c in counts], squeeze=False)
    for part, group in zip(parts[:, 0], models, strict=True):
        panels = list(grouped(group, "metric"))
        for place, (axes, (_, panel)) in enumerate(
            zip(part.subplots(1, len(panels), squeeze=False)[0], panels, strict=True)
        ):
            _panel(axes, panel, labelled=place == 0)
        part.suptitle(group[0]["model"], x=0.02, ha="left", fontsize=8)
    figure.supxlabel(
        "worse than fp32 by: lower is better; bars: intervals of 95 %\n"
        "8 bits grey, 6 green, 5 blue, 4 red; dotted: nearly lossless",
        fontsize=style.SMALL,
    )
    return figure


def _panel(axes: Axes, rows: Rows, *, labelled: bool) -> None:
    for place, row in enumerate(rows):
        axes.errorbar(
            row["worse_by"], place, xerr=row["half"], fmt=LOOKS[row["bits"]].marker, markersize=3,
            color=LOOKS[row["bits"]].colour, linewidth=0.8, capsize=1.5, capthick=0.6,
        )  # fmt: skip
        if place and rows[place - 1]["bits"] != row["bits"]:
            axes.axhline(place - 0.5, color=style.PALE, linewidth=0.6)
    axes.set_xscale("symlog", linthresh=LINEAR, linscale=0.6)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    least = min(row["worse_by"] - row["half"] for row in rows)
    most = max(row["worse_by"] + row["half"] for row in rows)
    axes.set_xlim(min(1.3 * least, -0.002), max(1.5 * most, 0.015))
    left_out = -0.1 if least > -0.05 else 0.01  # so that labels do not touch
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in TICKS if tick != left_out]))
    if rows[0]["limit"] is not None:
        axes.axvline(rows[0]["limit"], color="black", linewidth=0.6, linestyle=":")
    axes.axvline(0, color="black", linewidth=0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [title(row["recipe"]) if labelled else "" for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_title(rows[0]["metric"], fontsize=style.SMALL)

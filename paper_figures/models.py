"""Whole models: quality against the bits of their quantized weights, with standard errors.

Nothing is measured here: ``python -m analysis.models --json FILE`` does that, which takes long, and
``--models FILE`` names what it wrote.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MultipleLocator, NullLocator

from paper_figures import style
from paper_figures.rows import NotAvailable, Progress, Rows

REFERENCE = "fp32"
STEP = 0.18  # bits between points that would lie on each other


def data(progress: Progress, file: Path | None = None) -> Rows:
    """Return how much worse than in float32 each model is in each format.

    Parameters
    ----------
    progress : callable
    file : path, optional
        What ``python -m analysis.models --json FILE`` wrote.

    Returns
    -------
    list of dict
        Differences are paired: each item (a text, an image) is compared with itself, and the
        standard error is that of the mean of the differences.

    Raises
    ------
    NotAvailable
        If there is no file, or it does not hold results.
    """
    if file is None:
        raise NotAvailable(
            "measure the models by `python -m analysis.models --json models.json`, which takes "
            "long, and give --models models.json"
        )
    try:
        results = json.loads(file.read_text(encoding="utf-8"))["results"]
        rows = list(_rows(results))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotAvailable(
            f"{file} must be what `python -m analysis.models --json` writes, got "
            f"{type(error).__name__}: {error}"
        ) from None
    if not rows:
        raise NotAvailable(f"{file} must hold results in {REFERENCE} and in another format")
    progress(1, 1)
    return rows


def _rows(results: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    references = {_items(result): result for result in results if result["format"] == REFERENCE}
    for result in sorted(results, key=lambda result: list(references).index(_items(result))):
        reference = references[_items(result)]
        if result is reference:
            continue
        differences = np.subtract(result["items"], reference["items"], dtype=float)
        if differences.size < 2:
            raise ValueError(f"items must be at least two for an error, got {differences.size}")
        if not np.isfinite(differences).all():
            raise ValueError(f"items must be finite, got those of {result['format']}")
        yield {
            "model": str(result["model"]),
            "data": str(result["data"]),
            "metric": str(result["metric"]),
            "format": str(result["format"]),
            "bits_per_weight": float(result["bits_per_weight"]),
            "items": differences.size,
            "reference": math.fsum(reference["items"]) / differences.size,
            "worse_by": float(differences.mean()),
            "standard_error": float(differences.std(ddof=1) / math.sqrt(differences.size)),
        }


def _items(result: dict[str, Any]) -> tuple[str, str, str]:
    """Return what results must share to be compared."""
    return str(result["model"]), str(result["data"]), str(result["metric"])


def draw(rows: Rows) -> Figure:
    """Draw a panel for each model and measure of quality."""
    panels = [
        sorted(some, key=lambda row: (row["bits_per_weight"], -row["worse_by"]))
        for _, some in groupby(rows, key=_items)
    ]
    across = min(len(panels), 3)
    down = math.ceil(len(panels) / across)
    figure = style.new_figure(style.PAGE if across > 1 else style.COLUMN, 2.5 * down + 0.2)
    for place, some in enumerate(panels):
        _panel(figure.add_subplot(down, across, place + 1), some)
    figure.supxlabel(
        "bits per quantized weight, scales included (equal ones drawn side by side); bars are "
        "standard errors",
        fontsize=8,
    )
    return figure


def _panel(axes: Axes, rows: Rows) -> None:
    chosen = style.looks(row["format"] for row in rows)
    places = _places([row["bits_per_weight"] for row in rows])
    for row, x in zip(rows, places, strict=True):
        look = chosen[row["format"]]
        axes.errorbar(
            x, row["worse_by"], row["standard_error"], fmt=look.marker, color=look.colour,
            markersize=4, capsize=2, linewidth=0.8,
        )  # fmt: skip
    if all(row["worse_by"] > 0 for row in rows):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.axhline(0, color="black", linewidth=0.6)
    for row, x, share in zip(rows, places, _shares(axes, rows), strict=True):
        axes.text(
            x + 0.07, share, style.title(row["format"]), transform=axes.get_xaxis_transform(),
            va="center", color=chosen[row["format"]].colour,
        )  # fmt: skip
    axes.xaxis.set_major_locator(MultipleLocator(0.5))
    axes.set_xlim(min(places) - 0.15, max(places) + 0.5)
    first = rows[0]
    axes.set_title(f"{first['model']}\n{first['data']}, n = {first['items']}")
    reference = f", over {REFERENCE}'s {first['reference']:.3g}" if first["reference"] else ""
    axes.set_ylabel(first["metric"] + reference)


def _shares(axes: Axes, rows: Rows) -> list[float]:
    """Return where in the panel's height to write names: beside the points, but not too close."""
    axes.set_ylim(axes.get_ylim())  # errorbars do not move it any more
    heights = axes.yaxis.get_transform().transform(
        np.array([*axes.get_ylim(), *(row["worse_by"] for row in rows)])
    )
    shares = (heights[2:] - heights[0]) / (heights[1] - heights[0])
    return style.spread(shares.tolist(), 0.08)


def _places(bits: list[float]) -> list[float]:
    """Return where to draw points, such that those of the same bits do not hide each other."""
    return [
        size + STEP * (bits[:place].count(size) - (bits.count(size) - 1) / 2)
        for place, size in enumerate(bits)
    ]

"""Whole models: quality against the bits of their quantized weights, with standard errors.

The errors are over items of one quantized model; they do not cover the draw of the rounding errors.

The measurements come from ``python -m analysis.models --json FILE``, which takes long, by
``--models FILE``.
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
from matplotlib.ticker import LogLocator, NullLocator

from analysis.statistics import Estimate
from paper_figures import style
from paper_figures.rows import NotAvailable, Progress, Rows

REFERENCE = "fp32"
USUAL = "/128/float16"  # blocks and scales of the recipes that a figure calls by their format


def data(progress: Progress, file: Path | None = None) -> Rows:
    """Return how much worse than in float32 each model is in each format.

    Parameters
    ----------
    progress : callable
    file : path, optional
        The file of ``python -m analysis.models --json FILE``.

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
            f"{file} must be a file of `python -m analysis.models --json`, got "
            f"{type(error).__name__}: {error}"
        ) from None
    if not rows:
        raise NotAvailable(f"{file} must hold results in {REFERENCE} and in another format")
    progress(1, 1)
    return rows


def _rows(results: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    references = {_items(result): result for result in results if result["recipe"] == REFERENCE}
    for result in sorted(results, key=lambda result: list(references).index(_items(result))):
        reference = references[_items(result)]
        if result is reference:
            continue
        differences = np.subtract(result["items"], reference["items"], dtype=float)
        if differences.size < 2:
            raise ValueError(f"items must be at least two for an error, got {differences.size}")
        if not np.isfinite(differences).all():
            raise ValueError(f"items must be finite, got those of {result['recipe']}")
        worse = Estimate.of(differences)
        yield {
            "model": str(result["model"]),
            "data": str(result["data"]),
            "metric": str(result["metric"]),
            "format": _name(result),
            "bits_per_weight": float(result["bits_per_weight"]),
            "items": differences.size,
            "reference": math.fsum(reference["items"]) / differences.size,
            "worse_by": worse.mean,
            "standard_error": worse.standard_error,
        }


def _name(result: dict[str, Any]) -> str:
    """Return a result's format, of the usual recipe, or its recipe, and how it was rounded."""
    name = str(result["recipe"]).removesuffix(USUAL)
    return f"{name} + {result['method']}" if result["method"] else name


def _items(result: dict[str, Any]) -> tuple[str, str, str]:
    """Return the key that results must share to be compared."""
    return str(result["model"]), str(result["data"]), str(result["metric"])


def draw(rows: Rows) -> Figure:
    """Draw a panel for each model and measure of quality, with a line for each format."""
    panels = [list(panel) for _, panel in groupby(rows, key=_items)]
    names = _formats(rows)
    across = min(len(panels), 3)
    down = math.ceil(len(panels) / across)
    height = down * (0.85 + 0.17 * len(names)) + 0.2
    figure = style.new_figure(style.PAGE if across > 1 else style.COLUMN, height)
    for place, panel in enumerate(panels):
        axes = figure.add_subplot(down, across, place + 1)
        _panel(axes, panel, names)
        labels = [_label(name, rows) for name in names] if place % across == 0 else []
        axes.set_yticks(range(len(names)), labels or [""] * len(names))
    figure.supxlabel(
        "worse than fp32 by; left is better (mean and standard error over n items, one rounding)\n"
        "beside a format its bits per weight; compare formats of equal bits",
        fontsize=8,
    )
    return figure


def _formats(rows: Rows) -> list[str]:
    """Return all formats, from many bits to few, each before its variants."""
    names = list(dict.fromkeys(row["format"] for row in rows))
    bits = {row["format"]: round(row["bits_per_weight"]) for row in rows}
    return sorted(names, key=lambda name: (-bits[name], names.index(_base(name, names)), name))


def _base(name: str, names: list[str]) -> str:
    """Return the format of a variant such as "e2m2 + GPTQ", if it is there too."""
    base = name.partition(" ")[0]
    return base if base in names else name


def _label(name: str, rows: Rows) -> str:
    """Return a format's name and bits per weight, which models with other parts may differ in."""
    bits = {f"{row['bits_per_weight']:.1f}" for row in rows if row["format"] == name}
    return f"{style.title(name)}  {'–'.join(sorted({min(bits, key=float), max(bits, key=float)}))}"


def _panel(axes: Axes, rows: Rows, names: list[str]) -> None:
    chosen = style.looks(_base(name, names) for name in names)
    for row in rows:
        base = _base(row["format"], names)
        look = chosen[base]
        axes.errorbar(
            row["worse_by"], names.index(row["format"]), xerr=row["standard_error"],
            fmt=look.marker, color=look.colour, markersize=4, capsize=2, linewidth=0.8,
            markerfacecolor=look.colour if row["format"] == base else "white",
        )  # fmt: skip
    if all(row["worse_by"] > 0 for row in rows):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.axvline(0, color="black", linewidth=0.6)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    first = rows[0]
    axes.set_title(f"{first['model']}\n{first['data']}, n = {first['items']}")
    reference = f" (fp32: {first['reference']:.3g})" if first["reference"] else ""
    axes.set_xlabel(first["metric"] + reference, fontsize=style.SMALL)

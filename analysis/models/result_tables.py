"""Results as tables, and as records for JSON, with how much worse they are than others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import groupby
from typing import Any

from analysis.models.evaluation import REFERENCE, Result, difference
from analysis.statistics import Estimate
from minifloat.cli.terminal import Table
from minifloat.quantization.recipes import Recipe

COMPARED = ("fp32", "int")  # what a result is compared with; "int" is that of `_integer`


def _groups(results: Sequence[Result]) -> list[list[Result]]:
    """Return results of the same items together, in their first order."""

    def items(result: Result) -> tuple[str, str, str]:
        return result.model, result.data, result.metric

    order = list(dict.fromkeys(map(items, results)))
    ordered = sorted(results, key=lambda result: order.index(items(result)))
    return [list(group) for _, group in groupby(ordered, items)]


def _integer(result: Result) -> str:
    """Return the label of the symmetric integer of the same width, blocks, scales and method.

    Formats of different widths are not compared. It is "" for fp32, a codebook without a name, and
    widths that integers do not have.
    """
    try:
        recipe = Recipe.parse(result.recipe)
        rival = recipe.replace(fmt=f"int{recipe.fmt.bits}", zero_point=False)
    except ValueError:
        return ""
    return replace(result, recipe=str(rival)).label


def _over(result: Result, group: Sequence[Result]) -> dict[str, Estimate | None]:
    """Return by how much a result is worse than each of `COMPARED`; None if there is none."""
    by_label = {other.label: other for other in group}
    references = (by_label.get(label) for label in (REFERENCE, _integer(result)))
    return {
        name: difference(result, reference) if reference else None
        for name, reference in zip(COMPARED, references, strict=True)
    }


def records(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return results for JSON, with their values and how much worse they are than others.

    Parameters
    ----------
    results : sequence of Result

    Returns
    -------
    list of dict

    Raises
    ------
    ValueError
        As `difference`.
    """
    all_records = []
    for group in _groups(results):
        for result in group:
            record = asdict(result) | {"value": result.value}
            for name, over in _over(result, group).items():
                record[f"over_{name}"] = asdict(over) if over else None
            all_records.append(record)
    return all_records


def tables(results: Sequence[Result]) -> list[Table]:
    """Return the sections of the table, one for each model, data and metric.

    Parameters
    ----------
    results : sequence of Result

    Returns
    -------
    list of Table

    Raises
    ------
    ValueError
        As `difference`.
    """
    columns = (
        "recipe", "bits/weight", "MB", "peak MB", "value", *(f"over {name}" for name in COMPARED),
        "speed", "products", "note",
    )  # fmt: skip
    sections = []
    for group in _groups(results):
        first = group[0]
        title = f"{first.model} ({first.modality}), {first.data}: {first.metric}"
        rows = [
            (
                result.label,
                f"{result.bits_per_weight:.3f}",
                f"{result.nbytes / 1e6:.1f}",
                "" if result.peak_nbytes is None else f"{result.peak_nbytes / 1e6:.1f}",
                f"{result.value:.4g}",
                *map(show, _over(result, group).values()),
                f"{result.speed:.4g} {result.speed_unit}",
                "packed" if result.packed else "float32",
                result.note,
            )
            for result in group
        ]
        sections.append(Table(title, columns, ("recipe", "products", "note"), rows))
    return sections


def show(estimate: Estimate | None) -> str:
    """Return a mean and its standard error, to two digits of the error.

    Parameters
    ----------
    estimate : Estimate or None

    Returns
    -------
    str
        Empty for None, and for a result compared with itself.

    Examples
    --------
    >>> show(Estimate(-0.012345, 0.00067))
    '-0.01235 ± 0.00067'
    """
    if estimate is None or (estimate.mean, estimate.standard_error) == (0, 0):
        return ""
    digits = f"{estimate.standard_error:.1e}"  # 6.7e-04
    places = max(0, 1 - int(digits.partition("e")[2]))
    return f"{estimate.mean:+.{places}f} ± {estimate.standard_error:.{places}f}"

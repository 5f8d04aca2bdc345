"""Cost joined with error: what a format's circuit takes, and what it loses.

The error of a product is, to first order, the sum of the relative squared errors of its two
factors: rounding errors of independent data are almost uncorrelated. Each factor is rounded under
absmax scaling in blocks of 128 with float16 scales, so that formats of a width take as many bits a
weight (1/8 more than the width); formats with blocks of their own as they are defined.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

from analysis.errors.absmax_error import absmax_mse
from analysis.hardware import circuits
from analysis.hardware.circuits import BLOCK_FORMATS, ITSELF, Job, format_of
from analysis.records import Row
from minifloat.quantization.recipes import RECIPES

BLOCK_SIZE, SCALE = 128, "float16"
Measure = Literal["transistors", "lut6"]
MEASURES: dict[str, Measure] = {"cmos": "transistors", "xc7": "lut6"}  # of each target


@dataclass(frozen=True)
class Point:
    """A dot product with its cost and its error.

    Attributes
    ----------
    fmt, activations : str
        A format, or a recipe of `analysis.hardware.circuits.BLOCK_FORMATS`; "itself" or a format.
    bits : float
        A weight takes, scales included.
    cost : float
        Transistors or LUT6 sites of a lane, the register's share included.
    sqnr_db : float
        Of the products, in decibels.
    """

    fmt: str
    activations: str
    bits: float
    cost: float
    sqnr_db: float


def of_job(rows: Iterable[Row]) -> dict[Job, Row]:
    """Return records by what was counted."""
    return {Job(*(row[name] for name in Job._fields)): row for row in rows}


def points(
    rows: Sequence[Row], distribution: str, target: str = "cmos", *activations: str
) -> list[Point]:
    """Return the dot products that were counted, whole ones, by cost.

    Parameters
    ----------
    rows : sequence of dict
        From `analysis.hardware.counts`.
    distribution : str
        Of weights and activations, such as "normal".
    target : str
        "cmos" or "xc7".
    *activations : str
        "itself" or 8-bit formats; all of these are returned.

    Returns
    -------
    list of Point
    """
    found = []
    for job, row in of_job(rows).items():
        whole = job.unit in (circuits.DOT, circuits.BLOCK) and not job.cut
        if not whole or job.target != target or job.activations not in activations:
            continue
        bits, mse = error_of(job.fmt, distribution)
        other = mse if job.activations == ITSELF else error_of(job.activations, distribution)[1]
        cost = row[MEASURES[target]] / row["lanes"]
        decibels = -10 * math.log10(mse + other)
        found.append(Point(job.fmt, job.activations, bits, cost, decibels))
    return sorted(found, key=lambda point: (point.cost, -point.sqnr_db))


def front(candidates: Iterable[Point]) -> list[Point]:
    """Return the points that no other beats: none costs as little and has a larger SQNR.

    Examples
    --------
    >>> from analysis.hardware.tradeoff import Point, front
    >>> some = [Point("a", "itself", 4, 9.0, 20.0), Point("b", "itself", 4, 10.0, 19.0)]
    >>> [point.fmt for point in front(some)]
    ['a']
    """
    best: list[Point] = []
    for point in sorted(candidates, key=lambda point: (point.cost, -point.sqnr_db)):
        if not best or point.sqnr_db > best[-1].sqnr_db:
            best.append(point)
    return best


@cache
def error_of(fmt: str, distribution: str) -> tuple[float, float]:
    """Return the bits that a weight takes, and its exact relative squared error.

    Examples
    --------
    >>> from analysis.hardware.tradeoff import error_of
    >>> bits, mse = error_of("e2m2", "normal")
    >>> bits, round(mse, 6)
    (5.125, 0.002872)
    """
    if fmt in BLOCK_FORMATS:
        return RECIPES[fmt].bits_per_weight, absmax_mse(fmt, distribution)
    parsed = format_of(fmt)
    bits = parsed.bits + 16 / BLOCK_SIZE
    return bits, absmax_mse(parsed, distribution, BLOCK_SIZE, SCALE)


class Shares(NamedTuple):
    """Transistors of a lane by part, each the difference of two circuits.

    Attributes
    ----------
    decode : float
        Significand and exponent of both codes.
    multiply : float
        The product of the significands.
    align : float
        The sum of the exponents and the shift: what is left of the multiplier.
    tree : float
        The adders, and the gates that invert negative products.
    accumulate : float
        The register and what it adds to the tree.
    """

    decode: float
    multiply: float
    align: float
    tree: float
    accumulate: float


def shares(rows: Sequence[Row], fmt: str) -> Shares | None:
    """Return where the transistors of a format's lane go, or None where a record is missing.

    Parameters
    ----------
    rows : sequence of dict
    fmt : str
        Times itself. The product of significands of ExMy is counted as that of E1My, which has the
        same significands and no exponent. An integer's product is all multiplication.
    """
    taken = {job: float(row["transistors"]) for job, row in of_job(rows).items()}

    def of(unit: str, name: str = fmt) -> float:
        return taken[Job(name, ITSELF, unit, 0, "cmos")]

    try:
        product, lanes = of(circuits.MULTIPLIER), circuits.LANES
        tree, whole = of(circuits.SUM) / lanes, of(circuits.DOT) / lanes
        decode = 2 * of(circuits.DECODER)
        plain = _significands(fmt)
        multiply = product - decode if plain in (None, fmt) else of(circuits.MULTIPLIER, plain)
    except KeyError:
        return None
    return Shares(decode, multiply, product - decode - multiply, tree - product, whole - tree)


def _significands(fmt: str) -> str | None:
    """Return the format of a float's significands alone; None for what is no float."""
    mantissa = getattr(format_of(fmt), "mantissa_bits", None)
    return None if mantissa is None else f"e1m{mantissa}"

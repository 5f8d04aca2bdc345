"""Cost joined with error: dot products as points, and the front that no other beats.

The error of a product is that of `analysis.hardware.errors`. Activations that stay floats ("float")
take no dot product of a format: all formats share a unit of floats, and differ in the decoder that
makes a float16 of each weight. That decoder is then the cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from analysis.hardware.circuits import BLOCK, EXACT, TO_FLOAT, Job
from analysis.hardware.errors import bits_of, decibels, product_error
from analysis.records import Row

Measure = Literal["transistors", "lut6"]
MEASURES: dict[str, Measure] = {"cmos": "transistors", "xc7": "lut6"}  # of each target
INTEGERS = ("int8", "e1m6")  # activations: the same integers in two encodings


@dataclass(frozen=True)
class Point:
    """A dot product with its cost and its error.

    Attributes
    ----------
    fmt, activations : str
        A format, or a recipe of `analysis.hardware.circuits.BLOCK_FORMATS`; "itself", "float" or a
        format.
    bits : float
        A weight takes, scales included.
    cost : float
        Transistors or LUT6 sites of a lane, the register's share included; of a decoder where
        activations are floats.
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
    rows: Sequence[Row], source: str, target: str = "cmos", *activations: str
) -> list[Point]:
    """Return the circuits that were counted with exact accumulators, by cost.

    A format that was counted with several of the activations is the cheapest of them.

    Parameters
    ----------
    rows : sequence of dict
        From `analysis.hardware.counts`.
    source : str
        Of weights and activations: a law or a model of `analysis.hardware.errors`.
    target : str
        "cmos" or "xc7".
    *activations : str
        "itself", "float" or formats of 8 bits, such as `INTEGERS`, whose values are the same.

    Returns
    -------
    list of Point
    """
    found: dict[str, Point] = {}
    for job, row in of_job(rows).items():
        whole = job.accumulator == EXACT or job.unit in (BLOCK, TO_FLOAT)
        if not whole or job.target != target or job.activations not in activations:
            continue
        sqnr = decibels(product_error(job.fmt, job.activations, source))
        cost = row[MEASURES[target]] / row["lanes"]
        if job.fmt not in found or cost < found[job.fmt].cost:
            found[job.fmt] = Point(job.fmt, job.activations, bits_of(job.fmt), cost, sqnr)
    return sorted(found.values(), key=lambda point: (point.cost, -point.sqnr_db))


def front(candidates: Iterable[Point]) -> list[Point]:
    """Return the points that no other beats: none costs as little and has as large an SQNR.

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

"""Where the cost of a dot product goes: its parts, each the difference of two circuits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from analysis.hardware import circuits
from analysis.hardware.circuits import EXACT, ITSELF, LANES, Job, format_of
from analysis.hardware.tradeoff import of_job
from analysis.records import Row


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
        accumulator = EXACT if unit == circuits.DOT else None
        return taken[Job(name, ITSELF, unit, accumulator, "cmos")]

    try:
        product = of(circuits.MULTIPLIER)
        tree, whole = of(circuits.SUM) / LANES, of(circuits.DOT) / LANES
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

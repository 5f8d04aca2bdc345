"""Matrix units as numbers: what the explorer's model of their sums reads."""

from __future__ import annotations

from typing import Any

from minifloat.arithmetic import UNITS
from minifloat.arithmetic.accumulators import Accumulator
from minifloat.arithmetic.sum_formats import SumFormat
from minifloat.arithmetic.units import UNIT_SOURCES

OPTIONS = (
    "terms", "bits", "floor", "group", "lanes", "late", "drops", "limit", "flush", "order",
    "promote",
)  # fmt: skip


def units() -> dict[str, Any]:
    """Return the units by name."""
    found = {}
    for name, unit in UNITS.items():
        a = unit.accumulator
        usual = Accumulator(a.fmt)
        options = {
            each: getattr(a, each) for each in OPTIONS if getattr(a, each) != getattr(usual, each)
        }
        row: dict[str, Any] = {
            "inputs": [fmt.name for fmt in unit.inputs],
            "emin": unit.inputs[0].emin,
            "output": unit.output,
            "text": str(a),
            "source": UNIT_SOURCES[name],
            "sum": grid(a.fmt),
            "rounding": str(a.rounding),
            **options,
        }
        if a.product is not None:
            row["product"] = grid(a.product)
        if a.promote is not None:
            row["outer"] = grid(a.outer)
        if unit.scale is not None:
            row |= {"scale": unit.scale.name, "scaleBlock": unit.scale_block}
        found[name] = row
    return found


def grid(fmt: SumFormat) -> list[Any]:
    """Return a format of sums: name, mantissa bits, lowest exponent, largest value."""
    if not fmt.has_inf or fmt.is_fixed or fmt.least != -fmt.largest:
        raise ValueError(f"fmt must be a float format with infinities, got {fmt}")
    return [fmt.name, fmt.mantissa_bits, fmt.emin, fmt.largest]

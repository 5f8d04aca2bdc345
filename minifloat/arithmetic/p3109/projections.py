"""How P3109 projects a result to a format: its rounding and saturation modes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, SupportsIndex, TypedDict

from numpy.typing import ArrayLike

from minifloat.arithmetic.operations.results import Options
from minifloat.arithmetic.p3109.names import named
from minifloat.codec import FloatDtype
from minifloat.formats.rounding import OverflowLike, RoundingLike

ROUNDING_MODES: Mapping[str, RoundingLike] = {
    "NearestTiesToEven": "nearest_even",
    "NearestTiesToAway": "nearest_away",
    "TowardPositive": "upward",
    "TowardNegative": "downward",
    "TowardZero": "toward_zero",
    "ToOdd": "to_odd",
    "StochasticA": "stochastic",
    "StochasticB": "stochastic_b",
    "StochasticC": "stochastic_c",
}
SATURATION_MODES: Mapping[str, OverflowLike] = {
    "SatNone": "sat_none",
    "SatFinite": "saturate",
    "SatPropagate": "saturate_finite",
}
RoundingMode = Literal[
    "NearestTiesToEven", "NearestTiesToAway", "TowardPositive", "TowardNegative", "TowardZero",
    "ToOdd", "StochasticA", "StochasticB", "StochasticC",
]  # fmt: skip
SaturationMode = Literal["SatNone", "SatFinite", "SatPropagate"]


class Projection(TypedDict, total=False):
    """How a result is projected to its format.

    ``rounding`` and ``saturation`` are P3109's modes, by default NearestTiesToEven and SatNone.
    The others are those of `minifloat.round_to`: StochasticA, B and C have ``random_bits`` as N
    and take a ``seed``, or words R in ``random``.
    """

    rounding: RoundingMode
    saturation: SaturationMode
    seed: SupportsIndex | None
    random: ArrayLike | None
    random_bits: SupportsIndex
    threads: SupportsIndex
    dtype: FloatDtype | None


def options_of(projection: Projection) -> Options:
    """Return the options of `minifloat.round_to` for a projection."""
    rounding = projection.get("rounding", "NearestTiesToEven")
    saturation = projection.get("saturation", "SatNone")
    policies: Options = {
        "rounding": named("rounding", rounding, ROUNDING_MODES),
        "overflow": named("saturation", saturation, SATURATION_MODES),
    }
    others: Any = {k: o for k, o in projection.items() if k not in ("rounding", "saturation")}
    for option in others:
        if option not in Projection.__annotations__:
            raise TypeError(f"projection must have the options of P3109, got {option!r}")
    return {**policies, **others}

"""The exact decision points of every kind of format, against the oracle on fractions."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

import minifloat as mf
from minifloat.codec.decision_points import (
    DecisionPoint,
    Side,
    Value,
    decision_points,
    first_keys,
    sorted_values,
)
from minifloat.formats import NumberFormat
from minifloat.testing import exact_encode, random_formats

NAMES = [
    "e2m2", "e2m1", "e4m3fn", "e5m2fnuz", "e3m0", "ue4m3", "e8m0", "e2m2b0_nosub", "e2m0_nosub",
    "int4", "int4full", "uint5", "nf4", "bnb_fp4", "bipolar_int2",
]  # fmt: skip
FORMATS = [
    *map(mf.parse, NAMES),
    mf.Codebook([5.0, -0.0, 1.0, 3.0, -2.0, 0.0], "two_zeros"),
    mf.Codebook([0.1, -0.1], "no_zero"),
    mf.Codebook([1.0, 1.0 + 2**-52, -(2.0**-1074)], "close"),
    *random_formats(np.random.default_rng(7), 15, max_bits=6),
]
DETERMINISTIC = [mode for mode in mf.Rounding if not mode.is_stochastic]


def check(fmt: NumberFormat, mode: mf.Rounding, low: Value, high: Value, p: DecisionPoint) -> None:
    def encode(x: Fraction | float) -> int:
        return exact_encode(x, fmt, mode)

    if p.side is Side.OWN_SIGN:
        assert (p.at, encode(-0.0), encode(0.0)) == (0, low.code, high.code)
        return
    at_point = low.code if p.side is Side.LOWER else high.code
    if p.at != 0:
        assert encode(p.at) == at_point
    elif low.exact != 0 or not fmt.has_negative_zero:  # else -0 is below both
        assert encode(-0.0) == at_point
    elif high.exact != 0 or not high.negative:  # else 0 is above both
        assert encode(0.0) == at_point
    little = (high.exact - low.exact) / 2**60
    if p.at > low.exact:
        assert encode(p.at - little) == low.code
    if p.at < high.exact:
        assert encode(p.at + little) == high.code


@pytest.mark.parametrize("mode", DETERMINISTIC)
@pytest.mark.parametrize("fmt", FORMATS, ids="{}".format)
def test_rounding_passes_to_the_next_value_at_each_point(fmt: NumberFormat, mode: str) -> None:
    values, points = sorted_values(fmt), decision_points(fmt, mf.Rounding(mode))
    for (low, high), point in zip(itertools.pairwise(values), points, strict=True):
        check(fmt, mf.Rounding(mode), low, high, point)


@pytest.mark.parametrize("fmt", FORMATS, ids="{}".format)
def test_the_values_are_those_of_the_format(fmt: NumberFormat) -> None:
    values = sorted_values(fmt)
    table = fmt.values()
    assert [value.code for value in values] == sorted(
        np.flatnonzero(np.isfinite(table)).tolist(),
        key=lambda code: (table[code], not np.signbit(table[code])),
    )
    assert all(value.exact == fmt.exact_value(value.code) for value in values)
    merged = sorted_values(fmt, negative_zero=False)
    assert [v.exact for v in merged] == sorted({v.exact for v in values})
    points = decision_points(fmt, negative_zero=False)
    assert [p.at for p in points] == [
        (low.exact + high.exact) / 2 for low, high in itertools.pairwise(merged)
    ]


@pytest.mark.parametrize("fmt", FORMATS, ids="{}".format)
def test_the_first_float64_beyond_each_point(fmt: NumberFormat) -> None:
    keys = np.array(first_keys(decision_points(fmt)), np.int64)

    def floats(keys: np.ndarray) -> np.ndarray:
        return np.where(keys < 0, keys ^ 0x7FFFFFFFFFFFFFFF, keys).view(np.float64)

    codes = [value.code for value in sorted_values(fmt)]
    assert mf.encode(floats(keys), fmt).tolist() == codes[1:]
    assert mf.encode(floats(keys - 1), fmt).tolist() == codes[:-1]


def test_points_of_a_stochastic_mode_are_refused() -> None:
    with pytest.raises(ValueError, match="deterministic"):
        decision_points(mf.parse("e2m1"), mf.Rounding.STOCHASTIC)

"""Numbers that no float holds are rounded once: against the oracle, and against `encode`."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

import minifloat as mf
from minifloat.codec import exact
from minifloat.codec.exact import encode_exactly
from minifloat.formats import NumberFormat
from minifloat.formats.rounding import NaNPolicy, Overflow, Rounding
from minifloat.testing import exact_encode

FORMATS = [
    "e2m2", "e4m3fn", "e5m2", "e8m0", "ue4m3", "int4", "int4full", "uint4", "nf4", "e3m1_nosub",
    "e3m0_nosub", "binary8p3se", "binary6p3uf", "e4m3fnuz", "bipolar_int3", "mxint8",
]  # fmt: skip
NEAR = Fraction(1, 10**30)  # from a decision point: float64 sees the point itself
DETERMINISTIC = [mode for mode in Rounding if not mode.is_stochastic]


def numbers(fmt: NumberFormat) -> list[Fraction]:
    """Return numbers on, beside and between decision points, and beyond both ends."""
    values = sorted({Fraction(v) for v in fmt.values().tolist() if math.isfinite(v)})
    pairs = list(itertools.pairwise(values))
    found = [values[0], values[-1], Fraction(1, 10**400), -Fraction(1, 10**400), Fraction(0)]
    for low, high in pairs[:: max(1, len(pairs) // 7)]:
        middle = (low + high) / 2
        found += [low, low + NEAR, low - NEAR, middle, middle + NEAR, middle - NEAR]
        found.append((2 * low + high) / 3)
    for end in (values[0], values[-1]):
        found += [end * f for f in (Fraction(17, 16), Fraction(33, 32) + NEAR, Fraction(9, 8), 2)]
        found += [end - Fraction(1, 2), end + Fraction(1, 2), end - 1, end + 1, end * 10**400]
    return found


@pytest.mark.parametrize("shortcut", [True, False])
@pytest.mark.parametrize("name", FORMATS)
def test_fractions_get_the_codes_of_the_oracle(
    name: str, shortcut: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not shortcut:
        monkeypatch.setattr(exact, "_common_code", lambda *_: None)
    fmt = mf.parse(name)
    for mode in DETERMINISTIC:
        for overflow in (Overflow.SATURATE, Overflow.IEEE, Overflow.RAISE):
            for x in numbers(fmt):
                try:
                    expected = exact_encode(x, fmt, mode, overflow)
                except ValueError:
                    with pytest.raises(ValueError, match="x must round to"):
                        encode_exactly([x], fmt, rounding=mode, overflow=overflow)
                else:
                    [code] = encode_exactly([x], fmt, rounding=mode, overflow=overflow)
                    assert code == expected, (x, mode, overflow)


@pytest.mark.parametrize("name", [name for name in FORMATS if mf.parse(name).binary_grid])
@pytest.mark.parametrize("mode", [mode for mode in Rounding if mode.is_stochastic])
def test_a_seed_draws_as_encode_does(name: str, mode: Rounding) -> None:
    fmt = mf.parse(name)
    x = [float(number) for number in numbers(fmt) if abs(number) < 10**300] * 3
    x += [math.inf, -math.inf, -0.0]
    codes = encode_exactly(x, fmt, rounding=mode, seed=3)
    assert codes == mf.encode(np.array(x), fmt, rounding=mode, seed=3).tolist()


def test_a_stochastic_mode_rounds_up_as_often_as_the_fraction_says() -> None:
    third = [1 + Fraction(1, 12)] * 3000  # a third of the gap between 1 and 1.25
    codes = encode_exactly(third, mf.parse("e2m2"), rounding="stochastic", seed=1)
    assert set(codes) == {4, 5}
    assert abs(codes.count(5) - 1000) < 100


def test_a_wide_format_takes_no_list_of_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "line", None)
    assert encode_exactly([Fraction(1, 10), Fraction(1, 2)], mf.parse("tf32")) == [126566, 0x1F800]


def test_special_numbers_follow_the_policies() -> None:
    e2m2, e4m3fn = mf.parse("e2m2"), mf.parse("e4m3fn")
    assert encode_exactly([-0.0, math.inf, -math.inf], e2m2) == [16, 15, 31]
    assert encode_exactly([math.nan], e2m2, nan=NaNPolicy.MAX) == [15]
    assert encode_exactly([math.nan, Fraction(10) ** 5000], e4m3fn, overflow="ieee") == [127, 127]
    with pytest.raises(ValueError, match="which has none, got 1 NaN"):
        encode_exactly([math.nan], e2m2)
    with pytest.raises(ValueError, match="got a number beyond float64; scale x"):
        encode_exactly([Fraction(10) ** 5000], e2m2, overflow="raise")
    with pytest.raises(ValueError, match="seed must be given"):
        encode_exactly([Fraction(1)], e2m2, rounding="stochastic")

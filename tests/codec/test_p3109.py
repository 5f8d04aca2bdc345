"""encode against the report of P3109, transcribed: all its modes, for all kinds of its formats."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

import minifloat as mf
from tests.formats import p3109_report as report
from tests.formats.p3109_report import P3109Format

OUR_MODES = {
    "TowardZero": "toward_zero",
    "TowardPositive": "upward",
    "TowardNegative": "downward",
    "NearestTiesToAway": "nearest_away",
    "NearestTiesToEven": "nearest_even",
    "ToOdd": "to_odd",
    "StochasticA": "stochastic_a",
    "StochasticB": "stochastic_b",
    "StochasticC": "stochastic_c",
}
OUR_POLICIES = {
    "SatFinite": "saturate",
    "SatPropagate": "saturate_finite",
    "SatNone": "sat_none",
}
SMALL = report.formats(range(3, 5))
LARGER = [
    P3109Format(K, P, signed, extended)
    for K, P in [(5, 1), (5, 2), (5, 5), (6, 3), (8, 1), (8, 3), (8, 4), (8, 7), (11, 1), (13, 4)]
    for signed in (True, False)
    for extended in (True, False)
    if (P < K or not signed) and K - P + (not signed) <= 10
]
RANDOM_BITS = 3


def points(f: P3109Format) -> list[Fraction]:
    """Return numbers around the ends of a format and, if it is small, around all its values."""
    values = [report.decode(f, code) for code in range(f.nan if f.signed else 2**f.K)]
    sizes = [value for value in values if isinstance(value, Fraction)]
    last = sizes[-1] - sizes[-2] if f.P > 1 else sizes[-1]
    sizes += [sizes[-1] + last, sizes[-1] + 2 * last]
    pairs = list(pairwise(sizes))
    some = pairs if f.K <= 4 else [*pairs[:3], *pairs[-6:]]
    inside = [
        low + (high - low) * Fraction(k, 16) for low, high in some for k in (0, 1, 5, 8, 11, 15)
    ]
    inside += [sizes[-1], 3 * sizes[-1], 2 * sizes[-1] * 2**20]
    numbers = [sign * size for size in inside for sign in (1, -1)]
    return [x for x in numbers if abs(x) < Fraction(2) ** 1023 and Fraction(float(x)) == x]


def check(f: P3109Format, mode: str) -> None:
    exact: list[Fraction | float] = [*points(f), math.inf, -math.inf]
    x = np.array([float(v) for v in exact])
    words = np.random.default_rng(4703).integers(0, 2**RANDOM_BITS, x.size)
    options = {}
    if mode.startswith("Stochastic"):
        options = {"random": words, "random_bits": RANDOM_BITS}
    rounded = [
        report.round_to_precision(f, v, mode, RANDOM_BITS, int(word))
        if isinstance(v, Fraction)
        else v
        for v, word in zip(exact, words, strict=True)
    ]
    for saturation, policy in OUR_POLICIES.items():
        codes = mf.encode(x, f.name, rounding=OUR_MODES[mode], overflow=policy, **options)
        got = mf.decode(codes, f.name, dtype=np.float64)
        want = np.array([float(report.saturate(f, v, mode, saturation)) for v in rounded])
        np.testing.assert_array_equal(got, want, f"{f.name} {mode} {saturation}")
        assert not np.signbit(got[got == 0]).any()  # one zero


@pytest.mark.parametrize("mode", report.MODES)
def test_every_mode_as_the_report_defines_it(mode: str) -> None:
    for f in (*SMALL, *LARGER):
        check(f, mode)


@pytest.mark.long
@pytest.mark.parametrize("mode", report.MODES)
def test_every_mode_of_more_formats(mode: str) -> None:
    for f in report.formats(range(5, 10)):
        check(f, mode)


def test_ieee_is_sat_none_except_to_odd_where_the_largest_value_has_an_odd_code() -> None:
    x = np.array([math.inf, -math.inf, 1e308, -1e308])
    for f in (*SMALL, *LARGER):
        for mode in report.MODES[:6]:
            ieee, sat_none = (
                mf.round_to(x, f.name, rounding=OUR_MODES[mode], overflow=policy)
                for policy in ("ieee", "sat_none")
            )
            if mode == "ToOdd" and f.signed != f.extended:
                assert ieee[2] == f.max_finite
                np.testing.assert_equal(sat_none[2], math.inf if f.extended else math.nan)
                np.testing.assert_equal(ieee[3], -ieee[2] if f.signed else math.nan)
                assert math.isnan(sat_none[3])
                ieee, sat_none = ieee[:2], sat_none[:2]
            np.testing.assert_equal(ieee, sat_none, f"{f.name} {mode}")


@pytest.mark.parametrize("policy", ["ieee", "sat_none"])
@pytest.mark.parametrize("name", ["binary8p4ue", "binary8p4uf", "binary8p1ue", "ue5m3", "ue4m3"])
def test_to_odd_below_zero_is_nan_in_an_unsigned_format(name: str, policy: str) -> None:
    smallest = mf.parse(name).smallest
    for x in (-1.0, -smallest, -smallest / 4, -math.inf):
        assert math.isnan(mf.round_to(x, name, rounding="to_odd", overflow=policy))
    assert mf.round_to(-0.0, name, rounding="to_odd", overflow=policy) == 0

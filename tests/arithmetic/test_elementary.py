"""Elementary functions against decimal numbers of 110 digits, in every mode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache

import numpy as np
import pytest

import minifloat as mf
from minifloat import arithmetic
from minifloat.testing import exact_decode, exact_encode
from tests.arithmetic import slow_functions as slow

MODES = [mode for mode in mf.Rounding if not mode.is_stochastic]
STOCHASTIC = [mode for mode in mf.Rounding if mode.is_stochastic]
ONE = list(slow.SPECIAL)
TWO = ["hypot", "power", "arctan2", "arctan2pi"]


@cache
def inputs(fmt: str) -> np.ndarray:
    """Return the values of a format, without unused codes, and NaN and infinities."""
    values = mf.parse(fmt).values()
    return np.unique(np.concatenate([values, [-0.0, math.inf, -math.inf, math.nan]]))


@cache
def exactly(name: str, fmt: str) -> list[float | Fraction]:
    return [slow.value(name, x) for x in inputs(fmt).tolist()]


def expected(
    exact: Sequence[float | Fraction], fmt: str, random: Sequence[int] | None = None, **options
) -> np.ndarray:
    """Return the values that exact numbers round to."""
    words = [{}] * len(exact) if random is None else [{"random": word} for word in random]
    return np.array(
        [
            exact_decode(exact_encode(x, fmt, **options, nan="max", **word), fmt)
            for x, word in zip(exact, words, strict=True)
        ]
    )


def check(got: np.ndarray, want: np.ndarray, x: np.ndarray, *what: object) -> None:
    same = (got == want) & (np.signbit(got) == np.signbit(want)) | np.isnan(got) & np.isnan(want)
    wrong = np.flatnonzero(~same)[:5]
    assert not wrong.size, (*what, [(x[i], got[i], want[i]) for i in wrong])


def check_all(name: str, source: str, fmt: str, mode: str, overflow: str) -> None:
    x = inputs(source)
    options = {"rounding": mode, "overflow": overflow}
    got = getattr(arithmetic, name)(x, fmt, **options, nan="max", dtype=np.float64)
    check(got, expected(exactly(name, source), fmt, **options), x, name, source, fmt, options)


@pytest.mark.parametrize("name", ONE)
def test_all_values_of_small_formats(name: str) -> None:
    for mode in MODES:
        check_all(name, "e3m2", "e3m2", mode, "saturate")
    check_all(name, "e4m3fn", "e4m3fn", "to_odd", "saturate")
    check_all(name, "e5m2", "binary8p3se", "nearest_even", "sat_none")
    check_all(name, "e5m2", "int8", "upward", "ieee")
    check_all(name, "e3m2", "nf4", "nearest_even", "saturate")


@pytest.mark.long
@pytest.mark.parametrize("overflow", ["saturate", "saturate_finite", "ieee", "sat_none"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ONE)
def test_all_values_of_all_kinds(name: str, mode: str, overflow: str) -> None:
    for source, fmt in [
        ("e5m2", "e4m3fn"), ("e4m3fnuz", "e5m2"), ("e4m3fn", "binary8p3ue"), ("e2m1", "e8m0"),
        ("binary8p1se", "e3m4"), ("int8", "e2m3"), ("e5m2", "nf4"), ("e5m2", "int4"),
        ("e4m3fn", "float16"),
    ]:  # fmt: skip
        check_all(name, source, fmt, mode, overflow)


@pytest.mark.long
@pytest.mark.parametrize("fmt", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ONE)
def test_all_values_of_16_bits(name: str, fmt: str) -> None:
    check_all(name, fmt, fmt, "nearest_even", "ieee")
    check_all(name, fmt, fmt, "to_odd", "ieee")  # shows on which side of each value results are

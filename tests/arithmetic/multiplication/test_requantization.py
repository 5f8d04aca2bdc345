"""Dyadic requantization: multipliers, shifts and results, against fractions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minifloat as mf
from minifloat import arithmetic
from minifloat.arithmetic import Dyadic
from tests.arithmetic.multiplication import slow_products

LOW, HIGH = -(2**31), 2**31 - 1


def exact(scale: Dyadic) -> Fraction:
    return Fraction(int(scale.multiplier), 2 ** int(scale.shift))


def ladder(bits: int) -> list[float]:
    """Return scales that are dyadic, ties between them, and their neighbours, in two binades."""
    steps = [Fraction(n, 2 ** (bits + 3)) for n in range(2 ** (bits + 1), 2 ** (bits + 3) + 2)]
    floats = [float(step) for step in steps]
    return [near for f in floats for near in (f, math.nextafter(f, 0), math.nextafter(f, 2))]


def check_dyadic(bits: int, make: Callable[..., Dyadic]) -> None:
    for scale in ladder(bits):
        found = make(scale, bits)
        assert 2 ** (bits - 1) <= found.multiplier < 2**bits
        assert exact(found) == slow_products.nearest_dyadic(Fraction(scale), bits), scale


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5])
def test_dyadic_numbers_are_the_nearest(bits: int) -> None:
    check_dyadic(bits, arithmetic.dyadic)


def floored(scale: float, bits: int) -> Dyadic:
    return arithmetic.dyadic(math.floor(scale * 2 ** (bits + 2)) / 2 ** (bits + 2), bits)


def unnormalized(scale: float, bits: int) -> Dyadic:
    found = arithmetic.dyadic(scale, bits)
    return Dyadic(2 * found.multiplier, found.shift + 1)


@pytest.mark.parametrize("mistake", [floored, unnormalized])
def test_the_check_of_dyadic_numbers_finds_mistakes(mistake: Callable[..., Dyadic]) -> None:
    with pytest.raises(AssertionError):
        check_dyadic(3, mistake)


@given(st.floats(1e-300, 1e9))
def test_31_bits_are_within_a_unit(scale: float) -> None:
    found = arithmetic.dyadic(scale)
    assert 2**30 <= found.multiplier < 2**31
    assert abs(exact(found) / Fraction(scale) - 1) <= Fraction(1, 2**31)


def test_multipliers_are_those_of_hawqs_code() -> None:
    """Its `batch_frexp`: round half up of 2**31 times the significand; ours is below 2**31."""
    scales = np.random.default_rng(0).uniform(1e-6, 1, 1000)
    found = arithmetic.dyadic(scales)
    for scale, multiplier, shift in zip(scales, *found, strict=True):
        significand, exponent = math.frexp(scale)
        assert multiplier == math.floor(Fraction(significand) * 2**31 + Fraction(1, 2))
        assert shift == 31 - exponent
    nearly_one = arithmetic.dyadic(1 - 2**-40)
    assert (nearly_one.multiplier, nearly_one.shift) == (2**30, 30)


BEYOND = [s * (2**k + d) for k in range(7, 31) for s in (1, -1) for d in (-1, 0, 1)]
SUMS = [*range(-40, 41), *BEYOND, LOW, HIGH]
SCALES = [
    Dyadic(np.int64(m), np.int64(s))
    for m, s in itertools.chain(
        itertools.product((1, 2, 3, 5, 7), range(6)),
        ((2**31 - 1, s) for s in (0, 1, 30, 31, 40, 60, 61, 62, 63, 64, 90)),
        ((2**30, s) for s in (29, 30, 31, 35, 60, 61, 62)), ((0, 5), (1, 62), (1, 2**31 - 1)),
    )
]  # fmt: skip


def check_results(requantize: Callable[..., Any]) -> None:
    for scale, fmt in itertools.product(SCALES, ("int8full", "int4", "uint8")):
        found = mf.parse(fmt)
        for zero in (0, 3):
            got = requantize(np.array(SUMS), scale, fmt, zero_point=zero)
            multiplier, shift = int(scale.multiplier), min(int(scale.shift), 200)
            wanted = [
                slow_products.requantized(
                    z, multiplier, shift, zero, int(found.min), int(found.max)
                )
                for z in SUMS
            ]
            assert got.tolist() == wanted, (scale, fmt)


def test_results_are_rounded_half_up_and_saturated() -> None:
    check_results(arithmetic.requantize)


def half_even(sums: Any, scale: Dyadic, fmt: str, zero_point: int) -> Any:
    found = mf.parse(fmt)
    exact_ = np.rint(sums * float(scale.multiplier) / 2.0 ** float(scale.shift)) + zero_point
    return np.clip(exact_, found.min, found.max)


def truncated(sums: Any, scale: Dyadic, fmt: str, zero_point: int) -> Any:
    found = mf.parse(fmt)
    with np.errstate(all="ignore"):
        shifted = (np.int64(sums) * scale.multiplier) >> np.minimum(scale.shift, 63)
    return np.clip(shifted + zero_point, found.min, found.max).astype(int)


def zero_point_last(sums: Any, scale: Dyadic, fmt: str, zero_point: int) -> Any:
    return arithmetic.requantize(sums, scale, fmt).astype(int) + zero_point


@pytest.mark.parametrize("mistake", [half_even, truncated, zero_point_last])
def test_the_check_of_results_finds_mistakes(mistake: Callable[..., Any]) -> None:
    with pytest.raises(AssertionError):
        check_results(mistake)


@given(
    st.lists(st.integers(LOW, HIGH), min_size=1, max_size=20),
    st.integers(0, 2**31 - 1), st.integers(0, 70), st.integers(LOW, HIGH),
)  # fmt: skip
def test_any_result_equals_the_fraction(
    sums: list[int], multiplier: int, shift: int, zero: int
) -> None:
    scale = Dyadic(np.int64(multiplier), np.int64(shift))
    got = arithmetic.requantize(sums, scale, "int16full", zero_point=zero)
    wanted = [
        slow_products.requantized(z, multiplier, shift, zero, -(2**15), 2**15 - 1) for z in sums
    ]
    assert got.tolist() == wanted


def test_channels_have_their_own_scales() -> None:
    sums = np.arange(-60, 60, dtype=np.int32).reshape(-1, 3)
    scales = np.array([0.5, 0.01, 3.7])
    got = arithmetic.requantize(sums, arithmetic.dyadic(scales), zero_point=[1, 2, 3])
    for k, scale in enumerate(scales):
        one = arithmetic.requantize(sums[:, k], arithmetic.dyadic(scale), zero_point=k + 1)
        np.testing.assert_array_equal(got[:, k], one)


@pytest.mark.parametrize(("fmt", "dtype"), [
    ("int8full", "int8"), ("int4", "int8"), ("uint4", "uint8"), ("int16", "int16"),
    ("uint9", "uint16"),
])  # fmt: skip
def test_results_have_the_smallest_type(fmt: str, dtype: str) -> None:
    assert arithmetic.requantize([1], arithmetic.dyadic(1.0), fmt).dtype == dtype


ONE = arithmetic.dyadic(1.0)


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: arithmetic.dyadic(0.0), ValueError, "scale must be positive and finite"),
    (lambda: arithmetic.dyadic([1.0, -1.0]), ValueError, "scale must be positive and finite"),
    (lambda: arithmetic.dyadic(np.nan), ValueError, "scale must be positive and finite"),
    (lambda: arithmetic.dyadic(2.0**31), ValueError, r"scale must be below 2\*\*31"),
    (lambda: arithmetic.dyadic(1.0, 32), ValueError, r"bits must be in 1\.\.31"),
    (lambda: arithmetic.dyadic("1"), TypeError, "scale must"),
    (lambda: arithmetic.requantize([1.0], ONE), TypeError, "sums must be integers"),
    (lambda: arithmetic.requantize([2**31], ONE), ValueError, r"sums must be in -2147483648"),
    (lambda: arithmetic.requantize([1], 0.5), TypeError, "scale must be a Dyadic"),
    (lambda: arithmetic.requantize([1], Dyadic(-1, 0)), ValueError, "scale.multiplier must"),
    (lambda: arithmetic.requantize([1], Dyadic(1, -1)), ValueError, "scale.shift must be in"),
    (lambda: arithmetic.requantize([1], Dyadic(0.5, 1)), TypeError, "scale.multiplier must be int"),
    (lambda: arithmetic.requantize([1], ONE, "e4m3fn"), TypeError, "fmt must be an integer format"),
    (lambda: arithmetic.requantize([1], ONE, zero_point=0.5), TypeError, "zero_point must be"),
    (lambda: arithmetic.requantize([1], ONE, zero_point=[1, 2]), ValueError, "broadcast to"),
    (lambda: arithmetic.requantize([1, 2], arithmetic.dyadic([1.0] * 3)), ValueError, "broadcast"),
])  # fmt: skip
def test_errors(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()

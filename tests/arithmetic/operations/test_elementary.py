"""Elementary functions against decimal numbers of 110 digits, in every mode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import minifloat as mf
from minifloat import arithmetic
from minifloat.testing import exact_decode, exact_encode
from tests.arithmetic.operations import slow_functions as slow

MODES = [mode for mode in mf.Rounding if not mode.is_stochastic]
STOCHASTIC = [mode for mode in mf.Rounding if mode.is_stochastic]
ONE = list(slow.SPECIAL)
TWO = ["hypot", "power", "arctan2", "arctan2pi"]


@cache
def inputs(fmt: str) -> np.ndarray:
    """Return the values of a format, without unused codes, and NaN and infinities."""
    values = mf.parse(fmt).values()
    both = np.concatenate([values, [-0.0, 0.0, math.inf, -math.inf, math.nan]])
    return np.unique(both.view(np.int64)).view(np.float64)  # 0 and -0


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
    x = inputs(fmt)
    options = {"overflow": "ieee", "nan": "max", "dtype": np.float64}
    got = {mode: getattr(arithmetic, name)(x, fmt, rounding=mode, **options) for mode in MODES}
    for part in np.array_split(np.arange(x.size), 32):
        exact = [slow.value(name, v) for v in x[part].tolist()]
        for mode in MODES:
            want = expected(exact, fmt, rounding=mode, overflow="ieee")
            check(got[mode][part], want, x[part], name, fmt, mode)


# special results of two numbers come from Python's math module, which has IEEE 754's
PYTHONS = {
    "hypot": math.hypot,
    "power": math.pow,
    "arctan2": math.atan2,
    "arctan2pi": lambda y, x: math.atan2(y, x) / math.pi,
}


def of_two(name: str, x: float, y: float) -> float | Fraction:
    """Return the exact result for two numbers."""
    usual = math.isfinite(x) and math.isfinite(y) and x != 0
    if name == "power" and x < 0 and math.isfinite(x) and math.isfinite(y) and y % 1:
        return math.nan
    if name == "power" and x == 0 and y < 0:
        return math.copysign(math.inf, x) if y % 2 == 1 else math.inf
    if not usual or (y == 0 and name != "hypot"):
        special = PYTHONS[name](x, y)
        if name.startswith("arctan2") and special and math.isfinite(special):  # parts of a turn
            parts = Fraction(round(special * 4 / (1 if name.endswith("pi") else math.pi)), 4)
            return parts * (1 if name.endswith("pi") else Fraction(slow.pi()))
        return special
    result = slow.exactly(name, x, y)
    return result if result else PYTHONS[name](x, y)


def check_pairs(
    name: str, first: np.ndarray, second: np.ndarray, fmt: str, modes: Sequence[str]
) -> None:
    x, y = (a.ravel() for a in np.meshgrid(first, second))
    exact = [of_two(name, a, b) for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    for mode in modes:
        options = {"rounding": mode, "overflow": "ieee"}
        got = getattr(arithmetic, name)(x, y, fmt, **options, nan="max", dtype=np.float64)
        want = expected(exact, fmt, **options)
        check(got, want, np.stack([x, y], axis=1), name, fmt, options)


@pytest.mark.parametrize("name", TWO)
def test_pairs_of_small_formats(name: str) -> None:
    modes = ["nearest_even", "to_odd", "downward"]
    check_pairs(name, inputs("e2m1"), inputs("e3m1"), "e3m2", modes)
    check_pairs(name, inputs("e4m3fn")[::9], inputs("e5m2")[::7], "e4m3fn", ["upward"])


@pytest.mark.long
@pytest.mark.parametrize("part", range(8))
@pytest.mark.parametrize("name", TWO)
def test_all_pairs_of_8_bits(name: str, part: int) -> None:
    check_pairs(name, inputs("e4m3fn"), inputs("e5m2")[part::8], "e4m3fn", MODES)


NUMBERS = st.one_of(
    st.floats(width=32),
    st.floats(-20, 20),
    st.builds(math.ldexp, st.floats(-2, 2), st.integers(-120, 0)),
    st.integers(-400, 400).map(lambda n: n / 8),
).filter(lambda x: x == 0 or abs(x) > 1e-37 or math.isnan(x))  # else the oracle lacks digits


@given(st.sampled_from(ONE), st.lists(NUMBERS, min_size=1, max_size=4), st.sampled_from(MODES))
@settings(max_examples=50, deadline=None)
def test_any_numbers(name: str, x: list[float], mode: str) -> None:
    exact = [slow.value(name, v) for v in x]
    for fmt in ("float16", "e4m3fn", "e8m0"):
        got = getattr(arithmetic, name)(np.array(x), fmt, rounding=mode, nan="max")
        check(got, expected(exact, fmt, rounding=mode), np.array(x), name, fmt, mode)


@given(st.sampled_from(ONE), st.lists(NUMBERS, min_size=4, max_size=4), st.data())
@settings(max_examples=50, deadline=None)
def test_stochastic_words(name: str, x: list[float], data) -> None:
    """The probabilities are those of the exact results, next to values of the format too."""
    bits = data.draw(st.integers(1, 28))
    word = st.one_of(st.integers(0, 2**bits - 1), st.sampled_from([0, 2**bits - 1]))
    words = np.array([data.draw(word) for _ in x], np.uint32)
    options = {"rounding": data.draw(st.sampled_from(STOCHASTIC)), "random_bits": bits}
    exact = [slow.value(name, v) for v in x]
    for fmt in ("float16", "e4m3fn"):
        got = getattr(arithmetic, name)(np.array(x), fmt, random=words, **options, nan="max")
        want = expected(exact, fmt, words.tolist(), **options)
        check(got, want, np.array(x), name, fmt, options)


def test_large_angles() -> None:
    x = np.ldexp(np.arange(1.0, 33.0), np.arange(32) * 30)  # up to 2**935
    for name in ("sin", "cos", "tan"):
        with np.errstate(all="ignore"):
            got = getattr(arithmetic, name)(x[:4], "float16", rounding="to_odd")
        want = expected([slow.value(name, v) for v in x[:4].tolist()], "float16", rounding="to_odd")
        check(got, want, x, name)
    assert np.isfinite(arithmetic.sin(x, "float16")).all()


def test_results_are_the_same_without_the_jit() -> None:
    """A small call is interpreted, a large one compiled."""
    x = np.linspace(-3, 3, 40)
    few = arithmetic.exp(x, "e4m3fn", rounding="to_odd")
    many = arithmetic.exp(np.tile(x, 1000), "e4m3fn", rounding="to_odd")
    assert (many.reshape(1000, 40) == few).all()


def test_an_overflow_is_an_error_only_beyond_the_largest_value() -> None:
    x = math.log(448)  # a little less, so it rounds up to 448
    assert arithmetic.exp(x, "e4m3fn", overflow="raise") == 448
    with pytest.raises(ValueError, match="beyond it"):
        arithmetic.exp(math.log(465), "e4m3fn", overflow="raise")
    with pytest.raises(ValueError, match="x must hold no NaN"):
        arithmetic.log(-1.0, "e2m1")

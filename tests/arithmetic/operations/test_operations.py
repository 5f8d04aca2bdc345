"""Operations against fractions: each exact result, rounded once by the oracle."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable
from fractions import Fraction

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import minifloat as mf
from minifloat import arithmetic
from minifloat._kernels import operations as kernels
from minifloat.arithmetic import p3109
from minifloat.testing import exact_decode, exact_encode

MODES = [mode for mode in mf.Rounding if not mode.is_stochastic]
STOCHASTIC = [mode for mode in mf.Rounding if mode.is_stochastic]
NAN, INF = math.nan, math.inf

Number = float | Fraction


def fraction(x: float) -> Number:
    """Return a finite number that is not 0 as a fraction."""
    return Fraction(x) if math.isfinite(x) and x != 0 else x


def signed(exact: Fraction, sign: float) -> Number:
    """Return an exact result; a 0 has a sign."""
    return exact if exact else math.copysign(0.0, sign)


def add(x: float, y: float, *, downward: bool = False) -> Number:
    if not (math.isfinite(x) and math.isfinite(y)):
        return x + y
    if x == y == 0 and math.copysign(1, x) == math.copysign(1, y):
        return x
    return signed(Fraction(x) + Fraction(y), -1 if downward else 1)


def multiply(x: float, y: float) -> Number:
    if not (math.isfinite(x) and math.isfinite(y)):
        return x * y
    return signed(Fraction(x) * Fraction(y), math.copysign(1, x) * math.copysign(1, y))


def divide(x: float, y: float) -> Number:
    sign = math.copysign(1, x) * math.copysign(1, y)
    if math.isnan(x) or math.isnan(y) or (math.isinf(x) and math.isinf(y)) or x == y == 0:
        return NAN
    if math.isinf(x) or y == 0:
        return sign * INF
    return sign * 0.0 if math.isinf(y) else signed(Fraction(x) / Fraction(y), sign)


def fma(x: float, y: float, z: float, *, downward: bool = False) -> Number:
    if not all(map(math.isfinite, (x, y, z))):
        product = multiply(x, y)
        return (product if isinstance(product, float) else 0.0) + z
    product = Fraction(x) * Fraction(y)
    if product + Fraction(z):
        return product + Fraction(z)
    negative = math.copysign(1, x) * math.copysign(1, y) < 0
    if product == 0 and negative == (math.copysign(1, z) < 0):
        return z
    return -0.0 if downward else 0.0


def faa(x: float, y: float, z: float, *, downward: bool = False) -> Number:
    terms = x, y, z
    ends = [t for t in terms if not math.isfinite(t)]
    if ends:
        return sum(ends)
    total = sum(map(Fraction, terms))
    if all(t == 0 for t in terms) and len({math.copysign(1, t) for t in terms}) == 1:
        return x
    return signed(total, -1 if downward else 1)


def root(x: float) -> Number:
    """Return a number of 200 bits next to the square root, or the root if it has fewer."""
    if not math.isfinite(x) or x <= 0:
        return x if x == 0 or x > 0 else NAN
    exact = Fraction(x) * 4**1400
    whole = math.isqrt(int(exact))
    return Fraction(2 * whole + (whole**2 != exact), 2 * 2**1400)


def fmod(x: float, y: float) -> Number:
    if math.isnan(x) or math.isnan(y) or math.isinf(x) or y == 0:
        return NAN
    if math.isinf(y):
        return x
    a, b = Fraction(x), Fraction(y)
    return signed(a - b * math.trunc(a / b), x)


def remainder(x: float, y: float) -> Number:
    if math.isnan(x) or math.isnan(y) or math.isinf(x) or y == 0:
        return NAN
    if math.isinf(y):
        return math.copysign(x, y) if x == 0 else x if (x < 0) == (y < 0) else y
    a, b = Fraction(x), Fraction(y)
    return signed(a - b * math.floor(a / b), y)


def ieee_remainder(x: float, y: float) -> Number:
    if math.isnan(x) or math.isnan(y) or math.isinf(x) or y == 0:
        return NAN
    if math.isinf(y):
        return x
    a, b = Fraction(x), Fraction(y)
    return signed(a - b * round(a / b), x)  # round is to even


def least(x: float, y: float) -> float:
    if math.isnan(x) or math.isnan(y):
        return NAN
    return min((x, y), key=lambda v: (v, math.copysign(1, v)))


def largest(x: float, y: float) -> float:
    return -least(-x, -y)


def smaller(x: float, y: float) -> float:
    return least(x, y) if abs(x) == abs(y) or x != x or y != y else min(x, y, key=abs)


def number_first(choose: Callable[[float, float], float]) -> Callable[[float, float], float]:
    return lambda x, y: y if x != x else x if y != y else choose(x, y)


def finite_first(choose: Callable[[float, float], float]) -> Callable[[float, float], float]:
    def chosen(x: float, y: float) -> float:
        if math.isfinite(x) != math.isfinite(y):
            return x if math.isfinite(x) else y
        return number_first(choose)(x, y)

    return chosen


def larger(x: float, y: float) -> float:
    return -smaller(-x, -y) if abs(x) == abs(y) or x != x or y != y else max(x, y, key=abs)


TWO: dict[str, Callable[..., Number]] = {
    "add": add,
    "subtract": lambda x, y, **options: add(x, -y, **options),
    "multiply": multiply,
    "divide": divide,
    "fmod": fmod,
    "remainder": remainder,
    "ieee_remainder": ieee_remainder,
    "copysign": lambda x, y: fraction(math.copysign(x, y)),
    "minimum": least,
    "maximum": largest,
    "fmin": number_first(least),
    "fmax": number_first(largest),
    "minimum_magnitude": smaller,
    "maximum_magnitude": larger,
    "fmin_magnitude": number_first(smaller),
    "fmax_magnitude": number_first(larger),
    "minimum_finite": finite_first(least),
    "maximum_finite": finite_first(largest),
}
ONE: dict[str, Callable[..., Number]] = {
    "negative": operator.neg,
    "absolute": abs,
    "square": lambda x: multiply(x, x),
    "reciprocal": lambda x: divide(1.0, x),
    "sqrt": root,
    "sign": lambda x: x + 0.0 if x == 0 or x != x else math.copysign(1.0, x),
}
THREE: dict[str, Callable[..., Number]] = {"fma": fma, "faa": faa}
SUMS = ("add", "subtract", "fma", "faa")
ALL = ONE | TWO | THREE


def inputs(fmt: str) -> np.ndarray:
    """Return the values of a format, with NaN, infinities and -0."""
    both = np.concatenate([mf.parse(fmt).values(), [-INF, -0.0, 0.0, INF, NAN]])
    return np.unique(both.view(np.int64)).view(np.float64)  # 0 and -0


def check(name: str, operands: list[np.ndarray], fmt: str, words=None, **options) -> None:
    """Compare the results for lists of operands with the oracle's."""
    downward = {"downward": True} if options["rounding"] == "downward" and name in SUMS else {}
    random = {} if words is None else {"random": words}
    got = getattr(arithmetic, name)(
        *operands, fmt, **options, **random, nan="max", dtype=np.float64
    )
    with np.errstate(all="ignore"):
        singles = [x.astype(np.float32) for x in operands]
    if all(map(np.array_equal, singles, operands, [True] * len(operands))):
        options32 = {**options, **random, "nan": "max", "dtype": np.float64}
        of_singles = getattr(arithmetic, name)(*singles, fmt, **options32)
        assert np.array_equal(of_singles.view(np.int64), got.view(np.int64)), (name, fmt, options)
    lists = [x.astype(float).tolist() for x in operands]
    rounded: dict[tuple[Number, bool, int], float] = {}
    for i, x in enumerate(zip(*lists, strict=True)):
        word = {} if words is None else {"random": int(words[i])}
        exact = ALL[name](*x, **downward)
        negative = exact < 0 or (exact == 0 and math.copysign(1, exact) < 0)  # 0 is -0
        key = exact, negative, word.get("random", 0)
        if key not in rounded:
            code = exact_encode(exact, fmt, **options, **word, nan="max")
            rounded[key] = exact_decode(code, fmt)
        want = rounded[key]
        same = got[i] == want and math.copysign(1, got[i]) == math.copysign(1, want)
        assert same or (got[i] != got[i] and want != want), (name, x, fmt, options, got[i], want)


def pairs(first: str, second: str) -> list[np.ndarray]:
    a, b = np.meshgrid(inputs(first), inputs(second))
    return [a.ravel(), b.ravel()]


@pytest.mark.parametrize("name", ALL)
def test_all_operands_of_small_formats(name: str) -> None:
    arity = 1 if name in ONE else 2 if name in TWO else 3
    operands = [inputs(["e4m3fn", "e2m1", "e2m0"][arity - 1]), inputs("e3m0"), inputs("e2m1")]
    operands = operands[:arity]
    grid = [x.ravel() for x in np.meshgrid(*operands)]
    for mode in MODES:
        check(name, grid, "e2m1", rounding=mode, overflow="saturate")
    for fmt, overflow in [("e4m3fn", "ieee"), ("binary4p2se", "sat_none"), ("nf4", "saturate")]:
        check(name, grid, fmt, rounding="nearest_even", overflow=overflow)


@pytest.mark.long
@pytest.mark.parametrize(
    ("mode", "overflow"),
    [
        *((mode, "saturate") for mode in MODES),
        *(("nearest_even", overflow) for overflow in ["saturate_finite", "ieee", "sat_none"]),
    ],
)
@pytest.mark.parametrize("name", TWO)
def test_all_pairs_of_8_bits(name: str, mode: str, overflow: str) -> None:
    check(name, pairs("e4m3fn", "e5m2"), "e4m3fn", rounding=mode, overflow=overflow)
    check(
        name, pairs("binary8p3se", "binary8p3se"), "binary8p3se", rounding=mode, overflow=overflow
    )
    check(name, pairs("e4m3fn", "int8"), "int8", rounding=mode, overflow=overflow)


DOUBLES = st.one_of(
    st.floats(width=32),
    st.floats(width=16),
    st.floats(),
    st.builds(math.ldexp, st.integers(-9, 9).map(float), st.integers(-1074, 1020)),
    st.builds(math.ldexp, st.integers(2**52, 2**53).map(float), st.integers(-110, 10)),
)
FORMATS = st.sampled_from(
    [
        "e4m3fn",
        "float16",
        "bfloat16",
        "e2m1",
        "int8",
        "e8m0",
        "nf4",
        "binary8p4ue",
        "binary11p5se",
    ]
)


@given(
    name=st.sampled_from(sorted(set(ALL) - {"sign"})),
    x=st.lists(st.tuples(DOUBLES, DOUBLES, DOUBLES), min_size=1, max_size=5),
    near=st.integers(-3, 3),
    fmt=FORMATS,
    mode=st.sampled_from(MODES),
    overflow=st.sampled_from(["saturate", "saturate_finite", "ieee", "sat_none"]),
)
@settings(max_examples=25, deadline=None)
def test_any_numbers(name, x, near, fmt, mode, overflow) -> None:
    operands = [np.array(column) for column in zip(*x, strict=True)]
    if near:  # sums that nearly cancel
        with np.errstate(all="ignore"):
            product = operands[0] * (operands[1] if name == "fma" else 1.0)
            operands[2] = -np.nextafter(product, near * np.inf)
            operands[1] = operands[1] if name == "fma" else np.nextafter(product, 0) * near
    arity = 1 if name in ONE else 2 if name in TWO else 3
    check(name, operands[:arity], fmt, rounding=mode, overflow=overflow)


ENDS = [0.0, 1.5, 2.0**-1074, 2.0**-1022, 2.0**-451, 2.0**451, 2.0**996, sys.float_info.max, INF]


@pytest.mark.filterwarnings("error")  # of NumPy, beside the largest number
@pytest.mark.parametrize("fmt", ["e4m3fn", "nf4", "int8full"])
@pytest.mark.parametrize("name", ["add", "multiply", "divide", "sqrt", "fma", "faa"])
def test_numbers_at_the_ends_of_float64(name: str, fmt: str) -> None:
    """Where a step on the way overflows, beside zeros and infinities too."""
    both = [sign * x for x in ENDS for sign in (1, -1)]
    arity = 1 if name in ONE else 2 if name in TWO else 3
    grid = [x.ravel() for x in np.meshgrid(*[both] * arity)]
    for mode in ("nearest_odd", "downward"):
        check(name, grid, fmt, rounding=mode, overflow="ieee")


def test_signs_of_results_too_small_for_float64() -> None:
    both_zeros = mf.Codebook([-1.0, -0.0, 0.0, 1.0], "both zeros")
    x = np.array([6e-310, -6e-310, 5e-324, -5e-324])
    for mode in MODES:
        for name, y in (("divide", 3e38), ("divide", -3e38), ("multiply", 1e-20)):
            check(name, [x, np.full(4, y)], both_zeros, rounding=mode, overflow="saturate")


SINGLES = st.one_of(
    st.floats(width=32),
    st.builds(math.ldexp, st.integers(-9, 9).map(float), st.integers(-149, 124)),
    st.builds(math.ldexp, st.integers(2**23, 2**24 - 1).map(float), st.integers(-149, 104)),
)


@given(
    name=st.sampled_from(["add", "subtract", "multiply", "divide", "reciprocal", "sqrt", *THREE]),
    x=st.lists(st.tuples(SINGLES, SINGLES, SINGLES), min_size=1, max_size=5),
    scale=st.sampled_from([1.0, 2.0**-20, 2.0**-30, 2.0**-60]),
    fmt=st.sampled_from(["e4m3fn", "bfloat16", "tf32", "e8m0", "e9m3", "int8", "e3m9"]),
    mode=st.sampled_from(MODES),
)
@settings(max_examples=100, deadline=None)
def test_any_float32_numbers(name, x, scale, fmt, mode) -> None:
    """Short formats take another way: up to the ends of float32, and beside values and ties."""
    operands = np.array(x, np.float32).T
    with np.errstate(all="ignore"):
        operands[0] = mf.round_to(operands[0], "bfloat16", overflow="ieee")  # a value of some
        operands[-1] = operands[0] * np.float32(scale)
    arity = 1 if name in ONE else 2 if name in TWO else 3
    check(name, list(operands[:arity]), fmt, rounding=mode, overflow="sat_none")


@pytest.mark.parametrize("name", ["add", "multiply", "fma"])
def test_chunks_and_threads(name: str) -> None:
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(1, 70_001)).astype(np.float32) for _ in range(3)][: 2 + (name == "fma")]
    compute = getattr(arithmetic, name)
    want = compute(*(a.astype(np.float64) for a in x), "e4m3fn")
    for threads in (1, 2):
        got = compute(*x, "e4m3fn", threads=threads)
        assert got.dtype == np.float32
        assert np.array_equal(got, want)
    x[0][0, 60_000] = 2.0**127  # one chunk needs float64
    want = compute(*(a.astype(np.float64) for a in x), "bfloat16")
    assert np.array_equal(compute(*x, "bfloat16"), want)
    x[0][0, 60_000] = np.nan
    with pytest.raises(ValueError, match=r"got 1 NaN, the first at index \(0, 60000\)"):
        compute(*x, "e2m1")


def test_kernels_are_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Operands that are read-only, or of other shapes, reach them as any others."""
    given = []
    monkeypatch.setattr(kernels, "add", lambda *arrays: given.extend(arrays[:2]))
    one = np.ones(1)
    one.flags.writeable = False
    for x, y in [(one, one), (one, 1.0), (np.ones(()), one), (np.ones((2, 1)), np.ones(3))]:
        arithmetic.add(x, y, "e4m3fn")
        assert all(a.flags.writeable and a.flags.c_contiguous for a in given)
    assert not one.flags.writeable


@pytest.mark.parametrize("mode", STOCHASTIC)
def test_all_random_words(mode: str) -> None:
    """Every word of 1, 3 and 6 bits: the probabilities are those of the exact results."""
    x = np.array([1.0, 3.0, 1.0, 448.0, 2.0**-9, -5.0, 2.0**60])
    y = np.array([3.0, 2.0**-40, 1 + 2.0**-40, 16.0, 3.0, 7.0, -1.0])
    for bits in (1, 5):
        for word in range(2**bits):
            words = np.full(x.size, word, np.uint32)
            for name in ("add", "multiply", "divide"):
                options = {"rounding": mode, "overflow": "sat_none", "random_bits": bits}
                check(name, [x, y], "e4m3fn", words, **options)


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_stochastic_words_of_any_width(data) -> None:
    bits = data.draw(st.integers(1, 28))
    name = data.draw(st.sampled_from(["add", "multiply", "divide", "sqrt", "fma", "faa"]))
    fmt = data.draw(st.sampled_from(["e4m3fn", "float16", "bfloat16", "int8", "e2m1"]))
    arity = 1 if name in ONE else 2 if name in TWO else 3
    single = st.floats(width=32, allow_nan=False, allow_infinity=False)
    operands = [np.array([data.draw(single) for _ in range(4)]) for _ in range(arity)]
    words = np.array([data.draw(st.integers(0, 2**bits - 1)) for _ in range(4)], np.uint32)
    mode = data.draw(st.sampled_from(STOCHASTIC))
    check(name, operands, fmt, words, rounding=mode, overflow="ieee", random_bits=bits)


def test_dtypes_and_shapes_of_results() -> None:
    single, half = np.float32([1, 2]), np.float16([[0.5], [0.25]])
    assert arithmetic.add(single, half, "e4m3fn").dtype == np.float32
    assert arithmetic.add(single, half, "e4m3fn").shape == (2, 2)
    assert arithmetic.add(half, half, "e4m3fn").dtype == np.float16
    assert arithmetic.add(half, 0.1, "e4m3fn").dtype == np.float16
    assert arithmetic.add([1, 2], 0.1, "e4m3fn").dtype == np.float64
    assert arithmetic.add(single, 1, "e4m3fn", dtype="float64").dtype == np.float64
    assert isinstance(arithmetic.add(1.0, 2, "e4m3fn"), np.float64)
    assert arithmetic.add(np.zeros((0, 2)), 1, "e4m3fn").shape == (0, 2)
    swapped = single.astype(">f4")[::-1]
    assert arithmetic.add(swapped, single, "e4m3fn").tolist() == [3, 3]
    words = np.array([0, 1], np.uint32)  # they broadcast to the shape of the result
    options = {"rounding": "stochastic", "random": words, "random_bits": 1}
    ones = np.ones((2, 2), np.float32)
    assert arithmetic.add(ones, 0.0625, "e4m3fn", **options).tolist() == [[1, 1.125]] * 2
    assert arithmetic.exp(ones, "e4m3fn", **options).tolist() == [[2.5, 2.75]] * 2


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: arithmetic.add([1, 2], [1, 2, 3], "e2m1"),
            ValueError,
            "operands must have shapes",
        ),
        (lambda: arithmetic.add("a", 1, "e2m1"), TypeError, "a must be float16"),
        (lambda: arithmetic.add(1, 1j, "e2m1"), TypeError, "b must be float16"),
        (lambda: arithmetic.add(1, 1, "float32"), ValueError, "fmt "),
        (lambda: arithmetic.add(1, 1, "e4m3b1060"), ValueError, "fmt must have values between"),
        (lambda: arithmetic.add(1, 1, "e2m1", rounding="up"), ValueError, "rounding must be"),
        (lambda: arithmetic.add(1, 1, "e2m1", rounding="stochastic"), ValueError, "seed must be"),
        (lambda: arithmetic.divide(0, 0, "e2m1"), ValueError, "x must hold no NaN"),
        (lambda: arithmetic.add(1, 1, "e2m1", way="up"), TypeError, r"round_to\(\) got an unexp"),
    ],
)
def test_errors(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        call()


def beside(name: str, t: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Return operands whose result is ``t`` or, for most of them, nearer to it than any float64."""
    b = rng.uniform(1, 2, t.size) * rng.choice([-1, 1], t.size)
    tiny = t * 2.0**-60 * rng.choice([-1, 1], t.size)
    match name:
        case "add":
            return [t, tiny]
        case "subtract":
            return [tiny, t]
        case "multiply":
            return [b, t / b]
        case "divide":
            return [t * b, b]
        case "reciprocal":
            return [1 / t]
        case "square":
            return [np.sqrt(t)]
        case "sqrt":
            return [np.nextafter(t * t, rng.choice([-np.inf, np.inf], t.size))]
        case "fma":
            return [b, t / b, np.where(b < 0, tiny * 2.0**-50, 0)]
        case "faa":
            return [tiny * 2.0**-9, t, -tiny * 2.0**-10]
    raise AssertionError(name)


@pytest.mark.parametrize("name", ["reciprocal", "square", "sqrt", *list(TWO)[:4], *THREE])
def test_results_beside_values_and_ties(name: str) -> None:
    """Float64 arithmetic gives the value or the tie itself, from which the sides do not show."""
    rng = np.random.default_rng(0)
    values = mf.parse("e4m3fn").values()[1:127]
    points = np.concatenate([values, (values[1:] + values[:-1]) / 2])
    for mode in ["nearest_even", "nearest_away", "nearest_zero", "upward", "downward", "to_odd"]:
        check(name, beside(name, points, rng), "e4m3fn", rounding=mode, overflow="saturate")
    words = np.zeros(points.size, np.uint32) + 2**28 - 1  # rounds away from any value
    options = {"rounding": "stochastic_b", "overflow": "saturate", "random_bits": 28}
    check(name, beside(name, points, rng), "e4m3fn", words, **options)


def test_float32_sums_beside_values_and_ties() -> None:
    values = mf.parse("e4m3fn").values()[1:127]
    t = np.concatenate([values, (values[1:] + values[:-1]) / 2])
    for tiny in (t * 2.0**-60, t * -(2.0**-60)):
        for mode in ["nearest_even", "downward", "to_odd"]:
            options = {"rounding": mode, "overflow": "saturate"}
            check("add", [tiny, t], "e4m3fn", **options)
            for end in (0, math.inf):  # float32's neighbours of the points, with an odd last bit
                neighbour = np.nextafter(t.astype(np.float32), np.float32(end)).astype(float)
                check("add", [tiny, neighbour], "e4m3fn", **options)
            check("fma", [np.full(t.size, -2.0), t / -2, tiny], "e4m3fn", **options)
            check("faa", [t, tiny, tiny / -2], "e4m3fn", **options)


@pytest.mark.parametrize("exponents", [(-149, -148, -140, -100, -64, 0), (0, 60, 100, 126, 127)])
@pytest.mark.parametrize("fmt", ["bfloat16", "e9m3", "e4m3fn"])
def test_the_ends_of_float32(fmt: str, exponents: tuple[int, ...]) -> None:
    """At the upper end float64 is needed; so it has a call of its own."""
    sizes = [*(2.0**e for e in exponents), 1.5 * 2.0 ** exponents[-1]]
    grid = [x.ravel() for x in np.meshgrid(*[[*sizes, *(-x for x in sizes)]] * 2)]
    for mode in ["nearest_even", "upward", "downward", "to_odd"]:
        for name in ("add", "multiply", "divide", "ieee_remainder"):
            check(name, grid, fmt, rounding=mode, overflow="sat_none")
        check("fma", [*grid, grid[0][::-1]], fmt, rounding=mode, overflow="saturate_finite")


def test_signaling_nans_are_quiet() -> None:
    x = np.array([0x7FA0_0000], np.uint32).view(np.float32)
    for result in (
        arithmetic.add(x, 1.0, "e4m3fn"),
        arithmetic.exp(x, "e4m3fn"),
        p3109.compute("FMA", x, np.float64(1), x, fmt="binary64"),
    ):
        assert np.isnan(result).all()
    assert not arithmetic.less(x, np.float64(1)).any()


def test_abs_and_negate_are_names_of_others() -> None:
    assert arithmetic.abs is arithmetic.absolute
    assert arithmetic.negate is arithmetic.negative

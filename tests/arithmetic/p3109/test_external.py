"""Results in binary32, binary64, binary16 and BFloat16 against the report's projection."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest

import minifloat as mf
from minifloat.arithmetic import p3109, p3109_blocks
from tests.arithmetic.p3109.draft import (
    ALL,
    ONE,
    THREE,
    TWO,
    block_project,
    datum,
    multiply,
    project,
)
from tests.formats import p3109_report as report
from tests.formats.p3109_report import P3109Format


class ExternalFormat(NamedTuple):
    """What the report's projection reads of a format (4.14)."""

    name: str
    P: int
    B: int
    signed: bool = True
    extended: bool = True

    @property
    def max_finite(self) -> Fraction:
        return (2 - Fraction(2) ** (1 - self.P)) * Fraction(2) ** self.B

    @property
    def min_finite(self) -> Fraction:
        return -self.max_finite


SINGLE, DOUBLE = ExternalFormat("binary32", 24, 127), ExternalFormat("binary64", 53, 1023)
HALF, BRAIN = ExternalFormat("binary16", 11, 15), ExternalFormat("BFloat16", 8, 127)
DTYPES = {"binary32": np.float32, "binary64": np.float64}
SHORT = P3109Format(4, 2, True, True)
MODES = report.MODES[:6]


def check(got: np.ndarray, want: list[float], *what: object) -> None:
    wanted = np.array(want).reshape(np.shape(got))
    wide = np.asarray(got, np.float64)
    same = (wide == wanted) & (np.signbit(wide) == np.signbit(wanted + 0.0))
    same |= np.isnan(wide) & np.isnan(wanted)
    assert same.all(), (*what, wide[~same][:3], wanted[~same][:3])


@pytest.mark.parametrize(
    ("name", "f"),
    [*((name, SINGLE) for name in ALL), *((name, DOUBLE) for name in ALL), ("Add", HALF),
     ("Exp", HALF), ("Divide", BRAIN), ("Tanh", BRAIN)],
)  # fmt: skip
def test_all_operands_of_a_small_format(name: str, f: ExternalFormat) -> None:
    arity = 1 if name in ONE else 2 if name in TWO else 3
    values = [report.decode(SHORT, code) for code in range(16)][:: 1 if name not in THREE else 3]
    grid = np.meshgrid(*[np.array([float(v) for v in values])] * arity)
    columns = [x.ravel() for x in grid]
    exact = [
        ALL[name](*map(datum, row)) for row in zip(*(c.tolist() for c in columns), strict=True)
    ]
    for mode, saturation in [("NearestTiesToEven", "SatNone"), ("ToOdd", "SatFinite"),
                             ("TowardNegative", "SatPropagate")]:  # fmt: skip
        got = p3109.compute(name, *columns, fmt=f.name, rounding=mode, saturation=saturation)
        assert got.dtype == DTYPES.get(f.name, np.float64)
        check(got, [project(f, x, mode, saturation) for x in exact], name, f.name, mode)


def ends_of(f: ExternalFormat) -> list[float]:
    """Return the ends of a format, and float64 numbers beside them, beside ties and beside 0."""
    largest = float(f.max_finite)
    least = 2.0 ** (2 - f.B - f.P)
    points = [largest, least, 2.0 ** (1 - f.B), 1.0, 1 + 2.0 ** (1 - f.P)]
    points += [least / 2, 1.5 * least, 1 + 2.0**-f.P, 1 + 3 * 2.0**-f.P, 2.0**1023, 0.1]
    beside = [math.nextafter(p, end) for p in points for end in (0, math.inf)]
    tie = Fraction(2) ** (f.B + 1) - Fraction(2) ** (f.B - f.P)  # beyond the largest value
    points += [float(tie), math.nextafter(float(tie), 0)] if tie < Fraction(2) ** 1023 else []
    return [sign * x for x in [*points, *beside, math.inf, 0.0] for sign in (1, -1)] + [math.nan]


@pytest.mark.parametrize("f", [SINGLE, DOUBLE, HALF, BRAIN], ids=lambda f: f.name)
def test_conversion_rounds_and_saturates(f: ExternalFormat) -> None:
    x = np.array(ends_of(f))
    for mode in MODES:
        for saturation in ("SatNone", "SatFinite", "SatPropagate"):
            options = {"rounding": mode, "saturation": saturation}
            got = p3109.compute("Convert", x, fmt=f.name, **options, dtype=np.float64)
            check(got, [project(f, datum(v), mode, saturation) for v in x.tolist()], f, options)


@pytest.mark.parametrize("f", [SINGLE, DOUBLE], ids=lambda f: f.name)
def test_results_that_float64_does_not_hold(f: ExternalFormat) -> None:
    big, small = 2.0**1023, 2.0**-1074
    rows = [(big, big, -big), (small, 0.5, small), (0.1, 0.3, -0.03), (big, 3.0, 1.0),
            (1 + 2.0**-52, 1 + 2.0**-52, 2.0**-700), (1 / 3, 3.0, -1.0)]  # fmt: skip
    columns = [np.array(c) for c in zip(*rows, strict=True)]
    for name in ["FMA", "FAA", "Multiply", "Divide", "Subtract", "Hypot", "Sqrt", "Recip"]:
        arity = 1 if name in ONE else 2 if name in TWO else 3
        operands = columns[:arity]
        if name in ("Hypot", "Sqrt"):
            operands = [np.array([0.1, 3.0, 2.0, 1e10])] * arity  # the slow root has 200 bits
        lists = zip(*(c.tolist() for c in operands), strict=True)
        exact = [ALL[name](*map(datum, row)) for row in lists]
        for mode in MODES:
            got = p3109.compute(name, *operands, fmt=f.name, rounding=mode)
            check(got, [project(f, x, mode, "SatNone") for x in exact], name, mode)


def test_nearest_results_are_those_of_the_processor() -> None:
    rng = np.random.default_rng(0)
    x, y = (np.ldexp(rng.normal(size=300), rng.integers(-1000, 1000, 300)) for _ in range(2))
    with np.errstate(all="ignore"):
        for name, want in [("Add", x + y), ("Multiply", x * y), ("Divide", x / y)]:
            check(p3109.compute(name, x, y, fmt="binary64"), want.tolist(), name)
        singles = [v.astype(np.float32) for v in (np.frexp(x)[0], np.frexp(y)[0])]
        for name, want in [("Add", singles[0] + singles[1]), ("Divide", singles[0] / singles[1])]:
            check(p3109.compute(name, *singles, fmt="float32"), want.tolist(), name)


@pytest.mark.parametrize("mode", ["StochasticA", "StochasticB", "StochasticC"])
def test_stochastic_words(mode: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 200))
    for bits in (1, 5, 28):
        words = rng.integers(0, 2**bits, 200, dtype=np.uint32)
        options = {"random": words, "random_bits": bits, "rounding": mode}
        got = p3109.compute("Divide", x, y, fmt="binary32", **options)
        want = [
            project(SINGLE, Fraction(a) / Fraction(b), mode, "SatNone", bits, word)
            for a, b, word in zip(x.tolist(), y.tolist(), words.tolist(), strict=True)
        ]
        check(got, want, mode, bits)
    one = p3109.compute("Divide", x, y, fmt="binary32", rounding=mode, seed=3)
    assert np.array_equal(one, p3109.compute("Divide", x, y, fmt="binary32", rounding=mode, seed=3))
    assert (one != p3109.compute("Divide", x, y, fmt="binary32", rounding=mode, seed=4)).any()


def test_blocks_and_scaled_operations() -> None:
    f = P3109Format(8, 4, True, True)
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (2, 12, 5))
    first, second = (mf.decode(c.astype(np.uint8), f.name, dtype=np.float64) + 0.0 for c in codes)
    scales = np.array([0.75, 2.0**30, math.inf, 0.0, math.nan, 2.0**-60, -3.0, *[1.0] * 5])
    for target in (SINGLE, DOUBLE):
        got = p3109_blocks.block(
            "Divide", (3.0, first), (0.5, second), scale=scales, fmt=target.name
        )
        dots = p3109_blocks.dot_product((0.75, first), (2.0, second), target.name)
        sums = p3109_blocks.reduce_add((0.75, first), target.name, rounding="ToOdd")
        products = p3109_blocks.reduce_multiply((0.75, first), target.name)
        for i, (a, b) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
            x = [multiply(Fraction(3), datum(v)) for v in a]
            y = [multiply(Fraction(1, 2), datum(v)) for v in b]
            ratio = [ALL["Divide"](p, q) for p, q in zip(x, y, strict=True)]
            s = datum(float(scales[i]))
            want = [block_project(target, s, z, "NearestTiesToEven", "SatNone") for z in ratio]
            check(got.elements[i], want, i, target)
            x, y = ([multiply(Fraction(s), datum(v)) for v in w] for s, w in [("0.75", a), (2, b)])
            total, product, dot = Fraction(0), Fraction(1), Fraction(0)
            for p, q in zip(x, y, strict=True):
                total, product = ALL["Add"](total, p), multiply(product, p)
                dot = ALL["Add"](dot, multiply(p, q))
            check(sums[i], [project(target, total, "ToOdd", "SatNone")])
            check(products[i], [project(target, product, "NearestTiesToEven", "SatNone")])
            check(dots[i], [project(target, dot, "NearestTiesToEven", "SatNone")])
    got = p3109_blocks.scaled("Add", 2.0**-40, first, 1.0, second, fmt="binary32")
    assert got.dtype == np.float32
    terms = zip(first.ravel().tolist(), second.ravel().tolist(), strict=True)
    exact = [ALL["Add"](multiply(Fraction(1, 2**40), datum(a)), datum(b)) for a, b in terms]
    want = [project(SINGLE, x, "NearestTiesToEven", "SatNone") for x in exact]
    check(got, want)


def test_there_is_no_minus_zero() -> None:
    for fmt in ("binary32", "binary64", "binary16", "BFloat16", "e4m3fn"):
        got = p3109.compute("Multiply", [-0.0, -1e-200, 1.0], [1.0, 1e-200, -0.0], fmt=fmt)
        assert not got.any(), fmt
        assert not np.signbit(got).any(), fmt


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: p3109.compute("Abs", 1, fmt="binary32", dtype=np.float16), "dtype must hold the"),
        (lambda: p3109.compute("Abs", 1, fmt="binary128"), "fmt must be a known"),
        (lambda: p3109.compute("Abs", 1, fmt="binary32", rounding="StochasticA"), "seed must be"),
        (lambda: p3109.compute("Abs", 1, fmt="binary32", seed=1), "rounding must be stochastic"),
        (lambda: p3109.compute("Abs", 1, fmt="binary32", threads=0), "threads must be"),
    ],
)
def test_errors(call, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        call()


@pytest.mark.parametrize("f", [SINGLE, DOUBLE, HALF, BRAIN, *report.formats(range(3, 7))])
def test_properties_of_formats(f) -> None:
    """The table of 4.14."""
    bits = f.K if isinstance(f, P3109Format) else {24: 32, 53: 64, 11: 16, 8: 16}[f.P]
    least = Fraction(2) ** (1 - f.B - (f.P - 1 if f.P > 1 else 0))
    if isinstance(f, P3109Format):
        least = report.magnitude(f, 1)
    want = {
        "BitwidthOf": bits,
        "PrecisionOf": f.P,
        "SignednessOf": "Signed" if f.signed else "Unsigned",
        "DomainOf": "Extended" if f.extended else "Finite",
        "ExponentBitwidthOf": bits - f.P + (not f.signed),
        "TrailingSignificandBitwidthOf": f.P - 1,
        "ExponentBiasOf": f.B,
        "MaxFiniteOf": f.max_finite,
        "MinFiniteOf": f.min_finite,
        "MinPositiveOf": least,
        "MaxSubnormalOf": (2 ** (f.P - 1) - 1) * least if f.P > 1 else None,
        "MinNormalOf": Fraction(2) ** (1 - f.B) if f.P > 1 else least,
    }
    for name, value in want.items():
        got = p3109.property_of(name, f.name)
        assert got == value or (value is None and got != got), (name, f.name, got)

"""P3109's operations against the draft P3109/D1 on fractions, and the projection of its report."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from functools import reduce

import numpy as np
import pytest

import minifloat as mf
from minifloat.arithmetic import p3109, p3109_blocks, p3109_values
from tests.arithmetic.p3109.draft import (
    ALL,
    INF,
    NAN,
    ONE,
    TWO,
    X,
    add,
    block_project,
    data,
    datum,
    divide,
    finite,
    is_inf,
    is_nan,
    maximum,
    multiply,
    project,
)
from tests.formats import p3109_report as report
from tests.formats.p3109_report import P3109Format

SMALL = P3109Format(4, 2, True, True)
SCALES = P3109Format(4, 1, False, True)
FINITE = P3109Format(5, 3, True, False)
UNSIGNED = P3109Format(5, 3, False, True)
SATURATIONS = ("SatNone", "SatFinite", "SatPropagate")
MODES = report.MODES[:6]


def check(got: np.ndarray, want: list[float], *what: object) -> None:
    want_array = np.array(want).reshape(np.shape(got))
    same = (got == want_array) | np.isnan(got) & np.isnan(want_array)
    assert same.all(), (*what, np.argwhere(~same)[:5], got[~same][:5], want_array[~same][:5])


def operands(arity: int) -> list[tuple[X, ...]]:
    grids = [data(SMALL), data(SCALES), data(SMALL)[::3]][:arity]
    return list(itertools.product(*grids))


def test_every_name_of_the_draft() -> None:
    assert set(p3109.OPERATIONS) == set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_all_operands(name: str) -> None:
    arity = 1 if name in ONE else 2 if name in TWO else 3
    rows = operands(arity)
    columns = [np.array([float(x) for x in column]) for column in zip(*rows, strict=True)]
    exact = [ALL[name](*row) for row in rows]
    for f, mode, saturation in [
        (SMALL, "NearestTiesToEven", "SatNone"), (FINITE, "ToOdd", "SatFinite"),
        (UNSIGNED, "TowardPositive", "SatPropagate"), (FINITE, "TowardNegative", "SatNone"),
    ]:  # fmt: skip
        got = p3109.compute(name, *columns, fmt=f.name, rounding=mode, saturation=saturation)
        check(got, [project(f, x, mode, saturation) for x in exact], name, f.name, mode, saturation)


@pytest.mark.parametrize("mode", ["StochasticA", "StochasticB", "StochasticC"])
def test_stochastic_words(mode: str) -> None:
    rows = operands(2)
    x, y = (np.array([float(v) for v in column]) for column in zip(*rows, strict=True))
    words = np.arange(len(rows), dtype=np.uint32) % 8
    got = p3109.compute("Divide", x, y, fmt=FINITE.name, rounding=mode, random=words, random_bits=3)
    want = [
        project(FINITE, divide(*row), mode, "SatNone", 3, int(word))
        for row, word in zip(rows, words, strict=True)
    ]
    check(got, want, mode)


@pytest.mark.parametrize("name", ALL)
def test_blocks(name: str) -> None:
    """Elementwise operations on blocks of all values, with all scales of operands and results."""
    arity = 1 if name in ONE else 2 if name in TWO else 3
    small, scales = data(SMALL), [*data(UNSIGNED)[::5], Fraction(3), INF, NAN]
    blocks = [np.array([float(x) for x in small[i:] + small[:i]]) for i in range(arity)]
    operand_scales = [Fraction(1, 2), Fraction(3), Fraction(2)][:arity]
    terms = zip(*(x.tolist() for x in blocks), strict=True)
    exact = [
        ALL[name](*(multiply(s, datum(x)) for s, x in zip(operand_scales, row, strict=True)))
        for row in terms
    ]
    pairs = [(float(s), x) for s, x in zip(operand_scales, blocks, strict=True)]
    for f, mode, saturation in [
        (SMALL, "NearestTiesToEven", "SatNone"), (FINITE, "TowardNegative", "SatFinite"),
    ]:  # fmt: skip
        for scale in scales:
            result = p3109_blocks.block(
                name, *pairs, scale=float(scale), fmt=f.name, rounding=mode, saturation=saturation
            )
            want = [block_project(f, scale, z, mode, saturation) for z in exact]
            check(result.elements, want, name, f.name, scale)


def random_blocks(f: P3109Format, count: int, size: int, seed: int) -> list[list[X]]:
    rng = np.random.default_rng(seed)
    usual = [x for x in data(f) if not is_nan(x) and not is_inf(x)]
    rows = [[usual[i] for i in rng.integers(len(usual), size=size)] for _ in range(count)]
    rows[0][1], rows[1][1], rows[2][:2] = INF, NAN, [INF, Fraction(0)]
    return rows


def floats(rows: list[list[X]]) -> np.ndarray:
    return np.array([[float(x) for x in row] for row in rows])


def test_reductions_and_dot_products() -> None:
    f = P3109Format(8, 3, True, True)
    first, second = random_blocks(f, 30, 5, 1), random_blocks(f, 30, 5, 2)
    scale = [Fraction(3, 4)] * 20 + [Fraction(2**20)] * 10
    x = [[multiply(s, v) for v in row] for s, row in zip(scale, first, strict=True)]
    y = [[multiply(s, v) for v in row] for s, row in zip(scale, second, strict=True)]
    sums = [reduce(add, row, Fraction(0)) for row in x]
    products = [reduce(multiply, row, Fraction(1)) for row in x]
    dots = [reduce(add, map(multiply, a, b), Fraction(0)) for a, b in zip(x, y, strict=True)]
    a = np.array([float(s) for s in scale]), floats(first)
    b = np.array([float(s) for s in scale]), floats(second)
    for mode in MODES:
        options = {"rounding": mode, "saturation": "SatNone"}
        for got, exact in [
            (p3109_blocks.reduce_add(a, f.name, **options), sums),
            (p3109_blocks.reduce_multiply(a, f.name, **options), products),
            (p3109_blocks.dot_product(a, b, f.name, **options), dots),
        ]:
            check(got, [project(f, v, mode, "SatNone") for v in exact], mode)


@pytest.mark.parametrize("mode", ["NearestTiesToEven", "TowardPositive", "TowardNegative", "ToOdd"])
def test_products_longer_than_float64(mode: str) -> None:
    """Float32 scales times elements of 7 bits: the products' lost bits decide near cancellation."""
    rng = np.random.default_rng(0)
    f = P3109Format(8, 3, True, True)
    scales = (1 + rng.integers(1, 2**23, (2, 40)) * 2.0**-23).astype(np.float32).astype(float)
    terms = rng.integers(64, 128, (40, 3)).astype(float)  # 7 bits
    terms[:, 1] = np.minimum(terms[:, 1], terms[:, 0] - 1)
    terms[:, 2] = terms[:, 0] - terms[:, 1] + rng.integers(-1, 2, 40)
    second = np.broadcast_to([1.0, -1.0, -1.0], terms.shape)  # the sum is -1, 0 or 1, exactly
    got = p3109_blocks.dot_product(
        (scales[0], terms), (scales[1], second), f.name, rounding=mode, saturation="SatNone"
    )
    exact = [
        Fraction(x - y - z) * Fraction(s) * Fraction(t)
        for (x, y, z), s, t in zip(terms.tolist(), *scales.tolist(), strict=True)
    ]
    check(got, [project(f, x, mode, "SatNone") for x in exact], mode)


def test_ieee_data() -> None:
    """ConvertFromIEEE754 and ConvertToIEEE754: Convert from float16, and from a value to it."""
    f = P3109Format(8, 4, True, True)
    x = np.arange(0, 2**16, 23, dtype=np.uint16).view(np.float16)
    for mode in ("NearestTiesToEven", "TowardPositive"):
        got = p3109.compute("Convert", x, fmt=f.name, rounding=mode)
        check(got, [project(f, datum(v), mode, "SatNone") for v in x.tolist()], mode)
        assert not np.signbit(got[got == 0]).any()
    wide = np.array([float(v) for v in data(P3109Format(8, 2, True, True))])  # exponents of 6 bits
    near = p3109.compute("Convert", wide, fmt="float16")
    with np.errstate(over="ignore"):
        assert np.array_equal(near, wide.astype(np.float16), equal_nan=True)


def test_conversions() -> None:
    f, g = P3109Format(8, 4, True, True), P3109Format(8, 1, False, False)
    rows = [*random_blocks(f, 20, 4, 3), [NAN] * 4, [INF, NAN, -INF, INF], [Fraction(0)] * 4]
    up = {"rounding": "TowardPositive", "saturation": "SatFinite"}
    scale, elements = p3109_blocks.convert_to_block_max_abs_finite(
        floats(rows), g.name, SMALL.name, scale_projection=up
    )
    for i, row in enumerate(rows):
        largest = reduce(finite(maximum), [abs(x) for x in row], NAN)
        want = project(g, largest, "TowardPositive", "SatFinite")
        check(scale[i], [want], row)
        exact = datum(want)
        check(
            elements[i],
            [block_project(SMALL, exact, x, "NearestTiesToEven", "SatNone") for x in row],
            row,
        )
    back = p3109_blocks.convert_from_block((scale, elements), f.name)
    for i, row in enumerate(elements.tolist()):
        check(
            back[i],
            [
                project(f, multiply(datum(scale[i]), datum(x)), "NearestTiesToEven", "SatNone")
                for x in row
            ],
        )


def test_packed_weights_are_blocks() -> None:
    rng = np.random.default_rng(0)
    w, v = rng.normal(size=(2, 3, 64)).astype(np.float32)
    a, b = mf.quantize(w, "mxfp4"), mf.quantize(v, "nvfp4", block=32)
    got = p3109_blocks.dot_product(a, b, "binary8p4se")
    exact = np.asarray(a).astype(float) * np.asarray(b).astype(float)
    sums = [[sum(map(Fraction, part)) for part in row.reshape(2, 32).tolist()] for row in exact]
    want = [
        project(P3109Format(8, 4, True, True), x, "NearestTiesToEven", "SatNone")
        for r in sums
        for x in r
    ]
    check(got, want)


def test_scaled() -> None:
    f = P3109Format(8, 4, True, True)
    values = [float(x) for x in data(f)[::7]]
    x, y = np.meshgrid(values, values)
    got = p3109_blocks.scaled("Add", 2.0**5, x, 2.0**-3, y, fmt=f.name)
    want = [
        project(f, add(multiply(Fraction(32), datum(a)), multiply(Fraction(1, 8), datum(b))),
                "NearestTiesToEven", "SatNone")
        for a, b in zip(x.ravel().tolist(), y.ravel().tolist(), strict=True)
    ]  # fmt: skip
    check(got, want)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: p3109.compute("Plus", 1, fmt="e4m3fn"), "name must be one of Convert"),
        (lambda: p3109.compute("Add", 1, fmt="e4m3fn"), "operands must be 2 for Add, got 1"),
        (lambda: p3109.compute("Abs", 1, fmt="e5m2", rounding="up"), "rounding must be one of"),
        (lambda: p3109_blocks.block("Abs", (1, [2]), scale=1, fmt="nf4"), "fmt must be no"),
        (lambda: p3109_blocks.reduce_add((1.1, [1.1]), "e4m3fn"), "scale times element must"),
        (lambda: p3109_blocks.reduce_add(([1, 1], [1]), "e4m3fn"), "scale must have the shape"),
        (lambda: p3109_blocks.convert_to_block([1], 0.1, "e4m3fn"), "scale must have at most 47"),
    ],
)
def test_errors(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        call()


def test_comparisons_and_classes() -> None:
    rows = list(itertools.product(data(SMALL), data(UNSIGNED)))
    x, y = (np.array([float(v) for v in column]) for column in zip(*rows, strict=True))
    for name, want in [
        ("CompareLess", [a < b for a, b in rows]),
        ("CompareLessEqual", [a <= b for a, b in rows]),
        ("CompareEqual", [a == b for a, b in rows]),
        ("CompareGreaterEqual", [a >= b for a, b in rows]),
        ("CompareGreater", [a > b for a, b in rows]),
        ("TotalOrder", [True if is_nan(a) else False if is_nan(b) else a <= b for a, b in rows]),
    ]:
        assert p3109_values.compare(name, x, y).tolist() == want, name
    assert p3109_values.holds("IsOne", [1.0, NAN, 2.0]).tolist() == [True, False, False]


@pytest.mark.parametrize("f", [SMALL, SCALES, FINITE, UNSIGNED])
def test_neighbours_and_classes(f: P3109Format) -> None:
    numbers = sorted(x for x in data(f) if not is_nan(x))
    x = np.array([float(v) for v in numbers])
    up = p3109_values.next_greater_than(x, f.name)
    check(up, [*(float(v) for v in numbers[1:]), NAN])
    check(p3109_values.next_less_than(x, f.name), [NAN, *(float(v) for v in numbers[:-1])])
    assert np.isnan(p3109_values.next_less_than(NAN, f.name))
    normal = Fraction(2) ** (1 - f.B)
    classes = p3109_values.classify(x, f.name)
    for number, name in zip(numbers, classes.tolist(), strict=True):
        side = "Negative" if number < 0 else "Positive"
        kind = "Infinity" if is_inf(number) else "Normal" if abs(number) >= normal else "Subnormal"
        assert name == ("ClsZero" if number == 0 else f"Cls{side}{kind}")
    with pytest.raises(ValueError, match="x must hold values of"):
        p3109_values.classify(0.3, f.name)

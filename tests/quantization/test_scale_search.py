"""Searches for a scale: least squares against brute force, shrinking, percentiles."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import minifloat as mf
from minifloat._kernels import scale_search as kernels
from minifloat.testing import exact_encode

FORMATS = ("e2m1", "e2m2", "int3", "int4full", "nf4", "e3m0", "bipolar_int2", "e2m1fnuz", "mine")
MINE = mf.Codebook([-2.0, -0.75, 0.5, 3.0], "mine")  # neither symmetric nor with a zero


def parse(fmt: str) -> mf.NumberFormat:
    return MINE if fmt == "mine" else mf.parse(fmt)


def values_of(fmt: mf.NumberFormat) -> list[Fraction]:
    return sorted({Fraction(v) for v in fmt.values().tolist() if math.isfinite(v)})


def exact_error(
    w: np.ndarray, scale: Fraction, fmt: mf.NumberFormat, importance: np.ndarray
) -> Fraction:
    """Return the squared error of nearest values at a scale."""
    total = Fraction(0)
    for x, h in zip(w, importance, strict=True):
        exact = Fraction(float(x))
        rest = min(abs(exact - v * scale) for v in values_of(fmt))
        total += Fraction(float(h)) * rest * rest
    return total


def least_error(w: np.ndarray, fmt: mf.NumberFormat, importance: np.ndarray) -> Fraction:
    """Return the least squared error of all scales above 0, by the breakpoints, in fractions.

    Between two breakpoints the nearest codes stay, and their best scale is sum w v / sum v**2.
    """
    values = values_of(fmt)
    middles = [(a + b) / 2 for a, b in itertools.pairwise(values)]
    exact = [Fraction(float(x)) for x in w]
    breaks = sorted({x / m for x in exact for m in middles if m and x / m > 0})
    if not breaks:
        breaks = [Fraction(1)]
    inside = [breaks[0] / 2, *((a + b) / 2 for a, b in itertools.pairwise(breaks)), breaks[-1] * 2]
    least = exact_error(w, Fraction(10) ** 9, fmt, importance)
    for s in inside:
        nearest = [min(values, key=lambda v, x=x: abs(x - v * s)) for x in exact]
        weights = [Fraction(float(h)) for h in importance]
        product = sum(h * x * v for h, x, v in zip(weights, exact, nearest, strict=True))
        square = sum(h * v * v for h, v in zip(weights, nearest, strict=True))
        best = product / square if square and product > 0 else s
        least = min(least, exact_error(w, best, fmt, importance))
    return least


blocks = st.lists(
    st.one_of(st.integers(-8, 8).map(float), st.floats(-4, 4, width=32), st.just(0.0)),
    min_size=1,
    max_size=6,
)


@settings(max_examples=120, deadline=None)
@given(data=st.data(), block=blocks, name=st.sampled_from(FORMATS))
def test_least_squares_are_the_least(data: st.DataObject, block: list[float], name: str) -> None:
    w, fmt = np.float32(block), parse(name)
    factors = st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=len(w), max_size=len(w))
    given_importance = data.draw(st.one_of(st.none(), factors))
    importance = np.ones(len(w)) if given_importance is None else np.float64(given_importance)
    q = mf.quantize(w, fmt, scale="float32", search="mse", importance=given_importance)
    error = exact_error(w, Fraction(float(q.scales[0])), fmt, importance)
    least = least_error(w, fmt, importance)
    size = sum(
        Fraction(float(h)) * Fraction(float(x)) ** 2 for x, h in zip(w, importance, strict=True)
    )
    # a float32 scale is off by 2**-24, which costs s**2 * sum v**2 * 2**-48
    slack = Fraction(2) ** -45 * (size + least) + Fraction(2) ** -280
    if (w * importance).any():  # if only zeros count, ever smaller scales may be better
        assert error <= least + slack
    absmax = Fraction(float(mf.quantize(w, fmt, scale="float32").scales[0]))
    assert error <= exact_error(w, absmax, fmt, importance) + Fraction(2) ** -50 * size


def shifted(bits: int, zero: int) -> mf.Codebook:
    """Return the values of an unsigned integer's codes with a zero point."""
    return mf.Codebook([code - zero for code in range(1 << bits)])


@settings(max_examples=60, deadline=None)
@given(data=st.data(), block=blocks, bits=st.integers(1, 3))
def test_of_all_zero_points_the_best_is_found(
    data: st.DataObject, block: list[float], bits: int
) -> None:
    w, factors = np.float32(block), st.sampled_from([0.0, 0.5, 1.0, 3.0])
    importance = np.float64(data.draw(st.lists(factors, min_size=len(w), max_size=len(w))))
    options: dict[str, Any] = {"scale": "float32", "zero_point": True}
    q = mf.quantize(w, f"uint{bits}", search="mse", importance=importance, **options)
    absmax = mf.quantize(w, f"uint{bits}", **options)

    def error(q: mf.Quantized) -> Fraction:
        assert q.zero_points is not None
        zero, scale = int(q.zero_points[0]), Fraction(float(q.scales[0]))
        return exact_error(w, scale, shifted(bits, zero), importance)

    size = sum(Fraction(float(x)) ** 2 for x in w * importance)
    least = min(least_error(w, shifted(bits, zero), importance) for zero in range(1 << bits))
    if (w * importance).any():
        assert error(q) <= least + Fraction(2) ** -44 * (size + least) + Fraction(2) ** -280
    assert error(q) <= error(absmax) + Fraction(2) ** -50 * size


@pytest.mark.parametrize("options", [
    {"scale": "e8m0"}, {"scale": "e3m2"}, {"scale": "e4m3fn", "tensor_scale": True}
], ids=str)  # fmt: skip
def test_of_all_pairs_of_scale_and_zero_point_the_best_is_found(options: dict[str, Any]) -> None:
    rng, another_is_worse = np.random.default_rng(14), False
    for seed in range(10):
        w = (rng.standard_normal(6) + seed / 5).astype(np.float32)
        q = mf.quantize(w, "uint2", zero_point=True, search="mse", **options)
        assert q.zero_points is not None
        values = mf.parse(options["scale"]).values()
        values = values[np.isfinite(values) & (values > 0)]
        factor, ones = Fraction(q.tensor_scale or 1.0), np.ones(6)
        size = Fraction(float(np.abs(w).max()))
        near = [s for s in map(Fraction, values.tolist()) if size / 100 < s * factor < size * 100]
        least = min(
            exact_error(w, s * factor, shifted(2, zero), ones) for zero in range(4) for s in near
        )
        scale, zero = Fraction(float(q.scales[0])), int(q.zero_points[0])
        assert float(scale) in values
        error = exact_error(w, scale * factor, shifted(2, zero), ones)
        assert error <= least * (1 + Fraction(2) ** -40)
        another_is_worse |= exact_error(w, scale * factor, shifted(2, (zero + 1) % 4), ones) > error
    assert another_is_worse


@pytest.mark.parametrize("factor", [0.999, 1.001, 2.0])
@pytest.mark.parametrize("name", ["e2m2", "int4full", "nf4"])
def test_the_brute_force_rejects_other_scales(name: str, factor: float) -> None:
    """A scale a little off, that of absmax and that of another importance have larger errors."""
    w, fmt = np.random.default_rng(8).standard_normal(24).astype(np.float32), parse(name)
    ones = np.ones(w.size)
    least = least_error(w, fmt, ones)
    scale = Fraction(float(mf.quantize(w, fmt, scale="float32", search="mse").scales[0]))
    slack = least * Fraction(2) ** -20
    assert exact_error(w, scale, fmt, ones) <= least + slack
    assert exact_error(w, scale * Fraction(factor), fmt, ones) > least + slack
    absmax = Fraction(float(mf.quantize(w, fmt, scale="float32").scales[0]))
    assert exact_error(w, absmax, fmt, ones) > least + slack
    weighed = mf.quantize(w, fmt, scale="float32", search="mse", importance=np.arange(24.0))
    assert exact_error(w, Fraction(float(weighed.scales[0])), fmt, ones) > least + slack


@example(block=[0.00390625], name="e2m1", scale="ue4m4_nosub", tensor=False, powers=True)
@settings(max_examples=100, deadline=None)
@given(
    block=blocks,
    name=st.sampled_from(FORMATS),
    scale=st.sampled_from(["e8m0", "e4m3fn", "e3m2", "e5m2", "ue4m4_nosub", "e4m3fnuz"]),
    tensor=st.booleans(),
    powers=st.booleans(),
)
def test_of_a_scale_format_all_values_are_tried(
    block: list[float], name: str, scale: str, tensor: bool, powers: bool
) -> None:
    w, fmt = np.float32(block), parse(name)
    options: dict[str, Any] = {"scale": scale, "tensor_scale": tensor}
    if powers:
        options["scale_rounding"] = "up"
    q = mf.quantize(w, fmt, search="mse", **options)
    values = mf.parse(scale).values()
    values = values[np.isfinite(values) & (values > 0)]
    if powers:
        values = values[np.frexp(values)[0] == 0.5]
    if not w.any():
        return
    factor = Fraction(1 if q.tensor_scale is None else q.tensor_scale)
    ones = np.ones(len(w))
    least = min(exact_error(w, s * factor, fmt, ones) for s in map(Fraction, values.tolist()))
    error = exact_error(w, Fraction(float(q.scales[0])) * factor, fmt, ones)
    assert float(q.scales[0]) in values
    assert error <= least * (1 + Fraction(2) ** -40) + Fraction(2) ** -60


@pytest.mark.parametrize("fmt", ["e2m2", "int5", "e2m1", "nf4", "e4m3fn", "int8", "e3m2"])
def test_a_grid_of_scales_finds_nothing_better(fmt: str) -> None:
    w = np.random.default_rng(3).standard_normal((4, 64)).astype(np.float32)
    w[1] *= np.float32(1e-30)
    w[2] = np.round(w[2] * 2)
    w[3, 0] = 40
    q = mf.quantize(w, fmt, block=32, scale="float32", search="mse")
    absmax = mf.quantize(w, fmt, block=32, scale="float32")
    largest = mf.parse(fmt).max
    for row, k in np.ndindex(4, 2):
        block = w[row, 32 * k : 32 * k + 32].astype(np.float64)

        def error(s: float, block: np.ndarray = block) -> float:
            rest = block - mf.round_to(block / s, fmt, dtype=np.float64) * s
            return float(np.square(rest).sum())

        ours = error(float(q.scales[row, k]))
        start = np.abs(block).max() / largest
        grid = min(error(start * f) for f in np.geomspace(0.3, 8, 500))
        assert ours <= grid * (1 + 1e-12)
        assert ours <= error(float(absmax.scales[row, k]))


def squared_errors(w: np.ndarray, q: mf.Quantized, size: int) -> np.ndarray:
    """Return each block's squared error, of exact products in float64."""
    values = mf.decode(q.codes, q.fmt, dtype=np.float64)
    scales = np.repeat(q.scales.astype(np.float64), size, axis=1)[:, : w.shape[1]]
    rest = np.square(w - values * scales * (q.tensor_scale or 1.0))
    return np.add.reduceat(rest, np.arange(0, w.shape[1], size), axis=1)


@pytest.mark.parametrize("search", ["mse", "shrink"])
@pytest.mark.parametrize("name", ["e2m1", "e2m2", "e4m3fn", "int4", "int4full", "nf4", "int8"])
def test_zeros_in_a_block_do_not_change_its_scale(name: str, search: str) -> None:
    """Few weights, and few levels, are looked up in another way than many."""
    w = np.random.default_rng(8).standard_normal((400, 5)).astype(np.float32)
    w[::3] = np.rint(2 * w[::3])
    longer = np.zeros((400, 19), np.float32)
    longer[:, 3::3][:, :5] = w
    for scale in ("float16", "e8m0"):
        options: dict[str, Any] = {"block": "channel", "scale": scale, "search": search}
        want, got = mf.quantize(w, name, **options), mf.quantize(longer, name, **options)
        np.testing.assert_array_equal(got.scales, want.scales)


@pytest.mark.parametrize("name", ["mxfp4", "mxfp8e4m3", "mxint8", "nvfp4", "nvint4", "nf4"])
def test_least_squares_are_never_worse_than_absmax(name: str) -> None:
    w = np.random.default_rng(4).standard_normal((16, 200)).astype(np.float32)
    size = mf.RECIPES[name].block
    assert isinstance(size, int)
    absmax = squared_errors(w, mf.quantize(w, name), size)
    mse = squared_errors(w, mf.quantize(w, name, search="mse"), size)
    assert (mse <= absmax).all()
    assert (mse < absmax).any()


def test_the_bias_moves_nothing_under_a_free_scale() -> None:
    w = np.random.default_rng(5).standard_normal((8, 256)).astype(np.float32)
    one = mf.quantize(w, "e2m2", scale="float32", search="mse")
    for bias in (-3, 0, 5):
        fmt = mf.Format(2, 2, bias=bias)
        other = mf.quantize(w, fmt, scale="float32", search="mse")
        np.testing.assert_array_equal(other.codes, one.codes)
        np.testing.assert_array_equal(other.dequantize(), one.dequantize())
        np.testing.assert_array_equal(other.scales, one.scales * 2.0 ** (bias - 1))


@pytest.mark.parametrize("search", ["absmax", "mse", "shrink", "percentile"])
def test_one_exponent_bit_makes_integers(search: str) -> None:
    """E1My has the values of symmetric integers of y + 2 bits, and nothing else."""
    w = np.random.default_rng(6).standard_normal((8, 256)).astype(np.float32)
    for m in (1, 2, 3, 5):
        one = mf.quantize(w, mf.Format(1, m), scale="float32", search=search)
        other = mf.quantize(w, mf.Integer(m + 2), scale="float32", search=search)
        np.testing.assert_array_equal(one.dequantize(), other.dequantize())


def llm_fp4(x: np.ndarray, exponent_bits: int, m: int, bias: np.ndarray) -> np.ndarray:
    """Round as LLM-FP4 does, with a real-valued bias in place of a scale."""
    largest = (2 - 2.0**-m) * 2 ** (2**exponent_bits - 1 - bias)
    x = np.clip(x, -largest, largest)
    with np.errstate(divide="ignore"):
        exponent = np.floor(np.log2(np.abs(x)) + bias)
    step = 2.0 ** (np.maximum(1, exponent) - m - bias)
    return np.rint(x / step) * step


@pytest.mark.parametrize(("exponent_bits", "m"), [(2, 1), (2, 2), (3, 2), (1, 3)])
def test_a_real_valued_bias_is_a_free_scale(exponent_bits: int, m: int) -> None:
    """With bias b the grid is that of bias 0 times 2**-b."""
    w = np.random.default_rng(7).standard_normal((8, 100))
    fmt = mf.Format(exponent_bits, m, bias=0)
    q = mf.quantize(w, fmt, scale="float32", block="channel", search="mse")
    bias = -np.log2(q.scales.astype(np.float64))
    np.testing.assert_allclose(llm_fp4(w, exponent_bits, m, bias), q.dequantize(), rtol=1e-6)
    # its start, the bias at which the largest magnitude is the largest value, is absmax
    start = 2**exponent_bits - np.log2(np.abs(w).max(1, keepdims=True)) + np.log2(2 - 2.0**-m) - 1
    q = mf.quantize(w, fmt, scale="float32", block="channel")
    np.testing.assert_allclose(2.0**-start, q.scales, rtol=1e-6)


def test_search_format() -> None:
    rng = np.random.default_rng(8)
    gauss = rng.standard_normal(4096)
    heavy = rng.standard_t(2, 4096)
    flat = rng.uniform(-1, 1, 4096)
    options: dict[str, Any] = {"scale": "float32", "search": "mse"}
    assert mf.search_format(flat, 5, **options).fmt.name == "e1m3"
    assert mf.search_format(gauss, 5, **options).fmt.name == "e2m2"
    assert mf.search_format(heavy, 5, block="channel", **options).fmt.name in ("e3m1", "e4m0")
    best = mf.search_format(gauss, 4, **options)
    every = [mf.quantize(gauss, mf.Format(e, 3 - e), **options) for e in (1, 2, 3)]
    errors = [float(np.square(gauss - q.dequantize()).sum()) for q in every]
    assert best.fmt == every[int(np.argmin(errors))].fmt
    for bits in (2, 9):
        with pytest.raises(ValueError, match=r"bits must be in 3\.\.8"):
            mf.search_format(gauss, bits)
    with pytest.raises(TypeError, match="options must not have fmt, which is searched, got 'int4'"):
        mf.search_format(gauss, 4, fmt="int4")


def shrunk_scale(block: np.ndarray, fmt: str, steps: int = 80, power: float = 2.4) -> np.float32:
    """Return GPTQ's choice, in the words of its loop."""
    least, best = math.inf, np.float32(0)
    for i in range(steps):
        p = 1 - i / 100
        scale = np.float32(p * np.abs(block).max() / mf.parse(fmt).max)
        rest = np.abs(block - mf.round_to(block / np.float64(scale), fmt) * np.float64(scale))
        error = float((rest**power).sum())
        if error < least:
            least, best = error, scale
    return best


def test_shrinking() -> None:
    w = np.random.default_rng(9).standard_normal((6, 100))
    for fmt in ("e2m2b0", "int4"):
        q = mf.quantize(w, fmt, block=50, scale="float32", search="shrink")
        expected = [[shrunk_scale(b, fmt) for b in np.split(row, 2)] for row in w]
        np.testing.assert_array_equal(q.scales, expected)
        assert (q.scales < mf.quantize(w, fmt, block=50, scale="float32").scales).any()
        wrong = [[shrunk_scale(b, fmt, power=1.5) for b in np.split(row, 2)] for row in w]
        assert (q.scales != np.float32(wrong)).any()
    last = mf.quantize([1.0] + [0.21] * 100_000, "bipolar_int1", block="channel", search="shrink",
                       scale="float32")  # fmt: skip
    assert last.scales[0] == np.float32(0.21), "at most 79 hundredths are taken off"


def test_percentiles() -> None:
    w = np.random.default_rng(10).standard_normal((4, 7, 30))
    for percentile in (0, 50, 97.5, 100):
        q = mf.quantize(
            w, "int4", block=10, scale="float32", search="percentile", percentile=percentile
        )
        magnitudes = np.abs(w).reshape(4, 7, 3, 10)
        expected = np.percentile(magnitudes, percentile, axis=-1) / 7
        np.testing.assert_array_equal(q.scales, expected.astype(np.float32))
    w = np.zeros(100)
    w[3] = -5
    q = mf.quantize(w, "int4", scale="float32", search="percentile", percentile=90)
    assert q.dequantize()[3] == -5, "a percentile of 0 does not make a scale"
    for bad in (-1, 100.5, math.nan):
        with pytest.raises(ValueError, match=r"percentile must be in 0\.\.100"):
            mf.quantize(w, "int4", search="percentile", percentile=bad)


def test_importance_is_checked() -> None:
    w = np.ones((3, 4))
    for bad, message in (
        (-1.0, "importance must be finite and at least 0"),
        (math.inf, "importance must be finite and at least 0"),
        (np.ones(3), r"importance must broadcast to the shape of w, \(3, 4\), got \(3,\)"),
        ([[1.0], [1.0, 2.0]], "importance must be an array"),
        ("1", "importance must be float16, .* or integers, got str"),
        (1j, "importance must be float16, .* or integers, got complex128"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            mf.quantize(w, "e2m1", search="mse", importance=bad)
    with pytest.raises(ValueError, match='importance must come with search="mse"'):
        mf.quantize(w, "e2m1", importance=w)


def test_importance_is_that_of_each_weight() -> None:
    rng = np.random.default_rng(11)
    w, importance = rng.standard_normal((5, 6, 40)), rng.exponential(size=(6, 1))
    for axis, block in ((0, 4), (1, 4), (2, 4), (-1, "tensor"), (-1, (2, 4))):
        one = mf.quantize(w, "e2m1", axis=axis, block=block, search="mse", importance=importance)
        full = np.broadcast_to(importance, w.shape).copy()
        other = mf.quantize(w, "e2m1", axis=axis, block=block, search="mse", importance=full)
        np.testing.assert_array_equal(one.scales, other.scales)
        plain = mf.quantize(w, "e2m1", axis=axis, block=block, search="mse")
        assert (one.scales != plain.scales).any() or block == "tensor" or axis == 2


def test_large_blocks_are_searched_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    w = np.random.default_rng(12).standard_normal(3000)
    w[:500] = 1.0
    whole = mf.quantize(w, "e2m2", block="tensor", scale="float32", search="mse")
    monkeypatch.setattr("minifloat.quantization.scale_search.SCRATCH_STEPS", 1)
    parts = mf.quantize(w, "e2m2", block="tensor", scale="float32", search="mse")
    assert parts.scales == whole.scales
    same = mf.quantize(
        np.repeat(w[:1], 3000), "int8", block="tensor", scale="float32", search="mse"
    )
    assert same.dequantize()[0] == np.float32(1)


@pytest.mark.parametrize("search", ["absmax", "mse", "shrink", "percentile", "absmean"])
@pytest.mark.parametrize("fmt", ["e2m2", "nf4", "uint3"])
def test_a_tile_has_the_scale_of_its_weights_in_a_row(fmt: str, search: str) -> None:
    rng = np.random.default_rng(15)
    w, importance = rng.standard_normal((2, 5, 13)), rng.exponential(size=(2, 5, 13))
    options: dict[str, Any] = {"search": search, "scale": "float32", "zero_point": fmt == "uint3"}
    weighed = search == "mse"
    if search == "absmean" and fmt == "uint3":
        return
    tiled = mf.quantize(
        w, mf.parse(fmt), block="3x4", importance=importance if weighed else None, **options
    )
    assert tiled.scales.shape == (2, 2, 4)
    for m, i, j in np.ndindex(2, 2, 4):
        tile = np.index_exp[m, 3 * i : 3 * i + 3, 4 * j : 4 * j + 4]
        flat = mf.quantize(
            w[tile].reshape(-1), mf.parse(fmt), block="channel",
            importance=importance[tile].reshape(-1) if weighed else None, **options,
        )  # fmt: skip
        assert tiled.scales[m, i, j] == flat.scales[0]
        np.testing.assert_array_equal(tiled.codes[tile].reshape(-1), flat.codes)
        if tiled.zero_points is not None and flat.zero_points is not None:
            assert tiled.zero_points[m, i, j] == flat.zero_points[0]


def test_threads_change_nothing() -> None:
    w = np.random.default_rng(13).standard_normal((300, 1000)).astype(np.float32)
    for options in ({}, {"search": "mse"}, {"search": "shrink"}, {"scale": "e4m3fn"}):
        one = mf.quantize(w, "e2m2", **options)
        other = mf.quantize(w, "e2m2", threads=2, **options)
        np.testing.assert_array_equal(one.scales, other.scales)
        np.testing.assert_array_equal(one.packed, other.packed)


@settings(max_examples=200, deadline=None)
@given(
    w=st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=1, max_size=40),
    search=st.sampled_from(["mse", "shrink", "percentile", "absmean"]),
    scale=st.sampled_from(["float32", "bfloat16"]),
    fmt=st.sampled_from(FORMATS),
    size=st.integers(1, 9),
)
def test_any_block(w: list[float], search: str, scale: str, fmt: str, size: int) -> None:
    q = mf.quantize(np.float32(w), parse(fmt), block=size, scale=scale, search=search)
    groups = [w[i : i + size] for i in range(0, len(w), size)]
    assert [s > 0 for s in q.scales] == [any(group) for group in groups]
    assert np.isfinite(q.scales).all()
    for i, (x, code) in enumerate(zip(w, q.codes, strict=True)):
        s = Fraction(float(q.scales[i // size]))
        if s and x:
            assert int(code) == exact_encode(Fraction(x) / s, parse(fmt))


@pytest.mark.parametrize("count", [1, 2, 5, 100, 5000])
def test_steps_are_sorted(count: int) -> None:
    rng = np.random.default_rng(count)
    for keys in (
        rng.exponential(size=count),
        np.exp(50 * rng.standard_normal(count)),
        np.repeat(rng.exponential(), count),
        np.where(rng.random(count) < 0.9, 1 + 1e-12 * rng.random(count), 1e9),
    ):
        places = np.arange(count)
        scratch = kernels.Scratch(
            keys, places, np.empty(count), np.empty(count, np.int64), np.empty(count, np.int64)
        )
        kernels.sort_steps(count, scratch)
        np.testing.assert_array_equal(scratch.sorted_keys, np.sort(keys))
        np.testing.assert_array_equal(keys[scratch.sorted_places], scratch.sorted_keys)

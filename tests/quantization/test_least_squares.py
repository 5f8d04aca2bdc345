"""The rules that search for a scale: least squares against brute force, shrinking, percentiles."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minifloat as mf
from minifloat._kernels import scales as kernels
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
@given(data=st.data(), block=blocks, fmt=st.sampled_from(FORMATS))
def test_least_squares_are_the_least(data: st.DataObject, block: list[float], fmt: str) -> None:
    w, found = np.float32(block), parse(fmt)
    factors = st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=len(w), max_size=len(w))
    given_importance = data.draw(st.one_of(st.none(), factors))
    importance = np.ones(len(w)) if given_importance is None else np.float64(given_importance)
    q = mf.quantize(w, found, scale="float32", rule="mse", importance=given_importance)
    error = exact_error(w, Fraction(float(q.scales[0])), found, importance)
    least = least_error(w, found, importance)
    size = sum(
        Fraction(float(h)) * Fraction(float(x)) ** 2 for x, h in zip(w, importance, strict=True)
    )
    # a float32 scale is off by 2**-24, which costs s**2 * sum v**2 * 2**-48
    slack = Fraction(2) ** -45 * (size + least) + Fraction(2) ** -280
    if (w * importance).any():  # if only zeros count, ever smaller scales may be better
        assert error <= least + slack
    absmax = Fraction(float(mf.quantize(w, found, scale="float32").scales[0]))
    assert error <= exact_error(w, absmax, found, importance) + Fraction(2) ** -50 * size


@pytest.mark.parametrize("factor", [0.999, 1.001, 2.0])
@pytest.mark.parametrize("fmt", ["e2m2", "int4full", "nf4"])
def test_the_brute_force_rejects_other_scales(fmt: str, factor: float) -> None:
    """A scale a little off, that of absmax and that of another importance lose more."""
    w, found = np.random.default_rng(8).standard_normal(24).astype(np.float32), parse(fmt)
    ones = np.ones(w.size)
    least = least_error(w, found, ones)
    scale = Fraction(float(mf.quantize(w, found, scale="float32", rule="mse").scales[0]))
    slack = least * Fraction(2) ** -20
    assert exact_error(w, scale, found, ones) <= least + slack
    assert exact_error(w, scale * Fraction(factor), found, ones) > least + slack
    absmax = Fraction(float(mf.quantize(w, found, scale="float32").scales[0]))
    assert exact_error(w, absmax, found, ones) > least + slack
    weighed = mf.quantize(w, found, scale="float32", rule="mse", importance=np.arange(24.0))
    assert exact_error(w, Fraction(float(weighed.scales[0])), found, ones) > least + slack


@settings(max_examples=100, deadline=None)
@given(
    block=blocks,
    fmt=st.sampled_from(FORMATS),
    scale=st.sampled_from(["e8m0", "e4m3fn", "e3m2", "e5m2", "ue4m4_nosub", "e4m3fnuz"]),
    tensor=st.booleans(),
    powers=st.booleans(),
)
def test_of_a_scale_format_all_values_are_tried(
    block: list[float], fmt: str, scale: str, tensor: bool, powers: bool
) -> None:
    w, found = np.float32(block), parse(fmt)
    options: dict[str, Any] = {"scale": scale, "tensor_scale": tensor}
    if powers:
        options["scale_rounding"] = "up"
    q = mf.quantize(w, found, rule="mse", **options)
    values = mf.parse(scale).values()
    values = values[np.isfinite(values) & (values > 0)]
    if powers:
        values = values[np.frexp(values)[0] == 0.5]
    if not w.any():
        return
    factor = Fraction(1 if q.tensor_scale is None else q.tensor_scale)
    ones = np.ones(len(w))
    some = [Fraction(v) for v in values.tolist()]
    least = min(exact_error(w, s * factor, found, ones) for s in some)
    error = exact_error(w, Fraction(float(q.scales[0])) * factor, found, ones)
    assert float(q.scales[0]) in values
    assert error <= least * (1 + Fraction(2) ** -40) + Fraction(2) ** -60


@pytest.mark.parametrize("fmt", ["e2m2", "int5", "e2m1", "nf4", "e4m3fn", "int8", "e3m2"])
def test_a_grid_of_scales_finds_nothing_better(fmt: str) -> None:
    w = np.random.default_rng(3).standard_normal((4, 64)).astype(np.float32)
    w[1] *= np.float32(1e-30)
    w[2] = np.round(w[2] * 2)
    w[3, 0] = 40
    q = mf.quantize(w, fmt, block_size=32, scale="float32", rule="mse")
    absmax = mf.quantize(w, fmt, block_size=32, scale="float32")
    top = mf.parse(fmt).max
    for row, k in np.ndindex(4, 2):
        block = w[row, 32 * k : 32 * k + 32].astype(np.float64)

        def error(s: float, block: np.ndarray = block) -> float:
            rest = block - mf.round_to(block / s, fmt, dtype=np.float64) * s
            return float(np.square(rest).sum())

        ours = error(float(q.scales[row, k]))
        start = np.abs(block).max() / top
        grid = min(error(start * f) for f in np.geomspace(0.3, 8, 500))
        assert ours <= grid * (1 + 1e-12)
        assert ours <= error(float(absmax.scales[row, k]))


def squared_errors(w: np.ndarray, q: mf.Quantized, size: int) -> np.ndarray:
    """Return each block's squared error, of exact products in float64."""
    values = mf.decode(q.codes, q.fmt, dtype=np.float64)
    scales = np.repeat(q.scales.astype(np.float64), size, axis=1)[:, : w.shape[1]]
    rest = np.square(w - values * scales * (q.tensor_scale or 1.0))
    return np.add.reduceat(rest, np.arange(0, w.shape[1], size), axis=1)


@pytest.mark.parametrize("preset", ["mxfp4", "mxfp8e4m3", "mxint8", "nvfp4", "nvint4", "nf4"])
def test_least_squares_are_never_worse_than_absmax(preset: str) -> None:
    w = np.random.default_rng(4).standard_normal((16, 200)).astype(np.float32)
    options = mf.PRESETS[preset]
    size = options["block_size"]
    one = squared_errors(w, mf.quantize(w, **options), size)
    other = squared_errors(w, mf.quantize(w, **options | {"rule": "mse"}), size)
    assert (other <= one).all()
    assert (other < one).any()


def test_the_bias_moves_nothing_under_a_free_scale() -> None:
    w = np.random.default_rng(5).standard_normal((8, 256)).astype(np.float32)
    one = mf.quantize(w, "e2m2", scale="float32", rule="mse")
    for bias in (-3, 0, 5):
        fmt = mf.Format(2, 2, bias=bias)
        other = mf.quantize(w, fmt, scale="float32", rule="mse")
        np.testing.assert_array_equal(other.codes, one.codes)
        np.testing.assert_array_equal(other.dequantize(), one.dequantize())
        np.testing.assert_array_equal(other.scales, one.scales * 2.0 ** (bias - 1))


@pytest.mark.parametrize("rule", ["absmax", "mse", "shrink", "percentile"])
def test_one_exponent_bit_makes_integers(rule: str) -> None:
    """E1My has the values of symmetric integers of y + 2 bits, and nothing else."""
    w = np.random.default_rng(6).standard_normal((8, 256)).astype(np.float32)
    for m in (1, 2, 3, 5):
        one = mf.quantize(w, mf.Format(1, m), scale="float32", rule=rule)
        other = mf.quantize(w, mf.Integer(m + 2), scale="float32", rule=rule)
        np.testing.assert_array_equal(one.dequantize(), other.dequantize())


def llm_fp4(x: np.ndarray, exponent_bits: int, m: int, bias: np.ndarray) -> np.ndarray:
    """Round as LLM-FP4 does, with a real-valued bias in place of a scale."""
    top = (2 - 2.0**-m) * 2 ** (2**exponent_bits - 1 - bias)
    x = np.clip(x, -top, top)
    with np.errstate(divide="ignore"):
        exponent = np.floor(np.log2(np.abs(x)) + bias)
    step = 2.0 ** (np.maximum(1, exponent) - m - bias)
    return np.rint(x / step) * step


@pytest.mark.parametrize(("exponent_bits", "m"), [(2, 1), (2, 2), (3, 2), (1, 3)])
def test_a_real_valued_bias_is_a_free_scale(exponent_bits: int, m: int) -> None:
    """With bias b the grid is that of bias 0 times 2**-b."""
    w = np.random.default_rng(7).standard_normal((8, 100))
    fmt = mf.Format(exponent_bits, m, bias=0)
    q = mf.quantize(w, fmt, scale="float32", block_size=None, rule="mse")
    bias = -np.log2(q.scales.astype(np.float64))
    np.testing.assert_allclose(llm_fp4(w, exponent_bits, m, bias), q.dequantize(), rtol=1e-6)
    # its start, the bias at which the greatest magnitude is the greatest value, is absmax
    start = 2**exponent_bits - np.log2(np.abs(w).max(1, keepdims=True)) + np.log2(2 - 2.0**-m) - 1
    q = mf.quantize(w, fmt, scale="float32", block_size=None)
    np.testing.assert_allclose(2.0**-start, q.scales, rtol=1e-6)


def test_search_format() -> None:
    rng = np.random.default_rng(8)
    gauss = rng.standard_normal(4096)
    heavy = rng.standard_t(2, 4096)
    flat = rng.uniform(-1, 1, 4096)
    options: dict[str, Any] = {"scale": "float32", "rule": "mse"}
    assert mf.search_format(flat, 5, **options).fmt.name == "e1m3"
    assert mf.search_format(gauss, 5, **options).fmt.name == "e2m2"
    assert mf.search_format(heavy, 5, block_size=None, **options).fmt.name in ("e3m1", "e4m0")
    found = mf.search_format(gauss, 4, **options)
    every = [mf.quantize(gauss, mf.Format(e, 3 - e), **options) for e in (1, 2, 3)]
    errors = [float(np.square(gauss - q.dequantize()).sum()) for q in every]
    assert found.fmt == every[int(np.argmin(errors))].fmt
    for bits in (2, 9):
        with pytest.raises(ValueError, match=r"bits must be in 3\.\.8"):
            mf.search_format(gauss, bits)


def shrunk_scale(block: np.ndarray, fmt: str, steps: int = 80, power: float = 2.4) -> np.float32:
    """Return GPTQ's choice, in the words of its loop."""
    best, found = math.inf, np.float32(0)
    for i in range(steps):
        p = 1 - i / 100
        scale = np.float32(p * np.abs(block).max() / mf.parse(fmt).max)
        rest = np.abs(block - mf.round_to(block / np.float64(scale), fmt) * np.float64(scale))
        error = float((rest**power).sum())
        if error < best:
            best, found = error, scale
    return found


def test_shrinking() -> None:
    w = np.random.default_rng(9).standard_normal((6, 100))
    for fmt in ("e2m2b0", "int4"):
        q = mf.quantize(w, fmt, block_size=50, scale="float32", rule="shrink")
        expected = [[shrunk_scale(b, fmt) for b in np.split(row, 2)] for row in w]
        np.testing.assert_array_equal(q.scales, expected)
        assert (q.scales < mf.quantize(w, fmt, block_size=50, scale="float32").scales).any()
        wrong = [[shrunk_scale(b, fmt, power=1.5) for b in np.split(row, 2)] for row in w]
        assert (q.scales != np.float32(wrong)).any()
    last = mf.quantize([1.0] + [0.21] * 100_000, "bipolar_int1", block_size=None, rule="shrink",
                       scale="float32")  # fmt: skip
    assert last.scales[0] == np.float32(0.21), "79 hundredths are the most that is taken off"


def test_percentiles() -> None:
    w = np.random.default_rng(10).standard_normal((4, 7, 30))
    for percentile in (0, 50, 97.5, 100):
        q = mf.quantize(
            w, "int4", block_size=10, scale="float32", rule="percentile", percentile=percentile
        )
        magnitudes = np.abs(w).reshape(4, 7, 3, 10)
        expected = np.percentile(magnitudes, percentile, axis=-1) / 7
        np.testing.assert_array_equal(q.scales, expected.astype(np.float32))
    w = np.zeros(100)
    w[3] = -5
    q = mf.quantize(w, "int4", scale="float32", rule="percentile", percentile=90)
    assert q.dequantize()[3] == -5, "a percentile of 0 does not make a scale"
    for bad in (-1, 100.5, math.nan):
        with pytest.raises(ValueError, match=r"percentile must be in 0\.\.100"):
            mf.quantize(w, "int4", rule="percentile", percentile=bad)


def test_importance_is_checked() -> None:
    w = np.ones((3, 4))
    for bad, message in (
        (-1.0, "importance must be finite and at least 0"),
        (math.inf, "importance must be finite and at least 0"),
        (np.ones(3), r"importance must broadcast to the shape of w, \(3, 4\), got \(3,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            mf.quantize(w, "e2m1", rule="mse", importance=bad)
    with pytest.raises(ValueError, match='importance must come with rule="mse"'):
        mf.quantize(w, "e2m1", importance=w)


def test_importance_is_that_of_each_weight() -> None:
    rng = np.random.default_rng(11)
    w, importance = rng.standard_normal((5, 6, 40)), rng.exponential(size=(6, 1))
    for axis in (0, 1, 2, None):
        one = mf.quantize(w, "e2m1", axis=axis, block_size=4, rule="mse", importance=importance)
        full = np.broadcast_to(importance, w.shape).copy()
        other = mf.quantize(w, "e2m1", axis=axis, block_size=4, rule="mse", importance=full)
        np.testing.assert_array_equal(one.scales, other.scales)
        plain = mf.quantize(w, "e2m1", axis=axis, block_size=4, rule="mse")
        assert (one.scales != plain.scales).any() or axis is None or axis == 2


def test_large_blocks_are_searched_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    w = np.random.default_rng(12).standard_normal(3000)
    w[:500] = 1.0
    whole = mf.quantize(w, "e2m2", axis=None, scale="float32", rule="mse")
    monkeypatch.setattr("minifloat.quantization.pipeline.STEPS", 1)
    parts = mf.quantize(w, "e2m2", axis=None, scale="float32", rule="mse")
    assert parts.scales == whole.scales
    same = mf.quantize(np.repeat(w[:1], 3000), "int8", axis=None, scale="float32", rule="mse")
    assert same.dequantize()[0] == np.float32(1)


def test_threads_change_nothing() -> None:
    w = np.random.default_rng(13).standard_normal((300, 1000)).astype(np.float32)
    for options in ({}, {"rule": "mse"}, {"rule": "shrink"}, {"scale": "e4m3fn"}):
        one = mf.quantize(w, "e2m2", **options)
        other = mf.quantize(w, "e2m2", threads=2, **options)
        np.testing.assert_array_equal(one.scales, other.scales)
        np.testing.assert_array_equal(one.packed, other.packed)


@settings(max_examples=200, deadline=None)
@given(
    w=st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=1, max_size=40),
    rule=st.sampled_from(["mse", "shrink", "percentile"]),
    scale=st.sampled_from(["float32", "bfloat16"]),
    fmt=st.sampled_from(FORMATS),
    size=st.integers(1, 9),
)
def test_any_block(w: list[float], rule: str, scale: str, fmt: str, size: int) -> None:
    q = mf.quantize(np.float32(w), parse(fmt), block_size=size, scale=scale, rule=rule)
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
        room = kernels.Room(
            keys, places, np.empty(count), np.empty(count, np.int64), np.empty(count, np.int64)
        )
        kernels._sort(count, room)
        np.testing.assert_array_equal(room.sorted_keys, np.sort(keys))
        np.testing.assert_array_equal(keys[room.sorted_places], room.sorted_keys)

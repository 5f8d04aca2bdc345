"""Zero points: asymmetric integers against their definition in exact arithmetic."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minifloat as mf


def check_zero_points(w: list[float], q: mf.Quantized) -> None:
    """Compare with the definition: s = (hi - lo) / max, z = round(-lo / s), round(w / s) + z."""
    assert q.zero_points is not None
    size, largest = q.blocks.width, int(q.fmt.max)
    for k in range(q.scales.size):
        block = w[k * size : (k + 1) * size]
        low, high = min(0.0, *block), max(0.0, *block)
        scale = np.float32((high - low) / largest) or (np.float32(2.0**-149) if any(block) else 1)
        assert q.scales[k] == (scale if any(block) else 0)
        s = Fraction(float(scale))
        zero = min(max(round(Fraction(-low) / s), 0), largest)
        assert q.zero_points[k] == zero
        for x, code in zip(block, q.codes[k * size :], strict=False):
            assert code == min(max(round(Fraction(x) / s) + zero, 0), largest)
    steps = q.codes.astype(int) - np.repeat(q.zero_points, size)[: len(w)]
    expected = (steps * np.repeat(q.scales, size)[: len(w)].astype(np.float64)).astype(np.float32)
    np.testing.assert_array_equal(q.dequantize(), expected)


@settings(max_examples=100, deadline=None)
@given(
    w=st.lists(st.floats(-(2.0**40), 2.0**40, width=32), min_size=1, max_size=20),
    bits=st.integers(2, 8),
    size=st.integers(1, 8),
)
def test_the_definition(w: list[float], bits: int, size: int) -> None:
    q = mf.quantize(np.float32(w), f"uint{bits}/{size}/float32/zero-point")
    check_zero_points(w, q)


def with_codes(q: mf.Quantized, codes: np.ndarray) -> mf.Quantized:
    return replace(q, packed=mf.pack(codes.astype(np.uint8).ravel(), q.fmt.bits))


def rounded_with_the_zero(w: np.ndarray, q: mf.Quantized) -> mf.Quantized:
    """Codes round((w - lo) / scale), whose zero was not rounded by itself."""
    low = np.minimum(w.reshape(-1, 8).min(axis=1), 0)
    steps = (w.reshape(-1, 8) - low[:, None]) / q.scales[:, None].astype(np.float64)
    return with_codes(q, np.clip(np.rint(steps), 0, q.fmt.max))


def over_the_range_without_zero(w: np.ndarray, q: mf.Quantized) -> mf.Quantized:
    ranges = w.reshape(-1, 8).max(axis=1) - w.reshape(-1, 8).min(axis=1)
    return replace(q, scales=(ranges / q.fmt.max).astype(np.float32))


def one_higher(w: np.ndarray, q: mf.Quantized) -> mf.Quantized:
    assert q.zero_points is not None
    return replace(q, zero_points=np.minimum(q.zero_points + 1, 15).astype(np.uint8))


def without_the_lowest_code(w: np.ndarray, q: mf.Quantized) -> mf.Quantized:
    return with_codes(q, np.maximum(q.codes, 1))


@pytest.mark.parametrize(
    "mistake",
    [rounded_with_the_zero, over_the_range_without_zero, one_higher, without_the_lowest_code],
)
def test_mistakes_are_found(mistake) -> None:
    w = (np.random.default_rng(7).standard_normal(256) + 3).astype(np.float32)
    w[:128] -= 4
    q = mf.quantize(w, "uint4/8/float32/zero-point")
    check_zero_points(w.tolist(), q)
    with pytest.raises(AssertionError):
        check_zero_points(w.tolist(), mistake(w, q))


def rounded(block: np.ndarray, scale: float, zero: float, largest: float) -> np.ndarray:
    """Return the values of weights at a scale (times the tensor scale) and a zero point."""
    return (np.clip(np.rint(block / scale) + zero, 0, largest) - zero) * scale


@pytest.mark.parametrize("fmt", ["uint3", "uint4", "uint8"])
@pytest.mark.parametrize("scale", ["float32", "ue4m3"])
def test_with_a_tensor_scale(fmt: str, scale: str) -> None:
    w = np.random.default_rng(8).standard_normal((5, 48)) + 1
    w[1] *= 1e-3
    q = mf.quantize(w, f"{fmt}/16/{scale}/tensor-scale+zero-point")
    largest, blocks = mf.parse(fmt).max, w.reshape(5, 3, 16)
    low, high = np.minimum(blocks.min(2), 0), np.maximum(blocks.max(2), 0)
    if scale == "ue4m3":
        assert q.tensor_scale == np.float32((high - low).max() / largest / 448)
        assert q.scales.max() == 448
    exact = (high - low) / (largest * q.tensor_scale)
    expected = exact.astype(np.float32) if scale == "float32" else mf.round_to(exact, scale)
    np.testing.assert_array_equal(q.scales, expected.astype(np.float32))
    factors = q.scales.astype(np.float64) * q.tensor_scale
    zeros = np.clip(np.rint(-low / factors), 0, largest)
    np.testing.assert_array_equal(q.zero_points, zeros)
    back = rounded(blocks, factors[..., None], zeros[..., None], largest)
    np.testing.assert_array_equal(q.dequantize(), back.reshape(w.shape).astype(np.float32))


@pytest.mark.parametrize("percentile", [60, 97.5, 100])
def test_percentiles_of_both_ends(percentile: float) -> None:
    w = np.random.default_rng(9).standard_normal((4, 60)) + 0.3
    w[1], w[2] = np.abs(w[1]), -np.abs(w[2])
    q = mf.quantize(w, f"uint4/20/float32/percentile{percentile}+zero-point")
    blocks = w.reshape(4, 3, 20)
    low = np.minimum(np.percentile(blocks, 100 - percentile, axis=2), 0)
    high = np.maximum(np.percentile(blocks, percentile, axis=2), 0)
    scales = ((high - low) / 15).astype(np.float32)
    np.testing.assert_array_equal(q.scales, scales)
    zeros = np.clip(np.rint(-low / scales.astype(np.float64)), 0, 15)
    np.testing.assert_array_equal(q.zero_points, zeros)
    assert (q.zero_points[1] == 0).all()
    assert (q.zero_points[2] == 15).all()
    if percentile == 100:
        assert q == replace(mf.quantize(w, "uint4/20/float32/zero-point"), recipe=q.recipe)


def test_a_percentile_of_zero_is_not_a_range() -> None:
    """The whole range is, with both its ends."""
    for outlier in (-5.0, 5.0):
        w = np.zeros(100)
        w[3] = outlier
        q = mf.quantize(w, "uint4/128/float32/percentile90+zero-point")
        np.testing.assert_array_equal(q.dequantize(), w.astype(np.float32))


def shrunk_range(block: np.ndarray, power: float = 2.4) -> tuple[np.float32, float]:
    """Return GPTQ's choice of scale and zero point for uint4, in the words of its loop."""
    low, high = min(block.min(), 0.0), max(block.max(), 0.0)
    least, best = np.inf, (np.float32(0), 0.0)
    for i in range(80):
        p = 1 - i * 0.01
        scale = np.float32((high - low) * p / 15)
        zero = np.clip(np.rint(-low * p / np.float64(scale)), 0, 15)
        error = (np.abs(block - rounded(block, float(scale), zero, 15)) ** power).sum()
        if error < least:
            least, best = error, (scale, zero)
    return best


def test_shrinking_both_ends() -> None:
    w = np.random.default_rng(10).standard_normal((6, 50)) + 0.5
    q = mf.quantize(w, "uint4/25/float32/shrink+zero-point")
    blocks = w.reshape(12, 25)
    expected = [shrunk_range(block) for block in blocks]
    np.testing.assert_array_equal(q.scales.reshape(-1), [scale for scale, _ in expected])
    np.testing.assert_array_equal(q.zero_points.reshape(-1), [zero for _, zero in expected])
    plain = mf.quantize(w, "uint4/25/float32/zero-point")
    assert (q.scales < plain.scales).any()
    wrong = [shrunk_range(block, power=1.5)[0] for block in blocks]
    assert (q.scales.reshape(-1) != wrong).any()


@pytest.mark.parametrize("search", ["absmax", "mse", "shrink", "percentile"])
@pytest.mark.parametrize("options", [{}, {"scale": "ue4m3", "tensor_scale": True}], ids=str)
def test_zeros_stay_zeros(search: str, options: dict[str, Any]) -> None:
    w = np.zeros((3, 40))
    w[1, :20] = np.linspace(-1, 2, 20)
    q = mf.quantize(w, "uint4", block=10, search=search, zero_point=True, **options)
    back = q.dequantize()
    assert not back[[0, 2]].any()
    assert not back[1, 20:].any()
    assert back[1, :20].any()


@pytest.mark.parametrize("search", ["absmax", "mse", "shrink", "percentile"])
def test_huge_and_tiny_weights_together(search: str) -> None:
    w = np.full(100, 1e-30)
    w[0] = -1e30
    q = mf.quantize(w, "uint4/128/float32/zero-point", search=search, percentile=None)
    assert np.isfinite(q.dequantize()).all()
    w[0] = 1e300
    if search == "percentile":
        q = mf.quantize(w, "uint4/128/float32/percentile50+zero-point")
        assert q.codes.tolist() == [15] * 100


def test_for_unsigned_integers_only() -> None:
    for fmt in ("int4", "ue4m3", "nf4", "e2m2", mf.Codebook([0.0, 1.0])):
        with pytest.raises(ValueError, match="fmt must be an unsigned integer such as uint4 for z"):
            mf.quantize([1.0], mf.parse(fmt), zero_point=True)
    with pytest.raises(ValueError, match="fmt must have at most 8 bits for zero_point with search"):
        mf.quantize([1.0], "uint9", zero_point=True, search="mse")
    assert mf.quantize([1.0, -1.0], "uint9", zero_point=True).zero_points.dtype == np.uint16

"""Presets, zero points, double quantization, and the kernel's quotients on ties."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minifloat as mf
from minifloat.quantization.quantized import DoubleScales
from minifloat.quantization.recipes import bfp
from minifloat.testing import exact_encode

BITS = {
    "mxfp8e4m3": 8.25, "mxfp8e5m2": 8.25, "mxfp6e2m3": 6.25, "mxfp6e3m2": 6.25, "mxfp4": 4.25,
    "mxint8": 8.25, "nf4": 4.5, "bfp16_64": 8.125, "bfp12_64": 4.125,
    "nvfp4": 4.5 + 32 / 2**19, "nvint4": 4.5 + 32 / 2**19,
    "qlora": 4.125 + 32 / (64 * 256) + 32 / 2**19,
    "fpe2m2": 5 + 16 / 1024, "fp6_llm": 6 + 16 / 1024,
}  # fmt: skip


@pytest.mark.parametrize("preset", mf.PRESETS)
def test_bits_are_the_published_ones(preset: str) -> None:
    w = np.random.default_rng(1).standard_normal((512, 1024)).astype(np.float32)
    q = mf.quantize(w, **mf.PRESETS[preset])
    assert q.bits_per_weight == pytest.approx(BITS[preset], abs=1e-12)
    assert q.nbytes * 8 == pytest.approx(BITS[preset] * w.size, rel=1e-12)
    error = np.sqrt(np.square(w - q.dequantize()).sum() / np.square(w).sum())
    assert error < 0.2


def test_a_preset_in_place_of_a_format_is_explained() -> None:
    with pytest.raises(ValueError, match=r"mxfp4 is a preset, .*quantize\(w, \*\*mf.PRESETS\["):
        mf.quantize([1.0], "mxfp4")


def test_bfp_saturates_nothing() -> None:
    w = np.random.default_rng(2).standard_normal((4, 128))
    for bits in (3, 8, 12):
        q = mf.quantize(w, **bfp(bits, 64))
        assert (np.abs(w - q.dequantize()) <= np.repeat(q.scales, 64, axis=1) / 2).all()


def check_zero_points(w: list[float], q: mf.Quantized) -> None:
    """Compare with the definition in exact arithmetic."""
    assert q.zeros is not None
    assert q.block_size is not None
    size, top = q.block_size, int(q.fmt.max)
    for k in range(q.scales.size):
        block = w[k * size : (k + 1) * size]
        low, high = min(0.0, *block), max(0.0, *block)
        scale = np.float32((high - low) / top) or (np.float32(2.0**-149) if any(block) else 1)
        assert q.scales[k] == (scale if any(block) else 0)
        s = Fraction(float(scale))
        zero = min(max(round(Fraction(-low) / s), 0), top)
        assert q.zeros[k] == zero
        for x, code in zip(block, q.codes[k * size :], strict=False):
            assert code == min(max(round(Fraction(x) / s) + zero, 0), top)
    steps = q.codes.astype(int) - np.repeat(q.zeros, size)[: len(w)]
    expected = (steps * np.repeat(q.scales, size)[: len(w)].astype(np.float64)).astype(np.float32)
    np.testing.assert_array_equal(q.dequantize(), expected)


@settings(max_examples=100, deadline=None)
@given(
    w=st.lists(st.floats(-(2.0**40), 2.0**40, width=32), min_size=1, max_size=20),
    bits=st.integers(2, 8),
    size=st.integers(1, 8),
)
def test_zero_points(w: list[float], bits: int, size: int) -> None:
    q = mf.quantize(np.float32(w), f"uint{bits}", block_size=size, scale="float32", zero_point=True)
    check_zero_points(w, q)


def with_codes(q: mf.Quantized, codes: np.ndarray) -> mf.Quantized:
    return replace(q, packed=mf.pack(codes.astype(np.uint8).ravel(), q.fmt.bits))


def rounded_with_the_zero(w: np.ndarray, q: mf.Quantized) -> mf.Quantized:
    """Codes round((w - lo) / scale), whose zero was not rounded by itself."""
    low = np.minimum(w.reshape(-1, 8).min(axis=1), 0)
    steps = (w.reshape(-1, 8) - low[:, None]) / q.scales[:, None].astype(np.float64)
    return with_codes(q, np.clip(np.rint(steps), 0, q.fmt.max))


def over_the_range_without_zero(w: np.ndarray, q: mf.Quantized) -> mf.Quantized:
    ends = w.reshape(-1, 8).max(axis=1) - w.reshape(-1, 8).min(axis=1)
    return replace(q, scales=(ends / q.fmt.max).astype(np.float32))


@pytest.mark.parametrize(
    "mistake",
    [
        rounded_with_the_zero,
        over_the_range_without_zero,
        lambda w, q: replace(q, zeros=np.minimum(q.zeros + 1, 15).astype(np.uint8)),
        lambda w, q: with_codes(q, np.maximum(q.codes, 1)),
    ],
)
def test_mistakes_in_zero_points_are_found(mistake) -> None:
    w = (np.random.default_rng(7).standard_normal(256) + 3).astype(np.float32)
    w[:128] -= 4
    q = mf.quantize(w, "uint4", block_size=8, scale="float32", zero_point=True)
    check_zero_points(w.tolist(), q)
    with pytest.raises(AssertionError):
        check_zero_points(w.tolist(), mistake(w, q))


def test_zero_points_need_unsigned_integers() -> None:
    for fmt, options in (
        ("int4", {}),
        ("uint4", {"rule": "mse"}),
        ("uint4", {"tensor_scale": True}),
    ):
        with pytest.raises(ValueError, match="for zero_point, got"):
            mf.quantize([1.0], fmt, zero_point=True, **options)


def check_double(w: np.ndarray, q: mf.Quantized) -> None:
    """Compare NF4 in blocks of 64 with QLoRA's definition, its decisions in exact arithmetic."""
    assert q.double is not None
    scales = np.abs(w).reshape(-1, 64).max(axis=1)
    mean = np.float32(scales.mean(dtype=np.float64))
    assert q.double.mean == mean
    rest, codes = scales - mean, q.double.quantized.codes
    for k, size in enumerate(q.double.quantized.scales):
        some = slice(256 * k, 256 * k + 256)
        assert size == np.float32(np.abs(rest[some]).max() / np.float64(448))
        for x, code, scale in zip(rest[some], codes[some], q.scales.ravel()[some], strict=True):
            nearest = exact_encode(Fraction(float(x)) / Fraction(float(size)), "e4m3fn")
            value = np.float32(mf.decode(np.uint8(nearest), "e4m3fn") * size)
            if x + mean == 0 or value + mean > 0:
                assert code == nearest
            assert scale == np.float32(mf.decode(code, "e4m3fn") * size) + mean
    divisor = np.where(q.scales == 0, 1, q.scales).reshape(-1, 1).astype(np.float64)
    want = mf.encode(w.reshape(-1, 64) / divisor, "nf4").reshape(w.shape)
    np.testing.assert_array_equal(q.codes, want)


def of_the_scales_before(w: np.ndarray, q: mf.Quantized) -> mf.Quantized:
    return with_codes(q, mf.quantize(w, **mf.PRESETS["nf4"]).codes)


def with_double(q: mf.Quantized, double: DoubleScales) -> mf.Quantized:
    return replace(q, double=double, scales=double.values().reshape(q.scales.shape))


def another_mean(w: np.ndarray, q: mf.Quantized) -> mf.Quantized:
    assert q.double is not None
    return with_double(q, replace(q.double, mean=float(np.float32(q.double.mean * 1.01))))


def truncated_differences(w: np.ndarray, q: mf.Quantized) -> mf.Quantized:
    assert q.double is not None
    rest = q.double.quantized
    return with_double(q, replace(q.double, quantized=with_codes(rest, rest.codes & 0xFE)))


@pytest.mark.parametrize("mistake", [of_the_scales_before, another_mean, truncated_differences])
def test_mistakes_in_double_quantization_are_found(mistake) -> None:
    w = np.random.default_rng(3).standard_normal((40, 1024)).astype(np.float32)
    q = mf.quantize(w, **mf.PRESETS["qlora"])
    check_double(w, q)
    with pytest.raises(AssertionError):
        check_double(w, mistake(w, q))


def test_double_quantization() -> None:
    w = np.random.default_rng(3).standard_normal((40, 1024)).astype(np.float32)
    w[0] *= 1e-8  # a scale that the differences cannot tell from 0
    w[1] = 0
    q = mf.quantize(w, **mf.PRESETS["qlora"])
    plain = mf.quantize(w, **mf.PRESETS["nf4"])
    assert q.double is not None
    assert q.double.mean == np.float32(plain.scales.mean(dtype=np.float64))
    assert (q.scales[0] > 0).all()
    assert (q.scales >= 0).all()
    assert np.abs(q.scales[2:] / plain.scales[2:] - 1).max() < 0.05
    values = mf.decode(q.codes, "nf4") * np.repeat(q.scales, 64, axis=1)
    np.testing.assert_array_equal(q.dequantize(), values)
    with pytest.raises(ValueError, match='scale must be "float32", without tensor_scale'):
        mf.quantize(w, "nf4", double_quantize=True)


@settings(max_examples=300, deadline=None)
@given(
    fmt=st.sampled_from(["e2m1", "e2m2", "e4m3fn", "e5m2", "int5", "e3m2"]),
    scale=st.floats(2.0**-20, 2.0**20, width=32),
    code=st.integers(0, 30),
    ulps=st.integers(-2, 2),
)
def test_quotients_that_are_ties_in_float32(fmt: str, scale: float, code: int, ulps: int) -> None:
    """Weights next to a midpoint times the scale: the quotient is a tie in float32 only."""
    found = mf.parse(fmt)
    values = found.values()
    values = np.unique(values[np.isfinite(values) & (values >= 0)])
    k = code % (len(values) - 1)
    x = np.float32((values[k] + values[k + 1]) / 2 * scale)
    for _ in range(abs(ulps)):
        x = np.nextafter(x, np.float32(np.copysign(np.inf, ulps)))
    top = np.float32(found.max * np.float64(np.float32(scale)))
    q = mf.quantize(np.float32([top, x, -x]), fmt, scale="float32")
    s = Fraction(float(q.scales[0]))
    for weight, got in zip([top, x, -x], q.codes, strict=True):
        assert int(got) == exact_encode(Fraction(float(weight)) / s, found)

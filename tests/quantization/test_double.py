"""Double quantization: scales that are quantized themselves, against QLoRA's definition."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import minifloat as mf
from minifloat.quantization.quantized import DoubleScales
from minifloat.testing import exact_encode


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32)


def check_double(w: np.ndarray, q: mf.Quantized) -> None:
    """Compare NF4 in blocks of 64 with QLoRA's definition, its decisions in exact arithmetic."""
    assert q.double is not None
    scales = np.abs(w).reshape(-1, 64).max(axis=1)
    mean = np.float32(scales.mean(dtype=np.float64))
    assert q.double.mean == mean
    differences, codes = scales - mean, q.double.quantized.codes
    for k, outer_scale in enumerate(q.double.quantized.scales):
        block = slice(256 * k, 256 * k + 256)
        assert outer_scale == np.float32(np.abs(differences[block]).max() / np.float64(448))
        for x, code, scale in zip(
            differences[block], codes[block], q.scales.ravel()[block], strict=True
        ):
            nearest = exact_encode(Fraction(float(x)) / Fraction(float(outer_scale)), "e4m3fn")
            value = np.float32(mf.decode(np.uint8(nearest), "e4m3fn") * outer_scale)
            if x + mean == 0 or value + mean > 0:
                assert code == nearest
            assert scale == np.float32(mf.decode(code, "e4m3fn") * outer_scale) + mean
    divisor = np.where(q.scales == 0, 1, q.scales).reshape(-1, 1).astype(np.float64)
    want = mf.encode(w.reshape(-1, 64) / divisor, "nf4").reshape(w.shape)
    np.testing.assert_array_equal(q.codes, want)


def with_codes(q: mf.Quantized, codes: np.ndarray) -> mf.Quantized:
    return replace(q, packed=mf.pack(codes.astype(np.uint8).ravel(), q.fmt.bits))


def with_double(q: mf.Quantized, double: DoubleScales) -> mf.Quantized:
    return replace(q, double=double, scales=double.values().reshape(q.scales.shape))


def codes_of_the_first_scales(w: np.ndarray, q: mf.Quantized) -> mf.Quantized:
    return with_codes(q, mf.quantize(w, "nf4").codes)


def another_mean(w: np.ndarray, q: mf.Quantized) -> mf.Quantized:
    assert q.double is not None
    return with_double(q, replace(q.double, mean=float(np.float32(q.double.mean * 1.01))))


def truncated_differences(w: np.ndarray, q: mf.Quantized) -> mf.Quantized:
    assert q.double is not None
    codes = q.double.quantized
    return with_double(q, replace(q.double, quantized=with_codes(codes, codes.codes & 0xFE)))


@pytest.mark.parametrize(
    "mistake", [codes_of_the_first_scales, another_mean, truncated_differences]
)
def test_mistakes_are_found(mistake) -> None:
    w = weights(40, 1024)
    q = mf.quantize(w, "qlora")
    check_double(w, q)
    with pytest.raises(AssertionError):
        check_double(w, mistake(w, q))


def test_qlora() -> None:
    w = weights(40, 1024)
    w[0] *= 1e-8  # a scale that the differences cannot tell from 0
    w[1] = 0
    q = mf.quantize(w, "qlora")
    plain = mf.quantize(w, "nf4")
    assert q.double is not None
    assert q.double.mean == np.float32(plain.scales.mean(dtype=np.float64))
    assert (q.scales[0] > 0).all()
    assert (q.scales >= 0).all()
    assert np.abs(q.scales[2:] / plain.scales[2:] - 1).max() < 0.05
    values = mf.decode(q.codes, "nf4") * np.repeat(q.scales, 64, axis=1)
    np.testing.assert_array_equal(q.dequantize(), values)


@pytest.mark.parametrize("block", [16, "3x16", "channel", "tensor"])
@pytest.mark.parametrize("fmt", ["e2m2", "uint4"])
def test_scales_of_any_blocks_are_quantized(fmt: str, block: int | str) -> None:
    """In C order, whatever the blocks; with zero points too. The codes are of the new scales."""
    w = weights(40, 100)
    options = {"scale": "float32", "block": block, "zero_point": fmt == "uint4"}
    plain, q = mf.quantize(w, fmt, **options), mf.quantize(w, fmt, double=True, **options)
    assert q.double is not None
    scales = plain.scales.reshape(-1)
    mean = np.float32(scales.mean(dtype=np.float64))
    differences = mf.quantize(scales - mean, "e4m3fn/256/float32")
    assert q.double.mean == mean
    assert q.double.quantized == differences
    np.testing.assert_array_equal(q.scales.reshape(-1), differences.dequantize() + mean)
    divisor = q.row_scales().astype(np.float64)
    width = q.blocks.width if block != "tensor" else 100
    divisor = np.repeat(divisor, width, axis=1)[:, :100]
    if q.zero_points is None:
        want = mf.encode(w / divisor, fmt)
    else:
        np.testing.assert_array_equal(q.zero_points, plain.zero_points)
        zeros = np.repeat(q.row_zero_points().astype(int), width, axis=1)[:, :100]
        want = np.clip(np.rint(w / divisor) + zeros, 0, 15)
    np.testing.assert_array_equal(q.codes, want)


def test_sizes_count_both_levels() -> None:
    q = mf.quantize(weights(40, 1024), "qlora")
    count = 40 * 1024 // 64
    bits = 8 * count + 32 * -(-count // 256) + 32
    assert q.bits_per_weight == 4 + bits / (40 * 1024)
    assert q.nbytes == 40 * 1024 // 2 + bits // 8


def test_double_scales_are_checked() -> None:
    codes = mf.quantize(weights(300), "e4m3fn/256/float32")
    for message, wrong in (
        ("quantized must be 1-d and e4m3fn/256/float32", mf.quantize(weights(300), "e4m3fn")),
        ("quantized must be 1-d and e4m3fn/256/float32",
         mf.quantize(weights(3, 300), "e4m3fn/256/float32")),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            DoubleScales(wrong, 1.0)
    for mean in (0.1, 1e300, np.inf, np.nan, 1, "1.0"):
        with pytest.raises(ValueError, match="mean must be a finite float32 number, got"):
            DoubleScales(codes, mean)  # type: ignore[arg-type]
    q = mf.quantize(weights(4, 64), "qlora")
    with pytest.raises(
        ValueError, match=r"scales must be double.values\(\), got .* at index \(0, 0\), where"
    ):
        replace(q, scales=q.scales * 2)

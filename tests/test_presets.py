"""Presets, zero points, double quantization, and the kernel's quotients on ties."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minifloat as mf
from minifloat.presets import bfp
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


@settings(max_examples=100, deadline=None)
@given(
    w=st.lists(st.floats(-(2.0**40), 2.0**40, width=32), min_size=1, max_size=20),
    bits=st.integers(2, 8),
    size=st.integers(1, 8),
)
def test_zero_points(w: list[float], bits: int, size: int) -> None:
    q = mf.quantize(np.float32(w), f"uint{bits}", block_size=size, scale="float32", zero_point=True)
    assert q.zeros is not None
    top = 2**bits - 1
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


def test_zero_points_need_unsigned_integers() -> None:
    for fmt, options in (
        ("int4", {}),
        ("uint4", {"rule": "mse"}),
        ("uint4", {"tensor_scale": True}),
    ):
        with pytest.raises(ValueError, match="for zero_point, got"):
            mf.quantize([1.0], fmt, zero_point=True, **options)


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

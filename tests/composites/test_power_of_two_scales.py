"""ZeroQuant-FP's scales, and its cast: over all codes, and by adding to exponents."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minifloat as mf
from minifloat.composites import cast_exponents, power_of_two_ratios
from minifloat.composites.power_of_two_scales import shifted_codes

RNG = np.random.default_rng(11)


@pytest.mark.parametrize("recipe", ["e2m1/16/float16", "e2m1/16/float32", "int4/channel/float16"])
@pytest.mark.parametrize("rows", [1, 4, 100])
def test_scales_are_m2(recipe: str, rows: int) -> None:
    w = RNG.standard_t(3, (10, 48)).astype(np.float32) * np.exp(RNG.normal(size=(10, 1)))
    w[3, :16] = 0
    plain, q = mf.quantize(w, recipe), power_of_two_ratios(w, recipe, rows)
    assert q.recipe == plain.recipe
    for start in range(0, 10, rows):
        group = plain.scales[start : start + rows]
        largest = float(group.max())
        for index, s in np.ndenumerate(group):
            got = float(q.scales[start + index[0], index[1]])
            wanted = largest / 2 ** math.ceil(math.log2(largest / s)) if s else 0
            assert got == wanted
            assert s / 2 < got <= s or s == 0
    scales = np.repeat(q.scales, 48 // q.scales.shape[1], axis=1)
    nearest = mf.round_to(np.where(scales > 0, w / np.where(scales > 0, scales, 1), 0), q.fmt)
    assert np.array_equal(q.dequantize(), (nearest * scales).astype(np.float32))


def test_over_a_tensor_most_saturate() -> None:
    w = RNG.standard_normal((64, 512)).astype(np.float32)
    saturated = []
    for rows in (1, 64):
        q, scales = power_of_two_ratios(w, "e2m1/128/float32", rows), None
        scales = np.repeat(q.scales, 128, axis=1)
        tops = np.abs(w / scales).reshape(64, 4, 128).max(axis=2)
        saturated.append(float(np.mean(tops > 6.0001)))
    assert saturated[0] == 0.75  # of four blocks all but the largest
    assert saturated[1] > 0.99


def test_scales_stay_values_of_their_format() -> None:
    w = np.array([[3.0, 3.1, 1e-5, 1e-9]])
    q = power_of_two_ratios(w, "e2m1/1/float16", 1)
    largest = mf.quantize(w, "e2m1/1/float16").scales[0, 1]
    steps = float(largest) * 2.0 ** -np.arange(30)
    held = steps[steps == steps.astype(np.float16)]
    assert q.scales[0, 1] == largest
    assert q.scales[0, 2:].tolist() == [held[-1], held[-1]]  # the smallest that float16 has


@pytest.mark.parametrize("wide", ["e4m3fn", "e5m2", "e4m3", "e5m3", "e3m2"])
def test_the_cast_adds_to_the_exponent(wide: str) -> None:
    """Every code of E2M1 and every shift that fits, against arithmetic on the fields of codes."""
    narrow, fmt = mf.parse("e2m1"), mf.parse(wide)
    assert isinstance(fmt, mf.Format)
    for shift in range(fmt.bias + 1):
        codes = np.arange(16)
        shifts = np.full(16, shift)
        if fmt.bias - 1 - shift < 1:  # 0.5 / 2**shift would be subnormal
            continue
        got = shifted_codes(codes, shifts, narrow, fmt)
        for code in range(16):
            sign, field, bit = code >> 3, (code >> 1) & 3, code & 1
            if (field, bit) == (0, 1):  # 0.5, subnormal in E2M1
                field, bit = 0, 0
            elif field == 0:
                assert got[code] == sign << (fmt.bits - 1)
                continue
            exponent = field - 1 + fmt.bias - shift  # E2M1's bias is 1
            magnitude = exponent << fmt.mantissa_bits | bit << (fmt.mantissa_bits - 1)
            assert got[code] == sign << (fmt.bits - 1) | magnitude
            assert fmt.value(int(got[code])) == narrow.value(code) / 2**shift


@pytest.mark.parametrize(("wide", "last"), [("e4m3fn", 8), ("e5m2", 15), ("e5m3", 16)])
def test_the_largest_shift(wide: str, last: int) -> None:
    narrow, fmt = mf.parse("e2m1"), mf.parse(wide)
    codes = np.arange(16)
    for shift in range(last + 1):
        got = shifted_codes(codes, np.full(16, shift), narrow, fmt)
        assert np.array_equal(mf.decode(got, fmt), narrow.values() / 2**shift)
    with pytest.raises(ValueError, match=f"fmt must have .* over 2\\*\\*{last + 1}"):
        shifted_codes(codes, np.full(16, last + 1), narrow, fmt)


@pytest.mark.parametrize("recipe", ["e2m1/16/float16", "e2m1/32/float32/hadamard16"])
@pytest.mark.parametrize("rows", [1, 3])
def test_a_cast_changes_no_bit(recipe: str, rows: int) -> None:
    w = RNG.standard_t(3, (7, 64)).astype(np.float32)
    w[2] = 0
    q = power_of_two_ratios(w, recipe, rows)
    for fmt in ("e4m3fn", "e5m2"):
        wide = cast_exponents(q, fmt, rows)
        assert wide.fmt == mf.parse(fmt)
        assert wide.scales.shape == (-(-7 // rows), 1)
        assert np.array_equal(wide.stored.dequantize(), q.stored.dequantize())
    x = RNG.standard_normal((3, 64)).astype(np.float32)
    assert np.allclose(mf.linear(x, wide), mf.linear(x, q), atol=1e-4)


def test_m1_is_cast_too() -> None:
    w = RNG.standard_normal((4, 64)).astype(np.float32)
    for recipe in ("e2m1/16/float32:up", "mxfp4"):
        q = mf.quantize(w, recipe)
        assert np.array_equal(cast_exponents(q, "e5m2", 4).dequantize(), q.dequantize())


def test_bad_arguments() -> None:
    w = np.eye(4)
    q = mf.quantize(RNG.standard_normal((4, 32)), "e2m1/16/float16")
    with pytest.raises(ValueError, match="q must have scales whose ratios are powers of two"):
        cast_exponents(q, "e5m2")
    with pytest.raises(TypeError, match="q must be Quantized, got ndarray"):
        cast_exponents(w, "e5m2")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="q must be a matrix in blocks along its inputs"):
        cast_exponents(mf.quantize(w, "e2m1", axis=0), "e5m2")
    with pytest.raises(ValueError, match="q must have scales of blocks along the inputs alone"):
        cast_exponents(mf.quantize(w, "nvfp4"), "e5m2")
    with pytest.raises(ValueError, match="fmt must have each value of e2m1 over"):
        cast_exponents(mf.quantize(w + 0.01, "mxfp4", block=1), "e2m3")
    for recipe in ("nvfp4", "uint4/16/float16/zero-point", "e2m1/2x2/float16", "if4", "lut4"):
        with pytest.raises(ValueError, match="recipe must have scales of blocks along the inputs"):
            power_of_two_ratios(w, recipe, 1)
    with pytest.raises(ValueError, match="rows must be"):
        power_of_two_ratios(w, "e2m1", 0)
    with pytest.raises(ValueError, match=r"w must be of shape \(outputs, inputs\)"):
        power_of_two_ratios(w[0], "e2m1", 1)
    with pytest.raises(ValueError, match="w must"):
        power_of_two_ratios(w * np.nan, "e2m1", 1)

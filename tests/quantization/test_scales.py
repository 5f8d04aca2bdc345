"""Scales: every rounding against its formula in fractions, two levels, mistakes of other tools."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import gfloat.block
import gfloat.formats
import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import minifloat as mf
from minifloat.quantization.scales import FLOAT32, ScaleFormat, ScaleRounding, absmax_to_scale
from minifloat.testing import exact_encode

ELEMENTS = ("e2m1", "e2m2", "e3m2", "e4m3fn", "e5m2", "int4", "int8", "e2m2b0", "e3m0")
POWERS_OF_TWO = [str(r) for r in ScaleRounding if r is not ScaleRounding.NEAREST_EVEN]
TINY = float(np.finfo(np.float32).smallest_subnormal)


def floor_log2(x: Fraction) -> int:
    """Return the exponent of x > 0, from integers alone."""
    e = x.numerator.bit_length() - x.denominator.bit_length()
    return e if Fraction(2) ** e <= x else e - 1


def precision(fmt: mf.NumberFormat) -> int:
    return fmt.precision if isinstance(fmt, mf.Format) else fmt.bits - fmt.signed


def power_of_two(absmax: Fraction, fmt: mf.NumberFormat, rounding: str) -> Fraction:
    """Return the scale by the formulas of `ScaleRounding`."""
    largest = Fraction(min(fmt.max, -fmt.min))
    emax, e = floor_log2(largest), floor_log2(absmax)
    below = Fraction(2) ** e
    if rounding == "floor":
        return Fraction(2) ** (e - emax)
    if rounding == "ceil":
        return Fraction(2) ** ((e if absmax == below else e + 1) - emax)
    if rounding == "nearest":
        return Fraction(2) ** ((e if absmax - below < 2 * below - absmax else e + 1) - emax)
    if rounding == "even":
        unit = below / 2 ** (precision(fmt) - 1)
        return Fraction(2) ** (floor_log2(round(absmax / unit) * unit) - emax)
    assert rounding in ("up", "down")
    exponent = floor_log2(absmax / largest)
    if rounding == "up" and Fraction(2) ** exponent * largest < absmax:
        exponent += 1
    return Fraction(2) ** exponent


def clip_to_e8m0(scale: Fraction) -> Fraction:
    return max(scale, Fraction(2) ** -127)


def around_powers_of_two() -> st.SearchStrategy[float]:
    """Magnitudes of float32 at, just below and just above powers of two and 1.5 and 1.75 times."""

    def near(e: int, factor: float, ulps: int) -> float:
        x = np.float32(math.ldexp(factor, e))
        for _ in range(abs(ulps)):
            x = np.nextafter(x, np.float32(math.copysign(math.inf, ulps)))
        return float(x)

    factors = st.sampled_from([1.0, 1.25, 1.5, 1.75, 1.875, 1.9375])
    return st.builds(near, st.integers(-147, 120), factors, st.integers(-2, 2))


magnitudes = st.one_of(
    around_powers_of_two(),
    st.floats(0, 2.0**120, width=32, exclude_min=True, allow_subnormal=True),
)


@settings(max_examples=400)
@given(
    absmax=magnitudes,
    fmt=st.sampled_from(ELEMENTS),
    rounding=st.sampled_from(POWERS_OF_TWO),
)
def test_powers_of_two_by_their_formulas(absmax: float, fmt: str, rounding: str) -> None:
    w = np.float32([absmax, -absmax / 3, 0])
    q = mf.quantize(w, fmt, scale="e8m0", scale_rounding=rounding)
    expected = clip_to_e8m0(power_of_two(Fraction(absmax), mf.parse(fmt), rounding))
    assert Fraction(float(q.scales[0])) == expected
    for x, code in zip(w, q.codes, strict=True):
        assert int(code) == exact_encode(Fraction(float(x)) / expected, mf.parse(fmt)) or x == 0


def test_the_formulas_tell_the_roundings_apart() -> None:
    fmt = mf.parse("e2m1")
    scales = {
        rounding: [float(power_of_two(Fraction(x), fmt, rounding)) for x in (4, 5.9, 6, 7, 7.9, 8)]
        for rounding in POWERS_OF_TWO
    }
    assert scales == {
        "floor": [1, 1, 1, 1, 1, 2],
        "ceil": [1, 2, 2, 2, 2, 2],
        "nearest": [1, 1, 2, 2, 2, 2],
        "even": [1, 1, 1, 2, 2, 2],
        "up": [1, 1, 1, 2, 2, 2],
        "down": [0.5, 0.5, 1, 1, 1, 1],
    }


def test_a_float_log2_is_off_by_one_just_below_a_power_of_two() -> None:
    """What microxcaling, pychop and gfloat do; here the exponent is that of the bits."""
    wrong = 0
    for e in range(-100, 100):
        x = np.nextafter(np.float32(2.0**e), np.float32(0))
        scale = mf.quantize([x], "e2m1", scale="e8m0", scale_rounding="floor").scales[0]
        assert scale == 2.0 ** (e - 1 - 2)
        wrong += np.floor(np.log2(x)) != e - 1
    assert wrong > 100, "the mistake is there to be made"


def test_small_blocks_keep_their_size() -> None:
    """Blocks below 2**-124 come back halved from torchao."""
    for e in range(-149, -120):
        x = np.float32(2.0**e)
        for fmt in ("e2m1", "e4m3fn", "e3m2"):
            q = mf.quantize([x, 0], fmt, scale="e8m0", scale_rounding="floor")
            emax = math.frexp(mf.parse(fmt).max)[1] - 1
            assert q.scales[0] == max(2.0 ** (e - emax), 2.0**-127)
            if e - emax >= -127:
                assert q.dequantize()[0] == x
            else:  # rounded to the format at the smallest scale
                assert q.dequantize()[0] == mf.round_to(float(x) * 2.0**127, fmt) * 2.0**-127


def test_a_zero_block_has_a_scale_that_its_format_has() -> None:
    for scale, smallest in (("e8m0", 2.0**-127), ("e4m3fn", 0), ("float16", 0), ("float32", 0)):
        for rounding in ScaleRounding:
            q = mf.quantize(np.zeros((2, 40)), "e2m1", scale=scale, scale_rounding=rounding)
            assert (q.scales == smallest).all()
            assert not q.dequantize().any()


EIGHT_BITS = ("e8m0", "e4m3fn", "ue5m3", "e5m2", "e4m3fnuz", "binary8p3se", "ue4m4_nosub", "e5m0")


@settings(max_examples=300)
@example(absmax=491520.0, scale="e5m0", fmt="e2m1")  # 1.25 times the largest scale
@example(absmax=589824.0, scale="e5m0", fmt="e2m1")  # 1.5 times, a tie with an even code
@given(
    absmax=magnitudes,
    scale=st.sampled_from([*EIGHT_BITS, "float16", "bfloat16", "tf32", "float32"]),
    fmt=st.sampled_from(ELEMENTS),
)
def test_scales_of_every_format(absmax: float, scale: str, fmt: str) -> None:
    """The nearest value of the format by the exact oracle, the smallest for less; else refused."""
    exact = Fraction(absmax) / Fraction(min(mf.parse(fmt).max, -mf.parse(fmt).min))
    if scale == "float32":
        expected = float(np.float32(float(exact))) or TINY
        limit = math.inf
    else:
        scale_format = mf.parse(scale)
        assert isinstance(scale_format, mf.Format)
        code = exact_encode(exact, scale_format, overflow="saturate")
        expected = scale_format.value(code) or scale_format.smallest
        step = math.ldexp(1, math.frexp(scale_format.max)[1] - 1 - scale_format.mantissa_bits)
        limit = scale_format.max + step / 2  # from where on the nearest value is beyond
    if exact >= limit:
        with pytest.raises(ValueError, match="scale must hold every block's scale"):
            mf.quantize([absmax], fmt, scale=scale, scale_rounding="nearest_even")
        return
    q = mf.quantize([absmax], fmt, scale=scale, scale_rounding="nearest_even")
    assert float(q.scales[0]) == expected


@pytest.mark.parametrize("scale", ["e8m0", "e4m0"])
def test_powers_of_two_are_rounded_down_by_default(scale: str) -> None:
    w = np.random.default_rng(9).standard_normal((4, 64)).astype(np.float32)
    scales = mf.quantize(w, "e3m2", block=32, scale=scale).scales
    for rounding, same in (("floor", True), ("nearest_even", False)):
        other = mf.quantize(w, "e3m2", block=32, scale=scale, scale_rounding=rounding)
        assert np.array_equal(other.scales, scales) == same


def test_a_tie_of_exponents_goes_to_the_even_code() -> None:
    for scale in ("e8m0", "e5m0"):
        fmt = mf.parse(scale)
        for code in range(3, 20):
            halfway = 1.5 * fmt.value(code)
            q = mf.quantize([halfway * 6], "e2m1", scale=scale, scale_rounding="nearest_even")
            assert q.scales[0] == mf.round_to(halfway, scale) == fmt.value(code + code % 2)


def test_scales_beyond_their_format_are_refused() -> None:
    for options in ({"scale": "e4m3fn"}, {"scale": "e5m2", "scale_rounding": "ceil"}):
        with pytest.raises(
            ValueError, match=r"scale must hold .*, at index \(2, 1\) of the scales; use a wider"
        ):
            mf.quantize([[1, 1], [1, 1], [1, 1e7]], "e2m1", block=1, **options)
    w = np.ones((3, 4, 6))
    w[2, 3, 4] = 1e7
    for axis, block, index in (
        (0, 1, r"\(2, 3, 4\)"), (1, 2, r"\(2, 1, 4\)"), (2, 4, r"\(2, 3, 1\)"),
        (1, "channel", r"\(2, 0, 4\)"), (2, "tensor", r"\(\)"), (2, (3, 2), r"\(2, 1, 2\)"),
    ):  # fmt: skip
        message = f"scale must hold every block's scale, got 1.66667e\\+06 .* index {index} of the"
        with pytest.raises(ValueError, match=message):
            mf.quantize(w, "e2m1", axis=axis, block=block, scale="e4m3fn")
    largest = [np.finfo(np.float32).max]
    for rounding in ("floor", "down"):
        assert np.isfinite(mf.quantize(largest, f"e2m1/4/e8m0:{rounding}").dequantize()).all()
    for rounding in ("nearest", "even"):  # 2**128 has the scale 2**126
        with pytest.raises(ValueError, match=r"w must become numbers within float32's 3\.4e"):
            mf.quantize(largest, f"e2m1/4/e8m0:{rounding}")


def nvfp4(w: np.ndarray, largest: float, element: Any) -> np.ndarray:
    """Return NVFP4 by ml_dtypes and NumPy alone, one row at a time."""
    tensor = np.float32(np.float64(np.abs(w).max()) / (largest * 448))
    out = np.zeros_like(w)
    for row, start in np.ndindex(w.shape[0], -(-w.shape[1] // 16)):
        block = w[row, 16 * start : 16 * start + 16].astype(np.float64)
        quotient = np.float32(np.abs(block).max() / (largest * np.float64(tensor)))
        scale = float(quotient.astype(ml_dtypes.float8_e4m3fn)) or 2.0**-9
        factor = scale * np.float64(tensor)
        if element is None:
            values = np.clip(np.rint(block / factor), -largest, largest)
        else:
            values = (block / factor).astype(np.float32).astype(element).astype(np.float64)
        out[row, 16 * start : 16 * start + 16] = values * factor
    return out


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("recipe", "largest", "element"),
    [("nvfp4", 6.0, ml_dtypes.float4_e2m1fn), ("nvint4", 7.0, None)],
)
def test_nvidias_two_levels(recipe: str, largest: float, element: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    w = (rng.standard_normal((7, 50)) * np.exp(3 * rng.standard_normal((7, 1)))).astype(np.float32)
    w[3] *= 1e-6  # scales that underflow
    w[4] = 0
    q = mf.quantize(w, recipe)
    np.testing.assert_array_equal(q.dequantize(), nvfp4(w, largest, element))
    assert q.tensor_scale == np.float32(np.float64(np.abs(w).max()) / (largest * 448))
    assert q.scales.max() == 448
    assert q.bits_per_weight == 4 + (7 * 4 * 8 + 32) / w.size
    assert q.nbytes == 7 * 50 // 2 + 7 * 4 + 4
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(q.dequantize(), nvfp4(w, largest + 1, element))


def test_two_levels_of_hostile_tensors() -> None:
    for w in (
        np.zeros((2, 20)),
        np.full((2, 20), 1e-300),
        np.full((2, 20), TINY),
        np.zeros((0, 4)),
    ):
        q = mf.quantize(w, "nvfp4")
        assert np.isfinite(q.dequantize()).all()
        assert q.tensor_scale is not None
        assert q.tensor_scale > 0
        assert ((q.scales > 0) == (np.abs(w).max(initial=0) > 0)).all()
    with pytest.raises(ValueError, match="tensor_scale must be a float32 number"):
        mf.quantize([1e300], "nvfp4")
    with pytest.raises(ValueError, match=r"w must be finite, got nan at index \(1, 2\)"):
        mf.quantize([[1, 2, 3], [4, 5, np.nan]], "nvfp4")


@settings(max_examples=300)
@example(absmax=[0.2], fmt="e2m1", scale="float32", rounding="nearest_even")  # beyond by 2**-21
@given(
    absmax=st.lists(magnitudes, min_size=1, max_size=3),
    fmt=st.sampled_from(ELEMENTS),
    scale=st.sampled_from([*EIGHT_BITS, "float16", "bfloat16", "tf32", "float32"]),
    rounding=st.sampled_from(list(ScaleRounding)),
)
def test_under_a_tensor_scale_every_scale_has_a_place(
    absmax: list[float], fmt: str, scale: str, rounding: ScaleRounding
) -> None:
    w = np.float32(absmax)[:, None]
    options = {"scale": scale, "scale_rounding": rounding, "tensor_scale": True}
    q = mf.quantize(w, fmt, **options)
    assert q.tensor_scale is not None
    largest = float(q.scales.max())
    values = ScaleFormat.parse(scale).values
    if rounding == "nearest_even" and values.mantissa_bits and max(absmax) > 2.0**20:
        assert largest == pytest.approx(values.largest, rel=2.0**-12)
    assert np.isfinite(q.dequantize()).all()


@settings(max_examples=100)
@given(st.lists(st.floats(2.0**-60, 2.0**60, width=32), min_size=1, max_size=6))
def test_zeroquant_fps_m1_and_m2(maxima: list[float]) -> None:
    """M1: 2**ceil(log2 S). M2: S_max / 2**ceil(log2(S_max / S)); S = absmax / 6 for E2M1."""
    w = np.float32(maxima)[:, None] * np.float32([1, -0.4])
    exact = [Fraction(float(x)) / 6 for x in w[:, 0]]
    m1 = mf.quantize(w, "e2m1", scale="float32", scale_rounding="up").scales
    for s, scale in zip(exact, m1.ravel(), strict=True):
        power = Fraction(2) ** (floor_log2(s) + (s != Fraction(2) ** floor_log2(s)))
        assert Fraction(float(scale)) == power
    q = mf.quantize(w, "e2m1", scale="e8m0", scale_rounding="down", tensor_scale=True)
    for s, scale in zip(exact, q.scales.ravel(), strict=True):
        ratio = max(exact) / s
        exponent = floor_log2(ratio) + (ratio != Fraction(2) ** floor_log2(ratio))
        near = Fraction(q.tensor_scale) / max(exact)
        assert 1 - Fraction(2) ** -23 < near <= 1
        if ratio * near > Fraction(2) ** (exponent - 1) or exponent == 0:
            assert Fraction(float(scale)) == Fraction(2) ** -exponent
    assert q.scales.max() == 1


MX = {
    "mxfp8e4m3": (gfloat.formats.format_info_ocp_e4m3, ml_dtypes.float8_e4m3fn),
    "mxfp8e5m2": (gfloat.formats.format_info_ocp_e5m2, ml_dtypes.float8_e5m2),
    "mxfp6e2m3": (gfloat.formats.format_info_ocp_e2m3, ml_dtypes.float6_e2m3fn),
    "mxfp6e3m2": (gfloat.formats.format_info_ocp_e3m2, ml_dtypes.float6_e3m2fn),
    "mxfp4": (gfloat.formats.format_info_ocp_e2m1, ml_dtypes.float4_e2m1fn),
    "mxint8": (gfloat.formats.format_info_ocp_int8, None),
}


def peers_block(block: np.ndarray, info: Any) -> np.ndarray:
    fi = gfloat.block.BlockFormatInfo("mx", info, 32, gfloat.formats.format_info_ocp_e8m0)
    return gfloat.block.quantize_block(fi, block, gfloat.block.compute_scale_amax)


def rounded_by_ml_dtypes(block: np.ndarray, name: str) -> np.ndarray:
    """Return an MX block by NumPy and ml_dtypes, saturating."""
    fmt = mf.RECIPES[name].fmt
    emax = math.frexp(fmt.max)[1] - 1
    _, exponent = np.frexp(np.abs(block).max())
    scale = 2.0 ** max(int(exponent) - 1 - emax, -127)
    ready = np.clip(block / scale, fmt.min, fmt.max).astype(np.float32)
    dtype = MX[name][1]
    values = np.rint(ready * 64) / 64 if dtype is None else ready.astype(dtype)
    return values.astype(np.float64) * scale


@pytest.mark.parametrize("name", MX)
def test_mx_as_gfloat_and_ml_dtypes_have_it(name: str) -> None:
    rng = np.random.default_rng(32)
    another_rule_differs = False
    for k in range(60):
        block = rng.standard_normal(32) * 2.0 ** rng.integers(-60, 60)
        if k % 3 == 0:  # near the next power of two: it saturates
            block[5] = 1.99 * 2.0 ** (math.frexp(np.abs(block).max())[1] - 1)
        block = block.astype(np.float32).astype(np.float64)
        q = mf.quantize(block.astype(np.float32), name)
        ours = q.dequantize().astype(np.float64)
        np.testing.assert_array_equal(ours, peers_block(block, MX[name][0]))
        np.testing.assert_array_equal(ours, rounded_by_ml_dtypes(block, name))
        other = mf.quantize(block, name, scale_rounding="ceil").dequantize()
        another_rule_differs |= bool((ours != other).any())
    assert another_rule_differs


def test_mx_scales_agree_with_e8m0_of_ml_dtypes() -> None:
    powers = np.float32([2.0**k for k in range(-127, 127)])
    codes = mf.encode(powers, "e8m0")
    np.testing.assert_array_equal(codes.view(ml_dtypes.float8_e8m0fnu).astype(np.float32), powers)


MISTAKES: dict[str, Callable[[Fraction, mf.NumberFormat], Fraction]] = {
    "a log2 in float": lambda x, fmt: Fraction(2) ** (
        int(np.floor(np.log2(np.float32(float(x))))) - floor_log2(Fraction(fmt.max))
    ),
    "an emax one too large": lambda x, fmt: power_of_two(x, fmt, "floor") / 2,
    "a ceiling": lambda x, fmt: power_of_two(x, fmt, "ceil"),
    "max instead of emax": lambda x, fmt: power_of_two(x, fmt, "up"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_formulas_catch_mistakes(mistake: str) -> None:
    fmt = mf.parse("e2m1")
    maxima = [np.nextafter(np.float32(2.0**e), np.float32(0)) for e in range(-20, 20)]
    right = [mf.quantize([x], fmt, scale="e8m0", scale_rounding="floor").scales[0] for x in maxima]
    wrong = [float(MISTAKES[mistake](Fraction(float(x)), fmt)) for x in maxima]
    assert right != wrong


def test_facts_of_scale_formats() -> None:
    assert ScaleFormat.parse("float32") is ScaleFormat.parse(" Float32") is FLOAT32
    assert FLOAT32.bits == 32
    assert FLOAT32.values.smallest == TINY
    assert FLOAT32.values.largest == np.finfo(np.float32).max
    ue5m3 = ScaleFormat.parse(mf.parse("ue5m3"))
    assert (ue5m3.name, ue5m3.bits, str(ue5m3)) == ("ue5m3", 8, "ue5m3")
    assert ScaleFormat.parse(ue5m3) is ue5m3
    for name in (*EIGHT_BITS, "float16", "bfloat16", "tf32"):
        scale, values = ScaleFormat.parse(name), mf.parse(name).values()
        assert (scale.name, scale.bits) == (mf.parse(name).name, mf.parse(name).bits)
        assert scale.values.has_zero == scale.powers_of_two.has_zero == (0 in values)
        values = values[np.isfinite(values) & (values > 0)]
        assert (scale.values.smallest, scale.values.largest) == (values.min(), values.max())
        powers = [x for x in values if math.frexp(x)[0] == 0.5]
        powers_of_two = scale.powers_of_two
        assert (powers_of_two.smallest, powers_of_two.largest) == (min(powers), max(powers))
        only_powers = len(powers) == len(values)
        assert scale.default_rounding == ("floor" if only_powers else "nearest_even")
    for bad in ("int8", "nf4"):
        with pytest.raises(ValueError, match="scale must be float32 or a Format such as e8m0"):
            ScaleFormat.parse(bad)
    with pytest.raises(TypeError, match="scale must be a format or the name of one, got 5"):
        ScaleFormat.parse(5)  # type: ignore[arg-type]


def test_even_needs_a_precision() -> None:
    with pytest.raises(ValueError, match='scale_rounding must not be "even" for nf4'):
        absmax_to_scale(mf.parse("nf4"), ScaleRounding.EVEN, 1.0)
    with pytest.raises(ValueError, match="fmt must have a value above zero"):
        mf.quantize([1.0], mf.Codebook([-1.0, -0.5]))

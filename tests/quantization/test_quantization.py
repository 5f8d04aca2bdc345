"""`quantize`: scales, blocks, the one rounding, and what it refuses."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minifloat as mf
from minifloat.quantization import pipeline as _quantizing
from minifloat.testing import exact_encode

FORMATS = ("e2m2", "e2m2b0", "int5", "nf4", "e2m1", "int4full", "e4m3fn", "bipolar_int3")
SCALES = ("float32", "float16", "bfloat16")


def weights(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def scale_blocks(w: np.ndarray, axis: int | None, block_size: int | None) -> list[tuple]:
    """Return (index of the scale, indices of the elements) of every block, the slow way."""
    found: dict[tuple, list[tuple]] = {}
    for index in np.ndindex(w.shape):
        if axis is None:
            where: tuple = ()
        else:
            place = list(index)
            place[axis] = index[axis] // block_size if block_size else 0
            where = tuple(place)
        found.setdefault(where, []).append(index)
    return list(found.items())


def quotient(x: np.float32, scale: Fraction) -> Fraction | float:
    """Return x / scale exactly; a fraction has no -0."""
    return Fraction(float(x)) / scale if x else float(x)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize(("axis", "block_size"), [(-1, 4), (0, 2), (1, None), (None, 4), (0, 100)])
def test_against_the_definition(
    fmt: str, scale: str, axis: int | None, block_size: int | None
) -> None:
    w = weights((5, 6, 3))
    w[1] = 0
    quantized = mf.quantize(w, fmt, axis=axis, block_size=block_size, scale=scale)
    found = mf.parse(fmt)
    axis = None if axis is None else axis % w.ndim
    back = quantized.dequantize()
    assert quantized.shape == back.shape == w.shape
    count = 0
    for where, elements in scale_blocks(w, axis, None if axis is None else block_size):
        absmax = max(abs(float(w[index])) for index in elements)
        exact = absmax / min(found.max, -found.min)
        expected = mf.round_to(exact, scale) if scale != "float32" else np.float32(exact)
        assert quantized.scales[where] == expected
        for index in elements:
            s, code = Fraction(float(expected)), int(quantized.codes[index])
            if s:
                assert code == exact_encode(quotient(w[index], s), found)
            value = np.float32(found.value(code)) * np.float32(expected)
            assert back[index] == value
        count += 1
    bits = {"float32": 32}.get(scale, 16)
    assert quantized.scales.size == count
    assert quantized.bits_per_weight == found.bits + bits * count / w.size
    assert quantized.nbytes == -(-w.size * found.bits // 8) + bits // 8 * count


@settings(max_examples=60)
@given(data=st.data())
def test_each_weight_is_rounded_once(data: st.DataObject) -> None:
    fmt = mf.parse(data.draw(st.sampled_from(["e2m2", "e4m3fn", "int8", "e3m2", "nf4"])))
    numbers = st.floats(-1e4, 1e4, width=32)
    w = np.array(data.draw(st.lists(numbers, min_size=1, max_size=12)), np.float32)
    quantized = mf.quantize(w, fmt, block_size=None, scale="float32")
    scale = Fraction(float(quantized.scales[0]))
    for x, code in zip(w, quantized.codes, strict=True):
        if scale:
            assert int(code) == exact_encode(quotient(x, scale), fmt)


def test_powers_of_two_scale_through() -> None:
    w = weights((8, 256))
    for fmt in FORMATS:
        one = mf.quantize(w, fmt, scale="float32").dequantize()
        other = mf.quantize(w * 8, fmt, scale="float32").dequantize()
        np.testing.assert_array_equal(one * 8, other)


def test_a_grid_comes_back_exactly() -> None:
    for name in ("e2m2", "e4m3fn", "int5", "nf4", "bnb_fp4"):
        values = mf.parse(name).values()
        values = np.where(np.isfinite(values), values, 0).astype(np.float32)
        np.testing.assert_array_equal(
            mf.quantize(values, name, block_size=None).dequantize(), values
        )


def test_zero_blocks_give_zeros() -> None:
    for fmt in (*FORMATS, "e8m0"):
        quantized = mf.quantize(np.zeros((3, 200)), fmt)
        assert not quantized.scales.any()
        assert not quantized.dequantize().any()


def test_small_scales_never_become_zero() -> None:
    for scale in SCALES:
        w = np.float64([[1e-30, 2e-30], [1e-300, 0], [1e-46, 1e-45]])
        scales = mf.quantize(w, "e2m2", scale=scale, block_size=None).scales
        assert (scales > 0).all()
    assert mf.quantize([1e-9], "e2m2").scales == np.float32(2.0**-24)


def test_empty_and_single() -> None:
    for shape in ((0,), (0, 3), (3, 0), (2, 0, 4)):
        for axis in (-1, 0, None):
            quantized = mf.quantize(np.zeros(shape, np.float32), "e2m2", axis=axis)
            assert quantized.dequantize().shape == shape
            assert quantized.bits_per_weight == 5
    one = mf.quantize(3.0, "e2m2", scale="float32")
    assert one.shape == ()
    assert one.dequantize() == np.float32(3)
    assert mf.quantize([1, -7, 3], "int4", scale="float32").dequantize().tolist() == [1, -7, 3]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("axis", [0, 1, 2, None])
def test_non_finite_weights_are_found(bad: float, axis: int | None) -> None:
    w = weights((4, 5, 6))
    w[2, 3, 1] = bad
    for block_size in (1, 3, None):
        with pytest.raises(ValueError, match=r"w must be finite, got .* at index \(2, 3, 1\)"):
            mf.quantize(w, "e2m2", axis=axis, block_size=block_size)


def test_bad_options() -> None:
    w = weights((4, 8))
    cases = {
        "axis must be an axis of w": {"axis": 2},
        "block_size must be at least 1": {"block_size": 0},
        "block_size must be an int or None": {"block_size": 1.5},
        "scale must be float32 or a Format such as e8m0, got int8": {"scale": "int8"},
        "scale must be a known format name, got 'e8mm'": {"scale": "e8mm"},
        "scale must be a format whose values float32 holds, got e9m0": {"scale": "e9m0"},
        "rule must be one of absmax, mse, percentile, shrink, got 'median'": {"rule": "median"},
    }
    for message, options in cases.items():
        with pytest.raises((ValueError, TypeError), match=message):
            mf.quantize(w, "e2m2", **options)
    with pytest.raises(ValueError, match=r"scale must hold every block's .* for float16"):
        mf.quantize(w * 1e9, "e2m2")
    with pytest.raises(ValueError, match=r"scale must hold every block's scale, got 1.4.* float32"):
        mf.quantize([1e300], "e2m2", scale="float32")
    with pytest.raises(ValueError, match="fmt must have negative values"):
        mf.quantize(w, "ue4m3")
    with pytest.raises(TypeError, match="must be float16"):
        mf.quantize(w * 1j, "e2m2")


def test_a_scale_beyond_float64_is_an_error_like_others() -> None:
    tiny = mf.Format(1, 0, bias=1028, signed=False, subnormals=False)
    with pytest.raises(ValueError, match="scale must hold every block's scale, got inf"):
        mf.quantize([1e30], tiny)


def test_layout_of_the_weights_does_not_matter() -> None:
    w = weights((6, 10, 8))
    want = mf.quantize(w, "e2m2", block_size=3, axis=1)
    for same in (np.asfortranarray(w), w.astype(">f4"), w.astype(np.float64), w[::-1][::-1]):
        got = mf.quantize(same, "e2m2", block_size=3, axis=1)
        np.testing.assert_array_equal(got.codes, want.codes)
        np.testing.assert_array_equal(got.scales, want.scales)


@pytest.mark.parametrize("fmt", [*FORMATS, "float16", "tf32"])
def test_codes_are_stored_packed(fmt: str) -> None:
    w = weights((3, 5, 7))
    quantized = mf.quantize(w, fmt, block_size=None, axis=1, scale="float32")
    scales = np.where(quantized.scales == 0, 1, quantized.scales).astype(np.float64)
    codes = mf.encode(w / scales, fmt)
    np.testing.assert_array_equal(quantized.codes, codes)
    assert quantized.codes.dtype == codes.dtype
    assert quantized.codes is not quantized.codes
    bits = mf.parse(fmt).bits
    np.testing.assert_array_equal(quantized.packed, mf.pack(codes.ravel(), bits))
    assert quantized.nbytes == -(-105 * bits // 8) + 4 * 3 * 7


@pytest.mark.parametrize("shape", [(50, 37), (3, 41, 5), (7, 64), (1, 999), (999, 1)])
@pytest.mark.parametrize("axis", [-1, 0])
def test_chunks_and_threads_do_not_matter(
    shape: tuple[int, ...], axis: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = weights(shape)
    for fmt in ("e2m2", "float16"):
        want = mf.quantize(w, fmt, block_size=4, axis=axis)
        monkeypatch.setattr(_quantizing, "CHUNK", 100)
        for threads in (1, 2):
            got = mf.quantize(w, fmt, block_size=4, axis=axis, threads=threads)
            np.testing.assert_array_equal(got.packed, want.packed)
            np.testing.assert_array_equal(got.scales, want.scales)
        monkeypatch.undo()


def test_words() -> None:
    quantized = mf.quantize(weights((4, 70)), "e2m2")
    layout = mf.parse_layout("fpe2m2_kernel", 5)
    for named in ("fpe2m2_kernel", layout):
        words = quantized.words(named)
        assert words.shape == (4, 15)
        np.testing.assert_array_equal(mf.unpack_words(words, layout, 70), quantized.codes)
    with pytest.raises(ValueError, match="layout must be for codes of 5 bits"):
        quantized.words("2+4")


def test_fields_that_do_not_fit_together() -> None:
    quantized = mf.quantize(weights((4, 256)), "e2m2")
    for message, fields in (
        ("packed must be 640 bytes for 1024 codes of e2m2, got float64", {"packed": np.zeros(640)}),
        ("packed must be 768 bytes for 1024 codes of e3m2", {"fmt": mf.parse("e3m2")}),
        (r"scales must be float32 of shape \(4, 4\), got float32 .* \(4, 2\)", {"block_size": 64}),
        ("scales must be float32 .* got float64", {"scales": np.zeros((4, 2))}),
    ):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(quantized, **fields)


def test_repr() -> None:
    text = repr(mf.quantize(weights((4, 256)), "e2m2"))
    assert text == (
        "<Quantized e2m2 (4, 256): 5.125 bits per weight, axis 1, block_size 128, scales float16>"
    )

"""`quantize`: scales, blocks, the one rounding, and its errors."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minifloat as mf
from minifloat.quantization import pipeline, tasks
from minifloat.testing import exact_encode

FORMATS = ("e2m2", "e2m2b0", "int5", "nf4", "e2m1", "int4full", "e4m3fn", "bipolar_int3")
SCALES = ("float32", "float16", "bfloat16")


def weights(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def scale_blocks(w: np.ndarray, axis: int, block: int | str) -> list[tuple]:
    """Return (index of the scale, indices of the elements) of every block, the slow way."""
    elements: dict[tuple, list[tuple]] = {}
    for index in np.ndindex(w.shape):
        if block == "tensor":
            scale_index: tuple = ()
        else:
            place = list(index)
            place[axis] = index[axis] // block if isinstance(block, int) else 0
            scale_index = tuple(place)
        elements.setdefault(scale_index, []).append(index)
    return list(elements.items())


def quotient(x: np.float32, scale: Fraction) -> Fraction | float:
    """Return x / scale exactly; a fraction has no -0."""
    return Fraction(float(x)) / scale if x else float(x)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("axis", "block"), [(-1, 4), (0, 2), (1, "channel"), (-1, "tensor"), (0, 100)]
)
def test_against_the_definition(name: str, scale: str, axis: int, block: int | str) -> None:
    w = weights((5, 6, 3))
    w[1] = 0
    fmt = mf.parse(name)
    q = mf.quantize(w, fmt, axis=axis, block=block, scale=scale)
    back = q.dequantize()
    assert q.shape == back.shape == w.shape
    assert q.axis == (None if block == "tensor" else axis % 3)
    count = 0
    for scale_index, elements in scale_blocks(w, axis, block):
        absmax = max(abs(float(w[index])) for index in elements)
        exact = absmax / min(fmt.max, -fmt.min)
        expected = mf.round_to(exact, scale) if scale != "float32" else np.float32(exact)
        assert q.scales[scale_index] == expected
        for index in elements:
            s, code = Fraction(float(expected)), int(q.codes[index])
            if s:
                assert code == exact_encode(quotient(w[index], s), fmt)
            assert back[index] == np.float32(fmt.value(code)) * np.float32(expected)
        count += 1
    bits = {"float32": 32}.get(scale, 16)
    assert q.scales.size == count
    assert q.bits_per_weight == fmt.bits + bits * count / w.size
    assert q.nbytes == -(-w.size * fmt.bits // 8) + bits // 8 * count


@settings(max_examples=60)
@given(data=st.data())
def test_each_weight_is_rounded_once(data: st.DataObject) -> None:
    fmt = mf.parse(data.draw(st.sampled_from(["e2m2", "e4m3fn", "int8", "e3m2", "nf4"])))
    numbers = st.floats(-1e4, 1e4, width=32)
    w = np.array(data.draw(st.lists(numbers, min_size=1, max_size=12)), np.float32)
    q = mf.quantize(w, fmt, block="channel", scale="float32")
    scale = Fraction(float(q.scales[0]))
    for x, code in zip(w, q.codes, strict=True):
        if scale:
            assert int(code) == exact_encode(quotient(x, scale), fmt)


def test_powers_of_two_scale_through() -> None:
    w = weights((8, 256))
    for fmt in FORMATS:
        once = mf.quantize(w, fmt, block=128, scale="float32").dequantize()
        eightfold = mf.quantize(w * 8, fmt, block=128, scale="float32").dequantize()
        np.testing.assert_array_equal(once * 8, eightfold)


def test_a_grid_comes_back_exactly() -> None:
    for name in ("e2m2", "e4m3fn", "int5", "nf4", "bnb_fp4"):
        fmt = mf.parse(name)
        values = fmt.values()
        values = np.where(np.isfinite(values), values, 0).astype(np.float32)
        np.testing.assert_array_equal(
            mf.quantize(values, fmt, block="channel").dequantize(), values
        )


def test_zero_blocks_give_zeros() -> None:
    for fmt in (*FORMATS, "e8m0"):
        q = mf.quantize(np.zeros((3, 200)), mf.parse(fmt))
        assert not q.scales.any()
        assert not q.dequantize().any()


def test_small_scales_never_become_zero() -> None:
    for scale in SCALES:
        w = np.float64([[1e-30, 2e-30], [1e-300, 0], [1e-46, 1e-45]])
        scales = mf.quantize(w, "e2m2", scale=scale, block="channel").scales
        assert (scales > 0).all()
    assert mf.quantize([1e-9], "e2m2").scales == np.float32(2.0**-24)


def test_empty_and_single() -> None:
    for shape in ((0,), (0, 3), (3, 0), (2, 0, 4)):
        for axis, block in ((-1, 128), (0, 128), (-1, "tensor"), (-1, (2, 128))):
            q = mf.quantize(np.zeros(shape, np.float32), "e2m2", axis=axis, block=block)
            assert q.dequantize().shape == shape
            assert q.bits_per_weight == 5
    one = mf.quantize(3.0, "e2m2", scale="float32")
    assert one.shape == ()
    assert one.dequantize() == np.float32(3)
    assert mf.quantize([1, -7, 3], "int4", scale="float32").dequantize().tolist() == [1, -7, 3]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_non_finite_weights_are_found(bad: float, axis: int) -> None:
    w = weights((4, 5, 6))
    w[2, 3, 1] = bad
    for block in (1, 3, "channel", "tensor", *([(2, 4)] if axis == 2 else [])):
        with pytest.raises(ValueError, match=r"w must be finite, got .* at index \(2, 3, 1\)"):
            mf.quantize(w, "e2m2", axis=axis, block=block)


def test_bad_arguments() -> None:
    w = weights((4, 8))
    for message, arguments in {
        r"axis must be in -2\.\.1 for shape \(4, 8\), got 2": {"axis": 2},
        r"axis must be in -2\.\.1 for shape \(4, 8\), got -3": {"axis": -3},
        'axis must be an int, got None; use block="tensor" for one scale': {"axis": None},
        "axis must be an int, got True": {"axis": True},
        "axis must be -1 for tiles, which lie in the last two axes, got 0":
            {"axis": 0, "block": "2x4"},
        "threads must be a positive integer, got 0": {"threads": 0},
        "changes must be fields of a recipe, fmt, block, .*, got 'block_size'": {"block_size": 4},
        "block must be a positive int": {"block": 0},
        "scale must be a known format name, got 'e8mm'": {"scale": "e8mm"},
        "search must be one of absmax, mse, percentile, absmean, shrink, got .median.":
            {"search": "median"},
    }.items():  # fmt: skip
        with pytest.raises((ValueError, TypeError), match=message):
            mf.quantize(w, "e2m2", **arguments)
    with pytest.raises(TypeError, match="recipe must be a Recipe, a format or text, got 5"):
        mf.quantize(w, 5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"scale must hold every block's .* for float16"):
        mf.quantize(w * 1e9, "e2m2")
    with pytest.raises(ValueError, match=r"scale must hold every block's scale, got 1.4.* float32"):
        mf.quantize([1e300], "e2m2", scale="float32")
    with pytest.raises(ValueError, match="fmt must have negative values"):
        mf.quantize(w, "ue4m3")
    for bad, message in (
        (w * 1j, r"w must be float16, .*, got complex64; encode w.real and w.imag"),
        (w > 0, r"w must be float16, .*, got bool; use w.astype\(numpy.uint8\)"),
        (["1"], r"w must be float16, .*, got str32; use w.astype\(numpy.float32\)"),
        (None, r"w must be float16, .*, got None; give an array of numbers"),
        ([[1.0], [1.0, 2.0]], "w must be an array or nested lists of one shape"),
    ):
        for verb in (mf.quantize, lambda w, _: mf.search_format(w, 4)):
            with pytest.raises((TypeError, ValueError), match="^" + message):
                verb(bad, "e2m2")


def test_a_scale_beyond_float64_is_an_error_like_others() -> None:
    tiny = mf.Format(1, 0, bias=1028, signed=False, subnormals=False)
    with pytest.raises(ValueError, match="scale must hold every block's scale, got inf"):
        mf.quantize([1e30], tiny)


def test_layout_of_the_weights_does_not_matter() -> None:
    w = weights((6, 10, 8))
    for block, axis in ((3, 1), ("3x4", -1)):
        want = mf.quantize(w, "e2m2", block=block, axis=axis)
        for same in (np.asfortranarray(w), w.astype(">f4"), w.astype(np.float64), w[::-1][::-1]):
            got = mf.quantize(same, "e2m2", block=block, axis=axis)
            np.testing.assert_array_equal(got.codes, want.codes)
            np.testing.assert_array_equal(got.scales, want.scales)


@pytest.mark.parametrize("shape", [(50, 37), (3, 41, 5), (7, 64), (1, 999), (999, 1)])
@pytest.mark.parametrize(("axis", "block"), [(-1, 4), (0, 4), (-1, (3, 4))])
def test_chunks_and_threads_do_not_matter(
    shape: tuple[int, ...], axis: int, block: int | tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = weights(shape)
    for fmt in ("e2m2", "float16"):
        want = mf.quantize(w, fmt, block=block, axis=axis)
        monkeypatch.setattr(tasks, "CHUNK", 100)
        for threads in (1, 2):
            got = mf.quantize(w, fmt, block=block, axis=axis, threads=threads)
            np.testing.assert_array_equal(got.packed, want.packed)
            np.testing.assert_array_equal(got.scales, want.scales)
        monkeypatch.undo()


@pytest.mark.parametrize("recipe", ["e2m2/128/float16/mse", "int4/32/float16/shrink"])
def test_threads_share_a_search_in_few_weights(
    recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts, each = [], pipeline.each

    def counting(work: Any, parts: Any, threads: int) -> Any:
        counts.append(len(parts))
        return each(work, parts, threads)

    monkeypatch.setattr(pipeline, "each", counting)
    mf.quantize(np.zeros((128, 4096), np.float32), recipe, threads=2)
    assert max(counts) >= 8


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(["e2m1", "e2m2", "e4m3fn", "e5m2", "int5", "e3m2"]),
    scale=st.floats(2.0**-20, 2.0**20, width=32),
    code=st.integers(0, 30),
    ulps=st.integers(-2, 2),
)
def test_quotients_that_are_ties_in_float32(name: str, scale: float, code: int, ulps: int) -> None:
    """Weights next to a midpoint times the scale: the quotient is a tie in float32 only."""
    fmt = mf.parse(name)
    values = fmt.values()
    values = np.unique(values[np.isfinite(values) & (values >= 0)])
    k = code % (len(values) - 1)
    x = np.float32((values[k] + values[k + 1]) / 2 * scale)
    for _ in range(abs(ulps)):
        x = np.nextafter(x, np.float32(np.copysign(np.inf, ulps)))
    largest = np.float32(fmt.max * np.float64(np.float32(scale)))
    q = mf.quantize(np.float32([largest, x, -x]), fmt, scale="float32")
    s = Fraction(float(q.scales[0]))
    for weight, got in zip([largest, x, -x], q.codes, strict=True):
        assert int(got) == exact_encode(Fraction(float(weight)) / s, fmt)

"""`Quantized`: its parts, picking rows, and how NumPy meets it."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minifloat as mf
from minifloat.quantization.quantized import DoubleScales

FORMATS = ("e2m2", "e2m2b0", "int5", "nf4", "e2m1", "int4full", "e4m3fn", "bipolar_int3")
RECIPES = [
    mf.Recipe.parse(text)
    for text in (
        "e2m2/4/float16", "e2m1/3x4/e8m0", "e2m2/2x1/float32", "nf4/4/float32/double",
        "e4m3fn/3x4/float32/double+mse", "uint4/4/float16/zero-point", "uint3/3x4/e8m0/zero-point",
        "uint4/4/ue4m3/tensor-scale+zero-point", "uint4/5/float32/double+zero-point", "nvfp4",
        "int5/channel/bfloat16", "e2m2/tensor/float32", "uint8/tensor/float16/zero-point",
        "e5m10/7/float16",
    )
]  # fmt: skip
SHAPES = [(7,), (1,), (7, 9), (1, 9), (9, 8), (4, 5, 6), (3, 1, 2, 5)]


def weights(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def axes(recipe: mf.Recipe, shape: tuple[int, ...]) -> range:
    """Return the axes that blocks of a recipe may run along."""
    return range(len(shape) - 1 if isinstance(recipe.block, tuple) else 0, len(shape))


@pytest.mark.parametrize("fmt", [*FORMATS, "float16", "tf32"])
def test_codes_are_stored_packed(fmt: str) -> None:
    w = weights((3, 5, 7))
    q = mf.quantize(w, mf.parse(fmt), block="channel", axis=1, scale="float32")
    scales = np.where(q.scales == 0, 1, q.scales).astype(np.float64)
    codes = mf.encode(w / scales, fmt)
    np.testing.assert_array_equal(q.codes, codes)
    assert q.codes.dtype == codes.dtype
    assert q.codes is not q.codes
    bits = mf.parse(fmt).bits
    np.testing.assert_array_equal(q.packed, mf.pack(codes.ravel(), bits))
    assert q.nbytes == -(-105 * bits // 8) + 4 * 3 * 7


def test_words() -> None:
    q = mf.quantize(weights((4, 70)), "e2m2")
    layout = mf.parse_layout("fpe2m2_kernel", 5)
    for named in ("fpe2m2_kernel", layout):
        words = q.words(named)
        assert words.shape == (4, 15)
        np.testing.assert_array_equal(mf.unpack_words(words, layout, 70), q.codes)
    with pytest.raises(ValueError, match="layout must be for codes of 5 bits"):
        q.words("2+4")


E2M2 = mf.quantize(weights((4, 256)), "e2m2")
UINT4 = mf.quantize(weights((4, 256)), "uint4/64/float16/zero-point")
QLORA = mf.quantize(weights((4, 256)), "qlora")
NVFP4 = mf.quantize(weights((4, 256)), "nvfp4")
TENSOR = mf.quantize(weights((4, 256)), "e2m2/tensor")
TILES = mf.quantize(weights((4, 256)), "e2m2/2x64")

INT5 = mf.quantize(weights((1, 128)), "int5")
NF3 = mf.quantize([0.0, 1.0], mf.Codebook([-1, -0.5, 0, 0.25, 0.5, 1], "nf3"))


def zeros(*shape: int, dtype: Any = np.uint8) -> np.ndarray:
    return np.zeros(shape, dtype)


BAD_FIELDS: list[tuple[mf.Quantized, dict[str, Any], str]] = [
    (E2M2, {"packed": np.zeros(640)}, "packed must be 640 bytes for 1024 codes of e2m2, got float"),
    (E2M2, {"packed": E2M2.packed[None]}, r"packed must be 640 bytes .* of shape \(1, 640\)"),
    (E2M2, {"recipe": mf.Recipe("e3m2")}, "packed must be 768 bytes for 1024 codes of e3m2"),
    (E2M2, {"shape": (4, 255)}, "packed must be 638 bytes for 1020 codes of e2m2"),
    (E2M2, {"recipe": E2M2.recipe.replace(block=64)},
     r"scales must be float32 of shape \(4, 4\), got float32 .* \(4, 2\)"),
    (E2M2, {"scales": np.zeros((4, 2))}, r"scales must be float32 of shape \(4, 2\), got float64"),
    (E2M2, {"axis": 0}, r"scales must be float32 of shape \(1, 256\), got"),
    *((E2M2, {"axis": bad}, rf"axis must be in -2\.\.1 for shape \(4, 256\), got {bad}")
      for bad in (2, -3, 2**63, -2**64, np.int64(2))),
    (TENSOR, {"axis": 1}, "axis must be None for one scale, got 1"),
    (TILES, {"axis": 0}, "axis must be -1 for tiles, which lie in the last two axes, got 0"),
    (E2M2, {"tensor_scale": 1.5},
     "tensor_scale must be as the recipe e2m2/128/float16 says, got 1.5"),
    (E2M2, {"zero_points": zeros(4, 2)}, "zero_points must be as the recipe .* says, got some"),
    (E2M2, {"double": QLORA.double}, "double must be as the recipe .* says, got some"),
    (NVFP4, {"tensor_scale": None}, "tensor_scale must be as the recipe .* says, got none"),
    (UINT4, {"zero_points": None}, "zero_points must be as the recipe .* says, got none"),
    (QLORA, {"double": None}, "double must be as the recipe .* says, got none"),
    *((NVFP4, {"tensor_scale": bad}, "tensor_scale must be a float32 number above 0, got")
      for bad in (0.0, -1.0, 0.1, 1e300, math.inf, math.nan, 1, "1")),
    (UINT4, {"zero_points": zeros(4, 4, dtype=int)}, r"zero_points must be uint8 .*, got int64"),
    (UINT4, {"zero_points": zeros(4, 2)}, r"zero_points must be uint8 of shape \(4, 4\), got"),
    (UINT4, {"zero_points": zeros(4, 4) + 16}, "zero_points must be below 16 for uint4.*, got 16"),
    (QLORA, {"scales": QLORA.scales + (QLORA.scales == QLORA.scales[2, 1])},
     rf"scales must be double.values\(\), got {1 + QLORA.scales[2, 1]} at index \(2, 1\), where "
     rf"that is {QLORA.scales[2, 1]}; pass double.values\(\)"),
    (QLORA, {"double": DoubleScales(mf.quantize(np.ones(9), "e4m3fn/256/float32"), 0.0)},
     "double must be of 16 scales, got 9"),
    *((mf.quantize(np.ones((2, 8)), f"e2m1/4/{scale}"), {"scales": np.full((2, 2), bad, "f4")},
       f"scales must be values of {scale}, neither negative nor infinite, got {bad}; round them")
      for scale, bad in (
          ("float16", 1e9), ("float16", np.float32(1e-9)), ("float16", 2.0**-25), ("e8m0", 0.0),
          ("e8m0", 3.0), ("e4m3fn", 480.0), ("e4m3fn", 2.0**-10), ("bfloat16", np.float32(1.001)),
          ("e4m2", np.nan), ("float32", -0.0), ("float32", -1.0), ("float32", np.inf),
          ("float16", -np.inf),
      )),
    (INT5, {"packed": mf.pack(np.full(128, 16), 5)}, "codes must be in 0..31 and not the unused"),
    (NF3, {"packed": mf.pack([0, 7], 3)}, r"codes must be in 0..5 for .*, got 7 at index \(1,\)"),
    (NF3, {"packed": np.array([64], np.uint8)}, "packed must have 0 in the 2 bits after the"),
    *((E2M2, {"shape": bad}, message) for bad, message in (
        ((4, -256), r"a length of shape must be in 0..576460752303423488, got -256"),
        ((4, 2**63), "a length of shape must be in"), ((1,) * 65, "shape must have at most 64"),
        ((2**40, 2**40), r"shape must be of at most 2\*\*59 weights, got"),
        ((2**40, 2**40, 0), r"shape must be of at most 2\*\*59 weights, got"),
    )),
]  # fmt: skip


@pytest.mark.parametrize(("q", "fields", "message"), BAD_FIELDS, ids=range(len(BAD_FIELDS)))
def test_fields_that_do_not_fit_together(
    q: mf.Quantized, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(q, **fields)


@pytest.mark.parametrize(("field", "bad"), [
    ("packed", [1, 2]), ("packed", None), ("packed", b"12"), ("packed", np.ma.masked_array([1])),
    ("scales", 1.0), ("scales", [[1.0]]), ("scales", np.ma.masked_array(E2M2.scales)),
    ("scales", E2M2), ("recipe", "e2m2"), ("recipe", None), ("shape", 4), ("shape", None),
    ("shape", "44"), ("shape", (4.0, 256)), ("shape", (True, 256)), ("shape", ("4", 256)),
    ("axis", None), ("axis", 1.0), ("axis", True), ("axis", "1"), ("axis", [1]),
])  # fmt: skip
def test_parts_of_other_types(field: str, bad: Any) -> None:
    with pytest.raises(TypeError, match=rf"^(a length of )?{field} must be an? .*, got "):
        dataclasses.replace(E2M2, **{field: bad})


@pytest.mark.parametrize("bad", [E2M2, 1.0, None])
def test_double_scales_of_other_types(bad: Any) -> None:
    with pytest.raises(TypeError, match="quantized must be Quantized, got"):
        DoubleScales(1.0 if bad is E2M2 else bad, 0.0)
    with pytest.raises((TypeError, ValueError), match=r"double must be (Dou|as the re)"):
        dataclasses.replace(QLORA, double=bad)


def test_an_axis_may_be_counted_from_the_end() -> None:
    for axis, q in ((1, E2M2), (0, mf.quantize(weights((4, 256)), "e2m2", axis=0))):
        same = dataclasses.replace(q, axis=axis - 2)
        assert same == q
        assert same.axis == axis
        assert same[1:] == q[1:]


def test_arrays_are_read_only() -> None:
    given = (UINT4, QLORA, TILES)
    come_back = [pickle.loads(pickle.dumps(q)) for q in given]
    for q in (*given, *come_back, *map(copy.deepcopy, given)):
        for array in (q.packed, q.scales, q.zero_points, q[1:].packed, q[1:].scales):
            if array is not None:
                with pytest.raises(ValueError, match="read-only"):
                    array[...] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        E2M2.axis = 0  # type: ignore[misc]
    packed, scales = E2M2.packed.copy(), E2M2.scales.copy()
    dataclasses.replace(E2M2, packed=packed, scales=scales)
    packed[0] = scales[0, 0] = 1  # the caller's own arrays stay as they were


def test_equality() -> None:
    for recipe in RECIPES:
        q = mf.quantize(weights((7, 9)), recipe)
        same = mf.quantize(weights((7, 9)), recipe)
        assert q == same
        assert (q != same) is False
        assert q == copy.deepcopy(q) == pickle.loads(pickle.dumps(q))
        assert q != mf.quantize(weights((7, 9)), recipe, search="shrink")
        packed, scales = q.packed.copy(), q.scales.copy()
        packed[-2] ^= 1
        scales[...] = np.where(scales == 1, 2, 1)
        assert q != dataclasses.replace(q, packed=packed)
        if q.double is None:
            assert q != dataclasses.replace(q, scales=scales)
        if q.zero_points is not None:
            assert q != dataclasses.replace(q, zero_points=q.zero_points ^ 1)
        if q.tensor_scale is not None:
            assert q != dataclasses.replace(q, tensor_scale=2 * q.tensor_scale)
    assert E2M2 != "e2m2"
    assert mf.quantize(weights((4, 256)).reshape(2, 2, 256), "e2m2") != E2M2
    square = mf.quantize(np.ones((4, 4)), "e2m2")
    assert square != mf.quantize(np.ones((4, 4)), "e2m2", axis=0)
    with pytest.raises(TypeError, match="unhashable"):
        hash(E2M2)


def random_rows(count: int) -> list[Any]:
    """Return indices of rows: ints, slices, and lists and arrays of int or bool."""
    rng = np.random.default_rng(count)
    return [
        0, -1, count - 1, np.int64(0), slice(None), slice(1, None), slice(2), slice(1, 3),
        slice(None, None, 2), slice(None, None, -1), slice(3, 1), slice(-2, None), ..., [], [0],
        [-1, 0, 0], rng.integers(-count, count, 5), rng.random(count) < 0.5,
        np.arange(count), np.zeros(count, bool), (rng.random(count) < 0.5).tolist(),
    ]  # fmt: skip


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rows(recipe: mf.Recipe, shape: tuple[int, ...]) -> None:
    for axis in axes(recipe, shape):
        q = mf.quantize(weights(shape) + np.float32(0.2), recipe, axis=axis)
        whole = q.dequantize()
        for rows in random_rows(shape[0]):
            picked = q[rows]
            np.testing.assert_array_equal(picked.dequantize(), whole[rows])
            np.testing.assert_array_equal(picked.codes, q.codes[rows])
            assert picked.shape == whole[rows].shape
            assert picked.fmt == q.fmt
            assert picked.tensor_scale == q.tensor_scale
        assert [row.dequantize().tolist() for row in q] == whole.tolist()


@settings(max_examples=200)
@given(data=st.data())
def test_any_rows_of_rows(data: st.DataObject) -> None:
    shape = data.draw(st.sampled_from([*SHAPES, (0, 3), (3, 0), (2, 0, 4)]))
    recipe = data.draw(st.sampled_from(RECIPES))
    q = mf.quantize(weights(shape), recipe, axis=data.draw(st.sampled_from(axes(recipe, shape))))
    want = q.dequantize()
    for _ in range(data.draw(st.integers(1, len(shape)))):
        if not q.shape:
            return
        count = q.shape[0]
        picks = st.slices(count)
        if count:
            places = st.integers(-count, count - 1)
            picks = picks | places | st.lists(places, max_size=5)
        rows = data.draw(picks)
        q, want = q[rows], want[rows]
        np.testing.assert_array_equal(q.dequantize(), want)


def test_rows_that_begin_at_bytes_are_not_copied() -> None:
    q = mf.quantize(weights((40, 32)), "e2m2/16/float16")
    for rows in (slice(8, 16), slice(None), 8, [3, 4, 5]):
        assert np.shares_memory(q[rows].packed, q.packed)
    odd = mf.quantize(weights((40, 3)), "e2m2")
    assert np.shares_memory(odd[8:16].packed, odd.packed)
    assert not np.shares_memory(odd[1:9].packed, odd.packed)


def test_rows_keep_the_blocks_that_lie_within_them() -> None:
    assert E2M2[1:3].recipe == E2M2.recipe
    assert NVFP4[1:3].recipe == NVFP4.recipe
    assert TENSOR[1:3].recipe == TENSOR.recipe
    assert TILES[1:3].recipe == TILES.recipe.replace(block=64)
    assert QLORA[1:3].recipe == QLORA.recipe.replace(double=False)
    stack = mf.quantize(weights((3, 4, 8)), "e2m2/2x4")
    assert stack[1:].recipe == stack.recipe
    assert stack[1].recipe == stack.recipe
    assert stack[1:].scales.shape == (2, 2, 2)
    down = mf.quantize(weights((6, 4)), "e2m2/3", axis=0)
    assert down[1:5].recipe == down.recipe.replace(block=1)


def test_rows_that_are_refused() -> None:
    for rows, message in (
        ((0, 1), r"rows must be an int, a slice or one array, got \(0, 1\)"),
        (None, r"rows must be an int, a slice or 1-d, got shape \(1, 4\)"),
        ([[0]], r"rows must be an int, a slice or 1-d, got shape \(1, 1\)"),
        (4, r"rows must be in -4..3, or a slice, or a bool for each of the 4, got 4"),
        ([-5], r"rows must be in -4..3, .*, got \[-5\]"),
        (1.0, "rows must be in .*, got 1.0"),
        ("0", "rows must be in .*, got '0'"),
        ([True], r"rows must be in .*, got \[True\]"),
        (2**63, "rows must be in .*, got 9223372036854775808"),
        (-(2**70), "rows must be in .*, got -1180591620717411303424"),
        ([2**63], r"rows must be in .*, got \[9223372036854775808\]"),
        (10**5000, "rows must be in .*, got an integer of 5001 digits"),
        ([10**5000], "rows must be in .*, got a list with a huge integer"),
    ):
        with pytest.raises(IndexError, match=message):
            E2M2[rows]
    with pytest.raises(IndexError, match=r"rows must not be picked from weights of shape \(\)"):
        mf.quantize(1.0, "e2m2")[0]


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_scales_of_rows(recipe: mf.Recipe) -> None:
    """Row by row along the axis, whatever the axis; a row of a tile has the scales of its tile."""
    shape = (4, 5, 6)
    for axis in axes(recipe, shape):
        q = mf.quantize(weights(shape) + np.float32(0.2), recipe, axis=axis)
        rows = q.row_scales()
        if recipe.block == "tensor":
            assert rows.tolist() == [[float(q.scales)]]
            continue
        width = q.blocks.width
        length = shape[axis]
        values = np.moveaxis(mf.decode(q.codes, q.fmt).astype(np.float32), axis, -1)
        values = values.reshape(-1, length)
        zero_rows = q.row_zero_points()
        assert (zero_rows is None) == (q.zero_points is None)
        if zero_rows is not None:
            values = values - np.repeat(zero_rows, width, axis=1)[:, :length].astype(np.float32)
        factors = np.repeat(rows, width, axis=1)[:, :length] * np.float64(q.tensor_scale or 1.0)
        back = np.moveaxis(q.dequantize(), axis, -1).reshape(-1, length)
        np.testing.assert_array_equal((values * factors).astype(np.float32), back)
        np.testing.assert_array_equal(q.row_scales(slice(3, 11)), rows[3:11])


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_numpy_sees_the_weights(recipe: mf.Recipe) -> None:
    w = weights((7, 9)) + np.float32(0.2)
    q = mf.quantize(w, recipe)
    back = q.dequantize()
    for array, dtype in (
        (np.asarray(q), np.float32), (np.array(q), np.float32), (np.asarray(q, np.float64), float),
        (np.float16(q), np.float16), (np.array(q, copy=True), np.float32),
    ):  # fmt: skip
        assert type(array) is np.ndarray
        assert array.dtype == dtype
        np.testing.assert_array_equal(array, back.astype(dtype))
    np.testing.assert_array_equal(w - q, w - back)
    np.testing.assert_array_equal(q - w, back - w)
    np.testing.assert_array_equal(np.float32(2) * q, 2 * back)
    np.testing.assert_array_equal(np.abs(q), np.abs(back))
    np.testing.assert_array_equal(np.add.reduce(q), back.sum(axis=0))
    np.testing.assert_array_equal(np.equal(q, back), np.ones((7, 9), bool))
    np.testing.assert_array_equal(np.concatenate([q, w]), np.concatenate([back, w]))
    assert np.linalg.norm(q) == np.linalg.norm(back)
    out = np.empty((7, 9), np.float32)
    assert np.subtract(w, q, out=out) is out
    np.testing.assert_array_equal(out, w - back)
    assert mf.quantize(q, recipe) == mf.quantize(back, recipe)


def test_numpy_may_not_write() -> None:
    with pytest.raises(ValueError, match="copy must not be False: dequantizing makes a new array"):
        np.asarray(E2M2, copy=False)
    for write in (
        lambda: np.add(1.0, 2.0, out=E2M2),
        lambda: np.add.at(E2M2, 0, 1.0),
        lambda: np.matmul(np.ones((4, 4)), np.ones((4, 256)), out=E2M2),
    ):
        with pytest.raises(TypeError, match="out must be an array, got Quantized, whose weights a"):
            write()


PRODUCTS: dict[str, Callable[[Any, Any], Any]] = {
    "operator": lambda a, b: a @ b,
    "numpy.matmul": np.matmul,
}


@pytest.mark.parametrize("product", PRODUCTS)
def test_products_from_both_sides(product: str) -> None:
    """Integers whose sums float32 holds: every order of summation gives the same."""
    times = PRODUCTS[product]
    rng = np.random.default_rng(3)
    w = rng.integers(-7, 8, (6, 10)).astype(np.float32)
    w[:, 0] = 7
    q = mf.quantize(w, "int4/channel/float32")
    np.testing.assert_array_equal(q.dequantize(), w)
    for shape in ((6,), (3, 6), (2, 3, 6), (0, 6)):
        x = rng.integers(-9, 10, shape)
        for left in (x, x.astype(np.float32), x.astype(np.float16)):
            y = times(left, q)
            assert y.dtype == np.float32
            np.testing.assert_array_equal(y, x @ w)
    for shape in ((10,), (10, 3), (10, 0)):
        x = rng.integers(-9, 10, shape)
        np.testing.assert_array_equal(times(q, x), w @ x)
    np.testing.assert_array_equal(times(q, mf.quantize(w.T, "int4/tensor/float32")), w @ w.T)
    if product == "operator":
        np.testing.assert_array_equal([1, 2, 3, 4, 5, 6] @ q, np.arange(1, 7) @ w)
    out = np.empty((3, 10))
    x = rng.integers(-9, 10, (3, 6))
    np.testing.assert_array_equal(np.matmul(x, q, out=out), x @ w)


def test_products_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"x must have 4 elements along the last axis for weights"):
        np.ones(5) @ E2M2
    with pytest.raises(ValueError, match=r"x must have shape \(256,\) or \(256, n\)"):
        E2M2 @ np.ones(4)
    with pytest.raises(
        ValueError, match=r"q must be weights of shape \(out, in\), got shape \(256"
    ):
        np.ones(256) @ E2M2[0]
    with pytest.raises(TypeError, match=r"x must be float16.*got complex128"):
        np.ones(4, complex) @ E2M2


def test_sqnr() -> None:
    w = weights((6, 100)).astype(np.float64)
    for name in ("mxfp4", "nvfp4", "qlora", "uint4/32/float16/zero-point"):
        q = mf.quantize(w, name)
        noise = np.square(w - q.dequantize()).mean()
        assert q.sqnr(w) == pytest.approx(10 * np.log10(np.square(w).mean() / noise), rel=1e-12)
        assert q.sqnr(w.tolist()) == q.sqnr(w)
    assert mf.quantize(w, "int8").sqnr(w) > mf.quantize(w, "int4").sqnr(w) + 20
    exact = mf.quantize([1.0, -7.0], "int4/2/float32")
    assert exact.sqnr([1.0, -7.0]) == math.inf
    assert exact.sqnr([0.0, 0.0]) == -math.inf
    assert math.isnan(mf.quantize([0.0], "int4").sqnr([0.0]))
    with pytest.raises(ValueError, match=r"w must have shape \(2,\), got \(\)"):
        exact.sqnr(1.0)
    with pytest.raises(TypeError, match=r"w must be float16, bfloat16, .*, got str"):
        exact.sqnr(["1", "2"])
    with pytest.raises(ValueError, match="w must be an array or nested lists of one shape"):
        exact.sqnr([[1.0], [1.0, 2.0]])


def test_repr() -> None:
    assert repr(E2M2) == "<Quantized e2m2/128/float16 (4, 256): 5.125 bits per weight, axis 1>"
    assert repr(TENSOR) == ("<Quantized e2m2/tensor/float16 (4, 256): 5.016 bits per weight>")
    assert repr(NVFP4) == (
        "<Quantized e2m1/16/e4m3fn/tensor-scale (4, 256): 4.531 bits per weight, axis 1>"
    )


def test_a_notebook_shows_a_table() -> None:
    table = NVFP4._repr_html_()
    assert table.startswith("<table><caption>Quantized e2m1/16/e4m3fn/tensor-scale</caption>")
    for row in (
        "<tr><th>shape</th><td>4 x 256</td></tr>",
        "<tr><th>bits per weight</th><td>4.531</td></tr>",
        f"<tr><th>bytes</th><td>{NVFP4.nbytes}</td></tr>",
        "<tr><th>axis</th><td>1</td></tr>",
        "<tr><th>scales</th><td>64 of e4m3fn</td></tr>",
        f"<tr><th>tensor scale</th><td>{NVFP4.tensor_scale:.6g}</td></tr>",
    ):
        assert row in table
    assert "tensor scale" not in E2M2._repr_html_()
    assert "<th>axis</th><td>all</td>" in TENSOR._repr_html_()
    assert "<td>()</td>" in mf.quantize(1.0, "e2m2")._repr_html_()
    book = mf.Codebook([-1.0, 1.0], "<script>&")
    assert "Quantized &lt;script&gt;&amp;/" in mf.quantize([1.0], book)._repr_html_()


@pytest.mark.parametrize(
    ("recipe", "bits"),
    [
        ("int5/64/float16", 5 * 384 + 6 * 16),
        ("uint4/64/float16/zero-point", 4 * 384 + 6 * (16 + 4)),
        ("nvfp4", 4 * 384 + 24 * 8 + 32),
        ("e2m1|int4/64/float16/flag-bits", 4 * 384 + 6 * (16 + 1)),
        ("nf4/64/float32/double", 4 * 384 + 6 * 8 + 32 + 32),
    ],
)
def test_bits_are_those_of_all_parts(recipe: str, bits: int) -> None:
    q = mf.quantize(np.arange(384.0).reshape(3, 128), recipe)
    assert q.bits == bits == q.bits_per_weight * q.size
    assert mf.quantize(np.zeros((0, 128)), recipe).bits == 0

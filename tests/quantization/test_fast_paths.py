"""The kernel that quantizes in one pass does what the definition says, weight by weight."""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sys
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import minifloat as mf
from minifloat._kernels import ranks
from minifloat._kernels import scales as kernels
from minifloat.codec.decision_points import decision_points
from minifloat.formats.catalogue import CATALOGUE
from minifloat.quantization import tasks
from minifloat.quantization.coders import coder_of
from tests.quantization import slow_quantizer as slow

SMALL_FORMATS = sorted(
    name
    for name, fmt in CATALOGUE.items()
    if fmt.bits <= 8 and 0 < fmt.max < 1e9 and (fmt.min < 0 or fmt.has_zero)
)
SCALES = [1.0, 1.25 * 2.0**-9, 2.0**-146, 5.0 * 2.0**60]
RECIPES = [
    "e2m2/16/float16", "e2m2/100/float32", "e2m1/32/e8m0", "e2m1/32/e8m0:up", "e2m1/16/e4m3fn",
    "e2m1/16/e4m3fn/tensor-scale", "int4/1/bfloat16", "int4full/3/float32", "nf4/17/float32",
    "nf4/64/float32/double", "nf4/8/float32/tensor-scale", "sf4/channel/float32", "e3m0/9/float16",
    "int5/channel/float16", "int8/channel/float16", "int8/7/float32/tensor-scale",
    "e4m3fn/tensor/float32", "e4m3fn/32/e8m0/tensor-scale", "e5m2/3/float32", "e3m2/32/e8m0:ceil",
    "mxint8/32/e8m0", "e2m3/2x8/float32", "uint4/16/float16/zero-point", "uint2/5/e8m0/zero-point",
    "uint8/100/float32/zero-point", "uint4/16/e4m3fn/tensor-scale+zero-point", "e5m10/20/float32",
    "bipolar_int2/16/float32", "uint9/40/float32/zero-point", "e2m2/16/float16/percentile90",
]  # fmt: skip


def weights(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Return numbers of many sizes, with zeros of both signs and a row of zeros."""
    rng = np.random.default_rng(seed)
    w = rng.standard_normal(shape).astype(np.float32)
    w *= np.ldexp(1.0, rng.integers(-6, 6, (*shape[:-1], 1))).astype(np.float32)
    w.flat[::11], w.flat[5::13] = 0.0, -0.0
    w.reshape(-1, shape[-1])[-1] = 0
    return w


def expected_codes(w: np.ndarray, q: mf.Quantized) -> np.ndarray:
    """Return the codes of quotients in float64, by `encode`."""
    divisors = np.where(q.scales > 0, q.scales, 1).astype(np.float64) * (q.tensor_scale or 1.0)
    zeros = q.zero_points
    for axis in range(w.ndim if divisors.ndim else 0):
        size = -(-w.shape[axis] // divisors.shape[axis])
        block = q.recipe.block
        if isinstance(block, int) and axis == w.ndim - 1:
            size = block
        if isinstance(block, tuple) and axis >= w.ndim - 2:
            size = block[axis - w.ndim + 2]
        places = np.arange(w.shape[axis]) // size
        divisors = divisors.take(places, axis)
        zeros = None if zeros is None else zeros.take(places, axis)
    quotients = w.astype(np.float64) / divisors
    if zeros is None:
        return np.asarray(mf.encode(quotients, q.fmt))
    return np.asarray(np.clip(np.rint(quotients) + zeros, 0, q.fmt.max))


@pytest.mark.parametrize("name", SMALL_FORMATS)
def test_numbers_at_decision_points(name: str) -> None:
    """On a point, and one float32 beside it, codes are those of exact quotients."""
    fmt = CATALOGUE[name]
    points = [float(point.at) for point in decision_points(fmt)]
    step = max(1, len(points) // 40)
    for scale in SCALES[: 4 if len(points) < 40 else 2]:
        at = np.array([*points[::step], fmt.smallest, 0.0]) * scale
        near = at.astype(np.float32)
        near = np.concatenate([near, np.nextafter(near, np.float32(np.inf)),
                               np.nextafter(near, np.float32(-np.inf)), -near])  # fmt: skip
        near = near if fmt.min < 0 else np.abs(near)
        near = near[np.abs(near) <= fmt.max_abs * scale]
        w = np.array([[fmt.max_abs * scale, 0.0, 0.0 if fmt.min >= 0 else -0.0, *near]], np.float32)
        q = mf.quantize(w, mf.Recipe(fmt, block="channel", scale="float32"))
        assert float(q.scales[0, 0]) == slow.scale_of(q.recipe, float(np.abs(w).max()), 1.0)
        for number, code in zip(w[0].tolist(), q.codes[0].tolist(), strict=True):
            exact = slow.code_of(q.recipe, number, float(q.scales[0, 0]), 1.0, None)
            assert code == exact, (number, scale)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes(recipe: str, dtype: str) -> None:
    """Rows of odd lengths, short last blocks, a second axis; whatever the float."""
    for shape, axis in (((3, 4, 129), -1), ((33, 6), 0), ((2, 300), -1), ((5, 1), -1)):
        tiled = isinstance(mf.Recipe.parse(recipe).block, tuple)
        w = weights(shape).astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
        if dtype == "float64":
            w += w * np.random.default_rng(1).standard_normal(shape) * 1e-9
        q = mf.quantize(w, recipe, axis=-1 if tiled else axis)
        turned = mf.quantize(np.moveaxis(w, axis, -1), recipe)
        expected = expected_codes(np.moveaxis(w, axis, -1), turned)
        np.testing.assert_array_equal(turned.codes, expected)
        if not tiled and q.recipe.block != "tensor":
            np.testing.assert_array_equal(np.moveaxis(q.codes, axis, -1), expected)
        if q.recipe.search == "absmax" and not tiled and not q.recipe.double:
            check_scales(np.moveaxis(w, axis, -1), turned)


def check_scales(w: np.ndarray, q: mf.Quantized) -> None:
    """Compare each block's scale and zero point with the slow quantizer's."""
    tensor = q.tensor_scale or 1.0
    for index, block in slow.blocks_of(q.recipe, w.shape, -1).items():
        low, high = slow.block_range(q.recipe, [float(w[place]) for place in block])
        scale = slow.scale_of(q.recipe, high - low, tensor)
        assert float(q.scales[index]) == scale
        if q.zero_points is not None:
            assert q.zero_points[index] == slow.zero_point_of(q.recipe, low, scale, tensor)


@pytest.mark.parametrize("recipe", ["e2m2/16/float16", "int8/channel/float16", "nf4/24/float32"])
def test_parts_and_threads(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights of many parts, long blocks among them, and many chunks, on threads or not."""
    w = weights((3, 40_000), 3)
    w[:, -1] = 1e30  # too large for a scale of float16: found in the last block
    w[:, -1] = np.abs(w[:, :-1]).max(1)
    q = mf.quantize(w, recipe)
    np.testing.assert_array_equal(q.codes, expected_codes(w, q))
    monkeypatch.setattr(tasks, "CHUNK", 100)
    again = mf.quantize(w[:, :1001].copy(), recipe, threads=3)
    np.testing.assert_array_equal(again.codes, expected_codes(w[:, :1001], again))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
def test_not_finite(bad: float, dtype: str) -> None:
    """A weight that is not finite is found at every place of a step."""
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    for place in (0, 15, 16, 31, 37):
        for recipe in ("e2m2/19/float16", "uint4/19/float16/zero-point"):
            w = np.ones((2, 38)).astype(kind)
            w[1, place] = bad
            with pytest.raises(
                ValueError, match=rf"w must be finite, got .* at index \(1, {place}\)"
            ):
                mf.quantize(w, recipe)


@pytest.mark.parametrize(("recipe", "double", "fast"), [
    ("e2m2", False, True), ("nf4/64/float32", False, True), ("nf4/64/float32", True, False),
    ("nvfp4", False, True), ("int8/channel/float32", True, True), ("e8m0/32/float32", False, False),
    ("nf4/8/float32/tensor-scale", False, False), ("uint8/32/float16/zero-point", True, True),
])  # fmt: skip
def test_what_the_kernel_serves(recipe: str, double: bool, fast: bool) -> None:
    """Points that are not exact enough are left to `encode`."""
    assert (coder_of(mf.Recipe.parse(recipe), double=double) is not None) is fast


def test_words_of_16_bits() -> None:
    """All float16 and bfloat16 words widen to the same number."""
    words = np.arange(1 << 16, dtype=np.uint16)
    for half, floats in ((True, words.view(np.float16)), (False, words.view(ml_dtypes.bfloat16))):
        singles = floats.astype(np.float32)
        lows, highs = np.empty((2, words.size))
        kernels.ranges(words, half, words.size, 1, lows, highs)
        finite = np.isfinite(singles)
        np.testing.assert_array_equal(lows[finite], np.minimum(singles[finite], 0))
        np.testing.assert_array_equal(highs[finite], np.maximum(singles[finite], 0))
        assert not np.isfinite(highs - lows)[~finite].any()


def steps(numba: Any) -> tuple[Any, Any, Any]:
    """Return the three instructions, compiled."""
    from minifloat._kernels import rank_vectors as vectors

    @numba.njit
    def word_range(words: Any, start: int, stop: int) -> Any:
        return vectors.word_range(words, start, stop)

    @numba.njit
    def first_keys(points: Any, upward: Any, divisor: float, at: int, first: Any) -> None:
        vectors.first_keys(points, upward, divisor, at, first)

    @numba.njit
    def rank_codes(words: Any, at: int, first: Any, table: Any, codes: Any, to: int) -> None:
        vectors.rank_codes(words, at, first, table, codes, to)

    return word_range, first_keys, rank_codes


@pytest.mark.parametrize("tables", [True, False])
def test_instructions(tables: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The instructions do what the plain functions do, with look-ups in registers or without."""
    numba = pytest.importorskip("numba")
    from minifloat._kernels import rank_vectors

    if tables and not rank_vectors.HAS_TABLES:
        pytest.skip("this CPU looks nothing up in registers")
    monkeypatch.setattr(rank_vectors, "HAS_TABLES", tables)
    word_range, first_keys, rank_codes = steps(numba)
    rng = np.random.default_rng(4)
    for bits in (16, 32, 64):
        kind = np.uint16 if bits == 16 else np.dtype(f"i{bits // 8}")
        words = rng.integers(0, 1 << 16, 64 * bits // 16, np.uint16).view(kind)
        for start, stop in ((0, 64), (3, 35), (16, 16), (7, 23)):
            found, wanted = word_range(words, start, stop), ranks.word_range(words, start, stop)
            assert start == stop or found == wanted
    points = np.sort(np.concatenate([rng.standard_normal(28), [0.0, -0.0, np.inf, np.inf]]))
    points[5:9] = [-1.5, -0.25, -(2.0**-130), 2.0**-149]
    points.sort()
    upward = rng.integers(0, 2, 32, np.int32)
    table = rng.integers(0, 256, 32, np.int32)
    for divisor in (1.0, 0.1, float(np.float32(1 / 3)), 2.0**-60, 2.0**100 / 3, 2.0**127):
        first, wanted_first = np.zeros((2, 32), np.int32)
        for at in (0, 16):
            first_keys(points, upward, divisor, at, first)
            with np.errstate(over="ignore"):
                ranks.first_keys(points, upward, divisor, at, wanted_first)
        np.testing.assert_array_equal(first, wanted_first)
        near = first[:31, None] + np.arange(-1, 2, dtype=np.int32)
        keys = np.concatenate([near.ravel(), rng.integers(-(1 << 31), 1 << 31, 67)])
        words = np.where(keys < 0, keys ^ 0x7FFFFFFF, keys).astype(np.int32)
        codes, wanted_codes = np.zeros((2, words.size), np.uint8)
        for at in range(0, words.size - 15, 16):
            rank_codes(words, at, np.sort(first), table, codes, at)
            ranks.rank_codes(words, at, np.sort(first), table, wanted_codes, at)
        np.testing.assert_array_equal(codes, wanted_codes)


@pytest.mark.skipif(sys.platform != "linux", reason="needs mprotect of the C library")
@pytest.mark.parametrize(
    "recipe", ["e2m2/16/float16", "int8/24/float16", "uint4/7/float16/zero-point"]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_nothing_else_is_read(recipe: str, dtype: Any) -> None:
    """Weights may end, and begin, where memory does."""
    page = mmap.PAGESIZE
    held = mmap.mmap(-1, 3 * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(held))
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    for side in (0, 2):
        assert protect(ctypes.c_void_p(start + side * page), page, 0) == 0
    whole = np.frombuffer(held, dtype, page // np.dtype(dtype).itemsize, page)
    whole[:] = weights((1, whole.size), 5)[0].astype(dtype)
    for count in range(1, 70):
        for w in (whole[:count], whole[-count:]):
            q = mf.quantize(w, recipe)
            np.testing.assert_array_equal(q.codes, expected_codes(w, q))
    for side in (0, 2):
        protect(ctypes.c_void_p(start + side * page), page, 3)


INTERPRETED = """
import numpy as np, minifloat as mf
w = np.random.default_rng(8).standard_normal((2, 45)).astype(np.float32)
w[0, :4] = [0, -0.0, 1e-42, -1e-3]
for source in (w, w.astype(np.float16), w.astype(np.float64) / 3):
    for recipe in ("e2m2/16/float16", "nvfp4", "int8/32/e8m0", "uint4/10/float16/zero-point"):
        q = mf.quantize(source, recipe)
        print(recipe, q.packed.tolist(), q.scales.tolist(), q.tensor_scale)
"""


def test_interpreted() -> None:
    """Without the JIT the bits are the same."""
    found = {
        disable: subprocess.run(
            [sys.executable, "-W", "ignore", "-c", INTERPRETED],
            env={**os.environ, "NUMBA_DISABLE_JIT": disable}, capture_output=True, text=True,
            check=True,
        ).stdout
        for disable in "01"
    }  # fmt: skip
    assert found["0"] == found["1"]
    assert len(found["0"].splitlines()) == 12

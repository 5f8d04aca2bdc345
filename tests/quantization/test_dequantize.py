"""Weights made of packed codes: each is value times scale, rounded once; the kernel's too.

The oracle is exact arithmetic on fractions, and Python's own rounding of them.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import minifloat as mf
from minifloat import _jit
from minifloat.formats import NumberFormat
from minifloat.quantization import dequantizing
from minifloat.quantization.blocks import Blocks
from minifloat.testing import exact_decode
from tests.quantization.made_by_hand import any_quantized

ml_dtypes = pytest.importorskip("ml_dtypes")

TYPES = (np.dtype(np.float32), np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))
NARROW = [fmt for fmt in mf.CATALOGUE.values() if fmt.bits <= 8]
needs_numba = pytest.mark.skipif(not _jit.load(), reason="needs the JIT")

# mantissa bits, the exponent of the smallest normal number, and that of the largest
SHAPES = {"float32": (23, -126, 127), "float16": (10, -14, 15), "bfloat16": (7, -126, 127)}

LARGEST = float(np.finfo(np.float32).max)
SCALES = [
    0.0, 1.0, 2.0**-149, 3 * 2.0**-149, 2.0**-126, 2.0**-127 * 1.5, LARGEST, 2.0**127, math.nan,
    0.1, 1 / 3, 1e-7, 65519 / 7, 65520 / 7, 2.0**-24 / 3, 2.0**-25, 1.0009765625, 2.0**-133 * 1.25,
    3.3895314e38 / 7, 1.00390625, 2.0**-120, 2.0**100,
]  # fmt: skip


def rounded(x: Fraction, name: str) -> float:
    """Return a number rounded to a type, to nearest even; Python rounds fractions so."""
    mantissa_bits, emin, emax = SHAPES[name]
    if x == 0:
        return 0.0
    exponent = abs(x.numerator).bit_length() - x.denominator.bit_length()
    exponent -= abs(x) < Fraction(2) ** exponent
    quantum = Fraction(2) ** (max(exponent, emin) - mantissa_bits)
    result = round(x / quantum) * quantum
    if abs(result) >= Fraction(2) ** (emax + 1):
        return math.inf if x > 0 else -math.inf
    return float(result)


@lru_cache(maxsize=1 << 20)
def weight(
    fmt: NumberFormat, code: int, zero: int | None, scale: float, tensor: float | None, name: str
) -> float:
    """Return what a code means, from its definition."""
    value = exact_decode(code, fmt)
    if zero is not None:
        value -= exact_decode(zero, fmt)  # integers of at most 8 bits
    factor = scale * (1.0 if tensor is None else tensor)  # exact: 24 bits each
    if value == 0 or not (math.isfinite(value) and math.isfinite(factor)):
        return value * factor
    product = Fraction(value) * Fraction(factor)
    if tensor is not None and math.isfinite(value * factor):
        product = Fraction(value * factor)
    return rounded(product, name) or math.copysign(0.0, value)


def expected(q: mf.Quantized, dtype: np.dtype[Any]) -> np.ndarray:
    """Return the weights, one after the other."""
    codes, blocks = q.codes, q.blocks
    result = np.empty(q.shape, np.float64)
    for index in np.ndindex(q.shape):
        held = list(index) if blocks.axis is not None else []
        if blocks.axis is not None:
            held[blocks.axis] //= blocks.width
            if blocks.height > 1:
                held[-2] //= blocks.height
        zero = None if q.zero_points is None else int(q.zero_points[tuple(held)])
        scale, code = float(q.scales[tuple(held)]), int(codes[index])
        result[index] = weight(q.fmt, code, zero, scale, q.tensor_scale, dtype.name)
    return result


def check(ours: np.ndarray, want: np.ndarray) -> None:
    """Compare weights with float64 ones, the signs of zeros too."""
    got = ours.astype(np.float64)
    np.testing.assert_array_equal(got, want)
    numbers = ~np.isnan(want)
    np.testing.assert_array_equal(np.signbit(got[numbers]), np.signbit(want[numbers]))


def words(a: np.ndarray) -> np.ndarray:
    """Return the bits of an array, those of NaN made one."""
    a = np.asarray(a)
    bits = a.view(np.uint32 if a.itemsize == 4 else np.uint16).copy()
    bits[np.isnan(np.asarray(a, np.float32))] = 0x7FC0
    return bits


def has_kernel(dtype: np.dtype[Any]) -> bool:
    """Return whether the kernel rounds to a type: to float16 only if the CPU does."""
    from minifloat._kernels.decoders import HAS_HALVES  # which imports Numba

    return dtype != np.float16 or HAS_HALVES


def both_ways(q: mf.Quantized, dtype: np.dtype[Any]) -> Iterator[np.ndarray]:
    """Yield the weights by the definition and by the kernel, and see what else they write."""
    for write in (dequantizing.write_by_definition, dequantizing.write_by_kernel):
        around = np.full(q.size + 64, 1.5, dtype)
        done: Any = write(q, around[32 : 32 + q.size], 1)
        if done is False:
            assert not has_kernel(dtype)
            around[32 : 32 + q.size] = q.dequantize(dtype).reshape(-1)
        assert (around[:32] == 1.5).all(), "written before the weights"
        assert (around[32 + q.size :] == 1.5).all(), "written beyond the weights"
        yield around[32 : 32 + q.size].reshape(q.shape)


def made(
    recipe: mf.Recipe | str, shape: tuple[int, ...], axis: int | None = -1, seed: int = 0
) -> mf.Quantized:
    """Return weights of random codes, scales and zero points."""
    recipe = mf.Recipe.parse(recipe)
    rng = np.random.default_rng(seed)
    if recipe.block == "tensor":
        axis = None
    blocks = Blocks.of(recipe.block, shape, axis)
    fmt = recipe.fmt
    every = [code for code in range(fmt.code_count) if code != fmt.unused_code]
    codes = rng.choice(every, math.prod(shape)).astype(np.uint8)
    numbers = np.exp(rng.standard_normal(blocks.scale_shape))
    scales = mf.round_to(numbers.astype(np.float32), "float16", dtype=np.float32)
    if recipe.scale.name == "float32":
        scales = np.asarray(numbers, np.float32)
    elif recipe.scale.name != "float16":
        scales = mf.round_to(numbers, str(recipe.scale), dtype=np.float32)
    zeros = rng.integers(0, fmt.code_count, blocks.scale_shape).astype(np.uint8)
    return mf.Quantized(
        mf.pack(codes, fmt.bits), np.asarray(scales), recipe, shape, axis,
        tensor_scale=float(np.float32(0.1234567)) if recipe.tensor_scale else None,
        zero_points=np.asarray(zeros) if recipe.zero_point else None,
    )  # fmt: skip


def with_special_scales(fmt: NumberFormat) -> mf.Quantized:
    """Return weights that have each code with each of the scales; rows of odd length."""
    every = [code for code in range(fmt.code_count) if code != fmt.unused_code]
    every += every[:1] * (1 - len(every) % 2)
    shape = (len(SCALES), len(every))
    scales = np.array(SCALES, np.float32)[:, np.newaxis]
    packed = mf.pack(np.array(every * len(SCALES), np.uint8), fmt.bits)
    return mf.Quantized(packed, scales, mf.Recipe(fmt, block="channel", scale="float32"), shape, 1)


def test_the_oracle_rounds_as_numpy() -> None:
    words = np.arange(1, 1 << 16, 7, dtype=np.uint16)
    halves = words[(words & 0x7C00) != 0x7C00].view(np.float16)
    for half in halves.tolist():
        assert rounded(Fraction(half), "float16") == half
    x = np.random.default_rng(0).standard_normal(1000) * 2.0 ** np.arange(-160, 140, 0.3)
    for name in ("float32", "float16"):
        with np.errstate(over="ignore", under="ignore"):
            assert [rounded(Fraction(v), name) for v in x.tolist()] == x.astype(name).tolist()
    assert [rounded(Fraction(v), "bfloat16") for v in x.tolist()] == (
        mf.round_to(x, "bfloat16", overflow="ieee").tolist()
    )


@needs_numba
@pytest.mark.parametrize("fmt", NARROW, ids="{}".format)
def test_all_codes_with_special_scales(fmt: NumberFormat) -> None:
    q = with_special_scales(fmt)
    types = TYPES if str(fmt) in ("e2m2", "nf4", "e5m2", "int8", "e4m3fn", "e8m0") else TYPES[:1]
    for dtype in TYPES:
        want = expected(q, dtype)
        ways = both_ways(q, dtype) if dtype in types else [q.dequantize(dtype)]
        for weights in ways:
            check(weights, want)


@settings(deadline=None, max_examples=200)
@given(any_quantized())
def test_any_weights(q: mf.Quantized) -> None:
    for dtype in TYPES:
        want = expected(q, dtype)
        check(q.dequantize(dtype), want)
        for k in range(q.shape[0] if q.shape else 0):
            check(q[k].dequantize(dtype), want[k])
            check(q[k:].dequantize(dtype), want[k:])
            check(q[::-2].dequantize(dtype), want[::-2])


LAYOUTS = [
    ("BLOCK", (7, 391), -1), ("BLOCK", (37, 64), -1), ("BLOCK", (2, 3, 50), 1), ("BLOCK", (97,), 0),
    ("BLOCK", (50, 21), 0), ("BLOCK", (50, 1), 0), ("BLOCK", (9001,), 0), ("channel", (5, 33), -1),
    ("channel", (33, 5), 0), ("channel", (3, 8192), -1), ("channel", (9000,), 0),
    ("tensor", (9001,), None), ("tensor", (3, 7), None), ("1", (5, 37), -1), ("1", (37, 5), 0),
    ("8192", (40_000,), 0), ("5000", (12_001,), 0), ("8192", (3, 16384), -1), ("1", (), None),
]  # fmt: skip
TALL = [("3x16", (7, 50), -1), ("3x16", (2, 7, 50), -1), ("2x5", (5, 5), -1), ("4x32", (8, 64), -1)]


@needs_numba
@pytest.mark.parametrize(("block", "shape", "axis"), [*LAYOUTS, *TALL], ids=str)
@pytest.mark.parametrize("options", ["e2m2/B/float32", "uint4/B/float16/zero-point",
                                     "e2m1/B/e4m3fn/tensor-scale"])  # fmt: skip
def test_every_layout(block: str, shape: tuple[int, ...], axis: int | None, options: str) -> None:
    """Blocks of any size and axis: against scales spread by NumPy, which is another way."""
    recipe = options.replace("B", block.replace("BLOCK", "16"))
    q = made(recipe, shape, axis)
    values = mf.decode(q.codes, q.fmt).astype(np.float64)
    scales, zeros = spread(q.scales, q), None if q.zero_points is None else spread(q.zero_points, q)
    if zeros is not None:
        values -= zeros
    products = values * (scales.astype(np.float64) * (q.tensor_scale or 1.0))
    for dtype in TYPES[:2] if options.startswith("e2m2") else TYPES[:1]:
        want = products.astype(dtype)
        for weights in both_ways(q, dtype):
            np.testing.assert_array_equal(words(weights), words(want))


def spread(numbers: np.ndarray, q: mf.Quantized) -> np.ndarray:
    """Repeat scales or zero points over the weights of their blocks."""
    blocks = q.blocks
    if blocks.axis is None:
        return np.broadcast_to(numbers, q.shape)
    every = np.repeat(numbers, blocks.width, axis=blocks.axis)
    if blocks.height > 1:
        every = np.repeat(every, blocks.height, axis=-2)
    return every[tuple(slice(length) for length in q.shape)]


@needs_numba
@pytest.mark.parametrize("recipe", ["e2m2/16/float16", "e2m1/16/e8m0", "int7/7/float32"])
def test_unaligned_starts(recipe: str) -> None:
    """Packed codes and results may begin anywhere in memory."""
    q = made(recipe, (5, 77))
    [want, _] = both_ways(q, TYPES[0])
    buffer, room = np.empty(q.packed.size + 64, np.uint8), np.empty(q.size + 80, np.float32)
    for offset in range(64):
        moved = buffer[offset : offset + q.packed.size]
        moved[:] = q.packed
        same = mf.Quantized(moved, q.scales, q.recipe, q.shape, q.axis)
        room[:] = 7
        out = room[offset % 16 : offset % 16 + q.size]
        assert dequantizing.write_by_kernel(same, out, 1)
        np.testing.assert_array_equal(words(out), words(want.reshape(-1)))
        assert (room[: offset % 16] == 7).all()
        assert (room[offset % 16 + q.size :] == 7).all()


def fenced(a: np.ndarray, *, at_end: bool) -> np.ndarray:
    """Return a copy between two pages that must not be touched, close to one of them."""
    page, kind = mmap.PAGESIZE, a.dtype
    inside = -(-max(a.nbytes, 1) // page) * page
    area = mmap.mmap(-1, inside + 2 * page)
    base = ctypes.addressof(ctypes.c_char.from_buffer(area))
    for fence in (base, base + page + inside):
        assert not ctypes.CDLL(None, use_errno=True).mprotect(ctypes.c_void_p(fence), page, 0)
    start = page + (inside - a.nbytes if at_end else 0)
    copy = np.frombuffer(area, kind, a.size, start).reshape(a.shape)
    copy[...] = a
    return copy


@needs_numba
@pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")
@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("recipe", [
    "e2m2/16/float16", "uint4/16/float16/zero-point", "int7/7/float32", "nf4/64/float32",
])  # fmt: skip
def test_nothing_else_is_touched(recipe: str, axis: int, at_end: bool) -> None:
    """A stray read or write ends the process."""
    for shape in ((3, 16), (5, 33), (1, 1), (40, 128), (2, 7)):
        q = made(recipe, shape, axis)
        parts = (q.packed, q.scales, q.zero_points)
        packed, scales, zeros = (
            None if part is None else fenced(part, at_end=at_end) for part in parts
        )
        same = mf.Quantized(packed, scales, q.recipe, shape, axis, zero_points=zeros)
        for dtype in TYPES[:2] if recipe.startswith("e2m2") else TYPES[:1]:
            out = fenced(np.zeros(q.size, dtype), at_end=at_end)
            assert dequantizing.write_by_kernel(same, out, 1) == has_kernel(dtype)
            [want, _] = both_ways(q, dtype) if has_kernel(dtype) else [out, None]
            np.testing.assert_array_equal(words(out), words(want.reshape(-1)))


@pytest.mark.parametrize("recipe", ["e2m2/16/float16", "e5m10/16/float32", "e4m3fn/3x16/float32"])
def test_threads_do_not_change_the_weights(recipe: str) -> None:
    if recipe.startswith("e5m10"):
        w = np.random.default_rng(0).standard_normal((700, 391))
        q = mf.quantize(w, recipe)
    else:
        q = made(recipe, (700, 391))
    one = q.dequantize()
    for threads in (2, 3, 16):
        np.testing.assert_array_equal(q.dequantize(threads=threads), one)
        np.testing.assert_array_equal(
            q.dequantize(np.float16, threads=threads), q.dequantize(np.float16)
        )


def test_values_beyond_float32() -> None:
    """Formats that float32 does not hold have no kernel, and are rounded once all the same."""
    for fmt in (mf.Format(5, 2, bias=150), mf.Format(5, 2, bias=-110), mf.parse("e8m0")):
        q = with_special_scales(fmt)
        for dtype in TYPES:
            check(q.dequantize(dtype), expected(q, dtype))
        packed = mf.pack(np.tile(q.codes, (40, 1)).ravel(), fmt.bits)
        shape, scales = (40 * q.shape[0], q.shape[1]), np.tile(q.scales, (40, 1))
        many = mf.Quantized(packed, scales, q.recipe, shape, 1)
        assert many.size >= dequantizing.FEW
        np.testing.assert_array_equal(many.dequantize(), np.tile(q.dequantize(), (40, 1)))


def test_out(tmp_path: Path) -> None:
    for shape in ((), (5, 7), (64, 391)):
        q = made("e2m2/16/float16" if shape else "e2m2/tensor/float16", shape)
        want = q.dequantize()
        for dtype in TYPES:
            out = np.zeros(shape, dtype)
            assert q.dequantize(dtype, out=out) is out
            np.testing.assert_array_equal(words(out), words(q.dequantize(dtype)))
    unaligned = np.zeros(4 * want.size + 1, np.uint8)[1:]
    for out in (np.zeros((391, 64), np.float32).T, np.zeros((64, 782), np.float32)[:, ::2],
                unaligned.view(np.float32).reshape(64, 391)):  # fmt: skip
        assert q.dequantize(out=out) is out
        np.testing.assert_array_equal(out, want)
    file = np.memmap(tmp_path / "weights", np.float32, "w+", shape=(64, 391))
    assert q.dequantize(out=file) is file
    file.flush()
    np.testing.assert_array_equal(np.fromfile(tmp_path / "weights", np.float32), want.reshape(-1))


def test_packed_codes_in_a_file(tmp_path: Path) -> None:
    q = made("e2m2/16/float16", (64, 391))
    q.packed.tofile(tmp_path / "codes")
    codes = np.memmap(tmp_path / "codes", np.uint8, "r")
    same = mf.Quantized(codes, q.scales, q.recipe, q.shape, q.axis)
    np.testing.assert_array_equal(same.dequantize(), q.dequantize())
    np.testing.assert_array_equal(same[3:9].dequantize(), q.dequantize()[3:9])


def test_out_that_shares_memory_with_the_codes() -> None:
    q = made("e2m2/16/float16", (64, 128))
    room = np.zeros((64, 128), np.float32)
    codes = room.view(np.uint8).reshape(-1)[: q.packed.size]
    codes[:] = q.packed
    same = mf.Quantized(codes, q.scales, q.recipe, q.shape, q.axis)
    np.testing.assert_array_equal(same.dequantize(out=room), q.dequantize())


def test_mistakes() -> None:
    q = made("e2m2/16/float16", (5, 7))
    for dtype in (np.float64, np.int8, "nothing", ">f4", None):
        with pytest.raises(ValueError, match="dtype must be float32, float16 or bfloat16, got"):
            q.dequantize(dtype)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match=r"out must have shape \(5, 7\), got \(7, 5\)"):
        q.dequantize(out=np.zeros((7, 5), np.float32))
    with pytest.raises(TypeError, match="out must have dtype float16, got float32"):
        q.dequantize(np.float16, out=np.zeros((5, 7), np.float32))
    frozen = np.zeros((5, 7), np.float32)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="out must be writeable"):
        q.dequantize(out=frozen)
    with pytest.raises(ValueError, match="threads must be a positive integer, got 0"):
        q.dequantize(threads=0)


def peak_of(dequantize: Callable[..., Any], out: np.ndarray) -> int:
    """Return how many bytes are taken at a time to fill ``out``."""
    dequantize(out=out)
    tracemalloc.start()
    try:
        dequantize(out=out)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@needs_numba
@pytest.mark.parametrize(("block", "axis"), [
    ("16", -1), ("channel", -1), ("tensor", None), ("16", 0), ("3x16", -1), ("7", -1),
])  # fmt: skip
def test_memory(block: str, axis: int | None) -> None:
    """No codes and no scales of a whole tensor are made on the way; nor for some of its rows."""
    for length in (391, 512):
        q = made(f"e2m2/{block}/float16", (4000, length), axis)
        out, few = np.empty(q.shape, np.float32), np.empty((3, length), np.float32)
        assert peak_of(q.dequantize, out) < 1 << 16
        for rows in (slice(2000, 2003), slice(3997, None), np.array([5, 3999, 0])):
            assert peak_of(lambda out, q=q, rows=rows: q[rows].dequantize(out=out), few) < 1 << 18
            np.testing.assert_array_equal(few, out[rows])


def test_memory_of_the_definition() -> None:
    w = np.random.default_rng(0).standard_normal((1000, 1024), np.float32)
    q = mf.quantize(w, "e5m10/16/float32")
    out = np.empty(q.shape, np.float32)
    assert peak_of(q.dequantize, out) < 24 * dequantizing.PART


def test_asarray_rounds_once() -> None:
    scales = np.array([1 / 7 + 2.0**-27], np.float32)
    q = mf.Quantized(mf.pack([7], 8), scales, mf.Recipe.parse("int8/16/float32"), (1,), 0)
    for dtype in TYPES:
        assert np.asarray(q, dtype).dtype == dtype
        check(np.asarray(q, dtype), expected(q, dtype))

"""Products with 8-bit activations: the definition, bit for bit, whatever computes them.

`defined` is the definition that `minifloat.linear` states, on Python's exact integers and NumPy's
float64, one operation at a time.
"""

from __future__ import annotations

import ctypes
import dataclasses
import mmap
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minifloat as mf
from minifloat._kernels import integer_decoders as decoders
from minifloat._kernels import integer_dots as ways
from minifloat.products import direct_integer, integer, tiles
from minifloat.products.direct_integer import rule_of
from minifloat.products.integers import small_integers

FORMATS = (
    "e2m2", "e2m1", "e2m3", "e2m4", "e1m3", "e3m0", "e2m2b0", "int2", "int3", "int4", "int5",
    "int6", "int7", "int8", "int4full", "int8full", "uint1", "uint4", "uint7", "uint8", "mxint8",
    "bipolar_int3",
)  # fmt: skip
PER_VECTOR = "int8/channel/float32"


def normals(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def quantize(w: np.ndarray, fmt: mf.NumberFormat | str, **options: Any) -> mf.Quantized:
    """Quantize weights, with zero points where the format has no sign."""
    fmt = mf.parse(fmt)
    if isinstance(fmt, mf.Integer) and not fmt.signed:
        options["zero_point"] = True
    return mf.quantize(w, fmt, **options)


def part_of(block: int, x_block: int, length: int) -> int:
    small = min(block, x_block, length)
    if small <= 1 << 16:
        return small
    return 1 << 16 if small == length else int(np.gcd(small, 1 << 16))


def defined(x: np.ndarray, q: mf.Quantized, activations: str) -> np.ndarray:
    """Return the products as they are defined."""
    rows, length = q.shape
    xq = mf.quantize(np.float32(x).reshape(-1, length), activations, axis=-1)
    values = q.fmt.values()
    finite = [Fraction(float(v)) for v in values if np.isfinite(v)]
    unit = Fraction(1)
    while any((v / unit).denominator > 1 for v in finite):
        unit /= 2
    while all((v / (2 * unit)).denominator == 1 for v in finite):
        unit *= 2
    whole = np.where(np.isfinite(values), values, 0)
    m = np.array([int(Fraction(float(v)) / unit) for v in whole], np.int64)[q.codes]
    if q.zero_points is not None:
        zeros = q.row_zero_points()
        assert zeros is not None
        zeros = np.broadcast_to(zeros, (rows, zeros.shape[1]))
        m = m - np.repeat(zeros.astype(np.int64), min(q.blocks.width, length), axis=1)[:, :length]
    block = length if q.axis is None else q.blocks.width
    part = part_of(block, xq.blocks.width, length)
    a = xq.codes.view(np.int8).astype(np.int64)
    s = np.broadcast_to(q.row_scales(), (rows, q.row_scales().shape[1])).astype(np.float64)
    t = xq.row_scales().astype(np.float64)
    total = np.zeros((len(a), rows))
    for start in range(0, length, part):
        columns = slice(start, start + part)
        exact = a[:, columns] @ m[:, columns].T
        assert np.abs(exact).max(initial=0) < 1 << 31
        scale = s[:, start // block] * t[:, start // xq.blocks.width, None]
        total = total + exact.astype(np.float64) * scale
    with np.errstate(over="ignore"):
        y = np.float32(total * (float(unit) * (q.tensor_scale or 1.0)))
    return y.reshape(*x.shape[:-1], rows)


def assert_same(y: np.ndarray, wanted: np.ndarray) -> None:
    assert y.dtype == wanted.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(y), np.isnan(wanted))
    bits = [np.where(np.isnan(a), 0, a.view(np.int32)) for a in (y, wanted)]
    np.testing.assert_array_equal(*bits)


def assert_defined(x: np.ndarray, q: mf.Quantized, activations: str) -> None:
    assert_same(mf.linear(x, q, activations=activations), defined(x, q, activations))


def long(*values: Any) -> list[Any]:
    """Return parameters of the long tests: each width and block is a kernel of its own."""
    return [pytest.param(value, marks=pytest.mark.long) for value in values]


@pytest.mark.parametrize("block", [16, 32, 128, "channel"])
@pytest.mark.parametrize("fmt", ["e2m2", "uint4", *long("e2m1", "int8")])
def test_every_block(fmt: str, block: Any) -> None:
    for rows, length in ((16, 256), (37, 391)):
        q = quantize(normals(rows, length), fmt, block=block, scale="float32")
        x = normals(5, length, seed=1)
        own = block if isinstance(block, int) else 128
        for activations in (f"int8/{own}/float32", PER_VECTOR):
            assert_defined(x, q, activations)
            assert_defined(x[0], q, activations)


@pytest.mark.parametrize("bits", [3, 5, 8, *long(1, 2, 4, 6, 7)])
@pytest.mark.parametrize("length", [33, 64])
def test_codes_that_begin_at_any_bit(bits: int, length: int) -> None:
    """Each product of one code and one number alone; blocks are odd and even."""
    rng = np.random.default_rng(bits)
    rows = 35
    codes = rng.integers(0, 1 << bits, rows * length).astype(np.uint8)
    for block in (3, 16, "channel"):
        recipe = mf.Recipe(f"uint{bits}", block=block, scale="float32")
        size = block if isinstance(block, int) else length
        shape = (rows, -(-length // size))
        scales = np.exp2(rng.integers(-3, 4, shape)).astype(np.float32)
        q = mf.Quantized(mf.pack(codes, bits), scales, recipe, (rows, length), 1)
        x = 127 * np.eye(length, dtype=np.float32)
        assert_same(mf.linear(x, q, activations=PER_VECTOR), x @ q.dequantize().T)


@pytest.mark.parametrize("fmt", FORMATS)
def test_every_code_in_every_lane(fmt: str) -> None:
    parsed = mf.parse(fmt)
    codes = np.array([c for c in range(parsed.code_count) if c != parsed.unused_code], np.uint8)
    count = 2 * max(16, codes.size)
    repeated = np.resize(codes, count)
    for length in (64, 51):
        packed = mf.pack(np.repeat(repeated, length), parsed.bits)
        recipe = mf.Recipe(parsed, block="channel", scale="float32")
        q = mf.Quantized(packed, np.ones((count, 1), np.float32), recipe, (count, length), 1)
        y = mf.linear(127 * np.eye(length, dtype=np.float32), q, activations=PER_VECTOR)
        wanted = np.float32(127 * parsed.values()[repeated])
        np.testing.assert_array_equal(y, np.tile(wanted, (length, 1)))


@pytest.mark.parametrize("options", [
    {"scale": "float16"}, {"scale": "e8m0"}, {"scale": "ue4m3", "tensor_scale": True},
    {"scale": "float32", "tensor_scale": True}, {"scale": "float32", "double": True},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("block", [16, 48, "channel", "tensor", (3, 16), (16, 64)])
def test_every_kind_of_scale(block: Any, options: dict[str, Any]) -> None:
    x = normals(6, 304, seed=1)
    for fmt in ("e2m2", "uint4"):
        q = quantize(normals(37, 304), fmt, block=block, **options)
        for activations in ("int8/16/float16", "int8/channel/e8m0:up", "int8/16/bfloat16"):
            assert_defined(x, q, activations)


@pytest.mark.parametrize("fmt", ["e2m2", "int4", "uint4", "int8"])
@pytest.mark.parametrize("block", [16, 32, 48, 128, "channel"])
def test_columns_are_decoded_panel_by_panel(
    fmt: str, block: int | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct_integer, "PANEL", 200)
    for length in (1200, 1201, 96):
        q = quantize(normals(35, length), fmt, block=block, scale="float32")
        for batch in (4, 11):
            assert_defined(normals(batch, length, seed=1), q, f"int8/{block}/float32")


def test_nvfp4_and_mxfp4() -> None:
    x = normals(3, 1000, seed=1)
    for recipe in ("nvfp4", "mxfp4", "mxfp6e2m3", "fpe2m2"):
        q = mf.quantize(normals(50, 1000), recipe)
        for activations in ("int8/16/float32", "int8/64/float32", PER_VECTOR):
            assert_defined(x, q, activations)


@pytest.mark.parametrize("special", [0.0, 1e-45, 2.0**-126, 3e38, np.nan])
@pytest.mark.parametrize("magnitude", [1e-44, 1e-38, 1.0, 1e30, 3e38])
def test_special_scales(special: float, magnitude: float) -> None:
    """Some blocks, the last ones among them, have scales at the ends of float32."""
    x = normals(5, 200, seed=1)
    x *= np.float32(magnitude) / np.abs(x).max()
    x[1, 32:64] = 0
    for fmt in ("e2m1", "e2m2"):
        q = mf.quantize(normals(21, 200), fmt, block=32, scale="float32")
        scales = q.scales.copy()
        scales[::3, 2] = scales[4, -1] = special
        q = dataclasses.replace(q, scales=scales)
        for activations in ("int8/32/float32", "int8/64/float32", PER_VECTOR):
            assert_defined(x, q, activations)


@settings(max_examples=60)
@given(data=st.data())
def test_any_shape_blocks_and_activations(data: st.DataObject) -> None:
    fmt = data.draw(st.sampled_from(["e2m2", "int4", "uint4"]))
    rows, length = data.draw(st.integers(0, 70)), data.draw(st.integers(0, 600))
    batch = data.draw(st.sampled_from([(), (1,), (2, 0), (2, 3), (4,), (9,)]))
    small, factor = data.draw(st.integers(1, 130)), data.draw(st.integers(1, 6))
    blocks = data.draw(st.permutations([small, small * factor]))
    block = data.draw(st.sampled_from([blocks[0], "channel", "tensor"]))
    x_block = data.draw(st.sampled_from([blocks[1], "channel"]))
    q = quantize(normals(rows, length), fmt, block=block, scale="float32")
    x = normals(*batch, length, seed=1)
    y = mf.linear(x, q, activations=f"int8/{x_block}/float32")
    wanted = defined(x, q, f"int8/{x_block}/float32") if x.size * rows else 0 * y
    assert_same(y, wanted)


def test_sums_as_large_as_they_get() -> None:
    """The whole part is at both ends, where int32 is nearly full."""
    length = (1 << 16) + 1000
    for fmt, code in (("uint8", 255), ("int8full", 0x80)):
        recipe = mf.Recipe(fmt, block="channel", scale="float32")
        packed = np.full(16 * length, code, np.uint8)
        q = mf.Quantized(packed, np.ones((16, 1), np.float32), recipe, (16, length), 1)
        x = np.ones((5, length), np.float32)
        x[1::2] = -1
        assert_defined(x, q, PER_VECTOR)
        np.testing.assert_allclose(mf.linear(x, q, activations=PER_VECTOR), x @ q.dequantize().T)


def test_blocks_longer_than_sums_allow() -> None:
    w, x = normals(16, 3 * 72_000), normals(3 * 72_000, seed=1)
    for block in (72_000, 36_000):
        q = mf.quantize(w, "int4", block=block, scale="float32")
        assert_defined(x, q, "int8/72000/float32")


def test_the_vectors_are_those_of_quantize() -> None:
    """Ties, saturation (scales rounded down), zeros, subnormal numbers, each kind of scale."""
    numbers = np.concatenate((
        normals(64), np.arange(-140, 140) / 2, [0.0, -0.0, 1e-45, -3e-45, 2.0**-126, 3e38, -3e38],
        np.zeros(64), np.full(64, 1e-45), np.arange(64) * 2.0**-149,
    )).astype(np.float32)  # fmt: skip
    identity = mf.quantize(np.eye(numbers.size), "int2", block="channel", scale="float32")
    for scale in ("float32", "float16", "bfloat16", "e8m0", "e8m0:up", "e8m0:nearest", "ue5m3"):
        for block in (1, 7, 64, "channel"):
            recipe = f"int8/{block}/{scale}"
            small = np.clip(numbers, -1000, 1000) if scale in ("float16", "ue5m3") else numbers
            y = mf.linear(small, identity, activations=recipe)
            np.testing.assert_array_equal(y, mf.quantize(small, recipe).dequantize())


@pytest.mark.parametrize("fmt", ["e2m2", "uint4"])
@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("head_start", [0, 20_000, tiles.HEAD_START])
def test_the_result_does_not_depend_on_threads(
    fmt: str, batch: int, head_start: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "HEAD_START", head_start)
    q = quantize(normals(203, 384), fmt)
    x = normals(batch, 384, seed=1)
    one = mf.linear(x, q, activations=PER_VECTOR)
    for threads in (2, 3, 16):
        assert_same(mf.linear(x, q, activations=PER_VECTOR, threads=threads), one)


def test_what_products_need_is_made_once_for_each_width_of_parts() -> None:
    q = mf.quantize(normals(20, 128), "e2m2", block=64)
    x = normals(128, seed=1)
    mf.linear(x, q)
    for activations, count in ((PER_VECTOR, 2), ("int8/32/float32", 3), ("int8/64/float32", 3)):
        before = list(q.product_forms.values())
        for _ in range(2):
            assert_defined(x, q, activations)
            assert len(q.product_forms) == count
        assert list(q.product_forms.values())[: len(before)] == before


def test_a_vector_alone_and_beside_others() -> None:
    x = normals(11, 640, seed=1)
    q = mf.quantize(normals(40, 640), "e2m2")
    whole = mf.linear(x, q, activations="int8/64/float32")
    for count in range(1, 11):
        assert_same(mf.linear(x[:count], q, activations="int8/64/float32"), whole[:count])


@pytest.mark.parametrize("without", [
    ["HAS_WIDE_FOURS"], ["HAS_WIDE_FOURS", "HAS_FOURS"],
    ["HAS_WIDE_FOURS", "HAS_FOURS", "HAS_PAIRS"], ["HAS_PERMUTE"], ["HAS_PERMUTE", "HAS_SHUFFLE"],
    ["HAS_WIDE_FOURS", "HAS_FOURS", "HAS_PERMUTE"],
], ids=" ".join)  # fmt: skip
def test_other_instructions_give_the_same(
    without: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for flag in without:
        module = decoders if hasattr(decoders, flag) else ways
        monkeypatch.setattr(module, flag, False)
    monkeypatch.setattr(direct_integer, "rule_of", rule_of.__wrapped__)
    for fmt, length in (("e2m2", 256), ("e2m2", 251), ("e2m1", 256), ("int8", 256), ("e2m4", 251)):
        q = quantize(normals(21, length), fmt, block=32, scale="float32")
        x = normals(5, length, seed=1)
        assert_defined(x, q, "int8/32/float32")
        full = dataclasses.replace(q, packed=extreme(q))
        assert_defined(np.sign(x), full, "int8/32/float32")


def extreme(q: mf.Quantized) -> np.ndarray:
    """Return packed codes of the largest and the lowest value, in no order."""
    ends = np.array([q.fmt.max_code, q.fmt.min_code], np.uint8)
    return mf.pack(ends[np.random.default_rng(2).integers(0, 2, q.size)], q.fmt.bits)


@pytest.mark.parametrize(("fmt", "rules"), [
    ("int4", [decoders.Flipped]), ("uint4", [decoders.Flipped]), ("mxint8", [decoders.Flipped]),
    ("e2m2", [decoders.Permuted, decoders.Shuffled, decoders.InMemory]),
    ("bipolar_int3", [decoders.Permuted, decoders.Shuffled, decoders.InMemory]),
    ("e2m4", [decoders.Permuted, decoders.InMemory]),
])  # fmt: skip
def test_the_rules_that_are_chosen(
    fmt: str, rules: list[type], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = []
    for permute, shuffle in ((True, True), (False, True), (False, False)):
        monkeypatch.setattr(decoders, "HAS_PERMUTE", permute)
        monkeypatch.setattr(decoders, "HAS_SHUFFLE", shuffle)
        chosen.append(type(rule_of.__wrapped__(mf.parse(fmt))[0]))
    assert list(dict.fromkeys(chosen)) == rules


def test_without_the_jit_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integer._jit, "load", lambda: False)
    monkeypatch.setattr(tiles, "TILE", 8 * 391)
    for fmt in FORMATS:
        q = quantize(normals(37, 391), fmt, block=32, scale="float32")
        x = normals(5, 391, seed=1)
        for activations in ("int8/16/float32", PER_VECTOR):
            assert_defined(x, q, activations)


PROGRAM = """
import sys, numpy as np, minifloat as mf
rng = np.random.default_rng(0)
w, x = rng.standard_normal((40, 300), np.float32), rng.standard_normal((3, 300), np.float32)
results = []
for recipe in ("e2m2/128", "int4/64", "nvfp4", "e2m4/channel", "int8/100"):
    q = mf.quantize(w, recipe)
    for activations in ("int8/%d/float32" % min(q.blocks.width, 300), "int8/channel/float32"):
        results.append(mf.linear(x, q, activations=activations))
sys.stdout.write(np.concatenate(results).tobytes().hex())
"""


@pytest.mark.parametrize("environment", [
    {"NUMBA_DISABLE_JIT": "1"}, {"NUMBA_CPU_NAME": "generic"},
], ids=str)  # fmt: skip
def test_other_processes_give_the_same(environment: dict[str, str], tmp_path: Path) -> None:
    """LLVM ends the process where an instruction is asked for that the CPU does not have."""
    command = [sys.executable, "-c", PROGRAM]
    results = {
        subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
        for env in (os.environ, os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)} | environment)
    }
    assert len(results) == 1


@pytest.fixture
def guarded() -> Iterator[Any]:
    """Copies of arrays that end, or begin, where the next byte cannot be read or written."""
    page, kept = mmap.PAGESIZE, []
    library = ctypes.CDLL(None, use_errno=True)

    def copy(a: np.ndarray, end: bool) -> np.ndarray:
        pages = -(-a.nbytes // page)
        memory = mmap.mmap(-1, (pages + 2) * page)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        for guard in (address, address + (pages + 1) * page):
            assert library.mprotect(ctypes.c_void_p(guard), page, 0) == 0
        kept.append((memory, address, pages))
        first = page + (pages * page - a.nbytes if end else 0)
        held = np.frombuffer(memory, a.dtype, a.size, first).reshape(a.shape)
        held[...] = a
        return held

    yield copy
    for _, address, pages in kept:
        library.mprotect(ctypes.c_void_p(address), (pages + 2) * page, 3)


@pytest.mark.skipif(platform.system() != "Linux", reason="pages are protected as Linux does it")
@pytest.mark.parametrize("end", [False, True])
@pytest.mark.parametrize("fmt", ["e2m2", "int4", "int8", "uint4"])
def test_nothing_is_read_beyond_the_arrays(guarded: Any, fmt: str, end: bool) -> None:
    for rows, length, block in ((16, 64, 32), (33, 391, 32), (40, 256, 128), (130, 40, 8)):
        q = quantize(normals(rows, length), fmt, block=block, scale="float32")
        parts = {"packed": guarded(q.packed, end), "scales": guarded(q.scales, end)}
        zeros = None if q.zero_points is None else guarded(q.zero_points, end)
        held = mf.Quantized.of_checked(
            **{f.name: getattr(q, f.name) for f in dataclasses.fields(q)}
            | parts | {"zero_points": zeros}
        )  # fmt: skip
        for batch in (1, 6):
            x = normals(batch, length, seed=1)
            y = mf.linear(guarded(x, end), held, activations=f"int8/{block}/float32")
            assert_same(y, defined(x, q, f"int8/{block}/float32"))


@pytest.mark.parametrize("offset", [1, 3, 17, 63])
def test_arrays_that_begin_anywhere(offset: int) -> None:
    """At any byte for codes; at any number for scales and vectors."""
    q = mf.quantize(normals(40, 391), "e2m2", block=32, scale="float32")
    x = normals(5, 391, seed=1)
    shifted = [np.concatenate((np.zeros(offset, a.dtype), a.reshape(-1)))[offset:].reshape(a.shape)
               for a in (q.packed, q.scales, x)]  # fmt: skip
    moved = dataclasses.replace(q, packed=shifted[0], scales=shifted[1])
    y = mf.linear(shifted[2], moved, activations=PER_VECTOR)
    assert_same(y, defined(x, q, PER_VECTOR))


@pytest.mark.parametrize("activations", [None, PER_VECTOR])
def test_vectors_in_any_memory(activations: str | None) -> None:
    """The first call decides for which types the kernels are compiled; others come after it."""
    q = mf.quantize(normals(40, 128), "e2m2", scale="float32")
    x = normals(1, 128, seed=1)
    wanted = mf.linear(x, q, activations=activations)
    read_only = x.copy()
    read_only.flags.writeable = False
    unaligned = np.frombuffer(b"-" + x.tobytes(), np.float32, offset=1).reshape(x.shape)
    assert not unaligned.flags.aligned
    others = (read_only, unaligned, x.astype(">f4"), np.repeat(x, 2, axis=1)[:, ::2], x.tolist())
    for other in others:
        assert_same(mf.linear(other, q, activations=activations), wanted)


@pytest.mark.parametrize("block", [64, 128, *long(192)])
@pytest.mark.parametrize("fmt", ["e2m2", *long("int4", "uint1", "int8")])
def test_runs_of_whole_steps_and_what_is_left_of_a_row(fmt: str, block: int) -> None:
    for length in (448, 456, 384):
        q = quantize(normals(19, length), fmt, block=block, scale="float32")
        full = dataclasses.replace(q, packed=extreme(q))
        for x in (normals(5, length, seed=1), np.sign(normals(1, length, seed=2))):
            for weights in (q, full):
                assert_defined(x, weights, PER_VECTOR)
                assert_defined(x, weights, f"int8/{block}/float32")


def test_the_error_is_that_of_eight_bits() -> None:
    """And a mistake in a code or a scale is seen."""
    q = mf.quantize(normals(64, 512), "e2m2")
    x = normals(512, seed=1)
    exact, y = q.dequantize() @ x, mf.linear(x, q, activations="int8/32/float32")
    noise = float(np.linalg.norm(y - exact) / np.linalg.norm(exact))
    assert 1e-4 < noise < 0.01
    packed = q.packed.copy()
    packed[100] ^= 1
    wrong = mf.linear(x, dataclasses.replace(q, packed=packed), activations="int8/32/float32")
    assert (wrong != y).sum() == 1


def test_bias_and_shapes() -> None:
    q = mf.quantize(normals(20, 64), "int4")
    x, bias = normals(2, 3, 64, seed=1), normals(20, seed=2)
    y = mf.linear(x, q, bias, activations=PER_VECTOR)
    assert y.shape == (2, 3, 20)
    assert_same(y, defined(x, q, PER_VECTOR) + bias)
    same = mf.linear(x.astype(np.float64), q, activations=mf.Recipe.parse(PER_VECTOR))
    assert_same(same, defined(x, q, PER_VECTOR))
    every_other = mf.linear(np.repeat(x, 2, axis=2)[..., ::2], q, activations=PER_VECTOR)
    assert_same(every_other, same)
    assert mf.linear(x[:0], q, activations=PER_VECTOR).shape == (0, 3, 20)


@pytest.mark.parametrize(("activations", "message"), [
    ("int4/32", r"activations must be a recipe of int8 by absmax, .* of int4$"),
    ("e4m3fn/32", "of e4m3fn$"),
    ("int8/32/float32/mse", "with a search for scales$"),
    ("int8/32/float32/hadamard32", "with a rotation; leave it out"),
    ("int8/32/ue4m3/tensor-scale", "not those of blocks alone$"),
    ("int8/32/float32/double", "not those of blocks alone$"),
    ("int8/tensor/float32", r'along the last axis; use a number or "channel"'),
    ("int8/2x32/float32", "along the last axis"),
    ("int8/48/float32", "blocks of 48 for 32; use blocks of 32, or \"channel\"$"),
])  # fmt: skip
def test_activations_that_are_refused(activations: str, message: str) -> None:
    q = mf.quantize(normals(20, 96), "e2m2/32")
    with pytest.raises(ValueError, match=message):
        mf.linear(normals(96), q, activations=activations)


@pytest.mark.parametrize(("fmt", "message"), [
    ("nf4", "nf4, whose values are -134217728 to 134217728 times"),
    ("e3m2", "e3m2, whose values are -448 to 448 times 0.0625; leave out activations"),
    ("e4m3fn", "e4m3fn, which has infinities or NaN"), ("e5m2", "e5m2, which has infinities"),
    ("int12", "int12, of 12 bits"), (mf.Format(1, 1, bias=200), r"in steps of 2\*\*-200"),
])  # fmt: skip
def test_formats_that_are_refused(fmt: Any, message: str) -> None:
    fmt = mf.parse(fmt)
    recipe = mf.Recipe(fmt, block="channel", scale="float32")
    packed = mf.pack(np.zeros(20 * 32, np.uint16), fmt.bits)
    q = mf.Quantized(packed, np.ones((20, 1), np.float32), recipe, (20, 32), 1)
    for batch in (1, 0):
        with pytest.raises(ValueError, match=message):
            mf.linear(normals(batch, 32), q, activations=PER_VECTOR)


def test_what_else_is_refused() -> None:
    q = mf.quantize(normals(20, 96), "e2m2/32")
    for bad in (np.inf, -np.inf, np.nan):
        x = normals(3, 96)
        x[1, 7] = bad
        with pytest.raises(ValueError, match=rf"x must be finite .* got {bad} at index 7 of"):
            mf.linear(x, q, activations=PER_VECTOR)
    with pytest.raises(ValueError, match=r"got float16 for a block of x with absmax 1e\+30; use"):
        mf.linear(np.full(96, 1e30), q, activations="int8/32/float16")
    with pytest.raises(ValueError, match="q must have blocks along its rows, axis 1, for act"):
        mf.linear(normals(96), mf.quantize(normals(20, 96), "e2m2", axis=0), activations=PER_VECTOR)
    with pytest.raises(TypeError, match="recipe must be a Recipe"):
        mf.linear(normals(96), q, activations=8)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="x must have 96 elements along the last axis"):
        mf.linear(normals(95), q, activations=PER_VECTOR)


def test_small_integers_are_the_values() -> None:
    for fmt in map(mf.parse, FORMATS):
        table, low, exponent = small_integers(fmt)
        codes = [c for c in range(fmt.code_count) if c != fmt.unused_code]
        values = np.ldexp(table[codes].astype(float) + low, exponent)
        np.testing.assert_array_equal(values, fmt.values()[codes])
        np.testing.assert_array_equal(table, np.resize(table[: 1 << fmt.bits], 256))

"""Products with packed weights: within the stated bound of exact arithmetic, whatever the blocks.

The oracle is float64 arithmetic on `dequantize`'s weights: its own rounding is 2**-29 of float32's.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import pickle
import platform
import signal
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minifloat as mf
from minifloat._kernels import decoders as kernels
from minifloat.products import direct, packed_rows, tiles, vecmat
from minifloat.products.decoders import rule_of
from minifloat.products.direct import FEW
from minifloat.products.tiles import TILE
from minifloat.testing import formats

FORMATS = (
    "e2m2", "e2m2b0", "int5", "nf4", "nf5", "e2m1", "e3m0", "e4m3fn", "e5m2", "ue4m3", "e8m0",
    "int4full", "int8", "uint4", "bipolar_int3", "binary8p3se", "e4m3fnuz", "e5m10ieee",
)  # fmt: skip


SPECIALS = ("", "ieee", "fn", "fnuz")  # the ends of formats' names


def normals(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture
def little_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads get their parts of products that the caller would else do alone."""
    monkeypatch.setattr(tiles, "HEAD_START", 0)


def quantize(w: np.ndarray, fmt: mf.NumberFormat | str, **options: Any) -> mf.Quantized:
    """Quantize weights, or the magnitudes of weights where the format has no sign."""
    fmt = mf.parse(fmt)
    if isinstance(fmt, mf.Integer) and not fmt.signed:
        options["zero_point"] = True
    return mf.quantize(np.abs(w) if fmt.min >= 0 else w, fmt, **options)


def excess(y: np.ndarray, x: np.ndarray, q: mf.Quantized, bias: np.ndarray | None = None) -> float:
    """Return the largest error in units of the stated bound, at most 1 where it holds."""
    w, x = q.dequantize().astype(np.float64), x.astype(np.float64)
    b = np.zeros(q.shape[0]) if bias is None else bias.astype(np.float64)
    n = q.shape[1] + 8
    gamma = n * 2.0**-24 / (1 - n * 2.0**-24)
    scale = float(np.abs(q.scales).max(initial=0)) * (q.tensor_scale or 1.0)
    largest = np.abs(x).max(axis=-1, keepdims=True, initial=0)
    largest = largest * (1 + scale * max(abs(q.fmt.min), abs(q.fmt.max)))
    bound = gamma * (np.abs(x) @ np.abs(w).T + np.abs(b)) + n * 2.0**-133 * (1 + largest)
    exact = x @ w.T + b
    assert y.dtype == np.float32
    assert y.shape == exact.shape
    return float((np.abs(y - exact) / bound).max(initial=0.0))


@pytest.mark.parametrize("block", ["channel", 7, 16, 128, *(
    pytest.param(block, marks=pytest.mark.long) for block in (1, 32, 100, 129)
)])  # fmt: skip
@pytest.mark.parametrize("fmt", FORMATS)
def test_every_format_and_block(fmt: str, block: int | str) -> None:
    for rows, length in ((16, 256), (9, 391)):
        q = quantize(normals(rows, length), fmt, block=block, scale="float32")
        x, bias = normals(3, length, seed=1), normals(rows, seed=2)
        assert excess(mf.linear(x[0], q, bias), x[0], q, bias) <= 1
        assert excess(mf.linear(x, q), x, q) <= 1
        assert excess((q @ x.T).T, x, q) <= 1
        assert excess(q @ x[0], x[0], q) <= 1


@pytest.mark.parametrize(("axis", "block"), [
    (-1, 128), (0, 128), (1, 3), (0, 3), (-1, "channel"), (0, "channel"), (-1, "tensor"),
    (-1, (3, 16)), (-1, (16, 128)),
])  # fmt: skip
@pytest.mark.parametrize("options", [
    {"scale": "float16"}, {"scale": "e8m0"}, {"scale": "ue4m3", "tensor_scale": True},
    {"scale": "float32", "tensor_scale": True}, {"scale": "bfloat16", "tensor_scale": True},
    {"scale": "float32", "double": True},
], ids=str)  # fmt: skip
def test_every_kind_of_scale(axis: int, block: Any, options: dict[str, Any]) -> None:
    for fmt in ("e2m2", "nf4", "int5", "uint4"):
        q = quantize(normals(37, 304), fmt, axis=axis, block=block, **options)
        for batch in (5, FEW + 1):
            x = normals(batch, 304, seed=1)
            assert excess(mf.linear(x, q), x, q) <= 1
        assert excess(mf.linear(x[1], q), x[1], q) <= 1


@settings(max_examples=50)
@given(data=st.data())
def test_any_shape_and_format(data: st.DataObject) -> None:
    fmt = data.draw(formats(max_bits=8))
    rows = data.draw(st.integers(0, 20))
    length = data.draw(st.integers(0, 300) | st.integers(0, 40).map(lambda k: 8 * k))
    batch = data.draw(st.sampled_from([(), (1,), (2, 0), (2, 3), (33,), (FEW + 1,)]))
    sizes = st.integers(1, 310)
    block = data.draw(st.sampled_from(["channel", "tensor"]) | sizes | st.tuples(sizes, sizes))
    axis = data.draw(st.sampled_from([1] if isinstance(block, tuple) else [0, 1]))
    try:
        with np.errstate(over="ignore"):
            q = quantize(normals(rows, length), fmt, axis=axis, block=block, scale="float32")
    except ValueError:  # a format without values above zero, or whose scales float32 lacks
        return
    x = normals(*batch, length, seed=1)
    with np.errstate(all="ignore"):
        whole = x.astype(np.float64) @ q.dequantize().T
    y = mf.linear(x, q)
    assert y.shape == (*batch, rows)
    finite = np.isfinite(whole).all()
    assert not finite or excess(y, x, q) <= 1
    assert np.array_equal(np.isnan(whole), np.isnan(y))


@pytest.mark.parametrize("axis", [0, 1])
def test_scales_and_numbers_that_are_tiny_and_huge_by_turns(axis: int) -> None:
    """Their products are of one magnitude."""
    w = normals(24, 256) * np.float32(2.0) ** (np.arange(256) // 16 * 8 - 60)
    q = quantize(w, "e2m2", axis=axis, block=16 if axis else 8, scale="float32")
    for batch in (1, 4, FEW + 1):
        x = normals(batch, 256, seed=1) * np.float32(2.0) ** (60 - np.arange(256) // 16 * 8)
        assert excess(mf.linear(x, q), x, q) <= 1


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("length", [1, 7, 16, 33, 90])
@pytest.mark.parametrize("axis", [0, 1])
def test_codes_that_begin_at_any_bit(
    bits: int, length: int, axis: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """33 rows are enough for each bit of a byte at which rows of a length can begin."""
    monkeypatch.setattr(packed_rows, "FEW", 0)  # the last rows are read from another array
    fmt = mf.parse(f"int{bits}full")
    rows, size = 33, 5
    rng = np.random.default_rng(bits)
    codes = rng.integers(0, 1 << bits, rows * length).astype(np.uint8)
    shape = (-(-rows // size), length) if axis == 0 else (rows, -(-length // size))
    scales = np.exp2(rng.integers(-3, 4, shape)).astype(np.float32)
    recipe = mf.Recipe(fmt, block=size, scale="float32")
    q = mf.Quantized(mf.pack(codes, bits), scales, recipe, (rows, length), axis)
    x = np.eye(length, dtype=np.float32)
    for few in (x[:1], x[-3:], x[:6], np.concatenate((x, np.zeros((FEW, length), np.float32)))):
        np.testing.assert_array_equal(mf.linear(few, q), few @ q.dequantize().T)


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("length", [1, 3, 8, 17, 64, 90])
@pytest.mark.parametrize("size", ["channel", 1, 5, 16, 33, (3, 5)])
def test_no_step_reads_beyond_the_codes(
    bits: int, length: int, size: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed_rows, "FEW", 0)
    for rows in (1, 2, 7, 40):
        w = np.zeros((rows, length), np.float32)
        q = mf.quantize(w, f"int{bits}", block=size, scale="float32")
        weights = direct.Direct(q)
        block, seen = weights.block, 0
        for start, stop, packed, base in weights.packed.of(slice(0, rows)):
            for row, begin in itertools.product(range(start, stop), range(0, length, block)):
                for step in range(begin, min(begin + block, length), kernels.LANES):
                    bit = (row * length + step) * bits - base
                    assert bit >= 0
                    assert bit // 8 + kernels.LANES <= packed.size
                    assert weights.loose or bit % 8 == 0
            seen += stop - start
        assert seen == rows


@pytest.mark.parametrize("block", [1, 2, 5, 32, 99, 100, 1000, "channel"])
@pytest.mark.parametrize("batch", [1, 2, 16, FEW])
def test_groups_of_rows_with_the_same_scales(block: int | str, batch: int) -> None:
    """Scales multiply the vectors; or tiles, where the vectors are many for so small groups."""
    for fmt in ("e2m2", "nf4", "int5"):
        w = normals(300, 1001) * np.exp2(np.arange(300) % 7)[:, None]
        q = quantize(w.astype(np.float32), fmt, axis=0, block=block, scale="float32")
        x = normals(batch, 1001, seed=1)
        assert excess(mf.linear(x, q), x, q) <= 1
        np.testing.assert_array_equal(mf.linear(x, q, threads=3), mf.linear(x, q))
        x[-1, 3] = np.inf
        with np.errstate(invalid="ignore"):
            whole = x.astype(np.float64) @ q.dequantize().T
        np.testing.assert_array_equal(np.isfinite(mf.linear(x, q)), np.isfinite(whole))


@pytest.mark.parametrize("along", ["axis 0", "axis 1", "tensor", "tiles"])
@pytest.mark.parametrize("batch", [1, FEW + 1])
def test_weights_are_not_dequantized_as_a_whole(
    along: str, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = []
    for length, size in ((391, 100), (256, 128), (64, "channel"), (400, 7)):
        block: Any = "tensor" if along == "tensor" else size
        if along == "tiles":
            block = (2, size if isinstance(size, int) else 64)
        q = quantize(normals(9, length), "e2m2", axis=0 if along == "axis 0" else 1, block=block)
        x = normals(batch, length, seed=1)
        cases.append((x, q, mf.linear(x, q)))

    def dequantize(_: mf.Quantized) -> np.ndarray:
        raise AssertionError("the weights became floats")

    monkeypatch.setattr(mf.Quantized, "dequantize", dequantize)
    for x, q, y in cases:
        np.testing.assert_array_equal(mf.linear(x, q), y)


@pytest.mark.parametrize("axis", [0, 1])
def test_axes_counted_from_the_end(axis: int) -> None:
    q = quantize(normals(24, 40), "e2m2", axis=axis, block=8)
    same = dataclasses.replace(q, axis=axis - 2)
    x = normals(40, seed=1)
    np.testing.assert_array_equal(same.dequantize(), q.dequantize())
    np.testing.assert_array_equal(mf.linear(x, same), mf.linear(x, q))


@pytest.mark.parametrize("mistake", ["a code", "a scale", "half precision"])
def test_the_bound_has_teeth(mistake: str) -> None:
    q = quantize(normals(32, 512), "e2m2")
    x = normals(512, seed=1)
    right = mf.linear(x, q)
    if mistake == "a code":
        packed = q.packed.copy()
        packed[0] ^= 1  # the lowest bit of the first weight
        wrong = mf.linear(x, dataclasses.replace(q, packed=packed))
    elif mistake == "a scale":
        scales = q.scales.copy()
        scales[-1, -1] *= 1 + np.float32(2.0**-10)  # the next of float16 or the one after
        scales = np.float32(np.float16(scales))
        wrong = mf.linear(x, dataclasses.replace(q, scales=scales))
    else:
        wrong = (x.astype(np.float16) @ q.dequantize().T.astype(np.float16)).astype(np.float32)
    assert excess(right, x, q) <= 1 < excess(wrong, x, q)


@pytest.mark.parametrize("fmt", ["e2m2", "int5", "nf4", "e5m2"])
@pytest.mark.parametrize("batch", [1, 3, FEW + 1])
def test_infinities_and_nan_go_through(fmt: str, batch: int) -> None:
    q = quantize(normals(24, 256), fmt)
    rng = np.random.default_rng(3)
    for bad in ([np.inf], [-np.inf, np.inf], [np.nan]):
        x = normals(batch, 256, seed=1)
        x[-1, rng.choice(256, len(bad), replace=False)] = bad
        with np.errstate(invalid="ignore"):
            exact = x.astype(np.float64) @ q.dequantize().T.astype(np.float64)
        y = mf.linear(x, q)
        np.testing.assert_array_equal(np.isnan(y), np.isnan(exact))
        np.testing.assert_array_equal(y[np.isinf(exact)], exact[np.isinf(exact)])
        finite = np.isfinite(exact).all(axis=1)
        assert excess(y[finite], x[finite], q) <= 1


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("magnitude", [1e-44, 1e-38, 1e-30, 1e30, 3e36])
@pytest.mark.parametrize("fmt", ["e2m2", "int5", "nf4", "e5m2"])
def test_tiny_and_huge_numbers(fmt: str, magnitude: float, axis: int) -> None:
    q = quantize(normals(24, 256), fmt, axis=axis)
    for batch in (1, 4, FEW + 1):
        x = normals(batch, 256, seed=1) * np.float32(magnitude)
        assert excess(mf.linear(x, q), x, q) <= 1
    q = quantize(normals(24, 256) * np.float32(magnitude), fmt, scale="float32", axis=axis)
    x = normals(4, 256, seed=1)
    assert excess(mf.linear(x, q), x, q) <= 1
    assert excess(mf.linear(x[0], q), x[0], q) <= 1


def test_sums_that_overflow_on_the_way_do_not_at_the_end() -> None:
    q = mf.quantize(np.full((8, 64), 3e38, np.float32), "e5m2", scale="float32")
    x = np.full(64, 1e-30, np.float32)
    assert excess(mf.linear(x, q), x, q) <= 1


@pytest.mark.usefixtures("little_is_shared")
@pytest.mark.parametrize("fmt", ["e5m2", "e4m3fn", "e4m3fnuz", "e4m3b11fnuz", "e5m2fnuz"])
def test_special_codes_go_through(fmt: str) -> None:
    parsed = mf.parse(fmt)
    q = mf.quantize(normals(16, 64), fmt, block="channel", scale="float32")
    x = np.abs(normals(2, 64, seed=1))
    finite = mf.linear(x, q)
    for code in np.flatnonzero(~np.isfinite(parsed.values())):
        for column in range(64):
            codes = q.codes
            codes[3, column] = code
            special = dataclasses.replace(q, packed=mf.pack(codes.reshape(-1), parsed.bits))
            y = mf.linear(x, special)
            np.testing.assert_array_equal(y[:, 3], parsed.values()[code])
            np.testing.assert_allclose(np.delete(y, 3, axis=1), np.delete(finite, 3, axis=1), 1e-5)
        np.testing.assert_array_equal(mf.linear(x, special, threads=3), y)
        x_zero = x * (np.arange(64) != 63)
        assert np.isnan(mf.linear(x_zero, special)[:, 3]).all()


@pytest.mark.usefixtures("little_is_shared")
@pytest.mark.parametrize("fmt", ["e2m2", "int5", "nf5", "uint4"])
@pytest.mark.parametrize("batch", [1, 4, 40, FEW + 1])
@pytest.mark.parametrize("axis", [0, 1])
def test_the_result_does_not_depend_on_threads(fmt: str, batch: int, axis: int) -> None:
    q = quantize(normals(203, 1000), fmt, axis=axis)
    x = normals(batch, 1000, seed=1)
    one = mf.linear(x, q)
    for threads in (2, 3, 16):
        np.testing.assert_array_equal(mf.linear(x, q, threads=threads), one)


@pytest.mark.parametrize("threads", [2, 3, 16])
@pytest.mark.parametrize("rows", [1, 2, 3, 203, 3000])
@pytest.mark.parametrize("head_start", [0, 2048, tiles.HEAD_START])
def test_each_row_is_in_one_part(
    rows: int, threads: int, head_start: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: list[slice] = []

    def each(work: Callable[[Any], Any], tasks: list[Any], threads: int) -> list[Any]:
        parts.extend(part for part in tasks if isinstance(part, slice))
        return [work(part) for part in tasks]

    monkeypatch.setattr(direct, "each", each)
    monkeypatch.setattr(tiles, "HEAD_START", head_start)
    mf.linear(np.ones(1000), quantize(normals(rows, 1000), "e2m2"), threads=threads)
    assert [row for part in parts for row in range(part.start, part.stop)] == list(range(rows))
    apart = min(threads, rows - head_start // 1000)
    assert len(parts) == (1 if rows * 1000 < 3 * head_start else apart)


@pytest.mark.usefixtures("little_is_shared")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own() -> None:
    q, x = quantize(normals(64, 256), "e2m2"), normals(256)
    expected = mf.linear(x, q, threads=2)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        right = np.array_equal(mf.linear(x, q, threads=2), expected)
        own = any(thread.name.startswith("minifloat") for thread in threading.enumerate())
        os._exit(0 if right and own else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("fmt", ["e2m2", "int5", "nf5"])
def test_a_few_vectors_have_the_products_that_each_has_alone(fmt: str) -> None:
    q = quantize(normals(20, 400), fmt, block=72)
    x = normals(7, 400, seed=1)
    np.testing.assert_array_equal(mf.linear(x, q), [mf.linear(row, q) for row in x])


@pytest.mark.parametrize(("fmt", "options"), [
    ("e2m2", {"block": 16}), ("e2m2", {"block": 40}), ("e4m3fn", {"block": 32}),
    ("e2m3", {"block": 16}), ("uint4", {"block": 16}),
])  # fmt: skip
def test_a_row_has_the_same_product_wherever_it_begins(fmt: str, options: dict[str, Any]) -> None:
    """Alone it begins at a whole byte; beside others at any bit, and as either of a pair."""
    q = quantize(normals(19, 301), fmt, **options)
    x = normals(301, seed=1)
    y = mf.linear(x, q)
    for row in range(19):
        np.testing.assert_array_equal(mf.linear(x, q[row : row + 1]), y[row : row + 1])


@pytest.mark.parametrize("size", [16, 32])
@pytest.mark.parametrize("length", [304, 301, 16, 9])
def test_the_short_loop_has_the_same_bits(
    size: int, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    q = quantize(normals(19, length), "e2m2", block=size)
    x = normals(5, length, seed=1)
    y = mf.linear(x, q)
    monkeypatch.setattr(direct, "SHORT", ())
    np.testing.assert_array_equal(mf.linear(x, dataclasses.replace(q)), y)


def test_what_products_need_is_made_once_and_not_saved() -> None:
    q = quantize(normals(8, 24), "e2m2")
    mf.linear(normals(24), q)
    (form,) = q.product_forms.values()
    assert form.packed.packed.base is not None  # a view
    mf.linear(normals(24), q)
    assert list(q.product_forms.values()) == [form]
    copied = pickle.loads(pickle.dumps(q))
    assert not copied.product_forms


def test_which_codes_are_computed_and_which_looked_up() -> None:
    looked_up = kernels.InRegisters | kernels.InMemory
    for fmt in (
        "e3m2", "e2m3", "e4m3b7", "e5m2ieee", "ue5m3ieee", "int8full", "e4m3fn", "e4m3fnuz",
        "e4m3b11fnuz",
    ):  # fmt: skip
        assert not isinstance(rule_of(mf.parse(fmt))[0], looked_up), fmt
    for fmt in ("nf4", "nf5", "bipolar_int3", "binary8p3se", "e8m0", "e5m2fnuz"):
        assert isinstance(rule_of(mf.parse(fmt))[0], looked_up), fmt
    for fmt in ("e2m2", "e2m2b0", "e2m1", "int5", "uint4"):
        assert isinstance(rule_of(mf.parse(fmt))[0], looked_up) == kernels.HAS_TABLES, fmt


@pytest.mark.parametrize(("flags", "rule", "fallback", "fmt"), [
    *((("HAS_MATRIX",), kernels.Matrix, kernels.Halves, fmt) for fmt in (
        "e3m2", "e5m2ieee", "ue4m2", "ue5m1ieee",
    )),
    *((("HAS_TABLES",), kernels.InRegisters, kernels.InMemory, fmt) for fmt in (
        "nf5", "nf4", "bipolar_int3", "bipolar_int5", "af4", "sf4",
    )),
    *((("HAS_TABLES", "HAS_MATRIX"), kernels.InRegisters, kernels.Halves, fmt) for fmt in (
        "e2m2", "e2m2b0", "e2m1", "e1m2", "e3m0", "e3m1",
    )),
    (("HAS_TABLES",), kernels.InRegisters, kernels.Matrix, "e2m2"),
    (("HAS_TABLES",), kernels.InRegisters, kernels.Signed, "int5"),
    (("HAS_TABLES",), kernels.InRegisters, kernels.Signed, "int4full"),
    (("HAS_TABLES",), kernels.InRegisters, kernels.Unsigned, "uint4"),
])  # fmt: skip
def test_instructions_of_some_cpus_give_the_same_values(
    flags: tuple[str, ...],
    rule: type,
    fallback: type,
    fmt: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every code of a finite number, in every lane: rows of one code each."""
    if not (all(getattr(kernels, flag) for flag in flags) and kernels.HAS_MATRIX):
        pytest.skip("not on this CPU")
    parsed = mf.parse(fmt)
    assert isinstance(rule_of(parsed)[0], rule)
    finite = np.flatnonzero(np.isfinite(parsed.values()))
    count, codes = finite.size, np.repeat(finite, 64).astype(np.uint8)
    recipe = mf.Recipe(parsed, block="channel", scale="float32", zero_point=fmt == "uint4")
    ones = np.ones((count, 1), np.float32)
    zeros = np.zeros((count, 1), np.uint8) if fmt == "uint4" else None
    q = mf.Quantized(mf.pack(codes, parsed.bits), ones, recipe, (count, 64), 1, zero_points=zeros)
    x = np.eye(64, dtype=np.float32)
    products_of_codes = mf.linear(x, q)
    np.testing.assert_array_equal(
        products_of_codes, np.tile(np.float32(parsed.values()[finite]), (64, 1))
    )
    for flag in flags:
        monkeypatch.setattr(kernels, flag, False)
    without = rule_of.__wrapped__
    assert isinstance(without(parsed)[0], fallback)
    monkeypatch.setattr(direct, "rule_of", without)
    again = mf.linear(x, dataclasses.replace(q))
    np.testing.assert_array_equal(products_of_codes.view(np.int32), again.view(np.int32))


def test_a_cpu_without_extensions_has_tables_only(tmp_path: Path) -> None:
    """LLVM ends the process where an instruction is asked for that it does not have."""
    program = """
import numpy as np, minifloat as mf
from minifloat._kernels import decoders
assert not (decoders.HAS_HALVES or decoders.HAS_MATRIX or decoders.HAS_TABLES)
w = np.random.default_rng(0).standard_normal((8, 64), np.float32)
x = np.random.default_rng(1).standard_normal(64, np.float32)
for fmt in ("e2m2", "nf4", "int5", "e4m3fn"):
    q = mf.quantize(w, fmt)
    np.testing.assert_allclose(mf.linear(x, q), q.dequantize() @ x, rtol=1e-4, atol=1e-4)
"""
    environment = os.environ | {"NUMBA_CPU_NAME": "generic", "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if platform.machine() in ("arm64", "aarch64"):
        pytest.skip("every such CPU converts halves")
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("fmt", [
    mf.Format(2, 1, bias=3 - 1023), mf.Format(1, 1, bias=1069),
    mf.Codebook([0.0, 1.0, 1.5 * 2.0**1023, 5.0]),
])  # fmt: skip
@pytest.mark.parametrize("scale", [2.0**-126, 1.0])
def test_values_at_the_ends_of_float64(fmt: mf.NumberFormat, scale: float) -> None:
    packed = mf.pack(np.arange(32) % 4, fmt.bits)
    scales = np.full((2, 1), scale, np.float32)
    recipe = mf.Recipe(fmt, block="channel", scale="float32")
    q = mf.Quantized(packed, scales, recipe, (2, 16), 1)
    x = np.ones(16, np.float32)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(mf.linear(x, q), q.dequantize() @ x)


@pytest.mark.parametrize("bits", range(2, 9))
def test_every_code_of_every_small_format(bits: int) -> None:
    """Each finite code, in each lane, of all formats of this width with biases around theirs."""
    x = np.eye(16, dtype=np.float32)
    checked = 0
    for signed, exponents, kind in itertools.product((True, False), range(6), SPECIALS):
        mantissa = bits - signed - exponents
        for bias in (None, -10, 0, 1, 7, 15, 60):
            offset = "" if bias is None else f"b{bias}"
            try:
                fmt = mf.parse(f"{'' if signed else 'u'}e{exponents}m{mantissa}{offset}{kind}")
            except ValueError:
                continue
            values = fmt.values()
            codes = np.flatnonzero(np.isfinite(values))
            packed = mf.pack(np.repeat(codes, 16).astype(np.uint8), fmt.bits)
            ones = np.ones((codes.size, 1), np.float32)
            recipe = mf.Recipe(fmt, block="channel", scale="float32")
            q = mf.Quantized(packed, ones, recipe, (codes.size, 16), 1)
            expected = np.tile(np.float32(values[codes]), (16, 1))
            np.testing.assert_array_equal(mf.linear(x, q), expected, fmt.name)
            checked += 1
    assert checked > 20


@pytest.mark.parametrize("fmt", ["e2m2", "nf4", "e8m0", mf.Format(1, 1, bias=1069)], ids=str)
def test_the_callers_error_state_is_of_no_account(fmt: mf.NumberFormat | str) -> None:
    fmt = mf.parse(fmt)
    packed = mf.pack((np.arange(64) % fmt.code_count).astype(np.uint8), fmt.bits)
    recipe = mf.Recipe(fmt, block="channel", scale="float32")
    q = mf.Quantized(packed, np.ones((2, 1), np.float32), recipe, (2, 32), 1)
    rule_of.cache_clear()
    for magnitude in (1e-45, 1.0, 3e38):
        x = np.full(32, magnitude, np.float32)
        with np.errstate(all="raise"):
            raised = mf.linear(x, q)
        np.testing.assert_array_equal(raised, mf.linear(x, q))


def test_arrays_with_gaps_are_read_as_they_are() -> None:
    q = quantize(normals(16, 128), "uint4", block=32)
    assert q.zero_points is not None
    every_other = [np.repeat(a, 2, axis=1)[:, ::2] for a in (q.scales, q.zero_points)]
    gaps = dataclasses.replace(q, scales=every_other[0], zero_points=every_other[1])
    x = normals(128)
    np.testing.assert_array_equal(mf.linear(x, gaps), mf.linear(x, q))


@pytest.mark.parametrize(("fmt", "batch", "axis", "tiles"), [
    ("e2m2", 1, -1, 0), ("e2m2", FEW + 1, -1, 4), ("nf4", 1, -1, 0), ("uint4", 1, -1, 0),
    ("e2m2", 1, 0, 0), ("e2m2", FEW + 1, 0, 4), ("uint4", 1, 0, 7),
])  # fmt: skip
def test_no_more_than_a_tile_of_floats_in_memory(
    fmt: str, batch: int, axis: int, tiles: int
) -> None:
    """The weights as floats would be 16 tiles; NumPy's `dequantize` of one takes up to 7."""
    q = quantize(normals(1 << 10, TILE >> 6), fmt, axis=axis)
    x = normals(batch, TILE >> 6, seed=1)
    mf.linear(x, q)
    tracemalloc.start()
    y = mf.linear(x, q)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    own = 4 * (2 * x.size + 8 * y.size) + (1 << 16)
    assert peak <= own + 4 * TILE * tiles


def left_excess(y: np.ndarray, x: np.ndarray, q: mf.Quantized) -> float:
    """Return the largest error of ``x @ q`` in units of the bound for sums of so many products."""
    w, x = q.dequantize().astype(np.float64), x.astype(np.float64)
    n = q.shape[0] + 2
    bound = n * 2.0**-24 / (1 - n * 2.0**-24) * (np.abs(x) @ np.abs(w)) + n * 2.0**-148
    assert y.dtype == np.float32
    assert y.shape == (*x.shape[:-1], q.shape[1])
    return float((np.abs(y - x @ w) / bound).max(initial=0.0))


@pytest.mark.parametrize(("axis", "block"), [
    (-1, 16), (0, 3), (-1, "channel"), (0, "channel"), (-1, "tensor"), (-1, (3, 16)),
])  # fmt: skip
@pytest.mark.parametrize("options", [
    {}, {"scale": "ue4m3", "tensor_scale": True}, {"scale": "float32", "double": True},
], ids=str)  # fmt: skip
def test_products_from_the_left(
    axis: int, block: Any, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for fmt in ("e2m2", "nf4", "uint4", "e5m10ieee"):
        for rows, length in ((37, 130), (1, 5), (16, 64)):
            q = quantize(normals(rows, length), fmt, axis=axis, block=block, **options)
            for batch in ((), (1,), (5,), (2, 3), (0,)):
                x = normals(*batch, rows, seed=1)
                whole = vecmat(x, q)
                assert left_excess(whole, x, q) <= 1
                np.testing.assert_array_equal(x @ q, whole)
                with monkeypatch.context() as patch:
                    patch.setattr(tiles, "TILE", 8 * length)
                    assert left_excess(vecmat(x, q), x, q) <= 1


def test_infinities_and_nan_from_the_left() -> None:
    q = quantize(normals(24, 32), "e2m2")
    for bad in (np.inf, -np.inf, np.nan):
        x = normals(2, 24, seed=1)
        x[1, 5] = bad
        with np.errstate(invalid="ignore"):
            exact = x.astype(np.float64) @ q.dequantize().astype(np.float64)
        y = vecmat(x, q)
        np.testing.assert_array_equal(np.isnan(y), np.isnan(exact))
        np.testing.assert_array_equal(y[np.isinf(exact)], exact[np.isinf(exact)])
        assert left_excess(y[:1], x[:1], q) <= 1


def test_no_more_than_a_tile_of_floats_for_products_from_the_left() -> None:
    q = quantize(normals(1 << 10, TILE >> 6), "e2m2")
    x = normals(1 << 10, seed=1)
    vecmat(x, q)
    tracemalloc.start()
    vecmat(x, q)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 4 * TILE * 7


def test_empty_products_from_the_left() -> None:
    for rows, length in ((0, 5), (5, 0), (0, 0)):
        q = quantize(normals(rows, length), "e2m2")
        assert vecmat(np.ones((3, rows)), q).tolist() == np.zeros((3, length)).tolist()


def test_other_inputs_are_rounded_to_float32() -> None:
    q = quantize(normals(8, 24), "e2m2")
    x = normals(2, 24, seed=1)
    want = mf.linear(x.astype(np.float16), q)
    np.testing.assert_array_equal(mf.linear(x.astype(np.float16).astype(np.float64), q), want)
    np.testing.assert_array_equal(mf.linear(np.asfortranarray(x.astype(np.float16)), q), want)
    short = x.astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(mf.linear(short, q), mf.linear(short.astype(np.float32), q))
    np.testing.assert_array_equal(q @ ([1] * 24), mf.linear(np.ones(24, np.float32), q))
    np.testing.assert_array_equal(mf.linear(x[:, ::-1], q), mf.linear(x[:, ::-1].copy(), q))


def test_bad_arguments() -> None:
    q = quantize(normals(4, 6), "e2m2")
    x = normals(6)
    with pytest.raises(TypeError, match="q must be Quantized, got ndarray"):
        mf.linear(x, q.dequantize())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"q must be weights of shape \(out, in\), got shape \(6"):
        mf.linear(x, quantize(normals(6), "e2m2"))
    with pytest.raises(ValueError, match="x must have 6 elements along the last axis"):
        mf.linear(x[:5], q)
    with pytest.raises(ValueError, match="x must have 6 elements along the last axis"):
        mf.linear(1.0, q)
    with pytest.raises(ValueError, match=r"x must have shape \(6,\) or \(6, n\)"):
        q @ normals(6, 2, 2)
    with pytest.raises(ValueError, match="x must have 4 elements along the last axis"):
        vecmat(x, q)
    with pytest.raises(ValueError, match="x must have 4 elements along the last axis"):
        vecmat(1.0, q)
    with pytest.raises(TypeError, match="q must be Quantized, got ndarray"):
        vecmat(x, q.dequantize())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"bias must have shape \(4,\), got \(6,\)"):
        mf.linear(x, q, x)
    with pytest.raises(TypeError, match=r"bias must be float16.*got complex64"):
        mf.linear(x, q, np.zeros(4, np.complex64))
    with pytest.raises(TypeError, match=r"x must be float16.*got bool"):
        mf.linear(np.zeros(6, bool), q)
    with pytest.raises(ValueError, match="threads must be a positive integer, got 0"):
        mf.linear(x, q, threads=0)

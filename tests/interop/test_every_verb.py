"""Every verb takes tensors of every library, and gives what it gives for arrays, as tensors."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import minifloat as mf
from minifloat import registers
from tests.composites.made import COMBINATIONS, composite
from tests.every_verb import digest, parts_of
from tests.interop.libraries import Library

RNG = np.random.default_rng(16)
W = RNG.standard_normal((6, 40)).astype(np.float32)
X = RNG.standard_normal((3, 40)).astype(np.float32)
CODES = RNG.integers(0, 32, (4, 40)).astype(np.uint8)
HESSIAN = (W.T @ W + np.eye(40, dtype=np.float32)).astype(np.float32)
Q = mf.quantize(W, "e2m2/8/float16")
C = composite(COMBINATIONS[-1], "e2m2/8/float16", 6, 40)
PROGRAM = registers.to_half("e2m1", "4")
RANDOM = RNG.integers(0, 1 << 24, W.shape).astype(np.uint32)
PACKED = mf.pack(CODES, 5)
WORDS = mf.pack_words(CODES % 16, "4")

# A verb: its arrays, and a call with them.
Verb = tuple[tuple[np.ndarray, ...], Callable[..., Any]]
VERBS: dict[str, Verb] = {
    "encode": ((W,), lambda w: mf.encode(w, "e2m2")),
    "encode stochastic": (
        (W, RANDOM),
        lambda w, random: mf.encode(w, "e2m2", rounding="stochastic", random=random),
    ),
    "decode": ((CODES,), lambda codes: mf.decode(codes, "e2m2")),
    "round_to": ((W,), lambda w: mf.round_to(w, "e2m2")),
    "pack": ((CODES,), lambda codes: mf.pack(codes, 5)),
    "unpack": ((PACKED,), lambda packed: mf.unpack(packed, 5, 40)),
    "pack_words": ((CODES % 16,), lambda codes: mf.pack_words(codes, "4")),
    "unpack_words": ((WORDS,), lambda words: mf.unpack_words(words, "4", 40)),
    "registers.run": ((WORDS,), lambda words: registers.run(PROGRAM, words)),
    "linear": ((X, W[:, 0]), lambda x, bias: mf.linear(x, Q, bias)),
    "linear of a composite": ((X, W[:, 0]), lambda x, bias: mf.linear(x, C, bias)),
    "q @ x": ((X[0],), lambda x: Q @ x),
    "x @ q": ((W[:, :6],), lambda x: x @ Q),
    "quantize": ((W,), lambda w: mf.quantize(w, "nvfp4")),
    "quantize authors": ((W,), lambda w: mf.quantize(w, "fpe2m2", arithmetic="authors")),
    "quantize importance": (
        (W, np.abs(W)),
        lambda w, importance: mf.quantize(w, "e2m2", search="mse", importance=importance),
    ),
    "gptq": ((W, HESSIAN), lambda w, hessian: mf.gptq(w, "e2m2", hessian)),
    "joint_tensor_scale": ((W, X), lambda w, x: mf.joint_tensor_scale([w, x], "nvfp4")),
    "search_format": ((W,), lambda w: mf.search_format(w, 4)),
    "sqnr": ((W,), Q.sqnr),
    "fit_codebook": ((W[0],), lambda values: mf.fit_codebook(values, 4)),
    "quantize_nested": ((W,), lambda w: mf.quantize_nested(w, "lut2/channel", 1)),
    "allocate": ((W,), lambda w: mf.allocate({"w": w}, ["e2m1", "e2m2"], 9).loss),
    "compare": ((W,), lambda w: mf.compare(w, "e2m2").total),
    "compare names": ((W,), lambda w: mf.compare({"w": w}, "e2m2").total),
}
NO_ARRAYS = {"load", "narrow", "save", "parse", "parse_layout"}


def test_the_table_has_every_verb() -> None:
    functions = {name for name in mf.__all__ if inspect.isfunction(getattr(mf, name))}
    assert functions - NO_ARRAYS == {name.partition(" ")[0] for name in VERBS} & functions


def bits(result: Any) -> str:
    """Return what tells a result from others."""
    if isinstance(result, mf.Quantized):
        return digest(parts_of(result))
    return digest(result) if isinstance(result, np.ndarray) else repr(result)


@pytest.mark.parametrize("verb", VERBS)
def test_tensors_give_what_arrays_give(verb: str, library: Library) -> None:
    arrays, call = VERBS[verb]
    want = call(*arrays)
    got = call(*map(library.of, arrays))
    assert isinstance(want, np.ndarray) == isinstance(got, library.tensor)
    assert bits(want) == bits(library.words(got) if isinstance(want, np.ndarray) else got)


SOURCES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64, np.int8, np.int32, np.uint8]


@pytest.mark.parametrize("dtype", SOURCES, ids=lambda dtype: np.dtype(dtype).name)
def test_tensors_of_all_dtypes(dtype: type, library: Library) -> None:
    array = np.abs(8 * W).astype(dtype)
    tensor = library.of(array)
    if library.name == "jax" and dtype is np.float64:
        assert np.asarray(tensor).dtype == np.float32  # JAX's default
        array = array.astype(np.float32)
    codes = mf.encode(tensor, "e2m2")
    assert bits(library.words(codes)) == bits(mf.encode(array, "e2m2"))
    rounded = mf.round_to(tensor, "e2m2", dtype="float32")
    assert bits(library.words(rounded)) == bits(mf.round_to(array, "e2m2", dtype="float32"))
    assert bits(mf.quantize(tensor, "mxfp4")) == bits(mf.quantize(array, "mxfp4"))
    if np.dtype(dtype).itemsize == 2:
        assert library.words(mf.round_to(tensor, "e2m2")).dtype == dtype


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_values_come_in_a_dtype_that_is_asked_for(dtype: str, library: Library) -> None:
    want = mf.decode(CODES, "e2m2", dtype=dtype)
    assert want.dtype.name == dtype
    got = mf.decode(library.of(CODES), "e2m2", dtype=dtype)
    assert bits(library.words(got)) == bits(want)


def test_tensors_without_elements_and_without_axes(library: Library) -> None:
    for array in (np.zeros((2, 0), np.float32), np.array(1.75, np.float32)):
        got = mf.encode(library.of(array), "e2m2")
        assert isinstance(got, library.tensor)
        assert bits(library.words(got)) == bits(np.asarray(mf.encode(array, "e2m2")))


def test_no_copy_is_made(library: Library) -> None:
    from minifloat._arrays import as_array

    for dtype in (np.float32, ml_dtypes.bfloat16):
        tensor = library.of(np.zeros((64, 64), dtype))
        first, second = as_array("x", tensor), as_array("x", tensor)
        assert np.shares_memory(first, second)


def test_a_bool_is_told_how_to_become_a_number(library: Library) -> None:
    with pytest.raises(TypeError, match=r"got bool; use x\.(to|astype)\((torch|numpy)\.uint8\)"):
        mf.encode(library.of(np.ones(2, bool)), "e2m2")


def test_float8_is_read_as_its_values_and_its_codes_are_asked_for(library: Library) -> None:
    for name in ("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz", "e8m0"):
        fmt = mf.parse(name)
        dtype = np.dtype(getattr(ml_dtypes, fmt.names.ml_dtypes))
        tensor = library.of(np.arange(256, dtype=np.uint8).view(dtype))
        values = fmt.values().astype(np.float32)
        want = mf.encode(values, "e2m2", nan="zero")
        assert bits(library.words(mf.encode(tensor, "e2m2", nan="zero"))) == bits(want)
        with pytest.raises(TypeError, match=r"codes must be integers, .*use codes\.view\("):
            mf.decode(tensor, fmt)

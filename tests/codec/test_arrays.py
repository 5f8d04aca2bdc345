"""What goes in and out of the verbs: shapes, strides, dtypes, `out`, threads, errors."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minifloat as mf

FORMATS = ("e2m2", "e4m3fn", "e5m2", "int5", "nf4", "e8m0", "e3m2_nosub", "tf32", "ue5m3")
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"rounding": "upward"},
    {"rounding": "stochastic", "seed": 5},
    {"rounding": "stochastic_equal", "seed": 2**64 - 1},
)


def wide_range(shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(11)
    x = rng.standard_normal(shape) * np.exp2(rng.integers(-12, 12, shape))
    return x.astype(np.float32)


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "float64": lambda x: x.astype(np.float64),
    "big-endian": lambda x: x.astype(">f4"),
    "Fortran": np.asfortranarray,
    "reversed": lambda x: np.ascontiguousarray(x[::-1, :, ::-1])[::-1, :, ::-1],
    "strided": lambda x: np.repeat(x, 3, axis=1)[:, ::3],
    "transposed": lambda x: np.ascontiguousarray(x.transpose(2, 0, 1)).transpose(1, 2, 0),
    "read-only": lambda x: np.frombuffer(x.tobytes(), np.float32).reshape(x.shape),
    "nested lists": lambda x: x.tolist(),
}


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: o.get("rounding", "nearest_even"))
@pytest.mark.parametrize("fmt", FORMATS)
def test_results_depend_on_values_only(fmt: str, options: dict[str, Any]) -> None:
    x = wide_range((13, 17, 29))
    codes = mf.encode(x, fmt, **options)
    values = mf.decode(codes, fmt)
    for name, layout in LAYOUTS.items():
        same = layout(x)
        np.testing.assert_array_equal(mf.encode(same, fmt, **options), codes, name)
        rounded = mf.round_to(same, fmt, dtype=np.float32, **options)
        np.testing.assert_array_equal(rounded, values, name)
    out = np.zeros((13, 17, 58), codes.dtype)[:, :, ::2]
    assert mf.encode(x, fmt, out=out, **options) is out
    np.testing.assert_array_equal(out, codes)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: o.get("rounding", "nearest_even"))
@pytest.mark.parametrize("fmt", FORMATS)
def test_threads_and_place_do_not_matter(fmt: str, options: dict[str, Any]) -> None:
    x = wide_range((200_003,))
    codes = mf.encode(x, fmt, **options)
    np.testing.assert_array_equal(mf.encode(x, fmt, threads=3, **options), codes)
    values = mf.decode(codes, fmt, threads=2)
    np.testing.assert_array_equal(mf.round_to(x, fmt, threads=2, **options), values)
    same = x.copy()
    mf.round_to(same, fmt, out=same, **options)
    np.testing.assert_array_equal(same, values)
    shifted = np.concatenate([x, x[:1]])
    mf.round_to(shifted[:-1], fmt, out=shifted[1:], **options)
    np.testing.assert_array_equal(shifted[1:], values)


@pytest.mark.parametrize("overflow", list(mf.Overflow)[:3])
@pytest.mark.parametrize("fmt", ["e2m2", "e4m3fn", "e5m2", "e4m3fnuz", "int5", "binary8p3se"])
def test_specials_in_place(fmt: str, overflow: mf.Overflow) -> None:
    x = wide_range((5000,))
    x[[3, 2500, 4999]] = np.nan, np.inf, -np.inf
    x[1234] = -0.0
    want = mf.decode(mf.encode(x, fmt, overflow=overflow, nan="zero"), fmt)
    got = x.copy()
    mf.round_to(got, fmt, overflow=overflow, nan="zero", out=got)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(np.signbit(got), np.signbit(want))


def test_codes_over_the_random_words() -> None:
    x, words = wide_range((5000,)), np.random.default_rng(4).integers(0, 2**8, 5000, np.uint8)
    options: dict[str, Any] = {"rounding": "stochastic", "random_bits": 8}
    want = mf.encode(x, "e2m2", random=words, **options)
    shifted = np.append(words, words[:1])
    mf.encode(x, "e2m2", random=shifted[:-1], out=shifted[1:], **options)
    np.testing.assert_array_equal(shifted[1:], want)


@pytest.mark.parametrize("fmt", ["float16", "e4m8", "int12"])
def test_codes_over_their_own_numbers(fmt: str) -> None:
    x = wide_range((5000,)).astype(np.float16)
    x[[3, 2500, 4999]] = np.nan, np.inf, -np.inf
    options: dict[str, Any] = {"overflow": "ieee", "nan": "max"}
    want = mf.encode(x, fmt, **options)
    values = mf.decode(want, fmt, dtype=np.float16)
    mf.encode(x, fmt, out=x.view(np.uint16), **options)
    np.testing.assert_array_equal(x.view(np.uint16), want)
    mf.decode(x.view(np.uint16), fmt, dtype=np.float16, out=x)
    np.testing.assert_array_equal(x, values)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">i4", ">u8"])
@pytest.mark.parametrize("fmt", ["e2m2", "nf4", "int8full", "e4m3fn", "float16", "e8m0"])
def test_integers_are_their_values(fmt: str, dtype: str) -> None:
    x = np.arange(128).astype(dtype)
    np.testing.assert_array_equal(mf.encode(x, fmt), mf.encode(x.astype(np.float64), fmt))
    np.testing.assert_array_equal(mf.round_to(x, fmt), mf.round_to(x.astype(np.float64), fmt))


def test_bfloat16() -> None:
    x = wide_range((999,)).astype(ml_dtypes.bfloat16)
    for fmt in FORMATS:
        np.testing.assert_array_equal(mf.encode(x, fmt), mf.encode(x.astype(np.float32), fmt))
        if fmt in ("nf4", "tf32"):
            with pytest.raises(ValueError, match=r"got bfloat16, .* use float32 or float64"):
                mf.round_to(x, fmt)
            continue
        rounded = mf.round_to(x, fmt)
        assert rounded.dtype == ml_dtypes.bfloat16
        want = mf.round_to(x, fmt, dtype=np.float32)
        np.testing.assert_array_equal(rounded.astype(np.float32).view("u4"), want.view("u4"))


@given(
    x=hnp.arrays(np.float64, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)),
    fmt=st.sampled_from(FORMATS),
)
def test_any_shape(x: np.ndarray, fmt: str) -> None:
    codes = mf.encode(x, fmt, nan="zero")
    assert np.shape(codes) == x.shape
    flat = mf.encode(x.reshape(-1), fmt, nan="zero")
    np.testing.assert_array_equal(np.reshape(codes, -1), flat)
    assert np.shape(mf.decode(codes, fmt)) == x.shape


def test_scalars_in_scalars_out() -> None:
    for x in (1, 1.0, np.float16(1), np.float32(1), np.array(1.0), np.int8(1)):
        code = mf.encode(x, "e2m2")
        assert isinstance(code, np.uint8)
        assert isinstance(mf.decode(code, "e2m2"), np.float32)
    assert isinstance(mf.round_to(np.float16(1), "e2m2"), np.float16)
    assert isinstance(mf.encode([1.0], "e2m2"), np.ndarray)
    assert mf.encode([], "e2m2").shape == (0,)
    assert mf.decode([], "e2m2").shape == (0,)


def test_code_dtypes() -> None:
    for fmt, dtype in (("e2m2", "u1"), ("e4m3fn", "u1"), ("float16", "u2"), ("tf32", "u4")):
        assert mf.encode([1.0], fmt).dtype == dtype


def test_decode_refuses_a_dtype_that_is_not_exact() -> None:
    for fmt, dtype in (("e5m2", np.float16), ("bfloat16", np.float32), ("nf4", np.float32)):
        mf.decode([1], fmt, dtype=dtype)
    for fmt, dtype in (("bfloat16", np.float16), ("e8m0", np.float16), ("nf4", np.float16)):
        with pytest.raises(ValueError, match=f"dtype must hold every value of {fmt} exactly"):
            mf.decode([1], fmt, dtype=dtype)
    with pytest.raises(ValueError, match=r"does not hold 0\.1 \(code 0\); use float64"):
        mf.decode([1], mf.Codebook([0.1, 0.2], "tenths"))
    with pytest.raises(ValueError, match="dtype must hold every value of bfloat16"):
        mf.round_to(np.float16([1]), "bfloat16")


def test_a_refusal_of_a_dtype_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The values of TF32 take a second to make."""
    calls: list[Callable[[], object]] = [
        lambda: mf.round_to(np.zeros(0, np.float16), "tf32"),
        lambda: mf.decode(np.zeros(1, np.uint32), "tf32", dtype=np.float16),
    ]
    message = r"dtype must hold every value of tf32 .*, got float16, .* \(code 1\); use float32 or"
    with pytest.raises(ValueError, match=message):
        calls[0]()
    monkeypatch.delattr(mf.NumberFormat, "values")
    for call in calls:
        with pytest.raises(ValueError, match=message):
            call()


ERRORS: list[tuple[type[Exception], str, Callable[[], object]]] = [
    (ValueError, r"x must hold no NaN .* got 2 NaN, .* index \(0, 1\); .* nan=\"zero\"",
     lambda: mf.encode([[1, np.nan], [np.nan, 2]], "e2m2")),
    (ValueError, "nan must not be \"zero\" for bipolar_int2",
     lambda: mf.encode(1.0, "bipolar_int2", nan="zero")),
    (ValueError, r"x must round to e2m2's range -7 .. 7 .* got 1 .* -1000.0 at index \(1,\)",
     lambda: mf.encode([1, -1e3], "e2m2", overflow="raise")),
    (ValueError, r"codes must be in 0..31 for e2m2, got 32 at index \(1,\) \(2 such codes\)",
     lambda: mf.decode([31, 32, 99], "e2m2")),
    (ValueError, "got -1 at index", lambda: mf.decode([-1], "e2m2")),
    (ValueError, "got 18446744073709551615", lambda: mf.decode(np.uint64([2**64 - 1]), "e4m3fn")),
    (ValueError, "not the unused 8 for int4, got 8", lambda: mf.decode(np.uint8([8]), "int4")),
    (TypeError, "codes must be integers, got float64; minifloat.encode",
     lambda: mf.decode([1.0], "e2m2")),
    (TypeError, r"codes must be integers, got float8_e5m2; use codes.view\(numpy.uint8\)",
     lambda: mf.decode(np.zeros(1, ml_dtypes.float8_e5m2), "e5m2")),
    (TypeError, "x must be .* got datetime64.s.$",
     lambda: mf.encode(np.datetime64("2026-06-01", "s"), "e2m2")),
    (TypeError, "x must be float16, .* got complex128; encode x.real",
     lambda: mf.encode([1j], "e2m2")),
    (TypeError, "x must be .* got object", lambda: mf.encode([None], "e2m2")),
    (TypeError, "x must be .* got object", lambda: mf.encode([10**30], "e2m2")),
    (TypeError, "x must be .* got object, .*; use numpy.clip\\(x, -1e308, 1e308\\).astype",
     lambda: mf.encode([10**400], "e2m2")),
    (TypeError, r"Python objects \(or integers beyond 64 bits\)$",
     lambda: mf.encode(["a", None], "e2m2")),
    (TypeError, "x must be .* got object, .*; use numpy.clip",
     lambda: mf.encode([10**400, 1.0], "e2m2")),
    (TypeError, "x must be .* got bool", lambda: mf.encode([True], "e2m2")),
    (TypeError, "x must be .* got timedelta64", lambda: mf.encode(np.timedelta64(1, "s"), "e2m2")),
    (TypeError, "x must be .* got str", lambda: mf.encode(["1"], "e2m2")),
    (TypeError, "x must be .* got complex32",
     lambda: mf.encode(np.zeros(1, ml_dtypes.complex32), "e2m2")),
    (ValueError, "x must be an array or nested lists of one shape",
     lambda: mf.encode([[1], [1, 2]], "e2m2")),
    (ValueError, r"x must hold integers of magnitude at most 2\*\*53, got 9007199254740993 at",
     lambda: mf.encode([1, 2**53 + 1], "e2m2")),
    (ValueError, "got -9223372036854775808", lambda: mf.encode([-(2**63), 5], "e2m2")),
    (TypeError, "out must have dtype uint8, got int64",
     lambda: mf.encode([1.0], "e2m2", out=np.zeros(1, np.int64))),
    (ValueError, r"out must have shape \(1,\), got \(2,\)",
     lambda: mf.encode([1.0], "e2m2", out=np.zeros(2, np.uint8))),
    (TypeError, "out must be a NumPy array", lambda: mf.encode([1.0], "e2m2", out=[0])),
    (ValueError, "out must be writeable",
     lambda: mf.encode([1.0], "e2m2", out=np.frombuffer(b"x", np.uint8))),
    (ValueError, "rounding must be one of .* did you mean nearest_even",
     lambda: mf.encode(1.0, "e2m2", rounding="nearst_even")),
    (ValueError, "overflow must be one of", lambda: mf.encode(1.0, "e2m2", overflow="wrap")),
    (ValueError, "nan must be one of", lambda: mf.encode(1.0, "e2m2", nan="keep")),
    (ValueError, "fmt must be a known format name, got 'e2m2x'; did you mean e2m2",
     lambda: mf.encode(1.0, "e2m2x")),
    (TypeError, "fmt must be a format or the name", lambda: mf.encode(1.0, 5)),
    (ValueError, "seed must be given", lambda: mf.encode(1.0, "e2m2", rounding="stochastic")),
    (ValueError, "rounding must be stochastic", lambda: mf.encode(1.0, "e2m2", seed=1)),
    (ValueError, r"seed must be in 0..2\*\*64 - 1",
     lambda: mf.encode(1.0, "e2m2", rounding="stochastic", seed=-1)),
    (ValueError, "seed and random must not both",
     lambda: mf.encode(1.0, "e2m2", rounding="stochastic", seed=1, random=1)),
    (ValueError, "random_bits must be in 1..28",
     lambda: mf.encode(1.0, "e2m2", rounding="stochastic", seed=1, random_bits=29)),
    (ValueError, r"random must be in 0..2\*\*3 - 1",
     lambda: mf.encode(1.0, "e2m2", rounding="stochastic", random=8, random_bits=3)),
    (ValueError, "random must be an array or nested lists of one shape",
     lambda: mf.encode(1.0, "e2m2", rounding="stochastic", random=[[1], [2, 3]])),
    (TypeError, "random must be unsigned integers",
     lambda: mf.encode(1.0, "e2m2", rounding="stochastic", random=0.5)),
    (ValueError, "random must have the shape of x",
     lambda: mf.encode([1.0], "e2m2", rounding="stochastic", random=[1, 2])),
    (ValueError, "threads must be a positive integer", lambda: mf.encode(1.0, "e2m2", threads=0)),
    (ValueError, "dtype must be float16, bfloat16, float32 or float64, got 'q8'",
     lambda: mf.decode([1], "e2m2", dtype="q8")),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "message", "call"), ERRORS)
def test_bad_input(kind: type[Exception], message: str, call: Callable[[], object]) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_a_second_call_is_checked_like_the_first() -> None:
    """A call whose arguments have come before finds its plan at once."""
    x, codes = np.float32([1, np.nan]), np.uint8([8])
    for _ in range(2):
        mf.encode(x, "e4m3fn"), mf.round_to(x, "e4m3fn"), mf.decode(codes, "int8")
        with pytest.raises(ValueError, match="x must hold no NaN"):
            mf.encode(x, "e2m2")
        with pytest.raises(ValueError, match="x must hold no NaN"):
            mf.round_to(x, "e2m2")
        with pytest.raises(ValueError, match="not the unused 8"):
            mf.decode(codes, "int4")
        with pytest.raises(TypeError, match="threads must be an int, got True"):
            mf.encode(x, "e4m3fn", threads=True)
        with pytest.raises(ValueError, match="random_bits must be"):
            mf.encode(x, "e4m3fn", random_bits=99)
        with pytest.raises(TypeError, match=r"random_bits must be an int, got 24\.0"):
            mf.encode(x, "e4m3fn", random_bits=24.0)
        with pytest.raises(ValueError, match="seed must be given"):
            mf.encode(x, "e4m3fn", rounding="stochastic")
        with pytest.raises(ValueError, match="rounding must be one of"):
            mf.encode(x, "e4m3fn", rounding=[])


def test_equal_formats_and_arrays_of_other_dtypes_find_their_own_plans() -> None:
    for _ in range(2):
        for dtype in (np.float16, np.float32, np.float64, ">f4", "i4"):
            x = np.array([1, 2, 3]).astype(dtype)
            for fmt in (mf.Format(2, 2), mf.Format(2, 2), "e2m2"):
                assert mf.encode(x, fmt).tolist() == [4, 8, 10]
                assert mf.round_to(x, fmt).tolist() == [1, 2, 3]
                assert mf.round_to(x, fmt, dtype=np.float64).dtype == np.float64
    x = np.float32([[1, 2], [3, 4]])
    for same in (x, np.asfortranarray(x), x.view(np.recarray)):
        np.testing.assert_array_equal(mf.encode(same, "e2m2"), [[4, 8], [10, 12]])
        np.testing.assert_array_equal(mf.encode(same.T, "e2m2"), [[4, 10], [8, 12]])
        assert type(mf.encode(same, "e2m2")) is np.ndarray


def test_errors_name_the_codebook_of_the_call_and_no_equal_one() -> None:
    for name in ("first", "second"):
        fmt = mf.Codebook([-1.0, 0.0, 3.0], name)
        for _ in range(2):
            with pytest.raises(ValueError, match=f"x must hold no NaN for {name}"):
                mf.encode(np.array([np.nan]), fmt)
            with pytest.raises(ValueError, match=f"x must round to {name}'s range"):
                mf.round_to(np.array([9.0]), fmt, overflow="raise")
            with pytest.raises(ValueError, match=f"codes must be in .* for {name}"):
                mf.decode(np.array([3], np.uint8), fmt)


MASKED = np.ma.masked_invalid(np.float32([1, np.nan]))
WEIGHTS = mf.quantize(np.ones((2, 2)), "e2m2/2/float32")
TAKERS: dict[str, Callable[[Any], object]] = {
    "x": lambda a: mf.encode(a, "e2m2", nan="max"),
    "x ": lambda a: mf.round_to(a, "e2m2", nan="max"),
    "x  ": lambda a: mf.encode([a, a], "e2m2", nan="max"),
    "x   ": lambda a: mf.linear(a, WEIGHTS),
    "x    ": lambda a: WEIGHTS @ a,
    "random": lambda a: mf.encode(
        [1.0, 2.0], "e2m2", rounding="stochastic", random=a.astype(np.uint32)
    ),
    "codes": lambda a: mf.decode(a.astype(np.uint8), "e2m2"),
    "codes ": lambda a: mf.pack(a.astype(np.uint8), 4),
    "codes  ": lambda a: mf.pack_words(a.astype(np.uint8), "4"),
    "packed": lambda a: mf.unpack(a.astype(np.uint8), 4, 4),
    "words": lambda a: mf.unpack_words(a.astype(np.uint32), "4", 16),
    "w": lambda a: mf.quantize(a, "e2m2"),
    "w ": lambda a: mf.gptq(a.reshape(1, 2), "e2m2", np.eye(2)),
    "w  ": lambda a: mf.search_format(a, 4),
    "hessian": lambda a: mf.gptq(np.ones((1, 2)), "e2m2", a * np.eye(2)),
    "importance": lambda a: mf.quantize(np.ones(2), "e2m2", search="mse", importance=a),
    "bias": lambda a: mf.linear(np.ones(2, np.float32), WEIGHTS, bias=a),
}


@pytest.mark.parametrize("name", TAKERS)
@pytest.mark.filterwarnings("ignore:.*invalid value:RuntimeWarning")
def test_a_masked_array_is_refused_and_the_remedy_works(name: str) -> None:
    call, argument = TAKERS[name], name.strip()
    message = rf"{argument} must be an array without a mask, .*; use {argument}.filled\(0\)"
    with pytest.raises(TypeError, match=message):
        call(MASKED)
    call(MASKED.filled(0))


def test_the_remedies_for_python_integers_work() -> None:
    x = [10**400, -(10**400), 3]
    clipped = np.clip(x, -1e308, 1e308).astype(float)
    assert mf.round_to(clipped, "e2m2").tolist() == [7, -7, 3]
    assert mf.encode(np.asarray([10**30, 3], float), "e2m2").tolist() == [15, 10]


def test_out_has_no_mask() -> None:
    with pytest.raises(TypeError, match="out must be a NumPy array, without a mask"):
        mf.encode([1.0], "e2m2", out=np.ma.zeros(1, np.uint8))


@pytest.mark.parametrize(
    "name", ["int4", "uint4", "float4_e2m1fn", "float6_e3m2fn", "float8_e4m3fn", "float8_e8m0fnu"]
)
def test_the_remedies_for_small_types_of_ml_dtypes_work(name: str) -> None:
    a = np.array([1, 2, 4]).astype(getattr(ml_dtypes, name))
    fmt = {"int4": "int4", "uint4": "uint4"}.get(name, name)
    for _ in range(2):  # the second call finds the first one's plan
        assert mf.encode(a, "e2m2").tolist() == [4, 8, 12]  # values need none
        assert mf.round_to(a, "e2m2").tolist() == [1, 2, 4]
    for decode in (lambda codes: mf.decode(codes, fmt), lambda codes: mf.pack(codes, 8)):
        with pytest.raises(TypeError, match=r"got .*; use codes.view\(numpy.uint8\)"):
            decode(a)
        decode(a.view(np.uint8))
    assert mf.decode(a.view(np.uint8), fmt).tolist() == [1, 2, 4]


INTEGERS: dict[str, Callable[[Any], object]] = {
    "threads": lambda n: mf.encode([1.0], "e2m2", threads=n),
    "threads ": lambda n: mf.decode([1], "e2m2", threads=n),
    "threads  ": lambda n: mf.round_to([1.0], "e2m2", threads=n),
    "threads   ": lambda n: mf.quantize([1.0], "e2m2", threads=n),
    "threads    ": lambda n: mf.linear(np.ones(2), WEIGHTS, threads=n),
    "random_bits": lambda n: mf.encode([1.0], "e2m2", random_bits=n),
    "seed": lambda n: mf.encode([1.0], "e2m2", rounding="stochastic", seed=n),
    "seed ": lambda n: mf.compare(np.ones((2, 2)), ["e2m2"], seed=n),
    "min_size": lambda n: mf.compare(np.ones((2, 2)), ["e2m2"], min_size=n),
    "axis": lambda n: mf.quantize(np.ones((2, 2)), "e2m2", axis=n),
    "axis ": lambda n: mf.compare(np.ones((2, 2)), ["e2m2"], axis=n),
    "block": lambda n: mf.quantize([1.0], "e2m2", block=n),
    "block ": lambda n: mf.quantize(np.ones((2, 2)), "e2m2", block=(n, n)),
    "bits": lambda n: mf.pack([1], n),
    "bits ": lambda n: mf.unpack(np.zeros(1, np.uint8), n, 8, start=0),
    "count": lambda n: mf.unpack(np.zeros(1, np.uint8), 8, n),
    "count ": lambda n: mf.unpack_words(np.zeros(1, np.uint32), "4", n),
    "start": lambda n: mf.unpack(np.zeros(2, np.uint8), 8, 1, start=n),
    "exponent_bits": lambda n: mf.Format(n, 2),
    "mantissa_bits": lambda n: mf.Format(2, n),
    "bias": lambda n: mf.Format(2, 2, bias=n),
    "bits  ": lambda n: mf.Integer(n, signed=False),
    "code": lambda n: mf.parse("e2m2").value(n),
}


@pytest.mark.parametrize("name", INTEGERS)
def test_numpy_integers_are_integers_and_bools_are_not(name: str) -> None:
    call = INTEGERS[name]
    for one in (1, np.int8(1), np.uint8(1), np.int64(1), np.uint64(1)):
        call(one)
    error = ValueError if name.strip() == "block" else TypeError
    for wrong in (True, np.True_, 1.5, "one"):
        with pytest.raises(error, match=f"^{name.strip()} must be"):
            call(wrong)


@pytest.mark.parametrize("name", INTEGERS)
def test_huge_integers_are_refused_by_the_rule_and_their_length(name: str) -> None:
    """Python refuses to print more than 4300 digits."""
    for sign in (1, -1):
        try:
            INTEGERS[name](sign * 10**5000)
        except ValueError as error:
            rule = f"^({name.strip()}|packed|words) must .*an integer of 500[01] digits"
            if name == "bias":
                rule = "^every value must be a float64 value .*an integer of 5001 digits"
            assert re.match(rule, str(error)), error  # noqa: PT017
        else:
            assert name.strip() in ("threads", "seed"), name
            assert sign > 0


def test_small_numpy_integers_do_not_overflow() -> None:
    codes = np.arange(16, dtype=np.uint8)
    packed = mf.pack(np.tile(codes, 20), np.uint8(4))
    assert mf.unpack(packed, np.int8(4), np.int16(320)).tolist() == codes.tolist() * 20
    assert mf.Format(np.int8(4), np.uint8(3), bias=np.int8(100)) == mf.Format(4, 3, bias=100)
    assert mf.Integer(np.uint8(8)).max == 127
    assert type(mf.Format(np.int8(4), np.uint8(3)).exponent_bits) is int


@pytest.mark.skipif(np.longdouble(1).itemsize == 8, reason="longdouble is float64 here")
def test_longdouble() -> None:
    with pytest.raises(TypeError, match="round it to float64 yourself"):
        mf.encode(np.longdouble(1), "e2m2")


@pytest.mark.parametrize("strided", [False, True])
@pytest.mark.parametrize("shift", [0, 1], ids=["in place", "shifted"])
@pytest.mark.parametrize(
    ("bad", "options"),
    [(np.nan, {}), (np.nan, {"overflow": "raise"}), (1e9, {"overflow": "raise"}),
     (np.inf, {"overflow": "raise", "rounding": "stochastic", "seed": 1})],
)  # fmt: skip
def test_an_error_leaves_numbers_in_the_memory_of_out_as_they_were(
    bad: float, options: dict[str, Any], shift: int, strided: bool
) -> None:
    memory = np.full(40_001, 0.75, np.float32)
    places = memory[shift:][: 20_000 * (1 + strided) : 1 + strided]
    x = memory[: 20_000 * (1 + strided) : 1 + strided]
    x[-2] = bad
    before = memory.copy()
    codes = memory.view(np.uint8)[4 * shift :][: 20_000 * (1 + strided) : 1 + strided]
    for fmt in ("e2m2", "nf4", "int5"):
        with pytest.raises(ValueError, match=r"x must .*index \(19998,\)"):
            mf.encode(x, fmt, out=codes, **options)
        np.testing.assert_array_equal(memory, before)
        with pytest.raises(ValueError, match=r"x must .*index \(19998,\)"):
            mf.round_to(x, fmt, out=places, **options)
        np.testing.assert_array_equal(memory, before)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_an_error_leaves_codes_in_the_memory_of_out_as_they_were(dtype: type) -> None:
    memory = np.full(80_000, 3, np.uint8)
    codes, values = memory[:20_000], memory[: 20_000 * np.dtype(dtype).itemsize].view(dtype)
    codes[-1] = 99
    before = memory.copy()
    with pytest.raises(ValueError, match=r"codes must .*index \(19999,\)"):
        mf.decode(codes, "e2m2", dtype=dtype, out=values)
    np.testing.assert_array_equal(memory, before)


def test_errors_name_the_first_number_of_several_whatever_has_been_written() -> None:
    x, codes = np.zeros(20_000, np.float32), np.zeros(20_000, np.uint8)
    x[[7_000, 15_000]], codes[[7_000, 15_000]] = np.nan, 99
    calls: list[Callable[[str], object]] = [
        lambda fmt: mf.encode(x, fmt, out=np.zeros(20_000, np.uint8)),
        lambda fmt: mf.round_to(x, fmt, out=np.zeros(20_000, np.float32)),
        lambda fmt: mf.decode(codes, fmt, out=np.zeros(20_000, np.float32)),
    ]
    for fmt in ("e2m2", "nf4"):
        for call in calls:
            with pytest.raises(ValueError, match=r"index \(7000,\)"):
                call(fmt)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: o.get("rounding", "nearest_even"))
@pytest.mark.parametrize("layout", ["plain", "big-endian", "strided"])
@pytest.mark.parametrize("fmt", ["e2m2", "nf4", "e4m3fn"])
def test_temporaries_are_small(fmt: str, layout: str, options: dict[str, Any]) -> None:
    x = wide_range((4, 512, 512))
    x = LAYOUTS[layout](x) if layout != "plain" else x
    codes = mf.encode(x, fmt, **options)
    values = mf.round_to(x, fmt, dtype=np.float32, **options)
    calls: list[Callable[[], object]] = [
        lambda: mf.encode(x, fmt, out=codes, **options),
        lambda: mf.round_to(x, fmt, dtype=np.float32, out=values, **options),
        lambda: mf.decode(codes, fmt, out=values),
    ]
    for call in calls:
        call()
        tracemalloc.start()
        call()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < x.nbytes / 8 + 65_536  # all temporaries together, and Python's own objects


SCRIPT = """
import numpy as np, sys, minifloat as mf
rng = np.random.default_rng(3)
x = np.concatenate([
    rng.standard_normal(150) * np.exp2(rng.integers(-20, 20, 150)),
    [0.0, -0.0, np.inf, -np.inf, 1e300, 5e-324, 464, 465, 0.9375],
])
results = []
with np.errstate(all="ignore"):
    sources = [x, x.astype(np.float32), x.astype(np.float16)]
for fmt in ("e2m2", "e4m3fn", "e5m2", "int5", "nf4", "e8m0", "bfloat16", "e3m2_nosub"):
    for mode in mf.Rounding:
        seed = {"seed": 9} if mode.is_stochastic else {}
        for source in sources:
            for overflow in ("saturate", "ieee"):
                codes = mf.encode(source, fmt, rounding=mode, overflow=overflow, **seed)
                results.append(codes.astype(np.uint32))
            results.append(mf.round_to(source, fmt, dtype=np.float32, rounding=mode, **seed)
                         .view(np.uint32))
sys.stdout.buffer.write(np.concatenate(results).tobytes())
"""


def test_the_kernels_without_jit_give_the_same_bits() -> None:
    results = []
    for disable in ("0", "1"):
        environment = {**os.environ, "NUMBA_DISABLE_JIT": disable}
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, check=False
        )
        assert run.returncode == 0, run.stderr.decode()
        results.append(run.stdout)
    assert len(results[0]) > 100_000
    assert results[0] == results[1]

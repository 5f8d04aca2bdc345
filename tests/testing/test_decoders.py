"""`check_decoder` accepts right decoders and finds planted mistakes."""

import math
from itertools import product

import ml_dtypes
import numpy as np
import pytest

import minifloat as mf
from minifloat.formats import Codebook
from minifloat.formats.catalogue import CATALOGUE
from minifloat.testing import check_decoder, random_formats

FORMATS = ["e2m2", "e4m3fn", "e5m2"]


@pytest.mark.parametrize("fmt", [f for f in CATALOGUE.values() if f.bits <= 8], ids="{}".format)
def test_our_decoder_is_right(fmt):
    assert check_decoder(mf.decode, fmt) >= fmt.code_count - 1


def test_our_decoder_is_right_for_random_formats():
    for fmt in random_formats(np.random.default_rng(12), 40, max_bits=9):
        assert check_decoder(mf.decode, fmt) >= fmt.code_count


@pytest.mark.parametrize(
    ("fmt", "theirs"),
    [
        ("e4m3fn", "float8_e4m3fn"),
        ("e5m2", "float8_e5m2"),
        ("e4m3fnuz", "float8_e4m3fnuz"),
        ("e8m0", "float8_e8m0fnu"),
        ("e2m3", "float6_e2m3fn"),
        ("e2m1", "float4_e2m1fn"),
        ("int4full", "int4"),
    ],
)
def test_the_decoders_of_ml_dtypes_are_right(fmt, theirs):
    def decode(codes, *, dtype):
        return codes.astype(np.uint8).view(getattr(ml_dtypes, theirs)).astype(dtype)

    assert check_decoder(decode, fmt, dtypes=["float32", "float64", ml_dtypes.bfloat16]) > 16


def right(codes, fmt, *, dtype):
    return mf.decode(codes, fmt, dtype=dtype)


def bias_one_too_large(codes, fmt, *, dtype):
    return right(codes, fmt, dtype=dtype) / 2


def no_subnormals(codes, fmt, *, dtype):
    values = right(codes, fmt, dtype=dtype)
    return np.where(np.abs(values) < fmt.min_normal, np.copysign(0, values), values).astype(dtype)


def minus_zero_lost(codes, fmt, *, dtype):
    return right(codes, fmt, dtype=dtype) + dtype.type(0)


def sign_ignored(codes, fmt, *, dtype):
    return np.abs(right(codes, fmt, dtype=dtype))


def one_code_wrong(codes, fmt, *, dtype):
    values = right(codes, fmt, dtype=dtype)
    values[np.flatnonzero(codes == 3)] *= 2
    return values


def nan_as_a_number(codes, fmt, *, dtype):
    values = right(codes, fmt, dtype=dtype)
    return np.where(np.isfinite(values), values, 480).astype(dtype)


def numbers_as_nan(codes, fmt, *, dtype):
    values = right(codes, fmt, dtype=dtype)
    return np.where(np.abs(values) == fmt.max, math.nan, values).astype(dtype)


def in_float16(codes, fmt, *, dtype):
    return right(codes, fmt, dtype=np.float16)


def one_value_too_few(codes, fmt, *, dtype):
    return right(codes, fmt, dtype=dtype)[1:]


MISTAKES = {mistake.__name__: mistake for mistake in (
    bias_one_too_large, no_subnormals, minus_zero_lost, sign_ignored, one_code_wrong,
    nan_as_a_number, numbers_as_nan, in_float16, one_value_too_few,
)}  # fmt: skip


@pytest.mark.parametrize(
    ("mistake", "fmt"),
    [pair for pair in product(MISTAKES, FORMATS) if pair != ("nan_as_a_number", "e2m2")],
)
def test_a_planted_mistake_is_found(mistake, fmt):
    assert check_decoder(right, fmt)
    with pytest.raises(AssertionError, match=f"^{fmt}.*(values differ|values must be)"):
        check_decoder(MISTAKES[mistake], fmt)


def test_the_message_shows_code_values_and_bits():
    message = (
        r"e2m2 float16: 1 of 32 values differ\n"
        r"  code 0x3 \(0 00 11\): got 1\.5 \(bits 0x3e00\), expected 0\.75 \(bits 0x3a00\)"
    )
    with pytest.raises(AssertionError, match=message):
        check_decoder(one_code_wrong, "e2m2")


def test_the_signs_of_nan_and_unused_codes_do_not_matter():
    def decode(codes, *, dtype):
        values = mf.decode(codes, "e4m3fn", dtype=dtype)
        return np.where(np.isnan(values), -values, values)

    assert check_decoder(decode, "e4m3fn") == 3 * 256
    assert check_decoder(mf.decode, "int4") == 3 * 15
    assert check_decoder(mf.decode, Codebook([0.0, 1.0, 3.0], "three")) == 3 * 3


def test_dtypes_without_all_values_are_left_out():
    assert check_decoder(mf.decode, "e8m0") == 2 * 256
    assert check_decoder(mf.decode, "e4m3fn", dtypes=["float16", np.float64]) == 512
    with pytest.raises(
        ValueError, match="dtypes must have one with every value of e8m0, got float16"
    ):
        check_decoder(mf.decode, "e8m0", dtypes=["float16"])
    with pytest.raises(ValueError, match="dtypes must hold at least one, got none"):
        check_decoder(mf.decode, "e2m1", dtypes=[])


@pytest.mark.parametrize("dtype", ["int32", "complex64", "U3"])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(ValueError, match="dtypes must be float16, bfloat16, float32 or float64"):
        check_decoder(mf.decode, "e2m1", dtypes=[dtype])

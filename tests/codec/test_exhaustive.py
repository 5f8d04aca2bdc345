"""encode and decode on all codes, all 16-bit inputs and, behind the marker, all 2**32 floats."""

import numpy as np
import pytest

import minifloat as mf
from minifloat.formats.rounding import Overflow, Rounding
from minifloat.testing import assert_same_codes, code_dtype, exact_decode, exact_steps

ml_dtypes = pytest.importorskip("ml_dtypes")

CATALOGUE = list(mf.CATALOGUE.values())
NARROW = [fmt for fmt in CATALOGUE if fmt.bits <= 8]
DETERMINISTIC = [mode for mode in Rounding if not mode.is_stochastic]
TOTAL = [policy for policy in Overflow if policy is not Overflow.RAISE]  # always give a code
SIXTEEN_BITS = {
    "float16": np.arange(65536, dtype=np.uint16).view(np.float16),
    "bfloat16": np.arange(65536, dtype=np.uint16).view(ml_dtypes.bfloat16),
}


def all_codes(fmt):
    codes = np.arange(fmt.code_count, dtype=code_dtype(fmt))
    unused = [code for code in codes.tolist() if fmt.bits <= 8 and fmt.kind(code) == "unused"]
    return np.delete(codes, unused)


def is_number(x):
    with np.errstate(invalid="ignore"):  # ml_dtypes warns at signalling NaNs
        return ~np.isnan(x)


def words(x):
    return x.view(f"u{x.dtype.itemsize}")


@pytest.mark.parametrize("fmt", CATALOGUE, ids="{}".format)
def test_all_codes_come_back(fmt):
    codes = all_codes(fmt)
    values = mf.decode(codes, fmt, dtype=np.float64)
    numbers = ~np.isnan(values)
    random = np.random.default_rng(11).integers(0, 2**24, len(codes), np.uint32)
    for rounding in Rounding:
        options = {"random": random} if rounding.is_stochastic else {}
        # under saturate an infinity would become the largest value
        got = mf.encode(values, fmt, rounding=rounding, overflow="saturate_finite", **options)
        assert_same_codes(got[numbers], codes[numbers], values[numbers], fmt, about=rounding)
        if fmt.has_nan:
            assert np.all(got[~numbers] == fmt.nan_code)


@pytest.mark.parametrize("fmt", CATALOGUE, ids="{}".format)
def test_decode_is_exact_or_refuses(fmt):
    codes = all_codes(fmt)
    step = 1 if fmt.bits <= 16 else 101
    want = np.array([exact_decode(code, fmt) for code in codes[::step].tolist()])
    for dtype in (np.float64, np.float32, np.float16):
        with np.errstate(over="ignore", invalid="ignore"):
            narrow = want.astype(dtype)
        if not np.array_equal(narrow.astype(np.float64), want, equal_nan=True):
            with pytest.raises(ValueError, match="dtype"):
                mf.decode(codes, fmt, dtype=dtype)
            continue
        got = mf.decode(codes, fmt, dtype=dtype)[::step]
        assert got.dtype == dtype
        numbers = ~np.isnan(want)
        np.testing.assert_array_equal(words(got)[numbers], words(narrow)[numbers])
        assert np.all(np.isnan(got[~numbers]))


@pytest.mark.parametrize("name", ["int4", "int8"])
def test_the_unused_code_is_refused(name):
    fmt = mf.parse(name)
    with pytest.raises(ValueError, match="codes"):
        mf.decode(np.array([0, fmt.unused_code], np.uint8), fmt)


@pytest.mark.parametrize("name", ["e2m2", "nf4", "int4"])
def test_codes_outside_the_format_are_refused(name):
    with pytest.raises(ValueError, match="codes"):
        mf.decode(np.array([0, 40], np.uint8), name)


def check_all_inputs(fmt, source, rounding, overflow):
    x = SIXTEEN_BITS[source]
    table = exact_steps(fmt, x.dtype, rounding, overflow)
    numbers = is_number(x)
    got = mf.encode(x[numbers], fmt, rounding=rounding, overflow=overflow)
    about = f"{rounding} {overflow} {source}"
    assert_same_codes(got, table(x[numbers]), x[numbers], fmt, about=about)
    if fmt.has_nan:
        codes = mf.encode(x[~numbers], fmt, rounding=rounding, overflow=overflow)
        assert np.all(codes == fmt.nan_code)


@pytest.mark.parametrize("source", SIXTEEN_BITS)
@pytest.mark.parametrize("fmt", NARROW, ids="{}".format)
def test_all_inputs_of_16_bits(fmt, source):
    check_all_inputs(fmt, source, Rounding.NEAREST_EVEN, Overflow.SATURATE)


@pytest.mark.long
@pytest.mark.parametrize("overflow", TOTAL)
@pytest.mark.parametrize("source", SIXTEEN_BITS)
@pytest.mark.parametrize("fmt", NARROW, ids="{}".format)
def test_all_inputs_of_16_bits_in_every_mode(fmt, source, overflow):
    for rounding in DETERMINISTIC:
        check_all_inputs(fmt, source, rounding, overflow)


# format, policy, and the type of ml_dtypes that does the same
SWEEPS = [
    ("e2m2", "saturate", None),
    ("e2m1", "saturate", "float4_e2m1fn"),
    ("e4m3fn", "ieee", "float8_e4m3fn"),
    ("e5m2", "ieee", "float8_e5m2"),
]
CHUNK = 2**24


def check_words(fmt, overflow, table, theirs, start):
    x = np.arange(start, start + CHUNK, dtype=np.uint32).view(np.float32)
    numbers = ~np.isnan(x)
    codes = mf.encode(x, fmt, overflow=overflow, nan="max" if not fmt.has_nan else "raise")
    want = table.words(start, start + CHUNK)
    want[~numbers] = fmt.nan_code if fmt.has_nan else codes[~numbers]
    assert_same_codes(codes, want, x, fmt, about=f"{overflow}, words from {start:#x}")
    if theirs is not None:
        with np.errstate(invalid="ignore", over="ignore"):
            other = x.astype(getattr(ml_dtypes, theirs)).view(np.uint8)
        nan_codes = np.isnan(fmt.values())
        numbers &= ~nan_codes[codes]  # ml_dtypes keeps the sign of NaN
        assert np.array_equal(nan_codes[other], nan_codes[codes]) or not fmt.has_nan
        assert_same_codes(other[numbers], codes[numbers], x[numbers], fmt, about=theirs)


@pytest.mark.parametrize(("name", "overflow", "theirs"), SWEEPS)
def test_some_of_all_floats(name, overflow, theirs):
    table = exact_steps(name, np.float32, "nearest_even", overflow)
    check_words(mf.parse(name), overflow, table, theirs, 0x3F80_0000)  # 1 to 4
    check_words(mf.parse(name), overflow, table, theirs, 0xFF00_0000)  # -1.7e38 to -inf, NaNs


@pytest.mark.long
@pytest.mark.parametrize(("name", "overflow", "theirs"), SWEEPS)
def test_all_floats(name, overflow, theirs):
    table = exact_steps(name, np.float32, "nearest_even", overflow)
    for start in range(0, 2**32, CHUNK):
        check_words(mf.parse(name), overflow, table, theirs, start)

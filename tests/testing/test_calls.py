"""Functions of other people under test: which calls work, and which errors say why not."""

import functools

import numba
import numpy as np
import pytest

import minifloat as mf
from minifloat.testing import check_decoder, check_encoder

ONE = {"dtypes": ["float32"], "roundings": ["nearest_even"], "overflows": ["saturate"]}


def plain(x):
    """INT4, to nearest even, saturated."""
    return (np.clip(np.rint(x), -7, 7).astype(np.int8) & 15).astype(np.uint8)


def with_an_optional_argument(x, out=None):
    assert out is None
    return plain(x)


def of_one_number(x):
    return min(max(round(x) if abs(x) < 100 else 100 if x > 0 else -100, -7), 7) & 15


class Kernel:
    def __call__(self, x):
        return plain(x)


PLAIN = {
    "f(x)": plain,
    "f(x, fmt)": lambda x, fmt: plain(x) if fmt == mf.parse("int4") else None,
    "f(x, fmt=None)": lambda x, fmt=None: plain(x) if fmt == mf.parse("int4") else None,
    "f(x, out=None)": with_an_optional_argument,
    "f(*arguments)": lambda *arguments: plain(arguments[0]),
    "f(x, **options)": lambda x, **options: plain(x),
    "f(x, rounding)": lambda x, rounding: plain(x) if rounding == "nearest_even" else None,
    "an object": Kernel(),
    "a method": Kernel().__call__,
    "a partial": functools.partial(with_an_optional_argument, out=None),
    "numpy.vectorize": np.vectorize(of_one_number, otypes=[np.uint8]),
    "numba.njit": numba.njit(
        lambda x: (np.minimum(np.maximum(np.rint(x), -7), 7).astype(np.int8) & 15).astype(np.uint8)
    ),
}


@pytest.mark.parametrize("kind", PLAIN)
def test_plain_encoders_are_checked(kind):
    assert check_encoder(PLAIN[kind], "int4", **ONE) == 574


@pytest.mark.parametrize("kind", ["f(x)", "f(x, fmt)", "an object", "numpy.vectorize"])
def test_mistakes_of_plain_encoders_are_found(kind):
    with pytest.raises(AssertionError, match=r"int4 nearest_away .* codes differ"):
        check_encoder(PLAIN[kind], "int4", **{**ONE, "roundings": "nearest_away"})


def test_a_string_is_one_value():
    strings = {"dtypes": "float32", "roundings": "nearest_even", "overflows": "saturate"}
    assert check_encoder(plain, "int4", **strings) == 574
    assert check_decoder(mf.decode, "int4", dtypes="float32") == 15


@pytest.mark.parametrize(
    ("encode", "options", "error", "message"),
    [
        (
            plain,
            {"roundings": ["to_odd", "upward"]},
            TypeError,
            r"encode must take rounding to be checked in 2 modes, got plain\(x\); name the one "
            r"that it has: roundings=\['to_odd'\]",
        ),
        (
            plain,
            {"overflows": ["ieee", "raise"]},
            TypeError,
            r"encode must take overflow to be checked in 2 policies, got plain\(x\); name the one "
            r"that it has: overflows=\['ieee'\]",
        ),
        (
            plain,
            {"roundings": ["stochastic"]},
            TypeError,
            r"encode must take random and random_bits to be checked in stochastic, got plain\(x\)",
        ),
        (
            lambda x, fmt, scale: x,
            {},
            TypeError,
            r"encode must be f\(x\) or f\(x, fmt\), with no other arguments but rounding, "
            r"overflow, random, random_bits, got <lambda>\(x, fmt, scale\); wrap it",
        ),
        (lambda x, *, scale: x, {}, TypeError, r"got <lambda>\(x, \*, scale\); wrap it"),
        (lambda: 0, {}, TypeError, r"got <lambda>\(\); wrap it"),
        ("e2m2", {}, TypeError, "encode must be a function, got 'e2m2'"),
        (plain, {"roundings": ["nearest"]}, ValueError, "roundings must be one of .* did you mean"),
        (plain, {"overflows": "stop"}, ValueError, "overflows must be one of saturate, "),
        (plain, {"stride": 0}, ValueError, "stride must be in 1"),
        (plain, {"roundings": []}, ValueError, "roundings must hold at least one, got none"),
        (plain, {"overflows": []}, ValueError, "overflows must hold at least one, got none"),
        (plain, {"dtypes": []}, ValueError, "dtypes must hold at least one, got none"),
    ],
)
def test_an_error_says_what_the_encoder_lacks(encode, options, error, message):
    with pytest.raises(error, match=message):
        check_encoder(encode, "int4", **{**ONE, **options})


def test_a_plain_decoder_needs_one_dtype():
    def halves(codes):
        return codes.view(np.int8) / np.float32(2)

    with pytest.raises(TypeError, match=r"decode must take dtype .* dtypes=\['float16'\]"):
        check_decoder(halves, "mxint8")
    with pytest.raises(AssertionError, match="mxint8 float32: 255 of 256 values differ"):
        check_decoder(halves, "mxint8", dtypes=["float32"])
    with pytest.raises(TypeError, match=r"decode must be f\(x\) .* but dtype, got"):
        check_decoder(lambda codes, fmt, table: codes, "mxint8", dtypes=["float32"])


def test_an_encoder_that_loses_nans_is_found():
    def kernel(x):
        return mf.encode(np.where(np.isnan(x), 0, x), "e5m2", overflow="ieee")

    with pytest.raises(AssertionError, match=r"4 of .* codes differ"):
        check_encoder(
            kernel, "e5m2", dtypes=["float32"], roundings=["nearest_even"], overflows=["ieee"]
        )


def test_any_nan_code_is_right_for_a_nan():
    ml_dtypes = pytest.importorskip("ml_dtypes")

    def kernel(x):  # gives NaN the sign of x
        return (-x).astype(ml_dtypes.float8_e4m3fn).view(np.uint8) ^ np.uint8(0x80)

    assert check_encoder(
        kernel, "e4m3fn", dtypes=["float32"], roundings=["nearest_even"], overflows=["ieee"]
    )


def test_a_dtype_that_numpy_does_not_know_is_named():
    with pytest.raises(TypeError, match="dtypes must be dtypes of NumPy, got 'float99'"):
        check_encoder(mf.encode, "e2m2", dtypes=["float99"])

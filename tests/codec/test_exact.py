"""encode against the oracle at every decision point: formats x modes x policies x sources."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

import minifloat as mf
from minifloat.formats import Codebook, Format, Integer
from minifloat.testing import (
    assert_same_codes,
    check_encoder,
    decision_points,
    exact_encode,
    exact_encode_array,
    random_formats,
)

ml_dtypes = pytest.importorskip("ml_dtypes")

SOURCES = ("float16", ml_dtypes.bfloat16, "float32", "float64", "int64")
NAMED = [fmt for fmt in mf.CATALOGUE.values() if fmt.bits <= 8]
WIDE = [fmt for fmt in mf.CATALOGUE.values() if 8 < fmt.bits <= 16]
RANDOM = random_formats(np.random.default_rng(1), 10)
MORE_RANDOM = random_formats(np.random.default_rng(2), 160, max_bits=9)
BOOKS = [
    Codebook([0.1, -0.1], "no_zero"),
    Codebook([1.0, 2.0, 4.5], "positive"),
    Codebook([-1.0, -2.0, -4.5, -4.75, -8.0], "negative"),
    Codebook([5.0, -0.0, 1.0, 3.0, -2.0, 0.0], "unsorted_two_zeros"),
    Codebook([-0.0, 1e-300, 1e300], "far_apart"),
    Codebook([0.5, 0.0, -0.0], "ends_at_zeros"),
    Codebook([0.0, -0.0], "zeros"),
    Codebook([1.0, 1.0 + 2**-52, 1.0 + 2**-51, -1.0 - 2**-52], "close"),
]
ENDS = [  # the ends of float64
    Format(5, 2, bias=-992, subnormals=False),
    Format(5, 2, bias=-992),
    Format(3, 2, bias=1072, subnormals=False),
    Format(3, 2, bias=1073, specials="fn"),
]


@pytest.mark.parametrize("fmt", NAMED, ids="{}".format)
def test_named_formats(fmt):
    assert check_encoder(mf.encode, fmt, dtypes=SOURCES) > 10_000


@pytest.mark.parametrize("fmt", RANDOM, ids="{}".format)
def test_random_formats(fmt):
    assert check_encoder(mf.encode, fmt, dtypes=SOURCES) > 10_000


@pytest.mark.parametrize("fmt", ENDS, ids="{}".format)
def test_formats_at_the_ends_of_float64(fmt):
    check_encoder(mf.encode, fmt, dtypes=("float32", "float64"))


@pytest.mark.parametrize("fmt", BOOKS, ids="{}".format)
def test_odd_codebooks(fmt):
    assert check_encoder(mf.encode, fmt, dtypes=SOURCES) > 10_000


@pytest.mark.parametrize("fmt", [*WIDE, Integer(16), Integer(12, signed=False)], ids="{}".format)
def test_wide_formats_at_some_points(fmt):
    check_encoder(mf.encode, fmt, dtypes=("float32", "float64"), stride=499)


@pytest.mark.long
@pytest.mark.parametrize("fmt", MORE_RANDOM, ids="{}".format)
def test_more_random_formats(fmt):
    check_encoder(mf.encode, fmt, dtypes=SOURCES)


@pytest.mark.long
@pytest.mark.parametrize(
    "fmt", [*WIDE, Integer(16), Integer(12, signed=False), mf.parse("tf32")], ids="{}".format
)
def test_wide_formats_at_many_points(fmt):
    check_encoder(mf.encode, fmt, dtypes=("float32", "float64"), stride=7 if fmt.bits < 19 else 97)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint64])
@pytest.mark.parametrize("name", ["e2m2", "int4", "nf4", "ue4m3", "float16"])
def test_integer_sources(name, dtype):
    x = decision_points(name, dtype)
    x = x[:: max(1, len(x) // 2000)]
    for rounding in ("nearest_even", "to_odd", "upward"):
        want = exact_encode_array(x, name, rounding, "ieee")
        got = mf.encode(x, name, rounding=rounding, overflow="ieee")
        assert_same_codes(got, want, x, name, about=f"{rounding} {np.dtype(dtype)}")


@pytest.mark.parametrize("fmt", [*NAMED, *RANDOM, *BOOKS], ids="{}".format)
@pytest.mark.parametrize("nan", ["raise", "zero", "max"])
@pytest.mark.parametrize("dtype", SOURCES[:4], ids=lambda dtype: np.dtype(dtype).name)
def test_nan(fmt, nan, dtype):
    order = np.array([1.0, math.nan, -math.nan, 0.5]).astype(dtype)
    try:
        want = [exact_encode(v, fmt, nan=nan) for v in order.tolist()]
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011 - which message depends on the policy
            mf.encode(order, fmt, nan=nan)
    else:
        assert mf.encode(order, fmt, nan=nan).tolist() == want


def test_nan_is_counted_and_found():
    x = np.ones((3, 4), np.float32)
    x[1, 2] = x[2, 0] = math.nan
    with pytest.raises(ValueError, match=r"2 .*\(1, 2\)"):
        mf.encode(x, "e2m1")


WITHOUT_JIT = """
import json, sys
import numpy as np
import minifloat as mf
case = json.load(sys.stdin)
x = np.array(case["x"])
random = {"random": np.array(case["random"], np.uint32), "random_bits": 8}
print(json.dumps([
    mf.encode(x, name, rounding=mode, **(random if "stochastic" in mode else {})).tolist()
    for name, mode in case["calls"]
]))
"""


def test_same_codes_without_jit():
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal(size=40) * 4, decision_points("e2m1")[:-1:13]])
    random = rng.integers(0, 256, x.shape)
    names = ["e2m2", "e4m3fn", "e8m0", "int4", "nf4", "e2m2b0_nosub"]
    modes = ["nearest_even", "to_odd", "downward", "stochastic"]
    calls = [(name, mode) for name in names for mode in modes]
    case = {"x": x.tolist(), "random": random.tolist(), "calls": calls}
    plain = subprocess.run(
        [sys.executable, "-c", WITHOUT_JIT],
        input=json.dumps(case),
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    for (name, mode), codes in zip(calls, json.loads(plain.stdout), strict=True):
        options = {"random": random, "random_bits": 8} if mode == "stochastic" else {}
        want = exact_encode_array(x, name, mode, **options)
        assert_same_codes(np.array(codes, want.dtype), want, x, name, about=f"{mode}, no JIT")


@pytest.mark.parametrize("name", ["e2m2", "e4m3fnuz", "e5m2", "int4", "nf4", "float16", "e8m0"])
def test_round_to_is_decode_of_encode(name):
    for dtype in (np.float16, np.float32, np.float64):
        x = decision_points(name, dtype)[:-1]
        x = x[:: max(1, len(x) // 3000)]
        for rounding in ("nearest_even", "toward_zero", "to_odd"):
            try:
                want = mf.decode(mf.encode(x, name, rounding=rounding), name, dtype=dtype)
            except ValueError:
                with pytest.raises(ValueError, match="dtype"):
                    mf.round_to(x, name, rounding=rounding)
                continue
            got = mf.round_to(x, name, rounding=rounding)
            assert got.dtype == dtype
            assert got.tobytes() == want.tobytes()

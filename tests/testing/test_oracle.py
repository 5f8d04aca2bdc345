"""The oracle against published tables, NumPy, ml_dtypes and gfloat, without minifloat's codec."""

import math
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from minifloat.formats import Codebook, Format, Integer
from minifloat.formats.catalogue import CATALOGUE
from minifloat.formats.names import parse
from minifloat.formats.rounding import Rounding
from minifloat.testing import (
    assert_same_codes,
    decision_points,
    exact_decode,
    exact_encode,
    exact_encode_array,
    exact_steps,
    random_formats,
)
from tests.codec.peers import GFLOAT_MODES, GFLOAT_STOCHASTIC, ML_DTYPES


def values_of(fmt):
    return np.array([exact_decode(code, fmt) for code in range(fmt.code_count)])


def assert_same_values(got, want):
    np.testing.assert_array_equal(got, want)  # NaN equals NaN, but 0 equals -0
    numbers = ~np.isnan(want)
    np.testing.assert_array_equal(np.signbit(got)[numbers], np.signbit(want)[numbers])


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("e2m1", [0, 0.5, 1, 1.5, 2, 3, 4, 6]),  # OCP MX 1.0, table 5
        ("e2m2b0", [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 10, 12, 14]),
        ("e2m2", [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4, 5, 6, 7]),
        ("e3m0", [0, 0.25, 0.5, 1, 2, 4, 8, 16]),
        ("binary4p2se", [0, 0.25, 0.5, 0.75, 1, 1.5, 2, math.inf]),  # IEEE P3109
        ("int4", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("bipolar_int2", [-3, -1, 1, 3]),
    ],
)
def test_published_values(name, values):
    assert [exact_decode(code, name) for code in range(len(values))] == values


@pytest.mark.parametrize(
    ("name", "code", "value"),
    [
        ("e4m3fn", 0b0_1111_110, 448),  # OCP OFP8 1.0, table 1, also the next five
        ("e4m3fn", 0b0_0001_000, 2.0**-6),
        ("e4m3fn", 0b0_0000_001, 2.0**-9),
        ("e5m2", 0b0_11110_11, 57344),
        ("e5m2", 0b0_11111_00, math.inf),
        ("e5m2", 0b0_00000_01, 2.0**-16),
        ("e8m0", 0, 2.0**-127),
        ("e8m0", 254, 2.0**127),
        ("e4m3fnuz", 0x7F, 240),
        ("binary8p4se", 0x7E, 224),
        ("float16", 0x7BFF, 65504),
        ("int4full", 8, -8),
        ("mxint8", 0x80, -2),
    ],
)
def test_published_extremes(name, code, value):
    assert exact_decode(code, name) == value


@pytest.mark.parametrize(
    ("name", "code"),
    [("e4m3fn", 0x7F), ("e4m3fnuz", 0x80), ("e5m2", 0x7E), ("e8m0", 255), ("int4", 8)],
)
def test_codes_without_a_number(name, code):
    assert math.isnan(exact_decode(code, name))


@pytest.mark.parametrize("fmt", [f for f in CATALOGUE.values() if f.bits <= 16], ids="{}".format)
def test_values_and_nan_code_agree_with_the_format(fmt):
    assert_same_values(fmt.values(), values_of(fmt))
    if fmt.has_nan:
        assert exact_encode(math.nan, fmt) == fmt.nan_code


def test_values_agree_with_random_formats():
    for fmt in random_formats(np.random.default_rng(41), 60, max_bits=10):
        assert_same_values(fmt.values(), values_of(fmt))


@pytest.mark.parametrize(("name", "theirs", "policy"), ML_DTYPES)
def test_ml_dtypes(name, theirs, policy):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    fmt, dtype = parse(name), np.dtype(getattr(ml_dtypes, theirs))
    with np.errstate(invalid="ignore", over="ignore"):
        words = np.arange(fmt.code_count).astype(np.uint8)
        assert_same_values(words.view(dtype).astype(np.float64), values_of(fmt))
        x = decision_points(fmt, np.float32)[:-1]
        codes = x.astype(dtype).view(np.uint8)
    if fmt.has_nan:  # ml_dtypes keeps the sign of NaN
        codes[np.isnan(values_of(fmt)[codes])] = fmt.nan_code
    assert_same_codes(codes, exact_encode_array(x, fmt, overflow=policy), x, fmt, about="ml_dtypes")


def test_ml_dtypes_e8m0_differs_in_ties_only():
    # ml_dtypes rounds ties up, P3109 to the even code. Below 2**-126, where float32 is subnormal,
    # ml_dtypes rounds all values up.
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = decision_points("e8m0", np.float32)[:-1]
    x = x[(x >= 2.0**-126) & (x <= 2.0**127)]
    codes = x.astype(ml_dtypes.float8_e8m0fnu).view(np.uint8)
    assert_same_codes(codes, exact_encode_array(x, "e8m0", "nearest_away"), x, "e8m0")


@pytest.mark.parametrize("source", [np.float32, np.float64])
def test_numpy_float16(source):
    x = decision_points("float16", source)[:-1][::17]
    with np.errstate(over="ignore"):
        codes = x.astype(np.float16).view(np.uint16)
    assert_same_codes(codes, exact_encode_array(x, "float16", overflow="ieee"), x, "float16")


def test_ml_dtypes_bfloat16():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = decision_points("bfloat16", np.float32)[:-1][::17]
    codes = x.astype(ml_dtypes.bfloat16).view(np.uint16)
    assert_same_codes(codes, exact_encode_array(x, "bfloat16", overflow="ieee"), x, "bfloat16")


def p3109_names(width):
    for domain in "ef":
        yield from (f"binary{width}p{p}s{domain}" for p in range(1, width))
        yield from (f"binary{width}p{p}u{domain}" for p in range(1, width + 1))


def gfloat_format(name):
    gfloat_formats = pytest.importorskip("gfloat.formats")
    gfloat = pytest.importorskip("gfloat")
    width, rest = name.removeprefix("binary").split("p")
    signedness = gfloat.Signedness.Signed if rest[-2] == "s" else gfloat.Signedness.Unsigned
    domain = gfloat.Domain.Extended if rest[-1] == "e" else gfloat.Domain.Finite
    return gfloat_formats.format_info_p3109(int(width), int(rest[:-2]), signedness, domain)


def in_float64(name):
    try:
        return parse(name)
    except ValueError:
        return None


@pytest.mark.parametrize("width", [3, 4, 5, 6, 7, 8, 10])
def test_p3109_values_of_gfloat(width):
    gfloat = pytest.importorskip("gfloat")
    checked = 0
    for name in p3109_names(width):
        fmt = in_float64(name)
        if fmt is None or (width > 8 and fmt.mantissa_bits not in (2, 5)):
            continue
        info = gfloat_format(name)
        theirs = [gfloat.decode_float(info, code).fval for code in range(2**width)]
        assert_same_values(np.array(theirs), values_of(fmt))
        checked += 1
    assert checked >= 4


@pytest.mark.parametrize(
    "name", ["binary8p4se", "binary8p1se", "binary6p3sf", "binary5p1uf", "binary7p3ue"]
)
@pytest.mark.parametrize("saturate", [True, False])
def test_rounding_of_gfloat(name, saturate):
    gfloat = pytest.importorskip("gfloat")
    fmt, info = parse(name), gfloat_format(name)
    x = decision_points(fmt, np.float32)[:-1]
    x = x[:: max(1, len(x) // 500)].astype(np.float64)
    if not fmt.signed:
        x = x[x >= 0]  # gfloat 0.5.2 is wrong below zero
    policy = "saturate" if saturate else "ieee"
    for mode, theirs in GFLOAT_MODES.items():
        rounding = gfloat.RoundMode[theirs]
        got = [gfloat.round_float(info, float(v), rounding, saturate) for v in x]
        codes = exact_encode_array(x, fmt, mode, policy)
        assert_same_values(np.array(got), values_of(fmt)[codes])
    bits = 5
    words = np.random.default_rng(42).integers(0, 2**bits, len(x))
    for mode, theirs in GFLOAT_STOCHASTIC.items():
        rounding = gfloat.RoundMode[theirs]
        got = [
            gfloat.round_float(info, float(v), rounding, saturate, int(word), bits)
            for v, word in zip(x, words, strict=True)
        ]
        codes = exact_encode_array(x, fmt, mode, policy, random=words, random_bits=bits)
        assert_same_values(np.array(got), values_of(fmt)[codes])


def test_fractions_are_rounded_once():
    just_above = Fraction(464) + Fraction(1, 10**40)
    assert exact_encode(just_above, "e4m3fn", overflow="ieee") == parse("e4m3fn").nan_code
    assert exact_encode(Fraction(464), "e4m3fn", overflow="ieee") == 0x7E


def test_codebook_neighbours():
    # without zero: between -1 and 1, modes that compare magnitudes keep the sign
    for mode in ("toward_zero", "away_from_zero", "nearest_zero", "nearest_away"):
        assert exact_encode(0.0, "bipolar_int2", mode) == 2
        assert exact_encode(-0.0, "bipolar_int2", mode) == 1
    assert exact_encode(-0.5, "bipolar_int2", "toward_zero") == 1
    assert exact_encode(-0.0, "bipolar_int2", "upward") == 2
    book = Codebook([3.0, 0.0, 2.0, -0.0, 1.0, 7.0])  # codes out of order
    assert [exact_encode(v, book) for v in (0.0, -0.0, -5.0, 9.0)] == [1, 3, 3, 5]
    assert exact_encode(1.5, book) == 4  # 1 and 2 have even codes, so the one nearer to zero
    assert exact_encode(1.5, book, "nearest_odd") == 2


def test_integers_are_twos_complement():
    assert [exact_encode(v, "int4") for v in (-7, -7.5, -1, 6.5, 7.5)] == [9, 9, 15, 6, 7]
    assert exact_encode(-8, "int4full") == 8
    assert exact_encode(-8, "int4") == 9


def test_decision_points_include_ties_neighbours_and_extremes():
    points = decision_points("e2m2", np.float32)
    assert np.isnan(points[-1])
    assert np.all(np.diff(points[:-1]) >= 0)
    up, down = np.float32(math.inf), np.float32(-math.inf)
    for value in (0.25, 0.875, 7.0, 7.5, 8.0, -0.125, -6.5):
        assert {
            value,
            np.nextafter(np.float32(value), up),
            np.nextafter(np.float32(value), down),
        } <= set(points.tolist())
    assert np.signbit(points[points == 0]).tolist() == [True, False]
    for special in (math.inf, -math.inf, np.finfo(np.float32).max, 2.0**-149, 2.0**127):
        assert special in points


@pytest.mark.parametrize("values", [[-3.0, 1.0, 2.0], [-1.0, 6.0], [-7.0, -4.0, 9.0, 10.5]])
def test_decision_points_of_codebooks_without_zero(values):
    """Zero is no neighbour there: the middle of the values on both sides of it is a tie."""
    points = decision_points(Codebook(values), np.float16)
    for low, high in pairwise(values):
        tie = np.float16((low + high) / 2)
        for point in (tie, np.nextafter(tie, np.float16(99)), np.nextafter(tie, np.float16(-99))):
            assert point in points


@pytest.mark.parametrize("rounding", ["nearest_even", "nearest_odd", "toward_zero", "to_odd"])
def test_every_change_of_the_code_is_at_a_decision_point(rounding):
    """Found by trying all float16, in codebooks, random formats and integers."""
    rng = np.random.default_rng(44)
    odd = [Codebook(list(dict.fromkeys(rng.standard_normal(n).tolist()))) for n in (2, 3, 5, 9)]
    words = np.arange(0x7C01, dtype=np.uint16)
    ascending = np.concatenate([(words | np.uint16(0x8000))[::-1], words]).view(np.float16)
    for fmt in (*odd, Codebook([-3.0, 1.0, 2.5]), *random_formats(rng, 6, max_bits=7), "int3"):
        table = exact_steps(fmt, np.float16, rounding)
        changes = np.flatnonzero(np.diff(table(ascending).astype(np.int64)))
        points = set(decision_points(fmt, np.float16)[:-1].view(np.uint16).tolist())
        needed = {*ascending[changes].view(np.uint16), *ascending[changes + 1].view(np.uint16)}
        assert {int(word) for word in needed} <= points, fmt


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64, np.uint64])
def test_decision_points_of_integers(dtype):
    points = decision_points("int4", dtype)
    assert points.dtype == dtype
    assert {0, 1, 6, 7, 8} <= set(points.tolist())
    assert max(map(abs, points.tolist())) <= 2**53


def test_decision_points_refuse_other_dtypes():
    with pytest.raises(ValueError, match="dtype must be float16, bfloat16"):
        decision_points("int4", np.complex64)


@pytest.mark.parametrize("rounding", ["nearest_even", "upward", "to_odd"])
@pytest.mark.parametrize("name", ["e3m1", "e8m0", "int3", "bnb_fp4", "ue4m3"])
def test_step_table_equals_the_oracle(name, rounding):
    table = exact_steps(name, np.float16, rounding, "ieee")
    x = np.arange(65536, dtype=np.uint16).view(np.float16)
    numbers = ~np.isnan(x)
    sample = x[numbers][::37]
    want = exact_encode_array(sample, name, rounding, "ieee")
    assert_same_codes(table(sample), want, sample, name)
    by_words = np.concatenate([table.words(0, 32768), table.words(32768, 65536)])
    assert_same_codes(by_words[numbers], table(x[numbers]), x[numbers], name)
    part = table.words(40000, 41000)
    assert_same_codes(part, by_words[40000:41000], x[40000:41000], name)


def test_step_table_refuses_inputs_without_a_single_code():
    with pytest.raises(ValueError, match="rounding and overflow must"):
        exact_steps("e2m1", np.float32, Rounding.STOCHASTIC)
    with pytest.raises(ValueError, match="words must have one sign"):
        exact_steps("e2m1", np.float16).words(32000, 33000)
    with pytest.raises(ValueError, match="x must not hold NaN"):
        exact_steps("e2m1", np.float16)(np.float16([math.nan]))


def test_random_formats_cover_the_space():
    drawn = random_formats(np.random.default_rng(43), 200, max_bits=8)
    assert len(set(drawn)) == 200
    assert {fmt.specials for fmt in drawn} == {"none", "ieee", "fn", "fnuz", "p3109"}
    assert {fmt.signed for fmt in drawn} == {fmt.subnormals for fmt in drawn} == {True, False}
    assert all(isinstance(fmt, Format) and fmt.bits <= 8 for fmt in drawn)
    assert not any(isinstance(fmt, Integer) for fmt in drawn)


def test_only_the_strategies_need_hypothesis():
    code = """
import sys
sys.modules["hypothesis"] = None  # as if it were not installed
from functools import partial
import numpy as np
import minifloat as mf
from minifloat import testing
assert testing.exact_encode(5.0, "e2m1") == 6
assert testing.check_encoder(mf.encode, "e2m1", dtypes=["float32"], roundings=["to_odd"])
assert testing.check_decoder(mf.decode, "e2m1")
assert len(testing.random_formats(np.random.default_rng(1), 3)) == 3
others = [partial(strategy, "e2m1") for strategy in
          (testing.codes, testing.values, testing.near_ties)]
for strategy in [testing.formats, *others]:
    try:
        strategy()
    except ImportError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    hint = 'need the package hypothesis; pip install "minifloat[testing]"'
    assert done.stdout == 4 * f"the strategies of minifloat.testing {hint}\n"


def test_differences_are_printed():
    words = {"float16": "0x4100", "float32": "0x40200000", "float64": "0x4004000000000000"}
    for dtype, bits in words.items():
        x = np.array([2.0, 2.5], dtype)
        message = (
            rf"x\[1\] = .*2.5.* \(0x1.4.*p\+1, bits {bits}\): got code 0x5 \(3.0\), expected 0x4"
        )
        with pytest.raises(AssertionError, match=message):
            assert_same_codes(np.uint8([4, 5]), np.uint8([4, 4]), x, "e2m1")
    with pytest.raises(AssertionError, match=r"x\[0\] = .*3.* \(int\): got code"):
        assert_same_codes(np.uint8([4]), np.uint8([5]), np.array([3]), "e2m1")
    with pytest.raises(AssertionError, match=r"^e2m1: codes must be uint8"):
        assert_same_codes(np.uint16([4]), np.uint8([4]), np.array([2.0]), "e2m1")


def test_tables_of_steps_are_compared_by_identity():
    table = exact_steps("e2m1", np.float16)
    assert table == table
    assert table != exact_steps("e2m1", np.float32)

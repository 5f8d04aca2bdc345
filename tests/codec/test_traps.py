"""Numbers that other libraries get wrong, one by one."""

import math

import numpy as np
import pytest

import minifloat as mf
from minifloat.testing import assert_same_codes, exact_encode_array

EIGHT_BITS = [fmt for fmt in mf.CATALOGUE.values() if fmt.bits == 8]


def round_one(x, fmt, dtype=np.float64, **options):
    return float(mf.round_to(np.array([x], dtype), fmt, dtype=np.float64, **options)[0])


def encode_one(x, fmt, dtype=np.float64, **options):
    return int(mf.encode(np.array([x], dtype), fmt, **options)[0])


@pytest.mark.parametrize(
    ("x", "fmt", "want"),
    [
        (0.25 * (1 + 2**-30), "e2m1", 0.5),  # float32 would make a tie of it
        (84.00000033, "e4m3fn", 88),
        (-84.00000033, "e4m3fn", -88),
        (2.5 - 2**-40, "e2m1", 2),
        (2.5 + 2**-40, "e2m1", 3),
        (1 + 2**-11 + 2**-50, "float16", 1 + 2**-10),
        (65519.99999999, "float16", 65504),
    ],
)
def test_float64_is_rounded_once(x, fmt, want):
    assert round_one(x, fmt) == want


@pytest.mark.parametrize(
    ("n", "fmt", "want"),
    [
        (2**24 + 2**13 + 1, "tf32", 2**24 + 2**14),  # float32 does not have it
        (2**53 - 1, "bfloat16", 2**53),
        (465, "e4m3fn", 448),
        (-3, "e2m1", -3),
    ],
)
def test_integers_are_rounded_once(n, fmt, want):
    assert mf.round_to(np.array([n]), fmt, dtype=np.float64).tolist() == [want]


def test_integers_beyond_2_to_53_are_refused():
    with pytest.raises(ValueError, match="2\\*\\*53"):
        mf.encode(np.array([2**53 + 1]), "e2m1")


@pytest.mark.parametrize(
    ("x", "fmt", "want"),
    [
        (0.9375, "e2m2", 1.0),  # from the subnormals into the first binade
        (0.0155, "e4m3fn", 2.0**-6),
        (np.nextafter(1.0, 0), "e2m2", 1.0),
        (np.nextafter(2.0, 0), "e2m1", 2.0),
        (np.nextafter(4.0, 0), "e2m2", 4.0),
        (np.nextafter(2.0**-6, 0), "e4m3fn", 2.0**-6),
        (np.nextafter(2.0**-9 / 2, 0), "e4m3fn", 0.0),
        (2.0**-9 / 2, "e4m3fn", 0.0),
        (np.nextafter(2.0**-9 / 2, 1), "e4m3fn", 2.0**-9),
    ],
)
def test_carries_and_subnormals(x, fmt, want):
    assert round_one(x, fmt) == want
    assert round_one(-x, fmt) == -want


@pytest.mark.parametrize("exponent", range(-9, 9))
def test_just_below_a_power_of_two(exponent):
    power = np.float32(2.0**exponent)
    below = np.nextafter(power, np.float32(0))
    lower = power - power / 16 if exponent > -6 else power - 2.0**-9
    assert round_one(below, "e4m3fn", np.float32) == power
    assert round_one(below, "e4m3fn", np.float32, rounding="toward_zero") == lower


@pytest.mark.parametrize(
    ("x", "saturate", "ieee"),
    [(448, 448, 448), (464, 448, 448), (465, 448, math.nan), (480, 448, math.nan)],
)
def test_the_tie_beyond_the_largest_value(x, saturate, ieee):
    assert round_one(x, "e4m3fn") == saturate
    np.testing.assert_equal(round_one(x, "e4m3fn", overflow="ieee"), ieee)
    if math.isnan(ieee):
        with pytest.raises(ValueError, match="overflow"):
            encode_one(x, "e4m3fn", overflow="raise")
    else:
        assert round_one(x, "e4m3fn", overflow="raise") == ieee


def test_float16_overflows_at_65520():
    for dtype in (np.float32, np.float64):
        assert round_one(np.nextafter(dtype(65520), dtype(0)), "float16", dtype) == 65504
        assert round_one(65520, "float16", dtype) == 65504
        assert round_one(65520, "float16", dtype, overflow="ieee") == math.inf
        assert round_one(65520, "float16", dtype, overflow="ieee", rounding="toward_zero") == 65504


def test_toward_zero_just_below_32():
    assert round_one(31.999998, "e4m3fn", np.float32, rounding="toward_zero") == 30
    assert round_one(0.24999998, "e2m1", np.float32) == 0


@pytest.mark.parametrize("fmt", EIGHT_BITS, ids="{}".format)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_first_binade_past_the_maximum_and_the_last_of_all(fmt, dtype):
    size = max(fmt.max, -fmt.min)
    with np.errstate(over="ignore"):
        past = np.linspace(size, 2 * size, 65).astype(dtype)
        # one binade of |x| after the other, where an uncapped |x| + magic overflows
        binades = np.exp2(np.arange(120.0, 128, 1 / 8)).astype(np.float32).astype(dtype)
    x = np.concatenate([past, binades, [np.finfo(dtype).max]]).astype(dtype)
    x = x[np.isfinite(x)]
    x = np.concatenate([x, -x])
    for overflow in ("saturate", "saturate_finite", "ieee"):
        got = mf.encode(x, fmt, overflow=overflow)
        want = exact_encode_array(x, fmt, overflow=overflow)
        assert_same_codes(got, want, x, fmt, about=overflow)


INF = [
    # format, policy, values of +inf and -inf (None: an error)
    ("e5m2", "saturate", 57344, -57344),
    ("e5m2", "saturate_finite", math.inf, -math.inf),
    ("e5m2", "ieee", math.inf, -math.inf),
    ("e5m2", "raise", math.inf, -math.inf),
    ("e4m3fn", "saturate", 448, -448),
    ("e4m3fn", "saturate_finite", 448, -448),
    ("e4m3fn", "ieee", math.nan, math.nan),
    ("e4m3fn", "raise", None, None),
    ("e2m1", "saturate", 6, -6),
    ("e2m1", "saturate_finite", 6, -6),
    ("e2m1", "ieee", 6, -6),
    ("e2m1", "raise", None, None),
    ("binary8p3ue", "saturate_finite", math.inf, 0),
    ("binary8p3ue", "ieee", math.inf, math.nan),
    ("binary8p3ue", "raise", math.inf, None),
    ("e8m0", "saturate", 2.0**127, 2.0**-127),
    ("e8m0", "ieee", math.nan, math.nan),
    ("int4", "ieee", 7, -7),
    ("int4full", "saturate", 7, -8),
    ("nf4", "saturate", 1, -1),
    ("nf4", "raise", None, None),
]


@pytest.mark.parametrize(("fmt", "overflow", "plus", "minus"), INF)
def test_infinity_under_each_policy(fmt, overflow, plus, minus):
    for x, want in ((math.inf, plus), (-math.inf, minus)):
        if want is None:
            with pytest.raises(ValueError, match="inf"):
                encode_one(x, fmt, overflow=overflow)
            continue
        for dtype in (np.float16, np.float32, np.float64):
            np.testing.assert_equal(round_one(x, fmt, dtype, overflow=overflow), want)


@pytest.mark.parametrize("mode", ["nearest_even", "upward", "downward", "toward_zero", "to_odd"])
def test_minus_zero(mode):
    assert encode_one(-0.0, "e2m2", rounding=mode) == 0b1_00_00
    assert encode_one(-0.0, "bnb_fp4", rounding=mode) == 8
    for fmt in ("e4m3fnuz", "e5m2fnuz", "binary8p4se", "int4", "uint4", "ue4m3", "nf4"):
        assert mf.decode(np.array([encode_one(-0.0, fmt, rounding=mode)], np.uint8), fmt)[0] == 0
        assert not np.signbit(round_one(-0.0, fmt, rounding=mode))


@pytest.mark.parametrize("fmt", ["e4m3fnuz", "e5m2fnuz", "e4m3b11fnuz", "binary8p4se"])
def test_no_small_negative_number_becomes_the_nan_in_place_of_minus_zero(fmt):
    smallest = mf.parse(fmt).smallest
    assert encode_one(-smallest / 2, fmt) == 0
    assert encode_one(-smallest / 4, fmt, rounding="upward") == 0
    assert encode_one(-smallest / 4, fmt, rounding="downward") == 0x81


@pytest.mark.parametrize("fmt", ["uint4", "ue4m3", "ue5m3", "binary8p3ue"])
def test_unsigned_formats_and_negative_input(fmt):
    smallest = mf.parse(fmt).smallest
    assert encode_one(-smallest / 4, fmt, overflow="raise") == 0
    assert encode_one(-smallest, fmt) == 0
    assert encode_one(-1e30, fmt) == 0
    with pytest.raises(ValueError, match="overflow"):
        encode_one(-smallest, fmt, overflow="raise")
    with pytest.raises(ValueError, match="overflow"):
        encode_one(-smallest / 4, fmt, overflow="raise", rounding="away_from_zero")


def test_e8m0_has_no_zero():
    for x in (2.0**-140, 2.0**-128, 2.0**-127, 1e-300):
        for mode in ("nearest_even", "downward", "toward_zero", "upward", "away_from_zero"):
            for overflow in ("saturate", "ieee", "raise"):
                assert encode_one(x, "e8m0", rounding=mode, overflow=overflow) == 0
    for x in (0.0, -0.0, -1.0, -1e-300):
        assert encode_one(x, "e8m0") == 0
        assert encode_one(x, "e8m0", overflow="ieee") == 255
        with pytest.raises(ValueError, match="overflow"):
            encode_one(x, "e8m0", overflow="raise")


@pytest.mark.parametrize(("x", "code"), [(1.5, 128), (3.0, 128), (6.0, 130), (1.4999, 127)])
def test_e8m0_ties_go_to_the_even_code(x, code):
    assert encode_one(x, "e8m0") == code


def test_nan_payloads_are_not_numbers():
    words = np.array([0x7F80_0001, 0xFF80_0001, 0x7FFF_FFFF, 0xFFC0_0000], np.uint32)
    assert mf.encode(words.view(np.float32), "e5m2").tolist() == [0x7E] * 4
    assert mf.encode(words.view(np.float32), "float16").tolist() == [0x7E00] * 4


def test_odd_rounding_leaves_exact_values_alone():
    values = mf.parse("e4m3fn").values()
    values = values[np.isfinite(values)]
    np.testing.assert_array_equal(mf.round_to(values, "e4m3fn", rounding="to_odd"), values)


def test_ties_are_not_all_even_in_one_binade():
    x = np.array([1.125, 1.375, 1.625, 1.875])
    assert mf.round_to(x, "e2m2").tolist() == [1.0, 1.5, 1.5, 2.0]
    assert mf.round_to(x, "e2m2", rounding="nearest_away").tolist() == [1.25, 1.5, 1.75, 2.0]


def test_neighbours_with_codes_of_one_parity():
    """Then the neighbour nearer to zero counts as the even one, the other as the odd one."""
    for values in ([0, 1, 3, 2, -4, -1, -3, -2], [1, 0, 2, 3, -1, -4, -2, -3]):  # odd, then even
        book = mf.Codebook(values)
        for x, near, far in ((1.5, 1, 2), (-1.5, -1, -2)):
            assert round_one(x, book) == near
            assert round_one(x, book, rounding="nearest_odd") == far
        for x, far in ((1.25, 2), (1.75, 2), (-1.25, -2), (-1.75, -2)):
            assert round_one(x, book, rounding="to_odd") == far

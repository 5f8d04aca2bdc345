"""Planted mistakes: comparisons with the oracle must fail on each of them."""

import numpy as np
import pytest

import minifloat as mf
from minifloat.formats import Format
from minifloat.formats.rounding import Rounding
from minifloat.testing import (
    assert_same_codes,
    check_encoder,
    exact_encode_array,
    exact_steps,
)

FORMATS = ["e2m2", "e4m3fn", "e5m2"]


def right(x, fmt, *, rounding, overflow, random=None, random_bits=24):
    return exact_encode_array(x, fmt, rounding, overflow, random=random, random_bits=random_bits)


def with_mode(mode):
    def encode(x, fmt, *, rounding, **options):
        return right(x, fmt, rounding=mode if rounding == "nearest_even" else rounding, **options)

    return encode


def with_bias(change):
    def encode(x, fmt, **options):
        wrong = Format(
            fmt.exponent_bits, fmt.mantissa_bits, bias=fmt.bias + change, specials=fmt.specials
        )
        return right(x, wrong, **options)

    return encode


def subnormals_dropped(x, fmt, **options):
    codes = right(x, fmt, **options)
    magnitude = codes & (fmt.sign_bit - 1)
    return np.where(magnitude < 1 << fmt.mantissa_bits, codes & fmt.sign_bit, codes).astype(
        codes.dtype
    )


def subnormals_a_binade_off(x, fmt, **options):
    codes = right(x, fmt, **options)
    x = np.asarray(x, np.float64)
    small = np.abs(x) < fmt.min_normal
    codes[small] = right(x[small] / 2, fmt, **{**options, "random": None})
    return codes


def carry_lost(x, fmt, **options):
    """Keep the exponent of a significand that rounds up to 2."""
    codes = right(x, fmt, **options)
    values = np.abs(fmt.values()[codes])
    mantissa = codes & ((1 << fmt.mantissa_bits) - 1)
    carried = (mantissa == 0) & np.isfinite(values) & (np.abs(np.asarray(x, float)) < values)
    carried &= values > fmt.min_normal
    return np.where(carried, codes - (1 << fmt.mantissa_bits), codes).astype(codes.dtype)


def subnormal_carry_lost(x, fmt, **options):
    codes = right(x, fmt, **options)
    values = np.abs(fmt.values()[codes])
    carried = (values == fmt.min_normal) & (np.abs(np.asarray(x, float)) < values)
    return np.where(carried, codes & fmt.sign_bit, codes).astype(codes.dtype)


def sign_of_zero_lost(x, fmt, **options):
    codes = right(x, fmt, **options)
    return np.where(codes == fmt.sign_bit, 0, codes).astype(codes.dtype)


def rounded_twice(x, fmt, **options):
    with np.errstate(over="ignore"):
        return right(np.asarray(x, np.float64).astype(np.float32), fmt, **options)


def uncapped(x, fmt, **options):
    codes = right(x, fmt, **options)
    codes[np.abs(np.asarray(x, float)) > 3e38] = 0
    return codes


def one_value_too_many(x, fmt, *, overflow, **options):
    codes = right(x, fmt, overflow=overflow, **options)
    past = np.asarray(x, float) > fmt.max * 1.5
    codes[past] = (fmt.max_magnitude + 1) % fmt.code_count
    return codes


def exact_values_move(x, fmt, *, rounding, **options):
    codes = right(x, fmt, rounding=rounding, **options)
    moves = (rounding == "to_odd") & (np.asarray(x, float) == 1.0)
    return np.where(moves, codes + 1, codes).astype(codes.dtype)


def never_an_error(x, fmt, *, overflow, **options):
    return right(x, fmt, overflow="saturate" if overflow == "raise" else overflow, **options)


MISTAKES = {
    "ties away": with_mode("nearest_away"),
    "ties toward zero": with_mode("nearest_zero"),
    "ties to odd": with_mode("nearest_odd"),
    "truncation": with_mode("toward_zero"),
    "bias one too large": with_bias(1),
    "bias one too small": with_bias(-1),
    "subnormals dropped": subnormals_dropped,
    "subnormals a binade off": subnormals_a_binade_off,
    "carry lost": carry_lost,
    "carry out of the subnormals lost": subnormal_carry_lost,
    "sign of zero lost": sign_of_zero_lost,
    "rounded twice": rounded_twice,
    "uncapped": uncapped,
    "one value too many": one_value_too_many,
    "exact values move": exact_values_move,
    "never an error": never_an_error,
}
QUICK = {
    "dtypes": ["float32", "float64"],
    "roundings": ["nearest_even", "to_odd"],
    "overflows": ["saturate", "raise"],
}


@pytest.mark.parametrize("fmt", FORMATS)
def test_the_oracle_agrees_with_itself(fmt):
    assert check_encoder(right, fmt, **QUICK) > 5000


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_check_encoder_finds(mistake, fmt):
    with pytest.raises(AssertionError, match=f"{fmt} .*(codes differ|must be an error)"):
        check_encoder(MISTAKES[mistake], fmt, **QUICK)


@pytest.mark.parametrize(
    ("mode", "drawn"), [("nearest_away", ""), ("stochastic", r" random_bits=\d+")]
)
def test_the_message_names_random_bits_where_they_are_used(mode, drawn):
    with pytest.raises(AssertionError, match=f"^e2m2 {mode} saturate{drawn} float32: "):
        check_encoder(
            with_bias(1), "e2m2", dtypes=["float32"], roundings=[mode], overflows=["saturate"]
        )


@pytest.mark.parametrize("mode", [mode for mode in Rounding if not mode.is_stochastic])
def test_every_two_modes_are_distinguished(mode):
    for other in Rounding:
        if other.is_stochastic or other == mode:
            continue

        def encode(x, fmt, *, rounding, other=other, **options):
            return right(x, fmt, rounding=other, **options)

        with pytest.raises(AssertionError, match="codes differ"):
            check_encoder(
                encode, "e2m2", dtypes=["float32"], roundings=[mode], overflows=["saturate"]
            )


def one_word_off(x, fmt, *, random, **options):
    return right(x, fmt, random=np.maximum(random, 1) - np.uint32(1), **options)


def words_doubled(x, fmt, *, random, random_bits, **options):
    """A kernel for half as many random bits."""
    fewer = max(1, random_bits // 2)
    random = random >> np.uint32(random_bits - fewer)
    return right(x, fmt, random=random, random_bits=fewer, **options)


def other_mode(mode):
    return lambda x, fmt, *, rounding, **options: right(x, fmt, rounding=mode, **options)


DRAWN = [mode for mode in Rounding if mode.is_stochastic]
DRAWN_WRONG = {"one word off": one_word_off, "fewer bits": words_doubled}
DRAWN_WRONG |= {f"it is {mode}": other_mode(mode) for mode in DRAWN}


@pytest.mark.parametrize("fmt", ["e4m3fn", "e2m1", "int5", "nf4", "ue4m3", "e3m0", "uint3"])
@pytest.mark.parametrize("mode", DRAWN)
def test_mistakes_of_stochastic_kernels_are_found(mode, fmt):
    where = {"dtypes": ["float32"], "roundings": [mode], "overflows": ["saturate"]}
    assert check_encoder(right, fmt, **where) > 1000
    for mistake, kernel in DRAWN_WRONG.items():
        same = mistake == f"it is {mode}" or (
            mistake == "fewer bits" and mode is Rounding.STOCHASTIC_EQUAL  # reads the top bit alone
        )
        if not same:
            with pytest.raises(AssertionError, match="codes differ"):
                check_encoder(kernel, fmt, **where)


def test_a_nan_that_overflows_is_found():
    """Half a unit in the last place is added before a test for NaN: 0x7fffffff becomes -0."""

    def kernel(x):
        words = x.view(np.uint32)
        odd = words >> np.uint32(16) & np.uint32(1)
        with np.errstate(over="ignore"):
            return ((words + np.uint32(0x7FFF) + odd) >> np.uint32(16)).astype(np.uint16)

    where = {"dtypes": ["float32"], "roundings": ["nearest_even"], "overflows": ["ieee"]}
    with pytest.raises(AssertionError, match=r"2 of .* codes differ"):
        check_encoder(kernel, "bfloat16", stride=16, **where)


@pytest.mark.parametrize(
    "mistake", ["ties away", "bias one too small", "subnormals dropped", "carry lost"]
)
@pytest.mark.parametrize("fmt", FORMATS)
def test_sweeps_find(mistake, fmt):
    """Plant the mistake in codes of float16 inputs."""
    fmt = mf.parse(fmt)
    x = np.arange(65536, dtype=np.uint16).view(np.float16)
    x = x[~np.isnan(x)]
    table = exact_steps(fmt, np.float16)
    assert_same_codes(mf.encode(x, fmt), table(x), x, fmt)
    ours = table(x)
    suspects = np.flatnonzero(np.abs(x) < 64)[::5]
    wrong = MISTAKES[mistake](
        x[suspects].copy(), fmt, rounding=Rounding.NEAREST_EVEN, overflow="saturate"
    )
    assert_same_codes(
        right(x[suspects], fmt, rounding="nearest_even", overflow="saturate"),
        ours[suspects],
        x[suspects],
        fmt,
    )
    with pytest.raises(AssertionError, match="codes differ"):
        assert_same_codes(wrong, ours[suspects], x[suspects], fmt)


@pytest.mark.parametrize("at", [0, 1234, 65535])
def test_one_wrong_code_among_many_is_found(at):
    codes = np.zeros(65536, np.uint8)
    wrong = codes.copy()
    wrong[at] = 1
    with pytest.raises(AssertionError, match=rf"1 of 65536 codes differ\n  x\[{at}\]"):
        assert_same_codes(wrong, codes, np.zeros(65536), "e2m2")

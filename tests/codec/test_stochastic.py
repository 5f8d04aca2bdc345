"""Stochastic rounding: bits against the oracle, frequencies, and independence of the layout."""

import math

import numpy as np
import pytest

import minifloat as mf
from minifloat.testing import assert_same_codes, decision_points, exact_encode_array

MODES = ["stochastic", "stochastic_b", "stochastic_c", "stochastic_equal"]
FORMATS = ["e2m2", "e4m3fn", "e2m2b0_nosub", "e3m0", "ue5m3", "int4", "uint4", "nf4", "float16"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fmt", FORMATS)
def test_given_words_bit_for_bit(fmt, mode):
    rng = np.random.default_rng(31)
    top = mf.parse(fmt).max
    uniform = rng.uniform(-1.1 * top, 1.1 * top, 250)
    small = rng.normal(0, 1, 250) * mf.parse(fmt).smallest
    points = decision_points(fmt)[:-1]
    x = np.concatenate([uniform, small, points[:: max(1, len(points) // 250)]])
    for bits in (1, 5, 28):
        words = rng.integers(0, 2**bits, x.shape, np.uint32)
        for dtype in (np.float32, np.float64):
            with np.errstate(over="ignore"):
                source = x.astype(dtype)
            options = {"random": words, "random_bits": bits}
            got = mf.encode(source, fmt, rounding=mode, overflow="ieee", **options)
            want = exact_encode_array(source, fmt, mode, "ieee", **options)
            assert_same_codes(got, want, source, fmt, about=f"{mode} {bits} {np.dtype(dtype)}")


@pytest.mark.parametrize("mode", MODES[:3])
def test_every_word_of_few_bits(mode):
    """With 4 bits the probability is read off all 16 words, for every 1/64 of a gap."""
    words = np.arange(16, dtype=np.uint32)
    for step in range(65):
        x = np.full(16, -(4.0 + 2 * step / 64))  # between -4 and -6 in e2m1
        got = mf.encode(x, "e2m1", rounding=mode, random=words, random_bits=4)
        away = np.count_nonzero(got == 0b1_11_1)
        sixteenths = step / 4
        want = {
            "stochastic": math.floor(sixteenths),
            "stochastic_b": math.floor(sixteenths + 0.5),
            "stochastic_c": round(sixteenths),
        }[mode]
        assert away == want


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("fmt", "x", "fraction"),
    [
        ("e2m2", 0.3, 0.2),
        ("e2m2", -5.75, 0.75),
        ("e2m2", 0.999, 0.996),
        ("e4m3fn", 0.001, 0.512),
        ("int4", -2.25, 0.25),
        ("e2m2b0_nosub", 0.1, 0.08),
        ("nf4", 0.04, 0.50264),
    ],
)
def test_frequencies(fmt, x, fraction, dtype, mode):
    count, seeds = 40_000, range(5)
    near = mf.encode(np.array([x]), fmt, rounding="toward_zero")[0]
    probability = 0.5 if mode == "stochastic_equal" else fraction
    slack = 1e-5  # of the literal fraction, and of 24 random bits
    for seed in seeds:
        codes = mf.encode(np.full(count, x, dtype), fmt, rounding=mode, seed=seed)
        away = np.count_nonzero(codes != near) / count
        sigma = math.sqrt(probability * (1 - probability) / count)
        assert abs(away - probability) < 5 * sigma + slack


def test_neighbouring_elements_and_seeds_are_independent():
    x = np.full(100_001, 1.125, np.float32)
    first, second = (
        mf.encode(x, "e2m2", rounding="stochastic", seed=seed).astype(float) for seed in (0, 1)
    )
    for other in (second, np.roll(first, 1), np.roll(first, 2), np.roll(second, 1)):
        assert abs(np.corrcoef(first, other)[0, 1]) < 5 / math.sqrt(len(x))


@pytest.mark.parametrize("mode", MODES)
def test_same_bits_whatever_the_layout(mode):
    rng = np.random.default_rng(32)
    x = rng.normal(size=2**18 + 6).astype(np.float32)
    want = mf.encode(x, "e4m3fn", rounding=mode, seed=5)

    def codes(array, **options):
        return mf.encode(array, "e4m3fn", rounding=mode, seed=5, **options)

    assert_same_codes(codes(x, threads=2), want, x, "e4m3fn", about="two threads")
    assert_same_codes(codes(np.repeat(x, 3)[::3]), want, x, "e4m3fn", about="strided")
    assert_same_codes(codes(x[::-1].copy()[::-1]), want, x, "e4m3fn", about="backward")
    table = x.reshape(-1, 2, 5)
    for array in (table, np.asfortranarray(table)):
        assert_same_codes(codes(array), want.reshape(table.shape), table, "e4m3fn", about="shape")
    out = np.empty(x.shape, np.uint8)
    assert codes(x, out=out) is out
    assert_same_codes(out, want, x, "e4m3fn", about="out")
    assert_same_codes(codes(x.astype(np.float64)), want, x, "e4m3fn", about="float64")
    # The words of a prefix are the prefix of the words: they depend on the index, not the size.
    for stop in (1, 1000, 65_537):
        assert_same_codes(codes(x[:stop]), want[:stop], x[:stop], "e4m3fn", about="prefix")
    assert np.any(codes(x[1:]) != want[1:])  # the index starts again
    assert np.any(mf.encode(x, "e4m3fn", rounding=mode, seed=6) != want)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fmt", ["e2m2", "e4m3fn", "e5m2fnuz", "e8m0", "int4", "nf4", "bnb_fp4"])
def test_exact_values_never_move(fmt, mode):
    fmt = mf.parse(fmt)
    codes = np.array([c for c in range(fmt.code_count) if math.isfinite(fmt.value(c))], np.uint8)
    values = mf.decode(codes, fmt, dtype=np.float64)
    for seed in range(20):
        assert_same_codes(
            mf.encode(values, fmt, rounding=mode, seed=seed), codes, values, fmt, about=mode
        )
    for word in (0, 2**24 - 1):
        words = np.full(values.shape, word, np.uint32)
        got = mf.encode(values, fmt, rounding=mode, random=words)
        assert_same_codes(got, codes, values, fmt, about=f"{mode} {word}")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("fmt", "top", "normal"), [("e2m2", 0.75, 1.0), ("e4m3fn", 7 / 512, 1 / 64)]
)
def test_the_top_subnormal_goes_to_its_neighbours_only(fmt, top, normal, mode):
    inside = np.random.default_rng(33).uniform(top, normal, 20_000)
    for dtype in (np.float32, np.float64):
        rounded = mf.round_to(inside.astype(dtype), fmt, rounding=mode, seed=1, dtype=np.float64)
        assert set(rounded.tolist()) == {top, normal}
        assert set(mf.round_to(-inside, fmt, rounding=mode, seed=1).tolist()) == {-top, -normal}


@pytest.mark.parametrize("mode", MODES)
def test_the_largest_values_overflow_by_chance(mode):
    x = np.full(20_000, 464.0, np.float32)  # half of the gap beyond 448
    codes = mf.encode(x, "e4m3fn", rounding=mode, overflow="ieee", seed=2)
    assert set(codes.tolist()) == {0x7E, 0x7F}
    assert abs(np.mean(codes == 0x7F) - 0.5) < 5 * 0.5 / math.sqrt(len(x))
    assert set(mf.encode(x, "e4m3fn", rounding=mode, seed=2).tolist()) == {0x7E}


def test_a_fraction_below_the_random_bits():
    """STOCHASTIC never rounds it away: its stated bias. STOCHASTIC_B and C may."""
    words = np.full(1, 2**8 - 1, np.uint32)
    x = np.array([4.0 + 2 * 0.9 / 2**8])  # 0.9 of the last of 8 bits
    codes = [
        int(mf.encode(x, "e2m1", rounding=mode, random=words, random_bits=8)[0])
        for mode in MODES[:3]
    ]
    assert codes == [0b0_11_0, 0b0_11_1, 0b0_11_1]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"random": np.zeros(3, np.uint32)}, "random"),
        ({"random": np.zeros(4, np.float32)}, "random"),
        ({"random": np.full(4, 2**24, np.uint32)}, "random"),
        ({"random_bits": 0, "seed": 1}, "random_bits"),
        ({"random_bits": 29, "seed": 1}, "random_bits"),
    ],
)
def test_bad_random_words_are_refused(options, match):
    with pytest.raises((ValueError, TypeError), match=match):
        mf.encode(np.ones(4, np.float32), "e2m1", rounding="stochastic", **options)


def test_the_name_of_p3109():
    x = np.random.default_rng(34).normal(size=1000)
    a = mf.encode(x, "e2m1", rounding="stochastic_a", seed=3)
    np.testing.assert_array_equal(a, mf.encode(x, "e2m1", rounding="stochastic", seed=3))


@pytest.mark.parametrize("mode", ["stochastic_equal", "stochastic"])
@pytest.mark.parametrize(
    ("fmt", "x"),
    [
        ("e6m1b-377_nosub", [5e-324, -(2.0**-1060), 2.0**-100]),  # some are lost beside 2**377
        (mf.Codebook([0.0, 2.0**1000, 1.5 * 2.0**1023]), [5e-324, 2.0**-60, 2.0**999]),
        (mf.Codebook([-1.5 * 2.0**1023, 1.5 * 2.0**1023]), [2.0**1023, -1.0, 2.0**-1070]),
    ],
)
def test_parts_of_gaps_that_float64_does_not_hold(mode, fmt, x):
    source = np.repeat(x, 3)
    words = np.tile(np.uint32([0, 2**23, 2**24 - 1]), 3)
    options = {"random": words, "random_bits": 24}
    got = mf.encode(source, fmt, rounding=mode, **options)
    want = exact_encode_array(source, fmt, mode, "saturate", **options)
    assert_same_codes(got, want, source, fmt, about=mode)

"""Properties of encode, decode and round_to on formats and values drawn by hypothesis."""

import math

import numpy as np
import pytest

import minifloat as mf
from minifloat.formats import Codebook, Format, Integer
from minifloat.formats.rounding import Overflow, Rounding
from minifloat.testing import (
    codes,
    exact_decode,
    exact_encode,
    formats,
    near_ties,
    random_formats,
    values,
)

pytest.importorskip("hypothesis")
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

# no deadline: the first call compiles
EXAMPLES = settings(deadline=None, max_examples=70, derandomize=True)
DETERMINISTIC = st.sampled_from([mode for mode in Rounding if not mode.is_stochastic])
TOTAL = st.sampled_from(["saturate", "saturate_finite", "ieee"])
WIDTHS = st.sampled_from([16, 32, 64])


@st.composite
def format_and_values(draw, count=6):
    fmt, width = draw(formats(max_bits=10)), draw(WIDTHS)
    strategy = values(fmt, width=width) | near_ties(fmt, width=width)
    x = draw(st.lists(strategy, min_size=1, max_size=count))
    return fmt, np.array(x, f"f{width // 8}")


@EXAMPLES
@given(format_and_values(), st.sampled_from(Rounding), st.data())
def test_encode_equals_the_oracle(case, rounding, data):
    fmt, x = case
    options = {}
    bits = data.draw(st.integers(1, 28))
    words = data.draw(st.lists(st.integers(0, 2**bits - 1), min_size=len(x), max_size=len(x)))
    if rounding.is_stochastic:
        options = {"random": np.array(words, np.uint32), "random_bits": bits}
    overflow = data.draw(st.sampled_from(Overflow))
    want = []
    try:
        for number, word in zip(x.tolist(), words, strict=True):
            code = exact_encode(number, fmt, rounding, overflow, random=word, random_bits=bits)
            want.append(code)
    except ValueError:
        with pytest.raises(ValueError, match="overflow"):
            mf.encode(x, fmt, rounding=rounding, overflow=overflow, **options)
    else:
        got = mf.encode(x, fmt, rounding=rounding, overflow=overflow, **options)
        assert got.tolist() == want


@EXAMPLES
@given(formats(max_bits=12).flatmap(lambda fmt: st.tuples(st.just(fmt), codes(fmt))))
def test_decode_then_encode_returns_the_code(case):
    fmt, code = case
    value = mf.decode(np.array([code]), fmt, dtype=np.float64)[0]
    np.testing.assert_equal(value, exact_decode(code, fmt))
    again = int(mf.encode(np.array([value]), fmt, overflow="saturate_finite")[0])
    assert again == (fmt.nan_code if math.isnan(value) else code)


@EXAMPLES
@given(format_and_values(), DETERMINISTIC, TOTAL)
def test_rounding_twice_is_rounding_once(case, rounding, overflow):
    fmt, x = case
    once = mf.round_to(x, fmt, rounding=rounding, overflow=overflow, dtype=np.float64)
    assume(not np.isnan(once).any())
    twice = mf.round_to(once, fmt, rounding=rounding, overflow=overflow, dtype=np.float64)
    assert once.tobytes() == twice.tobytes()


@EXAMPLES
@given(format_and_values(), DETERMINISTIC)
def test_order_is_kept(case, rounding):
    fmt, x = case
    rounded = mf.round_to(np.sort(x), fmt, rounding=rounding, dtype=np.float64)
    assert np.all(np.diff(rounded) >= 0)


@EXAMPLES
@given(format_and_values())
def test_nearest_even_is_a_nearest_value(case):
    fmt, x = case
    table = fmt.values()
    table = table[np.isfinite(table)]
    x = np.clip(x[np.isfinite(x)].astype(np.float64), table.min(), table.max())
    for number, rounded in zip(x, mf.round_to(x, fmt), strict=True):
        if not (isinstance(fmt, Format) and not fmt.has_zero and fmt.signed):
            assert abs(rounded - number) <= np.abs(table - number).min()


@EXAMPLES
@given(format_and_values())
def test_downward_and_upward_enclose_the_value(case):
    fmt, x = case
    x = x[np.isfinite(x)].astype(np.float64)
    low = mf.round_to(x, fmt, rounding="downward")
    high = mf.round_to(x, fmt, rounding="upward")
    assert np.all(low <= high)
    inside = (x >= fmt.min) & (x <= fmt.max)
    if isinstance(fmt, Codebook) or fmt.has_zero:
        assert np.all((low <= x)[inside])
        assert np.all((x <= high)[inside])


MIRROR = {"upward": "downward", "downward": "upward"}


@EXAMPLES
@given(format_and_values(), DETERMINISTIC)
def test_signs_are_symmetric(case, rounding):
    fmt, x = case
    assume(fmt.symmetric if isinstance(fmt, Integer) else isinstance(fmt, Format) and fmt.signed)
    one = mf.round_to(-x, fmt, rounding=rounding, dtype=np.float64)
    other = mf.round_to(x, fmt, rounding=MIRROR.get(rounding, rounding), dtype=np.float64)
    if isinstance(fmt, Integer) or fmt.has_zero:
        np.testing.assert_array_equal(one, -other)


@EXAMPLES
@given(st.integers(0, 10_000), st.integers(-200, 200), DETERMINISTIC)
def test_a_power_of_two_moves_into_the_bias(seed, shift, rounding):
    fmt = random_formats(np.random.default_rng(seed), 1)[0]
    moved = Format(
        fmt.exponent_bits,
        fmt.mantissa_bits,
        bias=fmt.bias - shift,
        signed=fmt.signed,
        subnormals=fmt.subnormals,
        specials=fmt.specials,
    )
    x = np.random.default_rng(seed).normal(size=50) * fmt.max / 2
    np.testing.assert_array_equal(
        mf.encode(x, fmt, rounding=rounding),
        mf.encode(np.ldexp(x, shift), moved, rounding=rounding),
    )


@EXAMPLES
@given(
    hnp.arrays(
        st.sampled_from([np.float16, np.float32, np.float64]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6),
        elements=st.floats(-16, 16, width=16),
    ),
    st.data(),
)
def test_shapes_and_strides(x, data):
    steps = tuple(slice(None, None, data.draw(st.sampled_from([1, 2, -1, -2]))) for _ in x.shape)
    view = x[steps].transpose(data.draw(st.permutations(range(x.ndim))))
    got = mf.encode(view, "e4m3fn")
    assert np.shape(got) == view.shape
    want = [exact_encode(number, "e4m3fn") for number in view.ravel().tolist()]
    assert np.ravel(got).tolist() == want
    back = mf.decode(got, "e4m3fn", dtype=np.float32)
    np.testing.assert_array_equal(back, mf.round_to(view, "e4m3fn", dtype=np.float32))


@EXAMPLES
@given(formats(max_bits=8))
def test_formats_are_usable(fmt):
    assert 1 <= fmt.bits <= 8
    assert fmt.max >= fmt.min


@EXAMPLES
@given(st.data())
def test_drawn_values_have_the_width(data):
    fmt, width = data.draw(formats(max_bits=8)), data.draw(WIDTHS)
    x = data.draw(values(fmt, width=width))
    assert not math.isnan(x)
    assert float(np.dtype(f"f{width // 8}").type(x)) == x


@EXAMPLES
@given(near_ties("e2m2", width=32))
def test_near_ties_are_near_midpoints(x):
    grid = np.arange(-9, 9.01, 0.125)
    assert np.min(np.abs(grid - x)) <= 2**-20 * max(abs(x), 2**-120)


@EXAMPLES
@given(near_ties(Codebook([-3.0, 1.0]), width=32))
def test_near_ties_of_a_codebook_without_zero(x):
    assert min(abs(abs(x) - tie) for tie in (1.0, 2.5, 4.5)) < 1e-5  # 2.5 and 4.5 lie beyond


def test_other_widths_are_refused():
    with pytest.raises(ValueError, match="width must be 16, 32 or 64"):
        values("e2m2", width=80)

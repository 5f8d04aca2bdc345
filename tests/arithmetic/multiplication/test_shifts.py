"""Weights as sums of powers of two: the formats, their terms, and products by shifts."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat import arithmetic
from minifloat.formats.published import PUBLISHED
from tests.arithmetic.multiplication.slow_products import fewest_powers

FAMILIES = [name for name in PUBLISHED if name.startswith(("pot", "sp2_", "apot"))]
FORMATS = [*FAMILIES, "int4", "int8full", "uint8", "e2m2", "e4m3fn", "e3m4ieee", "bipolar_int4"]
SMALL = [name for name in FORMATS if mf.parse(name).bits < 8]

# What APoT's authors list for weights of 3 to 7 bits: magnitudes over the largest, ascending.
APOT = {
    3: [0, 1 / 4, 1 / 2, 1],
    4: [0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1],
    5: [n / 48 for n in (0, 1, 2, 3, 4, 6, 8, 9, 12, 16, 18, 24, 32, 33, 36, 48)],
}


@pytest.mark.parametrize("name", FAMILIES)
def test_names_mean_formats_of_so_many_bits(name: str) -> None:
    fmt = mf.parse(name)
    width = int(name[-1])
    assert fmt.bits == width
    assert mf.parse(fmt.name) == fmt == mf.Codebook(PUBLISHED[name])
    values = fmt.values()
    np.testing.assert_array_equal(values, -values[::-1])
    assert (np.diff(values) > 0).all()
    assert fmt.smallest == 1


def test_recipes_take_them() -> None:
    recipe = mf.Recipe.parse("apot5/32/float16")
    assert mf.Recipe.parse(str(recipe)) == recipe
    q = mf.quantize([[48.0, -33.0, 9.0, 0.0]], recipe)
    assert q.dequantize().tolist() == [[48.0, -33.0, 9.0, 0.0]]


@pytest.mark.parametrize("bits", range(2, 9))
def test_powers_of_two_are_zero_and_all_that_fit(bits: int) -> None:
    """Li et al. build 2**(bits - 1) magnitudes: 0, 1, 1/2, 1/4 ..."""
    values = mf.parse(f"pot{bits}").values()
    magnitudes = [0.0, *(0.5**k for k in range(2 ** (bits - 1) - 1))]
    assert (values[values >= 0] / values.max()).tolist() == sorted(magnitudes)


@pytest.mark.parametrize("bits", APOT)
def test_apot_has_its_authors_values(bits: int) -> None:
    values = mf.parse(f"apot{bits}").values()
    np.testing.assert_allclose(values[values >= 0] / values.max(), APOT[bits], rtol=1e-15)


@pytest.mark.parametrize(("bits", "least"), [(6, 3), (7, 3)])
def test_apot_of_more_bits_has_as_many_values_as_codes(bits: int, least: int) -> None:
    fmt = mf.parse(f"apot{bits}")
    assert fmt.code_count == 2**bits - 1
    counts = [bin(int(abs(value))).count("1") for value in fmt.values()]
    assert max(counts) == least


def test_sp2_of_4_bits_has_the_seven_magnitudes_of_its_paper() -> None:
    values = mf.parse("sp2_4").values()
    assert (values[values >= 0] / 8).tolist() == [0, 1 / 8, 1 / 4, 1 / 2, 5 / 8, 3 / 4, 1]


def check_terms(name: str, terms_of: Callable[[str], Any]) -> None:
    fmt = mf.parse(name)
    terms = terms_of(name)
    assert len(terms) == fmt.code_count
    unit = Fraction(fmt.smallest)
    largest = int(fmt.max_abs / fmt.smallest)
    fewest = fewest_powers(largest + 1) if largest < 2**12 else None
    for code, powers in enumerate(terms):
        value = fmt.value(code)
        assert (powers is None) == (not np.isfinite(value))
        if powers is None:
            continue
        assert sum(p.sign * Fraction(2) ** p.exponent for p in powers) == Fraction(value)
        exponents = [p.exponent for p in powers]
        assert exponents == sorted(exponents, reverse=True)
        if fewest:
            assert len(powers) == fewest[int(abs(Fraction(value)) / unit)], value


@pytest.mark.parametrize("name", [n for n in FORMATS if n not in ("pot7", "pot8")])
def test_terms_add_up_and_none_is_too_many(name: str) -> None:
    check_terms(name, arithmetic.shift_terms)


@pytest.mark.parametrize("mistake", ["binary digits", "wrong sign", "one short"])
def test_the_check_of_terms_finds_mistakes(mistake: str) -> None:
    def wrong(name: str) -> Any:
        terms = list(arithmetic.shift_terms(name))
        if mistake == "binary digits":
            terms[7] = tuple(arithmetic.SignedPower(1, k) for k in (2, 1, 0))
        elif mistake == "wrong sign":
            terms[7] = tuple(p._replace(sign=1) for p in terms[7] or ())
        else:
            terms[7] = (terms[7] or ())[:-1]
        return tuple(terms)

    with pytest.raises(AssertionError):
        check_terms("int4", wrong)


def test_the_most_terms_of_a_format() -> None:
    """E2M2 is a format for shifts and additions itself: no value has more than two terms."""
    most = {"pot4": 1, "sp2_4": 2, "apot4": 2, "apot5": 2, "e2m1": 2, "e2m2": 2, "int4": 2}
    most |= {"int5": 3, "int8": 4, "e4m3fn": 3}
    for name, count in most.items():
        assert max(len(t) for t in arithmetic.shift_terms(name) if t is not None) == count, name


def check_products(name: str, numbers: np.ndarray, multiply: Callable[..., Any]) -> None:
    fmt = mf.parse(name)
    codes = np.array([c for c in range(fmt.code_count) if np.isfinite(fmt.value(c))])
    got = multiply(numbers[:, None], codes, fmt)
    for i, x in enumerate(numbers.tolist()):
        for j, code in enumerate(codes.tolist()):
            assert Fraction(got[i, j]) == x * Fraction(fmt.value(code)), (x, code)


@pytest.mark.parametrize("name", SMALL)
def test_products_with_all_8_bit_integers_are_exact(name: str) -> None:
    check_products(name, np.arange(-128, 128, dtype=np.int8), arithmetic.shift_add)


@pytest.mark.parametrize("name", ["pot8", "sp2_8", "int8", "e4m3fn"])
def test_products_of_8_bits_are_exact(name: str) -> None:
    check_products(name, np.arange(-128, 128, 5, dtype=np.int8), arithmetic.shift_add)


@pytest.mark.long
@pytest.mark.parametrize("name", [n for n in FORMATS if n not in SMALL])
def test_all_products_of_8_bits_are_exact(name: str) -> None:
    check_products(name, np.arange(-128, 128, dtype=np.int8), arithmetic.shift_add)


@pytest.mark.parametrize("name", ["e2m2", "apot4", "nf4"])
def test_products_with_the_largest_integers_are_exact(name: str) -> None:
    fmt = mf.parse(name)
    terms = [powers for powers in arithmetic.shift_terms(fmt) if powers]
    limit = 2 ** (52 - max(p[0].exponent - p[-1].exponent for p in terms))
    check_products(name, np.array([limit, -limit, limit - 1]), arithmetic.shift_add)
    with pytest.raises(ValueError, match=rf"x must be in -{limit}\.\.{limit}"):
        arithmetic.shift_add(limit + 1, 1, fmt)


@pytest.mark.parametrize("mistake", [
    lambda x, c, f: arithmetic.shift_add(np.abs(x), c, f),
    lambda x, c, f: arithmetic.shift_add(x, c[::-1], f),
    lambda x, c, f: np.ldexp(x, arithmetic.shift_terms(f)[-1][0].exponent) + 0 * c,
])  # fmt: skip
def test_the_check_of_products_finds_mistakes(mistake: Callable[..., Any]) -> None:
    with pytest.raises(AssertionError):
        check_products("apot4", np.arange(-8, 8), mistake)


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: arithmetic.shift_add(1.0, 1, "pot4"), TypeError, "x must be integers, got float64"),
    (lambda: arithmetic.shift_add(1, 1.0, "pot4"), TypeError, "codes must be integers"),
    (lambda: arithmetic.shift_add(1, 15, "pot4"), ValueError, r"codes must be in 0\.\.14"),
    (lambda: arithmetic.shift_add(1, 0x7F, "e4m3fn"), ValueError, "codes must have finite values"),
    (lambda: arithmetic.shift_add(2**60, 1, "pot4"), ValueError, "x must be in"),
    (lambda: arithmetic.shift_add([1, 2], [1, 2, 3], "pot4"), ValueError, "broadcast"),
    (lambda: arithmetic.shift_terms("pot9"), ValueError, "fmt must be a known format name"),
])  # fmt: skip
def test_errors(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()

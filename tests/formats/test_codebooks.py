"""Codebooks as values, and published codebooks against their constructions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from numpy.typing import NDArray

from minifloat.formats import Codebook
from minifloat.formats.catalogue import ALIASES, CATALOGUE
from minifloat.formats.names import parse


def test_codebook_distinguishes_the_zeros() -> None:
    book = Codebook([0.0, 1.0, -0.0, -1.0], "signed")
    assert book.has_negative_zero
    assert book != Codebook([-0.0, 1.0, 0.0, -1.0], "signed")
    assert (book.bits, book.code_count, book.smallest) == (2, 4, 1.0)
    assert [book.kind(code) for code in range(4)] == ["zero", "normal", "zero", "normal"]
    assert not Codebook([1, 2, 3]).has_zero


def test_codebook_equality_ignores_the_name() -> None:
    assert Codebook([0, 1, 3], "a") == Codebook([0.0, 1.0, 3.0], "b")
    assert hash(Codebook([0, 1, 3], "a")) == hash(Codebook([0.0, 1.0, 3.0], "b"))
    assert Codebook([0, 1, 3]).bits == 2
    assert list(Codebook(range(5))) == [0, 1, 2, 3, 4]
    assert Codebook(range(5)).bits == 3


def test_nf4_follows_from_normal_quantiles() -> None:
    assert_quantile_book("nf4", scipy.stats.norm.ppf, 0.9677083, 2e-7)


def test_nf5_follows_from_normal_quantiles() -> None:
    """FPE2M2's code uses the offset of NF4."""
    assert_quantile_book("nf5", scipy.stats.norm.ppf, 0.9677083, 6e-8)


def test_sf4_follows_from_student_t_quantiles() -> None:
    assert_quantile_book("sf4", scipy.stats.t(5).ppf, 0.9677083, 2e-6)


def assert_quantile_book(
    name: str, quantile: Callable[..., NDArray[np.float64]], offset: float, tolerance: float
) -> None:
    """Check for evenly spaced quantiles: half positive, one fewer negative, and 0 (QLoRA)."""
    half = parse(name).code_count // 2
    positive = quantile(np.linspace(offset, 0.5, half + 1)[:-1])
    negative = -quantile(np.linspace(offset, 0.5, half)[:-1])
    book = np.sort(np.concatenate([negative, [0.0], positive]))
    np.testing.assert_allclose(parse(name).values(), book / book.max(), rtol=0, atol=tolerance)


@pytest.mark.parametrize(("name", "block_size"), [("af4", 64), ("af4_32", 32)])
def test_af4_values_are_the_medians_of_their_cells(name: str, block_size: int) -> None:
    """Medians minimise the expected absolute error; the values beside the fixed 0 are not free."""
    book = parse(name).values()
    middles = cdf_in_block((book[1:] + book[:-1]) / 2, block_size)
    medians = cdf_in_block(book[1:-1], block_size)
    free = np.abs(np.arange(1, 15) - 7) > 1
    np.testing.assert_allclose((middles[1:] + middles[:-1])[free] / 2, medians[free], atol=1e-7)


def cdf_in_block(x: NDArray[np.float64], block_size: int) -> NDArray[np.float64]:
    """Return the distribution of a normal divided by the absmax of the others in its block."""
    absmax, normal = np.linspace(1e-6, 9, 20001), scipy.stats.norm
    below = 2 * normal.cdf(absmax) - 1
    density = block_size * below ** (block_size - 1) * 2 * normal.pdf(absmax)
    conditional = (normal.cdf(np.multiply.outer(x, absmax)) - normal.cdf(-absmax)) / below
    return scipy.integrate.simpson(conditional * density, x=absmax, axis=-1)


def test_codebooks_have_float32_values() -> None:
    for name in ("nf4", "af4", "af4_32", "sf4", "bnb_fp4"):
        values = parse(name).values()
        np.testing.assert_array_equal(values.astype(np.float32).astype(np.float64), values)


def test_bnb_fp4_in_twelfths() -> None:
    twelfths = np.array([0, 0.0625, 8, 12, 4, 6, 2, 3])
    values = parse("bnb_fp4").values() * 12
    np.testing.assert_allclose(values, np.append(twelfths, -twelfths), rtol=1e-7)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
def test_bipolar_integers_are_the_odd_integers(bits: int) -> None:
    values = parse(f"bipolar_int{bits}").values()
    top = 2**bits - 1
    assert values.tolist() == list(range(-top, top + 1, 2))
    for code in range(2**bits):
        signs = [1 if code >> i & 1 else -1 for i in range(bits)]
        assert values[code] == sum(sign * 2**i for i, sign in enumerate(signs))


def test_mxint8_is_int8_in_64ths() -> None:
    f = parse("mxint8")
    assert (f.max, f.min, f.smallest) == (1.984375, -2.0, 0.015625)
    codes = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(f.values(), codes.view(np.int8).astype(np.float64) / 64)


@pytest.mark.parametrize(
    "name",
    ["", "x" * 65, "\x1b[31mRED", "a\n", "a\0b", "\ud800", "right\u202eleft", "tab\t", " x", "x "],
)
def test_a_name_is_short_and_printable(name: str) -> None:
    with pytest.raises(ValueError, match=r"^name must be 1 to 64 printable .*, no space at "):
        Codebook([0, 1], name)


@pytest.mark.parametrize(
    "name", [*CATALOGUE, *ALIASES, "e3m7b-5fn", "binary9p2ue", "int11", "E2M2", "[0 1]"]
)
def test_a_name_is_not_that_of_a_format_with_other_values(name: str) -> None:
    for spelling in (name, name.upper(), f"{name} (bits 1)", f"{name}("):
        with pytest.raises(ValueError, match="name must not be the name of a format with other"):
            Codebook([0.25, 1.25, 2.25], spelling)


def test_a_name_has_no_slash_which_ends_the_format_in_a_recipe() -> None:
    for name in ("nf4/64", "/", "mine/"):
        with pytest.raises(ValueError, match=f"^name must have no /, . or @, got '{name}'; use an"):
            Codebook([0, 1], name)


def test_a_codebook_may_be_made_again_under_its_published_name() -> None:
    for fmt in CATALOGUE.values():
        if isinstance(fmt, Codebook):
            assert Codebook(fmt.codebook, fmt.name) == fmt
    zeros = [value + 0.0 for value in parse("bnb_fp4").values()]  # -0 becomes 0: other values
    with pytest.raises(ValueError, match="name must not be the name"):
        Codebook(zeros, "bnb_fp4")


def test_html_shows_a_name_as_text() -> None:
    assert "<caption>Codebook &lt;b&gt;&amp;</caption>" in Codebook([0, 1], "<b>&")._repr_html_()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1", "2"], "codebook must hold real numbers, got '1' at code 0"),
        ([0.0, None], "codebook must hold real numbers, got None at code 1"),
        ([0.0, [1.0]], "codebook must hold real numbers"),
        ([np.True_, 0], "codebook must hold real numbers, got (np.)?True_? at code 0"),
        ([0, np.array(True)], "codebook must hold real numbers, .* at code 1"),
        (np.array([False, True]), "codebook must hold real numbers, .* at code 0"),
        (np.array([1 + 2j, 3]), "codebook must hold real numbers, .* at code 0"),
        ([0, np.complex64(1)], "codebook must hold real numbers, .* at code 1"),
        ([np.array(1j), 2], "codebook must hold real numbers, .* at code 0"),
        (np.array([[1.0], [2.0]]), r"codebook must hold real numbers, got array\(\[1\.\]\) at co"),
        (np.array([1, 2], "m8[s]"), "codebook must hold real numbers, .* at code 0"),
        (np.array([1, 2], "M8[s]"), "codebook must hold real numbers, .* at code 0"),
        (3.0, "codebook must be a sequence of numbers, got 3.0"),
        (np.array(3.0), r"codebook must be a sequence of numbers, got array\(3\.\)"),
        ({3.0, 1.0}, r"codebook must be a sequence of numbers, got {"),
        ({3.0: 1, 1.0: 2}, r"codebook must be a sequence of numbers, got {"),
        (np.ma.masked_invalid([1.0, np.nan]), r"got a masked array; use codebook.compressed\(\)"),
    ],
)
def test_values_are_real_numbers(values: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Codebook(values)


def test_minus_zero_is_below_zero_at_both_ends() -> None:
    above = [Codebook([0.0, -0.0, 1.0]), Codebook([1.0, -0.0, 0.0])]
    assert [(book.min_code, math.copysign(1, book.min)) for book in above] == [(1, -1), (1, -1)]
    below = [Codebook([0.0, -0.0, -1.0]), Codebook([-1.0, -0.0, 0.0])]
    assert [(book.max_code, math.copysign(1, book.max)) for book in below] == [(0, 1), (2, 1)]

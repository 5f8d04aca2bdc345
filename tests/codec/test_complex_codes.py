"""Complex codes: nearest values on fractions, half-open sectors, and what refuses the format."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.codec.complex_codes import decode, encode, round_to
from minifloat.formats.complex_codebook import FAIRY, ComplexCodebook

SQUARE = ComplexCodebook([0, 1, 1j, -1, -1j, 1 + 1j, -1 + 1j, -1 - 1j, 1 - 1j], "square")
EIGHT = ComplexCodebook(np.exp(2j * np.pi * np.arange(8) / 8), "eight phases")
MINE = ComplexCodebook([0.5 - 0.25j, 2, -1.5j], "mine")


def slow_codes(z: complex, fmt: ComplexCodebook) -> list[int]:
    """Return the codes of the nearest values, on fractions."""
    x, y = Fraction(z.real), Fraction(z.imag)
    squares = [(x - Fraction(c.real)) ** 2 + (y - Fraction(c.imag)) ** 2 for c in fmt.codebook]
    return [code for code, square in enumerate(squares) if square == min(squares)]


def numbers() -> np.ndarray:
    """Return numbers of all sizes, also on and beside the borders of sectors."""
    rng = np.random.default_rng(1)
    some = rng.standard_normal((200, 2)) @ [1, 1j]
    small = rng.integers(-4, 5, (80, 2)) @ [0.5, 0.5j]
    sizes = 2.0 ** rng.integers(-500, 500, 100)
    edge = sizes * (rng.choice([-1, 1], 100) + 1j * rng.choice([-1, 1], 100))
    beside = np.nextafter(edge.real, 0) + 1j * edge.imag
    return np.concatenate([some, small, edge, beside, [0, 5e-324, 5e-324j, 1e308 + 1e308j]])


@pytest.mark.parametrize("fmt", [FAIRY, SQUARE, EIGHT, MINE], ids=lambda fmt: fmt.name)
def test_codes_are_the_nearest(fmt: ComplexCodebook) -> None:
    z = numbers()
    if fmt is not FAIRY:  # of others magnitudes differ: what is far beyond them is rounded
        z = z[(np.abs(z) < 1e3) & ((np.abs(z) > 1e-3) | (z == 0))]
    for number, code in zip(z.tolist(), encode(z, fmt).tolist(), strict=True):
        nearest = slow_codes(number, fmt)
        if len(nearest) == 1 and fmt is not EIGHT:
            assert code == nearest[0]
        else:
            distances = np.abs(number - fmt.values())
            assert distances[code] <= distances.min() * (1 + 1e-12) + 1e-15


def test_a_tie_goes_counterclockwise() -> None:
    """So sectors are half open: real ones from -45 degrees on, imaginary ones from 45 on."""
    for size in (1.0, 3.0, 5e-324, 1.7e308):
        corners = size * np.array([1 - 1j, 1 + 1j, -1 + 1j, -1 - 1j])
        assert encode(corners).tolist() == [0, 1, 2, 3]
    degrees = np.arange(-179.5, 180)
    wanted = np.floor((degrees + 45) / 90).astype(int) % 4
    np.testing.assert_array_equal(encode(np.exp(1j * np.radians(degrees))), wanted)
    assert encode(0) == 0
    order = np.random.default_rng(2).permutation(4)
    shuffled = ComplexCodebook([FAIRY.value(k) for k in order])
    z = numbers()
    z = z[z != 0]
    np.testing.assert_array_equal(round_to(z, shuffled), round_to(z))


def test_codes_come_back() -> None:
    for fmt in (FAIRY, SQUARE, EIGHT, MINE):
        codes = np.arange(fmt.code_count)
        np.testing.assert_array_equal(encode(fmt.values(), fmt), codes)
        np.testing.assert_array_equal(encode(decode(codes, fmt), fmt), codes)
        assert decode(codes, fmt).dtype == np.complex64
        np.testing.assert_allclose(decode(codes, fmt), fmt.values(), rtol=1e-7)
    assert encode(np.zeros((2, 0, 3), np.complex64)).shape == (2, 0, 3)
    assert encode(np.float32([-2.0])).tolist() == [2]


def test_a_codebook() -> None:
    assert (FAIRY.bits, FAIRY.code_count, SQUARE.bits, MINE.bits) == (2, 4, 4, 2)
    assert FAIRY.is_phases
    assert EIGHT.is_phases
    assert not SQUARE.is_phases
    assert ComplexCodebook([1, 1j, -1, -1j], "fairy") == FAIRY
    assert ComplexCodebook([1, 1j, -1], "fairy") != FAIRY
    assert len({FAIRY, ComplexCodebook([1, 1j, -1, complex(-0.0, -1)], "fairy")}) == 1
    zeros = ComplexCodebook([complex(1, -0.0), complex(-0.0, 1)])
    assert [repr(zeros.value(code)) for code in (0, 1)] == ["(1+0j)", "1j"]
    assert str(SQUARE) == "square (bits 4, values 9)"


REFUSED: dict[str, Callable[[Any], object]] = {
    "parse": mf.parse,
    "encode": lambda fmt: mf.encode([1.0], fmt),
    "decode": lambda fmt: mf.decode([0], fmt),
    "round_to": lambda fmt: mf.round_to([1.0], fmt),
    "Recipe": mf.Recipe,
    "Recipe.parse": mf.Recipe.parse,
    "quantize": lambda fmt: mf.quantize([1.0], fmt),
    "gptq": lambda fmt: mf.gptq([[1.0]], fmt, [[1.0]]),
    "search_format": lambda fmt: mf.search_format([1.0], 4, fmt),
    "compare": lambda fmt: mf.compare({"w": np.ones((2, 2), "f4")}, [fmt]),
    "allocate": lambda fmt: mf.allocate({"w": np.ones((2, 2), "f4")}, [fmt], 8.0),
    "multiplier": lambda fmt: mf.hardware.multiplier(fmt, fmt),
}


@pytest.mark.parametrize("verb", REFUSED)
def test_verbs_of_real_numbers_refuse_complex_codes(verb: str) -> None:
    with pytest.raises(TypeError, match=r"ComplexCodebook fairy|must be"):
        REFUSED[verb](FAIRY)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ComplexCodebook([1]), "2 to 256 values"),
        (lambda: ComplexCodebook(range(300)), "2 to 256 values"),
        (lambda: ComplexCodebook([1, 1 + 0j]), "no value twice"),
        (lambda: ComplexCodebook([0, complex(-0.0, -0.0)]), "no value twice"),
        (lambda: ComplexCodebook([1, complex("nan")]), "float32"),
        (lambda: ComplexCodebook([1, 10**400]), "float32"),
        (lambda: ComplexCodebook([1, 1e39j]), "float32"),
        (lambda: ComplexCodebook(["1", 1j]), "numbers"),  # type: ignore[list-item]
        (lambda: ComplexCodebook([True, 1j]), "numbers"),
        (lambda: ComplexCodebook(3), "sequence"),  # type: ignore[arg-type]
        (lambda: ComplexCodebook([1, 1j], ""), "name must be"),
        (lambda: ComplexCodebook([1, 1j], 3), "name must be"),  # type: ignore[arg-type]
        (lambda: FAIRY.value(4), "code must be in"),
        (lambda: encode([1], "fairy"), "fmt must be a ComplexCodebook"),  # type: ignore[arg-type]
        (lambda: encode([1], mf.parse("e2m2")), "fmt must be a Complex"),  # type: ignore[arg-type]
        (lambda: encode([1, complex("inf")]), r"z must be finite, got .*at index \(1,\)"),
        (lambda: encode(["a"]), "z must be"),
        (lambda: encode([True]), "z must be"),
        (lambda: decode([4]), "codes must be in 0..3"),
        (lambda: decode([-1]), "codes must be in 0..3"),
        (lambda: decode([0.5]), "integers"),
    ],
)
def test_bad_arguments(call: Callable[[], object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        call()

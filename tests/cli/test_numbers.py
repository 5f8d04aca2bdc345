"""Numbers on the command line are read exactly, in time and memory that do not grow with them."""

from __future__ import annotations

import math
import time
from decimal import Decimal
from fractions import Fraction

import pytest

from minifloat.cli.numbers import DIGITS, Number, read_integer, read_number, rounded


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1", Fraction(1, 10)),
        ("-.5", Fraction(-1, 2)),
        ("+7.", Fraction(7)),
        (" 1e3 ", Fraction(1000)),
        ("1E-3", Fraction(1, 1000)),
        ("1/3", Fraction(1, 3)),
        ("-10/4", Fraction(-5, 2)),
        ("0x1.8p-3", Fraction(3, 16)),
        ("-0X.8", Fraction(-1, 2)),
        ("0xff", Fraction(255)),
        ("007.50", Fraction(15, 2)),
        ("1.00000000000000000000000000000001", 1 + Fraction(1, 10**32)),
        ("5e-" + "0" * 5000 + "1", Fraction(1, 2)),
        ("1" + "0" * 3000, Fraction(10) ** 3000),
    ],
)
def test_a_number_has_its_exact_value(text: str, value: Fraction) -> None:
    assert read_number(text) == Number(value)


@pytest.mark.parametrize("power", [-1074, -1022, -30, 0, 30, 1023])
def test_hexadecimal_agrees_with_python(power: int) -> None:
    text = (1.7 * 2.0**power).hex()
    number = read_number(text)
    assert number is not None
    assert number.value == Fraction(float.fromhex(text))


@pytest.mark.parametrize("text", ["3.14159e20", "-2.5e-320", "1e400", "9" * 50 + "e-60"])
def test_decimal_agrees_with_the_decimal_module(text: str) -> None:
    number = read_number(text)
    assert number is not None
    assert number.value == Fraction(Decimal(text))


@pytest.mark.parametrize("text", ["-0", "-0.000", "-0e99999999999999999999", "-0x0p5", "-0/3"])
def test_minus_zero_keeps_its_sign(text: str) -> None:
    number = read_number(text)
    assert number is not None
    assert math.copysign(1, number.value) == -1


def test_infinities_and_nan() -> None:
    assert read_number("inf") == read_number("+Infinity") == Number(math.inf)
    assert read_number("-INF") == Number(-math.inf)
    nan = read_number("nan")
    assert nan is not None
    assert math.isnan(nan.value)


@pytest.mark.parametrize(
    "text",
    ["", "-", ".", "e5", "1e", "1_000", "0x", "0x.p3", "1/0", "1/2/3", "1.5/3", "\u0663", "--1",
     "1 2", "0x1p1_0", "one", "+-1", "\uff11"],
)  # fmt: skip
def test_what_is_no_number_is_none(text: str) -> None:
    assert read_number(text) is None


@pytest.mark.parametrize(
    ("text", "beyond"),
    [
        ("1e-5000000", 0),
        ("1e999999999", 1),
        ("-1e999999999999999999999999", -1),
        ("0x1p99999999999999", 1),
        ("1e" + "9" * 100_000, 1),
        ("9" * 100_000, 1),
        ("0." + "0" * 100_000 + "1", 0),
    ],
)
def test_an_extreme_number_is_one_that_rounds_alike(text: str, beyond: int) -> None:
    start = time.process_time()
    number = read_number(text)
    assert time.process_time() - start < 1
    assert number is not None
    assert not number.is_exact
    assert isinstance(number.value, Fraction)
    if beyond:
        assert number.value * beyond > Fraction(2) ** 1100
    else:
        assert 0 < number.value < Fraction(1, 2**1100)


def test_digits_beyond_all_decision_points_are_sticky() -> None:
    half = "0.5" + "0" * (DIGITS + 50)
    at, above = read_number(half), read_number(half + "1")
    assert at is not None
    assert above is not None
    assert at.value == Fraction(1, 2)
    assert Fraction(1, 2) < above.value < Fraction(1, 2) + Fraction(1, 10**1500)


@pytest.mark.parametrize(
    ("text", "value"),
    [("7", 7), ("-7", -7), (" 0x1F ", 31), ("0b101", 5), ("0o17", 15), ("007", 7), ("1_0", None),
     ("\u0663", None), ("1.0", None), ("9" * 4500, None), ("0b102", None), ("", None)],
)  # fmt: skip
def test_integers(text: str, value: int | None) -> None:
    assert read_integer(text) == value


def test_a_fraction_in_decimal() -> None:
    assert rounded(Fraction(1, 3) * 10**400, 4) == "3.333e+399"
    assert rounded(-Fraction(1, 3) / 10**400, 4) == "-3.333e-401"
    assert rounded(Fraction(-1, 40_000), 4) == "-2.5e-05"
    assert [rounded(Fraction(n, 8), 4) for n in (1, -80, 0)] == ["0.125", "-10", "0"]

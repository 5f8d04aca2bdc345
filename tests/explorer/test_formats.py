"""The explorer's formats and rounding are the library's, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from docs.generators.explorer.formats import description
from minifloat.formats.catalogue import CATALOGUE
from minifloat.formats.rounding import Overflow, Rounding
from minifloat.testing import decision_points
from tests.explorer.cases import (
    encode_case,
    gap_points,
    library_codes,
    library_nan,
    oracle_code,
    outside,
    page_codes,
    random_formats,
    words,
)

Run = Callable[[list[dict[str, Any]]], list[Any]]
SMALL = [name for name, fmt in CATALOGUE.items() if fmt.bits <= 8]
QUICK = ("e2m2", "int5", "e4m3fn", "binary4p2se", "binary5p3sf", "ue4m3", "nf4", "bipolar_int2")


def check_codes(run: Run, formats: list[mf.NumberFormat]) -> None:
    """Values and kinds of all codes."""
    asked = [
        {"ask": "codes", "format": description(fmt) if isinstance(fmt, mf.Format) else fmt.name}
        for fmt in formats
    ]
    for fmt, rows in zip(formats, run(asked), strict=True):
        values = fmt.values()
        values[np.isnan(values)] = math.nan  # the word of NumPy's own
        assert [word for word, _ in rows] == words(values), fmt
        assert [kind for _, kind in rows] == [fmt.kind(code) for code in range(fmt.code_count)], fmt


Answered = tuple[mf.NumberFormat, dict[str, Any], dict[str, list[list[int]]]]


def answered(asked: list[tuple[mf.NumberFormat, np.ndarray]]) -> list[Answered]:
    """Return formats, cases of numbers in them, and the library's codes."""
    rng = np.random.default_rng(len(asked))
    cases = [encode_case(fmt, numbers, rng) for fmt, numbers in asked]
    return [
        (fmt, case, library_codes(fmt, numbers, case["words"]))
        for (fmt, numbers), case in zip(asked, cases, strict=True)
    ]


def check_encode(run: Run, asked: list[tuple[mf.NumberFormat, np.ndarray]]) -> None:
    """Numbers in formats, under all modes and policies."""
    check_answers(run, answered(asked))


def check_answers(run: Run, answers: list[Answered]) -> None:
    """The page has the library's codes."""
    cases = [case for _, case, _ in answers]
    for (fmt, _, expected), found in zip(answers, run(cases), strict=True):
        answer = page_codes(found)
        assert list(answer) == list(expected)
        for mode, columns in expected.items():
            for overflow, own, theirs in zip(Overflow, columns, answer[mode], strict=True):
                assert theirs == own, (fmt, mode, overflow)


def points_of(fmt: mf.NumberFormat) -> np.ndarray:
    points = decision_points(fmt)[:-1]  # without NaN
    return points[np.abs(points) < 1e300] if fmt.bits > 8 else points


def test_codes_and_kinds_of_small_formats(run: Run) -> None:
    check_codes(run, [CATALOGUE[name] for name in SMALL])


def test_all_modes_and_policies_at_some_decision_points(run: Run) -> None:
    rng = np.random.default_rng(0)
    asked = []
    for fmt in map(mf.parse, QUICK):
        near = [float(x) for x in gap_points(fmt, rng, 40)]
        asked.append((fmt, np.array([*rng.choice(points_of(fmt), 50), *near, *outside(fmt)])))
    check_encode(run, asked)


def test_own_codebooks(run: Run) -> None:
    values = [-1.0, 0.3, 0.0, -0.4, -0.0, 1.0]
    own = mf.Codebook(values)
    case = encode_case(own, np.linspace(-1.5, 1.5, 61), np.random.default_rng(6))
    case["format"] = "[-1 0.3 0 -0.4 -0 1]"
    answer = page_codes(run([case])[0])
    assert answer == library_codes(own, np.linspace(-1.5, 1.5, 61), case["words"])


def test_nan_policies(run: Run) -> None:
    formats = list(CATALOGUE.values())
    answers = run([{"ask": "nan", "format": name} for name in CATALOGUE])
    assert answers == [library_nan(fmt) for fmt in formats]


def test_names_and_fields_of_random_formats(run: Run) -> None:
    formats = list(random_formats(200, np.random.default_rng(1)))
    answers = run([{"ask": "name", "format": description(fmt)} for fmt in formats])
    for fmt, answer in zip(formats, answers, strict=True):
        assert answer == {"name": fmt.name, "fields": description(fmt)}


def test_fractions_are_rounded_once(run: Run) -> None:
    rng = np.random.default_rng(2)
    formats = [mf.parse(name) for name in ("e2m2", "int5", "ue4m3", "e3m2_nosub", "af4")]
    for fmt in formats:
        points = gap_points(fmt, rng, 20)
        # a fraction so near to a tie that its float64 number is the tie
        texts = [p * (1 + Fraction(int(s), 3 * 2**60)) for p in points for s in (-1, 0, 1)]
        case = encode_case(fmt, np.zeros(len(texts)), rng)
        case["numbers"] = [f"{x.numerator}/{x.denominator}" for x in texts]
        answer = page_codes(run([case])[0])
        for mode in Rounding:
            for column, overflow in zip(answer[str(mode)], Overflow, strict=True):
                expected = [
                    oracle_code(x, fmt, str(mode), str(overflow), word)
                    for x, word in zip(texts, case["words"], strict=True)
                ]
                assert column == expected, (fmt, mode, overflow)


def test_intervals_of_codes(run: Run) -> None:
    """The ends of each interval, and points just inside and outside, have the codes it says."""
    names, modes = ("e2m2", "int4", "nf4", "ue4m3"), ("nearest_even", "toward_zero", "to_odd")
    asked = [(name, mode) for name in names for mode in modes]
    answers = run([{"ask": "intervals", "format": name, "mode": mode} for name, mode in asked])
    tiny = Fraction(1, 2**80)
    for (name, mode), rows in zip(asked, answers, strict=True):
        fmt = mf.parse(name)

        def value(x: Fraction, fmt: mf.NumberFormat = fmt, mode: str = mode) -> float:
            return fmt.value(oracle_code(x, fmt, mode, "saturate", 0))

        for code, *ends in rows:
            for end, outward in zip(ends, (-1, 1), strict=True):
                if end is None:
                    continue
                at, included = Fraction(end[0]), end[1]
                assert (value(at) == fmt.value(code)) == included, (name, mode, code)
                assert value(at + outward * tiny) != fmt.value(code), (name, mode, code)
                is_single = at == fmt.exact_value(code)
                assert value(at - outward * tiny) == fmt.value(code) or is_single, (
                    name,
                    mode,
                    code,
                )


TEXTS = {
    "0.1": Fraction(1, 10), "-1/3": Fraction(-1, 3), "0x1.8p-2": Fraction(3, 8),
    "1e-3": Fraction(1, 1000), "0b1.01": Fraction(5, 4), "2^-24": Fraction(1, 2**24),
    "9007199254740993": Fraction(2**53 + 1), "9007199254740995": Fraction(2**53 + 3),
    "3*2^4": Fraction(48), "0x1f": Fraction(31),
    "1.5/2.5": Fraction(3, 5), "-2.50": Fraction(-5, 2), " 7 ": Fraction(7), ".5": Fraction(1, 2),
    "1e400": Fraction(10) ** 400, "5e-324": Fraction(5, 10**324),
    "12345678901234567890": Fraction(12345678901234567890),
}  # fmt: skip


def test_typed_numbers(run: Run) -> None:
    answers = run([{"ask": "texts", "texts": list(TEXTS)}])[0]
    for (text, value), (fraction, word, decimal, hexadecimal) in zip(
        TEXTS.items(), answers, strict=True
    ):
        assert Fraction(fraction) == value, text
        try:
            expected = float(value)
        except OverflowError:
            expected = math.inf
        assert word == words(np.array([expected]))[0], text
        assert decimal is None or Fraction(decimal) == value, text
        if math.isfinite(expected) and Fraction(expected) == value and hexadecimal is not None:
            assert float.fromhex(hexadecimal) == expected, text
    refused = ["", "x", "1/0", "1..2", "0x", "2^", "1e99999", "--1", "1/2/3", "0b2", "e5"]
    assert run([{"ask": "texts", "texts": refused}])[0] == [None] * len(refused)
    assert run([{"ask": "texts", "texts": ["nan", "-inf", "∞"]}])[0] == ["NaN", "-∞", "∞"]


@pytest.mark.long
def test_every_small_format_of_the_catalogue(run: Run) -> None:
    formats = [CATALOGUE[name] for name in SMALL]
    check_encode(run, [(fmt, points_of(fmt)) for fmt in formats])


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in CATALOGUE if name not in SMALL])
def test_every_wide_format_of_the_catalogue(run: Run, name: str) -> None:
    fmt = CATALOGUE[name]
    check_codes(run, [fmt])
    points = points_of(fmt)
    for part in np.array_split(points, max(1, len(points) // 50_000)):
        check_encode(run, [(fmt, part)])


@cache
def a_thousand_formats() -> list[list[Answered]]:
    """Return random formats, 100 at a time, with 60 decision points of each; it takes minutes."""
    rng = np.random.default_rng(3)
    formats = list(random_formats(1000, rng))
    asked = [(fmt, np.sort(rng.choice(points_of(fmt), 60))) for fmt in formats]
    return [answered(asked[start : start + 100]) for start in range(0, 1000, 100)]


@pytest.mark.long
def test_a_thousand_random_formats(run: Run) -> None:
    parts = a_thousand_formats()
    formats = [fmt for part in parts for fmt, _, _ in part]
    answers = run([{"ask": "name", "format": description(fmt)} for fmt in formats])
    expected = [{"name": fmt.name, "fields": description(fmt)} for fmt in formats]
    assert answers == expected
    check_codes(run, [fmt for fmt in formats if fmt.bits <= 12])
    for part in parts:
        check_answers(run, part)

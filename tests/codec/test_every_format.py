"""Every verb works for every format that has a name, next to the ends of float64 above all."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import lru_cache

import numpy as np
import pytest

import minifloat as mf
from minifloat import registers
from minifloat.codec.decision_points import decision_points
from minifloat.formats import Format, NumberFormat
from minifloat.testing import exact_encode
from tests.formats import p3109_report as report
from tests.formats.combinations import combinations, first_format

LARGEST = float(np.finfo(np.float64).max)
POLICIES = [policy for policy in mf.Overflow if policy is not mf.Overflow.RAISE]


def at_the_ends_of_float64() -> Iterator[Format]:
    """Yield all ExMy with their usual bias, and with the ends of what float64 allows."""
    for arguments in combinations():
        exponent_bits, mantissa_bits = arguments["exponent_bits"], arguments["mantissa_bits"]
        usual = 2 ** (exponent_bits - 1) - 1
        low = range(2**exponent_bits - 1027, 2**exponent_bits - 1020)
        high = range(1075, 1071 - mantissa_bits, -1)
        for biases in ((usual,), low, high):
            if (fmt := first_format(arguments, biases)) is not None:
                yield fmt


@lru_cache
def every_format() -> list[NumberFormat]:
    """Return a format for each combination of fields, and every P3109 format, in float64."""
    p3109 = []
    for f in report.formats(range(3, 17)):
        try:
            p3109.append(mf.parse(f.name))
        except ValueError:
            assert f.K - f.P + (not f.signed) > 11
    others = [mf.parse(name) for name in ("int2", "int16full", "uint1", "bipolar_int8", "tf32")]
    return list(dict.fromkeys([*p3109, *others, *at_the_ends_of_float64()]))


def some_formats(count: int, low: int, high: int) -> list[NumberFormat]:
    """Return some of the formats of a range of widths, the same ones each time."""
    formats = [fmt for fmt in every_format() if low <= fmt.bits <= high]
    chosen = np.random.default_rng(14).choice(len(formats), count, replace=False)
    return [formats[i] for i in chosen]


def points(fmt: NumberFormat) -> list[float]:
    """Return numbers about the ends of a format, and about its smallest value."""
    above = fmt.next_above_max or Fraction(fmt.max)
    exact = [Fraction(fmt.max), Fraction(fmt.min), above, (Fraction(fmt.max) + above) / 2]
    exact += [Fraction(fmt.smallest) * Fraction(k, 4) for k in (1, 2, 3, 4, 5, 6)]
    floats = [float(x) for x in exact if abs(x) <= Fraction(LARGEST)]
    near = [math.nextafter(x, to) for x in floats for to in (-math.inf, math.inf)]
    special = [0.0, -0.0, 1.0, -1.0, LARGEST, -LARGEST, math.inf, -math.inf, 5e-324]
    return [*floats, *(-x for x in floats), *near, *special]


def check_encode(fmt: NumberFormat, modes: list[mf.Rounding], policies: list[mf.Overflow]) -> None:
    numbers = points(fmt)
    words = [5 * i % 8 for i in range(len(numbers))]
    for mode, policy in itertools.product(modes, policies):
        random = {"random": words, "random_bits": 3} if mode.is_stochastic else {}
        got = mf.encode(numbers, fmt, rounding=mode, overflow=policy, **random)
        want = [
            exact_encode(x, fmt, mode, policy, random=word if random else None, random_bits=3)
            for x, word in zip(numbers, words, strict=True)
        ]
        assert got.tolist() == want, (fmt, mode, policy, numbers)
        values = mf.round_to(numbers, fmt, rounding=mode, overflow=policy, **random)
        np.testing.assert_array_equal(values, [fmt.value(code) for code in want])


def error_of(call: Callable[[], object]) -> str | None:
    """Return the message of a ValueError; another error is a fault."""
    try:
        call()
    except ValueError as error:
        return str(error)
    return None


def check_other_verbs(fmt: NumberFormat) -> None:
    assert mf.parse(fmt.name) == mf.parse(str(fmt)) == fmt
    assert fmt.name in repr(fmt)
    assert fmt.name in fmt._repr_html_()
    assert isinstance(fmt, Format) is hasattr(fmt, "finfo")
    if fmt.bits <= 9:
        assert len(str(fmt.table()).splitlines()) == fmt.code_count + 1
        assert len(decision_points(fmt)) + 1 == sum(map(math.isfinite, fmt.values()))
    with_code = {"codes": np.array([fmt.max_code, fmt.min_code]), "fmt": fmt}
    assert mf.decode(**with_code, dtype=np.float64).tolist() == [fmt.max, fmt.min]
    w = np.linspace(-1, 1, 32)
    for verb in (
        lambda: mf.decode(**with_code),
        lambda: mf.quantize(w, fmt, block=16, scale="float32").dequantize(),
        lambda: mf.quantize(w, "e2m1", block=16, scale=fmt).dequantize(),
        lambda: registers.to_half(fmt, "dense"),
        lambda: registers.look_up(fmt, "dense"),
    ):
        message = error_of(verb)
        assert message is None or " must " in message, fmt  # a rule of ours


def modes_for(fmt: NumberFormat) -> tuple[list[mf.Rounding], list[mf.Overflow]]:
    """Return all modes and policies or, where a long table is made for each, a few."""
    grid = fmt.binary_grid
    if fmt.bits <= 7 or (grid is not None and grid.emin > -1022):
        return list(mf.Rounding), POLICIES
    return [mf.Rounding.NEAREST_EVEN, mf.Rounding.STOCHASTIC_B], [mf.Overflow.SAT_NONE]


def test_the_list_is_long() -> None:
    assert len(every_format()) > 5000
    assert sum(fmt.next_above_max == 2**1024 for fmt in every_format()) > 1000


@pytest.mark.parametrize(
    "name", ["binary12p1sf", "binary13p2sf", "e11m2fnuz", "e2m3b-1020", "ue1m7b-1022"]
)
def test_formats_whose_next_value_is_2_to_the_1024(name: str) -> None:
    fmt = mf.parse(name)
    assert fmt.next_above_max == 2**1024
    check_encode(fmt, *modes_for(fmt))
    check_other_verbs(fmt)


def test_some_narrow_formats() -> None:
    for fmt in some_formats(24, 1, 8):
        check_encode(fmt, *modes_for(fmt))
        check_other_verbs(fmt)


def test_some_wide_formats() -> None:
    for fmt in some_formats(2, 12, 16):
        check_encode(fmt, [mf.Rounding.NEAREST_EVEN], [mf.Overflow.IEEE])


@pytest.mark.long
@pytest.mark.parametrize("part", range(32))
def test_every_narrow_format(part: int) -> None:
    narrow = [fmt for fmt in every_format() if fmt.bits <= 10]
    for fmt in narrow[part::32]:
        check_encode(fmt, *modes_for(fmt))
        check_other_verbs(fmt)


@pytest.mark.long
@pytest.mark.parametrize("part", range(32))
def test_many_wide_formats(part: int) -> None:
    """Each takes seconds: the tables of 2**16 codes."""
    wide = [fmt for fmt in every_format() if fmt.bits > 10]
    for fmt in wide[part :: 32 * 8]:
        check_encode(fmt, [mf.Rounding.NEAREST_EVEN, mf.Rounding.TO_ODD], [mf.Overflow.IEEE])

"""The P3109 formats: values by the report's formula, its value tables, and gfloat."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from minifloat.formats import Format
from minifloat.formats.names import parse
from tests.formats import p3109_report as report
from tests.formats.p3109_report import P3109Format


def in_float64(f: P3109Format) -> bool:
    return f.K - f.P + (not f.signed) <= 11  # at most 11 exponent bits


def ours(f: P3109Format) -> Format:
    fmt = parse(f.name)
    assert isinstance(fmt, Format)
    return fmt


def assert_same(got: float, want: Fraction | float, about: object) -> None:
    if isinstance(want, float) and math.isnan(want):
        assert math.isnan(got), about
    else:
        assert got == want, about
        assert math.copysign(1, got) == (1 if want >= 0 else -1), about  # P3109 has one zero


def check_codes(f: P3109Format, codes: range | list[int]) -> None:
    fmt = ours(f)
    assert (fmt.bits, fmt.precision, fmt.signed, fmt.bias) == (f.K, f.P, f.signed, f.B)
    assert (fmt.nan_code, fmt.inf_code()) == (f.nan, f.infinity)
    assert (fmt.max, fmt.min) == (f.max_finite, f.min_finite)
    for code in codes:
        assert_same(fmt.value(code), report.decode(f, code), (f.name, code))


def some_codes(f: P3109Format, rng: np.random.Generator) -> list[int]:
    """Return the codes at which the formula changes its case, their neighbours, and others."""
    steps = {0, 2 ** (f.P - 1), f.nan, 2**f.K - 1, *([f.infinity] if f.infinity else [])}
    steps |= {f.nan + step for step in steps if f.signed}
    near = {step + k for step in steps for k in range(-3, 4)}
    codes = near | set(rng.integers(0, 2**f.K, 40).tolist())
    return sorted(code for code in codes if 0 <= code < 2**f.K)


def test_values_follow_the_reports_formula() -> None:
    """All codes up to K = 9, and those where something happens up to K = 15."""
    rng = np.random.default_rng(3109)
    checked = 0
    for f in report.formats(range(3, 16)):
        if in_float64(f):
            check_codes(f, range(2**f.K) if f.K <= 9 else some_codes(f, rng))
            checked += 1
    assert checked == 410  # the other 32 have values beyond float64


@pytest.mark.long
def test_all_values_follow_the_reports_formula() -> None:
    for f in report.formats(range(10, 16)):
        if in_float64(f):
            check_codes(f, range(2**f.K))


def published_rows() -> list[tuple[str, int, float]]:
    lines = Path(__file__).with_name("p3109_tables.txt").read_text(encoding="ascii").splitlines()
    rows = []
    for name, first, *values in (line.split() for line in lines if not line.startswith("#")):
        start = int(first, 16)
        rows += [(name, start + i, float.fromhex(value)) for i, value in enumerate(values)]
    return rows


def test_values_are_those_of_the_published_tables() -> None:
    rows = published_rows()
    assert len({name for name, _, _ in rows}) == 31
    for name, code, value in rows:
        assert_same(parse(name).value(code), value, (name, code))


def test_values_of_wide_formats_are_those_of_gfloat() -> None:
    formats = pytest.importorskip("gfloat.formats")
    gfloat = pytest.importorskip("gfloat")
    rng = np.random.default_rng(3109)
    for f in report.formats(range(9, 16)):
        if in_float64(f):
            info = formats.format_info_p3109(
                f.K,
                f.P,
                gfloat.Signedness.Signed if f.signed else gfloat.Signedness.Unsigned,
                gfloat.Domain.Extended if f.extended else gfloat.Domain.Finite,
            )
            codes = some_codes(f, rng)
            want = gfloat.decode_ndarray(info, np.array(codes))
            fmt = ours(f)
            np.testing.assert_array_equal([fmt.value(code) for code in codes], want, f.name)

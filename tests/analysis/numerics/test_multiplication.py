"""Relative errors of L-Mul and Mitchell: sums of fractions, published figures, integrals."""

from __future__ import annotations

from fractions import Fraction

import pytest
from scipy.integrate import dblquad

from analysis.numerics.multiplication import (
    PUBLISHED,
    error_table,
    relative_error,
    significand_error,
)
from tests.arithmetic.multiplication import slow_products

# By mantissa bits: mean, mean of the magnitude and largest relative error, computed elsewhere.
FORMULA = {
    2: (0.0864, 0.1111, 0.25), 3: (-0.0097, 0.0689, 0.1822), 4: (-0.0218, 0.0694, 0.2008),
    5: (-0.0587, 0.0731, 0.2260), 6: (-0.0614, 0.0744, 0.2302), 7: (-0.0628, 0.0751, 0.2323),
}  # fmt: skip
ADDITION = {
    2: (0.1467, 0.1467, 0.25), 3: (0.0493, 0.0524, 0.125), 4: (0.0487, 0.0514, 0.125),
    5: (0.0041, 0.0267, 0.0729), 6: (0.0041, 0.0266, 0.0729), 7: (0.0041, 0.0265, 0.0729),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_errors_of_l_mul_are_those_of_the_formula(name: str) -> None:
    """Three digits; the last one or two differ where mantissas are long."""
    mean, share = PUBLISHED[name]
    found = relative_error("l-mul formula", f"{name}none", normal=True)
    assert found.mean_abs == pytest.approx(mean, abs=0.0015)
    assert found.share == pytest.approx(share, abs=0.0009)
    other = relative_error("l-mul addition", f"{name}none", normal=True)
    assert abs(other.mean_abs - mean) > 0.015


@pytest.mark.parametrize(("method", "table"), [
    ("l-mul formula", FORMULA), ("l-mul addition", ADDITION),
])  # fmt: skip
def test_errors_by_mantissa_bits(method: str, table: dict[int, tuple[float, ...]]) -> None:
    for m, figures in table.items():
        found = relative_error(method, f"e3m{m}none", normal=True)
        assert found[:3] == pytest.approx(figures, abs=6e-5), m


def test_errors_over_normal_numbers_do_not_depend_on_the_exponent() -> None:
    by_mantissa: dict[tuple[str, int], set[tuple[float, ...]]] = {}
    rows = error_table()
    assert len(rows) == 3 * 21
    for row in rows:
        rounded = tuple(round(x, 12) for x in row.normal)
        by_mantissa.setdefault((row.method, row.mantissa_bits), set()).add(rounded)
    assert {len(errors) for errors in by_mantissa.values()} == {1}


@pytest.mark.parametrize("addition", [False, True])
@pytest.mark.parametrize(("e", "m"), [(2, 1), (3, 2), (1, 3), (2, 3), (1, 4)])
def test_the_table_equals_sums_of_fractions(e: int, m: int, *, addition: bool) -> None:
    """Over all values, subnormals too; on integers, from the fields of codes."""
    bias = 2 ** (e - 1) - 1
    codes = range(1, 2 ** (e + m))
    parts = [slow_products.fields(code, e, m, bias) for code in codes]
    values = [Fraction(2**m + f, 2**m) * Fraction(2) ** d for _, d, f in parts]
    errors = [
        slow_products.l_mul(a, b, m, addition=addition) / (x * y) - 1
        for a, x in zip(parts, values, strict=True)
        for b, y in zip(parts, values, strict=True)
    ]
    method = "l-mul addition" if addition else "l-mul formula"
    (found,) = (
        r.all for r in error_table(1 + e + m)
        if (r.exponent_bits, r.mantissa_bits, r.method) == (e, m, method)
    )  # fmt: skip
    count = len(errors)
    assert found.mean == pytest.approx(float(sum(errors) / count), rel=1e-13, abs=1e-16)
    assert found.mean_abs == pytest.approx(float(sum(map(abs, errors)) / count), rel=1e-13)
    assert found.largest == pytest.approx(float(max(map(abs, errors))), rel=1e-15)
    assert found.share == sum(error != 0 for error in errors) / count


def test_mitchells_error_tends_to_its_integral() -> None:
    """Over uniform significands: below a sum of fractions of 1, and above it."""

    def error(g: float, f: float) -> float:
        s = f + g
        return (1 + s if s < 1 else 2 * s) / ((1 + f) * (1 + g)) - 1

    parts = [
        dblquad(error, 0, 1, *ends)[0] for ends in ((0, lambda f: 1 - f), (lambda f: 1 - f, 1))
    ]
    limit = sum(parts)
    assert limit == pytest.approx(-0.0385, abs=5e-5)  # the 3.8 % that textbooks have
    errors = [relative_error("mitchell", f"e2m{m}none", normal=True).mean for m in (4, 6, 8)]
    distances = [abs(error - limit) for error in errors]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 1e-4


def test_errors_with_rounded_operands() -> None:
    """Of real operands: four-digit figures that were computed elsewhere."""
    figures = {
        2: (0.0586, 0.0704, 0.146, 0.118),
        3: (0.0293, 0.0352, 0.0574, 0.0725),
        4: (0.0147, 0.0180, 0.0527, 0.0702),
    }
    for m, wanted in figures.items():
        found = [
            significand_error(method, m)
            for method in ("exact", "rounded", "l-mul addition", "l-mul formula")
        ]
        assert found == pytest.approx(wanted, abs=4e-4), m


def test_the_claims_of_l_muls_paper() -> None:
    """Three bits beat E5M2 only with the addition; four bits are not as good as E4M3."""
    e5m2, e4m3 = (significand_error("exact", m) for m in (2, 3))
    assert significand_error("l-mul addition", 3) < e5m2 < significand_error("l-mul formula", 3)
    assert min(significand_error(f"l-mul {v}", 4) for v in ("addition", "formula")) > 1.5 * e4m3

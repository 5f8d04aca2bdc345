"""Errors of multiplication: exact sums of fractions, published figures, integrals and draws."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.integrate import dblquad, quad
from scipy.stats import norm

import minifloat as mf
from analysis import optimal_scale
from analysis.numerics import multiplication
from analysis.numerics.multiplication import (
    PUBLISHED,
    RACES,
    Multiplier,
    changed_share,
    changed_shares,
    dot_error,
    error_table,
    gaussian_error,
    measured_error,
    relative_error,
    shift_cost,
    significand_error,
)
from minifloat import arithmetic
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


@pytest.mark.parametrize("text", [
    "exact:e2m2", "exact:int4*pot4", "mitchell:int4", "l-mul formula:e2m1", "l-mul addition:e2m2",
])  # fmt: skip
def test_gaussian_errors_equal_integrals(text: str) -> None:
    """By quadrature over every pair of cells, with the density itself."""
    m = Multiplier.of(text)
    cells = []
    for fmt in (m.left, m.right):
        scale, _ = optimal_scale(fmt, "normal")
        values = sorted({float(v) for v in mf.parse(fmt).values() if np.isfinite(v)})
        edges = [-np.inf, *(scale * (a + b) / 2 for a, b in itertools.pairwise(values))]
        edges.append(np.inf)
        moments = [
            [quad(lambda t, k=k: t**k * norm.pdf(t), low, high)[0] for k in range(2)]
            for low, high in itertools.pairwise(edges)
        ]
        cells.append((scale, values, moments))
    (s, xs, left), (t, ys, right) = cells
    method = multiplication.METHODS[m.method]
    square = cross = mean = 0.0
    for x, (p, a) in zip(xs, left, strict=True):
        for y, (q, b) in zip(ys, right, strict=True):
            product = s * t * float(method(np.array(x), np.array(y), m.left))
            square += p * q * product**2
            cross += a * b * product
            mean += p * q * abs(product)
    found = gaussian_error(text)
    assert found.rms == pytest.approx(math.sqrt(square - 2 * cross + 1), rel=1e-7)
    assert found.factor == pytest.approx(cross / square, rel=1e-8)
    assert found.rms_with_factor == pytest.approx(math.sqrt(1 - cross**2 / square), rel=1e-7)
    assert found.bias == pytest.approx(mean * math.pi / 2 - 1, abs=1e-8)
    assert found.bias_with_factor == pytest.approx(
        mean * math.pi / 2 * cross / square - 1, abs=1e-8
    )


def test_exact_products_need_no_factor() -> None:
    """At the best scale E[x q] = E[q**2]: no constant makes the error smaller."""
    for race in RACES.values():
        for text in race:
            if text.startswith("exact"):
                assert gaussian_error(text).factor == pytest.approx(1, abs=1e-6), text


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("length", [1, 40])
def test_draws_agree_with_the_expectation(length: int, *, positive: bool) -> None:
    for text in ("exact:e2m2", "mitchell:int5", "l-mul addition:e2m2", "exact:int4*apot4"):
        found = measured_error(text, length, positive=positive, dots=50)
        wanted = dot_error(text, length, positive=positive)
        assert abs(found.mean - wanted) < 5 * found.error + 0.02 * wanted, text
        assert found.error < 0.1 * wanted


def test_a_draw_finds_a_wrong_expectation() -> None:
    found = measured_error("l-mul addition:e2m2", 40)
    for wrong in ("l-mul formula:e2m2", "exact:e2m2", "mitchell:e2m2"):
        assert abs(found.mean - dot_error(wrong, 40)) > 5 * found.error


def test_races_are_among_as_many_bits() -> None:
    for bits, race in RACES.items():
        assert len(set(race)) == len(race)
        for text in race:
            m = Multiplier.of(text)
            assert str(m) == text
            assert {mf.parse(m.left).bits, mf.parse(m.right).bits} == {bits}


def test_verdicts() -> None:
    """What the page says, by the criterion: at most 1.1 times the error at as many bits."""

    def ratio(text: str, reference: str, *, factor: bool = False) -> float:
        error = gaussian_error(text)
        return (error.rms_with_factor if factor else error.rms) / gaussian_error(reference).rms

    as_good = multiplication.AS_GOOD
    assert ratio("exact:int4*apot4", "exact:e2m1") < 1 < ratio("exact:int4*pot4", "exact:e2m1")
    assert ratio("mitchell:e2m1", "exact:e2m1") < as_good
    assert ratio("mitchell:e2m2", "exact:e2m2", factor=True) < as_good
    assert ratio("l-mul addition:e2m2", "exact:e2m2") > 2
    assert ratio("l-mul addition:e2m2", "exact:e2m2", factor=True) < as_good
    assert ratio("l-mul addition:e3m4ieee", "exact:e4m3fn") > 1.6
    assert ratio("l-mul addition:e3m4ieee", "exact:e4m3fn", factor=True) < 1
    assert ratio("l-mul addition:e4m3fn", "exact:e4m3fn", factor=True) > as_good
    for bits, reference in ((4, "e2m1"), (5, "e2m2"), (8, "e4m3fn")):
        for text in RACES[bits]:
            if text.startswith("l-mul formula"):
                best = ratio(text, f"exact:{reference}", factor=True)
                assert (best < as_good) == (bits == 4), text
    assert ratio("exact:e4m3fn", "exact:int8") > 2.5


def test_shift_costs() -> None:
    """Terms weighted by how many of a million normals have each code."""
    rng = np.random.default_rng(0)
    for fmt, most in (("pot4", 1), ("apot4", 2), ("e2m2", 2), ("int5", 3), ("e4m3fn", 3)):
        scale, _ = optimal_scale(fmt, "normal")
        codes = mf.encode(rng.standard_normal(20_000) / scale, fmt)
        counts = [len(terms or ()) for terms in arithmetic.shift_terms(fmt)]
        found = shift_cost(fmt)
        assert found.most == most
        assert found.mean == pytest.approx(np.array(counts)[codes].mean(), abs=0.02), fmt


def test_shares_of_changed_results_equal_fractions() -> None:
    for scale in np.float32([0.05, 0.0371, 0.0259]).tolist():
        for bits in (2, 4, 6, 9):
            few = arithmetic.dyadic(scale, bits)
            sums = range(-int(127 / scale), int(127 / scale) + 1)
            exact = [math.floor(z * Fraction(scale) + Fraction(1, 2)) for z in sums]
            got = [
                slow_products.requantized(z, int(few.multiplier), int(few.shift), 0, -128, 127)
                for z in sums
            ]
            wanted = sum(a != b for a, b in zip(got, exact, strict=True)) / len(sums)
            assert wanted > 0
            assert changed_share(scale, bits) == wanted


def test_more_bits_of_the_multiplier_change_fewer_results() -> None:
    shares = [changed_shares(bits, draws=4).mean for bits in (4, 8, 12, 24, 31)]
    assert shares == sorted(shares, reverse=True)
    assert shares[2] > 0
    assert shares[3:] == [0, 0]

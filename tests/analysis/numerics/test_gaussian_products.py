"""Errors on Gaussian data: integrals over every pair of cells, draws, and the page's verdicts."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

import minifloat as mf
from analysis import optimal_scale
from analysis.numerics.gaussian_products import (
    AS_GOOD,
    RACES,
    Multiplier,
    dot_error,
    gaussian_error,
    measured_error,
    shift_cost,
)
from analysis.numerics.multiplication import METHODS
from minifloat import arithmetic


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
    method = METHODS[m.method]
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
        assert abs(found.mean - wanted) < 5 * found.standard_error + 0.02 * wanted, text
        assert found.standard_error < 0.1 * wanted


def test_a_draw_finds_a_wrong_expectation() -> None:
    found = measured_error("l-mul addition:e2m2", 40)
    for wrong in ("l-mul formula:e2m2", "exact:e2m2", "mitchell:e2m2"):
        assert abs(found.mean - dot_error(wrong, 40)) > 5 * found.standard_error


def test_races_are_among_as_many_bits() -> None:
    for bits, race in RACES.items():
        assert len(set(race)) == len(race)
        for text in race:
            m = Multiplier.of(text)
            assert str(m) == text
            assert {mf.parse(m.left).bits, mf.parse(m.right).bits} == {bits}


@pytest.mark.parametrize("text", ["", "exact", "exact:", "l-mul:e2m2", "e2m2"])
def test_a_multiplier_has_a_method_and_a_format(text: str) -> None:
    with pytest.raises(ValueError, match="multiplier must be METHOD:FORMAT"):
        gaussian_error(text)


def test_verdicts() -> None:
    """What the page says, by the criterion: at most 1.1 times the error at as many bits."""

    def ratio(text: str, reference: str, *, factor: bool = False) -> float:
        error = gaussian_error(text)
        return (error.rms_with_factor if factor else error.rms) / gaussian_error(reference).rms

    assert ratio("exact:int4*apot4", "exact:e2m1") < 1 < ratio("exact:int4*pot4", "exact:e2m1")
    assert ratio("mitchell:e2m1", "exact:e2m1") < AS_GOOD
    assert ratio("mitchell:e2m2", "exact:e2m2", factor=True) < AS_GOOD
    assert ratio("l-mul addition:e2m2", "exact:e2m2") > 2
    assert ratio("l-mul addition:e2m2", "exact:e2m2", factor=True) < AS_GOOD
    assert ratio("l-mul addition:e3m4ieee", "exact:e4m3fn") > 1.6
    assert ratio("l-mul addition:e3m4ieee", "exact:e4m3fn", factor=True) < 1
    assert ratio("l-mul addition:e4m3fn", "exact:e4m3fn", factor=True) > AS_GOOD
    for bits, reference in ((4, "e2m1"), (5, "e2m2"), (8, "e4m3fn")):
        for text in RACES[bits]:
            if text.startswith("l-mul formula"):
                best = ratio(text, f"exact:{reference}", factor=True)
                assert (best < AS_GOOD) == (bits == 4), text
    assert ratio("exact:e4m3fn", "exact:int8") > 2.5
    for fmt in ("e2m1", "e2m2", "e4m3fn", "e3m4ieee"):  # the offset is no better than none
        errors = [
            gaussian_error(f"{m}:{fmt}").rms_with_factor for m in ("mitchell", "l-mul addition")
        ]
        assert errors[0] < 1.0005 * errors[1], fmt


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

"""Numerical methods: in float16 they are NumPy's own, bit for bit; their theory by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from analysis.numerics import (
    STUDIES,
    arithmetics,
    conjugate_gradients,
    heat_equation,
    k_means,
    lu_refinement,
    newton_root,
    time_steps,
)
from analysis.numerics.arithmetics import NEAREST, STOCHASTIC, TOWARD_ZERO, Arithmetic
from analysis.records import from_csv, to_csv

HALF = Arithmetic("float16")
METHODS = [name for name in STUDIES if name not in ("reproducibility", "masked_bits")]


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


RUNS: dict[str, tuple[Callable[[Any], Any], np.ndarray]] = {
    "factors": (lambda a: lu_refinement.factors(a)[0], rng().normal(size=(12, 12))),
    "euler": (
        lambda y: time_steps.integrated(time_steps.euler, lambda y: -y, y, 2.0**-5, 32),
        np.linspace(0.1, 3, 9),
    ),
    "runge_kutta": (
        lambda y: time_steps.integrated(time_steps.runge_kutta, time_steps.lorenz, y, 2.0**-6, 40),
        rng().normal(size=(3, 5), scale=5) + np.array([[0], [0], [20]]),
    ),
    "heat": (
        lambda u: heat_equation.heat_step(heat_equation.heat_step(u)),
        rng().uniform(0.5, 1, (3, 17)),
    ),
    "heron": (lambda a: list(newton_root.heron(a))[-1], np.linspace(1, 3.9, 40)),
    "without division": (
        lambda a: list(newton_root.without_division(a))[-1],
        np.linspace(1, 3.9, 40),
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_float16_is_numpys_bit_for_bit(name: str) -> None:
    run, x = RUNS[name]
    expected = run(x.astype(np.float16))
    assert expected.dtype == np.float16
    found = np.asarray(run(HALF.array(x)), np.float64)
    np.testing.assert_array_equal(found, expected.astype(np.float64))
    other = np.asarray(run(Arithmetic("float16", TOWARD_ZERO).array(x)), np.float64)
    assert (other != found).any()


def test_factors_give_the_matrix_back() -> None:
    a = rng().normal(size=(9, 9))
    lu, order = lu_refinement.factors(a)
    lower, upper = np.tril(lu, -1) + np.eye(9), np.triu(lu)
    np.testing.assert_allclose(lower @ upper, a[order], atol=1e-13)
    assert np.abs(np.tril(lu, -1)).max() <= 1  # pivoted


def test_a_backward_error_is_below_its_bound() -> None:
    a = lu_refinement.matrix(16, 10.0, 0)
    assert np.linalg.cond(a) == pytest.approx(10, rel=1e-5)
    for rounding in arithmetics.ROUNDINGS:
        arithmetic = Arithmetic("bfloat16", rounding)
        error, bound = lu_refinement.backward_error(a, arithmetic, 0)
        u = 2.0 ** (-8 if rounding == NEAREST else -7)
        assert bound == pytest.approx(16 / (1 - 16 * u))
        assert 0.1 < error < bound


def test_refinement_contracts_by_the_radius_and_fails_beyond() -> None:
    arithmetic = Arithmetic("bfloat16")
    contraction, radius, error = lu_refinement.refinement(
        lu_refinement.matrix(32, 100.0, 1), arithmetic, 1
    )
    assert contraction == pytest.approx(radius, rel=0.4)
    assert radius < 1
    assert error < 4 * 2.0**-24
    contraction, radius, error = lu_refinement.refinement(
        lu_refinement.matrix(32, 1e5, 1), arithmetic, 1
    )
    assert contraction > 1
    assert radius > 1
    assert error > 0.01


def test_conjugate_gradients_solve_in_float64() -> None:
    a, x = conjugate_gradients.problem(30.0, 0)
    assert np.linalg.cond(a) == pytest.approx(30)
    iterates = conjugate_gradients.conjugate_gradients(a, a @ x, 60)
    assert not iterates[0].any()
    np.testing.assert_allclose(iterates[-1], x, atol=1e-8)
    zero = conjugate_gradients.conjugate_gradients(a, 0 * x, 60)
    assert len(zero) == 1


def test_the_steps_of_small_conjugate_gradients_are_those_of_fractions() -> None:
    """One step in E4M3, each operation rounded from the definition."""
    a = np.array([[2.0, 1.0], [1.0, 3.0]])
    b = np.array([1.0, 2.0])
    e4m3 = Arithmetic("e4m3fn")
    x = conjugate_gradients.conjugate_gradients(e4m3.array(a), e4m3.array(b), 1)[1]
    ap = [e4m3_of(2 * 1 + Fraction(1 * 2)), e4m3_of(Fraction(1) + 6)]
    curvature = e4m3_of(e4m3_of(ap[0]) + e4m3_of(2 * ap[1]))
    alpha = e4m3_of(Fraction(5) / curvature)
    assert x.tolist() == [float(e4m3_of(alpha * 1)), float(e4m3_of(alpha * 2))]


def e4m3_of(x: Fraction) -> Fraction:
    """Round a positive normal number to E4M3, to nearest even, from the definition."""
    x = Fraction(x)
    exponent = 0
    while x >= 2 ** (exponent + 1):
        exponent += 1
    while x < Fraction(2) ** exponent:
        exponent -= 1
    gap = Fraction(2) ** (exponent - 3)
    return round(x / gap) * gap


@pytest.mark.parametrize("bits", [7, pytest.param(10, marks=pytest.mark.long)])
def test_euler_stops_where_the_law_says(bits: int) -> None:
    fmt = {7: "bfloat16", 10: "float16"}[bits]
    start = 2.0 ** -(bits + 2)
    for h in (start, 1.5 * start, 1.75 * start, 2 * start):
        law = time_steps.stagnation(h, bits)
        y = time_steps.integrated(
            time_steps.euler, lambda y: -y, Arithmetic(fmt).array([1.0]), h, 2 * round(1 / h)
        )
        if law is None:
            assert h == 2 * start
            assert float(y[0]) < 0.25
        else:
            assert float(y[0]) == pytest.approx(law, abs=2.0 ** -(bits + 1))


def test_truncation_errors_are_those_of_the_orders() -> None:
    for method, order in ((time_steps.euler, 1), (time_steps.runge_kutta, 4)):
        errors = [
            abs(time_steps.integrated(method, lambda y: -y, 1.0, h, round(1 / h)) - math.exp(-1))
            for h in (2.0**-5, 2.0**-6)
        ]
        theory = {1: 2.0**-6 / (2 * math.e), 4: 2.0**-24 / (120 * math.e)}[order]
        assert errors[1] == pytest.approx(theory, rel=0.05)
        assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.1)


def test_lorenz_departs_later_with_more_bits() -> None:
    points = time_steps.attractor(4)
    assert np.abs(points).max() < 60
    assert np.ptp(points, axis=1).min() > 1
    few = time_steps.departures(Arithmetic("e5m4").array(points), 12.0)
    more = time_steps.departures(Arithmetic("e5m7").array(points), 12.0)
    assert np.mean([12 if t is None else t for t in more]) > np.mean(few)


def test_heat_flows_as_the_exact_solution() -> None:
    errors, idle = heat_equation.heated(16, Arithmetic("float16", STOCHASTIC), 3)
    assert len(set(errors)) > 1
    assert not idle.any()
    u = 1 - np.sin(np.pi * np.linspace(0, 1, 33)) / 2
    for _ in range(512):
        u = heat_equation.heat_step(u)
    assert u[16] == pytest.approx(1 - math.exp(-(math.pi**2) / 8) / 2, abs=1e-3)
    _, idle = heat_equation.heated(64, Arithmetic("bfloat16"), 1)
    assert idle[0] > 0.5


def test_k_means_clusters_in_float64() -> None:
    points = k_means.sample(400, 0)
    clusters, centres = k_means.lloyd(points)
    np.testing.assert_allclose(centres, k_means.MEANS, atol=0.25)
    for cluster in range(4):
        np.testing.assert_allclose(centres[cluster], points[clusters == cluster].mean(axis=0))
    assert (
        k_means.close(np.array([[0.0, 0.0], [0.9, 0]]), np.array([[1.0, 0], [-1, 0]]), 0.1) == 0.5
    )


def test_roots_are_roots_and_lorenz_slopes_are_by_hand() -> None:
    a = np.linspace(1, 4, 50)
    for roots in (newton_root.heron(a), newton_root.without_division(a)):
        np.testing.assert_allclose(list(roots)[-1], np.sqrt(a), rtol=1e-14)
    slope = time_steps.lorenz(np.array([[1.0], [2.0], [3.0]]))
    np.testing.assert_allclose(slope[:, 0], [10, 23, -6])


def test_operands_are_all_numbers_from_1_to_4() -> None:
    numbers = newton_root.operands("e4m3fn")
    assert numbers.tolist() == [1 + k / 8 for k in range(8)] + [2 + k / 4 for k in range(8)]


def test_units_and_draws() -> None:
    assert HALF.unit == 2.0**-11
    assert Arithmetic("e4m3fn", STOCHASTIC).unit == 2.0**-3
    assert list(arithmetics.draws_of(HALF, 5)) == [0]
    assert len(arithmetics.draws_of(Arithmetic("float16", STOCHASTIC), 5)) == 5


@pytest.mark.parametrize("name", METHODS)
def test_the_quick_slice_is_a_table(name: str) -> None:
    study = import_module(f"analysis.numerics.{name}")
    steps: list[tuple[int, int]] = []
    rows = study.records(quick=True, progress=lambda *step: steps.append(step))
    assert from_csv(to_csv(rows, "command")) == rows
    assert rows == study.records(quick=True)  # the same bits again
    assert steps == [(k + 1, len(steps)) for k in range(len(steps))]

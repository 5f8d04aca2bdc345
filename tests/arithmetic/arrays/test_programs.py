"""Whole programs in NumPy, in small formats: the bits of one rounded operation after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minifloat import arithmetic
from tests.arithmetic.arrays import programs
from tests.arithmetic.arrays.slow_numbers import SlowFormat

CASES = [
    ("e4m3fn", {}),
    ("bfloat16", {}),
    ("e2m1", {"nan": "zero"}),
    ("float16", {"overflow": "ieee"}),
    ("e4m3fn", {"overflow": "ieee", "rounding": "nearest_away"}),
    ("e5m2", {"rounding": "downward"}),
    ("e5m2", {"rounding": "upward", "overflow": "saturate_finite"}),
    ("e3m4", {"nan": "zero", "rounding": "toward_zero", "overflow": "ieee"}),
    ("e4m3fnuz", {"rounding": "to_odd"}),
    ("int8", {"nan": "zero"}),
    ("nf4", {"nan": "max"}),
]
IDS = [f"{fmt}-{'-'.join(policies.values())}" for fmt, policies in CASES]
each_case = pytest.mark.parametrize(("fmt", "policies"), CASES, ids=IDS)


class Both:
    """An array in a format and the slow numbers of the same format."""

    def __init__(self, fmt: str, policies: dict[str, str]) -> None:
        self.fmt, self.policies = fmt, policies
        self.slow = SlowFormat(fmt, **policies)

    def array(self, x: Any) -> Any:
        return arithmetic.array(x, self.fmt, **self.policies)


def assert_same(got: Any, want: Any) -> None:
    """Compare values, NaN and the signs of zeros."""
    assert isinstance(got, arithmetic.FormatArray)
    want = np.array(want, float)
    assert got.shape == want.shape
    np.testing.assert_array_equal(np.asarray(got), want)
    signs = np.signbit(np.asarray(got)) == np.signbit(want)
    assert (signs | np.isnan(want)).all()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@each_case
def test_lu_with_partial_pivoting(fmt: str, policies: dict[str, str], rng: Any) -> None:
    both = Both(fmt, policies)
    a = both.array(rng.standard_normal((7, 7)) * 2)
    got, order = programs.lu(a)
    want, want_order = programs.slow_lu(both.slow, a.tolist())
    assert order.tolist() == want_order
    assert_same(got, want)


@each_case
def test_runge_kutta(fmt: str, policies: dict[str, str]) -> None:
    both = Both(fmt, policies)
    y = both.array([1.0, 1.25, 2.0])
    assert_same(
        programs.runge_kutta(y, 0.125, 6),
        programs.slow_runge_kutta(both.slow, y.tolist(), 0.125, 6),
    )


@each_case
def test_softmax(fmt: str, policies: dict[str, str], rng: Any) -> None:
    both = Both(fmt, policies)
    x = both.array(rng.standard_normal((4, 9)) * 3)
    assert_same(programs.softmax(x), programs.slow_softmax(both.slow, x.tolist()))


@each_case
def test_conjugate_gradients(fmt: str, policies: dict[str, str], rng: Any) -> None:
    both = Both(fmt, policies)
    half = rng.standard_normal((6, 6)) / 3
    a, b = both.array(half @ half.T + np.eye(6)), both.array(rng.standard_normal(6))
    assert_same(
        programs.conjugate_gradients(a, b, 5),
        programs.slow_conjugate_gradients(both.slow, a.tolist(), b.tolist(), 5),
    )


@each_case
def test_horner(fmt: str, policies: dict[str, str]) -> None:
    both = Both(fmt, policies)
    coefficients = [1 / 120, 1 / 24, 1 / 6, 1 / 2, 1, 1]
    x = both.array(np.linspace(-2, 2, 33))
    assert_same(
        programs.horner(coefficients, x), programs.slow_horner(both.slow, coefficients, x.tolist())
    )


@each_case
def test_a_step_of_k_means(fmt: str, policies: dict[str, str], rng: Any) -> None:
    both = Both(fmt, policies)
    points, centres = both.array(rng.standard_normal((20, 3))), both.array(np.eye(3))
    nearest, means, distances = programs.k_means_step(points, centres)
    want = programs.slow_k_means_step(both.slow, points.tolist(), centres.tolist())
    assert nearest.tolist() == want[0]
    assert_same(means, want[1])
    assert_same(distances, want[2])

"""The densities of the analyses against SciPy's, and their moments against quadrature."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from analysis import Empirical
from analysis.errors.distributions import (
    Distribution,
    Laplace,
    Logistic,
    Normal,
    StudentT,
    Uniform,
    parse_distribution,
)

SCIPY = {
    Normal(): scipy.stats.norm(),
    Laplace(): scipy.stats.laplace(scale=math.sqrt(0.5)),
    Logistic(): scipy.stats.logistic(scale=math.sqrt(3) / math.pi),
    Uniform(): scipy.stats.uniform(-math.sqrt(3), 2 * math.sqrt(3)),
    StudentT(2.1): scipy.stats.t(2.1, scale=math.sqrt(0.1 / 2.1)),
    StudentT(5): scipy.stats.t(5, scale=math.sqrt(3 / 5)),
    StudentT(1e6): scipy.stats.t(1e6, scale=math.sqrt((1e6 - 2) / 1e6)),
}
DENSITIES = list(SCIPY)
POINTS = np.array([0.0, 1e-8, 0.01, 0.3, 1.0, 1.7, 2.5, 4.0, 8.0, 20.0])
densities = pytest.mark.parametrize("density", DENSITIES, ids=lambda density: density.name)


def upper_moment_by_quadrature(density: Distribution, order: int, x: float) -> float:
    """Integrate over pieces that are doubled as long as they add something."""
    ends = [x, *(x + 0.25 * 2**k for k in range(12 if density.name == "normal" else 700))]
    total = 0.0
    for low, high in pairwise(ends):
        if isinstance(density, Uniform):
            low, high = (min(end, math.sqrt(3)) for end in (low, high))
        piece, _ = scipy.integrate.quad(
            lambda t: t**order * float(density.pdf(t)), low, high, epsabs=0, epsrel=1e-13
        )
        total += piece
        if piece < 1e-16 * total:
            break
    return total


@densities
def test_against_scipy(density: Distribution) -> None:
    scipys = SCIPY[density]
    both_sides = np.concatenate([-POINTS, POINTS])
    np.testing.assert_allclose(density.pdf(both_sides), scipys.pdf(both_sides), rtol=3e-9)
    np.testing.assert_allclose(density.cdf(both_sides), scipys.cdf(both_sides), rtol=1e-12)
    assert density.entropy == pytest.approx(scipys.entropy() / math.log(2), rel=1e-9, abs=0)


@densities
@pytest.mark.parametrize("order", [0, 1, 2])
def test_moments_against_quadrature(density: Distribution, order: int) -> None:
    if density == StudentT(2.1) and order == 2:
        pytest.skip("its tail is too long for quadrature by doubling")
    for x in POINTS:
        if density == Uniform() and x > math.sqrt(3):
            continue
        found = density.upper_moments(x)[order]
        assert found == pytest.approx(
            upper_moment_by_quadrature(density, order, x), rel=1e-12, abs=0
        ), x


def test_second_moment_of_a_heavy_tail_against_quadrature() -> None:
    """With t = exp(u) the integrand falls slowly but smoothly: exp(-u/10) at the end."""
    density = StudentT(2.1)
    for x in (0.01, 1.0, 20.0):
        found, _ = scipy.integrate.quad(
            lambda u: math.exp(3 * u) * float(density.pdf(math.exp(u))),
            math.log(x),
            math.log(x) + 230,
            epsabs=0,
            epsrel=1e-12,
            limit=2000,
            points=[math.log(x) + k for k in (1, 3, 6, 12, 24, 50, 100)],
        )
        tail = math.exp(-0.1 * 230) * (density.pdf(1e50) * 1e50**3.1) / 0.1 / x**0.1
        assert density.upper_moments(x).second == pytest.approx(
            found + float(tail), rel=1e-9, abs=0
        )


@densities
def test_whole_moments_and_symmetry(density: Distribution) -> None:
    assert [float(m) for m in density.upper_moments(math.inf)] == [0, 0, 0]
    half = density.upper_moments(0.0)
    assert half.zeroth == pytest.approx(0.5, rel=1e-13, abs=0)
    assert half.second == pytest.approx(0.5, rel=1e-13, abs=0)
    assert float(density.partial_moment(1, math.inf)) == 0
    assert float(density.partial_moment(2, math.inf)) == 1
    x = 0.7
    assert density.partial_moment(2, x) + density.partial_moment(2, -x) == pytest.approx(1)
    assert density.partial_moment(1, x) == density.partial_moment(1, -x)


@densities
def test_quantiles_invert_the_tail(density: Distribution) -> None:
    p = np.array([1.0, 0.999, 0.5, 0.01, 1e-6, 1e-15, 1e-40, 1e-250])
    m = density.magnitude_beyond(p)
    if density == Uniform():  # the end of its range rounds
        p, m = p[:4], m[:4]
    np.testing.assert_allclose(2 * density.upper_moments(m).zeroth, p, rtol=1e-10)


@densities
def test_cube_root_integral(density: Distribution) -> None:
    """In the variable u with t = sinh(u), where the slowest tail falls fast."""
    if density == StudentT(2.1):
        pytest.skip("f**(1/3) of it falls as t**(-1.03); the formula is that of the others")
    end = math.asinh(math.sqrt(3)) if density == Uniform() else 60.0
    found, _ = scipy.integrate.quad(
        lambda u: math.cosh(u) * float(density.pdf(math.sinh(u))) ** (1 / 3),
        0,
        end,
        epsabs=0,
        epsrel=1e-11,
        limit=500,
        points=[1, 2, 4, 8] if end > 8 else None,
    )
    assert density.cube_root_integral == pytest.approx(2 * found, rel=1e-9, abs=0)


def test_student_t_tends_to_the_normal_distribution() -> None:
    np.testing.assert_allclose(StudentT(1e9).pdf(POINTS[:8]), Normal().pdf(POINTS[:8]), rtol=1e-6)


def test_names() -> None:
    for density in DENSITIES:
        assert parse_distribution(density.name) == density
    assert parse_distribution(" Student_T( 7.5 )") == StudentT(7.5)
    assert parse_distribution(Normal()) == Normal()
    with pytest.raises(ValueError, match="distribution must be one of normal, laplace"):
        parse_distribution("cauchy")
    with pytest.raises(ValueError, match=r"nu must be finite and above 2.*got 2\.0"):
        parse_distribution("student_t(2)")
    with pytest.raises(ValueError, match="could not convert"):
        parse_distribution("student_t(2.2.2)")
    with pytest.raises(TypeError, match="got 3; absmax_mse_of_weights takes weights"):
        parse_distribution(3)  # type: ignore[arg-type]


def test_arguments_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"x must be at least 0, got -1\.0"):
        Normal().upper_moments([2.0, -1.0])
    with pytest.raises(ValueError, match=r"p must be in \(0, 1\]"):
        Normal().magnitude_beyond(0.0)
    with pytest.raises(ValueError, match="order must be 1 or 2, got 3"):
        Normal().partial_moment(3, 0.0)
    with pytest.raises(TypeError, match="use absmax_mse_of_weights or law_of"):
        parse_distribution(Empirical([1.0]))  # type: ignore[arg-type]

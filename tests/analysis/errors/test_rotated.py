"""Laws of rotated weights, against laws that are known in closed form, and against draws."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from analysis.errors.absmax_error import absmax_mse
from analysis.errors.distributions import (
    Distribution,
    Laplace,
    Logistic,
    Normal,
    StudentT,
    Uniform,
)
from analysis.errors.expected_error import expected_mse
from analysis.errors.rotated import NormalMixture, Rotated
from minifloat import Rotation

Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
X = np.linspace(0, 12, 97)
LAWS = (Normal(), Laplace(), Logistic(), Uniform(), StudentT(3), StudentT(5), StudentT(8.5),
        NormalMixture((0.25, 0.75), (1.0, 0.5), (0.75, 0.75)))  # fmt: skip


def integral(density: np.ndarray, x: np.ndarray) -> float:
    return float(np.trapezoid(density, x))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_characteristic_functions_are_means_of_cosines(law: Distribution) -> None:
    x = np.concatenate([np.linspace(0, 60, 60_001), np.geomspace(60, 2e3, 60_001)[1:]])
    density = law.pdf(x)
    for t in (0.0, 0.3, 1.0, 2.5):
        wanted = 2 * integral(density * np.cos(t * x), x)
        assert float(law.characteristic(np.array([t]))[0]) == pytest.approx(wanted, abs=4e-4)


def test_normal_weights_stay_normal() -> None:
    for size in (4, 128):
        law = Rotated(Normal(), size)
        assert np.abs(law.pdf(X) - Normal().pdf(X)).max() < 1e-12
        for moment, wanted in zip(law.upper_moments(X), Normal().upper_moments(X), strict=True):
            assert np.abs(moment - wanted).max() < 1e-11
        assert absmax_mse("int4/64/float16", law) == pytest.approx(
            absmax_mse("int4/64/float16", "normal"), rel=1e-9
        )


@pytest.mark.parametrize("size", [4, 32, 128])
def test_contaminated_normal_weights_are_a_binomial_mixture(size: int) -> None:
    """The sum of n draws, k of them wide, is normal: no Fourier transform in that."""
    law = Rotated(NormalMixture.contaminated(0.02, 8), size)
    wanted = NormalMixture.contaminated(0.02, 8, size)
    assert np.abs(law.pdf(X) - wanted.pdf(X)).max() < 1e-11
    for moment, exact in zip(law.upper_moments(X), wanted.upper_moments(X), strict=True):
        assert np.abs(moment - exact).max() < 1e-10
    assert absmax_mse("e2m2/32", law) == pytest.approx(absmax_mse("e2m2/32", wanted), rel=1e-8)
    p = np.array([0.9, 0.5, 1e-3, 1e-9])
    assert law.magnitude_beyond(p) == pytest.approx(wanted.magnitude_beyond(p), rel=1e-6)
    assert 2 * wanted.upper_moments(wanted.magnitude_beyond(p)).zeroth == pytest.approx(p)


def test_the_sum_of_laplace_draws_is_known() -> None:
    """The sum of four has a density that is a polynomial times an exponential function."""
    b = math.sqrt(0.5)
    y = X * 2 / b  # of the sum of four, in scales
    density = np.exp(-y) * (15 + 15 * y + 6 * y**2 + y**3) / 96 * 2 / b
    law = Rotated(Laplace(), 4)
    assert np.abs(law.pdf(X) - density).max() < 1e-11
    assert float(law.upper_moments(0.0).second) == pytest.approx(0.5, abs=1e-11)


def test_closed_forms_of_mixtures() -> None:
    law = NormalMixture.of_rotated_outlier(10, 128)
    x = np.linspace(0, 12, 400_001)
    density = law.pdf(x)
    moments = law.upper_moments(0.0)
    for k, moment in enumerate(moments):
        assert float(moment) == pytest.approx(integral(density * x**k, x), rel=1e-7)
    beyond = x >= 1.5
    for k, moment in enumerate(law.upper_moments(1.5)):
        assert float(moment) == pytest.approx(
            integral((density * x**k)[beyond], x[beyond]), rel=1e-4
        )


@pytest.mark.parametrize(
    ("law", "draw"),
    [
        (Laplace(), lambda rng, shape: rng.laplace(0, math.sqrt(0.5), shape)),
        (StudentT(5), lambda rng, shape: math.sqrt(0.6) * rng.standard_t(5, shape)),
    ],
)
def test_the_error_with_a_fixed_scale_is_exact(law: Distribution, draw: Draw) -> None:
    """Weights are drawn, rotated and rounded: within four standard errors of theory."""
    size, blocks, scale = 16, 1 << 15, 0.35
    w = draw(np.random.default_rng(4), (blocks, size))
    turned = Rotation(size, 2).rotate(w)
    levels = np.clip(np.rint(turned / scale), -7, 7) * scale
    errors = ((levels - turned) ** 2).mean(axis=1)
    theory = expected_mse("int4", Rotated(law, size), scale)
    plain = expected_mse("int4", law, scale)
    error = errors.std() / math.sqrt(blocks)
    assert abs(errors.mean() - theory) < 4 * error
    assert abs(errors.mean() - plain) > 6 * error  # of weights that are not rotated
    assert abs(errors.mean() - expected_mse("int4", Normal(), scale)) > 4 * error


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="size must be at least 4, got 2"):
        Rotated(Normal(), 2)
    with pytest.raises(ValueError, match="shares must add up to 1, and the variance must be 1"):
        NormalMixture((1.0,), (0.0,), (2.0,))
    with pytest.raises(ValueError, match=r"recipe must have no rotation .*; leave it out, and use"):
        absmax_mse("int4/64/float16/hadamard64", "normal")

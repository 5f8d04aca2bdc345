"""QSUR against volumes counted by sampling, and against cases with known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import hadamard
from scipy.stats import ortho_group

from analysis.weights.space_utilization import Utilization, qsur


def vectors(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vectors whose second moments are exactly these."""
    d = len(covariance)
    return math.sqrt(d) * np.linalg.cholesky(covariance).T


@pytest.mark.parametrize(("d", "share"), [(1, 1), (2, math.pi / 4), (3, math.pi / 6)])
def test_a_ball_in_its_cube_is_the_best(d: int, share: float) -> None:
    found = qsur(vectors(7 * np.eye(d)))
    assert math.exp(found.log_qsur) == pytest.approx(share)
    assert found.log_qsur == pytest.approx(found.log_best)
    assert found.per_dimension == pytest.approx(1)


@pytest.mark.parametrize("seed", range(5))
def test_ratio_of_volumes_agrees_with_sampling(seed: int) -> None:
    """The share of uniform points of the bounding cube that lie in the ellipsoid."""
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((3, 3))
    covariance = root @ root.T
    sphere = rng.standard_normal((200_000, 3))
    surface = sphere / np.linalg.norm(sphere, axis=1)[:, None] @ np.linalg.cholesky(covariance).T
    half_side = np.abs(surface).max()  # the cube is found, not computed
    points = rng.uniform(-half_side, half_side, (400_000, 3))
    inside = np.einsum("ni,ij,nj->n", points, np.linalg.inv(covariance), points) <= 1
    share = inside.mean()
    expected = math.exp(qsur(vectors(covariance)).log_qsur)
    assert abs(share - expected) < 5 * math.sqrt(share / inside.size) + 0.01 * share


def test_axes_of_unequal_length_waste_space() -> None:
    found = qsur(vectors(np.diag([1.0, 0.25, 0.01])))
    assert found.per_dimension == pytest.approx((1 * 0.5 * 0.1) ** (1 / 3))


def test_a_hadamard_rotation_of_one_outlying_axis_is_the_best_there_is() -> None:
    covariance = np.diag([100.0, 1, 1, 1, 1, 1, 1, 1])
    rotation = hadamard(8) / math.sqrt(8)
    rotated = qsur(vectors(rotation @ covariance @ rotation.T)).log_qsur
    assert rotated > qsur(vectors(covariance)).log_qsur
    for other in ortho_group(8, seed=1).rvs(200):
        assert qsur(vectors(other @ covariance @ other.T)).log_qsur <= rotated


def test_a_rotation_does_not_matter_to_a_ball() -> None:
    """Measured by the ends of the principal axes it would: Q is then any rotation at all."""
    for rotation in ortho_group(4, seed=2).rvs(10):
        found = qsur(vectors(rotation @ np.eye(4) @ rotation.T))
        assert found.per_dimension == pytest.approx(1)


def test_scale_does_not_matter() -> None:
    x = np.random.default_rng(3).standard_normal((100, 5))
    for factor in (1e-300, 1e-10, 1e300):
        assert qsur(factor * x).log_qsur == pytest.approx(qsur(x).log_qsur)


def test_many_dimensions_do_not_underflow() -> None:
    found = qsur(np.random.default_rng(4).standard_normal((20_000, 512)))
    assert -2000 < found.log_qsur < -500
    assert 0.9 < found.per_dimension < 1


@pytest.mark.parametrize("x", [[[1.0, 2.0]], [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]])
def test_flat_data_fill_nothing(x: list[list[float]]) -> None:
    found = qsur(x)
    assert found == Utilization(2, -math.inf)
    assert found.per_dimension == 0


@pytest.mark.parametrize("x", [[1.0, 2.0], [[0.0, 0.0]], [[1.0, math.nan]], np.zeros((0, 3))])
def test_wrong_vectors(x: object) -> None:
    with pytest.raises(ValueError, match="vectors must be a matrix of finite numbers"):
        qsur(x)  # type: ignore[arg-type]

"""Statistics of tensors against their definitions, SciPy, and samples of known shape."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from analysis.weights.tensor_statistics import (
    crest_factors,
    fit_generalised_shape,
    fit_student_nu,
    gaussian_divergence,
    tensor_statistics,
)

RNG = np.random.default_rng(5)
WEIGHTS = RNG.laplace(0.3, 0.02, (60, 200)).astype(np.float32)


def test_statistics_are_their_definitions() -> None:
    found = tensor_statistics(WEIGHTS, block_size=64)
    w = WEIGHTS.astype(np.float64)
    rms = math.sqrt(np.mean(w**2))
    assert found.size == w.size
    assert found.mean == pytest.approx(w.mean(), rel=1e-12)
    assert found.rms == pytest.approx(rms, rel=1e-12)
    assert found.crest_factor == pytest.approx(np.abs(w).max() / rms, rel=1e-12)
    assert found.kurtosis == pytest.approx(stats.kurtosis(w, axis=None, fisher=False), rel=1e-9)
    assert found.student_nu == fit_student_nu(WEIGHTS)
    assert found.shape == fit_generalised_shape(WEIGHTS)
    assert found.gaussian_divergence == gaussian_divergence(WEIGHTS)
    channels = [np.abs(row).max() / math.sqrt(np.mean(row**2)) for row in w]
    assert found.channel_crest_factors.median == pytest.approx(np.median(channels))
    assert found.channel_crest_factors.maximum == pytest.approx(max(channels))


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("block_size", [1, 7, 64, 1000, None])
def test_crest_factors_block_by_block(axis: int, block_size: int | None) -> None:
    w = WEIGHTS.astype(np.float64)
    length = w.shape[axis]
    expected = []
    for start in range(0, length, block_size or length):
        block = np.take(w, range(start, min(start + (block_size or length), length)), axis)
        expected += list(np.abs(block).max(axis) / np.sqrt(np.mean(block**2, axis)))
    found = crest_factors(w, block_size=block_size, axis=axis)
    assert found == pytest.approx(np.array(expected))


def test_blocks_of_zeros_have_no_crest_factor() -> None:
    assert crest_factors([[0, 0, 3, 4]], block_size=2).tolist() == [4 / math.sqrt(12.5)]


def test_tiny_weights_are_not_lost() -> None:
    w = np.array([[1e-200, -2e-200, 3e-200, 1e-200]])
    big = tensor_statistics(w * 1e200, block_size=2)
    tiny = tensor_statistics(w, block_size=2)
    assert tiny.kurtosis == pytest.approx(big.kurtosis)
    assert tiny.crest_factor == pytest.approx(big.crest_factor)
    assert tiny.rms == pytest.approx(big.rms * 1e-200)


@pytest.mark.parametrize("nu", [2.5, 4.0, 8.0, 30.0])
def test_student_fit_finds_what_was_drawn(nu: float) -> None:
    drawn = np.random.default_rng(6).standard_t(nu, 1 << 18)
    assert fit_student_nu(drawn) == pytest.approx(nu, rel=0.1)


def test_student_fit_stops_where_the_variance_ends() -> None:
    drawn = np.random.default_rng(6).standard_cauchy(1 << 16)
    assert fit_student_nu(drawn) == pytest.approx(2.1, abs=1e-3)


def test_student_fit_agrees_with_scipy() -> None:
    """SciPy fits a free scale as well, so that the two agree only where a t was drawn."""
    drawn = np.random.default_rng(7).standard_t(6, 20_000)
    nu, _, _ = stats.t.fit(drawn, floc=0)
    assert fit_student_nu(drawn) == pytest.approx(nu, rel=0.05)


@pytest.mark.parametrize("draw", ["standard_normal", "random"])
def test_light_tails_are_gaussian_to_the_student_fit(draw: str) -> None:
    drawn = getattr(np.random.default_rng(8), draw)(1 << 16) - (0.5 if draw == "random" else 0)
    assert fit_student_nu(drawn) > 100


@pytest.mark.parametrize("shape", [0.5, 1.0, 1.5, 2.0, 4.0])
def test_shape_fit_finds_what_was_drawn(shape: float) -> None:
    drawn = stats.gennorm(shape).rvs(1 << 17, random_state=np.random.default_rng(9))
    assert fit_generalised_shape(drawn) == pytest.approx(shape, rel=0.05)


def test_shape_fit_is_the_most_likely() -> None:
    """Against SciPy's density on a grid of shapes, in place of the formula and the search."""
    w = np.random.default_rng(10).laplace(size=4000)
    rms = math.sqrt(np.mean(w**2))

    def likelihood(shape: float) -> float:
        law = stats.gennorm(shape, scale=1 / stats.gennorm(shape).std())
        return float(law.logpdf(w / rms).sum())

    best = fit_generalised_shape(w)
    assert likelihood(best) >= max(likelihood(shape) for shape in np.linspace(0.5, 3, 101))


@pytest.mark.parametrize(
    ("draw", "bits"),
    [
        (lambda rng, n: rng.standard_normal(n), 0.0),
        (lambda rng, n: 5 + 0.1 * rng.standard_normal(n), 0.0),
        (lambda rng, n: rng.laplace(size=n), math.log2(math.pi / math.e) / 2),
        (lambda rng, n: rng.random(n), math.log2(math.pi * math.e / 6) / 2),
    ],
    ids=["normal", "shifted", "laplace", "uniform"],
)
def test_divergence_of_known_laws(draw: Callable[[Any, int], Any], bits: float) -> None:
    """Half log2(2 pi e variance) less the entropy of the law."""
    drawn = draw(np.random.default_rng(11), 1 << 21)
    assert gaussian_divergence(drawn) == pytest.approx(bits, abs=0.01)


def test_divergence_of_outliers_and_ties_is_finite() -> None:
    w = np.random.default_rng(12).standard_normal(100_000)
    w[0] = 1e6
    assert 1 < gaussian_divergence(w) < 200
    assert 0.5 < gaussian_divergence([-1.0, 1.0] * 1000) < 20


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int32"])
def test_other_types_count_with_their_values(dtype: str) -> None:
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    narrow = np.random.default_rng(15).normal(0, 100, (64, 256)).astype(dtype)
    assert tensor_statistics(narrow) == tensor_statistics(narrow.astype(np.float64))


def test_equal_weights() -> None:
    found = tensor_statistics(np.full(500, 0.1, np.float32))
    assert math.isnan(found.kurtosis)
    assert math.isnan(found.gaussian_divergence)
    assert found.crest_factor == pytest.approx(1)


@pytest.mark.parametrize("w", [[], [0.0, 0.0], [1.0, math.inf]])
def test_wrong_weights(w: list[float]) -> None:
    with pytest.raises(ValueError, match="weights must be finite and not all 0"):
        tensor_statistics(w)


def test_wrong_options() -> None:
    with pytest.raises(ValueError, match="axis must be an axis of weights"):
        crest_factors([1.0], block_size=1, axis=1)
    with pytest.raises(ValueError, match="axis must be an axis of weights"):
        tensor_statistics([1.0], axis=1)
    with pytest.raises(ValueError, match="block_size must be at least 1"):
        tensor_statistics([1.0], block_size=0)

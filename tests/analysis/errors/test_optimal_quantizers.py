"""Optimal quantizers by their definition, and bounds against errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.optimize

from analysis import Empirical, code_entropy, expected_mse, optimal_scale, parse_distribution
from analysis.errors.optimal_quantizers import (
    best_scale_at_entropy,
    entropy_coded_uniform,
    lloyd_max,
    panter_dite,
    shannon_lower_bound,
    uniform_quantizer,
)
from minifloat.formats import Codebook, Integer
from minifloat.formats.names import parse

NAMES = ["normal", "laplace", "logistic", "uniform", "student_t(2.5)", "student_t(5)"]
FIVE_BITS = ["e2m2", "int5", "e3m1", "e4m0", "nf5"]
FOUR_BITS = ["nf4", "sf4", "af4", "e2m1", "int4", "int4full", "bnb_fp4", "e3m0", "bipolar_int4"]


@pytest.mark.parametrize("levels", [2, 3, 4, 15, 16, 31, 32, 255, 256])
@pytest.mark.parametrize("name", NAMES)
def test_every_level_is_the_mean_of_its_cell(name: str, levels: int) -> None:
    density, quantizer = parse_distribution(name), lloyd_max(name, levels)
    y = quantizer.levels
    assert y.size == levels
    np.testing.assert_array_equal(y, -y[::-1])
    upper = y[(levels + 1) // 2 :]
    edges = np.concatenate([[upper[0] / 2 if levels % 2 else 0.0], (upper[1:] + upper[:-1]) / 2])
    beyond = density.upper_moments(np.append(edges, math.inf))
    chance, first = np.diff(beyond.zeroth), np.diff(beyond.first)
    np.testing.assert_allclose(first / chance, upper, rtol=1e-8)
    # with means for levels the error is the variance less that of the levels
    assert quantizer.mse == pytest.approx(1 + 2 * chance @ upper**2, abs=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_no_other_levels_do_better(name: str) -> None:
    """Descents from random levels end no lower, also where solutions are not known to be unique."""
    density, rng = parse_distribution(name), np.random.default_rng(21)
    for levels in (2, 5):
        smallest = lloyd_max(name, levels).mse
        for _ in range(4):
            start = np.sort(rng.standard_normal(levels))
            found = scipy.optimize.minimize(
                lambda y: expected_mse(Codebook(np.unique(y).tolist()), density, 1.0),
                start,
                method="Nelder-Mead",
                options={"maxiter": 1500, "fatol": 1e-12, "xatol": 1e-7},
            )
            assert found.fun >= smallest * (1 - 1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fmt", FIVE_BITS + FOUR_BITS)
def test_lloyd_max_is_below_every_grid_and_above_the_bound(fmt: str, name: str) -> None:
    """With as many levels as the grid has, and as many bits as that takes."""
    grid_levels = np.unique(parse(fmt).values() + 0.0).size
    best = lloyd_max(name, grid_levels)
    mse = optimal_scale(fmt, name)[1]
    assert best.mse <= mse * (1 + 1e-11)
    assert uniform_quantizer(name, grid_levels).mse >= best.mse * (1 - 1e-11)
    assert best.mse > shannon_lower_bound(name, math.log2(grid_levels))
    assert best.mse > shannon_lower_bound(name, best.entropy)


def test_lloyd_max_for_the_uniform_density_is_uniform() -> None:
    for levels in (2, 7, 32):
        quantizer = lloyd_max("uniform", levels)
        assert quantizer.mse == pytest.approx(1 / levels**2, rel=1e-11, abs=0)
        assert quantizer.entropy == pytest.approx(math.log2(levels), rel=1e-11, abs=0)


def test_two_levels_in_closed_form() -> None:
    """They stand at the mean magnitude: MSE 1 - E|X|**2."""
    assert lloyd_max("normal", 2).mse == pytest.approx(1 - 2 / math.pi, rel=1e-12, abs=0)
    assert lloyd_max("laplace", 2).mse == pytest.approx(0.5, rel=1e-12, abs=0)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "student_t(2.5)"])
def test_panter_dite_is_the_limit_of_many_levels(name: str) -> None:
    ratios = [lloyd_max(name, n).mse / panter_dite(name, n) for n in (64, 256, 1024)]
    assert ratios == sorted(ratios)
    assert 0.97 < ratios[-1] <= 1 + 1e-9


def test_panter_dite_of_a_heavy_tail_is_reached_late() -> None:
    ratios = [lloyd_max("student_t(2.5)", n).mse / panter_dite("student_t(2.5)", n)
              for n in (64, 256, 1024, 4096)]  # fmt: skip
    assert ratios == sorted(ratios)
    assert 0.97 < ratios[-1] < 1


def test_shannon_bound() -> None:
    assert shannon_lower_bound("normal", 3) == pytest.approx(2.0**-6, rel=1e-14, abs=0)
    for name in NAMES[1:]:  # of all densities of one variance the normal one is the hardest
        assert shannon_lower_bound(name, 3) < 2.0**-6


@pytest.mark.parametrize("name", ["normal", "laplace", "logistic", "uniform", "student_t(5)"])
def test_entropy_coded_uniform(name: str) -> None:
    """1.53 dB above the bound at many bits; with the entropy asked for, and no format below it."""
    for entropy in (1.0, 5.0):
        quantizer = entropy_coded_uniform(name, entropy)
        assert quantizer.entropy == pytest.approx(entropy, rel=1e-9, abs=0)
        assert quantizer.mse > shannon_lower_bound(name, entropy)
        over = quantizer.mse / shannon_lower_bound(name, entropy)
        if entropy == 5.0:
            near = 0.1 if name == "uniform" else 3e-3  # that density ends with a jump
            assert over == pytest.approx(math.pi * math.e / 6, rel=near, abs=0)
            for fmt in ("int5", "e2m2", "nf5"):
                limited = best_scale_at_entropy(fmt, name, entropy)
                assert limited.mse > quantizer.mse * (1 - 1e-3)


@pytest.mark.parametrize("name", ["normal", "laplace", "student_t(5)"])
@pytest.mark.parametrize("fmt", ["e2m2", "int5", "e4m0", "nf4"])
def test_best_scale_at_entropy(fmt: str, name: str) -> None:
    """No scale of a dense scan meets the limit with less error."""
    unlimited = best_scale_at_entropy(fmt, name, 10.0)
    assert unlimited.mse == pytest.approx(optimal_scale(fmt, name)[1], rel=1e-13, abs=0)
    for limit in (unlimited.entropy - 0.2, 2.0):
        best = best_scale_at_entropy(fmt, name, limit)
        assert best.entropy <= limit
        assert best.entropy == code_entropy(fmt, name, best.scale)
        assert best.mse == expected_mse(fmt, name, best.scale)
        for scale in np.geomspace(best.scale / 30, best.scale * 30, 600):
            if code_entropy(fmt, name, scale) <= limit:
                assert expected_mse(fmt, name, scale) >= best.mse * (1 - 1e-10)


def test_integers_are_best_once_codes_are_compressed() -> None:
    """At 4 bits of entropy the order of E2M2 and INT5 turns round: a uniform grid wins."""
    e2m2, int5 = (best_scale_at_entropy(fmt, "normal", 4.0).mse for fmt in ("e2m2", "int5"))
    assert int5 < e2m2
    wide = best_scale_at_entropy(Integer(8), "normal", 4.0).mse
    assert wide == pytest.approx(entropy_coded_uniform("normal", 4.0).mse, rel=1e-4, abs=0)


def test_arguments_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"levels must be in 2\.\.4096, got 1"):
        lloyd_max("normal", 1)
    with pytest.raises(ValueError, match=r"levels must be in 2\.\.4096, got 5000"):
        uniform_quantizer("normal", 5000)
    with pytest.raises(TypeError, match="distribution must be a Distribution"):
        lloyd_max(Empirical([1.0, 2.0]), 4)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="levels must be above 0, got 0"):
        panter_dite("normal", 0)
    with pytest.raises(ValueError, match="bits must be at least 0, got -1"):
        shannon_lower_bound("normal", -1)
    with pytest.raises(ValueError, match=r"entropy must be in 0\.1\.\.8 bits, got 9"):
        entropy_coded_uniform("normal", 9)
    with pytest.raises(ValueError, match="limit must be above 0, got 0"):
        best_scale_at_entropy("e2m2", "normal", 0)
    with pytest.raises(ValueError, match="limit must be above the smallest entropy"):
        best_scale_at_entropy("bipolar_int1", "normal", 0.5)

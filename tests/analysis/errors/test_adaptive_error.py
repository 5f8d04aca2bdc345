"""The exact error of the better of two candidates against quadrature, enumeration, experiments."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

import minifloat as mf
from analysis import absmax_mse, adaptive_mse
from analysis.errors import adaptive_error as module
from analysis.errors.grids import grid_of
from analysis.errors.scale_rules import tensor_scale_of, usual_absmax

SIGMAS = 5.0  # of the experiments: one in two million fails by chance
DRAWS = {
    "normal": lambda random, shape: random.standard_normal(shape),
    "laplace": lambda random, shape: random.laplace(scale=0.5**0.5, size=shape),
    "student_t(5)": lambda random, shape: random.standard_t(5, shape) * 0.6**0.5,
}


def measured(name: str, law: str, size: int, seed: int) -> tuple[float, float, float, float]:
    """Return the mean squared error and the share of the second candidate, and their errors."""
    recipe = mf.Recipe.parse(name)
    random = np.random.default_rng(seed)
    density = module.parse_distribution(law)
    scale = {}
    if recipe.tensor_scale:
        scale = {"tensor_scale": np.float32(tensor_scale_of(recipe, usual_absmax(density)))}
    assert isinstance(recipe.block, int)
    w = DRAWS[law](random, (size // (64 * recipe.block), 64 * recipe.block)).astype(np.float32)
    q = mf.quantize(w, recipe, **scale)
    blocks = (w - q.dequantize().astype(np.float64)).reshape(-1, recipe.block)
    errors = (blocks**2).mean(axis=1)
    if q.choices is not None:
        chosen = q.choices.reshape(-1) == 1
    else:  # the scale tells
        first = mf.quantize(w, recipe.candidates[0], **scale)
        chosen = (q.scales != first.scales).reshape(-1)
    count = math.sqrt(errors.size)
    return errors.mean(), errors.std() / count, chosen.mean(), chosen.std() / count


QUICK = [
    ("four_over_six", "normal"), ("if4", "normal"), ("nf4|int4full/32/float32", "normal"),
]  # fmt: skip
CASES = [
    *QUICK, ("if4", "laplace"), ("if3", "normal"), ("e2m1|int4/8/e8m0", "normal"),
    ("e2m1|int4/16/float16", "normal"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "law"), QUICK)
def test_experiments(name: str, law: str) -> None:
    expected = adaptive_mse(name, law)
    mse, mse_error, share, share_error = measured(name, law, 1 << 18, 1)
    assert abs(mse - expected.mse) < SIGMAS * mse_error
    assert abs(share - expected.share) < SIGMAS * share_error


@pytest.mark.long
@pytest.mark.parametrize(("name", "law"), CASES)
def test_large_experiments(name: str, law: str) -> None:
    expected = adaptive_mse(name, law)
    mse, mse_error, share, share_error = measured(name, law, 1 << 24, 2)
    assert mse_error < 1.2e-3 * mse
    assert abs(mse - expected.mse) < SIGMAS * mse_error
    assert abs(share - expected.share) < SIGMAS * share_error


FACTS = {  # QSNR in dB and share, measured on 2**20 numbers
    ("four_over_six", "normal"): (21.22, 0.45), ("if4", "normal"): (22.11, 0.63),
    ("four_over_six", "laplace"): (21.19, 0.34), ("if4", "laplace"): (21.54, 0.42),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "law"),
    [pytest.param(*case, marks=[pytest.mark.long] * (case[1] != "normal")) for case in FACTS],
)
def test_known_figures(name: str, law: str) -> None:
    error = adaptive_mse(name, law)
    decibels, share = FACTS[name, law]
    assert -10 * math.log10(error.mse) == pytest.approx(decibels, abs=0.03)
    assert error.share == pytest.approx(share, abs=0.006)


@pytest.mark.long
def test_known_figures_of_a_heavy_tail() -> None:
    for name, decibels, share in (("four_over_six", 21.24, 0.36), ("if4", 21.67, 0.47)):
        error = adaptive_mse(name, "student_t(5)")
        assert -10 * math.log10(error.mse) == pytest.approx(decibels, abs=0.03)
        assert error.share == pytest.approx(share, abs=0.006)


def squared(name: str, x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.asarray((x - scale * grid_of(name).nearest(x / scale)) ** 2)


@pytest.mark.long
def test_blocks_of_two_by_nested_quadrature(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of two weights, exact scales: the mean of the smaller sum, over the plane."""
    monkeypatch.setattr(module, "LEAST_BLOCK", 2)
    monkeypatch.setattr(module, "NODES", np.polynomial.legendre.leggauss(40)[0])
    monkeypatch.setattr(module, "WEIGHTS", np.polynomial.legendre.leggauss(40)[1])
    x, weights = np.polynomial.legendre.leggauss(400)
    rays = (x + 1) / 2  # the other weight over the largest: all is a function of the ratio

    def smaller(largest: float) -> float:
        m, others = np.full(rays.size, largest), rays * largest
        sums = [
            squared(name, m, m / top) + squared(name, others, m / top)
            for name, top in (("e2m1", 6), ("int4", 7))
        ]
        density = scipy.stats.norm.pdf(others) * weights / 2 * largest
        return float((np.minimum(*sums) * density).sum()) * scipy.stats.norm.pdf(largest) * 16 / 4

    total = scipy.integrate.quad(smaller, 0, 9, limit=200)[0]
    error = adaptive_mse("e2m1|int4/2/float32", "normal")
    assert error.mse == pytest.approx(total, rel=3e-4)


def test_two_equal_candidates_are_one() -> None:
    same = mf.Codebook([v / 2 for v in mf.parse("int4full").values()])
    recipe = mf.Recipe("int4full", block=16, scale="float32", alternatives=[same])
    assert adaptive_mse(recipe, "normal").mse == pytest.approx(
        absmax_mse("int4full/16/float32", "normal"), rel=1e-9
    )


def test_a_useless_candidate_changes_nothing() -> None:
    recipe = mf.Recipe("e2m1", block=16, scale="float32", alternatives=["e2m1@0.001"])
    error = adaptive_mse(recipe, "normal")
    assert error.mse == pytest.approx(absmax_mse("e2m1/16/float32", "normal"), rel=1e-6)
    assert error.share == pytest.approx(0, abs=1e-4)


@pytest.mark.long
def test_finer_sums_change_little(monkeypatch: pytest.MonkeyPatch) -> None:
    rough = adaptive_mse("four_over_six", "normal")
    monkeypatch.setattr(module, "NODES", np.polynomial.legendre.leggauss(32)[0])
    monkeypatch.setattr(module, "WEIGHTS", np.polynomial.legendre.leggauss(32)[1])
    monkeypatch.setattr(module, "ENOUGH", 1e-11)
    monkeypatch.setattr(module, "ORDERS", ((math.inf, 10),))
    fine = adaptive_mse("four_over_six", "normal")
    assert rough.mse == pytest.approx(fine.mse, rel=1e-6)
    assert rough.share == pytest.approx(fine.share, abs=1e-4)


def test_what_the_theory_does_not_cover() -> None:
    for name, message in {
        "nvfp4": "recipe must have two candidates for an exact error, got .*, with 1; measure it",
        "nf4|int4|e3m0/8/float32": "recipe must have two candidates .*, with 3",
        "e2m1|int4/16/float16/mse": "recipe must have the search absmax",
        "e2m1|int4/7/float16": "recipe must have blocks of at least 8 weights",
        "e2m1|int4/channel": "recipe must have blocks of a known size",
    }.items():
        with pytest.raises(ValueError, match=r"^" + message):
            adaptive_mse(name, "normal")
    with pytest.raises(
        ValueError, match=r"^recipe must have one candidate .*use analysis.adaptive"
    ):
        absmax_mse("if4", "normal")
    with pytest.raises(TypeError, match="distribution must be"):
        adaptive_mse("if4", 3)  # type: ignore[arg-type]

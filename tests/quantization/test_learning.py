"""`learn_rounding` against finite differences, the formulas of AdaRound, and its own promises."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.quantization import learning
from minifloat.quantization.learning import SoftRounding, neighbours, regularizer, soft, start_of
from minifloat.quantization.unpacked import Unpacked
from tests.quantization.test_gptq import correlated, weights
from tests.quantization.test_refining import STARTS, loss

Array = np.ndarray


def problem(seed: int = 0) -> tuple[SoftRounding, Array]:
    rng = np.random.default_rng(seed)
    gap = rng.exponential(size=(3, 7)) * (rng.random((3, 7)) > 0.1)
    made = SoftRounding(-gap * rng.random((3, 7)), gap, correlated(7, seed) / 50)
    return made, rng.normal(0, 2, (3, 7))


def by_the_paper(problem: SoftRounding, v: Array, weight: float, beta: float) -> float:
    """Equations (21) to (24) of arXiv 2004.10568, a weight at a time."""
    total = 0.0
    for low, gap, row in zip(problem.low, problem.gap, v, strict=True):
        h = [min(max(1 / (1 + math.exp(-x)) * (1.1 - -0.1) + -0.1, 0), 1) for x in row]
        d = [a + g * x for a, g, x in zip(low, gap, h, strict=True)]
        for i, j in np.ndindex(7, 7):
            total += d[i] * problem.hessian[i, j] * d[j]
        total += weight * sum(1 - abs(2 * x - 1) ** beta for x in h)
    return total


@pytest.mark.parametrize(("weight", "beta"), [(0, 20), (0.3, 20), (0.3, 7.5), (2, 2)])
def test_the_gradient_by_finite_differences(weight: float, beta: float) -> None:
    for seed in range(4):
        made, v = problem(seed)
        assert made.value(v, weight, beta) == pytest.approx(by_the_paper(made, v, weight, beta))
        gradient = made.gradient(v, weight, beta)
        for index in np.ndindex(v.shape):
            step = np.zeros_like(v)
            step[index] = 1e-6
            ends = (by_the_paper(made, v + s, weight, beta) for s in (step, -step))
            assert gradient[index] == pytest.approx(
                (next(ends) - next(ends)) / 2e-6, rel=1e-4, abs=1e-5
            )


def half_of_it(made: SoftRounding, v: Array, weight: float, beta: float) -> Array:
    return 0.5 * GRADIENT(made, v, weight, beta)


def without_the_gaps(made: SoftRounding, v: Array, weight: float, beta: float) -> Array:
    h, slope = soft(v)
    side = 2 * h - 1
    by_reg = np.sign(side) * np.abs(side) ** (beta - 1) * (2 * beta * weight)
    return np.asarray((2 * (made.low + made.gap * h) @ made.hessian - by_reg) * slope)


def pushed_to_the_middle(made: SoftRounding, v: Array, weight: float, beta: float) -> Array:
    return GRADIENT(made, v, -weight, beta)


GRADIENT = SoftRounding.gradient


@pytest.mark.parametrize("mistake", [half_of_it, without_the_gaps, pushed_to_the_middle])
def test_finite_differences_reject_mistakes(mistake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SoftRounding, "gradient", mistake)
    with pytest.raises(AssertionError):
        test_the_gradient_by_finite_differences(0.3, 7.5)


def test_the_rectified_sigmoid() -> None:
    h, slope = soft(np.array([-1e4, -3.0, 0.0, 3.0, 1e4]))
    assert h.tolist() == [0, 0, 0.5, 1, 1]
    assert slope.tolist() == [0, 0, pytest.approx(0.3), 0, 0]
    places = np.linspace(0, 1, 11)
    np.testing.assert_allclose(soft(start_of(places))[0], places, atol=1e-15)


def test_the_schedule() -> None:
    """No regularizer for a fifth of the steps; then beta falls from 20 to 2."""
    assert regularizer(0.1)[0] == regularizer(0.2)[0] == 0
    assert regularizer(0.2001) == (learning.WEIGHT, pytest.approx(20, abs=0.01))
    assert regularizer(0.6) == (learning.WEIGHT, pytest.approx(11))
    assert regularizer(1.0) == (learning.WEIGHT, 2)


def test_adam() -> None:
    """The first step is as long as the rate, whatever the gradient; the next as by the paper."""
    v, moments = np.zeros(3), (np.zeros(3), np.zeros(3))
    first, second = np.array([1e-2, -5.0, 0.0]), np.array([2e-3, 5.0, 1.0])
    learning.adam(v, first, moments, 1)
    np.testing.assert_allclose(v, [-learning.RATE, learning.RATE, 0], rtol=1e-4)
    before = v.copy()
    learning.adam(v, second, moments, 2)
    m = (0.1 * 0.9 * first + 0.1 * second) / (1 - 0.9**2)
    s = (0.001 * 0.999 * first**2 + 0.001 * second**2) / (1 - 0.999**2)
    np.testing.assert_allclose(before - v, learning.RATE * m / np.sqrt(s), rtol=1e-4)


@pytest.mark.parametrize(("recipe", "options"), STARTS)
def test_neighbours(recipe: str, options: dict[str, Any]) -> None:
    """The values on both sides of each weight, by a search through all of its format's."""
    w, hessian = weights((3, 48)), np.eye(48)
    w[0, :9] = 0
    parts = Unpacked.of(w, mf.quantize(w, recipe, search="percentile", percentile=80.0)
                        if "authors" not in recipe and "double" not in recipe
                        else mf.quantize(w, recipe), hessian, 0.0)  # fmt: skip
    below, above = neighbours(parts)
    scales, zeros, choices = map(parts.every, (parts.scales, parts.zeros, parts.choices))
    beyond = 0
    formats = [candidate.fmt for candidate in parts.q.recipe.candidates]
    every = [sorted({float(v) for v in fmt.values() if math.isfinite(v)}) for fmt in formats]
    for index in np.ndindex(w.shape):
        choice = choices[index]
        values = [v - zeros[index] for v in every[choice]]
        scale = scales[index] * parts.factors[choice]
        place = parts.wanted[index] / (scale or 1)
        lower = max([v for v in values if v <= place], default=values[0])
        upper = min([v for v in values if v >= place], default=values[-1])
        assert below.units[index] == lower
        assert above.units[index] == upper
        for side in (below, above):
            assert formats[choice].value(int(side.codes[index])) - zeros[index] == side.units[index]
        beyond += lower == upper != place
    if not {"authors", "double"} & set(recipe.split("/")):
        assert beyond > 3


def test_only_neighbours_of_the_weights() -> None:
    w, hessian = weights((6, 32)), correlated(32)
    start = mf.quantize(w, "e2m2/16/float16")
    q = mf.learn_rounding(w, start, hessian, steps=100)
    parts = Unpacked.of(w, start, hessian, 0.01)
    below, above = neighbours(parts)
    units = q.fmt.values()[q.codes]
    assert ((units == below.units) | (units == above.units)).all()
    np.testing.assert_array_equal(q.scales, start.scales)
    assert (q.codes != start.codes).any()


@pytest.mark.parametrize(("recipe", "options"), STARTS)
def test_never_worse_than_its_start_or_nearest(recipe: str, options: dict[str, Any]) -> None:
    w, hessian = weights((9, 48)), correlated(48)
    nearest = mf.quantize(w, recipe)
    q = mf.learn_rounding(w, nearest, hessian, steps=100)
    assert loss(w, q, hessian) < 0.9 * loss(w, nearest, hessian)
    by_gptq = mf.gptq(w, recipe, hessian, static_groups=True)
    assert loss(w, mf.learn_rounding(w, by_gptq, hessian, steps=20), hessian) <= loss(
        w, by_gptq, hessian
    )
    hurt = mf.Quantized(
        mf.pack(np.full(9 * 48, nearest.codes[0, 0]), nearest.fmt.bits), nearest.scales,
        nearest.recipe, nearest.shape, 1, nearest.tensor_scale, nearest.zero_points,
        nearest.double, nearest.choices,
    )  # fmt: skip
    one = mf.learn_rounding(w, hurt, hessian, steps=1)
    parts = Unpacked.of(w, nearest, hessian, 0.01)
    below, above = neighbours(parts)
    scales = parts.every_scale()
    low, high = below.units * scales, above.units * scales
    by_hand = np.where(parts.wanted - low > high - parts.wanted, high, low)
    rounded = parts.losses(by_hand, slice(0, 9)).sum()
    assert parts.losses(
        Unpacked.of(w, one, hessian, 0.01).units * scales, slice(0, 9)
    ).sum() <= rounded * (1 + 1e-9)


def test_brute_force_on_tiny_layers() -> None:
    """Never better than the best way to round up or down; nearer to it than nearest."""
    every = np.array(list(itertools.product([False, True], repeat=6)))
    above_best: dict[str, list[float]] = {"nearest": [], "learned": []}
    for seed in range(30):
        w, hessian = weights((1, 6), seed), correlated(6, seed)
        start = mf.quantize(w, "e2m1/6/float32")
        below, above = neighbours(Unpacked.of(w, start, hessian, 0.0))
        d = np.where(every, above.units, below.units) * float(start.scales[0, 0]) - w
        least = float(np.sum((d @ hessian) * d, axis=1).min())
        learned = mf.learn_rounding(w, start, hessian, damp=0)
        for name, q in (("nearest", start), ("learned", learned)):
            assert loss(w, q, hessian, 0) >= least * (1 - 1e-4)
            above_best[name].append(math.log(loss(w, q, hessian, 0) / least))
    assert np.mean(above_best["learned"]) < 0.8 * np.mean(above_best["nearest"])
    exact = [sum(x < 1e-4 for x in above_best[name]) for name in ("learned", "nearest")]
    assert exact[0] > exact[1] > 0


def test_more_steps_and_threads() -> None:
    w, hessian = weights((40, 64)), correlated(64)
    start = mf.quantize(w, "int4/32/float16", search="mse")
    few, many = (mf.learn_rounding(w, start, hessian, steps=n) for n in (20, 1000))
    assert loss(w, many, hessian) < loss(w, few, hessian)
    assert mf.learn_rounding(w, start, hessian, steps=20, threads=3) == few


def test_awkward_layers() -> None:
    w = weights((4, 24))
    w[0, :8], w[1] = 0, 0
    exact = mf.quantize(np.round(w * 2), "int4/8/e8m0")
    assert mf.learn_rounding(exact.dequantize(), exact, correlated(24)) == exact
    for hessian in (np.zeros((24, 24)), np.diag(np.arange(24.0)), 1e300 * correlated(24)):
        start = mf.quantize(w, "nf4/7/float16")
        assert np.isfinite(mf.learn_rounding(w, start, hessian, steps=30).dequantize()).all()
    huge = mf.quantize(w * np.float32(1e30), "int4/8/float32")
    assert loss(w * np.float32(1e30), mf.learn_rounding(w * np.float32(1e30), huge, correlated(24)),
                correlated(24)) < loss(w * np.float32(1e30), huge, correlated(24))  # fmt: skip
    for shape in ((0, 5), (3, 0)):
        empty = mf.quantize(np.zeros(shape), "int4")
        assert mf.learn_rounding(np.zeros(shape), empty, np.eye(shape[1])).shape == shape
    for steps in (0, -1, 2.0, True):
        with pytest.raises((TypeError, ValueError), match="steps must be"):
            mf.learn_rounding(w, start, np.eye(24), steps=steps)  # type: ignore[arg-type]

"""Bias correction: the mean error becomes 0, and the analytic mean is that of a clipped normal."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.composites import Composite, clipped_normal_mean, correct_bias, smooth

RNG = np.random.default_rng(7)
W = RNG.standard_normal((12, 32)).astype(np.float32)
X = np.maximum(RNG.standard_normal((50, 32)) + 1, 0).astype(np.float32)


@pytest.mark.parametrize("activations", [None, "int4/channel/float32"])
def test_the_mean_error_is_nothing(activations: str | None) -> None:
    bias = RNG.standard_normal(12)
    for q in (mf.quantize(W, "int3/16/float16"), smooth(W, X, "int3/16/float16/hadamard8")):
        c = correct_bias(W, q, X, bias=bias, activations=activations)
        assert c.bias is not None
        factors = np.ones(32) if not isinstance(q, Composite) else q.input_factors
        given = X if factors is None else (X / factors).astype(np.float32)
        if activations is not None:
            turned = activations if not isinstance(q, Composite) else f"{activations}/hadamard8"
            given = mf.quantize(given, turned).dequantize()
        held = (q.dense if isinstance(q, Composite) else q).dequantize()
        errors = given.astype(np.float64) @ held.T - X.astype(np.float64) @ W.T  # by the definition
        after = errors + (c.bias - bias)
        assert np.abs(after.mean(axis=0)).max() < 1e-5
        assert np.abs(errors.mean(axis=0)).max() > 0.02
        assert np.sum(after**2) < np.sum(errors**2)
        again = correct_bias(W, c, X, activations=activations)  # has its own bias already
        assert again.bias is not None
        assert again.bias == pytest.approx(c.bias + errors.mean(axis=0) * -1, abs=1e-4)


def test_of_a_mean_alone() -> None:
    q = mf.quantize(W, "int3/16/float16")
    mean = X.mean(axis=0, dtype=np.float64)
    one, other = correct_bias(W, q, X).bias, correct_bias(W, q, mean).bias
    assert one is not None
    assert other == pytest.approx(one, abs=1e-6)
    assert one == pytest.approx((W - np.asarray(q)).astype(float) @ mean, abs=1e-6)


def test_the_bias_costs_and_multiplies() -> None:
    q = mf.quantize(W, "int3/16/float16")
    c = correct_bias(W, q, X)
    assert c.bias is not None
    assert c.bits_per_weight == q.bits_per_weight + 32 / 32
    assert np.allclose(mf.linear(X, c), X @ np.asarray(q).T + c.bias, atol=1e-4)


def integrated(mean: float, deviation: float, low: float, high: float) -> float:
    """Return the mean of a clipped normal number by a sum over quantiles."""
    normal = NormalDist(mean, deviation)
    count = 20_000
    draws = (normal.inv_cdf((k + 0.5) / count) for k in range(count))
    return math.fsum(min(max(x, low), high) for x in draws) / count


@pytest.mark.parametrize("high", [math.inf, 6.0])
def test_the_mean_of_a_clipped_normal(high: float) -> None:
    means, deviations = [0.0, 1.0, -3.0, 5.0, 8.0], [1.0, 2.0, 1.5, 0.5, 4.0]
    got = clipped_normal_mean(means, deviations, high=high)
    wanted = [integrated(m, s, 0, high) for m, s in zip(means, deviations, strict=True)]
    assert got == pytest.approx(wanted, abs=2e-4)
    wide = clipped_normal_mean(means, deviations, low=-math.inf)  # not clipped
    assert wide == pytest.approx(means)


def test_analytic_is_empirical_on_a_batch_norm() -> None:
    mean, deviation = RNG.normal(size=32), RNG.uniform(0.2, 2, 32)
    x = np.maximum(mean + deviation * RNG.standard_normal((40_000, 32)), 0)
    q = mf.quantize(W, "int3/16/float16")
    empirical = correct_bias(W, q, x).bias
    analytic = correct_bias(W, q, clipped_normal_mean(mean, deviation)).bias
    assert empirical is not None
    assert analytic == pytest.approx(empirical, abs=0.02)
    assert np.abs(empirical).max() > 0.2


def test_bad_arguments() -> None:
    q: Any = mf.quantize(W, "int3")
    with pytest.raises(TypeError, match="q must be Quantized or a Composite, got ndarray"):
        correct_bias(W, W, X)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"q must be of the shape of w, \(12, 16\)"):
        correct_bias(W[:, :16], q, X[:, :16])
    with pytest.raises(ValueError, match="inputs must be of shape"):
        correct_bias(W, q, X[:, :16])
    with pytest.raises(ValueError, match="got a mean alone"):
        correct_bias(W, q, X[0], activations="int8")
    with pytest.raises(ValueError, match=r"bias must be of shape \(12,\)"):
        correct_bias(W, q, X, bias=np.zeros(3))
    with pytest.raises(ValueError, match="bias must be finite in float32, got nan"):
        correct_bias(W, q, X, bias=np.full(12, np.nan))
    for arguments, message in (
        (([0.0], [1.0, 2.0]), "mean and deviation must be of one shape"),
        (([[0.0]], [[1.0]]), "mean and deviation must be of one shape"),
        (([0.0], [-1.0]), "deviation must be at least 0, got -1.0"),
        (([np.inf], [1.0]), "mean and deviation must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            clipped_normal_mean(*arguments)
    with pytest.raises(ValueError, match=r"low must be at most high, got 1\.0 and 0\.0"):
        clipped_normal_mean([0.0], [1.0], low=1.0, high=0.0)

"""Cross-layer equalization: outputs stay, and the paper's objective is at its best."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from minifloat.composites import equalize_layers

RNG = np.random.default_rng(4)
SLOPE = 0.1  # of a leaky ReLU


def network(*widths: int) -> tuple[list[Any], list[Any]]:
    shapes = list(zip(widths[1:], widths[:-1], strict=True))
    weights = [RNG.standard_t(3, shape) * np.exp(RNG.normal(size=shape[1])) for shape in shapes]
    return weights, [RNG.standard_normal(shape[0]) for shape in shapes]


def run(weights: list[Any], biases: list[Any], x: Any) -> Any:
    for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
        x = x @ w.T + (0 if b is None else b)
        if k < len(weights) - 1:
            x = np.maximum(x, SLOPE * x)
    return x


def objective(first: Any, second: Any) -> float:
    """Return the sum over channels of the product of both precisions."""
    rows, columns = np.abs(first).max(axis=1), np.abs(second).max(axis=0)
    return float(np.sum(rows / rows.max() * columns / columns.max()))


def slow(weights: list[Any], rounds: int) -> list[Any]:
    weights = [w.copy() for w in weights]
    for _ in range(rounds):
        for k in range(len(weights) - 1):
            for i in range(len(weights[k])):
                rows, columns = max(abs(weights[k][i])), max(abs(weights[k + 1][:, i]))
                s = (rows / columns) ** 0.5  # = (1 / r_2) sqrt(r_1 r_2)
                weights[k][i] /= s
                weights[k + 1][:, i] *= s
    return weights


def test_outputs_stay() -> None:
    x = RNG.standard_normal((20, 5))
    for widths in ((5, 7, 3), (5, 8, 6, 9, 2)):
        weights, biases = network(*widths)
        biases[1] = None
        new_weights, new_biases = equalize_layers(weights, biases)
        assert new_biases[1] is None
        assert [w.dtype for w in new_weights] == [np.float32] * len(weights)
        before, after = run(weights, biases, x), run(new_weights, new_biases, x)
        assert np.allclose(before, after, rtol=1e-4, atol=1e-4 * np.abs(before).max())
        assert not np.allclose(weights[0], new_weights[0])


def test_ranges_are_equal() -> None:
    weights, _ = network(5, 8, 6, 9, 2)
    equal, none = equalize_layers(weights)
    assert none == [None] * 4
    for first, second in pairwise(equal):
        rows, columns = np.abs(first).max(axis=1), np.abs(second).max(axis=0)
        assert rows == pytest.approx(columns, rel=1e-4)
    wanted = slow(weights, 60)
    for w, other in zip(equal, wanted, strict=True):
        assert np.allclose(w, other, rtol=1e-4)


def test_two_layers_are_at_the_optimum() -> None:
    for _ in range(5):
        weights, _ = network(4, 6, 3)
        equal, _ = equalize_layers(weights)
        best = objective(*equal)
        assert best >= objective(*weights) * (1 - 1e-6)
        for _ in range(200):
            s = np.exp(RNG.normal(scale=0.3, size=6))
            moved = objective(equal[0] / s[:, np.newaxis], equal[1] * s)
            assert moved <= best * (1 + 1e-6)


def test_channels_of_zeros_stay() -> None:
    first, second = np.array([[0.0, 0.0], [3.0, 1.0], [4.0, 0.0]]), np.array([[2.0, 0.0, 1.0]])
    (one, two), (bias, _) = equalize_layers([first, second], [[1.0, 1.0, 1.0], None])
    assert one.tolist() == [[0, 0], [3, 1], [2, 0]]
    assert two.tolist() == [[2, 0, 2]]
    assert bias is not None
    assert bias.tolist() == [1, 1, 0.5]


def test_bad_arguments() -> None:
    w = np.ones((2, 3))
    with pytest.raises(ValueError, match="weights must be of two layers or more, got 1"):
        equalize_layers([w])
    with pytest.raises(ValueError, match="weights must have as many inputs as the layer before"):
        equalize_layers([w, w])
    with pytest.raises(ValueError, match="biases must be one for each of 2 weights"):
        equalize_layers([w, w.T], [None])
    with pytest.raises(ValueError, match="biases must be of 2 outputs, got 3"):
        equalize_layers([w, w.T], [np.ones(3), None])
    with pytest.raises(ValueError, match="weights must be finite in float32, got inf"):
        equalize_layers([w, w.T * np.inf])
    with pytest.raises(ValueError, match=r"weights must each be of shape \(outputs, inputs\)"):
        equalize_layers([w[0], w])
    with pytest.raises(TypeError, match="weights must be float16"):
        equalize_layers(["ab", "cd"])

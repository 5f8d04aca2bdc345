"""Low-rank corrections: against the papers' forms, brute force, and the budget of bits."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import minifloat as mf
from minifloat.composites.low_rank import best_factors, channel_scales, correct_by_low_rank

Array = NDArray[np.float64]
THIN = "int8/64/float16"


def case(seed: int, outputs: int = 24, inputs: int = 32, samples: int = 200) -> tuple[Array, Array]:
    """Return weights, and inputs with a few large directions."""
    rng = np.random.default_rng(seed)
    spread = (
        np.exp(rng.standard_normal(inputs)) * np.linalg.qr(rng.standard_normal((inputs,) * 2))[0]
    )
    w = rng.standard_normal((outputs, inputs)).astype(np.float32)
    return w.astype(np.float64), rng.standard_normal((samples, inputs)) @ spread


def loss(error: Array, x: Array) -> float:
    return float(np.square(x @ error.T).sum())


def whitened(error: Array, rank: int, hessian: Array) -> Array:
    """Return the nearest matrix by the textbook: SVD of E H^(1/2), and the root taken back."""
    values, vectors = np.linalg.eigh(hessian)
    root = vectors * np.sqrt(values) @ vectors.T
    u, s, v = np.linalg.svd(error @ root)
    return np.asarray(u[:, :rank] * s[:rank] @ v[:rank] @ np.linalg.inv(root))


def lqer(error: Array, rank: int, scales: Array) -> Array:
    """Return A B of the paper's code, for weights (inputs, outputs): diag(s)^-1 U_r times S V^T."""
    u, s, v = np.linalg.svd(np.diag(scales) @ error.T)
    left = np.diag(1 / scales) @ u[:, :rank]
    return np.asarray((left @ (np.diag(s[:rank]) @ v[:rank])).T)


@pytest.mark.parametrize(("outputs", "inputs"), [(24, 32), (40, 16), (8, 8)])
def test_products_are_those_of_the_papers(outputs: int, inputs: int) -> None:
    error, x = case(1, outputs, inputs)
    scales = channel_scales(x)
    for rank in (1, 3, 8):
        for hessian, wanted in (
            (None, lqer(error, rank, np.ones(inputs))),
            (scales**2, lqer(error, rank, scales)),
            (x.T @ x, whitened(error, rank, x.T @ x)),
        ):
            left, right = best_factors(error, rank, hessian)
            assert left.shape == (outputs, rank)
            assert right.shape == (rank, inputs)
            np.testing.assert_allclose(left @ right, wanted, atol=1e-8)


def test_factors_of_one_rank_are_equally_long_as_in_loftq() -> None:
    error = case(2)[0]
    left, right = best_factors(error, 5)
    u, s, v = np.linalg.svd(error)
    np.testing.assert_allclose(np.abs(left), np.abs(u[:, :5] * np.sqrt(s[:5])), atol=1e-9)
    np.testing.assert_allclose(np.abs(right), np.abs(np.sqrt(s[:5, None]) * v[:5]), atol=1e-9)


@pytest.mark.parametrize("samples", [200, 7])  # 7: the Hessian is singular
def test_no_matrix_of_the_rank_has_less_loss(samples: int) -> None:
    """Against the bound of Eckart and Young, and alternating least squares from random starts."""
    rng = np.random.default_rng(3)
    error, x = case(3, samples=samples)
    outputs = error @ x.T
    for rank in (1, 2, 5):
        left, right = best_factors(error, rank, x.T @ x)
        least = loss(error - left @ right, x)
        tail = float(np.square(np.linalg.svd(outputs)[1][rank:]).sum())
        assert least == pytest.approx(tail, rel=1e-9, abs=1e-9 * loss(error, x))
        for _ in range(5):
            b = rng.standard_normal((rank, error.shape[1]))
            for _ in range(30):
                a = np.linalg.lstsq((b @ x.T).T, outputs.T, rcond=None)[0].T
                b = np.linalg.lstsq(a, error, rcond=None)[0]
            assert loss(error - a @ b, x) >= least * (1 - 1e-9) - 1e-12
        near = left @ right + 1e-3 * rng.standard_normal((24, rank)) @ right
        assert loss(error - near, x) > least


def test_an_input_that_is_always_0_takes_no_rank() -> None:
    error, x = case(4)
    x[:, 5] = 0
    left, right = best_factors(error, 3, x.T @ x)
    without = np.delete(np.arange(32), 5)
    own = best_factors(error[:, without], 3, x[:, without].T @ x[:, without])
    np.testing.assert_allclose((left @ right)[:, without], own[0] @ own[1], atol=1e-8)


def slow_correction(
    w: Array, recipe: str, rank: int, hessian: Array, rounds: int
) -> tuple[float, Array]:
    """Return the least loss over rounds, and the weights, by LoftQ's loop in plain words."""
    correction = np.zeros_like(w)
    found = []
    for k in range(rounds):
        target = w if k else w.astype(np.float32)
        q = mf.quantize(target - correction.astype(target.dtype), recipe).dequantize()
        error = w - q
        values, vectors = np.linalg.eigh(hessian)
        root = vectors * np.sqrt(values) @ vectors.T
        left = np.linalg.svd(error @ root)[0][:, :rank]
        length = np.sqrt(np.linalg.norm(left.T @ error, axis=1))
        thin = mf.quantize(left * length, THIN, axis=0).dequantize().astype(np.float64)
        right = np.linalg.pinv(thin) @ error
        correction = thin @ mf.quantize(right, THIN).dequantize()
        rest = error - correction
        found.append((float(np.trace(rest @ hessian @ rest.T)), q + correction))
    return min(found, key=lambda pair: pair[0])


@pytest.mark.parametrize("rounds", [1, 5])
def test_rounds_are_those_of_the_definition(rounds: int) -> None:
    w, x = case(5)
    hessian = x.T @ x / np.abs(x.T @ x).max()
    least, wanted = slow_correction(w, "int3/32/float16", 4, hessian, rounds)
    c = correct_by_low_rank(
        w, "int3/32/float16", rank=4, hessian=x.T @ x, rounds=rounds, factors=THIN
    )
    error = w - c.dequantize()
    assert float(np.trace(error @ hessian @ error.T)) == pytest.approx(least, rel=1e-5)
    np.testing.assert_allclose(c.dequantize(), wanted, atol=1e-5)


def test_a_callable_quantizes() -> None:
    """LoRC is the correction of what GPTQ leaves."""
    w, x = case(6)
    hessian = x.T @ x
    q = mf.gptq(w, "int3/32/float16", hessian)
    c = correct_by_low_rank(
        w, lambda v: mf.gptq(v, "int3/32/float16", hessian), rank=3, factors=THIN
    )
    assert c.dense == q
    assert c.low_rank is not None
    left, right = best_factors(w - q.dequantize(), 3)
    np.testing.assert_allclose(c.dequantize() - q.dequantize(), left @ right, atol=0.02)


@pytest.mark.parametrize("kind", ["none", "diagonal", "whole"])
@pytest.mark.parametrize("factors", ["int8/64/float16", "bipolar_int1/channel/float16"])
def test_never_worse_than_without_or_than_fewer_rounds(kind: str, factors: str) -> None:
    for seed in range(4):
        w, x = case(seed)
        hessian = {"none": None, "diagonal": channel_scales(x) ** 2, "whole": x.T @ x}[kind]
        metric = (
            np.eye(32) if hessian is None else hessian if hessian.ndim == 2 else np.diag(hessian)
        )
        losses = []
        for rounds in (0, 1, 3):
            if rounds:
                c = correct_by_low_rank(
                    w, "int3/32/float16", rank=3, hessian=hessian, rounds=rounds, factors=factors
                )
                error = w - c.dequantize()
            else:
                error = w - mf.quantize(w.astype("f4"), "int3/32/float16").dequantize()
            losses.append(float(np.trace(error @ metric @ error.T)))
        assert losses[2] <= losses[1] * (1 + 1e-6)
        assert losses[1] <= losses[0] * (1 + 1e-6)
        if factors.startswith("int8"):
            assert losses[1] < losses[0]


def test_a_correction_that_makes_it_worse_is_left_out() -> None:
    w = np.eye(8)
    c = correct_by_low_rank(w, "int2/channel/float16", rank=2)  # without error
    assert c.low_rank is None
    assert c.dense == mf.quantize(w, "int2/channel/float16")


@pytest.mark.parametrize("factors", ["int8/64/float16", "int4/32/e8m0", "nvfp4", "e2m2/channel"])
def test_the_rank_is_the_largest_within_the_bits(factors: str) -> None:
    w = case(7, 96, 64)[0]
    for bits in (3.4, 4.0, 5.13):
        c = correct_by_low_rank(w, "int3/64/float16", bits=bits, factors=factors)
        assert c.bits_per_weight <= bits
        rank = 0 if c.low_rank is None else c.low_rank[1].shape[0]
        more = correct_by_low_rank(w, "int3/64/float16", rank=rank + 1, factors=factors)
        assert more.bits_per_weight > bits
    assert correct_by_low_rank(w, "int3/64/float16", bits=3.25, factors=factors).low_rank is None
    assert correct_by_low_rank(w, "int3/64/float16", bits=math.inf).low_rank[1].shape == (64, 64)  # type: ignore[index]


def test_scales_are_those_of_the_papers_code() -> None:
    x = case(8)[1]
    x[:, 3] *= 1e-9
    scale = np.abs(x).mean(0).clip(min=1e-4)
    np.testing.assert_allclose(channel_scales(x), scale / np.sqrt(scale.min() * scale.max()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"w": np.ones(4)}, "w must be of shape"),
        ({"w": np.zeros((0, 4))}, "w must be of shape"),
        ({"w": np.full((4, 4), np.nan)}, "finite"),
        ({"rank": None}, "rank or bits"),
        ({"bits": 5.0}, "rank or bits"),
        ({"rank": 5}, "rank must be in 1..4"),
        ({"rank": 0}, "rank must be in 1..4"),
        ({"rank": 1.5}, "rank must be an int"),
        ({"rank": None, "bits": 1.0}, "bits must be at least"),
        ({"rank": None, "bits": math.nan}, "bits must be at least"),
        ({"rank": None, "bits": "4"}, "bits must be a number"),
        ({"rounds": 0}, "rounds must be in 1..100"),
        ({"hessian": np.eye(3)}, "hessian must have a row"),
        ({"hessian": -np.eye(4)}, "positive semidefinite"),
        ({"hessian": np.diag([1.0, 1.0, 1.0, -0.01])}, "positive semidefinite"),
        ({"hessian": np.triu(np.ones((4, 4)))}, "symmetric"),
        ({"hessian": [1.0, -1.0, 0.0, 0.0]}, "at least 0"),
        ({"hessian": [1.0, 1.0]}, "broadcast"),
        ({"hessian": "x"}, "hessian"),
        ({"factors": "e9"}, "e9"),
        ({"recipe": lambda v: v}, "recipe must return Quantized"),
        ({"recipe": lambda v: mf.quantize(v[:2], "int3")}, "recipe must return weights"),
        ({"recipe": 3}, "recipe"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"w": np.eye(4), "recipe": "int3", "rank": 1} | changes
    w, recipe = arguments.pop("w"), arguments.pop("recipe")
    with pytest.raises((TypeError, ValueError), match=message):
        correct_by_low_rank(w, recipe, **arguments)


def test_a_correction_is_multiplied_and_saved(tmp_path: Path) -> None:
    w, x = case(9)
    c = correct_by_low_rank(w, "int3/32/float16", rank=4, hessian=x.T @ x)
    assert c.low_rank is not None
    wanted = x @ c.dequantize().astype(np.float64).T
    np.testing.assert_allclose(mf.linear(x, c), wanted, atol=1e-3 * np.abs(wanted).max())
    mf.save(c, tmp_path / "c.npz")
    assert mf.load(tmp_path / "c.npz") == c

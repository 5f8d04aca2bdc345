"""SmoothQuant's and AWQ's factors, against loops, and never worse than no factors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat import composites
from minifloat.composites import activation_aware, smooth
from minifloat.composites.activation_aware import candidates as awq_candidates
from minifloat.composites.clipping import quantize_clipped
from minifloat.composites.smoothing import STRENGTHS
from minifloat.composites.smoothing import candidates as smooth_candidates
from tests.composites import slow_equalization as slow

Verb = Callable[..., composites.Composite]

RNG = np.random.default_rng(19)
RECIPES = ("int4/16/float16", "e2m2/32/float16", "nvfp4", "mxfp4", "int4/16/float16/hadamard32",
           "uint4/16/float16/zero-point", "e2m1/channel/float32/mse")  # fmt: skip


def layer(outputs: int = 24, inputs: int = 64, samples: int = 40) -> tuple[Any, Any]:
    """Return weights, and inputs of which some are outliers, one always 0."""
    w = RNG.standard_t(4, (outputs, inputs)).astype(np.float32)
    x = RNG.standard_normal((samples, inputs)).astype(np.float32)
    x *= np.exp(RNG.standard_normal(inputs)).astype(np.float32)
    x[:, 3] *= 40
    x[:, 9] = 0
    w[:, 11] = 0
    return w, x


def lost(w: Any, x: Any, c: composites.Composite, activations: str | None = None) -> float:
    factors = np.ones(w.shape[1]) if c.input_factors is None else c.input_factors
    return slow.output_loss(w, x, c.dense, factors, activations)


def test_smooth_quants_factors() -> None:
    w, x = layer()
    every = list(smooth_candidates(w, x, STRENGTHS))
    assert len(every) == 21
    for strength, factors in zip(STRENGTHS, every, strict=True):
        assert factors.tolist() == pytest.approx(slow.smooth_factors(w, x, strength), rel=1e-3)
        assert factors[9] == factors[11] == 1
    half = every[10]
    live = half != 1
    balance = np.abs(x / half).max(axis=0)[live] / np.abs(w * half).max(axis=0)[live]
    assert np.ptp(np.log(balance)) < 3e-3  # both have the same maximum, up to one factor


def test_awqs_factors() -> None:
    _, x = layer()
    every = list(awq_candidates(x))
    assert len(every) == 19
    for k, factors in enumerate(every, 1):
        assert factors.tolist() == pytest.approx(slow.awq_factors(x, k / 20), rel=1e-3)


@pytest.mark.parametrize("verb", [smooth, activation_aware])
@pytest.mark.parametrize("activations", [None, "int8/channel/float32", "e2m1/16/float32"])
def test_the_best_of_the_grid_wins(verb: Verb, activations: str | None) -> None:
    for samples in (40, 100):  # fewer and more than inputs
        w, x = layer(samples=samples)
        for recipe in ("int4/16/float16", "e2m2/32/float16/hadamard32"):
            got = verb(w, x, recipe, activations=activations)
            turned = "/hadamard32" if "hadamard" in recipe else ""
            of_x = activations if activations is None else activations + turned
            grid = [np.ones(64, np.float32)]
            grid += smooth_candidates(w, x, STRENGTHS) if verb is smooth else awq_candidates(x)
            losses = [slow.output_loss(w, x, mf.quantize(w * f, recipe), f, of_x) for f in grid]
            best = int(np.argmin(losses))
            assert best
            assert got.input_factors is not None
            assert got.input_factors.tolist() == grid[best].tolist()
            assert got.dense == mf.quantize(w * grid[best], recipe)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("activations", [None, "int5/32/float32"])
def test_never_worse_than_no_factors(recipe: str, activations: str | None) -> None:
    for _ in range(2):
        w, x = layer(12)
        plain = composites.Composite(mf.quantize(w, recipe))
        shown = activations
        if activations is not None and plain.dense.rotation is not None:
            shown = f"{activations}/{plain.dense.rotation}"
        before = lost(w, x, plain, shown) * (1 + 1e-9)
        for c in (
            smooth(w, x, recipe, activations=activations),
            smooth(w, x, recipe, activations=activations, strengths=[1.0]),
            activation_aware(w, x, recipe, activations=activations),
            activation_aware(w, x, recipe, activations=activations, clip=True),
        ):
            assert lost(w, x, c, shown) <= before


def test_without_gain_there_are_no_factors() -> None:
    w = np.array([[1.0, -7.0, 3.0, 2.0]])  # without an error
    for verb in (smooth, activation_aware):
        c = verb(w, np.array([[1.0, 2.0, 9.0, 1.0]]), "int4/4/float32")
        assert c == composites.Composite(mf.quantize(w, "int4/4/float32"))


def test_with_gptq() -> None:
    w, x = layer(samples=200)
    recipe, hessian = "int4/16/float16", x.T.astype(np.float64) @ x
    plain = composites.Composite(mf.gptq(w, recipe, hessian, damp=0.02))
    c = smooth(w, x, recipe, damp=0.02)
    factors = c.input_factors
    assert factors is not None
    scaled = hessian / np.outer(factors, factors)
    again = mf.gptq(w * factors, recipe, scaled, damp=0.02)
    assert np.mean(again.codes != c.dense.codes) < 0.01  # sums in another order
    assert lost(w, x, c) < lost(w, x, plain)
    assert lost(w, x, c) < lost(w, x, smooth(w, x, recipe))


@pytest.mark.parametrize("recipe", ["int4/16/float16/hadamard32", "e2m2/64/float16"])
def test_products_are_those_of_the_layer(recipe: str) -> None:
    w, x = layer()
    for c in (smooth(w, x, recipe), activation_aware(w, x, recipe, clip=True)):
        y = mf.linear(x, c)
        assert np.allclose(y, x @ np.asarray(c).T, rtol=1e-4, atol=1e-3)
        error = np.linalg.norm(y - x @ w.T) / np.linalg.norm(x @ w.T)
        assert 0.005 < error < 0.15


def test_rotated_activations() -> None:
    """Factors come before the rotation: x / f is rotated, then quantized."""
    w, x = layer()
    recipe = "int4/32/float16/hadamard32"
    c = smooth(w, x, recipe, activations="int4/32/float32")
    assert c.input_factors is not None
    rotation = mf.Rotation(32)
    given = mf.quantize(rotation.rotate(x / c.input_factors), "int4/32/float32").dequantize()
    held = c.dense.stored.dequantize()
    found = np.sum((given @ held.T - x @ w.T) ** 2)
    assert found == pytest.approx(lost(w, x, c, "int4/32/float32/hadamard32"), rel=1e-3)
    with pytest.raises(ValueError, match="activations must have no rotation, or that of the weig"):
        smooth(w, x, recipe, activations="int4/32/float32/hadamard16")


@pytest.mark.parametrize("recipe", ["int3/16/float32", "e2m1/24/float16", "int4/channel/float32"])
def test_clipping_is_awqs(recipe: str) -> None:
    w, x = layer(8, 60, 20)
    width = {"int3/16/float32": 16, "e2m1/24/float16": 24}.get(recipe, 60)
    wanted = mf.quantize(slow.clipped(w, x, recipe, width), recipe)
    got = quantize_clipped(w, x, mf.Recipe.parse(recipe))
    assert np.mean(got.scales != wanted.scales) < 0.05  # ties in float64
    assert got.recipe == wanted.recipe
    d_got, d_wanted = (q.dequantize() - w for q in (got, wanted))
    for start in range(0, 60, width):
        part = slice(start, start + width)
        losses = [np.sum((x[:, part] @ d[:, part].T) ** 2) for d in (d_got, d_wanted)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_clipping_gains_and_keeps_the_tensor_scale() -> None:
    w, x = layer()
    for recipe in ("nvfp4", "int4/16/float16/hadamard32", "int4/16/float16"):
        q = quantize_clipped(w, x, mf.Recipe.parse(recipe))
        plain = mf.quantize(w, recipe)
        assert q.tensor_scale == plain.tensor_scale
        assert q.recipe == plain.recipe
        ones = np.ones(64)
        assert slow.output_loss(w, x, q, ones, None) < slow.output_loss(w, x, plain, ones, None)


def test_scaled_weights_are_clipped_by_scaled_inputs() -> None:
    w, x = layer()
    recipe = "int4/16/float16"
    plain, clipped = (activation_aware(w, x, recipe, clip=clip) for clip in (False, True))
    factors = plain.input_factors
    assert factors is not None
    assert clipped.input_factors is not None
    assert np.array_equal(factors, clipped.input_factors)
    assert clipped.dense == quantize_clipped(w * factors, x / factors, mf.Recipe.parse(recipe))
    assert lost(w, x, clipped) < lost(w, x, plain)


def test_factors_are_values_of_float16() -> None:
    w, x = layer()
    x[:, 5] *= 1e30
    x[:, 6] *= 1e-30
    for factors in [*smooth_candidates(w, x, STRENGTHS), *awq_candidates(x)]:
        assert np.array_equal(factors, factors.astype(np.float16))
        assert (factors >= 2.0**-14).all()
    composites.Composite(mf.quantize(w, "int4"), input_factors=factors)


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"w": np.zeros(4)}, ValueError, r"w must be of shape \(outputs, inputs\)"),
    ({"w": np.zeros((0, 4))}, ValueError, r"w must be of shape \(outputs, inputs\)"),
    ({"w": [["a"]]}, TypeError, "w must be float16"),
    ({"w": np.full((2, 4), np.nan)}, ValueError, "w must be finite in float32, got nan"),
    ({"inputs": np.zeros((3, 5))}, ValueError, r"inputs must be of shape \(samples, 4\)"),
    ({"inputs": np.zeros((0, 4))}, ValueError, r"inputs must be of shape \(samples, 4\)"),
    ({"inputs": np.full((3, 4), 1e39)}, ValueError, "inputs must be finite in float32, got inf"),
    ({"recipe": "nosuch"}, ValueError, "nosuch"),
    ({"activations": "nosuch"}, ValueError, "nosuch"),
    ({"damp": -1}, ValueError, "damp must be a finite number of at least 0"),
    ({"damp": "x"}, TypeError, "damp must be a finite number of at least 0"),
    ({"recipe": "int4/tensor/float32", "damp": 0.01}, ValueError, "w must be of shape"),
]


@pytest.mark.parametrize("verb", [smooth, activation_aware])
@pytest.mark.parametrize(("change", "error", "message"), BAD, ids=[str(k) for k in range(len(BAD))])
def test_bad_arguments(
    verb: Verb, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    arguments = {"w": np.eye(3, 4), "inputs": np.eye(4), "recipe": "int4"} | change
    with pytest.raises(error, match=message):
        verb(**arguments)


def test_other_bad_arguments() -> None:
    w, x = np.eye(4), np.eye(4)
    for strength in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match="strengths must be a sequence of numbers from 0 to 1"):
            smooth(w, x, "int4", strengths=[strength])
    with pytest.raises(TypeError, match=r"strengths must be .* from 0 to 1, got 'x'"):
        smooth(w, x, "int4", strengths="x")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="recipe must have blocks along the inputs for clip"):
        activation_aware(w, x, "int4/2x2/float32", clip=True)
    with pytest.raises(ValueError, match="damp must be None with clip"):
        activation_aware(w, x, "int4", clip=True, damp=0.01)
    with pytest.raises(TypeError, match="clip must be"):
        activation_aware(w, x, "int4", clip=1)  # type: ignore[arg-type]
    zeros = np.zeros((4, 4), np.float32)
    assert smooth(zeros, zeros, "int4").input_factors is None
    assert activation_aware(zeros, zeros, "int4", clip=True).input_factors is None

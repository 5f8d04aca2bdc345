"""Blocks rounded in one pass: what codes and scales mean, bit for bit, along rows and columns."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minifloat as mf
from minifloat.quantization.block_rounding import Lines, block_scales, round_blocks
from minifloat.quantization.recipes import Recipe

RECIPES = [
    "e2m1/32/e8m0", "e2m1/32/e8m0:up", "e2m1/16/e4m3fn", "e2m1/16/e4m3fn/tensor-scale",
    "e2m1/16/ue5m3", "e1m2/7/float32", "e4m3fn/channel/float32", "int4/32/float32",
    "e5m2/100/float16", "e3m0/16/e8m0",
]  # fmt: skip
SHAPES = [(5, 72), (72, 5), (3, 40, 24), (2, 1, 33), (3, 2100), (64, 300)]


def numbers(shape: tuple[int, ...]) -> np.ndarray:
    """Return numbers of many sizes, with zeros of both signs and a block of zeros."""
    draw = np.random.default_rng(5)
    x = draw.standard_normal(shape) * 2.0 ** draw.integers(-20, 5, shape[:-1])[..., np.newaxis]
    x = x.astype(np.float32)
    x.flat[::7], x.flat[1::9] = 0.0, -0.0
    x[..., 0, :], x[..., :, -1] = 0, 0
    return x


def lines_of(x: np.ndarray, recipe: Recipe, axis: int) -> Lines:
    size = recipe.block if isinstance(recipe.block, int) else x.shape[axis]
    return Lines(x.shape, axis, size)


@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("text", RECIPES)
def test_to_nearest_it_is_what_codes_and_scales_mean(text: str, axis: int) -> None:
    recipe = Recipe.parse(text)
    for shape in SHAPES:
        x = numbers(shape)
        lines = lines_of(x, recipe, axis)
        wanted = mf.quantize(x, recipe, axis=axis)
        found = block_scales(x, recipe, lines)
        assert found is not None
        scales, tensor = found
        assert np.array_equal(scales, wanted.scales.reshape(scales.shape))
        assert tensor == (wanted.tensor_scale or 1.0)
        steps = np.where(scales == 0, 1, scales).astype(np.float64) * tensor
        values = round_blocks(x, steps, recipe.fmt, lines)
        assert values is not None
        assert values.tobytes() == wanted.dequantize().tobytes()


@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("factor", [1.0, 0.75])
def test_stochastic_it_is_what_round_to_does_with_the_quotients(axis: int, factor: float) -> None:
    for shape in SHAPES:
        x = numbers(shape)
        recipe = Recipe.parse("e2m1/16/e4m3fn")
        lines = lines_of(x, recipe, axis)
        scales, _ = block_scales(x, recipe, lines) or (np.empty(0), 0)
        steps = np.where(scales == 0, np.float32(1), scales)
        every = np.repeat(steps, 16, axis)[tuple(slice(n) for n in shape)]
        quotients = x / every * np.float32(factor)
        wanted = mf.round_to(quotients, "e2m1", rounding="stochastic", seed=9) * every
        found = round_blocks(x, steps, recipe.fmt, lines, factor=factor, seed=9)
        assert found is not None
        assert found.tobytes() == wanted.tobytes()
        assert np.array_equal(round_blocks(x, steps, recipe.fmt, lines, factor=factor, seed=9,
                                           out=x), wanted)  # fmt: skip


def test_a_quotient_close_to_a_tie_is_rounded_once() -> None:
    """In float32 the quotient would be the tie 2.5, and become 2."""
    x, step = np.float32(1.7578126), math.nextafter(1.7578126 / 2.5, 0)
    x = np.full((1, 16), x, np.float32)
    assert np.float32(float(x[0, 0]) / step) == np.float32(2.5)
    assert float(x[0, 0]) / step > 2.5
    steps = np.full((1, 1), step)
    found = round_blocks(x, steps, mf.parse("e2m1"), Lines((1, 16), -1, 16))
    assert found is not None
    assert np.all(found == np.float32(3 * step))


@pytest.mark.parametrize("axis", [-1, -2])
def test_what_it_has_no_answer_for_is_left_to_others(axis: int) -> None:
    recipe = Recipe.parse("e2m1/16/e4m3fn")
    lines = Lines((32, 32), axis, 16)
    for bad in (np.inf, -np.inf, np.nan):
        x = np.ones((32, 32), np.float32)
        x[3, 4] = bad
        assert block_scales(x, recipe, lines) is None
    assert block_scales(np.full((32, 32), 1e30, np.float32), recipe, lines) is None  # beyond E4M3
    searched = Recipe.parse("e2m1/16/e4m3fn/mse")
    assert block_scales(np.ones((32, 32), np.float32), searched, lines) is None
    x, steps = np.ones((32, 32), np.float32), np.ones(lines.block_shape, np.float32)
    assert round_blocks(x, steps, mf.parse("nf4"), lines) is None
    x[0, 0] = np.nan
    assert round_blocks(x, steps, mf.parse("e2m1"), lines) is None

"""Blocks rounded in one pass: what codes and scales mean, bit for bit, along rows and columns."""

from __future__ import annotations

import numpy as np
import pytest

import minifloat as mf
from minifloat.quantization.block_rounding import BlockRounder
from minifloat.quantization.recipes import Recipe

RECIPES = [
    "e2m1/32/e8m0", "e2m1/32/e8m0:up", "e2m1/16/e4m3fn", "e2m1/16/e4m3fn/tensor-scale",
    "e2m1/16/ue5m3", "e1m2/7/float32", "e4m3fn/channel/float32", "int4/32/float32",
    "e5m2/100/float16", "e3m0/16/e8m0", "four_over_six", "e2m1|e2m1@4/16/e8m0",
    "e2m2@6|e2m2|e2m2@5/9/float32",
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


def size_of(x: np.ndarray, recipe: Recipe, axis: int) -> int:
    return recipe.block if isinstance(recipe.block, int) else x.shape[axis]


def rounded(x: np.ndarray, rounder: BlockRounder) -> np.ndarray | None:
    assert rounder.works
    largest = rounder.of_blocks(x)
    if largest is None:
        return None
    tensor = rounder.tensor_scale(largest.max()) if rounder.recipe.tensor_scale else 1.0
    out = np.empty_like(x)
    return out if rounder.round(x, largest, out, tensor=tensor) else None


@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("text", RECIPES)
def test_to_nearest_it_is_what_codes_and_scales_mean(text: str, axis: int) -> None:
    recipe = Recipe.parse(text)
    for shape in SHAPES:
        x = numbers(shape)
        rounder = BlockRounder(recipe, axis, size_of(x, recipe, axis))
        wanted = mf.quantize(x, recipe, axis=axis)
        values = rounded(x, rounder)
        assert values is not None
        assert values.tobytes() == wanted.dequantize().tobytes()
        if wanted.tensor_scale is not None:
            assert rounder.tensor_scale(rounder.of_blocks(x).max()) == wanted.tensor_scale


@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("factor", [1.0, 0.75])
def test_stochastic_it_is_what_round_to_does_with_the_quotients(axis: int, factor: float) -> None:
    recipe = Recipe.parse("e2m1/16/e4m3fn")
    rounder = BlockRounder(recipe, axis, 16, exact=False, factor=factor, seed=9)
    for shape in SHAPES:
        x = numbers(shape)
        scales = mf.quantize(x, recipe, axis=axis).scales.reshape(
            [-(-n // 16) if k == axis % len(shape) else n for k, n in enumerate(shape)]
        )
        steps = np.where(scales == 0, np.float32(1), scales)
        every = np.repeat(steps, 16, axis)[tuple(slice(n) for n in shape)]
        quotients = x / every * np.float32(factor)
        wanted = mf.round_to(quotients, "e2m1", rounding="stochastic", seed=9) * every
        found = rounded(x, rounder)
        assert found is not None
        assert found.tobytes() == wanted.tobytes()
        largest = rounder.of_blocks(x)
        assert largest is not None
        assert rounder.round(x, largest, x)
        assert np.array_equal(x, wanted)


def test_a_part_has_the_random_words_of_its_place() -> None:
    x = numbers((64, 33))
    rounder = BlockRounder(Recipe.parse("mxfp4"), -1, 32, exact=False, seed=4)
    whole = rounded(x, rounder)
    assert whole is not None
    out = np.empty_like(x)
    for rows in (slice(0, 7), slice(7, 64)):
        largest = rounder.of_blocks(x[rows])
        assert largest is not None
        assert rounder.round(x[rows], largest, out[rows], start=rows.start * 33)
    assert out.tobytes() == whole.tobytes()


def test_a_quotient_close_to_a_tie_is_rounded_once() -> None:
    """In float32 the quotient would be the tie 2.5, and become 2; the scale is absmax / 6."""
    step = np.float32(0.7031251)
    for top in step * np.float32(6) * (1 + np.arange(64, dtype=np.float32) * 2.0**-23):
        for k in range(64):
            x = np.full((1, 16), np.float32(top / 6 * 2.5), np.float32)
            x = (x.view(np.int32) + np.int32(k - 32)).view(np.float32)
            x[0, 0] = top
            wanted = mf.quantize(x, "e2m1/16/float32").dequantize()
            found = rounded(x, BlockRounder(Recipe.parse("e2m1/16/float32"), -1, 16))
            assert found is not None
            assert np.array_equal(found, wanted)


@pytest.mark.parametrize("axis", [-1, -2])
def test_what_it_has_no_answer_for_is_left_to_others(axis: int) -> None:
    recipe = Recipe.parse("e2m1/16/e4m3fn")
    rounder = BlockRounder(recipe, axis, 16)
    for bad in (np.inf, -np.inf, np.nan):
        x = np.ones((32, 32), np.float32)
        x[3, 4] = bad
        assert rounder.of_blocks(x) is None
    assert rounded(np.full((32, 32), 1e30, np.float32), rounder) is None  # beyond E4M3
    for text in ("e2m1/16/e4m3fn/mse", "nf4", "lut4/16", "e8m7/16", "[-1 -0.4 0 0.3 1]/16"):
        assert not BlockRounder(Recipe.parse(text), axis, 16).works

"""The Hadamard rotation against its matrix, and its effect on errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import hadamard

import minifloat as mf
from analysis.published.gaussian_blocks import expected_crest_factor
from analysis.weights.hadamard import rotate, rotation_effects, unrotate
from analysis.weights.tensor_statistics import crest_factors

WEIGHTS = np.random.default_rng(13).standard_t(3, (6, 5, 64))


def slow_rotate(w: NDArray[Any], block_size: int, axis: int, seed: int) -> NDArray[np.float64]:
    """Multiply each block with the matrix, one after another."""
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], w.shape[axis])
    matrix = hadamard(block_size) / math.sqrt(block_size)
    out = np.empty(w.shape)
    for index in np.ndindex(*np.delete(w.shape, axis)):
        place: list[Any] = list(index)
        place.insert(axis % w.ndim, slice(None))
        row = w[tuple(place)] * signs
        blocks = [matrix @ block for block in row.reshape(-1, block_size)]
        out[tuple(place)] = np.concatenate(blocks)
    return out


@pytest.mark.parametrize(
    ("block_size", "axis"), [(1, -1), (2, -1), (64, -1), (16, 2), (2, 0), (1, 1)]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_rotation_is_the_matrix_product(block_size: int, axis: int, seed: int) -> None:
    fast = rotate(WEIGHTS, block_size, axis=axis, seed=seed)
    slow = slow_rotate(WEIGHTS, block_size, axis, seed)
    assert fast.shape == WEIGHTS.shape
    assert np.abs(fast - slow).max() < 1e-13 * np.abs(WEIGHTS).max()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rotation_is_orthonormal_and_undone(dtype: Any) -> None:
    w = WEIGHTS.astype(dtype)
    original = w.copy()
    rotated = rotate(w, 32, seed=3)
    back = unrotate(rotated, 32, seed=3)
    exact = w.astype(np.float64)
    assert np.abs(back - exact).max() < 1e-14 * np.abs(exact).max()
    blocks = exact.reshape(-1, 32), rotated.reshape(-1, 32)
    norms = [np.linalg.norm(part, axis=1) for part in blocks]
    assert norms[1] == pytest.approx(norms[0], rel=1e-13)
    assert np.array_equal(w, original)


def test_neither_argument_is_written_to() -> None:
    for function in (rotate, unrotate):
        w = WEIGHTS.copy()
        w.flags.writeable = False
        function(w, 16)


def test_rotating_back_keeps_the_size_of_errors() -> None:
    rotated = rotate(WEIGHTS, 64)
    quantized = mf.quantize(rotated, "e2m1/64/float32").dequantize()
    back = unrotate(quantized, 64)
    before, after = np.square(quantized - rotated).sum(), np.square(back - WEIGHTS).sum()
    assert after == pytest.approx(before, rel=1e-12)


@pytest.mark.parametrize("mistake", ["no signs", "signs after", "no root", "another seed"])
def test_mistakes_are_seen(mistake: str) -> None:
    """Each makes something that is not the matrix product or is not undone."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], 64)
    wrong = {
        "no signs": lambda: rotate(WEIGHTS * signs, 64),
        "signs after": lambda: rotate(WEIGHTS * signs, 64) * signs,
        "no root": lambda: rotate(WEIGHTS, 64) * 8,
        "another seed": lambda: rotate(WEIGHTS, 64, seed=1),
    }[mistake]()
    assert np.abs(wrong - slow_rotate(WEIGHTS, 64, -1, 0)).max() > 0.1
    assert np.abs(unrotate(wrong, 64) - WEIGHTS).max() > 0.1


def test_an_outlier_is_spread_and_gaussian_weights_stay_gaussian() -> None:
    rng = np.random.default_rng(14)
    normal = rng.standard_normal((2000, 128))
    for w in (normal, normal * np.where(np.arange(128) == 5, 30, 1)):
        crest = crest_factors(rotate(w, 128), block_size=128)
        assert crest.mean() <= expected_crest_factor(128) + 5 * crest.std() / math.sqrt(crest.size)
    alone = np.zeros((4, 16))
    alone[:, 3] = [1, -2, 3, 4]
    assert crest_factors(rotate(alone, 16), block_size=16) == pytest.approx(np.ones(4))


def test_effects_are_the_errors_of_both() -> None:
    w = WEIGHTS.astype(np.float32)
    recipes = ["e2m1/16/float32", "int4/16/float32", "e2m1/64/float32", "int4/64/e8m0"]
    effects = rotation_effects(w, recipes, seed=2)
    assert [effect.before.recipe for effect in effects] == recipes
    assert [effect.block_size for effect in effects] == [16, 16, 64, 64]
    for effect in effects:
        rotated = rotate(w, effect.block_size, seed=2).astype(np.float32)
        for array, measured, crest in (
            (w, effect.before, effect.crest_before),
            (rotated, effect.after, effect.crest_after),
        ):
            error = array - mf.quantize(array, measured.recipe).dequantize()
            relative = np.linalg.norm(error) / np.linalg.norm(array)
            assert measured.relative_rms == pytest.approx(float(relative), rel=1e-5)
            crests = crest_factors(array, block_size=effect.block_size)
            assert crest.median == np.median(crests)
        gain = 20 * math.log10(effect.before.relative_rms / effect.after.relative_rms)
        assert effect.gain_db == pytest.approx(gain)


@pytest.mark.parametrize("block_size", [0, -2, 3, 128])
def test_wrong_block_sizes(block_size: int) -> None:
    with pytest.raises(ValueError, match="block_size must be a power of two that divides"):
        rotate(WEIGHTS, block_size)


def test_no_such_axis() -> None:
    with pytest.raises(ValueError, match="axis must be an axis of weights"):
        unrotate(WEIGHTS, 2, axis=3)


def test_blocks_of_other_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="recipe must have blocks along the axis, got e2m1"):
        rotation_effects(WEIGHTS, ["e2m1/channel"])

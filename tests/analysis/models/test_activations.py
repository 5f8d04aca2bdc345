"""Products of rounded inputs, and of matrix units, against products written out."""

from __future__ import annotations

import numpy as np
import pytest

import minifloat as mf
from analysis.models.activations import OnUnit, RoundedInputs
from analysis.models.matrices import dense


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((2, 3, 64)).astype(np.float32)


@pytest.fixture
def weights() -> np.ndarray:
    return np.random.default_rng(2).standard_normal((5, 64)).astype(np.float32)


@pytest.mark.parametrize("recipe", ["int8/channel/float32", "e4m3fn/channel/float32", "nvfp4"])
@pytest.mark.parametrize("of_weights", ["e2m2/32/float16", "nf4/32/float16", "e4m3fn/32/float16"])
def test_inputs_are_rounded_by_the_recipe(
    x: np.ndarray, weights: np.ndarray, recipe: str, of_weights: str
) -> None:
    packed = mf.quantize(weights, of_weights)
    bias = np.arange(5, dtype=np.float32)
    exact = mf.quantize(x, recipe).dequantize().astype(np.float64) @ dense(packed).T + bias
    ours = RoundedInputs(recipe)(x, packed, bias)
    assert ours.shape == (2, 3, 5)
    np.testing.assert_allclose(ours, exact, atol=1e-5)
    assert np.abs(ours - x.astype(np.float64) @ dense(packed).T - bias).max() > 1e-4


def test_eight_bit_inputs_go_to_integer_products(x: np.ndarray, weights: np.ndarray) -> None:
    packed, recipe = mf.quantize(weights, "e2m2/32/float16"), "int8/channel/float32"
    theirs = mf.linear(x, packed, activations=recipe)
    assert np.array_equal(RoundedInputs(recipe)(x, packed), theirs)


def test_a_unit_adds_as_it_does(x: np.ndarray, weights: np.ndarray) -> None:
    """With the scales of rows and vectors, and never nearer than 13 bits allow."""
    bias = np.ones(5, np.float32)
    ours = OnUnit("hopper/e4m3fn/float32")(x, weights, bias)
    rounded, matrix = (
        mf.quantize(array, "e4m3fn/channel/float32").dequantize().astype(np.float64)
        for array in (x, weights)
    )
    exact = rounded @ matrix.T + 1
    np.testing.assert_allclose(ours, exact, atol=0.02)
    assert np.abs(ours - exact).max() > 1e-4


def test_a_wide_unit_takes_numbers_without_scales() -> None:
    """Cut to the 24 bits of float32; a scale by the largest would have rounded 2**-12 away."""
    x, w = np.float32([[1, 2**-12, 3]]), np.float32([[1, 1, 2**-24]])
    assert OnUnit("hopper/float16/float32")(x, w)[0, 0] == 1 + 2**-12 + 2**-23


def test_units_with_scales_are_refused() -> None:
    with pytest.raises(ValueError, match="unit must be one without scales of its own"):
        OnUnit("blackwell/mxfp8e4m3/float32")

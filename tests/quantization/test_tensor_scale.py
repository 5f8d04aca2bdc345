"""One tensor scale for several tensors, and one that the caller gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.quantization import joint_tensor_scale

RECIPES = [
    "nvfp4", "nvint4", "e2m1/16/e4m3fn/mse+tensor-scale", "int4/8/e8m0:up/tensor-scale",
    "int4/8/e8m0:down/tensor-scale", "int4/8/e8m0/tensor-scale", "e2m1/4x8/e4m3fn/tensor-scale",
    "uint4/16/e4m3fn/tensor-scale+zero-point", "e4m3fn/channel/float16/tensor-scale",
]  # fmt: skip


def weights(rows: int, seed: int, size: float = 1.0) -> Any:
    return np.random.default_rng(seed).standard_normal((rows, 48)).astype(np.float32) * size


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_parts_are_those_of_the_joined_tensor(recipe: str, dtype: Any) -> None:
    parts = [weights(rows, rows, size).astype(dtype) for rows, size in ((8, 1), (4, 7.7), (16, 0))]
    joined = mf.quantize(np.concatenate(parts), recipe)
    scale = joint_tensor_scale(iter(parts), recipe)
    assert scale == joined.tensor_scale
    start = 0
    for w in parts:
        rows = slice(start, start := start + len(w))
        q = mf.quantize(w, recipe, tensor_scale=scale)
        assert q.tensor_scale == scale
        np.testing.assert_array_equal(q.codes, joined.codes[rows])
        np.testing.assert_array_equal(q.dequantize(), joined.dequantize()[rows])
        for threads in (1, 2):
            assert joint_tensor_scale(parts, recipe, threads=threads) == scale


def test_one_tensor_has_its_own() -> None:
    for seed in range(50):
        w = weights(4, seed, 10.0 ** (seed - 25))
        for recipe in RECIPES:
            assert joint_tensor_scale([w], recipe) == mf.quantize(w, recipe).tensor_scale
    assert joint_tensor_scale([np.zeros((2, 16))], "nvfp4") == 1
    tiny = np.full((1, 16), 1e-40, np.float32)
    small = joint_tensor_scale([np.zeros((2, 16)), tiny], "nvfp4")
    assert small == mf.quantize(tiny, "nvfp4").tensor_scale != 1


@pytest.mark.parametrize("exponent", [-3, 0, 5])
def test_a_power_of_two_as_if_the_weights_were_divided(exponent: int) -> None:
    w, scale = weights(8, 1), 2.0**exponent
    q = mf.quantize(w, "e2m1/16/e4m3fn", tensor_scale=scale)
    divided = mf.quantize(w / np.float32(scale), "e2m1/16/e4m3fn")
    assert q.recipe == mf.RECIPES["nvfp4"]
    np.testing.assert_array_equal(q.codes, divided.codes)
    np.testing.assert_array_equal(q.scales, divided.scales)
    hessian = np.eye(48)
    by_gptq = mf.gptq(w, "nvfp4", hessian, tensor_scale=np.float32(scale))
    assert by_gptq == q


def test_blocks_along_another_axis() -> None:
    w = weights(32, 3)
    scale = joint_tensor_scale([w, 3 * w], "nvfp4", axis=0)
    assert scale == mf.quantize(np.concatenate([w, 3 * w], axis=1), "nvfp4", axis=0).tensor_scale


@pytest.mark.parametrize("number", [0.0, -1.0, float("nan"), float("inf"), 1e-60, 0.1])
def test_what_is_no_tensor_scale(number: float) -> None:
    with pytest.raises(ValueError, match="tensor_scale must be a float32 number above 0, got"):
        mf.quantize(weights(2, 1), "nvfp4", tensor_scale=number)


def test_other_errors() -> None:
    w = weights(2, 1)
    with pytest.raises(TypeError, match="tensor_scale must be a bool"):
        mf.quantize(w, "nvfp4", tensor_scale=1)
    with pytest.raises(TypeError, match="tensor_scale must be a bool"):
        mf.RECIPES["nvfp4"].replace(tensor_scale=0.5)
    with pytest.raises(ValueError, match="scale must hold every block's scale"):
        mf.quantize(w, "nvfp4", tensor_scale=2.0**-30)
    with pytest.raises(ValueError, match='scale must be "float32", without tensor_scale'):
        mf.quantize(w, "qlora", tensor_scale=0.5)
    with pytest.raises(ValueError, match="tensors must be one or more, got none"):
        joint_tensor_scale([], "nvfp4")
    with pytest.raises(ValueError, match="recipe must have a tensor scale, such as nvfp4, got"):
        joint_tensor_scale([w], "mxfp4")
    with pytest.raises(ValueError, match=r"w must be finite, got nan at index \(0, 2\)"):
        joint_tensor_scale([w, [[0.0, 1.0, np.nan]]], "nvfp4")
    with pytest.raises(TypeError, match="axis must be an int"):
        joint_tensor_scale([w], "nvfp4", axis=None)  # type: ignore[arg-type]

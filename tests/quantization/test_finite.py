"""Finite weights stay finite, or there is an error; NaN comes from scales that are NaN alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minifloat as mf

LARGEST = float(np.finfo(np.float32).max)
RECIPES = [
    "e2m2", "e2m2/3/float32", "e2m1/3x2/e8m0", "e2m1/2/e8m0:ceil", "e2m1/2/e8m0:nearest",
    "e4m3fn/2/e8m0:even", "e5m2/channel/float32", "int4/4/e8m0:up", "int4full/tensor/bfloat16",
    "nf4/2/float32/double", "nf4/3/float32/mse", "e2m1/2/e4m3fn/tensor-scale", "nvfp4",
    "e3m2/4/e8m0",
    "int5/2/float32/shrink", "int5/5/float32/percentile80", "uint4/2/float32/zero-point",
    "uint3/2/e8m0/zero-point+mse", "uint4/2/bfloat16/zero-point+percentile75",
    "uint4/4/float32/double+zero-point", "e2m2/2/e8m0:down/mse+tensor-scale", "e5m10/4/float32/mse",
    "e8m3/4/float32", "bipolar_int3/2/bfloat16/shrink", "e2m2/2/tf32", "mxint8", "e6m1/2/e8m0",
    "e2m2/2/e8m0:nearest/mse+tensor-scale", "e4m3fn/2/float32/shrink", "e8m0/2/float32",
]  # fmt: skip
REFUSALS = (
    "w must become numbers within float32", "scale must hold every", "tensor_scale must be a float",
    "fmt must have negative values", "hessian must be far enough from singular",
)  # fmt: skip


@st.composite
def finite_weights(draw: st.DrawFn) -> np.ndarray:
    """Return a matrix of finite weights of any magnitude; all of a few exponents, or of many."""
    dtype = draw(st.sampled_from([np.float16, ml_dtypes.bfloat16, np.float32, np.float64]))
    info = ml_dtypes.finfo(dtype)
    low, high = int(np.log2(float(info.smallest_subnormal))), int(info.maxexp)
    exponent = draw(st.integers(low, high) | st.just(high))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 7)))
    exponents = np.clip(exponent - rng.integers(0, draw(st.sampled_from([1, 3, 40, 3000])), shape),
                        low, high)  # fmt: skip
    signs = rng.choice([-1.0, 1.0], shape)
    with np.errstate(over="ignore"):
        w = np.ldexp(signs * rng.choice([1.0, 0.99999999, 0.75, rng.random()], shape), exponents)
        w = np.clip(w, -float(info.max), float(info.max)).astype(dtype)
    w[rng.random(shape) < 0.1] = 0
    return w


@settings(max_examples=150)
@given(w=finite_weights(), recipe=st.sampled_from(RECIPES), signed=st.booleans())
def test_finite_weights_stay_finite_or_are_refused(
    w: np.ndarray, recipe: str, signed: bool
) -> None:
    """Without any warning of NumPy's: these are errors in the tests."""
    w = w if signed else np.abs(w)
    try:
        q = mf.quantize(w, recipe)
    except ValueError as error:
        if str(error).startswith(REFUSALS):
            return
        raise
    back = q.dequantize()
    assert np.isfinite(back).all()
    assert np.isfinite(q.scales).all()
    assert not np.any((w == 0) & (back != 0) & q.fmt.has_zero)
    assert np.isfinite(q[0].dequantize()).all()
    with np.errstate(over="ignore"):
        products = mf.linear(np.eye(w.shape[1], dtype=np.float32), q)
    np.testing.assert_allclose(products, back.T, rtol=1e-5, atol=1e-37)


@settings(max_examples=60)
@given(w=finite_weights(), recipe=st.sampled_from(["e2m2/3/float32", "e2m1/2/e8m0", "nvfp4",
       "uint4/2/float32/zero-point", "int5/2/float32/mse", "e4m3fn/2x2/e8m0:nearest"]))  # fmt: skip
def test_gptq_keeps_finite_weights_finite(w: np.ndarray, recipe: str) -> None:
    x = np.random.default_rng(w.shape[1]).standard_normal((20, w.shape[1]))
    try:
        q = mf.gptq(w, recipe, x.T @ x)
    except ValueError as error:
        if str(error).startswith(REFUSALS):
            return
        raise
    assert np.isfinite(q.dequantize()).all()


@pytest.mark.parametrize("recipe", ["e2m2/2/float32", "e2m1/2/e8m0:ceil", "int4/2/float32"])
@pytest.mark.parametrize("search", ["absmax", "mse", "shrink"])
def test_a_weight_that_is_rounded_beyond_float32_is_named(recipe: str, search: str) -> None:
    """The largest float32 number over 7 is rounded up, to a scale whose sevenfold is infinite."""
    w = np.float32([[1, 2, 3], [4, -LARGEST, 5]])
    try:
        q = mf.quantize(w, recipe, search=search)
    except ValueError as error:
        if "rounded beyond, -3.4028234663852886e+38 at index (1, 1); scale" in str(error):
            return
        raise
    assert np.isfinite(q.dequantize()).all()


def test_the_largest_weight_of_all_is_refused_or_kept() -> None:
    refused = 0
    for fmt in ("e2m2", "int4", "int5", "int8", "nf4", "e2m1", "e4m3fn", "e5m2"):
        for scale in ("float32", "bfloat16", "e8m0", "e8m0:up", "e8m0:ceil", "e8m0:nearest"):
            try:
                q = mf.quantize(np.float32([LARGEST, -LARGEST]), mf.parse(fmt), scale=scale)
            except ValueError:
                refused += 1
            else:
                assert np.isfinite(q.dequantize()).all()
    assert 0 < refused < 48


def with_nan(q: mf.Quantized) -> mf.Quantized:
    scales = q.scales.copy()
    scales.reshape(-1)[:1] = np.nan
    return dataclasses.replace(q, scales=scales)


@pytest.mark.parametrize("scale", ["float32", "float16", "e8m0", "e4m3fn"])
@pytest.mark.parametrize("fmt", ["e2m1", "int4", "nf4", "e5m2", "e5m10"])
@pytest.mark.parametrize(("axis", "block"), [(1, 16), (0, 4), (1, (4, 16)), (1, "tensor")])
def test_a_scale_that_is_nan_makes_its_block_nan(
    fmt: str, scale: str, axis: int, block: Any
) -> None:
    w = np.random.default_rng(0).integers(-1, 2, (8, 64)).astype(np.float32)
    w[:, ::16] = w[::4] = 1
    q = with_nan(mf.quantize(w, mf.parse(fmt), axis=axis, block=block, scale=scale))
    back = q.dequantize()
    nan = np.zeros((8, 64), bool)
    nan[{16: np.s_[0, :16], 4: np.s_[:4, 0], (4, 16): np.s_[:4, :16]}.get(block, np.s_[:])] = True
    assert np.isnan(back).tolist() == nan.tolist()
    assert np.isnan(q[1:].dequantize()).tolist() == nan[1:].tolist()
    for count in (1, 5, 200):
        x = np.random.default_rng(count).integers(1, 9, (count, 64)).astype(np.float32)
        y = mf.linear(x, q)
        assert np.isnan(y).tolist() == [nan.any(axis=1).tolist()] * count
        np.testing.assert_allclose(y, x @ back.T, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_a_signalling_nan_is_an_error_like_others(dtype: Any) -> None:
    size = np.dtype(dtype).itemsize
    word = {np.float16: 0x7D00, ml_dtypes.bfloat16: 0x7FA0, np.float32: 0x7FA00000}.get(
        dtype, 0x7FF4000000000000
    )
    w = np.array([[0, word]], f"u{size}").view(dtype)
    with pytest.raises(ValueError, match=r"w must be finite, got nan at index \(0, 1\)"):
        mf.quantize(w, "e2m2")
    with pytest.raises(ValueError, match="importance must be finite"):
        mf.quantize([[1.0, 2.0]], "e2m2", search="mse", importance=w)
    with pytest.raises(ValueError, match="hessian must be finite, got nan"):
        mf.gptq([[1.0, 2.0]], "e2m2", np.repeat(w, 2, axis=0))
    q = mf.quantize([[1.0, 2.0]], "e2m2")
    assert np.isnan(mf.linear(w[0], q)).all()
    assert np.isnan(q.sqnr(w))


@pytest.mark.parametrize("recipe", ["uint4/2/float32/zero-point", "uint4/2/float32/zero-point+mse",
                                    "uint4/2/float32/zero-point+percentile80"])  # fmt: skip
def test_a_range_beyond_float64_is_beyond_every_scale(recipe: str) -> None:
    largest = float(np.finfo(np.float64).max)
    with pytest.raises(ValueError, match="scale must hold every block's scale, got inf"):
        mf.quantize([largest, -largest], recipe)
    with pytest.raises(ValueError, match="scale must hold every block's scale, got inf"):
        mf.gptq([[largest, -largest]], recipe, np.eye(2))

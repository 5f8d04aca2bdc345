"""Products with rotated weights: the other factor is rotated, within the stated bound."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat import arithmetic
from minifloat.files.checkpoints import (
    awq,
    compressed_tensors,
    fpe2m2,
    gguf_blocks,
    gpt_oss,
    gptq,
    modelopt,
)
from minifloat.products import linear
from minifloat.quantization.rotations import core_size
from tests.products.test_products import excess, normals

RECIPES = ("e2m2/32/float16", "nvfp4", "uint4/16/float16/zero-point", "e5m4/channel/float16")


def error_and_bound(
    y: np.ndarray[Any, Any], x: np.ndarray[Any, Any], q: mf.Quantized
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the error of each product, and the two terms of `minifloat.linear`'s bound."""
    rotation = q.rotation
    assert rotation is not None
    w, wide = q.stored.dequantize().astype(np.float64), x.astype(np.float64)
    turned = rotation.rotate(wide)
    n = q.shape[1] + 8
    gamma = n * 2.0**-24 / (1 - n * 2.0**-24)
    m = core_size(rotation.size)
    assert m is not None
    k = np.log2(rotation.size / m) + (m - 1) * np.sqrt(m) + 3
    norms = np.linalg.norm(wide, axis=1)[:, np.newaxis] * np.linalg.norm(w, axis=1)
    bound = gamma * np.abs(turned) @ np.abs(w).T + k * 2.0**-24 / (1 - k * 2.0**-24) * norms
    return np.abs(y - turned @ w.T), bound


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("rotation", ["hadamard32:3", "hadamard96", "hadamard2", "hadamard36:1"])
@pytest.mark.parametrize("count", [1, 60])
def test_products_are_within_the_bound(recipe: str, rotation: str, count: int) -> None:
    length = 288
    q = mf.quantize(normals(50, length), recipe, rotation=rotation)
    x = normals(count, length, seed=1) * np.where(np.arange(length) == 7, 100, 1).astype("f4")
    y = mf.linear(x, q)
    error, bound = error_and_bound(y, x, q)
    assert (error <= bound).all()
    exact = x.astype(np.float64) @ q.dequantize().astype(np.float64).T
    assert (np.abs(y - exact) <= 2 * bound).all()  # dequantize rounds the weights, too
    assert np.array_equal(mf.linear(x, q, threads=2), y)
    assert np.array_equal(q @ x.T, y.T)
    for k in range(0, count, 7):
        assert np.allclose(mf.linear(x[k], q), y[k], rtol=1e-4, atol=1e-3)
    assert excess(mf.linear(q.rotation.rotate(x), q.stored), q.rotation.rotate(x), q.stored) <= 1  # type: ignore[union-attr]


@pytest.mark.parametrize("mistake", ["no signs", "not normalised", "other seed", "not rotated"])
def test_the_bound_sees_mistakes(mistake: str) -> None:
    q = mf.quantize(normals(50, 64), "e2m2/32/float16", rotation="hadamard32:3")
    x = normals(3, 64, seed=1)
    rotation = mf.Rotation(32, 3)
    wrong = {
        "no signs": lambda: linear(rotation.rotate(x * rotation.signs(64)), q.stored),
        "not normalised": lambda: linear(rotation.rotate(x) * np.float32(32**0.5), q.stored),
        "other seed": lambda: linear(mf.Rotation(32, 4).rotate(x), q.stored),
        "not rotated": lambda: linear(x, q.stored),
    }[mistake]()
    error, bound = error_and_bound(wrong, x, q)
    assert (error > bound).mean() > 0.99


def test_weights_rotated_along_outputs() -> None:
    q = mf.quantize(normals(96, 40), "e2m2/32/float16", rotation="hadamard32:3", axis=0)
    w = q.dequantize().astype(np.float64)
    x, y = normals(5, 40, seed=2), normals(5, 96, seed=3)
    bias = normals(96, seed=4)
    assert np.abs(mf.linear(x, q, bias) - (x @ w.T + bias)).max() < 1e-4
    assert np.abs(q @ x.T - w @ x.T).max() < 1e-4
    assert np.abs(y @ q - y @ w).max() < 1e-4
    rows = mf.quantize(normals(96, 64), "nvfp4", rotation="hadamard64")
    assert np.abs(y @ rows - y @ rows.dequantize().astype(np.float64)).max() < 1e-4


def test_activations_are_rotated_and_then_quantized() -> None:
    q = mf.quantize(normals(50, 128), "e2m2/32/float16", rotation="hadamard128:3")
    x = normals(4, 128, seed=5)
    turned = q.rotation.rotate(x)  # type: ignore[union-attr]
    for activations in ("int8/32/float32", "int8/channel/float32"):
        y = mf.linear(x, q, activations=activations)
        assert np.array_equal(y, mf.linear(turned, q.stored, activations=activations))
    with pytest.raises(ValueError, match="x must be finite"):
        mf.linear(np.full(128, np.inf), q, activations="int8/32/float32")


def test_forms_are_kept_and_infinities_become_nan() -> None:
    q = mf.quantize(normals(50, 128), "e2m2/32/float16", rotation="hadamard64")
    x = normals(2, 128)
    x[0, 3] = np.inf
    y = mf.linear(x, q)
    (form,) = q.stored.product_forms.values()
    assert np.isnan(y[0]).all()
    assert np.isfinite(y[1]).all()
    assert np.array_equal(mf.linear(x, q)[1], y[1])
    assert list(q.stored.product_forms.values()) == [form]
    assert not q.product_forms


def test_what_reads_codes_alone_refuses_rotated_weights() -> None:
    w = normals(32, 256)
    mx = mf.quantize(w, "mxfp4", rotation="hadamard32")
    with pytest.raises(ValueError, match=r"must not be rotated, got hadamard32; take its \.stored"):
        arithmetic.linear(mx, mx, unit="blackwell/mxfp4/float32")
    assert arithmetic.linear(mx.stored, mx.stored, unit="blackwell/mxfp4/float32").shape == (32, 32)
    for write, recipe in (
        (compressed_tensors.tensors, "mxfp4"),
        (compressed_tensors.tensors, "int4/128/bfloat16"),
        (partial(gptq.tensors, less_one=False), "int4/128/float16"),
        (modelopt.tensors, "nvfp4"),
        (gguf_blocks.tensors, "mxfp4"),
        (gpt_oss.tensors, "mxfp4"),
        (awq.tensors, "int4/128/float16"),
        (fpe2m2.tensors, "fpe2m2"),
    ):
        plain = mf.quantize(w, recipe)
        if write is gpt_oss.tensors:
            plain = mf.quantize(w.reshape(2, 256, 16), recipe, axis=1)
        assert write("layer.weight", plain)
        with pytest.raises(ValueError, match="hadamard32"):
            write(
                "layer.weight", replace(plain, recipe=plain.recipe.replace(rotation="hadamard32"))
            )

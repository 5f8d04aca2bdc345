"""`Composite`: what every combination of parts means, costs and multiplies, by plain NumPy."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat import products
from minifloat.composites import Sparse
from tests.composites.made import COMBINATIONS, composite, terms

EVERY = pytest.mark.parametrize("names", COMBINATIONS, ids=lambda names: "+".join(names) or "none")
ALL = COMBINATIONS[-1]


def excess(y: np.ndarray, x: np.ndarray, c: mf.Composite, bias: Any = 0.0) -> float:
    """Return the largest error of products in units of the bound that `linear` states."""
    wide, every = x.astype(np.float64), terms(c)
    total = np.asarray(bias, np.float64) + (0 if c.bias is None else c.bias.astype(np.float64))
    exact = wide @ sum(every).T + total
    rank = 0 if c.low_rank is None else c.low_rank[0].shape[1]
    gamma = (c.shape[1] + rank + 16) * 2.0**-24
    magnitudes = np.abs(wide) @ sum(map(np.abs, every)).T + np.abs(bias) + np.abs(total)
    assert y.shape == exact.shape
    assert y.dtype == np.float32
    return float((np.abs(y - exact) / (gamma * magnitudes)).max())


def inputs(*shape: int) -> np.ndarray:
    return np.random.default_rng(2).standard_normal(shape).astype(np.float32)


@EVERY
def test_dequantize(names: tuple[str, ...]) -> None:
    c = composite(names)
    exact = sum(terms(c))
    np.testing.assert_allclose(c.dequantize(), exact, rtol=2**-23, atol=1e-12)
    assert c.dequantize().dtype == np.asarray(c).dtype == np.float32
    assert np.array_equal(np.asarray(c, np.float64), c.dequantize())
    assert c.shape == exact.shape


@EVERY
@pytest.mark.parametrize("recipe", ["e2m2/16/float16", "lut4/channel", "int4/8/float16/hadamard64"])
def test_products(names: tuple[str, ...], recipe: str) -> None:
    c = composite(names, recipe)
    x, bias = inputs(5, 64), inputs(9)
    factor = 1 if "hadamard" not in recipe else 8  # a bound of its own, which is wider
    assert excess(mf.linear(x, c, bias), x, c, bias) <= factor
    assert excess(mf.linear(x[0], c), x[0], c) <= factor
    assert excess(mf.linear(np.tile(x, (3, 20, 1)), c), np.tile(x, (3, 20, 1)), c) <= factor
    assert np.array_equal(mf.linear(x, c, threads=2), mf.linear(x, c))
    assert mf.linear(x[:0], c).shape == (0, 9)


MISTAKES: dict[str, Callable[[mf.Composite], dict[str, Any]]] = {
    "order": lambda c: {"order": np.argsort(c.order)},  # type: ignore[arg-type]
    "sparse": lambda c: {"sparse": None},
    "low_rank": lambda c: {"low_rank": None},
    "input_factors": lambda c: {"input_factors": None},
    "bias": lambda c: {"bias": None},
}


@pytest.mark.parametrize("part", MISTAKES)
def test_the_bound_sees_mistakes(part: str) -> None:
    c, x = composite(ALL), inputs(5, 64)
    wrong = dataclasses.replace(c, **MISTAKES[part](c))
    assert excess(mf.linear(x, wrong), x, c) > 100


def test_products_of_what_is_not_finite() -> None:
    c, x = composite(ALL), inputs(4, 64)
    x[1, 3], x[2, 5], x[3, 7] = np.inf, np.nan, 3e38
    with np.errstate(invalid="ignore", over="ignore"):
        want = x @ c.dequantize().T + c.bias
    got = mf.linear(x, c)
    assert excess(got[:1], x[:1], c) <= 1
    np.testing.assert_array_equal(got[1:3], want[1:3])
    np.testing.assert_allclose(got[3], want[3], rtol=1e-5)


@EVERY
def test_bits_are_counted(names: tuple[str, ...]) -> None:
    """By hand: 9 outputs, 64 inputs, 5 bits and a scale for 16 weights."""
    c = composite(names)
    want = {
        "dense": 9 * (64 * 5 + 4 * 16),
        "order": 64 * 6,
        "input_factors": 64 * 16,
        "bias": 9 * 32,
    }
    want["low_rank"] = (9 * 3 * 6 + 16) + (3 * 64 * 8 + 3 * 16)
    if c.sparse is not None:
        want["sparse"] = c.sparse.values.size * (16 + c.sparse.gap_bits) + 9 * 7
    parts = {name: want[name] for name in ("dense", *names)}
    assert c.parts == parts
    assert c.bits_per_weight == pytest.approx(sum(parts.values()) / (9 * 64), rel=1e-12)
    assert 0 <= c.nbytes - sum(parts.values()) / 8 < len(parts) + 3


@EVERY
@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_save_and_load(names: tuple[str, ...], suffix: str, tmp_path: Path) -> None:
    if suffix == ".safetensors":
        pytest.importorskip("safetensors")
    c, path = composite(names), tmp_path / f"w{suffix}"
    mf.save(c, path)
    again = mf.load(path)
    assert isinstance(again, mf.Composite)
    assert again == c
    assert np.array_equal(again.dequantize(), c.dequantize())
    assert again.parts == c.parts
    assert path.stat().st_size >= c.nbytes


@pytest.mark.parametrize(
    "recipe", ["qlora", "nvfp4", "uint4/16/float16/zero-point", "four_over_six"]
)
def test_save_and_load_every_kind_of_dense_part(recipe: str, tmp_path: Path) -> None:
    c = composite(ALL, recipe)
    mf.save(c, tmp_path / "w.npz")
    assert mf.load(tmp_path / "w.npz") == c


def test_equal_by_parts() -> None:
    c = composite(ALL)
    assert c == composite(ALL)
    assert c == pickle.loads(pickle.dumps(c)) == copy.deepcopy(c)
    for part, change in MISTAKES.items():
        assert c != dataclasses.replace(c, **change(c)), part
    assert c != composite(ALL, "e2m1/16/float16")
    assert c != "text"
    with pytest.raises(ValueError, match="read-only"):
        c.bias[0] = 1  # type: ignore[index]


def test_repr() -> None:
    assert repr(composite(("order", "low_rank"))) == (
        "<Composite e2m2/16/float16 (9, 64): 9.726 bits per weight; order, low rank>"
    )
    assert repr(composite(())).endswith("dense alone>")


def test_shapes_without_weights() -> None:
    for shape in ((0, 4), (4, 0), (0, 0), (1, 1)):
        w = np.ones(shape, np.float32)
        c = mf.Composite(
            mf.quantize(w, "e2m2/128/float32"),
            order=np.arange(shape[1]),
            sparse=Sparse.of(w),
            input_factors=np.ones(shape[1], np.float32),
            bias=np.ones(shape[0], np.float32),
        )
        np.testing.assert_allclose(c.dequantize(), 2 * w, rtol=1e-6)
        x = np.ones((2, shape[1]), np.float32)
        y = np.full((2, shape[0]), 2.0 * shape[1] + 1)
        np.testing.assert_allclose(mf.linear(x, c), y, rtol=1e-6)
        assert math.isfinite(c.bits_per_weight)


def test_activations_are_of_the_dense_part() -> None:
    c, x = composite(ALL, "e2m2/16/float16"), inputs(5, 64)
    y = mf.linear(x, c, activations="int8/16/float32")
    divided = x / c.input_factors
    dense = products.linear(divided[:, c.order], c.dense)
    integers = mf.linear(divided[:, c.order], c.dense, activations="int8/16/float32")
    np.testing.assert_allclose(y - mf.linear(x, c), integers - dense, atol=1e-3)
    assert np.abs(integers - dense).max() > 1e-2


GOOD = composite(ALL)
Q, ORDER, FACTORS = GOOD.dense, np.arange(64), np.ones(64, np.float32)
LEFT, RIGHT = GOOD.low_rank or (Q, Q)
WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "dense": ({"dense": np.ones((2, 2))}, TypeError, "dense must be Quantized, got ndarray"),
    "1-d": ({"dense": mf.quantize([1.0], "e2m2")}, ValueError, r"dense must be .*got \(1,\)"),
    "order twice": ({"order": ORDER // 2}, ValueError, "order must have each of 0..63 once"),
    "order short": ({"order": ORDER[1:]}, ValueError, r"got an array of shape \(63,\)"),
    "order floats": ({"order": FACTORS}, TypeError, "order must be .*integers, got float32"),
    "order list": ({"order": [0]}, TypeError, "order must be an array of integers, got list"),
    "order bool": ({"order": ORDER > 0}, TypeError, "got bool"),
    "sparse": ({"sparse": np.ones((9, 64))}, TypeError, "sparse must be Sparse, got ndarray"),
    "sparse shape": ({"sparse": Sparse.of([[1.0]])}, ValueError, r"shape \(9, 64\), got \(1, 1\)"),
    "low rank": ({"low_rank": Q}, TypeError, "low_rank must be two Quantized, .*got Quantized"),
    "low rank arrays": ({"low_rank": (Q, FACTORS)}, TypeError, "got Quantized and ndarray"),
    "low rank turned": ({"low_rank": (RIGHT, LEFT)}, ValueError, r"got shapes \(3, 64\) and"),
    "low rank short": ({"low_rank": (LEFT, RIGHT[:2])}, ValueError, r"and \(2, 64\)"),
    "factor 0": ({"input_factors": 0 * FACTORS}, ValueError, "input_factors must be above 0 .*0"),
    "factor wide": ({"input_factors": FACTORS / 3}, ValueError, "of float16, got 0.33333"),
    "factor NaN": ({"input_factors": np.nan * FACTORS}, ValueError, "got nan"),
    "factors": ({"input_factors": FACTORS.astype(float)}, ValueError, "float32 of shape"),
    "bias": ({"bias": np.full(9, np.inf, np.float32)}, ValueError, "bias must be finite, got inf"),
    "bias long": ({"bias": FACTORS}, ValueError, r"bias must be float32 of shape \(9,\)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_parts(name: str) -> None:
    change, kind, message = WRONG[name]
    with pytest.raises(kind, match=message):
        dataclasses.replace(GOOD, **change)


def test_who_takes_only_quantized_says_so() -> None:
    from minifloat import arithmetic

    with pytest.raises(TypeError, match="q must be Quantized, got Composite"):
        mf.narrow(GOOD, "e2m1")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="q must be Quantized, got Composite"):
        products.linear(FACTORS, GOOD)  # type: ignore[call-overload]
    with pytest.raises(
        TypeError, match="quantized must be Quantized, Composite or of complex codes, got list"
    ):
        mf.save([], "w.npz")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"x must have 64 elements .* got shape \(63,\)"):
        mf.linear(FACTORS[1:], GOOD)
    with pytest.raises(ValueError, match=r"bias must have shape \(9,\), got \(64,\)"):
        mf.linear(FACTORS, GOOD, FACTORS)
    with pytest.raises(ValueError, match="copy must not be False"):
        GOOD.__array__(copy=False)
    floats = GOOD.dequantize()  # others take its weights, as those of any array
    assert mf.quantize(GOOD, "e2m2") == mf.quantize(floats, "e2m2")
    assert mf.compare({"w": GOOD}, "e2m2").total == mf.compare({"w": floats}, "e2m2").total
    x = np.ones((1, 64), np.float32)
    unit = {"accumulator": "float32"}
    assert np.array_equal(
        arithmetic.linear(x, GOOD, **unit),
        arithmetic.linear(x, floats, **unit),  # type: ignore[call-overload]
    )


def test_torch_layers_take_quantized_only() -> None:
    pytest.importorskip("torch")
    from minifloat.interop.torch import QuantizedLinear

    with pytest.raises(TypeError, match="weight must be Quantized, got Composite"):
        QuantizedLinear(GOOD)  # type: ignore[arg-type]

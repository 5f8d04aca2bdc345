"""Dense and sparse: which weights are outliers, what is left for the dense part, and SpQR."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.composites import beyond_quartiles, largest, split_outliers, spqr
from tests.composites.slow_spqr import slow_spqr

RNG = np.random.default_rng(11)
W = RNG.standard_normal((12, 64)) * np.where(RNG.random((12, 64)) < 0.03, 8, 1)
X = RNG.standard_normal((200, 64)) @ (np.eye(64) + 0.3 * RNG.standard_normal((64, 64)))
H = X.T @ X


def loss(w: Any, q: Any) -> float:
    """Return the squared error of the layer's outputs."""
    return float(((X @ (np.asarray(w) - np.asarray(q, np.float64)).T) ** 2).sum())


def test_largest_is_the_largest() -> None:
    for fraction in (0.0, 0.004, 0.1, 1.0):
        mask = largest(W, fraction)
        assert mask.sum() == int(fraction * W.size)
        if 0 < mask.sum() < W.size:
            assert np.abs(W[mask]).min() >= np.abs(W[~mask]).max()
    assert largest([1.0, -1.0, 1.0], 0.5).tolist() == [True, False, False]
    assert largest(np.zeros((0, 3)), 0.5).shape == (0, 3)


def test_quartiles_by_hand() -> None:
    w = np.arange(-8.0, 25.0)  # quartiles 0 and 16
    assert np.array_equal(beyond_quartiles(w, 0.25), np.abs(w) > 20)
    assert not beyond_quartiles(w, 1.0).any()
    gaussian = np.random.default_rng(0).standard_normal(10**6)
    assert beyond_quartiles(gaussian, 1.8).mean() == pytest.approx(0.00192, rel=0.05)


@pytest.mark.parametrize("recipe", ["e2m2/16/float16", "uint3/16/float16/zero-point", "mxfp4",
                                    "bipolar_int3/16", "int4/16/float16/hadamard64"])  # fmt: skip
def test_the_rest_is_quantized_as_if_outliers_were_zero(recipe: str) -> None:
    mask = largest(W, 0.03)
    c = split_outliers(W, recipe, mask)
    assert c.sparse is not None
    assert c.dense == mf.quantize(np.where(mask, 0, W), recipe)
    np.testing.assert_allclose(c.dequantize()[mask], W[mask], rtol=2**-11, atol=1e-3)
    assert np.array_equal(c.dequantize()[~mask], c.dense.dequantize()[~mask])
    assert not c.sparse.dequantize()[~mask].any()
    assert loss(W, c) < loss(W, mf.quantize(W, recipe))


def test_a_table_does_not_see_outliers() -> None:
    """Two values a row and many outliers: a table of two values has no error for the rest."""
    w = np.where(np.arange(64) % 2, 1.0, -0.5) * np.ones((3, 1))
    mask = np.zeros(w.shape, bool)
    mask[:, ::7] = True
    w = np.where(mask, 5 + np.arange(64), w)
    c = split_outliers(w, "lut1/channel", mask)
    np.testing.assert_allclose(np.asarray(c), w, rtol=2**-11)
    blind = mf.quantize(np.where(mask, 0, w), "lut1/channel")  # the mistake: zeros that count
    assert np.abs(np.where(mask, 0, w) - blind.dequantize()).max() > 0.1
    q = split_outliers(w, "int2/64/float16/mse", mask)
    assert not np.isnan(np.asarray(q)).any()


def test_importance_is_that_of_the_others() -> None:
    mask, importance = largest(W, 0.03), RNG.random(64)
    c = split_outliers(W, "lut2/channel", mask, importance=importance)
    rest = np.where(mask, 0, W)
    assert c.dense == mf.quantize(rest, "lut2/channel", importance=np.where(mask, 0, importance))


def test_with_a_hessian_outliers_go_first() -> None:
    mask = largest(W, 0.03)
    c = split_outliers(W, "int3/16/float16", mask, hessian=H)
    assert c.sparse is not None
    assert c.dense == mf.gptq(np.where(mask, 0, W), "int3/16/float16", H)
    halves = np.where(mask, W, 0).astype(np.float16)
    assert np.array_equal(c.sparse.dequantize(), halves)
    assert loss(W, c) < loss(W, split_outliers(W, "int3/16/float16", mask))
    assert loss(W, c) < loss(W, mf.gptq(W, "int3/16/float16", H))


@pytest.mark.parametrize(
    ("block", "threshold"), [(16, 0.1), (16, 0.02), (7, 0.3), (64, 0.1), (1, 0.5)]
)
def test_spqr_is_what_its_description_says(block: int, threshold: float) -> None:
    recipe = f"uint3/{block}/float32/zero-point"
    c = spqr(W, recipe, H, threshold=threshold, damp=0.01)
    want, outliers = slow_spqr(W, H, 3, block, threshold, 0.01)
    assert c.sparse is not None
    assert np.array_equal(c.sparse.dequantize() != 0, outliers)
    assert outliers.any() or block == 1
    np.testing.assert_allclose(np.asarray(c), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("recipe", ["uint3/16/float16/zero-point", "int4/16/e4m3fn/tensor-scale",
                                    "e2m1/16/e8m0", "e2m2/channel"])  # fmt: skip
def test_spqr_without_outliers_is_gptq(recipe: str) -> None:
    c = spqr(W, recipe, H, threshold=np.inf)
    plain = mf.gptq(W, recipe, H)
    assert c.sparse is not None
    assert c.sparse.size == 0
    assert np.array_equal(c.dense.scales[:, 0], plain.scales[:, 0])
    np.testing.assert_allclose(c.dequantize(), plain.dequantize(), rtol=1e-6)


@pytest.mark.parametrize("recipe", ["bipolar_int3/16", "uint3/16/ue3m3/zero-point+tensor-scale"])
def test_spqr_with_other_formats(recipe: str) -> None:
    losses, sizes = [], []
    for threshold in (np.inf, 0.3, 0.1, 0.03):
        c = spqr(W, recipe, H, threshold=threshold)
        assert c.sparse is not None
        losses.append(loss(W, c))
        sizes.append(c.sparse.size)
        at = c.sparse.dequantize() != 0
        assert np.isfinite(np.asarray(c)[at]).all()
    assert sizes == sorted(sizes)
    assert losses == sorted(losses, reverse=True)


def test_scales_beyond_their_format_saturate() -> None:
    """Updated weights may be larger than those that the tensor scale was found for."""
    rng = np.random.default_rng(4)
    common = rng.standard_normal((50, 1))
    inputs = common + 1e-3 * rng.standard_normal((50, 32))  # nearly the same: large updates
    w = np.where(np.arange(32) < 16, 1, 0.01) * rng.standard_normal((6, 32))
    recipe, hessian = "int2/16/ue2m1/tensor-scale", inputs.T @ inputs
    plain = mf.gptq(w, recipe, hessian, damp=1e-6)
    c = spqr(w, recipe, hessian, threshold=np.inf, damp=1e-6)
    assert plain.scales.max() == c.dense.scales.max() == mf.parse("ue2m1").max
    np.testing.assert_allclose(c.dequantize(), plain.dequantize(), rtol=1e-5)


def test_spqr_sees_what_inputs_cost() -> None:
    """Ten times the inputs make ten times the cost: errors of such columns are outliers first."""
    scaled = X * np.where(np.arange(64) < 8, 10, 1)
    c = spqr(W, "int3/16/float16", scaled.T @ scaled, threshold=0.05)
    assert c.sparse is not None
    counts = (c.sparse.dequantize() != 0).sum(axis=0)
    assert counts[:8].mean() > 3 * counts[8:].mean()


WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "fraction": (lambda: largest(W, 1.5), ValueError, r"at least 0, at most 1, got 1\.5"),
    "negative": (lambda: largest(W, -0.1), ValueError, "fraction must be a number of at least 0"),
    "bool": (lambda: largest(W, True), TypeError, "fraction must be a number .*, got True"),
    "NaN": (lambda: largest([np.nan], 0.1), ValueError, "numbers must be finite, got nan"),
    "spread": (lambda: beyond_quartiles(W, "1"), TypeError, "spread must be a number"),
    "none": (lambda: beyond_quartiles([], 1), ValueError, "w must have weights for quartiles"),
    "1-d": (lambda: split_outliers(W[0], "e2m2", W[0] > 1), ValueError, r"got shape \(64,\)"),
    "mask": (lambda: split_outliers(W, "e2m2", W), TypeError, "outliers must be bool, got float64"),
    "shape": (lambda: split_outliers(W, "e2m2", W[0] > 1), ValueError, "the shape of w"),
    "wide": (lambda: split_outliers(W * 1e9, "e2m2/16/float32", W > 2), ValueError, "up to 65504"),
    "tables": (lambda: split_outliers(W, "lut3", W > 2, hessian=H), ValueError, "for gptq"),
    "tiles": (lambda: spqr(W, "e2m2/2x8", H), ValueError, "in blocks of a number of inputs"),
    "tensor": (lambda: spqr(W, "e2m2/tensor", H), ValueError, "in blocks of a number of inputs"),
    "rotation": (lambda: spqr(W, "e2m2/8/float16/hadamard64", H), ValueError, "no rotation"),
    "lut": (lambda: spqr(W, "lut3", H), ValueError, "recipe must have one format"),
    "unsigned": (lambda: spqr(W, "uint4/8", H), ValueError, "or zero points"),
    "row": (lambda: spqr(W[:1], "e2m2/8", H), ValueError, "w must have at least 2 rows"),
    "hessian": (lambda: spqr(W, "e2m2/8", H[:5]), ValueError, "hessian must have a row"),
    "threshold": (lambda: spqr(W, "e2m2/8", H, threshold=-1), ValueError, "threshold must be"),
    "not a number": (lambda: spqr(W, "e2m2/8", H, threshold=np.nan), ValueError, "got nan"),
    "text": (lambda: spqr(W, "e2m2/8", H, threshold="a"), TypeError, "threshold must be"),
    "damp": (lambda: spqr(W, "e2m2/8", H, damp=-1), ValueError, "damp must be a finite number"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(name: str) -> None:
    call, kind, message = WRONG[name]
    with pytest.raises(kind, match=message):
        call()

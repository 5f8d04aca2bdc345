"""Recipes of lut formats: tables of blocks, against each block fitted alone, and their users."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from tests.quantization.test_fitting import error_of, least_error

SHAPES: list[tuple[int, ...]] = [(6, 21), (2, 4, 10), (), (17,), (0, 3), (3, 0)]
BLOCKS: list[Any] = ["channel", "tensor", 8, (2, 6), (3, 64)]
CASES = [
    (shape, block, axis)
    for shape, block, axis in itertools.product(SHAPES, BLOCKS, (-1, 0))
    if not (isinstance(block, tuple) and axis == 0)
]


def normal(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def block_numbers(q: mf.Quantized) -> np.ndarray:
    """Return the number of each weight's block, by the definition of blocks."""
    shape, block = q.shape, q.recipe.block
    if q.axis is None:
        return np.zeros(shape, int)
    index = np.indices(shape)
    places = list(index)
    places[q.axis] //= {"channel": max(shape[q.axis], 1)}.get(
        block, block[1] if isinstance(block, tuple) else block
    )
    if isinstance(block, tuple) and len(shape) > 1:
        places[-2] = index[-2] // block[0]
    return np.ravel_multi_index(places, q.scales.shape[:-1])


@pytest.mark.parametrize(("shape", "block", "axis"), CASES)
def test_each_block_has_the_table_of_its_weights(
    shape: tuple[int, ...], block: Any, axis: int, tmp_path: Path
) -> None:
    w = normal(*shape)
    importance = np.random.default_rng(2).integers(1, 4, shape).astype(float)
    q = mf.quantize(w, "lut2", block=block, scale="float32", axis=axis, importance=importance)
    assert q.scales.shape[-1] == 4
    back, numbers = q.dequantize(), block_numbers(q)
    for k, table in enumerate(q.scales.reshape(-1, 4)):
        inside = numbers == k
        values, masses = w[inside].astype(float), importance[inside]
        if not values.size:
            continue
        chosen = table[q.codes[inside]]
        assert (chosen == back[inside]).all()
        distances = abs(values[:, None] - table.astype(float))
        assert (abs(values - chosen) == distances.min(axis=1)).all()
        if values.size <= 6:
            got = error_of(table.tolist(), values.tolist(), masses.tolist())
            least = least_error(values.tolist(), masses.tolist(), 4)
            assert float(got) <= float(least) * (1 + 1e-6) + 1e-12
        else:
            levels = list(mf.fit_codebook(values, 4, masses))
            np.testing.assert_allclose(table, levels, rtol=1e-6)
    for suffix in ("npz", "safetensors"):
        mf.save(q, tmp_path / f"w.{suffix}")
        assert mf.load(tmp_path / f"w.{suffix}") == q
    assert mf.Quantized(q.packed, q.scales, q.recipe, q.shape, q.axis) == q


@pytest.mark.parametrize("scale", ["float16", "bfloat16", "e5m2", "float32"])
def test_values_of_tables_are_of_the_scale_format(scale: str, tmp_path: Path) -> None:
    w = normal(5, 40)
    q = mf.quantize(w, "lut3", block="channel", scale=scale)
    if scale != "float32":
        assert (mf.round_to(q.scales, scale) == q.scales).all()
    for row, table in zip(w, q.scales.reshape(5, 8), strict=True):
        exact = mf.fit_codebook(row, 8)
        np.testing.assert_allclose(table, list(exact), rtol=0.13)
    mf.save(q, tmp_path / "w.npz")
    assert mf.load(tmp_path / "w.npz") == q
    assert (q.dequantize(np.float16) == q.dequantize().astype(np.float16)).all()


def test_bits_are_counted_with_tables() -> None:
    q = mf.quantize(normal(4, 64), "lut4/channel/float16")
    assert q.bits_per_weight == 4 + 16 * 16 / 64
    assert q.nbytes == 4 * 64 // 2 + 4 * 16 * 2
    assert mf.Recipe("lut4").bits_per_weight == 4 + 16 * 16 / 128
    assert mf.Recipe.parse("lut3/2x32/e5m2").bits_per_weight == 3 + 8 * 8 / 64
    assert mf.Recipe.parse("lut4/channel").bits_per_weight == 4


@pytest.mark.parametrize(("block", "axis"), [("channel", -1), (8, -1), (4, 0), ((2, 8), -1)])
def test_products_rows_and_threads(block: Any, axis: int) -> None:
    w, x = normal(12, 24), normal(3, 24, seed=5)
    q = mf.quantize(w, "lut3", block=block, axis=axis)
    assert q == mf.quantize(w, "lut3", block=block, axis=axis, threads=3)
    back = q.dequantize()
    np.testing.assert_allclose(mf.linear(x, q), x @ back.T, atol=1e-5)
    np.testing.assert_allclose(q @ x.T, back @ x.T, atol=1e-5)
    np.testing.assert_allclose(normal(12) @ q, normal(12) @ back, atol=1e-5)
    for rows in (slice(3, 9), 5, [7, 0], slice(0, 0)):
        assert (q[rows].dequantize() == back[rows]).all()


def test_ties_go_to_the_even_code_and_equal_weights_are_kept() -> None:
    q = mf.quantize([0.0, 0.0, 1.0, 1.0, 1.0, 2.0, 2.0], "lut1/channel/float32",
                    importance=[1, 1, 0, 0, 0, 1, 1])  # fmt: skip
    assert q.codes.tolist() == [0, 0, 0, 0, 0, 1, 1]
    assert mf.quantize([-2.0, -2.0], "lut2").dequantize().tolist() == [-2, -2]
    assert not np.signbit(mf.quantize([-0.0, 1.0], "lut2").scales).any()


def test_zeros_as_importance_count_as_ones() -> None:
    w = normal(2, 20)
    importance = np.ones((2, 20))
    importance[1] = 0
    assert mf.quantize(w, "lut2", importance=importance) == mf.quantize(w, "lut2")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale": "e8m0"}, "scale must be a signed format for the tables of lut4, got e8m0"),
        ({"search": "mse"}, "search must be absmax for lut4, whose blocks have tables"),
        ({"search": "percentile"}, "search must be absmax"),
        ({"scale_rounding": "up"}, "scale_rounding must be nearest_even for lut4"),
        ({"tensor_scale": True}, "tensor_scale must be False for lut4"),
        ({"zero_point": True}, "zero_point must be False for lut4"),
        ({"double": True, "scale": "float32"}, "double must be False for lut4"),
        ({"arithmetic": "authors"}, "arithmetic must be exact for lut4"),
    ],
)
def test_options_of_scales_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mf.Recipe("lut4", **changes)


def test_what_has_no_table_says_so() -> None:
    q = mf.quantize(normal(2, 16), "lut4")
    for call in (
        lambda: mf.encode([1.0], "lut4"),
        lambda: mf.decode([1], "lut4"),
        lambda: mf.parse("lut4").values(),
        lambda: mf.parse("lut4").table(),
        lambda: mf.parse("lut4").max_abs,
        lambda: mf.parse("lut4").zero_code,
    ):
        with pytest.raises(ValueError, match="fmt must have values of its own, got lut4"):
            call()
    with pytest.raises(ValueError, match=r"for gptq.*importance=hessian\.diagonal\(\)"):
        mf.gptq(normal(2, 16), "lut4", np.eye(16))
    with pytest.raises(ValueError, match="got lut4, whose values are in tables; leave out act"):
        mf.linear(normal(16), q, activations="int8/channel/float32")
    with pytest.raises(ValueError, match=r"scale must hold every block's values, got .* float16"):
        mf.quantize(normal(2, 16) * 1e6, "lut4")
    with pytest.raises(ValueError, match=r"w must be finite, got nan at index \(0,\)"):
        mf.quantize([np.nan, 1.0], "lut4")
    with pytest.raises(ValueError, match="name of a format with other values, got 'lut4'"):
        mf.Codebook([1, 2], "lut4")
    with pytest.raises(ValueError, match=r"bits must be in 1..8, got 9"):
        mf.parse("lut9")


def test_tables_that_cannot_be_saved_are_refused() -> None:
    q = mf.quantize(normal(2, 16), "lut2")
    for wrong in (-0.0, np.inf, 0.1):
        scales = q.scales.copy()
        scales.flat[1] = wrong
        with pytest.raises(ValueError, match="scales must be tables of values of float16"):
            mf.Quantized(q.packed, scales, q.recipe, q.shape, q.axis)
    with pytest.raises(ValueError, match=r"scales must be float32 of shape \(2, 1, 4\)"):
        mf.Quantized(q.packed, q.scales[..., 0].copy(), q.recipe, q.shape, q.axis)

"""Results, their paired differences, the size of models, and products of their matrices."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import minifloat as mf
from analysis.models import evaluation, matrices
from analysis.models.evaluation import Result, difference
from analysis.models.layers import layer_norm, rms_norm, softmax
from analysis.models.matrices import MatrixModel
from minifloat.products.direct import FEW, LEAST_TILE


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def result(recipe: str, items: tuple[float, ...], **facts: object) -> Result:
    defaults = {
        "model": "m", "modality": "text", "data": "d", "recipe": recipe, "bits_per_weight": 5.125,
        "nbytes": 10**6, "peak_nbytes": 10**7, "metric": "nats", "items": items, "speed": 7.0,
        "speed_unit": "tokens/s", "packed": True,
    }  # fmt: skip
    return Result(**(defaults | facts))  # type: ignore[arg-type]


def test_the_standard_error_is_that_of_paired_differences() -> None:
    """Against many draws: a common difficulty of the items does not count in the error."""
    hard = rng(55).normal(size=(4000, 9)) * 100
    noise = rng(56).normal(size=hard.shape)
    estimates = [
        difference(result("e2m2", tuple(h + 1 + n)), result("fp32", tuple(h)))
        for h, n in zip(hard, noise, strict=True)
    ]
    spread = np.std([one.mean for one in estimates])
    assert np.mean([one.mean for one in estimates]) == pytest.approx(1, rel=0.02)
    assert np.sqrt(np.mean([one.standard_error**2 for one in estimates])) == pytest.approx(
        spread, rel=0.05
    )


@pytest.mark.parametrize("facts", [{"data": "other"}, {"metric": "x"}, {"model": "n"}], ids=str)
def test_only_the_same_items_are_compared(facts: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="reference must be of"):
        difference(result("e2m2", (1.0, 2.0)), result("fp32", (1.0, 2.0), **facts))
    with pytest.raises(ValueError, match="reference must be of"):
        difference(result("e2m2", (1.0, 2.0)), result("fp32", (1.0, 2.0, 3.0)))
    with pytest.raises(ValueError, match="items must be at least two"):
        difference(result("e2m2", (1.0,)), result("fp32", (1.0,)))


def test_storage_counts_all_bytes() -> None:
    w = np.ones((4, 128), np.float32)
    packed = mf.quantize(w, "e2m2")
    assert evaluation.storage([packed], 10) == (5.125, 4 * (80 + 2) + 40)
    assert evaluation.storage([w, w], 0) == (32, 2 * w.nbytes)
    with pytest.raises(ValueError, match="matrices must hold at least one weight"):
        evaluation.storage([], 1)


def test_the_peak_is_the_packed_model_and_a_tile() -> None:
    """Float32 weights would be six times as large; many tokens are multiplied by tiles of 4 MiB."""
    width = 1 << 11
    weights = rng(57).normal(size=(width, width)).astype(np.float32)
    wide = MatrixModel(matrices={"m": weights}, vectors={"b": weights[0]})
    packed = wide.quantized("e2m2")
    held = width * width * 5 // 8 + width * width // 128 * 4 + 4 * width
    for tokens, tiles in ((1, 0), (FEW + 1, 1)):
        x = np.ones((tokens, width), np.float32)
        run = partial(matrices.product, x, packed.matrices["m"])
        run()
        peak = packed.peak(run)
        assert held + 4 * tokens * width <= peak
        assert peak <= held + tiles * 4 * LEAST_TILE + 5 * 4 * tokens * width + (1 << 16)
    run = partial(matrices.product, x, wide.matrices["m"])
    assert wide.peak(run) >= wide.storage[1]


def test_rows_are_decoded_alone() -> None:
    matrix = mf.quantize(rng(52).normal(size=(9, 24)), "e2m2/16")
    index = np.array([7, 0, 7])
    assert np.array_equal(matrices.rows(matrix, index), matrix.dequantize()[index])
    odd = mf.quantize(rng(52).normal(size=(9, 25)), "e2m2")  # rows begin within a byte
    assert np.array_equal(matrices.rows(odd, index), odd.dequantize()[index])


def test_layers_are_their_definitions() -> None:
    x = rng(58).normal(size=(3, 5, 16), loc=2).astype(np.float32)
    gain, bias = rng(59).normal(size=(2, 16)).astype(np.float32)
    wide = x.astype(np.float64)
    shares = np.exp(wide) / np.exp(wide).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(softmax(x.copy()), shares, rtol=1e-5)
    deviation = np.sqrt(wide.var(axis=-1, keepdims=True) + 0.01)
    normed = (wide - wide.mean(axis=-1, keepdims=True)) / deviation * gain + bias
    np.testing.assert_allclose(layer_norm(x, gain, bias, 0.01), normed, rtol=1e-4, atol=1e-5)
    rms = np.sqrt((wide**2).mean(axis=-1, keepdims=True) + 0.01)
    np.testing.assert_allclose(rms_norm(x, gain, 0.01), wide / rms * gain, rtol=1e-5)
    assert softmax(np.full((1, 2), 300, np.float32)).tolist() == [[0.5, 0.5]]  # no overflow

"""LLM-FP4's search against its equations, in loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.composites import PreShifted, shift_exponents
from tests.composites import slow_equalization as slow

GRID = [0.01 + k * 0.0119 for k in range(100)]


def layer(outlier: float = 30, seed: int = 23) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    w = rng.standard_normal((6, 16)).astype(np.float32)
    x = rng.standard_normal((12, 16)).astype(np.float32)
    x *= np.exp(rng.normal(size=16)).astype(np.float32)
    x[:, 2] *= outlier
    return w, x


def search(w: Any, x: Any, e: int, m: int, shift: bool) -> tuple[Any, float, Any]:
    """Return the biases of rows, that of inputs, and shifts: the paper's search, in loops."""
    exact = x @ w.T
    rows = [float(slow.bias_of(max(abs(row)), e, m)) for row in w]
    bias = float(slow.bias_of(np.abs(x).max(), e, m))
    own = [float(slow.bias_of(max(abs(column)), e, m)) for column in x.T]

    def shifts(b: float) -> list[int]:
        every = [min(max(round(c) - round(b), 0), 2**e - 1) for c in own]
        return every if shift else [0] * len(own)

    def inputs(b: float) -> Any:
        return np.stack([slow.biased(x[:, j], b + k, e, m) for j, k in enumerate(shifts(b))], 1)

    row_grid, grid = [[step * b for step in GRID] for b in rows], [step * bias for step in GRID]
    for _ in range(3):
        given = inputs(bias)
        for i, row in enumerate(w):
            tried = [rows[i], *row_grid[i]]
            losses = [sum((given @ slow.biased(row, b, e, m) - exact[:, i]) ** 2) for b in tried]
            rows[i] = tried[losses.index(min(losses))]
        held = np.stack([slow.biased(row, b, e, m) for row, b in zip(w, rows, strict=True)])
        tried = [bias, *grid]
        losses = [float(np.sum((inputs(b) @ held.T - exact) ** 2)) for b in tried]
        bias = tried[losses.index(min(losses))]
    return rows, bias, shifts(bias)


@pytest.mark.parametrize(
    ("name", "e", "m", "shift"),
    [("e2m1", 2, 1, True), ("e3m2", 3, 2, True), ("e2m1", 2, 1, False)],
)
def test_the_search_is_the_papers(name: str, e: int, m: int, shift: bool) -> None:
    w, x = layer()
    got = shift_exponents(w, x, f"{name}/channel/float32", name, shift=shift)
    rows, bias, shifts = search(w.astype(float), x.astype(float), e, m, shift)
    fmt = mf.parse(name)
    assert isinstance(fmt, mf.Format)
    assert got.weights.scales[:, 0] == pytest.approx([2 ** (fmt.bias - b) for b in rows], rel=1e-6)
    assert got.input_scale == pytest.approx(2 ** (fmt.bias - bias), rel=1e-6)
    assert got.shifts.tolist() == shifts
    held = np.stack([slow.biased(row, b, e, m) for row, b in zip(w, rows, strict=True)])
    assert got.weights.dequantize() == pytest.approx(held, rel=1e-5)
    given = [slow.biased(x[:, j].astype(float), bias + k, e, m) for j, k in enumerate(shifts)]
    assert got.quantize_inputs(x) == pytest.approx(np.stack(given, 1), rel=1e-5)
    if not shift:
        assert set(shifts) == {0}


def loss(p: PreShifted, w: Any, x: Any) -> float:
    y = p.quantize_inputs(x) @ p.weights.dequantize().astype(float).T
    return float(np.sum((y - x.astype(float) @ w.T) ** 2))


def test_never_worse_than_absmax() -> None:
    ratios = []
    for seed in (3, 4):
        w, x = layer(seed=seed)
        without = shift_exponents(w, x, shift=False)
        q = mf.quantize(w, "e2m1/channel/float32").dequantize().astype(float)
        given = mf.quantize(x, "e2m1/tensor/float32").dequantize().astype(float)
        absmax = float(np.sum((given @ q.T - x.astype(float) @ w.T) ** 2))
        assert loss(without, w, x) <= absmax * (1 + 1e-6)
        ratios.append(loss(shift_exponents(w, x), w, x) / loss(without, w, x))
    assert max(ratios) < 0.6  # what shifts are for: an outlier among the inputs


def test_what_is_exact_stays() -> None:
    """The grid has no 1: only the biases of absmax leave these numbers as they are."""
    rng = np.random.default_rng(0)
    w = rng.choice([-6.0, -2, 0.5, 3, 4], (5, 8))
    x = rng.choice([-3.0, -1, 0.25, 1.5, 2], (9, 8))
    w[:, 0], x[:, 0] = 6, 3
    p = shift_exponents(w, x, shift=False)
    assert np.array_equal(p.weights.dequantize(), w)
    assert np.array_equal(p.quantize_inputs(x), x)


@pytest.mark.parametrize("wide", ["e4m3fn", "e5m2"])
def test_folding_changes_no_product(wide: str) -> None:
    w, x = layer(outlier=4)
    p = shift_exponents(w, x)
    assert len(set(p.shifts.tolist())) > 2
    folded = p.folded(wide)
    exact = np.ldexp(p.weights.dequantize().astype(float), -p.shifts)
    assert np.array_equal(folded.dense.dequantize().astype(float), exact)
    assert np.array_equal(folded.dequantize(), p.weights.dequantize())
    assert np.array_equal(p.shifted(x) * 2.0**-p.shifts, p.quantize_inputs(x))
    assert len(np.unique(p.shifted(x) / p.input_scale)) <= 15  # one scale for all inputs
    y = p.quantize_inputs(x) @ p.weights.dequantize().T
    if wide == "e5m2":
        assert np.allclose(mf.linear(p.shifted(x), folded.dense), y, rtol=1e-4, atol=1e-4)
        assert np.allclose(mf.linear(p.quantize_inputs(x), folded), y, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="fmt must have each value of e2m1 over"):
        p.folded("e2m3")


def test_bits_and_zeros() -> None:
    w, x = layer()
    w[1], x[:, 4] = 0, 0
    p = shift_exponents(w, x, "e2m1/channel/float16")
    assert p.bits_per_weight == pytest.approx(4 + 16 / 16 + (2 * 16 + 32) / 96)
    assert not p.weights.dequantize()[1].any()
    assert np.isfinite(p.quantize_inputs(x)).all()
    half = p.weights.scales
    assert np.array_equal(half, half.astype(np.float16))
    assert math.isfinite(p.input_scale)
    everything = shift_exponents(np.zeros((2, 4)), np.zeros((3, 4)))
    assert not everything.weights.dequantize().any()


def test_bad_arguments() -> None:
    w, x = layer()
    for recipe in ("int4/channel/float32", "e2m1", "e2m1/tensor/float32", "nvfp4", "nf4",
                   "e2m1/channel/float32/hadamard16"):  # fmt: skip
        with pytest.raises(ValueError, match="recipe"):
            shift_exponents(w, x, recipe)
    with pytest.raises(ValueError, match="recipe and fmt must be of formats with exponents"):
        shift_exponents(w, x, fmt="int4")
    with pytest.raises(TypeError, match="shift must be"):
        shift_exponents(w, x, shift=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="inputs must be of shape"):
        shift_exponents(w, x[:, :3])
    p = shift_exponents(w, x, shift=False)
    with pytest.raises(ValueError, match="x must have 16 inputs, got shape"):
        p.quantize_inputs(x[:, :3])

"""What sums lose, against the circuits that lose it."""

from __future__ import annotations

import numpy as np
import pytest
from ml_dtypes import bfloat16

from analysis.hardware.accumulators import sum_error
from minifloat import decode, quantize
from minifloat.hardware import FixedSum, FloatSum, dot, multiplier
from minifloat.hardware.circuits import join_lanes


@pytest.mark.parametrize("cut", [1, 3])
def test_it_is_that_of_the_circuit(cut: int) -> None:
    """The circuit's own meaning, which its netlist was checked against, on 2000 other sums."""
    x = np.float32(np.random.default_rng(99).normal(size=(2, 2000, 128)))
    codes = [quantize(each, "e2m1/128/float16").codes for each in x]
    circuit = dot("e2m1", "e2m1", 128, form="significands", accumulator=FixedSum(cut=cut))
    words = {name: join_lanes(each, 4) for name, each in zip("ab", codes, strict=True)}
    words["first"] = np.ones(2000, np.int64)
    found = np.array([int(word) for word in circuit.meaning(words)["sum"]], np.float64)
    width = circuit.outputs["sum"]
    found -= np.where(found >= 2.0 ** (width - 1), 2.0**width, 0)
    values = [decode(each, "e2m1").astype(np.float64) for each in codes]
    exact = np.sum(values[0] * values[1], axis=-1) / float(multiplier("e2m1", "e2m1").unit)
    error = np.sum((exact - found * 2**cut) ** 2) / np.sum(exact**2)
    estimate = sum_error("e2m1", FixedSum(cut=cut), "normal")
    assert error == pytest.approx(estimate.mean, rel=0.15)
    assert 0 < estimate.standard_error < 0.05 * estimate.mean


def test_a_float_rounds_once_in_16_products() -> None:
    """By ml_dtypes' bfloat16, on other sums; float32 holds sums of E2M1 exactly."""
    x = np.float32(np.random.default_rng(98).normal(size=(2, 4000, 128)))
    a, b = (decode(quantize(y, "e2m1/128/float16").codes, "e2m1").astype(float) for y in x)
    exact, found = np.sum(a * b, axis=-1), np.zeros(4000)
    for start in range(0, 128, 16):
        step = slice(start, start + 16)
        found = (found + np.sum(a[:, step] * b[:, step], axis=-1)).astype(bfloat16).astype(float)
    error = np.sum((exact - found) ** 2) / np.sum(exact**2)
    estimate = sum_error("e2m1", FloatSum("bfloat16"), "normal")
    assert error == pytest.approx(estimate.mean, rel=0.1)
    assert sum_error("e2m1", FloatSum("float32"), "normal").mean == 0


def test_tails_lose_more() -> None:
    cut = FixedSum(cut=2)
    assert sum_error("e2m1", cut, "laplace").mean > sum_error("e2m1", cut, "normal").mean

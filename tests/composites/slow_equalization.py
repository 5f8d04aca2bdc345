"""The searches of equalization from their definitions: loops over inputs, blocks and candidates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minifloat as mf

Array = NDArray[Any]


def spread_out(factors: list[float | None]) -> list[float]:
    """Return factors over the root of largest times smallest, rounded to float16; None is 1."""
    live = [f for f in factors if f is not None]
    middle = math.sqrt(max(live) * min(live)) if live else 1.0
    return [1.0 if f is None else float(np.float16(f / middle)) for f in factors]


def smooth_factors(w: Array, x: Array, strength: float) -> list[float]:
    """Return SmoothQuant's factors."""
    factors: list[float | None] = []
    for j in range(w.shape[1]):
        of_x, of_w = (float(max(abs(number) for number in a[:, j])) for a in (x, w))
        factors.append(of_x**strength / of_w ** (1 - strength) if of_x and of_w else None)
    return spread_out(factors)


def awq_factors(x: Array, power: float) -> list[float]:
    """Return AWQ's factors."""
    means = [sum(abs(float(number)) for number in x[:, j]) / len(x) for j in range(x.shape[1])]
    return spread_out([mean**power if mean else None for mean in means])


def output_loss(w: Array, x: Array, q: Any, factors: Any, activations: str | None) -> float:
    """Return the squared error of a layer's outputs; ``q`` are the weights times the factors."""
    held = q.dequantize().astype(np.float64)
    given: Array = x.astype(np.float32) / np.asarray(factors, np.float32)
    if activations is not None:
        given = mf.quantize(given, activations).dequantize()
    exact = x.astype(np.float64) @ w.astype(np.float64).T
    return float(np.sum((given.astype(np.float64) @ held.T - exact) ** 2))


def clipped(w: Array, x: Array, recipe: str, width: int) -> Array:
    """Return weights of which each block is clipped as AWQ's code does it."""
    out = w.copy()
    for i in range(len(w)):
        for start in range(0, w.shape[1], width):
            block, given = w[i, start : start + width], x[:, start : start + width]
            top = np.abs(block).max()
            best, least = block, math.inf
            for k in range(10):
                limit = np.float32(top * (1 - k / 20))
                trial = np.clip(block, -limit, limit)
                error = mf.quantize(trial, recipe).dequantize().astype(np.float64) - block
                loss = float(np.sum((given.astype(np.float64) @ error) ** 2))
                if loss < least * (1 - 1e-9):
                    best, least = trial, loss
            out[i, start : start + width] = best
    return out


def biased(x: Array, bias: Array | float, exponent_bits: int, mantissa_bits: int) -> Array:
    """Round to a float with a real exponent bias: LLM-FP4's equations 3 to 6."""
    largest = (2 - 2.0**-mantissa_bits) * 2.0 ** (2**exponent_bits - 1 - np.asarray(bias))
    x = np.clip(x, -largest, largest)
    with np.errstate(divide="ignore"):
        exponents = np.maximum(np.floor(np.log2(np.abs(x)) + bias), 1)
    steps = 2.0 ** (exponents - mantissa_bits - bias)
    return np.asarray(np.rint(x / steps) * steps)


def bias_of(absmax: Array | float, exponent_bits: int, mantissa_bits: int) -> Array:
    """Return the real bias of which a magnitude is the largest value."""
    return np.asarray(2**exponent_bits - np.log2(absmax) + math.log2(2 - 2.0**-mantissa_bits) - 1)

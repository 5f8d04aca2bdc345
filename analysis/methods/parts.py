"""Methods of the table whose matrices have several parts: factors, outliers, orders, thin matrices.

Each is a function of weights, of their inputs and of a budget (`analysis.methods.contenders`). What
the other parts take is left to them by wider blocks of the dense part, or by narrower codes.
"""

from __future__ import annotations

import math

import numpy as np

import minifloat as mf
from analysis.methods.bit_budgets import FLOATS, Packed, counted, recipe
from analysis.methods.subjects import Inputs
from analysis.models.layers import Array
from minifloat import composites
from minifloat.composites import Sparse, largest
from minifloat.quantization.composite import FACTOR_BITS, order_bits

WIDE = "192/float16/mse"  # blocks and scales of a dense part that leaves 1/6 bit to others
THRESHOLDS = (0.2, 0.4, 0.8, 1.6, 3.2, math.inf)  # of SpQR's outliers
THIN = {2: "int2/128/float16/mse", 3: "int3/128/float16/mse", 4: "nvfp4"}  # beside thin matrices
STEPS = 12  # of a search for the share of outliers


def smoothed(weights: Array, inputs: Inputs, bits: float) -> Packed:
    """E2My with SmoothQuant's factors of inputs."""
    return composites.smooth(weights, inputs.samples, _with_factors(weights, bits, "float16/mse"))


def activation_aware(weights: Array, inputs: Inputs, bits: float) -> Packed:
    """E2My with AWQ's factors of inputs and its clipping."""
    scaling = _with_factors(weights, bits, "float16")
    return composites.activation_aware(weights, inputs.samples, scaling, clip=True)


def _with_factors(weights: Array, bits: float, scaling: str) -> str:
    """Return the recipe that leaves bits for the factors of inputs."""
    outputs, inputs = weights.shape
    return recipe("{float}", 16, scaling, inputs, bits - FACTOR_BITS / outputs)


def sorted_columns(weights: Array, inputs: Inputs, bits: float) -> Packed:
    """E2My by GPTQ, the inputs sorted by their second moments where that helps."""
    outputs, columns = weights.shape
    chosen = recipe("{float}", 16, "float16/mse", columns, bits - order_bits(columns) / outputs)
    moments = inputs.gram.diagonal()
    return composites.sort_columns(weights, chosen, moments, hessian=inputs.gram, damp=0.01)


def outliers(weights: Array, inputs: Inputs, bits: float) -> Packed:
    """E2My with the largest weights apart, as many as the budget allows."""
    return _split(weights, bits, None)


def outliers_by_gptq(weights: Array, inputs: Inputs, bits: float) -> Packed:
    """The same, the others by GPTQ."""
    return _split(weights, bits, inputs.gram)


def _split(weights: Array, bits: float, hessian: Array | None) -> Packed:
    chosen = f"{FLOATS[math.floor(bits)]}/{WIDE}"
    dense = mf.quantize(weights, chosen).bits_per_weight
    low, high = 0.0, (bits - dense) / 16  # an outlier takes more than its value
    for _ in range(STEPS):
        share = (low + high) / 2
        sparse = Sparse.of(np.where(largest(weights, share), weights, 0))
        low, high = (share, high) if dense + sparse.bits / weights.size <= bits else (low, share)
    return composites.split_outliers(weights, chosen, largest(weights, low), hessian=hessian)


def spqr(weights: Array, inputs: Inputs, bits: float) -> Packed:
    """SpQR with small scales, by the lowest threshold that keeps within the budget."""
    chosen = f"int{math.floor(bits)}/64/ue4m2/tensor-scale"
    for threshold in THRESHOLDS:
        packed = composites.spqr(weights, chosen, inputs.gram, threshold=threshold)
        if counted(packed) <= bits:
            break
    return packed


def low_rank(weights: Array, inputs: Inputs, bits: float) -> Packed:
    """Narrower codes, corrected by the two thin matrices that are best for the outputs."""
    base = THIN[math.floor(bits) - 1]
    return composites.correct_by_low_rank(weights, base, bits=bits, hessian=inputs.gram, rounds=5)


def low_rank_by_gptq(weights: Array, inputs: Inputs, bits: float) -> Packed:
    """The same, the narrower codes by GPTQ."""
    base = THIN[math.floor(bits) - 1]
    return composites.correct_by_low_rank(
        weights, lambda w: mf.gptq(w, base, inputs.gram), bits=bits, hessian=inputs.gram
    )


METHODS = {
    "SmoothQuant, E2My, mse": smoothed,
    "AWQ, clipped, E2My": activation_aware,
    "largest apart, E2My, mse": outliers,
    "GPTQ, largest apart, E2My, mse": outliers_by_gptq,
    "SpQR, INT": spqr,
    "GPTQ, sorted columns, E2My, mse": sorted_columns,
    "low rank and narrower codes": low_rank,
    "GPTQ, low rank and narrower codes": low_rank_by_gptq,
}

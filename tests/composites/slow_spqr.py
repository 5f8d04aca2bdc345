"""SpQR from its description, one weight at a time, for unsigned integers with zero points.

It shares no code with `minifloat.composites.costly_weights`: the Cholesky factor is that of the
inverse Hessian, as in the paper, and scales and zero points are written out.
"""

from __future__ import annotations

import numpy as np

Fit = tuple[float, float]  # scale and zero point


def fit_of(weights: list[float], bits: int) -> Fit:
    """Return the scale (float32) and the zero point of a block."""
    low, high = min([0.0, *weights]), max([0.0, *weights])
    scale = float(np.float32((high - low) / (2**bits - 1)))
    zero = float(np.rint(-low / scale)) if scale else 0.0
    return scale, min(max(zero, 0.0), 2.0**bits - 1)


def rounded(weight: float, fit: Fit, bits: int) -> float:
    """Return what a weight becomes."""
    scale, zero = fit
    if scale == 0:
        return 0.0
    code = min(max(float(np.rint(weight / scale)) + zero, 0.0), 2.0**bits - 1)
    return scale * (code - zero)


def cost_of(weights: list[float], roots: list[float], bits: int) -> float:
    """Return the cost of a block that is quantized by itself."""
    fit = fit_of(weights, bits)
    return sum(
        ((w - rounded(w, fit, bits)) / root) ** 2 for w, root in zip(weights, roots, strict=True)
    )


def slow_spqr(
    w: np.ndarray, hessian: np.ndarray, bits: int, block: int, threshold: float, damp: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights that codes and outliers mean, and which are outliers."""
    inputs = w.shape[1]
    damped = hessian + damp * np.mean(np.diag(hessian)) * np.eye(inputs)
    upper = np.linalg.cholesky(np.linalg.inv(damped)).T
    roots = np.diag(upper)
    limit = threshold * np.mean(w.var(axis=0, ddof=1) / roots**2)
    result, outliers = np.zeros(w.shape), np.zeros(w.shape, bool)
    for row, given in enumerate(w):
        updated = given.copy()
        for start in range(0, inputs, block):
            stop = min(start + block, inputs)
            group, own = list(updated[start:stop]), list(roots[start:stop])
            whole = cost_of(group, own, bits)
            likely = []
            for out in range(len(group)):
                kept = group[:out] + group[out + 1 :]
                left = cost_of(kept, own[:out] + own[out + 1 :], bits)
                likely.append(whole - left > limit)
            others = [each for each, is_out in zip(group, likely, strict=True) if not is_out]
            mean = sum(others) / len(others) if others else 0.0
            fit = fit_of(
                [mean if is_out else each for each, is_out in zip(group, likely, strict=True)], bits
            )
            for column in range(start, stop):
                value = rounded(updated[column], fit, bits)
                if ((updated[column] - value) / roots[column]) ** 2 > limit:
                    outliers[row, column] = True
                    value = float(np.float16(updated[column]))
                result[row, column] = value
                error = (updated[column] - value) / roots[column]
                updated[column + 1 :] -= error * upper[column, column + 1 :]
    return result, outliers

"""Results of operations from fractions, for formats that float64 cannot decide.

Each combination of operands is computed once: that takes about 25 us for sums and products, and 50
to 260 us for elementary functions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._kernels import operations as kernels
from minifloat.arithmetic.operations.algebraic import KERNELS
from minifloat.arithmetic.operations.enclosures import exact, pi
from minifloat.arithmetic.operations.functions import FUNCTIONS, Exact
from minifloat.arithmetic.operations.results import run
from minifloat.arithmetic.operations.selections import SELECTIONS
from minifloat.arithmetic.p3109.external import Projector, Real
from minifloat.arithmetic.p3109.names import NAN_WHERE, OPERATIONS

Array = NDArray[Any]

SHORT = (0.0, 0.5, 1.0)  # limits of functions at infinity; the others are multiples of pi / 2
QUARTER_TURNS = Exact(lambda _: None, lambda count, bits: pi(bits).times(exact(count / 2)))


def exact_results(
    name: str, operands: Sequence[Array], projector: Projector, scale: Array | None = None
) -> Array:
    """Return the results of an operation, divided by scales if there are any, and projected.

    ``operands`` and ``scale`` are contiguous arrays of float64, of one shape.
    """
    operation, terms, near = _evaluation(name, operands)
    shape = near.shape
    scale = np.ones(shape) if scale is None else scale
    columns = [*terms, near, scale, np.array(projector.thresholds, np.float64).reshape(shape)]
    keys = np.stack([np.asarray(column).reshape(-1) for column in columns], axis=1)
    unique, inverse = np.unique(keys.view(np.int64), axis=0, return_inverse=True)
    values = [_result(operation, key, projector) for key in unique.view(np.float64).tolist()]
    return np.array(values, projector.dtype)[inverse.reshape(-1)].reshape(shape)[()]


def _evaluation(name: str, operands: Sequence[Array]) -> tuple[Exact, list[Array], Array]:
    """Return an operation on fractions, its terms, and numbers near its results.

    Those numbers are NaN and infinite where the results are, and the results themselves where an
    operand is infinite.
    """
    own = OPERATIONS[name]
    with np.errstate(all="ignore"):
        x = [operand + 0.0 for operand in operands]  # without -0
        if own in FUNCTIONS:
            operation, terms = FUNCTIONS[own].exact, x
            base, part = FUNCTIONS[own].approximate(*x)
            near = np.asarray(base + part)
        elif own in KERNELS:
            operation, terms = KERNELS[own].exact, KERNELS[own].terms(*x)
            near, hard = run(getattr(kernels, KERNELS[own].name), terms)
            near[hard & np.all(np.isfinite(terms), axis=0)] = 1.0  # it may be beyond float64
        else:
            near = np.asarray(SELECTIONS[own](*x), np.float64)
            operation, terms = Exact(lambda v: v), [near]
        if name in NAN_WHERE:
            near = np.where(NAN_WHERE[name](*x), np.nan, near)
    return operation, terms, near + 0.0


def _result(operation: Exact, key: list[float], projector: Projector) -> float:
    *terms, near, scale, threshold = key

    def decide(z: Real) -> float:
        return projector.one(_over(z, scale), int(threshold))

    if not math.isfinite(near) or math.isnan(scale):
        return decide(near)
    if all(map(math.isfinite, terms)):
        return operation.decided(decide, *map(Fraction, terms))
    if abs(near) in SHORT:
        return decide(Fraction(near))
    return QUARTER_TURNS.decided(decide, Fraction(round(near / (math.pi / 2))))


def _over(z: Real, scale: float) -> Real:
    """Return a result divided by the scale of its block (5.1.2)."""
    if math.isnan(scale) or (isinstance(z, float) and math.isnan(z)):
        return math.nan
    if scale == 0:
        return Fraction(0)
    sign = 1 if scale > 0 else -1
    if math.isinf(scale):
        return Fraction(((z > 0) - (z < 0)) * sign)
    return z * sign if isinstance(z, float) else z / Fraction(scale)

"""Loop of `minifloat.quantization.refining`: coordinate descent on the codes and scales of rows.

Contract: contiguous arrays and plain numbers in, results into arrays passed in; no exceptions.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import AT_ONCE, jit, kernel
from minifloat._kernels.scalar import float_key, last_not_above
from minifloat._kernels.scales import ScaleValues, nearest

Array = NDArray[Any]

MARGIN = 2.0**-40  # of a move's own square: what gains less may gain nothing but for rounding


class Geometry(NamedTuple):
    """Which weights share a scale: blocks of ``height`` rows and ``width`` columns."""

    height: int
    width: int


class Grid(NamedTuple):
    """What codes mean. A weight is ``unit * scale * factor``, its unit a value minus a zero point.

    ``steps[starts[c] : starts[c + 1]]`` has the values of candidate c, as
    `minifloat._kernels.gptq.STEP`. ``zeros`` and ``choices`` have a number for each block.
    """

    steps: Array
    starts: Array
    factors: Array
    zeros: Array
    choices: Array


class Rows(NamedTuple):
    """Weights that are moved: all (rows, inputs), and the scales (groups of rows, blocks)."""

    weights: Array  # float64, that codes mean
    units: Array  # float64
    codes: Array
    gradient: Array  # float64, (weights - those wanted) @ hessian
    scales: Array  # float64


@kernel(cost=AT_ONCE)
def refine(
    weights: Array, units: Array, codes: Array, gradient: Array, scales: Array, hessian: Array,
    grid: Grid, geometry: Geometry, allowed: ScaleValues, rounds: int, moves_scales: bool,
    scratch: Array,
) -> None:  # fmt: skip
    """Move codes, and scales, to the best value given all others, until none moves.

    The first five arguments are those of `Rows`. ``allowed`` are the scales that a block may have.
    ``scratch`` is a float64 for each input.
    """
    rows = Rows(weights, units, codes, gradient, scales)
    for group in range(scales.shape[0]):
        first = group * geometry.height
        last = min(first + geometry.height, weights.shape[0])
        for _ in range(rounds):
            moved = False
            for row in range(first, last):
                moved = _move_codes(rows, row, group, hessian, grid, geometry.width) or moved
            if moves_scales:
                for block in range(scales.shape[1]):
                    moved = (
                        _move_scale(
                            rows, first, last, group, block, hessian, grid, geometry.width,
                            allowed, scratch,
                        )
                        or moved
                    )  # fmt: skip
            if not moved:
                break


@jit
def _move_codes(rows: Rows, row: int, group: int, hessian: Array, grid: Grid, width: int) -> bool:
    """Move each code of a row; a move by d changes the loss by ``d * (d * h + 2 * gradient)``."""
    weights, units, gradient = rows.weights[row], rows.units[row], rows.gradient[row]
    keys = grid.steps["key"]
    moved = False
    for j in range(weights.size):
        block = j // width
        choice = grid.choices[group, block]
        scale = rows.scales[group, block] * grid.factors[choice]
        h = hessian[j, j]
        if h <= 0 or scale == 0:
            continue
        zero = grid.zeros[group, block]
        quotient = (weights[j] - gradient[j] / h) / scale + zero
        first, last = grid.starts[choice], grid.starts[choice + 1]
        key = float_key(np.float64(quotient).view(np.int64))
        k = first + last_not_above(keys[first:last], key)
        unit = grid.steps[k]["value"] - zero
        delta = unit * scale - weights[j]
        if delta * (delta * h + 2 * gradient[j]) < -MARGIN * h * (delta * delta):
            weights[j], units[j] = unit * scale, unit
            rows.codes[row, j] = grid.steps[k]["code"]
            _add(gradient, delta, hessian[j])
            moved = True
    return moved


@jit
def _move_scale(
    rows: Rows, first: int, last: int, group: int, block: int, hessian: Array, grid: Grid,
    width: int, allowed: ScaleValues, scratch: Array,
) -> bool:  # fmt: skip
    """Move the scale of a block; a move by d changes the loss by ``d * (d * curve + 2 * slope)``.

    With the block's units u, slope is u times the gradient, and curve is u H u.
    """
    start, stop = block * width, min((block + 1) * width, hessian.shape[0])
    slope, curve = 0.0, 0.0
    for row in range(first, last):
        units, sums = rows.units[row, start:stop], scratch[: stop - start]
        sums[:] = 0.0
        for j in range(units.size):
            slope += units[j] * rows.gradient[row, start + j]
            if units[j] != 0:
                _add(sums, units[j], hessian[start + j, start:stop])
        for j in range(units.size):
            curve += units[j] * sums[j]
    factor = grid.factors[grid.choices[group, block]]
    scale = rows.scales[group, block]
    if curve <= 0 or scale == 0:
        return False
    wanted = scale - slope / curve / factor
    if not wanted > 0:
        return False
    new = min(nearest(wanted, allowed), allowed.largest)
    delta = (new - scale) * factor
    if not delta * (delta * curve + 2 * slope) < -MARGIN * curve * (delta * delta):
        return False
    rows.scales[group, block] = new
    for row in range(first, last):
        for j in range(start, stop):
            unit = rows.units[row, j]
            if unit != 0:
                weight = unit * (new * factor)
                _add(rows.gradient[row], weight - rows.weights[row, j], hessian[j])
                rows.weights[row, j] = weight
    return True


@jit
def _add(sums: Array, factor: float, addends: Array) -> None:
    for i in range(sums.size):
        sums[i] += factor * addends[i]

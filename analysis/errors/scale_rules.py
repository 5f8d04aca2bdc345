"""How a block's scale follows from its greatest magnitude: as a step function, or exactly.

A rounded scale takes one value between two neighbouring thresholds of the greatest magnitude m.
Between them everything is smooth in m, so a quadrature splits there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.errors.distributions import Distribution
from analysis.errors.grids import Grid, grid_of
from minifloat.formats import NumberFormat
from minifloat.formats.names import parse

# of e8m0, as in "e8m0 ceil"; "e8m0" is the first. `minifloat.ScaleRounding` has the formulas.
POWERS = ("floor", "ceil", "nearest", "up", "down")
LEAST_POWER, GREATEST_POWER = -127, 127  # of e8m0
TENSOR_SIZE = 2**24  # weights whose greatest a narrow scale format must reach


@dataclass(frozen=True, eq=False)
class ScaleRule:
    """A scale as a function of the block's greatest magnitude m.

    Attributes
    ----------
    name : str
    bits : int
        Of storage for a block's scale.
    thresholds : ndarray of float64, shape (N,)
        The m at which the scale steps up, ascending, in standard deviations.
    scales : ndarray of float64, shape (N + 1,)
        The scale below, between and above the thresholds. Both are empty where the scale is
        exact, ``m / top``.
    """

    name: str
    bits: int
    thresholds: NDArray[np.float64]
    scales: NDArray[np.float64]

    def __call__(self, m: NDArray[Any], top: float) -> NDArray[np.float64]:
        """Return the scales for greatest magnitudes ``m``."""
        if not self.scales.size:
            return np.asarray(m / top)
        return self.scales[np.searchsorted(self.thresholds, m)]


def scale_rule(
    scale: NumberFormat | str,
    grid: Grid,
    density: Distribution,
    tensor_scale: float | None = None,
) -> ScaleRule:
    """Return the rule that ``scale`` names, for a grid and a density.

    Parameters
    ----------
    scale : format or str
        "exact"; "float32", whose rounding changes a mean square error by less than 1e-13 of
        itself, so that it is taken as exact; "e8m0" or "e8m0 floor" for OCP's
        ``2**(floor(log2(m)) - floor(log2(top)))``, and "e8m0 ceil", "e8m0 nearest", "e8m0 up" or
        "e8m0 down" as `minifloat.ScaleRounding` defines them; or any format, to whose positive
        values ``m / (top * tensor_scale)`` is rounded to nearest. Beyond them it becomes the
        greatest or the least, never 0.
    grid : Grid
        Of the elements.
    density : Distribution
        Of the weights, for the default of ``tensor_scale``.
    tensor_scale : float, optional
        A second scale, for the whole tensor, in standard deviations: scales are
        ``tensor_scale`` times a value of the format. Default: 1 for formats that reach both 1e-4
        and 1e4 (float16, bfloat16, e8m0), so that the standard deviation is 1; for narrower ones
        (e4m3fn), as in NVFP4, what makes the format's greatest the scale of the greatest of a
        tensor's weights, for which the median of the greatest of 2**24 weights is taken.

    Returns
    -------
    ScaleRule

    Raises
    ------
    ValueError
        If the name is not known, the format has no positive value, or ``tensor_scale`` is not
        positive and finite or is given for an exact scale.

    References
    ----------
    OCP Microscaling Formats 1.0, section 6.3, for the floor.

    Examples
    --------
    >>> import numpy as np
    >>> from analysis.errors.distributions import Normal
    >>> from analysis.errors.grids import grid_of
    >>> from analysis.errors.scale_rules import scale_rule
    >>> rule = scale_rule("e8m0", grid_of("e2m1"), Normal())
    >>> rule(np.array([3.9, 4.0, 7.9]), 6.0).tolist()
    [0.5, 1.0, 1.0]
    """
    if tensor_scale is not None and not 0 < tensor_scale < math.inf:
        raise ValueError(f"tensor_scale must be positive and finite, got {tensor_scale}")
    nothing = np.empty(0)
    if scale in ("exact", "float32"):
        if tensor_scale is not None:
            raise ValueError(f"tensor_scale must be left out for scale {scale!r}, got one")
        return ScaleRule(str(scale), 32, nothing, nothing)
    name, _, rounding = str(scale).partition(" ") if isinstance(scale, str) else (scale, "", "")
    fmt = parse(name)
    if fmt == parse("e8m0") and rounding in ("", *POWERS):
        factor = 1.0 if tensor_scale is None else tensor_scale
        return _power_rule(f"e8m0 {rounding or POWERS[0]}", rounding or POWERS[0], grid, factor)
    if rounding:
        raise ValueError(
            f"scale must be a format, exact, float32 or e8m0 with one of {', '.join(POWERS)}, "
            f"got {scale!r}"
        )
    values = grid_of(fmt).values
    values = values[values > 0]
    if not values.size:
        raise ValueError(f"scale must have positive values, got {fmt}")
    if tensor_scale is None:
        tensor_scale = _tensor_scale(values, grid, density)
    scales = values * tensor_scale
    thresholds = (scales[:-1] + scales[1:]) / 2 * grid.top
    return ScaleRule(fmt.name, fmt.bits, thresholds, scales)


def _power_rule(name: str, rounding: str, grid: Grid, factor: float) -> ScaleRule:
    exponents = np.arange(LEAST_POWER, GREATEST_POWER + 1)
    scales = np.ldexp(factor, exponents)
    # the greatest magnitudes from which on, or beyond which, a scale is the next
    power = 2.0 ** (math.frexp(grid.top)[1] - 1)
    thresholds = {
        "floor": scales[1:] * power,
        "ceil": scales[:-1] * power,
        "nearest": 0.75 * scales[1:] * power,
        "up": scales[:-1] * grid.top,
        "down": scales[1:] * grid.top,
    }[rounding]
    if rounding in ("floor", "nearest", "down"):
        thresholds = np.nextafter(thresholds, 0.0)  # the threshold itself is past the step
    return ScaleRule(name, 8, thresholds, scales)


def _tensor_scale(values: NDArray[np.float64], grid: Grid, density: Distribution) -> float:
    if values[0] < 1e-4 and values[-1] > 1e4:
        return 1.0
    greatest = float(density.magnitude_beyond(-math.expm1(-math.log(2) / TENSOR_SIZE)))
    return greatest / (grid.top * float(values[-1]))

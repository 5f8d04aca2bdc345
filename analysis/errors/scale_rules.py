"""How a block's scale follows from its absmax: as a step function, or exactly.

A rounded scale is constant between two neighbouring thresholds of the absmax. Between them the
error is smooth in the absmax, so a quadrature splits there. The thresholds are those of
`minifloat.quantize`, by its own rules.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.errors.grids import grid_of
from analysis.errors.laws import Law
from minifloat.formats import Format, NumberFormat
from minifloat.formats.names import parse
from minifloat.quantization import scales as library
from minifloat.quantization.scales import ScaleRounding

TENSOR_SIZE = 2**24  # weights whose absmax a narrow scale format must reach


@dataclass(frozen=True, eq=False)
class ScaleRule:
    """A scale as a function of the block's absmax.

    Attributes
    ----------
    name : str
    bits : int
        Of storage for a block's scale.
    max_abs : float
        Of the weights' format.
    thresholds : ndarray of float64, shape (N,)
        The absmax at which the scale steps up, ascending, in standard deviations.
    scales : ndarray of float64, shape (N + 1,)
        The scale below, between and above the thresholds. Both are empty where the scale is
        exact, ``absmax / max_abs``.
    """

    name: str
    bits: int
    max_abs: float
    thresholds: NDArray[np.float64]
    scales: NDArray[np.float64]

    def __call__(self, absmax: NDArray[Any]) -> NDArray[np.float64]:
        """Return the scales of blocks of these largest magnitudes."""
        if not self.scales.size:
            return np.asarray(absmax / self.max_abs)
        return self.scales[np.searchsorted(self.thresholds, absmax)]


def scale_rule(
    scale: NumberFormat | str,
    fmt: NumberFormat | str,
    law: Law,
    tensor_scale: float | None = None,
) -> ScaleRule:
    """Return the rule that ``scale`` names, for weights of a format and a law.

    Parameters
    ----------
    scale : format or str
        "exact"; "float32", whose rounding changes a mean square error by less than 1e-13 of
        itself, so that it is taken as exact; or a format, to whose positive values
        ``absmax / (max_abs * tensor_scale)`` is rounded. After a colon stands how, as
        `minifloat.ScaleRounding` defines it: "e8m0:ceil". Default: "floor" for powers of two, else
        "nearest_even". A scale beyond the values becomes the largest or the smallest, never 0.
    fmt : format or str
        Of the weights.
    law : Law
        Of the weights, for the default of ``tensor_scale``.
    tensor_scale : float, optional
        A second scale, for the whole tensor, in standard deviations: scales are
        ``tensor_scale`` times a value of the format. Default: 1 for formats that reach both 1e-4
        and 1e4 (float16, bfloat16, e8m0), so that the standard deviation is 1. For narrower ones
        (e4m3fn), as in NVFP4, the absmax of the tensor gets the format's largest scale; it is
        taken as the median absmax of 2**24 weights.

    Returns
    -------
    ScaleRule

    Raises
    ------
    ValueError
        If the name is not known, the format has no positive value, the rounding does not fit the
        formats, or ``tensor_scale`` is not positive and finite or is given for an exact scale.

    Examples
    --------
    >>> import numpy as np
    >>> from analysis.errors.distributions import Normal
    >>> from analysis.errors.scale_rules import scale_rule
    >>> rule = scale_rule("e8m0", "e2m1", Normal())
    >>> rule(np.array([3.9, 4.0, 7.9])).tolist()
    [0.5, 1.0, 1.0]
    """
    if tensor_scale is not None and not 0 < tensor_scale < math.inf:
        raise ValueError(f"tensor_scale must be positive and finite, got {tensor_scale}")
    fmt = parse(fmt)
    if scale in ("exact", "float32"):
        if tensor_scale is not None:
            raise ValueError(f"tensor_scale must be left out for scale {scale!r}, got one")
        return ScaleRule(str(scale), 32, fmt.max_abs, np.empty(0), np.empty(0))
    name, _, word = scale.partition(":") if isinstance(scale, str) else (scale, "", "")
    scale_format = parse(name)
    rounding = _rounding(scale, scale_format, word)
    values = grid_of(scale_format).values
    values = values[values > 0]
    if rounding is not ScaleRounding.NEAREST_EVEN:
        values = values[np.frexp(values)[0] == 0.5]  # the powers of two
    if not values.size:
        raise ValueError(f"scale must have positive values, got {scale_format}")
    if tensor_scale is None:
        tensor_scale = _tensor_scale(values, fmt.max_abs, law)
    _, reference, carry = library.scale_rule(fmt, rounding, tensor_scale)
    if rounding is ScaleRounding.NEAREST_EVEN:
        thresholds = (values[:-1] + values[1:]) / 2 * reference
    elif carry:  # the next power of two from this multiple of a power on
        thresholds = np.nextafter(values[:-1] * (carry * reference), 0.0)
    else:  # the next power of two above each power
        thresholds = values[:-1] * reference
    label = scale_format.name
    if rounding is not ScaleRounding.NEAREST_EVEN:
        label += f":{rounding.value}"
    return ScaleRule(label, scale_format.bits, fmt.max_abs, thresholds, values * tensor_scale)


def _rounding(scale: NumberFormat | str, scale_format: NumberFormat, word: str) -> ScaleRounding:
    """Return how scales are rounded: by the word, or by the library's default."""
    binary = isinstance(scale_format, Format)
    if not word:
        powers = binary and scale_format.precision == 1
        return ScaleRounding.FLOOR if powers else ScaleRounding.NEAREST_EVEN
    if not binary or word not in list(ScaleRounding):
        raise ValueError(
            "scale must be exact, float32 or a format, perhaps with a colon and one of "
            f"{', '.join(ScaleRounding)}, got {scale!r}"
        )
    return ScaleRounding(word)


def _tensor_scale(values: NDArray[np.float64], max_abs: float, law: Law) -> float:
    if values[0] < 1e-4 and values[-1] > 1e4:
        return 1.0
    absmax = float(law.magnitude_beyond(-math.expm1(-math.log(2) / TENSOR_SIZE)))
    return absmax / (max_abs * float(values[-1]))

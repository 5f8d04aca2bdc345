"""The exact mean square error of integers with zero points, whose scale comes from a block's range.

A block of n independent weights has a lowest weight a and a highest one b. As in
`minifloat.quantize`, let a be at most 0 and b at least 0: a block of one sign has 0 as an end. With
L + 1 codes the scale is ``s = (b - a) / L``, and the zero point ``round(-a / s)``: each weight
rounds to the nearest multiple of s, and none is cut off. Both ends are equally far from a multiple.

For a law with density f and distribution function F, a < 0 < b have the joint density
``n (n - 1) f(a) f(b) (F(b) - F(a))**(n - 2)``. Given both, the others are independent and
distributed as X is on [a, b]. So with G the integral of the squared error over [a, b], and e the
squared error of an end, the error of one weight is the integral over a and b of

    (n - 1) f(a) f(b) (F(b) - F(a))**(n - 3) [(n - 2) G + 2 e (F(b) - F(a))]

and for blocks of one sign, with b the highest weight and 0 the other end, twice the integral of
``(n - 1) f(b) (F(b) - 1/2)**(n - 2) G``. All of it holds for a real n >= 2 too.

The variables are the length ``b - a`` and the share of it below 0. The error has kinks where the
zero point steps, and these are at the same shares for every length; between them Gauss-Legendre
nodes integrate. The length is twice an absmax, integrated as in `analysis.errors.absmax_error`.
"""

from __future__ import annotations

import math

import numpy as np

from analysis.errors.absmax_error import absmax_at, even_panels
from analysis.errors.distributions import Distribution, parse_distribution
from analysis.errors.expected_error import squared_error_within
from analysis.errors.grids import Grid
from analysis.errors.laws import Array
from minifloat.formats import NumberFormat
from minifloat.formats.names import parse

LEAST_BLOCK = 2
LENGTHS = np.polynomial.legendre.leggauss(5)  # nodes of a panel of lengths
SHARES = np.polynomial.legendre.leggauss(4)  # nodes between two steps of the zero point


def range_mse(
    fmt: NumberFormat | str, distribution: Distribution | str, block_size: float
) -> float:
    """Return the expected squared error of a weight under an integer format with zero points.

    As in `minifloat.quantize` with ``zero_point=True``, with scales that are not rounded.

    Parameters
    ----------
    fmt : format or str
        An unsigned integer, such as "uint5".
    distribution : Distribution or str
        Of variance 1, without an end: weights are independent draws from it.
    block_size : float
        Weights that share a scale and a zero point, at least 2; need not be whole.

    Returns
    -------
    float
        Relative to the variance; accurate to 1e-7 of itself.

    Raises
    ------
    ValueError
        If ``block_size`` is below 2 or not finite, the format or the distribution is another, or a
        name is not known.
    TypeError
        If ``distribution`` is neither a `Distribution` nor a name.

    Examples
    --------
    >>> from analysis import range_mse
    >>> [round(range_mse("uint5", "normal", size), 6) for size in (128, 512)]
    [0.002365, 0.003237]
    """
    integer, density = parse(fmt), parse_distribution(distribution)
    if not is_range_format(integer):
        raise ValueError(f"fmt must be an unsigned integer such as uint5, got {integer.name}")
    if not LEAST_BLOCK <= block_size < math.inf:
        raise ValueError(f"block_size must be finite and at least {LEAST_BLOCK}, got {block_size}")
    if density.end < math.inf:
        raise ValueError(f"distribution must be one without an end, got {density.name}")
    levels = int(integer.max)
    grid = _grid(levels)
    length, weight = _lengths(density, block_size)
    two_signs = 0.0
    for share, share_weight in zip(*_shares(levels), strict=True):  # and as many above a half
        errors = _two_signs(grid, density, block_size, length, float(share))
        two_signs += 2 * share_weight * float(weight @ errors)
    one_sign = float(weight @ _one_sign(grid, density, block_size, length))
    return float(two_signs + one_sign)


def is_range_format(fmt: NumberFormat) -> bool:
    """Return whether codes of a format are the integers from 0 on, as zero points need them.

    Examples
    --------
    >>> from minifloat.formats.names import parse
    >>> [is_range_format(parse(name)) for name in ("uint5", "int5", "e8m0")]
    [True, False, False]
    """
    return fmt.name == f"uint{fmt.bits}"


def _grid(levels: int) -> Grid:
    """Return the multiples of a scale, as far as a block reaches on either side of 0."""
    values = np.arange(-levels, levels + 1.0)
    return Grid(values, (values[:-1] + values[1:]) / 2)


def _lengths(density: Distribution, n: float) -> tuple[Array, Array]:
    """Return nodes of a block's length, and their weights."""
    ends = even_panels(density)
    points, weights = LENGTHS
    width = np.diff(ends)[:, None]
    g = (ends[:-1, None] + width * (1 + points) / 2).reshape(-1)
    half = absmax_at(density, n, g)
    below = np.exp(-np.exp(-g) / n)  # P(|X| <= half), whose derivative is known
    slope = below * np.exp(-g) / (2 * n * density.pdf(half))
    return 2 * half, 2 * slope * (width / 2 * weights).reshape(-1)


def _shares(levels: int) -> tuple[Array, Array]:
    """Return nodes of the share of a length that is below 0, up to a half, and their weights."""
    steps = np.arange(0.5, levels / 2) / levels
    ends = np.concatenate([[0.0], steps[steps < 0.5], [0.5]])
    points, weights = SHARES
    width = np.diff(ends)[:, None]
    nodes = ends[:-1, None] + width * (1 + points) / 2
    return nodes.reshape(-1), (width / 2 * weights).reshape(-1)


def _two_signs(grid: Grid, density: Distribution, n: float, length: Array, share: float) -> Array:
    """Return the error's density for blocks with weights of both signs."""
    below, above = share * length, (1 - share) * length
    scales = length / grid.values[-1]
    tails = density.upper_moments(below).zeroth + density.upper_moments(above).zeroth
    inside = 1 - tails
    others = _within(grid, density, scales, below) + _within(grid, density, scales, above)
    end = (below - scales * np.rint(below / scales)) ** 2
    joint = (n - 1) * density.pdf(below) * density.pdf(above) * inside ** (n - 3)
    return np.asarray(length * joint * ((n - 2) * others + 2 * end * inside))


def _one_sign(grid: Grid, density: Distribution, n: float, length: Array) -> Array:
    """Return the error's density for blocks with weights of one sign, of either one."""
    inside = 0.5 - density.upper_moments(length).zeroth
    others = _within(grid, density, length / grid.values[-1], length)
    return np.asarray(2 * (n - 1) * density.pdf(length) * inside ** (n - 2) * others)


def _within(grid: Grid, density: Distribution, scales: Array, limits: Array) -> Array:
    """Return the integral of the squared error from 0 to a limit."""
    return squared_error_within(grid, density, scales, limits) / 2

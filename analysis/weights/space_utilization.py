"""The share of a block format's range that the weights of a block fill: a measure of our own.

The idea is the quantization space utilization rate (QSUR) of OSTQuant (2025): the volume of the
ellipsoid that holds the data, over the volume of the hyper-cube that a shared scale spans around
it. The cube here is not OSTQuant's (see `qsur`), so the figures are not those of the paper. The
vectors are groups that share a scale: the blocks of a tensor, or tokens of activations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Utilization:
    """The share of the hyper-cube that the data's ellipsoid fills.

    Attributes
    ----------
    dimensions : int
        d, elements of a vector.
    log_qsur : float
        Natural logarithm of the ratio of the volumes; minus infinity for data that are flat in a
        direction.
    """

    dimensions: int
    log_qsur: float

    @property
    def log_best(self) -> float:
        """The largest possible ``log_qsur`` in these dimensions: a ball in its cube."""
        d = self.dimensions
        return d / 2 * math.log(math.pi) - math.lgamma(d / 2 + 1) - d * math.log(2)

    @property
    def per_dimension(self) -> float:
        """QSUR over the largest possible, to the power 1/d: in [0, 1]; 1 if all axes are alike.

        It is the geometric mean of the ellipsoid's semi-axes over the cube's half side.
        """
        return math.exp(min((self.log_qsur - self.log_best) / self.dimensions, 0.0))


def qsur(vectors: ArrayLike) -> Utilization:
    """Return the share of its quantization space that a set of vectors fills.

    Parameters
    ----------
    vectors : array_like, shape (N, d)
        Finite; with N below d the ellipsoid is flat.

    Returns
    -------
    Utilization

    Raises
    ------
    ValueError
        If ``vectors`` is not a matrix of finite numbers with an element that is not 0.

    Notes
    -----
    With the second moments S = mean of x x^T (about 0, like a symmetric scale) the ellipsoid
    {x : x^T S^-1 x <= c} has the volume pi^(d/2) / Gamma(d/2 + 1) c^(d/2) sqrt(det S). Along axis i
    it reaches to sqrt(c S_ii), so the smallest cube around it has the side 2 sqrt(c max_i S_ii).
    The level c, which sets the share of a Gaussian inside, cancels:

        QSUR = pi^(d/2) / Gamma(d/2 + 1) sqrt(det S) / (2 sqrt(max_i S_ii))^d.

    As det S <= prod S_ii <= (max S_ii)^d it is largest, a ball in its cube, if S is a multiple of
    the identity. The best rotation makes all S_ii alike.

    OSTQuant's formula, as far as it is known here, takes the cube from the ends of the ellipsoid's
    principal axes, max_ij sqrt(lambda_j) |Q_ij|. That cube is smaller, and its ratio may exceed
    that of a ball. If eigenvalues coincide it depends on the choice of axes.

    Examples
    --------
    >>> from analysis.weights.space_utilization import qsur
    >>> import numpy as np
    >>> square = qsur(np.array([[1.0, 1.0], [1.0, -1.0]]))     # S is the identity: pi/4
    >>> round(float(np.exp(square.log_qsur)), 4), square.per_dimension
    (0.7854, 1.0)
    """
    matrix = np.asarray(vectors, np.float64)
    if matrix.ndim != 2 or not matrix.size or not np.isfinite(matrix).all() or not matrix.any():
        raise ValueError(
            f"vectors must be a matrix of finite numbers, not all 0, got shape {matrix.shape}"
        )
    matrix = matrix / np.abs(matrix).max()  # so that squares neither overflow nor vanish
    count, dimensions = matrix.shape
    moments: NDArray[np.float64] = matrix.T @ matrix / count
    sign, log_determinant = np.linalg.slogdet(moments)
    largest = math.log(float(moments.diagonal().max()))
    flat = sign <= 0 or count < dimensions
    best = Utilization(dimensions, 0.0).log_best
    log_ratio = -math.inf if flat else best + (float(log_determinant) - dimensions * largest) / 2
    return Utilization(dimensions, log_ratio)

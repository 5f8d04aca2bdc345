"""LU factorization in small formats, and iterative refinement in three precisions.

The factors are computed in a small format, with partial pivoting; a triangular solve and the
solution are float32, the residual is float64 (E. Carson and N. J. Higham, SIAM J. Sci. Comput. 40,
2018). Matrices have random singular vectors and singular values that go evenly, on a logarithmic
scale, from 1 to 1/kappa; before the factorization they are scaled by a power of two into the range
of the format.

**Theory**

- The backward error ``max |A - LU| / (|L| |U| + s)``, entry by entry, is at most n u / (1 - n u)
  without underflow (Higham, Accuracy and Stability, theorem 9.3; s is the smallest normal number,
  so that errors below it count as absolute ones), and about sqrt(n) u if rounding errors are
  independent with mean 0, which stochastic rounding makes true (Connolly, Higham and Mary, SIAM J.
  Sci. Comput. 43, 2021).
- Refinement multiplies the error by I - (LU)^-1 A, so its contraction tends to the spectral radius
  of that; it is expected to converge if kappa u < 1, kappa in the infinity norm.

**Criteria**

Refinement *converges* if the largest error, over the largest entry of the solution, falls to 4
units of float32 in at most 50 steps. The rule kappa u < 1 is called *safe* if no matrix below it
fails, and *sharp* if convergence fails within a factor of 10 above it. The square-root law holds if
the fitted exponent is within two standard errors of 1/2, the linear law if it is so of 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.models.evaluation import Progress, counter
from analysis.numerics.arithmetics import Arithmetic, Array, arithmetics, record
from analysis.records import Rows

BACKWARD, CONTRACTION, CONVERGES = "backward error", "contraction", "converges"
FORMATS = ("float16", "bfloat16", "e4m3fn")
SIZES = (8, 16, 32, 64, 128)
SIZE = 32  # of the matrices of refinement
KAPPAS = tuple(10.0**k for k in (0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5))
DRAWS = 8
STEPS = 50
WORKING = 2.0**-24  # the unit roundoff of float32
LARGEST = 2.0**10  # entry of a scaled matrix


def records(*, quick: bool = False, progress: Progress | None = None) -> Rows:
    """Measure backward errors of LU against size, and refinement against the condition number.

    Parameters
    ----------
    quick : bool
        Two draws of few sizes and condition numbers, in bfloat16.
    progress : callable, optional

    Returns
    -------
    list of dict
        See `analysis.numerics.arithmetics.record`. Quantities: `BACKWARD` in units of u against n;
        `CONTRACTION` of the error by a step, unless a factor is singular, and `CONVERGES`, 1 or 0,
        against kappa.
    """
    formats = ("bfloat16",) if quick else FORMATS
    sizes, kappas, draws = ((8, 16), (10.0, 1e4), 2) if quick else (SIZES, KAPPAS, DRAWS)
    step = counter(progress, len(formats) * 3 * draws * (len(sizes) + len(kappas)))
    found: Rows = []
    for arithmetic in arithmetics(formats):
        for draw in range(draws):
            for size in sizes:
                a = matrix(size, 10.0, draw)
                error, bound = backward_error(a, arithmetic, draw)
                found.append(record(BACKWARD, arithmetic, size, draw, error, bound))
                step()
            for kappa in kappas:
                a = matrix(SIZE, kappa, draw)
                contraction, radius, error = refinement(a, arithmetic, draw)
                if math.isfinite(radius):
                    found.append(record(CONTRACTION, arithmetic, kappa, draw, contraction, radius))
                safe = np.linalg.cond(a, np.inf) * arithmetic.unit < 1
                found.append(record(CONVERGES, arithmetic, kappa, draw, error <= 4 * WORKING, safe))
                step()
    return found


def matrix(size: int, kappa: float, draw: int) -> Array:
    """Return a random matrix of float32 numbers with norm 1 and a condition number."""
    rng = np.random.default_rng((draw, size))
    left, right = (np.linalg.qr(rng.standard_normal((size, size)))[0] for _ in range(2))
    values = kappa ** -np.linspace(0, 1, size)
    found: Array = (left * values @ right).astype(np.float32).astype(np.float64)
    return found


def factors(a: Any) -> tuple[Any, NDArray[np.intp]]:
    """Return L (below the diagonal) and U of an LU factorization, and the order of the rows.

    Parameters
    ----------
    a : array, (n, n)
        Of any arithmetic, which is that of the factors.

    Returns
    -------
    lu : array, (n, n)
    order : ndarray of integers
        ``L @ U`` is about ``a[order]``.
    """
    lu, order = a.copy(), np.arange(len(a))
    for k in range(len(a) - 1):
        pivot = k + int(np.argmax(np.abs(np.asarray(lu)[k:, k])))
        lu[[k, pivot]] = lu[[pivot, k]]
        order[[k, pivot]] = order[[pivot, k]]
        if float(lu[k, k]) == 0:
            continue
        lu[k + 1 :, k] = lu[k + 1 :, k] / lu[k, k]
        lu[k + 1 :, k + 1 :] = lu[k + 1 :, k + 1 :] - lu[k + 1 :, k, None] * lu[k, k + 1 :]
    return lu, order


def backward_error(a: Array, arithmetic: Arithmetic, seed: int) -> tuple[float, float | None]:
    """Return the backward error of the factors in units of u, and its bound.

    Parameters
    ----------
    a : ndarray of float64, (n, n)
    arithmetic : Arithmetic
    seed : int
        Of stochastic rounding.

    Returns
    -------
    error : float
        ``max |A - LU| / (|L| |U| + s) / u`` with A as rounded to the format.
    bound : float or None
        ``n / (1 - n u)``; None if ``n u`` is 1 or more.
    """
    rounded, order, lower, upper = _factored(a * scale_of(a, arithmetic), arithmetic, seed)
    a = rounded[order]
    wrong = np.abs(a - lower @ upper)
    wrong /= np.abs(lower) @ np.abs(upper) + arithmetic.smallest_normal
    n, u = len(a), arithmetic.unit
    return float(wrong.max() / u), n / (1 - n * u) if n * u < 1 else None


def _factored(
    a: Array, arithmetic: Arithmetic, seed: int
) -> tuple[Array, NDArray[np.intp], Array, Array]:
    """Return the matrix as rounded, the order of the rows, and L and U, as float64."""
    rounded = arithmetic.array(a, seed)
    lu, order = factors(rounded)
    values = np.asarray(lu)
    return np.asarray(rounded), order, np.tril(values, -1) + np.eye(len(a)), np.triu(values)


def scale_of(a: Array, arithmetic: Arithmetic) -> float:
    """Return the power of two that brings a matrix into the range, with room for growth."""
    room = min(arithmetic.largest / 16, LARGEST)
    return 2.0 ** math.floor(math.log2(room / np.abs(a).max()))


def refinement(a: Array, arithmetic: Arithmetic, seed: int) -> tuple[float, float, float]:
    """Refine the solution of a system with the factors of an arithmetic.

    Parameters
    ----------
    a : ndarray of float64, (n, n)
    arithmetic : Arithmetic
    seed : int
        Of the right side, and of stochastic rounding.

    Returns
    -------
    contraction : float
        The factor of the error in a step: the geometric mean over the steps with errors above
        100 units of float32.
    radius : float
        The spectral radius of ``I - (LU)^-1 A``; infinite if a factor is singular.
    error : float
        The smallest of all steps: the largest error over the largest entry of the solution.
    """
    a = a * scale_of(a, arithmetic)
    _, order, lower, upper = _factored(a, arithmetic, seed)
    if np.any(np.diag(upper) == 0):
        return math.inf, math.inf, math.inf
    a = a[order]
    inverse = np.linalg.solve(upper, np.linalg.solve(lower, np.eye(len(a))))
    radius = float(np.abs(np.linalg.eigvals(np.eye(len(a)) - inverse @ a)).max())
    solution = np.random.default_rng((seed, 1)).uniform(-1, 1, len(a))
    right = a @ solution
    errors = [1.0]
    x = np.zeros(len(a), np.float32)
    low32, up32 = lower.astype(np.float32), upper.astype(np.float32)
    with np.errstate(all="ignore"):
        for _ in range(STEPS):
            rest = right - a @ x.astype(np.float64)
            size = np.abs(rest).max()
            if size == 0 or not np.isfinite(size):
                break
            x += _back(up32, _forward(low32, (rest / size).astype(np.float32))) * np.float32(size)
            errors.append(float(np.abs(x - solution).max() / np.abs(solution).max()))
    finite = [error for error in errors if math.isfinite(error)]
    above = [error for error in finite if error > 100 * WORKING]
    last = next((k for k, error in enumerate(finite) if error <= 100 * WORKING), len(above) - 1)
    contraction = (finite[last] / finite[0]) ** (1 / max(last, 1))
    return contraction, radius, min(finite)


def _forward(lower: Any, b: Any) -> Any:
    """Solve with a lower triangle whose diagonal is 1, in the arithmetic of the arrays."""
    x = b.copy()
    for k in range(len(x)):
        x[k + 1 :] = x[k + 1 :] - lower[k + 1 :, k] * x[k]
    return x


def _back(upper: Any, b: Any) -> Any:
    """Solve with an upper triangle, in the arithmetic of the arrays."""
    x = b.copy()
    for k in reversed(range(len(x))):
        x[k] = x[k] / upper[k, k]
        x[:k] = x[:k] - upper[:k, k] * x[k]
    return x

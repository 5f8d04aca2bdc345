"""Conjugate gradients in small formats: how fast they converge, and how far.

Matrices are symmetric with random eigenvectors and eigenvalues that go evenly, on a logarithmic
scale, from 1 to 1/kappa; the solution is random. Every operation is rounded, those of sums one
after the other. The true residual is computed in float64 from the iterates.

**Theory**

- Exactly, the residual falls below ``tol`` within ``sqrt(kappa) / 2 * log(2 sqrt(kappa) / tol)``
  steps (from the Chebyshev bound).
- Rounded, the residual stops at a small multiple of ``u |A| max |x_k|`` (A. Greenbaum, SIAM J.
  Matrix Anal. Appl. 18, 1997), so the attained residual over ``|A| |x|`` is expected to be of the
  order of u, whatever kappa.

**Criteria**

The residual's law holds for an arithmetic if the attained residual changes by less than a factor of
4 over all kappa at which there is a number, and is below 10 u sqrt(n). A format *reaches* the
tolerance if all draws do.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from analysis.models.evaluation import Progress, counter
from analysis.numerics.arithmetics import Arithmetic, Array, arithmetics, record
from analysis.records import Rows

ATTAINED, STEPS_TAKEN = "attained residual", "steps to 10 %"
FORMATS = ("float16", "bfloat16", "e4m3fn")
KAPPAS = (10.0, 100.0, 1000.0)
SIZE = 48
DRAWS = 5
STEPS = 80
TOLERANCE = 0.1


def records(*, quick: bool = False, progress: Progress | None = None) -> Rows:
    """Measure the attained residual, and the steps to a residual of 10 %.

    Parameters
    ----------
    quick : bool
        One draw of one condition number, in bfloat16.
    progress : callable, optional

    Returns
    -------
    list of dict
        See `analysis.numerics.arithmetics.record`. Quantities against kappa: `ATTAINED`, the
        smallest true residual over ``|A| |x|`` in units of u, and `STEPS_TAKEN` until it is 10 % of
        the right side, None if it never is.
    """
    formats, kappas, draws = (("bfloat16",), (10.0,), 1) if quick else (FORMATS, KAPPAS, DRAWS)
    step = counter(progress, len(formats) * 3 * draws * len(kappas))
    found: Rows = []
    for arithmetic in arithmetics(formats):
        for draw in range(draws):
            for kappa in kappas:
                attained, steps = residuals(kappa, arithmetic, draw)
                found.append(record(ATTAINED, arithmetic, kappa, draw, attained, None))
                bound = math.sqrt(kappa) / 2 * math.log(2 * math.sqrt(kappa) / TOLERANCE)
                found.append(record(STEPS_TAKEN, arithmetic, kappa, draw, steps, bound))
                step()
    return found


def problem(kappa: float, draw: int) -> tuple[Array, Array]:
    """Return a random matrix with a condition number and norm 1, and a solution."""
    rng = np.random.default_rng((draw, 7))
    vectors = np.linalg.qr(rng.standard_normal((SIZE, SIZE)))[0]
    a = vectors * kappa ** -np.linspace(0, 1, SIZE) @ vectors.T
    return a, rng.uniform(-1, 1, SIZE)


def conjugate_gradients(a: Any, b: Any, steps: int) -> list[Array]:
    """Return the iterates of conjugate gradients, from 0 on.

    Parameters
    ----------
    a : array, (n, n)
    b : array, (n,)
        Of the same arithmetic, which is that of all steps.
    steps : int

    Returns
    -------
    list of ndarray of float64
        They end sooner where the method breaks down: a direction without length.
    """
    x, r = 0 * b, b.copy()
    p, rr = r.copy(), r @ r
    found = [np.asarray(x, np.float64)]
    for _ in range(steps):
        ap = a @ p
        curvature = p @ ap
        if not float(curvature) > 0 or not float(rr) > 0:
            break
        alpha = rr / curvature
        x = x + alpha * p
        r = r - alpha * ap
        before, rr = rr, r @ r
        p = r + (rr / before) * p
        found.append(np.asarray(x, np.float64))
    return found


def residuals(kappa: float, arithmetic: Arithmetic, draw: int) -> tuple[float, int | None]:
    """Return the attained residual in units of u, and the steps to the tolerance.

    Parameters
    ----------
    kappa : float
    arithmetic : Arithmetic
    draw : int

    Returns
    -------
    attained : float
    steps : int or None
    """
    exact, solution = problem(kappa, draw)
    a = arithmetic.array(exact, draw)
    held = np.asarray(a, np.float64)
    right = held @ solution
    b = arithmetic.array(right, draw + 1000)
    right = np.asarray(b, np.float64)
    iterates = conjugate_gradients(a, b, STEPS)
    rests = np.array([np.linalg.norm(right - held @ x) for x in iterates])
    whole = np.linalg.norm(held, 2) * np.linalg.norm(solution)
    reached = np.flatnonzero(rests <= TOLERANCE * np.linalg.norm(right))
    attained = float(rests.min() / whole / arithmetic.unit)
    return attained, int(reached[0]) if len(reached) else None

"""The heat equation in small formats: explicit steps in one dimension.

u_t = u_xx on [0, 1] with u = 1 at both ends, and u = 1 - sin(pi x) / 2 at first. Steps are
``u += (dt / dx^2) (u[i-1] - 2 u[i] + u[i+1])`` with dt = dx^2 / 4, to t = 1/8. The error is that of
rounding: the largest difference from the same steps in float64, which start from the same rounded
numbers.

**Theory**

M. Croci and M. B. Giles (IMA J. Numer. Anal. 43, 2023): to nearest, the steps stagnate, and errors
grow up to u / dt; with stochastic rounding they grow as u dt^(-1/4) in one dimension.

**Criteria**

The law of stochastic rounding holds if the exponent of the error against dt, fitted over all dt, is
within two standard errors of -1/4. To nearest is called *stagnant* at a dt if half of the steps or
more change nothing. Stochastic rounding is called better at a dt if all its draws are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.models.evaluation import Progress, counter
from analysis.numerics.arithmetics import (
    STOCHASTIC,
    Arithmetic,
    Array,
    arithmetics,
    draws_of,
    record,
)
from analysis.records import Rows

ERROR, IDLE = "error over u", "idle steps"
FORMATS = ("float16", "bfloat16")
CELLS = (8, 12, 16, 24, 32, 48, 64)
DRAWS = 8
TIME, COURANT = 1 / 8, 1 / 4


def records(*, quick: bool = False, progress: Progress | None = None) -> Rows:
    """Measure the rounding errors of the heat equation against the step.

    Parameters
    ----------
    quick : bool
        Coarse grids, in bfloat16.
    progress : callable, optional

    Returns
    -------
    list of dict
        See `analysis.numerics.arithmetics.record`. Quantities against dt: `ERROR`, the largest
        error at the end in units of u, with the law's growth as theory (its constant is unknown and
        taken as 1); `IDLE`, the share of steps that change nothing.
    """
    formats, grids, draws = (("bfloat16",), (8,), 2) if quick else (FORMATS, CELLS, DRAWS)
    step = counter(progress, len(formats) * 3 * len(grids))
    found: Rows = []
    for arithmetic in arithmetics(formats):
        for cells in grids:
            dt = COURANT / cells**2
            theory = dt**-0.25 if arithmetic.rounding == STOCHASTIC else 1 / dt
            errors, idle = heated(cells, arithmetic, len(draws_of(arithmetic, draws)))
            for draw, (error, share) in enumerate(zip(errors, idle, strict=True)):
                found.append(record(ERROR, arithmetic, dt, draw, error, theory))
                found.append(record(IDLE, arithmetic, dt, draw, share, None))
            step()
    return found


def heat_step(u: Any) -> Any:
    """Return temperatures (..., cells + 1) after a step, in their arithmetic; the ends stay."""
    after = u.copy()
    inner = u[..., 1:-1]
    after[..., 1:-1] = inner + COURANT * (u[..., :-2] - 2 * inner + u[..., 2:])
    return after


def heated(cells: int, arithmetic: Arithmetic, draws: int) -> tuple[Array, Array]:
    """Return the largest errors at the end in units of u, and the shares of idle steps.

    Parameters
    ----------
    cells : int
        Of the grid.
    arithmetic : Arithmetic
    draws : int
        Of stochastic rounding.

    Returns
    -------
    errors, idle : ndarray of float64, (draws,)
    """
    start = 1 - np.sin(np.pi * np.linspace(0, 1, cells + 1)) / 2
    u = arithmetic.array(np.tile(start, (draws, 1)))
    exact = np.asarray(u, np.float64).copy()
    steps = round(TIME / COURANT * cells**2)
    idle = np.zeros(draws)
    for _ in range(steps):
        before = np.asarray(u, np.float64)
        u, exact = heat_step(u), heat_step(exact)
        idle += (np.asarray(u, np.float64) == before).all(axis=-1)
    errors = np.abs(np.asarray(u, np.float64) - exact).max(axis=-1)
    return errors / arithmetic.unit, idle / steps

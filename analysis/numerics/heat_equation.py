"""The heat equation in small formats: explicit steps in one dimension.

u_t = u_xx on [0, 1] with u = 1 at both ends, and u = 1 - sin(pi x) / 2 at first. Steps are
``u += (dt / dx^2) (u[i-1] - 2 u[i] + u[i+1])`` with dt = dx^2 / 4, to t = 1/8. The error is that of
rounding: the largest difference from the same steps in float64, which start from the same rounded
numbers.

Theory
------
M. Croci and M. B. Giles (IMA J. Numer. Anal. 43, 2023): to nearest, the steps stagnate, and errors
grow up to u / dt; with stochastic rounding they grow as u dt^(-1/4) in one dimension.

Criteria
--------
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
CELLS = (8, 16, 32, 64)
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
            for draw in draws_of(arithmetic, draws):
                error, idle = heated(cells, arithmetic, draw)
                found.append(record(ERROR, arithmetic, dt, draw, error, theory))
                found.append(record(IDLE, arithmetic, dt, draw, idle, None))
            step()
    return found


def heat_step(u: Any) -> Any:
    """Return temperatures after a step, in their arithmetic; those at the ends stay."""
    after = u.copy()
    after[1:-1] = u[1:-1] + COURANT * (u[:-2] - 2 * u[1:-1] + u[2:])
    return after


def heated(cells: int, arithmetic: Arithmetic, seed: int) -> tuple[float, float]:
    """Return the largest error at the end in units of u, and the share of idle steps.

    Parameters
    ----------
    cells : int
        Of the grid.
    arithmetic : Arithmetic
    seed : int
        Of stochastic rounding.

    Returns
    -------
    error, idle : float
    """
    u = arithmetic.array(1 - np.sin(np.pi * np.linspace(0, 1, cells + 1)) / 2, seed)
    exact = np.asarray(u, np.float64).copy()
    steps = round(TIME / COURANT * cells**2)
    idle = 0
    before: Array = exact
    for _ in range(steps):
        u, exact = heat_step(u), heat_step(exact)
        now = np.asarray(u, np.float64)
        idle += bool((now == before).all())
        before = now
    return float(np.abs(before - exact).max() / arithmetic.unit), idle / steps

"""Time steps in small formats: Euler's and Runge and Kutta's method.

The linear problem is y' = -y from y = 1 to about t = 1, in steps h of 2^-k or 3/4 of that. Lorenz'
system (sigma 10, rho 28, beta 8/3) is chaotic; it starts at points of its attractor, and takes
steps of h = 1/64.

**Theory**

- Truncation: the error at t = 1 is h / (2 e) for Euler's method, h^4 / (120 e) for Runge and
  Kutta's of order 4.
- Rounding: 1/h steps, each with a relative error of up to u, add up to u / (e h); independent ones
  with mean 0 (stochastic rounding) to about u / (e sqrt(h)). Steps h y below a gap g are then a
  coin toss with the variance h y g, so that the error stops growing at about sqrt(0.23 g), with
  0.23 the integral of exp(-t) exp(-2 (1 - t)) and g the gap below 1.
- Stagnation: to nearest, Euler's step h y is lost once it is at most half a gap below y. With m
  mantissa bits, y stays at 1 if h <= 2^-(m + 2), and stops at 2^-(m + 2) / h if h < 2^-(m + 1).
- Chaos: a small difference d grows as d exp(0.9056 t), so a trajectory departs from the exact one,
  by a distance of 1, after about log(1/u) / 0.9056: 0.765 later for each mantissa bit.

**Criteria**

The stagnation law holds if every measured y(1) that it says stagnates is within one gap of the
predicted one. A rounding law holds for small h if the exponent of the error against h, fitted below
the h of the smallest error, is within two standard errors of -1 (or -1/2). The law of chaos holds
if the fitted slope against the mantissa bits is within two standard errors of 0.765.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from analysis.models.evaluation import Progress, counter
from analysis.numerics.arithmetics import (
    NEAREST,
    STOCHASTIC,
    Arithmetic,
    Array,
    arithmetics,
    draws_of,
    record,
)
from analysis.records import Rows

EULER, RUNGE_KUTTA = "Euler error", "Runge-Kutta error"
STOPS, DEPARTS = "Euler stops at", "Lorenz departs after"
FORMATS = ("float16", "bfloat16", "e4m3fn")
STEPS = tuple(factor * 2.0**-k for k in range(1, 14) for factor in (1.0, 0.75))
RUNGE_KUTTA_STEPS = STEPS[:18]
DRAWS = 16
LORENZ_FORMATS = ("e5m4", "e5m5", "e5m6", "e5m7", "e5m8", "e5m9", "e5m10")
POINTS = 24  # where Lorenz' system starts
LORENZ_STEP, LORENZ_TIME = 2.0**-6, 24.0
GROWTH = 0.9056  # the largest Lyapunov exponent of Lorenz' system (Sprott, 2003)
DEPARTED = 1.0

Slope = Callable[[Any], Any]


def records(*, quick: bool = False, progress: Progress | None = None) -> Rows:
    """Measure the errors on the linear problem, and when Lorenz' trajectories depart.

    Parameters
    ----------
    quick : bool
        Few steps and formats.
    progress : callable, optional

    Returns
    -------
    list of dict
        See `analysis.numerics.arithmetics.record`. Quantities: `EULER` and `RUNGE_KUTTA`, the error
        at t = 1, and `STOPS`, y(1) to nearest where it stagnates, against h; `DEPARTS`, a time,
        against the mantissa bits, with a draw for each starting point; NumPy's float32 too.
    """
    formats, lorenz_formats = (("bfloat16",), ("e5m4",)) if quick else (FORMATS, LORENZ_FORMATS)
    methods: tuple[tuple[str, Any, tuple[float, ...]], ...] = (
        (EULER, euler, STEPS[2:16:13] if quick else STEPS),
        (RUNGE_KUTTA, runge_kutta, STEPS[:1] if quick else RUNGE_KUTTA_STEPS),
    )
    tasks = len(formats) * 3 * sum(len(steps) for _, _, steps in methods) + 3 * len(lorenz_formats)
    step = counter(progress, tasks)
    found: Rows = []
    for arithmetic in arithmetics(formats):
        for quantity, method, steps in methods:
            for h in steps:
                found += _linear(quantity, method, h, arithmetic)
                step()
    starts = attractor(2 if quick else POINTS)
    limit = 4.0 if quick else LORENZ_TIME
    for arithmetic in arithmetics(lorenz_formats):
        times = departures(arithmetic.array(starts), limit)
        found += _departures(arithmetic, arithmetic.mantissa_bits, times)
        step()
    times = departures(starts.astype(np.float32), limit)
    return found + _departures(Arithmetic("float32"), 23, times)


def _departures(arithmetic: Arithmetic, bits: int, times: list[float | None]) -> Rows:
    theory = bits_of_time(bits + (arithmetic.rounding == NEAREST))
    return [
        record(DEPARTS, arithmetic, bits, draw, time, theory) for draw, time in enumerate(times)
    ]


def _linear(quantity: str, method: Any, h: float, arithmetic: Arithmetic) -> Rows:
    steps = round(1 / h)
    exact = math.exp(-steps * h)
    theory = expected(quantity, h, arithmetic)
    found: Rows = []
    y = arithmetic.array(np.ones(len(draws_of(arithmetic, DRAWS))))  # a draw in each element
    ends = np.asarray(integrated(method, lambda y: -y, y, h, steps))
    for draw, end in enumerate(ends):
        error = abs(end - exact)
        found.append(record(quantity, arithmetic, h, draw, error, theory))
        stop = stagnation(h, arithmetic.mantissa_bits)
        if quantity == EULER and arithmetic.rounding == NEAREST and stop is not None:
            found.append(record(STOPS, arithmetic, h, draw, end, stop))
    return found


def expected(quantity: str, h: float, arithmetic: Arithmetic) -> float:
    """Return the error on the linear problem that the theory expects."""
    truncation = (h / 2 if quantity == EULER else h**4 / 120) / math.e
    u = arithmetic.unit
    if arithmetic.rounding == STOCHASTIC:
        coin_tosses = math.sqrt((math.e - 1) / math.e**2 * u / 2)
        return truncation + min(u / (math.e * math.sqrt(h)), coin_tosses)
    return truncation + u / (math.e * h)


def euler(slope: Slope, y: Any, h: float) -> Any:
    """Return y after a step of Euler's method, in the arithmetic of y."""
    return y + h * slope(y)


def runge_kutta(slope: Slope, y: Any, h: float) -> Any:
    """Return y after a step of Runge and Kutta's method of order 4, in the arithmetic of y."""
    a = slope(y)
    b = slope(y + h / 2 * a)
    c = slope(y + h / 2 * b)
    d = slope(y + h * c)
    return y + h / 6 * (a + 2 * (b + c) + d)


def integrated(method: Any, slope: Slope, y: Any, h: float, steps: int) -> Any:
    """Return y after some steps of a method."""
    for _ in range(steps):
        y = method(slope, y, h)
    return y


def stagnation(h: float, mantissa_bits: int) -> float | None:
    """Return where Euler's method on y' = -y from 1 stops, rounding to nearest even.

    Parameters
    ----------
    h : float
    mantissa_bits : int

    Returns
    -------
    float or None
        1 if it never starts; None if it does not stop.

    Examples
    --------
    >>> stagnation(2.0**-9, 7), stagnation(0.75 * 2.0**-8, 7), stagnation(2.0**-8, 7)
    (1.0, 0.6666666666666666, None)
    """
    start = 2.0 ** -(mantissa_bits + 2)
    return min(1.0, start / h) if h < 2 * start else None


def lorenz(y: Any) -> Any:
    """Return the slope of Lorenz' system at points (3, n), in their arithmetic."""
    a, b, c = y[0], y[1], y[2]
    found = y.copy()
    found[0] = 10 * (b - a)
    found[1] = a * (28 - c) - b
    found[2] = a * b - 8 / 3 * c
    return found


def attractor(points: int) -> Array:
    """Return points of Lorenz' attractor, (3, points), from one long trajectory."""
    y = np.array([[1.0], [1.0], [20.0]])
    y = integrated(runge_kutta, lorenz, y, LORENZ_STEP, 2000)
    found = []
    for _ in range(points):
        y = integrated(runge_kutta, lorenz, y, LORENZ_STEP, 200)
        found.append(y[:, 0])
    return np.array(found).T


def bits_of_time(bits: int) -> float:
    """Return how long a difference of 2**-bits takes to grow to 1 in Lorenz' system."""
    return bits * math.log(2) / GROWTH


def departures(y: Any, limit: float) -> list[float | None]:
    """Return when trajectories depart from those in float64 with the same steps.

    Parameters
    ----------
    y : array, (3, points)
        Where they start, in their arithmetic.
    limit : float
        The longest time.

    Returns
    -------
    list of float or None
        None for those that have not departed by then.
    """
    exact = np.asarray(y, np.float64).copy()
    times: list[float | None] = [None] * exact.shape[1]
    for step in range(1, int(limit / LORENZ_STEP) + 1):
        y = runge_kutta(lorenz, y, LORENZ_STEP)
        exact = runge_kutta(lorenz, exact, LORENZ_STEP)
        apart = np.linalg.norm(np.asarray(y, np.float64) - exact, axis=0) > DEPARTED
        for point in np.flatnonzero(apart):
            if times[point] is None:
                times[point] = step * LORENZ_STEP
        if None not in times:
            break
    return times

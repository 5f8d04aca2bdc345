"""Newton's iterations for square roots in small formats, on all numbers from 1 to 4.

Heron's ``x <- (x + a / x) / 2`` from x = (1 + a) / 2, and the one without division
``y <- y (3 - a y^2) / 2`` for 1 / sqrt(a), from y = 1 / (0.75 + a / 4), then x = a y. All numbers
of the format from 1 to 4 are tried, so errors need no error bar but with stochastic rounding.

**Theory**

Exactly, Heron's relative error goes from e to e^2 / (2 (1 + e)); rounded, it stops at about u. An
error of 1 gap is the best that three rounded operations promise; a correctly rounded root is within
half a gap.

**Criteria**

An iteration *arrives* if the largest relative error is below 2 u (4 u without division, which has
more operations) after 8 steps. The law holds if the largest error of each step is within 4 u of
the law's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from analysis.models.evaluation import Progress, counter
from analysis.numerics.arithmetics import Arithmetic, Array, arithmetics, draws_of, record
from analysis.records import Rows
from minifloat.codec import decode
from minifloat.formats.names import parse

HERON, NO_DIVISION = "Heron error", "error without division"
WRONG = "Heron's wrong roots"
FORMATS = ("float16", "bfloat16", "e4m3fn")
STEPS = 8
DRAWS = 8


def records(*, quick: bool = False, progress: Progress | None = None) -> Rows:
    """Measure the errors of square roots after each step.

    Parameters
    ----------
    quick : bool
        In E4M3, with two draws.
    progress : callable, optional

    Returns
    -------
    list of dict
        See `analysis.numerics.arithmetics.record`. Quantities against the number of steps: `HERON`
        and `NO_DIVISION`, the largest relative error over u, with the exact iteration's as theory
        (of `HERON`); `WRONG`, the share of roots that are not the rounded ones.
    """
    formats = ("e4m3fn",) if quick else FORMATS
    step = counter(progress, 3 * len(formats))
    found: Rows = []
    for arithmetic in arithmetics(formats):
        numbers = operands(arithmetic.fmt)
        roots = np.sqrt(numbers)
        nearest = np.asarray(Arithmetic(arithmetic.fmt).array(roots), np.float64)
        exact = list(heron(numbers))
        for draw in draws_of(arithmetic, 2 if quick else DRAWS):
            a = arithmetic.array(numbers, draw)
            for at, (x, law) in enumerate(zip(heron(a), exact, strict=True)):
                value = np.asarray(x, np.float64)
                theory = _largest(law, roots) / arithmetic.unit
                error = _largest(value, roots) / arithmetic.unit
                found.append(record(HERON, arithmetic, at, draw, error, theory))
                share = np.mean(value != nearest)
                found.append(record(WRONG, arithmetic, at, draw, share, None))
            for at, x in enumerate(without_division(a)):
                error = _largest(np.asarray(x, np.float64), roots) / arithmetic.unit
                found.append(record(NO_DIVISION, arithmetic, at, draw, error, None))
        step()
    return found


def operands(fmt: str) -> Array:
    """Return all numbers of a format from 1 to 4, without 4."""
    codes = np.arange(2 ** parse(fmt).bits)
    values = np.asarray(decode(codes, fmt, dtype=np.float64))
    return np.sort(values[(values >= 1) & (values < 4)])


def heron(a: Any) -> Iterator[Any]:
    """Yield the first guess of square roots, and those after each step, in the arithmetic of a."""
    x = (1 + a) / 2
    yield x
    for _ in range(STEPS):
        x = (x + a / x) / 2
        yield x


def without_division(a: Any) -> Iterator[Any]:
    """Yield guesses of square roots as `heron`, by steps that do not divide."""
    y = 1 / (0.75 + a / 4)
    yield a * y
    for _ in range(STEPS):
        y = y * (3 - a * (y * y)) / 2
        yield a * y


def _largest(x: Array, roots: Array) -> float:
    return float(np.max(np.abs(x / roots - 1)))

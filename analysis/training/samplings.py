"""Samplings: at which widths the layers of a model are trained in a step."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

WIDTHS = (3, 4, 5, 6)  # bits
SPREAD = 0.5  # around the mean of now, in bits
CYCLES = 8  # of the mean, in a run

Sampling = Callable[[np.random.Generator, float, int], list[int]]


def whole(draw: np.random.Generator, part: float, count: int) -> list[int]:
    """Return one width for all layers, drawn evenly."""
    return [int(draw.choice(WIDTHS))] * count


def uniform(draw: np.random.Generator, part: float, count: int) -> list[int]:
    """Return a width for each layer, each drawn evenly: their mean is mostly in the middle."""
    return [int(width) for width in draw.choice(WIDTHS, count)]


def balanced(draw: np.random.Generator, part: float, count: int) -> list[int]:
    """Return a width for each layer, around a mean that moves evenly over all widths.

    Parameters
    ----------
    draw : numpy.random.Generator
    part : float
        Of the run, 0 to 1: the mean goes up and down `CYCLES` times.
    count : int
    """
    place = abs((CYCLES * part) % 1 * 2 - 1)  # 1 to 0 and back
    mean = WIDTHS[0] - 0.5 + place * (WIDTHS[-1] - WIDTHS[0] + 1)
    masses = np.array([math.exp(-(((w - mean) / SPREAD) ** 2) / 2) for w in WIDTHS])
    return [int(width) for width in draw.choice(WIDTHS, count, p=masses / masses.sum())]


SAMPLINGS: dict[str, Sampling] = {"whole": whole, "uniform": uniform, "balanced": balanced}

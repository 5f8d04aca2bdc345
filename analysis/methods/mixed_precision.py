"""Which budget each matrix gets, so that a model loses least within one budget of all.

The loss is taken as the sum of what each matrix does alone. That is measured on calibration text
once, by the method `MEASURED` at `AT` bits; with a bit less it is taken as four times as large, as
squared errors are (6.02 dB), by other methods as large in proportion.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from analysis.methods.contenders import METHODS
from analysis.methods.subjects import Subject
from minifloat.allocation.solver import least_loss

MEASURED, AT = "E2My, mse", 4.25
LEVELS = (2.25, 3.25, 4.25, 5.25, 6.25)  # bits per weight of a matrix


def divergences(subject: Subject) -> dict[str, float]:
    """Return how far each matrix alone, by `MEASURED` at `AT` bits, moves a model.

    Parameters
    ----------
    subject : Subject

    Returns
    -------
    dict of str to float
    """
    method, found = METHODS[MEASURED], {}
    for name, weights in subject.matrices.items():
        values = method(weights, subject.calibration[name], AT).dequantize()
        found[name] = max(subject.divergence(name, values), 0.0)
    return found


def allocated(
    sizes: Mapping[str, int],
    divergences: Mapping[str, float],
    bits: float,
) -> dict[str, float]:
    """Return the level of each matrix: the least loss within a budget.

    Parameters
    ----------
    sizes : mapping of str to int
        Weights of each matrix.
    divergences : mapping of str to float
        As the function returns them.
    bits : float
        Per weight of all matrices together, at most.

    Returns
    -------
    dict of str to float

    Raises
    ------
    ValueError
        If even the least level is above the budget.

    Examples
    --------
    >>> allocated({"a": 100, "b": 100}, {"a": 1.0, "b": 0.1}, 4.25)
    {'a': 5.25, 'b': 3.25}
    """
    losses = np.outer([divergences[name] for name in sizes], 4.0 ** (AT - np.array(LEVELS)))
    costs = np.outer(list(sizes.values()), LEVELS)
    picks = least_loss(losses, [costs], [bits * sum(sizes.values())])
    if picks is None:
        raise ValueError(f"bits must be at least {LEVELS[0]}, got {bits:g}")
    return {name: LEVELS[pick] for name, pick in zip(sizes, picks, strict=True)}

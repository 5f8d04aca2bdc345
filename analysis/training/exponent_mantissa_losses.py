"""Exponent against mantissa: what each ExMy costs, the laws of it, and the best splits.

The criteria are those of `analysis.training.exponent_mantissa`, whose records it takes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit
from scipy.stats import t as student

from analysis.errors.absmax_error import absmax_mse
from analysis.published.scaling_law import DELTA, NU, optimal_fields
from analysis.records import Row, Rows
from analysis.statistics import Estimate
from analysis.training.recipe import TrainingRecipe
from minifloat.formats.names import parse

WIDTHS = range(3, 9)  # bits
BLOCK, OTHER_BLOCKS = 32, (4, 16, 64)
IN_OTHER_BLOCKS = ("e1m1", "e1m2", "e2m1")
FEWEST = 12  # cells, to fit three numbers
FORM_ERROR = 0.1  # of an excess, that any form is granted
PLAIN = "float32"
PUBLISHED = {"delta": DELTA, "nu": NU}

Array = NDArray[np.float64]


class Cell(NamedTuple):
    """A format in blocks."""

    exponent_bits: int
    mantissa_bits: int
    block: int

    @classmethod
    def of(cls, name: str, block: int = BLOCK) -> Cell:
        """Return the cell of a format's name.

        Examples
        --------
        >>> Cell.of("e2m1").bits
        4
        """
        _, exponent, mantissa = name.replace("m", "e").split("e")
        return cls(int(exponent), int(mantissa), block)

    @property
    def name(self) -> str:
        """The format's name."""
        return f"e{self.exponent_bits}m{self.mantissa_bits}"

    @property
    def bits(self) -> int:
        """Bits of a number."""
        return 1 + self.exponent_bits + self.mantissa_bits

    @property
    def recipe(self) -> str:
        """The text of its training recipe."""
        return str(TrainingRecipe.parse(f"forward={self.name}/{self.block}/float32"))


def splits(bits: int) -> list[Cell]:
    """Return the formats of a width in the blocks of all, by their exponent bits.

    Examples
    --------
    >>> [cell.name for cell in splits(5)]
    ['e1m3', 'e2m2', 'e3m1', 'e4m0']
    """
    return [Cell(e, bits - 1 - e, BLOCK) for e in range(1, bits)]


CELLS = [cell for bits in WIDTHS for cell in splits(bits)]
CELLS += [Cell.of(name, block) for block in OTHER_BLOCKS for name in IN_OTHER_BLOCKS]


def excesses(rows: Rows) -> dict[Cell, dict[int, float]]:
    """Return the excess of each cell by seed; runs that diverged are left out.

    Parameters
    ----------
    rows : list of dict
        As `growing` yields them; of some seeds or all.

    Examples
    --------
    >>> row = {"seed": 0, "recipe": "float32", "validation": 3.0}
    >>> rows = [row, row | {"recipe": Cell.of("e2m1").recipe, "validation": 3.5}]
    >>> excesses(rows)
    {Cell(exponent_bits=2, mantissa_bits=1, block=32): {0: 0.5}}
    """
    losses = {(row["recipe"], row["seed"]): row["validation"] for row in rows}
    cells = {cell.recipe: cell for cell in CELLS}
    found: dict[Cell, dict[int, float]] = {}
    for (recipe, seed), loss in losses.items():
        plain = losses.get((PLAIN, seed))
        if recipe in cells and None not in (loss, plain):
            found.setdefault(cells[recipe], {})[seed] = loss - plain
    return found


def table(rows: Rows) -> Rows:
    """Return a row for each cell: its mean excess over seeds, and what both forms say.

    Returns
    -------
    list of dict
        With the columns format, bits, block, runs, excess, standard_error, law, ours (the fitted
        forms; None while there are too few seeds).
    """
    found = excesses(rows)
    forms = {name: form.value for name, form in fits(rows).items()}
    lines: Rows = []
    for cell in (cell for cell in CELLS if cell in found):
        mean = Estimate.of(list(found[cell].values()))
        line: Row = {
            "format": cell.name, "bits": cell.bits, "block": cell.block, "runs": len(found[cell]),
            "excess": mean.mean, "standard_error": mean.standard_error,
        }  # fmt: skip
        for name in FORMS:
            line[name] = float(forms[name]([cell])[0]) if forms else None
        lines.append(line)
    return lines


class Fit(NamedTuple):
    """A fitted form.

    Attributes
    ----------
    parameters : dict of str to (float, float)
        Each number, and half of its 95 % interval.
    misfit : float
        The mean weighted square: 1 where the form is right to the weights.
    value : callable
        Returns the form's excess of cells.
    """

    parameters: dict[str, tuple[float, float]]
    misfit: float
    value: Callable[[list[Cell]], Array]


def fits(rows: Rows) -> dict[str, Fit]:
    """Return the `FORMS`, fitted; none below two seeds of enough cells.

    Parameters
    ----------
    rows : list of dict
        As `growing` yields them.
    """
    found = {cell: runs for cell, runs in excesses(rows).items() if len(runs) > 1}
    cells = list(found)
    if len(cells) < FEWEST:
        return {}
    means = [Estimate.of(list(runs.values())) for runs in found.values()]
    y = np.array([mean.mean for mean in means])
    sigma = np.array([math.hypot(m.standard_error, FORM_ERROR * m.mean) for m in means])
    return {name: _fitted(form, cells, y, sigma) for name, form in FORMS.items()}


def law(cells: list[Cell], log_k: float, delta: float, nu: float) -> Array:
    """Return the excess by the published form.

    Examples
    --------
    >>> law([Cell.of("e2m2", 4)], 0.0, 1.0, 1.0).tolist()
    [0.32]
    """
    e, m, block = np.array(cells, np.float64).T
    scale = math.exp(min(log_k, 50.0))
    return np.asarray(scale * np.log2(block) / ((e + 0.5) ** delta * (m + 0.5) ** nu))


def ours(cells: list[Cell], log_c: float, p: float) -> Array:
    """Return the excess by the form of ours: a power of the exact error on Gaussian numbers."""
    errors = np.array([gaussian_error(cell) for cell in cells])
    return np.asarray(math.exp(min(log_c, 50.0)) * errors**p)


@lru_cache(maxsize=256)
def gaussian_error(cell: Cell) -> float:
    """Return the exact squared error of a cell on Gaussian numbers, relative to their variance.

    Examples
    --------
    >>> round(gaussian_error(Cell.of("e2m2")), 6)
    0.002438
    """
    return absmax_mse(parse(cell.name), "normal", cell.block)


class Form(NamedTuple):
    """A function of cells, the names of its numbers, and where their search begins."""

    function: Callable[..., Array]
    names: tuple[str, ...]
    start: tuple[float, ...]


FORMS = {
    "law": Form(law, ("log k", "delta", "nu"), (0.0, 2.0, 2.0)),
    "ours": Form(ours, ("log c", "p"), (2.0, 1.0)),
}


def _fitted(form: Form, cells: list[Cell], y: Array, sigma: Array) -> Fit:
    def function(_: object, *numbers: float) -> Array:
        return form.function(cells, *numbers)

    found, covariance = curve_fit(function, None, y, p0=form.start, sigma=sigma, maxfev=20_000)
    free = len(cells) - len(found)
    widths = student.ppf(0.975, free) * np.sqrt(np.diag(covariance))
    rest = (form.function(cells, *found) - y) / sigma
    values = zip(map(float, found), map(float, widths), strict=True)
    return Fit(
        dict(zip(form.names, values, strict=True)),
        float(rest @ rest) / free,
        lambda wanted: form.function(wanted, *found),
    )


def agrees(fit: Fit, name: str) -> bool:
    """Return whether the published exponent, "delta" or "nu", is within the interval of ours."""
    value, half = fit.parameters[name]
    return abs(value - PUBLISHED[name]) <= half


class Verdict(NamedTuple):
    """Which split of a width is the best.

    Attributes
    ----------
    bits : int
    lowest : str
        The format of the lowest mean loss.
    tied : tuple of str
        Others that are not told apart from it.
    published : str
        The law's optimum.
    behind : Estimate
        The loss of the published optimum less the lowest one's.
    """

    bits: int
    lowest: str
    tied: tuple[str, ...]
    published: str
    behind: Estimate


def verdicts(rows: Rows) -> list[Verdict]:
    """Return the best split of each width whose splits all have the same two seeds or more.

    Parameters
    ----------
    rows : list of dict
        As `growing` yields them.
    """
    found, result = excesses(rows), []
    for bits in WIDTHS:
        runs = {cell: found.get(cell, {}) for cell in splits(bits)}
        seeds = sorted(set.intersection(*(set(own) for own in runs.values())))
        if len(seeds) < 2:
            continue
        lowest = min(runs, key=lambda cell: math.fsum(runs[cell][seed] for seed in seeds))
        behind = {
            cell: Estimate.of([own[seed] - runs[lowest][seed] for seed in seeds])
            for cell, own in runs.items()
        }
        tied = [
            cell.name
            for cell, more in behind.items()
            if cell != lowest and more.mean <= 2 * more.standard_error
        ]
        best = Cell(*optimal_fields(bits).rounded, BLOCK)
        result.append(Verdict(bits, lowest.name, tuple(tied), best.name, behind[best]))
    return result

"""Records of studies that were measured by hand, since most take minutes to an hour."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes

from analysis.numerics.arithmetics import NEAREST, STOCHASTIC, TOWARD_ZERO
from analysis.numerics.draws import means
from paper_figures import style
from paper_figures.rows import Rows, stored
from paper_figures.style import Look

FOLDER = Path(__file__).parents[1] / "docs" / "data"
ROUNDINGS = {
    NEAREST: ("nearest", Look(style.BLUE, "o", "-")),
    STOCHASTIC: ("stochastic", Look(style.VERMILLION, "s", (0, (4, 1.5)))),
    TOWARD_ZERO: ("toward zero", Look(style.GREEN, "^", (0, (6, 1.5, 1, 1.5)))),
}


def saved(study: str, package: str = "numerics") -> Rows:
    """Return the records of a study from the folder of its package in ``docs/data``.

    Parameters
    ----------
    study : str
        One of the package's ``STUDIES``.
    package : str
        Of `analysis`.

    Returns
    -------
    list of dict

    Raises
    ------
    NotAvailable
        If they are missing or damaged.
    """
    file = FOLDER / package / f"{study}.csv"
    return stored(file, f"the records of {study}", f"python -m analysis.{package} {study}")


def averaged(study: str, quantities: tuple[str, ...]) -> Rows:
    """Return the means over draws of some quantities of a study.

    Parameters
    ----------
    study : str
    quantities : tuple of str

    Returns
    -------
    list of dict
        See `analysis.numerics.draws.means`.

    Raises
    ------
    NotAvailable
        As `saved`.
    """
    rows = saved(study)
    return [mean for quantity in quantities for mean in means(rows, quantity)]


def curve(axes: Axes, rows: Rows, look: Look, label: str | None = None, floor: float = 0.0) -> None:
    """Draw means, those below a floor at the floor, with error bars of two standard errors."""
    axes.errorbar(
        [row["at"] for row in rows],
        [max(row["mean"], floor) for row in rows],
        [2 * row["error"] for row in rows],
        color=look.colour,
        marker=look.marker,
        linestyle=look.line,
        label=label,
        elinewidth=0.6,
        markeredgecolor="white",
        markeredgewidth=0.3,
    )


def in_mode(look: Look, rounding: str) -> Look:
    """Return the look of a format with the line and the marker of a rounding mode."""
    _, mode = ROUNDINGS[rounding]
    return look._replace(line=mode.line, marker=mode.marker)


def of(rows: Rows, **wanted: object) -> Rows:
    """Return the rows with these values."""
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]

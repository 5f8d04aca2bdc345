"""One training, many widths: what each width loses beside its own run.

The criteria are those of `analysis.training.many_widths`, whose records it takes.
"""

from __future__ import annotations

from typing import NamedTuple

from analysis.records import Rows
from analysis.statistics import Estimate
from analysis.training.samplings import WIDTHS

DEDICATED = "dedicated"
MATTERS = 0.01  # bits per byte
Losses = dict[int, float]  # by seed
Kind = tuple[str, str, str]  # family, sharing, sampling


def losses(rows: Rows, family: str, sharing: str, sampling: str, width: int) -> Losses:
    """Return the losses of validation at a width, by seed; without runs that diverged."""
    wanted = (family, sharing, sampling, width)
    return {
        row["seed"]: row["validation"]
        for row in rows
        if (row["family"], row["sharing"], row["sampling"], row["width"]) == wanted
        and row["validation"] is not None
    }


class Loss(NamedTuple):
    """What a width loses beside its dedicated run, over so many seeds, and what is said of it."""

    family: str
    sharing: str
    sampling: str
    width: int
    runs: int
    dedicated: float
    loss: Estimate

    @property
    def words(self) -> str:
        """Return "lossless here", "loses", "gains", or nothing below two seeds."""
        if self.runs < 2:
            return ""
        if abs(self.loss.mean) <= max(MATTERS, 2 * self.loss.standard_error):
            return "lossless here"
        return "loses" if self.loss.mean > 0 else "gains"


def table(rows: Rows) -> list[Loss]:
    """Return what each width of each run loses; only seeds that have both runs count.

    Parameters
    ----------
    rows : list of dict
        As `growing` yields them; of some seeds or all.
    """
    kinds = dict.fromkeys((row["family"], row["sharing"], row["sampling"]) for row in rows)
    found = []
    for family, sharing, sampling in kinds:
        for width in WIDTHS if sharing != DEDICATED else ():
            own = losses(rows, family, sharing, sampling, width)
            alone = losses(rows, family, DEDICATED, f"{width} bits", width)
            seeds = sorted(own.keys() & alone.keys())
            if seeds:
                more = Estimate.of([own[seed] - alone[seed] for seed in seeds])
                mean = Estimate.of([alone[seed] for seed in seeds]).mean
                found.append(Loss(family, sharing, sampling, width, len(seeds), mean, more))
    return found


def difference(rows: Rows, one: Kind, other: Kind, widths: tuple[int, ...]) -> Estimate | None:
    """Return the loss of one kind less that of another, the mean over widths; None without seeds.

    Parameters
    ----------
    rows : list of dict
    one, other : (family, sharing, sampling)
    widths : tuple of int
    """
    sides = [[losses(rows, *kind, width) for width in widths] for kind in (one, other)]
    seeds = set.intersection(*(set(own) for side in sides for own in side))
    if not seeds:
        return None
    return Estimate.of(
        [
            sum(a[seed] - b[seed] for a, b in zip(*sides, strict=True)) / len(widths)
            for seed in sorted(seeds)
        ]
    )

"""The parts of docs/training.md on studies whose records grow: right for some seeds or all."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from textwrap import fill

from analysis.records import Rows
from docs.generators import (
    training_after,
    training_exponent_mantissa,
    training_many_widths,
    training_noise,
)
from docs.generators.training_records import so_far

FIGURES = Path(__file__).parents[1] / "figures"
NOT_YET = "Its records are not there yet."
STUDIES = {
    "exponent_mantissa": training_exponent_mantissa,
    "noise": training_noise,
    "many_widths": training_many_widths,
    "after_training": training_after,
}


def section(study: str, rows: Rows | None = None) -> str:
    """Return a section of the page: what the study asks, and its answer so far.

    Parameters
    ----------
    study : str
        One of `STUDIES`.
    rows : list of dict, optional
        Default the saved records, if they are there.
    """
    about = STUDIES[study]
    if rows is None:
        rows = so_far(study)
    state = seeds(rows) if rows else NOT_YET
    answer = about.answer(rows) if rows else []
    if (FIGURES / f"{study}.png").exists():
        answer += [f"![{about.PICTURE}](figures/{study}.png)", about.BARS]
    return "\n\n".join([about.INTRO, state, *map(wrapped, answer)])


def wrapped(part: str) -> str:
    """Return a paragraph in lines of at most 100 letters; tables and pictures as they are."""
    if part.startswith(("|", "!")):
        return part
    return fill(part, 100, break_long_words=False, break_on_hyphens=False)


def sections() -> list[str]:
    """Return all sections."""
    return [section(study) for study in STUDIES]


def seeds(rows: Rows) -> str:
    """Return how many seeds there are, and whether the last one has all runs of the first.

    Examples
    --------
    >>> seeds([{"seed": 0}, {"seed": 0}, {"seed": 1}])
    'Seeds: 2, the last one in part.'
    """
    counts = Counter(row["seed"] for row in rows)
    part = len(set(counts.values())) > 1
    return f"Seeds: {len(counts)}" + ", the last one in part" * part + "."

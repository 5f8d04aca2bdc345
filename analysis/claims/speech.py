"""Whether E2M2 is better than INT5, and nearly lossless, on speech, and how many bits that takes.

The model is Whisper base; metrics and recordings are those of `analysis.models.speech`. The two
recipes of `PAIR` are measured in `GROUPINGS` groupings of the input channels, which are the draws
of the rounding errors; the first is the order of the file, in which the others are measured alone.

**Criteria**

They were written down before the measurement, and follow docs/models.md.

- A figure is a mean over recordings and groupings. Its error is the larger of two: the standard
  error over recordings (of means over groupings), and the standard deviation over groupings (of
  means over recordings). Its interval is the mean plus and minus the error times Student's quantile
  for 95 %, with the degrees of freedom of the error that was taken. A recipe that was measured in
  one grouping has the first error alone, which is then a lower bound.
- E2M2 minus INT5, paired: a lead is resolved if its interval leaves out 0. Otherwise, if it has the
  same sign in every grouping, the format is ahead.
- A recipe is nearly lossless on speech if the perplexity of the transcripts rises by at most 1 %
  (0.01 nats per token over fp32), and at most 1 % of the words change. The verdict is "yes" if both
  intervals lie below these limits, "no" if one lies above, and "open" if neither is the case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from analysis.models import speech
from analysis.models.evaluation import REFERENCE, Progress, counter
from analysis.models.groupings import regrouped
from analysis.models.recordings import Recording, recordings
from analysis.models.speech import METRICS, Heard
from analysis.models.transcription import Vocabulary, load, vocabulary
from analysis.models.whisper import Whisper
from analysis.records import Row, Rows
from minifloat import Recipe

PAIR = ("e2m2/128/float16", "int5/128/float16")
GROUPINGS = 8
OTHERS = (
    "fpe2m2", "nf5/128/float16", "uint5/128/float16/zero-point", "e2m1/128/float16",
    "int4/128/float16", "nf4/128/float16", "mxfp4", "nvfp4", "e2m3/128/float16",
    "int6/128/float16", "int8/128/float16", "e4m3fn/128/float16",
)  # fmt: skip
NATS, DIVERGENCE, WORD_ERRORS, CHANGES = METRICS
LIMITS = {NATS: 0.01, CHANGES: 0.01}
QUICK = 2  # recordings


def cases() -> list[tuple[str, int]]:
    """Return each recipe and grouping to measure, the most important first.

    Returns
    -------
    list of (str, int)
        Recipes as `str` of `Recipe`.
    """
    names = [str(Recipe.parse(recipe)) for recipe in (*PAIR, *OTHERS)]
    first = [(name, 0) for name in names]
    return first + [(name, draw) for draw in range(1, GROUPINGS) for name in names[: len(PAIR)]]


def records(*, quick: bool = False, progress: Progress | None = None) -> Rows:
    """Return a row for each recipe, grouping and recording, those of fp32 first.

    Parameters
    ----------
    quick : bool
        Whether to measure the first two recordings in the first two cases alone.
    progress : callable, optional

    Returns
    -------
    list of dict
        With the columns recipe, grouping, recording, and each of `METRICS`.

    Raises
    ------
    MissingPackage
        If a package of the model or of the recordings is not installed.
    """
    todo, spoken = cases(), recordings()
    if quick:
        todo, spoken = todo[: len(PAIR)], spoken[:QUICK]
    step = counter(progress, 1 + len(todo))
    model, tokens = load(), vocabulary()
    exact = [speech.listen(model, tokens, recording) for recording in spoken]
    rows = _rows(REFERENCE, 0, spoken, exact, exact)
    step()
    for recipe, grouping in todo:
        rows += measured(model, tokens, (recipe, grouping), spoken, exact)
        step()
    return rows


def measured(
    model: Whisper,
    tokens: Vocabulary,
    case: tuple[str, int],
    spoken: Sequence[Recording],
    exact: Sequence[Heard],
) -> Rows:
    """Return the rows of one recipe and grouping.

    Parameters
    ----------
    model : Whisper
        In float32.
    tokens : Vocabulary
    case : (str, int)
        A recipe and a grouping.
    spoken : sequence of Recording
    exact : sequence of Heard
        What the model makes of them.

    Returns
    -------
    list of dict
    """
    rounded = regrouped(model, *case)
    heard = [
        speech.listen(rounded, tokens, recording, theirs)
        for recording, theirs in zip(spoken, exact, strict=True)
    ]
    return _rows(*case, spoken, heard, exact)


def _rows(
    recipe: str,
    grouping: int,
    spoken: Sequence[Recording],
    heard: Sequence[Heard],
    exact: Sequence[Heard],
) -> Rows:
    rows: list[Row] = []
    for recording, ours, theirs in zip(spoken, heard, exact, strict=True):
        values = speech.figures(recording, ours, theirs)
        row: Row = {"recipe": recipe, "grouping": grouping, "recording": recording.name}
        rows.append(row | dict(zip(METRICS, values, strict=True)))
    return rows


@dataclass(frozen=True)
class Figure:
    """A mean over recordings and groupings.

    Attributes
    ----------
    draws : tuple of float
        The mean over recordings of each grouping.
    over_items : float
        Standard error over recordings.
    items : int
        Number of recordings.
    """

    draws: tuple[float, ...]
    over_items: float
    items: int

    @property
    def mean(self) -> float:
        """Over all."""
        return float(np.mean(self.draws))

    @property
    def over_draws(self) -> float | None:
        """Standard deviation over groupings; None if there is only one."""
        return float(np.std(self.draws, ddof=1)) if len(self.draws) > 1 else None

    @property
    def half(self) -> float:
        """Half the length of the interval of 95 %."""
        freedom, error = self.items - 1, self.over_items
        if self.over_draws is not None and self.over_draws > error:
            freedom, error = len(self.draws) - 1, self.over_draws
        return float(student.ppf(0.975, freedom)) * error

    @property
    def lead(self) -> str:
        """Return "resolved", "ahead" or "" for a difference of two recipes."""
        if abs(self.mean) > self.half:
            return "resolved"
        return "ahead" if len(set(np.sign(self.draws))) == 1 and len(self.draws) > 1 else ""


def figure(rows: Rows, metric: str, recipe: str, other: str = "") -> Figure:
    """Return a metric of a recipe, or by how much it is above that of another.

    Parameters
    ----------
    rows : list of dict
        As `records` returns them.
    metric : str
        One of `METRICS`.
    recipe : str
    other : str, optional
        Of the same groupings, or `REFERENCE`, which has only one.

    Returns
    -------
    Figure

    Examples
    --------
    >>> rows = [{"recipe": "e2m2", "grouping": g, "recording": r, NATS: 1 + g + r}
    ...         for g in range(2) for r in range(3)]
    >>> found = figure(rows, NATS, "e2m2")
    >>> found.draws, round(found.over_items, 3), round(found.over_draws, 3)
    ((2.0, 3.0), 0.577, 0.707)
    """
    values = _table(rows, metric, recipe)
    if other:
        values = values - _table(rows, metric, other)
    items = values.mean(axis=0)
    error = float(items.std(ddof=1)) / len(items) ** 0.5
    return Figure(tuple(map(float, values.mean(axis=1))), error, len(items))


def _table(rows: Rows, metric: str, recipe: str) -> np.ndarray:
    """Return a metric by grouping and recording."""
    draws: dict[int, list[float]] = {}
    for row in rows:
        if row["recipe"] == recipe:
            draws.setdefault(row["grouping"], []).append(row[metric])
    return np.array(list(draws.values()))


def verdict(rows: Rows, recipe: str) -> str:
    """Return whether a recipe is nearly lossless: "yes", "no" or "open".

    Parameters
    ----------
    rows : list of dict
        As `records` returns them.
    recipe : str

    Returns
    -------
    str
    """
    changes = {
        NATS: figure(rows, NATS, recipe, REFERENCE),
        CHANGES: figure(rows, CHANGES, recipe),
    }
    if any(found.mean - found.half > LIMITS[metric] for metric, found in changes.items()):
        return "no"
    below = all(found.mean + found.half <= LIMITS[metric] for metric, found in changes.items())
    return "yes" if below else "open"

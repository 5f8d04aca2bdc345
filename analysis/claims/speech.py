"""Whether E2M2 is better than INT5, and nearly lossless, on speech, and how many bits that takes.

The model is Whisper base; metrics and recordings are those of `analysis.models.speech`. The two
recipes of `PAIR` are measured in `GROUPINGS` groupings of the input channels, which are the draws
of the rounding errors; the first is the order of the file, in which the others are measured alone.

**Criteria**

They were written down before the measurement, and follow docs/models.md.

- Means, errors and verdicts are those of `analysis.claims.figures`; an item is a recording.
- A recipe is nearly lossless on speech if the perplexity of the transcripts rises by at most 1 %
  (0.01 nats per token over fp32), and at most 1 % of the words change.
"""

from __future__ import annotations

from collections.abc import Sequence

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

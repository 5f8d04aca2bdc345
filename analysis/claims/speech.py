"""Whether E2M2 is better than INT5, and nearly lossless, on speech, and how many bits that takes.

The model is Whisper base; metrics and recordings are those of `analysis.models.speech`. Recipes are
measured in `GROUPINGS` groupings of the input channels, which are the draws of the rounding errors;
the first is the order of the file. A recipe with a scale for each row gives the same weights in all
of them, and is measured once.

**Criteria**

They were written down before the measurement, and follow docs/models.md.

- Means, errors and verdicts are those of `analysis.claims.figures`; an item is a recording.
- A recipe is nearly lossless on speech if the perplexity of the transcripts rises by at most 1 %
  (0.01 nats per token over fp32), and at most 1 % of the words change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from analysis.models import speech
from analysis.models.evaluation import REFERENCE, Progress
from analysis.models.groupings import regrouped
from analysis.models.recordings import Recording, recordings
from analysis.models.speech import METRICS, Heard
from analysis.models.transcription import Vocabulary, load, vocabulary
from analysis.models.whisper import Whisper
from analysis.records import Row, Rows
from analysis.studies import grown
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

Case = tuple[str, int]  # a recipe and a grouping


def cases() -> list[Case]:
    """Return each recipe and grouping to measure, the most important first.

    Returns
    -------
    list of (str, int)
        `REFERENCE`, and recipes as `str` of `Recipe`.
    """
    recipes = [Recipe.parse(recipe) for recipe in (*PAIR, *OTHERS)]
    pair, drawn = recipes[: len(PAIR)], [each for each in recipes if each.block != "channel"]
    order = [(recipe, 0) for recipe in recipes]
    for group in (pair, drawn):
        order += [(recipe, draw) for draw in range(1, GROUPINGS) for recipe in group]
    return [(REFERENCE, 0), *dict.fromkeys((str(recipe), draw) for recipe, draw in order)]


def growing(
    known: Rows, *, quick: bool = False, progress: Progress | None = None
) -> Iterator[Rows]:
    """Measure what is not known yet, and yield all records after each recipe and grouping.

    Parameters
    ----------
    known : list of dict
        Records of an earlier call that was stopped.
    quick : bool
        Whether to measure the first two recordings in the first cases alone.
    progress : callable, optional

    Yields
    ------
    list of dict
        A row for each recording, with the columns recipe, grouping, recording, and each of
        `METRICS`.

    Raises
    ------
    MissingPackage
        If a package of the model or of the recordings is not installed.
    """
    todo, spoken = cases(), recordings()
    if quick:
        todo, spoken = todo[: 1 + len(PAIR)], spoken[:QUICK]
    model, tokens = load(), vocabulary()
    exact = [speech.listen(model, tokens, recording) for recording in spoken]

    def measure(case: Case) -> Rows:
        if case[0] == REFERENCE:
            return _rows(*case, spoken, exact, exact)
        return measured(model, tokens, case, spoken, exact)

    yield from grown(known, todo, lambda row: (row["recipe"], row["grouping"]), measure, progress)


def measured(
    model: Whisper,
    tokens: Vocabulary,
    case: Case,
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

"""Whether E2M2 is better than INT5, and nearly lossless, on text, and how many bits that takes.

The model is SmolLM2 (`analysis.models.smollm2`), its embeddings quantized too. The design is nested
(`analysis.claims.figures`): in a round, one grouping of the input channels, which is a draw of the
rounding errors, is measured for every recipe on chunks of two texts that no other round has. The
first grouping is the order of the file. After eight rounds every recipe has eight groupings, after
`ROUNDS` 204 chunks; the two recipes of `PAIR` go on to 408 chunks in twice as many groupings.

**Criteria**

They were written down before the measurement, and follow docs/models.md.

- Means, errors, leads and verdicts are those of `analysis.claims.figures`; an item is a chunk.
- A recipe is nearly lossless on text if its perplexity rises by at most 1 % over that of the
  shipped weights, which is 0.01 nats per token. Recipes of 8 bits are judged by this, too.
- Leads are of recipes of one width of codes. Those of the divergence are said beside those of the
  loss, and decide nothing: the loss is what the claim is about.
- A modality needs as many bits as the narrowest width of which a recipe is nearly lossless.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np

from analysis.claims.recipes import FIRST, NAMES, PAIR, recipe
from analysis.models import side_by_side, smollm2
from analysis.models.evaluation import REFERENCE, Progress
from analysis.models.groupings import regrouped
from analysis.models.layers import Array
from analysis.models.llama import Llama, Tokens
from analysis.models.predictions import divergence, log_probabilities
from analysis.models.texts import TEXTS
from analysis.records import Row, Rows
from analysis.studies import grown

ENOUGH, ROUNDS, ALL_ROUNDS = 8, 17, 34  # at least, of all recipes, and of the pair
EACH = 6  # chunks of each text in a round
METRICS = NATS, DIVERGENCE = ("nats per token", "divergence from fp32 in nats")
LIMITS = {NATS: 0.01}

Case = tuple[str, int]  # a recipe and a grouping


def cases(*, quick: bool = False) -> list[Case]:
    """Return each recipe and grouping to measure, the most important first.

    Parameters
    ----------
    quick : bool
        Of the pair the first round alone.

    Returns
    -------
    list of (str, int)
        Of `REFERENCE`, and the names of recipes.
    """
    if quick:
        return [(name, 0) for name in (REFERENCE, *PAIR)]
    found = [
        (name, grouping)
        for part in (FIRST, NAMES)
        for grouping in range(ENOUGH)
        for name in (REFERENCE, *part)
    ]
    for grouping in range(ENOUGH, ALL_ROUNDS):
        found += [(name, grouping) for name in (REFERENCE, *(NAMES if grouping < ROUNDS else PAIR))]
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Chunks:
    """The chunks of one round.

    Attributes
    ----------
    names : list of str
        Of the chunks: the text and a number.
    tokens : ndarray of integers, (chunks, tokens)
    """

    names: list[str]
    tokens: Tokens


def chunks(grouping: int) -> Chunks:
    """Return the chunks of a round, evenly spaced over each text; no other round has them.

    Parameters
    ----------
    grouping : int
        From 0 to less than `ALL_ROUNDS`.

    Returns
    -------
    Chunks

    Raises
    ------
    MissingPackage
        If the package of the model, or of a text, is not installed.
    """
    names, parts = [], []
    for text, tokens in tokens_of_texts().items():
        for number in range(grouping, EACH * ALL_ROUNDS, ALL_ROUNDS):
            start = number * (len(tokens) // (EACH * ALL_ROUNDS))
            names.append(f"{text} {number}")
            parts.append(tokens[start : start + smollm2.CHUNK])
    return Chunks(names, np.array(parts))


@cache
def tokens_of_texts() -> dict[str, Tokens]:
    """Return the tokens of each text."""
    words = smollm2.tokenizer()
    return {text: np.array(words.encode(read()).ids) for text, read in TEXTS.items()}


def growing(
    known: Rows, *, quick: bool = False, progress: Progress | None = None
) -> Iterator[Rows]:
    """Measure the missing cases, and yield all records after each recipe and grouping.

    Parameters
    ----------
    known : list of dict
        Records of an earlier call that was stopped.
    quick : bool
        The first round of the pair, one chunk of each text.
    progress : callable, optional

    Yields
    ------
    list of dict
        With the columns recipe, grouping, item (a chunk), and each of `METRICS`.

    Raises
    ------
    MissingPackage
        If a package of the model or of the texts is not installed.
    """
    model = smollm2.load()

    @lru_cache(maxsize=1)
    def reader(grouping: int) -> Reader:
        return Reader(model, grouping, each=1 if quick else EACH)

    def measure(case: Case) -> Rows:
        name, grouping = case
        return reader(grouping).rows(name)

    yield from grown(known, cases(quick=quick), case_of, measure, progress)


def case_of(row: Row) -> Case:
    """Return the recipe and grouping of a record."""
    return row["recipe"], row["grouping"]


class Reader:
    """Measures recipes in one grouping, on the chunks of its round.

    Parameters
    ----------
    model : Llama
        In float32.
    grouping : int
    each : int
        Chunks of each text.
    """

    def __init__(self, model: Llama, grouping: int, each: int = EACH) -> None:
        self.model, self.grouping = model, grouping
        every = chunks(grouping)
        chosen = [k for k in range(len(every.names)) if k % EACH < each]
        self._names = [every.names[k] for k in chosen]
        self._tokens = every.tokens[chosen]
        outputs = side_by_side.hidden(model, self._tokens[:, :-1])
        self._exact = [log_probabilities(model.project(output)) for output in outputs]

    def rows(self, name: str) -> Rows:
        """Return a row for each chunk, of a recipe by its name, or `REFERENCE`."""
        model = self.model
        if name != REFERENCE:
            model = regrouped(model, recipe(name), self.grouping)
        outputs = side_by_side.hidden(model, self._tokens[:, :-1])
        found: Rows = []
        for item, tokens, output, exact in zip(
            self._names, self._tokens, outputs, self._exact, strict=True
        ):
            row: Row = {"recipe": name, "grouping": self.grouping, "item": item}
            found.append(row | scores(log_probabilities(model.project(output)), tokens, exact))
        return found


def scores(ours: Array, tokens: Tokens, exact: Array) -> Row:
    """Return each of `METRICS` of a chunk.

    Parameters
    ----------
    ours, exact : ndarray of float32, (tokens - 1, vocabulary)
        Logarithms of the probabilities of each token but the first.
    tokens : ndarray of integers, (tokens,)

    Returns
    -------
    dict of str to float

    Examples
    --------
    >>> half, most = np.log(np.array([[[0.5, 0.5]], [[0.9, 0.1]]], np.float32))
    >>> {name: round(value, 4) for name, value in scores(most, np.array([0, 0]), half).items()}
    {'nats per token': 0.1054, 'divergence from fp32 in nats': 0.5108}
    """
    chosen = ours[np.arange(len(ours)), tokens[1:]]
    return {
        NATS: -float(np.mean(chosen, dtype=np.float64)),
        DIVERGENCE: float(np.mean(divergence(ours, exact))),
    }

"""Whether E2M2 is better than INT5, and nearly lossless, for embeddings of sentences.

The model is MiniLM (`analysis.models.minilm`), its embeddings of tokens quantized too. The design
is crossed (`analysis.claims.figures`): passages of two texts are embedded by every recipe in
`GROUPINGS` groupings of the input channels, the first of which is the order of the file.

**Criteria**

They were written down before the measurement, and follow docs/models.md.

- Means, errors, leads and verdicts are those of `analysis.claims.figures`; an item is a passage.
- A recipe is nearly lossless for embeddings if at most 1 % of the passages have another nearest
  neighbour than in fp32, by the cosine, among the other passages of their text. Recipes of 8 bits
  are judged by this, too.
- Leads are of recipes of one width of codes, in 1 - cosine to the embeddings of fp32, which
  resolves more than neighbours do; those in neighbours are said beside them.
- A modality needs as many bits as the narrowest width of which a recipe is nearly lossless.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.claims.recipes import FIRST, NAMES, PAIR, recipe
from analysis.claims.text import Case, case_of
from analysis.models import minilm
from analysis.models.evaluation import REFERENCE, Progress
from analysis.models.groupings import regrouped
from analysis.models.layers import Array
from analysis.models.texts import TEXTS, passages
from analysis.records import Row, Rows
from analysis.studies import grown

GROUPINGS = 8
PASSAGES = 100  # of each text
QUICK = 8  # passages of each text
METRICS = TURNED, CHANGES = ("1 - cosine to fp32", "share of nearest neighbours that change")
LIMITS = {CHANGES: 0.01}


def cases(*, quick: bool = False) -> list[Case]:
    """Return each recipe and grouping to measure, the most important first, as `text.cases`."""
    if quick:
        return [(name, 0) for name in (REFERENCE, *PAIR)]
    found = [(name, g) for part in (FIRST, NAMES) for g in range(GROUPINGS) for name in part]
    return list(dict.fromkeys([(REFERENCE, 0), *found]))


def growing(
    known: Rows, *, quick: bool = False, progress: Progress | None = None
) -> Iterator[Rows]:
    """Measure what is not known yet, and yield all records after each recipe and grouping.

    Parameters
    ----------
    known : list of dict
        Records of an earlier call that was stopped.
    quick : bool
        The first grouping of the pair, few passages.
    progress : callable, optional

    Yields
    ------
    list of dict
        With the columns recipe, grouping, item (the number of a passage, those of the first text
        first), and each of `METRICS`.

    Raises
    ------
    MissingPackage
        If a package of the model or of the texts is not installed.
    """
    model = minilm.load()
    texts = {text: passages(read(), PASSAGES) for text, read in TEXTS.items()}
    if quick:
        texts = {text: sentences[:QUICK] for text, sentences in texts.items()}
    exact = embedded(model, texts)

    def measure(case: Case) -> Rows:
        name, grouping = case
        if name == REFERENCE:
            return rows(case, exact, exact)
        return rows(case, embedded(regrouped(model, recipe(name), grouping), texts), exact)

    yield from grown(known, cases(quick=quick), case_of, measure, progress)


def embedded(model: minilm.Encoder, texts: Mapping[str, Sequence[str]]) -> dict[str, Array]:
    """Return the embeddings of the passages of each text, (passages, width)."""
    return {
        text: np.array([model.embed(sentence) for sentence in sentences])
        for text, sentences in texts.items()
    }


def rows(case: Case, ours: Mapping[str, Array], exact: Mapping[str, Array]) -> Rows:
    """Return a row for each passage.

    Parameters
    ----------
    case : (str, int)
        A recipe and a grouping.
    ours, exact : mapping of str to ndarray of float32, (passages, width)
        Embeddings of length 1, of each text.

    Returns
    -------
    list of dict

    Examples
    --------
    >>> exact = {"a": np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)}
    >>> ours = {"a": np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)}
    >>> row = rows(("e2m2", 0), ours, exact)[1]
    >>> row["item"], round(row[TURNED], 4), row[CHANGES]
    (1, 0.04, 1.0)
    """
    found: Rows = []
    for text, theirs in exact.items():
        # of unit vectors 1 - a.b is half of |a - b|^2, which does not cancel
        turned = np.square(ours[text].astype(np.float64) - theirs).sum(axis=-1) / 2
        changed = neighbours(ours[text]) != neighbours(theirs)
        for values in zip(turned, changed, strict=True):
            row: Row = {"recipe": case[0], "grouping": case[1], "item": len(found)}
            measured = (round(float(value), 7) for value in values)
            found.append(row | dict(zip(METRICS, measured, strict=True)))
    return found


def neighbours(embeddings: Array) -> NDArray[np.intp]:
    """Return which other embedding is nearest to each, by the cosine.

    Parameters
    ----------
    embeddings : ndarray of float32, (passages, width)
        Of length 1.

    Returns
    -------
    ndarray of integers, (passages,)
    """
    cosines = embeddings.astype(np.float64) @ embeddings.T
    np.fill_diagonal(cosines, -np.inf)
    nearest: NDArray[np.intp] = cosines.argmax(axis=1)
    return nearest

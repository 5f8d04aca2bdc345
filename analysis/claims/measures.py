"""Which measure of the error of weights ranks the damage to a model, over formats and draws.

A case is a recipe in one grouping, as in `analysis.claims.text`, whose records have the damage: the
increase of the loss, and the divergence. Here are the measures, from the weights and from texts on
which the damage is not measured:

- ``rms error``: the root of the squared errors of all weights over their squares
- ``output error``: the squared error of the products with `SAMPLES` inputs, over the squared
  products; the mean of the matrices
- ``fisher-weighted error``: the squared error of each matrix times the mean diagonal of its Fisher
  information, which is the loss's Hessian on average; the sum of the layers' matrices, without the
  embeddings. The diagonals are those of `analysis.methods.sensitivities`, of every third layer,
  which stand for the two layers after it.
- ``divergence by layer``: that of the predictions when one layer alone is rounded, the mean of
  every third layer

**Criteria**

They were written down before the measurement. Spearman's rank correlation with the increase of the
loss and with the divergence, over all cases and over those with codes of five bits; among these the
width decides nothing. One measure is better than another if the interval of the difference of their
correlations, from 2.5 to 97.5 % over resampled recipes, does not hold 0.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from analysis.claims import text
from analysis.claims.recipes import FIRST, NAMES, PAIR, recipe
from analysis.methods.sensitivities import EVERY, Scorer
from analysis.methods.subjects import place
from analysis.models import smollm2
from analysis.models.evaluation import REFERENCE, Progress
from analysis.models.groupings import regrouped
from analysis.models.layers import Array
from analysis.models.llama import Llama, Tokens
from analysis.models.matrices import dense
from analysis.models.predictions import divergence, log_probabilities
from analysis.models.recorder import Recorder
from analysis.models.texts import TEXTS
from analysis.records import Row, Rows, from_csv
from analysis.studies import grown

DRAWS = 2
SAMPLES = 64  # of the inputs of each matrix
HEARD = 64  # tokens of a chunk of each text
MEASURES = RMS, OUTPUT, FISHER, BY_LAYER = (
    "rms error", "output error", "fisher-weighted error", "divergence by layer",
)  # fmt: skip
SENSITIVITIES = Path(__file__).parents[2] / "docs" / "data" / "methods" / "sensitivities.csv"
EMBEDDINGS = "token_embd.weight"
RESAMPLED = 500


def growing(
    known: Rows, *, quick: bool = False, progress: Progress | None = None
) -> Iterator[Rows]:
    """Measure what is not known yet, and yield all records after each recipe and grouping.

    Parameters
    ----------
    known : list of dict
        Records of an earlier call that was stopped.
    quick : bool
        The pair in one grouping.
    progress : callable, optional

    Yields
    ------
    list of dict
        With the columns recipe, grouping, and each of `MEASURES`.

    Raises
    ------
    MissingPackage
        If a package of the model or of the texts is not installed.
    """
    names, draws = (PAIR, 1) if quick else (dict.fromkeys((*FIRST, *NAMES)), DRAWS)
    todo = [(name, grouping) for grouping in range(draws) for name in names]
    model, words = smollm2.load(), smollm2.tokenizer()
    chunks = [
        smollm2.chunks(np.array(words.encode(read()).ids))[1][0][:HEARD] for read in TEXTS.values()
    ]
    inputs = inputs_of(model, chunks)
    scorer, weights = Scorer.of(model, chunks), informations()

    def measure(case: text.Case) -> Rows:
        name, grouping = case
        rounded = regrouped(model, recipe(name), grouping)
        row: Row = {"recipe": name, "grouping": grouping}
        row |= errors(model, rounded, inputs, weights)
        return [row | {BY_LAYER: by_layer(scorer, rounded)}]

    yield from grown(known, todo, text.case_of, measure, progress)


def inputs_of(model: Llama, chunks: Collection[Tokens]) -> dict[str, Array]:
    """Return about `SAMPLES` inputs of each matrix; of the embeddings those of the products."""
    recorder = Recorder(model)
    for chunk in chunks:
        replace(model, multiply=recorder).logits(chunk)
    found = recorder.inputs()
    return {name: x[:: max(len(x) // SAMPLES, 1)] for name, x in found.items()}


def informations() -> dict[tuple[str, int], float]:
    """Return the mean diagonal of the Fisher information by kind of matrix and layer."""
    rows = from_csv(SENSITIVITIES.read_text(encoding="utf-8"))
    return {place(row["tensor"]): row["fisher trace"] / row["squared error"] for row in rows}


def errors(
    model: Llama,
    rounded: Llama,
    inputs: Mapping[str, Array],
    informations: Mapping[tuple[str, int], float],
) -> dict[str, float]:
    """Return the measures that need no pass of the model.

    Parameters
    ----------
    model, rounded : Llama
    inputs : mapping of str to ndarray of float32, (samples, inputs)
        Of each matrix.
    informations : mapping of (str, int) to float
        By kind and layer; a layer without one has that of the next lower layer with one.

    Returns
    -------
    dict of str to float
    """
    lost = whole = weighted = 0.0
    outputs = []
    for name, matrix in model.matrices.items():
        weights = dense(matrix)
        error = weights - dense(rounded.matrices[name])
        squared = float(np.vdot(error, error))
        lost, whole = lost + squared, whole + float(np.vdot(weights, weights))
        products, theirs = inputs[name] @ error.T, inputs[name] @ weights.T
        outputs.append(float(np.vdot(products, products) / np.vdot(theirs, theirs)))
        kind, layer = place(name)
        known = [there for k, there in informations if k == kind and there <= layer]
        if known:
            weighted += informations[kind, max(known)] * squared
    return {RMS: (lost / whole) ** 0.5, OUTPUT: float(np.mean(outputs)), FISHER: weighted}


def by_layer(scorer: Scorer, rounded: Llama) -> float:
    """Return the mean divergence of the predictions when every third layer alone is rounded."""
    found = []
    for layer in range(0, scorer.model.shape.layers, EVERY):
        prefix = f"blk.{layer}."
        own = {n: m for n, m in rounded.matrices.items() if n.startswith(prefix)}
        model = replace(scorer.model, matrices={**scorer.model.matrices, **own})
        for x, said in zip(scorer.inputs[layer], scorer.log_probabilities, strict=True):
            for index in range(layer, model.shape.layers):
                x = model.layer(index, x, model.cache(len(x)))
            found.append(divergence(log_probabilities(model.project(x[:-1])), said).mean())
    return float(np.mean(found))


def damages(rows: Rows, case: tuple[str, int]) -> tuple[float, float]:
    """Return the increase of the loss and the divergence of a recipe in one grouping.

    Parameters
    ----------
    rows : list of dict
        Those of `analysis.claims.text`.
    case : (str, int)

    Returns
    -------
    loss, divergence : float
    """
    exact = {row["item"]: row[text.NATS] for row in rows if row["recipe"] == REFERENCE}
    own = [row for row in rows if (row["recipe"], row["grouping"]) == case]
    losses = [row[text.NATS] - exact[row["item"]] for row in own]
    return float(np.mean(losses)), float(np.mean([row[text.DIVERGENCE] for row in own]))


def correlations(measured: Rows, rows: Rows, bits: int | None = None) -> Rows:
    """Return the rank correlation of each measure with each damage, and its interval of 95 %.

    Parameters
    ----------
    measured : list of dict
        As `growing` yields them.
    rows : list of dict
        Those of `analysis.claims.text`; cases that it lacks are left out.
    bits : int, optional
        Of a code, of the recipes that count. Default: all.

    Returns
    -------
    list of dict
        ``measure``, ``cases``, and for "loss" and "divergence" the correlation, the ends of its
        interval, named with " low" and " high", and those of its lead over the rms error's.
    """
    have = {(row["recipe"], row["grouping"]) for row in rows}
    cases = [
        row
        for row in measured
        if (row["recipe"], row["grouping"]) in have
        and bits in (None, recipe(row["recipe"]).fmt.bits)
    ]
    damage = np.array([damages(rows, (row["recipe"], row["grouping"])) for row in cases])
    table = np.array([[row[name] for name in MEASURES] for row in cases])
    names = [row["recipe"] for row in cases]
    found: Rows = [{"measure": name, "cases": len(cases)} for name in MEASURES]
    for column, kind in enumerate(("loss", "divergence")):
        whole = _ranked(table, damage[:, column])
        drawn = np.array([
            _ranked(table[kept], damage[kept, column]) for kept in _resampled(names)
        ])  # fmt: skip
        ends = np.nanpercentile(drawn, (2.5, 97.5), axis=0)
        leads = np.nanpercentile(drawn - drawn[:, :1], (2.5, 97.5), axis=0)
        for k, row in enumerate(found):
            row |= {
                kind: float(whole[k]),
                f"{kind} low": float(ends[0, k]),
                f"{kind} high": float(ends[1, k]),
                f"{kind} lead low": float(leads[0, k]),
                f"{kind} lead high": float(leads[1, k]),
            }
    return found


def _ranked(table: NDArray[np.float64], damage: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Spearman's correlation of each column with the damage."""
    ranks = rankdata(np.column_stack([table, damage]), axis=0)
    with np.errstate(invalid="ignore"):  # of cases that are all the same
        return np.asarray(np.corrcoef(ranks, rowvar=False)[:-1, -1])


def _resampled(names: list[str]) -> Iterator[list[int]]:
    """Yield cases of recipes that are drawn with replacement, at least three different ones."""
    rng, recipes = np.random.default_rng(0), sorted(set(names))
    for _ in range(RESAMPLED):
        drawn = rng.choice(recipes, len(recipes))
        if len(set(drawn)) >= 3:
            yield [k for one in drawn for k, name in enumerate(names) if name == one]

"""Which sensitivity of a tensor predicts what quantizing it does to SmolLM2's loss.

Mixed precision (`minifloat.allocate`) needs to know what each tensor loses without measuring the
model for each. Here each matrix of every third layer is quantized alone, and the model's loss on
texts is measured; beside it stand the predictions:

- ``squared error``: the sum of the squared errors of the weights
- ``shape``: the same from theory alone: the count of weights, their variance, and the exact error
  of the recipe on Student's t of the tensor's fitted degrees of freedom
- ``relative error``: the squared error over the sum of the squared weights
- ``output error``: the squared error of the products, by X^T X of other texts' inputs X (as GPTQ)
- ``relative output error``: the same over the sum of the squared products
- ``hessian trace``: the squared error times the mean of the diagonal of the loss's Hessian
  (HAWQ-V2 and V3, arXiv 1911.03852 and 2011.10680)
- ``fisher trace``: the squared error times the mean of the diagonal of the Fisher information

Both traces are estimated without gradients, by Hutchinson's method on differences: with v of
random signs and a step h, the expectation of (L(w + h v) + L(w - h v) - 2 L(w)) / h^2 is the
Hessian's trace up to h^2, and that of 2 KL / h^2 the Fisher information's trace, where KL is the
Kullback-Leibler divergence of the predicted tokens from those of the unchanged model. The step is
`STEP` times the root mean square of the tensor. Calibration texts are used for all predictions.

**Criteria**

Spearman's rank correlation over the matrices between a prediction and the measured divergence, and
the measured change of the loss, on texts that no prediction has seen. One sensitivity is called
better than another if the interval of the difference of their correlations, from 2.5 to 97.5 % over
resampled matrices, does not hold 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minifloat as mf
from analysis.errors.absmax_error import absmax_mse
from analysis.errors.distributions import Distribution, Normal, StudentT
from analysis.models import smollm2
from analysis.models.calibration import Hessian, hessians
from analysis.models.evaluation import Progress, counter
from analysis.models.layers import Array
from analysis.models.llama import Llama, Tokens
from analysis.models.matrices import dense
from analysis.models.predictions import divergence, log_probabilities
from analysis.models.texts import TEXTS
from analysis.records import Row, Rows
from analysis.weights.tensor_statistics import fit_student_nu

RECIPES = ("e2m1", "e2m2")
PREDICTIONS = (
    "squared error", "shape", "relative error", "output error", "relative output error",
    "hessian trace", "fisher trace",
)  # fmt: skip
MEASURED = ("divergence", "loss")
STEP = 0.1  # of a tensor's root mean square
SIGNS = 1  # draws of random signs
CHUNK = 256  # tokens
EVERY = 3  # layers
CHUNKS = 1  # of each text
LEAST_NU = 2.5  # of the exact error's theory
RESAMPLED = 2000


@dataclass(frozen=True)
class Scorer:
    """Chunks of text and what a model says of them, to compare changed models with it.

    Attributes
    ----------
    model : Llama
    chunks : sequence of ndarray of integers, (tokens,)
    inputs : list of list of ndarray of float32, (tokens, width)
        Of each layer, of each chunk.
    log_probabilities : list of ndarray of float32, (tokens - 1, vocabulary)
    """

    model: Llama
    chunks: Sequence[Tokens]
    inputs: list[list[Array]]
    log_probabilities: list[Array]

    @classmethod
    def of(cls, model: Llama, chunks: Sequence[Tokens]) -> Scorer:
        """Run the model on the chunks."""
        inputs = [[model.embed(chunk) for chunk in chunks]]
        for layer in range(model.shape.layers):
            inputs.append([model.layer(layer, x, model.cache(len(x))) for x in inputs[-1]])
        said = [log_probabilities(model.project(x[:-1])) for x in inputs[-1]]
        return cls(model, chunks, inputs[:-1], said)

    def loss(self) -> float:
        """Return the model's own nats per token."""
        return float(np.mean([_nats(*each) for each in self._pairs()]))

    def changed(self, name: str, matrix: Array) -> tuple[float, float]:
        """Return divergence and change of the loss, in nats per token, with another matrix.

        Parameters
        ----------
        name : str
            Such as ``blk.3.attn_q.weight``, or of the embeddings.
        matrix : ndarray of float32

        Returns
        -------
        divergence, loss : float
        """
        embeddings = not name.startswith("blk.")
        first = 0 if embeddings else _layer(name)
        model = replace(self.model, matrices={**self.model.matrices, name: matrix})
        divergences, losses = [], []
        for x, (said, tokens) in zip(self.inputs[first], self._pairs(), strict=True):
            x = model.embed(tokens) if embeddings else x
            for layer in range(first, model.shape.layers):
                x = model.layer(layer, x, model.cache(len(x)))
            now = log_probabilities(model.project(x[:-1]))
            divergences.append(divergence(now, said).mean())
            losses.append(_nats(now, tokens) - _nats(said, tokens))
        return float(np.mean(divergences)), float(np.mean(losses))

    def _pairs(self) -> Iterator[tuple[Array, Tokens]]:
        yield from zip(self.log_probabilities, self.chunks, strict=True)


def records(*, quick: bool = False, progress: Progress | None = None) -> Rows:
    """Measure and predict; a record for each matrix and recipe.

    Parameters
    ----------
    quick : bool
        Two matrices and one recipe.
    progress : callable, optional
        Called with the steps done and all steps.

    Returns
    -------
    list of dict
        ``tensor``, ``recipe``, ``bits`` per weight, ``weights``, the names of `PREDICTIONS`, and of
        `MEASURED` in nats per token.

    Raises
    ------
    MissingPackage
        If the package with the model is missing.
    """
    model, words = smollm2.load(), smollm2.tokenizer()
    heard: list[Tokens] = []  # for predictions
    unseen: list[Tokens] = []
    for read in list(TEXTS.values())[: 1 if quick else None]:
        evaluated, calibration = smollm2.chunks(np.array(words.encode(read()).ids))
        count = 1 if quick else CHUNKS
        unseen += [chunk[:CHUNK] for chunk in evaluated[:count]]
        heard += [chunk[:CHUNK] for chunk in calibration[:count]]
    layers = [name for name in model.matrices if name.startswith("blk.")]
    names = sorted((name for name in layers if _layer(name) % EVERY == 0), key=_layer)
    recipes = RECIPES[:1] if quick else RECIPES
    names = names[:2] if quick else names
    step = counter(progress, len(names) * (2 * SIGNS + len(recipes)))
    scorer, listener = Scorer.of(model, unseen), Scorer.of(model, heard)
    found: Rows = []
    products: dict[str, Hessian] = {}
    for name in names:
        layer = _layer(name)
        if name not in products:  # but those of the layer before
            products = hessians(model, layer, listener.inputs[layer])
        w = dense(model.matrices[name])
        curvatures = traces(listener, name, w, step)
        for recipe in recipes:
            found.append(_record(scorer, name, recipe, w, products[name], curvatures))
            step()
    return found


def rank_correlations(
    rows: Rows, recipe: str, measured: str = "divergence", *, seed: int = 0
) -> list[Row]:
    """Return Spearman's correlation of each prediction with what was measured.

    Parameters
    ----------
    rows : list of dict
        As `records` returns them.
    recipe : str
        Whose records are taken.
    measured : str
        One of `MEASURED`.
    seed : int
        Of the resampled matrices.

    Returns
    -------
    list of dict
        For each of `PREDICTIONS` its ``correlation``, ``low`` and ``high`` of an interval of 95 %
        over resampled matrices, and the same of its difference to the correlation of the squared
        error: ``gain``, ``gain_low``, ``gain_high``.
    """
    chosen = [row for row in rows if row["recipe"] == recipe]
    table = np.array([[row[name] for name in (*PREDICTIONS, measured)] for row in chosen])
    rng = np.random.default_rng(seed)
    draws = np.array(
        [_correlations(table[rng.integers(len(table), size=len(table))]) for _ in range(RESAMPLED)]
    )
    whole = _correlations(table)
    low, high = np.quantile(draws, (0.025, 0.975), axis=0)
    gains = draws - draws[:, :1]
    gain_low, gain_high = np.quantile(gains, (0.025, 0.975), axis=0)
    return [
        {
            "prediction": name,
            "correlation": float(whole[i]),
            "low": float(low[i]),
            "high": float(high[i]),
            "gain": float(whole[i] - whole[0]),
            "gain_low": float(gain_low[i]),
            "gain_high": float(gain_high[i]),
        }
        for i, name in enumerate(PREDICTIONS)
    ]


def _correlations(table: NDArray[Any]) -> NDArray[np.float64]:
    """Return the rank correlation of each column but the last with the last."""
    from scipy.stats import rankdata

    ranks = rankdata(table, axis=0)
    ranks -= ranks.mean(axis=0)
    last = ranks[:, -1]
    size = np.sqrt(np.square(ranks).sum(axis=0) * np.square(last).sum())
    correlations: NDArray[np.float64] = (ranks.T @ last / size)[:-1]
    return correlations


def _record(
    scorer: Scorer,
    name: str,
    recipe: str,
    w: Array,
    products: Hessian,
    traces: Mapping[str, float],
) -> Row:
    quantized = mf.quantize(w, recipe)
    values = quantized.dequantize()
    error = (w - values).astype(np.float64)
    squared = float(np.square(error).sum())
    output = float(((error @ products) * error).sum())
    wide = w.astype(np.float64)
    divergence, loss = scorer.changed(name, values)
    return {
        "tensor": name,
        "recipe": recipe,
        "bits": quantized.bits_per_weight,
        "weights": w.size,
        "squared error": squared,
        "shape": w.size * float(wide.var()) * _relative(recipe, w),
        "relative error": squared / float(np.square(wide).sum()),
        "output error": output,
        "relative output error": output / float(((wide @ products) * wide).sum()),
        **{kind: squared * trace / w.size for kind, trace in traces.items()},
        "divergence": divergence,
        "loss": loss,
    }


def _relative(recipe: str, w: Array) -> float:
    """Return the exact squared error over the variance, of the fitted Student's t."""
    nu = fit_student_nu(w)
    law: Distribution = Normal() if np.isinf(nu) else StudentT(max(nu, LEAST_NU))
    return absmax_mse(recipe, law)


def traces(listener: Scorer, name: str, w: Array, step: Callable[[], object]) -> dict[str, float]:
    """Return the estimated traces of the loss's Hessian and of the Fisher information.

    Parameters
    ----------
    listener : Scorer
    name : str
        Of a matrix.
    w : ndarray of float32
        The matrix.
    step : callable
        Called after each change of the model.

    Returns
    -------
    dict of str to float
        "hessian trace" and "fisher trace".
    """
    rng = np.random.default_rng(list(name.encode()))
    size = STEP * float(np.sqrt(np.square(w, dtype=np.float64).mean()))
    curvatures, informations = list[float](), list[float]()
    for _ in range(SIGNS):
        signs = rng.choice(np.array([-size, size], np.float32), w.shape)
        divergences, losses = zip(
            *(listener.changed(name, w + sign * signs) for sign in (1, -1)), strict=True
        )
        step(), step()
        curvatures.append(sum(losses) / size**2)
        informations.append(sum(divergences) / size**2)  # 2 KL / h^2, the mean of both signs
    return {
        "hessian trace": float(np.mean(curvatures)),
        "fisher trace": float(np.mean(informations)),
    }


def _layer(name: str) -> int:
    return int(name.split(".")[1])


def _nats(log_probabilities: Array, tokens: Tokens) -> float:
    chosen = log_probabilities[np.arange(len(tokens) - 1), tokens[1:]]
    return -float(chosen.mean(dtype=np.float64))

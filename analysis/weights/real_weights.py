"""Quantization errors of real weights: predicted from a law, and measured.

A prediction takes the weights of a tensor as independent draws from a law; `analysis.absmax_mse`
then gives the error. There are four laws. The law is the Student t that fits best, or the weights
themselves. And it is the law of the tensor or, since the relative error of a channel does not
depend on its scale, of its channels, each divided by its rms value:

                          all weights alike    each channel at its own scale
    Student t             student              channel_student
    the weights           empirical            channel_empirical

All four are in-sample: they are fitted to the weights that are measured, or are these weights, so
they explain an error more than they predict it. The law "normal" of `analysis.absmax_mse` is not.

Beside each measurement stands the error of the same weights shuffled within their channels, which
have the same laws. The two differ by order: neighbours that are large together. A prediction and
the shuffled weights differ by the law: channels that differ in shape, too, or that are so short
that their own outliers dominate their rms value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.errors.absmax_error import absmax_mse
from analysis.errors.distributions import Distribution, Normal, StudentT
from analysis.errors.empirical import Empirical, absmax_mse_of_weights
from analysis.errors.laws import Law
from analysis.errors.scale_rules import tensor_scale_of
from analysis.weights.tensor_statistics import TensorStatistics, fit_student_nu, tensor_statistics
from minifloat.comparison import DEFAULT_RECIPES, distinct_recipes
from minifloat.comparison.measuring import measure
from minifloat.comparison.records import RecipeError, Skipped, ratio
from minifloat.comparison.selection import Task, nothing_left
from minifloat.files.weights import open_weights
from minifloat.formats import NumberFormat
from minifloat.quantization.recipes import Recipe
from minifloat.quantization.scales import ScaleRounding

LAWS = ("student", "empirical", "channel_student", "channel_empirical")
# The empirical laws take at most MAX_WEIGHTS weights, keep KEPT on either side as they are, and
# merge the others into RUNS runs of equal ones. This changes the rms error by less than 1e-3 of it.
MAX_WEIGHTS, KEPT, RUNS = 1 << 20, 1 << 10, 1 << 11
SEED = 0  # of the order of the shuffled weights
EXACT_BITS = 7  # mantissa bits of scales, from which on predictions take them as exact
GROUPS = 16  # of channels of equal energy; within a group coarse scales are taken as alike

Array = NDArray[Any]
SomeRecipe = Recipe | NumberFormat | str


@dataclass(frozen=True)
class Prediction:
    """The error of one recipe on one tensor, measured and predicted.

    Attributes
    ----------
    measured : RecipeError
    shuffled : RecipeError
        Measured on the weights shuffled within their channels.
    predicted : dict of str to float
        Relative rms error under each of `LAWS`, without unit.
    """

    measured: RecipeError
    shuffled: RecipeError
    predicted: dict[str, float]

    def deviation(self, law: str) -> float:
        """Return the predicted relative rms error over the measured one, minus 1.

        Raises
        ------
        ValueError
            If ``law`` is not one of `LAWS`.
        """
        if law not in self.predicted:
            raise ValueError(f"law must be one of {', '.join(self.predicted)}, got {law!r}")
        return ratio(self.predicted[law], self.measured.relative_rms) - 1

    @property
    def order(self) -> float:
        """The relative rms error of the shuffled weights over the measured one, minus 1."""
        return ratio(self.shuffled.relative_rms, self.measured.relative_rms) - 1


@dataclass(frozen=True)
class TensorReport:
    """One tensor: its statistics, and the errors of recipes.

    Attributes
    ----------
    name, dtype : str
        From the file.
    shape : tuple of int
    statistics : TensorStatistics
        With the block of the first recipe.
    channel_nu : float
        Degrees of freedom of the law "channel_student"; inf for the Gaussian.
    channel_spread, place_spread : float
        Variance of the mean squares of the channels, and of the places along the last axis, over
        that of independent draws: 1 for independent draws, NaN if all squares are equal.
    predictions : tuple of Prediction
        In the order of the recipes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    statistics: TensorStatistics
    channel_nu: float
    channel_spread: float
    place_spread: float
    predictions: tuple[Prediction, ...]


@dataclass(frozen=True)
class Agreement:
    """How well one law predicts the errors of one recipe on all tensors.

    Attributes
    ----------
    recipe, law : str
    measured, predicted : float
        Relative rms error over all weights of all tensors.
    median : float
        Of the magnitudes of the tensors' deviations (predicted over measured, minus 1).
    worst : float
        The deviation of largest magnitude, with its sign.
    worst_tensor : str
    """

    recipe: str
    law: str
    measured: float
    predicted: float
    median: float
    worst: float
    worst_tensor: str


@dataclass(frozen=True)
class ModelReport:
    """The tensors of a model, and the skipped ones.

    Attributes
    ----------
    tensors : tuple of TensorReport
        In file order.
    skipped : tuple of Skipped
    """

    tensors: tuple[TensorReport, ...]
    skipped: tuple[Skipped, ...]

    def agreement(self) -> tuple[Agreement, ...]:
        """Return how well predictions and measurements agree, for each recipe and law."""
        by_recipe = zip(*(tensor.predictions for tensor in self.tensors), strict=True)
        return tuple(self._agreement(predictions, law) for predictions in by_recipe for law in LAWS)

    def _agreement(self, predictions: Sequence[Prediction], law: str) -> Agreement:
        errors = [prediction.measured for prediction in predictions]
        energy = math.fsum(error.squared_weight for error in errors)
        expected = math.fsum(
            prediction.predicted[law] ** 2 * prediction.measured.squared_weight
            for prediction in predictions
        )
        deviations = [prediction.deviation(law) for prediction in predictions]
        worst = max(range(len(deviations)), key=lambda i: abs(deviations[i]))
        return Agreement(
            recipe=errors[0].recipe,
            law=law,
            measured=math.sqrt(math.fsum(error.squared_error for error in errors) / energy),
            predicted=math.sqrt(expected / energy),
            median=float(np.median(np.abs(deviations))),
            worst=deviations[worst],
            worst_tensor=self.tensors[worst].name,
        )


def real_weights(
    source: str | PathLike[str] | Mapping[str, Array],
    recipes: Sequence[SomeRecipe] = DEFAULT_RECIPES,
    *,
    min_size: int = 4096,
    progress: Callable[[int, int], object] | None = None,
) -> ModelReport:
    """Predict and measure the error of each recipe on each tensor of a model.

    The reference is each tensor of the file, widened to float32: for a file of quantized weights
    the errors come on top of theirs.

    Parameters
    ----------
    source : path, or mapping of names to arrays
        As for `minifloat.files.open_weights`; one tensor is loaded at a time.
    recipes : sequence of Recipes, formats or str
        Such that `analysis.absmax_mse` covers, or with a scale per channel. Predictions take scales
        with at least 7 mantissa bits (float32, float16, bfloat16) as exact.
    min_size : int
        Smaller tensors are skipped: a few blocks are too small a sample of a mean.
    progress : callable, optional
        Called after each tensor with the weights done and all weights.

    Returns
    -------
    ModelReport

    Raises
    ------
    ValueError
        If a recipe is unknown, given twice, or not covered, or no tensor is left. A tensor that a
        recipe cannot quantize, as one with inf or NaN, is skipped.
    WeightsError
        If a file cannot be read (a ValueError too).

    Examples
    --------
    >>> from analysis.weights.real_weights import real_weights
    >>> import numpy as np
    >>> weights = {"w": np.random.default_rng(0).standard_normal((512, 512), np.float32)}
    >>> for row in real_weights(weights, ["e2m2"]).agreement():
    ...     print(row.law, f"{row.predicted:.2%}", f"{row.measured:.2%}")
    student 5.36% 5.36%
    empirical 5.36% 5.36%
    channel_student 5.36% 5.36%
    channel_empirical 5.36% 5.36%
    """
    chosen = distinct_recipes(recipes)
    for recipe in chosen:
        _mse(recipe, Normal(), 1, [(1.0, 1.0)])  # refuses what it does not cover
    file = open_weights(source)
    small = f"fewer than {max(min_size, 1)} elements"
    tensors = [info for info in file.tensors if info.parameters >= max(min_size, 1)]
    skipped = [Skipped("", info.name, info.dtype, info.skipped) for info in file.skipped]
    skipped += [
        Skipped("", info.name, info.dtype, small) for info in file.tensors if info not in tensors
    ]
    if not tensors:
        raise ValueError(
            f"source must hold a float tensor of at least {min_size} elements, got none; "
            "lower min_size or name another file"
        )
    everything, done = sum(info.parameters for info in tensors), 0
    reports = []
    for info in tensors:
        report = _tensor_report(Task("", info, file.loader(info.name)), chosen)
        if isinstance(report, Skipped):
            skipped.append(report)
        else:
            reports.append(report)
        done += info.parameters
        if progress is not None:
            progress(done, everything)
    if not reports:
        raise ValueError(nothing_left(file.source, skipped))
    return ModelReport(tuple(reports), tuple(skipped))


def _tensor_report(task: Task, recipes: Sequence[Recipe]) -> TensorReport | Skipped:
    """Return the report on one tensor, or why there is none."""
    info = task.info
    measured = measure(task, recipes, -1)
    if isinstance(measured, Skipped):
        return measured
    weights = task.load()
    if not weights.any():
        return task.skipped("all zero")
    if weights.dtype.kind != "f":  # bfloat16
        weights = weights.astype(np.float32)
    mixed = np.random.default_rng(SEED).permuted(np.atleast_1d(weights), axis=-1)
    shuffled = measure(Task("", info, lambda: mixed), recipes, -1)
    if isinstance(shuffled, Skipped):  # a scale that only the new blocks need
        return shuffled
    return _report(info.name, info.dtype, weights, recipes, measured.errors, shuffled.errors)


def _report(
    name: str,
    dtype: str,
    weights: Array,
    recipes: Sequence[Recipe],
    measured: Sequence[RecipeError],
    shuffled: Sequence[RecipeError],
) -> TensorReport:
    rows = np.atleast_1d(weights).reshape(-1, weights.shape[-1] if weights.ndim else 1)
    length = rows.shape[1]
    statistics = tensor_statistics(weights, block_size=_block_size(recipes[0], length))
    squares = np.square(rows.astype(np.float64) / statistics.rms)
    channel_rms = np.sqrt(squares.mean(axis=1, keepdims=True))
    channels = (rows / np.where(channel_rms > 0, channel_rms, 1.0))[channel_rms[:, 0] > 0]
    channel_nu = fit_student_nu(channels)
    laws: dict[str, Law] = {
        "student": _student(statistics.student_nu),
        "empirical": Empirical(_merged(rows)),
        "channel_student": _student(channel_nu),
        "channel_empirical": Empirical(_merged(channels)),
    }
    groups = _groups(statistics.rms * channel_rms[channel_rms > 0])
    rms = {law: groups if law.startswith("channel") else [(1.0, statistics.rms)] for law in LAWS}
    absmax = statistics.crest_factor * statistics.rms

    def predicted(recipe: Recipe, law: str) -> float:
        unit = tensor_scale_of(recipe, absmax)
        units = [(share, unit / value) for share, value in rms[law]]
        return _predicted(recipe, laws[law], length, units)

    predictions = tuple(
        Prediction(original, mixed, {law: predicted(recipe, law) for law in LAWS})
        for recipe, original, mixed in zip(recipes, measured, shuffled, strict=True)
    )
    return TensorReport(
        name,
        dtype,
        weights.shape,
        statistics,
        channel_nu,
        _spread(squares, axis=1),
        _spread(squares, axis=0),
        predictions,
    )


def _student(nu: float) -> Distribution:
    return Normal() if math.isinf(nu) else StudentT(nu)


def _merged(rows: Array) -> Array:
    """Return the sorted weights, those in the middle merged into runs, at most MAX_WEIGHTS.

    The block error varies slowly with the block maximum, so nearby magnitudes are merged to shorten
    the sum. The largest weights are all kept.
    """
    weights = np.sort(rows, axis=None).astype(np.float64)
    if weights.size > MAX_WEIGHTS:
        ranks = (np.arange(MAX_WEIGHTS) + 0.5) * (weights.size / MAX_WEIGHTS)
        weights = weights[ranks.astype(np.intp)]
    middle = weights[KEPT:-KEPT]
    length = math.ceil(middle.size / RUNS)
    if length > 1:
        runs = middle[: middle.size // length * length].reshape(-1, length)
        runs[:] = runs.mean(axis=1, keepdims=True)
    return weights


def _groups(rms: Array) -> list[tuple[float, float]]:
    """Return groups of channels of similar rms: the share of the energy, and the rms, of each."""
    ascending = np.sort(rms)
    energy = np.cumsum(np.square(ascending))
    ends = np.searchsorted(energy, energy[-1] * np.arange(1, GROUPS) / GROUPS)
    groups = [group for group in np.split(ascending, np.unique(ends)) if group.size]
    return [
        (float(np.square(group).sum() / energy[-1]), float(np.sqrt(np.square(group).mean())))
        for group in groups
    ]


def _block_size(recipe: Recipe, length: int) -> int:
    """Return the weights of a row that share a scale."""
    return min(recipe.block, length) if isinstance(recipe.block, int) else length


def _predicted(
    recipe: Recipe, law: Law, length: int, units: Sequence[tuple[float, float]]
) -> float:
    """Return the relative rms error of rows of a length, whose last block may be shorter."""
    size = _block_size(recipe, length)
    whole, rest = divmod(length, size)
    error = whole * size * _mse(recipe, law, size, units) if whole else 0.0
    if rest:
        error += rest * _mse(recipe, law, rest, units)
    return math.sqrt(error / length)


def _mse(recipe: Recipe, law: Law, size: int, units: Sequence[tuple[float, float]]) -> float:
    """Return the mean square error in blocks of a size, as a mean over units of the scales."""
    if isinstance(recipe.block, tuple) or recipe.block == "tensor":
        raise ValueError(f"recipe must have blocks along a row, or channels, got {recipe}")
    of_blocks = recipe.replace(block=size)
    fine = recipe.scale.values.mantissa_bits >= EXACT_BITS
    if fine and recipe.scale_rounding is ScaleRounding.NEAREST_EVEN:
        exact = of_blocks.replace(scale="float32", tensor_scale=False)
        return _exact_mse(exact, law, None)
    return math.fsum(share * _exact_mse(of_blocks, law, unit) for share, unit in units)


def _exact_mse(recipe: Recipe, law: Law, unit: float | None) -> float:
    if isinstance(law, Empirical):
        return absmax_mse_of_weights(recipe, law, tensor_scale=unit)
    assert isinstance(law, Distribution)
    return absmax_mse(recipe, law, tensor_scale=unit)


def _spread(squares: Array, axis: int) -> float:
    """Return the variance of means along an axis, over that of means of independent squares."""
    variance = float(squares.var())
    if variance < 1e-20:
        return math.nan
    return float(squares.mean(axis=axis).var() * squares.shape[axis] / variance)

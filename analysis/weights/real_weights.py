"""Does the theory hold on real weights? What each format loses, predicted from a law and measured.

A prediction knows of a tensor its law alone and takes its weights to be independent draws from it;
`analysis.absmax_mse` then gives the loss. Two questions make four laws: is the law the Student t
that fits best or the weights themselves, and is it that of the tensor or, since the relative error
of a channel does not depend on its scale, of its channels each divided by its rms value?

                          all weights alike    each channel at its own scale
    Student t             student              channel_student
    the weights           empirical            channel_empirical

Beside each measurement stands that of the same weights shuffled within their channels, which no
law can tell from the weights as they are. What separates the two is order: neighbours that are
large together. What separates a prediction from the shuffled weights is the law: channels that
differ in shape, too, or that are so short that their own outliers make their rms value.
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
from analysis.weights.tensor_statistics import TensorStatistics, fit_student_nu, tensor_statistics
from minifloat.comparison import DEFAULT_FORMATS, compare
from minifloat.comparison.records import Loss, Skipped, ratio
from minifloat.files.weights import open_weights
from minifloat.formats import NumberFormat
from minifloat.formats.names import parse

LAWS = ("student", "empirical", "channel_student", "channel_empirical")
# The empirical laws take at most so many weights, keep so many on either side as they are, and put
# the others into so many runs of equal ones. Runs change the rms error by less than 1e-3 of itself.
MOST, KEPT, RUNS = 1 << 20, 1 << 10, 1 << 11
SEED = 0  # of the order of the shuffled weights

Array = NDArray[Any]
_Entry = tuple[str, str, tuple[int, ...]]  # name, dtype and shape of a tensor


@dataclass(frozen=True)
class Prediction:
    """One format's loss on one tensor, measured and predicted.

    Attributes
    ----------
    measured : Loss
    shuffled : Loss
        Measured on the weights shuffled within their channels.
    predicted : dict of str to float
        Relative rms error under each of `LAWS`, without unit.
    """

    measured: Loss
    shuffled: Loss
    predicted: dict[str, float]

    def deviation(self, law: str) -> float:
        """Return the predicted relative rms error over the measured one, less 1.

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
        """The relative rms error of the shuffled weights over the measured one, less 1."""
        return ratio(self.shuffled.relative_rms, self.measured.relative_rms) - 1


@dataclass(frozen=True)
class TensorReport:
    """One tensor: its shape, and what formats lose on it.

    Attributes
    ----------
    name, dtype : str
        As the file has them.
    shape : tuple of int
    statistics : TensorStatistics
    channel_nu : float
        Degrees of freedom of the law "channel_student"; inf for the Gaussian.
    channel_spread, place_spread : float
        Variance of the mean squares of the channels, and of the places along the last axis, over
        what independent draws would show: 1 for those; NaN where all squares are equal.
    predictions : tuple of Prediction
        In the order of the formats.
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
    """How well one law predicts one format's losses on all tensors.

    Attributes
    ----------
    format, law : str
    measured, predicted : float
        Relative rms error over all weights of all tensors.
    median : float
        Of the magnitudes of the tensors' deviations (predicted over measured, less 1).
    worst : float
        The deviation of largest magnitude, with its sign.
    worst_tensor : str
    """

    format: str
    law: str
    measured: float
    predicted: float
    median: float
    worst: float
    worst_tensor: str


@dataclass(frozen=True)
class ModelReport:
    """The tensors of a model, and those left out.

    Attributes
    ----------
    block_size : int or None
        Weights to a scale along the last axis; None for a scale to a channel.
    tensors : tuple of TensorReport
        In file order.
    skipped : tuple of Skipped
    """

    block_size: int | None
    tensors: tuple[TensorReport, ...]
    skipped: tuple[Skipped, ...]

    def agreement(self) -> tuple[Agreement, ...]:
        """Return how well predictions and measurements agree, for each format and law."""
        by_format = zip(*(tensor.predictions for tensor in self.tensors), strict=True)
        return tuple(self._agreement(predictions, law) for predictions in by_format for law in LAWS)

    def _agreement(self, predictions: Sequence[Prediction], law: str) -> Agreement:
        losses = [prediction.measured for prediction in predictions]
        energy = math.fsum(loss.squared_weight for loss in losses)
        expected = math.fsum(
            prediction.predicted[law] ** 2 * prediction.measured.squared_weight
            for prediction in predictions
        )
        deviations = [prediction.deviation(law) for prediction in predictions]
        worst = max(range(len(deviations)), key=lambda i: abs(deviations[i]))
        return Agreement(
            format=losses[0].format,
            law=law,
            measured=math.sqrt(math.fsum(loss.squared_error for loss in losses) / energy),
            predicted=math.sqrt(expected / energy),
            median=float(np.median(np.abs(deviations))),
            worst=deviations[worst],
            worst_tensor=self.tensors[worst].name,
        )


def real_weights(
    source: str | PathLike[str] | Mapping[str, Array],
    formats: Sequence[str | NumberFormat] = DEFAULT_FORMATS,
    *,
    block_size: int | None = 128,
    scale: str = "float16",
    min_size: int = 4096,
    progress: Callable[[int, int], object] | None = None,
) -> ModelReport:
    """Predict and measure what each format loses on each tensor of a model.

    The reference is each tensor as the file holds it, widened to float32: for a file of quantized
    weights the loss is what is lost on top of theirs.

    Parameters
    ----------
    source : path, or mapping of names to arrays
        A file is read by `minifloat.files.weights.open_weights`, one tensor at a time.
    formats : sequence of str or format
        With values of both signs.
    block_size : int or None
        Weights to a scale along the last axis, whose last block may be shorter; None: a scale for
        each channel, the whole length of that axis.
    scale : str
        Format of the scales: float16, bfloat16 or float32. Predictions take it as exact.
    min_size : int
        Tensors with fewer elements are skipped: one draw of a few blocks tells nothing of a mean.
    progress : callable, optional
        Called after each tensor with the weights done and all weights.

    Returns
    -------
    ModelReport

    Raises
    ------
    ValueError
        If a format is unknown, given twice, or has one sign only, an option is out of range, no
        tensor is left, or one holds inf or NaN.
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
    fmts = [parse(fmt) for fmt in formats]
    tensors, skipped, load = _tensors(source, min_size)
    if not tensors:
        raise ValueError(
            f"source must hold a float tensor of at least {min_size} elements, got none; "
            "lower min_size or name another file"
        )
    everything, done = sum(math.prod(shape) for _, _, shape in tensors), 0
    reports = []
    for name, dtype, shape in tensors:
        weights = load(name)
        if weights.dtype.kind != "f":  # bfloat16
            weights = weights.astype(np.float32)
        mixed = np.random.default_rng(SEED).permuted(np.atleast_1d(weights), axis=-1)
        measured, shuffled = (
            compare({name: array}, fmts, block_size=block_size, scale=scale).tensors[0].losses
            for array in (weights, mixed)
        )
        if weights.any():
            reports.append(_report(name, dtype, weights, fmts, measured, shuffled, block_size))
        else:
            skipped.append(Skipped("", name, dtype, "all zero"))
        done += math.prod(shape)
        if progress is not None:
            progress(done, everything)
    return ModelReport(block_size, tuple(reports), tuple(skipped))


def _tensors(
    source: str | PathLike[str] | Mapping[str, Array], min_size: int
) -> tuple[list[_Entry], list[Skipped], Callable[[str], Array]]:
    """Return the tensors to look at, those to skip, and what loads one by its name."""
    skipped: list[Skipped] = []
    load: Callable[[str], Array]
    if isinstance(source, Mapping):
        arrays = {name: np.asarray(array) for name, array in source.items()}
        tensors = [(name, str(a.dtype), a.shape) for name, a in arrays.items() if _is_float(a)]
        skipped = [
            Skipped("", name, str(array.dtype), "not a float tensor")
            for name, array in arrays.items()
            if not _is_float(array)
        ]
        load = arrays.__getitem__
    else:
        file = open_weights(source)
        tensors = [(info.name, info.dtype, info.shape) for info in file.tensors]
        skipped = [Skipped("", info.name, info.dtype, info.skipped) for info in file.skipped]
        load = file.load
    few = f"fewer than {max(min_size, 1)} elements"
    small = [tensor for tensor in tensors if math.prod(tensor[2]) < max(min_size, 1)]
    skipped += [Skipped("", name, dtype, few) for name, dtype, _ in small]
    return [tensor for tensor in tensors if tensor not in small], skipped, load


def _is_float(array: Array) -> bool:
    return array.dtype.kind == "f" or array.dtype.name == "bfloat16"


def _report(
    name: str,
    dtype: str,
    weights: Array,
    fmts: Sequence[NumberFormat],
    measured: Sequence[Loss],
    shuffled: Sequence[Loss],
    block_size: int | None,
) -> TensorReport:
    rows = np.atleast_1d(weights).reshape(-1, weights.shape[-1] if weights.ndim else 1)
    length = rows.shape[1]
    size = length if block_size is None else min(block_size, length)
    statistics = tensor_statistics(weights, block_size=size)
    squares = np.square(rows.astype(np.float64) / statistics.rms)
    channel_rms = np.sqrt(squares.mean(axis=1, keepdims=True))
    channels = (rows / np.where(channel_rms > 0, channel_rms, 1.0))[channel_rms[:, 0] > 0]
    channel_nu = fit_student_nu(channels)
    laws: dict[str, Law] = {
        "student": _student(statistics.student_nu),
        "empirical": Empirical(_sorted(rows)),
        "channel_student": _student(channel_nu),
        "channel_empirical": Empirical(_sorted(channels)),
    }
    predictions = tuple(
        Prediction(
            as_they_are, mixed, {law: _predicted(fmt, laws[law], length, size) for law in LAWS}
        )
        for fmt, as_they_are, mixed in zip(fmts, measured, shuffled, strict=True)
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


def _sorted(rows: Array) -> Array:
    """Return the weights in order, the many in the middle made equal in runs, at most MOST.

    What a block loses changes little between neighbouring magnitudes of its greatest, and the sum
    over those goes once through each that is different. The greatest are all kept.
    """
    weights = np.sort(rows, axis=None).astype(np.float64)
    if weights.size > MOST:
        ranks = (np.arange(MOST) + 0.5) * (weights.size / MOST)
        weights = weights[ranks.astype(np.intp)]
    middle = weights[KEPT:-KEPT]
    length = math.ceil(middle.size / RUNS)
    if length > 1:
        runs = middle[: middle.size // length * length].reshape(-1, length)
        runs[:] = runs.mean(axis=1, keepdims=True)
    return weights


def _predicted(fmt: NumberFormat, law: Law, length: int, block_size: int) -> float:
    """Return the relative rms error of rows of a length, whose last block may be shorter."""
    whole, rest = divmod(length, block_size)
    error = whole * block_size * _mse(fmt, law, block_size) if whole else 0.0
    if rest:
        error += rest * _mse(fmt, law, rest)
    return math.sqrt(error / length)


def _mse(fmt: NumberFormat, law: Law, block_size: int) -> float:
    if isinstance(law, Empirical):
        return absmax_mse_of_weights(fmt, law, block_size)
    assert isinstance(law, Distribution)
    return absmax_mse(fmt, law, block_size)


def _spread(squares: Array, axis: int) -> float:
    """The variance of means along an axis over that of means of as many independent squares."""
    variance = float(squares.var())
    if variance < 1e-20:
        return math.nan
    return float(squares.mean(axis=axis).var() * squares.shape[axis] / variance)

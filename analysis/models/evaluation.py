"""The result of a model quantized by one recipe, and the comparison of two results."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.statistics import Estimate
from minifloat import Quantized

RECIPES = tuple(f"{fmt}/128/float16" for fmt in ("e2m2", "int5", "nf5", "int4", "nf4", "e2m1"))
REFERENCE = "fp32"

Progress = Callable[[int, int], object]  # called with the steps done and all steps


@dataclass(frozen=True)
class Result:
    """One line of the table: a metric of a model whose weights are quantized by one recipe.

    Attributes
    ----------
    model, modality : str
        ``MODEL`` and ``MODALITY`` of the module.
    data : str
        The text, images or sounds.
    recipe : str
        "fp32", or the text of a recipe.
    bits_per_weight : float
        Of the quantized weights, scales included.
    nbytes : int
        Of the whole model as stored, its float32 parameters included.
    peak_nbytes : int or None
        Peak of bytes in memory during a run, see `MatrixModel.peak`; None for models that
        onnxruntime runs.
    metric : str
        With its unit. All metrics are better when lower.
    items : tuple of float
        The metric of each item. An item of a text is a chunk of tokens, since neighbouring tokens
        are correlated. Items have equal weight, and the same order for all recipes.
    speed : float
        In ``speed_unit``, on one thread.
    speed_unit : str
        Such as "tokens/s".
    packed : bool
        Whether products read packed weights; otherwise they read rounded float32 weights.
    method : str
        "" for weights rounded to nearest, or "GPTQ".
    note : str
    """

    model: str
    modality: str
    data: str
    recipe: str
    bits_per_weight: float
    nbytes: int
    peak_nbytes: int | None
    metric: str
    items: tuple[float, ...]
    speed: float
    speed_unit: str
    packed: bool
    method: str = ""
    note: str = ""

    @property
    def label(self) -> str:
        """The recipe, with the method if there is one: "int4/128/float16 + GPTQ"."""
        return f"{self.recipe} + {self.method}" if self.method else self.recipe

    @property
    def value(self) -> float:
        """The metric: the mean of the items."""
        return math.fsum(self.items) / len(self.items)


def difference(result: Result, reference: Result) -> Estimate:
    """Return by how much ``result`` is worse than ``reference``, item by item.

    Parameters
    ----------
    result, reference : Result
        Of the same metric and items; at least two.

    Returns
    -------
    Estimate
        Mean and standard error of the paired differences. Pairing cancels how hard an item is. The
        error covers the choice of items, not that of the rounding errors.

    Raises
    ------
    ValueError
        If metric or items differ, or there are fewer than two items.

    Examples
    --------
    >>> facts = dict(model="m", modality="text", data="d", bits_per_weight=5.125, nbytes=9,
    ...              peak_nbytes=None, metric="nats", speed=1.0, speed_unit="tokens/s", packed=True)
    >>> difference(Result(recipe="e2m2/128/float16", items=(1.0, 3.0), **facts),
    ...            Result(recipe="fp32", items=(0.5, 2.0), **facts))
    Estimate(mean=0.75, standard_error=0.25)
    """
    ours, theirs = (
        (one.model, one.data, one.metric, len(one.items)) for one in (result, reference)
    )
    if ours != theirs:
        raise ValueError(f"reference must be of {ours}, got {theirs}")
    if len(result.items) < 2:
        raise ValueError(f"items must be at least two for an error, got {len(result.items)}")
    return Estimate.of(np.subtract(result.items, reference.items))


def counter(progress: Progress | None, total: int) -> Callable[[], None]:
    """Return a callback that reports each of ``total`` finished steps to ``progress``.

    Parameters
    ----------
    progress : callable or None
    total : int

    Returns
    -------
    callable

    Examples
    --------
    >>> step = counter(lambda done, total: print(f"{done} of {total}"), 2)
    >>> step(), step()
    1 of 2
    2 of 2
    (None, None)
    """
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    return step


def storage(matrices: Iterable[Quantized | NDArray[Any]], float32_count: int) -> tuple[float, int]:
    """Return bits per weight of the matrices of a model, and the bytes of the whole model.

    Parameters
    ----------
    matrices : iterable of Quantized or ndarray
        The weights that recipes quantize.
    float32_count : int
        Number of parameters that always stay float32.

    Returns
    -------
    bits_per_weight : float
        Of the matrices.
    nbytes : int

    Raises
    ------
    ValueError
        If there are no matrices.

    Examples
    --------
    >>> import minifloat as mf
    >>> storage([mf.quantize(np.ones((2, 128)), "e2m2")], float32_count=3)
    (5.125, 176)
    """
    bits, size, nbytes = 0, 0, 4 * float32_count
    for matrix in matrices:
        bits += matrix.bits if isinstance(matrix, Quantized) else 8 * matrix.nbytes
        size += matrix.size
        nbytes += matrix.nbytes
    if not size:
        raise ValueError("matrices must hold at least one weight, got none")
    return bits / size, nbytes

"""Products with packed or float32 matrices, and the size of a model of such matrices."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

import minifloat as mf
from analysis.models import evaluation
from analysis.models.layers import Array
from minifloat import Quantized
from minifloat.formats import NumberFormat

Matrix = Array | Quantized  # (outputs, inputs)
SomeRecipe = mf.Recipe | NumberFormat | str


def dense(matrix: Matrix) -> Array:
    """Return a matrix as float32; a packed one is dequantized.

    Parameters
    ----------
    matrix : ndarray of float32 or Quantized

    Returns
    -------
    ndarray of float32

    Examples
    --------
    >>> dense(mf.quantize([[1.0, 0.5]], "e2m2/128/float32"))
    array([[1. , 0.5]], dtype=float32)
    """
    return matrix.dequantize() if isinstance(matrix, Quantized) else matrix


def product(x: Array, matrix: Matrix, bias: Array | None = None) -> Array:
    """Return ``x @ matrix.T + bias``; a packed matrix is multiplied as it is.

    Parameters
    ----------
    x : ndarray of float32, (..., inputs)
    matrix : ndarray of float32 or Quantized, (outputs, inputs)
    bias : ndarray of float32, (outputs,), optional

    Returns
    -------
    ndarray of float32, (..., outputs)

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Examples
    --------
    >>> product(np.ones((1, 2), np.float32), np.array([[1, 2], [3, 4]], np.float32))
    array([[3., 7.]], dtype=float32)
    """
    if isinstance(matrix, Quantized):
        return mf.linear(x, matrix, bias)
    y: Array = x @ matrix.T
    return y if bias is None else y + bias


class Multiply(Protocol):
    """How a model multiplies by its matrices: `product`, or another arithmetic in its place."""

    def __call__(self, x: Array, matrix: Matrix, bias: Array | None = None, /) -> Array:
        """Return ``x @ matrix.T + bias``, (..., outputs)."""
        ...


@dataclass(frozen=True, kw_only=True)
class MatrixModel:
    """A model with packed or float32 matrices.

    Attributes
    ----------
    matrices : mapping of str to Matrix
    vectors : mapping of str to ndarray of float32
        Biases and gains, which stay float32.
    multiply : Multiply
        Called for every product with a matrix. ``dataclasses.replace(model, multiply=f)`` is the
        same model in the arithmetic of ``f``, such as that of a matrix unit; what models compute
        without a matrix (norms, attention's scores, sums) stays float32.
    """

    matrices: Mapping[str, Matrix]
    vectors: Mapping[str, Array]
    multiply: Multiply = product

    def quantized(self, recipe: SomeRecipe) -> Self:
        """Return the model with all matrices packed, each weight rounded to nearest.

        Parameters
        ----------
        recipe : Recipe, format or str
            As for `minifloat.quantize`.

        Returns
        -------
        model of the same class

        Raises
        ------
        ValueError
            As `minifloat.quantize`.

        Examples
        --------
        >>> model = MatrixModel(matrices={"m": np.ones((2, 128), np.float32)}, vectors={})
        >>> model.quantized("e2m2").storage
        (5.125, 164)
        """
        packed = {name: mf.quantize(dense(m), recipe) for name, m in self.matrices.items()}
        return replace(self, matrices=packed)

    def variants(self, recipes: Iterable[SomeRecipe]) -> Iterator[tuple[str, Self]]:
        """Yield the models that `evaluate` measures: this one as `REFERENCE`, then quantized ones.

        Parameters
        ----------
        recipes : iterable of Recipes, formats or str
            As for `minifloat.quantize`.

        Yields
        ------
        recipe : str
        model of the same class

        Raises
        ------
        ValueError
            As `minifloat.quantize`.

        Examples
        --------
        >>> model = MatrixModel(matrices={"m": np.ones((2, 128), np.float32)}, vectors={})
        >>> [(name, variant.storage[0]) for name, variant in model.variants(["e2m2"])]
        [('fp32', 32.0), ('e2m2/128/float16', 5.125)]
        """
        yield evaluation.REFERENCE, self
        for recipe in map(mf.Recipe.parse, recipes):
            yield str(recipe), self.quantized(recipe)

    @property
    def storage(self) -> tuple[float, int]:
        """Bits per weight of the matrices, and bytes of the model; see `evaluation.storage`."""
        float32_count = sum(vector.size for vector in self.vectors.values())
        return evaluation.storage(self.matrices.values(), float32_count)

    def peak(self, run: Callable[[], object]) -> int:
        """Return the peak of bytes in memory during a run: the model's, plus all allocations.

        Scales are in memory as float32, whatever format they are stored in.

        Parameters
        ----------
        run : callable
            Uses the model. Run it once before, since compiling takes memory too.

        Returns
        -------
        int

        Examples
        --------
        >>> weights = np.ones((4096, 4096), np.float32)
        >>> model = MatrixModel(matrices={"m": weights}, vectors={}).quantized("e2m2")
        >>> x = weights[0]
        >>> _ = model.matrices["m"] @ x
        >>> 100 * model.peak(lambda: model.matrices["m"] @ x) // weights.nbytes  # per cent
        16
        """
        held = sum(vector.nbytes for vector in self.vectors.values())
        for m in self.matrices.values():
            packed = (m.packed, m.scales) if isinstance(m, Quantized) else (m,)
            held += sum(array.nbytes for array in packed)
        tracemalloc.start()
        try:
            run()
            return held + tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def rows(matrix: Matrix, index: NDArray[np.integer[Any]]) -> Array:
    """Return the rows at ``index`` as float32; a packed matrix is decoded in these rows only.

    Parameters
    ----------
    matrix : ndarray of float32 or Quantized, (outputs, inputs)
    index : ndarray of integers, 1-d

    Returns
    -------
    ndarray of float32, (len(index), inputs)

    Examples
    --------
    >>> q = mf.quantize(np.outer([1, 2, 3], np.ones(8)), "e2m2")
    >>> rows(q, np.array([2, 0]))[:, 0].round(2)
    array([3., 1.], dtype=float32)
    """
    return dense(matrix[index])

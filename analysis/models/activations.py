"""How a model multiplies where its activations are quantized too, or a matrix unit adds up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import minifloat as mf
from analysis.models.layers import Array
from analysis.models.matrices import Matrix, SomeRecipe, dense, product
from minifloat import Quantized, Recipe, arithmetic
from minifloat.arithmetic import Unit
from minifloat.formats import Format, NumberFormat
from minifloat.products.integers import small_integers


class RoundedInputs:
    """`analysis.models.matrices.product` of inputs in a recipe, with blocks along the channels.

    Weights that are packed integers or small floats take inputs in ``int8`` as integers
    (`minifloat.linear`, ``activations=``), as far as it does that. Otherwise the inputs are rounded
    by the recipe, and multiplied in float32: the same but for how products are added.

    Parameters
    ----------
    recipe : Recipe, format or str
        As for `minifloat.quantize`; "channel" is one scale for a vector.

    Examples
    --------
    >>> x, w = np.float32([[1, 2, 3.1]]), np.eye(3, dtype=np.float32)
    >>> RoundedInputs("int3/channel/float32")(x, w)
    array([[1.0333333, 2.0666666, 3.1      ]], dtype=float32)
    """

    def __init__(self, recipe: SomeRecipe) -> None:
        self.recipe = Recipe.parse(recipe)

    def __call__(self, x: Array, matrix: Matrix, bias: Array | None = None, /) -> Array:
        """Return ``rounded(x) @ matrix.T + bias``."""
        if isinstance(matrix, Quantized) and self.recipe.fmt.name == "int8" and _whole(matrix.fmt):
            return mf.linear(x, matrix, bias, activations=self.recipe)
        return product(dense(mf.quantize(x, self.recipe)), matrix, bias)


def _whole(fmt: NumberFormat) -> bool:
    """Return whether a format's values are small integers times a power of two."""
    try:
        small_integers(fmt)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class OnUnit:
    """Products as a matrix unit adds them up, of inputs and weights in its format.

    Inputs, and weights in whatever recipe they are, are rounded to the unit's format: those of 8
    bits and less after a scale in float32 for each vector and each row, by which the unit's results
    are multiplied; others as they are. Biases are added in float32.

    Attributes
    ----------
    unit : str
        One of `minifloat.arithmetic.UNITS` that has no scales of its own.

    Raises
    ------
    ValueError
        If there is no such unit.

    Examples
    --------
    >>> x = np.float32([[1, 2, 300]])
    >>> OnUnit("hopper/e4m3fn/float32")(x, np.ones((1, 3), np.float32))
    array([[303.0134]], dtype=float32)
    """

    unit: str

    def __post_init__(self) -> None:
        if Unit.parse(self.unit).scale is not None:
            raise ValueError(f"unit must be one without scales of its own, got {self.unit!r}")

    def __call__(self, x: Array, matrix: Matrix, bias: Array | None = None, /) -> Array:
        """Return ``x @ matrix.T + bias``."""
        rows = x.reshape(-1, x.shape[-1])
        (ours, of_vectors), (theirs, of_rows) = map(self._operand, (rows, dense(matrix)))
        sums = arithmetic.linear(ours, theirs, unit=self.unit).astype(np.float32)
        y: Array = (sums * of_vectors * of_rows.T).reshape(*x.shape[:-1], -1)
        return y if bias is None else y + bias

    def _operand(self, x: Array) -> tuple[Array, Array]:
        """Return values of the unit's format, and a scale for each row."""
        fmt = Unit.parse(self.unit).inputs[0]
        if not isinstance(fmt, Format) or fmt.name == "tf32":
            return x, np.ones((len(x), 1), np.float32)
        if fmt.bits > 8:
            return mf.round_to(x, fmt), np.ones((len(x), 1), np.float32)
        q = mf.quantize(x, fmt, block="channel", scale="float32")
        return mf.decode(q.codes, fmt, dtype=np.float32), q.scales

"""The records of a comparison: the error of each recipe on each tensor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TypedDict

from minifloat.formats import NumberFormat
from minifloat.quantization.recipes import Recipe

EQUAL_BITS = 0.01  # recipes race if their bits per weight differ by no more


@dataclass(frozen=True)
class RecipeError:
    """The quantization error of one recipe on one tensor, or on all of them.

    Below, w are the weights and w' the weights after quantizing and dequantizing.

    Attributes
    ----------
    recipe : str
        The recipe's text.
    element_bits : int
        Bits of a code, without scales.
    parameters : int
    bits_per_weight : float
        Scales counted.
    squared_error, squared_weight : Fraction
        ``sum (w - w')**2`` and ``sum w**2``, in the weights' unit squared. Fractions, since squares
        of float64 weights may be beyond float64.
    max_abs_error : float
        Largest ``|w - w'|``, in the weights' unit.
    max_abs_error_relative : float
        The same over the largest ``|w|`` of its tensor, without unit.
    """

    recipe: str
    element_bits: int
    parameters: int
    bits_per_weight: float
    squared_error: Fraction
    squared_weight: Fraction
    max_abs_error: float
    max_abs_error_relative: float

    @property
    def relative_rms(self) -> float:
        """``sqrt(sum (w - w')**2 / sum w**2)``, without unit; 0 where there is no error."""
        if self.squared_error == 0:
            return 0.0
        if self.squared_weight == 0:
            return math.inf
        return _square_root(self.squared_error / self.squared_weight)

    @property
    def sqnr_db(self) -> float:
        """Signal to quantization noise, ``-20 log10(relative_rms)`` dB; inf without error."""
        if self.relative_rms == 0:
            return math.inf
        return 0.0 - 20 * math.log10(self.relative_rms)  # 0 dB without a sign


class Row(TypedDict):
    """The facts of one tensor and the error of one recipe on it, by name."""

    file: str
    tensor: str
    dtype: str
    shape: tuple[int, ...]
    parameters: int
    recipe: str
    element_bits: int
    bits_per_weight: float
    relative_rms: float
    sqnr_db: float
    max_abs_error: float
    max_abs_error_relative: float
    best: bool


@dataclass(frozen=True)
class TensorErrors:
    """The errors of every recipe on one tensor, or on all tensors together.

    Attributes
    ----------
    file, name : str
        The file (empty for arrays) and the tensor's name there.
    dtype : str
        As the file calls it.
    shape : tuple of int
    errors : tuple of RecipeError
        In the order of the recipes.
    note : str
        What a reader must know of the values, see `minifloat.files.TensorInfo`; empty for most.
    """

    file: str
    name: str
    dtype: str
    shape: tuple[int, ...]
    errors: tuple[RecipeError, ...]
    note: str = ""

    @property
    def parameters(self) -> int:
        """Number of elements."""
        return self.errors[0].parameters

    @property
    def best(self) -> tuple[str, ...]:
        """The recipes whose relative rms error is below that of every rival, in their order.

        Rivals are recipes of as many `RecipeError.bits_per_weight`, to a hundredth of a bit:
        scales, zero points and flags count. A recipe without a rival is not best, nor one that
        ties; where all weights are zero, none is.
        """
        return tuple(
            error.recipe
            for error, rivals in zip(self.errors, self.rivals(), strict=True)
            if rivals
            and error.squared_weight > 0
            and all(error.relative_rms < rival.relative_rms for rival in rivals)
        )

    def rivals(self) -> list[list[RecipeError]]:
        """Return for each recipe the errors of those that it races: of as many bits per weight."""
        return [
            [
                other
                for other in self.errors
                if other is not error
                and abs(other.bits_per_weight - error.bits_per_weight) <= EQUAL_BITS
            ]
            for error in self.errors
        ]

    def error(self, recipe: Recipe | NumberFormat | str) -> RecipeError:
        """Return the error of one of the recipes, given in any form that `compare` takes.

        Raises
        ------
        ValueError
            If it was not compared.
        """
        recipes = [error.recipe for error in self.errors]
        text = recipe if recipe in recipes else str(Recipe.parse(recipe))
        if text not in recipes:
            raise ValueError(f"recipe must be one of {', '.join(recipes)}, got {text}")
        return self.errors[recipes.index(text)]

    def rows(self) -> list[Row]:
        """Return one flat dict for each recipe."""
        return [
            {
                "file": self.file,
                "tensor": self.name,
                "dtype": self.dtype,
                "shape": self.shape,
                "parameters": self.parameters,
                "recipe": error.recipe,
                "element_bits": error.element_bits,
                "bits_per_weight": error.bits_per_weight,
                "relative_rms": error.relative_rms,
                "sqnr_db": error.sqnr_db,
                "max_abs_error": error.max_abs_error,
                "max_abs_error_relative": error.max_abs_error_relative,
                "best": error.recipe in self.best,
            }
            for error in self.errors
        ]


@dataclass(frozen=True)
class Skipped:
    """A tensor that no recipe was measured on, and why."""

    file: str
    name: str
    dtype: str
    reason: str


def ratio(part: float, whole: float) -> float:
    """Return ``part / whole``; 0 for no part of nothing, inf for a part of nothing."""
    if part == 0:
        return 0.0
    return part / whole if whole else math.inf


def _square_root(x: Fraction) -> float:
    """Return the square root of a positive fraction, which may be beyond float64."""
    half = (x.numerator.bit_length() - x.denominator.bit_length()) // 2
    return math.ldexp(math.sqrt(x / Fraction(4) ** half), half)

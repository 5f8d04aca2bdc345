"""Operands: how one of the two factors of a product is rounded.

    RECIPE                       e2m1/32/e8m0, nvfp4       to nearest
    ROUNDING(RECIPE)             stochastic(nvfp4)         by one of `ROUNDINGS`
    ROUNDING(RECIPE,FACTOR)      stochastic(mxfp4,0.75)    values times the factor are rounded

RECIPE is a recipe of `minifloat`, whose blocks run along the inner axis of the product, or a format
alone (``e8m3ieee``), for numbers without scales. A name that is both, as nf4, means the recipe.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import minifloat as mf
from minifloat.formats.grammar import lowered
from minifloat.formats.names import UnknownName
from minifloat.quantization.block_parts import rotated, rounded_in_blocks
from minifloat.quantization.block_rounding import SMALLEST, BlockRounder
from minifloat.quantization.blocks import spread
from minifloat.quantization.recipes import near_recipes_and_formats
from minifloat.quantization.training_rounding import (
    EDEN_MARGIN,
    GAUSSIAN_STEP,
    EdenRounder,
    QuestRounder,
)

Array = NDArray[np.float32]

IN_FLOAT32 = "round the values of a codebook to float32, or take e8m7ieee for e8m7, say"
_CALL = re.compile(r"([a-z]+)\(([^(),]+)(?:,([^(),]+))?\)")


@dataclass(frozen=True, repr=False)
class Operand:
    """A recipe, a rounding, and a factor; ``Operand.parse(str(operand)) == operand``.

    Parameters
    ----------
    recipe : Recipe or NumberFormat
        A format rounds each number for itself, without scales.
    rounding : str
        One of `ROUNDINGS`.
    factor : float
        Numbers are multiplied by it after the scale is chosen, before they are rounded; the product
        is divided by it again. 3/4 keeps all of a block within E2M1 under OCP's scale rule, whose
        absmax may be 8 times the scale. Above 0, at most 1.

    Raises
    ------
    ValueError
        If the rounding is unknown, the factor is out of range, float32 does not hold the values of
        a format, or the rounding needs a recipe of blocks of one row without zero points,
        alternatives, rotation or quantized scales.
    """

    recipe: mf.Recipe | mf.NumberFormat
    rounding: str = "nearest"
    factor: float = 1.0

    def __post_init__(self) -> None:
        if self.rounding not in ROUNDINGS:
            raise ValueError(
                f"rounding must be one of {', '.join(ROUNDINGS)}, got {self.rounding!r}"
            )
        if not 0 < self.factor <= 1:
            raise ValueError(f"factor must be above 0 and at most 1, got {self.factor}")
        recipe = self.recipe
        if not isinstance(recipe, mf.Recipe):
            if self.rounding not in ("nearest", "stochastic") or self.factor != 1:
                raise ValueError(
                    f"recipe must have scales for {self.rounding} and a factor, got the format "
                    f"{recipe.name}; name a block and a scale, as {recipe.name}/32/e8m0"
                )
            if not _is_single(recipe):
                raise ValueError(
                    f"recipe must be a format whose values float32 holds, got {recipe.name}; "
                    f"{IN_FLOAT32}"
                )
        elif not self.is_direct and not self.is_plain:
            raise ValueError(
                f"recipe must have blocks of one row, and scales and values alone, for "
                f"{self.rounding}, got {recipe}"
            )
        elif not self.is_direct and not _is_single(recipe.fmt):
            raise ValueError(
                f"recipe must be of values that float32 holds for {self.rounding}, got {recipe}; "
                f"{IN_FLOAT32}"
            )
        elif self.rounding in ("quest", "eden") and recipe.fmt.name != "e2m1":
            raise ValueError(f"recipe must be of e2m1 for {self.rounding}, got {recipe}")
        elif self.rounding == "eden" and recipe.scale.name == "float32":
            raise ValueError(
                f"recipe must have scales of a format for eden, got {recipe}; use scale=e4m3fn"
            )

    @classmethod
    def parse(cls, operand: Operand | mf.Recipe | mf.NumberFormat | str) -> Operand:
        """Return the operand that a text means.

        Raises
        ------
        ValueError
            If a part has no meaning, or as the class.
        TypeError
            If it is no text, recipe, format or operand.

        Examples
        --------
        >>> from analysis.training.operands import Operand
        >>> print(Operand.parse("stochastic(mxfp4,0.75)"))
        stochastic(e2m1/32/e8m0,0.75)
        """
        if isinstance(operand, Operand):
            return operand
        if isinstance(operand, mf.Recipe | mf.NumberFormat):
            return cls(operand)
        if not isinstance(operand, str):
            raise TypeError(f"operand must be text or an Operand, got {type(operand).__name__}")
        text = lowered(operand)
        call = _CALL.fullmatch(text)
        if call is None:
            if "(" in text or ")" in text:
                raise ValueError(
                    "operand must be RECIPE, ROUNDING(RECIPE) or ROUNDING(RECIPE,FACTOR), got "
                    f"{text!r}"
                )
            return cls(_recipe(text))
        try:
            factor = float(call[3] or 1)
        except ValueError:
            raise ValueError(f"factor must be a number, got {call[3]!r} in {text!r}") from None
        return cls(_recipe(call[2]), call[1], factor)

    @property
    def is_direct(self) -> bool:
        """Whether `minifloat.quantize` alone does it."""
        return self.rounding == "nearest" and self.factor == 1

    @property
    def is_plain(self) -> bool:
        """Whether its blocks are parts of a row, of scales and values alone."""
        recipe = self.recipe
        if not isinstance(recipe, mf.Recipe):
            return True
        more: Any = (recipe.alternatives, recipe.rotation, recipe.double, recipe.zero_point)
        return not any(more) and not isinstance(recipe.block, tuple) and not recipe.fmt.is_lookup

    def __str__(self) -> str:
        recipe = str(self.recipe) if isinstance(self.recipe, mf.Recipe) else self.recipe.name
        if self.is_direct:
            return recipe
        factor = "" if self.factor == 1 else f",{self.factor!r}"
        return f"{self.rounding}({recipe}{factor})"

    def __repr__(self) -> str:
        return f"Operand.parse({str(self)!r})"


class Rounded(NamedTuple):
    """Rounded numbers, and where they were beyond the largest magnitude of their block."""

    values: Array
    clipped: NDArray[np.bool_] | None


def rounded(
    x: Array,
    operand: Operand,
    seed: int = 0,
    *,
    axis: int = -1,
    rotation: mf.Rotation | None = None,
    clipped: bool = False,
    threads: int = 1,
) -> Rounded:
    """Return numbers as an operand rounds them.

    Parameters
    ----------
    x : ndarray of float32, (..., inner), or (..., inner, columns)
    operand : Operand
    seed : int
        Of stochastic roundings: the number drawn for an element depends on the seed and on its
        place in ``x`` in C order.
    axis : int
        -1 or -2: the inner axis, along which blocks run.
    rotation : Rotation, optional
        Along that axis, before they are rounded.
    clipped : bool
        Whether to find which elements were clipped.
    threads : int
        At most. Results do not depend on it.

    Returns
    -------
    Rounded
        Float32 arrays in the shape of ``x``: the values times the operand's factor.

    Raises
    ------
    ValueError
        If a number is infinite or NaN.

    Examples
    --------
    >>> x = np.array([[6.0, 0.3, -0.3, 0.1]], np.float32)
    >>> rounded(x, Operand.parse("e2m1/4/e8m0")).values.tolist()
    [[6.0, 0.5, -0.5, 0.0]]
    """
    recipe = operand.recipe
    if isinstance(recipe, mf.Recipe) and recipe.block != "tensor" and x.size:
        mask = np.empty(x.shape, np.bool_) if clipped else None
        rounder = _rounder(operand, recipe, seed, axis, x.shape[axis], clipped=clipped)
        if rounder is not None:
            values = rounded_in_blocks(x, rounder, rotation, clipped=mask, threads=threads)
            if values is not None:
                return Rounded(values, mask)
    if rotation is not None:
        x = rotated(x, rotation, axis, threads=threads)
    x = np.ascontiguousarray(x)
    if not isinstance(recipe, mf.Recipe):
        values = _to_format(x, recipe, operand, seed, threads)
        return Rounded(values, np.abs(x) > recipe.max_abs if clipped else None)
    return rounded_by_definition(x, operand, seed, axis=axis, clipped=clipped, threads=threads)


def rounded_by_definition(
    x: Array,
    operand: Operand,
    seed: int = 0,
    *,
    axis: int = -1,
    clipped: bool = False,
    threads: int = 1,
) -> Rounded:
    """Return what `rounded` does for recipes, by NumPy and the library's verbs, one by one."""
    recipe = operand.recipe
    assert isinstance(recipe, mf.Recipe)

    def turned(array: Any) -> Any:
        return np.ascontiguousarray(array if axis == -1 else array.swapaxes(-1, -2))

    shape = x.shape if axis == -1 else (*x.shape[:-2], x.shape[-1], x.shape[-2])
    rows = turned(x).reshape(-1, shape[-1])
    beyond = None
    if operand.is_direct and not clipped:
        values = mf.quantize(rows, recipe, threads=threads).dequantize(threads=threads)
    else:
        steps = ROUNDINGS[operand.rounding](rows, recipe)
        values = rows / steps.values
        if operand.factor != 1:
            values *= np.float32(operand.factor)
        if clipped:
            beyond = turned((np.abs(values) > recipe.fmt.max_abs).reshape(shape))
        if operand.rounding == "eden":
            values = _eden(rows, values, steps, recipe, seed, shape[:-1], turned)
        else:
            quotients = turned(values.reshape(shape))  # in the order of x, as random words are
            values = turned(_to_format(quotients, recipe.fmt, operand, seed, threads))
            values = values.reshape(rows.shape)
            values *= steps.values
    return Rounded(turned(values.reshape(shape)), beyond)


def _rounder(
    operand: Operand, recipe: mf.Recipe, seed: int, axis: int, length: int, *, clipped: bool
) -> BlockRounder | None:
    """Return what does the rounding in kernels; None for tables, and MS-EDEN's clipped elements."""
    if recipe.fmt.is_lookup:
        return None
    size = _width(recipe, length)
    match operand.rounding:
        case "nearest":
            exact = operand.is_direct and not clipped
            return BlockRounder(recipe, axis, size, exact=exact, factor=operand.factor)
        case "stochastic":
            return BlockRounder(recipe, axis, size, exact=False, factor=operand.factor, seed=seed)
        case "quest":
            return QuestRounder(recipe, axis, size, factor=operand.factor)
        case "eden" if not clipped:
            return EdenRounder(recipe, axis, size, seed)
    return None


class Steps(NamedTuple):
    """What a value of 1 means: for each number, as (rows, inner), or for each row or all."""

    values: Array
    scales: Array  # of blocks, (rows, blocks)
    tensor: float  # values are scales times this


def absmax_steps(rows: Array, recipe: mf.Recipe) -> Steps:
    """Return the scales that `minifloat.quantize` finds; 1 for a block of zeros."""
    q = mf.quantize(rows, recipe)
    tensor = 1.0 if q.tensor_scale is None else q.tensor_scale
    return _spread(q.row_scales(), tensor, recipe, rows.shape[1])


def quest_steps(rows: Array, recipe: mf.Recipe) -> Steps:
    """Return scales of least expected squared error for E2M1, were each block Gaussian.

    See `minifloat.quantization.training_rounding.QuestRounder`.
    """
    starts = _starts(recipe, rows.shape[1])
    counts = np.diff(starts, append=rows.shape[1])
    squares = np.add.reduceat(np.square(rows, dtype=np.float64), starts, axis=1)
    scales = (np.sqrt(squares / counts) * GAUSSIAN_STEP).astype(np.float32)
    if recipe.scale.name != "float32":
        least = np.where(scales > 0, np.float32(recipe.scale.values.smallest), 0)
        scales = np.maximum(mf.round_to(scales, recipe.scale.name), least)
    return _spread(scales, 1.0, recipe, rows.shape[1])


def eden_steps(rows: Array, recipe: mf.Recipe) -> Steps:
    """Return the scales of absmax times 17/16 times 0.93: those of MS-EDEN's backward pass."""
    steps = absmax_steps(rows, recipe)
    return _spread(steps.scales, steps.tensor * EDEN_MARGIN, recipe, rows.shape[1])


ROUNDINGS: dict[str, Callable[[Array, mf.Recipe], Steps]] = {
    "nearest": absmax_steps,
    "stochastic": absmax_steps,
    "quest": quest_steps,
    "eden": eden_steps,
}


def _eden(
    rows: Array, z: Array, steps: Steps, recipe: mf.Recipe, seed: int, outer: tuple[int, ...],
    turned: Callable[[Array], Array],
) -> Array:  # fmt: skip
    """Return MS-EDEN's numbers, see `EdenRounder`; ``turned`` puts blocks in the order of x."""
    q, starts = mf.round_to(z, recipe.fmt), _starts(recipe, z.shape[1])
    wide = rows.astype(np.float64)
    squares, products = (np.add.reduceat(wide * other, starts, 1) for other in (wide, q))
    every = np.broadcast_to(steps.values, rows.shape)[:, starts]
    with np.errstate(invalid="ignore", divide="ignore"):
        gain = squares / (products * every)
    gain = np.where(np.isfinite(gain), gain, 1)
    scales: Array = turned((steps.scales * gain.astype(np.float32)).reshape(*outer, -1))
    scales = mf.round_to(scales, recipe.scale.name, rounding="stochastic", seed=seed)
    scales = turned(scales).reshape(gain.shape)
    found = _spread(scales, steps.tensor, recipe, z.shape[1]).values
    q *= np.where(spread(scales == 0, _width(recipe, z.shape[1]), z.shape[1]), 0, found)
    return q


def _to_format(x: Array, fmt: mf.NumberFormat, operand: Operand, seed: int, threads: int) -> Array:
    if operand.rounding == "stochastic":
        return mf.round_to(x, fmt, rounding="stochastic", seed=seed, threads=threads)
    return mf.round_to(x, fmt, threads=threads)


def _spread(scales: Array, tensor: float, recipe: mf.Recipe, length: int) -> Steps:
    scales = np.where(scales == 0, np.float32(1), scales.astype(np.float32, copy=False))
    steps = np.maximum(scales * np.float32(tensor), np.float32(SMALLEST))
    return Steps(spread(steps, _width(recipe, length), length), scales, tensor)


def _width(recipe: mf.Recipe, length: int) -> int:
    """Return the numbers of a row that share a scale."""
    return recipe.block if isinstance(recipe.block, int) else length


def _starts(recipe: mf.Recipe, length: int) -> NDArray[np.int64]:
    return np.arange(0, length, _width(recipe, length))


def _is_single(fmt: mf.NumberFormat) -> bool:
    """Return whether float32 holds every value of a format of at most 16 bits."""
    if fmt.is_table:
        with np.errstate(over="ignore"):
            return np.array_equal(fmt.values(), fmt.values().astype(np.float32))
    largest, smallest = float(np.finfo(np.float32).max), 2.0**-149
    return fmt.smallest >= smallest and max(fmt.max, -fmt.min) <= largest


def _recipe(text: str) -> mf.Recipe | mf.NumberFormat:
    if "/" in text or text in mf.RECIPES:
        return mf.Recipe.parse(text)
    try:
        return mf.parse(text)
    except UnknownName:
        near = near_recipes_and_formats(text)
        if not near:
            raise
        raise ValueError(
            f"operand must be none (not rounded), a recipe or a format, got {text!r}; did you mean "
            f"{' or '.join(near)}? (`minifloat list` shows all)"
        ) from None

"""Operands of products: values, and the exponents that a unit reads of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from minifloat import _arrays
from minifloat._kernels import sums as kernels
from minifloat.arithmetic.packed import Packed, is_packed, values_and_scales
from minifloat.arithmetic.sum_formats import FLOAT64, SumFormat
from minifloat.arithmetic.units import Unit
from minifloat.codec import round_to
from minifloat.formats import Format

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Operand:
    """An array whose values are of one format, and its scales if the unit takes any.

    Attributes
    ----------
    values : ndarray of float32, or float64 of that format
    emin : int
        The format's lowest exponent, which subnormals have.
    scales : ndarray of float32, optional
        What each value is multiplied by, in the shape of the values.
    scale_emin : int
        The lowest exponent of the scales' format.
    grouped : bool
        Whether the unit aligns groups of products, by the exponents of their scales alone.
    """

    values: Array
    emin: int
    scales: Array | None = None
    scale_emin: int = 0
    grouped: bool = False

    def of(self, change: Callable[[Array], Array]) -> Operand:
        """Return this operand with values and scales changed, such as transposed."""
        scales = None if self.scales is None else change(self.scales)
        return replace(self, values=change(self.values), scales=scales)

    def terms(self, part: Any = ...) -> tuple[Array, Array]:
        """Return a part's values as float64, contiguous, and their exponents."""
        values = np.ascontiguousarray(self.values[part], np.float64)
        exponents = _exponents(values, self.emin)
        if self.grouped:
            exponents[exponents != kernels.NOTHING] = 0
        if self.scales is not None:
            scales = np.ascontiguousarray(self.scales[part], np.float64)
            exponents += _exponents(scales, self.scale_emin)
            values *= scales
        return values, exponents


def _exponents(values: Array, emin: int) -> Array:
    exponents = np.empty(values.shape, np.int16)
    kernels.find_exponents(values.reshape(-1), emin, exponents.reshape(-1))
    return exponents


def numbers(name: str, x: ArrayLike, fmt: Format | SumFormat) -> Array:
    """Return numbers as float32, rounded to nearest even where they are of another type.

    For the format float64 they are float64.

    Raises
    ------
    TypeError, ValueError
        If they are not numbers that `minifloat.encode` takes.
    """
    a = _arrays.source_array(x, name)[0]
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return a.astype(np.float64 if fmt == FLOAT64 else np.float32, copy=False)


def operand_of(
    name: str, x: ArrayLike | Packed, unit: Unit | None, axis: int, *, fmt: SumFormat, flush: bool
) -> Operand:
    """Return an operand, checked: of a unit's format, or else float32 or float64 numbers.

    Products are added along ``axis``. ``fmt`` is float64 or float32.

    Raises
    ------
    TypeError, ValueError
        As `numbers`, or if a number is not a value of the unit's format.
    """
    grouped = unit is not None and unit.accumulator.group > 1
    if unit is not None and unit.scale is not None and is_packed(x):
        packed_fmt, values, scales = values_and_scales(name, x, unit, axis)
        return Operand(values, packed_fmt.emin, scales, unit.scale.emin, grouped)
    own: Format | SumFormat = fmt if unit is None else unit.inputs[0]
    x = cast("ArrayLike", x)
    if unit is None:
        values = numbers(name, x, fmt)
    elif isinstance(own, Format) and own.name == "tf32":
        whole = numbers(name, x, fmt)
        values = round_to(whole, own, rounding="toward_zero", overflow="saturate_finite")
    else:
        values = values_of(name, x, own)
    if flush:
        values = np.where(np.abs(values) < 2.0**own.emin, np.float32(0.0), values)
    return Operand(values, own.emin, grouped=grouped)


def values_of(
    name: str, x: ArrayLike, fmt: Format | SumFormat, dtype: DTypeLike = np.float32
) -> Array:
    """Return numbers of a format, or raise unless all are values of it.

    Raises
    ------
    TypeError, ValueError
        If they are not numbers that `minifloat.encode` takes, or one is not a value of the format.
    """
    source = _arrays.source_array(x, name)[0]
    if isinstance(fmt, Format):
        values = round_to(source, fmt, dtype=dtype, overflow="saturate_finite", nan="zero")
        remedy = f'use minifloat.round_to({name}, "{fmt.name}"), after scaling'
    else:
        values, remedy = numbers(name, source, fmt), f"use numpy.{fmt.name}({name})"
    with np.errstate(invalid="ignore"):
        wrong = (values != source) & ~(np.isnan(values) & np.isnan(source))
    if wrong.any():
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"{name} must hold values of {fmt}, got {source[index]!s} at index {index}; {remedy}"
        )
    return values

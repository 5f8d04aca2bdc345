"""What the parts of a `Quantized` must be, so that what is made can be saved; other arguments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat._arrays import (
    MAX_DIMENSIONS,
    as_array,
    check_codes,
    code_dtype,
    first_index,
    source_array,
)
from minifloat._tensors import AnyTensor
from minifloat.formats import NumberFormat
from minifloat.formats.base import check_int, shown
from minifloat.packing import byte_count, unpack
from minifloat.quantization.recipe_fields import Block
from minifloat.quantization.scales import FLOAT32, ScaleFormat

Array = NDArray[Any]

MAX_SIZE = 1 << 59  # weights: NumPy's arrays have less than 2**63 bytes


def checked_shape(shape: object) -> tuple[int, ...]:
    """Return a shape as a tuple of int.

    Raises
    ------
    TypeError
        If it is no tuple or list of integers.
    ValueError
        If NumPy has no arrays of this shape.
    """
    if not isinstance(shape, tuple | list):
        raise TypeError(f"shape must be a tuple of int, got {shown(shape)}")
    if len(shape) > MAX_DIMENSIONS:
        raise ValueError(f"shape must have at most {MAX_DIMENSIONS} lengths, got {len(shape)}")
    lengths = tuple(check_int("a length of shape", length, 0, MAX_SIZE) for length in shape)
    if math.prod(length for length in lengths if length) > MAX_SIZE:
        raise ValueError(f"shape must be of at most 2**59 weights, got {lengths}")
    return lengths


def checked_axis(axis: object, shape: tuple[int, ...], block: Block) -> int:
    """Return an axis that blocks may run along, counted from the first.

    Raises
    ------
    TypeError
        If it is no int.
    ValueError
        If weights of this shape have no such axis, or blocks are tiles and it is not the last one.
    """
    number, count = check_int("axis", axis), len(shape)
    if not -count <= number < count:
        raise ValueError(
            f"axis must be in {-count}..{count - 1} for shape {shape}, got {shown(number)}"
        )
    if isinstance(block, tuple) and number % count != count - 1:
        raise ValueError(f"axis must be -1 for tiles, which lie in the last two axes, got {number}")
    return number % count


def block_axis(axis: object, shape: tuple[int, ...], block: Block) -> int | None:
    """Return the axis that blocks run along, counted from the first; None for one scale.

    Raises
    ------
    TypeError, ValueError
        As `checked_axis`.
    """
    if axis is None:
        raise TypeError('axis must be an int, got None; use block="tensor" for one scale')
    if not shape:
        check_int("axis", axis)
        return None
    number = checked_axis(axis, shape, block)
    return None if block == "tensor" else number


def checked_array(
    name: str, array: object, dtype: type, shape: tuple[int, ...], rule: str | None = None
) -> Array:
    """Return a read-only view of an array of this type and shape, the ``rule`` of its messages.

    Raises
    ------
    TypeError
        If it is no array of NumPy, or a masked one.
    ValueError
        If it has another dtype or shape.
    """
    if not isinstance(array, np.ndarray | np.generic) or isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{name} must be a NumPy array, got {type(array).__name__}")
    if array.dtype != dtype or array.shape != shape:
        rule = rule or f"{np.dtype(dtype)} of shape {shape}"
        raise ValueError(f"{name} must be {rule}, got {array.dtype} of shape {array.shape}")
    return read_only(array)


def read_only(array: Array | np.generic) -> Array:
    """Return a view that cannot be written; of NumPy's scalars a 0-d array."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


def checked_codes(packed: object, size: int, fmt: NumberFormat) -> Array:
    """Return packed codes, read-only.

    Raises
    ------
    TypeError, ValueError
        As `checked_bytes`; if a code is not one of the format's.
    """
    held = checked_bytes(packed, size, fmt)
    if has_unused_codes(fmt):
        check_codes(unpack(held, fmt.bits, size), fmt)
    return held


def has_unused_codes(fmt: NumberFormat) -> bool:
    """Return whether some words of the format's width are no codes of it."""
    return fmt.code_count < 1 << fmt.bits or fmt.unused_code is not None


def checked_bytes(packed: object, size: int, fmt: NumberFormat) -> Array:
    """Return packed codes of a format's width, read-only.

    Raises
    ------
    TypeError, ValueError
        As `checked_array`; if a bit after the last code is not 0.
    """
    count = byte_count(size, fmt.bits)
    rule = f"{count} bytes for {size} codes of {fmt}"
    held = checked_array("packed", packed, np.uint8, (count,), rule)
    rest = size * fmt.bits % 8
    if rest and held[-1] >> rest:
        raise ValueError(
            f"packed must have 0 in the {8 - rest} bits after the last code, got "
            f"{int(held[-1]) >> rest:#x}"
        )
    return held


def checked_scales(scales: object, shape: tuple[int, ...], scale: ScaleFormat) -> Array:
    """Return scales, read-only.

    Raises
    ------
    TypeError, ValueError
        As `checked_array`; if one is negative, infinite, or not a value of the format.
    """
    held = checked_array("scales", scales, np.float32, shape)
    wrong = ~scale.holds(held)
    if wrong.any():
        raise ValueError(
            f"scales must be values of {scale}, neither negative nor infinite, got "
            f"{held[wrong].flat[0]}; round them to it first"
        )
    return held


def checked_tables(tables: object, shape: tuple[int, ...], scale: ScaleFormat) -> Array:
    """Return the tables of blocks, read-only.

    Raises
    ------
    TypeError, ValueError
        As `checked_array`; if a value is -0, infinite, or not one of the format.
    """
    held = checked_array("scales", tables, np.float32, shape)
    wrong = ~scale.holds(np.where(held < 0, -held, held))
    if wrong.any():
        raise ValueError(
            f"scales must be tables of values of {scale}, not -0 nor infinite, got "
            f"{held[wrong].flat[0]}; round them to it first"
        )
    return held


def checked_factors(
    name: str, factors: ArrayLike | AnyTensor, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """Return factors of squared errors as float64 of this shape, over a common power of two.

    Raises
    ------
    ValueError
        If one is negative or not finite, or they do not broadcast to the shape.
    TypeError
        If they are not numeric.
    """
    given = as_array(name, factors)
    if given.dtype == bool:
        given = given.astype(np.uint8)
    given = source_array(given, name)[0]
    with np.errstate(invalid="ignore"):  # of a signalling NaN
        given = given.astype(np.float64)
    wrong = ~(np.isfinite(given) & (given >= 0))
    if wrong.any():
        raise ValueError(f"{name} must be finite and at least 0, got {given[wrong].flat[0]:g}")
    # a common power of two changes nothing but that no error overflows or vanishes
    given = np.ldexp(given, -np.frexp(given.max(initial=0))[1])
    try:
        return np.broadcast_to(given, shape)
    except ValueError:
        raise ValueError(
            f"{name} must broadcast to the shape of {'w' if name == 'importance' else 'values'}, "
            f"{shape}, got {given.shape}"
        ) from None


def wide_floats(name: str, x: ArrayLike | AnyTensor) -> NDArray[np.float64]:
    """Return an array or a tensor as float64.

    Raises
    ------
    TypeError
        If it is not numeric.
    """
    given = source_array(x, name)[0]
    with np.errstate(over="ignore", invalid="ignore"):  # longdouble; a signalling NaN
        return given.astype(np.float64)


def check_within_float32(name: str, numbers: Array) -> None:
    """Raise a ValueError unless all of these floats are finite in float32, too."""
    with np.errstate(over="ignore", invalid="ignore"):
        fits = np.isfinite(numbers.astype(np.float32))
    if not fits.all():
        raise ValueError(f"{name} must be finite in float32, got {numbers[~fits].flat[0]}")


def finite_floats(name: str, x: ArrayLike | AnyTensor) -> NDArray[np.float64]:
    """Return finite numbers as float64.

    Raises
    ------
    ValueError
        If one is infinite or NaN (with its index).
    TypeError
        If they are not numeric.
    """
    wide = wide_floats(name, x)
    index = first_index(wide, lambda part: ~np.isfinite(part))
    if index is not None:
        raise ValueError(f"{name} must be finite, got {wide[index]} at index {index}")
    return wide


def checked_zero_points(zeros: object, shape: tuple[int, ...], fmt: NumberFormat) -> Array:
    """Return zero points, read-only.

    Raises
    ------
    TypeError, ValueError
        As `checked_array`; if one is not a code of the format.
    """
    held = checked_array("zero_points", zeros, code_dtype(fmt.bits), shape)
    if held.size and int(held.max()) >= fmt.code_count:
        raise ValueError(f"zero_points must be below {fmt.code_count} for {fmt}, got {held.max()}")
    return held


def checked_choices(choices: object, shape: tuple[int, ...], count: int) -> Array:
    """Return the numbers of candidates, read-only.

    Raises
    ------
    TypeError, ValueError
        As `checked_array`; if one is not below ``count``.
    """
    held = checked_array("choices", choices, np.uint8, shape)
    if held.size and int(held.max()) >= count:
        raise ValueError(f"choices must be below {count}, got {held.max()}")
    return held


def checked_tensor_scale(scale: object) -> float:
    """Return a tensor scale as a float, or raise a ValueError if it is no positive float32."""
    if not (is_float32(scale) and scale > 0):  # type: ignore[operator]  # it is a number
        raise ValueError(f"tensor_scale must be a float32 number above 0, got {shown(scale)}")
    return float(scale)  # type: ignore[arg-type]


def is_float32(number: object) -> bool:
    """Return whether this is a float that float32 holds, and finite."""
    if not isinstance(number, float | np.floating):
        return False
    value = float(number)
    return abs(value) <= FLOAT32.values.largest and float(np.float32(value)) == value

"""Blocks as operands: what is taken as one, and the numbers that it holds."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat._arrays import source_array
from minifloat._kernels import operations as kernels
from minifloat.arithmetic.operations.results import run
from minifloat.arithmetic.packed import Packed, check_plain, is_packed
from minifloat.arithmetic.shapes import of_common_shape
from minifloat.codec import decode

Array = NDArray[Any]


class Block(NamedTuple):
    """Blocks of numbers.

    Attributes
    ----------
    scale : ndarray, shape (...)
    elements : ndarray, shape (..., B)
    """

    scale: Array
    elements: Array


BlockLike: TypeAlias = Block | tuple[ArrayLike, ArrayLike] | Packed


def decoded(x: BlockLike) -> Array:
    """Return the numbers of blocks, scale times element, as float64; shape (..., B).

    Raises
    ------
    ValueError
        If the shapes do not fit, or a product is not a float64.
    """
    pair = _unpacked(x) if is_packed(x) else cast("tuple[ArrayLike, ArrayLike]", x)
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise TypeError(f"blocks must be pairs of scale and elements, got {type(x).__name__}")
    scale, elements = pair
    scales, numbers = numbers_of("scale", scale), numbers_of("elements", elements)
    check_elements(numbers)
    return product(spread(scales, numbers.shape), numbers)


def spread(scales: Array, shape: tuple[int, ...]) -> Array:
    """Return the scale of each element of blocks of a shape."""
    try:
        return np.broadcast_to(scales[..., np.newaxis], shape)
    except ValueError:
        raise ValueError(
            f"scale must have the shape of elements without its last axis, {shape[:-1]}, "
            f"got {scales.shape}"
        ) from None


def _unpacked(q: Packed) -> tuple[Array, Array]:
    """Return scales and elements of packed weights, blocks along the last axis."""
    check_plain("blocks", q)
    if getattr(q, "zero_points", None) is not None:
        raise ValueError("blocks must have no zero points, got some; P3109's blocks have none")
    values = decode(q.codes, q.fmt, dtype=np.float64)
    axis = -1 if q.axis is None else q.axis
    values = np.moveaxis(values, axis, -1)
    rows = q.row_scales().astype(np.float64)
    count = rows.shape[1]
    if values.shape[-1] % count:
        raise ValueError(
            f"blocks must be full, got {values.shape[-1]} numbers along axis {axis} in {count} "
            "blocks; pad the weights"
        )
    scale = rows.reshape(*values.shape[:-1], count) * (q.tensor_scale or 1.0)
    return scale, values.reshape(*values.shape[:-1], count, -1)


def numbers_of(name: str, x: ArrayLike) -> Array:
    """Return an argument as float64."""
    with np.errstate(invalid="ignore"):  # a signaling NaN becomes quiet
        return source_array(x, name)[0].astype(np.float64)


def check_elements(x: Array) -> None:
    """Raise unless an array has elements along its last axis."""
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"elements must have an axis of at least one number, got shape {x.shape}")


def of_one_shape(arrays: list[Array]) -> list[Array]:
    """Return arrays of one shape, contiguous."""
    return [np.ascontiguousarray(x).reshape(x.shape) for x in of_common_shape(*arrays)]


def product(scale: Array, x: Array) -> Array:
    """Return scale times number, which float64 must hold."""
    scale, x = of_one_shape([scale, x])
    with np.errstate(all="ignore"):
        product = np.multiply(scale, x)
    error, hard = run(kernels.fma, [scale, x, -product])
    usual = np.isfinite(scale) & np.isfinite(x) & (scale != 0) & (x != 0)
    wrong = usual & (hard | (error != 0))
    if wrong.any():
        raise ValueError(
            "scale times element must be a float64 between 2**-450 and 2**450, got "
            f"{scale[wrong][0]!s} times {x[wrong][0]!s}; use values of short formats"
        )
    return product

"""Mistakes of those who write checkpoints, each as a change of the weights that undoes it.

A mistake is a name and a function that returns the weights as they would be without it. The
changed numbers need not be valid: an inverted scale may be no value of its format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minifloat.auditing.parts import ALL, Part
from minifloat.packing import pack
from minifloat.quantization.quantized import Quantized

Array = NDArray[Any]
Mistake: TypeAlias = tuple[str, Callable[[], Array]]

SWAPPED = {4: "nibbles swapped", 2: "codes of a byte in reverse order"}
AWQ_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)
WORD = 8  # nibbles


def mistakes(weights: Quantized | Array, held: Array, part: Part = ALL) -> Iterator[Mistake]:
    """Yield the mistakes that weights may have, each with what undoes it in a part of them.

    Parameters
    ----------
    weights : Quantized or ndarray
        Of an array only what changes values, not codes nor scales.
    held : ndarray
        The weights, dequantized.
    part : Part
    """
    if isinstance(weights, Quantized):
        matrix = part.matrix(weights)
        some = part.rows_of(matrix)
        for name, axis, order in _orders(matrix):
            yield name, partial(_dequantized, partial(_reordered, some, axis, order))
        for name, undone in () if matrix.fmt.is_lookup else _of_scales(matrix):
            yield name, partial(_dequantized, undone, part)
    yield "sign flipped", partial(np.negative, part.of(held))
    if held.ndim >= 2 and held.shape[-1] == held.shape[-2]:
        yield "weights transposed", partial(part.of, np.swapaxes(held, -1, -2))


def _dequantized(change: Callable[[], Quantized], part: Part = ALL) -> Array:
    with np.errstate(all="ignore"):
        return part.rows_of(change()).dequantize()


def _of_scales(q: Quantized) -> Iterator[tuple[str, Callable[[], Quantized]]]:
    yield "scales inverted", lambda: _changed(q, scales=_inverse(q.scales))
    if q.tensor_scale is not None:
        inverse = 1 / q.tensor_scale
        yield "tensor scale inverted", lambda: _changed(q, tensor_scale=inverse)
    if q.fmt.is_integer and q.choices is None:
        for wraps in (False, True) if q.zero_points is not None else (False,):
            for step in (1, -1):
                yield "zero point off by one", partial(_zero_moved, q, step, wraps=wraps)
    along = [place for place, count in enumerate(q.scales.shape) if count > 1]
    for place in (None, *along) if along else ():
        for step in (1, -1):
            yield "scales shifted by one block", partial(_shifted, q, step, place)
    yield from _other_axes(q)


def _orders(q: Quantized) -> Iterator[tuple[str, int, tuple[int, ...]]]:
    """Yield orders in which the codes of a run may have been meant: name, axis, order."""
    bits = q.fmt.bits
    if bits not in SWAPPED:
        return
    last = len(q.shape) - 1
    for axis in dict.fromkeys((last, max(last - 1, 0))):
        yield SWAPPED[bits], axis, tuple(reversed(range(8 // bits)))
        if bits == 4:
            yield "nibbles of a word in reverse order", axis, tuple(reversed(range(WORD)))
            yield "nibbles in AWQ's order", axis, AWQ_ORDER
            yield "nibbles in AWQ's order", axis, _inverse_order(AWQ_ORDER)
    width = q.blocks.width
    if bits == 4 and q.axis == last and width % 2 == 0 and width <= q.shape[last]:
        halves = tuple(place for i in range(width // 2) for place in (i, i + width // 2))
        yield "nibbles in GGUF's order", last, _inverse_order(halves)
        yield "nibbles in GGUF's order", last, halves


def _inverse_order(order: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(place) for place in np.argsort(order))


def _reordered(q: Quantized, axis: int, order: tuple[int, ...]) -> Quantized:
    """Return weights in each run of which, along an axis, the codes stand in another order."""
    codes = np.moveaxis(q.codes, axis, -1)
    whole = codes.shape[-1] // len(order) * len(order)
    turned = codes.copy()
    runs = codes[..., :whole].reshape(*codes.shape[:-1], -1, len(order))
    turned[..., :whole] = runs[..., list(order)].reshape(*codes.shape[:-1], whole)
    back = np.ascontiguousarray(np.moveaxis(turned, -1, axis))
    return _changed(q, packed=pack(back.reshape(-1), q.fmt.bits))


def _zero_moved(q: Quantized, step: int, *, wraps: bool) -> Quantized:
    """Return integers whose zero is another code; one less than 0 may be the last code."""
    zeros = np.zeros(q.scales.shape, np.int32) if q.zero_points is None else q.zero_points
    moved = zeros.astype(np.int32) + np.int32(step)
    return _changed(q, zero_points=moved % q.fmt.code_count if wraps else moved)


def _shifted(q: Quantized, step: int, axis: int | None) -> Quantized:
    """Return weights whose blocks have the scale of a neighbour, in file order or along an axis."""
    return _changed(q, scales=np.roll(q.scales, step, axis=axis))


def _other_axes(q: Quantized) -> Iterator[tuple[str, Callable[[], Quantized]]]:
    """Yield weights whose blocks run along the other axis of a matrix, or whose scales do."""
    name = "scales along the wrong axis"
    if q.axis is None or len(q.shape) != 2 or q.zero_points is not None:
        return
    rows, columns = q.shape
    if isinstance(q.recipe.block, tuple):
        if q.scales.shape[0] == q.scales.shape[1] and q.scales.size > 1:
            yield name, lambda: _changed(q, scales=np.ascontiguousarray(q.scales.T))
        return
    other = 1 - q.axis
    blocks = type(q.blocks).of(q.recipe.block, q.shape, other)
    held = blocks.scale_shape
    if blocks.per_row * blocks.row_count != q.scales.size:
        return
    yield name, lambda: _changed(q, axis=other, scales=q.scales.reshape(held))
    if rows > 1 and columns > 1 and q.scales.shape[0] > 1 and q.scales.shape[1] > 1:
        turned = np.ascontiguousarray(q.scales.T)
        yield name, lambda: _changed(q, axis=other, scales=turned.reshape(held))


def _inverse(scales: Array) -> Array:
    """Return 1 / scale, and 0 for 0."""
    with np.errstate(all="ignore"):
        return np.where(scales == 0, np.float32(0), np.float32(1) / scales).astype(np.float32)


def _changed(q: Quantized, **parts: Any) -> Quantized:
    """Return weights with other parts, which are not checked."""
    return Quantized.of_checked(**{f.name: getattr(q, f.name) for f in fields(q)} | parts)

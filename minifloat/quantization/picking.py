"""``q[rows]``: weights along the first axis, still packed, with the scales that are theirs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minifloat._arrays import Codes
from minifloat.formats.base import shown
from minifloat.packing import byte_count, pack, unpack

if TYPE_CHECKING:
    from minifloat.quantization.quantized import Quantized

Rows: TypeAlias = (
    SupportsIndex | slice | Sequence[int] | NDArray[np.integer[Any]] | NDArray[np.bool_]
)

GROUP = 8  # this many rows of packed codes fill whole bytes, whatever their width


def parts_of(q: Quantized, rows: Rows) -> dict[str, Any]:
    """Return the parts of the `Quantized` that has these rows, or raise an IndexError."""
    if not q.shape:
        raise IndexError("rows must not be picked from weights of shape ()")
    if isinstance(rows, tuple):
        raise IndexError(f"rows must be an int, a slice or one array, got {rows!r}")
    picked = _picked(rows, q.shape[0])
    if picked.ndim > 1:
        raise IndexError(f"rows must be an int, a slice or 1-d, got shape {picked.shape}")
    if q.axis == 0 and q.rotation is not None:
        raise IndexError(
            f"rows must not be picked along the axis of a rotation, {q.recipe}; pick them of "
            "dequantize()"
        )
    flat = np.atleast_1d(picked)
    recipe = q.recipe
    if recipe.double:
        recipe = recipe.replace(double=False)
    blocks = q.blocks
    held: Any = flat
    if q.axis is None:
        held = ...
    elif q.axis == 0:
        held = flat // blocks.width
        recipe = recipe.replace(block=1)
    elif blocks.height > 1 and len(q.shape) == 2:
        held = flat // blocks.height
        recipe = recipe.replace(block=blocks.width)
    shape = (*picked.shape, *q.shape[1:])
    axis = q.axis if shape else None
    if picked.ndim == 0 and q.axis is not None:
        axis = max(q.axis - 1, 0) if shape else None

    def of_rows(numbers: NDArray[Any] | None) -> NDArray[Any] | None:
        if numbers is None:
            return None
        some = numbers[held]
        return np.asarray(some[0] if picked.ndim == 0 and q.axis is not None else some)

    return {
        "packed": _packed(q, flat),
        "scales": of_rows(q.scales),
        "recipe": recipe,
        "shape": shape,
        "axis": axis,
        "tensor_scale": q.tensor_scale,
        "zero_points": of_rows(q.zero_points),
        "choices": of_rows(q.choices),
    }


def _picked(rows: Rows, count: int) -> NDArray[Any]:
    """Return the numbers of some rows, or raise an IndexError."""
    if isinstance(rows, slice):
        every = range(*rows.indices(count))
        return every.start + np.arange(len(every)) * (every.step if len(every) > 1 else 1)
    try:
        return np.asarray(np.arange(count)[rows])
    except (IndexError, OverflowError, TypeError, ValueError):
        raise IndexError(
            f"rows must be in {-count}..{count - 1}, or a slice, or a bool for each of the "
            f"{count}, got {shown(rows):.80}"
        ) from None


def _packed(q: Quantized, rows: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the packed codes of some rows, for neighbours a view where possible."""
    length, bits = math.prod(q.shape[1:]), q.fmt.bits
    if not rows.size * length:
        return np.empty(0, np.uint8)
    if (np.diff(rows) == 1).all():
        start, count = int(rows[0]) * length, rows.size * length
        if start * bits % 8 == 0 and (count * bits % 8 == 0 or start + count == q.size):
            first = start * bits // 8
            return q.packed[first : first + byte_count(count, bits)]
        some: Codes = unpack(q.packed, bits, count, start=start)
        return pack(some, bits)
    if length * bits % 8 == 0:
        return np.asarray(q.packed.reshape(q.shape[0], -1)[rows].reshape(-1))
    groups, place = np.unique(rows // GROUP, return_inverse=True)
    codes: Codes = unpack(_groups(q.packed, length * bits, groups), bits, GROUP * length)
    picked: Codes = codes.reshape(-1, GROUP, length)[place, rows % GROUP]
    return pack(picked.reshape(-1), bits)


def _groups(packed: NDArray[np.uint8], size: int, groups: NDArray[Any]) -> NDArray[np.uint8]:
    """Return groups of rows of so many bytes, in their order; the last of all may lack some."""
    whole, rest = divmod(packed.size, size)
    held = np.zeros((groups.size, size), np.uint8)
    inside = groups < whole
    held[inside] = packed[: whole * size].reshape(whole, size)[groups[inside]]
    if not inside[-1]:
        held[-1, :rest] = packed[whole * size :]
    return held

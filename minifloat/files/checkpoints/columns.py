"""Integers whose columns say which group's scale they take: ``g_idx``, GPTQ's act order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from minifloat.files._safe import quoted
from minifloat.files.checkpoints.making import quantized
from minifloat.files.checkpoints.stored import Array, Stored
from minifloat.files.checkpoints.weights import Dequantizable, Facts, Group, Value

NOTE = "its columns may take their scales in the order of g_idx"
ORDER = "its columns take their scales in the order of g_idx"
BEYOND = "a zero point is no code"
PART = 1 << 20  # weights that are dequantized at a time


class Integers(NamedTuple):
    """The numbers of a matrix of integers, rows first.

    Attributes
    ----------
    codes : ndarray of uint8, (..., rows, columns)
        Unsigned.
    scales : ndarray of float32, (..., rows, groups)
    zeros : ndarray of integers, (..., rows, groups)
        The codes that mean 0, which may be the one after the last code.
    """

    codes: NDArray[np.uint8]
    scales: Array
    zeros: Array


Read = Callable[[Group, Facts], Integers]


def value(group: Group, facts: Facts, read: Read) -> Value:
    """Return weights as a `Quantized`, or as `Dequantizable` where one cannot express them."""
    recipe = facts.recipe
    assert recipe is not None
    columns = facts.shape[-1]
    integers = read(group, facts)
    groups = _groups(group.parts.get("g_idx"), integers.scales.shape[-1])
    width = recipe.block if isinstance(recipe.block, int) else max(columns, 1)
    reason = ""
    if groups is not None and not np.array_equal(groups, np.arange(columns) // width):
        reason = ORDER
    if recipe.zero_point and integers.zeros.max(initial=0) >= recipe.fmt.code_count:
        reason = BEYOND
    if reason:
        dequantize = partial(_dequantize, group, facts, read)
        return Dequantizable(facts.shape, facts.layout, reason, dequantize)
    if recipe.zero_point:
        return quantized(facts, integers.codes, integers.scales, zero_points=integers.zeros)
    middle = np.uint8(1 << (recipe.fmt.bits - 1))
    return quantized(facts, integers.codes ^ middle, integers.scales)


def _groups(g_idx: Stored | None, count: int) -> Array | None:
    """Return the group of each column, or None if columns stand in the order of their groups."""
    if g_idx is None:
        return None
    groups = np.asarray(g_idx.numbers())
    if groups.size and (groups == -1).all():  # none was computed
        return None
    if groups.size and not 0 <= groups.min() <= groups.max() < count:
        raise ValueError(
            f"{quoted(g_idx.name)} must be groups in 0..{count - 1}, got "
            f"{groups.min()}..{groups.max()}"
        )
    return groups


def _dequantize(group: Group, facts: Facts, read: Read) -> Array:
    """Return (code - zero point) * scale in float32, exact for scales of 16 bits."""
    codes, scales, zeros = read(group, facts)
    columns = facts.shape[-1]
    groups = _groups(group.parts.get("g_idx"), scales.shape[-1])
    if groups is None:
        assert facts.recipe is not None
        width = facts.recipe.block if isinstance(facts.recipe.block, int) else max(columns, 1)
        groups = np.arange(columns) // width
    flat = codes.reshape(-1, columns)
    scale_rows = scales.reshape(len(flat), -1)
    zero_rows = np.broadcast_to(zeros, scales.shape).reshape(len(flat), -1)
    weights = np.empty(flat.shape, np.float32)
    step = max(1, PART // max(columns, 1))
    for first in range(0, len(flat), step):
        rows = slice(first, first + step)
        steps = flat[rows].astype(np.float32) - zero_rows[rows][:, groups].astype(np.float32)
        with np.errstate(all="ignore"):
            weights[rows] = steps * scale_rows[rows][:, groups]
    return weights.reshape(facts.shape)

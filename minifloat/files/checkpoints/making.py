"""A `Quantized` of the codes and scales that a layout found."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from minifloat.files.checkpoints.stored import Array
from minifloat.files.checkpoints.weights import Facts
from minifloat.packing import pack, unpack
from minifloat.quantization.blocks import Blocks
from minifloat.quantization.quantized import Quantized


def quantized(
    facts: Facts,
    codes: Array,
    scales: Array,
    *,
    tensor_scale: float | None = None,
    zero_points: Array | None = None,
) -> Quantized:
    """Return the weights; `Quantized` checks every part.

    Parameters
    ----------
    facts : Facts
        With a recipe.
    codes : ndarray of uint8
        In the shape of the weights; or packed, in one dimension.
    scales, zero_points : ndarray
        In any shape of the same C order as that of the scales.
    tensor_scale : float, optional
    """
    assert facts.recipe is not None
    recipe, shape = facts.recipe, facts.shape
    axis = None if recipe.block == "tensor" or not shape else facts.axis
    held = Blocks.of(recipe.block, shape, axis).scale_shape
    is_packed = codes.ndim == 1 and codes.shape != shape
    return Quantized(
        codes if is_packed else pack(codes.reshape(-1), recipe.fmt.bits),
        np.ascontiguousarray(scales, np.float32).reshape(held),
        recipe,
        shape,
        axis,
        tensor_scale,
        None if zero_points is None else zero_points.astype(np.uint8).reshape(held),
    )


def bits_of_words(words: NDArray[np.uint32], bits: int, count: int) -> NDArray[np.uint8]:
    """Return the first ``count`` codes of each row of words, read as one stream of bits.

    The lowest bits of the first word are the first code, and a code may begin in a word and end in
    the next one.
    """
    rows = np.ascontiguousarray(words, "<u4").view(np.uint8)
    used = rows[..., : -(-count * bits // 8)]
    return np.asarray(unpack(np.ascontiguousarray(used), bits, count, start=0), np.uint8)


def bits_to_words(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint32]:
    """Return codes as rows of words, the inverse of `bits_of_words`; idle bits are 0."""
    packed = pack(codes, bits)
    idle = -packed.shape[-1] % 4
    rows = np.pad(packed, [(0, 0)] * (packed.ndim - 1) + [(0, idle)])
    return np.ascontiguousarray(rows).view("<u4").astype(np.uint32, copy=False)


def codes_and_zeros(q: Quantized) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the unsigned codes of a matrix of integers, and the code that means 0 of each scale.

    Integers of two signs get 2**(bits - 1) added, which is then the zero point of all.
    """
    if q.zero_points is not None:
        return q.codes, q.zero_points
    middle = np.uint8(1 << (q.fmt.bits - 1))
    return q.codes ^ middle, np.full(q.scales.shape, middle)


def padded_codes_of_words(words: NDArray[np.uint32], bits: int, count: int) -> NDArray[np.uint8]:
    """Return the first ``count`` codes of each row of words, of which each holds whole codes."""
    shifts = np.arange(32 // bits, dtype=np.uint32) * np.uint32(bits)
    codes = np.empty((*words.shape[:-1], words.shape[-1], len(shifts)), np.uint8)
    for place, shift in enumerate(shifts):
        codes[..., place] = (words >> shift) & np.uint32((1 << bits) - 1)
    return codes.reshape(*words.shape[:-1], -1)[..., :count]

"""Hadamard rotation of blocks, and what it does to each format's loss.

A block x becomes H D x / sqrt(g), with H the Hadamard matrix of Sylvester (entries +1 and -1) and D
a diagonal of random signs. It is orthonormal, so errors made in rotated blocks are as large when
rotated back, and a sum over a rotated block of weights is that over the block if the activations
are rotated alike. Each element becomes a signed sum of all g, hence nearly Gaussian: an outlier is
spread over its block.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.weights.tensor_statistics import Quartiles, crest_factors
from minifloat.comparison import compare
from minifloat.comparison.records import Loss
from minifloat.formats import NumberFormat

Array = NDArray[Any]


@dataclass(frozen=True)
class RotationEffect:
    """What rotating the blocks of a tensor does to one format's loss.

    Attributes
    ----------
    block_size : int
        Elements that are rotated together and share a scale.
    before, after : Loss
        Of the weights as they are, and of the rotated ones.
    crest_before, crest_after : Quartiles
        Of the crest factors of the blocks.
    """

    block_size: int
    before: Loss
    after: Loss
    crest_before: Quartiles
    crest_after: Quartiles

    @property
    def gain_db(self) -> float:
        """Signal to quantization noise won by rotating, dB; negative where it is lost."""
        return self.after.sqnr_db - self.before.sqnr_db


def rotate(weights: ArrayLike, block_size: int, *, axis: int = -1, seed: int = 0) -> Array:
    """Return weights whose blocks are rotated: H D x / sqrt(g).

    Parameters
    ----------
    weights : array_like
        Of any shape.
    block_size : int
        g, a power of two that divides the length of ``axis``.
    axis : int
        The axis that blocks run along.
    seed : int
        Of the signs, one for each place along ``axis``, the same for all rows.

    Returns
    -------
    ndarray of float64
        New, in the shape of the weights.

    Raises
    ------
    ValueError
        If ``block_size`` is not such a power of two, or there is no such axis.

    Notes
    -----
    The fast Walsh-Hadamard transform: log2(g) passes of sums and differences. `unrotate` gives the
    weights back to some units in the last place of the block's greatest.

    Examples
    --------
    >>> from analysis.weights.hadamard import rotate
    >>> import numpy as np
    >>> np.abs(rotate([[0.0, 0.0, 8.0, 0.0]], 4)).tolist()     # an outlier is spread out
    [[4.0, 4.0, 4.0, 4.0]]
    """
    rows, signs = _rows_and_signs(weights, block_size, axis, seed)
    return _unrows(_transform(rows * signs, block_size), axis)


def unrotate(weights: ArrayLike, block_size: int, *, axis: int = -1, seed: int = 0) -> Array:
    """Undo `rotate`: D H x / sqrt(g).

    Parameters
    ----------
    weights : array_like
        What `rotate` returned, or what quantization made of it.
    block_size, axis, seed : int
        As given to `rotate`.

    Returns
    -------
    ndarray of float64
        New, in the shape of the weights.

    Raises
    ------
    ValueError
        As `rotate`.

    Examples
    --------
    >>> from analysis.weights.hadamard import rotate, unrotate
    >>> unrotate(rotate([1.0, 2.0, 3.0, 4.0], 4, seed=7), 4, seed=7).round(12).tolist()
    [1.0, 2.0, 3.0, 4.0]
    """
    rows, signs = _rows_and_signs(weights, block_size, axis, seed)
    return _unrows(_transform(rows.copy(), block_size) * signs, axis)


def rotation_effects(
    weights: ArrayLike,
    formats: Sequence[str | NumberFormat],
    block_sizes: Iterable[int] = (32, 128),
    *,
    axis: int = -1,
    scale: str = "float16",
    seed: int = 0,
) -> tuple[RotationEffect, ...]:
    """Return what each format loses on weights as they are and rotated.

    Parameters
    ----------
    weights : array_like
        Finite, not all 0.
    formats : sequence of str or format
    block_sizes : iterable of int
        Elements that are rotated together and share a scale.
    axis : int
        The axis that blocks run along.
    scale : str
        Format of the scales, as for `minifloat.quantize`.
    seed : int
        Of the signs.

    Returns
    -------
    tuple of RotationEffect
        For each block size, each format.

    Raises
    ------
    ValueError
        If a format is unknown or given twice, an option is out of range, or the weights are not
        finite or all 0.

    Examples
    --------
    >>> from analysis.weights.hadamard import rotation_effects
    >>> import numpy as np
    >>> weights = np.random.default_rng(0).standard_normal((64, 256))
    >>> weights[:, 7] *= 20
    >>> effect, = rotation_effects(weights, ["int4"], [128])
    >>> effect.gain_db > 5
    True
    """
    original = np.asarray(weights, np.float32)
    effects = []
    for block_size in block_sizes:
        rotated = rotate(original, block_size, axis=axis, seed=seed).astype(np.float32)
        both = {"before": original, "after": rotated}
        result = compare(both, formats, block_size=block_size, axis=axis, scale=scale)
        crests = (
            Quartiles.of(crest_factors(w, block_size=block_size, axis=axis)) for w in both.values()
        )
        crest_before, crest_after = crests
        before, after = (tensor.losses for tensor in result.tensors)
        effects += [
            RotationEffect(block_size, *losses, crest_before, crest_after)
            for losses in zip(before, after, strict=True)
        ]
    return tuple(effects)


def _rows_and_signs(
    weights: ArrayLike, block_size: int, axis: int, seed: int
) -> tuple[Array, Array]:
    """Return the weights in float64 with the axis last, and a sign for each place along it."""
    w = np.asarray(weights, np.float64)
    if not -w.ndim <= axis < w.ndim:
        raise ValueError(f"axis must be an axis of weights, of shape {w.shape}, got {axis}")
    length = w.shape[axis]
    if block_size < 1 or block_size & (block_size - 1) or length % block_size:
        raise ValueError(
            f"block_size must be a power of two that divides the axis's length {length}, "
            f"got {block_size}"
        )
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], length)
    return np.moveaxis(w, axis, -1), signs


def _transform(rows: Array, block_size: int) -> Array:
    """Multiply each block by H / sqrt(g): sums and differences of elements 1, 2, 4, ... apart."""
    out = np.ascontiguousarray(rows)
    apart = 1
    while apart < block_size:
        pairs = out.reshape(-1, 2, apart)
        sums = pairs[:, 0] + pairs[:, 1]
        np.subtract(pairs[:, 0], pairs[:, 1], out=pairs[:, 1])
        pairs[:, 0] = sums
        apart *= 2
    out /= math.sqrt(block_size)
    return out


def _unrows(rows: Array, axis: int) -> Array:
    return np.ascontiguousarray(np.moveaxis(rows, -1, axis))

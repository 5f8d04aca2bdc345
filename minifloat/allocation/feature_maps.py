"""Widths of feature maps within a memory (QuantMCU): patches with outliers, scores by entropy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat._tensors import AnyTensor
from minifloat.formats.base import check_int, shown
from minifloat.quantization.checks import wide_floats

WIDEST = 8


def outlier_patches(
    x: ArrayLike | AnyTensor,
    rows: SupportsIndex,
    columns: SupportsIndex,
    *,
    deviations: float = 4.0,
) -> NDArray[np.bool_]:
    """Return which patches of a feature map hold an outlier, and stay at 8 bits.

    QuantMCU (arXiv 2401.13714) cuts a map into patches, and gives those with outliers 8 bits, the
    others fewer. What an outlier is there is not known to us; ours is below.

    Parameters
    ----------
    x : array_like of float, (..., height, width)
        Finite; all channels together.
    rows, columns : int
        Patches along height and width: sizes differ by one at most.
    deviations : float
        An outlier is so many standard deviations from the mean of the map, or more.

    Returns
    -------
    ndarray of bool, (rows, columns)

    Raises
    ------
    ValueError
        If the map has less than two dimensions or is smaller than the patches, or is not finite.
    TypeError
        If an argument has another type.

    Examples
    --------
    >>> x = np.random.default_rng(0).uniform(-1, 1, (3, 8, 8))
    >>> x[1, 2, 7] = 30
    >>> outlier_patches(x, 2, 2)
    array([[False,  True],
           [False, False]])
    """
    array = _finite("x", x)
    rows, columns = check_int("rows", rows, 1), check_int("columns", columns, 1)
    if array.ndim < 2 or array.shape[-2] < rows or array.shape[-1] < columns:
        raise ValueError(
            f"x must be of at least {rows} rows and {columns} columns, got shape {array.shape}"
        )
    limit = _number("deviations", deviations)
    spread = float(array.std())
    far = np.abs(array - array.mean()) >= limit * spread if spread else np.zeros(array.shape, bool)
    by_place = far.reshape(-1, *array.shape[-2:]).any(axis=0)
    return np.array(
        [
            [part.any() for part in np.array_split(band, columns, axis=1)]
            for band in np.array_split(by_place, rows, axis=0)
        ]
    )


def vdqs(
    maps: Mapping[str, ArrayLike | AnyTensor],
    operations: Mapping[str, float],
    memory: float,
    *,
    widths: Sequence[int] = (8, 4, 2),
    entropy_weight: float = 0.5,
) -> dict[str, int]:
    """Return the width of each feature map, so that all fit into a memory: QuantMCU's search.

    All maps begin at the first width. As long as they do not fit, one gets the next width: that of
    the highest score (1 - entropy_weight) Phi - entropy_weight Omega. The score is that of QuantMCU
    (arXiv 2401.13714), whose normalization is not known to us. Ours: Phi is the bit operations that
    the step saves, over those of the largest map at the first width; Omega is the entropy that the
    map loses by the step, over its entropy at the first width. The entropy is that of the codes of
    a uniform quantization from the least to the largest value.

    Parameters
    ----------
    maps : mapping of str to array_like of float
        Finite, and not empty.
    operations : mapping of str to float
        Multiplications by each map's values; at least 0.
    memory : float
        Bytes for all maps together.
    widths : sequence of int
        Of decreasing width, 1 to 8.
    entropy_weight : float
        Lambda, 0 to 1.

    Returns
    -------
    dict of str to int

    Raises
    ------
    ValueError
        If the maps do not fit at the last width, or an argument is out of range.
    TypeError
        If an argument has another type.

    Notes
    -----
    A greedy search: `minifloat.allocate` finds the best choice where losses add.

    Examples
    --------
    Of two maps of a size the one with fewer values, which needs them less, gets the narrow width:

    >>> x = np.random.default_rng(0).uniform(size=4096)
    >>> vdqs({"a": x, "b": x.round()}, {"a": 1e6, "b": 1e6}, 6200)
    {'a': 8, 'b': 4}
    """
    chosen = [check_int("widths", width, 1, WIDEST) for width in widths]
    if not chosen or sorted(set(chosen), reverse=True) != chosen:
        raise ValueError(f"widths must decrease, got {shown(widths)}")
    weight = _number("entropy_weight", entropy_weight)
    if not 0 <= weight <= 1:
        raise ValueError(f"entropy_weight must be 0 to 1, got {weight}")
    limit = _number("memory", memory)
    arrays = {name: _finite("maps", x) for name, x in maps.items()}
    missing = [name for name in arrays if name not in operations]
    if not arrays or missing:
        raise ValueError(f"operations must have each of the maps, got none for {missing or maps}")
    work = {name: _number("operations", operations[name]) for name in arrays}
    if not all(0 <= each < math.inf for each in work.values()):
        raise ValueError(
            f"operations must be finite and at least 0, got {shown(list(work.values()))}"
        )
    entropies = {name: [entropy(x, width) for width in chosen] for name, x in arrays.items()}
    most = chosen[0] * max(work.values()) or 1.0
    at = dict.fromkeys(arrays, 0)

    def score(name: str) -> float:
        step, bits = at[name], entropies[name]
        saved = work[name] * (chosen[step] - chosen[step + 1]) / most
        lost = (bits[step] - bits[step + 1]) / bits[0] if bits[0] else 0.0
        return (1 - weight) * saved - weight * lost

    while sum(x.size * chosen[at[name]] for name, x in arrays.items()) > 8 * limit:
        open_ones = [name for name in arrays if at[name] + 1 < len(chosen)]
        if not open_ones:
            least = sum(x.size for x in arrays.values()) * chosen[-1] / 8
            raise ValueError(f"memory must be at least {least:g} bytes, got {limit:g}")
        at[max(open_ones, key=score)] += 1
    return {name: chosen[step] for name, step in at.items()}


def entropy(x: ArrayLike | AnyTensor, bits: SupportsIndex) -> float:
    """Return the entropy of values in a uniform quantization from the least to the largest one.

    Parameters
    ----------
    x : array_like of float
        Finite, and not empty.
    bits : int
        1 to 8: there are 2**bits codes.

    Returns
    -------
    float
        Bits for each value; 0 if all are the same.

    Raises
    ------
    ValueError, TypeError
        As for `vdqs`.

    Examples
    --------
    >>> entropy([0.0, 1.0, 2.0, 3.0], 2), entropy([0.0, 1.0, 2.0, 3.0], 1)
    (2.0, 1.0)
    """
    array = _finite("x", x)
    levels = (1 << check_int("bits", bits, 1, WIDEST)) - 1
    low, high = float(array.min()), float(array.max())
    if low == high:
        return 0.0
    codes = np.rint((array / 2 - low / 2) / (high / 2 - low / 2) * levels).astype(np.int64)
    counts = np.bincount(codes.reshape(-1), minlength=levels + 1)
    shares = counts[counts > 0] / array.size
    return float(-(shares * np.log2(shares)).sum())


def _finite(name: str, x: ArrayLike | AnyTensor) -> NDArray[np.float64]:
    array = wide_floats(name, x)
    if not array.size or not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite and not empty, got shape {array.shape}")
    return array


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(f"{name} must be a number, got {shown(value)}")
    number = float(value)
    if math.isnan(number):
        raise ValueError(f"{name} must be a number, got nan")
    return number

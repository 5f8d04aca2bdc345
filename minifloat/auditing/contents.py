"""`inspect`: what is in a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.auditing.pictures import picture
from minifloat.auditing.records import Contents, TensorContents
from minifloat.auditing.sources import Source, Tensors, Value, floats
from minifloat.formats import NumberFormat
from minifloat.quantization.quantized import Quantized

Array = NDArray[Any]

HISTOGRAM_BITS = 8  # of the widest codes that are counted
PART = 1 << 20  # codes that are counted at a time
FEW_CODES_BITS, ENOUGH = (
    4,
    1000,
)  # unused codes are odd in formats of so few bits, from so many weights
BLOCK = 8  # weights of the smallest block that can be odd
HALF = 0.5  # of a block's codes, at the largest magnitude: more are odd


def inspect(source: Source, *, progress: Callable[[int, int], object] | None = None) -> Contents:
    """Read a checkpoint: formats, sizes, codes, scales, and what looks odd.

    Odd are, in a quantized tensor: scales of 0 or NaN, codes of NaN or infinity, blocks of which
    more than half of the codes have the largest magnitude, and codes of a format of up to 4 bits
    that 1000 weights or more never use (but -0, and the least code of an integer format that is
    lopsided). In others: numbers that are not finite. Odd need not be wrong.

    Parameters
    ----------
    source : path, or mapping of names to weights
        As `minifloat.files.checkpoints.open_checkpoint` takes it.
    progress : callable, optional
        Called after each tensor with the tensors done and all tensors.

    Returns
    -------
    Contents

    Raises
    ------
    WeightsError
        If the file cannot be opened.
    TypeError
        If ``source`` is something else.

    Examples
    --------
    >>> import numpy as np
    >>> import minifloat as mf
    >>> from minifloat.auditing import inspect
    >>> w = np.linspace(-1, 1, 4096, dtype=np.float32).reshape(64, 64)
    >>> contents = inspect({"w": mf.quantize(w, "int2/tensor/float16")})
    >>> contents.tensors[0].histogram
    (2048, 1024, 0, 1024)
    >>> contents.bits_per_weight
    2.00390625
    """
    held = Tensors("source", source)
    tensors: list[TensorContents] = []
    layouts: dict[str, None] = {}
    skipped = list(held.unreadable.items())
    counts: dict[NumberFormat, Array] = {}
    for done, name in enumerate(held.names, 1):
        try:
            value = held.load(name)
            tensor = _tensor(name, value, held)
        except ValueError as error:
            skipped.append((name, str(error)))
            continue
        tensors.append(tensor)
        if tensor.layout:
            layouts[tensor.layout] = None
        if isinstance(value, Quantized) and tensor.histogram:
            added = np.asarray(tensor.histogram)
            counts[value.fmt] = counts.get(value.fmt, np.zeros_like(added)) + added
        if progress is not None:
            progress(done, len(held.names))
    pictures = tuple(picture(fmt, many) for fmt, many in counts.items())
    return Contents(held.source, tuple(layouts), tuple(tensors), tuple(skipped), pictures)


def _tensor(name: str, value: Value, held: Tensors) -> TensorContents:
    about = held.describe(name)
    shape, layout = tuple(value.shape), "" if about is None else about.layout
    if isinstance(value, Quantized):
        size = value.nbytes if about is None else about.bits // 8
        dtype = value.recipe.formats if about is None else about.dtype
        bits = value.bits_per_weight if about is None else about.bits_per_weight
        blank = TensorContents(name, layout, str(value.recipe), dtype, shape, bits, size)
        return _quantized(blank, value)
    array = floats(value)
    size = array.nbytes if about is None else about.bits // 8
    dtype = array.dtype.name if about is None else about.dtype
    count = math.prod(shape)
    wrong = _not_finite(array.reshape(-1))
    odd = (f"{wrong} not finite",) if wrong else ()
    bits = 8 * size / count if count else 0.0
    return TensorContents(name, layout, "", dtype, shape, bits, size, anomalies=odd)


def _not_finite(flat: Array) -> int:
    parts = (flat[start : start + PART] for start in range(0, flat.size, PART))
    return sum(int(part.size - np.isfinite(part).sum()) for part in parts)


def _quantized(blank: TensorContents, q: Quantized) -> TensorContents:
    if q.fmt.is_lookup:
        return blank  # a code has another value in each block
    odd: list[str] = []
    scales = q.scales.astype(np.float64).reshape(-1) * (q.tensor_scale or 1.0)
    used = scales[scales > 0]
    zero, nan = int((scales == 0).sum()), int(np.isnan(scales).sum())
    if zero:
        odd.append(f"{zero} zero scales")
    if nan:
        odd.append(f"{nan} NaN scales")
    blank = replace(blank, zero_scales=zero, nan_scales=nan)
    if used.size:
        blank = replace(blank, scale_min=float(used.min()), scale_max=float(used.max()))
    if q.fmt.bits > HISTOGRAM_BITS or not q.size or q.choices is not None:  # of no one format
        return replace(blank, anomalies=tuple(odd))
    values = q.fmt.values()
    codes = q.codes
    counts = _counts(codes.reshape(-1), len(values))
    is_largest = _largest(q, values)
    blocks = _saturated_blocks(q, is_largest[codes])
    for word, mask in (("NaN", np.isnan(values)), ("infinite", np.isinf(values))):
        if many := int(counts[mask].sum()):
            odd.append(f"{many} {word} codes")
    if blocks:
        odd.append(f"{blocks} saturated blocks")
    if unused := _unused(q, values, counts):
        odd.append(f"codes never used: {', '.join(map(str, unused))}")
    return replace(
        blank,
        histogram=tuple(int(count) for count in counts),
        saturated=float(counts[is_largest].sum() / q.size),
        saturated_blocks=blocks,
        anomalies=tuple(odd),
    )


def _counts(codes: Array, count: int) -> Array:
    counts = np.zeros(count, np.int64)
    for start in range(0, codes.size, PART):
        counts += np.bincount(codes[start : start + PART], minlength=count)
    return counts


def _largest(q: Quantized, values: Array) -> NDArray[np.bool_]:
    """Return which codes have the largest magnitude; with zero points, are the first or last."""
    if q.zero_points is not None:
        places = np.arange(len(values))
        return np.asarray((places == 0) | (places == len(values) - 1))
    magnitudes = np.where(np.isfinite(values), np.abs(values), 0)
    return np.asarray((magnitudes >= q.fmt.max_abs) & (magnitudes > 0))


def _saturated_blocks(q: Quantized, at_largest: NDArray[np.bool_]) -> int:
    """Return the runs of a row that share a scale of which more than half is so."""
    rows = q.blocks.rows(at_largest)
    starts = np.arange(0, q.blocks.length, q.blocks.width)
    lengths = np.diff([*starts, q.blocks.length])
    many = np.add.reduceat(rows, starts, axis=1, dtype=np.int32)
    return int(((many > HALF * lengths) & (lengths >= BLOCK)).sum())


def _unused(q: Quantized, values: Array, counts: Array) -> list[int]:
    """Return codes that are never used, and should be."""
    if q.fmt.bits > FEW_CODES_BITS or q.size < ENOUGH:
        return []
    is_wanted = np.isfinite(values) & (np.abs(values) <= q.fmt.max_abs)
    if q.zero_points is None:
        is_wanted &= values != 0
    return [int(code) for code in np.flatnonzero(is_wanted & (counts == 0))]

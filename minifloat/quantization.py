"""Weights to codes with scales: `quantize`; `search_format` tries all formats of a width.

Each block of neighbours along an axis gets a scale (`minifloat.scales` has the rules), and each
weight of it the code ``encode(w / scale)``. The quotient is taken in float64, where it is on the
right side of every decision point of a format of up to 11 bits of precision, for float32 weights
and scales: a quotient that is not on a decision point differs from it by more than float64's
rounding error. So each weight is rounded once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays, _plans, gptq
from minifloat._codes import code_dtype
from minifloat._kernels import quantization as kernels
from minifloat._number_format import check_bool, check_int
from minifloat.codec import encode
from minifloat.formats import Format, Integer, NumberFormat
from minifloat.names import parse
from minifloat.packing import byte_count, pack, unpack
from minifloat.presets import PRESETS
from minifloat.quantized import (
    DOUBLE_BLOCK,
    DOUBLE_FORMAT,
    DoubleScales,
    Quantized,
    as_rows,
    spread,
)
from minifloat.rounding import NaNPolicy, Overflow, Rounding, choose
from minifloat.scales import (
    ScaleRounding,
    ScaleSearch,
    levels,
    powers_of_two,
    reach,
    scale_format,
    scale_rule,
)

Array = NDArray[Any]

CHUNK = 1 << 20  # elements that are quantized at a time
STEPS = 1 << 20  # steps of the search for the least squared error that are sorted at a time
SHRINK_STEPS, SHRINK_GAP, SHRINK_POWER = 80, 0.01, 2.4
LEAST_FLOAT32 = 2.0**-149
NO_IMPORTANCE = np.empty(0, np.float64)


def quantize(
    w: ArrayLike,
    fmt: NumberFormat | str,
    *,
    block_size: int | None = 128,
    axis: int | None = -1,
    scale: Format | str = "float16",
    rule: ScaleSearch | str = ScaleSearch.ABSMAX,
    scale_rounding: ScaleRounding | str | None = None,
    tensor_scale: bool = False,
    double_quantize: bool = False,
    zero_point: bool = False,
    percentile: float = 99.9,
    importance: ArrayLike | None = None,
    hessian: ArrayLike | None = None,
    damp: float = 0.01,
    threads: int = 1,
) -> Quantized:
    """Quantize weights to ``fmt`` with a scale for each block.

    An all-zero block gets scale 0 (or the least one, of a format without zero) and comes back as
    zeros. A scale too small for its format becomes its least positive value, never 0. Ties go to
    the even code. `minifloat.PRESETS` has the options of MXFP4, NVFP4 and others.

    Parameters
    ----------
    w : array_like of float16, bfloat16, float32, float64 or integers
        Finite weights of any shape.
    fmt : format or str
        A `Format`, `Integer` or `Codebook`, or a name such as ``"e2m2"``.
    block_size : int, optional
        Elements along ``axis`` that share a scale; the last block may be shorter. None: the whole
        length of the axis (one scale for each channel).
    axis : int, optional
        The axis that blocks run along. None: one scale for the whole tensor.
    scale : Format or str
        Format of the scales: float32, or a `Format` whose values float32 holds, or its name.
    rule : ScaleSearch or str
        "absmax", "mse", "percentile" or "shrink"; see `minifloat.ScaleSearch`.
    scale_rounding : ScaleRounding or str, optional
        "nearest_even", or to a power of two: "floor", "ceil", "nearest", "even", "up" or "down";
        see `minifloat.ScaleRounding`. None: "floor", as OCP Microscaling has it, where the scale's
        format has powers of two alone (e8m0), else "nearest_even".
    tensor_scale : bool
        Whether the scales of blocks are multiplied by one float32 number T. It is the greatest
        scale over the greatest value of ``scale`` (over 1 where scales are powers of two), and
        absmax in the rules is absmax / T.
    double_quantize : bool
        Whether the scales, of which ``scale="float32"`` is then required, are quantized to E4M3FN
        in blocks of 256 after their mean is subtracted (QLoRA). A difference by which a scale
        would not be above 0 goes to a greater value. Codes are of the scales as they come back.
    zero_point : bool
        Whether each block has, beside its scale, a code that means 0. For an unsigned `Integer`,
        with rule "absmax": with lo = min(0, least weight) and hi = max(0, greatest weight) the
        scale is that of hi - lo, the zero round(-lo / scale), and a code round(w / scale) + zero,
        both cut off at the format's ends.
    percentile : float
        Of rule "percentile", 0 to 100.
    importance : array_like of float, optional
        A factor for each squared error, at least 0, of a shape that broadcasts to that of ``w``;
        for rule "mse".
    hessian : array_like of float, optional
        X^T X, of shape (inputs, inputs), of a layer's calibration inputs X, a row to each sample
        (any factor will do). The weights, of shape (outputs, inputs), are then rounded by GPTQ: one
        column after another, those to come making up for the errors so far (`minifloat.gptq`).
        A block's scale and zero are found, by the same rules, when the columns before it are
        rounded, from what its weights have become. The weights of an input that is always 0 are
        rounded to nearest.
    damp : float
        This times the mean of the Hessian's diagonal is added to its diagonal.
    threads : int
        Threads to share the blocks among; the result does not depend on it.

    Returns
    -------
    Quantized

    Raises
    ------
    ValueError
        If a weight is infinite or NaN (with its index), a scale is beyond its format, a weight is
        negative and the format has no negative values, an option has no such value, or two do not
        go together; if ``hessian`` has another shape, or is not finite, symmetric and positive
        semidefinite (when damped, definite).
    TypeError
        If ``w`` or ``hessian`` is not numeric, or an option of another type.

    Notes
    -----
    With rule "mse" a block of n weights takes up to 40 bytes times n times the number of values of
    the format, and at most 40 MiB or 160 n bytes.

    With a Hessian of n inputs GPTQ takes 32 n**2 bytes at most, and for each thread some 10 MiB or
    32 n bytes. Where a scale that only updated weights ask for is beyond its format, it is the
    greatest that the format has. Updates are sums in float64 by BLAS: an updated weight so near to
    a decision point that their order matters may go either way on another machine. With a diagonal
    Hessian the result is that without one.

    Examples
    --------
    >>> import minifloat as mf
    >>> q = mf.quantize([[1.0, -0.5, 0.1, 0.02]], "e2m2", block_size=2, scale="float32")
    >>> q.codes.tolist(), q.scales.tolist()
    ([[15, 27, 15, 6]], [[0.1428571492433548, 0.014285714365541935]])
    >>> q.bits_per_weight
    21.0
    >>> mf.quantize([0.9, -0.4], "e2m1", scale="e8m0").scales
    array([0.125], dtype=float32)

    The last two inputs are the same, so of their weights only the sum matters:

    >>> hessian = [[1, 0, 0], [0, 1, 1], [0, 1, 1]]
    >>> mf.quantize([[1.0, 0.4, 0.4]], "int2", hessian=hessian).dequantize()
    array([[1., 0., 1.]], dtype=float32)
    """
    fmt = _format(fmt)
    weights, name = _arrays.source_array(w)
    axis = _check_blocks(weights, block_size, axis)
    scale_name, _, grid = scale_format(scale)
    rule = choose(ScaleSearch, "rule", rule)
    if scale_rounding is None:
        scale_rounding = ScaleRounding.NEAREST_EVEN if grid.mantissa_bits else ScaleRounding.FLOOR
    rounding = choose(ScaleRounding, "scale_rounding", scale_rounding)
    _check_options(fmt, rule, scale_name, tensor_scale, double_quantize, zero_point, percentile)
    _arrays.check_threads(threads)
    feedback = _feedback(hessian, damp, fmt, weights, axis, double_quantize, zero_point)
    rows, length = as_rows(weights, axis)
    job = _Job(
        fmt=fmt,
        weights=weights,
        axis=axis,
        rows=rows,
        length=length,
        size=block_size if block_size is not None and axis is not None else max(length, 1),
        dtype=np.dtype(np.float64 if name == "float64" else np.float32),
        scale_name=scale_name,
        grid=grid,
        rounding=rounding,
        rule=rule,
        percentile=float(percentile),
        importance=_importance(importance, rule, weights, axis),
        zero_point=zero_point,
        double=double_quantize,
        feedback=feedback,
    )
    if tensor_scale:
        job.tensor = job.find_tensor_scale()
    return job.run(block_size if axis is not None else None, threads)


def search_format(w: ArrayLike, bits: int, **options: Any) -> Quantized:
    """Quantize weights in every ExMy format of a width, and return the one of least squared error.

    This is the search for a format of LLM-FP4 (arXiv 2310.16836), whose real-valued bias is a free
    scale: ``scale="float32", rule="mse"``.

    Parameters
    ----------
    w : array_like
        As for `quantize`.
    bits : int
        Width of a code, 3 to 8: a sign, E >= 1 exponent bits and M = bits - 1 - E mantissa bits,
        without infinities and NaN. Of equal errors the least E wins.
    **options
        As for `quantize`.

    Returns
    -------
    Quantized

    Raises
    ------
    ValueError, TypeError
        If ``bits`` is out of range, and as `quantize`.

    Examples
    --------
    >>> import minifloat as mf
    >>> mf.search_format([1.0, 2.0, 4.0, -8.0], 4, scale="float32").fmt.name
    'e3m0'
    """
    check_int("bits", bits, 3, 8)
    weights = np.asarray(w)
    found = [
        quantize(weights, Format(exponent_bits, bits - 1 - exponent_bits), **options)
        for exponent_bits in range(1, bits)
    ]
    return min(found, key=lambda q: _squared_error(weights, q))


def _squared_error(weights: Array, quantized: Quantized) -> float:
    rest = weights.astype(np.float64) - quantized.dequantize()
    return float(np.square(rest).sum())


def _format(fmt: NumberFormat | str) -> NumberFormat:
    try:
        return parse(fmt)
    except ValueError:
        if fmt not in PRESETS:
            raise
        raise ValueError(
            f"fmt must be a format, and {fmt} is a preset, which has one; use "
            f'minifloat.quantize(w, **mf.PRESETS["{fmt}"])'
        ) from None


def _check_blocks(weights: Array, block_size: int | None, axis: int | None) -> int | None:
    """Return the axis, non-negative, or None for one scale."""
    for name, value in (("block_size", block_size), ("axis", axis)):
        if value is not None and not (isinstance(value, int) and not isinstance(value, bool)):
            raise TypeError(f"{name} must be an int or None, got {value!r}")
    if block_size is not None and block_size < 1:
        raise ValueError(f"block_size must be at least 1 (or None for all), got {block_size}")
    if axis is None or weights.ndim == 0:
        return None
    if not -weights.ndim <= axis < weights.ndim:
        raise ValueError(f"axis must be an axis of w, of shape {weights.shape}, got {axis}")
    return axis % weights.ndim


def _check_options(
    fmt: NumberFormat,
    rule: ScaleSearch,
    scale: str,
    tensor_scale: bool,
    double_quantize: bool,
    zero_point: bool,
    percentile: float,
) -> None:
    check_bool("tensor_scale", tensor_scale)
    check_bool("double_quantize", double_quantize)
    check_bool("zero_point", zero_point)
    if not 0 <= percentile <= 100:
        raise ValueError(f"percentile must be in 0..100, got {percentile}")
    if double_quantize and (scale != "float32" or tensor_scale):
        raise ValueError(
            'scale must be "float32", without tensor_scale, to be quantized by double_quantize, '
            f"got {scale}"
        )
    if zero_point and not (isinstance(fmt, Integer) and not fmt.signed):
        raise ValueError(f"fmt must be an unsigned integer such as uint4 for zero_point, got {fmt}")
    if zero_point and (rule is not ScaleSearch.ABSMAX or tensor_scale):
        raise ValueError(
            f'rule must be "absmax", without tensor_scale, for zero_point, got {rule.value!r}'
        )


def _importance(
    importance: ArrayLike | None, rule: ScaleSearch, weights: Array, axis: int | None
) -> Array | None:
    """Return the importance of each weight in rows, or None."""
    if importance is None:
        return None
    if rule is not ScaleSearch.MSE:
        raise ValueError(f'importance must come with rule="mse", got rule={rule.value!r}')
    factors = np.asarray(importance, np.float64)
    if not (np.isfinite(factors) & (factors >= 0)).all():
        raise ValueError("importance must be finite and at least 0, got others")
    try:
        factors = np.broadcast_to(factors, weights.shape)
    except ValueError:
        raise ValueError(
            f"importance must broadcast to the shape of w, {weights.shape}, got {factors.shape}"
        ) from None
    return as_rows(factors, axis)[0]


def _feedback(
    hessian: ArrayLike | None,
    damp: float,
    fmt: NumberFormat,
    weights: Array,
    axis: int | None,
    double_quantize: bool,
    zero_point: bool,
) -> Array | None:
    """Return GPTQ's factors of the errors, or None."""
    gptq.check_damp(damp)
    if hessian is None:
        return None
    if weights.ndim != 2 or axis != 1:
        raise ValueError(
            "hessian must come with w of shape (outputs, inputs) and axis=-1, got shape "
            f"{weights.shape} and axis={axis}"
        )
    if double_quantize:
        raise ValueError("hessian must come without double_quantize, which needs all scales first")
    if fmt.min >= 0 and not zero_point:
        raise ValueError(
            "hessian must come with a format that has negative values, or with zero_point=True, "
            f"got {fmt}: an updated weight may be below 0"
        )
    return gptq.feedback(hessian, weights.shape[1], damp)


@dataclass
class _Job:
    """One call of `quantize`, its arguments checked; ``rows`` are the weights along the axis."""

    fmt: NumberFormat
    weights: Array
    axis: int | None
    rows: Array
    length: int
    size: int
    dtype: np.dtype[Any]
    scale_name: str
    grid: kernels.ScaleGrid
    rounding: ScaleRounding
    rule: ScaleSearch
    percentile: float
    importance: Array | None
    zero_point: bool
    double: bool
    tensor: float | None = None
    feedback: Array | None = None
    saturates: bool = False  # whether a scale beyond its format becomes its greatest

    @property
    def blocks(self) -> int:
        """Blocks to a row."""
        return 1 if self.axis is None else -(-self.length // self.size)

    @property
    def searched_grid(self) -> kernels.ScaleGrid:
        """The scales that a block may have."""
        powers = self.rounding is not ScaleRounding.NEAREST_EVEN
        return powers_of_two(self.grid) if powers else self.grid

    def run(self, block_size: int | None, threads: int) -> Quantized:
        count = self.rows.shape[0]
        dtype = code_dtype(self.fmt.bits)
        packed = np.empty(byte_count(self.rows.size, self.fmt.bits), np.uint8)
        scales = np.empty((count, self.blocks), np.float32)
        zeros = np.zeros(scales.shape, dtype) if self.zero_point else None

        def find(some: slice) -> None:
            scales[some] = self.find_scales(some).reshape(-1, self.blocks)

        def put_codes(some: slice, write: Callable[..., None]) -> None:
            codes = np.empty((some.stop - some.start, self.length), dtype)
            write(some, scales[some], None if zeros is None else zeros[some], codes)
            first = some.start * self.length * self.fmt.bits // 8
            held = packed[first : first + byte_count(codes.size, self.fmt.bits)]
            pack(codes.reshape(-1), self.fmt.bits, out=held)

        def put(some: slice) -> None:
            if zeros is not None:
                zeros[some] = self.find_zeros(some, scales[some])
            put_codes(some, self.encode)

        def both(some: slice) -> None:
            find(some)
            put(some)

        def walk(some: slice) -> None:
            put_codes(some, self.walk)

        double = None
        if self.feedback is not None:
            self.each_chunk(walk, threads)
        elif self.double:
            self.each_chunk(find, threads)
            double = _double_scales(self.restore(scales).reshape(-1))
            scales = self.as_found(double.values())
            self.each_chunk(put, threads)
        else:
            self.each_chunk(both, threads)
        return Quantized(
            packed=self.restore_packed(packed),
            scales=self.restore(scales),
            fmt=self.fmt,
            shape=self.weights.shape,
            block_size=block_size,
            axis=self.axis,
            scale_format=self.scale_name,
            tensor_scale=self.tensor,
            zeros=None if zeros is None else self.restore(zeros),
            double=double,
        )

    def each_chunk(self, work: Callable[[slice], None], threads: int) -> None:
        """Call ``work`` for rows that fit in the cache, or a few; their codes begin at a byte."""
        count = self.rows.shape[0]
        whole = 8 // math.gcd(8, self.length)
        step = max(1, CHUNK // max(self.length, 1) // whole) * whole
        chunks = [slice(i, min(i + step, count)) for i in range(0, count, step)]
        if threads == 1:
            for some in chunks:
                work(some)
            return
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(work, chunks):
                pass

    def chunk(self, some: slice) -> Array:
        """Return weights as float32 or float64, contiguous."""
        return np.ascontiguousarray(self.rows[some], self.dtype)

    def find_tensor_scale(self) -> float:
        """Return the factor of all scales; 1 for zeros."""
        greatest = [0.0]
        self.each_chunk(lambda some: greatest.append(self.greatest(some).max(initial=0)), 1)
        powers = self.grid.mantissa_bits == 0 or self.rounding is not ScaleRounding.NEAREST_EVEN
        exact = max(greatest) / reach(self.fmt) / (1.0 if powers else self.grid.greatest)
        with np.errstate(over="ignore"):
            found = np.float32(exact)
        # the greatest block's scale over this one must not be just beyond a power of two
        if self.rounding is ScaleRounding.DOWN and found > exact:
            found = np.nextafter(found, np.float32(0))
        if self.rounding is ScaleRounding.UP and found < exact:
            found = np.nextafter(found, np.float32(np.inf))
        if found == np.inf:
            raise ValueError(f"tensor_scale must be a float32 number, got {exact:g}; scale w down")
        if found == 0:
            return 1.0 if exact == 0 else LEAST_FLOAT32
        return float(found)

    def greatest(self, some: slice) -> Array:
        """Return the greatest magnitude of each block, all of them finite."""
        chunk = self.chunk(some).reshape(-1)
        found = np.zeros(self.rows[some].shape[0] * self.blocks)
        if chunk.size == 0:
            return found
        word: type[np.int32 | np.int64] = np.int32 if self.dtype == np.float32 else np.int64
        room = np.empty(1, word)
        signs = kernels.greatest(
            chunk.view(word), room, room.view(self.dtype), found, self.length, self.size
        )
        if not np.isfinite(found).all():
            row, k = divmod(int(np.flatnonzero(~np.isfinite(found))[0]), self.blocks)
            place = self.index(some.start + row, k)
            raise ValueError(
                f"w must be finite, got {self.weights[place]} at index {place}; replace it before "
                "quantizing"
            )
        if signs and self.fmt.min >= 0 and not self.zero_point and (chunk < 0).any():
            raise ValueError(f"fmt must have negative values for weights below 0, got {self.fmt}")
        return found

    def find_scales(self, some: slice) -> Array:
        """Return the scales of the blocks of some rows."""
        most = self.greatest(some)
        chunk = self.chunk(some)
        if self.rule is ScaleSearch.PERCENTILE:
            part = self.percentiles(chunk)
            most = np.where(part > 0, part, most)
        if self.zero_point:
            low, high = self.ends(chunk)
            most = (high - low).reshape(-1)
        tensor = 1.0 if self.tensor is None else self.tensor
        rule = scale_rule(self.fmt, self.rounding, tensor)
        found = np.empty(most.size)
        kernels.scales(most, self.grid, rule, found)
        if self.saturates:
            np.minimum(found, self.searched_grid.greatest, out=found)
        if not np.isfinite(found).all():
            row, k = divmod(int(np.flatnonzero(~np.isfinite(found))[0]), self.blocks)
            with np.errstate(over="ignore"):
                wanted = most[row * self.blocks + k] / rule.reference
            raise ValueError(
                f"scale must hold every block's scale, got {wanted:g} for {self.scale_name}, in "
                f"block {k} of row {some.start + row}; use a wider scale or smaller weights"
            )
        if chunk.size and self.rule is ScaleSearch.MSE:
            self.least_squares(some, chunk, tensor, found)
        if chunk.size and self.rule is ScaleSearch.SHRINK:
            kernels.shrink(
                chunk.reshape(-1), NO_IMPORTANCE, self.length, self.size, tensor,
                levels(self.fmt), self.grid, rule, SHRINK_STEPS, SHRINK_GAP, SHRINK_POWER, most,
                found,
            )  # fmt: skip
        return found

    def least_squares(self, some: slice, chunk: Array, tensor: float, found: Array) -> None:
        importance = NO_IMPORTANCE
        if self.importance is not None:
            importance = np.ascontiguousarray(self.importance[some], np.float64).reshape(-1)
        found_levels = levels(self.fmt)
        longest = min(self.size, self.length)
        steps = min(longest * found_levels.values.size, max(STEPS, 4 * longest))
        floats, places = np.empty((2, steps)), np.empty((3, steps), np.int64)
        kernels.least_squares(
            chunk.reshape(-1), importance, self.length, self.size, tensor, found_levels,
            self.searched_grid,
            kernels.Room(floats[0], places[0], floats[1], places[1], places[2]), found,
        )  # fmt: skip

    def percentiles(self, chunk: Array) -> Array:
        magnitudes = np.abs(chunk.astype(np.float64))
        found = np.zeros((chunk.shape[0], self.blocks))
        for k in range(self.blocks if chunk.size else 0):
            block = magnitudes[:, k * self.size : (k + 1) * self.size]
            found[:, k] = np.percentile(block, self.percentile, axis=1)
        return found.reshape(-1)

    def ends(self, chunk: Array) -> tuple[Array, Array]:
        """Return the least and the greatest of each block's weights and 0."""
        if chunk.size == 0:
            zeros = np.zeros((chunk.shape[0], self.blocks))
            return zeros, zeros
        starts = np.arange(0, self.length, self.size)
        weights = chunk.astype(np.float64)
        low = np.minimum.reduceat(weights, starts, axis=1)
        high = np.maximum.reduceat(weights, starts, axis=1)
        return np.minimum(low, 0), np.maximum(high, 0)

    def find_zeros(self, some: slice, scales: Array) -> Array:
        """Return the codes that mean 0."""
        low, _ = self.ends(self.chunk(some))
        return np.clip(np.rint(-low / _divisor(scales)), 0, self.fmt.max)

    def encode(self, some: slice, scales: Array, zeros: Array | None, codes: Array) -> None:
        """Write the codes of some rows."""
        chunk = self.chunk(some)
        if chunk.size == 0:
            return
        if zeros is not None:
            divisor = spread(_divisor(scales), self.size, self.length)
            steps = np.rint(chunk / divisor) + spread(zeros, self.size, self.length)
            codes[...] = np.clip(steps, 0, self.fmt.max)
            return
        grid = _float32_grid(self.fmt)
        if self.tensor is None and self.dtype == np.float32 and grid is not None:
            kernels.encode(
                chunk.reshape(-1).view(np.int32), scales.reshape(-1), codes.reshape(-1),
                self.length, self.size, grid,
            )  # fmt: skip
            return
        factor = 1.0 if self.tensor is None else self.tensor
        divisor = spread(_divisor(scales) * factor, self.size, self.length)
        with np.errstate(over="ignore", under="ignore"):
            encode(chunk / divisor, self.fmt, out=codes)

    def walk(self, some: slice, scales: Array, zeros: Array | None, codes: Array) -> None:
        """Write the scales, zeros and codes of some rows by GPTQ, block after block."""
        replace(self, rule=ScaleSearch.ABSMAX).find_scales(some)  # refuses what w itself has
        assert self.feedback is not None
        weights = self.chunk(some).astype(np.float64)
        walk = gptq.Walk(weights, self.feedback, self.fmt, codes)
        for k in range(self.blocks):
            columns = slice(k * self.size, min((k + 1) * self.size, self.length))
            block = replace(
                self,
                rows=walk.updated(columns),
                length=columns.stop - columns.start,
                dtype=weights.dtype,
                importance=None if self.importance is None else self.importance[some, columns],
                saturates=True,
            )
            every = slice(0, len(weights))
            scales[:, k] = block.find_scales(every)
            if zeros is not None:
                zeros[:, k] = block.find_zeros(every, scales[:, k : k + 1])[:, 0]
            factors = scales[:, k].astype(np.float64) * (self.tensor or 1.0)
            walk.round(columns, factors, None if zeros is None else zeros[:, k])

    def restore_packed(self, packed: Array) -> Array:
        """Return packed codes in the order of the weights."""
        if self.axis is None or self.axis == self.weights.ndim - 1:
            return packed
        codes = unpack(packed, self.fmt.bits, self.rows.size).reshape(self.rows.shape)
        return pack(self.restore(codes).reshape(-1), self.fmt.bits)

    def restore(self, a: Array) -> Array:
        """Return scales, or what else there is for a row, along the axis again, contiguous."""
        if self.axis is None:
            return a.reshape(())
        others = self.weights.shape[: self.axis] + self.weights.shape[self.axis + 1 :]
        return np.ascontiguousarray(np.moveaxis(a.reshape(*others, a.shape[1]), -1, self.axis))

    def as_found(self, scales: Array) -> Array:
        """Return restored scales in rows again."""
        if self.axis is None:
            return scales.reshape(1, 1)
        shape = list(self.weights.shape)
        shape[self.axis] = self.blocks
        moved = np.moveaxis(scales.reshape(shape), self.axis, -1)
        return np.ascontiguousarray(moved).reshape(self.rows.shape[0], self.blocks)

    def index(self, row: int, block: int) -> tuple[int, ...]:
        """Return the index in the weights of a block's first element that is not finite."""
        start = block * self.size
        some = self.rows[row, start : start + self.size]
        column = start + int(np.flatnonzero(~np.isfinite(some))[0])
        if self.axis is None:
            return tuple(int(i) for i in np.unravel_index(column, self.weights.shape))
        others = self.weights.shape[: self.axis] + self.weights.shape[self.axis + 1 :]
        index = [int(i) for i in np.unravel_index(row, others)] if others else []
        return (*index[: self.axis], column, *index[self.axis :])


def _divisor(scales: Array) -> Array:
    """Return scales in float64, 1 in place of 0."""
    return np.where(scales == 0, 1.0, scales.astype(np.float64))


@lru_cache(maxsize=256)
def _float32_grid(fmt: NumberFormat) -> kernels.Grid | None:
    """Return how the FPU encodes float32 to this format, or None if it cannot."""
    plan = _plans.encoding_plan(
        fmt, "float32", Rounding.NEAREST_EVEN, Overflow.SATURATE, NaNPolicy.RAISE
    )
    if isinstance(plan, _plans.Listed) or plan.source_name != "float32" or not plan.grid.cap:
        return None
    return kernels.Grid(*plan.grid)


def _double_scales(scales: Array) -> DoubleScales:
    """Quantize scales, so that no positive one becomes 0 and none negative."""
    mean = float(np.float32(scales.mean(dtype=np.float64))) if scales.size else 0.0
    quantized = quantize(
        scales - np.float32(mean), DOUBLE_FORMAT, block_size=DOUBLE_BLOCK, scale="float32"
    )
    double = DoubleScales(quantized, mean)
    while True:
        found = double.values()
        low = (found < 0) | ((found == 0) & (scales > 0))
        if not low.any():
            return double
        codes = double.quantized.codes
        codes[low] = _next_greater(codes[low])
        packed = pack(codes, double.quantized.fmt.bits)
        double = DoubleScales(replace(double.quantized, packed=packed), mean)


def _next_greater(codes: Array) -> Array:
    """Return the codes of E4M3FN's next greater values; -0 counts as below the least."""
    return np.where(codes > 0x80, codes - 1, np.where(codes == 0x80, 1, codes + 1)).astype(np.uint8)

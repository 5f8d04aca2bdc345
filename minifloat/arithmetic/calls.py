"""A call of `sum`, `dot`, `matmul` or `linear`: its operands, its sums, its results."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from minifloat import _arrays
from minifloat._threads import check_threads
from minifloat.arithmetic.accumulators import Accumulator
from minifloat.arithmetic.operands import Operand, numbers, operand_of
from minifloat.arithmetic.packed import Packed, is_packed
from minifloat.arithmetic.shapes import common_shape
from minifloat.arithmetic.stochastic_plans import streams_of
from minifloat.arithmetic.sum_formats import FLOAT32, FLOAT64, SumFormat
from minifloat.arithmetic.tiles import COLUMNS, add_up
from minifloat.arithmetic.units import UNITS, Unit
from minifloat.formats import NumberFormat
from minifloat.formats.base import check_seed, shown
from minifloat.formats.grammar import lowered

Array = NDArray[Any]
AccumulatorLike = Accumulator | SumFormat | NumberFormat | str


class Call:
    """What a call asks for, checked."""

    def __init__(
        self,
        accumulator: AccumulatorLike | None,
        unit: Unit | str | None,
        dtype: DTypeLike | None,
        threads: SupportsIndex,
        seed: SupportsIndex | None,
    ) -> None:
        _arrays.check_cpu()
        self.threads = check_threads(threads)
        if (accumulator is None) == (unit is None):
            raise ValueError(
                f"accumulator or unit must be given, and not both, got {shown(accumulator)} and "
                f"{shown(unit)}"
            )
        self.unit = None if unit is None else Unit.parse(unit)
        if self.unit is not None:
            self.accumulator = self.unit.accumulator
        elif isinstance(accumulator, str) and lowered(accumulator) in UNITS:
            raise ValueError(
                f"accumulator must be no unit, got {shown(accumulator)}; use "
                f'unit="{lowered(accumulator)}"'
            )
        elif accumulator is not None:
            self.accumulator = Accumulator.parse(accumulator)
        self.seed = self._checked_seed(seed)
        self.dtype = self._checked_dtype(dtype)
        self.factor: float | None = None  # the product of tensor scales, if there are any

    def _checked_seed(self, seed: SupportsIndex | None) -> int | None:
        rounding = self.accumulator.rounding
        if rounding.is_stochastic != (seed is not None):
            wanted = "given" if rounding.is_stochastic else "None"
            raise ValueError(f"seed must be {wanted} for rounding={rounding}, got {shown(seed)}")
        return None if seed is None else check_seed(seed)

    def _streams(self, shape: tuple[int, ...]) -> Array | None:
        return None if self.seed is None else streams_of(self.seed, shape)

    def _checked_dtype(self, dtype: DTypeLike | None) -> np.dtype[Any]:
        held = [name for name in ("float16", "float32", "float64") if self._is_held_by(name)]
        if self.unit is not None:
            held = held[held.index(self.unit.output) :]
        elif dtype is None:
            return np.dtype("float32" if "float32" in held else "float64")
        if dtype is None:
            return np.dtype(held[0])
        try:
            found = np.dtype(dtype)
        except TypeError:
            found = np.dtype(object)
        if found.name not in held:
            raise ValueError(f"dtype must be {' or '.join(held)}, got {shown(dtype)}")
        return found

    def _is_held_by(self, name: str) -> bool:
        fmt, info = self.accumulator.fmt, np.finfo(name)
        if self.accumulator.promote is not None:
            fmt = self.accumulator.outer
        unit = math.ldexp(1.0, fmt.emin - fmt.mantissa_bits)
        fits = unit >= float(info.smallest_subnormal) and fmt.largest <= float(info.max)
        return fits and fmt.mantissa_bits <= info.nmant + 2 * fmt.is_fixed

    @property
    def fmt(self) -> SumFormat:
        """The format of numbers where there is no unit, and of what sums start from."""
        return FLOAT64 if self.accumulator.fmt == FLOAT64 else FLOAT32

    @property
    def needs_factors(self) -> bool:
        """Whether float64 does not hold the products."""
        return self.fmt == FLOAT64 and self.accumulator.product is None

    def operand(self, name: str, x: ArrayLike | Packed, axis: int = -1) -> Operand:
        """Return an operand, checked; ``axis`` is the one along which products are added."""
        if is_packed(x) and x.tensor_scale is not None and self._takes_scales():
            self.factor = (1.0 if self.factor is None else self.factor) * x.tensor_scale
        flush = self.accumulator.flush
        return operand_of(name, x, self.unit, axis, fmt=self.fmt, flush=flush)

    def _takes_scales(self) -> bool:
        return self.unit is not None and self.unit.scale is not None

    def start(self, c: ArrayLike, shape: tuple[int, ...]) -> Array:
        """Return what sums start from, as float64."""
        start = numbers("c", c, self.fmt)
        if self.factor is not None:  # c is added after the multiplication by the tensor scales
            start = np.zeros_like(start)
        if self.unit is not None and self.unit.output == "float16":
            with np.errstate(over="ignore"):
                start = start.astype(np.float16)
        if self.accumulator.flush:
            tiny = np.abs(start) < 2.0**FLOAT32.emin
            start = np.where(tiny, np.float32(0.0), start)
        try:
            return np.array(np.broadcast_to(start, shape), np.float64, order="C")
        except ValueError:
            raise ValueError(
                f"c must have a shape that broadcasts to {shape}, got {start.shape}"
            ) from None

    def sums_of(self, terms: tuple[Array, Array], c: ArrayLike, shape: tuple[int, ...]) -> Any:
        """Return the sums of terms along their last axis."""
        sums = self.start(c, shape[:-1])
        flat = math.prod(shape[:-1]), shape[-1]
        factors = terms[0].shape[len(shape) :]
        values = np.broadcast_to(terms[0], shape + factors).reshape(flat + factors)
        exponents = np.broadcast_to(terms[1], shape).reshape(flat)
        one = np.ones((1, shape[-1])), np.zeros((1, shape[-1]), np.int16)

        def columns(part: slice) -> tuple[Array, Array]:
            own = values[part].swapaxes(0, 1), exponents[part].T
            return np.ascontiguousarray(own[0]), np.ascontiguousarray(own[1])

        flat_sums = sums.reshape(1, -1)
        streams = self._streams(flat_sums.shape)
        add_up(self.accumulator, one, columns, flat_sums, self.threads, streams)
        return self.result(sums, c)

    def products_of(self, a: Operand, b: Operand, c: ArrayLike) -> Any:
        """Return the matrix products of two operands."""
        x, y = a.values, b.values
        need_axis("a", x)
        need_axis("b", y)
        both = (
            a if x.ndim > 1 else a.of(lambda row: row[None]),
            b if y.ndim > 1 else b.of(lambda column: column[:, None]),
        )
        left, right = (operand.values for operand in both)
        if left.shape[-1] != right.shape[-2]:
            raise ValueError(
                f"b must have {left.shape[-1]} rows for a of shape {x.shape}, got shape {y.shape}"
            )
        try:
            batch = common_shape(left.shape[:-2], right.shape[:-2])
        except ValueError:
            raise ValueError(
                f"a and b must have batches that broadcast, got shapes {x.shape} and {y.shape}"
            ) from None
        whole = (*batch, left.shape[-2], right.shape[-1])
        shape = (*batch, *left.shape[-2:-1][: x.ndim - 1], *right.shape[-1:][: y.ndim - 1])
        sums = self.start(c, shape).reshape(whole)
        streams = self._streams(whole)
        for index in np.ndindex(batch):
            one, other = (x.of(partial(_element, batch, index)) for x in both)
            self._add_product(one, other, sums[index], None if streams is None else streams[index])
        return self.result(sums.reshape(shape), c)

    def _add_product(self, a: Operand, b: Operand, sums: Array, streams: Array | None) -> None:
        if sums.shape[1] < min(COLUMNS, sums.shape[0]):  # loops go along columns
            a, b, sums = b.of(np.transpose), a.of(np.transpose), sums.T
            streams = None if streams is None else streams.T

        def columns(part: slice) -> tuple[Array, Array]:
            return b.terms((slice(None), part))

        add_up(self.accumulator, a.terms(), columns, sums, self.threads, streams)

    def result(self, sums: Array, c: ArrayLike) -> Any:
        """Return sums in their type, and NaN as the unit writes it."""
        if self.factor is not None:
            with np.errstate(all="ignore"):
                scaled = (sums * self.factor).astype(np.float32) + numbers("c", c, FLOAT32)
            sums = scaled.astype(np.float64)
        if self.accumulator.fmt.is_fixed:
            sums += 0.0  # integers have no -0
        found = sums.astype(self.dtype)
        nan = np.isnan(found)
        if nan.any():
            if self.unit is not None and self.dtype.name == self.unit.output:
                words = found.reshape(-1).view(f"u{found.itemsize}").reshape(found.shape)
                words[nan] = self.unit.nan_bits
            else:
                found[nan] = np.nan
        return found[()]


def _element(batch: tuple[int, ...], index: tuple[int, ...], x: Array) -> Array:
    """Return one matrix of a batch."""
    return np.asarray(np.broadcast_to(x, (*batch, *x.shape[-2:]))[index])


def need_axis(name: str, x: Array) -> None:
    """Raise unless an array has an axis."""
    if x.ndim == 0:
        raise ValueError(f"{name} must have at least one axis, got a number")

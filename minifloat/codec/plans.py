"""Plans: all that the kernels need to know of a format and the policies, made once and cached.

A format goes one of two ways. Grids with subnormals, and integers, are encoded by arithmetic on the
words of the source (`ArithmeticPlan`); all others by their decision points (`TablePlan`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from minifloat._arrays import code_dtype, dtype_name
from minifloat._kernels import codec as kernels
from minifloat._kernels import decision_points as table_kernels
from minifloat._tensors import numpy_dtype
from minifloat.codec import records
from minifloat.codec.special_codes import special_codes
from minifloat.formats import NumberFormat
from minifloat.formats.base import shown
from minifloat.formats.rounding import NaNPolicy, Overflow, Rounding

Array = NDArray[Any]
Counts = tuple[int, int]  # NaNs and overflows

# by the sign of their words the kernels tell float16 from bfloat16
WORD_DTYPES: dict[str, np.dtype[Any]] = {
    "float16": np.dtype(np.uint16),
    "bfloat16": np.dtype(np.int16),
    "float32": np.dtype(np.int32),
    "float64": np.dtype(np.int64),
}
NO_VALUES = np.empty(0, table_kernels.VALUE)
SMALL = 1024  # elements for which a temporary array may be as large as the source
ANY_SIZE = 1 << 62


@dataclass(frozen=True, eq=False)
class EncodePlan:
    """How numbers become codes of ``fmt``; ``source_name`` is the float that the kernel reads."""

    fmt: NumberFormat
    rounding: Rounding
    overflow: Overflow
    nan: NaNPolicy
    source_name: str

    @cached_property
    def code_dtype(self) -> np.dtype[Any]:
        """The dtype of codes."""
        return np.dtype(code_dtype(self.fmt.bits))

    @cached_property
    def nan_is_error(self) -> bool:
        """Whether NaN has no code."""
        return self.nan is NaNPolicy.RAISE and not self.fmt.has_nan

    @cached_property
    def word_dtype(self) -> np.dtype[Any]:
        """The dtype of the source's words."""
        return WORD_DTYPES[self.source_name]

    def direct_limit(self, dtype: np.dtype[Any]) -> int:
        """Return the size up to which an array of this dtype can be encoded at one go."""
        return ANY_SIZE if dtype_name(dtype) == self.source_name else 0

    def encode(self, values: Array, codes: Array) -> Counts:
        """Encode contiguous values of the source's dtype; return counts of NaNs and overflows."""
        raise NotImplementedError

    def encode_stochastic(
        self, values: Array, random_words: Array, start: int, codes: Array, mode: Array
    ) -> Counts:
        """Encode in a stochastic mode; ``start`` is the index of the first element."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class ArithmeticPlan(EncodePlan):
    """Parameters of `encode` in `minifloat._kernels.codec`, as one record."""

    record: Array

    @cached_property
    def in_steps(self) -> bool | None:
        """Whether the kernel rounds step by step; None if the FPU does it."""
        return None if self.record[0]["cap"] > 0 else True

    def encode(self, values: Array, codes: Array) -> Counts:
        """Encode by arithmetic."""
        return kernels.encode(values.view(self.word_dtype), codes, self.record, self.in_steps)

    def encode_stochastic(
        self, values: Array, random_words: Array, start: int, codes: Array, mode: Array
    ) -> Counts:
        """Encode by arithmetic, with thresholds that are drawn."""
        scratch = np.empty(kernels.CHECK_EVERY + 1, np.uint64)
        words = values.view(self.word_dtype)
        return kernels.encode_stochastic(
            words, random_words, start, codes, self.record, mode, scratch
        )


@dataclass(frozen=True, eq=False)
class TablePlan(EncodePlan):
    """Parameters of `encode` and `choose` in `minifloat._kernels.decision_points`."""

    beginnings: Array
    values: Array  # in a stochastic mode, whose source is float64; else empty
    nan_code: int

    def encode(self, values: Array, codes: Array) -> Counts:
        """Encode by search."""
        _, _, infinity = records.LANES[records.lanes_of(self.source_name)]
        shape = 2, min(values.size, table_kernels.SEARCH_EVERY)
        scratch = np.empty(shape, self.beginnings.dtype["key"])
        words = values.view(self.word_dtype)
        return table_kernels.encode(words, codes, self.beginnings, infinity, self.nan_code, scratch)

    def encode_stochastic(
        self, values: Array, random_words: Array, start: int, codes: Array, mode: Array
    ) -> Counts:
        """Encode by search of both neighbours."""
        nans, overflows = self.encode(values, codes)
        thresholds = np.empty(values.size, np.int32)
        scratch = np.empty(values.size // 2 + 1, np.uint64)
        kernels.fill_thresholds(thresholds, random_words, start, mode, scratch)
        words = values.view(np.int64)
        return nans, overflows + table_kernels.choose(words, thresholds, self.values, codes)


@dataclass(frozen=True, eq=False)
class DecodePlan:
    """How codes of ``fmt`` become values of ``dtype``: computed, or looked up in ``table``."""

    fmt: NumberFormat
    dtype: np.dtype[Any]
    record: Array
    table: Array

    @cached_property
    def code_dtype(self) -> np.dtype[Any]:
        """The dtype of codes."""
        return np.dtype(code_dtype(self.fmt.bits))

    @cached_property
    def word_dtype(self) -> np.dtype[Any]:
        """The dtype of the values' words."""
        return WORD_DTYPES[dtype_name(self.dtype)]

    def decode(self, codes: Array, values: Array) -> bool:
        """Decode contiguous codes of the format's dtype; return False if one has no value."""
        return kernels.decode(codes, values.view(self.word_dtype), self.record, self.table)


@dataclass(frozen=True, eq=False)
class RoundPlan:
    """How numbers are rounded to values of a format: both plans, and one record of both."""

    encode: EncodePlan
    decode: DecodePlan
    record: Array | None  # None where the kernel cannot do both at once
    record_in_place: Array | None

    def direct_limit(self, dtype: np.dtype[Any]) -> int:
        """Return the size up to which an array of this dtype can be rounded at one go."""
        limit = self.encode.direct_limit(dtype)
        return min(limit, SMALL) if self.record is None else limit

    def round_to(self, values: Array, target: Array, *, fresh: bool = False) -> Counts:
        """Round contiguous values of the source's dtype; return counts of NaNs and overflows.

        ``target`` may be ``values``; ``fresh`` says that it is not.
        """
        plan = self.encode
        apart = fresh or not np.may_share_memory(values, target)
        record = self.record if apart else self.record_in_place
        if not isinstance(plan, ArithmeticPlan) or record is None:
            codes = np.empty(values.size, self.encode.code_dtype)
            counts = self.encode.encode(values, codes)
            self.decode.decode(codes, target)
            return counts
        codes = np.empty(min(values.size, kernels.CHECK_EVERY), self.encode.code_dtype)
        return kernels.round_to(
            values.view(self.encode.word_dtype),
            target.view(self.decode.word_dtype),
            record,
            self.decode.table,
            codes,
            plan.in_steps,
        )

    def round_stochastic(
        self, values: Array, random_words: Array, start: int, target: Array, mode: Array
    ) -> Counts:
        """Round in a stochastic mode; ``start`` is the index of the first element."""
        if self.record is None:
            codes = np.empty(values.size, self.encode.code_dtype)
            counts = self.encode.encode_stochastic(values, random_words, start, codes, mode)
            self.decode.decode(codes, target)
            return counts
        return kernels.round_stochastic(
            values.view(self.encode.word_dtype),
            random_words,
            start,
            target.view(self.decode.word_dtype),
            self.record,
            self.decode.table,
            np.empty(min(values.size, kernels.CHECK_EVERY), self.encode.code_dtype),
            mode,
            np.empty(kernels.CHECK_EVERY + 1, np.uint64),
        )


Plan = TypeVar("Plan")


class Memo(Generic[Plan]):
    """Plans by the arguments as a caller wrote them: a call that comes again is one look-up.

    A format that is not named is known by its identity, since its hash takes longer than the rest
    of a small call; it is kept alive with its plan, so that no other object gets that identity.
    """

    LIMIT = 4096

    def __init__(self) -> None:
        self.plans: dict[tuple[object, ...], tuple[Plan, int, object]] = {}

    def find(self, x: Array, fmt: object, *options: object) -> Plan | None:
        """Return the plan for a contiguous array like one before, if it can be done at one go."""
        if not x.flags.c_contiguous:
            return None
        try:
            entry = self.plans.get((fmt if type(fmt) is str else id(fmt), x.dtype, *options))
        except TypeError:  # an option that cannot be hashed; the checks will name it
            return None
        return entry[0] if entry is not None and x.size <= entry[1] else None

    def keep(self, plan: Plan, limit: int, x: Array, fmt: object, *options: object) -> None:
        """Keep the plan for arrays like ``x`` of at most ``limit`` elements."""
        if x.dtype.isnative:
            if len(self.plans) >= self.LIMIT:
                self.plans.clear()
            key = (fmt if type(fmt) is str else id(fmt), x.dtype, *options)
            self.plans[key] = plan, limit, fmt


def encode_plan(
    fmt: NumberFormat, source_name: str, rounding: Rounding, overflow: Overflow, nan: NaNPolicy
) -> EncodePlan:
    """Return how numbers that ``source_name`` holds are encoded to ``fmt``."""
    return _encode_plan(fmt, fmt.name, source_name, rounding, overflow, nan)


@lru_cache(maxsize=1024)
def _encode_plan(
    fmt: NumberFormat,
    _name: str,  # equal codebooks may have two names, and errors name the caller's
    source_name: str,
    rounding: Rounding,
    overflow: Overflow,
    nan: NaNPolicy,
) -> EncodePlan:
    special = special_codes(fmt, rounding, overflow, nan)
    name = records.wide_enough(fmt.binary_grid, source_name)
    if name is None:
        name = "float64" if rounding.is_stochastic else source_name
        beginnings = records.beginnings(fmt, name, rounding, special)
        values = NO_VALUES
        if rounding.is_stochastic:
            values = records.values_in_order(fmt, special)
        return TablePlan(fmt, rounding, overflow, nan, name, beginnings, values, special.nan)
    record = records.encode_record(fmt, name, rounding, overflow, special)
    return ArithmeticPlan(fmt, rounding, overflow, nan, name, record)


def decode_plan(fmt: NumberFormat, dtype: np.dtype[Any]) -> DecodePlan:
    """Return how codes become values of ``dtype``, or raise if one would not be exact."""
    return _decode_plan(fmt, fmt.name, dtype)


@lru_cache(maxsize=256)
def _decode_plan(fmt: NumberFormat, _name: str, dtype: np.dtype[Any]) -> DecodePlan:
    table = records.value_table(fmt, dtype)
    record = records.decode_record(fmt, dtype)
    return DecodePlan(fmt, dtype, record, table.view(WORD_DTYPES[dtype_name(dtype)]))


@lru_cache(maxsize=1024)
def round_plan(plan: EncodePlan, dtype: np.dtype[Any]) -> RoundPlan:
    """Return how numbers are rounded to values of ``dtype`` of the plan's format."""
    values = decode_plan(plan.fmt, dtype)
    if not isinstance(plan, ArithmeticPlan):
        return RoundPlan(plan, values, None, None)
    record = records.with_values(plan.record, plan.fmt, dtype)
    # words that are overwritten by values could not be read again where there are NaNs
    return RoundPlan(plan, values, record, records.changed(record, direct=0))


@lru_cache(maxsize=256)
def scaled_record(fmt: NumberFormat) -> Array | None:
    """Return the record with which the FPU rounds quotients to a format, or None if it cannot."""
    plan = encode_plan(fmt, "float32", Rounding.NEAREST_EVEN, Overflow.SATURATE, NaNPolicy.RAISE)
    if isinstance(plan, ArithmeticPlan) and plan.record[0]["cap"] > 0:
        return plan.record
    return None


def dtype_or_error(dtype: object) -> np.dtype[Any]:
    """Return a float's dtype, of NumPy or, for bfloat16, of ml_dtypes."""
    try:
        value_dtype = numpy_dtype(dtype)
    except TypeError as error:
        if "bfloat16" in str(dtype):  # ml_dtypes is not installed
            raise error from None
        value_dtype = np.dtype(object)
    if dtype_name(value_dtype) not in WORD_DTYPES:
        raise ValueError(f"dtype must be float16, bfloat16, float32 or float64, got {shown(dtype)}")
    return value_dtype.newbyteorder("=")

"""Plans: all that the kernels need to know of a format and the policies, made once and cached.

A format goes one of two ways. Grids with subnormals, and integers, are encoded by arithmetic on the
words of the source (`ArithmeticPlan`); all others by their decision points (`TablePlan`).
"""

from __future__ import annotations

import itertools
import math
import struct
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from minifloat._arrays import code_dtype, dtype_name
from minifloat._kernels import codec as kernels
from minifloat._kernels import decision_points as table_kernels
from minifloat._kernels.scalar import WINDOW
from minifloat.codec import decision_points
from minifloat.codec.special_codes import SpecialCodes, special_codes
from minifloat.formats import NumberFormat
from minifloat.formats.base import BinaryGrid
from minifloat.formats.rounding import NaNPolicy, Overflow, Rounding, Threshold, away_threshold

Array = NDArray[Any]
Counts = tuple[int, int]  # NaNs and overflows

# Mantissa bits, the place of the sign, and the word of +inf of each source.
SOURCES = {
    "float16": (10, 15, 0x7C00),
    "bfloat16": (7, 15, 0x7F80),
    "float32": (23, 31, 0x7F80_0000),
    "float64": (52, 63, 0x7FF0_0000_0000_0000),
}
WORD_DTYPES = {
    name: np.dtype(word)
    for name, word in zip(SOURCES, (np.uint16, np.uint16, np.int32, np.int64), strict=True)
}
VALUE_WORDS = {np.dtype(name): WORD_DTYPES[name] for name in ("float16", "float32", "float64")}
WIDER = {
    "float16": ("float16", "float32", "float64"),
    "bfloat16": ("bfloat16", "float32", "float64"),
    "float32": ("float32", "float64"),
    "float64": ("float64",),
}
STOCHASTIC_KINDS = {
    Rounding.STOCHASTIC: kernels.STOCHASTIC_A,
    Rounding.STOCHASTIC_B: kernels.STOCHASTIC_B,
    Rounding.STOCHASTIC_C: kernels.STOCHASTIC_C,
    Rounding.STOCHASTIC_EQUAL: kernels.STOCHASTIC_EQUAL,
}
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

    @cached_property
    def source(self) -> Array:
        """What the kernels must know of the source alone."""
        return _record(self.source_name, **_source_fields(self.source_name))

    def count_nans(self, values: Array) -> Counts:
        """Return the number of NaNs among contiguous values of the source's dtype, and 0."""
        return kernels.count_nans(values.view(self.word_dtype), self.source), 0

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

    def encode(self, values: Array, codes: Array) -> Counts:
        """Encode by arithmetic."""
        return kernels.encode(values.view(self.word_dtype), codes, self.record)

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
    values: Array
    nan_code: int

    def direct_limit(self, dtype: np.dtype[Any]) -> int:
        """Return the size up to which an array of this dtype may be converted at one go."""
        return ANY_SIZE if dtype == np.float64 else SMALL if dtype.kind in "fV" else 0

    def encode(self, values: Array, codes: Array) -> Counts:
        """Encode by search."""
        scratch = np.empty((2, min(values.size, table_kernels.SEARCH_EVERY)), np.int64)
        if values.dtype != np.float64:  # a small array; signalling NaNs are no error
            with np.errstate(invalid="ignore"):
                values = values.astype(np.float64)
        words = values.view(np.int64)
        return table_kernels.encode(words, codes, self.beginnings, self.nan_code, scratch)

    def encode_stochastic(
        self, values: Array, random_words: Array, start: int, codes: Array, mode: Array
    ) -> Counts:
        """Encode by search of both neighbours."""
        if codes.size < values.size:
            codes = np.empty(values.size, codes.dtype)
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
        return VALUE_WORDS[self.dtype]

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
        if self.record is None or self.record_in_place is None:
            codes = np.empty(values.size, self.encode.code_dtype)
            counts = self.encode.encode(values, codes)
            self.decode.decode(codes, target)
            return counts
        codes = np.empty(min(values.size, kernels.CHECK_EVERY), self.encode.code_dtype)
        apart = fresh or not np.may_share_memory(values, target)
        return kernels.round_to(
            values.view(self.encode.word_dtype),
            target.view(self.decode.word_dtype),
            self.record if apart else self.record_in_place,
            self.decode.table,
            codes,
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

    def find(self, x: object, fmt: object, *options: object) -> Plan | None:
        """Return the plan for a contiguous array like one before, if it can be done at one go."""
        if type(x) is not np.ndarray or not x.flags.c_contiguous:
            return None
        try:
            entry = self.plans.get((fmt if type(fmt) is str else id(fmt), x.dtype, *options))
        except TypeError:  # an option that cannot be hashed; the checks will name it
            return None
        return entry[0] if entry is not None and x.size <= entry[1] else None

    def keep(self, plan: Plan, limit: int, x: object, fmt: object, *options: object) -> None:
        """Keep the plan for arrays like ``x`` of at most ``limit`` elements."""
        if type(x) is np.ndarray and x.dtype.isnative:
            if len(self.plans) >= self.LIMIT:
                self.plans.clear()
            key = (fmt if type(fmt) is str else id(fmt), x.dtype, *options)
            self.plans[key] = plan, limit, fmt


@lru_cache(maxsize=1024)
def encode_plan(
    fmt: NumberFormat, source_name: str, rounding: Rounding, overflow: Overflow, nan: NaNPolicy
) -> EncodePlan:
    """Return how numbers that ``source_name`` holds are encoded to ``fmt``."""
    special = special_codes(fmt, rounding, overflow, nan)
    name = _wide_enough(fmt.binary_grid, source_name)
    if name is None:
        return TablePlan(
            fmt, rounding, overflow, nan, "float64", *_tables(fmt, rounding, special), special.nan
        )
    assert fmt.binary_grid is not None
    cap = 0
    if rounding is Rounding.NEAREST_EVEN and name == "float32":
        cap = _float32_cap(fmt, fmt.binary_grid)
    # where the format reaches beyond the source, infinity is not just another large magnitude
    infinity_beyond = math.frexp(fmt.max)[1] - 1 <= _bias(name)
    record = _record(
        name,
        **_source_fields(name),
        **_grid_fields(fmt, fmt.binary_grid, name),
        cap=cap,
        **_mode_fields(rounding),
        **special._asdict(),
        clamps=int(overflow is Overflow.SATURATE and infinity_beyond),
    )
    return ArithmeticPlan(fmt, rounding, overflow, nan, name, record)


@lru_cache(maxsize=256)
def decode_plan(fmt: NumberFormat, dtype: np.dtype[Any]) -> DecodePlan:
    """Return how codes become values of ``dtype``, or raise if one would not be exact."""
    unused = -1 if fmt.unused_code is None else fmt.unused_code
    record = _record(
        "float32",
        **_value_fields(fmt, dtype),
        last_code=fmt.code_count - 1,
        unused_code=unused,
    )
    table = value_table(fmt, dtype)
    return DecodePlan(fmt, dtype, record, table.view(VALUE_WORDS[dtype]))


@lru_cache(maxsize=1024)
def round_plan(plan: EncodePlan, dtype: np.dtype[Any]) -> RoundPlan:
    """Return how numbers are rounded to values of ``dtype`` of the plan's format."""
    values = decode_plan(plan.fmt, dtype)
    if not isinstance(plan, ArithmeticPlan):
        return RoundPlan(plan, values, None, None)
    records = [plan.record.copy(), plan.record.copy()]
    for field, number in _value_fields(plan.fmt, dtype).items():
        records[0][field] = records[1][field] = number
    # words that are overwritten by values could not be read again where there are NaNs
    records[1]["max_word"] = 0
    for record in records:
        record.flags.writeable = False
    return RoundPlan(plan, values, records[0], records[1])


@lru_cache(maxsize=256)
def scaled_record(fmt: NumberFormat) -> Array | None:
    """Return the record for `encode_scaled` in the kernels, or None if the FPU cannot round so."""
    plan = encode_plan(fmt, "float32", Rounding.NEAREST_EVEN, Overflow.SATURATE, NaNPolicy.RAISE)
    if isinstance(plan, ArithmeticPlan) and plan.record[0]["cap"] > 0:
        return plan.record
    return None


@lru_cache(maxsize=256)
def value_table(fmt: NumberFormat, dtype: np.dtype[Any]) -> Array:
    """Return the value of every code in ``dtype``, or raise if one would not be exact."""
    exact = fmt.values()
    with np.errstate(over="ignore", under="ignore"):
        table = exact.astype(dtype)
    wrong = np.flatnonzero((table.astype(np.float64) != exact) & ~np.isnan(exact))
    if wrong.size:
        code = int(wrong[0])
        wider = "float32 or float64" if dtype == np.float16 else "float64"
        raise ValueError(
            f"dtype must hold every value of {fmt} exactly, got {dtype}, which does not hold "
            f"{exact[code]!r} (code {code}); use {wider}"
        )
    table.flags.writeable = False
    return table


def dtype_or_error(dtype: DTypeLike) -> np.dtype[Any]:
    """Return float16, float32 or float64 as a dtype."""
    try:
        value_dtype = np.dtype(dtype)
    except TypeError:
        value_dtype = np.dtype(object)
    if value_dtype not in (np.float16, np.float32, np.float64):
        raise ValueError(f"dtype must be float16, float32 or float64, got {dtype!r}")
    return value_dtype.newbyteorder("=")


def _record(source_name: str, **fields: int) -> Array:
    """Return a record of the width of the source's lanes; fields that are not named are 0."""
    record = np.zeros(1, kernels.PLAN64 if source_name == "float64" else kernels.PLAN32)
    for name, number in fields.items():
        record[name] = number
    record.flags.writeable = False
    return record


def _source_fields(name: str) -> dict[str, int]:
    fields = ("source_mantissa_bits", "source_sign_shift", "source_infinity")
    return dict(zip(fields, SOURCES[name], strict=True))


def _bias(source_name: str) -> int:
    mantissa_bits, sign_shift, _ = SOURCES[source_name]
    return (1 << (sign_shift - mantissa_bits - 1)) - 1


def _wide_enough(grid: BinaryGrid | None, source_name: str) -> str | None:
    """Return the narrowest float, from the source up, whose words the arithmetic can cut."""
    if grid is None:
        return None
    for name in WIDER[source_name]:
        if grid.mantissa_bits <= SOURCES[name][0] and grid.emin + _bias(name) >= 1:
            return name
    return None


def _grid_fields(fmt: NumberFormat, grid: BinaryGrid, source_name: str) -> dict[str, int]:
    signed = fmt.min < 0
    flip, add = (-1, (1 << fmt.bits) + 1) if grid.twos_complement else (0, 0)
    if signed and not grid.twos_complement:
        add = 1 << (fmt.bits - 1)
    return {
        "mantissa_bits": grid.mantissa_bits,
        "least_field": grid.emin + _bias(source_name),
        "limit": grid.limit,
        "negative_extra": grid.negative_limit - grid.limit,
        "first_negative": int(not fmt.has_negative_zero),
        "flip": flip,
        "add": add,
    }


def _float32_cap(fmt: NumberFormat, grid: BinaryGrid) -> int:
    """Return the word of the grid point beyond both ends, or 0 if the FPU cannot do the format."""
    m, emin = grid.mantissa_bits, grid.emin
    field, mantissa = divmod(max(grid.limit, grid.negative_limit) + 1, 1 << m)
    exponent = emin + max(field, 1) - 1
    # where half the smallest value is normal, flushing subnormals to zero could do no harm
    if m < 1 or emin - m < -125 or exponent + 23 - m > 126:
        return 0
    significand = mantissa + (1 << m if field else 0)
    return _float32_word(significand * 2.0 ** (exponent - m))


def _float32_word(x: float) -> int:
    return int(struct.unpack("<i", struct.pack("<f", x))[0])


def _mode_fields(rounding: Rounding) -> dict[str, int]:
    """Return the thresholds of a deterministic mode; a stochastic one draws its own."""
    if rounding.is_stochastic:
        return {}
    half, whole = 1 << (WINDOW - 1), 1 << WINDOW
    fraction = {
        Threshold.ABOVE_ZERO: 1,
        Threshold.HALF: half,
        Threshold.ABOVE_HALF: half + 1,
        Threshold.NEVER: whole,
    }

    def at(odd: bool, negative: bool) -> int:
        return fraction[away_threshold(rounding, odd=odd, negative=negative)]

    even = at(False, False)
    fields = {"even": even, "odd": at(True, False) - even, "minus": at(False, True) - even}
    assert at(True, True) == sum(fields.values()), "a mode depends on parity and on sign"
    return fields


def _value_fields(fmt: NumberFormat, dtype: np.dtype[Any]) -> dict[str, int]:
    """Return how the kernels compute values, or nothing: then they look them up."""
    grid = fmt.binary_grid
    if grid is None or grid.twos_complement or fmt.max_code != grid.limit:
        return {}
    if grid.emin - grid.mantissa_bits < -126 or math.frexp(fmt.max)[1] > 128:
        return {}
    signed = fmt.min < 0
    sign_shift = fmt.bits - signed
    if dtype == np.float64 or (signed and fmt.nan_code == 1 << sign_shift):
        return {}
    infinity = fmt.inf_code()
    return {
        "mantissa_bits": grid.mantissa_bits,
        "limit": grid.limit,
        "least_word": (grid.emin + 127) << 23,
        "sign_shift": sign_shift,
        "inf_magnitude": -1 if infinity is None else infinity,
        "half": 0 if dtype != np.float16 else 1 if fmt.smallest >= 2.0**-14 else 2,
        "max_word": _float32_word(fmt.max) if dtype == np.float32 and signed else 0,
    }


def _tables(fmt: NumberFormat, rounding: Rounding, special: SpecialCodes) -> tuple[Array, Array]:
    """Return where each code begins and, for the stochastic modes, the values in order."""
    beginnings = np.array(
        decision_points.beginnings(fmt, rounding, special), table_kernels.BEGINNING
    )
    line = decision_points.line(fmt, special)
    values = np.zeros(len(line), table_kernels.VALUE)
    for row, value in zip(values, line, strict=True):
        row["key"], row["code"] = decision_points.key_of(value), value.code
        if abs(value.exact) <= decision_points.LARGEST:  # else it is beyond an end, and not read
            row["value"] = float(value.exact)
    for row, (low, high) in zip(values, itertools.pairwise(line), strict=False):
        row["gap"], row["away"] = float(high.exact - low.exact), decision_points.away(low, high)
    return beginnings, values

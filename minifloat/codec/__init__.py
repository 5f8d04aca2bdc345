"""The verbs: `encode` values to codes, `decode` codes to values, `round_to` both in one pass.

What becomes of a value, finite or not, where the format lacks something:

- NaN stays NaN; in a format without NaN the argument ``nan`` decides.
- Beyond the ends of the format, and for infinities, ``overflow`` decides. The low end of an
  unsigned format is zero, so negative values that do not round to zero are beyond it; that of a
  format without zero (E8M0) is its least value, which zero is beyond.
- -0 keeps its sign where the format has -0 and is 0 elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from minifloat import _arrays
from minifloat._arrays import check_codes, code_dtype, first_index
from minifloat._kernels import codec as kernels
from minifloat._kernels import decision_points as step_kernels
from minifloat._kernels.codec import Dice
from minifloat._threads import check_threads
from minifloat.codec import plans as _plans
from minifloat.formats import NumberFormat
from minifloat.formats.names import parse
from minifloat.formats.rounding import NaNPolicy, Overflow, Rounding, choose

Array = NDArray[Any]

MAX_RANDOM_BITS = kernels.WINDOW - 2  # a threshold may need half a step, and the sticky bit
_KINDS = {
    Rounding.STOCHASTIC: 0,
    Rounding.STOCHASTIC_B: 1,
    Rounding.STOCHASTIC_C: 2,
    Rounding.STOCHASTIC_EQUAL: 3,
}
_NO_WORDS = np.empty(0, np.uint32)


def encode(
    x: ArrayLike,
    fmt: NumberFormat | str,
    *,
    rounding: Rounding | str = Rounding.NEAREST_EVEN,
    overflow: Overflow | str = Overflow.SATURATE,
    nan: NaNPolicy | str = NaNPolicy.RAISE,
    seed: int | None = None,
    random: ArrayLike | None = None,
    random_bits: int = 24,
    threads: int = 1,
    out: Array | None = None,
) -> Any:
    """Round ``x`` to ``fmt``, once, and return the codes.

    NaN, infinities and what lies beyond the format follow ``nan`` and ``overflow``; -0 keeps its
    sign where the format has -0; ties follow ``rounding``. The result depends on the values and, in
    a stochastic mode, on ``seed`` and each element's index in C order, and on nothing else.

    Parameters
    ----------
    x : array_like of float16, bfloat16, float32, float64 or integers up to 2**53
        Any shape and strides; lists and scalars too.
    fmt : format or str
        A `Format`, `Integer` or `Codebook`, or a name such as ``"e2m2"``.
    rounding : Rounding or str
        One of `minifloat.Rounding`.
    overflow : Overflow or str
        saturate, saturate_finite, ieee or raise (`minifloat.Overflow`).
    nan : NaNPolicy or str
        What NaN becomes in a format without NaN: raise, zero or max (`minifloat.NaNPolicy`).
    seed : int, optional
        0 .. 2**64 - 1, for the stochastic modes.
    random : array_like of unsigned integers, optional
        Random words of your own instead of ``seed``: below ``2**random_bits``, one an element
        (anything that broadcasts to the shape of ``x``).
    random_bits : int
        1 .. 28 random bits to an element.
    threads : int
        Threads to share a contiguous array among; the codes do not depend on it.
    out : ndarray, optional
        Where to put the codes: the shape of ``x``, dtype as returned. When an error is raised it
        is left as it was.

    Returns
    -------
    ndarray of uint8 (to 8 bits), uint16 (to 16) or uint32 (tf32), of the shape of ``x``
        A NumPy scalar for a scalar or a 0-d array (unless ``out`` is given).

    Raises
    ------
    TypeError
        If ``x``, ``random`` or ``out`` has a dtype that is not listed above.
    ValueError
        If an option has no such value, ``x`` holds NaN and the format does not, a value overflows
        under ``overflow="raise"``, or an integer is beyond 2**53.

    Notes
    -----
    No temporary is larger than 1/16 of ``x`` (for arrays of 2**16 elements and more).

    Examples
    --------
    >>> import minifloat as mf
    >>> mf.encode([0.3, -1.7, 100.0], "e2m2")
    array([ 1, 23, 15], dtype=uint8)
    >>> mf.encode(464.0, "e4m3fn"), mf.encode(465.0, "e4m3fn", overflow="ieee")
    (np.uint8(126), np.uint8(127))
    """
    job = _job(x, fmt, rounding, overflow, nan, seed, random, random_bits, threads)
    codes = _arrays.output_array(out, job.values, code_dtype(job.fmt.bits))
    job.write(codes, _encoder(job), new=out is None, in_place=False)
    return codes[()] if out is None else codes


def decode(
    codes: ArrayLike,
    fmt: NumberFormat | str,
    *,
    dtype: DTypeLike = np.float32,
    threads: int = 1,
    out: Array | None = None,
) -> Any:
    """Return the values of ``codes``, exactly.

    Parameters
    ----------
    codes : array_like of integers
        Codes of ``fmt``, of any shape and integer dtype.
    fmt : format or str
        A `Format`, `Integer` or `Codebook`, or its name.
    dtype : dtype
        float16, float32 or float64; it must hold every value of the format.
    threads : int
        Threads to share a contiguous array among.
    out : ndarray, optional
        Where to put the values: the shape of ``codes``, of ``dtype``. When an error is raised it
        is left as it was.

    Returns
    -------
    ndarray of ``dtype``, of the shape of ``codes``
        A NumPy scalar for a scalar or a 0-d array (unless ``out`` is given).

    Raises
    ------
    TypeError
        If ``codes`` are not integers, or ``out`` has another dtype.
    ValueError
        If a code is outside the format or unused in it, or ``dtype`` cannot hold every value.

    Examples
    --------
    >>> import minifloat as mf
    >>> mf.decode([1, 23, 15], "e2m2")
    array([ 0.25, -1.75,  7.  ], dtype=float32)
    """
    fmt = parse(fmt)
    check_threads(threads)
    value_dtype = _plans.dtype_or_error(dtype)
    table = _plans.value_table(fmt, value_dtype)
    look = _plans.decoding_look(fmt, value_dtype)
    a = _arrays.code_array(codes)
    values = _arrays.output_array(out, a, value_dtype)
    check_codes(a, fmt, threads)
    own = code_dtype(fmt.bits)
    words = _plans.words_of(table)

    def run(_: int, some: Array, target: Array) -> tuple[int, int]:
        kernels.decode(some, words, _plans.words_of(target), look)
        return 0, 0

    if out is not None and _arrays.overlapping(a, out, in_place=True):
        a = a.copy()
    _arrays.walk(run, [(a, own)], values, threads=threads)
    return values[()] if out is None else values


def round_to(
    x: ArrayLike,
    fmt: NumberFormat | str,
    *,
    rounding: Rounding | str = Rounding.NEAREST_EVEN,
    overflow: Overflow | str = Overflow.SATURATE,
    nan: NaNPolicy | str = NaNPolicy.RAISE,
    seed: int | None = None,
    random: ArrayLike | None = None,
    random_bits: int = 24,
    dtype: DTypeLike | None = None,
    threads: int = 1,
    out: Array | None = None,
) -> Any:
    """Round ``x`` to the values of ``fmt``: ``decode(encode(x))`` in one pass.

    Parameters
    ----------
    x, fmt, rounding, overflow, nan, seed, random, random_bits, threads
        As for `encode`.
    dtype : dtype, optional
        float16, float32 or float64; it must hold every value of the format. Default: that of
        ``x`` (float32 for bfloat16, float64 for integers).
    out : ndarray, optional
        Where to put the values: the shape of ``x``, of ``dtype``; may be ``x`` itself. When an
        error is raised it is left as it was.

    Returns
    -------
    ndarray of ``dtype``, of the shape of ``x``
        A NumPy scalar for a scalar or a 0-d array (unless ``out`` is given).

    Raises
    ------
    TypeError, ValueError
        As `encode` and `decode`.

    Examples
    --------
    >>> import minifloat as mf
    >>> mf.round_to([0.3, -1.7, 100.0], "e2m2")
    array([ 0.25, -1.75,  7.  ])
    """
    job = _job(x, fmt, rounding, overflow, nan, seed, random, random_bits, threads)
    if dtype is None:
        dtype = np.float32 if job.source_name == "bfloat16" else job.source_name
    value_dtype = _plans.dtype_or_error(dtype)
    run = _rounder(job, value_dtype)
    rounded = _arrays.output_array(out, job.values, value_dtype)
    job.write(rounded, run, new=out is None, in_place=True)
    return rounded[()] if out is None else rounded


Run = Callable[[int, Array, Array, Array], tuple[int, int]]  # start, values, random words, target


@dataclass
class _Job:
    """One call of `encode` or `round_to`, its arguments checked."""

    values: Array
    source_name: str
    fmt: NumberFormat
    rounding: Rounding
    overflow: Overflow
    nan: NaNPolicy
    given: Array | None
    dice: Dice
    threads: int
    plan: _plans.Plan

    def write(self, target: Array, run: Run, *, new: bool, in_place: bool) -> None:
        """Fill ``target``, or raise; one that is not new is not touched before all is known.

        ``in_place`` says whether ``run`` can write each element over the one it comes from.
        """
        nan_is_error = self.nan is NaNPolicy.RAISE and not self.fmt.has_nan
        if not new:
            if self.overflow is Overflow.RAISE:
                self._raise_for(*self._sweep(_encoder(self), None), nan_is_error)
            elif nan_is_error:
                self._raise_for(self._count_nans(), 0, True)
            if _arrays.overlapping(self.values, target, in_place=in_place):
                self.values = self.values.copy()
            if self.given is not None and np.may_share_memory(self.given, target):
                self.given = self.given.copy()
        self._raise_for(*self._sweep(run, target), nan_is_error)

    def _sweep(self, run: Run, target: Array | None) -> tuple[int, int]:
        arrays: list[tuple[Array, DTypeLike]] = [(self.values, self._chunk_dtype())]
        if self.given is not None:
            arrays.append((self.given, np.uint32))
        dtype = code_dtype(self.fmt.bits)
        listed = isinstance(self.plan, _plans.Listed)

        def work(start: int, values: Array, *rest: Array) -> tuple[int, int]:
            given = _NO_WORDS if self.given is None else rest[0]
            if target is not None:
                return run(start, values, given, rest[-1])
            size = values.size if listed else min(values.size, kernels.BLOCK)
            return run(start, values, given, np.empty(size, dtype))

        return _arrays.walk(
            work,
            arrays,
            target,
            chunked=listed,
            ordered=self.dice.kind >= 0,
            threads=self.threads,
        )

    def _chunk_dtype(self) -> np.dtype[Any]:
        if self.values.dtype.name == self.plan.source_name:  # bfloat16 has no dtype in NumPy
            return self.values.dtype.newbyteorder("=")
        return np.dtype(self.plan.source_name)

    def _count_nans(self) -> int:
        name = self.plan.source_name

        def run(_: int, values: Array) -> tuple[int, int]:
            words = values.view(_plans.WORDS[name])
            return kernels.count_nans(words, _plans.LANES[name], _plans.SOURCES[name]), 0

        arrays: list[tuple[Array, DTypeLike]] = [(self.values, self._chunk_dtype())]
        return _arrays.walk(run, arrays, None, threads=self.threads)[0]

    def _raise_for(self, nans: int, overflows: int, nan_is_error: bool) -> None:
        if nans and nan_is_error:
            index = first_index(self.values, np.isnan)
            raise ValueError(
                f"x must hold no NaN for {self.fmt}, which has none, got {nans} NaN, the first at "
                f'index {index}; mask it, or pass nan="zero" or nan="max"'
            )
        if overflows and self.overflow is Overflow.RAISE:
            low, high = self.fmt.min, self.fmt.max
            raise ValueError(
                f"x must round to {self.fmt}'s range {low:g} .. {high:g} with "
                f'overflow="raise", got {overflows} beyond it{self._example(low, high)}; scale x, '
                f'or pass overflow="saturate"'
            )

    def _example(self, low: float, high: float) -> str:
        def outside(x: Array) -> Array:
            exact = x.astype(np.float64)
            return np.asarray((exact < low) | (exact > high))

        index = first_index(self.values, outside)
        return f", for example {self.values[index]!s} at index {index}" if index is not None else ""


def _job(
    x: ArrayLike,
    fmt: NumberFormat | str,
    rounding: Rounding | str,
    overflow: Overflow | str,
    nan: NaNPolicy | str,
    seed: int | None,
    random: ArrayLike | None,
    random_bits: int,
    threads: int,
) -> _Job:
    fmt = parse(fmt)
    mode = choose(Rounding, "rounding", rounding)
    overflow, nan = choose(Overflow, "overflow", overflow), choose(NaNPolicy, "nan", nan)
    check_threads(threads)
    values, name = _arrays.source_array(x)
    dice = _dice(mode, seed, random, random_bits)
    return _Job(
        values=values,
        source_name=name,
        fmt=fmt,
        rounding=mode,
        overflow=overflow,
        nan=nan,
        given=None if random is None else _random_words(random, random_bits, values.shape),
        dice=dice,
        threads=threads,
        plan=_plans.encoding_plan(fmt, name, mode, overflow, nan),
    )


def _dice(mode: Rounding, seed: int | None, random: object, random_bits: int) -> Dice:
    if not isinstance(random_bits, int) or not 1 <= random_bits <= MAX_RANDOM_BITS:
        raise ValueError(f"random_bits must be in 1..{MAX_RANDOM_BITS}, got {random_bits!r}")
    if not mode.is_stochastic:
        if seed is not None or random is not None:
            raise ValueError(f"rounding must be stochastic to use seed or random, got {mode}")
        return Dice(-1, 0, np.uint64(0))
    if random is not None and seed is not None:
        raise ValueError("seed and random must not both be given; choose one")
    if random is None and seed is None:
        raise ValueError(f"seed must be given for rounding={mode.value!r} (or random=words)")
    if seed is not None and not (isinstance(seed, int | np.integer) and 0 <= seed < 1 << 64):
        raise ValueError(f"seed must be an integer in 0..2**64 - 1, got {seed!r}")
    return Dice(_KINDS[mode], random_bits, np.uint64(0 if seed is None else seed))


def _random_words(random: ArrayLike, random_bits: int, shape: tuple[int, ...]) -> Array:
    words = np.asarray(random)
    if not _arrays.is_integer(words.dtype):
        raise TypeError(f"random must be unsigned integers, got {words.dtype.name}")
    if words.size and (int(words.min()) < 0 or int(words.max()) >> random_bits):
        raise ValueError(
            f"random must be in 0..2**{random_bits} - 1 (random_bits={random_bits}), got "
            f"{words.min()} .. {words.max()}; shift the words right or pass more random_bits"
        )
    try:
        return np.broadcast_to(words, shape)
    except ValueError:
        raise ValueError(f"random must have the shape of x, {shape}, got {words.shape}") from None


def _encoder(job: _Job) -> Run:
    """Return what encodes a chunk."""
    plan, dice = job.plan, job.dice
    if isinstance(plan, _plans.Listed):
        return _listed_encoder(plan, dice)
    word_dtype = _plans.WORDS[plan.source_name]

    def run(start: int, values: Array, given: Array, codes: Array) -> tuple[int, int]:
        room, drawn = _room(dice, kernels.BLOCK)
        words = values.view(word_dtype)
        return kernels.encode(
            words, given, start, codes, plan.lanes, plan.source, plan.grid, plan.rule,
            plan.outcome, dice, room, drawn,
        )  # fmt: skip

    return run


def _rounder(job: _Job, dtype: np.dtype[Any]) -> Run:
    """Return what rounds a chunk to values of ``dtype``."""
    plan, dice = job.plan, job.dice
    table = _plans.words_of(_plans.value_table(job.fmt, dtype))
    look = _plans.decoding_look(job.fmt, dtype)
    own = code_dtype(job.fmt.bits)
    encode_chunk = _encoder(job)

    def run(start: int, values: Array, given: Array, target: Array) -> tuple[int, int]:
        if isinstance(plan, _plans.Listed):
            codes = np.empty(values.size, own)
            counts = encode_chunk(start, values, given, codes)
            kernels.decode(codes, table, _plans.words_of(target), look)
            return counts
        room, drawn = _room(dice, kernels.BLOCK)
        codes = np.empty(min(kernels.BLOCK, values.size), own)
        in_place = np.may_share_memory(values, target)
        return kernels.round_to(
            values.view(_plans.WORDS[plan.source_name]), given, start, codes, plan.lanes,
            plan.source, plan.grid, plan.rule, plan.outcome, dice, room, drawn, table,
            _plans.words_of(target), look._replace(greatest_word=0) if in_place else look,
        )  # fmt: skip

    return run


def _listed_encoder(plan: _plans.Listed, dice: Dice) -> Run:
    def run(start: int, values: Array, given: Array, codes: Array) -> tuple[int, int]:
        words = values.view(np.int64)
        room = np.empty((2, step_kernels.BLOCK), np.int64)
        nans, overflows = step_kernels.encode(
            words, plan.keys, plan.outcomes, plan.nan, codes, room
        )
        if dice.kind >= 0:
            room, drawn = _room(dice, values.size)
            kernels.throw(given, start, dice, room, drawn)
            overflows += step_kernels.choose(
                words, drawn, plan.point_keys, plan.point_values, plan.point_outcomes,
                plan.away, codes,
            )  # fmt: skip
        return nans, overflows

    return run


def _room(dice: Dice, size: int) -> tuple[Array, Array]:
    """Return room for the random words and thresholds of ``size`` elements."""
    size = size if dice.kind >= 0 else 0
    return np.empty(size // 2 + 1, np.uint64), np.empty(size, np.int32)

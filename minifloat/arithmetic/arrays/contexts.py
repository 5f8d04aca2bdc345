"""The arithmetic that an array computes in: `Context`, a format and how its results are rounded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, SupportsIndex, TypeAlias, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat._arrays import MAX_EXACT_INTEGER
from minifloat.arithmetic.accumulators import Accumulator
from minifloat.arithmetic.sum_formats import SumFormat
from minifloat.codec import EncodeOptions, decode, round_to
from minifloat.codec.stochastic import RANDOM_BITS
from minifloat.formats import Format, NumberFormat
from minifloat.formats.base import check_int
from minifloat.formats.names import parse
from minifloat.formats.rounding import (
    NaNPolicy,
    NaNPolicyLike,
    Overflow,
    OverflowLike,
    Rounding,
    RoundingLike,
    choose,
)

Array = NDArray[np.float64]
Operation: TypeAlias = Callable[..., Any]  # one of `minifloat.arithmetic.operations`

NEAREST = (
    Rounding.NEAREST_EVEN,
    Rounding.NEAREST_AWAY,
    Rounding.NEAREST_ZERO,
    Rounding.NEAREST_ODD,
)
WORDS = 1 << 64
GAMMA = 0x9E37_79B9_7F4A_7C15


class ContextOptions(TypedDict, total=False):
    """The options of a `Context`."""

    rounding: RoundingLike
    overflow: OverflowLike
    nan: NaNPolicyLike
    seed: SupportsIndex | None
    random_bits: SupportsIndex
    accumulator: Accumulator | SumFormat | NumberFormat | str | None


class Seeds:
    """The seeds that one seed gives, one after the other: a hash of it and of a counter.

    Attributes
    ----------
    seed : int
    count : int
        How many have been taken.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.count = 0

    def take(self) -> int:
        """Return the next seed."""
        self.count += 1
        return _mixed(_mixed(self.seed) + self.count * GAMMA)


def _mixed(word: int) -> int:
    """Return the hash of a word of 64 bits (SplitMix64: Steele, Lea and Flood, OOPSLA 2014)."""
    word %= WORDS
    word = (word ^ word >> 30) * 0xBF58_476D_1CE4_E5B9 % WORDS
    word = (word ^ word >> 27) * 0x94D0_49BB_1331_11EB % WORDS
    return word ^ word >> 31


@dataclass(frozen=True, init=False, repr=False)
class Context:
    """A format, and how results are rounded to it: what arrays have to share to meet.

    Two contexts are equal if all attributes but the seeds are.

    Parameters
    ----------
    fmt : format or str
        Any format that `minifloat.round_to` takes.
    rounding, overflow, nan, random_bits
        Of every operation, as in `minifloat.round_to`.
    seed : int, optional
        0 .. 2**64 - 1, for the stochastic modes. Each operation takes the next of the seeds that
        it gives, so a program gives the same bits each time it runs.
    accumulator : Accumulator, format or str, optional
        How sums and products of matrices add up; what comes out is rounded to ``fmt``. Default: one
        after the other, each product and each partial sum rounded as any other operation.

    Raises
    ------
    TypeError, ValueError
        If an option has no such value.

    Examples
    --------
    >>> from minifloat.arithmetic import Context
    >>> Context("bfloat16", rounding="toward_zero")
    Context('bfloat16', rounding='toward_zero')
    >>> Context("e4m3fn", accumulator="float32/terms=4") == Context("e4m3fn")
    False
    """

    fmt: NumberFormat
    rounding: Rounding
    overflow: Overflow
    nan: NaNPolicy
    random_bits: int
    accumulator: Accumulator | None
    seeds: Seeds | None = field(compare=False)

    def __init__(
        self,
        fmt: NumberFormat | str,
        *,
        rounding: RoundingLike = Rounding.NEAREST_EVEN,
        overflow: OverflowLike = Overflow.SATURATE,
        nan: NaNPolicyLike = NaNPolicy.RAISE,
        seed: SupportsIndex | None = None,
        random_bits: SupportsIndex = RANDOM_BITS,
        accumulator: Accumulator | SumFormat | NumberFormat | str | None = None,
    ) -> None:
        own = None if accumulator is None else Accumulator.parse(accumulator)
        values: dict[str, Any] = {
            "fmt": parse(fmt),
            "rounding": choose(Rounding, "rounding", rounding),
            "overflow": choose(Overflow, "overflow", overflow),
            "nan": choose(NaNPolicy, "nan", nan),
            "random_bits": check_int("random_bits", random_bits),
            "accumulator": own,
            "seeds": None if seed is None else Seeds(check_int("seed", seed)),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        together: EncodeOptions = {**self._fixed, "random_bits": random_bits, "seed": seed}
        round_to(1.0, self.fmt, **together)  # which checks them
        if own is not None:
            _check_float32(self.fmt)
            if own.rounding.is_stochastic:
                raise ValueError(
                    f"accumulator must not be stochastic in a context, got {own}; use "
                    'rounding="stochastic" and no accumulator, then partial sums are drawn too'
                )

    @cached_property
    def _fixed(self) -> EncodeOptions:
        options: EncodeOptions = {
            "rounding": self.rounding,
            "overflow": self.overflow,
            "nan": self.nan,
        }
        return options if self.seeds is None else {**options, "random_bits": self.random_bits}

    @property
    def options(self) -> EncodeOptions:
        """The options of the next operation, as `minifloat.round_to` takes them."""
        if self.seeds is None:
            return self._fixed
        return {**self._fixed, "seed": self.seeds.take()}

    def rounded(self, x: ArrayLike) -> Array:
        """Return numbers rounded to the format, as a new float64 array."""
        if type(x) is float or (type(x) is int and abs(x) < MAX_EXACT_INTEGER):
            x = np.array(x, np.float64)  # which takes a short cut
        return np.asarray(round_to(x, self.fmt, dtype=np.float64, **self.options))

    def compute(self, operation: Operation, *operands: ArrayLike) -> Array:
        """Return the results of an operation, each rounded once to the format, as float64."""
        numbers = (np.asarray(x, np.float64) for x in operands)
        return np.asarray(operation(*numbers, self.fmt, dtype=np.float64, **self.options))

    def replaced(self, **changes: Any) -> Context:
        """Return a context with other options.

        Seeds go on where they are, unless a ``seed`` is given or the mode is no longer stochastic.
        """
        names = ("fmt", "rounding", "overflow", "nan", "random_bits", "accumulator")
        options = {name: getattr(self, name) for name in names} | changes
        goes_on = "seed" not in changes and self.seeds is not None
        if goes_on and choose(Rounding, "rounding", options["rounding"]).is_stochastic:
            context = Context(**options, seed=0)
            object.__setattr__(context, "seeds", self.seeds)
            return context
        return Context(**options)

    @cached_property
    def has_minus_zero(self) -> bool:
        """Whether the format keeps the sign of -0."""
        return bool(np.signbit(round_to(-0.0, self.fmt)))

    @cached_property
    def adder(self) -> Accumulator | None:
        """The accumulator that gives the bits of one addition after the other, if there is one."""
        fmt, rounding, overflow = self.fmt, self.rounding, self.overflow
        if rounding is Rounding.DOWNWARD:  # of the negated numbers: see `reductions`
            rounding = Rounding.UPWARD
        if rounding.is_stochastic or not isinstance(fmt, Format):
            return None
        is_symmetric = fmt.signed and fmt.binary_grid is not None
        if not is_symmetric or fmt.max > SumFormat.parse("float32").largest:
            return None
        if overflow is Overflow.SATURATE or (
            overflow is Overflow.SATURATE_FINITE and not fmt.has_inf
        ):
            return Accumulator(fmt, rounding=rounding, overflow="saturate")
        if overflow in (Overflow.IEEE, Overflow.SAT_NONE) and fmt.has_inf and rounding in NEAREST:
            return Accumulator(fmt, rounding=rounding, overflow="infinity")
        return None

    def __repr__(self) -> str:
        return f"Context({', '.join(self.arguments)})"

    @property
    def arguments(self) -> list[str]:
        """The arguments that differ from their defaults, as text."""
        shown = [repr(f"{self.fmt}")]
        default = Rounding.NEAREST_EVEN, Overflow.SATURATE, NaNPolicy.RAISE, RANDOM_BITS, None
        names = ("rounding", "overflow", "nan", "random_bits", "accumulator")
        for name, usual in zip(names, default, strict=True):
            value = getattr(self, name)
            if value != usual:
                text = value if isinstance(value, int) else repr(str(value))
                shown.append(f"{name}={text}")
        if self.seeds is not None:
            shown.append(f"seed={self.seeds.seed}")
        return shown


class InContext:
    """What the tables of functions know of a `FormatArray`: its context, and where its values are.

    Whatever is written to the storage must be a value of the format.
    """

    context: Context
    storage: Array


def shared(arrays: Iterable[InContext], own: Context | None = None) -> Context:
    """Return the context that arrays share, or ``own`` if there are none.

    Raises
    ------
    TypeError
        If two have other contexts.
    """
    for x in arrays:
        own = own or x.context
        if x.context is not own and x.context != own:
            raise TypeError(
                f"arrays must be of one context to meet, got {own!r} and {x.context!r}; use "
                "x.astype(y.context)"
            )
    assert own is not None
    return own


def check_out(out: Any, context: Context) -> InContext:
    """Return where results go, which must be an array of their context."""
    if isinstance(out, tuple) and len(out) == 1:
        out = out[0]
    if not isinstance(out, InContext) or out.context != context:
        got = repr(out.context) if isinstance(out, InContext) else type(out).__name__
        raise TypeError(f"out must be a FormatArray of {context!r}, got {got}")
    return out


def refusal(name: str, context: Context) -> str:
    """Return the message for what cannot be done in a format."""
    return (
        f"{name} must be given plain arrays, since its operations are not rounded to "
        f"{context.fmt} one by one, got a FormatArray; use np.asarray(x), and "
        "arithmetic.array(result, x.context) where the result is to be rounded"
    )


def _check_float32(fmt: NumberFormat) -> None:
    try:
        decode([fmt.max_code], fmt, dtype=np.float32)
    except ValueError:
        raise ValueError(
            f"accumulator must be None for {fmt}, since accumulators add float32 numbers, which "
            "are not all of its values"
        ) from None

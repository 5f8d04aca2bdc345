"""The rounding modes, and the overflow and NaN policies.

A value between two neighbouring values of a format lies at a fraction of the gap between them,
measured from the neighbour nearer to zero. It is rounded away from zero if this fraction reaches a
threshold. A mode is nothing but its threshold: `away_threshold` gives it for the deterministic
modes, and a stochastic mode draws it at random. A value that the format has is at fraction 0 and
never changes.

"Even" and "odd" are the codes of the two neighbours. In an ExMy format or an integer one of them is
even and the other odd. With at least one mantissa bit this is the rule of IEEE 754; without
mantissa bits it is the rule of IEEE P3109 (its CodeIsEven). In a codebook both may be even, or both
odd: then the neighbour nearer to zero counts as the even one, and the other as the odd one.

P3109 is here and elsewhere the Interim Report on Arithmetic Formats for Machine Learning of the
IEEE working group P3109, version 4.0.3 of 1 September 2026 (https://github.com/P3109/Public);
section 4.7.4 defines its rounding modes and 4.7.5 its saturation modes.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Literal, TypeAlias, TypeVar

from minifloat.formats.base import shown


class Rounding(StrEnum):
    """Which neighbour an unrepresentable value rounds to.

    NEAREST_EVEN       the nearest; a tie to the even code (IEEE roundTiesToEven)
    NEAREST_AWAY       the nearest; a tie away from zero (IEEE roundTiesToAway)
    NEAREST_ZERO       the nearest; a tie toward zero
    NEAREST_ODD        the nearest; a tie to the odd code
    TOWARD_ZERO        toward zero
    AWAY_FROM_ZERO     away from zero (P3109 TowardMaxMagnitude)
    UPWARD             toward +infinity
    DOWNWARD           toward -infinity
    TO_ODD             to the neighbour with the odd code
    STOCHASTIC         away from zero with the fraction as probability, rounded down to n random
                       bits (P3109 StochasticA; the name stochastic_a is accepted too)
    STOCHASTIC_B       P3109 StochasticB: the fraction rounded to n bits, ties up
    STOCHASTIC_C       P3109 StochasticC: the fraction rounded to n bits, ties to even
    STOCHASTIC_EQUAL   either neighbour with probability 1/2

    With n random bits the probability of STOCHASTIC is exact if the fraction has at most n bits.
    Otherwise it is too low by less than 2**-n, and a fraction below 2**-n never rounds away. The
    probabilities of STOCHASTIC_B and STOCHASTIC_C are off by at most 2**-(n+1), in either
    direction.
    """

    NEAREST_EVEN = "nearest_even"
    NEAREST_AWAY = "nearest_away"
    NEAREST_ZERO = "nearest_zero"
    NEAREST_ODD = "nearest_odd"
    TOWARD_ZERO = "toward_zero"
    AWAY_FROM_ZERO = "away_from_zero"
    UPWARD = "upward"
    DOWNWARD = "downward"
    TO_ODD = "to_odd"
    STOCHASTIC = "stochastic"
    STOCHASTIC_B = "stochastic_b"
    STOCHASTIC_C = "stochastic_c"
    STOCHASTIC_EQUAL = "stochastic_equal"

    @classmethod
    def _missing_(cls, value: object) -> Rounding | None:
        return cls.STOCHASTIC if value == "stochastic_a" else None

    @property
    def is_stochastic(self) -> bool:
        """Whether the mode needs random bits."""
        return self.value.startswith("stochastic")


class Overflow(StrEnum):
    """Which code a rounded value gets that is above the largest or below the lowest value.

    SATURATE          the largest or lowest value, also for infinity (P3109 SatFinite)
    SATURATE_FINITE   the same, but infinity stays infinity if the format has one
                      (P3109 SatPropagate)
    IEEE              infinity, or the largest or lowest value if the mode rounds to it rather than
                      beyond it; NaN if the format has no such infinity; the largest or lowest
                      value if it has neither
    SAT_NONE          the same, but `Rounding.TO_ODD` always rounds beyond (P3109 SatNone)
    RAISE             an error

    Under IEEE the modes that round to the end are those that round toward zero there, and TO_ODD
    if the value at this end has an odd code. This is so in the formats of IEEE 754, so SAT_NONE
    differs from IEEE in TO_ODD alone, where the largest value has an odd code.
    """

    SATURATE = "saturate"
    SATURATE_FINITE = "saturate_finite"
    IEEE = "ieee"
    SAT_NONE = "sat_none"
    RAISE = "raise"


class NaNPolicy(StrEnum):
    """Which code NaN gets in a format without NaN: an error, zero, or the largest value."""

    RAISE = "raise"
    ZERO = "zero"
    MAX = "max"


# What arguments take: members, or their strings, which a type checker then knows.
RoundingLike: TypeAlias = (
    Rounding
    | Literal[
        "nearest_even", "nearest_away", "nearest_zero", "nearest_odd", "toward_zero",
        "away_from_zero", "upward", "downward", "to_odd", "stochastic", "stochastic_a",
        "stochastic_b", "stochastic_c", "stochastic_equal",
    ]
)  # fmt: skip
OverflowLike: TypeAlias = (
    Overflow | Literal["saturate", "saturate_finite", "ieee", "sat_none", "raise"]
)
NaNPolicyLike: TypeAlias = NaNPolicy | Literal["raise", "zero", "max"]


class Threshold(IntEnum):
    """The smallest fraction that rounds away from zero."""

    ABOVE_ZERO = 0
    HALF = 1
    ABOVE_HALF = 2
    NEVER = 3


def away_threshold(rounding: Rounding, *, odd: bool, negative: bool) -> Threshold:
    """Return the fraction from which a deterministic mode rounds away from zero.

    Parameters
    ----------
    rounding : Rounding
        A deterministic mode.
    odd : bool
        Whether the neighbour nearer to zero has an odd code.
    negative : bool
        Whether the value is negative.

    Returns
    -------
    Threshold

    Raises
    ------
    ValueError
        If the mode is stochastic.

    Examples
    --------
    >>> from minifloat.formats.rounding import Rounding, away_threshold
    >>> away_threshold(Rounding.NEAREST_EVEN, odd=True, negative=False)
    <Threshold.HALF: 1>
    """
    match rounding:
        case Rounding.NEAREST_EVEN:
            return Threshold.HALF if odd else Threshold.ABOVE_HALF
        case Rounding.NEAREST_ODD:
            return Threshold.ABOVE_HALF if odd else Threshold.HALF
        case Rounding.NEAREST_AWAY:
            return Threshold.HALF
        case Rounding.NEAREST_ZERO:
            return Threshold.ABOVE_HALF
        case Rounding.TOWARD_ZERO:
            return Threshold.NEVER
        case Rounding.AWAY_FROM_ZERO:
            return Threshold.ABOVE_ZERO
        case Rounding.UPWARD:
            return Threshold.NEVER if negative else Threshold.ABOVE_ZERO
        case Rounding.DOWNWARD:
            return Threshold.ABOVE_ZERO if negative else Threshold.NEVER
        case Rounding.TO_ODD:
            return Threshold.NEVER if odd else Threshold.ABOVE_ZERO
    raise ValueError(f"rounding must be a deterministic mode, got {rounding}")


def overflows_to_infinity(rounding: Rounding, *, end_odd: bool, negative: bool) -> bool:
    """Return whether a finite value beyond one end of a format becomes infinity under ``ieee``.

    Modes that never round away from zero there give the value at the end (IEEE 754-2019, 7.4);
    `Rounding.TO_ODD` gives it if its code is odd.

    Parameters
    ----------
    rounding : Rounding
    end_odd : bool
        Whether the value at this end, the largest or the lowest one, has an odd code.
    negative : bool
        Whether the value is negative.

    Returns
    -------
    bool

    Examples
    --------
    >>> from minifloat.formats.rounding import Rounding, overflows_to_infinity
    >>> overflows_to_infinity(Rounding.UPWARD, end_odd=True, negative=True)
    False
    """
    if rounding.is_stochastic:
        return True
    return away_threshold(rounding, odd=end_odd, negative=negative) is not Threshold.NEVER


Choice = TypeVar("Choice", bound=StrEnum)


def choose(kind: type[Choice], name: str, value: object) -> Choice:
    """Return ``value`` as a member of ``kind``.

    Parameters
    ----------
    kind : type
        `Rounding`, `Overflow` or `NaNPolicy`.
    name : str
        The name of the argument, for the message.
    value : str
        A member or its string.

    Returns
    -------
    member of ``kind``

    Raises
    ------
    ValueError
        If there is no such member; the message lists all members and suggests similar ones.

    Examples
    --------
    >>> from minifloat.formats.rounding import Overflow, choose
    >>> choose(Overflow, "overflow", "ieee")
    <Overflow.IEEE: 'ieee'>
    """
    try:
        return kind(str(value))
    except ValueError:
        pass
    import difflib

    members = [str(member) for member in kind]
    text = value if isinstance(value, str) else shown(value)
    near = difflib.get_close_matches(text.lower().replace("-", "_"), members, n=2, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise ValueError(
        f"{name} must be one of {', '.join(members)}, got {shown(value)}; {hint}".rstrip("; ")
    )

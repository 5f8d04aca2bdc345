"""Codes of numbers that no float holds, such as 1/10: one by one, in fractions."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike

from minifloat._kernels import codec as kernels
from minifloat._kernels.scalar import WINDOW
from minifloat.codec import EncodeOptions, encode
from minifloat.codec.decision_points import LARGEST, Side, Value, away, between, line
from minifloat.codec.special_codes import SpecialCodes, special_codes
from minifloat.codec.stochastic import NO_WORDS, RANDOM_BITS, stochastic_mode
from minifloat.formats import NumberFormat
from minifloat.formats.rounding import NaNPolicy, Overflow, Rounding, choose


def encode_exactly(
    numbers: Sequence[Fraction | float],
    fmt: NumberFormat,
    *,
    rounding: Rounding | str = Rounding.NEAREST_EVEN,
    overflow: Overflow | str = Overflow.SATURATE,
    nan: NaNPolicy | str = NaNPolicy.RAISE,
    seed: SupportsIndex | None = None,
) -> list[int]:
    """Round numbers to a format, each once from its exact value, and return the codes.

    Parameters
    ----------
    numbers : sequence of Fraction or float
        -0.0, infinities and NaN are floats.
    fmt : NumberFormat
    rounding, overflow, nan, seed
        As for `minifloat.encode`, with the same codes for numbers that float64 holds. (In a
        stochastic mode the fraction of the gap is exact in every format; `encode` computes it in
        float64 for codebooks and formats without subnormals.)

    Returns
    -------
    list of int

    Raises
    ------
    ValueError
        As `minifloat.encode`.

    Examples
    --------
    >>> import minifloat as mf
    >>> from minifloat.codec.exact import encode_exactly
    >>> above = Fraction(9, 8) + Fraction(1, 10**30)  # float64 has the tie at 9/8 only
    >>> encode_exactly([above], mf.parse("e2m2")), int(mf.encode(float(above), "e2m2"))
    ([5], 4)
    """
    mode = choose(Rounding, "rounding", rounding)
    overflow, nan = choose(Overflow, "overflow", overflow), choose(NaNPolicy, "nan", nan)
    policies: EncodeOptions = {"rounding": mode, "overflow": overflow, "nan": nan, "seed": seed}
    special = special_codes(fmt, mode, overflow, nan)
    drawn = thresholds(mode, (len(numbers),), seed=seed)
    codes = []
    for number, threshold in zip(numbers, drawn, strict=True):
        code = None
        if isinstance(number, float) and (number == 0 or not math.isfinite(number)):
            code = int(encode(number, fmt, **policies))  # nothing is rounded, so nothing is drawn
        elif not mode.is_stochastic and overflow is not Overflow.RAISE:
            code = _common_code(Fraction(number), fmt, policies)
        if code is None:
            code = _code(Fraction(number), fmt, _line(fmt, special), special, mode, threshold)
        if code < 0:
            exact = Fraction(number)
            example = f"{float(exact)}" if abs(exact) <= LARGEST else "a number beyond float64"
            raise ValueError(
                f"x must round to {fmt}'s range {fmt.min:g} .. {fmt.max:g} with "
                f'overflow="raise", got {example}; scale x, or pass overflow="saturate"'
            )
        codes.append(code)
    return codes


@lru_cache(maxsize=16)
def _line(fmt: NumberFormat, special: SpecialCodes) -> list[Value]:
    return line(fmt, special)


def _common_code(x: Fraction, fmt: NumberFormat, policies: EncodeOptions) -> int | None:
    """Return the code of the float64 numbers on both sides of ``x``, if they have the same one.

    Rounding is monotone, so ``x`` then has it too. This is a shortcut: most numbers are not near a
    decision point, and the list of all values of a wide format takes a second.
    """
    if abs(x) > LARGEST:
        return None
    nearest = float(x)
    if Fraction(nearest) == x:
        return int(encode(nearest, fmt, **policies))
    other = math.nextafter(nearest, math.inf if nearest < x else -math.inf)
    codes = encode([nearest, other], fmt, **policies).tolist()
    return int(codes[0]) if codes[0] == codes[1] else None


def thresholds(
    mode: Rounding,
    shape: tuple[int, ...],
    *,
    seed: SupportsIndex | None = None,
    random: ArrayLike | None = None,
    random_bits: SupportsIndex = RANDOM_BITS,
) -> list[int]:
    """Return the threshold of each element of an array, of 2**WINDOW, as `minifloat.encode` has it.

    A number is rounded away from zero if its fraction of the gap reaches its threshold. They are 0
    in a deterministic mode, which has other thresholds.
    """
    stochastic = stochastic_mode(mode, seed, random, random_bits, shape)
    found = np.zeros(math.prod(shape), np.int32)
    if stochastic is not None:
        given = stochastic.random_words
        words = NO_WORDS if given is None else given.reshape(-1).astype(np.uint32)
        scratch = np.empty(found.size // 2 + 1, np.uint64)
        kernels.fill_thresholds(found, words, 0, stochastic.record, scratch)
    return [int(threshold) for threshold in found]


def reaches(fraction: Fraction, threshold: int) -> bool:
    """Return whether a fraction of a gap reaches a threshold of `thresholds`."""
    whole = math.floor(fraction * 2**WINDOW)
    whole |= whole != fraction * 2**WINDOW  # the last bit is sticky
    return bool(whole >= threshold)


def _code(
    x: Fraction,
    fmt: NumberFormat,
    values: Sequence[Value],
    special: SpecialCodes,
    mode: Rounding,
    threshold: int,
) -> int:
    """Return the code of one number, or ``~code`` where it overflows; the steps 3 to 6."""
    place = bisect_right(values, x, key=lambda value: value.exact)
    if place == 0:
        only_positive = not fmt.is_table and not fmt.has_zero and fmt.min > 0
        return values[0].code if only_positive and x > 0 else special.over_below
    if place == len(values):
        return special.over_above if x > values[-1].exact else values[-1].code
    low, high = values[place - 1], values[place]
    if not mode.is_stochastic:
        point = between(low, high, mode)
        on_point_up = point.side is not Side.LOWER  # Side.OWN_SIGN: x is 0, without sign
        return (high if x > point.at or (x == point.at and on_point_up) else low).code
    up = away(low, high) > 0 or (away(low, high) == 0 and x > 0)
    covered = (x - low.exact if up else high.exact - x) / (high.exact - low.exact)
    return (high if reaches(covered, threshold) == up else low).code

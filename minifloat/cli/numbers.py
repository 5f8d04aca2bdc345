"""Numbers as people type them, read exactly: 0.1 is a tenth, not the float64 nearest to it."""

from __future__ import annotations

import re
from decimal import Context, Decimal
from fractions import Fraction
from typing import NamedTuple

# No format of this package has a decision point beyond these: float64 ends at 1.8e308 and 4.9e-324,
# and a decision point between two of its numbers has at most 1100 digits.
LARGEST_POWER = 5000
DIGITS = 2000
INTEGER_DIGITS = 4000  # Python itself refuses more than 4300

_DECIMAL = re.compile(
    r"(?P<whole>[0-9]*)(?:\.(?P<part>[0-9]*))?(?:e(?P<power>[+-]?[0-9]+))?", re.IGNORECASE
)
_HEXADECIMAL = re.compile(
    r"0x(?P<whole>[0-9a-f]*)(?:\.(?P<part>[0-9a-f]*))?(?:p(?P<power>[+-]?[0-9]+))?", re.IGNORECASE
)
_RATIO = re.compile(rf"([0-9]{{1,{INTEGER_DIGITS}}})/([0-9]{{1,{INTEGER_DIGITS}}})")
_SPECIAL = re.compile(r"inf|infinity|nan", re.IGNORECASE)
_INTEGER = re.compile(r"[+-]?(?:0x[0-9a-f]+|0o[0-7]+|0b[01]+|[0-9]+)", re.IGNORECASE)


class Number(NamedTuple):
    """A number that was typed: its value, or one that rounds alike where that is extreme.

    ``value`` is a fraction; -0, infinities and NaN are floats. ``is_exact`` is false where another
    number stands for it: one of more than `DIGITS` digits, or beyond 10**`LARGEST_POWER`.
    """

    value: Fraction | float
    is_exact: bool = True


def read_number(text: str) -> Number | None:
    """Return the number that a text means, or None if it means none.

    Decimal numbers (``1.1``, ``-1e-3``), hexadecimal ones (``0x1.8p-3``), ratios of integers
    (``1/3``), ``inf`` and ``nan``, each with or without a sign; ASCII digits alone.

    Examples
    --------
    >>> read_number("0.1"), read_number("-0"), read_number("0x.8"), read_number("1_000")
    (Number(value=Fraction(1, 10), is_exact=True), Number(value=-0.0, is_exact=True), \
Number(value=Fraction(1, 2), is_exact=True), None)
    """
    word = text.strip()
    negative = word.startswith("-")
    size = _read_size(word[1:] if word[:1] in ("-", "+") else word)
    if size is None:
        return None
    if not negative:
        return size
    return Number(-size.value if size.value != 0 else -0.0, size.is_exact)


def _read_size(word: str) -> Number | None:
    """Return the number of a text without sign."""
    if _SPECIAL.fullmatch(word):
        return Number(float(word))
    if ratio := _RATIO.fullmatch(word):
        return Number(Fraction(int(ratio[1]), int(ratio[2]))) if int(ratio[2]) else None
    for base, pattern in ((16, _HEXADECIMAL), (10, _DECIMAL)):
        if match := pattern.fullmatch(word):
            whole, part = match["whole"], match["part"] or ""
            if not whole + part:
                return None
            return _positional(whole + part, len(part), match["power"] or "0", base)
    return None


def _positional(digits: str, after_point: int, power: str, base: int) -> Number:
    """Return ``digits * base**-after_point`` times 10 or 2 to a power, without huge integers."""
    digits = digits.lstrip("0")
    if not digits:
        return Number(Fraction(0))
    exponent = _bounded(power)
    kept, rest = digits[:DIGITS], digits[DIGITS:]
    places = len(rest) - after_point
    if rest:  # a last digit that is not 0 says that more follow
        kept += "1" if rest.strip("0") else "0"
        places -= 1
    if base == 16:
        step, places = 2, exponent + 4 * places
        magnitude = places + 4 * len(kept)
    else:
        step, places = 10, exponent + places
        magnitude = places + len(kept)
    if abs(magnitude) > LARGEST_POWER * (4 if base == 16 else 1):
        limit = LARGEST_POWER if magnitude > 0 else -LARGEST_POWER
        return Number(Fraction(10) ** limit, is_exact=False)
    return Number(int(kept, base) * Fraction(step) ** places, not rest.strip("0"))


def _bounded(power: str) -> int:
    """Return an exponent, or one beyond all that matter."""
    size = int(power.lstrip("+-").lstrip("0")[:15] or "0")
    return -size if power.startswith("-") else size


def read_integer(text: str) -> int | None:
    """Return the integer of a text such as 7, -3, 0x1f or 0b101; None if it is none.

    Examples
    --------
    >>> read_integer("0x1F"), read_integer("007"), read_integer("1_0"), read_integer("9" * 5000)
    (31, 7, None, None)
    """
    word = text.strip()
    if not _INTEGER.fullmatch(word) or len(word) > INTEGER_DIGITS:
        return None
    return int(word, 0 if word.lstrip("+-")[1:2].lower() in ("x", "o", "b") else 10)


def rounded(value: Fraction, digits: int) -> str:
    """Return a fraction in decimal with so many significant digits.

    Examples
    --------
    >>> rounded(Fraction(-1, 3), 4), rounded(Fraction(10) ** 400, 4), rounded(Fraction(0), 4)
    ('-0.3333', '1e+400', '0')
    """
    context = Context(prec=digits)
    quotient = context.divide(Decimal(value.numerator), Decimal(value.denominator))
    if -300 < quotient.adjusted() < 300:
        return f"{float(quotient):.{digits}g}"
    return f"{quotient.normalize(context):e}"

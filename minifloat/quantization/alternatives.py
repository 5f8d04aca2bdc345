"""Alternatives: what a block of weights may be instead of a recipe's own format.

A recipe with alternatives is a list of candidates that share block, scale format and options. Each
candidate quantizes a block by itself, and the block becomes the one of least squared error:

    e2m1|e2m1@4     the block's absmax becomes 6 or 4         (four over six)
    e2m1|int4       the block is E2M1 or INT4                 (with one scale for both: IF4)
    nf4|int4|e3m0   one of three

``FORMAT@NUMBER`` says which magnitude of the format the absmax of a block becomes; by default the
largest.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Literal, TypeAlias

from minifloat.formats import NumberFormat
from minifloat.formats.base import abridged, shown
from minifloat.formats.names import parse

FlagLike: TypeAlias = Literal["sign", "bits"]

FLAGS: tuple[FlagLike, ...] = ("sign", "bits")
MOST = 8  # candidates of a recipe
BETWEEN, AT = "|", "@"
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?(e-?[0-9]+)?")


@dataclass(frozen=True, init=False, repr=False)
class Alternative:
    """What a block may be instead of a recipe's own format.

    Parameters
    ----------
    fmt : format or str
        A format, or its name; as text also with the magnitude behind it: "e2m1@4".
    absmax_at : float, optional
        The magnitude that the absmax of a block becomes, above 0. Default: the largest of the
        format, `NumberFormat.max_abs`.

    Raises
    ------
    ValueError
        If there is no such format, or the magnitude is not finite and above 0.
    TypeError
        If one of them has another type.

    Examples
    --------
    >>> from minifloat.quantization.alternatives import Alternative
    >>> Alternative("e2m1@4"), Alternative("int4").absmax_at
    (<Alternative e2m1@4>, 7.0)
    """

    fmt: NumberFormat
    absmax_at: float

    def __init__(self, fmt: NumberFormat | str, absmax_at: float | None = None) -> None:
        if isinstance(fmt, str):
            fmt, at = name_and_magnitude(fmt)
            absmax_at = only_one("absmax_at", absmax_at, at)
        parsed = parse(fmt)
        object.__setattr__(self, "fmt", parsed)
        object.__setattr__(self, "absmax_at", checked_magnitude(absmax_at, parsed))

    def __str__(self) -> str:
        return text_of(self.fmt, self.absmax_at)

    def __format__(self, spec: str) -> str:
        return format(abridged(str(self)), spec)

    def __repr__(self) -> str:
        return f"<Alternative {self}>"


AlternativeLike: TypeAlias = Alternative | NumberFormat | str


def alternatives_of(given: Sequence[AlternativeLike]) -> tuple[Alternative, ...]:
    """Return alternatives of what a recipe takes.

    Raises
    ------
    TypeError
        If they are no sequence, or one of them is something else.
    ValueError
        As `Alternative`.

    Examples
    --------
    >>> alternatives_of(["int4", "e2m1@4"])
    (<Alternative int4>, <Alternative e2m1@4>)
    """
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise TypeError(
            f'alternatives must be a sequence of formats, such as ("int4",), got {shown(given)}'
        )
    return tuple(each if isinstance(each, Alternative) else Alternative(each) for each in given)


def name_and_magnitude(text: str) -> tuple[str, float | None]:
    """Return the format's name and the magnitude behind it, if there is one.

    Raises
    ------
    ValueError
        If what stands behind the @ is no number.

    Examples
    --------
    >>> name_and_magnitude("e2m1@4"), name_and_magnitude("e2m1")
    (('e2m1', 4.0), ('e2m1', None))
    """
    name, at, number = (part.strip(" ") for part in text.partition(AT))
    if not at:
        return name, None
    if not _NUMBER.fullmatch(number):
        raise ValueError(f"fmt must have a number behind @, such as e2m1@4, got {shown(text)}")
    return name, float(number)


def checked_magnitude(absmax_at: object, fmt: NumberFormat) -> float:
    """Return the magnitude that absmax becomes; the largest of the format in place of None.

    It is 0 for a format of tables, which has no values of its own.

    Raises
    ------
    TypeError, ValueError
        If it is no number, or not finite and above 0.
    """
    if fmt.is_lookup:
        if absmax_at:
            raise ValueError(
                f"absmax_at must be left out for {fmt.name}, whose blocks have tables, got "
                f"{shown(absmax_at)}"
            )
        return 0.0
    if absmax_at is None:
        return fmt.max_abs
    if not isinstance(absmax_at, Real) or isinstance(absmax_at, bool):
        raise TypeError(f"absmax_at must be a number above 0, got {shown(absmax_at)}")
    try:
        number = float(absmax_at)
    except OverflowError:  # of an int beyond float64
        number = math.inf
    if not 0 < number < math.inf:
        raise ValueError(f"absmax_at must be finite and above 0, got {shown(absmax_at)}")
    return number


def only_one(name: str, given: float | None, in_text: float | None) -> float | None:
    """Return a field that is given, or stands in a text; raise a ValueError if it is both."""
    if given is not None and in_text is not None:
        raise ValueError(f"{name} must not be given twice, got {given!r} and {in_text!r}")
    return in_text if given is None else given


def text_of(fmt: NumberFormat, absmax_at: float) -> str:
    """Return a candidate's text.

    Examples
    --------
    >>> import minifloat as mf
    >>> text_of(mf.parse("e2m1"), 6.0), text_of(mf.parse("e2m1"), 4.0)
    ('e2m1', 'e2m1@4')
    """
    is_largest = fmt.is_lookup or absmax_at == fmt.max_abs
    return fmt.name if is_largest else f"{fmt.name}{AT}{shortest(absmax_at)}"


def shortest(number: float) -> str:
    """Return the shortest text of a float, without a plus, which joins a recipe's options."""
    return repr(number).removesuffix(".0").replace("e+", "e")

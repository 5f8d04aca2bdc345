"""Codebooks: formats that are a table of values."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property

from minifloat.formats import grammar
from minifloat.formats.base import (
    MAX_CODE_BITS,
    MAX_NAME,
    NumberFormat,
    check_code,
    check_name,
    shortest,
    shown,
)
from minifloat.formats.published import PUBLISHED

NOT_REAL = ("b", "c", "m", "M")  # kinds of NumPy's dtypes: bools, complex numbers, times


@dataclass(frozen=True, repr=False, init=False, eq=False)
class Codebook(NumberFormat):
    """A table of values: code ``i`` means ``codebook[i]``.

    Parameters
    ----------
    codebook : sequence of float
        2 to 65536 finite values in code order, no value twice (0 and -0 are two values).
    name : str
        For printing: 1 to 64 printable characters, no space at its ends, without ``/``, ``|`` and
        ``@``, which end the format in the text of a recipe, and not a name that means another
        format; or the values themselves, as `name_of_values` has them.
        Comparisons ignore it: codebooks with equal values are equal.

    Raises
    ------
    ValueError
        If there are too few or too many values, a value is not finite or occurs twice, or the name
        is not allowed.
    TypeError
        If a value is not a real number, or the name is not a str.

    Examples
    --------
    >>> from minifloat.formats import Codebook
    >>> Codebook([-1.0, 0.0, 0.25, 1.0], "mine")
    <Codebook mine: bits 2, values 4, max 1, min -1, smallest 0.25>
    """

    codebook: tuple[float, ...]
    name: str = "codebook"  # a default, since the base class has a property of this name

    def __init__(self, codebook: Sequence[float], name: str = "codebook") -> None:
        values = _numbers(codebook)
        if not 2 <= len(values) <= 1 << MAX_CODE_BITS:
            raise ValueError(
                f"codebook must have 2 to {1 << MAX_CODE_BITS} values, got {len(values)}"
            )
        _check_name(name, values)
        signed_values: set[tuple[float, float]] = set()
        for code, value in enumerate(values):
            key = (value, math.copysign(1.0, value))
            if not math.isfinite(value):
                raise ValueError(f"codebook must be finite, got {value} at code {code}")
            if key in signed_values:
                raise ValueError(f"codebook must hold no value twice, got {value} at code {code}")
            signed_values.add(key)
        object.__setattr__(self, "codebook", values)
        object.__setattr__(self, "name", name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Codebook):
            return NotImplemented
        return self.codebook == other.codebook and all(
            math.copysign(1.0, a) == math.copysign(1.0, b)  # distinguishes 0 from -0
            for a, b in zip(self.codebook, other.codebook, strict=True)
        )

    def __hash__(self) -> int:
        return hash(self.codebook)

    def __iter__(self) -> Iterator[float]:
        return iter(self.codebook)

    @property
    def bits(self) -> int:  # type: ignore[override]  # derived here, stored in the base class
        """Width of a code."""
        return (len(self.codebook) - 1).bit_length()

    @property
    def code_count(self) -> int:
        """Number of values; codes run from 0 to ``code_count - 1``."""
        return len(self.codebook)

    @property
    def is_table(self) -> bool:
        """Whether the values are a list: true for every codebook."""
        return True

    @property
    def precision(self) -> None:
        """None: a table of values has no significand."""
        return None

    @cached_property
    def max_code(self) -> int:
        """Code of `max`."""
        return max(range(self.code_count), key=self._order)

    @cached_property
    def min_code(self) -> int:
        """Code of `min`."""
        return min(range(self.code_count), key=self._order)

    def _order(self, code: int) -> tuple[float, float]:
        """Return what codes are sorted by: their values, -0 before 0."""
        value = self.codebook[code]
        return value, math.copysign(1.0, value)

    @property
    def zero_code(self) -> int | None:
        """Code of 0; code of -0 if there is no +0; None if there is no zero."""
        zeros = [code for code, value in enumerate(self.codebook) if value == 0]
        return min(zeros, key=lambda code: math.copysign(1, -self.codebook[code]), default=None)

    @property
    def max(self) -> float:
        """Largest value; 0, not -0, if it is zero and there are both."""
        return self.codebook[self.max_code]

    @property
    def min(self) -> float:
        """Lowest value; -0, not 0, if it is zero and there are both."""
        return self.codebook[self.min_code]

    @property
    def smallest(self) -> float:
        """Smallest value above zero; NaN if there is none."""
        return min((value for value in self.codebook if value > 0), default=math.nan)

    @property
    def has_zero(self) -> bool:
        """Whether some value is zero."""
        return 0.0 in self.codebook

    @property
    def has_negative_zero(self) -> bool:
        """Whether -0 is one of the values."""
        return any(value == 0 and math.copysign(1, value) < 0 for value in self.codebook)

    def value(self, code: int) -> float:
        """Return the value of one code."""
        code = check_code(code, self)
        return self.codebook[code]

    def kind(self, code: int) -> str:
        """Return zero or normal."""
        return "normal" if self.value(code) else "zero"

    def describe(self) -> dict[str, str]:
        """Return the facts that `repr` and the HTML table show, by their names."""
        facts = super().describe()
        return {"bits": facts.pop("bits"), "values": str(len(self.codebook)), **facts}


def name_of_values(values: Sequence[float]) -> str:
    """Return the name that is the values of a codebook, which `minifloat.parse` reads.

    Examples
    --------
    >>> from minifloat.formats.codebook import name_of_values
    >>> name_of_values([-1.0, 0.0, 0.25, 1.0])
    '[-1 0 0.25 1]'
    """
    return f"[{' '.join(map(shortest, values))}]"


def codebook_of(values: Sequence[float], name: str) -> Codebook:
    """Return a codebook with a name; with its values as the name, where that would be too long.

    Examples
    --------
    >>> from minifloat.formats.codebook import codebook_of
    >>> codebook_of([-1.0, 1.0], "signs").name, codebook_of([-1.0, 1.0], "long" * 20).name
    ('signs', '[-1 1]')
    """
    return Codebook(values, name if len(name) <= MAX_NAME else name_of_values(values))


def short_name(name: str) -> str:
    """Return a name for an identifier: a hash in place of one that is long, as values are.

    Examples
    --------
    >>> from minifloat.formats.codebook import short_name
    >>> short_name("[-1 0 1]"), short_name(f"[{' '.join(map(str, range(256)))}]")
    ('[-1 0 1]', 'codebook_b6e23229')
    """
    return name if len(name) <= MAX_NAME else f"codebook_{zlib.crc32(name.encode()):08x}"


def _numbers(codebook: Sequence[float]) -> tuple[float, ...]:
    """Return the values of a codebook as floats."""
    if type(codebook).__name__ == "MaskedArray":  # NumPy's, which is not imported here
        raise TypeError("codebook must have no mask, got a masked array; use codebook.compressed()")
    try:
        values = None if isinstance(codebook, Set | Mapping) else list(codebook)
    except TypeError:
        values = None
    if values is None:
        raise TypeError(f"codebook must be a sequence of numbers, got {shown(codebook)}")
    try:
        return tuple(_number(value, code) for code, value in enumerate(values))
    except OverflowError:
        raise ValueError("codebook must be finite as float64, got a greater number") from None


def _number(value: object, code: int) -> float:
    """Return one value of a codebook as a float."""
    dtype = getattr(value, "dtype", None)  # of NumPy's numbers and arrays
    is_real = hasattr(value, "__float__") and not isinstance(value, str | bytes | bool)
    if is_real and getattr(dtype, "kind", "") not in NOT_REAL and not getattr(value, "ndim", 0):
        return float(value)  # type: ignore[arg-type]  # it has __float__
    raise TypeError(f"codebook must hold real numbers, got {shown(value)} at code {code}")


def _check_name(name: str, values: tuple[float, ...]) -> None:
    """Raise unless a codebook of these values may have this name."""
    if isinstance(name, str) and name == name_of_values(values):
        return
    check_name(name)
    if any(mark in name for mark in "/|@"):
        raise ValueError(f"name must have no /, | or @, got {name!r}; use an underscore, say")
    word = grammar.word_of(name.partition("(")[0])
    published = PUBLISHED.get(word)
    if grammar.is_rule(word) or (published is not None and _keys(published) != _keys(values)):
        raise ValueError(
            f"name must not be the name of a format with other values, got {name!r}; choose another"
        )


def _keys(values: tuple[float, ...]) -> list[str]:
    return [value.hex() for value in values]  # distinguishes 0 from -0

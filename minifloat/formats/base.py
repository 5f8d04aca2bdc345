"""The base class of all formats: values of codes, facts about the format, and printing."""

from __future__ import annotations

import html
import math
import operator
import re
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, SupportsIndex

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from minifloat.formats.dtypes import DtypeNames


MAX_CODE_BITS = 16  # only TF32 is wider
MAX_NAME = 64  # characters
MAX_TEXT = 500  # characters of a text that a message shows
FIRST_VALUES = 4  # of a long codebook that a message shows
MAX_DIGITS = 60  # of an integer that a message shows; Python refuses to print 4301


class BinaryGrid(NamedTuple):
    """Magnitudes 0, 1, 2, ... in equal steps up to ``2**emin``, then in steps that double.

    Magnitude ``k`` below ``2**mantissa_bits`` has the value ``k * 2**(emin - mantissa_bits)``; each
    further ``2**mantissa_bits`` magnitudes fill a binade. A magnitude is the code of its positive
    value.
    """

    mantissa_bits: int
    emin: int
    limit: int  # magnitude of `NumberFormat.max`
    negative_limit: int  # of `NumberFormat.min`
    twos_complement: bool  # a negative code is 2**bits - magnitude; else it has a sign bit


class CodeRow(NamedTuple):
    """One line of a format's value table."""

    code: int
    bits: str
    value: float
    kind: str


class CodeTable(tuple[CodeRow, ...]):
    """All codes of a format, one `CodeRow` each; prints as text, and as a table in Jupyter."""

    __slots__ = ()

    def __str__(self) -> str:
        width = max(len(row.bits) for row in self)
        lines = [f"{'code':>6}  {'bits':<{width}}  {'value':>24}  kind"]
        lines += [
            f"{row.code:>6}  {row.bits:<{width}}  {shortest(row.value):>24}  {row.kind}"
            for row in self
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><td>{row.code}</td><td><code>{row.bits}</code></td>"
            f"<td>{shortest(row.value)}</td><td>{row.kind}</td></tr>"
            for row in self
        )
        head = "<tr><th>code</th><th>bits</th><th>value</th><th>kind</th></tr>"
        return f"<table>{head}{cells}</table>"


def shortest(value: float) -> str:
    """Return the shortest decimal that reads back as the same float."""
    return repr(value).removesuffix(".0")


class NumberFormat:
    """Base class of all formats: a number of bits, and a value for each code (not of `Lookup`)."""

    bits: int
    exponent_bits: int | None = None  # these three are numbers in a `Format` only
    mantissa_bits: int | None = None
    bias: int | None = None

    @property
    def name(self) -> str:
        """The name that `minifloat.parse` reads; ``f"{fmt}"`` is its `abridged` text."""
        raise NotImplementedError

    @property
    def names(self) -> DtypeNames:
        """What the format is called in other libraries and standards."""
        from minifloat.formats.dtypes import names_of

        return names_of(self)

    def __format__(self, spec: str) -> str:
        return format(abridged(self.name), spec)

    def __str__(self) -> str:
        return f"{self.name} ({self._facts()})"

    def value(self, code: int) -> float:
        """Return the value of one code; NaN for a NaN code and for an unused code."""
        raise NotImplementedError

    def kind(self, code: int) -> str:
        """Return zero, subnormal, normal, inf, nan or unused."""
        raise NotImplementedError

    def bit_string(self, code: int) -> str:
        """Return the bits of ``code``; a space separates sign, exponent and mantissa."""
        return f"{code:0{self.bits}b}"

    @property
    def code_count(self) -> int:
        """Number of codes; they run from 0 to ``code_count - 1``."""
        return 1 << self.bits

    @property
    def max(self) -> float:
        """Largest finite value."""
        raise NotImplementedError

    @property
    def min(self) -> float:
        """Lowest finite value; negative if the format has a sign."""
        raise NotImplementedError

    @property
    def smallest(self) -> float:
        """Smallest value above zero, subnormals included."""
        raise NotImplementedError

    @property
    def max_abs(self) -> float:
        """Largest magnitude that exists on both sides of zero: 7 for -8 .. 7, 15 for 0 .. 15.

        Raises
        ------
        ValueError
            If no value is above zero.
        """
        largest = self.max if self.min >= 0 else min(self.max, -self.min)
        if largest <= 0:
            raise ValueError(f"fmt must have a value above zero, got {self}")
        return largest

    @property
    def precision(self) -> int | None:
        """Width of the significand in bits; None for a table of values."""
        raise NotImplementedError

    @property
    def max_code(self) -> int:
        """Code of `max`."""
        raise NotImplementedError

    @property
    def min_code(self) -> int:
        """Code of `min`."""
        raise NotImplementedError

    @property
    def zero_code(self) -> int | None:
        """Code of 0; code of -0 if the format has no +0; None if it has no zero."""
        raise NotImplementedError

    @property
    def nan_code(self) -> int | None:
        """Code of the NaN that `minifloat.encode` writes; None if the format has no NaN."""
        return None

    @property
    def unused_code(self) -> int | None:
        """The code that has no value; None if every code has one."""
        return None

    def inf_code(self, *, negative: bool = False) -> int | None:
        """Return the code of +infinity or -infinity; None if the format has none."""
        return None

    def exact_value(self, code: int) -> Fraction:
        """Return the value of a code as a fraction; -0 is 0.

        Raises
        ------
        ValueError
            If the code does not have a finite value.
        """
        value = self.value(code)
        if not math.isfinite(value):
            raise ValueError(f"code must have a finite value in {self}, got {code}: {value}")
        return Fraction(value)

    @property
    def is_integer(self) -> bool:
        """Whether the values are integers, in two's complement if signed."""
        return False

    @property
    def is_table(self) -> bool:
        """Whether the values are a list that follows no rule."""
        return False

    @property
    def is_lookup(self) -> bool:
        """Whether the values stand in a table of each block of weights; see `Lookup`."""
        return False

    @property
    def binary_grid(self) -> BinaryGrid | None:
        """The grid of the values; None for a table, and for a grid without subnormals."""
        return None

    @property
    def next_above_max(self) -> Fraction | None:
        """The value of the grid after `max`; rounding to it is an overflow.

        None for a table, which has no further values.
        """
        return None

    @property
    def has_inf(self) -> bool:
        """Whether some code is an infinity."""
        return False

    @property
    def has_nan(self) -> bool:
        """Whether some code is a NaN."""
        return False

    @property
    def has_zero(self) -> bool:
        """Whether some code is zero."""
        return True

    @property
    def has_negative_zero(self) -> bool:
        """Whether some code is -0."""
        return False

    def values(self) -> NDArray[np.float64]:
        """Return the value of every code, indexed by code.

        Returns
        -------
        ndarray of float64, shape (code_count,)
            NaN at NaN codes and at unused codes.

        Examples
        --------
        >>> import minifloat as mf
        >>> mf.parse("e2m1").values()[:8].tolist()
        [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
        """
        import numpy as np

        return np.array([self.value(code) for code in range(self.code_count)], np.float64)

    def table(self) -> CodeTable:
        """Return every code with its bits, its value and its kind.

        Examples
        --------
        >>> import minifloat as mf
        >>> mf.parse("e2m1").table()[5]
        CodeRow(code=5, bits='0 10 1', value=3.0, kind='normal')
        """
        return CodeTable(
            CodeRow(code, self.bit_string(code), self.value(code), self.kind(code))
            for code in range(self.code_count)
        )

    def describe(self) -> dict[str, str]:
        """Return the facts that `repr` and the HTML table show, by their names."""
        return {
            "bits": str(self.bits),
            "max": f"{self.max:.10g}",
            "min": f"{self.min:.10g}",
            "smallest": f"{self.smallest:.10g}",
        }

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}: {self._facts()}>"

    def _facts(self) -> str:
        return ", ".join(f"{key} {value}" for key, value in self.describe().items())

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{k}</th><td>{v}</td></tr>" for k, v in self.describe().items())
        name = html.escape(f"{self}")  # a codebook has the name that its maker chose
        return f"<table><caption>{type(self).__name__} {name}</caption>{rows}</table>"


def abridged(text: str) -> str:
    """Return a text as messages show it: long lists of values in brackets lose their middle.

    Examples
    --------
    >>> abridged("[-1 0 1]/64"), abridged(f"[{' '.join(map(str, range(256)))}]/64")
    ('[-1 0 1]/64', '[0 1 2 3 ... 255]/64')
    """

    def ends(values: re.Match[str]) -> str:
        words = values[0].split(" ")
        return " ".join([*words[:FIRST_VALUES], "...", words[-1]])

    return re.sub(rf"\[[^]]{{{MAX_TEXT - 1},}}]", ends, text)


def shown(value: object) -> str:
    """Return a value as a message shows it: its repr, but of a long text the beginning.

    A huge integer is shown by its length.

    Examples
    --------
    >>> shown("e2m2"), shown((10**5000, 2))
    ("'e2m2'", '(an integer of 5001 digits, 2)')
    """
    if isinstance(value, str) and len(value) > MAX_TEXT:
        return f"{value[:MAX_TEXT]!r} and {len(value) - MAX_TEXT} characters more"
    if isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
        digits = int(math.log10(abs(value))) - 1  # at most the right number: logarithms are rounded
        while 10**digits <= abs(value):
            digits += 1
        return f"an integer of {digits} digits"
    if type(value) is tuple and value:
        return f"({', '.join(map(shown, value))}{',' * (len(value) == 1)})"
    try:
        return repr(value)
    except ValueError:  # of a huge integer inside
        return f"a {type(value).__name__} with a huge integer"


def check_int(name: str, value: object, low: int | None = None, high: int | None = None) -> int:
    """Return an integer as an int, or raise: it may be NumPy's, and must not be a bool.

    Parameters
    ----------
    name : str
        What the caller calls it, for messages.
    value : object
    low, high : int, optional
        The smallest and the largest that it may be; ``high`` needs ``low``.

    Returns
    -------
    int

    Raises
    ------
    TypeError
        If ``value`` is not an integer.
    ValueError
        If it is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> check_int("threads", np.int64(2), 1)
    2
    """
    try:
        number = operator.index(value)  # type: ignore[arg-type]  # what has no index is refused
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, got {shown(value)}")
    if low is not None and (number < low or (high is not None and number > high)):
        rule = f"at least {low}" if high is None else f"in {low}..{_bound(high)}"
        raise ValueError(f"{name} must be {rule}, got {shown(number)}")
    return number


def _bound(number: int) -> str:
    """Return a bound as text, one of all ones as 2**64 - 1."""
    all_ones = number & (number + 1) == 0
    return f"2**{number.bit_length()} - 1" if all_ones and number >> 20 else str(number)


def check_seed(seed: object) -> int:
    """Return a seed as an int, or raise: an integer of 64 bits without a sign."""
    return check_int("seed", seed, 0, (1 << 64) - 1)


def check_bool(name: str, value: object) -> None:
    """Raise unless ``value`` is a bool."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be a bool, got {shown(value)}")


def check_name(name: object) -> str:
    """Return a name that somebody chose, or raise unless it is short and can be printed."""
    if not isinstance(name, str):
        raise TypeError(f"name must be a str, got {shown(name)}")
    if not (name.isprintable() and 1 <= len(name) <= MAX_NAME and name == name.strip(" ")):
        got = ascii(name) if len(name) <= MAX_NAME else f"{len(name)} characters"
        raise ValueError(
            f"name must be 1 to {MAX_NAME} printable characters, no space at its ends, got {got}"
        )
    return name


def check_code(code: SupportsIndex, fmt: NumberFormat) -> int:
    """Return ``code`` as an int, or raise if the format has no such code."""
    number = check_int("code", code)  # a NumPy integer could overflow below
    if not 0 <= number < fmt.code_count:
        raise ValueError(f"code must be in 0..{fmt.code_count - 1} for {fmt}, got {shown(number)}")
    return number

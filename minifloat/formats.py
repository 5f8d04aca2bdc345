"""What a code means: `Format` (ExMy), `Integer` and `Codebook`.

A format describes and never touches arrays. The words used here and everywhere else:

code         the integer that encodes one value
magnitude    a code without its sign bit
field        the stored exponent; ``value = significand * 2**(field - bias)``
significand  ``1.f`` or ``0.f``, with the leading bit; `precision` is its width
mantissa     the stored trailing bits, as in ExMy; ``precision = mantissa_bits + 1``
subnormal    a value with exponent field 0 and no implicit leading bit

Only the standard library is imported.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from minifloat._number_format import (
    CodeRow,
    CodeTable,
    NumberFormat,
    check_bool,
    check_code,
    check_int,
)

__all__ = [
    "CodeRow",
    "CodeTable",
    "Codebook",
    "FloatInfo",
    "Format",
    "Integer",
    "NumberFormat",
    "Specials",
]

MAX_BITS = 16
TF32_FIELDS = (8, 10)  # the one wider format: E8M10, which tensor cores read from 19 bits
FLOAT64_EMIN, FLOAT64_EMAX = -1074, 1023  # exponents of float64's least and greatest bit


class Specials(StrEnum):
    """Which codes of an ExMy format are not numbers.

    NONE   every code is a finite number (OCP FP6 and FP4)
    IEEE   the all-ones exponent holds infinity (mantissa 0) and NaN (IEEE 754-2019, 3.4)
    FN     NaN where all bits but the sign are ones, no infinity (OCP OFP8 E4M3)
    FNUZ   NaN in place of -0, no infinity, no -0
    P3109  as FNUZ, and the largest code of each sign is infinity; unsigned formats have NaN at
           the largest code and infinity just below it (IEEE P3109 "extended" formats; a P3109
           "finite" format is FNUZ when signed and FN when unsigned)
    """

    NONE = "none"
    IEEE = "ieee"
    FN = "fn"
    FNUZ = "fnuz"
    P3109 = "p3109"


class FloatInfo(NamedTuple):
    """The facts of `numpy.finfo`, under its names; `precision` and `resolution` are decimal."""

    bits: int
    eps: float
    epsneg: float
    iexp: int
    max: float
    maxexp: int
    min: float
    minexp: int
    nmant: int
    precision: int
    resolution: float
    smallest_normal: float
    smallest_subnormal: float
    tiny: float


@dataclass(frozen=True, repr=False, init=False)
class Format(NumberFormat):
    """A binary floating-point format: an optional sign, ``exponent_bits``, ``mantissa_bits``.

    With subnormals a code of exponent field ``f`` and mantissa ``m`` is worth
    ``m * 2**(1 - bias - M)`` for ``f = 0`` and ``(2**M + m) * 2**(f - bias - M)`` otherwise.
    Without them field 0 is one more ordinary binade, except that its first code is zero; with
    ``mantissa_bits = 0`` even that code is a power of two, and the format has no zero (E8M0).

    Parameters
    ----------
    exponent_bits : int
        E, at least 1.
    mantissa_bits : int
        M, at least 0. Sign, E and M together are at most 16 bits (or E8M10, which is TF32).
    bias : int, optional
        Default ``2**(E-1) - 1``. Any integer for which every value is a float64 value.
    signed : bool
        Whether the top bit is a sign.
    subnormals : bool
        Whether exponent field 0 holds subnormals.
    specials : Specials or str
        Which codes are infinities and NaNs.

    Raises
    ------
    ValueError
        If a field is out of its range, a value is not a float64 value, or no value is positive.
    TypeError
        If a number is not an integer or a flag not a bool.

    References
    ----------
    IEEE 754-2019, section 3.4; OCP OFP8 1.0; OCP Microscaling Formats 1.0; IEEE P3109 draft 3.2.

    Examples
    --------
    >>> from minifloat.formats import Format
    >>> Format(2, 2)
    <Format e2m2: bits 5, bias 1, max 7, min_normal 1, smallest 0.25, specials none>
    >>> Format(4, 3, specials="fn").max
    448.0
    """

    exponent_bits: int
    mantissa_bits: int
    bias: int
    signed: bool
    subnormals: bool
    specials: Specials

    def __init__(
        self,
        exponent_bits: int,
        mantissa_bits: int,
        *,
        bias: int | None = None,
        signed: bool = True,
        subnormals: bool = True,
        specials: Specials | str = Specials.NONE,
    ) -> None:
        check_int("exponent_bits", exponent_bits, 1, MAX_BITS)
        check_int("mantissa_bits", mantissa_bits, 0, MAX_BITS - 1)
        check_bool("signed", signed)
        check_bool("subnormals", subnormals)
        if bias is None:
            bias = 2 ** (exponent_bits - 1) - 1
        check_int("bias", bias)
        try:
            specials = Specials(specials)
        except ValueError:
            kinds = ", ".join(Specials)
            raise ValueError(f"specials must be one of {kinds}, got {specials!r}") from None
        put = object.__setattr__
        put(self, "exponent_bits", exponent_bits)
        put(self, "mantissa_bits", mantissa_bits)
        put(self, "bias", bias)
        put(self, "signed", signed)
        put(self, "subnormals", subnormals)
        put(self, "specials", specials)
        self._check()

    def _check(self) -> None:
        fields = (self.exponent_bits, self.mantissa_bits)
        if self.bits > MAX_BITS and not (fields == TF32_FIELDS and self.signed):
            raise ValueError(
                f"sign, exponent_bits and mantissa_bits must be at most {MAX_BITS} bits together "
                f"(or E8M10, TF32), got {self.bits} bits"
            )
        if self.specials is Specials.FNUZ and not self.signed:
            raise ValueError(
                "specials must not be fnuz in an unsigned format, which has no -0 to put the NaN "
                "in; use specials='fn'"
            )
        nan_at_minus_zero = self.specials in (Specials.FNUZ, Specials.P3109) and self.signed
        if nan_at_minus_zero and not self.has_zero:
            raise ValueError(
                f"specials must not be {self.specials} in a signed format without zero, which has "
                "no -0 to put the NaN in; use subnormals=True or specials='fn'"
            )
        if self.max_magnitude < 0 or (self.has_zero and self.max_magnitude == 0):
            raise ValueError(
                f"the format must have a positive value, got exponent_bits={self.exponent_bits}, "
                f"mantissa_bits={self.mantissa_bits}, specials={self.specials}"
            )
        top = (self.max_magnitude >> self.mantissa_bits) - self.bias
        least_bit = self.emin - self.mantissa_bits
        if least_bit < FLOAT64_EMIN or top > FLOAT64_EMAX:
            raise ValueError(
                "every value must be a float64 value (exponents -1074 to 1023), got exponents "
                f"{least_bit} to {top}; choose fewer exponent bits or another bias"
            )

    @property
    def bits(self) -> int:  # type: ignore[override]  # derived here, stored in the base class
        """Width of a code."""
        return self.signed + self.exponent_bits + self.mantissa_bits

    @property
    def precision(self) -> int:
        """Width of the significand, with the leading bit."""
        return self.mantissa_bits + 1

    @property
    def sign_bit(self) -> int:
        """The sign bit as an integer, 0 in an unsigned format."""
        return self.signed << (self.exponent_bits + self.mantissa_bits)

    @property
    def emin(self) -> int:
        """Exponent of the first binade of normal values."""
        return self.subnormals - self.bias

    @property
    def emax(self) -> int:
        """Exponent of the greatest finite value."""
        return math.frexp(self.max)[1] - 1

    @property
    def max_magnitude(self) -> int:
        """Magnitude (code without sign) of the greatest finite value."""
        last = (1 << (self.exponent_bits + self.mantissa_bits)) - 1
        if self.specials is Specials.IEEE:
            return last - (1 << self.mantissa_bits)
        if self.specials is Specials.FN:
            return last - 1
        if self.specials is Specials.P3109:
            return last - 1 if self.signed else last - 2
        return last

    @property
    def max(self) -> float:
        """Greatest finite value."""
        return self._magnitude_value(self.max_magnitude)

    @property
    def min(self) -> float:
        """Least finite value: -max, or the least value of an unsigned format."""
        return -self.max if self.signed else self._magnitude_value(0)

    @property
    def smallest(self) -> float:
        """Least value above zero."""
        return self._magnitude_value(1 if self.has_zero else 0)

    @property
    def min_subnormal(self) -> float:
        """Least value above zero; equal to `min_normal` where nothing is subnormal."""
        return self.smallest

    @property
    def min_normal(self) -> float:
        """Least positive normal value; NaN in the rare format without normal values."""
        if not self.subnormals:
            return self.smallest
        least = math.ldexp(1.0, self.emin)
        return least if least <= self.max else math.nan

    @property
    def eps(self) -> float:
        """Gap between 1 and the next greater value: 2**-M, more where 1 is subnormal."""
        return math.ldexp(1.0, max(0, self.emin) - self.mantissa_bits)

    @property
    def has_inf(self) -> bool:
        """Whether some code is an infinity."""
        return self.specials in (Specials.IEEE, Specials.P3109)

    @property
    def has_nan(self) -> bool:
        """Whether some code is a NaN."""
        if self.specials is Specials.IEEE:
            return self.mantissa_bits > 0
        return self.specials is not Specials.NONE

    @property
    def has_zero(self) -> bool:
        """Whether some code is zero (all formats but those of E8M0's kind)."""
        return self.subnormals or self.mantissa_bits > 0

    @property
    def has_negative_zero(self) -> bool:
        """Whether some code is -0."""
        nan_there = self.specials in (Specials.FNUZ, Specials.P3109)
        return self.signed and self.has_zero and not nan_there

    @property
    def inf_magnitude(self) -> int:
        """Magnitude of infinity.

        Raises
        ------
        ValueError
            If the format has no infinity.
        """
        if not self.has_inf:
            raise ValueError(f"{self} has no infinity; ask has_inf first")
        return self.max_magnitude + 1

    @property
    def nan_code(self) -> int:
        """The NaN that `minifloat.encode` writes: positive, and quiet where there are several.

        Raises
        ------
        ValueError
            If the format has no NaN.
        """
        if not self.has_nan:
            raise ValueError(f"{self} has no NaN; ask has_nan first")
        last = (1 << (self.exponent_bits + self.mantissa_bits)) - 1
        if self.specials is Specials.IEEE:
            return last - (1 << (self.mantissa_bits - 1)) + 1
        if self.signed and self.specials in (Specials.FNUZ, Specials.P3109):
            return self.sign_bit
        return last

    @property
    def finfo(self) -> FloatInfo:
        """The format's facts under the names `numpy.finfo` uses.

        Examples
        --------
        >>> import minifloat as mf
        >>> mf.parse("float16").finfo.smallest_subnormal == 2.0**-24
        True
        """
        digits = int(self.mantissa_bits * math.log10(2))
        return FloatInfo(
            bits=self.bits,
            eps=self.eps,
            epsneg=math.ldexp(1.0, max(-1, self.emin) - self.mantissa_bits),
            iexp=self.exponent_bits,
            max=self.max,
            maxexp=self.emax + 1,
            min=self.min,
            minexp=self.emin,
            nmant=self.mantissa_bits,
            precision=digits,
            resolution=10.0**-digits,
            smallest_normal=self.min_normal,
            smallest_subnormal=self.min_subnormal,
            tiny=self.min_normal,
        )

    def value(self, code: int) -> float:
        """Return the value of one code.

        Parameters
        ----------
        code : int
            In ``0 .. code_count - 1``.

        Returns
        -------
        float
            Exact; NaN for NaN codes.

        Raises
        ------
        ValueError
            If ``code`` is outside the format.

        Examples
        --------
        >>> import minifloat as mf
        >>> mf.parse("e2m2").value(0b1_01_10)
        -1.5
        """
        code = check_code(code, self)
        kind = self.kind(code)
        if kind == "nan":
            return math.nan
        negative = bool(code & self.sign_bit)
        magnitude = math.inf if kind == "inf" else self._magnitude_value(code & ~self.sign_bit)
        return -magnitude if negative else magnitude

    def kind(self, code: int) -> str:
        """Return zero, subnormal, normal, inf or nan."""
        code = check_code(code, self)
        magnitude = code & ~self.sign_bit
        if self.has_nan and code == self.nan_code:
            return "nan"
        if magnitude > self.max_magnitude:
            return "inf" if self.has_inf and magnitude == self.inf_magnitude else "nan"
        if magnitude == 0 and self.has_zero:
            return "zero"
        if self.subnormals and magnitude >> self.mantissa_bits == 0:
            return "subnormal"
        return "normal"

    def fields(self, code: int) -> str:
        """Return the bits of ``code`` as sign, exponent and mantissa."""
        digits = f"{code:0{self.bits}b}"
        cut = self.signed + self.exponent_bits
        parts = (digits[: self.signed], digits[self.signed : cut], digits[cut:])
        return " ".join(part for part in parts if part)

    def describe(self) -> dict[str, str]:
        """Return the facts that `repr` and the HTML table show, by name."""
        facts = {
            "bits": str(self.bits),
            "bias": str(self.bias),
            "max": f"{self.max:.10g}",
            "min_normal": f"{self.min_normal:.10g}",
            "smallest": f"{self.smallest:.10g}",
            "specials": str(self.specials),
        }
        if not self.subnormals:
            facts["subnormals"] = "off"
        return facts

    def _magnitude_value(self, magnitude: int) -> float:
        field, mantissa = divmod(magnitude, 1 << self.mantissa_bits)
        if magnitude == 0 and self.has_zero:
            return 0.0
        if field == 0 and self.subnormals:
            return math.ldexp(mantissa, self.emin - self.mantissa_bits)
        significand = (1 << self.mantissa_bits) + mantissa
        return math.ldexp(significand, field - self.bias - self.mantissa_bits)


@dataclass(frozen=True, repr=False)
class Integer(NumberFormat):
    """A two's-complement or unsigned integer format.

    Parameters
    ----------
    bits : int
        2 to 16 when signed, 1 to 16 when not.
    signed : bool
        Two's complement when True.
    symmetric : bool
        Leave out ``-2**(bits-1)``, so that negation is always possible; its code is then unused.
        Without meaning (and stored as False) when unsigned.

    Raises
    ------
    ValueError, TypeError
        If ``bits`` is out of range or a flag is not a bool.

    Examples
    --------
    >>> from minifloat.formats import Integer
    >>> Integer(4)
    <Integer int4: bits 4, max 7, min -7, smallest 1>
    >>> Integer(4, symmetric=False).min
    -8.0
    """

    bits: int
    signed: bool = True
    symmetric: bool = True

    def __post_init__(self) -> None:
        check_bool("signed", self.signed)
        check_bool("symmetric", self.symmetric)
        check_int("bits", self.bits, 2 if self.signed else 1, MAX_BITS)
        object.__setattr__(self, "symmetric", self.symmetric and self.signed)

    @property
    def max(self) -> float:
        """Greatest value."""
        return float((1 << (self.bits - self.signed)) - 1)

    @property
    def min(self) -> float:
        """Least value."""
        if not self.signed:
            return 0.0
        return -self.max if self.symmetric else -self.max - 1

    @property
    def smallest(self) -> float:
        """Least value above zero, 1."""
        return 1.0

    @property
    def unused_code(self) -> int | None:
        """The code of ``-2**(bits-1)`` in a symmetric format, else None."""
        return 1 << (self.bits - 1) if self.symmetric else None

    def value(self, code: int) -> float:
        """Return the value of one code; NaN for the unused one."""
        code = check_code(code, self)
        if code == self.unused_code:
            return math.nan
        negative = self.signed and code >> (self.bits - 1)
        return float(code - (1 << self.bits) if negative else code)

    def kind(self, code: int) -> str:
        """Return zero, normal or unused."""
        code = check_code(code, self)
        if code == self.unused_code:
            return "unused"
        return "normal" if code else "zero"


@dataclass(frozen=True, repr=False, init=False, eq=False)
class Codebook(NumberFormat):
    """A table of values: code ``i`` means ``codebook[i]``.

    Parameters
    ----------
    codebook : sequence of float
        2 to 65536 finite values in code order, no value twice (0 and -0 are two values).
    name : str
        Printed, and kept out of comparisons: codebooks with equal values are equal.

    Raises
    ------
    ValueError
        If there are too few or too many values, or one is not finite or stands there twice.

    Examples
    --------
    >>> from minifloat.formats import Codebook
    >>> Codebook([-1.0, 0.0, 0.25, 1.0], "mine")
    <Codebook mine: bits 2, values 4, max 1, min -1, smallest 0.25>
    """

    codebook: tuple[float, ...]
    name: str = "codebook"  # a value of its own, as the base class has a property of this name

    def __init__(self, codebook: Sequence[float], name: str = "codebook") -> None:
        values = tuple(float(value) for value in codebook)
        if not 2 <= len(values) <= 1 << MAX_BITS:
            raise ValueError(f"codebook must have 2 to {1 << MAX_BITS} values, got {len(values)}")
        if not isinstance(name, str):
            raise TypeError(f"name must be a str, got {name!r}")
        seen: set[tuple[float, float]] = set()
        for code, value in enumerate(values):
            key = (value, math.copysign(1.0, value))
            if not math.isfinite(value):
                raise ValueError(f"codebook must be finite, got {value} at code {code}")
            if key in seen:
                raise ValueError(f"codebook must hold no value twice, got {value} at code {code}")
            seen.add(key)
        object.__setattr__(self, "codebook", values)
        object.__setattr__(self, "name", name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Codebook):
            return NotImplemented
        return self.codebook == other.codebook and all(
            math.copysign(1.0, a) == math.copysign(1.0, b)  # tells 0 from -0
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
    def max(self) -> float:
        """Greatest value."""
        return max(self.codebook)

    @property
    def min(self) -> float:
        """Least value."""
        return min(self.codebook)

    @property
    def smallest(self) -> float:
        """Least value above zero; NaN if there is none."""
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
        """Return the facts that `repr` and the HTML table show, by name."""
        facts = super().describe()
        return {"bits": facts.pop("bits"), "values": str(len(self.codebook)), **facts}

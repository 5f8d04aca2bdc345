"""ExMy formats: a sign, exponent bits, mantissa bits, and the codes that are not numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Literal, NamedTuple, TypeAlias

from minifloat.formats.base import (
    MAX_CODE_BITS,
    BinaryGrid,
    NumberFormat,
    check_bool,
    check_code,
    check_int,
    shown,
)

TF32_FIELDS = (8, 10)  # the one wider format: E8M10, which tensor cores read from 19 bits
FLOAT64_EMIN, FLOAT64_EMAX = -1074, 1023  # exponents of float64's lowest and highest bit


class Specials(StrEnum):
    """Which codes of an ExMy format are not numbers.

    NONE   every code is a finite number (OCP FP6 and FP4)
    IEEE   the all-ones exponent holds infinity (mantissa 0) and NaN (IEEE 754-2019, 3.4)
    FN     the code whose bits, except the sign, are all ones is NaN; no infinity (OCP OFP8 E4M3)
    FNUZ   the code of -0 is NaN; no infinity, no -0
    P3109  as FNUZ, and the largest code of each sign is infinity; unsigned formats have NaN at
           the largest code and infinity just below it (IEEE P3109 "extended" formats; a P3109
           "finite" format is FNUZ if signed and FN if unsigned)
    """

    NONE = "none"
    IEEE = "ieee"
    FN = "fn"
    FNUZ = "fnuz"
    P3109 = "p3109"


SpecialsLike: TypeAlias = Specials | Literal["none", "ieee", "fn", "fnuz", "p3109"]


class FloatInfo(NamedTuple):
    """The facts of `numpy.finfo` under NumPy's names; `precision` and `resolution` are decimal."""

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

    With subnormals, a code of exponent field ``f`` and mantissa ``m`` has the value
    ``m * 2**(1 - bias - M)`` for ``f = 0`` and ``(2**M + m) * 2**(f - bias - M)`` otherwise.
    Without subnormals, field 0 is an ordinary binade, except that its first code is zero. If
    ``mantissa_bits`` is 0, this code is a power of two as well, and the format has no zero (E8M0).

    Parameters
    ----------
    exponent_bits : int
        E, at least 1.
    mantissa_bits : int
        M, at least 0. Sign, E and M take at most 16 bits together (E8M10, which is TF32, takes 19).
    bias : int, optional
        Default ``2**(E-1) - 1``. Any integer with which every value is a float64 value.
    signed : bool
        Whether the top bit is a sign.
    subnormals : bool
        Whether exponent field 0 holds subnormals.
    specials : Specials or str
        Which codes are infinities and NaNs.

    Raises
    ------
    ValueError
        If an argument is out of range, a value is not a float64 value, or no value is positive.
    TypeError
        If a number is not an integer or a flag not a bool.

    References
    ----------
    IEEE 754-2019, section 3.4; OCP OFP8 1.0; OCP Microscaling Formats 1.0; IEEE P3109, Interim
    Report 4.0.3.

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
        specials: SpecialsLike = Specials.NONE,
    ) -> None:
        exponent_bits = check_int("exponent_bits", exponent_bits, 1, MAX_CODE_BITS)
        mantissa_bits = check_int("mantissa_bits", mantissa_bits, 0, MAX_CODE_BITS - 1)
        check_bool("signed", signed)
        check_bool("subnormals", subnormals)
        if bias is None:
            bias = 2 ** (exponent_bits - 1) - 1
        bias = check_int("bias", bias)
        try:
            specials = Specials(specials)
        except ValueError:
            kinds = ", ".join(Specials)
            raise ValueError(f"specials must be one of {kinds}, got {shown(specials)}") from None
        put = object.__setattr__  # the class is frozen
        put(self, "exponent_bits", exponent_bits)
        put(self, "mantissa_bits", mantissa_bits)
        put(self, "bias", bias)
        put(self, "signed", signed)
        put(self, "subnormals", subnormals)
        put(self, "specials", specials)
        self._check()

    def _check(self) -> None:
        fields = (self.exponent_bits, self.mantissa_bits)
        if self.bits > MAX_CODE_BITS and not (fields == TF32_FIELDS and self.signed):
            raise ValueError(
                "sign, exponent_bits and mantissa_bits must be at most "
                f"{MAX_CODE_BITS} bits together (or E8M10, TF32), got {self.bits} bits"
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
        last_bit = self.emin - self.mantissa_bits
        if last_bit < FLOAT64_EMIN or top > FLOAT64_EMAX:
            raise ValueError(
                "every value must be a float64 value (exponents -1074 to 1023), got exponents "
                f"{shown(last_bit)} to {shown(top)}; choose fewer exponent bits or another bias"
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
        """Exponent of the lowest binade of normal values."""
        return self.subnormals - self.bias

    @property
    def name(self) -> str:
        """The name that `minifloat.parse` reads; ``f"{fmt}"`` prints it."""
        return _NAMES.get(self) or _grammar_name(self)

    @property
    def emax(self) -> int:
        """Exponent of the largest finite value."""
        return math.frexp(self.max)[1] - 1

    @property
    def max_magnitude(self) -> int:
        """Magnitude (code without sign) of the largest finite value."""
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
        """Largest finite value."""
        return self._magnitude_value(self.max_magnitude)

    @property
    def min(self) -> float:
        """Lowest finite value: -max, or the smallest value of an unsigned format."""
        return -self.max if self.signed else self._magnitude_value(0)

    @property
    def smallest(self) -> float:
        """Smallest value above zero; equal to `min_normal` without subnormals."""
        return self._magnitude_value(1 if self.has_zero else 0)

    @property
    def min_normal(self) -> float:
        """Smallest positive normal value; NaN in the rare format without normal values."""
        if not self.subnormals:
            return self.smallest
        only_subnormals = self.max_magnitude < 1 << self.mantissa_bits
        return math.nan if only_subnormals else math.ldexp(1.0, self.emin)

    @property
    def eps(self) -> float:
        """Gap between 1 and the next larger value: 2**-M, or more if 1 is subnormal."""
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
        """Whether some code is zero; false only without mantissa and subnormals (E8M0)."""
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
    def max_code(self) -> int:
        """Code of `max`."""
        return self.max_magnitude

    @property
    def min_code(self) -> int:
        """Code of `min`."""
        return self.sign_bit | self.max_magnitude if self.signed else 0

    @property
    def zero_code(self) -> int | None:
        """Code of 0; None if the format has no zero."""
        return 0 if self.has_zero else None

    @property
    def nan_code(self) -> int | None:
        """Code of the NaN that `minifloat.encode` writes: positive and, among several, quiet."""
        if not self.has_nan:
            return None
        last = (1 << (self.exponent_bits + self.mantissa_bits)) - 1
        if self.specials is Specials.IEEE:
            return last - (1 << (self.mantissa_bits - 1)) + 1
        if self.signed and self.specials in (Specials.FNUZ, Specials.P3109):
            return self.sign_bit
        return last

    def inf_code(self, *, negative: bool = False) -> int | None:
        """Return the code of +infinity or -infinity; None if the format has none."""
        if not self.has_inf or (negative and not self.signed):
            return None
        return self.inf_magnitude | (self.sign_bit if negative else 0)

    @property
    def binary_grid(self) -> BinaryGrid | None:
        """The grid of the values; None without subnormals."""
        if not self.subnormals:
            return None
        limit = self.max_magnitude
        return BinaryGrid(self.mantissa_bits, self.emin, limit, limit if self.signed else 0, False)

    @property
    def next_above_max(self) -> Fraction:
        """The value of the grid after `max`; rounding to it is an overflow."""
        return self.grid_value(self.max_magnitude + 1)

    @property
    def finfo(self) -> FloatInfo:
        """The facts of the format under the names of `numpy.finfo`.

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
            smallest_subnormal=self.smallest,
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

    def bit_string(self, code: int) -> str:
        """Return the bits of ``code``; a space separates sign, exponent and mantissa.

        Examples
        --------
        >>> import minifloat as mf
        >>> mf.parse("e2m2").bit_string(22)
        '1 01 10'
        """
        digits = f"{code:0{self.bits}b}"
        cut = self.signed + self.exponent_bits
        parts = (digits[: self.signed], digits[self.signed : cut], digits[cut:])
        return " ".join(part for part in parts if part)

    def describe(self) -> dict[str, str]:
        """Return the facts that `repr` and the HTML table show, by their names."""
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

    def grid_value(self, magnitude: int) -> Fraction:
        """Return the value of a magnitude (a code without sign), exactly.

        Magnitudes above the largest finite one continue the grid; they define where values start
        to overflow.

        Raises
        ------
        ValueError
            If the magnitude is negative or has more than one bit more than a code.

        Examples
        --------
        >>> import minifloat as mf
        >>> mf.parse("e2m2").grid_value(16)  # the largest is 15, with the value 7
        Fraction(8, 1)
        """
        if not 0 <= magnitude < 2 << self.bits:
            end = (2 << self.bits) - 1
            raise ValueError(f"magnitude must be in 0..{end}, got {shown(magnitude)}")
        significand, exponent = self._significand(magnitude)
        return significand * Fraction(2) ** exponent

    def _magnitude_value(self, magnitude: int) -> float:
        return math.ldexp(*self._significand(magnitude))

    def _significand(self, magnitude: int) -> tuple[int, int]:
        """Return a magnitude's integer significand, and the exponent of its last bit."""
        field, mantissa = divmod(magnitude, 1 << self.mantissa_bits)
        if (field == 0 and self.subnormals) or (magnitude == 0 and self.has_zero):
            return mantissa, self.emin - self.mantissa_bits
        return (1 << self.mantissa_bits) + mantissa, field - self.bias - self.mantissa_bits


def default_bias(exponent_bits: int, specials: Specials) -> int:
    """Return the bias of names that give none: 2**(E-1) for fnuz and p3109, else 2**(E-1) - 1."""
    higher = specials in (Specials.FNUZ, Specials.P3109)
    return int(2 ** (exponent_bits - 1)) - (not higher)


SHORT_NAMES: dict[str, Format] = {  # used instead of the grammar's names; sources: the catalogue
    "float16": Format(5, 10, specials="ieee"),
    "bfloat16": Format(8, 7, specials="ieee"),
    "tf32": Format(8, 10, specials="ieee"),
    "e5m2": Format(5, 2, specials="ieee"),
    "e8m0": Format(8, 0, signed=False, subnormals=False, specials="fn"),
    "ue4m3": Format(4, 3, signed=False, specials="fn"),
    "ue5m3": Format(5, 3, signed=False, specials="fn"),
}
OTHER_NAMES: dict[str, str] = {  # names without a suffix that mean a format with specials
    "e4m3": "e4m3fn",  # OCP's name
    "ue8m0": "e8m0",  # the INT-v.-FP paper and NVIDIA
}
_NAMES = {fmt: name for name, fmt in SHORT_NAMES.items()}


def _grammar_name(fmt: Format) -> str:
    usual_bias = fmt.bias == default_bias(fmt.exponent_bits, fmt.specials)
    in_standard = 3 <= fmt.bits <= 16
    if fmt.specials is Specials.P3109 and fmt.subnormals and usual_bias and in_standard:
        return f"binary{fmt.bits}p{fmt.precision}{'s' if fmt.signed else 'u'}e"
    stem = f"{'' if fmt.signed else 'u'}e{fmt.exponent_bits}m{fmt.mantissa_bits}"
    bias = "" if usual_bias else f"b{fmt.bias}"
    specials = "" if fmt.specials is Specials.NONE else str(fmt.specials)
    name = stem + bias + specials + ("" if fmt.subnormals else "_nosub")
    return stem + "none" if name in SHORT_NAMES or name in OTHER_NAMES else name

"""IEEE P3109, transcribed: values of codes, rounding and saturation, on fractions.

Source: IEEE working group P3109, Interim Report on Arithmetic Formats for Machine Learning, version
4.0.3 (1 September 2026), sections 3.1 and 4.7.2 to 4.7.5. The names are the report's. Nothing of
this project is imported.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

INF, NAN = math.inf, math.nan

MODES = (
    "TowardZero",
    "TowardPositive",
    "TowardNegative",
    "NearestTiesToAway",
    "NearestTiesToEven",
    "ToOdd",
    "StochasticA",
    "StochasticB",
    "StochasticC",
)


class P3109Format(NamedTuple):
    """Bitwidth K, precision P, signedness and domain (section 3.1)."""

    K: int
    P: int
    signed: bool
    extended: bool

    @property
    def name(self) -> str:
        return f"binary{self.K}p{self.P}{'su'[not self.signed]}{'ef'[not self.extended]}"

    @property
    def B(self) -> int:
        """Exponent bias."""
        return 2 ** (self.K - self.P - 1) if self.signed else 2 ** (self.K - self.P)

    @property
    def nan(self) -> int:
        return 2 ** (self.K - 1) if self.signed else 2**self.K - 1

    @property
    def infinity(self) -> int | None:
        """Code of +infinity."""
        if not self.extended:
            return None
        return 2 ** (self.K - 1) - 1 if self.signed else 2**self.K - 2

    @property
    def max_finite(self) -> Fraction:
        """M^hi."""
        top = self.nan - 1
        return magnitude(self, top - 1 if self.extended else top)

    @property
    def min_finite(self) -> Fraction:
        """M^lo."""
        return -self.max_finite if self.signed else Fraction(0)


def formats(widths: range) -> list[P3109Format]:
    """Return all formats of these bitwidths: 1 <= P < K if signed, 1 <= P <= K if unsigned."""
    return [
        P3109Format(K, P, signed, extended)
        for K in widths
        for signed in (True, False)
        for P in range(1, K + (not signed))
        for extended in (True, False)
    ]


def magnitude(f: P3109Format, code: int) -> Fraction:
    """Return the value of a code that is positive and finite, or zero (4.7.2)."""
    exponent, trailing = divmod(code, 2 ** (f.P - 1))
    fraction = Fraction(trailing, 2 ** (f.P - 1))
    if exponent == 0:
        return fraction * Fraction(2) ** (1 - f.B)
    return (1 + fraction) * Fraction(2) ** (exponent - f.B)


def decode(f: P3109Format, code: int) -> Fraction | float:
    """Return the value of a code (4.7.2)."""
    if code == f.nan:
        return NAN
    if f.signed and code > f.nan:
        return -decode(f, code - f.nan)
    return INF if code == f.infinity else magnitude(f, code)


def round_to_precision(f: P3109Format, x: Fraction, mode: str, N: int = 0, R: int = 0) -> Fraction:
    """Round to P bits, with exponents that have no upper end (4.7.4)."""
    if x == 0:
        return x
    E = max(floor_log2(abs(x)), 1 - f.B)
    Q = E - f.P + 1
    scaled = abs(x) / Fraction(2) ** Q
    S = math.floor(scaled)
    nu = scaled - S
    code_is_even = S % 2 == 0 if f.P > 1 else S == 0 or (Q + f.B) % 2 == 0
    half = Fraction(1, 2)
    round_away = {
        "TowardZero": False,
        "TowardPositive": nu > 0 and x > 0,
        "TowardNegative": nu > 0 and x < 0,
        "NearestTiesToAway": nu >= half,
        "NearestTiesToEven": nu > half or (nu == half and not code_is_even),
        "ToOdd": nu > 0 and code_is_even,
        "StochasticA": math.floor(nu * 2**N) + R >= 2**N,
        "StochasticB": math.floor(nu * 2 ** (N + 1)) + (2 * R + 1) >= 2 ** (N + 1),
        "StochasticC": round(nu * 2**N) + R >= 2**N,  # Python rounds ties to even
    }[mode]
    size = (S + round_away) * Fraction(2) ** Q
    return size if x > 0 else -size


def saturate(f: P3109Format, x: Fraction | float, mode: str, saturation: str) -> Fraction | float:
    """Apply a saturation mode to a rounded value (4.7.5), the first rule that fits."""
    low, high = f.min_finite, f.max_finite
    if low <= x <= high or x != x:
        return x
    if saturation == "SatFinite":
        return low if x < low else high
    if saturation == "SatPropagate":
        if x == INF and f.extended:
            return INF
        if x == -INF and f.signed and f.extended:
            return -INF
        return low if x < low else high
    assert saturation == "SatNone"
    if x not in (INF, -INF):
        if x < low and mode in ("TowardZero", "TowardPositive"):
            return low
        if x > high and mode in ("TowardZero", "TowardNegative"):
            return high
    if f.extended and x > high:
        return INF
    if f.extended and x < low and f.signed:
        return -INF
    return NAN


def project(
    f: P3109Format, x: Fraction | float, mode: str, saturation: str, N: int = 0, R: int = 0
) -> Fraction | float:
    """Round and saturate (4.7.3)."""
    if isinstance(x, Fraction):
        x = round_to_precision(f, x, mode, N, R)
    return saturate(f, x, mode, saturation)


def floor_log2(x: Fraction) -> int:
    e = x.numerator.bit_length() - x.denominator.bit_length()
    return e if Fraction(2) ** e <= x else e - 1

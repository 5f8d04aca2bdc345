"""P3109's operations by their names, with its rounding modes, saturation modes and special values.

Operands and results are values, of any formats, IEEE 754's binary32 and binary64 included.

P3109 has one zero and one NaN. Its results are those of the functions with NumPy's names
(`minifloat.arithmetic.add` ...) but for these:

- x / 0, 1 / 0 and 1 / sqrt(0) are NaN;
- ArcTan2 and ArcTan2Pi of two zeros and of two infinities are NaN;
- Hypot and CopySign are NaN if an operand is;
- a result of 0 is 0, never -0.

What each statement rests on. Names, special values and blocks are those of the draft P3109/D1 of
July 2026, clauses 4.8 to 4.16 and 5, read in a public rendering of its text; modes and codes those
of the working group's report 4.0.3 of September 2026. Where public implementations cite sections of
report 4.0.3 (FloatLib in Lean: 4.7 to 4.10 and 4.14; Saturn's C library: 4.10.1 to 4.16), they have
the same numbers, names and special values as the draft. Report 3.2.0 differs in names: OvfInf for
SatNone, Rsqrt for RSqrt, and ConvertFromIEEE754 and ConvertToIEEE754, which are Convert now.
"""

from minifloat.arithmetic.p3109.formats import property_of
from minifloat.arithmetic.p3109.names import OPERATIONS
from minifloat.arithmetic.p3109.operations import compute
from minifloat.arithmetic.p3109.projections import (
    ROUNDING_MODES,
    SATURATION_MODES,
    Projection,
    RoundingMode,
    SaturationMode,
)

__all__ = [
    "OPERATIONS",
    "ROUNDING_MODES",
    "SATURATION_MODES",
    "Projection",
    "RoundingMode",
    "SaturationMode",
    "compute",
    "property_of",
]

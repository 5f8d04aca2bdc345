"""P3109's operations by their names, with its rounding modes, saturation modes and special values.

Names and special values are those of the draft P3109/D1 of July 2026, clauses 4.9 to 4.13; those of
the working group's report 4.0 are the same. Operands and results are values, of any formats.

P3109 has one zero and one NaN. Its results are those of the functions with NumPy's names
(`minifloat.arithmetic.add` ...) but for these:

- x / 0, 1 / 0 and 1 / sqrt(0) are NaN;
- ArcTan2 and ArcTan2Pi of two zeros and of two infinities are NaN;
- Hypot and CopySign are NaN if an operand is;
- an exact result of 0 is 0, never -0.
"""

from minifloat.arithmetic.p3109.operations import OPERATIONS, compute
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
]

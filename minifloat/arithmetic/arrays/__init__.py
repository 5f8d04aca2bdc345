"""Arrays that compute in their format: NumPy's operations, rounded one by one.

format_array   `FormatArray` and `array`, which makes one; `methods` are those of NumPy's arrays
contexts       `Context`: a format, and how results are rounded to it
ufuncs         NumPy's ufuncs: which there are
functions      NumPy's functions: which there are, and what becomes of them
computed       the functions that compute, made of operations; `contractions` has products
reductions     sums and other reductions along an axis

NumPy asks an array for its ufuncs and functions (`__array_ufunc__`, NEP 13; `__array_function__`,
NEP 18). The tables in `ufuncs` and `functions` say which are answered; all others are refused.
"""

from minifloat.arithmetic.arrays.contexts import Context
from minifloat.arithmetic.arrays.format_array import FormatArray, array

__all__ = ["Context", "FormatArray", "array"]

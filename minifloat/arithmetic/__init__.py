"""Emulated arithmetic: sums and dot products as matrix units and accumulators compute them.

Accumulator            how products are added up: format, rounding, terms, alignment, order ...
Unit, UNITS            matrix units of GPUs, named ARCHITECTURE/INPUT/OUTPUT
sum(x)                 sums along the last axis
dot(a, b, c)           dot products along the last axis
matmul(a, b, c)        matrix products
linear(x, w, c)        those of a layer with weights of shape (out, in)
array(x, fmt)          a `FormatArray`: NumPy's operations on it are rounded one by one
Context                a format and how operations are rounded to it
reveal(f)              how a function of yours adds: its order, its bits, its rounding

>>> import minifloat as mf
>>> from minifloat import arithmetic
>>> x = mf.round_to([[0.3, 250.0, -0.7, 64.0]], "e4m3fn")
>>> arithmetic.dot(x, x, unit="hopper/e4m3fn/float32"), (x * x).sum()
(array([69632.], dtype=float32), np.float64(69632.5703125))
"""

from minifloat.arithmetic.accumulators import Accumulator
from minifloat.arithmetic.contexts import Context
from minifloat.arithmetic.dot_products import dot, linear, matmul, sum
from minifloat.arithmetic.format_array import FormatArray, array
from minifloat.arithmetic.operations import (
    absolute,
    add,
    divide,
    faa,
    fma,
    maximum,
    minimum,
    multiply,
    negative,
    sqrt,
    subtract,
)
from minifloat.arithmetic.probes import Revealed, reveal
from minifloat.arithmetic.sum_formats import SumFormat
from minifloat.arithmetic.units import UNIT_SOURCES, UNITS, Unit

__all__ = [
    "UNITS",
    "UNIT_SOURCES",
    "Accumulator",
    "Context",
    "FormatArray",
    "Revealed",
    "SumFormat",
    "Unit",
    "absolute",
    "add",
    "array",
    "divide",
    "dot",
    "faa",
    "fma",
    "linear",
    "matmul",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "reveal",
    "sqrt",
    "subtract",
    "sum",
]

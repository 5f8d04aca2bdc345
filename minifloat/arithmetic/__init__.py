"""Emulated arithmetic: sums and dot products as matrix units and accumulators compute them.

Accumulator            how products are added up: format, rounding, terms, alignment, order ...
Unit, UNITS            matrix units of GPUs, named ARCHITECTURE/INPUT/OUTPUT
sum(x)                 sums along the last axis
dot(a, b, c)           dot products along the last axis
matmul(a, b, c)        matrix products
linear(x, w, c)        those of a layer with weights of shape (out, in)
add(a, b, fmt) ...     operations and elementary functions in a format, each rounded once
less(a, b) ...         comparisons
array(x, fmt)          a `FormatArray`: NumPy's operations on it are rounded one by one
Context                a format and how operations are rounded to it
reveal(f)              how a function of yours adds: its order, its bits, its rounding

`p3109` has IEEE P3109's operations by their names, `p3109_blocks` those on blocks, `p3109_values`
comparisons and classes.

`minifloat.arithmetic.multiplication` has other ways to multiply: L-Mul, Mitchell's logarithms,
shifts and additions, bipolar integers by counting bits, dyadic requantization.

>>> import minifloat as mf
>>> from minifloat import arithmetic
>>> x = mf.round_to([[0.3, 250.0, -0.7, 64.0]], "e4m3fn")
>>> arithmetic.dot(x, x, unit="hopper/e4m3fn/float32"), (x * x).sum()
(array([69632.], dtype=float32), np.float64(69632.5703125))
"""

from minifloat.arithmetic import p3109
from minifloat.arithmetic.accumulators import Accumulator
from minifloat.arithmetic.arrays import Context, FormatArray, array
from minifloat.arithmetic.dot_products import dot, linear, matmul, sum
from minifloat.arithmetic.multiplication import (
    BitPlanes,
    Dyadic,
    SignedPower,
    bipolar_matmul,
    bit_planes,
    dyadic,
    l_mul,
    mitchell,
    requantize,
    shift_add,
    shift_terms,
)
from minifloat.arithmetic.operations.algebraic import (
    add,
    divide,
    faa,
    fma,
    multiply,
    reciprocal,
    sqrt,
    square,
    subtract,
)
from minifloat.arithmetic.operations.comparisons import (
    equal,
    greater,
    greater_equal,
    less,
    less_equal,
    not_equal,
)
from minifloat.arithmetic.operations.elementary import (
    arccos,
    arccosh,
    arccospi,
    arcsin,
    arcsinh,
    arcsinpi,
    arctan,
    arctan2,
    arctan2pi,
    arctanh,
    arctanpi,
    cbrt,
    cos,
    cosh,
    cospi,
    exp,
    exp2,
    expm1,
    hypot,
    log,
    log1p,
    log2,
    log10,
    power,
    rsqrt,
    sigmoid,
    sin,
    sinh,
    sinpi,
    softplus,
    tan,
    tanh,
    tanpi,
)
from minifloat.arithmetic.operations.remainders import (
    fmod,
    ieee_remainder,
    remainder,
)
from minifloat.arithmetic.operations.selections import (
    absolute,
    clip,
    copysign,
    fmax,
    fmax_magnitude,
    fmin,
    fmin_magnitude,
    maximum,
    maximum_finite,
    maximum_magnitude,
    minimum,
    minimum_finite,
    minimum_magnitude,
    negative,
    sign,
)
from minifloat.arithmetic.p3109 import blocks as p3109_blocks
from minifloat.arithmetic.p3109 import values as p3109_values
from minifloat.arithmetic.probes import Revealed, reveal
from minifloat.arithmetic.sum_formats import SumFormat
from minifloat.arithmetic.units import UNIT_SOURCES, UNITS, Unit

abs = absolute  # the names of `abs(x)` and of P3109
negate = negative

__all__ = [
    "Accumulator",
    "Context",
    "FormatArray",
    "BitPlanes",
    "Dyadic",
    "Revealed",
    "SignedPower",
    "SumFormat",
    "UNITS",
    "UNIT_SOURCES",
    "Unit",
    "abs",
    "absolute",
    "add",
    "arccos",
    "arccosh",
    "arccospi",
    "arcsin",
    "arcsinh",
    "arcsinpi",
    "arctan",
    "arctan2",
    "arctan2pi",
    "arctanh",
    "arctanpi",
    "array",
    "cbrt",
    "clip",
    "copysign",
    "cos",
    "cosh",
    "cospi",
    "divide",
    "dot",
    "equal",
    "exp",
    "exp2",
    "expm1",
    "faa",
    "fma",
    "fmax",
    "fmax_magnitude",
    "fmin",
    "fmin_magnitude",
    "fmod",
    "greater",
    "greater_equal",
    "hypot",
    "bipolar_matmul",
    "bit_planes",
    "dyadic",
    "l_mul",
    "less",
    "less_equal",
    "linear",
    "ieee_remainder",
    "log",
    "log10",
    "log1p",
    "log2",
    "matmul",
    "maximum",
    "maximum_finite",
    "maximum_magnitude",
    "minimum",
    "minimum_finite",
    "minimum_magnitude",
    "multiply",
    "negate",
    "negative",
    "not_equal",
    "p3109",
    "p3109_blocks",
    "p3109_values",
    "power",
    "reciprocal",
    "remainder",
    "reveal",
    "rsqrt",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "sinpi",
    "softplus",
    "sqrt",
    "square",
    "subtract",
    "mitchell",
    "requantize",
    "shift_add",
    "shift_terms",
    "sum",
    "tan",
    "tanh",
    "tanpi",
]

"""Emulated arithmetic: sums and dot products as matrix units and accumulators compute them.

Accumulator            how products are added up: format, rounding, terms, alignment, order ...
Unit, UNITS            matrix units of GPUs, named ARCHITECTURE/INPUT/OUTPUT
sum(x)                 sums along the last axis
dot(a, b, c)           dot products along the last axis
matmul(a, b, c)        matrix products
linear(x, w, c)        those of a layer with weights of shape (out, in)
reveal(f)              how a function of yours adds: its order, its bits, its rounding

`minifloat.arithmetic.multiplication` has other ways to multiply: L-Mul, Mitchell's logarithms,
shifts and additions, bipolar integers by counting bits, dyadic requantization.

>>> import minifloat as mf
>>> from minifloat import arithmetic
>>> x = mf.round_to([[0.3, 250.0, -0.7, 64.0]], "e4m3fn")
>>> arithmetic.dot(x, x, unit="hopper/e4m3fn/float32"), (x * x).sum()
(array([69632.], dtype=float32), np.float64(69632.5703125))
"""

from minifloat.arithmetic.accumulators import Accumulator
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
from minifloat.arithmetic.probes import Revealed, reveal
from minifloat.arithmetic.sum_formats import SumFormat
from minifloat.arithmetic.units import UNIT_SOURCES, UNITS, Unit

__all__ = [
    "UNITS",
    "UNIT_SOURCES",
    "Accumulator",
    "BitPlanes",
    "Dyadic",
    "Revealed",
    "SignedPower",
    "SumFormat",
    "Unit",
    "bipolar_matmul",
    "bit_planes",
    "dot",
    "dyadic",
    "l_mul",
    "linear",
    "matmul",
    "mitchell",
    "requantize",
    "reveal",
    "shift_add",
    "shift_terms",
    "sum",
]

"""Other ways to multiply, each exact against its definition.

l_mul(a, b, fmt)           L-Mul: fields of floats are added
mitchell(a, b)             Mitchell's logarithms of integers and floats are added
shift_add(x, codes, fmt)   weights that are sums of powers of two: shifts and additions
bipolar_matmul(a, b)       bipolar integers in bit planes: exclusive or, and bits counted
requantize(sums, scale)    integers to integers, by a multiplier and a shift

`minifloat.arithmetic` has these names, too.
"""

from minifloat.arithmetic.multiplication.bipolar_integers import (
    BitPlanes,
    bipolar_matmul,
    bit_planes,
)
from minifloat.arithmetic.multiplication.logarithms import Variant, l_mul, mitchell
from minifloat.arithmetic.multiplication.requantization import Dyadic, dyadic, requantize
from minifloat.arithmetic.multiplication.shifts import SignedPower, shift_add, shift_terms

__all__ = [
    "BitPlanes",
    "Dyadic",
    "SignedPower",
    "Variant",
    "bipolar_matmul",
    "bit_planes",
    "dyadic",
    "l_mul",
    "mitchell",
    "requantize",
    "shift_add",
    "shift_terms",
]

"""What a code means: `Format` (ExMy), `Integer`, `Codebook`, and `Lookup`; `ComplexCodebook`.

A format describes codes; it does not compute on arrays. The whole library uses these words:

code         the integer that encodes one value
magnitude    a code without its sign bit
field        the stored exponent; ``value = significand * 2**(field - bias)``
significand  ``1.f`` or ``0.f``, with the leading bit; `precision` is its width
mantissa     the stored trailing bits, as in ExMy; ``precision = mantissa_bits + 1``
subnormal    a value with exponent field 0 and no implicit leading bit
binade       the values of one exponent, from a power of two to the next

This package imports only the standard library.
"""

from minifloat.formats.base import CodeRow, CodeTable, NumberFormat
from minifloat.formats.codebook import Codebook
from minifloat.formats.complex_codebook import ComplexCodebook
from minifloat.formats.exmy import FloatInfo, Format, Specials
from minifloat.formats.integer import Integer
from minifloat.formats.lookup import Lookup

__all__ = [
    "CodeRow",
    "CodeTable",
    "Codebook",
    "ComplexCodebook",
    "FloatInfo",
    "Format",
    "Integer",
    "Lookup",
    "NumberFormat",
    "Specials",
]

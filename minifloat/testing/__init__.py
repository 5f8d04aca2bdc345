"""The exact oracle and hypothesis strategies, for this project's tests and for others'.

The oracle says which code a number must get. It works on `fractions.Fraction` and sorted lists,
follows the definitions word by word, and shares no code with `minifloat.encode` or its kernels:
it reads only the facts that describe a format (its fields, bias, flags, or its table) and works out
everything else here. It is slow, and meant to be believed on reading.

exact_decode, exact_encode, exact_encode_array   one code's value; one number's code; a loop
decision_points                                  the inputs at which a rounding can go wrong
exact_steps, StepTable                           the oracle as a table, for sweeps over all inputs
check_encoder, assert_same_codes                 compare an encoder, or codes, with the oracle
random_formats                                   formats from a seeded generator
formats, codes, values, near_ties                hypothesis strategies (need `hypothesis`)

How a number x is rounded, in the order of `exact_encode`. The numbers are those of the seven steps
in `minifloat.codec`:

1. NaN gets the NaN code, or the code that ``nan`` asks for where there is none. For infinities
   ``overflow`` decides.
2. The sign of x is taken; -0 has one.
3. The two neighbours of x are found: ``near`` (nearer to zero) and ``far``. A number that the
   format has is its own neighbour, on both sides, so that no mode moves it. Beyond the largest
   value the grid goes on, as if the exponent range were unbounded; a codebook ends.
4. The fraction of the gap is taken that x has covered beyond ``near``.
5. The mode picks one of the two, from the fraction, from the sign and from whose code is odd.
6. If the one picked lies outside the format, ``overflow`` decides.
7. The code has the sign: each neighbour was given its own at step 3.
"""

from minifloat.testing._checks import Encoder, assert_same_codes, check_encoder
from minifloat.testing._meaning import exact_decode
from minifloat.testing._oracle import code_dtype, exact_encode, exact_encode_array
from minifloat.testing._points import decision_points
from minifloat.testing._steps import StepTable, exact_steps
from minifloat.testing._strategies import codes, formats, near_ties, random_formats, values

__all__ = [
    "Encoder",
    "StepTable",
    "assert_same_codes",
    "check_encoder",
    "code_dtype",
    "codes",
    "decision_points",
    "exact_decode",
    "exact_encode",
    "exact_encode_array",
    "exact_steps",
    "formats",
    "near_ties",
    "random_formats",
    "values",
]

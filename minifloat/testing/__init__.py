"""The exact oracle and hypothesis strategies, for tests of this and of other projects.

The oracle returns the code that a number must get. It works on `fractions.Fraction` and sorted
lists, follows the definitions literally, and shares no code with `minifloat.encode` or its kernels.
It reads only the facts that describe a format (field widths, bias, flags, or the table of values)
and derives everything else itself. It is slow, and simple enough to be checked by reading.

exact_decode, exact_encode, exact_encode_array   the value of a code; the code of a number; a loop
decision_points                                  the inputs at which rounding can go wrong
exact_steps, StepTable                           the oracle as a table, for sweeps over all inputs
check_encoder, check_decoder, assert_same_codes  compare functions, or codes, with the oracle
check_multiplier, check_adder, check_fma, check_dot  the same for functions of codes
vectors, write_vectors                           inputs and right outputs, for a test bench
random_formats                                   formats from a seeded generator
formats, codes, values, near_ties                hypothesis strategies (need `hypothesis`)

`exact_encode` takes the seven steps of `minifloat.codec`, in the same order:

1. NaN gets the NaN code, or the code that the ``nan`` policy chooses if the format has no NaN.
   Infinities go to step 6.
2. Split x into its sign and its magnitude.
3. Find the two neighbours of x in the format: ``near`` (nearer to zero) and ``far``. A number that
   the format has is its own neighbour on both sides, so that no mode changes it. Beyond the largest
   value the grid continues as if the exponent range were unbounded; a codebook ends.
4. Compute the fraction of the gap that lies between ``near`` and x.
5. The mode takes one of the two neighbours. It depends on the fraction, on the sign, and on which
   neighbour has an odd code.
6. If this neighbour is outside the format, and for infinities, ``overflow`` decides.
7. Add the sign to the code; integers are two's complement.
"""

from minifloat.testing._checks import Encoder, assert_same_codes, check_encoder
from minifloat.testing._decoders import Decoder, check_decoder
from minifloat.testing._meaning import exact_decode
from minifloat.testing._operation_checks import (
    check_adder,
    check_dot,
    check_fma,
    check_multiplier,
)
from minifloat.testing._oracle import code_dtype, exact_encode, exact_encode_array
from minifloat.testing._points import decision_points
from minifloat.testing._steps import StepTable, exact_steps
from minifloat.testing._strategies import codes, formats, near_ties, random_formats, values
from minifloat.testing._units import vectors, write_vectors
from minifloat.testing._vectors import Port, Vectors

__all__ = [
    "Decoder",
    "Encoder",
    "Port",
    "StepTable",
    "Vectors",
    "assert_same_codes",
    "check_adder",
    "check_decoder",
    "check_dot",
    "check_encoder",
    "check_fma",
    "check_multiplier",
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
    "vectors",
    "write_vectors",
]

"""Circuits: the same format as Verilog, checked on its netlist.

decoder      a code to an exact integer, float16 or bfloat16
encoder      a float or an integer to a code, in any rounding mode
multiplier   the exact product of two codes
l_mul        L-Mul's product of two codes, by addition
dot          the sum of the products of many lanes, accumulated exactly, in a float, or not
block_dot    the same of two blocks that have a scale each: Microscaling, NVFP4
converter    a code of one format to a code of another
best         the form of a circuit that takes the least of a target
check        a circuit's netlist against the library
synthesize   what a circuit takes on a target, by Yosys
costs        what formats take: the best form of a unit for each, checked and counted
join_lanes   words of the codes of many lanes; split_lanes undoes it

>>> from minifloat import hardware
>>> hardware.decoder("e2m1")
<Circuit decoder_e2m1_fixed_case_twos_complement: code[4] -> value[5]>
"""

from minifloat.hardware.block_dots import block_dot
from minifloat.hardware.checks import Check, Mismatch, check
from minifloat.hardware.choices import Choice, best, candidates
from minifloat.hardware.circuits import Circuit, join_lanes, split_lanes
from minifloat.hardware.converters import converter, converter_forms
from minifloat.hardware.costs import Cost, costs
from minifloat.hardware.counts import Counts, synthesize
from minifloat.hardware.decoders import decoder, decoder_forms
from minifloat.hardware.dots import FixedSum, dot, dot_forms
from minifloat.hardware.encoders import encoder, encoder_forms
from minifloat.hardware.float_sums import FloatSum
from minifloat.hardware.integers import integer_codebook
from minifloat.hardware.l_muls import l_mul, l_mul_forms
from minifloat.hardware.multipliers import multiplier, multiplier_forms
from minifloat.hardware.netlists import Netlist

__all__ = [
    "Check",
    "Choice",
    "Circuit",
    "Cost",
    "Counts",
    "FixedSum",
    "FloatSum",
    "Mismatch",
    "Netlist",
    "best",
    "block_dot",
    "candidates",
    "check",
    "converter",
    "converter_forms",
    "costs",
    "decoder",
    "decoder_forms",
    "dot",
    "dot_forms",
    "encoder",
    "encoder_forms",
    "integer_codebook",
    "join_lanes",
    "l_mul",
    "l_mul_forms",
    "multiplier",
    "multiplier_forms",
    "split_lanes",
    "synthesize",
]

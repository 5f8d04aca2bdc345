"""Circuits: the same format as Verilog, checked on its netlist.

decoder   a code to an exact integer, float16 or bfloat16

>>> from minifloat import hardware
>>> hardware.decoder("e2m1")
<Circuit decoder_e2m1_fixed_case_twos_complement: code[4] -> value[5]>
"""

from minifloat.hardware.circuits import Circuit
from minifloat.hardware.decoders import decoder, decoder_forms
from minifloat.hardware.integers import integer_codebook

__all__ = ["Circuit", "decoder", "decoder_forms", "integer_codebook"]

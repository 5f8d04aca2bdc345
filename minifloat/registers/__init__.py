"""Register programs: codes to float16 or bfloat16 pairs as a GPU does it.

A program is a list of 32-bit instructions. From it come its meaning, its proof, its cost and its
text:

to_half(fmt, layout)     the program: shifts, masks and one multiplication or addition
look_up(fmt, layout)     the contrast: a table
run(program, words)      what it computes, bit for bit
prove(program, fmt)      whether that is right, for all inputs
program.cost, costs()    instructions by kind; those of many formats
search(fmt)              the layout whose program is the cheapest of all that were tried
assembly, c, cuda        the program as text

>>> from minifloat import registers
>>> program = registers.to_half("e2m2", "fpe2m2_kernel")
>>> bool(registers.prove(program, "e2m2"))
True
"""

from minifloat.registers._build import look_up, to_half
from minifloat.registers._costs import CostRow, costs
from minifloat.registers._dependencies import dependencies
from minifloat.registers._program import (
    KINDS,
    Builder,
    Cost,
    Instruction,
    Op,
    Operand,
    Program,
    Register,
    assembly,
)
from minifloat.registers._proof import Difference, Leak, Proof, Special, prove, sweep
from minifloat.registers._run import run
from minifloat.registers._search import Search, search
from minifloat.registers._target import half_words
from minifloat.registers._text import c, cuda

__all__ = [
    "KINDS",
    "Builder",
    "Cost",
    "CostRow",
    "Difference",
    "Instruction",
    "Leak",
    "Op",
    "Operand",
    "Program",
    "Proof",
    "Register",
    "Search",
    "Special",
    "assembly",
    "c",
    "costs",
    "cuda",
    "dependencies",
    "half_words",
    "look_up",
    "prove",
    "run",
    "search",
    "sweep",
    "to_half",
]

"""Register programs: how a GPU turns codes into pairs of float16 or bfloat16.

A program is a list of 32-bit instructions. Its results, its proof, its cost and its text are all
derived from this list:

to_half(fmt, layout)     the program: shifts, masks and one multiplication or addition
look_up(fmt, layout)     the contrast: a table
run(program, words)      its results, bit for bit
prove(program, fmt)      a proof that they are right for all inputs
program.cost, costs()    instructions by kind; for one program, for many formats
search(fmt)              the layout with the cheapest program of all layouts tried
to_c, to_cuda            the program as text in C and in CUDA C
to_assembly              the program as assembly

>>> from minifloat import registers
>>> program = registers.to_half("e2m2", "fpe2m2_kernel")
>>> bool(registers.prove(program, "e2m2"))
True
"""

from minifloat.registers._build import look_up, to_half
from minifloat.registers._costs import CostRow, costs, table_formats
from minifloat.registers._dependencies import dependencies
from minifloat.registers._program import (
    AND_OR,
    AND_XOR,
    KINDS,
    Builder,
    Cost,
    Instruction,
    Op,
    Operand,
    Program,
    Register,
    to_assembly,
)
from minifloat.registers._proof import Difference, Leak, Proof, Special, prove, sweep, trial_words
from minifloat.registers._run import run
from minifloat.registers._search import Search, search
from minifloat.registers._target import half_words
from minifloat.registers._text import to_c, to_cuda

__all__ = [
    "AND_OR",
    "AND_XOR",
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
    "costs",
    "dependencies",
    "half_words",
    "look_up",
    "prove",
    "run",
    "search",
    "sweep",
    "table_formats",
    "to_assembly",
    "to_c",
    "to_cuda",
    "to_half",
    "trial_words",
]

"""Register programs: ExMy codes to float16 pairs as a GPU does it, run, proved, counted, written.

to_half(fmt, layout)         the program: shifts, masks, one multiplication
look_up(fmt, layout)         the contrast: a table
run(program, words)          what it computes, bit for bit
"""

from minifloat.registers._build import half_words, look_up, to_half
from minifloat.registers._dependencies import dependencies
from minifloat.registers._program import (
    Builder,
    Cost,
    Instruction,
    Op,
    Operand,
    Program,
    Register,
)
from minifloat.registers._proof import Difference, Leak, Proof, Special, prove, sweep
from minifloat.registers._run import run
from minifloat.registers._search import Search, search
from minifloat.registers._text import assembly, c, cuda

__all__ = [
    "Builder",
    "Cost",
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

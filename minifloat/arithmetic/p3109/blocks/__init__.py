"""P3109's operations on blocks: numbers that share a scale, and its scaled operations.

A block is a scale and the elements that are multiplied by it. Here many blocks are one `Block`:
scales of shape (...) and elements of shape (..., B), both of them values. Weights that
`minifloat.quantize` has packed are blocks, too. Operations are those of the draft P3109/D1 of July
2026, clauses 5.1 to 5.5. Each result is the exact one, rounded once.

Limits: a scale times an element is a float64 (as for all formats of at most 16 bits and for float32
scales), and so are other numbers on the way, but for their last bits.
"""

from minifloat.arithmetic.p3109.blocks.conversions import (
    convert_from_block,
    convert_to_block,
    convert_to_block_max_abs_finite,
)
from minifloat.arithmetic.p3109.blocks.elementwise import block, scaled
from minifloat.arithmetic.p3109.blocks.operands import Block, BlockLike
from minifloat.arithmetic.p3109.blocks.reductions import dot_product, reduce_add, reduce_multiply

__all__ = [
    "Block",
    "BlockLike",
    "block",
    "convert_from_block",
    "convert_to_block",
    "convert_to_block_max_abs_finite",
    "dot_product",
    "reduce_add",
    "reduce_multiply",
    "scaled",
]

"""AWQ in its GEMM layout.

    qweight I32 [in, out/8], qzeros I32 [groups, out/8], scales F16 [groups, out]

Eight outputs share a word: nibble p, from the lowest, holds output 0, 2, 4, 6, 1, 3, 5, 7. A weight
is (code - zero point) * scale.

Source: https://github.com/casper-hansen/AutoAWQ, awq/modules/linear/gemm.py
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from minifloat.files._safe import quoted
from minifloat.files.checkpoints import gptq
from minifloat.files.checkpoints.config import Config
from minifloat.files.checkpoints.making import (
    bits_of_words,
    bits_to_words,
    codes_and_zeros,
    quantized,
)
from minifloat.files.checkpoints.stored import (
    Stored,
    Tensors,
    check_dimensions,
    check_dtype,
    check_shape,
    in_memory,
    scale_format,
)
from minifloat.files.checkpoints.weights import Facts, Group, Value, suffixed
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import Recipe

NAME = "AWQ"
NIBBLE_OF_OUTPUT = (0, 4, 1, 5, 2, 6, 3, 7)
OUTPUT_OF_NIBBLE = (0, 2, 4, 6, 1, 3, 5, 7)


def find(tensors: Tensors, config: Config) -> Iterator[Group]:
    """Yield weights whose words hold eight outputs each."""
    for group in suffixed(tensors, ".qweight", zeros=".qzeros", scale=".scales"):
        codes, scale = group.parts["codes"], group.parts.get("scale")
        if scale and "zeros" in group.parts and _is_eight_to_a_word(codes, scale):
            yield Group(f"{group.name}.weight", group.parts)


def facts(group: Group, config: Config) -> Facts:
    """Return what the types and shapes tell."""
    codes, zeros, scale = (group.parts[role] for role in ("codes", "zeros", "scale"))
    for words in (codes, zeros):
        check_dtype(words, "I32")
        check_dimensions(words, 2)
    inputs, eighth = codes.shape
    check_dimensions(scale, 2)
    groups = scale.shape[0]
    check_shape(zeros, (groups, eighth))
    if not groups or not inputs or inputs % groups:
        raise ValueError(f"{quoted(scale.name)} must be of even groups, got {groups} of {inputs}")
    block = "channel" if groups == 1 else inputs // groups
    recipe = Recipe("uint4", block=block, scale=scale_format(scale), zero_point=True)
    return Facts((8 * eighth, inputs), recipe, 1, NAME)


def value(group: Group, facts: Facts) -> Value:
    """Read codes, scales and zero points, rows first."""
    codes, zeros = _nibbles(group.parts["codes"]), _nibbles(group.parts["zeros"])
    scales = group.parts["scale"].floats().T
    return quantized(facts, codes.T, scales, zero_points=zeros.T)


def _is_eight_to_a_word(codes: Stored, scale: Stored) -> bool:
    return bool(codes.shape and scale.shape) and 8 * codes.shape[-1] == scale.shape[-1]


def _nibbles(words: Stored) -> NDArray[np.uint8]:
    """Return the codes of each row, in the order of the outputs."""
    rows, eighth = words.shape
    nibbles = bits_of_words(words.words(), 4, 8 * eighth).reshape(rows, eighth, 8)
    return nibbles[..., NIBBLE_OF_OUTPUT].reshape(rows, 8 * eighth)


def tensors(name: str, q: Quantized) -> list[Stored]:
    """Return the tensors that store weights, the inverse of reading them.

    Parameters
    ----------
    name : str
        Of the weights, which ends in "weight".
    q : Quantized
        A matrix of 4-bit integers with float16 scales for whole groups of inputs, or for rows:
        unsigned with zero points, or of two signs, which get the zero point 8. The number of rows
        is a multiple of 8.

    Returns
    -------
    list of Stored

    Raises
    ------
    ValueError
        If AWQ has no place for the recipe or the shape.
    """
    stem = name.removesuffix("weight")
    if not stores(q.recipe) or q.axis != 1:
        raise ValueError(
            "q must be a matrix of int4 or uint4 codes with float16 scales along the inputs for "
            f"AWQ, got {q!r}"
        )
    if q.shape[0] % 8 or q.shape[1] % q.blocks.width:
        raise ValueError(
            f"q must have eights of rows, and rows of whole groups, for AWQ, got {q!r}"
        )
    codes, zeros = codes_and_zeros(q)
    return [
        in_memory(f"{stem}qweight", "I32", _words(codes)),
        in_memory(f"{stem}qzeros", "I32", _words(zeros)),
        in_memory(f"{stem}scales", "F16", q.scales.T.astype("<f2")),
    ]


def stores(recipe: Recipe) -> bool:
    """Return whether AWQ has a place for weights of a recipe."""
    return gptq.stores(recipe) and recipe.fmt.bits == 4


def _words(codes: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return the codes of outputs, a row for each, as words of eight outputs; see `_nibbles`."""
    eights = codes.T.reshape(codes.shape[1], -1, 8)[..., OUTPUT_OF_NIBBLE]
    return bits_to_words(np.ascontiguousarray(eights).reshape(codes.shape[1], -1), 4)

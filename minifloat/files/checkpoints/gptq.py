"""GPTQ, as AutoGPTQ and GPTQModel write it.

    qweight I32 [in * bits/32, out], qzeros I32 [groups, out * bits/32], scales F16 [groups, out],
    perhaps g_idx I32 [in]: the group of each input

qweight is packed along the inputs, qzeros along the outputs; both are a stream of bits, the first
code in the lowest. Version 1 stores a zero point less 1, version 2 ("gptq_v2" in the settings) as
it is; the tensors do not tell which it is. A weight is (code - zero point) * scale.

Source: https://github.com/AutoGPTQ/AutoGPTQ, https://github.com/IST-DASLab/gptq
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minifloat.files._safe import quoted
from minifloat.files.checkpoints import columns
from minifloat.files.checkpoints.config import Config
from minifloat.files.checkpoints.making import bits_of_words, bits_to_words, codes_and_zeros
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
from minifloat.formats import Integer
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import Recipe

NAMES = {True: "GPTQ v1", False: "GPTQ v2"}
WIDTHS = (2, 3, 4, 8)


def find(tensors: Tensors, config: Config) -> Iterator[Group]:
    """Yield weights with zero points and a scale for each of their outputs."""
    beside = {"zeros": ".qzeros", "scale": ".scales", "g_idx": ".g_idx"}
    for group in suffixed(tensors, ".qweight", **beside):
        codes, scale = group.parts["codes"], group.parts.get("scale")
        if scale and "zeros" in group.parts and scale.shape[-1:] == codes.shape[-1:]:
            yield Group(f"{group.name}.weight", group.parts)


def facts(group: Group, config: Config) -> Facts:
    """Return what the types, the shapes and the settings tell."""
    codes, zeros, scale = (group.parts[role] for role in ("codes", "zeros", "scale"))
    for words in (codes, zeros):
        check_dtype(words, "I32")
        check_dimensions(words, 2)
    check_dimensions(scale, 2)
    groups, outputs = scale.shape
    bits = 32 * zeros.shape[1] // outputs if outputs else 0
    if bits not in WIDTHS or zeros.shape != (groups, outputs * bits // 32):
        raise ValueError(
            f"{quoted(zeros.name)} must be zero points of 2, 3, 4 or 8 bits for scales of shape "
            f"{scale.shape}, got shape {zeros.shape}"
        )
    inputs, odd = divmod(32 * codes.shape[0], bits)
    if odd or not groups or inputs == 0:
        raise ValueError(f"{quoted(codes.name)} must be {bits}-bit codes, got shape {codes.shape}")
    if g_idx := group.parts.get("g_idx"):
        check_dtype(g_idx, "I32", "I64")
        check_shape(g_idx, (inputs,))
    size = config.group_size
    if size is None or groups != -(-inputs // size):
        size = -(-inputs // groups)
    if groups != -(-inputs // size):
        raise ValueError(f"{quoted(scale.name)} must be of even groups, got {groups} of {inputs}")
    fmt = Integer(bits, signed=False)
    block = "channel" if groups == 1 else size
    recipe = Recipe(fmt, block=block, scale=scale_format(scale), zero_point=True)
    less_one = config.checkpoint_format != "gptq_v2"
    options = {"bits": bits, "less_one": less_one}
    note = columns.NOTE if g_idx else ""
    return Facts((outputs, inputs), recipe, 1, NAMES[less_one], options, note)


def value(group: Group, facts: Facts) -> Value:
    """Read codes, scales and zero points, rows first."""
    return columns.value(group, facts, _integers)


def _integers(group: Group, facts: Facts) -> columns.Integers:
    outputs, inputs = facts.shape
    bits = facts.options["bits"]
    codes = bits_of_words(group.parts["codes"].words().T, bits, inputs)
    zeros = bits_of_words(group.parts["zeros"].words(), bits, outputs).T
    if facts.options["less_one"]:
        zeros = zeros.astype(np.uint16) + np.uint16(1)
    return columns.Integers(codes, group.parts["scale"].floats().T, np.ascontiguousarray(zeros))


def tensors(name: str, q: Quantized, *, less_one: bool) -> list[Stored]:
    """Return the tensors that store weights, the inverse of reading them.

    Parameters
    ----------
    name : str
        Of the weights, which ends in "weight".
    q : Quantized
        A matrix of integers of 2, 3, 4 or 8 bits with float16 scales for whole groups of inputs, or
        for rows: unsigned with zero points, or of two signs, which get the zero point
        2**(bits - 1). Rows and columns must fill whole words.
    less_one : bool
        Whether zero points are stored less 1: version 1.

    Returns
    -------
    list of Stored

    Raises
    ------
    ValueError
        If GPTQ has no place for the recipe, the shape or, in version 1, a zero point of 0.
    """
    stem, bits = name.removesuffix("weight"), q.fmt.bits
    if not stores(q.recipe) or q.axis != 1:
        raise ValueError(
            "q must be a matrix of int or uint codes of 2, 3, 4 or 8 bits with float16 scales "
            f"along the inputs for GPTQ, got {q!r}"
        )
    outputs, inputs = q.shape
    if inputs * bits % 32 or outputs * bits % 32 or inputs % q.blocks.width:
        raise ValueError(
            f"q must have rows and columns that fill whole words of 32 bits, and whole groups, for "
            f"GPTQ, got {q!r}"
        )
    codes, zeros = codes_and_zeros(q)
    if less_one and not zeros.all():
        raise ValueError(
            "q must have zero points above 0 for GPTQ's version 1, which stores them less 1, got "
            "0; use version 2"
        )
    zeros = zeros - np.uint8(less_one)
    across = np.ascontiguousarray(zeros.T)
    return [
        in_memory(f"{stem}qweight", "I32", bits_to_words(codes, bits).T),
        in_memory(f"{stem}qzeros", "I32", bits_to_words(across, bits)),
        in_memory(f"{stem}scales", "F16", q.scales.T.astype("<f2")),
        in_memory(f"{stem}g_idx", "I32", (np.arange(inputs) // q.blocks.width).astype("<i4")),
    ]


def stores(recipe: Recipe) -> bool:
    """Return whether GPTQ has a place for weights of a recipe."""
    fmt = recipe.fmt
    return (
        fmt.is_integer
        and fmt.bits in WIDTHS
        and (fmt.min >= 0) == recipe.zero_point
        and recipe.scale.name == "float16"
        and not recipe.tensor_scale
        and not isinstance(recipe.block, tuple)
        and recipe.block != "tensor"
        and recipe.is_plain
    )

"""Bits of a quantized matrix, everything counted, and the smallest blocks that a budget allows."""

from __future__ import annotations

import math
from collections.abc import Callable

import minifloat as mf
from analysis.methods.subjects import Inputs
from analysis.models.layers import Array
from minifloat.formats import Codebook, NumberFormat
from minifloat.quantization.quantized import Quantized

Packed = Quantized | mf.Composite
Method = Callable[[Array, Inputs, float], Packed]

FLOATS = {2: "int2", 3: "e2m0", 4: "e2m1", 5: "e2m2", 6: "e2m3", 7: "e2m4"}
LEVEL = 32  # bits of a level of a codebook of a matrix's own


def block_within(bits: float, inputs: int, of_block: float, of_matrix: float = 0.0) -> int:
    """Return the smallest block, along rows, whose scales keep within a budget.

    Parameters
    ----------
    bits : float
        Bits per weight beside the codes.
    inputs : int
        Weights of a row; its last block may be shorter.
    of_block : float
        Bits of a block: its scale, zero point and flag.
    of_matrix : float
        Bits per weight of what a matrix has once.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If not even a block for each row keeps within.

    Examples
    --------
    >>> block_within(0.25, 576, 16), block_within(0.25, 576, 16 + 4)
    (64, 83)
    """
    blocks = math.floor((bits - of_matrix) * inputs / of_block + 1e-9)
    if blocks < 1:
        raise ValueError(
            f"bits must be at least {of_matrix + of_block / inputs:g} beside the codes for rows of "
            f"{inputs}, got {bits:g}"
        )
    return math.ceil(inputs / blocks)


def recipe(formats: str, of_block: int, scaling: str, inputs: int, bits: float) -> str:
    """Return the text of the recipe with the smallest blocks within a budget.

    Parameters
    ----------
    formats : str
        With ``{b}`` for the bits of a code and ``{float}`` for the E2My of as many.
    of_block : int
        Bits of a block beside its codes; a zero point's are added.
    scaling : str
        The recipe's text after the block.
    inputs : int
        Weights of a row.
    bits : float
        Per weight; a code has the whole number of them.

    Returns
    -------
    str

    Examples
    --------
    >>> recipe("{float}|int{b}", 16, "float16/mse", 576, 4.25)
    'e2m1|int4/64/float16/mse'
    >>> recipe("uint{b}", 16, "float16/zero-point", 576, 4.25)
    'uint4/83/float16/zero-point'
    """
    width = math.floor(bits)
    of_block += width * ("zero-point" in scaling)
    block = block_within(bits - width, inputs, of_block)
    fmt = formats.replace("{b}", str(width)).replace("{float}", FLOATS[width])
    return f"{fmt}/{block}/{scaling}"


def own_codebook(fmt: NumberFormat) -> bool:
    """Return whether a format is a codebook that a matrix has for itself, to be stored with it."""
    return isinstance(fmt, Codebook) and fmt.name == "codebook"


def counted(packed: Packed) -> float:
    """Return bits per weight, also of the levels of a codebook that is the matrix's own.

    Parameters
    ----------
    packed : Quantized or Composite

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> import minifloat as mf
    >>> w = np.ones((2, 128))
    >>> counted(mf.quantize(w, "e2m2/64/float16"))
    5.25
    >>> counted(mf.quantize(w, mf.Codebook([-1, 0, 0.5, 1]), block=64))  # 2 + 16/64 + 4 * 32 / 256
    2.75
    """
    dense = packed.dense if isinstance(packed, mf.Composite) else packed
    levels = dense.fmt.code_count if own_codebook(dense.fmt) else 0
    return packed.bits_per_weight + LEVEL * levels / math.prod(packed.shape)

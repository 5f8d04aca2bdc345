"""FPE2M2's own two layouts of 5-bit weights, e2m2b0 with one bfloat16 scale to an output.

    checkpoint   qweight I32 [in/8, out]: eight magnitudes to a word, the first in the lowest
                 nibble; sign_map I32 [in/32, out]: 32 signs to a word, the first in bit 0;
                 scales BF16 [1, out]. An exact zero has sign 1: its code is that of -0
    kernel       qweight I32 [5 * in/32, out], the words of the layout "fpe2m2_kernel"; scales

Source: FPE2M2, Findings of ACL 2025; its forks of AutoGPTQ and exllamav2
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minifloat.codec import encode
from minifloat.files._safe import quoted
from minifloat.files.checkpoints.config import Config
from minifloat.files.checkpoints.making import quantized
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
from minifloat.packing import pack_words, unpack_words
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import RECIPES, Recipe

NAME = "FPE2M2"
IN_GROUP, MAGNITUDES, WORDS = 32, 4, 5  # weights of a group, words of its magnitudes, and of all
NEGATIVE_ZERO = 16  # its code


def find(tensors: Tensors, config: Config) -> Iterator[Group]:
    """Yield weights without zero points that have a map of signs, or scales of outputs alone."""
    for group in suffixed(tensors, ".qweight", sign=".sign_map", scale=".scales"):
        if "scale" in group.parts and f"{group.name}.qzeros" not in tensors:
            yield Group(f"{group.name}.weight", group.parts)


def facts(group: Group, config: Config) -> Facts:
    """Return what the types and shapes tell."""
    codes, sign, scale = (group.parts.get(role) for role in ("codes", "sign", "scale"))
    assert codes is not None
    assert scale is not None
    check_dtype(codes, "I32")
    check_dimensions(codes, 2)
    words = WORDS if sign is None else MAGNITUDES
    groups, odd = divmod(codes.shape[0], words)
    if odd or not groups:
        raise ValueError(
            f"{quoted(codes.name)} must have {words} words to 32 weights, got shape {codes.shape}"
        )
    outputs = codes.shape[1]
    if sign is not None:
        check_dtype(sign, "I32")
        check_shape(sign, (groups, outputs))
    check_shape(scale, (1, outputs), (outputs,))
    recipe = Recipe("e2m2b0", block="channel", scale=scale_format(scale))
    layout = f"{NAME} {'kernel' if sign is None else 'checkpoint'}"
    return Facts((outputs, IN_GROUP * groups), recipe, 1, layout)


def value(group: Group, facts: Facts) -> Value:
    """Read magnitudes, signs and scales."""
    words = group.parts["codes"].words().T
    layout = "fpe2m2_kernel"
    if sign := group.parts.get("sign"):
        outputs = len(words)
        by_group = words.reshape(outputs, -1, MAGNITUDES)
        words = np.concatenate([by_group, sign.words().T[..., np.newaxis]], axis=-1)
        words = words.reshape(outputs, -1)
        layout = "fpe2m2_checkpoint"
    codes = unpack_words(np.ascontiguousarray(words), layout, facts.shape[1])
    return quantized(facts, codes, group.parts["scale"].floats().reshape(-1))


def tensors(name: str, q: Quantized) -> list[Stored]:
    """Return the tensors of the authors' checkpoints that store weights.

    With ``arithmetic="authors"`` in the recipe they are bit for bit those of the authors' code.

    Parameters
    ----------
    name : str
        Of the weights, which ends in "weight".
    q : Quantized
        A matrix in the recipe fpe2m2, of any search and arithmetic, whose number of columns is a
        multiple of 32.

    Returns
    -------
    list of Stored

    Raises
    ------
    ValueError
        If the recipe or the shape is another.
    """
    if not stores(q.recipe) or q.axis != 1 or len(q.shape) != 2 or q.shape[1] % IN_GROUP:
        raise ValueError(
            "q must be a matrix in the recipe fpe2m2, with rows of whole groups of 32, for "
            f"FPE2M2's checkpoints, got {q!r}"
        )
    stem, outputs = name.removesuffix("weight"), q.shape[0]
    codes = np.where(q.codes == 0, NEGATIVE_ZERO, q.codes)
    words = pack_words(codes, "fpe2m2_checkpoint").reshape(outputs, -1, WORDS)
    magnitudes = words[..., :MAGNITUDES].reshape(outputs, -1)
    scales = np.asarray(encode(q.scales.reshape(1, -1), "bfloat16"))
    return [
        in_memory(f"{stem}qweight", "I32", magnitudes.T),
        in_memory(f"{stem}sign_map", "I32", words[..., MAGNITUDES].T),
        in_memory(f"{stem}scales", "BF16", scales),
    ]


def stores(recipe: Recipe) -> bool:
    """Return whether the authors' checkpoints have a place for weights of a recipe."""
    return recipe.replace(search="absmax", arithmetic="exact") == RECIPES["fpe2m2"]

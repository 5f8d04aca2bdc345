"""compressed-tensors, which llm-compressor writes and vLLM reads.

    nvfp4-pack-quantized   weight_packed U8 [out, in/2], weight_scale F8_E4M3 [out, in/16],
                           weight_global_scale F32 [1]: a weight is value * scale / global
    mxfp4-pack-quantized   weight_packed U8 [out, in/2], weight_scale U8 [out, in/32], E8M0's codes
    mxfp6-pack-quantized   weight_packed U8 [out, 3 in/4], E2M3, weight_scale as MXFP4's
    mxfp8-quantized        weight F8_E4M3 [out, in], weight_scale as MXFP4's
    pack-quantized         weight_packed I32 [out, words], weight_shape [2], weight_scale, perhaps
                           weight_zero_point I32 [words, groups], weight_g_idx I32 [in]
    float-quantized,       weight F8_E4M3 or I8 [out, in], weight_scale: one, [out, 1],
    int-quantized          [out, groups] or tiles, perhaps weight_zero_point I8

In a byte the first code is in the low nibble. Integers are stored plus 2**(bits - 1), zero points
too, which are packed along the rows. Version 0.20 packs them without idle bits, older ones whole
codes to a word (10 of 3 bits).

The global scale is a divisor, `Quantized.tensor_scale` a factor: it is 1 / global rounded to
float32.

Source: https://github.com/vllm-project/compressed-tensors, compressors/
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minifloat.codec import decode, encode
from minifloat.files._safe import quoted
from minifloat.files.checkpoints import columns
from minifloat.files.checkpoints.blocks import block_of, check_blocks
from minifloat.files.checkpoints.config import Config
from minifloat.files.checkpoints.making import (
    bits_of_words,
    bits_to_words,
    padded_codes_of_words,
    quantized,
)
from minifloat.files.checkpoints.stored import (
    Array,
    Stored,
    Tensors,
    check_dimensions,
    check_dtype,
    check_shape,
    in_memory,
    is_integer,
    scale_format,
)
from minifloat.files.checkpoints.weights import Facts, Group, Value, suffixed
from minifloat.formats import Integer
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import Recipe

NAME = "compressed-tensors"
BESIDE = {
    "scale": "_scale",
    "global": "_global_scale",
    "zero_point": "_zero_point",
    "shape": "_shape",
    "g_idx": "_g_idx",
}
MX = {1: ("e2m1", 4, "mxfp4"), 2: ("e2m3", 6, "mxfp6")}
CODES = {"F8_E4M3": "e4m3fn", "F8_E5M2": "e5m2"}
DTYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}  # of scales


def find(tensors: Tensors, config: Config) -> Iterator[Group]:
    """Yield packed weights, and weights of 8 bits with scales beside them."""
    yield from (group for group in suffixed(tensors, "_packed", **BESIDE) if "scale" in group.parts)
    for group in suffixed(tensors, "weight", **{k: f"weight{v}" for k, v in BESIDE.items()}):
        if group.parts["codes"].dtype in (*CODES, "I8") and "scale" in group.parts:
            yield Group(f"{group.name}weight", group.parts)


def facts(group: Group, config: Config) -> Facts:
    """Return what the types and shapes tell."""
    codes = group.parts["codes"]
    if codes.dtype == "I32":
        return _packed_integers(group, config)
    if codes.dtype == "U8":
        return _packed_floats(group)
    return _codes_of_8_bits(group, config)


def value(group: Group, facts: Facts) -> Value:
    """Read codes, scales and zero points."""
    parts = group.parts
    assert facts.recipe is not None
    if parts["codes"].dtype == "I32":
        return columns.value(group, facts, _integers)
    scales = _scales(parts["scale"])
    codes = parts["codes"].codes().reshape(-1)
    if parts["codes"].dtype == "U8":
        return quantized(facts, codes, scales, tensor_scale=_tensor_scale(parts.get("global")))
    if "zero_point" in facts.options:
        zeros = parts["zero_point"].codes() ^ 0x80
        return quantized(facts, (codes ^ 0x80).reshape(facts.shape), scales, zero_points=zeros)
    return quantized(facts, codes.reshape(facts.shape), scales)


def _packed_floats(group: Group) -> Facts:
    codes, scale = group.parts["codes"], group.parts["scale"]
    check_dimensions(codes, 2, 3)
    check_dimensions(scale, len(codes.shape))
    *rows, bytes_of_row = codes.shape
    if divisor := group.parts.get("global"):
        check_dtype(codes, "U8")
        check_dtype(divisor, "F32")
        check_shape(divisor, (1,), ())
        check_dtype(scale, "F8_E4M3")
        shape = (*rows, 2 * bytes_of_row)
        recipe, name = Recipe.parse("nvfp4"), "nvfp4"
    else:
        check_dtype(scale, "U8", "F8_E8M0")
        length = 32 * scale.shape[-1]
        fmt, bits, name = MX[1] if bytes_of_row * 2 == length else MX[2]
        if bytes_of_row * 8 != length * bits:
            raise ValueError(
                f"{quoted(scale.name)} must have a scale for each 32 codes of "
                f"{quoted(codes.name)}, got {scale.shape} and {codes.shape}"
            )
        shape = (*rows, length)
        recipe = Recipe(fmt, block=32, scale="e8m0")
    check_blocks(scale, shape, recipe.block, len(shape) - 1)
    return Facts(shape, recipe, len(shape) - 1, f"{NAME} {name}-pack-quantized")


def _codes_of_8_bits(group: Group, config: Config) -> Facts:
    codes, scale = group.parts["codes"], group.parts["scale"]
    check_dtype(codes, *CODES, "I8")
    check_dimensions(codes, 1, 3)
    shape = codes.shape
    if scale.dtype == "U8":
        check_dtype(codes, *CODES)
        recipe = Recipe(CODES[codes.dtype], block=32, scale="e8m0")
        check_blocks(scale, shape, 32, len(shape) - 1)
        return Facts(shape, recipe, len(shape) - 1, f"{NAME} mxfp8-quantized")
    block = block_of(scale, shape, config.group_size, config.tile)
    options = {}
    zeros = group.parts.get("zero_point")
    if codes.dtype == "I8" and zeros is not None:
        check_dtype(zeros, "I8")
        check_blocks(zeros, shape, block, len(shape) - 1)
        recipe = Recipe("uint8", block=block, scale=scale_format(scale), zero_point=True)
        options = {"zero_point": True}
    else:
        recipe = Recipe(CODES.get(codes.dtype, "int8full"), block=block, scale=scale_format(scale))
    kind = "int" if codes.dtype == "I8" else "float"
    return Facts(shape, recipe, len(shape) - 1, f"{NAME} {kind}-quantized", options)


def _packed_integers(group: Group, config: Config) -> Facts:
    codes, scale = group.parts["codes"], group.parts["scale"]
    check_dimensions(codes, 2, 3)
    shape, bits, dense = _unpacked_shape(codes, group.parts.get("shape"), config.bits)
    if g_idx := group.parts.get("g_idx"):
        check_dtype(g_idx, "I32", "I64")
        check_shape(g_idx, shape[-1:])
        check_dimensions(scale, 2)
    block = block_of(scale, shape, config.group_size)
    if isinstance(block, tuple):
        raise ValueError(f"{quoted(scale.name)} must be scales of groups, got {scale.shape}")
    zeros = group.parts.get("zero_point")
    if zeros is not None and zeros.dtype == "I32":
        packed = -(-shape[-2] * bits // 32) if dense else -(-shape[-2] // (32 // bits))
        check_shape(zeros, (*shape[:-2], packed, scale.shape[-1] if scale.shape else 1))
    elif zeros is not None:
        check_dtype(zeros, "I8")
        check_shape(zeros, scale.shape)
    fmt = Integer(bits, signed=zeros is None, symmetric=False)
    recipe = Recipe(fmt, block=block, scale=scale_format(scale), zero_point=zeros is not None)
    options = {"bits": bits, "dense": dense}
    note = columns.NOTE if g_idx else ""
    return Facts(shape, recipe, len(shape) - 1, f"{NAME} pack-quantized", options, note)


def _unpacked_shape(
    codes: Stored, shaped: Stored | None, said: int | None
) -> tuple[tuple[int, ...], int, bool]:
    """Return the shape of the weights, and of their codes the bits and whether they are dense."""
    if shaped is None:
        raise ValueError(f"{quoted(codes.name)} must have its shape beside it, got none")
    if not is_integer(shaped) or shaped.shape != (len(codes.shape),):
        raise ValueError(
            f"{quoted(shaped.name)} must be {len(codes.shape)} integers, got {shaped.dtype} of "
            f"shape {shaped.shape}"
        )
    lengths = tuple(int(length) for length in shaped.numbers())  # two or three
    bits, dense = _width(codes.shape[-1], lengths[-1], said)
    if lengths[:-1] != codes.shape[:-1]:
        raise ValueError(f"{quoted(shaped.name)} must be of {codes.shape[:-1]} rows, got {lengths}")
    return lengths, bits, dense


def _width(words: int, columns: int, said: int | None) -> tuple[int, bool]:
    """Return the bits of a code, and whether there are no idle bits between the codes.

    Where several widths fill so many words it is the one that the settings say, else 8, 4 or 2
    bits, which have idle bits in neither packing.
    """
    widths = range(2, 9) if columns > 0 else ()
    whole = {bits for bits in widths if words == -(-columns // (32 // bits))}
    dense = {bits for bits in widths if words == -(-columns * bits // 32)}
    found = whole | dense
    chosen = [bits for bits in (said, 8, 4, 2) if bits in found][:1] or list(found)
    if len(chosen) != 1 or chosen[0] is None:
        raise ValueError(
            f"{columns} columns must fill {words} words with codes of one width from 2 to 8 bits, "
            f"got {len(chosen)} such widths; config.json tells the width"
        )
    return chosen[0], chosen[0] in dense


def _integers(group: Group, facts: Facts) -> columns.Integers:
    """Read codes and zero points, both with 2**(bits - 1) added."""
    parts, shape, bits = group.parts, facts.shape, facts.options["bits"]
    unpack = bits_of_words if facts.options["dense"] else padded_codes_of_words
    codes = unpack(parts["codes"].words(), bits, shape[-1])
    scales = _scales(parts["scale"])
    scales = scales.reshape(*scales.shape[:-1] or (1,), -1)
    zeros = np.full((1,) * len(shape), 1 << (bits - 1), np.uint8)
    if stored := parts.get("zero_point"):
        if stored.dtype == "I32":
            across = np.ascontiguousarray(np.swapaxes(stored.words(), -1, -2))
            zeros = np.swapaxes(unpack(across, bits, shape[-2]), -1, -2)
        else:
            zeros = stored.codes() + np.uint8(1 << (bits - 1))
    return columns.Integers(codes, scales, zeros)


def _scales(scale: Stored) -> Array:
    if scale.dtype == "U8":
        return np.asarray(decode(scale.codes(), "e8m0"), np.float32)
    return scale.floats()


def _tensor_scale(divisor: Stored | None) -> float | None:
    """Return one over the global scale, rounded to float32."""
    if divisor is None:
        return None
    number = divisor.floats().reshape(())
    if not (number > 0 and np.isfinite(number)):
        raise ValueError(f"{quoted(divisor.name)} must be a number above 0, got {number}")
    with np.errstate(over="ignore"):
        return float(np.float32(1) / np.float32(number))


def tensors(name: str, q: Quantized) -> list[Stored]:
    """Return the tensors that store weights, the inverse of reading them.

    Parameters
    ----------
    name : str
        Of the weights, which ends in "weight".
    q : Quantized
        In blocks along the last axis. Floats: E2M1 and E2M3 with e8m0 scales for 32, NVFP4, E4M3FN.
        Integers of 2 to 8 bits, with zero points or without, with float32, float16 or bfloat16
        scales for groups, rows or the tensor.

    Returns
    -------
    list of Stored

    Raises
    ------
    ValueError
        If compressed-tensors has no layout for the recipe or the shape, or one over the tensor
        scale is beyond float32.

    Notes
    -----
    What is read back is equal, but for two things. A symmetric int4 becomes int4full, of the same
    values. The global scale is 1 / tensor scale, rounded to float32, as the tensor scale is when it
    is read, so that it may come back in another last bit; once read, it comes back equal.
    """
    recipe = q.recipe
    is_plain = recipe.is_plain and not recipe.double
    if len(q.shape) < 2 or q.axis not in (None, len(q.shape) - 1) or not is_plain:
        raise _no_layout(q)
    if (
        recipe.fmt.is_integer
        and recipe.scale.name in DTYPES
        and not isinstance(recipe.block, tuple)
    ):
        return _of_integers(name, q)
    fmt = recipe.fmt.name
    scaling = (recipe.block, recipe.scale.name, recipe.tensor_scale)
    if fmt == "e4m3fn" and recipe.scale.name in DTYPES and not recipe.tensor_scale:
        return [in_memory(name, "F8_E4M3", q.codes), _scales_of(f"{name}_scale", q)]
    is_mx = fmt in ("e2m1", "e2m3", "e4m3fn") and scaling == (32, "e8m0", False)
    is_nvfp4 = fmt == "e2m1" and scaling == (16, "e4m3fn", True)
    if not (is_mx or is_nvfp4) or q.shape[-1] % (32 if is_mx else 16):
        raise _no_layout(q)
    scale_codes = np.asarray(encode(q.scales, recipe.scale.name))
    scales = in_memory(f"{name}_scale", "U8" if is_mx else "F8_E4M3", scale_codes)
    if fmt == "e4m3fn":
        return [in_memory(name, "F8_E4M3", q.codes), scales]
    packed = in_memory(f"{name}_packed", "U8", q.packed.reshape(*q.shape[:-1], -1))
    if q.tensor_scale is None:
        return [packed, scales]
    with np.errstate(over="ignore"):
        divisor = np.float32(1) / np.array([q.tensor_scale], "<f4")
    if not np.isfinite(divisor).all():
        raise ValueError(
            "q must have a tensor scale whose inverse is a float32, for compressed-tensors, got "
            f"{q.tensor_scale}"
        )
    return [packed, scales, in_memory(f"{name}_global_scale", "F32", divisor)]


def _of_integers(name: str, q: Quantized) -> list[Stored]:
    bits, zeros = q.fmt.bits, q.zero_points
    if not 2 <= bits <= 8 or q.recipe.tensor_scale or (q.fmt.min >= 0) != (zeros is not None):
        raise _no_layout(q)
    middle = np.uint8(0 if zeros is not None else 1 << (bits - 1))
    stored = [
        in_memory(f"{name}_packed", "I32", bits_to_words(q.codes ^ middle, bits)),
        _scales_of(f"{name}_scale", q),
        in_memory(f"{name}_shape", "I64", np.array(q.shape, "<i8")),
    ]
    if zeros is not None and zeros.ndim:
        across = bits_to_words(np.ascontiguousarray(np.swapaxes(zeros, -1, -2)), bits)
        stored.append(in_memory(f"{name}_zero_point", "I32", np.swapaxes(across, -1, -2)))
    elif zeros is not None:
        signed = zeros.reshape(1) - np.uint8(1 << (bits - 1))
        stored.append(in_memory(f"{name}_zero_point", "I8", signed))
    return stored


def _scales_of(name: str, q: Quantized) -> Stored:
    """Return scales in the words of their format; one for all as one number in a list."""
    scales = q.scales.reshape(q.scales.shape or (1,))
    if q.recipe.scale.name == "bfloat16":
        words = np.where(np.isnan(scales), 0x7FC0, scales.view(np.uint32) >> 16)
        return in_memory(name, "BF16", words.astype("<u2"))
    return in_memory(
        name, DTYPES[q.recipe.scale.name], scales.astype(f"<f{q.recipe.scale.bits // 8}")
    )


def _no_layout(q: Quantized) -> ValueError:
    return ValueError(
        "q must have a recipe that compressed-tensors stores, in whole blocks along the last axis, "
        f"got {q!r}; use nvfp4, mxfp4, int4full/128/bfloat16 or e4m3fn/channel/float32"
    )

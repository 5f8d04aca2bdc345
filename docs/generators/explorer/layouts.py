"""Where checkpoints of other tools have each bit of codes and scales, found by their own writers.

A writer is asked for the bytes of a matrix whose weights are all `BASE`, and then for those of
matrices in which one bit of some of the codes or scales is the other one. The bytes that differ
tell the places of these bits. Tests compare random codes, so a writer that does not work bit by bit
would be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.codec import decode
from minifloat.conversion.layouts import LAYOUTS
from minifloat.formats.names import parse
from minifloat.packing import pack
from minifloat.quantization.blocks import Blocks
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import Recipe

Words = NDArray[np.uint32]

SHOWN = 64  # weights of a row
BASE = 3  # a code which with any bit changed is neither zero nor unused
SCALE_BASE = 9  # the same for scales: no zero
SHAPES = (
    (1, SHOWN),
    (8, SHOWN),
    (32, SHOWN),
    (1, SHOWN, 32),
)  # the first one row is shown
STORED = (
    "mxfp4", "mxfp6e2m3", "mxfp8e4m3", "nvfp4", "int4/32/float16", "int8/32/float16",
    "int8full/32/float16", "int5/32/bfloat16", "e4m3fn/channel/float32", "fpe2m2",
)  # fmt: skip


def layouts() -> dict[str, Any]:
    """Return the tensors of each recipe's layouts, by the recipe's text."""
    found: dict[str, Any] = {}
    for name in STORED:
        recipe = Recipe.parse(name)
        tools = {tool: layout(recipe, tool) for tool in LAYOUTS if tool != "minifloat"}
        found[str(recipe)] = {tool: tensors for tool, tensors in tools.items() if tensors}
    for name in ("nf4/64/float32", "bnb_fp4/64/float32"):
        found[name] = {"bitsandbytes": bitsandbytes()}
    return found


def bitsandbytes() -> list[dict[str, Any]]:
    """Return the tensors of bitsandbytes, which the library reads and does not write.

    The first weight of a byte is in its high bits.
    """
    codes = [[0, at, 0, 8 * (at // 2) + 4 * (at % 2 == 0), 4] for at in range(SHOWN)]
    heads = (
        ("weight", "U8", [SHOWN // 2, 1], codes),
        ("weight.absmax", "F32", [1], [[1, 0, 0, 0, 31]]),
    )
    return [
        {"name": name, "dtype": dtype, "shape": shape, "size": 32 if dtype == "U8" else 4}
        | {"zeros": "", "runs": runs, "tensorScale": 0}
        for name, dtype, shape, runs in heads
    ]


def layout(recipe: Recipe, tool: str) -> list[dict[str, Any]] | None:
    """Return the tensors of one layout; None if it does not store the recipe."""
    try:
        LAYOUTS[tool].settings(recipe, ())
    except ValueError:
        return None
    for shape in SHAPES:
        try:
            return list(tensors_of(recipe, tool, shape))
        except ValueError:
            continue
    return None


def block_count(recipe: Recipe) -> int:
    """Return the number of scales of a row."""
    return SHOWN // recipe.block if isinstance(recipe.block, int) else 1


def scale_bits(recipe: Recipe) -> int:
    """Return the bits of a scale, without its sign, which is always 0."""
    if recipe.scale.name == "float32":
        return 31
    fmt = parse(recipe.scale.name)
    return fmt.bits - (fmt.min < 0)


def weights_of(
    recipe: Recipe, shape: tuple[int, ...], codes: Words, scales: Words, tensor: float = 1.0
) -> Quantized:
    """Return weights whose first row has these codes and codes of scales; the others have 0 and 1.

    Rows go along axis 1, which of a 3-d shape is not the last one.
    """
    held = Blocks.of(recipe.block, shape, 1).scale_shape
    every, ones = np.zeros(shape, np.uint8), np.ones(held, np.float32)
    first = (0, slice(None), *([0] * (len(shape) - 2)))
    every[first] = codes
    if recipe.scale.name == "float32":
        values = scales.astype(np.uint32).view(np.float32)
    else:
        fmt = parse(recipe.scale.name)
        values = np.asarray(decode(scales.astype(f"u{-(-fmt.bits // 8)}"), fmt, dtype="float32"))
    ones[first] = values
    packed = pack(every.reshape(-1), recipe.fmt.bits)
    return Quantized(packed, ones, recipe, shape, 1, tensor if recipe.tensor_scale else None)


def written(
    recipe: Recipe,
    tool: str,
    shape: tuple[int, ...],
    codes: Words,
    scales: Words,
    tensor: float = 1.0,
) -> list[bytes]:
    """Return the bytes of each tensor that a tool writes for a row."""
    weights = weights_of(recipe, shape, codes, scales, tensor)
    tensors = LAYOUTS[tool].tensors("weight", weights)
    return [np.asarray(each.read()).tobytes() for each in tensors]


def tensors_of(recipe: Recipe, tool: str, shape: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """Yield the tensors: name, dtype, shape, the bytes of zeros, and the places of all bits."""
    codes = np.full(SHOWN, BASE, np.uint32)
    scales = np.full(block_count(recipe), SCALE_BASE, np.uint32)
    heads = LAYOUTS[tool].tensors("weight", weights_of(recipe, shape, codes, scales))

    def bits_written(codes: Words, scales: Words) -> list[NDArray[np.uint8]]:
        parts = written(recipe, tool, shape, codes, scales)
        return [np.unpackbits(np.frombuffer(p, np.uint8), bitorder="little") for p in parts]

    base = bits_written(codes, scales)
    of_codes = _sources(base, codes, recipe.fmt.bits, lambda row: bits_written(row, scales))
    of_scales = _sources(base, scales, scale_bits(recipe), lambda row: bits_written(codes, row))
    powers = tensor_scale_powers(recipe, tool, shape)
    for number, head in enumerate(heads):
        places = [[0, *source, place] for place, source in of_codes[number].items()]
        places += [[1, *source, place] for place, source in of_scales[number].items()]
        zeros = base[number].copy()
        for kind, _, bit, place in places:
            zeros[place] ^= (SCALE_BASE if kind else BASE) >> bit & 1
        data = np.packbits(zeros, bitorder="little").tobytes()
        yield {
            "name": head.name,
            "dtype": head.dtype,
            "shape": list(head.shape),
            "size": len(data),
            "zeros": data.hex() if any(data) else "",
            "runs": runs(places),
            "tensorScale": powers[number],
        }


def tensor_scale_powers(recipe: Recipe, tool: str, shape: tuple[int, ...]) -> list[int]:
    """Return of each tensor 1 if it is the tensor scale, -1 if it is 1 / that, and else 0."""
    codes = np.full(SHOWN, BASE, np.uint32)
    scales = np.full(block_count(recipe), SCALE_BASE, np.uint32)
    half = {np.float32(0.5).tobytes(): 1, np.float32(2.0).tobytes(): -1}
    return [half.get(data, 0) for data in written(recipe, tool, shape, codes, scales, 0.5)]


def _sources(
    base: list[NDArray[np.uint8]],
    row: Words,
    bits: int,
    write: Callable[[Words], list[NDArray[np.uint8]]],
) -> list[dict[int, tuple[int, int]]]:
    """Return of each tensor the places of the bits of a row: {place: (index, bit)}.

    A bit is changed in all numbers of the row, and then in those whose index has bit k.
    """
    found: list[dict[int, tuple[int, int]]] = [{} for _ in base]
    at = np.arange(len(row))
    for bit in range(bits):
        changed = [a != b for a, b in zip(base, write(row ^ np.uint32(1 << bit)), strict=True)]
        index = [np.zeros(len(a), int) for a in base]
        for k in range((len(row) - 1).bit_length()):
            some = row ^ (((at >> k & 1) << bit).astype(np.uint32))
            for number, part in enumerate(write(some)):
                index[number] |= (part != base[number]).astype(int) << k
        for number, places in enumerate(changed):
            found[number] |= {int(p): (int(index[number][p]), bit) for p in np.flatnonzero(places)}
    return found


def runs(places: list[list[int]]) -> list[list[int]]:
    """Return places [kind, index, bit, place] as runs of bits that lie side by side.

    A run is [kind, index, lowest bit, place of it, bits].
    """
    found: list[list[int]] = []
    for kind, at, bit, place in sorted(places):
        last = found[-1] if found else None
        if last and [*last[:2], last[2] + last[4], last[3] + last[4]] == [kind, at, bit, place]:
            last[4] += 1
        else:
            found.append([kind, at, bit, place, 1])
    return found

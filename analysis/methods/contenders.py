"""The methods of the table: each a function of weights, of their inputs and of a budget.

A method returns a `Quantized`, or a `Composite`, of no more bits than the budget, everything
counted. Budgets are a whole number and a quarter, so a code has the whole number of bits, and
scales and all else share the quarter: float16 scales have blocks of 64, scales of 8 bits blocks of
32; zero points, tables and codebooks make the blocks larger (`block_within`). Other settings are
the same at all budgets: nothing is fitted to the measurement.

To add a method, write a function and its line in `METHODS`.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

import minifloat as mf
from analysis.methods import parts
from analysis.methods.bit_budgets import FLOATS, LEVEL, Method, Packed, block_within, recipe
from analysis.methods.subjects import Inputs
from analysis.models.layers import Array
from minifloat.formats import NumberFormat
from minifloat.quantization.nested import cut_codebook
from minifloat.quantization.quantized import Quantized

TURNED = 64  # inputs that are rotated together, at most
TURNS = 3  # of a fitted codebook and its scales
FITTED = 1 << 17  # weights, at most some more, that a codebook is fitted to
STORED = "e2m4"  # of which nested codes are the top bits


def rotation(inputs: int) -> str:
    """Return the rotation of rows: by the largest power of two up to `TURNED` that divides them.

    Examples
    --------
    >>> rotation(576), rotation(240)
    ('hadamard64', 'hadamard16')
    """
    return f"hadamard{math.gcd(inputs, TURNED)}"


def plain(formats: str, of_block: int, scaling: str, *, turned: bool = False) -> Method:
    """Return the method that rounds each weight to nearest, in blocks along rows.

    Parameters
    ----------
    formats, of_block, scaling
        As for `analysis.methods.bit_budgets.recipe`.
    turned : bool
        Whether the weights are rotated.

    Returns
    -------
    callable
    """

    def method(weights: Array, inputs: Inputs, bits: float) -> Packed:
        return mf.quantize(weights, _chosen(formats, of_block, scaling, turned, weights, bits))

    return method


def gptq(
    formats: str, of_block: int, scaling: str, *, turned: bool = False, act_order: bool = False
) -> Method:
    """Return the method that rounds by GPTQ, perhaps in the order of the inputs' importance."""

    def method(weights: Array, inputs: Inputs, bits: float) -> Packed:
        chosen = _chosen(formats, of_block, scaling, turned, weights, bits)
        return mf.gptq(weights, chosen, inputs.gram, act_order=act_order, static_groups=act_order)

    return method


def _chosen(
    formats: str, of_block: int, scaling: str, turned: bool, weights: Array, bits: float
) -> str:
    columns = weights.shape[1]
    if turned:
        scaling += f"+{rotation(columns)}"
    return recipe(formats, of_block, scaling, columns, bits)


def refined(method: Method) -> Method:
    """Return a method after which codes and scales are refined by coordinate descent."""

    def descended(weights: Array, inputs: Inputs, bits: float) -> Packed:
        start = method(weights, inputs, bits)
        assert isinstance(start, Quantized)
        return mf.refine(weights, start, inputs.gram)

    return descended


def double_scales(weights: Array, inputs: Inputs, bits: float) -> Packed:
    """E2My with float32 scales that are quantized to E4M3 themselves (QLoRA)."""
    width = math.floor(bits)
    of_scale = mf.Recipe("e4m3fn", block=256, scale="float32").bits_per_weight
    mean, groups = 32, 32  # the mean of the scales, and a last group that is not whole
    block = block_within(bits - width, weights.shape[1], of_scale, (mean + groups) / weights.size)
    return mf.quantize(weights, f"{FLOATS[width]}/{block}/float32/double")


def fitted_codebook(weights: Array, inputs: Inputs, bits: float) -> Packed:
    """The best codebook for a matrix, in turns with the scales of its blocks."""
    width = math.floor(bits)
    of_matrix = LEVEL * 2**width / weights.size
    block = block_within(bits - width, weights.shape[1], 16, of_matrix)
    book = fitted(weights[:: math.ceil(weights.size / FITTED)], width, block)
    return mf.quantize(weights, book, block=block, scale="float16", search="mse")


def normal_codebook(*, turned: bool, by_gptq: bool, act_order: bool = False) -> Method:
    """Return the method with the best codebook for normal weights, in blocks with 8-bit scales.

    Parameters
    ----------
    turned : bool
        Whether the weights are rotated, which makes them more normal.
    by_gptq : bool
    act_order : bool
        Of GPTQ.

    Returns
    -------
    callable
    """

    def method(weights: Array, inputs: Inputs, bits: float) -> Packed:
        width = math.floor(bits)
        block = block_within(bits - width, weights.shape[1], 8)
        chosen = mf.Recipe(
            normal_book(width, block), block=block, scale="ue5m3", search="mse",
            rotation=rotation(weights.shape[1]) if turned else None,
        )  # fmt: skip
        if not by_gptq:
            return mf.quantize(weights, chosen)
        return mf.gptq(weights, chosen, inputs.gram, act_order=act_order, static_groups=act_order)

    return method


@cache
def normal_book(width: int, block: int) -> mf.Codebook:
    """Return the best codebook for normal weights in blocks, each under its best scale.

    It is the same for all matrices, as NF4 is, and takes no bits.

    Parameters
    ----------
    width : int
        Bits of a code.
    block : int

    Returns
    -------
    Codebook

    Examples
    --------
    >>> normal_book(2, 32).values().round(1).tolist()
    [-1.4, -0.4, 0.4, 1.3]
    """
    rows = max(FITTED // (4 * block), 1)
    normal = np.random.default_rng(0).standard_normal((rows, block)).astype(np.float32)
    return fitted(normal, width, block, name=f"normal{width}")


def fitted(weights: Array, width: int, block: int, name: str = "codebook") -> mf.Codebook:
    """Return the best codebook for weights in blocks, in turns with the blocks' scales.

    Parameters
    ----------
    weights : ndarray of float32, (outputs, inputs)
    width : int
        Bits of a code.
    block : int
    name : str

    Returns
    -------
    Codebook
        Of float32 values.
    """
    fmt: NumberFormat = mf.parse(f"int{width}full")
    for _ in range(TURNS):
        q = mf.quantize(weights, fmt, block=block, scale="float32", search="mse")
        scales = np.repeat(q.scales, block, axis=1)[:, : weights.shape[1]].astype(np.float64)
        kept = scales != 0
        levels = mf.fit_codebook(weights[kept] / scales[kept], 2**width, scales[kept] ** 2)
        fmt = book = mf.Codebook(np.array(list(levels), np.float32).tolist(), name=name)
    return book


def tables(weights: Array, inputs: Inputs, bits: float) -> Packed:
    """A table of values for each few rows, the best for the mean squares of the inputs."""
    width, columns = math.floor(bits), weights.shape[1]
    rows = math.ceil(16 * 2**width / ((bits - width) * columns))
    while 16 * 2**width * math.ceil(len(weights) / rows) > (bits - width) * weights.size:
        rows += 1  # the last few rows have a table, too
    return mf.quantize(
        weights, f"lut{width}/{rows}x{columns}/float16", importance=inputs.gram.diagonal()
    )


def nested(weights: Array, inputs: Inputs, bits: float) -> Packed:
    """E2M4, of whose codes the top bits are read, as the middle of what they stand for.

    The budget counts the bits that are read; stored are 7 and their scales.
    """
    width = math.floor(bits)
    block = block_within(bits - width, weights.shape[1], 16, LEVEL * 2**width / weights.size)
    stored = mf.quantize(weights, f"{STORED}/{block}/float16/mse")
    if width == mf.parse(STORED).bits:
        return stored
    return mf.narrow(stored, cut_codebook(STORED, width), reading="cut")


REFERENCE = "E2My, blocks of 128"
BEST = "GPTQ, rotated normal codebook, 8-bit scales, mse"  # of what is combined here
FINEST = "GPTQ, act order, refined, rotated normal codebook, 8-bit scales, mse"
METHODS: dict[str, Method] = {
    REFERENCE: lambda weights, inputs, bits: mf.quantize(weights, FLOATS[math.floor(bits)]),
    "E2My": plain("{float}", 16, "float16"),
    "E2My, mse": plain("{float}", 16, "float16/mse"),
    "INT": plain("int{b}", 16, "float16"),
    "INT, mse": plain("int{b}full", 16, "float16/mse"),
    "INT, zero points": plain("uint{b}", 16, "float16/zero-point"),
    "MXFP": plain("{float}", 8, "e8m0"),
    "E2My, 8-bit scales, mse": plain("{float}", 8, "ue5m3/mse"),
    "E2My, double scales": double_scales,
    "E2My or INT, mse": plain("{float}|int{b}", 16, "float16/mse"),
    "fitted codebooks, mse": fitted_codebook,
    "normal codebook, 8-bit scales, mse": normal_codebook(turned=False, by_gptq=False),
    "tables of rows": tables,
    "nested in E2M4": nested,
    "rotated E2My, mse": plain("{float}", 16, "float16/mse", turned=True),
    "rotated INT, mse": plain("int{b}full", 16, "float16/mse", turned=True),
    "rotated normal codebook, 8-bit scales, mse": normal_codebook(turned=True, by_gptq=False),
    "GPTQ, E2My": gptq("{float}", 16, "float16"),
    "GPTQ, E2My, mse": gptq("{float}", 16, "float16/mse"),
    "GPTQ, INT, mse": gptq("int{b}full", 16, "float16/mse"),
    "GPTQ, INT, zero points": gptq("uint{b}", 16, "float16/zero-point"),
    "GPTQ, E2My or INT, mse": gptq("{float}|int{b}", 16, "float16/mse"),
    "GPTQ, normal codebook, 8-bit scales, mse": normal_codebook(turned=False, by_gptq=True),
    "GPTQ, rotated E2My, mse": gptq("{float}", 16, "float16/mse", turned=True),
    "GPTQ, rotated INT, mse": gptq("int{b}full", 16, "float16/mse", turned=True),
    BEST: normal_codebook(turned=True, by_gptq=True),
    "GPTQ, act order, E2My, mse": gptq("{float}", 16, "float16/mse", act_order=True),
    "GPTQ, act order, refined, E2My, mse": refined(
        gptq("{float}", 16, "float16/mse", act_order=True)
    ),
    FINEST: refined(normal_codebook(turned=True, by_gptq=True, act_order=True)),
    **parts.METHODS,
}

# Methods whose budget is that of all matrices together (`analysis.methods.mixed_precision`).
ALLOCATED: dict[str, Method] = {
    f"allocated {name}": METHODS[name] for name in ("E2My, mse", BEST, FINEST)
}


def family(name: str) -> str:
    """Return what kind of method one is, by its name.

    Examples
    --------
    >>> family("GPTQ, rotated INT, mse"), family("INT, mse"), family("allocated INT, mse")
    ('GPTQ, rotated', 'rounded to nearest', 'budget allocated')
    """
    if name.startswith("allocated "):
        return "budget allocated"
    if name in parts.METHODS:
        return "several parts"
    by_gptq, turned = name.startswith("GPTQ"), "rotated" in name
    if by_gptq:
        return "GPTQ, rotated" if turned else "GPTQ"
    return "rotated" if turned else "rounded to nearest"

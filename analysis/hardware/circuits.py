"""The circuits that are counted: each format with each activation, unit and target."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from minifloat.formats import NumberFormat
from minifloat.formats.names import parse
from minifloat.hardware import FixedSum, FloatSum, integer_codebook
from minifloat.hardware.targets import Target

LANES = 16
ITSELF = "itself"  # the activations that are of the weights' format
ACTIVATIONS = ("int8", "e1m6", "e4m3fn")
NF4 = "nf4"  # in 127ths of its largest value: as integers of 8 bits
FORMATS = {
    4: ("e2m1", "int4", "e1m2", "e3m0", NF4),
    5: ("e2m2", "int5", "e1m3", "e3m1"),
    3: ("int3", "e1m1", "e2m0"),
    8: ("int8", "e1m6", "e4m3fn", "e3m4", "e2m5", "e5m2"),
    6: ("e2m3", "int6", "e1m4", "e3m2", "e4m1"),
    7: ("int7", "e1m5", "e2m4", "e3m3", "e4m2"),
}  # by width, those first that are measured first
BLOCK_FORMATS = {
    "mxfp4": ("e2m1", "e8m0", 32),
    "nvfp4": ("e2m1", "ue4m3", 16),
    "mxfp6e2m3": ("e2m3", "e8m0", 32),
    "mxfp6e3m2": ("e3m2", "e8m0", 32),
    "mxint8": ("int8", "e8m0", 32),
    "mxfp8e4m3": ("e4m3fn", "e8m0", 32),
    "mxfp8e5m2": ("e5m2", "e8m0", 32),
}  # recipes: the format of elements and of scales, and the elements of a block
EXACT, FLOAT32 = "exact", "float32"
ACCUMULATORS: dict[str, FixedSum | FloatSum] = {  # those in fixed point for 4096 products
    EXACT: FixedSum(),
    "cut 8": FixedSum(cut=8),  # low bits of each product that it drops
    "cut 14": FixedSum(cut=14),
    "cut 20": FixedSum(cut=20),
    "cut 26": FixedSum(cut=26),
    FLOAT32: FloatSum("float32"),  # the sum of a cycle is exact, and rounded once
}
WITH_ACCUMULATORS = ("e4m3fn",)  # that are counted with each of them
WITH_FLOATS = ("e2m2", "e1m6", "e1m3", "int5", "int8", "e2m1", "e1m2")  # and with float32
PARTS = (  # whose parts are counted
    "e2m1", "int4", "e1m2", "e2m2", "int5", "e1m3", "e3m1", "e4m3fn", "int8", "e1m6", "e3m4",
    "e5m2",
)  # fmt: skip
SIGNIFICANDS = ("e1m1", "e1m4")  # multipliers of the significands of E3M1, E3M4, counted too
TARGETS: tuple[Target, ...] = ("cmos", "xc7")
DECODER = "decoder"  # of one operand: its significand and its exponent, not yet shifted
MULTIPLIER = "multiplier"
FLOAT = "float"  # activations that are not quantized
TO_FLOAT = "to float16"  # a decoder of one code, for weights alone
SUM = "sum"  # a dot product without its register
DOT = "dot"
BLOCK = "block"  # `minifloat.hardware.block_dot`


class Job(NamedTuple):
    """A circuit to count.

    Attributes
    ----------
    fmt : str
        A format or a key of `BLOCK_FORMATS`.
    activations : str
        A format, `ITSELF`, or `FLOAT`.
    unit : str
    accumulator : str or None
        A key of `ACCUMULATORS`; None where there is no register.
    target : str
    """

    fmt: str
    activations: str
    unit: str
    accumulator: str | None
    target: Target


def jobs(*, quick: bool = False) -> list[Job]:
    """Return what is counted, the most telling first; if quick, 4-bit dot products alone.

    Examples
    --------
    >>> jobs(quick=True)[0]
    Job(fmt='e2m1', activations='itself', unit='dot', accumulator='exact', target='cmos')
    """
    if quick:
        return dots(("e2m1", "e1m2"), ITSELF)
    names = [fmt for formats in FORMATS.values() for fmt in formats]
    telling = [fmt for width in (4, 5) for fmt in FORMATS[width] if fmt != NF4]
    telling_8 = FORMATS[8][:3]
    found = dots([*telling, *telling_8], ITSELF)
    found += alone([*PARTS, *SIGNIFICANDS], MULTIPLIER) + alone(PARTS, DECODER)
    found += dots(telling, "e1m6") + dots([*FORMATS[6], *FORMATS[3]], ITSELF)
    found += alone(BLOCK_FORMATS, BLOCK)
    found += [job for sum_ in ACCUMULATORS for job in dots(WITH_ACCUMULATORS, ITSELF, sum_)]
    found += dots(WITH_FLOATS, ITSELF, FLOAT32)
    found += dots(telling, ITSELF, target="xc7")
    found += [Job(fmt, FLOAT, TO_FLOAT, None, target) for target in TARGETS for fmt in names]
    found += dots(telling_8, ITSELF, target="xc7")
    found += dots(telling, "e4m3fn") + dots(telling, "int8") + dots(names, ITSELF)
    found += alone(PARTS, SUM)
    for target in TARGETS:
        for activations in (ITSELF, *ACTIVATIONS):
            found += dots(names, activations, target=target)
        found += alone(BLOCK_FORMATS, BLOCK, target)
    return list(dict.fromkeys(found))


def dots(
    formats: Iterable[str], activations: str, accumulator: str = EXACT, target: Target = "cmos"
) -> list[Job]:
    """Return dot products of formats with activations."""
    return [Job(fmt, activations, DOT, accumulator, target) for fmt in formats]


def alone(formats: Iterable[str], unit: str, target: Target = "cmos") -> list[Job]:
    """Return a circuit without a register for each format, times itself."""
    return [Job(fmt, ITSELF, unit, None, target) for fmt in formats]


def format_of(name: str) -> NumberFormat:
    """Return a format of `FORMATS` or of activations."""
    return integer_codebook(NF4) if name == NF4 else parse(name)

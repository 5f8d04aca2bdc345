"""The circuits that are counted: each format with each activation, unit and target."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from minifloat.formats import NumberFormat
from minifloat.formats.names import parse
from minifloat.hardware import integer_codebook
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
CUTS = {"e4m3fn": (8, 14, 20)}  # low bits of each product that an accumulator drops
PARTS = (  # whose parts are counted
    "e2m2", "int5", "e1m3", "e4m3fn", "int8", "e1m6", "e2m1", "int4", "e1m2", "e3m1", "e1m1",
)  # fmt: skip
TARGETS: tuple[Target, ...] = ("cmos", "xc7")
DECODER = "decoder"  # of one operand: its significand and its exponent, not yet shifted
MULTIPLIER = "multiplier"
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
        A format or `ITSELF`.
    unit : str
    cut : int
        Low bits of each product that are dropped.
    target : str
    """

    fmt: str
    activations: str
    unit: str
    cut: int
    target: Target


def jobs(*, quick: bool = False) -> list[Job]:
    """Return what is counted, the most telling first; if quick, 4-bit dot products alone.

    Examples
    --------
    >>> jobs(quick=True)[0]
    Job(fmt='e2m1', activations='itself', unit='dot', cut=0, target='cmos')
    """
    if quick:
        return [Job(fmt, ITSELF, DOT, 0, "cmos") for fmt in ("e2m1", "e1m2")]
    names = [fmt for formats in FORMATS.values() for fmt in formats]
    telling = [fmt for width in (4, 5) for fmt in FORMATS[width] if fmt != NF4]
    telling_8 = ["int8", "e1m6", "e4m3fn"]

    def dots(formats: Iterable[str], activations: str, target: Target = "cmos") -> list[Job]:
        return [Job(fmt, activations, DOT, 0, target) for fmt in formats]

    found = dots([*telling, *telling_8], ITSELF)
    found += [Job(fmt, ITSELF, unit, 0, "cmos") for fmt in PARTS for unit in (MULTIPLIER, DECODER)]
    found += [Job(fmt, ITSELF, SUM, 0, "cmos") for fmt in PARTS]
    found += dots(telling, "e1m6")
    found += dots(names, ITSELF)
    found += [Job(fmt, ITSELF, DOT, cut, "cmos") for fmt in CUTS for cut in CUTS[fmt]]
    found += dots(telling, "int8")
    found += dots(telling, ITSELF, "xc7") + dots(telling, "e4m3fn")
    found += [Job(name, ITSELF, BLOCK, 0, "cmos") for name in BLOCK_FORMATS]
    for target in TARGETS:
        for activations in (ITSELF, *ACTIVATIONS):
            found += dots(names, activations, target)
        found += [Job(name, ITSELF, BLOCK, 0, target) for name in BLOCK_FORMATS]
    return list(dict.fromkeys(found))


def format_of(name: str) -> NumberFormat:
    """Return a format of `FORMATS` or of activations."""
    return integer_codebook(NF4) if name == NF4 else parse(name)

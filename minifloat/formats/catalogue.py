"""The named formats, one line each, with the document that defines it.

``CATALOGUE`` maps a name to its format. ``ALIASES`` maps the names that other projects use
(ml_dtypes, PyTorch, papers) to names of the catalogue. `minifloat.parse` reads both.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from minifloat.formats.base import NumberFormat
from minifloat.formats.codebook import Codebook
from minifloat.formats.exmy import OTHER_NAMES, SHORT_NAMES, Format, Specials
from minifloat.formats.integer import Integer


def p3109(width: int, precision: int, *, signed: bool, extended: bool) -> Format:
    """Return the IEEE P3109 format binary{width}p{precision}{s,u}{e,f}.

    Parameters
    ----------
    width : int
        K, bits of a code, 3..16.
    precision : int
        P, bits of the significand with the leading one: 1..K-1, or 1..K if unsigned.
    signed, extended : bool
        Whether there is a sign, and whether there are infinities.

    Returns
    -------
    Format

    Raises
    ------
    ValueError
        If K or P is out of range, or a value of the format is not a float64 value.

    References
    ----------
    IEEE P3109 draft 3.2: bias floor(2**(K-P-1)) if signed, 2**(K-P) if unsigned; one NaN.

    Examples
    --------
    >>> from minifloat.formats.catalogue import p3109
    >>> p3109(8, 4, signed=True, extended=True).max
    224.0
    """
    if not 3 <= width <= 16:
        raise ValueError(f"K must be in 3..16 in binary{{K}}p{{P}}, got {width}")
    exponent_bits = width - precision + (not signed)
    if precision < 1 or exponent_bits < 1:
        top = width if not signed else width - 1
        raise ValueError(f"P must be in 1..{top} in binary{width}p{{P}}, got {precision}")
    finite = Specials.FNUZ if signed else Specials.FN
    return Format(
        exponent_bits,
        precision - 1,
        bias=2 ** (exponent_bits - 1),
        signed=signed,
        specials=Specials.P3109 if extended else finite,
    )


def bipolar_int(bits: int) -> Codebook:
    """Return the bipolar integers of ``bits`` bits: bit i means +2**i or -2**i; no zero.

    Parameters
    ----------
    bits : int
        1..8.

    Returns
    -------
    Codebook
        The odd integers -(2**bits - 1) .. 2**bits - 1.

    Raises
    ------
    ValueError
        If ``bits`` is out of range.

    Examples
    --------
    >>> from minifloat.formats.catalogue import bipolar_int
    >>> list(bipolar_int(2))
    [-3.0, -1.0, 1.0, 3.0]
    """
    if not 1 <= bits <= 8:
        raise ValueError(f"bits must be in 1..8 for bipolar_int, got {bits}")
    top = 2**bits - 1
    return Codebook([2.0 * code - top for code in range(2**bits)], f"bipolar_int{bits}")


def _float32(values: Iterable[float]) -> list[float]:
    """Round published decimals to float32, as their implementations do."""
    return [float(struct.unpack("<f", struct.pack("<f", value))[0]) for value in values]


# fmt: off
NF4_VALUES = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
    -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)
AF4_VALUES = (
    -1.0, -0.69441008, -0.51243739, -0.3736951, -0.25607552, -0.14982478, -0.04934812, 0.0,
    0.04273164, 0.12934483, 0.21961274, 0.31675666, 0.42563882, 0.55496234, 0.72424863, 1.0,
)
AF4_32_VALUES = (
    -1.0, -0.72380075, -0.54068711, -0.3963985, -0.2723577, -0.15956821, -0.05258802, 0.0,
    0.04554747, 0.13780891, 0.23375854, 0.33656744, 0.4508456, 0.58437857, 0.75299116, 1.0,
)
SF4_VALUES = (
    -1.0, -0.627781, -0.454736, -0.334331, -0.237434, -0.152899, -0.074982, 0.0,
    0.065513, 0.132965, 0.204661, 0.283835, 0.375805, 0.491076, 0.656781, 1.0,
)
NF5_VALUES = (
    -1.0, -0.8258410692214966, -0.7102505564689636, -0.6202539205551147,
    -0.5447700619697571, -0.4786291718482971, -0.4189668893814087, -0.36401233077049255,
    -0.3125815987586975, -0.26383399963378906, -0.21714182198047638, -0.17201533913612366,
    -0.12805640697479248, -0.08492807298898697, -0.04233347252011299, 0.0,
    0.039682723581790924, 0.07958032935857773, 0.11991596966981888, 0.16093017160892487,
    0.20289181172847748, 0.24611228704452515, 0.2909652590751648, 0.33791518211364746,
    0.3875614404678345, 0.44070979952812195, 0.4984961152076721, 0.5626169443130493,
    0.6358054280281067, 0.7229567170143127, 0.8344157934188843, 1.0,
)
BNB_FP4_TWELFTHS = (0, 0.0625, 8, 12, 4, 6, 2, 3, -0.0, -0.0625, -8, -12, -4, -6, -2, -3)
MXINT8_CODES = (*range(128), *range(-128, 0))

CATALOGUE: dict[str, NumberFormat] = {
    "float16": SHORT_NAMES["float16"],  # IEEE 754-2019, 3.6, binary16
    "bfloat16": SHORT_NAMES["bfloat16"],  # Intel, BFLOAT16 Hardware Numerics Definition, 2018
    "tf32": SHORT_NAMES["tf32"],  # NVIDIA A100 architecture white paper, 2020
    "e5m2": SHORT_NAMES["e5m2"],  # OCP OFP8 1.0
    "e4m3fn": Format(4, 3, specials="fn"),  # OCP OFP8 1.0, there E4M3
    "e3m2": Format(3, 2),  # OCP MX 1.0, FP6
    "e2m3": Format(2, 3),  # OCP MX 1.0, FP6
    "e2m1": Format(2, 1),  # OCP MX 1.0, FP4
    "mxint8": Codebook([code / 64 for code in MXINT8_CODES], "mxint8"),  # OCP MX 1.0, INT8
    "e8m0": SHORT_NAMES["e8m0"],  # OCP MX 1.0, scale
    "ue4m3": SHORT_NAMES["ue4m3"],  # NVFP4 block scale: E4M3 less its sign
    "ue5m3": SHORT_NAMES["ue5m3"],  # arXiv 2509.17791, block scale
    "e4m3fnuz": Format(4, 3, bias=8, specials="fnuz"),  # arXiv 2206.02915; LLVM Float8E4M3FNUZ
    "e5m2fnuz": Format(5, 2, bias=16, specials="fnuz"),  # arXiv 2206.02915; LLVM Float8E5M2FNUZ
    "e4m3b11fnuz": Format(4, 3, bias=11, specials="fnuz"),  # LLVM Float8E4M3B11FNUZ
    "e4m3ieee": Format(4, 3, specials="ieee"),  # LLVM Float8E4M3
    "e3m4ieee": Format(3, 4, specials="ieee"),  # LLVM Float8E3M4
    "e2m2": Format(2, 2),  # FP6-LLM (arXiv 2401.14112), FP5; torchao
    "e2m2b0": Format(2, 2, bias=0),  # FPE2M2, Findings of ACL 2025
    "e3m1": Format(3, 1),  # FP6-LLM and torchao, FP5
    "e1m3": Format(1, 3),  # FPE2M2's comparison; int5 times 1/4
    "e3m0": Format(3, 0),  # torchao, FP4
    "binary8p3se": p3109(8, 3, signed=True, extended=True),  # IEEE P3109 draft 3.2
    "binary8p4se": p3109(8, 4, signed=True, extended=True),  # IEEE P3109 draft 3.2
    "binary6p3se": p3109(6, 3, signed=True, extended=True),  # IEEE P3109 draft 3.2
    "binary4p2se": p3109(4, 2, signed=True, extended=True),  # IEEE P3109 draft 3.2
    "int2": Integer(2),  # symmetric: without the most negative number
    "int3": Integer(3),  # symmetric
    "int4": Integer(4),  # symmetric
    "int5": Integer(5),  # symmetric
    "int6": Integer(6),  # symmetric
    "int7": Integer(7),  # symmetric
    "int8": Integer(8),  # symmetric
    "int4full": Integer(4, symmetric=False),  # two's complement, all codes
    "int8full": Integer(8, symmetric=False),  # two's complement, all codes
    "uint4": Integer(4, signed=False),
    "uint8": Integer(8, signed=False),
    "nf4": Codebook(_float32(NF4_VALUES), "nf4"),  # QLoRA, arXiv 2305.14314, appendix E
    "nf5": Codebook(_float32(NF5_VALUES), "nf5"),  # FPE2M2's code, nf4.py: NF4's recipe, 5 bits
    "af4": Codebook(_float32(AF4_VALUES), "af4"),  # arXiv 2306.06965, for blocks of 64
    "af4_32": Codebook(_float32(AF4_32_VALUES), "af4_32"),  # arXiv 2306.06965, for blocks of 32
    "sf4": Codebook(_float32(SF4_VALUES), "sf4"),  # arXiv 2405.03103, Student-t with 5 degrees
    "bnb_fp4": Codebook(_float32(v / 12 for v in BNB_FP4_TWELFTHS), "bnb_fp4"),  # bitsandbytes
    "bipolar_int1": bipolar_int(1),  # APT-LLM's bipolar-INT
    "bipolar_int2": bipolar_int(2),  # APT-LLM's bipolar-INT
    "bipolar_int3": bipolar_int(3),  # APT-LLM's bipolar-INT
    "bipolar_int4": bipolar_int(4),  # APT-LLM's bipolar-INT
}
# fmt: on

ALIASES: dict[str, str] = {
    "fpe2m2": "e2m2b0",  # the paper's name for its grid
    **OTHER_NAMES,
    "half": "float16",
    "fp16": "float16",
    "bf16": "bfloat16",
    "float8_e5m2": "e5m2",  # ml_dtypes and PyTorch from here on
    "float8_e4m3fn": "e4m3fn",
    "float8_e4m3fnuz": "e4m3fnuz",
    "float8_e5m2fnuz": "e5m2fnuz",
    "float8_e4m3b11fnuz": "e4m3b11fnuz",
    "float8_e4m3": "e4m3ieee",
    "float8_e3m4": "e3m4ieee",
    "float8_e8m0fnu": "e8m0",
    "float6_e2m3fn": "e2m3",
    "float6_e3m2fn": "e3m2",
    "float4_e2m1fn": "e2m1",
}

"""The named formats, one line each, with the document that defines it.

``CATALOGUE`` maps a name to its format. ``ALIASES`` maps the names that other projects use
(ml_dtypes, PyTorch, papers) to names of the catalogue. `minifloat.parse` reads both.
"""

from __future__ import annotations

from minifloat.formats.base import NumberFormat, check_bool, check_int, shown
from minifloat.formats.codebook import Codebook
from minifloat.formats.exmy import OTHER_NAMES, SHORT_NAMES, Format, Specials
from minifloat.formats.integer import Integer
from minifloat.formats.published import PUBLISHED


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
    IEEE P3109, Interim Report 4.0.3 (1 September 2026), 3.1 and 4.7.2: bias floor(2**(K-P-1)) if
    signed, 2**(K-P) if unsigned; one NaN. The report ends at K = 15; 16 goes by the same rule.

    Examples
    --------
    >>> from minifloat.formats.catalogue import p3109
    >>> p3109(8, 4, signed=True, extended=True).max
    224.0
    """
    width, precision = check_int("width", width), check_int("precision", precision)
    check_bool("signed", signed)
    check_bool("extended", extended)
    if not 3 <= width <= 16:
        raise ValueError(f"K must be in 3..16 in binary{{K}}p{{P}}, got {shown(width)}")
    exponent_bits = width - precision + (not signed)
    if precision < 1 or exponent_bits < 1:
        top = width if not signed else width - 1
        raise ValueError(f"P must be in 1..{top} in binary{width}p{{P}}, got {shown(precision)}")
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
    bits = check_int("bits", bits, 1, 8)
    return _published(f"bipolar_int{bits}")


def _published(name: str) -> Codebook:
    return Codebook(PUBLISHED[name], name)


# fmt: off
CATALOGUE: dict[str, NumberFormat] = {
    "float16": SHORT_NAMES["float16"],  # IEEE 754-2019, 3.6, binary16
    "bfloat16": SHORT_NAMES["bfloat16"],  # Intel, BFLOAT16 Hardware Numerics Definition, 2018
    "tf32": SHORT_NAMES["tf32"],  # NVIDIA A100 architecture white paper, 2020
    "e5m2": SHORT_NAMES["e5m2"],  # OCP OFP8 1.0
    "e4m3fn": Format(4, 3, specials="fn"),  # OCP OFP8 1.0, there E4M3
    "e3m2": Format(3, 2),  # OCP MX 1.0, FP6
    "e2m3": Format(2, 3),  # OCP MX 1.0, FP6
    "e2m1": Format(2, 1),  # OCP MX 1.0, FP4
    "mxint8": _published("mxint8"),  # OCP MX 1.0, INT8
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
    "binary8p3se": p3109(8, 3, signed=True, extended=True),  # IEEE P3109, report 4.0.3
    "binary8p4se": p3109(8, 4, signed=True, extended=True),  # IEEE P3109, report 4.0.3
    "binary6p3se": p3109(6, 3, signed=True, extended=True),  # IEEE P3109, report 4.0.3
    "binary4p2se": p3109(4, 2, signed=True, extended=True),  # IEEE P3109, report 4.0.3
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
    "nf4": _published("nf4"),  # QLoRA, arXiv 2305.14314, appendix E
    "nf5": _published("nf5"),  # FPE2M2's code, nf4.py: NF4's recipe, 5 bits
    "af4": _published("af4"),  # arXiv 2306.06965, for blocks of 64
    "af4_32": _published("af4_32"),  # arXiv 2306.06965, for blocks of 32
    "sf4": _published("sf4"),  # arXiv 2405.03103, Student-t with 5 degrees
    "bnb_fp4": _published("bnb_fp4"),  # bitsandbytes
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

"""The names of the catalogue as types: a type checker then knows what `minifloat.parse` returns.

``mf.parse("e5m2")`` is a `Format`, ``mf.parse("nf4")`` a `Codebook`. Of any other text it knows
only that it names a `NumberFormat`.
"""

from typing import Literal, TypeAlias

# fmt: off
FormatName: TypeAlias = Literal[
    "float16", "bfloat16", "tf32", "e5m2", "e4m3fn", "e3m2", "e2m3", "e2m1", "e8m0", "ue4m3",
    "ue5m3", "e4m3fnuz", "e5m2fnuz", "e4m3b11fnuz", "e4m3ieee", "e3m4ieee", "e2m2", "e2m2b0",
    "e3m1", "e1m3", "e3m0", "binary8p3se", "binary8p4se", "binary6p3se", "binary4p2se",
    "fpe2m2", "e4m3", "ue8m0", "half", "fp16", "bf16", "float8_e5m2", "float8_e4m3fn",
    "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e4m3b11fnuz", "float8_e4m3", "float8_e3m4",
    "float8_e8m0fnu", "float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn",
]
IntegerName: TypeAlias = Literal[
    "int2", "int3", "int4", "int5", "int6", "int7", "int8", "int4full", "int8full", "uint4",
    "uint8",
]
CodebookName: TypeAlias = Literal[
    "mxint8", "nf4", "nf5", "af4", "af4_32", "sf4", "bnb_fp4", "bipolar_int1", "bipolar_int2",
    "bipolar_int3", "bipolar_int4",
]

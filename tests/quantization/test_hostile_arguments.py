"""Each argument of each verb that quantizes, packs or multiplies, in place of it what is none."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import minifloat as mf
from minifloat.codec import complex_codes
from minifloat.composites import ordered_gptq
from minifloat.composites.low_rank import best_factors, channel_scales, correct_by_low_rank
from minifloat.formats.complex_codebook import FAIRY, ComplexCodebook
from minifloat.packing.trits import pack_trits, unpack_trits
from minifloat.quantization import complex_weights
from minifloat.quantization.few_levels import binarize, ternarize
from minifloat.quantization.widely_linear import fairy2i, to_complex

SIGNALLING = np.array([[0x7FA00000] * 4] * 4, np.uint32).view(np.float32)
HOSTILE: list[Any] = [
    None, True, False, 0, 1, -1, 7, 2**31, 2**62, 2**63, 2**64, 2**200, -(2**63), -(2**70), 10**400,
    10**5000, -(10**5000), (10**5000, 1), [10**5000],
    0.0, 2.5, -0.5, float("inf"), float("nan"), 1e308, "", "2", "e2m2", "float32", "\0", "\ud800",
    "x" * 300, "99999999999999999999x9", "percentile1e400", "/", "e2m2/2/float16/", b"ab",
    np.int64(2), np.uint8(1), np.float32(1), np.bool_(True), np.datetime64("2020-01-01"), 1j,
    Fraction(1, 3), Decimal("0.1"), [], [1], [[1], [1, 2]], [1, "a"], (2, 2), (2**63, 1), {},
    {1: 2}, set(), object(), int, slice(None), ..., np.zeros(0), np.zeros((0, 4)), np.ones((4, 4)),
    np.ones((4, 4), np.float16), np.ones((4, 4), ml_dtypes.bfloat16), np.ones((4, 4), ">f4"),
    np.full((4, 4), 1e300), np.full((4, 4), 3e38, np.float32), np.full((4, 4), 5e-324),
    np.full((4, 4), np.nan), np.full((4, 4), np.inf), SIGNALLING, np.ones((4, 4), complex),
    np.ones((4, 4), np.longdouble), np.ones((4, 4), bool), np.ones((4, 4), object),
    np.full((4, 4), "a"), np.ones((4, 4), "M8[s]"), np.zeros((4, 4), [("a", "f4")]),
    np.ma.masked_array(np.ones((4, 4))), np.full((4, 4), 2**63, np.uint64),
    np.full((4, 4), -(2**63)), np.ones((4, 4), ml_dtypes.float8_e4m3fn), np.ones((2, 2, 2)),
    np.zeros(5, np.uint8), np.zeros(5, np.uint32), np.full(9, 255, np.uint8),
]  # fmt: skip
W = np.random.default_rng(0).standard_normal((4, 4))
Q = mf.quantize(W, "e2m2/2")
QLORA = mf.quantize(W, "qlora")
SEARCHED = {"search": "mse", "importance": W**2}
VERBS: dict[str, tuple[Callable[..., Any], list[Any], dict[str, Any]]] = {
    "quantize": (mf.quantize, [W, "e2m2"], {"axis": 0, "threads": 2, "block": 2, **SEARCHED}),
    "quantize, percentile": (
        mf.quantize, [W, "int4"], {"search": "percentile", "percentile": 80, "scale_rounding": "up"}
    ),
    "quantize, options": (mf.quantize, [W, "uint4"], {
        "tensor_scale": True, "double": False, "zero_point": True, "scale": "e4m3fn", "fmt": "uint4"
    }),
    "gptq": (mf.gptq, [W, "int4/2", W.T @ W], {"damp": 0.1, "threads": 2, **SEARCHED}),
    "gptq, options": (mf.gptq, [W, "int4/2", W.T @ W], {
        "act_order": True, "static_groups": True, "zero_dead": True
    }),
    "ordered_gptq": (ordered_gptq, [W, "int4/2", W.T @ W], {"damp": 0.1, "zero_dead": True,
                                                           **SEARCHED}),
    "refine": (mf.refine, [W, Q, W.T @ W], {"damp": 0.1, "rounds": 2, "scales": True,
                                           "threads": 2}),
    "learn_rounding": (mf.learn_rounding, [W, Q, W.T @ W], {"damp": 0.1, "steps": 3,
                                                           "threads": 2}),
    "search_format": (mf.search_format, [W, 4, "e2m2/2"], {"axis": 0}),
    "linear": (mf.linear, [W, Q], {"bias": W[0], "threads": 2}),
    "matmul": (lambda x: Q @ x, [W], {}),
    "vecmat": (lambda x: x @ Q, [W], {}),
    "sqnr": (Q.sqnr, [W], {}),
    "words": (Q.words, ["1+4"], {}),
    "pack": (mf.pack, [[1, 2], 5], {"bit_order": "big", "out": np.zeros(2, np.uint8)}),
    "unpack": (mf.unpack, [np.zeros(5, np.uint8), 5, 3],
               {"start": 2, "bit_order": "big", "out": np.zeros(3, np.uint8)}),
    "pack_words": (mf.pack_words, [[1, 2], "1+4"], {"bits": 5}),
    "unpack_words": (mf.unpack_words, [np.zeros(5, np.uint32), "1+4", 3], {"bits": 5}),
    "Layout": (mf.Layout, [2, 1, [[0, 1], [2, 3]], "mine"], {}),
    "a row of a Layout": (lambda row: mf.Layout(2, 1, [[0, 1], row]), [[2, 3]], {}),
    "a place of a Layout": (lambda place: mf.Layout(2, 1, [[0, place]]), [1], {}),
    "parse_layout": (mf.parse_layout, ["dense", 5], {}),
    "Recipe": (mf.Recipe, ["e2m2"], {"block": 2, "scale": "float32"}),
    "Recipe, rotation": (mf.Recipe, ["e2m2"], {"rotation": "hadamard2"}),
    "Rotation": (mf.Rotation, [4], {"seed": 1}),
    "Rotation.parse": (mf.Rotation.parse, ["hadamard4"], {}),
    "Rotation.rotate": (mf.Rotation(2).rotate, [W], {"axis": 0}),
    "Rotation.signs": (mf.Rotation(2).signs, [4], {}),
    "Recipe.parse": (mf.Recipe.parse, ["e2m2/2"], {}),
    "Quantized": (mf.Quantized, [Q.packed, Q.scales, Q.recipe, (4, 4), 1, None, None, None], {}),
    "Quantized, double": (mf.Quantized, [
        QLORA.packed, QLORA.scales, QLORA.recipe, (4, 4), 1, None, None, QLORA.double
    ], {}),
    "save": (lambda q: mf.save(q, "nowhere.bin"), [Q], {}),
    "correct_by_low_rank": (correct_by_low_rank, [W, "int3/2"], {
        "rank": 1, "hessian": W.T @ W, "rounds": 2, "factors": "int4/2"
    }),
    "correct, bits": (correct_by_low_rank, [W, "int3/2"], {"bits": 40.0, "hessian": W[0] ** 2}),
    "best_factors": (best_factors, [W, 1], {"hessian": np.eye(4)}),
    "channel_scales": (channel_scales, [W], {}),
    "binarize": (binarize, [W, "xnor"], {"axis": 0}),
    "ternarize": (ternarize, [W], {"threshold": 0.5, "block": "channel", "axis": 0}),
    "pack_trits": (pack_trits, [[0, 1, 2]], {}),
    "unpack_trits": (unpack_trits, [[0], 3], {}),
    "ComplexCodebook": (ComplexCodebook, [[1, 1j]], {"name": "mine"}),
    "complex encode": (complex_codes.encode, [W + 1j, FAIRY], {}),
    "complex decode": (complex_codes.decode, [[0, 1], FAIRY], {}),
    "complex quantize": (complex_weights.quantize, [W + 1j, FAIRY], {"block": "channel"}),
    "fairy2i": (fairy2i, [W], {"stages": 2, "fmt": FAIRY, "block": "channel"}),
    "to_complex": (to_complex, [W], {}),
    "linear, complex": (mf.linear, [W, complex_weights.quantize(W)], {"bias": W[0], "threads": 2}),
}  # fmt: skip
GRAMMAR = re.compile(r"^(a )?[\w ]+(\.\w+)?:? must ")


def refusals(call: Callable[..., Any], arguments: list[Any], options: dict[str, Any]) -> int:
    """Return how often a call with `HOSTILE` in place of an argument is refused in plain words.

    Each works, or is a ValueError or TypeError that names an argument; warnings are errors here.
    """
    refused = 0
    for place in [*range(len(arguments)), *options]:
        for hostile in HOSTILE:
            given, named = list(arguments), dict(options)
            if isinstance(place, int):
                given[place] = hostile
            else:
                named[place] = hostile
            try:
                call(*given, **named)
            except (ValueError, TypeError) as error:
                assert GRAMMAR.match(str(error)), (place, str(error))  # noqa: PT017
                assert "Exceeds" not in str(error), place  # noqa: PT017
                refused += 1
    return refused


@pytest.mark.parametrize("verb", VERBS)
def test_what_is_no_argument_is_refused_in_plain_words(verb: str) -> None:
    call, arguments, options = VERBS[verb]
    if verb != "save":
        call(*arguments, **options)
    assert refusals(call, arguments, options) > 20

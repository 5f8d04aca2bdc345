"""Mistakes of typed code that calls minifloat: a type checker must report each marked line.

`tests/test_types.py` compares the lines that it reports with the marks. Nothing here is called.
"""

from __future__ import annotations

from typing import Unpack

import numpy as np
from numpy.typing import NDArray

import minifloat as mf
from minifloat import registers, testing
from minifloat.typing import EncodeOptions, RecipeFields, RoundingLike

X = np.ones((2, 32), np.float32)
Q = mf.quantize(X, "e2m2")


def misspelt_options(mode: str) -> None:
    mf.encode(X, "e2m2", rounding="nearest_evn")  # mistake
    mf.encode(X, "e2m2", rounding=mode)  # mistake
    mf.encode(X, "e2m2", rounding=mf.Overflow.IEEE)  # mistake
    mf.encode(1.0, "e2m2", overflow="satturate")  # mistake
    mf.encode([1.0], "e2m2", nan="ignore")  # mistake
    mf.round_to(X, "e2m2", rounding="up")  # mistake
    mf.round_to(1.0, "e2m2", overflow="inf")  # mistake
    mf.round_to([1.0], "e2m2", nan="keep", dtype=np.float32)  # mistake
    mf.Format(4, 3, specials="fnu")  # mistake
    mf.pack([1], 4, bit_order="middle")  # mistake
    mf.unpack(Q.packed, 5, 64, bit_order="msb")  # mistake
    mf.Recipe("e2m2", search="msee")  # mistake
    mf.Recipe("e2m2", scale="e8m0", scale_rounding="flor")  # mistake
    mf.RECIPES["mxfp4"].replace(search="lsq")  # mistake
    mf.quantize(X, "e2m2", search="msee")  # mistake
    mf.quantize(X, "e2m2", scale_rounding="nearest_evn")  # mistake
    mf.gptq(X, "e2m2", np.eye(32), search="shrnk")  # mistake
    mf.search_format(X, 4, search="msee")  # mistake
    registers.to_half("e2m2", "1+4", "float8")  # mistake
    registers.look_up("e2m2", "1+4", "half")  # mistake
    registers.search("e2m2", "float32")  # mistake
    registers.costs(target="fp16")  # mistake
    registers.half_words([1.0], "fp16")  # mistake
    testing.exact_encode(1.0, "e2m2", "nearest")  # mistake
    testing.exact_encode_array(X, "e2m2", overflow="inf")  # mistake
    testing.exact_steps("e2m2", rounding="rne")  # mistake
    testing.check_encoder(mf.encode, "e2m2", roundings=["rne"])  # mistake
    testing.values("e2m2", width=8)  # mistake
    testing.vectors("e2m2", "decodr")  # mistake
    testing.vectors("e2m2", source="fp32").text()  # mistake
    testing.vectors("e2m2").text("json")  # mistake
    testing.write_vectors("e2m2", "v.mem", format="vhdl")  # mistake


def unknown_names() -> None:
    mf.encod(X, "e2m2")  # mistake
    mf.encode(X, "e2m2", roundin="upward")  # mistake
    mf.decode([1], "e2m2", type=np.float32)  # mistake
    mf.round_to(X, "e2m2", inplace=True)  # mistake
    mf.quantize(X, "e2m2", blok=64)  # mistake
    mf.quantize(X, "e2m2", damp=0.1)  # mistake
    mf.gptq(X, "e2m2", np.eye(32), dampp=0.1)  # mistake
    mf.search_format(X, 4, fmt="e2m2")  # mistake
    mf.RECIPES["mxfp4"].replace(rounding="up")  # mistake
    print(mf.parse("e2m2").biass)  # mistake
    print(mf.parse("e3m2b5").min_normal)  # mistake
    print(mf.parse("int4").specials)  # mistake
    print(Q.code)  # mistake
    print(mf.compare(X, "e2m2").rows()[0]["tensr"])  # mistake
    print(mf.Rounding.NEAREST)  # mistake
    print(registers.to_ptx)  # mistake


def wrong_kinds() -> None:
    mf.encode(X, 5)  # mistake
    mf.encode(X, "e2m2", seed="7")  # mistake
    mf.encode(X, "e2m2", threads="all")  # mistake
    mf.encode(X, "e2m2", out=[0])  # mistake
    mf.decode([1], "e2m2", threads=None)  # mistake
    mf.Format("2", "2")  # mistake
    mf.Format(2, 2, 1)  # mistake
    mf.Integer(4.0)  # mistake
    mf.Codebook("nf4")  # mistake
    mf.pack([1], 4.0)  # mistake
    mf.unpack([1, 2], 4, 2)  # mistake
    mf.unpack(Q.packed, 5)  # mistake
    mf.pack_words([1], 5)  # mistake
    mf.unpack_words(X, "1+4", 32)  # mistake
    mf.quantize(X, None)  # mistake
    mf.quantize(X, "e2m2", block=1.5)  # mistake
    mf.quantize(X, "e2m2", block=(1, 2, 3))  # mistake
    mf.quantize(X, "e2m2", axis=None)  # mistake
    mf.quantize(X, "e2m2", scale=8)  # mistake
    mf.quantize(X, "e2m2", zero_point="yes")  # mistake
    mf.linear(X, X)  # mistake
    mf.save(X, "x.npz")  # mistake
    mf.load(3)  # mistake
    mf.compare(3)  # mistake
    mf.compare(X, [4])  # mistake
    mf.compare({"w": X}, axis="0")  # mistake
    registers.run("e2m2", X)  # mistake
    registers.prove("e2m2", "e2m2")  # mistake
    testing.exact_decode("3", "e2m2")  # mistake


def results_taken_for_others() -> None:
    text: str = mf.encode(1.0, "e2m2")  # mistake
    codes: NDArray[np.float32] = mf.encode(X, "e2m2")  # mistake
    signed: NDArray[np.int8] = mf.encode(X, "e2m2")  # mistake
    half: NDArray[np.float16] = mf.decode([1], "e2m2")  # mistake
    integers: NDArray[np.int32] = mf.round_to(X, "e2m2", dtype="float32")  # mistake
    double: NDArray[np.float64] = mf.round_to(X, "e2m2")  # mistake
    scalar: np.float32 = mf.round_to(X, "e2m2")  # mistake
    array: NDArray[np.float32] = mf.decode(3, "e2m2")  # mistake
    bias: int = mf.parse("e3m2b5").bias  # mistake
    zeros: NDArray[np.uint8] = Q.zero_points  # mistake
    weights: NDArray[np.float32] = Q  # mistake
    print(text, codes, signed, half, integers, double, scalar, array, bias, zeros, weights)


def wrappers(x: NDArray[np.float32], mode: RoundingLike, **options: Unpack[EncodeOptions]) -> None:
    mf.encode(x, "e2m2", rounding=mode)
    wrappers(x, "nearest_even", nan="zero")
    wrappers(x, "nearest")  # mistake
    wrappers(x, "upward", nan="none")  # mistake
    wrappers(x, "upward", out=x)  # mistake


def recipes(**changes: Unpack[RecipeFields]) -> None:
    mf.quantize(X, "e2m2", **changes)
    recipes(search="mse", block="channel", scale="e8m0:ceil")
    recipes(search="best")  # mistake
    recipes(axis=0)  # mistake

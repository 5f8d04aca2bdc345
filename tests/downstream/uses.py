"""A project that uses every public name; `tests/test_types.py` checks its types, and runs it.

`assert_type` fails a type checker unless it knows exactly this type. When the test runs the
functions, it compares the values with the types.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any, Unpack, assert_type

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors.numpy import save_file

import minifloat as mf
from minifloat import allocation, arithmetic, auditing, composites, hardware, registers, testing
from minifloat.arithmetic import p3109, p3109_blocks, p3109_values
from minifloat.caches import Along, CacheRecipe, KeyValueCache, channel_balancer
from minifloat.codec import complex_codes
from minifloat.codec.decision_points import DecisionPoint
from minifloat.codec.decision_points import decision_points as exact_decision_points
from minifloat.composites.low_rank import best_factors, channel_scales
from minifloat.conversion import Conversion, convert
from minifloat.files import WeightFile, open_weights
from minifloat.files.checkpoints import Checkpoint, Dequantizable, Description, open_checkpoint
from minifloat.formats.complex_codebook import FAIRY, ComplexCodebook
from minifloat.formats.dtypes import DtypeNames
from minifloat.packing.trits import pack_trits, unpack_trits
from minifloat.quantization import complex_weights
from minifloat.quantization.alternatives import Alternative
from minifloat.quantization.few_levels import binarize, ternarize
from minifloat.quantization.nested import cut_codebook, nests
from minifloat.quantization.widely_linear import WidelyLinear, fairy2i, to_complex, to_real
from minifloat.typing import (
    AlternativeLike,
    ArithmeticLike,
    BitOrder,
    Block,
    Codes,
    EncodeOptions,
    FlagLike,
    NaNPolicyLike,
    OverflowLike,
    RecipeFields,
    RoundingLike,
    Row,
    ScaleRoundingLike,
    ScaleSearchLike,
    SearchOptions,
    SpecialsLike,
    Target,
)

X = np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4)
HALVES = X.astype(np.float16)


def use_encode() -> None:
    assert_type(mf.encode([0.3, -1.7, 100.0], "e2m2"), Codes)
    assert_type(mf.encode([[1, 2], [3, 4]], mf.Format(3, 2, bias=5)), Codes)
    assert_type(mf.encode(X, mf.Integer(4), threads=2), Codes)
    assert_type(mf.encode(np.array([1, 2]), "tf32"), Codes)
    assert_type(mf.encode(464.0, "e4m3fn"), np.uint8 | np.uint16 | np.uint32)
    assert_type(mf.encode(3, "tf32"), np.uint8 | np.uint16 | np.uint32)
    assert_type(mf.encode(np.float16(3), "float16"), np.uint8 | np.uint16 | np.uint32)
    out: NDArray[np.uint8] = np.empty(X.shape, np.uint8)
    assert_type(mf.encode(X, "e2m2", out=out), NDArray[np.uint8])
    assert_type(mf.encode(0.5, "e2m2", out=out[0, 0, ...]), NDArray[np.uint8])
    mf.encode(X, "e4m3fn", rounding="upward", overflow="sat_none", nan="zero")
    mf.encode(X, "e2m2", rounding=mf.Rounding.TO_ODD, overflow=mf.Overflow.SATURATE_FINITE)
    mf.encode(X, "e2m2", rounding="stochastic_b", seed=3, random_bits=8, nan=mf.NaNPolicy.MAX)
    mf.encode(X, "e2m2", rounding="stochastic_a", random=np.zeros(4, np.uint8), seed=None)


def use_decode() -> None:
    assert_type(mf.decode([1, 23, 15], "e2m2"), NDArray[np.float32])
    assert_type(mf.decode(np.arange(4), "nf4"), NDArray[np.float32])
    assert_type(mf.decode([1, 23], "e2m2", dtype=np.float16), NDArray[np.float16])
    assert_type(mf.decode([1, 23], "e2m2", dtype=np.float64, threads=2), NDArray[np.float64])
    assert_type(mf.decode([1, 23], "e2m2", dtype=np.dtype(np.float16)), NDArray[np.float16])
    assert_type(mf.decode([1, 23], "e2m2", dtype="float64"), NDArray[np.floating[Any]])
    assert_type(mf.decode(3, "e2m2"), np.float32)
    assert_type(mf.decode(np.uint8(3), "e2m2", dtype=np.float64), np.float64)
    assert_type(mf.decode(3, "e2m2", dtype=np.dtype("float16")), np.float16)
    assert_type(mf.decode(3, "e2m2", dtype=float), np.floating[Any])
    out: NDArray[np.float16] = np.empty(2, np.float16)
    assert_type(mf.decode([1, 23], "e2m2", dtype=np.float16, out=out), NDArray[np.float16])
    assert_type(mf.decode(mf.encode(X, "e2m2"), "e2m2"), NDArray[np.float32])
    assert_type(mf.decode(mf.encode(0.3, "e2m2"), "e2m2"), np.float32)


def use_round_to() -> None:
    assert_type(mf.round_to(X, "e2m2"), NDArray[np.float32])
    assert_type(mf.round_to(X.astype(np.float16), "e2m2"), NDArray[np.float16])
    assert_type(mf.round_to(X.astype(np.float64), "e2m2", rounding="to_odd"), NDArray[np.float64])
    assert_type(mf.round_to(np.arange(3, dtype=np.int8), "e2m2"), NDArray[np.float64])
    assert_type(mf.round_to([0.3, -1.7, 100], "e2m2"), NDArray[np.float64])
    assert_type(mf.round_to([[0.3, -1.7], [1.0, 2.0]], "e2m2"), NDArray[np.float64])
    assert_type(mf.round_to([[[0.3, -1.7], [1.0, 2.0]]], "e2m2"), NDArray[np.floating[Any]])
    assert_type(mf.round_to(0.3, "e2m2"), np.float64)
    assert_type(mf.round_to(3, "e2m2"), np.float64)
    assert_type(mf.round_to(np.int16(3), "e2m2"), np.float64)
    assert_type(mf.round_to(np.float16(0.3), "e2m2"), np.float16)
    assert_type(mf.round_to(np.float64(0.3), "e2m2"), np.float64)
    assert_type(mf.round_to(X, "e2m2", dtype=np.float64), NDArray[np.float64])
    assert_type(mf.round_to([0.3], "e2m2", dtype=np.float16), NDArray[np.float16])
    assert_type(mf.round_to([0.3], "e2m2", dtype="float16"), NDArray[np.floating[Any]])
    assert_type(mf.round_to(0.3, "e2m2", dtype=np.float32), np.float32)
    assert_type(mf.round_to(0.3, "e2m2", dtype="float32", nan="max"), np.floating[Any])
    x: NDArray[np.float32] = X.copy()
    assert_type(mf.round_to(x, "e2m2", overflow="ieee", out=x), NDArray[np.float32])


def use_formats() -> None:
    assert_type(mf.parse("e2m2").bias, int)
    assert_type(mf.parse("float8_e4m3fn").specials, mf.Specials)
    assert_type(mf.parse("float16").finfo.eps, float)
    assert_type(mf.parse("int4").symmetric, bool)
    assert_type(mf.parse("nf4").codebook, tuple[float, ...])
    assert_type(mf.parse(mf.Codebook([-1.0, 0.0, 1.0], "mine")), mf.Codebook)
    fmt = mf.parse("e3m2b5")
    assert_type(fmt, mf.NumberFormat)
    assert_type(fmt.bias, int | None)
    assert_type(fmt.exponent_bits, int | None)
    assert_type(fmt.mantissa_bits, int | None)
    assert_type(mf.CATALOGUE["int4"].bias, int | None)
    assert isinstance(fmt, mf.Format)
    assert_type(fmt.bias, int)
    assert_type(fmt.min_normal, float)
    assert_type(fmt.finfo.eps, float)
    assert_type(fmt.specials, mf.Specials)
    assert_type(fmt.bits, int)
    assert_type(fmt.max, float)
    assert_type(fmt.nan_code, int | None)
    assert_type(fmt.inf_code(negative=True), int | None)
    assert_type(fmt.values(), NDArray[np.float64])
    assert_type(fmt.table()[5].kind, str)
    assert_type(fmt.exact_value(5), Fraction)
    assert_type(mf.ALIASES["fpe2m2"], str)
    mf.Format(4, 3, specials="fn")
    mf.Format(4, 3, specials=mf.Specials.FNUZ)
    mf.Integer(4, signed=False)
    mf.Integer(4, symmetric=False)
    assert_type(exact_decision_points(fmt), list[DecisionPoint])


class Tensor:
    """What a type checker must find in a tensor: PyTorch is not needed to check this file."""

    def detach(self) -> Tensor:
        return self

    def element_size(self) -> int:
        return 4


class TorchDtype:
    is_floating_point = True

    def to_complex(self) -> TorchDtype:
        return self


def types_of_tensors(x: Tensor, dtype: TorchDtype, out: NDArray[np.float32]) -> None:
    """What tensors give; never called."""
    assert_type(mf.encode(x, "e2m2", rounding="upward"), Tensor)
    assert_type(mf.encode(X, "e2m2", out=x), Tensor)
    assert_type(mf.decode(x, "e2m2"), Tensor)
    assert_type(mf.decode(x, "e2m2", dtype=dtype), Tensor)
    assert_type(mf.decode(x, "e2m2", out=out), NDArray[np.float32])
    assert_type(mf.round_to(x, "e2m2", dtype="bfloat16"), Tensor)
    assert_type(mf.pack(x, 5), Tensor)
    assert_type(mf.unpack(x, 5, 4), Tensor)
    assert_type(mf.pack_words(x, "4"), Tensor)
    assert_type(mf.unpack_words(x, "4", 4), Tensor)
    q = mf.quantize(x, "e2m2", importance=x)
    mf.quantize(x, "e2m2", rounding="stochastic", seed=0)
    mf.quantize(x, "e2m2", rounding=mf.Rounding.TOWARD_ZERO)
    assert_type(q, mf.Quantized)
    assert_type(mf.gptq(x, "e2m2", x), mf.Quantized)
    assert_type(mf.search_format(x, 4), mf.Quantized)
    assert_type(mf.linear(x, q, x), Tensor)
    assert_type(mf.linear(x, mf.Composite(q)), Tensor)
    assert_type(q @ x, Tensor)
    assert_type(x @ q, Tensor)
    assert_type(q.sqnr(x), float)
    assert_type(mf.compare({"w": x}, "e2m2"), mf.Comparison)
    assert_type(mf.compare(x, "e2m2"), mf.Comparison)
    assert_type(registers.run(registers.to_half("e2m2", "1+4"), x), Tensor)
    assert_type(mf.parse(dtype), mf.NumberFormat)


def use_dtypes() -> None:
    assert_type(mf.parse(np.int8), mf.NumberFormat)
    assert_type(mf.parse(np.dtype("float16")), mf.NumberFormat)
    assert_type(mf.parse("onnx.INT4").names, DtypeNames)
    assert_type(mf.parse("e4m3fn").names.torch, str | None)
    assert_type(mf.parse("e4m3fn").names.numpy, str | None)


def use_packing() -> None:
    packed = mf.pack([21, 3, 30, 7, 9], 5)
    assert_type(packed, NDArray[np.uint8])
    assert_type(mf.pack([1, 2], 4, bit_order="big", out=np.empty(1, np.uint8)), NDArray[np.uint8])
    assert_type(mf.unpack(packed, 5, 5), Codes)
    out: NDArray[np.uint8] = np.empty(2, np.uint8)
    assert_type(mf.unpack(packed, 5, 2, start=1, bit_order="little", out=out), NDArray[np.uint8])
    words = mf.pack_words([17, 2, 31], "1+4")
    assert_type(words, NDArray[np.uint32])
    assert_type(mf.unpack_words(words, "1+4", 3), Codes)
    assert_type(mf.unpack_words(words.view(np.int32), mf.parse_layout("1+4"), 3), Codes)
    assert_type(mf.parse_layout("dense", 5), mf.Layout)


def use_quantization() -> None:
    q = mf.quantize(X, "nvfp4")
    assert_type(q, mf.Quantized)
    assert_type(q.dequantize(), NDArray[np.float32])
    assert_type(q.dequantize(np.float16, threads=2), NDArray[np.float16])
    assert_type(q.dequantize(np.dtype(np.float16)), NDArray[np.float16])
    out: NDArray[np.float32] = q.dequantize()
    assert_type(q.dequantize(out=out), NDArray[np.float32])
    assert_type(np.asarray(q), NDArray[np.float32])
    assert_type(np.asarray(q, np.float64), NDArray[np.float64])
    assert_type(q.codes, Codes)
    assert_type(q.scales, NDArray[np.float32])
    assert_type(q.packed, NDArray[np.uint8])
    assert_type(q.tensor_scale, float | None)
    assert_type(q.fmt, mf.NumberFormat)
    assert_type(q.fmt.mantissa_bits, int | None)
    assert_type(q.recipe, mf.Recipe)
    assert_type(q.bits, int)
    assert_type(q.bits_per_weight, float)
    assert_type(q.sqnr(X), float)
    assert_type(q.words("dense"), NDArray[np.uint32])
    assert_type(q[1:], mf.Quantized)
    assert_type(q[0], mf.Quantized)
    assert_type(q[np.array([True, False, True])], mf.Quantized)
    assert_type(q[[0, 2]], mf.Quantized)
    assert_type(q @ X.T, NDArray[np.float32])
    assert_type(mf.linear(X, q, bias=[1, 2, 3], threads=2), NDArray[np.float32])
    assert_type(mf.linear(X, q, activations="int8/4/float32"), NDArray[np.float32])
    mf.linear(X, q, activations=mf.Recipe("int8", block="channel", scale="float32"))
    assert_type(mf.quantize([0.9, -0.4], "uint4", zero_point=True).zero_points, Codes | None)
    recipe = mf.Recipe("e2m2", block=64, scale="e8m0", scale_rounding="up", search="mse")
    assert_type(mf.Recipe.parse("e2m2/64/e8m0"), mf.Recipe)
    assert_type(mf.RECIPES["mxfp4"].replace(fmt="int4", search=mf.ScaleSearch.MSE), mf.Recipe)
    mf.quantize(X, recipe, block=(1, 4), scale="e8m0:ceil", scale_rounding=None, axis=1)
    mf.quantize(X, recipe, block="channel", importance=X**2, tensor_scale=False, threads=2)
    scale = mf.joint_tensor_scale([X, 2 * X], "e2m1/4/e4m3fn/tensor-scale")
    assert_type(mf.quantize(X, "e2m1/4/e4m3fn", tensor_scale=scale), mf.Quantized)
    mf.quantize(X, "int4", search="percentile", percentile=99.0, block="1x2")
    mf.quantize(X, "nf4", double=True, scale="float32", scale_rounding=mf.ScaleRounding.FLOOR)
    assert_type(mf.gptq(X, "int4", np.eye(4), damp=0.1, search="shrink"), mf.Quantized)
    static = mf.gptq(X, "int4", np.eye(4), act_order=True, static_groups=True, zero_dead=True)
    assert_type(mf.refine(X, static, np.eye(4), rounds=3, scales=False, threads=2), mf.Quantized)
    assert_type(mf.learn_rounding(X, static, np.eye(4), damp=0, steps=10), mf.Quantized)
    assert_type(mf.quantize(X, "fpe2m2", arithmetic="authors"), mf.Quantized)
    assert_type(mf.quantize(X, "e2m2", rotation="hadamard4").rotation, mf.Rotation | None)
    rotated = mf.gptq(X, "int4", np.eye(4), rotation=mf.Rotation(4, seed=7))
    assert_type(rotated.stored, mf.Quantized)
    rotation = mf.Rotation.parse("hadamard4:7")
    assert_type(rotation.rotate(X), NDArray[np.float32] | NDArray[np.float64])
    assert_type(rotation.rotate_back(X, axis=-1), NDArray[np.float32] | NDArray[np.float64])
    assert_type(rotation.signs(4), NDArray[np.int8])
    assert_type(rotation.matrix(), NDArray[np.int8])
    assert_type(mf.search_format(X, 5, scale="float32", search="mse", axis=0), mf.Quantized)


def use_tables_and_nested_formats() -> None:
    assert_type(mf.fit_codebook(X, 4), mf.Codebook)
    assert_type(mf.fit_codebook([0.5, 1, 2], np.int8(2), weights=[1, 2, 3], name="a"), mf.Codebook)
    q = mf.quantize(X, mf.Lookup(2), block="channel", importance=X**2)
    assert_type(q, mf.Quantized)
    assert_type(q.recipe.table_shape, tuple[int, ...])
    assert_type(mf.narrow(q, "lut1", reading="cut"), mf.Quantized)
    assert_type(mf.narrow(mf.quantize(X, "e2m4"), mf.Format(2, 2)), mf.Quantized)
    nested = mf.quantize_nested(X, "lut3/2/float32", 1, axis=0, importance=X**2, threads=2)
    assert_type(nested, mf.Quantized)
    assert_type(nests("e2m2", "e2m4"), bool)
    assert_type(cut_codebook("e2m4", 5), mf.Codebook)


def use_composites() -> None:
    q = mf.quantize(X, "e2m2/2/float16")
    left, right = mf.quantize(X[:, :1], "e2m3"), mf.quantize(X[:1], "e2m3")
    sparse = composites.Sparse.of(X * (X > 1.5))
    assert_type(sparse, composites.Sparse)
    assert_type(composites.ordered_gptq(X, "int4", np.eye(4), block=2), mf.Composite)
    assert_type(sparse.dequantize(), NDArray[np.float32])
    factors, bias = np.ones(4, np.float32), np.zeros(3, np.float32)
    c = mf.Composite(q, np.arange(4), sparse, (left, right), factors, bias)
    assert_type(c.parts, dict[str, int])
    assert_type(c.bits_per_weight, float)
    assert_type(c.nbytes, int)
    assert_type(c.dequantize(), NDArray[np.float32])
    assert_type(mf.linear(X, c, activations="int8/2/float32"), NDArray[np.float32])
    with tempfile.TemporaryDirectory() as folder:
        mf.save(c, f"{folder}/c.npz")
        assert mf.load(f"{folder}/c.npz") == c
    mask = composites.largest(X, 0.1) | composites.beyond_quartiles(X, 1.8)
    assert_type(composites.largest(X, 0.1), NDArray[np.bool_])
    hessian = X.T @ X + np.eye(4)
    assert_type(composites.split_outliers(X, "int4/2", mask, hessian=hessian), mf.Composite)
    assert_type(composites.spqr(X, "int4/2", hessian, threshold=0.5), mf.Composite)
    assert_type(composites.sort_columns(X, "int4/2", "absmax"), mf.Composite)
    assert_type(composites.sort_columns(X, "int4/2", X[0], hessian=hessian, damp=0.1), mf.Composite)
    assert_type(composites.sort_heads(X, X, 3)[2], NDArray[np.int64])


def use_equalization() -> None:
    w, x = X[:, :2], X[:, :2]
    c = composites.smooth(w, x, "e2m1/2/float16", activations="int8", strengths=[0.5], damp=0.1)
    assert_type(c, mf.Composite)
    assert_type(composites.activation_aware(w, x, "int4/2/float16", clip=True), mf.Composite)
    assert_type(composites.correct_bias(w, c, x, bias=[0.0, 1.0, 2.0]), mf.Composite)
    assert_type(
        composites.clipped_normal_mean([1.0], [2.0], low=0.0, high=6.0), NDArray[np.float64]
    )
    weights, _ = composites.equalize_layers([w.T, w], [None, None])
    assert_type(weights, list[NDArray[np.float32]])
    p = composites.shift_exponents(w, x, "e2m1/channel/float32", "e2m1", shift=True)
    assert_type(p, composites.PreShifted)
    assert_type(p.bits_per_weight, float)
    assert_type(p.shifted(x), NDArray[np.float64])
    assert_type(p.quantize_inputs(x), NDArray[np.float64])
    assert_type(p.folded("e5m2"), mf.Composite)
    q = composites.power_of_two_ratios(w, "e2m1/1/float16", rows=2)
    assert_type(q, mf.Quantized)
    assert_type(composites.cast_exponents(q, "e5m2", rows=2), mf.Quantized)


def use_low_rank() -> None:
    square = X[:, :3]
    c = composites.correct_by_low_rank(
        square, "int3/2/float16", rank=1, hessian=np.eye(3), rounds=2
    )
    assert_type(c, mf.Composite)
    composites.correct_by_low_rank(square, lambda w: mf.quantize(w, "int3/2/float16"), bits=100.0)
    left, right = best_factors(square, 1)
    assert_type(left @ right, NDArray[np.float64])
    assert_type(channel_scales(square), NDArray[np.float64])


def use_few_levels() -> None:
    assert_type(binarize(X, "xnor", axis=0), mf.Quantized)
    assert_type(ternarize(X, block="channel"), mf.Quantized)
    packed = pack_trits([0, 1, 2])
    assert_type(packed, NDArray[np.uint8])
    assert_type(unpack_trits(packed, 3), NDArray[np.uint8])


def use_complex_codes() -> None:
    fmt = ComplexCodebook([1, 1j, -1, -1j], "mine")
    assert_type(complex_codes.encode([1 + 2j], fmt), NDArray[np.uint8])
    assert_type(complex_codes.decode([0], FAIRY), NDArray[np.complex64])
    assert_type(complex_codes.round_to([1 + 2j]), NDArray[np.complex64])
    z = complex_weights.quantize(X, block="channel")
    assert_type(z, complex_weights.ComplexQuantized)
    assert_type(mf.linear(X, z), NDArray[np.complex64])
    q = fairy2i(np.ones((2, 4)), 2)
    assert_type(q, WidelyLinear)
    assert_type(mf.linear(X, q), NDArray[np.float32])
    assert_type(to_real(*to_complex(np.ones((2, 4)))), NDArray[Any])


def use_files_and_comparison() -> None:
    q = mf.quantize(X, "e2m2")
    with tempfile.TemporaryDirectory() as folder:
        mf.save(q, Path(folder) / "q.npz")
        loaded = mf.load(f"{folder}/q.npz")
        assert isinstance(loaded, mf.Quantized | mf.Composite)
        assert_type(loaded.dequantize(), NDArray[np.float32])
        np.save(f"{folder}/x.npy", X)
        weights = open_weights(Path(folder) / "x.npy")
        assert_type(weights, WeightFile)
        assert_type(weights.load(weights.names()[0]), NDArray[np.floating[Any]])
        mf.compare(f"{folder}/x.npy", "e2m2")
        checkpoint = open_checkpoint(f"{folder}/x.npy")
        assert_type(checkpoint, Checkpoint)
        for about in checkpoint.descriptions:
            assert_type(about, Description)
            assert_type(checkpoint.describe(about.name).recipe, mf.Recipe | None)
            value = checkpoint[about.name]
            if isinstance(value, mf.Quantized | Dequantizable):
                assert_type(value.dequantize(), NDArray[np.float32])
        mf.compare([f"{folder}/x.npy", Path(folder) / "x.npy"], ["e2m2", mf.Integer(4)], axis=0)
    with ThreadPoolExecutor(1) as executor:
        result = mf.compare({"w": X}, ["mxfp4", mf.RECIPES["nvfp4"]], executor=executor)
    assert_type(result, mf.Comparison)
    assert_type(result.rows(), list[Row])
    assert_type(result.rows()[0]["parameters"], int)
    assert_type(result.total.best, tuple[str, ...])
    assert_type(result.tensors[0].error("mxfp4").relative_rms, float)
    assert_type(result.to_csv(), str)
    mf.compare(X, min_size=2, progress=lambda done, everything: None)


def use_allocation() -> None:
    assert_type(mf.allocate({"w": X}, ["e2m1", "e2m2"], 9), allocation.Allocation)
    costs = {"lut6": {"e2m1": 10.0, "e2m2": 20.0}}
    found = allocation.measured({"w": X}, ["e2m1", "e2m2"], sensitivity={"w": 2}, costs=costs)
    assert_type(found, allocation.Choices)
    assert_type(found.losses, NDArray[np.float64])
    point = found.front("lut6")[0]
    assert_type(point.recipes, dict[str, mf.Recipe])
    assert_type(point.costs, dict[str, float])
    assert_type(found.allocate({"bits": 99, "lut6": 1e9}).bits_per_weight, float)
    assert_type(allocation.columns({"w": X}, 2), dict[str, NDArray[Any]])
    allocation.measured({"w": X}, ["e2m1"], uses={"w": 49})
    assert_type(allocation.seconds_per_weight(["e2m1"], repeats=1), dict[mf.Recipe, float])
    mix = allocation.mix_channels(X, wide="int8/2/float16", narrow="int4/2/float16")
    assert_type(mix, allocation.ChannelMix)
    assert_type(mix.dequantize(*mix.quantize(X)), NDArray[np.float32])
    assert_type(mix.bits_per_value, float)
    assert_type(allocation.outlier_patches(X, 2, 2), NDArray[np.bool_])
    assert_type(allocation.vdqs({"x": X}, {"x": 9.0}, 6), dict[str, int])
    assert_type(allocation.entropy(X, 4), float)


def use_caches() -> None:
    along: Along = "channels"
    recipe = CacheRecipe("int4/4/float16", mf.Recipe("e2m1"), keys_along=along, heavy=1)
    balancer = channel_balancer(X[None], X[None])
    assert_type(balancer, NDArray[np.float16])
    cache = KeyValueCache(recipe, 1, 4, balancer=balancer)
    cache.append(X[None], X[None])
    assert_type(cache.attend(X[None]), NDArray[np.float32])
    assert_type(cache.keys(), NDArray[np.float32])
    assert_type(cache.bits_per_value, float)
    assert_type(cache.nbytes, int)


def use_conversion() -> None:
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as executor:
        save_file({"a.weight": np.ones((2, 32), np.float32)}, f"{folder}/model.safetensors")
        result = convert(
            Path(folder) / "model.safetensors",
            f"{folder}/new",
            "mxfp4",
            layout="compressed-tensors",
            include="*",
            exclude=[],
            hessians=None,
            executor=executor,
            progress=lambda done, everything: None,
        )
        assert_type(convert(f"{folder}/model.safetensors", f"{folder}/a", "mxfp4"), Conversion)
    assert_type(result.errors, mf.Comparison)
    assert_type(result.kept, tuple[str, ...])
    assert_type([tensor.reason for tensor in result.dropped], list[str])
    assert_type(result.to_json(), str)


def use_auditing() -> None:
    q = mf.quantize(X, "mxfp4")
    contents = auditing.inspect({"w": q, "b": X})
    assert_type(contents, auditing.Contents)
    assert_type(contents.tensors[0], auditing.TensorContents)
    assert_type(contents.tensors[0].histogram, tuple[int, ...])
    assert_type(contents.bits_per_weight, float)
    result = auditing.audit({"w": q}, {"w": X}, best=True, progress=lambda done, everything: None)
    assert_type(result, auditing.Audit)
    assert_type(result.wrong, tuple[auditing.TensorAudit, ...])
    assert_type(result.tensors[0].verdict, auditing.Verdict)
    assert_type(result.to_json(), str)


def use_hardware() -> None:
    circuit = hardware.decoder("e2m1", form="shift", encoding="sign_magnitude", specials="flag")
    assert_type(circuit, hardware.Circuit)
    assert_type(circuit.unit, Fraction | None)
    assert_type(hardware.decoder_forms("e2m1"), list[str])
    assert_type(hardware.encoder("e2m1", "fixed", width=8, unit=0.5), hardware.Circuit)
    assert_type(hardware.encoder_forms("e2m1", "float32"), list[str])
    assert_type(hardware.converter("e2m1", "int4", rounding="upward"), hardware.Circuit)
    assert_type(hardware.converter_forms("e2m1", "int4"), list[str])
    assert_type(hardware.multiplier("e2m1", "int4", form="booth"), hardware.Circuit)
    assert_type(hardware.multiplier_forms("e2m1", "int4"), list[str])
    assert_type(hardware.l_mul("e2m1", variant="addition", aligned=False), hardware.Circuit)
    assert_type(hardware.l_mul_forms("e2m1"), list[str])
    assert_type(hardware.dot_forms("bipolar_int2", "bipolar_int2"), list[str])
    register: hardware.FixedSum | hardware.FloatSum = hardware.FixedSum(terms=64, cut=1)
    register = hardware.FloatSum("float32", rounding="toward_zero")
    assert_type(hardware.dot("e2m1", "e2m1", 4, accumulator=register), hardware.Circuit)
    assert_type(hardware.block_dot("e2m1", "e2m1", "ue4m3", 16), hardware.Circuit)
    assert_type(hardware.integer_codebook("nf4"), mf.Codebook)
    words = hardware.join_lanes(np.array([[1, 2], [3, 4]]), 4)
    assert hardware.split_lanes(words, 4, 2).tolist() == [[1, 2], [3, 4]]
    found = hardware.candidates("multiplier", "e2m1", "e2m1")
    assert_type(found, dict[str, hardware.Circuit])
    wire: Any = {"direction": "input", "bits": [2]}
    module = {"ports": {"a": wire, "y": {**wire, "direction": "output"}}, "cells": {}}
    netlist = hardware.Netlist(module)
    assert_type(netlist.flip_flops, int)
    assert netlist.run({"a": np.array([0, 1])})["y"].tolist() == [0, 1]


def needs_yosys() -> None:
    """What the extra hardware brings: its types are looked at, and it is not run."""
    choice = hardware.best("decoder", "e2m1", on="cmos")
    assert_type(choice, hardware.Choice)
    result = hardware.check(choice.circuit, netlist=choice.counts.netlist)
    assert_type(result, hardware.Check)
    assert_type(result.first, hardware.Mismatch | None)
    assert_type(hardware.synthesize(choice.circuit, "xc7"), hardware.Counts)
    assert_type(hardware.costs(["e2m1", "int4"], targets=["cmos"]), list[hardware.Cost])


def use_registers() -> None:
    program = registers.to_half("e2m2", "fpe2m2_kernel", fold_scale=True)
    assert_type(program, registers.Program)
    assert_type(program.cost, registers.Cost)
    assert_type(program.cost.per_weight, float)
    assert_type(registers.look_up("nf4", "dense", "bfloat16", pairs=False), registers.Program)
    words = mf.pack_words(np.arange(32), "fpe2m2_kernel", bits=5)
    assert_type(registers.run(program, words), NDArray[np.uint32])
    assert_type(registers.prove(program, "e2m2"), registers.Proof)
    assert_type(registers.prove(program, "e2m2").leaks, tuple[registers.Leak, ...])
    assert_type(registers.prove(program, "e2m2").differences, tuple[registers.Difference, ...])
    assert_type(registers.prove(program, "e2m2").specials, tuple[registers.Special, ...])
    assert_type(registers.sweep(program, "e2m2", values=8), int)
    assert_type(registers.to_c(program), str)
    assert_type(registers.to_cuda(program), str)
    assert_type(registers.to_assembly(program), str)
    assert_type(registers.half_words([1.0, -2.5], "float16"), NDArray[np.uint16])
    assert_type(registers.dependencies(program), list[list[int]])
    assert_type(registers.search("e2m1", restarts=1, trials=10), registers.Search)
    assert_type(registers.table_formats(), list[mf.NumberFormat])
    trial = registers.trial_words(mf.parse_layout("dense", 4))
    assert_type(trial, NDArray[np.uint32])
    builder = registers.Builder(1)
    masked = builder.emit(registers.Op.LOP3, builder.word(0), 15, 0, table=registers.AND_OR)
    assert_type(masked, registers.Register)
    assert_type(builder.instructions, tuple[registers.Instruction, ...])
    operand: registers.Operand = registers.AND_XOR
    kinds: tuple[str, ...] = registers.KINDS
    print(operand, kinds)


def not_run_since_it_searches_for_long() -> None:
    assert_type(registers.costs(["e5m2"]), list[registers.CostRow])


def use_testing() -> None:
    assert_type(testing.exact_encode(Fraction(1, 3), "e2m2", "upward", "ieee"), int)
    assert_type(testing.exact_decode(3, "e2m2"), float)
    assert_type(testing.exact_encode_array(X, "e2m2", nan="zero"), Codes)
    assert_type(testing.decision_points("e2m1"), NDArray[np.float64])
    assert_type(testing.decision_points("e2m1", np.float16), NDArray[np.float16])
    assert_type(testing.decision_points("e2m1", np.int8), NDArray[np.int8])
    assert_type(testing.exact_steps("e2m1", "float16"), testing.StepTable)
    assert_type(testing.exact_steps("e2m1")(X), Codes)
    assert_type(testing.random_formats(np.random.default_rng(1), 2), list[mf.Format])
    assert_type(testing.check_encoder(mf.encode, "e2m1", roundings=["upward"], stride=99), int)
    assert_type(testing.code_dtype("e2m1"), np.dtype[np.unsignedinteger[Any]])
    encoder: testing.Encoder = mf.encode
    testing.check_encoder(encoder, "e2m1", roundings=[mf.Rounding.TO_ODD], overflows=["ieee"])
    testing.assert_same_codes([4], [4], [1.0], "e2m2", about="mine")
    decoder: testing.Decoder = mf.decode
    assert_type(testing.check_decoder(decoder, "e2m1", dtypes=[np.float32]), int)
    nearest: dict[str, Any] = {"roundings": ["nearest_even"], "overflows": ["saturate"]}

    def multiply(a: Codes, b: Codes) -> Codes:
        product = arithmetic.multiply(mf.decode(a, "e2m1"), mf.decode(b, "e2m1"), "e2m1")
        return np.asarray(mf.encode(product, "e2m1"))

    def total(a: Codes, b: Codes) -> Codes:
        result = arithmetic.add(mf.decode(a, "e2m1"), mf.decode(b, "e2m1"), "e2m1")
        return np.asarray(mf.encode(result, "e2m1"))

    def fma(a: Codes, b: Codes, c: Codes) -> Codes:
        x, y, z = (mf.decode(codes, "e2m1") for codes in (a, b, c))
        return np.asarray(mf.encode(arithmetic.fma(x, y, z, "e2m1"), "e2m1"))

    def dot(a: Codes, b: Codes) -> NDArray[np.int64]:
        x, y = (mf.decode(codes, "e2m1") for codes in (a, b))
        return np.asarray(4 * (x * y).sum(axis=1)).astype(np.int64)

    assert_type(testing.check_multiplier(multiply, "e2m1", **nearest), int)
    assert_type(testing.check_adder(total, "e2m1", output="e2m1", **nearest), int)
    assert_type(testing.check_fma(fma, "e2m1", **nearest), int)
    assert_type(testing.check_dot(dot, "e2m1", lanes=3, output="exact"), int)
    testing.vectors("e2m1", "dot", lanes=3, output="exact")
    vectors = testing.vectors("e2m1", "decoder", source="float16")
    assert_type(vectors, testing.Vectors)
    assert_type(vectors.ports, tuple[testing.Port, ...])
    assert_type(vectors.text("csv"), str)
    with tempfile.TemporaryDirectory() as folder:
        assert_type(testing.write_vectors("e2m1", f"{folder}/v.mem", format="mem"), int)
    testing.codes("e2m1")
    testing.formats(max_bits=8)
    testing.near_ties("e2m1", width=32)
    testing.values(mf.parse("e2m1"), width=16, nan=True)


def rounded(x: NDArray[Any], rounding: RoundingLike = "nearest_even") -> NDArray[np.float32]:
    return mf.decode(mf.encode(x, "e2m2", rounding=rounding), "e2m2")


def encoded(x: ArrayLike, **options: Unpack[EncodeOptions]) -> NDArray[np.uint8]:
    return mf.encode(x, "e2m2", **options)


def same_kind(x: NDArray[np.float64], **options: Unpack[EncodeOptions]) -> NDArray[np.float64]:
    return mf.round_to(x, "e2m2", **options)


def any_array(x: np.ndarray) -> np.ndarray:
    return mf.round_to(x, "e2m2")


def code_of(x: float) -> int:
    return int(mf.encode(x, "e2m2"))


def unpacked(packed: NDArray[np.uint8], order: BitOrder) -> NDArray[np.uint8]:
    return mf.unpack(packed, 5, 8, bit_order=order)


def weights(w: ArrayLike, **changes: Unpack[RecipeFields]) -> NDArray[np.float32]:
    return mf.quantize(w, "e2m2", **changes).dequantize()


def blocks(w: ArrayLike, block: Block) -> mf.Quantized:
    return mf.quantize(w, "e2m2", block=block)


def searched(w: ArrayLike, **options: Unpack[SearchOptions]) -> mf.Quantized:
    return mf.search_format(w, 4, **options)


def policies(
    overflow: OverflowLike, nan: NaNPolicyLike, specials: SpecialsLike
) -> NDArray[np.float32]:
    fmt = mf.Format(4, 3, specials=specials)
    return mf.round_to(X, fmt, overflow=overflow, nan=nan)


def adaptive(w: ArrayLike, other: AlternativeLike, flag: FlagLike) -> mf.Quantized:
    return mf.quantize(w, "e2m1/16/e4m3fn", alternatives=[other], flag=flag)


def use_alternatives() -> None:
    q = adaptive([0.3, -1.7], "int4", "bits")
    assert_type(q.choices, NDArray[np.uint8] | None)
    assert_type(q.recipe.alternatives, tuple[Alternative, ...])
    assert_type(q.recipe.candidates, tuple[mf.Recipe, ...])
    assert_type(q.recipe.factors(None), tuple[float, ...])
    assert_type(q.readings(), tuple[mf.Quantized, ...])
    assert_type(q.recipe.is_plain, bool)
    assert_type(q.addends(), tuple[mf.Quantized, ...] | None)
    assert_type(Alternative("e2m1@4").absmax_at, float)
    mf.Recipe("e2m1", block=16, absmax_at=4, tensor_scale=True, largest_scale=256)
    mf.quantize([0.3], "e2m1/16/e4m3fn", alternatives=["int4", Alternative("e2m1", 4)])
    mf.quantize([0.3], "e2m1/16/e4m3fn", alternatives=[mf.Integer(4)], one_scale=True)


def by_arithmetic(w: ArrayLike, arithmetic: ArithmeticLike) -> mf.Quantized:
    return mf.quantize(w, "fpe2m2", arithmetic=arithmetic)


def scaled(rounding: ScaleRoundingLike, search: ScaleSearchLike) -> mf.Recipe:
    return mf.Recipe("e2m1", block=32, scale="e8m0", scale_rounding=rounding, search=search)


def program(target: Target) -> registers.Program:
    return registers.to_half("e2m2", "1+4", target)


def use_arithmetic() -> None:
    accumulator = arithmetic.Accumulator("bfloat16", rounding="toward_zero", terms="all")
    assert_type(accumulator, arithmetic.Accumulator)
    assert_type(arithmetic.Accumulator.parse("float32/order=pairwise"), arithmetic.Accumulator)
    assert_type(accumulator.fmt, arithmetic.SumFormat)
    assert_type(arithmetic.UNITS["volta/float16/float32"], arithmetic.Unit)
    assert_type(arithmetic.UNIT_SOURCES["volta/float16/float32"], str)
    output: str = arithmetic.Unit.parse("volta/float16/float32").output
    print(output)
    assert_type(arithmetic.reveal(np.sum, 8).order, str | None)
    assert_type(arithmetic.reveal(np.dot, 8, products=True), arithmetic.Revealed)
    x = arithmetic.array(X, "e4m3fn", rounding="stochastic", seed=1, accumulator="float32")
    assert_type(x, arithmetic.FormatArray)
    assert_type(x.context, arithmetic.Context)
    assert_type(x.astype("bfloat16")[0], arithmetic.FormatArray)
    assert_type(arithmetic.array(X, x.context).T.sum(axis=0), arithmetic.FormatArray)
    assert_type(x.values, NDArray[np.float64])
    assert_type(arithmetic.Context("e2m1", nan="max").fmt, mf.NumberFormat)
    rounds = arithmetic.reveal(np.dot, 8, products=True, dtype="float64", large=2.0**90).rounds
    assert_type(rounds, bool | None)
    arithmetic.Accumulator("float64", terms="all", product=None, outer="float32")
    arithmetic.sum(X, accumulator=accumulator)
    drawn = arithmetic.Accumulator("bfloat16", rounding="stochastic", random_bits=8)
    arithmetic.dot(X, X, accumulator=drawn, seed=1)
    assert_type(arithmetic.reveal(np.sum, 8).promote, int | None)
    arithmetic.dot(HALVES, HALVES, 1, unit="volta/float16/float32", dtype=np.float64)
    arithmetic.matmul(X, X.T, accumulator="float32", threads=2)
    q = mf.quantize(np.ones((2, 32), np.float32), "mxfp4")
    arithmetic.linear(q, q, unit="blackwell/mxfp4/float32")
    eights = mf.round_to(X, "e4m3fn")
    arithmetic.l_mul(eights, eights, "e4m3fn", variant="addition")
    arithmetic.mitchell(X, 3)
    assert_type(arithmetic.shift_terms("apot4")[0], tuple[arithmetic.SignedPower, ...] | None)
    arithmetic.shift_add([3, -4], [0, 1], "apot4")
    planes = arithmetic.bit_planes([[0, 1, 3]], bits=2)
    assert_type(planes, arithmetic.BitPlanes)
    assert_type(planes.bits, int)
    products: np.ndarray[Any, Any] = arithmetic.bipolar_matmul(planes, planes)
    scale = arithmetic.dyadic([0.1, 0.01], bits=16)
    assert_type(scale, arithmetic.Dyadic)
    arithmetic.requantize(products, arithmetic.dyadic(0.1), "int4", zero_point=1)


def use_operations() -> None:
    arithmetic.add(X, 1, "e4m3fn", rounding="upward", overflow="ieee", dtype=np.float64)
    arithmetic.fma(X, X, HALVES, mf.parse("e5m2"), rounding="stochastic", seed=1)
    arithmetic.exp(X, "bfloat16", nan="zero", threads=2)
    arithmetic.abs(X, "e4m3fn"), arithmetic.negate(X, "e4m3fn"), arithmetic.less(X, HALVES)
    p3109.compute("Add", X, X, fmt="binary8p3se", rounding="TowardZero", saturation="SatFinite")
    p3109.compute("Exp", X, fmt="binary64", rounding="ToOdd")
    print(p3109.property_of("BitwidthOf", "binary32"), p3109_values.holds("IsNormal", 1, "e4m3fn"))
    block: p3109_blocks.Block = p3109_blocks.convert_to_block(np.ones((2, 4)), [1, 2], "e4m3fn")
    p3109_blocks.dot_product(block, block, "binary8p4se")
    p3109_blocks.scaled("Abs", 2.0, X, fmt="e4m3fn")
    print(p3109_values.Class.ZERO.value)
    p3109_values.compare("CompareLess", 1, X)
    p3109_values.next_less_than(1.0, "e4m3fn")


def use_wrappers() -> None:
    text = str(mf.Rounding.UPWARD)  # as from a file
    assert_type(rounded(X, mf.Rounding(text)), NDArray[np.float32])
    assert_type(encoded([1.0], rounding="stochastic", seed=1), NDArray[np.uint8])
    assert_type(same_kind(np.ones(3), threads=2), NDArray[np.float64])
    assert_type(unpacked(mf.pack(np.arange(8), 5, bit_order="big"), "big"), NDArray[np.uint8])
    assert_type(weights(X, block="tensor", scale="float32"), NDArray[np.float32])
    assert_type(blocks(X, (1, 2)), mf.Quantized)
    assert_type(searched(X, axis=0), mf.Quantized)
    assert_type(policies("ieee", mf.NaNPolicy.ZERO, "fn"), NDArray[np.float32])
    assert_type(scaled("up", "mse"), mf.Recipe)
    assert_type(by_arithmetic([1.0], "authors"), mf.Quantized)
    assert_type(program("bfloat16"), registers.Program)
    assert_type(code_of(0.3), int)
    any_array(X)


def use_numpy_integers() -> None:
    """What has an index is an integer: those of NumPy too."""
    two = np.int64(2)
    mf.encode(X, "e2m2", threads=two)
    mf.encode(X, "e2m2", rounding="stochastic", seed=two, random_bits=two)
    mf.decode([1], "e2m2", threads=two)
    mf.round_to(X, "e2m2", threads=two)
    packed = mf.pack(np.arange(4), two)
    mf.unpack(packed, two, two, start=two)
    mf.unpack_words(mf.pack_words([1, 2], "dense", bits=two), "dense", two, bits=two)
    mf.parse_layout("dense", two)
    q = mf.quantize(X, "e2m2", block=two, axis=np.int64(1), threads=two)
    mf.Recipe("e2m2", block=(two, two)).replace(block=two)
    mf.gptq(X, "e2m2", np.eye(4), threads=two)
    mf.search_format(X, np.uint8(4), block=two, axis=np.int8(0))
    mf.linear(np.ones(4), q, threads=two)
    mf.compare(X, ["e2m2"], axis=np.int64(1), min_size=two, seed=two)

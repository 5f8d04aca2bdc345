"""What is measured: one `Case` each, with the ratio it is meant to reach."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import gfloat.formats
import ml_dtypes
import numpy as np
from gfloat import round_ndarray
from numpy.typing import DTypeLike, NDArray

import minifloat as mf
from minifloat import arithmetic, registers
from minifloat._threads import each
from minifloat.formats.rounding import NaNPolicy, Overflow, Rounding
from minifloat.typing import BitOrder

FORMATS = ("e2m2", "e4m3fn")
GFLOAT_FORMATS = {"e4m3fn": gfloat.formats.format_info_ocp_e4m3}
GFLOAT_SIZE = 1 << 14  # its time is proportional to the size, and long
GPTQ_SIZE = 1 << 20
SMALL = 16

Thunk = Callable[[], object]


class Inputs:
    """The arrays of one size that all cases share, made when first asked for."""

    def __init__(self, size: int) -> None:
        self.size = size

    @cached_property
    def x(self) -> NDArray[np.float32]:
        """Standard normals."""
        return np.random.default_rng(24).standard_normal(self.size, np.float32)

    @cached_property
    def x64(self) -> NDArray[np.float64]:
        """The same, with all the bits of float64."""
        return np.random.default_rng(53).standard_normal(self.size)

    @cached_property
    def words(self) -> NDArray[np.uint32]:
        """Random words for a caller's own stochastic rounding."""
        return np.random.default_rng(32).integers(0, 1 << 24, self.size, np.uint32)

    def codes(self, fmt: str) -> NDArray[np.uint8]:
        """Codes of the normals."""
        return np.asarray(mf.encode(self.x, fmt))

    def codes_of(self, bits: int) -> NDArray[np.uint8]:
        """Random codes of a width."""
        return np.random.default_rng(bits).integers(0, 1 << bits, self.size, np.uint8)

    def empty(self, dtype: DTypeLike) -> NDArray[Any]:
        """Return a new output array whose pages are mapped."""
        return np.zeros(self.size, dtype)


class Case(NamedTuple):
    """One line of the table: its speed over that of the yardstick, per element."""

    task: str
    fmt: str
    target: float | None
    prepare: Callable[[Inputs], Thunk]
    yardstick: Callable[[Inputs], Thunk]
    size_limit: int | None = None
    own_size: int | None = None  # of this case and its yardstick, whatever the table's size


def copy_float32(inputs: Inputs) -> Thunk:
    """Copy the float32 normals."""
    x, out = inputs.x, inputs.empty(np.float32)
    return lambda: np.copyto(out, x)


def copy_float64(inputs: Inputs) -> Thunk:
    """Copy the float64 normals."""
    x, out = inputs.x64, inputs.empty(np.float64)
    return lambda: np.copyto(out, x)


def encode(fmt: str, source: DTypeLike = np.float32, **options: Any) -> Callable[[Inputs], Thunk]:
    """Encode the normals in a source type."""

    def prepare(inputs: Inputs) -> Thunk:
        x = inputs.x64 if source is np.float64 else inputs.x.astype(source, copy=False)
        out = inputs.empty(np.uint8)
        return lambda: mf.encode(x, fmt, out=out, **options)

    return prepare


def round_to(fmt: str) -> Callable[[Inputs], Thunk]:
    """Round the normals, float32 to float32."""

    def prepare(inputs: Inputs) -> Thunk:
        x, out = inputs.x, inputs.empty(np.float32)
        return lambda: mf.round_to(x, fmt, out=out)

    return prepare


def decode(fmt: str, dtype: DTypeLike, threads: int = 1) -> Callable[[Inputs], Thunk]:
    """Decode the normals' codes."""

    def prepare(inputs: Inputs) -> Thunk:
        codes, out = inputs.codes(fmt), inputs.empty(dtype)
        return lambda: mf.decode(codes, fmt, dtype=dtype, threads=threads, out=out)

    return prepare


def copy_codes(inputs: Inputs) -> Thunk:
    """Copy codes, a byte each."""
    codes, out = inputs.codes_of(8), inputs.empty(np.uint8)
    return lambda: np.copyto(out, codes)


def pack(bits: int, bit_order: BitOrder) -> Callable[[Inputs], Thunk]:
    """Pack codes to bytes."""

    def prepare(inputs: Inputs) -> Thunk:
        codes = inputs.codes_of(bits)
        out = np.zeros_like(mf.pack(codes, bits))
        return lambda: mf.pack(codes, bits, bit_order=bit_order, out=out)

    return prepare


def unpack(bits: int, bit_order: BitOrder) -> Callable[[Inputs], Thunk]:
    """Unpack codes from bytes."""

    def prepare(inputs: Inputs) -> Thunk:
        packed = mf.pack(inputs.codes_of(bits), bits, bit_order=bit_order)
        count, out = inputs.size, inputs.empty(np.uint8)
        return lambda: mf.unpack(packed, bits, count, bit_order=bit_order, out=out)

    return prepare


def run_program(fmt: str, layout: str, *, fold_scale: bool = False) -> Callable[[Inputs], Thunk]:
    """Run the register program that converts packed codes to float16."""
    program = registers.to_half(fmt, layout, fold_scale=fold_scale)

    def prepare(inputs: Inputs) -> Thunk:
        words = mf.pack_words(inputs.codes_of(program.layout.bits), program.layout)
        out = np.zeros_like(registers.run(program, words))
        return lambda: registers.run(program, words, out=out)

    return prepare


def encode_own_words(fmt: str) -> Callable[[Inputs], Thunk]:
    """Encode with random words of the caller's."""

    def prepare(inputs: Inputs) -> Thunk:
        x, words, out = inputs.x, inputs.words, inputs.empty(np.uint8)
        return lambda: mf.encode(x, fmt, rounding="stochastic", random=words, out=out)

    return prepare


def ml_dtypes_encode(inputs: Inputs) -> Thunk:
    """Encode as ml_dtypes does."""
    x, out = inputs.x, inputs.empty(ml_dtypes.float8_e4m3fn)
    return lambda: np.copyto(out, x, casting="unsafe")


def ml_dtypes_decode(inputs: Inputs) -> Thunk:
    """Decode as ml_dtypes does."""
    codes, out = inputs.codes("e4m3fn").view(ml_dtypes.float8_e4m3fn), inputs.empty(np.float32)
    return lambda: np.copyto(out, codes)


def take(fmt: str, dtype: DTypeLike) -> Callable[[Inputs], Thunk]:
    """Decode by NumPy's look-up in a table; with mode clip it needs no buffer."""

    def prepare(inputs: Inputs) -> Thunk:
        table = mf.parse(fmt).values().astype(dtype)
        codes, out = inputs.codes(fmt), inputs.empty(dtype)
        return lambda: np.take(table, codes, out=out, mode="clip")

    return prepare


def gfloat_round(fmt: str) -> Callable[[Inputs], Thunk]:
    """Round as gfloat does."""
    return lambda inputs: lambda: round_ndarray(GFLOAT_FORMATS[fmt], inputs.x64)


def over_copy(
    task: str, fmt: str, target: float | None, prepare: Callable[[Inputs], Thunk], **options: int
) -> Case:
    """Return a case measured against the copy of the float32 array."""
    return Case(task, fmt, target, prepare, copy_float32, **options)


def main_cases(fmt: str) -> Iterator[Case]:
    """The verbs with their defaults."""
    yield over_copy("encode", fmt, 0.6, encode(fmt))
    yield over_copy("decode float32", fmt, 0.6, decode(fmt, np.float32))
    yield over_copy("decode float16", fmt, 1.0, decode(fmt, np.float16))
    yield over_copy("round_to", fmt, 0.55, round_to(fmt))


def option_cases(fmt: str) -> Iterator[Case]:
    """Every mode and policy that is not the default."""
    for rounding in Rounding:
        target = 0.25 if rounding.is_stochastic else 0.4
        if rounding is not Rounding.NEAREST_EVEN:
            seed = 1 if rounding.is_stochastic else None
            prepare = encode(fmt, rounding=rounding, seed=seed)
            yield over_copy(f"encode {rounding}", fmt, target, prepare)
    yield over_copy("encode stochastic, random given", fmt, None, encode_own_words(fmt))
    for overflow in Overflow:
        if overflow is not Overflow.SATURATE:
            prepare = encode(fmt, overflow=overflow)
            yield over_copy(f"encode overflow {overflow}", fmt, 0.4, prepare)
    for nan in NaNPolicy:
        if nan is not NaNPolicy.RAISE and not mf.parse(fmt).has_nan:
            yield over_copy(f"encode nan {nan}", fmt, 0.4, encode(fmt, nan=nan))


def source_cases(fmt: str) -> Iterator[Case]:
    """The other source types; float64 against a float64 copy."""
    yield Case("encode float64", fmt, 0.4, encode(fmt, np.float64), copy_float64)
    yield over_copy("encode float16", fmt, None, encode(fmt, np.float16))
    yield over_copy("encode bfloat16", fmt, None, encode(fmt, ml_dtypes.bfloat16))
    yield over_copy("decode float64", fmt, None, decode(fmt, np.float64))


def packing_cases(bit_order: BitOrder, widths: Sequence[int]) -> Iterator[Case]:
    """Packing against a copy of the codes, one byte each."""
    for task, make in (("pack", pack), ("unpack", unpack)):
        for bits in widths:
            name = f"{task} {bit_order}-endian"
            yield Case(name, f"{bits} bits", 0.2, make(bits, bit_order), copy_codes)


def register_cases() -> Iterator[Case]:
    """Register programs; 5 ns an element are 200 M weights/s."""
    layouts = {"e2m2": "1+4", "e2m1": "4", "e4m3fn": "8", "int5": "1+4", "nf5": "dense"}
    for fmt, layout in layouts.items():
        yield over_copy("registers.run", fmt, None, run_program(fmt, layout))
    folded = run_program("e2m2", "1+4", fold_scale=True)
    yield over_copy("registers.run, fold_scale", "e2m2", None, folded)


def add(inputs: Inputs) -> Thunk:
    """Add the normals to themselves, to a new array."""
    x = inputs.x
    return lambda: np.add(x, x)


def small_cases() -> Iterator[Case]:
    """Calls of a few elements, where a call's own time is all there is."""

    def encode_small(inputs: Inputs) -> Thunk:
        x = inputs.x
        return lambda: mf.encode(x, "e2m2")

    yield Case("encode / numpy.add, 16 elements", "e2m2", 1 / 15, encode_small, add, own_size=SMALL)


def peer_cases() -> Iterator[Case]:
    """Other libraries."""
    fmt = "e4m3fn"
    yield over_copy("ml_dtypes encode", fmt, None, ml_dtypes_encode)
    yield over_copy("ml_dtypes decode float32", fmt, None, ml_dtypes_decode)
    yield over_copy("numpy.take decode float32", fmt, None, take(fmt, np.float32))
    yield over_copy("numpy.take decode float16", fmt, None, take(fmt, np.float16))
    yield over_copy("gfloat round", fmt, None, gfloat_round(fmt), size_limit=GFLOAT_SIZE)
    yield Case("encode / ml_dtypes encode", fmt, 15.0, encode(fmt), ml_dtypes_encode)
    yield Case("decode / ml_dtypes decode", fmt, None, decode(fmt, np.float32), ml_dtypes_decode)


def thread_cases(fmt: str) -> Iterator[Case]:
    """Two threads against one; the plain encode and decode are bound by memory."""
    cases: tuple[tuple[str, float | None, Callable[[int], Callable[[Inputs], Thunk]]], ...] = (
        ("encode", None, lambda n: encode(fmt, threads=n)),
        ("encode to_odd", 1.6, lambda n: encode(fmt, rounding="to_odd", threads=n)),
        ("encode stochastic", 1.6, lambda n: encode(fmt, rounding="stochastic", seed=1, threads=n)),
        ("decode float32", None, lambda n: decode(fmt, np.float32, threads=n)),
    )
    for task, target, make in cases:
        yield Case(f"{task}, 2 threads / 1", fmt, target, make(2), make(1))


def quantize(fmt: str, threads: int = 1, **options: Any) -> Callable[[Inputs], Thunk]:
    """Quantize the normals in rows of 4096, blocks of 128."""

    def prepare(inputs: Inputs) -> Thunk:
        w = inputs.x.reshape(-1, min(4096, inputs.size))
        recipe = mf.Recipe(fmt, **options)  # nf4 alone would be QLoRA's recipe
        return lambda: mf.quantize(w, recipe, threads=threads)

    return prepare


def quantize_by_gptq(inputs: Inputs) -> Thunk:
    """Quantize a square of the normals with a Hessian."""
    w = square(inputs)
    hessian = w.T.astype(np.float64) @ w
    return lambda: mf.gptq(w, "e2m2", hessian)


def matrix_products(inputs: Inputs) -> Thunk:
    """Multiply float64 squares of that size, as many as the array has; BLAS has its threads."""
    w = square(inputs).astype(np.float64)
    count = max(1, inputs.size // w.size)
    return lambda: [w @ w for _ in range(count)]


def square(inputs: Inputs) -> NDArray[np.float32]:
    """Return a square matrix of the normals, of at most GPTQ_SIZE elements."""
    side = math.isqrt(min(inputs.size, GPTQ_SIZE))
    return inputs.x[: side * side].reshape(side, side)


def quantize_cases() -> Iterator[Case]:
    """Scales, codes and packing; least squares take 10 s for 2**24 weights at 600 ns a weight."""
    yield over_copy("quantize absmax", "e2m2", 0.25, quantize("e2m2"))
    yield over_copy("quantize absmax, e8m0 scales", "e2m1", 0.25, quantize("e2m1", scale="e8m0"))
    least = quantize("e2m2", threads=2, search="mse")
    yield over_copy("quantize mse, 2 threads", "e2m2", None, least)
    yield Case(
        "quantize by GPTQ / matrix product", "e2m2", None, quantize_by_gptq, matrix_products,
        size_limit=GPTQ_SIZE,
    )  # fmt: skip


def vectors(inputs: Inputs, batch: int) -> NDArray[np.float32]:
    """Return what weights of 4096 columns, or 8192 of large sizes, are multiplied by."""
    length = 8192 if inputs.size >= 1 << 26 else min(4096, inputs.size)
    return np.random.default_rng(6).standard_normal((batch, length), np.float32)


def linear(
    fmt: str, batch: int, threads: int = 1, odd: bool = False, **options: Any
) -> Callable[[Inputs], Thunk]:
    """Multiply vectors by packed weights, which lack their last column if rows are to be odd."""

    def prepare(inputs: Inputs) -> Thunk:
        x = vectors(inputs, batch)
        w = inputs.x.reshape(-1, x.shape[1])
        if odd:
            x, w = x[:, :-1], w[:, :-1]
        q = mf.quantize(w, mf.parse(fmt), **options)
        return lambda: mf.linear(x, q, threads=threads)

    return prepare


def dequantize(fmt: str) -> Callable[[Inputs], Thunk]:
    """Make floats of packed weights and multiply one vector by them."""

    def prepare(inputs: Inputs) -> Thunk:
        x = vectors(inputs, 1)
        q = mf.quantize(inputs.x.reshape(-1, x.shape[1]), fmt)
        return lambda: x @ q.dequantize().T

    return prepare


def float32_product(batch: int) -> Callable[[Inputs], Thunk]:
    """Multiply vectors by float32 weights, by NumPy."""

    def prepare(inputs: Inputs) -> Thunk:
        x = vectors(inputs, batch)
        w = inputs.x.reshape(-1, x.shape[1])
        return (lambda: w @ x[0]) if batch == 1 else (lambda: x @ w.T)

    return prepare


def tangents(threads: int) -> Callable[[Inputs], Thunk]:
    """Work whose halves need neither memory nor each other: what two cores can do at all."""

    def prepare(inputs: Inputs) -> Thunk:
        some, result = inputs.x[: 1 << 16], np.empty((2, min(1 << 16, inputs.size)), np.float32)
        repeats = max(1, inputs.size // (2 * some.size))

        def half(k: int) -> None:
            for _ in range(repeats):
                np.tan(some, out=result[k])

        return lambda: each(half, [0, 1], threads)

    return prepare


def product_cases() -> Iterator[Case]:
    """Products with packed weights against NumPy's with float32 weights, on one thread."""
    for fmt in ("e2m2", "int5", "nf5", "nf4", "e2m1", "e4m3fn"):
        target = 2.0 if fmt == "e2m2" else None
        yield Case("linear / NumPy float32", fmt, target, linear(fmt, 1), float32_product(1))
    for other, target in (("int5", 0.95), ("nf5", 1.0), ("nf4", 1.0)):
        name = f"linear e2m2 / {other}"
        yield Case(name, "e2m2", target, linear("e2m2", 1), linear(other, 1))
    for size in (32, 16):  # of the MX formats, of NVFP4
        name = f"linear / NumPy float32, blocks {size}"
        yield Case(name, "e2m1", None, linear("e2m1", 1, block=size), float32_product(1))
    for name, options in (("odd rows", {"odd": True}), ("axis 0", {"axis": 0})):
        one = linear("e2m2", 1, **options)
        yield Case(f"linear / NumPy float32, {name}", "e2m2", None, one, float32_product(1))
    whole = dequantize("e2m2")
    yield Case("dequantize() @ x / NumPy float32", "e2m2", None, whole, float32_product(1))
    for batch in (8, 32, 64):
        name = f"linear / NumPy float32, batch {batch}"
        yield Case(name, "e2m2", None, linear("e2m2", batch), float32_product(batch))
    two = linear("e2m2", 1, threads=2)
    yield Case("linear, 2 threads / 1", "e2m2", 1.7, two, linear("e2m2", 1))
    yield Case("2 cores / 1, nothing shared", "-", None, tangents(2), tangents(1))


def operands(inputs: Inputs, fmt: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return matrices whose product takes ``inputs.size`` multiplications, sums of up to 4096."""
    length = min(4096, inputs.size)
    side = 1 << (inputs.size // length).bit_length() // 2
    a = mf.round_to(inputs.x[: side * length].reshape(side, length), fmt)
    return a, mf.round_to(inputs.x[-inputs.size // side :].reshape(length, -1), fmt)


def emulated(fmt: str, threads: int = 1, **how: Any) -> Callable[[Inputs], Thunk]:
    """Multiply matrices as a matrix unit or an accumulator does."""

    def prepare(inputs: Inputs) -> Thunk:
        a, b = operands(inputs, fmt)
        return lambda: arithmetic.matmul(a, b, threads=threads, **how)

    return prepare


def plain_hopper(inputs: Inputs) -> Thunk:
    """Multiply matrices as Hopper's FP8 does, in NumPy: what one writes without this library."""
    a, b = operands(inputs, "e4m3fn")

    def run() -> object:
        sums = np.zeros((a.shape[0], b.shape[1]))
        for k in range(0, a.shape[1], 32):
            x, y = a[:, k : k + 32, None].astype(float), b[None, k : k + 32].astype(float)
            e = np.maximum(np.frexp(x)[1] - 1, -6) + np.maximum(np.frexp(y)[1] - 1, -6)
            top = np.maximum(e.max(axis=1), np.where(sums == 0, -133, np.frexp(sums)[1] - 1))
            unit = np.ldexp(1.0, top - 13)
            terms = np.trunc(x * y / unit[:, None]).sum(axis=1) + np.trunc(sums / unit)
            fraction, exponent = np.frexp(terms * unit)
            sums = np.ldexp(np.trunc(np.ldexp(fraction, 14)), exponent - 14)
        return sums

    return run


def apytypes_product(inputs: Inputs) -> Thunk:
    """Multiply bfloat16 matrices, each product and sum rounded to bfloat16, by APyTypes."""
    apytypes = import_module("apytypes")
    a, b = (apytypes.APyFloatArray.from_float(x, 8, 7) for x in operands(inputs, "bfloat16"))
    nearest_even = apytypes.QuantizationMode.TIES_EVEN

    def run() -> object:
        with apytypes.APyFloatAccumulatorContext(exp_bits=8, man_bits=7, quantization=nearest_even):
            return a @ b

    return run


def arithmetic_cases() -> Iterator[Case]:
    """Products of matrices as matrix units and accumulators compute them; a product an element."""
    hopper = emulated("e4m3fn", unit="hopper/e4m3fn/float32")
    ampere = emulated("float16", unit="ampere/float16/float32")
    yield Case("matmul hopper / plain NumPy", "e4m3fn", 5.0, hopper, plain_hopper)
    yield over_copy("matmul hopper/e4m3fn/float32", "e4m3fn", 0.1, hopper)
    yield over_copy("matmul ampere/float16/float32", "float16", 0.1, ampere)
    for unit in ("cdna1/float16/float32", "cdna2/float16/float32", "cdna3/float16/float32"):
        yield over_copy(f"matmul {unit}", "float16", None, emulated("float16", unit=unit))
    for text, target in (
        ("float32", 0.12),
        ("bfloat16", 0.12),
        ("bfloat16:toward_zero", None),
        ("e6m9/product=e6m9", None),
        ("float32/terms=all", None),
        ("float32/order=pairwise", None),
    ):
        yield over_copy(f"matmul {text}", "e4m3fn", target, emulated("e4m3fn", accumulator=text))
    if find_spec("apytypes"):
        both = emulated("bfloat16", accumulator="bfloat16/product=bfloat16")
        yield Case("matmul bfloat16 / APyTypes", "bfloat16", 5.0, both, apytypes_product)
    two = emulated("e4m3fn", threads=2, unit="hopper/e4m3fn/float32")
    yield Case("matmul hopper, 2 threads / 1", "e4m3fn", 1.7, two, hopper)


def every_case() -> Iterator[Case]:
    """All of them, in the table's order."""
    for fmt in FORMATS:
        yield from main_cases(fmt)
    yield from small_cases()
    yield from packing_cases("little", range(2, 9))
    yield from packing_cases("big", (4, 5, 8))
    yield from quantize_cases()
    yield from product_cases()
    yield from register_cases()
    yield from arithmetic_cases()
    yield from peer_cases()
    for fmt in FORMATS:
        yield from option_cases(fmt)
        yield from source_cases(fmt)
    yield from thread_cases("e4m3fn")


CASES = tuple(every_case())

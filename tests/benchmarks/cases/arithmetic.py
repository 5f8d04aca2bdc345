"""Products of matrices as matrix units and accumulators compute them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minifloat as mf
from minifloat import arithmetic
from tests.benchmarks.cases.case import Case, Inputs, Thunk, over_copy


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


BIPOLAR_SHAPE = 128, 4096  # of both operands, whose rows are multiplied


def bipolar(bits: int) -> Callable[[Inputs], Thunk]:
    """Multiply bipolar integers, packed before, by counting bits."""

    def prepare(inputs: Inputs) -> Thunk:
        codes = np.random.default_rng(bits).integers(0, 2**bits, (2, *BIPOLAR_SHAPE), np.uint8)
        a, b = (arithmetic.bit_planes(part, bits) for part in codes)
        return lambda: arithmetic.bipolar_matmul(a, b)

    return prepare


def float_product(inputs: Inputs) -> Thunk:
    """Multiply float32 matrices of the same shapes, by NumPy."""
    a, b = np.random.default_rng(0).standard_normal((2, *BIPOLAR_SHAPE), np.float32)
    return lambda: a @ b.T


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
    products = BIPOLAR_SHAPE[0] ** 2 * BIPOLAR_SHAPE[1]
    for bits, bar in ((1, 4.0), (2, 1.3), (4, None)):
        name = f"bipolar_int{bits}"
        yield Case(
            "bipolar_matmul / NumPy float32", name, bar, bipolar(bits), float_product,
            own_size=products,
        )  # fmt: skip

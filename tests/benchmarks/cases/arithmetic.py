"""Products of matrices as matrix units and accumulators compute them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minifloat as mf
from minifloat import arithmetic
from tests.benchmarks.cases.case import Case, Inputs, Thunk, over_copy

LENGTH = 4096  # of sums
SHARED_SIDE = 512  # of products that threads share


def operands(inputs: Inputs, fmt: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return matrices whose product takes ``inputs.size`` multiplications, sums of up to 4096."""
    length = min(LENGTH, inputs.size)
    side = 1 << (inputs.size // length).bit_length() // 2
    a = mf.round_to(inputs.x[: side * length].reshape(side, length), fmt)
    return a, mf.round_to(inputs.x[-inputs.size // side :].reshape(length, -1), fmt)


def emulated(fmt: str, threads: int = 1, **how: Any) -> Callable[[Inputs], Thunk]:
    """Multiply matrices as a matrix unit or an accumulator does."""

    def prepare(inputs: Inputs) -> Thunk:
        a, b = operands(inputs, fmt)
        return lambda: arithmetic.matmul(a, b, threads=threads, **how)

    return prepare


def shared(fmt: str, unit: str, threads: int) -> Callable[[Inputs], Thunk]:
    """Multiply matrices large enough for threads to share, at most 512 x 4096 and 4096 x 512.

    A call of the table's size takes milliseconds, in which waking a thread shows.
    """

    def prepare(inputs: Inputs) -> Thunk:
        rng = np.random.default_rng(0)
        shapes = (max(1, inputs.size // (LENGTH * SHARED_SIDE)), LENGTH), (LENGTH, SHARED_SIDE)
        a, b = (mf.round_to(rng.standard_normal(shape, np.float32), fmt) for shape in shapes)
        return lambda: arithmetic.matmul(a, b, unit=unit, threads=threads)

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


def mmaemu_product(inputs: Inputs) -> Thunk:
    """Multiply matrices as Hopper's FP8 does, by mmaemu."""
    torch, chain = import_module("torch"), import_module("mmaemu.model.chain")
    torch.set_num_threads(1)
    a, b = operands(inputs, "e4m3fn")
    codes = [torch.from_numpy(np.asarray(mf.encode(x, "e4m3fn"))) for x in (a, b.T.copy())]
    return lambda: chain.chain_gemm(*codes, fmt_a="e4m3", fmt_b="e4m3", preset="hopper")


def fpy2_product(inputs: Inputs) -> Thunk:
    """Multiply matrices in bfloat16 with fused multiply-adds, by fpy2."""
    fpy2 = import_module("fpy2")
    context = fpy2.IEEEContext(8, 16, fpy2.RM.RNE)
    a, b = operands(inputs, "bfloat16")
    rows, columns = (
        [[fpy2.Float.from_float(float(v)) for v in row] for row in x] for x in (a, b.T)
    )
    zero = fpy2.Float.from_float(0.0)

    def run() -> object:
        found = []
        for row in rows:
            for column in columns:
                total = zero
                for x, y in zip(row, column, strict=True):
                    total = fpy2.fma(x, y, total, ctx=context)
                found.append(total)
        return found

    return run


def chopped_product(chop: Callable[[Any], Any]) -> Callable[[Inputs], Thunk]:
    """Multiply bfloat16 matrices; a function rounds all products of a step, and then all sums."""

    def prepare(inputs: Inputs) -> Thunk:
        a, b = (x.astype(np.float64) for x in operands(inputs, "bfloat16"))

        def run() -> object:
            sums = np.zeros((a.shape[0], b.shape[1]))
            for k in range(a.shape[1]):
                sums = chop(sums + chop(a[:, k, None] * b[k]))
            return sums

        return run

    return prepare


BIPOLAR_SHAPE = 128, 4096  # of both operands, whose rows are multiplied


def bipolar(bits: int) -> Callable[[Inputs], Thunk]:
    """Multiply bipolar integers, packed before, by counting bits."""

    def prepare(inputs: Inputs) -> Thunk:
        codes = np.random.default_rng(bits).integers(0, 2**bits, (2, *BIPOLAR_SHAPE), np.uint8)
        a, b = (arithmetic.bit_planes(part, bits) for part in codes)
        return lambda: arithmetic.bipolar_matmul(a, b)

    return prepare


def peers() -> Iterator[tuple[str, Callable[[Inputs], Thunk], Callable[[Inputs], Thunk], int]]:
    """Yield the peers that are installed, what is compared with each, and at how many products."""
    hopper = emulated("e4m3fn", unit="hopper/e4m3fn/float32")
    fused = emulated("bfloat16", accumulator="bfloat16")
    both = emulated("bfloat16", accumulator="bfloat16/product=bfloat16")
    if find_spec("mmaemu") and find_spec("torch"):
        yield "hopper / mmaemu", hopper, mmaemu_product, 1 << 20
    if find_spec("fpy2"):
        yield "bfloat16 / fpy2", fused, fpy2_product, 1 << 14
    if find_spec("apytypes"):
        yield "bfloat16 / APyTypes", both, apytypes_product, 1 << 20
    if find_spec("pychop"):
        pychop = import_module("pychop")
        yield "bfloat16 / Pychop", both, chopped_product(pychop.Chop(8, 7, rmode=1)), 1 << 18
    if find_spec("gfloat"):
        gfloat, info = import_module("gfloat"), import_module("gfloat.formats").format_info_bfloat16
        yield (
            "bfloat16 / gfloat",
            both,
            chopped_product(partial(gfloat.round_ndarray, info)),
            1 << 18,
        )


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
        ("float64", None),
        ("float32/terms=all", None),
        ("float32/order=pairwise", None),
    ):
        yield over_copy(f"matmul {text}", "e4m3fn", target, emulated("e4m3fn", accumulator=text))
    for name, own, peer, size in peers():
        fmt = "e4m3fn" if name.startswith("hopper") else "bfloat16"
        yield Case(f"matmul {name}", fmt, 5.0, own, peer, own_size=size)
    for fmt, unit in (("e4m3fn", "hopper/e4m3fn/float32"), ("float16", "ampere/float16/float32")):
        yield Case(
            f"matmul {unit.partition('/')[0]}, 2 threads / 1", fmt, 1.7,
            shared(fmt, unit, 2), shared(fmt, unit, 1), own_size=SHARED_SIDE**2 * LENGTH,
        )  # fmt: skip
    products = BIPOLAR_SHAPE[0] ** 2 * BIPOLAR_SHAPE[1]
    for bits, bar in ((1, 4.0), (2, 1.3), (4, None)):
        name = f"bipolar_int{bits}"
        yield Case(
            "bipolar_matmul / NumPy float32", name, bar, bipolar(bits), float_product,
            own_size=products,
        )  # fmt: skip

"""Other emulators of arithmetic give the same bits; each test runs where its peer is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat import arithmetic

ROWS, LENGTH = 60, 96


def operands(fmt: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows of values of many exponents, and what sums start from, half of it 0."""
    rng = np.random.default_rng(seed)

    def values(low: int, high: int) -> np.ndarray:
        x = rng.standard_normal((ROWS, LENGTH)) * 2.0 ** rng.integers(low, high, (ROWS, LENGTH))
        return np.asarray(mf.round_to(x.astype(np.float32), fmt))

    c = np.where(np.arange(ROWS) % 2, rng.standard_normal(ROWS), 0).astype(np.float32)
    return values(-6, 4), values(-6, 4), c


@pytest.mark.parametrize("name", ["ada", "hopper"])
@pytest.mark.parametrize(("fmt", "theirs"), [("e4m3fn", "e4m3"), ("e5m2", "e5m2")])
def test_mmaemu(name: str, fmt: str, theirs: str) -> None:
    chain = pytest.importorskip("mmaemu.model.chain")
    torch = pytest.importorskip("torch")
    a, b, c = operands(fmt)
    wide = (torch.from_numpy(x.astype(float)) for x in (a, b))
    other = chain.dot(*wide, torch.from_numpy(c), preset=name, fmt=theirs).numpy()
    own = arithmetic.dot(a, b, c, unit=f"{name}/{fmt}/float32")
    assert np.array_equal(own.view(np.uint32), other.view(np.uint32))


@pytest.mark.parametrize(("fmt", "bits"), [("bfloat16", 16), ("float16", 16)])
def test_fpy2(fmt: str, bits: int) -> None:
    """A chain of fused multiply-adds, each rounded once."""
    fpy2 = pytest.importorskip("fpy2")
    context = fpy2.IEEEContext(8 if fmt == "bfloat16" else 5, bits, fpy2.RM.RNE)
    a, b, c = operands(fmt)
    c = mf.round_to(c, fmt)
    for x, y, start in zip(a[:10], b[:10], c, strict=False):
        total = fpy2.Float.from_float(float(start))
        for own, other in zip(x, y, strict=True):
            factors = (fpy2.Float.from_float(float(v)) for v in (own, other))
            total = fpy2.fma(*factors, total, ctx=context)
        assert arithmetic.dot(x, y, start, accumulator=fmt) == float(total)


def chopped(chop: Any, fmt: str) -> None:
    """Compare with sums that a function rounds, product by product and sum by sum."""
    a, b, _ = operands(fmt)
    total = np.zeros(ROWS)
    for k in range(LENGTH):
        total = np.asarray(chop(total + np.asarray(chop(a[:, k].astype(float) * b[:, k]))))
    own = arithmetic.dot(a, b, accumulator=f"{fmt}/product={fmt}")
    assert np.array_equal(own, total)


@pytest.mark.parametrize(("fmt", "exponent_bits", "bits"), [("bfloat16", 8, 7), ("float16", 5, 10)])
def test_pychop(fmt: str, exponent_bits: int, bits: int) -> None:
    pychop = pytest.importorskip("pychop")
    chopped(pychop.Chop(exponent_bits, bits, rmode=1), fmt)


def test_gfloat() -> None:
    gfloat = pytest.importorskip("gfloat")
    formats = pytest.importorskip("gfloat.formats")
    info = formats.format_info_bfloat16
    chopped(lambda x: gfloat.round_ndarray(info, x), "bfloat16")


@pytest.mark.parametrize(("fmt", "exponent_bits", "bits"), [("bfloat16", 8, 7), ("float16", 5, 10)])
def test_apytypes(fmt: str, exponent_bits: int, bits: int) -> None:
    apytypes = pytest.importorskip("apytypes")
    a, b, _ = operands(fmt)
    even = apytypes.QuantizationMode.TIES_EVEN
    x, y = (apytypes.APyFloatArray.from_float(v, exponent_bits, bits) for v in (a, b.T))
    with apytypes.APyFloatAccumulatorContext(
        exp_bits=exponent_bits, man_bits=bits, quantization=even
    ):
        other = (x @ y).to_numpy()
    own = arithmetic.matmul(a, b.T, accumulator=f"{fmt}/product={fmt}")
    assert np.array_equal(own, other)

"""Complex weights of phases, and real ones as two complex matrices: by hand, on fractions."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.formats.complex_codebook import FAIRY, ComplexCodebook
from minifloat.products import complex_products
from minifloat.quantization.complex_weights import ComplexQuantized, quantize
from minifloat.quantization.widely_linear import WidelyLinear, fairy2i, to_complex, to_real

EIGHT = ComplexCodebook(np.exp(2j * np.pi * np.arange(8) / 8), "eight phases")
THREE = ComplexCodebook(np.exp(2j * np.pi * np.arange(3) / 3), "three phases")


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(shape)


def by_the_papers_code(z: np.ndarray) -> np.ndarray:
    """Return Fairy2i's PhaseQuant, after its code: angles, and means over sectors."""
    phase = np.angle(z)
    on_real = (phase >= -math.pi / 4) & (phase < math.pi / 4)
    on_imaginary = (phase >= math.pi / 4) & (phase < 3 * math.pi / 4)
    minus_imaginary = (phase >= -3 * math.pi / 4) & (phase < -math.pi / 4)
    minus_real = ~(on_real | on_imaginary | minus_imaginary)
    real, imaginary = on_real | minus_real, on_imaginary | minus_imaginary
    s_re = max(np.abs(z.real[real]).mean() if real.any() else 0, 1e-6)
    s_im = max(np.abs(z.imag[imaginary]).mean() if imaginary.any() else 0, 1e-6)
    signs = 1.0 * on_real - minus_real + 0j
    return s_re * signs + 1j * s_im * (1.0 * on_imaginary - minus_imaginary)


def test_weights_are_those_of_the_papers_code() -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        z = rng.standard_normal((7, 9)) * rng.exponential() + 1j * rng.standard_normal((7, 9))
        q = quantize(z)
        np.testing.assert_allclose(q.dequantize(), by_the_papers_code(z), rtol=1e-6)
        rows = quantize(z, block="channel")
        wanted = [by_the_papers_code(row) for row in z]
        np.testing.assert_allclose(rows.dequantize(), wanted, rtol=1e-6)
    assert quantize([1.0]).scales.tolist() == [1, np.float32(1e-6)]
    assert not quantize(np.zeros((2, 2))).dequantize().imag.any()


@pytest.mark.parametrize("fmt", [FAIRY, EIGHT, THREE], ids=lambda fmt: fmt.name)
def test_no_scale_is_better_for_these_codes(fmt: ComplexCodebook) -> None:
    """On fractions: the derivative of the squared error by each scale is 0 at the exact scale."""
    z = normal(40, 2) @ [1, 1j]
    q = quantize(z, fmt)
    for part, scale in enumerate(q.scales.tolist()):
        pairs = [
            (Fraction((w.real, w.imag)[part]), Fraction((c.real, c.imag)[part]))
            for w, c in zip(z.tolist(), fmt.values()[q.codes].tolist(), strict=True)
        ]
        best = sum(w * c for w, c in pairs) / sum(c * c for _, c in pairs)
        assert scale == pytest.approx(float(best), rel=1e-6)


def test_bits_and_bytes() -> None:
    q = quantize(normal(6, 8) + 1j)
    assert (q.nbytes, q.bits_per_weight) == (12 + 8, 2 + 64 / 48)
    assert quantize(normal(6, 8), block="channel").bits_per_weight == 2 + 64 / 8
    two = fairy2i(normal(12, 16), 2)
    assert two.shape == (12, 16)
    assert two.nbytes == 4 * (12 + 8)
    assert two.bits_per_weight == 2 + 4 * 64 / (12 * 16)
    assert quantize(normal(5), THREE).codes.max() < 3


def test_a_matrix_is_its_complex_pair() -> None:
    matrix, x = normal(6, 8), normal(8)
    u, w = to_complex(matrix)
    z = x[:4] + 1j * x[4:]
    y = u @ z + w @ z.conj()
    np.testing.assert_allclose(np.concatenate([y.real, y.imag]), matrix @ x, atol=1e-12)
    whole = np.random.default_rng(2).integers(-(2**20), 2**20, (10, 4))
    np.testing.assert_array_equal(to_real(*to_complex(whole)), whole)
    floats = normal(20, 30).astype(np.float32)
    np.testing.assert_array_equal(to_real(*to_complex(floats)).astype(np.float32), floats)


def slow_stages(matrix: np.ndarray, stages: int) -> np.ndarray:
    m, n = matrix.shape[0] // 2, matrix.shape[1] // 2
    back = np.zeros(matrix.shape)
    for _ in range(stages):
        rest = matrix - back
        a, b, c, d = rest[:m, :n], rest[:m, n:], rest[m:, :n], rest[m:, n:]
        u, w = (
            by_the_papers_code(z) for z in ((a + d + 1j * (c - b)) / 2, (a - d + 1j * (b + c)) / 2)
        )
        back[:m, :n] += w.real + u.real
        back[:m, n:] += w.imag - u.imag
        back[m:, :n] += w.imag + u.imag
        back[m:, n:] += u.real - w.real
    return back


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_stages_are_those_of_fairy2i(stages: int) -> None:
    w = normal(10, 14).astype(np.float32)
    q = fairy2i(w, stages)
    np.testing.assert_allclose(q.dequantize(), slow_stages(w.astype(float), stages), atol=1e-6)
    np.testing.assert_array_equal(np.asarray(q), q.dequantize())
    error = np.square(w - q.dequantize().astype(float)).sum()
    assert q.sqnr(w) == pytest.approx(10 * np.log10(np.square(w.astype(float)).sum() / error))
    assert q == fairy2i(w, stages)
    assert q != fairy2i(w, stages + 1)
    assert pickle.loads(pickle.dumps(q)) == q


def test_phases_are_the_signs_of_a_hadamard_transform() -> None:
    """So with one scale it is `bipolar_int1` of pairs turned by 45 degrees."""
    pairs = normal(1000, 2)
    turned = np.stack([pairs.sum(axis=1), pairs[:, 0] - pairs[:, 1]], axis=1) / math.sqrt(2)
    signs = mf.quantize(turned, "bipolar_int1/tensor/float32/mse").dequantize() > 0
    table = {(True, True): 0, (True, False): 1, (False, False): 2, (False, True): 3}
    phases = quantize(pairs[:, 0] + 1j * pairs[:, 1]).codes
    assert phases.tolist() == [table[tuple(pair)] for pair in signs.tolist()]


@pytest.mark.parametrize("rows", [slice(0, 3), slice(2, 9), slice(6, 12), slice(4, 4), slice(None)])
def test_some_rows(rows: slice) -> None:
    for q in (fairy2i(normal(12, 6), 2), fairy2i(normal(12, 6), 1, block="channel")):
        np.testing.assert_array_equal(q.dequantize_rows(rows), q.dequantize()[rows])
    z = quantize(normal(12, 5) + 1j * normal(12, 5), block="channel")
    np.testing.assert_array_equal(z.dequantize_rows(rows), z.dequantize()[rows])


@pytest.mark.parametrize("threads", [1, 2])
def test_products(threads: int) -> None:
    q = fairy2i(normal(700, 1200), 2)  # more than a tile
    x = np.random.default_rng(3).standard_normal((2, 3, 1200)).astype(np.float32)
    bias = np.arange(700, dtype=np.float32)
    y = complex_products.linear(x, q, bias, threads=threads)
    wanted = x.astype(float) @ q.dequantize().astype(float).T + bias
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, wanted, atol=1e-3)
    z = quantize(normal(30, 40) + 1j * normal(30, 40)[::-1])
    v = normal(40) + 1j * normal(40)[::-1]
    y = complex_products.linear(v, z, threads=threads)
    assert y.dtype == np.complex64
    np.testing.assert_allclose(y, z.dequantize().astype(complex) @ v, atol=1e-3)
    np.testing.assert_allclose(
        complex_products.linear(v.real, z), z.dequantize() @ v.real.astype("f4"), atol=1e-3
    )


Q = quantize(normal(4, 4) + 1j)
PACKED, SCALES = Q.packed, Q.scales


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: quantize([1.0], ComplexCodebook([1, 2j])), "magnitude 1"),
        (lambda: quantize([1.0], mf.parse("e2m2")), "ComplexCodebook"),  # type: ignore[arg-type]
        (lambda: quantize([1.0], block=2), "block must be"),  # type: ignore[arg-type]
        (lambda: quantize([math.nan]), "w must be finite"),
        (lambda: quantize([1e300]), "scales of float32"),
        (lambda: quantize(["a"]), "w must be"),
        (lambda: ComplexQuantized(PACKED[:3], SCALES, FAIRY, (4, 4)), "4 bytes"),
        (lambda: ComplexQuantized(PACKED, SCALES * 0, FAIRY, (4, 4)), "above 0"),
        (lambda: ComplexQuantized(PACKED, SCALES[:1], FAIRY, (4, 4)), "scales must be"),
        (lambda: ComplexQuantized(PACKED, np.ones((3, 2), "f4"), FAIRY, (4, 4)), "scales must be"),
        (lambda: ComplexQuantized(PACKED, SCALES, "fairy", (4, 4)), "ComplexCodebook"),  # type: ignore[arg-type]
        (lambda: ComplexQuantized(np.uint8([255] * 4), SCALES, THREE, (4, 4)), "codes below 3"),
        (lambda: fairy2i(np.ones((3, 4))), "even sides"),
        (lambda: fairy2i(np.ones(4)), "even sides"),
        (lambda: fairy2i(np.full((2, 2), np.inf)), "w must be finite"),
        (lambda: fairy2i(np.ones((2, 2)), 0), "stages must be in 1..8"),
        (lambda: fairy2i(np.ones((2, 2)), 1.5), "stages must be an int"),  # type: ignore[arg-type]
        (lambda: fairy2i(np.ones((2, 2))).sqnr(np.ones(4)), "w must have shape"),
        (lambda: WidelyLinear(()), "1 to 8"),
        (lambda: WidelyLinear((Q,)), "pairs"),  # type: ignore[arg-type]
        (lambda: WidelyLinear(((Q, quantize(normal(2, 2))),)), "of one shape"),
        (lambda: to_complex(np.ones((2, 3))), "even sides"),
        (lambda: complex_products.linear(normal(3), Q), "x must have 4 elements"),
        (lambda: complex_products.linear(normal(4), Q, bias=normal(3)), "bias must have shape"),
        (lambda: complex_products.linear(normal(4), quantize(normal(4))), "shape"),
        (lambda: complex_products.linear(1j * normal(4), fairy2i(normal(4, 4))), "x must be"),
    ],
)
def test_bad_arguments(call: Callable[[], Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        call()

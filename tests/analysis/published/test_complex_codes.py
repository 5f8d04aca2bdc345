"""iFairy's phases: sectors by their angles, the published 4.40 and 8.86 dB, and one bit's codes."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minifloat as mf
from analysis.published.complex_codes import fairy2i, phase_quantize, to_complex, to_real


def decibels(w: np.ndarray, back: np.ndarray) -> float:
    return float(10 * np.log10((abs(w) ** 2).sum() / (abs(w - back) ** 2).sum()))


def normal_decibels(stages: int) -> float:
    """Return what is exact: of a weight's magnitude x the stages leave x - a, and | x - a | - b."""
    a = math.sqrt(2 / math.pi)  # the mean of x
    inside = math.erf(a / math.sqrt(2))
    b = 2 * (a * inside - a * (1 - math.exp(-a * a / 2)))  # the mean of |x - a|
    return -10 * math.log10(1 - a * a - (b * b if stages == 2 else 0))


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(shape)


def test_sectors_are_half_open() -> None:
    """Real weights from -45 degrees on, imaginary ones from 45 on, and so on."""
    for size in (1.0, 3.0):
        corners = size * np.array([1 - 1j, 1 + 1j, -1 + 1j, -1 - 1j])
        assert phase_quantize(corners).codes.tolist() == [0, 1, 2, 3]
    degrees = np.arange(-179.5, 180)
    wanted = np.floor((degrees + 45) / 90).astype(int) % 4
    assert (phase_quantize(np.exp(1j * np.radians(degrees))).codes == wanted).all()
    assert phase_quantize(np.zeros(2, complex)).codes.tolist() == [0, 0]


def test_scales_are_means_of_their_axis() -> None:
    q = phase_quantize(np.array([2 + 1j, -4 + 1j, 1 - 8j, 5j, 6j]))
    assert (q.real_scale, q.imaginary_scale) == (3.0, 19 / 3)
    assert q.dequantize().tolist() == [3, -3, -19j / 3, 19j / 3, 19j / 3]
    assert phase_quantize(np.array([1 + 0j])).imaginary_scale == 1e-6


def test_the_published_ratios_on_normal_weights() -> None:
    w = normal(512, 2048)
    z = w[:, :1024] + 1j * w[:, 1024:]
    q = phase_quantize(z)
    assert q.real_scale == pytest.approx(2 / math.sqrt(math.pi), rel=5e-3)
    one, two = (normal_decibels(stages) for stages in (1, 2))
    assert one == pytest.approx(4.40, abs=0.005)
    assert two == pytest.approx(8.86, abs=0.015)
    assert decibels(z, q.dequantize()) == pytest.approx(one, abs=0.015)
    assert decibels(w, fairy2i(w, 1)) == pytest.approx(one, abs=0.015)
    assert decibels(w, fairy2i(w, 2)) == pytest.approx(two, abs=0.025)


def test_a_matrix_is_its_complex_pair() -> None:
    matrix, x = normal(6, 8), normal(8)
    u, w = to_complex(matrix)
    z = x[:4] + 1j * x[4:]
    y = u @ z + w @ z.conj()
    np.testing.assert_allclose(np.concatenate([y.real, y.imag]), matrix @ x, atol=1e-12)
    np.testing.assert_allclose(to_real(u, w), matrix, atol=1e-15)


def test_phases_are_the_signs_of_a_hadamard_transform() -> None:
    """So with one scale it is `bipolar_int1` of pairs turned by 45 degrees."""
    pairs = normal(1000, 2)
    turned = np.stack([pairs.sum(axis=1), pairs[:, 0] - pairs[:, 1]], axis=1) / math.sqrt(2)
    q = mf.quantize(turned, "bipolar_int1/tensor/float32/mse")
    phases = phase_quantize(pairs[:, 0] + 1j * pairs[:, 1]).codes
    signs = q.dequantize() > 0
    table = {(True, True): 0, (True, False): 1, (False, False): 2, (False, True): 3}
    assert phases.tolist() == [table[tuple(pair)] for pair in signs.tolist()]

"""Errors of asymmetric and of full-range integers against sums over a grid, and experiments."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

import minifloat as mf
from analysis import absmax_mse, range_mse, signed_absmax_mse

Array = NDArray[np.float64]
SIGMAS = 5.0  # one experiment in two million fails by chance
SAMPLERS = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "laplace": lambda rng, shape: rng.laplace(0, math.sqrt(0.5), shape),
    "student_t(7)": lambda rng, shape: rng.standard_t(7, shape) * math.sqrt(5 / 7),
}


def errors_of_blocks(blocks: Array, codes: int) -> Array:
    """Mean square errors of blocks, by the definition."""
    low = np.minimum(blocks.min(axis=-1, keepdims=True), 0)
    high = np.maximum(blocks.max(axis=-1, keepdims=True), 0)
    scale = (high - low) / (codes - 1)
    zero = np.rint(-low / scale)
    held = (np.clip(np.rint(blocks / scale) + zero, 0, codes - 1) - zero) * scale
    errors: Array = ((held - blocks) ** 2).mean(axis=-1)
    return errors


@pytest.mark.parametrize(
    ("size", "bits", "step", "tolerance"),
    [(2, 2, 0.01, 1e-4), (2, 3, 0.01, 5e-4), (3, 2, 0.05, 2.5e-3)],
)
def test_small_blocks_are_those_of_a_sum(
    size: int, bits: int, step: float, tolerance: float
) -> None:
    """Of all blocks of two or three weights, on a fine grid."""
    points = np.arange(-6 + step / 2, 6, step)
    share = scipy.stats.norm.pdf(points) * step
    total = 0.0
    rest = np.stack(np.meshgrid(*[points] * (size - 1), indexing="ij"), -1).reshape(-1, size - 1)
    shares = np.prod(np.stack(np.meshgrid(*[share] * (size - 1), indexing="ij")), 0).reshape(-1)
    half = slice(len(points) // 2)  # an even number: blocks of the other sign have the same errors
    for x, p in zip(points[half], 2 * share[half], strict=True):
        block = np.concatenate([np.full((len(rest), 1), x), rest], axis=1)
        total += p * float(shares @ errors_of_blocks(block, 2**bits))
    assert range_mse(f"uint{bits}", "normal", size) == pytest.approx(total, rel=tolerance)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize(("bits", "size"), [(5, 128), (5, 32), (4, 8), (3, 16), (2, 64)])
def test_asymmetric_integers_are_those_of_an_experiment(name: str, bits: int, size: int) -> None:
    blocks = SAMPLERS[name](np.random.default_rng(17), (400_000 // size, size))
    errors = errors_of_blocks(blocks, 2**bits)
    sigma = errors.std(ddof=1) / math.sqrt(len(errors))
    expected = range_mse(f"uint{bits}", name, size)
    assert abs(errors.mean() - expected) < SIGMAS * sigma
    assert sigma < 0.03 * expected  # else the test says little


@pytest.mark.parametrize("scale", ["float32", "float16"])
def test_they_are_those_of_quantize(scale: str) -> None:
    weights = np.random.default_rng(18).standard_normal((8192, 128)).astype(np.float32)
    held = mf.quantize(weights, f"uint5/128/{scale}/zero-point").dequantize()
    errors = ((weights.astype(np.float64) - held) ** 2).mean(axis=1)
    sigma = errors.std(ddof=1) / math.sqrt(len(errors))
    assert abs(errors.mean() - range_mse("uint5", "normal", 128)) < SIGMAS * sigma
    assert sigma < 0.01 * errors.mean()


@pytest.mark.parametrize(("bits", "size"), [(5, 64), (4, 8), (3, 32)])
def test_scales_of_both_signs_are_those_of_an_experiment(bits: int, size: int) -> None:
    """The largest weight becomes the lowest value, as in llama.cpp's Q4_0."""
    blocks = np.random.default_rng(19).standard_normal((400_000 // size, size))
    lowest = -(2 ** (bits - 1))
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=1)[:, None], axis=1)
    scales = largest / lowest
    held = np.clip(np.rint(blocks / scales), lowest, -lowest - 1) * scales
    errors = ((held - blocks) ** 2).mean(axis=1)
    sigma = errors.std(ddof=1) / math.sqrt(len(errors))
    expected = signed_absmax_mse(f"int{bits}full", "normal", size)
    assert abs(errors.mean() - expected) < SIGMAS * sigma
    assert sigma < 0.03 * expected


def test_under_scales_of_one_sign_a_full_range_is_a_symmetric_one() -> None:
    assert absmax_mse("int5full", "normal", 64) == pytest.approx(absmax_mse("int5", "normal", 64))


def test_hostile_arguments() -> None:
    for arguments, message in (
        (("int5", "normal", 32), "fmt must be an unsigned integer such as uint5, got int5"),
        (("uint5", "normal", 1.5), "block_size must be finite and at least 2, got 1.5"),
        (("uint5", "normal", math.nan), "block_size must be finite and at least 2, got nan"),
        (("uint5", "uniform", 32), "distribution must be one without an end, got uniform"),
    ):
        with pytest.raises(ValueError, match=message):
            range_mse(*arguments)
    with pytest.raises(ValueError, match="fmt must be a full-range integer such as int5full, got"):
        signed_absmax_mse("int5", "normal", 32)
    with pytest.raises(ValueError, match="block_size must be finite and at least 1, got inf"):
        signed_absmax_mse("int5full", "normal", math.inf)

"""Gaussian blocks against samples, another quadrature and the definition."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import truncnorm

import minifloat as mf
from analysis.published.gaussian_blocks import (
    block_qsnr,
    crest_factor,
    expected_absmax,
    expected_crest_factor,
)

FORMATS = ["e4m3fn", "e2m3", "e2m2", "e2m1", "int4", "int8", "bipolar_int4"]


@pytest.mark.parametrize("block_size", [2, 16, 32, 256])
def test_expected_maxima_agree_with_samples(block_size: int) -> None:
    blocks = np.random.default_rng(1).standard_normal((40_000, block_size))
    largest = np.abs(blocks).max(axis=1)
    crest = largest / np.sqrt(np.square(blocks).mean(axis=1))
    for samples, expected in (
        (largest, expected_absmax(block_size)),
        (crest, expected_crest_factor(block_size)),
    ):
        five_sigmas = 5 * samples.std() / math.sqrt(samples.size)
        assert abs(samples.mean() - expected) < five_sigmas


def test_maxima_with_closed_forms() -> None:
    assert expected_absmax(1) == pytest.approx(math.sqrt(2 / math.pi), rel=1e-10)
    assert expected_absmax(2) == pytest.approx(2 / math.sqrt(math.pi), rel=1e-10)
    assert expected_crest_factor(1) == pytest.approx(1, rel=1e-10)


def test_expected_absmax_grows_to_the_largest_blocks() -> None:
    maxima = [expected_absmax(4**k) for k in range(16)]
    assert maxima == sorted(maxima)
    assert maxima[-1] < math.sqrt(2 * math.log(2 * 4**15))


def slow_qsnr(fmt: str, maximum: float, block_size: int, ratio: float) -> float:
    """The same by the library's own rounding, and Gauss-Legendre between decision points."""
    scale = ratio * maximum / mf.parse(fmt).max
    rest = truncnorm(-maximum, maximum)
    values = np.unique(mf.parse(fmt).values())
    values = values[np.isfinite(values)]
    middles = scale * (values[1:] + values[:-1]) / 2
    ends = np.unique(np.clip([-maximum, *middles, maximum], -maximum, maximum))
    nodes, weights = np.polynomial.legendre.leggauss(24)
    half = np.diff(ends)[:, None] / 2
    x = ends[:-1, None] + half * (1 + nodes)
    noise = (
        half * weights * np.square(x - scale * mf.round_to(x / scale, fmt)) * rest.pdf(x)
    ).sum()
    largest = float(maximum - scale * mf.round_to(maximum / scale, fmt)) ** 2
    energy = maximum**2 + (block_size - 1) * rest.var()
    return -10 * math.log10((largest + (block_size - 1) * noise) / energy)


@pytest.mark.parametrize("fmt", ["e2m1", "int4", "e2m2", "bipolar_int4"])
@pytest.mark.parametrize("maximum", [0.5, 2.35, 6.0])
@pytest.mark.parametrize("ratio", [1.0, 1.5, 0.8])
def test_qsnr_agrees_with_quadrature(fmt: str, maximum: float, ratio: float) -> None:
    fast = block_qsnr(fmt, maximum, 32, scale_ratios=[ratio])
    assert fast == pytest.approx(slow_qsnr(fmt, maximum, 32, ratio), abs=1e-9)


@pytest.mark.parametrize("fmt", FORMATS)
def test_qsnr_agrees_with_samples(fmt: str) -> None:
    """Blocks of 16 whose largest magnitude is 2 sigmas, quantized by the library."""
    rest = truncnorm(-2, 2).rvs((20_000, 15), random_state=np.random.default_rng(2))
    blocks = np.concatenate([np.full((20_000, 1), 2.0), rest], axis=1)
    error = blocks - mf.quantize(blocks, mf.Recipe(fmt, block=16, scale="float32")).dequantize()
    noise = np.square(error).sum(axis=1)
    expected = 10 ** (-block_qsnr(fmt, 2.0, 16) / 10) * np.square(blocks).sum(axis=1).mean()
    assert abs(noise.mean() - expected) < 5 * noise.std() / math.sqrt(noise.size) + 1e-6 * expected


@pytest.mark.parametrize("mistake", [{"maximum": 2.36}, {"block_size": 33}, {"ratio": 1.31}])
def test_slight_mistakes_are_seen(mistake: dict[str, Any]) -> None:
    right: dict[str, Any] = {"maximum": 2.35, "block_size": 32, "ratio": 1.3}
    wrong = slow_qsnr("int4", **{**right, **mistake})
    assert abs(block_qsnr("int4", 2.35, 32, scale_ratios=[1.3]) - wrong) > 1e-3
    assert block_qsnr("int4", 2.35, 32, scale_ratios=[1.3]) == pytest.approx(
        slow_qsnr("int4", **right), abs=1e-9
    )


def test_several_ratios_are_averaged() -> None:
    one, two, both = (
        10 ** (-block_qsnr("e2m1", 2.0, 32, scale_ratios=ratios) / 10)
        for ratios in ([1.1], [1.7], [1.1, 1.7])
    )
    assert both == pytest.approx((one + two) / 2, rel=1e-12)


def test_a_block_of_one_and_a_uniform_block() -> None:
    assert block_qsnr("int4", 1.0, 1) == math.inf
    assert crest_factor(1e-3, 10_000) == pytest.approx(math.sqrt(3), rel=1e-3)
    just_below, just_above = crest_factor(0.00999999, 32), crest_factor(0.01000001, 32)
    assert just_below == pytest.approx(just_above, rel=1e-4)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="block_size must be at least 1, got 0"):
        expected_absmax(0)
    with pytest.raises(ValueError, match="block_size must be at least 1, got 0"):
        expected_crest_factor(0)
    with pytest.raises(ValueError, match="maximum must be positive and finite, got 0"):
        crest_factor(0, 32)
    with pytest.raises(ValueError, match="fmt must be symmetric about 0, got nf4"):
        block_qsnr("nf4", 2.0, 32)
    with pytest.raises(ValueError, match="scale_ratios must be positive"):
        block_qsnr("int4", 2.0, 32, scale_ratios=[1.0, 0.0])

"""Exact errors of formats inside formats, against the codec itself on quantiles of the law."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri

import minifloat as mf
from analysis import absmax_mse, expected_mse, optimal_scale
from analysis.errors.distributions import Normal, Uniform
from analysis.errors.expected_error import mse_at_scales
from analysis.errors.nested import nested_error, nested_grid
from minifloat.quantization.nested import cut_codebook

COUNT = 1 << 16
NORMAL = ndtri((np.arange(COUNT) + 0.5) / COUNT)
PAIRS = [
    ("e2m4", "e2m2"),
    ("e3m2", "e3m1"),
    ("int8full", "int4full"),
    ("int6", "int3"),
    ("e2m1", "e1m1"),
]


def read(q: mf.Quantized, narrow: str, reading: str) -> mf.Quantized:
    """Return weights read narrow, by the library."""
    if reading == "middle":
        return mf.narrow(q, cut_codebook(q.fmt, mf.parse(narrow).bits), reading="cut")
    return mf.narrow(q, narrow, reading=reading)  # type: ignore[arg-type]


def readings(wide: str) -> list[str]:
    return ["rounded", "cut"] + ["middle"] * (wide != "int6")  # which has an unused code


@pytest.mark.parametrize(
    ("wide", "narrow", "reading"), [(*pair, r) for pair in PAIRS for r in readings(pair[0])]
)
def test_the_error_is_that_of_the_codec(wide: str, narrow: str, reading: str) -> None:
    scale = np.float32(optimal_scale(wide, "normal")[0])
    fmt, grid = mf.parse(wide), nested_grid(wide, narrow, reading)
    codes = mf.encode(NORMAL / np.float64(scale), fmt)
    recipe = mf.Recipe(fmt, block="tensor", scale="float32")
    q = mf.Quantized(mf.pack(codes, fmt.bits), np.array(scale), recipe, NORMAL.shape, None)
    noise = (NORMAL - read(q, narrow, reading).dequantize()) ** 2
    error = nested_error(wide, narrow, "normal", reading)
    assert error.shared == pytest.approx(noise.mean(), rel=2e-3)
    near = mse_at_scales(grid, Normal(), scale * np.linspace(0.5, 2, 31))
    assert error.own <= min(error.shared, near.min())
    assert (np.diff(grid.values) >= 0).all() or reading == "rounded"


@pytest.mark.parametrize(("wide", "narrow"), PAIRS[:3])
def test_the_error_in_blocks_is_that_of_the_codec(wide: str, narrow: str) -> None:
    w = np.random.default_rng(1).standard_normal((1 << 11, 128)).astype(np.float32)
    q = mf.quantize(w, wide, block=128, scale="float32")
    for reading in ("rounded", "cut", "middle"):
        noise = ((w - read(q, narrow, reading).dequantize()) ** 2).mean(axis=1)
        spread = 4 * noise.std() / len(noise) ** 0.5
        error = nested_error(wide, narrow, "normal", reading)
        assert abs(error.in_blocks - noise.mean()) < spread
    assert error.direct_in_blocks == absmax_mse(narrow, "normal", 128)


def test_one_cell_by_hand_on_the_uniform_law() -> None:
    """E2M0 from E2M1 by its top bits at scale 1: each cell's error is a difference of cubes."""
    edges = [0, 0.25, 0.75, 1.25, 1.75, 2.5]
    targets = [0, 0, 1, 1, 2]
    end = 3**0.5
    total = 0.0
    for low, high, target in zip(edges, edges[1:], targets, strict=False):
        a, b = min(low, end) - target, min(high, end) - target
        total += (b**3 - a**3) / 3 / end
    grid = nested_grid("e2m1", "e2m0", "cut")
    assert mse_at_scales(grid, Uniform(), np.ones(1))[0] == pytest.approx(total, rel=1e-12)


def test_a_format_inside_itself_would_be_itself() -> None:
    """The narrow values at the narrow cells: rounding wide first is what costs."""
    error = nested_error("e2m3", "e2m2", "normal", "rounded")
    assert error.direct == optimal_scale("e2m2", "normal")[1] < error.own
    scale = optimal_scale("e2m3", "normal")[0]
    assert expected_mse("e2m3", "normal", scale) < error.shared


def test_the_middle_loses_nothing() -> None:
    for wide, narrow in (("e2m4", "e2m3"), ("e2m4", "e2m2"), ("e2m3", "e2m2"), ("e2m2", "e2m1")):
        error = nested_error(wide, narrow, "normal", "middle")
        assert error.in_blocks < error.direct_in_blocks
        assert error.own < error.direct


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(ValueError, match="reading must be rounded, cut or middle, got 'up'"):
        nested_grid("e2m2", "e2m1", "up")
    with pytest.raises(ValueError, match="wide must have finite values alone, got e4m3fn"):
        nested_grid("e4m3fn", "e4m2", "cut")

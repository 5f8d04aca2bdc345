"""The figures that INT v.s. FP (2025) prints, recomputed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analysis.gaussian_blocks import expected_absmax
from analysis.int_versus_fp import MX4, MX6, MX8, NV4, Pair, theorem_crossover
from analysis.scale_pitfall import share_beyond_last_level


@pytest.mark.parametrize(
    ("pair", "crest_factor", "qsnr"),
    [
        (MX8, 7.55, 31.86),
        (MX6, 1.96, 31.54),
        (MX4, 2.04, 19.14),
        (replace(NV4, scale_ratio=1.05), 2.39, 21.14),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_crossovers(pair: Pair, crest_factor: float, qsnr: float) -> None:
    crossing = theorem_crossover(pair)
    assert crossing is not None
    assert round(crossing.crest_factor, 2) == crest_factor
    assert round(crossing.qsnr, 2) == qsnr


def test_nv4_with_the_scale_ratio_of_the_text() -> None:
    """The text says rho = 1, the printed crossover is that of 1.05."""
    crossing = theorem_crossover(NV4)
    assert crossing is not None
    assert (round(crossing.crest_factor, 3), round(crossing.qsnr, 2)) == (2.464, 21.31)


@pytest.mark.parametrize(
    ("block_size", "absmax"),
    [(16, 2.08), (32, 2.35), (64, 2.60), (128, 2.83), (256, 3.04), (1024, 3.44), (4096, 3.80)],
)
def test_gaussian_crest_factors(block_size: int, absmax: float) -> None:
    """In sigmas. Not printed there; to be set beside its statistics of a model's weights."""
    assert round(expected_absmax(block_size), 2) == absmax


@pytest.mark.parametrize(
    ("dtype", "percent"), [("bfloat16", 16.82), ("float16", 0.02), ("float32", 0.0)]
)
def test_share_of_the_largest_weights_that_round_to_128(dtype: str, percent: float) -> None:
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    assert round(100 * share_beyond_last_level(dtype), 2) == percent

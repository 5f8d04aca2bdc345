"""Figures printed in the literature, recomputed; each with its source.

A printed figure that cannot be reproduced is not asserted; the test states the result instead.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from analysis import expected_mse, optimal_scale
from analysis.errors.optimal_quantizers import (
    lloyd_max,
    panter_dite,
    shannon_lower_bound,
    uniform_quantizer,
)
from analysis.published.gaussian_blocks import expected_absmax
from analysis.published.int_versus_fp import MX4, MX6, MX8, NV4, Pair, theorem_crossover
from analysis.published.scale_pitfall import share_beyond_last_level
from analysis.published.scaling_law import critical_tokens, optimal_fields
from minifloat.formats.names import parse

# Quartet (github.com/IST-DASLab/Quartet, notebooks/mse_fitting.ipynb and quantizers/base.py):
# bits, clipping point of a mid-rise uniform grid of 2**bits levels on N(0, 1), mean square error.
QUARTET = [
    (1, 0.797885, 0.363380),
    (2, 1.493535, 0.118846),
    (3, 2.051068, 0.0374397),
    (4, 2.513931, 0.0115429),
    (5, 2.916094, 0.00349521),
    (6, 3.276597, 0.00104005),
]


@pytest.mark.parametrize(("bits", "clip", "mse"), QUARTET)
def test_quartet_uniform_grids(bits: int, clip: float, mse: float) -> None:
    """The error to all digits; the point, about which the error is flat, to 5e-4."""
    quantizer = uniform_quantizer("normal", 2**bits)
    assert quantizer.levels[-1] == pytest.approx(clip, rel=5e-4)
    assert quantizer.mse == pytest.approx(mse, rel=5e-6)


@pytest.mark.parametrize(
    ("bits", "printed", "printed_mse", "clip", "mse"),
    [(7, 3.601050, 3.0437e-4, 3.6111, 3.04333e-4), (8, 3.884939, 8.782e-5, 3.9222, 8.76862e-5)],
)
def test_quartet_stopped_early_at_seven_and_eight_bits(
    bits: int, printed: float, printed_mse: float, clip: float, mse: float
) -> None:
    """The printed points have the printed errors, but there are better ones."""
    quantizer = uniform_quantizer("normal", 2**bits)
    assert quantizer.levels[-1] == pytest.approx(clip, abs=5e-5)
    assert quantizer.mse == pytest.approx(mse, rel=2e-6)
    odd = parse(f"bipolar_int{bits}")
    at_print = expected_mse(odd, "normal", printed / odd.max)
    assert at_print == pytest.approx(printed_mse, rel=1e-4)
    assert at_print > quantizer.mse


def test_quartet_ternary_and_e2m1() -> None:
    scale, mse = optimal_scale("int2", "normal")
    assert (scale, mse) == (pytest.approx(1.224009, abs=5e-6), pytest.approx(0.190174, abs=5e-7))
    scale, mse = optimal_scale("e2m1", "normal")
    assert (scale, mse) == (pytest.approx(0.487079, abs=5e-7), pytest.approx(0.0126849, abs=5e-8))


# J. Max, Quantizing for minimum distortion, IRE Trans. IT 6 (1960), table I: levels, error.
MAX_1960 = [(2, 0.3634), (4, 0.1175), (8, 0.03454)]
# N. S. Jayant and P. Noll, Digital Coding of Waveforms (1984), table 4.4: bits, decibels.
JAYANT_NOLL = [(1, 4.40), (2, 9.30), (3, 14.62), (4, 20.22)]


@pytest.mark.parametrize(("levels", "printed"), MAX_1960)
def test_max_1960(levels: int, printed: float) -> None:
    """To the last digit printed but one: 0.03454 is 0.034548 cut off."""
    assert lloyd_max("normal", levels).mse == pytest.approx(printed, abs=1e-5 + printed * 1e-4)


@pytest.mark.parametrize(
    ("levels", "printed", "mse"), [(16, 0.009497, 0.00950101), (32, 0.002499, 0.00250467)]
)
def test_max_1960_is_below_the_optimum_at_four_and_five_bits(
    levels: int, printed: float, mse: float
) -> None:
    """No quantizer has the printed errors: by 0.04 % and 0.23 % they are too small."""
    found = lloyd_max("normal", levels).mse
    assert found == pytest.approx(mse, rel=2e-6)
    assert 3e-4 < 1 - printed / found < 3e-3


@pytest.mark.parametrize(("bits", "decibels"), JAYANT_NOLL)
def test_jayant_noll(bits: int, decibels: float) -> None:
    assert -10 * math.log10(lloyd_max("normal", 2**bits).mse) == pytest.approx(decibels, abs=0.005)


@pytest.mark.parametrize(
    ("bits", "lloyd", "step", "even", "odd"),
    [
        (1, 0.363380, 1.59577, 0.363380, None),
        (2, 0.117482, 0.99569, 0.118846, 0.190174),
        (3, 0.0345478, 0.58602, 0.0374397, 0.0468600),
        (4, 0.00950101, 0.33520, 0.0115429, 0.0128894),
        (5, 0.00250467, 0.18814, 0.00349521, 0.00369322),
        (6, 6.4424e-4, 0.10406, 1.04005e-3, 1.06929e-3),
        (7, 1.63478e-4, 0.05687, 3.04333e-4, 3.08622e-4),
        (8, 4.11851e-5, 0.03076, 8.76862e-5, 8.8308e-5),
    ],
)
def test_optimum_quantizers_of_the_normal_distribution(
    bits: int, lloyd: float, step: float, even: float, odd: float | None
) -> None:
    """The project's own table, worked out apart from this code; Max's table II has the steps."""
    assert lloyd_max("normal", 2**bits).mse == pytest.approx(lloyd, rel=8e-6)
    uniform = uniform_quantizer("normal", 2**bits)
    assert uniform.step == pytest.approx(step, abs=6e-6)
    assert uniform.mse == pytest.approx(even, rel=8e-6)
    assert shannon_lower_bound("normal", bits) == pytest.approx(4.0**-bits, rel=1e-13)
    if odd is not None:
        assert uniform_quantizer("normal", 2**bits - 1).mse == pytest.approx(odd, rel=8e-6)
        assert optimal_scale(f"int{bits}", "normal")[1] == pytest.approx(odd, rel=8e-6)


def test_panter_dite_constants() -> None:
    """Panter and Dite 1951: pi sqrt(3) / 2 for the normal density; 9/2 for Laplace's (Algazi)."""
    assert panter_dite("normal", 1) == pytest.approx(math.pi * math.sqrt(3) / 2, rel=1e-14)
    assert panter_dite("laplace", 1) == pytest.approx(4.5, rel=1e-14)
    assert panter_dite("uniform", 1) == pytest.approx(1.0, rel=1e-14)
    times = [lloyd_max("normal", 2**bits).mse * 4**bits for bits in range(1, 9)]
    printed = [1.4535, 1.8797, 2.2111, 2.4323, 2.5648, 2.6388, 2.6784, 2.6991]
    np.testing.assert_allclose(times, printed, atol=6e-5)


def test_nf4_follows_from_its_recipe() -> None:
    """QLoRA, arXiv 2305.14314, appendix E, printed to 16 digits but good to 1.1e-7 only."""
    offset = (1 - 1 / 32 + 1 - 1 / 30) / 2
    assert offset == pytest.approx(0.9677083, abs=5e-8)
    positive = scipy.stats.norm.ppf(np.linspace(0.9677083, 0.5, 9)[:-1])
    negative = -scipy.stats.norm.ppf(np.linspace(0.9677083, 0.5, 8)[:-1])
    book = np.sort(np.concatenate([positive, [0], negative])) / positive.max()
    assert np.abs(parse("nf4").values() - book).max() == pytest.approx(1.1e-7, abs=3e-8)


# INT v.s. FP (2025)


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


# Scaling Laws for Floating-Point Quantization Training (arXiv 2501.02423)


PRINTED_LAYOUTS = {
    2: (1, 0), 3: (1, 1), 4: (2, 1), 5: (2, 2), 6: (3, 2), 7: (3, 3), 8: (4, 3), 9: (4, 4),
    10: (5, 4), 11: (5, 5), 12: (6, 5), 13: (6, 6), 14: (7, 6), 15: (7, 7), 16: (8, 7),
}  # fmt: skip


@pytest.mark.parametrize("bits", PRINTED_LAYOUTS)
def test_optimal_layouts(bits: int) -> None:
    assert optimal_fields(bits).rounded == PRINTED_LAYOUTS[bits]


def test_fp2_is_a_near_tie_of_its_two_fields() -> None:
    fields = optimal_fields(2)
    assert (round(fields.exponent_bits, 2), round(fields.mantissa_bits, 2)) == (0.54, 0.46)


@pytest.mark.parametrize(
    ("widths", "printed", "digits"),
    [((8, 7), 1730e12, 0), ((4, 3), 27e12, 0), ((2, 1), 0.4e12, 1)],
    ids=["bf16", "e4m3", "e2m1"],
)
def test_critical_tokens_of_a_billion_parameters(
    widths: tuple[int, int], printed: float, digits: int
) -> None:
    """In 1e12 tokens; the paper does not say which block they are for: 128 gives them all."""
    assert round(critical_tokens(1e9, *widths) / 1e12, digits) == printed / 1e12
    assert round(critical_tokens(1e9, *widths, block_size=64) / 1e12, digits) != printed / 1e12

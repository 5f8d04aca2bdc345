"""Figures printed in the literature, recomputed; each with its source.

A printed figure that cannot be had is not asserted: the test says what comes out instead.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from analysis import expected_mse, optimal_scale
from analysis.optimal_quantizers import (
    lloyd_max,
    panter_dite,
    shannon_lower_bound,
    uniform_quantizer,
)
from minifloat.names import parse

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
    """No quantizer has the errors printed: 0.04 % and 0.23 % below the least there is."""
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

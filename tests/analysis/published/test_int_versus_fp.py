"""The theorems of INT v.s. FP against their definitions, and against exact results."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from scipy.integrate import quad
from scipy.stats import norm

import minifloat as mf
from analysis.published.gaussian_blocks import block_qsnr
from analysis.published.int_versus_fp import (
    MX4,
    MX6,
    MX8,
    NV4,
    PAIRS,
    Pair,
    ample_range_qsnr,
    exact_crossover,
    float_theorem,
    integer_theorem,
    theorem_crossover,
    theorem_errors,
)


@pytest.mark.parametrize("fmt", ["e4m3fn", "e2m3", "e2m1", "e3m2", "e2m2b0"])
@pytest.mark.parametrize("kappa", [1.0, 2.4, 3.5])
@pytest.mark.parametrize("ratio", [1.0, 1.5])
def test_float_theorem_integrates_its_noise(fmt: str, kappa: float, ratio: float) -> None:
    """An error uniform over the step of the subnormals, or over x / 2^M times a mean of 1/2."""
    float_format = mf.parse(fmt)
    assert isinstance(float_format, mf.Format)
    scale = ratio * kappa / float_format.max
    least_normal, step = scale * float_format.min_normal, scale * float_format.smallest
    below = quad(lambda x: 2 * norm.pdf(x) * step**2 / 12, 0, least_normal)[0]
    relative = 1 / (24 * 4**float_format.mantissa_bits)
    above = quad(lambda x: 2 * norm.pdf(x) * x * x * relative, least_normal, 40, points=[1, 5])[0]
    expected = -10 * math.log10(below + above)
    assert float_theorem(fmt, kappa, scale_ratio=ratio) == pytest.approx(expected, abs=1e-9)
    precise = -10 * math.log10(below + above - relative * kappa**2 / 16)
    assert float_theorem(fmt, kappa, scale_ratio=ratio, block_size=16) == pytest.approx(precise)


def test_integer_theorem_is_a_uniform_error_over_a_rounded_step() -> None:
    for bits in (4, 6, 8):
        step = 1.5 * 2.4 / 2 ** (bits - 1)  # where the levels are 2^(b-1) - 1
        expected = -10 * math.log10(step**2 / 12)
        assert integer_theorem(bits, 2.4, scale_ratio=1.5) == pytest.approx(expected, abs=0.01)
    more = integer_theorem(4, 2.4, block_size=16) - integer_theorem(4, 2.4)
    assert more == pytest.approx(10 * math.log10(16 / 15))


def test_ample_range() -> None:
    for mantissa_bits in (0, 3, 10):
        expected = 13.80 + 6.02 * mantissa_bits
        assert ample_range_qsnr(mantissa_bits) == pytest.approx(expected, abs=0.01)
    assert float_theorem("e5m2", 2.0) == pytest.approx(ample_range_qsnr(2), abs=1e-3)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_theorems_cross_where_they_say(pair: Pair) -> None:
    crossing = theorem_crossover(pair)
    assert crossing is not None
    block_size = None if pair.power_of_two else pair.block_size

    def lead(kappa: float) -> float:
        bits = mf.parse(pair.integer).bits
        options = {"scale_ratio": pair.scale_ratio, "block_size": block_size}
        integer = integer_theorem(bits, kappa, **options)  # type: ignore[arg-type]
        return integer - float_theorem(pair.minifloat, kappa, **options)  # type: ignore[arg-type]

    assert lead(crossing.crest_factor) == pytest.approx(0, abs=1e-9)
    assert lead(crossing.crest_factor * 0.99) > 0 > lead(crossing.crest_factor * 1.01)


@pytest.mark.parametrize(
    ("pair", "crest_factor", "qsnr"),
    [(MX6, 2.002, 31.24), (MX4, 1.778, 19.32), (NV4, 2.288, 20.78)],
    ids=["MX6", "MX4", "NV4"],
)
def test_exact_crossovers(pair: Pair, crest_factor: float, qsnr: float) -> None:
    """Figures of our own; `test_gaussian_blocks` has the second opinions on the QSNR."""
    crossing = exact_crossover(pair)
    assert crossing is not None
    assert round(crossing.crest_factor, 3) == crest_factor
    assert round(crossing.qsnr, 2) == qsnr


def test_int8_loses_less_in_every_gaussian_block_of_32() -> None:
    """The theorem's crossover is out of reach there: a crest factor is at most sqrt(32) = 5.7."""
    assert exact_crossover(MX8) is None
    crossing = exact_crossover(replace(MX8, block_size=4096))
    assert crossing is not None
    assert round(crossing.crest_factor, 2) == 7.92


def test_the_integer_theorem_counts_one_level_too_many() -> None:
    for pair, bits in ((MX8, 8), (MX6, 6), (MX4, 4)):
        (errors,) = theorem_errors(pair, [2.35])
        levels = 20 * math.log10(2 ** (bits - 1) / (2 ** (bits - 1) - 1))
        ratio = 10 * math.log10(1.5**2 * 2 * math.log(2) / 3)  # 1.5^2 over the mean of rho^2
        assert errors.integer_error == pytest.approx(levels - ratio, abs=0.03)


def test_the_float_theorem_takes_significands_as_uniform() -> None:
    """The mean of 1 / u^2 is 1/2 for a uniform u in [1, 2), 3 / (8 ln 2) for a log-uniform one."""
    (errors,) = theorem_errors(MX8, [2.35])
    too_good = 10 * math.log10(3 / (8 * math.log(2)) / (1 / 2))
    assert errors.float_error == pytest.approx(too_good, abs=0.02)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_errors_are_between_the_two_columns(pair: Pair) -> None:
    for errors in theorem_errors(pair, [1.0, 2.35, 3.0]):
        assert errors.integer_error == errors.integer_theorem - errors.integer_exact
        assert errors.float_error == errors.float_theorem - errors.float_exact
        assert -0.1 < errors.integer_error < 1.2
        assert 0 < errors.float_error < 0.6
        assert errors.crest_factor <= math.sqrt(pair.block_size)


def test_exact_noise_of_a_precise_scale_is_that_of_the_pair() -> None:
    (errors,) = theorem_errors(NV4, [2.1])
    assert errors.integer_exact == block_qsnr("int4", 2.1, 16)
    assert errors.float_exact == block_qsnr("e2m1", 2.1, 16)


def test_a_pair_that_never_crosses() -> None:
    assert theorem_crossover(replace(MX4, integer="int8")) is None
    assert exact_crossover(replace(MX4, integer="int8")) is None


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="crest_factor must be at least 1"):
        integer_theorem(4, 0.5)
    with pytest.raises(ValueError, match="bits must be at least 2"):
        integer_theorem(1, 2.0)
    with pytest.raises(ValueError, match="scale_ratio must be positive"):
        float_theorem("e2m1", 2.0, scale_ratio=0.0)
    with pytest.raises(ValueError, match="block_size must be at least 2"):
        float_theorem("e2m1", 2.0, block_size=1)
    with pytest.raises(ValueError, match="crest_factor must be smaller"):
        float_theorem("e5m2", 4.5, block_size=16)
    with pytest.raises(ValueError, match="fmt must have subnormals"):
        float_theorem(mf.Format(2, 1, subnormals=False), 2.0)
    with pytest.raises(TypeError, match="fmt must be an ExMy format, got int4"):
        float_theorem("int4", 2.0)
    with pytest.raises(ValueError, match="mantissa_bits must be at least 0"):
        ample_range_qsnr(-1)

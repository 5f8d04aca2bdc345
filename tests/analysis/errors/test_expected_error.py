"""The exact error of a grid against quadrature by cells, and the smallest one against a scan."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import scipy.integrate

from analysis import Empirical, code_entropy, expected_mse, optimal_scale, parse_distribution
from analysis.errors.distributions import Distribution
from analysis.errors.expected_error import mse_at_scales, scan_of_scales, squared_error_within
from analysis.errors.grids import grid_of
from minifloat.formats import Codebook, Format, Integer, NumberFormat
from minifloat.formats.names import parse

NAMES = ["normal", "laplace", "logistic", "uniform", "student_t(3)", "student_t(5)"]
FORMATS = ["e2m2", "int5", "nf4", "bnb_fp4", "int4full", "bipolar_int3", "e5m2", "e4m3fn", "ue4m3"]


def mse_by_quadrature(fmt: NumberFormat, density: Distribution, scale: float) -> float:
    """Integrate every cell by itself, over pieces short enough for any of the densities."""
    values = np.unique(fmt.values()[np.isfinite(fmt.values())]) * scale
    middles = (values[:-1] + values[1:]) / 2
    end = 60.0 if density.tail_index > 100 else 1e13
    edges = np.concatenate([[-end], middles, [end]])
    steps = np.concatenate([np.arange(-8, 8.1, 0.5), [-math.sqrt(3), math.sqrt(3)]])
    far = np.geomspace(8, end, 60)
    errors = []
    for value, low, high in zip(values, edges[:-1], edges[1:], strict=True):
        points = np.unique(np.concatenate([[low, high], steps, far, -far]))
        points = points[(points >= low) & (points <= high)]
        for a, b in pairwise(points):
            errors.append(
                scipy.integrate.quad(
                    lambda t, v: (t - v) ** 2 * float(density.pdf(t)),
                    a,
                    b,
                    args=(value,),
                    epsabs=1e-18,
                    epsrel=1e-12,
                )[0]
            )
    errors.append(2 * float(density.upper_moments(end).second))  # the rest is beyond all values
    return math.fsum(errors)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fmt", FORMATS)
def test_against_quadrature(fmt: str, name: str) -> None:
    density = parse_distribution(name)
    scale = optimal_scale(fmt, density)[0]
    for factor in (1.0, 1.7):
        found = expected_mse(fmt, density, scale * factor)
        wanted = mse_by_quadrature(parse(fmt), density, scale * factor)
        assert found == pytest.approx(wanted, rel=1e-10, abs=0)


@pytest.mark.parametrize("name", ["normal", "laplace", "student_t(5)"])
@pytest.mark.parametrize("fmt", [Integer(9), Format(3, 7), Format(2, 8)], ids=str)
def test_tiny_errors_do_not_cancel(fmt: NumberFormat, name: str) -> None:
    """Also with scales so small that the moments of a cell agree to eleven digits."""
    density = parse_distribution(name)
    scale = optimal_scale(fmt, density)[0]
    for factor in (1.0, 0.01):
        wanted = mse_by_quadrature(fmt, density, factor * scale)
        assert expected_mse(fmt, density, factor * scale) == pytest.approx(wanted, rel=1e-10, abs=0)


@pytest.mark.parametrize("fmt", [Integer(16), Format(2, 13)], ids=str)
def test_sixteen_bits(fmt: NumberFormat) -> None:
    """Against as many Gauss nodes in every cell, all quadrature, and fsum."""
    density = parse_distribution("normal")
    scale = 6.5 / fmt.max
    values = np.unique(fmt.values()[np.isfinite(fmt.values())]) * scale
    middles = (values[:-1] + values[1:]) / 2
    nodes, weights = np.polynomial.legendre.leggauss(12)
    tails = np.arange(0.25, 6, 0.25)  # beyond the ends, in pieces
    first, last = values[0], values[-1]
    edges = np.concatenate([first - tails[::-1], [first], middles, [last], last + tails])
    low, high = edges[:-1], edges[1:]
    values = np.pad(values, tails.size, mode="edge")
    t = low[:, None] + (high - low)[:, None] * (1 + nodes) / 2
    squares = (t - values[:, None]) ** 2 * density.pdf(t)
    wanted = math.fsum((squares @ weights * (high - low) / 2).tolist())
    assert expected_mse(fmt, density, scale) == pytest.approx(wanted, rel=1e-10, abs=0)


@pytest.mark.parametrize("name", NAMES)
def test_a_few_narrow_cells_do_not_cancel(name: str) -> None:
    """Fifty of 65535: against their moments, of which they are 1e-12, nothing averages out."""
    density, scale, limit = parse_distribution(name), 2e-4, 0.01
    nodes, weights = np.polynomial.legendre.leggauss(12)
    edges = np.append(scale * np.array([0, *np.arange(0.5, 50)]), limit)
    t = edges[:-1, None] + np.diff(edges)[:, None] * (1 + nodes) / 2
    squares = (t - scale * np.arange(51)[:, None]) ** 2 * density.pdf(t)
    wanted = 2 * math.fsum((squares @ weights * np.diff(edges) / 2).tolist())
    found = squared_error_within(grid_of("int16"), density, np.array([scale]), np.array([limit]))
    assert found[0] == pytest.approx(wanted, rel=1e-12, abs=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fmt", ["e2m1", "e3m1", "e4m0", "e4m3fn", "nf4", "int4full", "bnb_fp4"])
def test_the_least_is_the_least_of_a_dense_scan(fmt: str, name: str) -> None:
    """Twenty thousand scales find nothing better, and nothing near is."""
    grid, density = grid_of(fmt), parse_distribution(name)
    scale, mse = optimal_scale(fmt, name)
    scan = scan_of_scales(grid, density)
    dense = np.geomspace(scan[0], scan[-1], 20_000 if fmt != "e4m3fn" else 8_000)
    errors = mse_at_scales(grid, density, dense)
    assert mse <= errors.min() * (1 + 1e-11)
    assert mse == pytest.approx(errors.min(), rel=1e-5, abs=0)
    near = mse_at_scales(grid, density, scale * (1 + np.array([-1e-6, 0, 1e-6])))
    assert near[1] == pytest.approx(mse, rel=1e-14, abs=0)
    assert min(near[0], near[2]) >= mse * (1 - 1e-12)


@pytest.mark.parametrize("fmt", ["int2", "bipolar_int1", "e2m1", [0.573, 0.637], [-1.0, 3.0, 3.5]])
def test_the_least_is_far_out_where_one_weight_is_nearly_all(fmt: str | list[float]) -> None:
    """Among six hundred scales to an octave, over 33 octaves, none is better."""
    weights = np.append(np.linspace(-0.1, 0.11, 600), 5000.0)
    weights /= np.sqrt(np.mean(weights**2))
    form = Codebook(fmt) if isinstance(fmt, list) else parse(fmt)
    values = np.unique(form.values()[np.isfinite(form.values())])
    scales = np.geomspace(1e-5, 1e5, 20_000)
    least = min(
        np.mean((weights - s * values[np.abs(weights[:, None] - s * values).argmin(axis=1)]) ** 2)
        for s in scales
    )
    scale, mse = optimal_scale(form, Empirical(weights))
    assert mse <= least * (1 + 1e-12)
    assert mse == pytest.approx(least, rel=1e-3, abs=1e-6)
    assert expected_mse(form, Empirical(weights), scale) == pytest.approx(mse, rel=1e-9)


def test_two_neighbours_above_zero_have_their_best_scale_near_zero() -> None:
    """All weights saturate: 1 - s (b - a) E|x| + s**2 (a**2 + b**2) / 2 is least at its vertex."""
    a, b = 0.636, 0.637
    found = optimal_scale(Codebook([a, b]), "normal")
    mean = math.sqrt(2 / math.pi)
    assert found[0] == pytest.approx((b - a) * mean / (a * a + b * b), rel=1e-4)


def test_the_error_has_many_minima() -> None:
    """Else a simple descent would do: E4M0's has one to each octave."""
    grid = grid_of("e4m0")
    normal = parse_distribution("normal")
    errors = mse_at_scales(grid, normal, scan_of_scales(grid, normal))
    inner = errors[1:-1]
    assert np.count_nonzero((inner < errors[:-2]) & (inner < errors[2:])) > 8


@pytest.mark.parametrize("bits", range(3, 9))
@pytest.mark.parametrize("name", NAMES)
def test_one_exponent_bit_is_an_integer(bits: int, name: str) -> None:
    fmt = Format(1, bits - 2)
    float_scale, float_mse = optimal_scale(fmt, name)
    int_scale, int_mse = optimal_scale(Integer(bits), name)
    assert float_mse == pytest.approx(int_mse, rel=1e-12, abs=0)
    assert float_scale * fmt.smallest == pytest.approx(int_scale, rel=1e-6, abs=0)


@pytest.mark.parametrize("name", NAMES)
def test_bias_moves_nothing_under_a_free_scale(name: str) -> None:
    smallest = [optimal_scale(Format(2, 2, bias=bias), name)[1] for bias in (-3, 0, 1, 2, 9)]
    np.testing.assert_allclose(smallest, smallest[0], rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_finer_grid_loses_no_more(name: str) -> None:
    """Each of these grids holds the one before, if need be times a power of two."""
    chains = [
        [Format(2, mantissa_bits) for mantissa_bits in range(5)],
        [Format(1, mantissa_bits) for mantissa_bits in range(1, 6)],
        [Format(exponent_bits, 2) for exponent_bits in range(1, 4)],
        [parse("e2m1"), parse("e2m2"), Integer(6)],
        [Codebook([-1, 0, 1]), Codebook([-1, 0, 0.3, 1]), Codebook([-1, -0.7, 0, 0.3, 1])],
    ]
    for chain in chains:
        errors_of_chain = [optimal_scale(fmt, name)[1] for fmt in chain]
        assert all(b <= a * (1 + 1e-12) for a, b in pairwise(errors_of_chain))


def test_specials_and_saturation() -> None:
    assert expected_mse("e2m2ieee", "normal", 0.4) == pytest.approx(
        expected_mse(
            Codebook([-3.5, -3, -2.5, *np.arange(-2, 2.25, 0.25), 2.5, 3, 3.5]),
            "normal",
            0.4,
        ),
        rel=1e-14,
    )
    assert expected_mse("e4m3fn", "normal", 1e-9) == pytest.approx(1, rel=1e-5, abs=0)
    assert expected_mse("int4", "normal", 1e9) == pytest.approx(1, rel=1e-14, abs=0)
    # an unsigned grid sends all that is negative to 0: half the variance
    assert expected_mse("ue4m3", "normal", 0.01) == pytest.approx(0.5, abs=1e-3)


def test_weights_are_quantized_one_by_one() -> None:
    weights = np.random.default_rng(7).standard_t(4, 5000) + 0.2
    density = Empirical(weights)
    for fmt in ("e2m2", "nf4", "int8", "bipolar_int2"):
        values = grid_of(fmt).values
        for scale in (0.02, 0.3):
            distance = np.abs(density.sorted[:, None] - scale * values).min(axis=1)
            assert expected_mse(fmt, density, scale) == pytest.approx(
                np.mean(distance**2), rel=1e-10, abs=0
            )


def test_entropy() -> None:
    assert code_entropy("int2", "uniform", 2 / math.sqrt(3)) == pytest.approx(math.log2(3))
    assert code_entropy("bipolar_int3", "uniform", math.sqrt(3) / 8) == pytest.approx(3)
    # against the chances of the cells, from the distribution function
    scale, density = 0.37, parse_distribution("student_t(5)")
    for fmt in ("nf4", "e2m2", "bipolar_int2", "int4full"):
        edges = np.concatenate([[-math.inf], grid_of(fmt).middles * scale, [math.inf]])
        p = np.diff(density.cdf(edges))
        assert code_entropy(fmt, density, scale) == pytest.approx(-(p * np.log2(p)).sum())
    weights = Empirical([1.0, 1.0, -1.0, -1.0])
    assert code_entropy("int2", weights, 1.0) == 1


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, math.nan])
def test_scales_out_of_range(scale: float) -> None:
    with pytest.raises(ValueError, match="scale must be positive and finite, got"):
        expected_mse("e2m2", "normal", scale)
    with pytest.raises(ValueError, match="scale must be positive and finite, got"):
        code_entropy("e2m2", "normal", scale)


def test_a_grid_of_zeros_has_no_best_scale() -> None:
    with pytest.raises(ValueError, match="fmt must have a value that is not 0"):
        optimal_scale(Codebook([0.0, -0.0]), "normal")

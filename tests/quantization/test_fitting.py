"""The best codebook for data, against all partitions and a slow dynamic program, on fractions."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

import minifloat as mf
from minifloat.quantization.fitting import best_levels

SLACK = 1 + Fraction(1, 10**13)


def error_of(levels: list[float], values: list[float], weights: list[float]) -> Fraction:
    """Return the weighted squared error of levels, exactly."""
    return sum(
        (
            Fraction(w) * min((Fraction(v) - Fraction(level)) ** 2 for level in levels)
            for v, w in zip(values, weights, strict=True)
        ),
        Fraction(0),
    )


def cell_error(cell: list[tuple[Fraction, Fraction]]) -> Fraction:
    """Return the squared error of pairs of value and weight about their mean."""
    mass = sum(w for _, w in cell)
    if not mass:
        return Fraction(0)
    mean = sum(v * w for v, w in cell) / mass
    return sum((w * (v - mean) ** 2 for v, w in cell), Fraction(0))


def least_error(values: list[float], weights: list[float], count: int) -> Fraction:
    """Return the least error of so many levels: of all partitions into intervals."""
    pairs = sorted((Fraction(v), Fraction(w)) for v, w in zip(values, weights, strict=True))
    inner = range(1, len(pairs))
    return min(
        sum(cell_error(pairs[a:b]) for a, b in itertools.pairwise((0, *cuts, len(pairs))))
        for cuts in itertools.combinations(inner, min(count, len(pairs)) - 1)
    )


def test_no_partition_is_better() -> None:
    rng = np.random.default_rng(1)
    tried = 0
    for case in range(90):
        size, count = int(rng.integers(2, 9)), int(rng.integers(2, 6))
        values = rng.integers(-20, 20, size).astype(float)
        if case % 2:
            values = rng.standard_normal(size) * 10.0 ** rng.integers(-3, 3)
        if case % 3 == 0:
            values += 1e6
        weights = rng.integers(0, 5, size).astype(float)
        if np.unique(values[weights > 0]).size < 2:
            continue
        levels = list(mf.fit_codebook(values, count, weights))
        got = error_of(levels, values.tolist(), weights.tolist())
        # a level is a float: about 1e6 its rounding alone costs this
        rounding = sum(map(Fraction, weights)) * Fraction(abs(values).max()) ** 2 / 2**104
        assert got <= least_error(values.tolist(), weights.tolist(), count) * SLACK + rounding
        tried += 1
    assert tried > 60


def test_no_partition_by_a_slow_dynamic_program_is_better() -> None:
    rng = np.random.default_rng(2)
    values = sorted(rng.integers(-1000, 1000, 40).tolist())
    weights = rng.integers(1, 9, 40).tolist()
    pairs = [(Fraction(v), Fraction(w)) for v, w in zip(values, weights, strict=True)]
    cells = {(j, i): cell_error(pairs[j:i]) for j in range(len(pairs)) for i in range(j + 1, 41)}
    known = [Fraction(0)] + [cells[0, i] for i in range(1, 41)]
    for count in range(2, 18):
        known = [
            min((known[j] + cells[j, i] for j in range(count - 1, i)), default=Fraction(0))
            for i in range(41)
        ]
        levels = list(mf.fit_codebook(values, count, weights))
        assert error_of(levels, values, weights) <= known[40] * SLACK


def k_means(values: np.ndarray, count: int, rng: np.random.Generator) -> list[float]:
    """Return the levels where Lloyd's iterations stop, from random data as first levels."""
    levels = np.sort(rng.choice(np.unique(values), count, replace=False))
    while True:
        nearest = abs(values[:, None] - levels).argmin(axis=1)
        moved = np.array([values[nearest == k].mean() for k in range(count)])
        if (moved == levels).all():
            return levels.tolist()
        levels = moved


def test_k_means_is_never_better_and_mostly_worse() -> None:
    rng = np.random.default_rng(3)
    excess = []
    for _ in range(20):
        values = rng.standard_normal(200)
        best = np.array(list(mf.fit_codebook(values, 8)))
        local = np.array(k_means(values, 8, rng))
        errors = [((values[:, None] - levels) ** 2).min(axis=1).sum() for levels in (best, local)]
        excess.append(errors[1] / errors[0] - 1)
    assert min(excess) > -1e-12
    assert np.median(excess) > 0.01


def test_it_finds_lloyd_and_maxs_levels() -> None:
    from scipy.special import ndtri

    from analysis.errors.optimal_quantizers import lloyd_max

    values = ndtri((np.arange(20000) + 0.5) / 20000)
    np.testing.assert_allclose(
        list(mf.fit_codebook(values, 8)), lloyd_max("normal", 8).levels, atol=2e-3
    )


def test_a_common_factor_and_a_shift_change_nothing() -> None:
    values = np.array([0.0, 1.0, 3.0, 4.5, 9.0, 9.25, 30.0])
    levels = np.array(list(mf.fit_codebook(values, 4)))
    for factor in (2.0**-600, 2.0**500):
        assert list(mf.fit_codebook(values * factor, 4)) == (levels * factor).tolist()
        assert list(mf.fit_codebook(values, 4, np.full(7, factor))) == levels.tolist()
    assert list(mf.fit_codebook(values + 2.0**40, 4)) == (levels + 2.0**40).tolist()


def test_few_different_values_are_the_codebook() -> None:
    assert list(mf.fit_codebook([3, 1, 3, -0.0, 0.0], 8, name="mine")) == [0, 1, 3]
    assert list(mf.fit_codebook([1.0, 2.0, 3.0], 2, [1, 0, 1])) == [1.0, 3.0]


def test_rows_without_weights_and_short_rows() -> None:
    values = np.array([[1.0, 2.0, 6.0], [1.0, 2.0, 9.0]])
    weights = np.array([[0.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    levels = best_levels(values, weights, 2)
    assert levels.tolist() == [[1.5, 6.0], [2.0, 9.0]]
    assert best_levels(values[:1, :1], None, 4).tolist() == [[1.0] * 4]


def test_cells_are_split_in_two_in_the_best_way() -> None:
    rng = np.random.default_rng(4)
    for _ in range(30):
        values = np.sort(rng.integers(0, 60, 12)).astype(float)
        nested = best_levels(values[None], None, 4, 2)[0]
        pairs = [(Fraction(v), Fraction(1)) for v in values]
        cut = min(range(1, 12), key=lambda j: cell_error(pairs[:j]) + cell_error(pairs[j:]))
        wanted = sum(
            least_error([float(v) for v, _ in part], [1.0] * len(part), 2)
            for part in (pairs[:cut], pairs[cut:])
        )
        got = error_of(nested.tolist(), values.tolist(), [1.0] * 12)
        assert got <= wanted * SLACK + Fraction(1, 10**20)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, np.inf], 2), "values must be finite, got inf; leave it out"),
        (([1.0, 1.0], 2), "values must have at least two different ones"),
        (([], 2), "values must have at least two different ones"),
        (([1.0, 2.0], 1), r"levels must be in 2..65536, got 1"),
        (([1.0, 2.0], 2, [1.0, -1.0]), "weights must be finite and at least 0, got -1"),
        (([1.0, 2.0], 2, [1.0] * 3), r"weights must broadcast to the shape of values, \(2,\)"),
        (([1.0, 2.0], 2, [0.0, 0.0]), "at least two different ones with a weight above 0, got 0"),
    ],
)
def test_what_is_wrong_is_said(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mf.fit_codebook(*arguments)  # type: ignore[arg-type]

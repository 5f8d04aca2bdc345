"""k-means, the contrast of the best codebook: what it is, and that it is never better."""

from __future__ import annotations

import numpy as np

from analysis.errors.k_means import excess, k_means, squared_error


def test_it_stops_where_each_level_is_the_mean_of_what_is_nearest() -> None:
    values = np.sort(np.random.default_rng(1).standard_normal(300))
    levels = k_means(values, 8, 1, np.random.default_rng(2))
    nearest = abs(values[:, None] - levels).argmin(axis=1)
    assert np.unique(nearest).size == 8
    np.testing.assert_allclose(levels, [values[nearest == k].mean() for k in range(8)], rtol=1e-12)
    exact = sum(
        (values[nearest == k] - levels[k]) @ (values[nearest == k] - levels[k]) for k in range(8)
    )
    np.testing.assert_allclose(squared_error(values, levels), exact, rtol=1e-12)


def test_more_starts_are_nearer_to_the_best() -> None:
    rows = np.random.default_rng(3).standard_normal((6, 400))
    one, several = excess(rows, 12, 1), excess(rows, 12, 8)
    assert (several > -1e-12).all()
    assert one.mean() > several.mean() > 0

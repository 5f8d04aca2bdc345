"""Kendall's tau against SciPy's, and an interval that holds what it says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau

from analysis.hardware.rankings import agreement


def test_tau_is_that_of_scipy() -> None:
    x, y = np.random.default_rng(1).normal(size=(2, 30))
    y = y + 0.8 * x
    found = agreement(x.tolist(), y.tolist())
    assert found.tau == pytest.approx(kendalltau(x, y).statistic, abs=1e-12)
    assert found.pairs == 30 * 29 // 2
    assert found.same == (1 + found.tau) / 2 * found.pairs
    assert found.low < found.tau < found.high


def test_only_pairs_within_a_group_count() -> None:
    found = agreement([1, 2, 10, 20], [2, 1, 10, 20], ["a", "a", "b", "b"])
    assert (found.same, found.pairs, found.tau) == (1, 2, 0.0)
    assert agreement([1, 2, 3], [1, 2, 3]).low == 1.0


def test_the_interval_holds_the_tau_of_the_law_in_most_samples() -> None:
    """Of a Gaussian pair with correlation r it is 2 asin(r) / pi."""
    r, inside = 0.6, 0
    for seed in range(24):
        x, z = np.random.default_rng(seed).normal(size=(2, 40))
        found = agreement(x.tolist(), (r * x + (1 - r * r) ** 0.5 * z).tolist())
        inside += found.low <= 2 * np.arcsin(r) / np.pi <= found.high
    assert 20 <= inside <= 24


@pytest.mark.parametrize(
    ("one", "other", "group", "message"),
    [
        ([1.0], [1.0, 2.0], None, "designs must be as many"),
        ([1.0, 2.0], [1.0, 2.0], ["a", "b"], "designs must make a pair"),
        ([1.0], [1.0], None, "designs must make a pair"),
        ([], [], None, "designs must make a pair"),
    ],
)
def test_what_has_no_ranking_is_refused(
    one: list[float], other: list[float], group: list[str] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        agreement(one, other, group)

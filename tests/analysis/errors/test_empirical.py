"""The law of given weights: its sums, its checks, and the size of the weights."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis import Empirical, absmax_mse_of_weights


def test_arguments_out_of_range() -> None:
    with pytest.raises(ValueError, match="order must be 1 or 2, got 0"):
        Empirical([1.0]).partial_moment(0, 0.0)
    with pytest.raises(ValueError, match="weights must be finite and not all zero"):
        Empirical([0.0, 0.0])
    with pytest.raises(ValueError, match="weights must be finite"):
        Empirical([1.0, math.nan])
    with pytest.raises(ValueError, match="block_size must be finite and at least 1, got 0"):
        absmax_mse_of_weights("e2m2", [1.0], 0)


def test_empirical_sums() -> None:
    weights = np.random.default_rng(3).standard_normal((30, 40)) + 0.3
    weights[:3] = 0
    law = Empirical(weights)
    unit = weights.reshape(-1) / np.sqrt(np.mean(weights**2))
    for x in (0.0, 0.5, 2.0):
        for sign in (1, -1):
            side = unit[(sign * unit >= x) & ((unit != 0) | (sign > 0))]
            for order, found in enumerate(law.upper_moments(x, sign)):
                assert float(found) == pytest.approx(
                    (sign * side) ** order @ np.ones(side.size) / unit.size, abs=1e-15
                )
    x = 0.4
    assert law.cdf(x) == np.mean(unit <= x)
    for order in (1, 2):
        moment = (unit[unit <= x] ** order).sum() / unit.size
        assert float(law.partial_moment(order, x)) == pytest.approx(moment, rel=1e-12, abs=0)
    assert law.magnitude_beyond(1 / unit.size) == pytest.approx(np.abs(unit).max())
    assert law.magnitude_beyond(1.0) == 0


def test_weights_of_any_size_are_standardised() -> None:
    weights = np.random.default_rng(4).standard_normal(100)
    for factor in (1e-300, 1e300):
        np.testing.assert_allclose(Empirical(weights * factor).sorted, Empirical(weights).sorted)

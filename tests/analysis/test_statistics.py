"""Standard errors and fitted slopes, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.statistics import Estimate, fitted


def test_the_standard_error_is_that_of_the_mean() -> None:
    assert Estimate.of([1.0, 2.0, 3.0, 6.0]) == Estimate(3.0, math.sqrt(14 / 3 / 4))
    assert Estimate.of(np.float32([5.0])) == Estimate(5.0, 0.0)


def test_a_slope_and_the_error_of_its_scatter() -> None:
    slope, error = fitted(np.array([0.0, 1.0, 0.0]), np.array([0.0, 1.0, 1.0]))
    assert slope == pytest.approx(0.5)
    assert error == pytest.approx(math.sqrt(0.5 / (2 / 3)))

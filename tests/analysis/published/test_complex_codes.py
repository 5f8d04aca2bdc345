"""The published 4.40 and 8.86 dB of Fairy2i, by theory and by the library."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from analysis.published.complex_codes import PUBLISHED, exact_ratio, measured_ratio


@pytest.mark.parametrize("stages", [1, 2])
def test_the_published_ratios_on_normal_weights(stages: int) -> None:
    exact = exact_ratio(stages)
    assert exact == pytest.approx(PUBLISHED[stages], abs=0.015)
    assert measured_ratio(stages) == pytest.approx(exact, abs=0.025)


def test_the_exact_ratios_by_integration() -> None:
    def mean(of) -> float:  # type: ignore[no-untyped-def]
        return float(2 * sum(quad(lambda x: of(x) * norm.pdf(x), *ends)[0] for ends in ENDS))

    a = mean(abs)
    b = mean(lambda x: abs(x - a))
    errors = {1: mean(lambda x: (x - a) ** 2), 2: mean(lambda x: (abs(x - a) - b) ** 2)}
    for stages, error in errors.items():
        assert exact_ratio(stages) == pytest.approx(-10 * np.log10(error))


ENDS = ((0, 0.8), (0.8, 12))

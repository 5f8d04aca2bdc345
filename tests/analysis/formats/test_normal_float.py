"""NormalFloat codebooks against the published ones, and the definition of the offset."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

import minifloat as mf
from analysis.formats.normal_float import normal_float, offset


def test_published_codebooks_come_out() -> None:
    for ours, published in (
        (normal_float(4), "nf4"),
        (normal_float(5, offset_bits=4), "nf5"),
    ):
        assert np.allclose(ours.values(), mf.parse(published).values(), rtol=0, atol=2e-7)
    assert np.abs(normal_float(5).values() - mf.parse("nf5").values()).max() > 0.05


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_values_are_quantiles(bits: int) -> None:
    """Even steps of probability from the offset to a half, on both sides."""
    count = 2 ** (bits - 1)
    values = normal_float(bits).values()
    assert len(set(values)) == 2 * count
    chances = scipy.stats.norm.cdf(np.sort(values) * scipy.stats.norm.ppf(offset(bits)))
    steps = np.diff(chances)
    assert np.allclose(steps[: count - 1], (offset(bits) - 0.5) / (count - 1), rtol=1e-6)
    assert np.allclose(steps[count - 1 :], (offset(bits) - 0.5) / count, rtol=1e-6)
    assert chances[count - 1] == 0.5


def test_widths_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"bits must be in 2\.\.8, got 9"):
        normal_float(9)
    with pytest.raises(ValueError, match=r"offset_bits must be in 2\.\.8, got 0"):
        normal_float(5, offset_bits=0)

"""The share of weights that round beyond the last level, against samples."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.published.scale_pitfall import share_beyond_last_level

SAMPLES = 1 << 20


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_share_agrees_with_samples(dtype: str) -> None:
    if dtype == "bfloat16":
        dtypes = pytest.importorskip("ml_dtypes")
        x = np.random.default_rng(3).standard_normal(SAMPLES).astype(dtypes.bfloat16)
    else:
        x = np.random.default_rng(3).standard_normal(SAMPLES).astype(dtype)
    with np.errstate(all="ignore"):
        levels = np.rint((x / (x / x.dtype.type(127))).astype(np.float64))
    share = share_beyond_last_level(dtype)
    five_sigmas = 5 * math.sqrt(share * (1 - share) / SAMPLES)
    assert abs(np.mean(levels > 127) - share) <= five_sigmas


def test_unknown_dtype() -> None:
    with pytest.raises(ValueError, match="dtype must be bfloat16, float16 or float32, got int8"):
        share_beyond_last_level("int8")

"""What `Quantized` accepts means what its parts say, for every way of reading it."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import minifloat as mf
from tests.quantization.made_by_hand import any_quantized


def float32(number: float) -> np.float32:
    with np.errstate(all="ignore"):
        return np.float32(number)


def by_definition(q: mf.Quantized) -> np.ndarray:
    """Return the weights one by one: value less zero point, times scale, times tensor scale."""
    weights = np.empty(q.shape, np.float32)
    block = q.recipe.block
    for index in np.ndindex(q.shape):
        at = list(index)
        if q.axis is None:
            at = []
        elif block == "channel":
            at[q.axis] = 0
        else:
            height, width = block if isinstance(block, tuple) else (1, block)
            at[q.axis] //= width
            if len(at) > 1 and height > 1:
                at[-2] //= height
        value = q.fmt.value(int(q.codes[index]))
        zero = 0 if q.zero_points is None else int(q.zero_points[tuple(at)])
        scale = float(q.scales[tuple(at)]) * (q.tensor_scale or 1.0)
        product = (value - zero) * scale
        weights[index] = float32(product if product == product else math.nan)
    return weights


@settings(max_examples=100, deadline=None)
@given(q=any_quantized(), data=st.data())
def test_any_parts_are_read_in_one_way(q: mf.Quantized, data: st.DataObject) -> None:
    want = by_definition(q)
    np.testing.assert_array_equal(q.dequantize(), want)
    np.testing.assert_array_equal(np.asarray(q), want)
    if q.shape:
        rows = data.draw(st.slices(q.shape[0]))
        picked = q[rows]
        np.testing.assert_array_equal(picked.dequantize(), want[rows])
        made = mf.Quantized(
            picked.packed, picked.scales, picked.recipe, picked.shape, picked.axis,
            picked.tensor_scale, picked.zero_points,
        )  # fmt: skip
        assert made == picked, "rows need no checks, for they pass them"
    if len(q.shape) == 2 and np.isfinite(want).all():
        for count in (1, 90):
            x = np.random.default_rng(count).integers(-3, 4, (count, q.shape[1]))
            top = float(np.abs(want).max(initial=0))
            if 1e-30 < top < 1e30:
                y = mf.linear(x, q)
                np.testing.assert_allclose(y, x @ want.T.astype(float), rtol=0, atol=1e-5 * top)

"""Shapes against NumPy's, and arrays of more axes than its own functions take."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minifloat as mf
from minifloat import arithmetic
from minifloat.arithmetic import p3109_blocks
from minifloat.arithmetic.shapes import common_shape

SHAPES = st.lists(st.lists(st.sampled_from([0, 1, 1, 2, 3]), max_size=4).map(tuple), min_size=1)


@given(SHAPES)
def test_shapes_are_numpys(shapes: list[tuple[int, ...]]) -> None:
    try:
        want = np.broadcast_shapes(*shapes)
    except ValueError:
        with pytest.raises(ValueError, match=r"^operands must have shapes that broadcast, got \("):
            common_shape(*shapes)
    else:
        assert common_shape(*shapes) == want


MANY = (2, *(1,) * 38)  # axes


@pytest.mark.parametrize(
    "verb",
    [
        lambda x, y: arithmetic.add(x, y, "e4m3fn"),
        arithmetic.less,
        lambda x, y: arithmetic.dot(x, y, accumulator="bfloat16"),
        lambda x, y: arithmetic.dot(x, y, accumulator="float64"),
        lambda x, y: arithmetic.matmul(x, y, unit="hopper/float16/float32"),
        lambda x, y: np.asarray(arithmetic.array(x, "e4m3fn") @ y),
        lambda x, y: arithmetic.shift_add(x.astype(int), mf.encode(y, "e4m3fn"), "e4m3fn"),
        lambda x, y: p3109_blocks.scaled("Add", 1.0, x, 1.0, y, fmt="binary8p4se"),
    ],
)
def test_arrays_of_many_axes(verb: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
    x, y = np.arange(6.0).reshape(2, 1, 3), np.ones((3, 3))
    many = x.reshape(*MANY, 1, 3)
    wide = verb(many, y)
    assert np.array_equal(np.ravel(wide), np.ravel(verb(x, y)))
    assert wide.ndim > 36

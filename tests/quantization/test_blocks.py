"""`Blocks`: rows, groups and scales of a tensor, against indices one after the other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minifloat.quantization.blocks import Blocks, spread, tiles

SHAPES = [(), (0,), (1,), (7,), (3, 0), (0, 3), (4, 6), (5, 7), (2, 3, 4), (2, 0, 4), (1, 5, 9)]


@st.composite
def any_blocks(draw: st.DrawFn) -> Blocks:
    shape = draw(st.sampled_from(SHAPES))
    block: Any = draw(
        st.one_of(
            st.integers(1, 8),
            st.tuples(st.integers(2, 4), st.integers(1, 5)),
            st.sampled_from(["channel", "tensor"]),
        )
    )
    axis = -1
    if shape and not isinstance(block, tuple):
        axis = draw(st.integers(-len(shape), len(shape) - 1))
    return Blocks.of(block, shape, axis)


@settings(max_examples=300)
@given(blocks=any_blocks())
def test_rows_and_groups(blocks: Blocks) -> None:
    numbers = np.arange(math.prod(blocks.shape)).reshape(blocks.shape)
    rows = blocks.rows(numbers)
    assert rows.shape == (blocks.row_count, blocks.length if rows.size else rows.shape[1])
    np.testing.assert_array_equal(blocks.restore(rows), numbers)
    scales = np.arange(math.prod(blocks.scale_shape)).reshape(blocks.scale_shape)
    scale_rows = blocks.scale_rows(scales)
    np.testing.assert_array_equal(blocks.restore_scales(scale_rows), scales)
    if not rows.size:
        return
    assert scale_rows.shape == (blocks.group_count, blocks.per_row)
    everything = slice(0, blocks.row_count)
    per_row = np.asarray(scale_rows[blocks.group_of(everything)])
    of_weights = blocks.restore(
        np.broadcast_to(spread(per_row, blocks.width, blocks.length), rows.shape)
    )
    for group in range(blocks.group_count):
        held = blocks.rows_of(group)
        assert 1 <= held.stop - held.start <= blocks.height
        for k in range(blocks.per_row):
            scale = scales[blocks.scale_index(group, k)]
            block = rows[held, k * blocks.width : (k + 1) * blocks.width]
            assert set(numbers[of_weights == scale]) == set(block.ravel())


@settings(max_examples=50)
@given(rows=st.integers(1, 4), length=st.integers(1, 9), width=st.integers(1, 5))
def test_tiles_are_the_blocks_of_a_group(rows: int, length: int, width: int) -> None:
    group = np.arange(rows * length).reshape(rows, length)
    blocks = [block for part in tiles(group, width) for block in part]
    assert len(blocks) == -(-length // width)
    for k, block in enumerate(blocks):
        np.testing.assert_array_equal(block, group[:, k * width : (k + 1) * width].ravel())


@pytest.mark.parametrize(
    ("block", "shape", "scale_shape"),
    [
        (32, (64, 100), (64, 4)),
        ((128, 128), (300, 1000), (3, 8)),
        ((128, 128), (1000,), (8,)),
        ((2, 2), (3, 5, 4), (3, 3, 2)),
        ("channel", (64, 100), (64, 1)),
        ("tensor", (64, 100), ()),
        (32, (), ()),
    ],
)
def test_shapes_of_scales(block: Any, shape: tuple[int, ...], scale_shape: tuple[int, ...]) -> None:
    assert Blocks.of(block, shape, -1).scale_shape == scale_shape

"""Arrays rotated and rounded part by part: those of whole arrays, wherever their numbers lie."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import minifloat as mf
from minifloat.quantization import block_parts
from minifloat.quantization.block_parts import parts_of, rotated, rounded_in_blocks
from minifloat.quantization.block_rounding import BlockRounder
from minifloat.quantization.recipes import Recipe

SIZES = [(64, 96), (96, 1), (1, 96), (2, 48, 96), (3, 96, 32)]


def layouts(shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yield normal numbers of a shape in several layouts in memory."""
    x = np.random.default_rng(7).standard_normal(shape, np.float32)
    yield x
    yield np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2)
    yield np.repeat(x, 2, axis=-1)[..., ::2]
    yield np.asfortranarray(x)
    yield x[..., ::-1, ::-1]


@pytest.mark.parametrize("size", [4, 16, 32, 12, 24])
@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("part", [1, 700, 1 << 18])
def test_any_layout_is_rotated_and_left_as_it_is(
    size: int, axis: int, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part may be a single row, whose numbers are not neighbours in memory."""
    monkeypatch.setattr(block_parts, "PART", part)
    rotation = mf.Rotation(size, 3)
    for shape in SIZES:
        if shape[axis] % size:
            continue
        for x in layouts(shape):
            before = x.tobytes()
            for back in (False, True):
                wanted = (rotation.rotate_back if back else rotation.rotate)(x, axis=axis)
                for threads in (1, 2):
                    found = rotated(x, rotation, axis, back=back, threads=threads)
                    assert found.tobytes() == wanted.tobytes()
            assert x.tobytes() == before


@pytest.mark.parametrize("text", ["e2m1/16/e4m3fn", "nvfp4", "four_over_six"])
@pytest.mark.parametrize("size", [None, 16, 12])
@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("part", [1, 700, 1 << 18])
def test_any_layout_is_rounded_and_left_as_it_is(
    text: str, size: int | None, axis: int, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_parts, "PART", part)
    rotation = None if size is None else mf.Rotation(size, 3)
    recipe = Recipe.parse(text)
    for shape in SIZES:
        if shape[axis] % (size or 1):
            continue
        for x in layouts(shape):
            before = x.tobytes()
            turned = x if rotation is None else rotation.rotate(x, axis=axis)
            wanted = mf.quantize(turned, recipe, axis=axis).dequantize()
            found = rounded_in_blocks(x, BlockRounder(recipe, axis, 16), rotation, threads=2)
            assert found is not None
            assert found.tobytes() == wanted.tobytes()
            assert x.tobytes() == before


@pytest.mark.parametrize("axis", [-1, -2])
def test_parts_are_whole_units_and_every_row_once(
    axis: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in (1, 50, 1000, 1 << 18):
        monkeypatch.setattr(block_parts, "PART", size)
        for shape in ((7, 9), (3, 40, 5), (2, 3, 16, 8), (1, 1)):
            for threads in (1, 3):
                parts = parts_of(shape, axis, 8, threads)
                rows = [row for part in parts for row in range(part.rows.start, part.rows.stop)]
                assert rows == list(range(int(np.prod(shape[:-1]))))
                for part in parts:
                    count = part.rows.stop - part.rows.start
                    assert int(np.prod(part.shape[:-1])) == count
                    if axis == -2 and len(part.shape) == 2:
                        assert part.place == part.rows.start % shape[-2]
                        assert part.place % 8 == 0
                        assert part.place + count <= shape[-2]

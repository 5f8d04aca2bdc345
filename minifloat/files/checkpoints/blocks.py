"""Which weights share a scale, told by the shapes of both."""

from __future__ import annotations

import math

from minifloat.files._safe import quoted
from minifloat.files.checkpoints.stored import Stored
from minifloat.quantization.blocks import Blocks
from minifloat.quantization.recipe_fields import Block


def block_of(
    scale: Stored,
    shape: tuple[int, ...],
    width: int | None = None,
    tile: tuple[int, int] | None = None,
) -> Block:
    """Return the block of weights that share a scale, which runs along the last axis.

    Parameters
    ----------
    scale : Stored
        A scale for all weights; for each row, as a column or without its axis; for each run of
        weights of a row; or for each tile of the last two axes.
    shape : tuple of int
        Of the weights.
    width : int, optional
        Weights of a run, which count where the scales' shape allows them. Otherwise runs and tiles
        divide the weights evenly.
    tile : (int, int), optional
        Rows and columns of a tile, likewise.

    Raises
    ------
    ValueError
        If the scales have no such shape.
    """
    if scale.size == 1:
        return "tensor"
    height, columns = (1, width) if tile is None else tile
    scales = scale.shape
    if len(scales) == len(shape) - 1 and scales == shape[:-1]:
        scales = (*scales, 1)
    if len(scales) == len(shape) - 2 and scales == shape[:-2]:
        scales = (*scales, 1, 1)
    if len(scales) != len(shape) or scales[:-2] != shape[:-2] or not math.prod(shape):
        raise _wrong(scale, shape)
    across = _length(shape[-1], scales[-1], columns)
    down = 1 if len(shape) == 1 or scales[-2] == shape[-2] else None
    if down is None:
        down = _length(shape[-2], scales[-2], height if tile else None)
    if across is None or down is None:
        raise _wrong(scale, shape)
    if down > 1:
        return down, across
    return "channel" if scales[-1] == 1 and across != width else across


def check_blocks(scale: Stored, shape: tuple[int, ...], block: Block, axis: int | None) -> None:
    """Refuse scales that are not as many as the blocks of weights of this shape."""
    wanted = Blocks.of(block, shape, axis).scale_shape
    if scale.size != math.prod(wanted):
        raise ValueError(
            f"{quoted(scale.name)} must have shape {wanted} for weights of {shape} in blocks of "
            f"{block}, got {scale.shape}"
        )


def _length(weights: int, scales: int, given: int | None) -> int | None:
    """Return the weights to a scale; None if so many scales are not possible."""
    if given is not None and scales == -(-weights // given):
        return given
    if scales < 1 or weights % scales:
        return None
    return weights // scales


def _wrong(scale: Stored, shape: tuple[int, ...]) -> ValueError:
    return ValueError(
        f"{quoted(scale.name)} must be scales of weights of shape {shape}, got shape {scale.shape}"
    )

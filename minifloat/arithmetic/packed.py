"""Packed operands: weights and activations as `minifloat.quantize` makes them."""

from __future__ import annotations

from typing import Any, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from minifloat._arrays import Codes
from minifloat.arithmetic.units import Unit
from minifloat.codec import decode, round_to
from minifloat.formats import Format, NumberFormat

Array = NDArray[Any]


class Packed(Protocol):
    """What an operand with scales has; `minifloat.Quantized` has it."""

    @property
    def fmt(self) -> NumberFormat:
        """Format of the codes."""

    @property
    def codes(self) -> Codes:
        """The codes."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the numbers."""

    @property
    def axis(self) -> int | None:
        """The axis that blocks run along."""

    @property
    def blocks(self) -> Any:
        """Which numbers share a scale: `minifloat.quantization.blocks.Blocks`."""

    @property
    def tensor_scale(self) -> float | None:
        """The factor of all scales."""

    @property
    def choices(self) -> Codes | None:
        """Which of several formats each block has."""

    @property
    def rotation(self) -> object | None:
        """How the numbers are rotated."""

    def row_scales(self) -> NDArray[np.float32]:
        """Return the scales of each row along the axis."""


def is_packed(x: object) -> TypeGuard[Packed]:
    """Return whether this is packed."""
    return hasattr(x, "row_scales")


def check_plain(name: str, q: Packed) -> None:
    """Raise a ValueError unless each number is what its code means in ``q.fmt``, times a scale."""
    if q.choices is not None:
        raise ValueError(
            f"{name} must have one format for all blocks, got {q!r}; quantize to one of them alone"
        )
    if q.fmt.is_lookup:
        raise ValueError(
            f"{name} must have scales and no tables, got {q!r}; quantize to another format"
        )
    if q.rotation is not None:
        raise ValueError(
            f"{name} must not be rotated, got {q.rotation}; take its .stored, with the other "
            "operand quantized by the same rotation"
        )


def values_and_scales(name: str, q: Packed, unit: Unit, axis: int) -> tuple[Format, Array, Array]:
    """Return the format, the values of the codes, and for each the scale of its block.

    Raises
    ------
    ValueError
        If the format, the blocks or the scales are not those that the unit takes.
    """
    assert unit.scale is not None
    check_plain(name, q)
    fmt = q.fmt
    if not isinstance(fmt, Format) or fmt not in unit.inputs:
        names = ", ".join(own.name for own in unit.inputs)
        raise ValueError(f"{name} must be in one of {names} for this unit, got {fmt}")
    axis %= max(len(q.shape), 1)
    blocks = q.blocks
    if q.axis != axis or (blocks.height, blocks.width) != (1, unit.scale_block):
        raise ValueError(
            f"{name} must have blocks of {unit.scale_block} along axis {axis}, where products are "
            f"added, got {blocks.height}x{blocks.width} along axis {q.axis}; quantize it with "
            f"block={unit.scale_block}, axis={axis}"
        )
    scales = q.row_scales()
    held = round_to(scales, unit.scale, overflow="saturate", nan="zero")
    wrong = (held != scales) & ~np.isnan(scales)
    if wrong.any():
        raise ValueError(
            f"{name} must have scales that are values of {unit.scale.name}, got "
            f"{scales[wrong][0]!s}; quantize it with such scales"
        )
    length = q.shape[axis]
    others = q.shape[:axis] + q.shape[axis + 1 :]
    spread = np.repeat(scales, blocks.width, axis=1)[:, :length].reshape(*others, length)
    return fmt, decode(q.codes, fmt), np.moveaxis(spread, -1, axis)

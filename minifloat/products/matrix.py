"""The weights of a product: anything that is packed as `minifloat.Quantized` is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from minifloat._arrays import Codes
from minifloat.formats import NumberFormat


class RowTransform(Protocol):
    """An orthonormal transform of rows; `minifloat.Rotation` is one."""

    def transform(self, rows: NDArray[Any], *, back: bool = False) -> None:
        """Transform C-contiguous rows in place, or undo it."""


class PackedMatrix(Protocol):
    """What products ask of weights; `minifloat.Quantized` has it."""

    @property
    def packed(self) -> NDArray[np.uint8]:
        """The codes in C order."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weights."""

    @property
    def scales(self) -> NDArray[np.float32]:
        """The scales of blocks."""

    @property
    def tensor_scale(self) -> float | None:
        """The factor of all scales."""

    @property
    def choices(self) -> NDArray[np.uint8] | None:
        """Which of several formats each block has, if there are several."""

    @property
    def fmt(self) -> NumberFormat:
        """Format of the codes."""

    @property
    def blocks(self) -> Any:
        """Which weights share a scale: `minifloat.quantization.blocks.Blocks`."""

    @property
    def rotation(self) -> RowTransform | None:
        """What the weights were transformed by along the axis of their blocks."""

    @property
    def stored(self) -> PackedMatrix:
        """The weights that the codes mean: transformed, if there is a rotation."""

    @property
    def product_forms(self) -> dict[Any, Any]:
        """What `form_of` has made of these weights."""

    def row_scales(self) -> NDArray[np.float32]:
        """Return the scales of each row."""

    def row_zero_points(self) -> Codes | None:
        """Return the zero points of each row, or None."""

    @property
    def codes(self) -> Codes:
        """The codes in the shape of the weights."""

    def addends(self) -> tuple[PackedMatrix, ...] | None:
        """Return plain weights whose sum these are, or None; for weights with choices."""

    def dequantize(self) -> NDArray[np.float32]:
        """Return the weights."""

    def __getitem__(self, rows: slice) -> PackedMatrix: ...


def rotated(q: PackedMatrix, x: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Return vectors as the stored weights multiply them along an axis; new, if not as given."""
    if q.rotation is None or q.blocks.axis != axis:
        return x
    vectors = np.array(x, order="C")
    with np.errstate(over="ignore", invalid="ignore"):
        q.rotation.transform(vectors)
    return vectors


def rotate_back(q: PackedMatrix, y: NDArray[np.float32], axis: int) -> None:
    """Undo the rotation of products, in place, if the weights are rotated along their axis."""
    if q.rotation is not None and q.blocks.axis == axis:
        with np.errstate(over="ignore", invalid="ignore"):
            q.rotation.transform(y, back=True)


def form_of(q: PackedMatrix, make: Callable[..., Any], *args: Any) -> Any:
    """Return ``make(q, *args)``, what products compute with, which the weights hold from then on.

    Making it takes as long as a small product.
    """
    forms, key = q.product_forms, (make, *args)
    if key not in forms:
        forms.setdefault(key, make(q, *args))  # one of those that threads make at the same time
    return forms[key]

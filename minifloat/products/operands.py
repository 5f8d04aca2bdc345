"""The vectors and the bias of a product: checked, as float32."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays, _tensors
from minifloat._tensors import AnyTensor


def float32_of(name: str, x: ArrayLike | AnyTensor) -> NDArray[np.float32]:
    """Return an array or a tensor as float32, rounded if it is wider.

    Raises
    ------
    TypeError
        If it is not numeric, or a tensor that requires a gradient.
    """
    _arrays.check_cpu()
    if type(x) is np.ndarray and x.dtype == np.float32:  # the usual case, at once
        return x
    _tensors.check_no_gradient(name, x)
    a = _arrays.source_array(x, name)[0]
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return a.astype(np.float32, copy=False)


def vectors_of(x: ArrayLike | AnyTensor, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return ``x`` as vectors along the last axis that weights of this shape multiply.

    Raises
    ------
    TypeError
        As `float32_of`.
    ValueError
        If they have another length.
    """
    a = float32_of("x", x)
    if a.ndim == 0 or a.shape[-1] != shape[1]:
        raise ValueError(
            f"x must have {shape[1]} elements along the last axis for weights of shape "
            f"{shape}, got shape {a.shape}"
        )
    return a


def add_bias(
    y: NDArray[np.float32], bias: ArrayLike | AnyTensor | None, outputs: tuple[int, ...]
) -> None:
    """Add a bias to products, in place, if there is one.

    Raises
    ------
    TypeError
        As `float32_of`.
    ValueError
        If it has another shape than ``outputs``.
    """
    if bias is None:
        return
    b = float32_of("bias", bias)
    if b.shape != outputs:
        raise ValueError(f"bias must have shape {outputs}, got {b.shape}")
    y += b

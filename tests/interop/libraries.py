"""The libraries of tensors as the tests see them: arrays to tensors, tensors to arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import pytest


@dataclass(frozen=True)
class Library:
    """One library: its name, its class of tensors, how a tensor is made and read."""

    name: str
    tensor: type
    of: Callable[[np.ndarray], Any]
    words: Callable[[Any], np.ndarray]


def torch_library() -> Library:
    """Return PyTorch, or skip the test."""
    torch = pytest.importorskip("torch", reason='PyTorch is not installed: extra "torch"')

    def of(array: np.ndarray) -> Any:
        if array.dtype.isbuiltin != 2:
            return torch.from_numpy(np.array(array))
        words = np.array(array).view(f"u{array.itemsize}")
        return torch.from_numpy(words).view(getattr(torch, array.dtype.name))

    def words(tensor: Any) -> np.ndarray:
        if str(tensor.dtype) == "torch.bfloat16":
            return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
        return tensor.numpy()

    return Library("torch", torch.Tensor, of, words)


def jax_library() -> Library:
    """Return JAX, or skip the test."""
    jax = pytest.importorskip("jax", reason='JAX is not installed: extra "jax"')
    return Library("jax", jax.Array, jax.numpy.asarray, np.asarray)


LIBRARIES = {"torch": torch_library, "jax": jax_library}

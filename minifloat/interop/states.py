"""Packed weights as tensors in a ``state_dict`` of PyTorch, and back: `to_state`, `from_state`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from minifloat.files._json import json_object
from minifloat.files._safe import quoted
from minifloat.files.quantized import from_arrays, to_arrays
from minifloat.quantization.quantized import Quantized

TEXT = "minifloat"  # the name of the text that describes the arrays
REMEDY = "load what state_dict() of the layer gave, or save the model again"


def to_state(quantized: Quantized) -> dict[str, torch.Tensor]:
    """Return the arrays that `minifloat.save` writes, and their text as bytes, as tensors.

    Examples
    --------
    >>> import minifloat as mf
    >>> from minifloat.interop.states import to_state
    >>> list(to_state(mf.quantize([1.0, -0.5], "mxfp4")))
    ['codes', 'scales', 'minifloat']
    """
    arrays, text = to_arrays(quantized)
    arrays[TEXT] = np.frombuffer(text.encode(), np.uint8).copy()
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def from_state(state: Mapping[str, Any], prefix: str) -> Quantized:
    """Return the weights that `to_state` made tensors of.

    Parameters
    ----------
    state : mapping of str to Tensor
        By the names of `to_state`, with "minifloat" among them.
    prefix : str
        What stands before these names in the ``state_dict``, for messages.

    Raises
    ------
    ValueError
        If an entry is something else, which the message names, or entries contradict each other.

    Examples
    --------
    >>> import minifloat as mf
    >>> from minifloat.interop.states import from_state, to_state
    >>> from_state(to_state(mf.quantize([1.0, -0.5], "mxfp4")), "weight.")
    <Quantized e2m1/32/e8m0 (2,): 8 bits per weight, axis 0>
    """
    arrays = {name: _array(f"{prefix}{name}", value) for name, value in state.items()}
    text = _text(f"{prefix}{TEXT}", arrays.pop(TEXT))
    try:
        return from_arrays(arrays, text)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{prefix}* must be packed weights as state_dict() has them, got others: {error}"
        ) from None


def _array(key: str, value: object) -> NDArray[Any]:
    """Return an entry as an array."""
    if not isinstance(value, torch.Tensor):
        raise ValueError(f"{key} must be a Tensor, got {type(value).__name__}; {REMEDY}")
    try:
        array: NDArray[Any] = value.detach().cpu().numpy()
    except (TypeError, RuntimeError):  # a dtype that NumPy has not; a tensor without numbers
        raise ValueError(
            f"{key} must be a dense tensor of uint8, uint16 or floats that NumPy has, got "
            f"{value.dtype} on {value.device}, {value.layout}; {REMEDY}"
        ) from None
    return array


def _text(key: str, array: NDArray[Any]) -> str:
    """Return the text that an entry holds, a JSON object."""
    rule = f"{key} must be the bytes of the JSON text that describes the weights"
    if array.dtype != np.uint8 or array.ndim != 1:
        raise ValueError(f"{rule}, in one dimension of uint8, got {array.dtype} {array.shape}")
    text = array.tobytes().decode(errors="replace")
    try:
        json_object(text)
    except ValueError:
        raise ValueError(f"{rule}, got {quoted(text)}; the entry is damaged: {REMEDY}") from None
    return text

"""The weights inside an ONNX model, and a copy of the model with others in their place.

So a model runs in onnxruntime with weights that were rounded: its products are of float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.models.packages import optional


def weights(model: bytes) -> list[tuple[str, NDArray[Any]]]:
    """Return all tensors that a model holds, with their names.

    These are initializers and values of Constant nodes, those in branches and loops included.

    Parameters
    ----------
    model : bytes
        An ONNX file without external data.

    Returns
    -------
    list of (str, ndarray)
        In the file's order. The name is what nodes take as input; branches may use one twice.

    Raises
    ------
    MissingPackage
        If onnx is not installed.
    """
    graph = optional("onnx").load_model_from_string(model).graph
    return [(name, _array(tensor)) for name, tensor in _tensors(graph)]


def properties(model: bytes) -> dict[str, str]:
    """Return what a model says of itself.

    Parameters
    ----------
    model : bytes
        An ONNX file.

    Returns
    -------
    dict of str to str

    Raises
    ------
    MissingPackage
        If onnx is not installed.
    """
    entries = optional("onnx").load_model_from_string(model).metadata_props
    return {entry.key: entry.value for entry in entries}


def replaced(model: bytes, arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return a copy of a model with some of its tensors replaced.

    Parameters
    ----------
    model : bytes
        An ONNX file without external data.
    arrays : mapping of str to ndarray
        Of the shape and dtype of the tensor of that name, which stands once in the model.

    Returns
    -------
    bytes

    Raises
    ------
    MissingPackage
        If onnx is not installed.
    ValueError
        If a name is not in the model or there twice, or an array of another shape or dtype.
    """
    onnx = optional("onnx")
    made = onnx.load_model_from_string(model)
    left = dict(arrays)
    for name, tensor in _tensors(made.graph):
        if name not in arrays:
            continue
        if name not in left:
            raise ValueError(f"names must stand once in the model, got {name!r}")
        new, old = left.pop(name), _array(tensor)
        if (new.shape, new.dtype) != (old.shape, old.dtype):
            raise ValueError(
                f"{name} must be {old.dtype} of shape {old.shape}, got {new.dtype} of {new.shape}"
            )
        label = tensor.name  # the tensor of a Constant node has its own, or none
        tensor.CopyFrom(onnx.numpy_helper.from_array(np.asarray(new, order="C"), label))
    if left:
        raise ValueError(f"names must be in the model, got {', '.join(map(repr, left))}")
    return bytes(made.SerializeToString())


def _array(tensor: Any) -> NDArray[Any]:
    array: NDArray[Any] = optional("onnx.numpy_helper").to_array(tensor)
    return array


def _tensors(graph: Any) -> Iterator[tuple[str, Any]]:
    """The tensors of a graph and of those inside its nodes, each by what nodes call it."""
    for tensor in graph.initializer:
        yield tensor.name, tensor
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.HasField("t"):
                yield node.output[0], attribute.t
            if attribute.HasField("g"):
                yield from _tensors(attribute.g)
            for inner in attribute.graphs:
                yield from _tensors(inner)

"""ONNX models run by onnxruntime, their matrices replaced by what a format makes of them.

A matrix of a product is the weight of a convolution of more than one channel, or the constant
second factor of a product of matrices. onnxruntime multiplies float32 numbers, so weights are only
rounded here, not packed. Convolutions of one channel, norms and biases stay float32.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.models.packages import optional
from analysis.models.products import Array, MatrixModel, dense


@dataclass(frozen=True, kw_only=True)
class OnnxModel(MatrixModel):
    """A model, and its tensors by name.

    Attributes
    ----------
    matrices : mapping of str to Matrix
        (outputs, inputs): of a convolution an output channel's taps of all channels to a row, of a
        product the transpose of the second factor.
    vectors : mapping of str to ndarray of float32
        All other constants in float32, in their own shapes.
    turned : frozenset of str
        The matrices that the model has the other way around.
    proto : onnx.ModelProto
    """

    turned: frozenset[str]
    proto: Any

    def session(self) -> Any:
        """Return the model with these matrices, ready to run on one thread.

        Returns
        -------
        onnxruntime.InferenceSession

        Raises
        ------
        MissingPackage
            If onnxruntime is not installed.
        """
        runtime = optional("onnxruntime")
        proto = type(self.proto)()
        proto.CopyFrom(self.proto)
        for name, tensor in _tensors(proto.graph):
            if name in self.matrices:
                matrix = dense(self.matrices[name])
                stored = matrix.T if name in self.turned else matrix
                data = np.ascontiguousarray(stored, "<f4").tobytes()
                tensor.ClearField("float_data")
                tensor.raw_data = data
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        return runtime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )


def read(path: Path, also: Iterable[str] = ()) -> OnnxModel:
    """Read a model.

    Parameters
    ----------
    path : Path
    also : iterable of str
        Constants, of shape (outputs, inputs), that are matrices of products as well.

    Returns
    -------
    OnnxModel

    Raises
    ------
    MissingPackage
        If onnx is not installed.
    ValueError
        If a constant of ``also`` is not in the model, or not a float32 matrix.
    """
    onnx = optional("onnx")
    proto = onnx.load(str(path))
    arrays: dict[str, Array] = {}
    for name, tensor in _tensors(proto.graph):
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype == np.float32:
            arrays[name] = array
    matrices: dict[str, Array] = {}
    turned: set[str] = set()
    for name in also:
        if name not in arrays or arrays[name].ndim != 2:
            raise ValueError(f"also must name float32 matrices of the model, got {name!r}")
        matrices[name] = arrays[name]
    for node in _nodes(proto.graph):
        weight = arrays.get(node.input[1]) if len(node.input) > 1 else None
        if weight is None:
            continue
        if node.op_type == "Conv" and weight.shape[1] > 1:
            matrices[node.input[1]] = weight.reshape(weight.shape[0], -1)
        if node.op_type == "MatMul" and weight.ndim == 2:
            matrices[node.input[1]] = np.ascontiguousarray(weight.T)
            turned.add(node.input[1])
    vectors: Mapping[str, Array] = {n: a for n, a in arrays.items() if n not in matrices}
    return OnnxModel(matrices=matrices, vectors=vectors, turned=frozenset(turned), proto=proto)


def _graphs(graph: Any) -> Iterator[Any]:
    """Yield a graph and those within it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)


def _nodes(graph: Any) -> Iterator[Any]:
    for part in _graphs(graph):
        yield from part.node


def _tensors(graph: Any) -> Iterator[tuple[str, Any]]:
    """Yield all constants by name: initializers, and the values of `Constant` nodes."""
    for part in _graphs(graph):
        for tensor in part.initializer:
            yield tensor.name, tensor
        for node in part.node:
            for attribute in node.attribute:
                if node.op_type == "Constant" and attribute.HasField("t"):
                    yield node.output[0], attribute.t

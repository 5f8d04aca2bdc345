"""Models in ONNX files: their weights, copies with other weights, and the run in onnxruntime.

onnxruntime multiplies float32 numbers, so weights are only rounded here, not packed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from analysis.models.layers import Array
from analysis.models.matrices import MatrixModel, dense
from analysis.models.packages import optional

Chosen = Callable[[str, Array], bool]
NOTE = "only rounded, not packed"


def weights(model: bytes) -> list[tuple[str, NDArray[Any]]]:
    """Return all tensors of a model, with their names.

    They are initializers and values of Constant nodes, also inside branches and loops.

    Parameters
    ----------
    model : bytes
        An ONNX file without external data.

    Returns
    -------
    list of (str, ndarray)
        In the file's order. A name is an input of nodes; branches may use the same name twice.

    Raises
    ------
    MissingPackage
        If onnx is not installed.
    """
    graph = optional("onnx").load_model_from_string(model).graph
    return [(name, _array(tensor)) for name, tensor in _tensors(graph)]


def properties(model: bytes) -> dict[str, str]:
    """Return the metadata of a model.

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
        Each with the shape and dtype of the tensor of that name, which must occur once.

    Returns
    -------
    bytes

    Raises
    ------
    MissingPackage
        If onnx is not installed.
    ValueError
        If a name is not in the model, or there twice, or an array has another shape or dtype.
    """
    onnx = optional("onnx")
    copy = onnx.load_model_from_string(model)
    left = dict(arrays)
    for name, tensor in _tensors(copy.graph):
        if name not in arrays:
            continue
        if name not in left:
            raise ValueError(f"names must occur once in the model, got {name!r} twice")
        new, old = left.pop(name), _array(tensor)
        if (new.shape, new.dtype) != (old.shape, old.dtype):
            raise ValueError(
                f"{name} must be {old.dtype} of shape {old.shape}, got {new.dtype} of {new.shape}"
            )
        label = tensor.name  # the tensor of a Constant node has its own, or none
        tensor.CopyFrom(onnx.numpy_helper.from_array(np.asarray(new, order="C"), label))
    if left:
        raise ValueError(f"names must be in the model, got {', '.join(map(repr, left))}")
    return bytes(copy.SerializeToString())


def _array(tensor: Any) -> NDArray[Any]:
    array: NDArray[Any] = optional("onnx.numpy_helper").to_array(tensor)
    return array


def _tensors(graph: Any) -> Iterator[tuple[str, Any]]:
    """Yield the tensors of a graph and of the graphs in its nodes, by the names of inputs."""
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


@dataclass(frozen=True, kw_only=True)
class OnnxModel(MatrixModel):
    """A model in an ONNX file.

    Attributes
    ----------
    matrices : mapping of str to Matrix
        By the name of a tensor. A row holds all weights of one output; in a convolution the taps
        of all inputs.
    vectors : mapping of str to ndarray of float32
        All other tensors of float32, in their own shapes.
    file : bytes
        As shipped.
    shapes : mapping of str to tuple of int
        Shapes in the file of the tensors in ``matrices``.
    transposed : frozenset of str
        The tensors in ``matrices`` that have a column for each output in the file.
    """

    file: bytes
    shapes: Mapping[str, tuple[int, ...]]
    transposed: frozenset[str]

    @cached_property
    def session(self) -> Any:
        """The model with the values of ``matrices``, on one thread of onnxruntime."""
        runtime = optional("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        tensors = {}
        for name, shape in self.shapes.items():
            matrix = dense(self.matrices[name])
            tensors[name] = (matrix.T if name in self.transposed else matrix).reshape(shape)
        model = replaced(self.file, tensors)
        return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    @classmethod
    def read(cls, path: Path, rows: Chosen, columns: Chosen = lambda name, tensor: False) -> Self:
        """Read a model.

        Parameters
        ----------
        path : Path
            An ONNX file.
        rows, columns : callable
            Called with the name and array of a tensor; return whether it is a matrix with a row,
            or with a column, for each output.

        Returns
        -------
        OnnxModel

        Raises
        ------
        MissingPackage
            If onnx is not installed.
        """
        file = path.read_bytes()
        tensors: dict[str, Array] = {n: t for n, t in weights(file) if t.dtype == np.float32}
        matrices, transposed = {}, set()
        for name, tensor in tensors.items():
            if rows(name, tensor):
                matrices[name] = tensor.reshape(len(tensor), -1)
            elif columns(name, tensor):
                matrices[name] = np.ascontiguousarray(tensor.T)
                transposed.add(name)
        return cls(
            matrices=matrices,
            vectors={name: tensor for name, tensor in tensors.items() if name not in matrices},
            file=file,
            shapes={name: tensors[name].shape for name in matrices},
            transposed=frozenset(transposed),
        )

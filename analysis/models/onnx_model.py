"""Models that onnxruntime runs, with their matrices in some format.

onnxruntime multiplies float32 numbers, so weights are only rounded here, not packed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from analysis.models.matrices import Array, MatrixModel, dense
from analysis.models.onnx_weights import replaced, weights
from analysis.models.packages import optional

Chosen = Callable[[str, Array], bool]
NOTE = "only rounded, not packed"


@dataclass(frozen=True, kw_only=True)
class OnnxModel(MatrixModel):
    """A model in an ONNX file.

    Attributes
    ----------
    matrices : mapping of str to Matrix
        By the name of a tensor. A row is all that makes one output: of a convolution the taps of
        all its inputs.
    vectors : mapping of str to ndarray of float32
        All other tensors of float32, in their own shapes.
    file : bytes
        As shipped.
    shapes : mapping of str to tuple of int
        Of the tensors that ``matrices`` has.
    turned : frozenset of str
        Those of them that the file has with a column to an output.
    """

    file: bytes
    shapes: Mapping[str, tuple[int, ...]]
    turned: frozenset[str]

    @cached_property
    def session(self) -> Any:
        """The file with the values of ``matrices``, for one thread of onnxruntime."""
        runtime = optional("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        tensors = {}
        for name, shape in self.shapes.items():
            matrix = dense(self.matrices[name])
            tensors[name] = (matrix.T if name in self.turned else matrix).reshape(shape)
        model = replaced(self.file, tensors)
        return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    @classmethod
    def read(cls, path: Path, rows: Chosen, columns: Chosen = lambda name, tensor: False) -> Self:
        """Read a model.

        Parameters
        ----------
        path : Path
            A file of ONNX.
        rows, columns : callable
            Told the name and array of a tensor, say whether it is a matrix with a row, or with a
            column, to an output.

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
        matrices, turned = {}, set()
        for name, tensor in tensors.items():
            if rows(name, tensor):
                matrices[name] = tensor.reshape(len(tensor), -1)
            elif columns(name, tensor):
                matrices[name] = np.ascontiguousarray(tensor.T)
                turned.add(name)
        return cls(
            matrices=matrices,
            vectors={name: tensor for name, tensor in tensors.items() if name not in matrices},
            file=file,
            shapes={name: tensors[name].shape for name in matrices},
            turned=frozenset(turned),
        )

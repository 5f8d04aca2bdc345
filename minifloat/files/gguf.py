"""The files of llama.cpp: .gguf."""

from __future__ import annotations

import math
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from minifloat.files._safe import WeightsError, missing_package
from minifloat.files._tensors import Array, TensorInfo, WeightFile, mapped

FLOATS = {"F16", "F32", "F64"}
INTEGERS = {"I8", "I16", "I32", "I64"}


def open_gguf(path: Path) -> WeightFile:
    """List the tensors of a .gguf file."""
    try:
        from gguf import GGUFReader
    except ImportError:
        raise missing_package(path, "gguf", "gguf") from None

    class CheckedReader(GGUFReader):  # type: ignore[misc, unused-ignore]  # untyped package
        def _get(self, offset: int, dtype: Any, count: int = 1, override_order: Any = None) -> Any:
            # the library slices, and past the end that gives fewer elements, or an endless loop
            if offset + int(count) * np.dtype(dtype).itemsize > self.data.size:
                raise ValueError("an offset or length beyond the end of the file")
            return super()._get(offset, dtype, count, override_order)

    reader = CheckedReader(path)
    if reader.byte_order != "I":
        raise WeightsError(f"{path}: is of the other byte order; use gguf-convert-endian")
    tensors, end = [], reader.data_offset
    for tensor in sorted(reader.tensors, key=lambda tensor: tensor.data_offset):
        shape = tuple(int(n) for n in reversed(tensor.shape))
        if tensor.data_offset < end or math.prod(shape) != tensor.n_elements:
            raise ValueError(f"{tensor.name!r} overlaps another tensor or has an absurd shape")
        end = tensor.data_offset + tensor.n_bytes
        kind = tensor.tensor_type.name
        info = TensorInfo(tensor.name, shape, kind, _why_skipped(kind))
        stored = (tensor.data.dtype, tensor.data_offset, tensor.data.shape)
        tensors.append((info, partial(_read, path.absolute(), kind, *stored)))
    return WeightFile(path, tensors)


@cache
def _why_skipped(kind: str) -> str:
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, dequantize

    if kind in INTEGERS:
        return "not a float tensor"
    if kind not in FLOATS:
        number = GGMLQuantizationType[kind]
        block = np.zeros((1, GGML_QUANT_SIZES[number][1]), np.uint8)
        try:
            dequantize(block, number)
        except NotImplementedError:
            return f"of type {kind}, which the package gguf does not decode"
    return ""


def _read(
    path: Path, kind: str, dtype: np.dtype[Any], offset: int, shape: tuple[int, ...]
) -> Array:
    data = mapped(path, dtype, offset, shape)
    if kind in FLOATS:
        return data
    from gguf import GGMLQuantizationType, dequantize

    return np.asarray(dequantize(data, GGMLQuantizationType[kind]))

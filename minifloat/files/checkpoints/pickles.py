"""PyTorch's own files: .pt, .pth, .bin, .ckpt, read by torch.load with ``weights_only=True``.

torch's restricted loader makes tensors and containers of them and calls nothing else. It is handed
an opened file whose archive holds no compressed member, so that it cannot make much of little. The
whole file is in memory then.

Before PyTorch 2.10 the restricted loader can be made to write to memory beyond a tensor, so such a
version is refused: https://github.com/pytorch/pytorch/security/advisories/GHSA-63cw-57p8-fm3p
"""

from __future__ import annotations

import math
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.files._safe import WeightsError, missing_package, quoted, untrusted
from minifloat.files._source import SourceFile
from minifloat.files.checkpoints.config import Config
from minifloat.files.checkpoints.reading import Weights, weights_of
from minifloat.files.checkpoints.stored import Stored
from minifloat.files.directory import PICKLES

DTYPES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "bool": "BOOL",
    "uint8": "U8", "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64",
    "uint16": "U16", "uint32": "U32", "uint64": "U64",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e8m0fnu": "F8_E8M0",
    "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ",
}  # fmt: skip
WRAPPERS = ("state_dict", "model_state_dict", "model")  # dictionaries that hold the weights alone
SAFE = (2, 10)  # PyTorch's first version whose loader checks sizes and types
DEEPEST = 8  # dictionaries in dictionaries


def of_pickle(path: Path) -> list[Weights]:
    """Return the weights of one of PyTorch's files."""
    return of_pickles(path, [path])


def of_pickles(path: Path, files: Sequence[Path]) -> list[Weights]:
    """Return the weights of all files of the model at ``path``.

    Raises
    ------
    WeightsError
        If PyTorch is not installed, a file is none of its own, or needs more than tensors.
    """
    tensors: dict[str, Stored] = {}
    for file in files:
        with untrusted(file):
            for stored in _tensors(_loaded(SourceFile(file))):
                if stored.name in tensors:
                    raise WeightsError(
                        f"{path}: holds two tensors named {quoted(stored.name)}; rename one"
                    )
                tensors[stored.name] = stored
    return weights_of(path, tensors, Config(files[0].parent, {}))


def model_pickles(folder: Path) -> list[Path]:
    """Return the files of the model in a directory: those named pytorch_model*, else all."""
    files = sorted(
        file
        for file in folder.iterdir()
        if file.name.lower().endswith(PICKLES) and not file.name.startswith(".") and file.is_file()
    )
    return [file for file in files if file.name.startswith("pytorch_model")] or files


def _loaded(file: SourceFile) -> Any:
    try:
        import torch
    except ImportError:
        raise missing_package(file.path, "torch", "torch") from None
    if tuple(map(int, torch.__version__.split(".")[:2])) < SAFE:
        raise WeightsError(
            f"{file.path}: needs PyTorch 2.10 or later, got {torch.__version__}, whose loader a "
            "file can make write to memory that is not its own; update torch"
        )
    stream = file.buffered()
    if zipfile.is_zipfile(stream):
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise WeightsError(f"{file.path}: is compressed; save it again by torch.save")
        if sum(member.file_size for member in members) > file.size:
            raise ValueError("its members overlap")
    stream.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of types that PyTorch will give up
        return torch.load(stream, map_location="cpu", weights_only=True)


def _tensors(loaded: Any) -> Iterator[Stored]:
    """Yield the tensors of what was loaded, by their names in it."""
    if isinstance(loaded, dict):
        for name in WRAPPERS:
            if isinstance(inner := loaded.get(name), dict):
                loaded = inner
                break
    yield from _named("", loaded, 0)


def _named(name: str, value: Any, depth: int) -> Iterator[Stored]:
    import torch

    if isinstance(value, torch.Tensor):
        yield _stored(name or "tensor", value)
    elif isinstance(value, dict) and depth < DEEPEST:
        for key, part in value.items():
            if isinstance(key, str):
                yield from _named(f"{name}.{key}" if name else key, part, depth + 1)


def _stored(name: str, tensor: Any) -> Stored:
    """Return a tensor as it is stored; one that is more than its bytes has a type of no name."""
    import torch

    dtype = str(tensor.dtype).removeprefix("torch.")
    shape = tuple(int(length) for length in tensor.shape)
    is_plain = tensor.layout is torch.strided and tensor.device.type == "cpu"
    if is_plain and dtype in DTYPES and not tensor.is_quantized:
        size = math.prod(shape) * tensor.element_size()
        if size <= tensor.untyped_storage().nbytes():  # else rows are repeated
            return Stored(name, DTYPES[dtype], shape, partial(_bytes, tensor.detach()))
        dtype = f"repeated {dtype}"
    return Stored(name, dtype, shape, partial(_no_bytes, name))


def _bytes(tensor: Any) -> NDArray[np.uint8]:
    import torch

    flat = tensor.contiguous().reshape(-1)
    return np.array(flat.view(torch.uint8).numpy()) if flat.numel() else np.empty(0, np.uint8)


def _no_bytes(name: str) -> NDArray[np.uint8]:
    raise ValueError(f"{quoted(name)} is not plain numbers")

"""Files of plain numbers, .npz and .npy, as weights of a checkpoint."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from minifloat.files._source import SourceFile
from minifloat.files._tensors import Load, TensorInfo, WeightFile
from minifloat.files.checkpoints.reading import Weights, about_weights, refuse
from minifloat.files.checkpoints.weights import Description, Value
from minifloat.files.npz import open_npy, open_npz


def of_npz(path: Path) -> list[Weights]:
    """Return the arrays of an .npz file."""
    return _of(path, open_npz(SourceFile(path)))


def of_npy(path: Path) -> list[Weights]:
    """Return the array of an .npy file."""
    return _of(path, open_npy(SourceFile(path)))


def _of(path: Path, weights: WeightFile) -> list[Weights]:
    return [_weights(path, info, load) for info, load in weights.entries()]


def _weights(path: Path, info: TensorInfo, load: Load) -> Weights:
    bits = 0 if info.skipped else info.parameters * _bits(info.dtype)
    about = Description(
        info.name, info.shape, "", None, info.dtype, bits, (info.name,), info.skipped
    )
    if info.skipped:
        return Weights(about, partial(refuse, path, info.name, info.skipped))
    return Weights(about, partial(_read, path, info.name, load))


def _bits(dtype: str) -> int:
    try:
        return 8 * np.dtype(dtype).itemsize
    except TypeError:  # of ml_dtypes
        return 16 if dtype == "bfloat16" else 8


def _read(path: Path, name: str, load: Load) -> Value:
    with about_weights(path, name):
        return load()

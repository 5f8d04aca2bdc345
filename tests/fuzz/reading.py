"""Read a model file, whatever is in it: tensors and their numbers, or a `WeightsError`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from minifloat.files import TensorInfo, WeightsError, open_weights
from tests.fuzz.faults import check, only
from tests.fuzz.workplace import MARK, watched


def read_whole(path: Path) -> None:
    """Open a file and load each tensor."""
    with watched(), only(WeightsError):
        weights = open_weights(path)
        for info in (*weights.tensors, *weights.skipped):
            _check_info(info)
        for info in weights.tensors:
            with only(WeightsError):
                array = weights.load(info.name)
                check(array.shape == info.shape, f"{info} was loaded with shape {array.shape}")
                floats = (np.float16, np.float32, np.float64)
                is_native = array.dtype in map(np.dtype, floats)
                check(is_native, f"{info} was loaded as {array.dtype}")
                numbers = array.reshape(-1)[:1].tolist()
                check(numbers != [MARK], "the secret was read")


def _check_info(info: TensorInfo) -> None:
    check(isinstance(info.name, str), f"a tensor's name must be a str, got {info.name!r}")
    lengths = info.shape
    check(all(type(n) is int and n >= 0 for n in lengths), f"shape must be lengths, got {lengths}")
    check(isinstance(info.dtype, str), f"dtype must be a str, got {info.dtype!r}")
    check(not info.skipped or info.skipped.isprintable(), f"skipped is {info.skipped!r}")

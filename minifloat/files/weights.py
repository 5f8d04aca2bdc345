"""Read the float tensors of a model file, one at a time.

`open_weights` reads .safetensors (sharded too), .npz, .npy and .gguf. Opening reads the list of
tensors and checks it against the file's size; loading a tensor reads only that tensor, so memory
is bounded by the largest one. A file stays open, so a file that takes its name later is not mixed
with it. Files are taken as untrusted: nothing in them is ever executed, and everything that is
wrong with one is a `WeightsError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike

from numpy.typing import ArrayLike

from minifloat._paths import file_path
from minifloat._tensors import AnyTensor
from minifloat.files._safe import WeightsError, untrusted
from minifloat.files._source import SourceFile
from minifloat.files._tensors import TensorInfo, WeightFile, arrays_in_memory
from minifloat.files.directory import PICKLES, model_files
from minifloat.files.gguf import open_gguf
from minifloat.files.npz import open_npy, open_npz
from minifloat.files.safetensors import open_safetensors
from minifloat.files.shards import open_index, open_shards

__all__ = ["TensorInfo", "WeightFile", "WeightsError", "open_weights"]

OPENERS = {
    ".safetensors": open_safetensors,
    ".npz": open_npz,
    ".npy": open_npy,
    ".gguf": open_gguf,
    ".index.json": open_index,
}

PICKLE_REMEDY = (
    "a pickle can run code and is never read: in PyTorch, read it by "
    "torch.load(path, weights_only=True) and write it by safetensors.torch.save_file"
)


def open_weights(source: str | PathLike[str] | Mapping[str, ArrayLike | AnyTensor]) -> WeightFile:
    """List the tensors of a file, or of arrays in memory, without loading them.

    Parameters
    ----------
    source : path, or mapping of names to arrays
        A .safetensors, .npz, .npy or .gguf file, the .index.json of a sharded model, or a
        directory. Of a directory these are read: the model of its one .safetensors.index.json,
        else the .safetensors files named model*, else all .safetensors files, else its only .gguf,
        .npz or .npy file. A mapping's values are arrays, or tensors of
        PyTorch or JAX, such as ``model.state_dict()``.

    Returns
    -------
    WeightFile

    Raises
    ------
    WeightsError
        If the file is missing, damaged, hostile or of another kind, or its reader is not
        installed.
    ValueError
        If the path is empty or has a NUL.
    TypeError
        If ``source`` is something else, or a mapping's value, which the message names, cannot be
        made an array or has a mask.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> folder = tempfile.TemporaryDirectory()
    >>> np.savez(folder.name + "/model.npz", weight=np.ones((2, 3), np.float32), step=7)
    >>> weights = open_weights(folder.name + "/model.npz")
    >>> weights.tensors
    (TensorInfo(name='weight', shape=(2, 3), dtype='float32', skipped='', note=''),)
    >>> weights.skipped[0].skipped
    'not a float tensor'
    >>> weights.load("weight").sum()
    np.float32(6.0)
    >>> folder.cleanup()
    """
    if isinstance(source, Mapping):
        return arrays_in_memory(source)
    path = file_path("source", source)
    with untrusted(path):
        path.stat()  # which says what is wrong with a path that leads nowhere
        if path.is_dir():
            files = model_files(path)
            return open_weights(files[0]) if len(files) == 1 else open_shards(path, files)
        file = SourceFile(path)
        for suffix, opener in OPENERS.items():
            if path.name.lower().endswith(suffix):
                return opener(file)
        remedy = (
            PICKLE_REMEDY if path.name.lower().endswith(PICKLES) else "convert it to one of them"
        )
        raise WeightsError(f"{path}: must end in one of {', '.join(OPENERS)}; {remedy}")

"""A model of plain numbers in .safetensors files: its shards, and the files beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from minifloat.files._safe import WeightsError, quoted, untrusted
from minifloat.files._source import SourceFile
from minifloat.files._tensors import Load
from minifloat.files.checkpoints.config import Config
from minifloat.files.checkpoints.reading import weights_of
from minifloat.files.checkpoints.sources import tensors_of
from minifloat.files.checkpoints.stored import Array, Tensors
from minifloat.files.checkpoints.weights import Value
from minifloat.files.directory import INDEX, OTHERS, PICKLES, model_files
from minifloat.files.shards import check_names, check_suffix, read_index

WEIGHTS = (".safetensors", INDEX, *OTHERS, *PICKLES, ".onnx", ".h5", ".msgpack")


@dataclass(frozen=True)
class Shard:
    """A .safetensors file of a model.

    Attributes
    ----------
    path : Path
    facts : tuple of int
        Its size, and the time of its last change in nanoseconds.
    tensors : mapping of str to Stored
    metadata : dict of str to str
    """

    path: Path
    facts: tuple[int, int]
    tensors: Tensors
    metadata: dict[str, str]


@dataclass(frozen=True)
class Model:
    """The files of a model.

    Attributes
    ----------
    source : Path
        As the caller gave it.
    shards : tuple of Shard
    index : str
        The name of the .index.json that tells the shards; empty for a model of one shard.
    others : tuple of Path
        Files of the directory that hold no weights: config.json, those of the tokenizer ...
    loads : dict of str to callable
        What loads each tensor as an array, bfloat16 widened to float32.
    """

    source: Path
    shards: tuple[Shard, ...]
    index: str
    others: tuple[Path, ...]
    loads: dict[str, Load]

    @property
    def folder(self) -> Path:
        """The directory of the shards."""
        return self.shards[0].path.parent


def open_model(path: Path) -> Model:
    """List the files and tensors of a model that is not quantized.

    Parameters
    ----------
    path : Path
        A .safetensors file, the .index.json of a sharded model, or a directory.

    Raises
    ------
    WeightsError
        If a file is missing, damaged or hostile, the model is of another kind, or is quantized.
    """
    with untrusted(path):
        path.stat()  # which says what is wrong with a path that leads nowhere
        is_directory = path.is_dir()
        files = model_files(path) if is_directory else [path]
        index, listed = "", None
        if files[0].name.lower().endswith(INDEX):
            index = files[0].name
            listed, files = read_index(SourceFile(files[0]))
        elif not is_directory and path.suffix.lower() != ".safetensors":
            raise WeightsError(f"{path}: must end in .safetensors or {INDEX}; convert it to one")
        _check_kind(path, files)
        shards = tuple(_shard(path, file) for file in files)
        tensors = {name: stored for shard in shards for name, stored in shard.tensors.items()}
        if len(tensors) < sum(len(shard.tensors) for shard in shards):
            tensors_of(path, files)  # which raises and names the tensor
        if listed is not None:
            check_names(path, listed, tensors)
        if len(shards) > 1 and not index:
            index = f"model{INDEX}"
        others = _others(path) if is_directory else ()
    loads: dict[str, Load] = {}
    for weights in weights_of(path, tensors, Config(files[0].parent, {})):
        about = weights.description
        if about.skipped or about.layout:
            reason = about.skipped or f"is quantized already, as {about.layout}"
            raise WeightsError(
                f"{path}: must hold plain numbers, but {quoted(about.name)} {reason}; "
                "take the model that was not quantized"
            )
        loads[about.name] = partial(_array, weights.load)
    return Model(path, shards, index, others, loads)


def _array(load: Callable[[], Value]) -> Array:
    return np.asarray(load())


def _check_kind(path: Path, files: Sequence[Path]) -> None:
    for file in files:
        check_suffix(path, file)
    if len({file.name for file in files}) < len(files):
        raise WeightsError(f"{path}: names two shards alike, in different folders; rename one")
    if not files:
        raise WeightsError(f"{path}: names no shard; download the model again")


def _shard(path: Path, file: Path) -> Shard:
    with untrusted(file):
        status = file.stat()
    tensors, metadata = tensors_of(path, [file])
    return Shard(file, (status.st_size, status.st_mtime_ns), tensors, metadata)


def _others(folder: Path) -> tuple[Path, ...]:
    found = (
        file
        for file in sorted(folder.iterdir())
        if file.is_file()
        and not file.name.startswith(".")
        and not file.name.lower().endswith(WEIGHTS)
    )
    return tuple(found)

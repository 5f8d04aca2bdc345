"""A model in .safetensors files: its shards, its weights, and the files beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from minifloat.files._safe import WeightsError, quoted, untrusted
from minifloat.files._source import SourceFile
from minifloat.files.checkpoints.config import Config, json_file
from minifloat.files.checkpoints.reading import SCALE, Weights, weights_of
from minifloat.files.checkpoints.sources import tensors_of
from minifloat.files.checkpoints.stored import Tensors
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
    weights : dict of str to Weights
        Plain numbers and quantized weights, by the names that an unquantized model has.
    """

    source: Path
    shards: tuple[Shard, ...]
    index: str
    others: tuple[Path, ...]
    weights: dict[str, Weights]

    @property
    def is_quantized(self) -> bool:
        """Whether some weights are quantized."""
        return any(each.description.layout for each in self.weights.values())

    @cached_property
    def config(self) -> dict[str, Any]:
        """What config.json says; empty without it, or if it was not asked for by the directory."""
        return next((json_file(path) for path in self.others if path.name == "config.json"), {})

    @property
    def folder(self) -> Path:
        """The directory of the shards."""
        return self.shards[0].path.parent


def open_model(path: Path) -> Model:
    """List the files and tensors of a model.

    Parameters
    ----------
    path : Path
        A .safetensors file, the .index.json of a sharded model, or a directory.

    Raises
    ------
    WeightsError
        If a file is missing, damaged or hostile, the model is of another kind, or a tensor
        cannot be read.
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
    metadata = {key: text for shard in shards for key, text in shard.metadata.items()}
    config = Config(files[0].parent, metadata)
    weights = {each.description.name: each for each in weights_of(path, tensors, config)}
    for name, each in weights.items():
        reason = each.description.skipped
        if reason not in ("", SCALE):
            raise WeightsError(
                f"{path}: must hold weights that can be read, but {quoted(name)} cannot: {reason}; "
                "take the model that was not quantized"
            )
    return Model(path, shards, index, others, weights)


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

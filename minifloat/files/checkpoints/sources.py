"""The tensors of .safetensors files, as they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from minifloat.files._safe import WeightsError, quoted, untrusted
from minifloat.files._source import SourceFile
from minifloat.files.checkpoints.config import Config
from minifloat.files.checkpoints.reading import Weights, weights_of
from minifloat.files.checkpoints.stored import Stored
from minifloat.files.safetensors import read_header
from minifloat.files.shards import check_names, check_suffix, read_index


def of_index(path: Path) -> list[Weights]:
    """Return the weights of the shards that an .index.json names."""
    names, shards = read_index(SourceFile(path))
    for shard in shards:
        check_suffix(path, shard)
    tensors, metadata = tensors_of(path, shards)
    check_names(path, names, tensors)
    return weights_of(path, tensors, Config(path.parent, metadata))


def of_file(path: Path) -> list[Weights]:
    """Return the weights of a .safetensors file."""
    return of_files(path, [path])


def of_files(path: Path, files: Sequence[Path]) -> list[Weights]:
    """Return the weights of the .safetensors files of the model at ``path``."""
    tensors, metadata = tensors_of(path, files)
    return weights_of(path, tensors, Config(files[0].parent, metadata))


def tensors_of(path: Path, files: Sequence[Path]) -> tuple[dict[str, Stored], dict[str, str]]:
    """Return the tensors of all files by name, and all entries of the files' metadata.

    Raises
    ------
    WeightsError
        If a file of the model at ``path`` cannot be read, or two tensors are named alike.
    """
    tensors: dict[str, Stored] = {}
    metadata: dict[str, str] = {}
    for shard in files:
        with untrusted(shard):
            file = SourceFile(shard)
            entries, said = read_header(file)
        metadata |= said
        for entry in entries:
            if entry.name in tensors:
                raise WeightsError(
                    f"{path}: holds two tensors named {quoted(entry.name)}; rename one"
                )
            read = partial(file.read, entry.begin, entry.end - entry.begin)
            tensors[entry.name] = Stored(entry.name, entry.dtype, entry.shape, read)
    return tensors, metadata

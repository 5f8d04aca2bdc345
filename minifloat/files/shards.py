"""Models in several .safetensors files, and the .index.json that names them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path, PureWindowsPath

from minifloat.files._json import json_object
from minifloat.files._safe import WeightsError, quoted, untrusted
from minifloat.files._source import SourceFile
from minifloat.files._tensors import Load, TensorInfo, WeightFile
from minifloat.files.safetensors import open_safetensors

INDEX_LIMIT = 100 << 20  # bytes; safetensors' own limit for a header


def open_index(file: SourceFile) -> WeightFile:
    """List the tensors of the shards that an .index.json names."""
    names, shards = read_index(file)
    weights = open_shards(file.path, shards)
    check_names(file.path, names, [info.name for info in (*weights.tensors, *weights.skipped)])
    return weights


def open_shards(path: Path, shards: Sequence[Path]) -> WeightFile:
    """List the tensors of all shards of the model at ``path``."""
    tensors: list[tuple[TensorInfo, Load]] = []
    for shard in shards:
        check_suffix(path, shard)
        with untrusted(shard):
            tensors += open_safetensors(SourceFile(shard)).entries()
    return WeightFile(path, tensors)


def read_index(file: SourceFile) -> tuple[set[str], list[Path]]:
    """Return the names of the tensors that an .index.json tells of, and its shards.

    Raises
    ------
    WeightsError
        If it is too long, or a shard lies outside its directory.
    """
    path = file.path
    if file.size > INDEX_LIMIT:
        raise WeightsError(f"{path}: is longer than 100 MiB; name the .safetensors files instead")
    index = json_object(file.read(0, file.size).tobytes().decode())
    weight_map = index["weight_map"]
    for shard in weight_map.values():
        place = PureWindowsPath(shard)  # knows both separators
        if place.anchor or ".." in place.parts:
            raise WeightsError(
                f"{path}: names the shard {quoted(shard)}, outside its directory; "
                "move the shards beside the index"
            )
    shards = [path.parent / shard for shard in sorted(set(weight_map.values()))]
    return set(weight_map), shards


def check_names(path: Path, listed: set[str], held: Collection[str]) -> None:
    """Refuse an index at ``path`` that lists other tensors than the shards hold."""
    names = set(held)
    if names != listed:
        name = min(names ^ listed)
        raise WeightsError(
            f"{path}: index and shards disagree about {quoted(name)}; download the model again"
        )


def check_suffix(path: Path, shard: Path) -> None:
    """Refuse a shard of the model at ``path`` that is of another kind."""
    if shard.suffix.lower() != ".safetensors":
        raise WeightsError(f"{path}: names {shard.name!r}; shards must be .safetensors files")

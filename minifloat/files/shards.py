"""Models in several .safetensors files: a directory, or an .index.json that names the shards."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

from minifloat.files._safe import WeightsError, check_file, untrusted
from minifloat.files._tensors import Load, TensorInfo, WeightFile
from minifloat.files.safetensors import open_safetensors

INDEX_LIMIT = 100 << 20  # bytes; safetensors' own limit for a header


def open_directory(path: Path) -> WeightFile:
    """List the tensors of a directory's .safetensors files, by its index if there is one."""
    indexes = sorted(path.glob("*.safetensors.index.json"))
    if len(indexes) == 1:
        return open_index(indexes[0])
    shards = sorted(path.glob("*.safetensors"))
    if indexes or not shards:
        content = "several .index.json files" if indexes else "no .safetensors file"
        raise WeightsError(f"{path}: is a directory with {content}; name the file to read")
    return _joined(path, shards)


def open_index(path: Path) -> WeightFile:
    """List the tensors of the shards that an .index.json names."""
    if path.stat().st_size > INDEX_LIMIT:
        raise WeightsError(f"{path}: is longer than 100 MiB; name the .safetensors files instead")
    index = json.loads(path.read_bytes())
    weight_map = index["weight_map"]
    for shard in weight_map.values():
        place = PureWindowsPath(shard)  # knows both separators
        if place.anchor or ".." in place.parts:
            raise WeightsError(
                f"{path}: names the shard {shard!r}, outside its directory; "
                "move the shards beside the index"
            )
    shards = [path.parent / shard for shard in sorted(set(weight_map.values()))]
    weights = _joined(path, shards)
    names = {info.name for info in (*weights.tensors, *weights.skipped)}
    if names != weight_map.keys():
        name = min(names ^ weight_map.keys())
        raise WeightsError(
            f"{path}: index and shards disagree about {name!r}; download the model again"
        )
    return weights


def _joined(path: Path, shards: Sequence[Path]) -> WeightFile:
    """Return one `WeightFile` with the tensors of all shards."""
    tensors: list[tuple[TensorInfo, Load]] = []
    for shard in shards:
        if shard.suffix.lower() != ".safetensors":
            raise WeightsError(f"{path}: names {shard.name!r}; shards must be .safetensors files")
        with untrusted(shard):
            check_file(shard)
            tensors += open_safetensors(shard).entries()
    return WeightFile(path, tensors)

"""Which files of a directory are the model."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from minifloat.files._safe import WeightsError, quoted

INDEX = ".safetensors.index.json"
OTHERS = (".gguf", ".npz", ".npy")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")  # what torch.save writes
SHARD = re.compile(r"(.*)-\d+-of-(\d{1,9})\.safetensors", re.DOTALL)
LISTED = 5  # names in a message


def model_files(path: Path) -> list[Path]:
    """Return the files of the model in a directory: one, or its .safetensors files.

    The index goes first, model.safetensors.index.json before others, then the .safetensors files
    named model*, then all of that kind, then the only .gguf, .npz or .npy file, then a pickle.
    """
    files = sorted(
        file for file in path.iterdir() if not file.name.startswith(".") and file.is_file()
    )

    def ending(*suffixes: str) -> list[Path]:
        return [file for file in files if file.name.lower().endswith(suffixes)]

    indexes, shards, others = ending(INDEX), ending(".safetensors"), ending(*OTHERS)
    indexes = [file for file in indexes if file.name == f"model{INDEX}"] or indexes
    if len(indexes) == 1:
        return indexes
    if shards and not indexes:
        shards = [file for file in shards if file.name.lower().startswith("model")] or shards
        _check_complete(path, shards)
        return shards
    if len(others) == 1 and not indexes:
        return others
    if indexes or others:
        names = ", ".join(quoted(file.name) for file in (indexes or others)[:LISTED])
        more = " and more" if len(indexes or others) > LISTED else ""
        raise WeightsError(
            f"{path}: is a directory with several models: {names}{more}; name the file to read"
        )
    if pickles := ending(*PICKLES):
        return pickles[:1]  # of which `open_weights` says what to do
    raise WeightsError(
        f"{path}: is a directory with no .safetensors file, and no .gguf, .npz or .npy file; name "
        "the file to read"
    )


def _check_complete(path: Path, shards: list[Path]) -> None:
    """Refuse a model of which shards such as model-00002-of-00003.safetensors are missing."""
    counts: Counter[tuple[str, str]] = Counter()
    for shard in shards:
        if match := SHARD.fullmatch(shard.name):
            counts[match[1], match[2]] += 1
    for (name, total), count in counts.items():
        if count != int(total):
            raise WeightsError(
                f"{path}: holds {count} of the {int(total)} files {name}-*-of-{total}.safetensors; "
                "download the others, or name the file to read"
            )

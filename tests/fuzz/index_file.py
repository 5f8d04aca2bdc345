"""`open_weights` on the index of a sharded model, and on its directory; a secret lies outside."""

from __future__ import annotations

import json
from random import Random

from tests.fuzz import mutations
from tests.fuzz.mutations import Change
from tests.fuzz.reading import read_whole
from tests.fuzz.safetensors_file import tensors
from tests.fuzz.target import Target
from tests.fuzz.workplace import folder, written

NAME = "model.safetensors.index.json"
SHARDS = {"one.safetensors": "w", "two.safetensors": "v", "sub/three.safetensors": "u"}
PLACES = [
    *SHARDS, NAME, "w.npz", "sub", "..", "../secret.safetensors", "./../secret.safetensors",
    "sub/../../secret.safetensors", "..\\secret.safetensors", "$OUTSIDE/secret.safetensors",
    "sub//../..//secret.safetensors", "../secret.npz", "file://$OUTSIDE/secret.safetensors",
    "~/secret.safetensors", "C:secret.safetensors", "one.safetensors\x00", "/dev/zero", "",
    "../model/one.safetensors", "%2e%2e/secret.safetensors", "\uff0e\uff0e/secret.safetensors",
]  # fmt: skip


def run(data: bytes) -> None:
    """Read an index of that content, by its name and by its directory's."""
    (folder() / "sub").mkdir(exist_ok=True)
    for shard, name in SHARDS.items():
        path = folder() / shard
        if not path.exists():
            path.write_bytes(tensors((name, "F32", [2, 3])))
    path = written(NAME, data)
    try:
        read_whole(path)
        read_whole(folder())
    finally:
        path.unlink()


def index(weight_map: object) -> bytes:
    """Return an index."""
    return json.dumps({"metadata": {"total_size": 72}, "weight_map": weight_map}).encode()


def seeds() -> dict[str, bytes]:
    """Return a right index, one for each odd place of a shard, and broken ones."""
    return {
        "right": index({name: shard for shard, name in SHARDS.items()}),
        "nothing": index({}),
        "a list": b"[1, 2]",
        "brackets": b"[" * 5000,
        "digits": b"1" * 5000,
        **{f"a shard {place!r}": index({"secret": place}) for place in PLACES},
        **{f"a name {word!r}": index({word: "one.safetensors"}) for word in ("\x1b[31m", "", "=1")},
    }


def mutate(data: bytes, random: Random, change: Change) -> bytes:
    """Change a value, a word, or some bytes."""
    if random.random() < 0.6:
        source = data.decode(errors="replace")
        place = json.dumps(random.choice(PLACES))[1:-1]
        return mutations.text(source, random, [place, "secret", "weight_map", "/", ".."]).encode()
    return mutations.json_text(data, random, change)


TARGET = Target(run, seeds, mutate)

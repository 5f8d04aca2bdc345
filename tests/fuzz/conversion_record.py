"""`convert` into a folder with any conversion.json: an error, or the model that it would write."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from random import Random

import numpy as np

from minifloat.conversion import convert
from minifloat.files.checkpoints import open_checkpoint
from tests.files.checkpoints.by_hand import stored, write
from tests.fuzz import mutations
from tests.fuzz.faults import Fault
from tests.fuzz.mutations import Change
from tests.fuzz.target import Target
from tests.fuzz.workplace import folder

NAME, SHARD = "conversion.json", "model.safetensors"
TIME = 10**18  # of the last change of all shards, so that records are alike
WORDS = [
    *("complete", "shards", "made_of", "facts", "tensors", SHARD, "../model/x", "/", "nan", "1/0"),
    *("squared_error", "1e99999999", "9" * 5000, "-1", "0", "true", "null", "NaN", "Infinity"),
]


@cache
def _made() -> tuple[Path, bytes, bytes]:
    """Return the folder of a model, and the new shard and the record that it becomes."""
    source = folder() / "source"
    source.mkdir(exist_ok=True)
    weights = np.linspace(-1, 1, 64, dtype=np.float32).reshape(2, 32)
    write(source, {"a.weight": stored(weights)})
    os.utime(source / SHARD, ns=(TIME, TIME))
    new = folder() / "made"
    convert(source, new, "mxfp4")
    record = (new / NAME).read_bytes()
    changed = str((new / SHARD).stat().st_mtime_ns).encode()
    return source, (new / SHARD).read_bytes(), record.replace(changed, str(TIME).encode())


def run(data: bytes) -> None:
    """Go on with a conversion of that record."""
    source, shard, _ = _made()
    new = folder() / "new"
    new.mkdir(exist_ok=True)
    for path in new.iterdir():
        path.unlink()
    (new / SHARD).write_bytes(shard)
    os.utime(new / SHARD, ns=(TIME, TIME))
    (new / NAME).write_bytes(data)
    try:
        result = convert(source, new, "mxfp4")
    except ValueError:
        return
    result.to_json()
    repr(result)
    back = open_checkpoint(new).dequantize("a.weight")
    if (new / SHARD).read_bytes() != shard or not np.isfinite(back).all():
        raise Fault("another model was written")


def seeds() -> dict[str, bytes]:
    """Return a right record, an unfinished one, and broken ones."""
    record = _made()[2]
    return {
        "whole": record,
        "unfinished": record.replace(b'"complete": true', b'"complete": false'),
        "another": record.replace(SHARD.encode(), b"../source/model.safetensors"),
        "a huge fraction": record.replace(b'"squared_error": "', b'"squared_error": "1e999999999'),
        "no number": record.replace(b'"bits_per_weight": 4', b'"bits_per_weight": NaN, "x": 4'),
        "nothing": b"",
        "a list": b"[]",
        "brackets": b"[" * 5000,
    }


def mutate(data: bytes, random: Random, change: Change) -> bytes:
    """Change a value, a word, or some bytes."""
    return mutations.json_text(data, random, change, WORDS)


TARGET = Target(run, seeds, mutate)

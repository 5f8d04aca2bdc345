"""`minifloat compare` on one file of any kind, printed in each way."""

from __future__ import annotations

from random import Random

import numpy as np

from tests.fuzz import gguf_file, npz_file, safetensors_file
from tests.fuzz.command import check_csv, check_json, run_command
from tests.fuzz.mutations import Change
from tests.fuzz.target import Target
from tests.fuzz.workplace import watched, written

KINDS = {  # of files: how they are mutated
    ".safetensors": safetensors_file.mutate,
    ".npz": npz_file.mutate,
    ".npy": npz_file.mutate_npy,
    ".gguf": gguf_file.mutate,
}
WAYS: tuple[list[str], ...] = (
    [],
    ["--json"],
    ["--csv"],
    ["--details"],
    ["--sort", "error", "--top", "2"],
)
STEMS = ("model", "\x1b[31m", "=1+1", "[red]é\u202e", "a\nb", "-x", "\udcff")
RECIPES = ("e2m2/8", "nf4/4/float32,mxfp4", "int4/tensor/float16/mse")


def run(data: bytes) -> None:
    """Compare; the first three bytes choose the kind, the file's name and the way of printing."""
    kind, stem, way = (*data[:3], 0, 0, 0)[:3]
    suffix = list(KINDS)[kind % len(KINDS)]
    path = written(STEMS[stem % len(STEMS)] + suffix, data[3:])
    options = WAYS[way % len(WAYS)]
    recipes = RECIPES[way // len(WAYS) % len(RECIPES)]
    name = str(path) if path.name.startswith("-") else path.name
    try:
        with watched():
            printed = run_command(["compare", name, f"--recipes={recipes}", *options])
    finally:
        path.unlink()
    if printed and options == ["--json"]:
        check_json(printed)
    if printed and options == ["--csv"]:
        check_csv(printed)


def seeds() -> dict[str, bytes]:
    """Return files of each kind, with odd numbers in them, in each way of printing."""
    rng = np.random.default_rng(1)
    w = rng.standard_normal((4, 8), np.float32)
    odd = [w * 0, w * 1e-38, w * 1e38, w.astype(np.float64) * 1e160, w.astype(np.float64) * 1e-300]
    arrays = [npz_file.npy(array) for array in (w, w.astype(np.float16), w[0, 0], *odd)]
    several = npz_file.archive([(f"{n}.npy", 0, array) for n, array in enumerate(arrays[:5])])
    named = [(f"{name}.npy", 8, arrays[0]) for name in ("\x1b[31m", "=1+1", "@x", "[b]", "a\nb")]
    contents = [
        (1, several),
        (1, npz_file.archive(named)),
        *((2, array) for array in arrays),
        *((0, content) for content in safetensors_file.seeds().values()),
        *((3, content) for content in gguf_file.seeds().values()),
    ]
    return {
        f"{n}": bytes([kind, n % len(STEMS), n % (len(WAYS) * len(RECIPES))]) + content
        for n, (kind, content) in enumerate(contents)
    }


def mutate(data: bytes, random: Random, change: Change) -> bytes:
    """Change the file by its kind's grammar, or one of the choices."""
    head = bytearray((*data[:3], 0, 0, 0)[:3])
    if random.random() < 0.3:
        head[random.randrange(1, 3)] = random.randrange(len(WAYS) * len(RECIPES) * len(STEMS))
        return bytes(head) + data[3:]
    kind = list(KINDS.values())[head[0] % len(KINDS)]
    return bytes(head) + kind(data[3:], random, change)


TARGET = Target(run, seeds, mutate)

"""Command lines of all commands, a word a line: formats, options, odd numbers, files."""

from __future__ import annotations

from functools import cache, partial
from random import Random
from unittest.mock import patch

import numpy as np

import minifloat.comparison
from minifloat import registers
from tests.fuzz import mutations
from tests.fuzz.command import run_command
from tests.fuzz.mutations import Change
from tests.fuzz.safetensors_file import tensors
from tests.fuzz.target import Target
from tests.fuzz.workplace import folder

FILES = ["model.npz", "w.npy", "one.safetensors", "missing.npz", ".", "..", "/", "-", "broken.gguf"]
NUMBERS = [
    *("0", "-0", "1", "-1", "1.5", "-0.3", "1e-3", "1e400", "-inf", "inf", "nan", "-nan", "0x1f"),
    *("0b101", "0o7", "1_0", "7", "31", "255", "256", "65535", "65536", "4294967296", "\u0662"),
    *("9223372036854775807", "9223372036854775808", "99999999999999999999999", "1e", "--1", "+5"),
    *(
        "9" * 5000,
        "1" + "0" * 400,
        " 3 ",
        "2x4",
        "0x0",
        "2x99999999999999999999",
        "-9223372036854775809",
    ),
]
FORMATS = [
    *("e2m2", "e4m3fn", "e8m0", "int4", "nf4", "e5m10", "uint3", "bipolar_int2", "binary8p3se"),
    *("e3m0_nosub", "e2m1b-99999", "e0m3", "e16m1", "mxfp4", "nvfp4", "fp8", "e2m\u0662", "posit"),
    *("e2m2/8/float16", "nf4/4/e8m0:up/mse", "e2m2/8/float16/percentile", "e2m2//", "int65", ""),
]
OPTIONS = [
    *("--json", "--csv", "--details", "--all", "--prove", "--fold-scale", "--help", "--version"),
    *("--recipes", "--formats", "--block", "--scale", "--axis", "--sort", "--top", "--min-size"),
    *("--workers", "--seed", "--rounding", "--overflow", "--nan", "--layout", "--target", "--emit"),
    *(
        "--",
        "-h",
        "--x",
        "--block=0",
        "--axis=-1",
        "--seed=-1",
        "--sort=",
        "--include",
        "--exclude",
    ),
]
CHOICES = [
    *("stochastic", "upward", "to_odd", "raise", "ieee", "zero", "max", "saturate", "dense", "1+4"),
    *("4", "8", "2+4", "fpe2m2_kernel", "nvfp4", "bfloat16", "cuda", "asm", "c", "name", "size"),
    *("error", "channel", "tensor", "e8m0:ceil", "float32", "e2m2,int4", ",", "e2m2,e2m2", "2"),
]
COMMANDS = [
    "compare",
    "inspect",
    "audit",
    "list",
    "show",
    "encode",
    "decode",
    "registers",
    "Show",
    "",
]


@cache
def make_files() -> None:
    """Write small files of each kind."""
    w = np.linspace(-1, 1, 32, dtype=np.float32).reshape(4, 8)
    np.savez(folder() / "model.npz", **{"w": w, "v": w[0], "=1": w * 3, "n": np.arange(3)})
    np.save(folder() / "w.npy", w)
    (folder() / "one.safetensors").write_bytes(tensors(("w", "F32", [2, 3])))
    (folder() / "broken.gguf").write_bytes(b"GGUF")


def run(data: bytes) -> None:
    """Run the words; compare's noise is made small, and the searches for layouts short."""
    make_files()
    words = data.decode("utf-8", "surrogateescape").split("\n")
    with (
        patch.object(minifloat.comparison, "GAUSSIAN_SHAPE", (4, 8)),
        patch.object(registers, "search", partial(registers.search, restarts=1, trials=50)),
        patch.object(registers, "costs", lambda **_: []),
    ):
        run_command(words)


def seeds() -> dict[str, bytes]:
    """Return a line for each command and for many options."""
    lines = [
        "compare model.npz",
        "compare model.npz w.npy one.safetensors --json",
        "compare w.npy --formats e2m2,int5 --block 4 --scale e8m0:ceil --top 1 --csv",
        "compare w.npy --recipes mxfp4,nvfp4,e2m2/8/float16 --sort e2m2 --details",
        "compare model.npz --min-size 9 --axis 1 --workers 2",
        "compare --seed 3 --formats nf4",
        "inspect model.npz --json",
        "audit model.npz model.npz",
        "audit w.npy model.npz --best --include w",
        "list",
        "show e2m2",
        "show nvfp4",
        "show nf4/64/float32 --all",
        "show e5m10",
        "encode e2m2 1.1 -0.3 1e-3 -inf",
        "encode e4m3fn nan 500 --overflow ieee --rounding stochastic --seed 5",
        "encode int4 nan --nan zero",
        "decode e2m1 0b0111 0x1 3",
        "encode e2m2 1/3 0x1.8p-3 --rounding to_odd",
        "encode e2m2 -",
        "registers e2m2 --layout 1+4 --emit c",
        "registers",
        "registers e2m1",
        "registers e2m1 --layout 4 --target bfloat16 --fold-scale",
        "--version",
        "--help",
        "compare --help",
    ]
    return {line: line.replace(" ", "\n").encode() for line in lines}


def mutate(data: bytes, random: Random, change: Change) -> bytes:
    """Change, leave out, repeat or insert a word, or change a part of one."""
    if random.random() < 0.05:
        return change(data)
    words = data.decode("utf-8", "surrogateescape").split("\n")
    at = random.randrange(len(words) + 1)
    kinds = [FILES, NUMBERS, NUMBERS, FORMATS, FORMATS, OPTIONS, OPTIONS, CHOICES]
    new = random.choice(COMMANDS if at == 0 else random.choice(kinds))
    match random.randrange(8):
        case 0:
            words[at : at + 1] = []
        case 1:
            words[at:at] = words[at : at + 2]
        case 2 | 3 | 4:
            words[at:at] = [new]
        case 5 if at < len(words):
            words[at] = mutations.text(words[at], random, [*NUMBERS, *FORMATS, *CHOICES])
        case _:
            words[at : at + 1] = [new]
    return "\n".join(words).encode("utf-8", "surrogateescape")


TARGET = Target(run, seeds, mutate)

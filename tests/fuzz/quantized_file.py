"""`minifloat.load` on both kinds of file, and all that is done with what it gives.

The weights are `Quantized` or, for targets of their own, `Composite` or of complex codes.
"""

from __future__ import annotations

import io
import json
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import TypeAlias

import numpy as np

import minifloat as mf
from minifloat.quantization.complex_weights import ComplexQuantized, quantize
from minifloat.quantization.widely_linear import WidelyLinear, fairy2i
from tests.composites.made import COMBINATIONS, composite
from tests.fuzz import mutations
from tests.fuzz.faults import check, check_line, only
from tests.fuzz.mutations import Change
from tests.fuzz.npz_file import STORED, archive, members_of, mutate_npy, npy
from tests.fuzz.safetensors_file import blob
from tests.fuzz.target import Target
from tests.fuzz.workplace import folder, trapped, watched, written

Weights: TypeAlias = mf.Quantized | mf.Composite | ComplexQuantized | WidelyLinear

MARK = "minifloat"  # the name of the description
LONGEST = 4096  # rows or columns of a product
RECIPES = (
    *("e2m2/4/float32", "nf4/4/float16", "e2m1/8/e8m0:ceil", "int5/channel/bfloat16", "nvfp4"),
    *("qlora", "uint4/4/float16/zero-point", "e4m3fn/2x4/float32", "int3/tensor/float32"),
    *("bipolar_int2/4/float32", "e2m3/3/ue5m3", "int4/4/float16/hadamard4:7"),
    *("lut2/4/float16", "lut3/2x4/e5m2"),
)
WORDS = [
    *(
        "e2m2",
        "e3m1",
        "int5",
        "nf4",
        "e2m1",
        "uint4",
        "e8m0",
        "lut2",
        "e4m3fn",
        "tensor",
        "channel",
        "2x4",
    ),
    *("float32", "float16", "bfloat16", "double", "zero-point", "tensor-scale", "mse", "/", ":up"),
    *(
        "hadamard4",
        "hadamard12:7",
        "version",
        "format",
        "bits",
        "scaling",
        "shape",
        "axis",
        "tensor_scale",
        "scale_mean",
        "composite",
        "complex",
        "gap_bits",
        "dense",
        "left",
        "right",
        "8",
    ),
]


def run(suffix: str, data: bytes) -> None:
    """Load a file of that content and use what it gives."""
    path = written(f"q.{suffix}", data)
    with watched(), only(ValueError):
        loaded = mf.load(path)
    if "loaded" in locals():
        use(loaded)


def use(q: Weights) -> None:
    """Show, dequantize, multiply, save and load; none of it may fail."""
    check_line("repr", repr(q))
    values = np.asarray(q.dequantize())
    check(values.shape == q.shape, f"{q!r} gives shape {values.shape}")
    check(q.nbytes >= 0 <= q.bits_per_weight, f"{q!r} has no size")
    fits = len(q.shape) == 2 and max(q.shape) <= LONGEST
    if not isinstance(q, mf.Quantized):
        if fits:
            check_shape_of_product(q)
    else:
        check(q._repr_html_().replace("\n", "").isprintable(), "the HTML must be printable")
        check(q.codes.shape == q.shape, f"codes of {q!r} have shape {q.codes.shape}")
        if fits:
            check_product(q, values)
    for suffix in ("npz", "safetensors"):
        saved = folder() / f"again.{suffix}"
        mf.save(q, saved)
        again = mf.load(saved)
        check(again == q, f"{q!r} is another one when saved and loaded")
        if isinstance(q, mf.Quantized) and isinstance(again, mf.Quantized):
            check(again.recipe == q.recipe, f"{q!r} has another recipe when saved and loaded")
        check_same(np.asarray(again.dequantize()), values)


def check_shape_of_product(q: Weights) -> tuple[np.ndarray, np.ndarray]:
    """Multiply, and return the vectors and the products."""
    x = np.linspace(-1, 1, 2 * q.shape[1], dtype=np.float32).reshape(2, q.shape[1])
    y = mf.linear(x, q)
    check(y.shape == (2, q.shape[0]), f"linear gives shape {y.shape} for {q!r}")
    return x, y


def check_product(q: mf.Quantized, values: np.ndarray) -> None:
    """Compare `linear` with float64, within the bound that its documentation states."""
    x, y = check_shape_of_product(q)
    scale = float(abs(values).max(initial=0))
    if not np.isfinite(values).all() or scale > 1e37 / LONGEST:
        return  # beyond float32
    w = values.astype(np.float64).T
    n = (q.shape[1] + 8) * 2.0**-24
    underflow = (q.shape[1] + 8) * 2.0**-133 * (1 + scales_times_format(q))
    bound = n / (1 - n) * (abs(x).astype(np.float64) @ abs(w)) + underflow
    if q.rotation is not None:
        bound = bound + 2.0**-12 * np.linalg.norm(x) * np.linalg.norm(w)
    check(bool((abs(y - x.astype(np.float64) @ w) <= bound).all()), f"linear is wrong for {q!r}")


def scales_times_format(q: mf.Quantized) -> float:
    """Return the largest magnitude that a code times a scale may have."""
    largest = float(np.max(q.scales, initial=0)) * (q.tensor_scale or 1.0)
    if q.fmt.is_lookup:
        return float(abs(q.scales).max(initial=0))
    return (1 + largest) * q.fmt.max_abs


def check_same(a: np.ndarray, b: np.ndarray) -> None:
    """Refuse arrays that differ in a bit; NaN is as NaN."""
    a, b = (np.where(np.isnan(x), x.dtype.type(np.nan), x) for x in (a, b))
    check(a.dtype == b.dtype and a.tobytes() == b.tobytes(), "saved and loaded weights differ")


@cache
def saved(suffix: str) -> dict[str, bytes]:
    """Return small weights by each recipe, as `minifloat.save` writes them."""
    w = np.random.default_rng(0).standard_normal((3, 8), np.float32)
    w[1, :4] = 0
    blobs = {}
    for recipe in RECIPES:
        matrix = abs(w) if recipe.startswith("e8m0") else w
        path: Path = folder() / f"seed.{suffix}"
        mf.save(mf.quantize(matrix, recipe), path)
        blobs[recipe] = path.read_bytes()
        path.unlink()
    for name in ("e2m2", "nf4"):
        path = folder() / f"seed.{suffix}"
        mf.save(mf.quantize(w[0, 0] if name == "e2m2" else w[:, :0], name, block="tensor"), path)
        blobs[f"{name}, odd shape"] = path.read_bytes()
        path.unlink()
    return blobs


def saved_composites(suffix: str) -> dict[str, bytes]:
    """Return small weights of several parts, as `minifloat.save` writes them."""
    blobs = {}
    for names in (*COMBINATIONS[:8], COMBINATIONS[-1]):
        path: Path = folder() / f"seed.{suffix}"
        mf.save(composite(names, "e2m2/4/float16", 3, 8), path)
        blobs["+".join(names) or "dense"] = path.read_bytes()
        path.unlink()
    return blobs


def saved_complex(suffix: str) -> dict[str, bytes]:
    """Return small weights of complex codes, as `minifloat.save` writes them."""
    w = np.random.default_rng(0).standard_normal((4, 6))
    every = {
        "complex": quantize(w + 1j),
        "rows": quantize(w, block="channel"),
        "a stage": fairy2i(w, 1),
        "three stages": fairy2i(w, 3, block="channel"),
    }
    blobs = {}
    for name, q in every.items():
        path: Path = folder() / f"seed.{suffix}"
        mf.save(q, path)
        blobs[name] = path.read_bytes()
        path.unlink()
    return blobs


def npz_seeds() -> dict[str, bytes]:
    """Return saved weights, and an archive with a pickle."""
    [first, *_] = saved("npz").values()
    return {**saved("npz"), "a pickle": archive([*members_of(first), ("x.npy", STORED, trapped())])}


def mutate_npz(data: bytes, random: Random, change: Change) -> bytes:
    """Change a value of the description, or a member; checksums stay right."""
    members = members_of(data)
    if not members or random.random() < 0.1:
        return change(data)
    at = random.randrange(len(members))
    if random.random() < 0.5:
        at = next((n for n, (name, *_) in enumerate(members) if name == f"{MARK}.npy"), at)
    name, compression, content = members[at]
    if name == f"{MARK}.npy" and random.random() < 0.9:
        content = mutate_description_array(content, random, change)
    else:
        content = mutate_npy(content, random, change)
    members[at] = (name, compression, content)
    return archive(members)


def mutate_description_array(content: bytes, random: Random, change: Change) -> bytes:
    """Change the JSON text that a .npy file holds as its one string."""
    try:
        text = str(np.load(io.BytesIO(content), allow_pickle=False))
    except Exception:  # anything: it is damaged
        return change(content)
    new = mutations.json_text(text.encode(errors="replace"), random, change, WORDS)
    return npy(np.array(new.decode(errors="replace")))


def mutate_safetensors(data: bytes, random: Random, change: Change) -> bytes:
    """Change a value of the description or of the header, whose length stays right, or bytes."""
    length = int.from_bytes(data[:8], "little")
    header, rest = data[8 : 8 + length], data[8 + length :]
    if random.random() < 0.1:
        return change(data)
    if random.random() < 0.3:
        return blob(header, change(rest))
    try:
        parts = json.loads(header)
        description = parts["__metadata__"][MARK].encode(errors="replace")
    except Exception:  # anything: it is damaged
        return change(data)
    if random.random() < 0.3:
        return blob(mutations.json_value(parts, random, WORDS), rest)
    new = mutations.json_text(description, random, change, WORDS)
    parts["__metadata__"][MARK] = new.decode(errors="replace")
    return blob(parts, rest)


NPZ_TARGET = Target(partial(run, "npz"), npz_seeds, mutate_npz)
SAFETENSORS_TARGET = Target(
    partial(run, "safetensors"), lambda: saved("safetensors"), mutate_safetensors
)
COMPOSITE_NPZ_TARGET = Target(partial(run, "npz"), lambda: saved_composites("npz"), mutate_npz)
COMPOSITE_SAFETENSORS_TARGET = Target(
    partial(run, "safetensors"), lambda: saved_composites("safetensors"), mutate_safetensors
)
COMPLEX_NPZ_TARGET = Target(partial(run, "npz"), lambda: saved_complex("npz"), mutate_npz)
COMPLEX_SAFETENSORS_TARGET = Target(
    partial(run, "safetensors"), lambda: saved_complex("safetensors"), mutate_safetensors
)

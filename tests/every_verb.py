"""Digests of the bits that each verb returns: ``python -m tests.every_verb HOW STRIDE``.

HOW says how kernels are run: ``compiled``, ``interpreted`` (Numba is never loaded), ``missing``
(Numba cannot be imported) or ``disabled`` (by NUMBA_DISABLE_JIT). `tests/test_jit.py` compares the
digests. STRIDE is 1 for all formats, n for one in n. Arrays are small; they hold zeros of both
signs, subnormals, values that overflow, infinities and NaN.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

import minifloat as mf
from minifloat import _jit, arithmetic, registers
from minifloat.quantization.block_parts import rounded_in_blocks
from minifloat.quantization.block_rounding import BlockRounder
from minifloat.quantization.training_rounding import EdenRounder, QuestRounder
from tests.composites.made import COMBINATIONS, composite

SPECIALS = [0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, -1e-40, 3e-8, 1e300, -465.0, 0.9375, 6.5]
SCALES = ("float32", "float16", "e8m0", "e4m3fn", "ue5m3")


def values(size: int) -> np.ndarray:
    """Return numbers of all magnitudes that small formats have, and special ones, as float64."""
    rng = np.random.default_rng(3)
    return np.concatenate([rng.standard_normal(size) * 2.0 ** rng.integers(-9, 9, size), SPECIALS])


def weights(*shape: int, seed: int = 5) -> np.ndarray:
    """Return normal weights with some zeros, and in the last row equal ones."""
    w = np.random.default_rng(seed).standard_normal(shape, np.float32)
    w.reshape(-1)[::7] = 0.0
    w[-1] = np.where(np.arange(shape[-1]) % 3, 0.25, -0.5)
    return w


def formats(stride: int) -> list[tuple[str, mf.NumberFormat]]:
    """Return the named formats, or one in so many."""
    return list(mf.CATALOGUE.items())[::stride]


def coded(stride: int) -> Iterator[tuple[str, Any]]:
    """Encode, decode and round."""
    x = values(12)
    with np.errstate(all="ignore"):
        sources = [x.astype(t) for t in (np.float16, ml_dtypes.bfloat16, np.float32, np.float64)]
    for name, fmt in formats(stride):
        for mode, source in itertools.product(mf.Rounding, sources):
            seed = {"seed": 9} if mode.is_stochastic else {}
            yield (
                f"encode {name} {mode} {source.dtype}",
                mf.encode(source, fmt, rounding=mode, nan="max", **seed),
            )
        for mode in mf.Rounding:
            seed = {"seed": 9} if mode.is_stochastic else {}
            dtype = np.float64 if name in ("tf32", "e8m0") else np.float32
            yield (
                f"round_to {name} {mode}",
                mf.round_to(sources[2], fmt, rounding=mode, nan="max", dtype=dtype, **seed),
            )
        for overflow, nan in itertools.product(mf.Overflow, mf.NaNPolicy):
            yield (
                f"encode {name} {overflow} {nan}",
                tried(
                    lambda fmt=fmt, overflow=overflow, nan=nan: mf.encode(
                        sources[2], fmt, overflow=overflow, nan=nan
                    )
                ),
            )
        codes = np.unique(np.linspace(0, fmt.code_count - 1, 40).astype(np.uint32))
        for dtype in (np.float16, np.float32, np.float64):
            yield (
                f"decode {name} {dtype.__name__}",
                tried(lambda codes=codes, fmt=fmt, dtype=dtype: mf.decode(codes, fmt, dtype=dtype)),
            )
    words = np.arange(x.size) * 4099 % (1 << 16)
    for fmt, mode in itertools.product(("e2m2", "nf4"), ("stochastic", "stochastic_c")):
        yield (
            f"encode {fmt} {mode} by words",
            mf.encode(sources[2], fmt, rounding=mode, nan="zero", random=words, random_bits=16),
        )


def packed() -> Iterator[tuple[str, Any]]:
    """Pack and unpack, in bytes and in words."""
    rng = np.random.default_rng(4)
    for bits in (*range(1, 10), 16, 19, 32):
        codes = rng.integers(0, 1 << bits, (2, 21), np.uint64)
        for order in ("little", "big"):
            held = mf.pack(codes, bits, bit_order=order)
            yield f"pack {bits} {order}", held
            yield f"unpack {bits} {order}", mf.unpack(held, bits, 21, bit_order=order)
            yield (
                f"unpack {bits} {order} from 3",
                mf.unpack(held, bits, 9, start=3, bit_order=order),
            )
        for name in {4: ["4", "dense"], 5: ["1+4", "dense"], 6: ["2+4"], 8: ["8"]}.get(bits, []):
            layout = mf.parse_layout(name, bits)
            words = mf.pack_words(codes, layout)
            yield f"pack_words {bits} {name}", words
            yield f"unpack_words {bits} {name}", mf.unpack_words(words, layout, 21)


def quantized(stride: int) -> Iterator[tuple[str, Any]]:
    """Quantize by recipes of all kinds, save and load."""
    w = weights(4, 24)
    hessian = w.astype(np.float64).T @ w + np.eye(24)
    searches = list(mf.ScaleSearch)
    changes: list[dict[str, Any]] = [
        *({"scale": scale, "search": search} for scale in SCALES for search in searches),
        *({"scale": "e8m0", "scale_rounding": rounding} for rounding in mf.ScaleRounding),
        *(
            {"scale": scale, "search": search, "tensor_scale": True}
            for scale in SCALES[1:]
            for search in searches
        ),
        *({"block": block} for block in ("channel", "tensor", (2, 6), 5)),
        {"scale": "float32", "double": True},
        {"scale": "float32", "double": True, "search": "mse"},
        {"axis": 0},
        {"search": "mse", "importance": np.linspace(0, 2, 24)},
    ]
    calls: list[tuple[str, dict[str, Any]]] = [
        *itertools.product(("e2m2", "int5", "nf4", "e4m3fn", "bipolar_int3"), changes[::stride]),
        *(("uint4", {"zero_point": True, "search": search}) for search in searches),
    ]
    for fmt, change in calls:
        text = f"{fmt} {' '.join(f'{key}={value}' for key, value in change.items())}"
        for dtype in (np.float32, np.float64):
            yield (
                f"quantize {text} {dtype.__name__}",
                tried(
                    lambda fmt=fmt, change=change, dtype=dtype: parts_of(
                        mf.quantize(w.astype(dtype), fmt, **{"block": 8, **change})
                    )
                ),
            )
        if change.get("axis") is None and change.get("block") != "tensor":
            yield (
                f"gptq {text}",
                tried(
                    lambda fmt=fmt, change=change: parts_of(
                        mf.gptq(w, fmt, hessian, **{"block": 8, **change})
                    )
                ),
            )
    static: dict[str, Any] = {"act_order": True, "static_groups": True, "zero_dead": True}
    for recipe in ("e2m2/8", "nvfp4", "if4", "uint4/8/float16/zero-point", "int4/2x6/e8m0"):
        start = mf.gptq(w, recipe, hessian, **static)
        yield f"gptq in order {recipe}", parts_of(start)
        yield f"refine {recipe}", parts_of(mf.refine(w, start, hessian))
        yield f"learn_rounding {recipe}", parts_of(mf.learn_rounding(w, start, hessian, steps=9))
    for fmt, parsed in formats(stride):
        search = "mse" if parsed.bits <= 8 else "absmax"
        for sign, matrix in (("w", w), ("|w|", abs(w))):
            yield (
                f"quantize {sign} {fmt}",
                tried(
                    lambda parsed=parsed, matrix=matrix, search=search: parts_of(
                        mf.quantize(matrix, parsed, block=9, search=search)
                    )
                ),
            )
    for name in mf.RECIPES:
        yield f"quantize {name}", parts_of(mf.quantize(w, name))
    for size in (4, 12, 24):
        rotation = mf.Rotation(size, seed=5)
        yield f"quantize rotated {size}", parts_of(mf.quantize(w, "e2m2/8", rotation=rotation))
        yield f"rotate {size}", [rotation.rotate(w), rotation.rotate_back(w.astype(np.float64))]
    wide = weights(32, 64, seed=9)  # rows of whole vectors
    for size in (2, 8, 16, 64):
        rotation = mf.Rotation(size, seed=6)
        rotated = [rotation.rotate(wide), rotation.rotate_back(wide.astype(np.float64))]
        yield f"rotate vectors {size}", rotated
    for size in (20, 40, 48, 72):  # by matrices of 20, 12 and 36
        rotation, rows = mf.Rotation(size, seed=7), weights(2, 3 * size, seed=10)
        rotated = [rotation.rotate(rows), rotation.rotate_back(rows.astype(np.float64))]
        yield f"rotate by columns {size}", rotated
    for recipe in ("e2m1/8/e4m3fn", "if4", "uint4/8/float16/zero-point", "nf4/8/float32/double"):
        for mode in list(mf.Rounding)[1:]:
            seed = {"seed": 9} if mode.is_stochastic else {}
            yield (
                f"quantize {recipe} {mode}",
                parts_of(mf.quantize(w, recipe, rounding=mode, **seed)),
            )
    for axis in (-1, -2):
        for rounder in rounders(axis):
            kind = f"{type(rounder).__name__} {rounder.recipe} {axis} {rounder.blocks.factor}"
            for rotation in (None, mf.Rotation(16, seed=2)):
                found = rounded_in_blocks(wide, rounder, rotation)
                assert found is not None
                yield f"{kind} {rotation}", found
    for block in (8, "channel", (2, 6)):
        yield f"quantize lut3 {block}", parts_of(mf.quantize(w, "lut3", block=block))
    nested = mf.quantize_nested(w, "lut4/channel", 2, importance=np.linspace(0, 2, 24))
    yield "quantize_nested", parts_of(nested)
    yield "narrow tables", parts_of(mf.narrow(nested, "lut3", reading="cut"))
    yield "narrow", parts_of(mf.narrow(mf.quantize(w, "e2m4"), "e2m2"))
    equal = np.where(np.arange(96) % 2, 1.0, -2.0).astype(np.float32)[None]
    for fmt in ("int5", "nf4/128"):
        yield f"quantize many equal {fmt}", parts_of(mf.quantize(equal, fmt, search="mse"))
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("npz", "safetensors"):
            path = Path(folder) / f"weights.{suffix}"
            mf.save(mf.quantize(w, "e2m2"), path)
            yield f"load {suffix}", parts_of(mf.load(path))


def rounders(axis: int) -> Iterator[BlockRounder]:
    """Yield what rounds blocks of 24, and the shorter ones behind them."""
    texts = (
        "e2m1/24/ue5m3",
        "e2m1/24/e8m0:up",
        "e2m1/24/e4m3fn/tensor-scale",
        "e2m1@3|e2m1|e2m1@4/24/ue5m3",
    )
    for recipe in map(mf.Recipe.parse, texts):
        yield BlockRounder(recipe, axis, 24)
    yield BlockRounder(mf.Recipe.parse(texts[0]), axis, 24, exact=False, factor=0.75, seed=4)
    yield QuestRounder(mf.Recipe.parse("e2m1/24/float32"), axis, 24)
    yield EdenRounder(mf.Recipe.parse("e2m1/24/e4m3fn/tensor-scale256"), axis, 24, seed=4)


def programs() -> Iterator[tuple[str, Any]]:
    """Run register programs, prove them, and search for one."""
    words = np.random.default_rng(6).integers(0, 1 << 32, (20,), np.uint32)
    cases = (("e2m2", "1+4"), ("e2m1", "4"), ("int5", "1+4"), ("nf4", "4"), ("e4m3fn", "8"))
    for (fmt, layout), target in itertools.product(cases, ("float16", "bfloat16")):
        program = registers.to_half(fmt, layout, target)
        yield f"run {fmt} {target}", registers.run(program, words)
        yield f"run {fmt} {target} flushed", registers.run(program, words, flush_subnormals=True)
    narrow = registers.to_half("e2m1", "4")
    yield "prove", np.array([str(registers.prove(narrow, "e2m1"))])
    found = registers.search("e2m1", restarts=1, trials=400)
    yield "search", np.array([*found.program.layout.places, str(found.program.cost.total)], object)


def sums(stride: int) -> Iterator[tuple[str, Any]]:
    """Add and multiply as matrix units and accumulators do."""
    x, w = weights(3, 12), weights(2, 12, seed=8)
    for name, unit in list(arithmetic.UNITS.items())[::stride]:
        a, b = x, w
        if isinstance(unit.inputs[0], mf.Format) and unit.inputs[0].name != "tf32":
            a, b = mf.round_to(x, unit.inputs[0]), mf.round_to(w, unit.inputs[0])
            a[0, 0] = np.inf if unit.inputs[0].has_inf else 0
        yield f"linear {name}", arithmetic.linear(a, b, 0.3, unit=name)
    for text in (
        *("float32", "bfloat16:downward/flush", "e6m9:to_odd/product=e5m10", "float16/terms=all"),
        *("e4m3fn/order=strided:3", "float32/order=pairwise:4+product=float16+flush", "int16"),
        *("fixed16.8/overflow=wrap", "e8m13/terms=3+bits=5+cut=nearest_even+promote=6"),
    ):
        yield f"linear {text}", arithmetic.linear(x, w, 0.3, accumulator=text)
        yield f"sum {text}", arithmetic.sum(x, accumulator=text)
    for text in ("bfloat16:stochastic/product=e5m10", "e4m3fn:stochastic_c/order=strided:3"):
        yield f"linear {text}", arithmetic.linear(x, w, 0.3, accumulator=text, seed=3)
    wide = values(24).reshape(3, 12)  # float64, with infinities, NaN and subnormal numbers
    for text in ("float64", "float64/order=strided:3", "float64/product=float64"):
        yield f"dot {text}", arithmetic.dot(wide, wide[::-1], 0.3, accumulator=text)
        yield f"linear {text}", arithmetic.linear(wide, wide, 0.3, accumulator=text)


def multiplications() -> Iterator[tuple[str, Any]]:
    """Multiply in other ways."""
    for name in ("e2m2", "e4m3fn", "e3m3b5"):
        v = mf.round_to(values(12), name, nan="max")
        for variant in ("formula", "addition"):
            product = arithmetic.l_mul(v[:, None], v, name, variant=variant)
            yield f"l_mul {name} {variant}", product
    x = np.random.default_rng(6).integers(-99, 99, 12)
    yield "mitchell", arithmetic.mitchell(x[:, None], x)
    yield "shift_add", arithmetic.shift_add(x[:, None], np.arange(15), "apot4")
    for bits, length in ((1, 70), (2, 64), (3, 9)):
        codes = np.random.default_rng(bits).integers(0, 2**bits, (3, length))
        planes = arithmetic.bit_planes(codes, bits)
        yield f"bipolar_matmul {bits}", arithmetic.bipolar_matmul(planes, planes)
    yield "requantize", arithmetic.requantize(x, arithmetic.dyadic(0.37, 5), "int4")


def products() -> Iterator[tuple[str, Any]]:
    """Multiply, as floats to be compared within the bound that `linear` states."""
    w, x = weights(6, 40), weights(3, 40, seed=8)
    x[1, 3], x[2, 5] = np.inf, np.nan
    for fmt, axis in itertools.product(("e2m2", "nf5", "int5", "e5m10ieee"), (0, 1, "tensor")):
        block = {"block": "tensor"} if axis == "tensor" else {"block": 4, "axis": axis}
        if axis == 1 and fmt == "int5":
            block["rotation"] = "hadamard20"
        q = mf.quantize(w, fmt, **block)
        y = mf.linear(x, q)
        yield f"linear {fmt} {axis}", y
        yield f"q @ x {fmt} {axis}", q @ x.T
        yield f"x @ q {fmt} {axis}", w[:, :6] @ q
    c = composite(COMBINATIONS[-1], "e2m2/8", 6, 40)
    yield "linear composite", mf.linear(x, c)


def tried(call: Any) -> Any:
    """Return the result of a call, or its error as text."""
    try:
        return call()
    except ValueError as error:
        return np.array([str(error)])


def parts_of(q: mf.Quantized) -> list[np.ndarray]:
    """Return the arrays of quantized weights."""
    arrays = [q.packed, q.scales, np.float32([q.tensor_scale or 0]), q.dequantize()]
    return arrays if q.zero_points is None else [*arrays, q.zero_points]


def digest(result: Any) -> str:
    """Return a hash of an array's or several arrays' bytes and dtypes."""
    parts = result if isinstance(result, list) else [result]
    total = hashlib.sha256()
    for part in map(np.asarray, parts):
        data = repr(part.tolist()).encode() if part.dtype == object else part.tobytes()
        total.update(f"{part.dtype} {part.shape}".encode() + data)
    return total.hexdigest()[:16]


def main(how: str, stride: int) -> None:
    """Print the digests, and the products, as JSON."""
    if how == "missing":
        sys.modules["numba"] = None  # type: ignore[assignment]
    if how == "interpreted":
        _jit.SMALL = _jit.PATIENCE = sys.maxsize
    assert how != "compiled" or _jit.load()
    digests = {
        name: digest(result)
        for name, result in itertools.chain(
            coded(stride), packed(), quantized(stride), programs(), sums(stride), multiplications()
        )
    }
    if how != "disabled":
        assert ("numba.core" in sys.modules) == (how == "compiled")
    results = {name: result.tolist() for name, result in products()}
    json.dump({"digests": digests, "products": results}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

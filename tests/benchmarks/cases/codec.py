"""The codec: the verbs with their defaults, every mode, policy and source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import DTypeLike

import minifloat as mf
from minifloat.formats.rounding import NaNPolicy, Overflow, Rounding
from tests.benchmarks.cases.case import Case, Inputs, Thunk, add, copy_float64, over_copy

FORMATS = ("e2m2", "e4m3fn")
SMALL = 16


def encode(fmt: str, source: DTypeLike = np.float32, **options: Any) -> Callable[[Inputs], Thunk]:
    """Encode the normals in a source type."""

    def prepare(inputs: Inputs) -> Thunk:
        x = inputs.x64 if source is np.float64 else inputs.x.astype(source, copy=False)
        out = inputs.empty(np.uint8)
        return lambda: mf.encode(x, fmt, out=out, **options)

    return prepare


def round_to(fmt: str) -> Callable[[Inputs], Thunk]:
    """Round the normals, float32 to float32."""

    def prepare(inputs: Inputs) -> Thunk:
        x, out = inputs.x, inputs.empty(np.float32)
        return lambda: mf.round_to(x, fmt, out=out)

    return prepare


def decode(fmt: str, dtype: DTypeLike, threads: int = 1) -> Callable[[Inputs], Thunk]:
    """Decode the normals' codes."""

    def prepare(inputs: Inputs) -> Thunk:
        codes, out = inputs.codes(fmt), inputs.empty(dtype)
        return lambda: mf.decode(codes, fmt, dtype=dtype, threads=threads, out=out)

    return prepare


def encode_own_words(fmt: str) -> Callable[[Inputs], Thunk]:
    """Encode with random words of the caller's."""

    def prepare(inputs: Inputs) -> Thunk:
        x, words, out = inputs.x, inputs.words, inputs.empty(np.uint8)
        return lambda: mf.encode(x, fmt, rounding="stochastic", random=words, out=out)

    return prepare


def main_cases(fmt: str) -> Iterator[Case]:
    """The verbs with their defaults."""
    yield over_copy("encode", fmt, 0.9, encode(fmt), moves=5)
    yield over_copy("decode float32", fmt, 0.6, decode(fmt, np.float32), moves=5)
    yield over_copy("decode float16", fmt, 1.0, decode(fmt, np.float16), moves=3)
    yield over_copy("round_to", fmt, 0.55, round_to(fmt), moves=8)


def option_cases(fmt: str) -> Iterator[Case]:
    """Every mode and policy that is not the default."""
    for rounding in Rounding:
        target = 0.5 if rounding.is_stochastic else 0.65
        if rounding is not Rounding.NEAREST_EVEN:
            seed = 1 if rounding.is_stochastic else None
            prepare = encode(fmt, rounding=rounding, seed=seed)
            yield over_copy(f"encode {rounding}", fmt, target, prepare, moves=5)
    prepare = encode_own_words(fmt)
    yield over_copy("encode stochastic, random given", fmt, None, prepare, moves=9)
    for overflow in Overflow:
        if overflow is not Overflow.SATURATE:
            prepare = encode(fmt, overflow=overflow)
            yield over_copy(f"encode overflow {overflow}", fmt, 0.4, prepare, moves=5)
    for nan in NaNPolicy:
        if nan is not NaNPolicy.RAISE and not mf.parse(fmt).has_nan:
            yield over_copy(f"encode nan {nan}", fmt, 0.4, encode(fmt, nan=nan), moves=5)


def source_cases(fmt: str) -> Iterator[Case]:
    """The other source types; float64 against a float64 copy."""
    yield Case("encode float64", fmt, 0.7, encode(fmt, np.float64), copy_float64, moves=9)
    for source in (np.float16, ml_dtypes.bfloat16):
        name = f"encode {np.dtype(source)} / float32"
        yield Case(name, fmt, 1.0, encode(fmt, source), encode(fmt), moves=3)
    yield over_copy("decode float64", fmt, None, decode(fmt, np.float64), moves=9)


def codebook_cases() -> Iterator[Case]:
    """Formats that are lists of values."""
    for source, moves in ((np.float32, 5), (np.float16, 3)):
        prepare = encode("nf4", source)
        yield over_copy(f"encode {np.dtype(source)}", "nf4", 0.3, prepare, moves=moves)
    yield over_copy("round_to", "nf4", None, round_to("nf4"), moves=8)


def small_cases() -> Iterator[Case]:
    """Calls of a few elements, where a call's own time is all there is."""

    def encode_small(inputs: Inputs) -> Thunk:
        x = inputs.x
        return lambda: mf.encode(x, "e2m2")

    yield Case("encode / numpy.add, 16 elements", "e2m2", 1 / 15, encode_small, add, own_size=SMALL)


def thread_cases(fmt: str) -> Iterator[Case]:
    """Two threads against one; the plain encode and decode are bound by memory."""
    cases: tuple[tuple[str, float | None, Callable[[int], Callable[[Inputs], Thunk]]], ...] = (
        ("encode", None, lambda n: encode(fmt, threads=n)),
        ("encode to_odd", 1.6, lambda n: encode(fmt, rounding="to_odd", threads=n)),
        ("encode stochastic", 1.6, lambda n: encode(fmt, rounding="stochastic", seed=1, threads=n)),
        ("decode float32", None, lambda n: decode(fmt, np.float32, threads=n)),
    )
    for task, target, make in cases:
        yield Case(f"{task}, 2 threads / 1", fmt, target, make(2), make(1))

"""Other libraries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec

import gfloat.formats
import ml_dtypes
import numpy as np
from gfloat import round_ndarray
from numpy.typing import DTypeLike

import minifloat as mf
from tests.benchmarks.cases.case import Case, Inputs, Thunk, over_copy
from tests.benchmarks.cases.codec import decode, encode

GFLOAT_FORMATS = {"e4m3fn": gfloat.formats.format_info_ocp_e4m3}
GFLOAT_SIZE = 1 << 14  # its time is proportional to the size, and long


def ml_dtypes_encode(inputs: Inputs) -> Thunk:
    """Encode as ml_dtypes does."""
    x, out = inputs.x, inputs.empty(ml_dtypes.float8_e4m3fn)
    return lambda: np.copyto(out, x, casting="unsafe")


def ml_dtypes_decode(inputs: Inputs) -> Thunk:
    """Decode as ml_dtypes does."""
    codes, out = inputs.codes("e4m3fn").view(ml_dtypes.float8_e4m3fn), inputs.empty(np.float32)
    return lambda: np.copyto(out, codes)


def take(fmt: str, dtype: DTypeLike) -> Callable[[Inputs], Thunk]:
    """Decode by NumPy's look-up in a table; with mode clip it needs no buffer."""

    def prepare(inputs: Inputs) -> Thunk:
        table = mf.parse(fmt).values().astype(dtype)
        codes, out = inputs.codes(fmt), inputs.empty(dtype)
        return lambda: np.take(table, codes, out=out, mode="clip")

    return prepare


def gfloat_round(fmt: str) -> Callable[[Inputs], Thunk]:
    """Round as gfloat does."""
    return lambda inputs: lambda: round_ndarray(GFLOAT_FORMATS[fmt], inputs.x64)


def peer_cases() -> Iterator[Case]:
    """Other libraries."""
    fmt = "e4m3fn"
    yield over_copy("ml_dtypes encode", fmt, None, ml_dtypes_encode)
    yield over_copy("ml_dtypes decode float32", fmt, None, ml_dtypes_decode)
    yield over_copy("numpy.take decode float32", fmt, None, take(fmt, np.float32))
    yield over_copy("numpy.take decode float16", fmt, None, take(fmt, np.float16))
    yield over_copy("gfloat round", fmt, None, gfloat_round(fmt), size_limit=GFLOAT_SIZE)
    yield Case("encode / ml_dtypes encode", fmt, 15.0, encode(fmt), ml_dtypes_encode)
    yield Case("decode / ml_dtypes decode", fmt, None, decode(fmt, np.float32), ml_dtypes_decode)
    if find_spec("bitsandbytes") is not None:  # with torch's CPU build; it has no `out`
        for dtype in (np.float32, np.float16):
            name = f"bitsandbytes dequantize to {np.dtype(dtype)}"
            yield over_copy(name, "nf4", None, bitsandbytes_dequantize(dtype))
        yield over_copy("bitsandbytes quantize", "nf4", None, bitsandbytes_quantize)


def bitsandbytes_dequantize(dtype: DTypeLike) -> Callable[[Inputs], Thunk]:
    """Dequantize NF4 in blocks of 64 as bitsandbytes does on a CPU."""

    def prepare(inputs: Inputs) -> Thunk:
        import torch
        from bitsandbytes import functional

        torch.set_num_threads(1)
        w = torch.from_numpy(inputs.x.astype(dtype))
        packed, state = functional.quantize_4bit(w, blocksize=64, quant_type="nf4")
        return lambda: functional.dequantize_4bit(packed, state)

    return prepare


def bitsandbytes_quantize(inputs: Inputs) -> Thunk:
    """Quantize to NF4 in blocks of 64 as bitsandbytes does on a CPU."""
    import torch
    from bitsandbytes import functional

    torch.set_num_threads(1)
    w = torch.from_numpy(inputs.x)
    return lambda: functional.quantize_4bit(w, blocksize=64, quant_type="nf4")

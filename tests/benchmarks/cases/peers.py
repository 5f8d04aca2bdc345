"""Other libraries."""

from __future__ import annotations

from collections.abc import Callable, Iterator

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

"""Arrays of other kinds: ml_dtypes' small types, pandas, memory maps, DLPack."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import minifloat as mf

SMALL = [
    name
    for name in dir(ml_dtypes)
    if name.startswith(("float", "int", "uint")) and not name.startswith("int1")
]


@pytest.mark.parametrize("name", SMALL)
def test_small_types_are_their_values(name: str) -> None:
    """All codes, against the format's own values."""
    dtype = np.dtype(getattr(ml_dtypes, name))
    fmt = mf.parse(dtype)
    codes = np.arange(fmt.code_count, dtype=np.uint8)
    small, values = codes.view(dtype), fmt.values()
    for target in ("e2m2", "e5m2", "float16", "int5"):
        got = mf.encode(small, target, nan="zero", overflow="sat_none")
        want = mf.encode(values, target, nan="zero", overflow="sat_none")
        np.testing.assert_array_equal(got, want)
    rounded = mf.round_to(small, "bfloat16", overflow="ieee")
    assert rounded.dtype == (np.float64 if fmt.is_integer else np.float32)
    np.testing.assert_array_equal(rounded, values)
    finite = np.isfinite(values)
    q = mf.quantize(small[finite], "e2m2/8/float32")
    assert q == mf.quantize(values[finite].astype(np.float32), "e2m2/8/float32")
    assert not np.isnan(q.sqnr(small[finite]))


def test_the_list_of_small_types_is_whole() -> None:
    assert len(SMALL) >= 15


def test_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [0.3, -1.7], "b": [100.0, 2.0]})
    np.testing.assert_array_equal(mf.encode(frame, "e2m2"), mf.encode(frame.to_numpy(), "e2m2"))
    series = frame["a"].astype("float32")
    assert mf.round_to(series, "e2m2").tolist() == [0.25, -1.75]
    assert mf.quantize(frame, "mxfp4") == mf.quantize(frame.to_numpy(), "mxfp4")
    with pytest.raises(TypeError, match=r"x must be .* got object"):
        mf.encode(pandas.Series(["a", 1.0]), "e2m2")


def test_memory_maps(tmp_path: Path) -> None:
    array = np.linspace(-8, 8, 999, dtype=np.float32)
    np.save(tmp_path / "w.npy", array)
    held = np.load(tmp_path / "w.npy", mmap_mode="r")
    codes = mf.encode(held, "e2m2")
    assert type(codes) is np.ndarray
    np.testing.assert_array_equal(codes, mf.encode(array, "e2m2"))
    assert mf.quantize(held, "nvfp4") == mf.quantize(array, "nvfp4")
    out = np.memmap(tmp_path / "codes.bin", np.uint8, "w+", shape=999)
    assert mf.encode(held, "e2m2", out=out) is out
    out.flush()
    assert (tmp_path / "codes.bin").read_bytes() == codes.tobytes()


class OnlyDlpack:
    """An array that NumPy can only take by DLPack."""

    def __init__(self, array: np.ndarray, device: int = 1) -> None:
        self.array, self.device = array, device

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device, 0


def test_dlpack() -> None:
    x = np.float32([[0.3, -1.7], [100.0, 2.0]])
    np.testing.assert_array_equal(mf.encode(OnlyDlpack(x), "e2m2"), mf.encode(x, "e2m2"))
    np.testing.assert_array_equal(mf.encode(OnlyDlpack(x.T), "e2m2"), mf.encode(x.T, "e2m2"))
    with pytest.raises(
        TypeError, match="x must be on the CPU, got OnlyDlpack on DLPack's device 2"
    ):
        mf.encode(OnlyDlpack(x, device=2), "e2m2")
    with pytest.raises(TypeError, match="x must have a dtype that NumPy takes by DLPack"):
        mf.encode(OnlyDlpack(x.astype(ml_dtypes.bfloat16)), "e2m2")


def test_a_masked_array_is_refused_everywhere() -> None:
    masked = np.ma.masked_invalid(np.float32([1, np.nan]))
    with pytest.raises(TypeError, match=r"use x\.filled\(0\)"):
        mf.encode(masked, "e2m2")
    with pytest.raises(TypeError, match="out must be a NumPy array, without a mask"):
        mf.round_to(np.float32([1, 2]), "e2m2", out=masked)


def test_bfloat16_values() -> None:
    codes = np.arange(32, dtype=np.uint8)
    for dtype in ("bfloat16", ml_dtypes.bfloat16, np.dtype(ml_dtypes.bfloat16)):
        values = mf.decode(codes, "e2m2", dtype=dtype)
        assert values.dtype == ml_dtypes.bfloat16
        np.testing.assert_array_equal(values.astype(np.float32), mf.decode(codes, "e2m2"))
    out = np.empty(32, ml_dtypes.bfloat16)
    assert mf.round_to(np.linspace(-9, 9, 32), "e2m2", dtype="bfloat16", out=out) is out
    for fmt, held in (("e4m3fn", True), ("e8m0", True), ("e5m2", True), ("float16", False)):
        if held:
            mf.decode([1], fmt, dtype="bfloat16")
        else:
            with pytest.raises(ValueError, match=r"not hold .* use float32 or float64"):
                mf.decode([1], fmt, dtype="bfloat16")


def test_no_library_is_imported_for_arrays() -> None:
    program = """
import sys, numpy as np, minifloat as mf
x = np.ones((2, 64), np.float32)
mf.linear(x, mf.quantize(x, "nvfp4")), mf.decode(mf.encode([1.0], "e2m2"), "e2m2")
mf.round_to(x, "e2m2"), mf.parse(np.int8).names, mf.compare({"w": x}, "e2m2")
print([name for name in ("torch", "jax", "ml_dtypes", "pandas") if name in sys.modules])
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"

"""Block types of .gguf files: as the package gguf writes and reads them, and read by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.files import WeightsError
from minifloat.files.checkpoints import Dequantizable, open_checkpoint
from tests.files.checkpoints import slow
from tests.files.test_hostile_files import gguf_blob, gguf_tensor

gguf = pytest.importorskip("gguf")

KINDS = gguf.GGMLQuantizationType
RECIPES = {
    "Q8_0": "int8full/32/float16",
    "MXFP4": "e2m1/32/e8m0",
    "NVFP4": "e2m1/16/e4m3fn",
    "TQ2_0": "int2/256/float16",
}
RANDOM = np.random.default_rng(7)


def write(path: Path, kind: str, raw: Any, dims: list[int], *more: tuple[bytes, bytes]) -> None:
    """Write one tensor of a block type, and perhaps one float32 beside it."""
    number = int(getattr(KINDS, kind))
    data = np.asarray(raw).tobytes()
    data += bytes(-len(data) % 32)
    listed = gguf_tensor(b"blk.0.ffn_up.weight", dims, number, 0)
    for name, bytes_ in more:
        listed += gguf_tensor(name, [1], 0, len(data))
        data += bytes_
    head = gguf_blob(listed, tensors=1 + len(more))
    path.write_bytes(head + bytes(-len(head) % 32) + data)


def opened(path: Path) -> Any:
    checkpoint = open_checkpoint(path)
    assert list(checkpoint) == ["blk.0.ffn_up.weight"]
    return checkpoint["blk.0.ffn_up.weight"]


def weights(kind: str) -> Any:
    w = RANDOM.standard_normal((6, 512)).astype(np.float32)
    return gguf.quantize(w, getattr(KINDS, kind)), w.shape


@pytest.mark.parametrize("kind", RECIPES)
def test_what_the_package_writes_is_read_as_it_reads_it(tmp_path: Path, kind: str) -> None:
    try:
        raw, _ = weights(kind)
    except (NotImplementedError, AttributeError):
        pytest.skip("this gguf does not write it")
    write(tmp_path / "m.gguf", kind, raw, [512, 6])
    held = opened(tmp_path / "m.gguf")
    assert isinstance(held, mf.Quantized)
    assert str(held.recipe) == RECIPES[kind]
    expected = gguf.dequantize(raw, getattr(KINDS, kind))
    np.testing.assert_array_equal(held.dequantize(), expected, strict=True)
    about = open_checkpoint(tmp_path / "m.gguf").describe("blk.0.ffn_up.weight")
    assert about.layout == f"GGUF {kind}"
    assert about.recipe == held.recipe
    assert about.bits == 8 * raw.size


@pytest.mark.parametrize("kind", [k.name for k in KINDS if k.name not in RECIPES])
def test_the_other_types_are_dequantized_or_skipped(tmp_path: Path, kind: str) -> None:
    number = getattr(KINDS, kind)
    block, size = gguf.GGML_QUANT_SIZES[number]
    raw = RANDOM.integers(0, 60, (2, 512 // block * size), np.uint8)
    write(tmp_path / "m.gguf", kind, raw, [512, 2])
    checkpoint = open_checkpoint(tmp_path / "m.gguf")
    if not checkpoint:
        assert "not a float" in (reason := checkpoint.skipped[0].skipped) or "decode" in reason
        return
    held = checkpoint["blk.0.ffn_up.weight"]
    if kind in ("F32", "F16", "F64", "BF16"):
        assert isinstance(held, np.ndarray)
        return
    assert isinstance(held, Dequantizable)
    assert checkpoint.describe("blk.0.ffn_up.weight").recipe is None
    np.testing.assert_array_equal(held.dequantize(), gguf.dequantize(raw, number), strict=True)


def halves(raw: list[int]) -> list[int]:
    return [byte & 15 for byte in raw] + [byte >> 4 for byte in raw]


def half(raw: list[int]) -> float:
    return float(np.array(raw, np.uint8).view("<f2")[0])


def by_hand(kind: str, block: list[int]) -> list[float]:
    """Return the weights of a block, byte by byte."""
    if kind == "Q8_0":
        return [(code - 256 * (code > 127)) * half(block[:2]) for code in block[2:]]
    if kind == "MXFP4":
        return [slow.e2m1(code) * slow.e8m0(block[0]) for code in halves(block[1:])]
    if kind == "NVFP4":
        return [
            slow.e2m1(code) * slow.e4m3(block[run])
            for run in range(4)
            for code in halves(block[4 + 8 * run : 12 + 8 * run])
        ]
    codes = [
        block[32 * part + k] >> shift & 3
        for part in range(2)
        for shift in (0, 2, 4, 6)
        for k in range(32)
    ]
    return [(code - 1) * half(block[64:]) for code in codes]


@pytest.mark.parametrize("kind", RECIPES)
def test_blocks_by_hand(tmp_path: Path, kind: str) -> None:
    """Half a block in the low nibbles, the other half in the high ones."""
    block, size = gguf.GGML_QUANT_SIZES[getattr(KINDS, kind)]
    raw = RANDOM.integers(0, 256, (2, 2 * size), np.uint8)
    blocks = raw.reshape(4, size)
    if kind == "NVFP4":
        blocks[:, :4] &= 0x3F
    elif kind == "TQ2_0":
        blocks[:, :64] &= 0b10101010  # no code 3
        blocks[:, 64:] = np.array([0.75], np.float16).view(np.uint8)
    elif kind == "Q8_0":
        blocks[:, :2] = np.array([0.75], np.float16).view(np.uint8)
    else:
        blocks[:, 0] = 120
    write(tmp_path / "m.gguf", kind, raw, [2 * block, 2])
    expected = [
        [n for b in (0, 1) for n in by_hand(kind, blocks[2 * r + b].tolist())] for r in (0, 1)
    ]
    held = opened(tmp_path / "m.gguf")
    assert isinstance(held, mf.Quantized)
    slow.same(held.dequantize() + np.float32(0), (np.array(expected) + 0.0).tolist())


NO_SCALES = {
    "Q8_0": [
        (slice(0, 2), np.array([value], np.float16).view(np.uint8)) for value in (-1, math.nan)
    ],
    "MXFP4": [(slice(0, 1), np.array([255], np.uint8))],
    "NVFP4": [(slice(0, 1), np.array([code], np.uint8)) for code in (0x7F, 0x80, 0xC0, 0xFF)],
    "TQ2_0": [(slice(0, 1), np.array([3], np.uint8))],
}


@pytest.mark.parametrize("kind", RECIPES)
@pytest.mark.filterwarnings("ignore")
def test_numbers_that_no_recipe_has_are_dequantized(tmp_path: Path, kind: str) -> None:
    """Scales that are negative or no numbers, and a code of 3."""
    block, size = gguf.GGML_QUANT_SIZES[getattr(KINDS, kind)]
    for place, numbers in NO_SCALES[kind]:
        raw = np.zeros((1, size), np.uint8)
        raw[0, 8:] = 17
        raw[0, place] = numbers
        write(tmp_path / "m.gguf", kind, raw, [block, 1])
        held = opened(tmp_path / "m.gguf")
        assert isinstance(held, Dequantizable)
        expected = gguf.dequantize(raw, getattr(KINDS, kind))
        np.testing.assert_array_equal(held.dequantize(), expected)


@pytest.mark.parametrize("code", [0x38, 0xB8])
def test_the_factor_of_nvfp4_lies_beside_it(tmp_path: Path, code: int) -> None:
    raw = np.full((1, 36), 0x22, np.uint8)
    raw[0, :4] = code  # 1, or -1, which is read by the package gguf
    factor = np.array([0.25], np.float32).tobytes()
    write(tmp_path / "m.gguf", "NVFP4", raw, [64, 1], (b"blk.0.ffn_up.scale", factor))
    held = opened(tmp_path / "m.gguf")
    assert isinstance(held, mf.Quantized) == (code == 0x38)
    if code == 0x38:
        assert held.tensor_scale == 0.25
    np.testing.assert_array_equal(held.dequantize(), np.full((1, 64), 0.25, np.float32))


def test_two_tensors_of_one_name_are_an_error(tmp_path: Path) -> None:
    listed = gguf_tensor(b"w", [4], 0, 0) + gguf_tensor(b"w", [4], 0, 32)
    (tmp_path / "m.gguf").write_bytes(gguf_blob(listed, tensors=2) + bytes(64))
    with pytest.raises(WeightsError, match="holds two tensors named 'w'"):
        open_checkpoint(tmp_path / "m.gguf")

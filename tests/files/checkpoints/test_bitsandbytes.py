"""bitsandbytes' 4 bits: files written here, and by the package itself."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.files.checkpoints import Dequantizable, open_checkpoint
from tests.files.checkpoints.by_hand import opened, stored, write

RANDOM = np.random.default_rng(64)
BOOKS = {
    "nf4": np.array(
        [
            *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
            *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
            *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
            *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
        ],
        np.float32,
    ),
    "fp4": np.array([0, 0.0625, 8, 12, 4, 6, 2, 3], np.float32) / np.float32(12),
}
BOOKS["fp4"] = np.concatenate([BOOKS["fp4"], 0 - BOOKS["fp4"]])  # as the package has it: 0 twice


def tensors(
    shape: list[int], kind: str, *, block: int = 64, book: Any = None, nested: bool = False
) -> tuple[dict[str, Any], Any]:
    """Return bitsandbytes' tensors of random codes, and the weights in float32."""
    size = math.prod(shape)
    packed = RANDOM.integers(0, 256, (-(-size // 2), 1), np.uint8)
    book = BOOKS[kind] if book is None else book
    count = -(-size // block)
    state = {"quant_type": kind, "blocksize": block, "dtype": "bfloat16", "shape": shape}
    held = {"l.weight": stored(packed), "l.weight.quant_map": stored(book)}
    if nested:
        codes = RANDOM.integers(0, 256, count, np.uint8)
        second = np.sort(RANDOM.standard_normal(256).astype(np.float32))
        widths = RANDOM.random(-(-count // 256)).astype(np.float32)
        offset = np.float32(3)  # so that no scale is negative
        second /= np.abs(second).max()
        scales = second[codes] * np.repeat(widths, 256)[:count] + offset
        state |= {"nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 3.0}
        held["l.weight.absmax"] = stored(codes)
        held["l.weight.nested_absmax"] = stored(widths)
        held["l.weight.nested_quant_map"] = stored(second)
    else:
        scales = RANDOM.random(count).astype(np.float32)
        held["l.weight.absmax"] = stored(scales)
    text = json.dumps(state).encode()
    held[f"l.weight.quant_state.bitsandbytes__{kind}"] = stored(np.frombuffer(text, np.uint8))
    high_first = [code for byte in packed.reshape(-1).tolist() for code in (byte >> 4, byte & 15)]
    weights = [book[code] * scales[k // block] for k, code in enumerate(high_first[:size])]
    return held, np.array(weights, np.float32).reshape(shape)


def equal(got: Any, expected: Any) -> None:
    np.testing.assert_array_equal(got, expected, strict=True)
    np.testing.assert_array_equal(np.signbit(got), np.signbit(expected))


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("kind", ["nf4", "fp4"])
@pytest.mark.parametrize("shape", [[3, 128], [100], [1, 1000]])
def test_codes_and_scales_are_those_of_the_file(
    tmp_path: Path, shape: list[int], kind: str, nested: bool
) -> None:
    held, weights = tensors(shape, kind, nested=nested)
    if shape == [1, 1000]:
        held, weights = tensors(shape, kind, nested=nested, block=8)
    got, about = opened(tmp_path, held, "l.weight")
    fmt, block = {"nf4": "nf4", "fp4": "bnb_fp4"}[kind], 8 if shape == [1, 1000] else 64
    assert str(got.recipe) == f"{fmt}/{block}/float32"
    assert about.layout == f"bitsandbytes {kind}{' nested' * nested}"
    assert about.shape == tuple(shape)
    if kind == "fp4":
        codes = np.frombuffer(held["l.weight"][2], np.uint8)
        eight = np.stack([codes >> 4, codes & 15], -1).reshape(-1)[: weights.size] == 8
        weights.reshape(-1)[eight] = -0.0  # as the kernels have it
    equal(got.dequantize(), weights)


@pytest.mark.parametrize("nested", [False, True])
def test_blocks_that_run_on_into_the_next_row_are_dequantized(tmp_path: Path, nested: bool) -> None:
    held, weights = tensors([7, 33], "nf4", nested=nested)
    got, about = opened(tmp_path, held, "l.weight")
    assert isinstance(got, Dequantizable)
    assert about.note == got.reason == "a block begins in one row and ends in the next"
    equal(got.dequantize(), weights)


def test_another_map_is_dequantized(tmp_path: Path) -> None:
    book = np.array([*range(16)], np.float32)
    held, weights = tensors([2, 64], "nf4", book=book)
    got, _ = opened(tmp_path, held, "l.weight")
    assert isinstance(got, Dequantizable)
    equal(got.dequantize(), weights)


def test_golden_bytes(tmp_path: Path) -> None:
    """Bytes and values that bitsandbytes 0.49 printed; it rounds to bfloat16."""
    packed = np.array([[110], [90], [88], [44], [228], [163], [9], [25]], np.uint8)
    held, _ = tensors([16], "nf4")
    held["l.weight"] = stored(packed)
    held["l.weight.absmax"] = stored(np.array([0.03125], np.float32))
    got, _ = opened(tmp_path, held, "l.weight")
    expected = [
        *(-0.002838, 0.022583, -0.005768, 0.00769, -0.005768, 0.002487, -0.016357, 0.013794),
        *(0.022583, -0.008911, 0.00769, -0.012329, -0.03125, 0.005035, -0.021729, 0.005035),
    ]
    rounded = mf.round_to(got.dequantize(), "bfloat16")
    np.testing.assert_allclose(rounded, expected, rtol=0, atol=6e-7)


def changed(**changes: Any) -> dict[str, Any]:
    held, _ = tensors([2, 128], "nf4", nested=True)
    key = "l.weight.quant_state.bitsandbytes__nf4"
    state = json.loads(held[key][2]) | changes
    held[key] = stored(np.frombuffer(json.dumps(state).encode(), np.uint8))
    return held


def without(*names: str) -> dict[str, Any]:
    held, _ = tensors([2, 128], "nf4", nested=True)
    return {name: tensor for name, tensor in held.items() if name not in names}


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "an absurd shape": (changed(shape=[2, 2**50]), "must be 4-bit codes of shape"),
    "no shape": (changed(shape=7), "must have a shape and a blocksize"),
    "a negative shape": (changed(shape=[-2, -128]), "a length of shape must be"),
    "a shape of bools": (changed(shape=[True, 256]), "must have a shape of integers"),
    "no dimensions": (changed(shape=[]), "must be 4-bit codes of shape"),
    "blocks of 0": (changed(blocksize=0), "must have a shape and a blocksize"),
    "blocks of 2**70": (changed(blocksize=2**70), "must have a shape and a blocksize"),
    "other blocks": (changed(blocksize=32), "must have shape (8,)"),
    "no offset": (changed(nested_offset=None), "must have a finite nested_offset"),
    "an infinite offset": (changed(nested_offset=math.inf), "must have a finite nested_offset"),
    "nested blocks of 0": (changed(nested_blocksize=0), "a nested_blocksize"),
    "no absmax": (without("l.weight.absmax"), "must have absmax and quant_map"),
    "no second map": (without("l.weight.nested_quant_map"), "must have a nested_quant_map"),
    "no second absmax": (without("l.weight.nested_absmax"), "must be of type F32"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_parts_that_do_not_fit_are_skipped_with_the_reason(tmp_path: Path, case: str) -> None:
    held, reason = BROKEN[case]
    checkpoint = open_checkpoint(write(tmp_path, held))
    assert list(checkpoint) == []
    assert any(reason in about.skipped for about in checkpoint.skipped), checkpoint.skipped


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_what_the_package_writes_is_read_as_it_reads_it(
    tmp_path: Path, kind: str, nested: bool
) -> None:
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("bitsandbytes.functional")
    from safetensors.torch import save_file

    w = torch.randn(48, 512, generator=torch.Generator().manual_seed(1))
    packed, state = functional.quantize_4bit(
        w, blocksize=64, quant_type=kind, compress_statistics=nested
    )
    parts = {f"l.weight.{name}": part for name, part in state.as_dict(packed=True).items()}
    save_file({"l.weight": packed, **parts}, tmp_path / "model.safetensors")
    checkpoint = open_checkpoint(tmp_path)
    got = checkpoint["l.weight"]
    assert isinstance(got, mf.Quantized)
    theirs = functional.dequantize_4bit(packed, state, quant_type=kind).numpy()
    if nested:  # it may add in one rounding
        np.testing.assert_allclose(got.dequantize(), theirs, rtol=2e-7, atol=0)
    else:
        np.testing.assert_array_equal(got.dequantize(), theirs)

"""Files in compressed-tensors' layouts, written here and read number by number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.files import WeightsError
from minifloat.files.checkpoints import Dequantizable, open_checkpoint
from tests.files.checkpoints import slow
from tests.files.checkpoints.by_hand import bfloat16, opened, stored, write

RANDOM = np.random.default_rng(16)


def some_bytes(*shape: int, low: int = 0, high: int = 256) -> np.ndarray[Any, Any]:
    return RANDOM.integers(low, high, shape, np.uint8)


def test_nvfp4(tmp_path: Path) -> None:
    """A weight is value * scale / global; all 16 codes with both zeros, first code low."""
    packed, scales = some_bytes(3, 16), some_bytes(3, 2, high=0x7F)
    packed[0, :8] = [0x10, 0x32, 0x54, 0x76, 0x98, 0xBA, 0xDC, 0xFE]
    divisor = np.array([1000.0], np.float32)
    tensors = {
        "l.weight_packed": stored(packed),
        "l.weight_scale": stored(scales, "F8_E4M3"),
        "l.weight_global_scale": stored(divisor),
        "l.input_global_scale": stored(divisor),
    }
    held, about = opened(tmp_path, tensors, "l.weight")
    assert about.layout == "compressed-tensors nvfp4-pack-quantized"
    assert about.bits == 8 * (48 + 6 + 4)
    assert about.parts == ("l.weight_packed", "l.weight_scale", "l.weight_global_scale")
    factor = float(np.float32(1) / np.float32(1000))
    assert held.tensor_scale == factor != 1 / 1000
    expected = [
        [
            slow.e2m1(code) * slow.e4m3(int(scales[row, k // 16])) * factor
            for k, code in enumerate(slow.low_nibble_first(packed[row]))
        ]
        for row in range(3)
    ]
    slow.same(held.dequantize(), expected)
    assert held.packed.tobytes() == packed.tobytes()
    skipped = {each.name: each.skipped for each in open_checkpoint(tmp_path).skipped}
    assert skipped == {"l.input_global_scale": "a scale of activations"}


@pytest.mark.parametrize("dtype", ["U8", "F8_E8M0"])
def test_mxfp4(tmp_path: Path, dtype: str) -> None:
    packed, scales = some_bytes(2, 32), np.array([[0, 127], [255, 130]], np.uint8)
    tensors = {"a.weight_packed": stored(packed), "a.weight_scale": stored(scales, dtype)}
    held, about = opened(tmp_path, tensors, "a.weight")
    assert about.layout == "compressed-tensors mxfp4-pack-quantized"
    expected = [
        [
            slow.e2m1(code) * slow.e8m0(int(scales[row, k // 32]))
            for k, code in enumerate(slow.low_nibble_first(packed[row]))
        ]
        for row in range(2)
    ]
    slow.same(held.dequantize(), expected)


def test_mxfp6(tmp_path: Path) -> None:
    packed, scales = some_bytes(2, 48), some_bytes(2, 2, low=100, high=150)
    tensors = {"a.weight_packed": stored(packed), "a.weight_scale": stored(scales)}
    held, about = opened(tmp_path, tensors, "a.weight")
    assert about.layout == "compressed-tensors mxfp6-pack-quantized"
    rows = [slow.bit_stream(row.view("<u4").tolist(), 6, 64) for row in packed]
    expected = [
        [slow.e2m3(code) * slow.e8m0(int(scales[r, k // 32])) for k, code in enumerate(row)]
        for r, row in enumerate(rows)
    ]
    slow.same(held.dequantize(), expected)


def test_mxfp8(tmp_path: Path) -> None:
    codes, scales = some_bytes(2, 64), some_bytes(2, 2, low=100, high=150)
    tensors = {"a.weight": stored(codes, "F8_E4M3"), "a.weight_scale": stored(scales)}
    held, about = opened(tmp_path, tensors, "a.weight")
    assert about.layout == "compressed-tensors mxfp8-quantized"
    expected = [
        [slow.e4m3(code) * slow.e8m0(int(scales[r, k // 32])) for k, code in enumerate(row)]
        for r, row in enumerate(codes.tolist())
    ]
    slow.same(held.dequantize(), expected)


def packed_integers(
    bits: int, dense: bool, *, zeros: bool = False, g_idx: Any = None
) -> tuple[dict[str, Any], list[list[float]]]:
    """Return the tensors of 5 rows of 64 columns in groups of 32, and the weights."""
    rows, columns, groups = 5, 64, 2
    per_word = 32 // bits
    words = -(-columns * bits // 32) if dense else -(-columns // per_word)
    packed = RANDOM.integers(-(2**31), 2**31, (rows, words), np.int32)
    scales = RANDOM.integers(1, 100, (rows, groups)).astype(np.float16) / np.float16(64)
    tensors = {
        "a.weight_packed": stored(packed),
        "a.weight_scale": stored(scales),
        "a.weight_shape": stored(np.array([rows, columns])),
    }
    unpack = slow.bit_stream if dense else slow.whole_codes
    zero = [[1 << (bits - 1)] * groups for _ in range(rows)]
    if zeros:
        down = -(-rows * bits // 32) if dense else -(-rows // per_word)
        packed_zeros = RANDOM.integers(-(2**31), 2**31, (down, groups), np.int32)
        tensors["a.weight_zero_point"] = stored(packed_zeros)
        by_group = [unpack(packed_zeros[:, g].tolist(), bits, rows) for g in range(groups)]
        zero = [[by_group[g][r] for g in range(groups)] for r in range(rows)]
    group = [k // 32 for k in range(columns)] if g_idx is None else g_idx
    if g_idx is not None:
        tensors["a.weight_g_idx"] = stored(np.array(g_idx, np.int32))
    weights = [
        [
            (code - zero[r][group[k]]) * float(scales[r, group[k]])
            for k, code in enumerate(unpack(packed[r].tolist(), bits, columns))
        ]
        for r in range(rows)
    ]
    return tensors, weights


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("zeros", [True, False])
@pytest.mark.parametrize("bits", range(2, 9))
def test_packed_integers(tmp_path: Path, bits: int, dense: bool, zeros: bool) -> None:
    """Both packings: without idle bits, and whole codes to a word, as older versions have it."""
    tensors, weights = packed_integers(bits, dense, zeros=zeros)
    held, about = opened(tmp_path, tensors, "a.weight", config={"bits": bits})
    assert about.layout == "compressed-tensors pack-quantized"
    fmt = f"uint{bits}" if zeros else f"int{bits}full"
    assert str(held.recipe) == f"{fmt}/32/float16{'/zero-point' * zeros}"
    slow.same(held.dequantize(), weights)


def test_zero_points_of_the_whole_tensor_are_not_packed(tmp_path: Path) -> None:
    codes = [[0, 5, 15, 8], [7, 9, 1, 2]]
    rows = [sum(code << (4 * k) for k, code in enumerate(row)) for row in codes]
    tensors = {
        "a.weight_packed": stored(np.array([[row] for row in rows], np.int32)),
        "a.weight_scale": stored(np.array([0.5], np.float32)),
        "a.weight_shape": stored(np.array([2, 4])),
        "a.weight_zero_point": stored(np.array([-3], np.int8)),
    }
    held, _ = opened(tmp_path, tensors, "a.weight", config={"bits": 4})
    assert str(held.recipe) == "uint4/tensor/float32/zero-point"
    slow.same(held.dequantize(), [[(code - 8 + 3) * 0.5 for code in row] for row in codes])


def test_a_width_that_the_words_do_not_tell_is_asked_for(tmp_path: Path) -> None:
    """32 words of 128 columns: 7 bits, four to a word, or 8 bits; 8 are read, unless 7 are said."""
    tensors = {
        "a.weight_packed": stored(np.zeros((1, 32), np.int32)),
        "a.weight_scale": stored(np.ones((1, 1), np.float32)),
        "a.weight_shape": stored(np.array([1, 128])),
    }
    assert opened(tmp_path, tensors, "a.weight")[1].recipe.fmt.bits == 8
    assert opened(tmp_path, tensors, "a.weight", config={"bits": 7})[1].recipe.fmt.bits == 7
    tensors["a.weight_packed"] = stored(np.zeros((1, 3), np.int32))
    tensors["a.weight_shape"] = stored(np.array([1, 15]))  # 5 or 6 bits
    (about,) = open_checkpoint(write(tmp_path, tensors, {})).skipped
    assert "got 2 such widths; config.json tells the width" in about.skipped


@pytest.mark.parametrize("zeros", [True, False])
def test_columns_in_another_order_are_dequantized(tmp_path: Path, zeros: bool) -> None:
    order = RANDOM.permutation(64) // 32
    tensors, weights = packed_integers(4, True, zeros=zeros, g_idx=order.tolist())
    held, about = opened(tmp_path, tensors, "a.weight")
    assert isinstance(held, Dequantizable)
    assert "g_idx" in held.reason
    assert "g_idx" in about.note
    slow.same(held.dequantize(), weights)
    slow.same(np.asarray(held), weights)


@pytest.mark.parametrize("order", [[k // 32 for k in range(64)], [-1] * 64])
def test_columns_in_order_become_quantized(tmp_path: Path, order: list[int]) -> None:
    tensors, _ = packed_integers(4, True, g_idx=[k // 32 for k in range(64)])
    tensors["a.weight_g_idx"] = stored(np.array(order, np.int32))
    held, _ = opened(tmp_path, tensors, "a.weight")
    assert isinstance(held, mf.Quantized)


@pytest.mark.parametrize("order", [[2] * 64, [-1, *[0] * 63]])
def test_a_group_that_is_none_is_an_error(tmp_path: Path, order: list[int]) -> None:
    tensors, _ = packed_integers(4, True, g_idx=[k // 32 for k in range(64)])
    tensors["a.weight_g_idx"] = stored(np.array(order, np.int32))
    with pytest.raises(WeightsError, match=r"'a\.weight'.*must be groups in 0\.\.1"):
        open_checkpoint(write(tmp_path, tensors))["a.weight"]


SHAPES: dict[str, tuple[list[int], str, dict[str, Any]]] = {
    "one": ([1], "tensor", {}),
    "0-d": ([], "tensor", {}),
    "rows": ([6, 1], "channel", {}),
    "rows in 1-d": ([6], "channel", {}),
    "groups": ([6, 2], "4", {}),
    "tiles that divide": ([3, 2], "2x4", {}),
    "tiles that are said": ([2, 2], "4x5", {"weight_block_size": [4, 5]}),
    "groups that are said": ([6, 2], "5", {"group_size": 5}),
    "a group that is said": ([6, 1], "8", {"group_size": 8}),
    "rows of several groups": ([6, 1], "channel", {"group_size": 4}),
}


@pytest.mark.parametrize("case", SHAPES)
@pytest.mark.parametrize("scale", ["F32", "BF16", "F16"])
def test_scales_of_fp8(tmp_path: Path, case: str, scale: str) -> None:
    shape, block, config = SHAPES[case]
    codes = some_bytes(6, 8)
    values = RANDOM.integers(1, 128, shape).astype(np.float32) / 64
    if scale == "BF16":
        scales = bfloat16(np.asarray(values))
    else:
        scales = stored(np.asarray(values, np.float16 if scale == "F16" else np.float32))
    scales = (scales[0], shape, scales[2])
    tensors = {"a.weight": stored(codes, "F8_E4M3"), "a.weight_scale": scales}
    held, about = opened(tmp_path, tensors, "a.weight", config=config)
    name = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}[scale]
    assert str(held.recipe) == f"e4m3fn/{block}/{name}"
    assert about.layout == "compressed-tensors float-quantized"
    height, width = {"tensor": (6, 8), "channel": (1, 8)}.get(block, (0, 0))
    if not height:
        height, width = map(int, block.split("x")) if "x" in block else (1, int(block))
    grid = np.asarray(values).reshape(-(-6 // height), -(-8 // width))
    expected = [
        [slow.e4m3(code) * float(grid[r // height, k // width]) for k, code in enumerate(row)]
        for r, row in enumerate(codes.tolist())
    ]
    slow.same(held.dequantize(), expected)


@pytest.mark.parametrize("zeros", [True, False])
def test_int8(tmp_path: Path, zeros: bool) -> None:
    codes = RANDOM.integers(-128, 128, (3, 8), np.int8)
    scales = np.array([[0.5], [0.25], [3.0]], np.float32)
    zero = np.array([[-128], [0], [127]], np.int8)
    tensors = {"a.weight": stored(codes), "a.weight_scale": stored(scales)}
    if zeros:
        tensors["a.weight_zero_point"] = stored(zero)
    held, about = opened(tmp_path, tensors, "a.weight")
    assert about.layout == "compressed-tensors int-quantized"
    expected = [
        [(code - zeros * int(zero[r, 0])) * float(scales[r, 0]) + 0.0 for code in row]
        for r, row in enumerate(codes.tolist())
    ]
    slow.same(held.dequantize(), expected)


def test_stacked_experts(tmp_path: Path) -> None:
    """Three dimensions: a scale for each row of each expert, or for each expert."""
    codes = some_bytes(2, 3, 4, high=0x7F)
    for shape, block in (([2, 3, 1], "channel"), ([2, 1, 1], "3x4"), ([2], "3x4")):
        scales = np.arange(1, 1 + np.prod(shape), dtype=np.float32)
        tensors = {
            "e.weight": stored(codes, "F8_E4M3"),
            "e.weight_scale": ("F32", shape, scales.tobytes()),
        }
        held, _ = opened(tmp_path, tensors, "e.weight")
        assert str(held.recipe) == f"e4m3fn/{block}/float32"
        values = np.vectorize(slow.e4m3)(codes.astype(object))
        grid = scales.reshape((*shape, 1, 1)[:3])
        np.testing.assert_array_equal(held.dequantize(), values * grid)


def broken(**changes: Any) -> dict[str, Any]:
    tensors, _ = packed_integers(4, True, zeros=True)
    return {**tensors, **{f"a.weight_{name}": tensor for name, tensor in changes.items()}}


INT32 = np.zeros((1, 1), np.int32)
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "an absurd shape": (broken(shape=stored(np.array([5, 2**40]))), "must fill 8 words"),
    "negative columns": (broken(shape=stored(np.array([5, -64]))), "must fill 8 words"),
    "other rows": (broken(shape=stored(np.array([6, 64]))), "must be of (5,) rows"),
    "a shape of three": (broken(shape=stored(np.array([5, 64, 1]))), "must be 2 integers"),
    "a shape of floats": (broken(shape=stored(np.ones(2))), "must be 2 integers"),
    "few zero points": (broken(zero_point=stored(INT32)), "must have shape (1, 2)"),
    "zero points of floats": (broken(zero_point=stored(np.ones((1, 2)))), "must be of type I8"),
    "many scales": (broken(scale=stored(np.ones((5, 3), np.float32))), "must be scales of"),
    "scales of other rows": (broken(scale=stored(np.ones((4, 2), np.float32))), "scales of"),
    "scales of integers": (broken(scale=stored(np.ones((5, 2), np.int32))), "must be of type F32"),
    "scales in float64": (broken(scale=stored(np.ones((5, 2)))), "must be of type F32"),
    "a short g_idx": (broken(g_idx=stored(np.zeros(3, np.int32))), "must have shape (64,)"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_parts_that_do_not_fit_are_skipped_with_the_reason(tmp_path: Path, case: str) -> None:
    tensors, reason = BROKEN[case]
    tensors = {**tensors, "norm": stored(np.ones(2, np.float32))}
    checkpoint = open_checkpoint(write(tmp_path, tensors))
    assert list(checkpoint) == ["norm"]
    (about,) = checkpoint.skipped
    assert about.name == "a.weight"
    assert reason in about.skipped
    with pytest.raises(KeyError, match=r"has no weights 'a\.weight'"):
        checkpoint["a.weight"]


NUMBERS: dict[str, tuple[float, float, str]] = {
    "a divisor of 0": (0.0, 1.0, "must be a number above 0"),
    "a negative divisor": (-1.0, 1.0, "must be a number above 0"),
    "a divisor that is none": (float("nan"), 1.0, "must be a number above 0"),
    "an infinite divisor": (float("inf"), 1.0, "must be a number above 0"),
    "a tiny divisor": (1e-45, 1.0, "tensor_scale must be a float32 number above 0"),
    "a negative scale": (1.0, -1.0, "scales must be values of e4m3fn"),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_numbers_that_are_no_scales_are_errors(tmp_path: Path, case: str) -> None:
    divisor, scale, message = NUMBERS[case]
    tensors = {
        "a.weight_packed": stored(some_bytes(1, 8)),
        "a.weight_scale": stored(np.array([[0x38 if scale > 0 else 0xB8]], np.uint8), "F8_E4M3"),
        "a.weight_global_scale": stored(np.array([divisor], np.float32)),
    }
    checkpoint = open_checkpoint(write(tmp_path, tensors))
    with pytest.raises(WeightsError, match=message) as caught:
        checkpoint["a.weight"]
    assert "model.safetensors" in str(caught.value) or str(tmp_path) in str(caught.value)
    assert "'a.weight'" in str(caught.value)

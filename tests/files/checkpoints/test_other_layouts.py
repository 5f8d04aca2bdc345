"""Files in the layouts of ModelOpt, gpt-oss, DeepSeek, GPTQ, AWQ and FPE2M2, written here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import minifloat as mf
from minifloat.files import WeightsError
from minifloat.files.checkpoints import Dequantizable, open_checkpoint
from tests.files.checkpoints import slow
from tests.files.checkpoints.by_hand import bfloat16, opened, stored, write

Array = NDArray[Any]

RANDOM = np.random.default_rng(4)


def some_bytes(*shape: int, low: int = 0, high: int = 256) -> Array:
    return RANDOM.integers(low, high, shape, np.uint8)


def words(*shape: int) -> Array:
    return RANDOM.integers(-(2**31), 2**31, shape, np.int32)


def halves(*shape: int) -> Array:
    return RANDOM.integers(1, 100, shape).astype(np.float16) / np.float16(64)


@pytest.mark.parametrize("shape", [[], [1]])
def test_modelopt_nvfp4(tmp_path: Path, shape: list[int]) -> None:
    """Its second scale is a factor, and compressed-tensors' a divisor."""
    packed, scales = some_bytes(3, 16), some_bytes(3, 2, high=0x7F)
    factor = np.float32(0.001)
    tensors = {
        "l.weight": stored(packed),
        "l.weight_scale": stored(scales, "F8_E4M3"),
        "l.weight_scale_2": ("F32", shape, factor.tobytes()),
        "l.input_scale": ("F32", [], factor.tobytes()),
    }
    held, about = opened(tmp_path, tensors, "l.weight")
    assert about.layout == "ModelOpt NVFP4"
    assert str(held.recipe) == "e2m1/16/e4m3fn/tensor-scale"
    assert held.tensor_scale == float(factor)
    expected = [
        [
            slow.e2m1(code) * slow.e4m3(int(scales[row, k // 16])) * float(factor)
            for k, code in enumerate(slow.low_nibble_first(packed[row]))
        ]
        for row in range(3)
    ]
    slow.same(held.dequantize(), expected)


@pytest.mark.parametrize("rows", [False, True])
def test_modelopt_fp8(tmp_path: Path, rows: bool) -> None:
    codes = some_bytes(3, 8)
    scales = np.array([0.5, 0.25, 3], np.float32) if rows else np.float32(0.5)
    tensors = {"l.weight": stored(codes, "F8_E4M3"), "l.weight_scale": stored(scales)}
    tensors["l.weight_scale"] = ("F32", [3] if rows else [], scales.tobytes())
    held, about = opened(tmp_path, tensors, "l.weight", config={"quant_method": "modelopt"})
    assert about.layout == "ModelOpt FP8"
    assert str(held.recipe) == f"e4m3fn/{'channel' if rows else 'tensor'}/float32"
    scale = np.broadcast_to(scales, 3)
    expected = [
        [slow.e4m3(c) * float(scale[r]) for c in row] for r, row in enumerate(codes.tolist())
    ]
    slow.same(held.dequantize(), expected)


def test_gpt_oss(tmp_path: Path) -> None:
    """Blocks of 32 inputs; the weights are the transpose."""
    blocks, scales = some_bytes(2, 3, 2, 16), some_bytes(2, 3, 2, low=120, high=130)
    tensors = {"x.down_proj_blocks": stored(blocks), "x.down_proj_scales": stored(scales)}
    held, about = opened(tmp_path, tensors, "x.down_proj")
    assert about.layout == "gpt-oss MXFP4"
    assert about.shape == (2, 64, 3)
    assert held.recipe == mf.RECIPES["mxfp4"]
    expected = np.empty((2, 64, 3))
    for expert in range(2):
        for row in range(3):
            for block in range(2):
                for j, code in enumerate(slow.low_nibble_first(blocks[expert, row, block])):
                    number = slow.e2m1(code) * slow.e8m0(int(scales[expert, row, block]))
                    expected[expert, 32 * block + j, row] = number
    slow.same(held.dequantize(), expected.tolist())


@pytest.mark.parametrize("scale", ["F32", "BF16", "F8_E8M0"])
@pytest.mark.parametrize("tile", [None, [8, 4]])
def test_fp8_in_tiles(tmp_path: Path, scale: str, tile: list[int] | None) -> None:
    """The scale multiplies, whatever its name says."""
    height, width = tile or (128, 128)
    rows, columns = (130, 200) if tile is None else (9, 10)
    codes = some_bytes(rows, columns)
    shape = (-(-rows // height), -(-columns // width))
    exponents = RANDOM.integers(120, 130, shape).astype(np.uint8)
    values = np.exp2(exponents.astype(np.float32) - 127)
    if scale == "F8_E8M0":
        scales = stored(exponents, scale)
    else:
        values *= np.float32(1.5)
        scales = bfloat16(values) if scale == "BF16" else stored(values)
    tensors = {"a.weight": stored(codes, "F8_E4M3"), "a.weight_scale_inv": scales}
    config: dict[str, Any] = {"quant_method": "fp8"}
    if tile:
        config["weight_block_size"] = tile
    held, about = opened(tmp_path, tensors, "a.weight", config=config)
    assert about.layout == "FP8 in tiles"
    name = {"F32": "float32", "BF16": "bfloat16", "F8_E8M0": "e8m0"}[scale]
    assert str(held.recipe) == f"e4m3fn/{height}x{width}/{name}"
    expected = [
        [slow.e4m3(code) * float(values[r // height, k // width]) for k, code in enumerate(row)]
        for r, row in enumerate(codes.tolist())
    ]
    slow.same(held.dequantize(), expected)


INPUTS, OUTPUTS, GROUPS = 64, 32, 2


def gptq(bits: int, plus: int, g_idx: list[int] | None = None) -> tuple[dict[str, Any], Any]:
    """Return GPTQ's tensors and the weights, for zero points to which ``plus`` is added."""
    qweight, qzeros = words(INPUTS * bits // 32, OUTPUTS), words(GROUPS, OUTPUTS * bits // 32)
    qzeros &= np.int32(0x77777777) if bits == 4 else np.int32(-1)  # no zero point of 15
    if bits != 4:  # a zero point beyond the codes is for another test
        qzeros[:] = 0
    scales = halves(GROUPS, OUTPUTS)
    tensors = {"l.qweight": stored(qweight), "l.qzeros": stored(qzeros), "l.scales": stored(scales)}
    group = g_idx or [k * GROUPS // INPUTS for k in range(INPUTS)]
    if g_idx:
        tensors["l.g_idx"] = stored(np.array(g_idx, np.int32))
    zeros = [slow.bit_stream(row.tolist(), bits, OUTPUTS) for row in qzeros]
    weights = []
    for output in range(OUTPUTS):
        codes = slow.bit_stream(qweight[:, output].tolist(), bits, INPUTS)
        weights.append(
            [
                (code - zeros[group[k]][output] - plus) * float(scales[group[k], output])
                for k, code in enumerate(codes)
            ]
        )
    return tensors, weights


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("version", ["", "gptq", "gptq_v2"])
def test_gptq(tmp_path: Path, bits: int, version: str) -> None:
    plus = 0 if version == "gptq_v2" else 1
    tensors, weights = gptq(bits, plus)
    config: dict[str, Any] = {"quant_method": "gptq", "bits": bits, "group_size": 32}
    if version:
        config["checkpoint_format"] = version
    held, about = opened(tmp_path, tensors, "l.weight", config=config)
    assert about.layout == ("GPTQ v1" if plus else "GPTQ v2")
    assert about.shape == (OUTPUTS, INPUTS)
    assert str(held.recipe) == f"uint{bits}/32/float16/zero-point"
    slow.same(held.dequantize(), weights)


def test_gptq_of_3_bits_runs_on_into_the_next_word(tmp_path: Path) -> None:
    """Its value 10 has two bits at 30 and 31 and one at bit 0; its value 21 one and two."""
    qweight = np.zeros((6, 32), np.int32)
    qweight[0, 0], qweight[1, 0] = np.array([0b01 << 30, 1], np.uint32).view(np.int32)
    qweight[1, 1], qweight[2, 1] = np.array([1 << 31, 0b10], np.uint32).view(np.int32)
    tensors = {
        "l.qweight": stored(qweight),
        "l.qzeros": stored(np.zeros((1, 3), np.int32)),
        "l.scales": stored(np.ones((1, 32), np.float16)),
    }
    config = {"checkpoint_format": "gptq_v2", "group_size": -1}
    held, _ = opened(tmp_path, tensors, "l.weight", config=config)
    assert str(held.recipe) == "uint3/channel/float16/zero-point"
    codes = held.codes
    assert codes[0, 10] == 0b101
    assert codes[1, 21] == 0b101
    assert codes.sum() == 10


def test_gptq_in_act_order(tmp_path: Path) -> None:
    order = (RANDOM.permutation(INPUTS) % GROUPS).tolist()
    tensors, weights = gptq(4, 1, order)
    held, about = opened(tmp_path, tensors, "l.weight", config={"desc_act": True})
    assert isinstance(held, Dequantizable)
    assert "g_idx" in about.note
    slow.same(held.dequantize(), weights)


def test_gptq_with_columns_in_order_is_quantized(tmp_path: Path) -> None:
    tensors, weights = gptq(4, 1, [k * GROUPS // INPUTS for k in range(INPUTS)])
    held, _ = opened(tmp_path, tensors, "l.weight")
    assert isinstance(held, mf.Quantized)
    slow.same(held.dequantize(), weights)


def test_a_zero_point_beyond_the_codes_is_dequantized(tmp_path: Path) -> None:
    """Version 1 stores zero points less 1; of 15 kernels make 16, which is no 4-bit code."""
    tensors, _ = gptq(4, 1)
    tensors["l.qzeros"] = stored(np.full((GROUPS, OUTPUTS // 8), -1, np.int32))
    held, _ = opened(tmp_path, tensors, "l.weight")
    assert isinstance(held, Dequantizable)
    assert held.reason == "a zero point is no code"
    qweight = np.frombuffer(tensors["l.qweight"][2], np.int32).reshape(-1, OUTPUTS)
    scales = np.frombuffer(tensors["l.scales"][2], np.float16).reshape(GROUPS, OUTPUTS)
    expected = [
        [
            (code - 16) * float(scales[k * GROUPS // INPUTS, output])
            for k, code in enumerate(slow.bit_stream(qweight[:, output].tolist(), 4, INPUTS))
        ]
        for output in range(OUTPUTS)
    ]
    slow.same(held.dequantize(), expected)


def test_awq(tmp_path: Path) -> None:
    inputs, outputs, groups = 8, 16, 2
    qweight, qzeros = words(inputs, outputs // 8), words(groups, outputs // 8)
    scales = halves(groups, outputs)
    tensors = {"l.qweight": stored(qweight), "l.qzeros": stored(qzeros), "l.scales": stored(scales)}
    held, about = opened(tmp_path, tensors, "l.weight", config={"quant_method": "awq"})
    assert about.layout == "AWQ"
    assert str(held.recipe) == "uint4/4/float16/zero-point"
    shift = [0, 16, 4, 20, 8, 24, 12, 28]  # of outputs 0 to 7

    def code(packed: Array, row: int, output: int) -> int:
        return int(packed[row, output // 8]) >> shift[output % 8] & 15

    expected = [
        [
            (code(qweight, k, output) - code(qzeros, k // 4, output))
            * float(scales[k // 4, output])
            for k in range(inputs)
        ]
        for output in range(outputs)
    ]
    slow.same(held.dequantize(), expected)


def test_fpe2m2_checkpoint(tmp_path: Path) -> None:
    """Magnitudes in nibbles along the inputs, signs in words of their own; a zero has sign 1."""
    inputs, outputs = 64, 3
    qweight, sign = words(inputs // 8, outputs), words(inputs // 32, outputs)
    qweight[0, 0], sign[0, 0] = 0, -1  # eight zeros of sign 1
    scales = RANDOM.integers(1, 100, (1, outputs)).astype(np.float32) / 64
    tensors = {
        "l.qweight": stored(qweight),
        "l.sign_map": stored(sign),
        "l.scales": bfloat16(scales),
    }
    held, about = opened(tmp_path, tensors, "l.weight")
    assert about.layout == "FPE2M2 checkpoint"
    assert held.recipe == mf.RECIPES["fpe2m2"]
    expected = []
    for output in range(outputs):
        row = []
        for k in range(inputs):
            magnitude = int(qweight[k // 8, output]) >> (4 * (k % 8)) & 15
            minus = int(sign[k // 32, output]) >> (k % 32) & 1
            row.append(slow.e2m2b0(magnitude | minus << 4) * float(scales[0, output]))
        expected.append(row)
    slow.same(held.dequantize(), expected)
    assert np.signbit(held.dequantize()[0, :8]).all()


def test_fpe2m2_kernel(tmp_path: Path) -> None:
    """Even codes in the low halves of words 0 to 3; in word 4 the first signs at the top."""
    inputs, outputs = 32, 2
    qweight = words(5, outputs)
    scales = np.ones((1, outputs), np.float32)
    tensors = {"l.qweight": stored(qweight), "l.scales": bfloat16(scales)}
    held, about = opened(tmp_path, tensors, "l.weight")
    assert about.layout == "FPE2M2 kernel"
    expected = []
    for output in range(outputs):
        column = [int(word) & 0xFFFFFFFF for word in qweight[:, output]]
        row = []
        for k in range(inputs):
            at = 16 * (k % 2) + 4 * (k % 8 // 2)
            magnitude = column[k // 8] >> at & 15
            minus = column[4] >> (16 * (k % 2) + 15 - k // 2) & 1
            row.append(slow.e2m2b0(magnitude | minus << 4))
        expected.append(row)
    slow.same(held.dequantize(), expected)


@pytest.mark.parametrize(
    ("dtype", "recipe", "bits"),
    [("F4", "e2m1", 4), ("F6_E2M3", "e2m3", 6), ("F6_E3M2", "e3m2", 6), ("F8_E4M3", "e4m3fn", 8)],
)
def test_small_floats_without_scales(tmp_path: Path, dtype: str, recipe: str, bits: int) -> None:
    """The first code is in the lowest bits."""
    data = some_bytes(bits * 8 // 8)
    tensors = {"w": (dtype, [2, 4], data.tobytes())}
    held, about = opened(tmp_path, tensors, "w")
    assert str(held.recipe) == f"{recipe}/tensor/float32"
    assert about.layout == f"{dtype} without scales"
    stream = int.from_bytes(data.tobytes(), "little")
    codes = [stream >> (bits * k) & ((1 << bits) - 1) for k in range(8)]
    np.testing.assert_array_equal(held.codes.reshape(-1), codes)
    assert held.scales == 1


def broken_gptq(**changes: Any) -> dict[str, Any]:
    return {**gptq(4, 1)[0], **{f"l.{name}": tensor for name, tensor in changes.items()}}


def zeros(*shape: int, dtype: Any = np.int32) -> Any:
    return stored(np.zeros(shape, dtype))


FP8 = stored(np.zeros((4, 4), np.uint8), "F8_E4M3")
ONE = stored(np.ones((1, 1), np.float32))
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "qzeros of odd bits": (broken_gptq(qzeros=zeros(2, 5)), "must be zero points of 2, 3, 4 or 8"),
    "qzeros of other groups": (broken_gptq(qzeros=zeros(3, 4)), "must be zero points of"),
    "qzeros in 1-d": (broken_gptq(qzeros=zeros(4)), "must have 2 dimensions"),
    "qzeros of floats": (broken_gptq(qzeros=zeros(2, 4, dtype=np.float32)), "must be of type I32"),
    "a short g_idx": (broken_gptq(g_idx=zeros(3)), "must have shape (64,)"),
    "scales in float64": (broken_gptq(scales=zeros(2, 32, dtype=np.float64)), "must be of type"),
    "no groups": (broken_gptq(qzeros=zeros(0, 4), scales=zeros(0, 32)), "must be"),
    "few tiles": ({"w": FP8, "w_scale_inv": stored(np.ones((2, 1), np.float32))}, "must have"),
    "tiles of bytes": ({"w": zeros(4, 4, dtype=np.uint8), "w_scale_inv": ONE}, "of type F8_E4M3"),
    "blocks of 15": (
        {"w_blocks": zeros(1, 1, 1, 15, dtype=np.uint8), "w_scales": zeros(1, 1, 1)},
        "must have shape (1, 1, 1, 16)",
    ),
    "no magnitudes": ({"l.qweight": zeros(3, 1), "l.scales": ONE, "l.sign_map": zeros(1, 1)}, "4"),
    "signs of others": (
        {"l.qweight": zeros(4, 1), "l.scales": ONE, "l.sign_map": zeros(2, 1)},
        "must have shape (1, 1)",
    ),
    "AWQ of odd groups": (
        {
            "l.qweight": zeros(8, 1),
            "l.qzeros": zeros(3, 1),
            "l.scales": stored(np.ones((3, 8), np.float16)),
        },
        "must be of even groups",
    ),
    "ModelOpt of other blocks": (
        {
            "l.weight": zeros(2, 8, dtype=np.uint8),
            "l.weight_scale": stored(np.zeros((2, 2), np.uint8), "F8_E4M3"),
            "l.weight_scale_2": stored(np.float32(1)),
        },
        "must have shape (2, 1)",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_parts_that_do_not_fit_are_skipped_with_the_reason(tmp_path: Path, case: str) -> None:
    tensors, reason = BROKEN[case]
    checkpoint = open_checkpoint(write(tmp_path, tensors))
    assert list(checkpoint) == []
    assert any(reason in about.skipped for about in checkpoint.skipped), checkpoint.skipped


def test_parts_without_the_others_are_named(tmp_path: Path) -> None:
    tensors = {"l.qweight": zeros(4, 4), "m.weight_packed": zeros(2, 2), "n.qzeros": zeros(1, 1)}
    checkpoint = open_checkpoint(write(tmp_path, tensors))
    assert list(checkpoint) == []
    assert {about.name for about in checkpoint.skipped} == set(tensors)
    assert all("another part is missing" in about.skipped for about in checkpoint.skipped)


def test_a_second_scale_of_0_is_an_error(tmp_path: Path) -> None:
    tensors = {
        "l.weight": zeros(2, 8, dtype=np.uint8),
        "l.weight_scale": stored(np.zeros((2, 1), np.uint8), "F8_E4M3"),
        "l.weight_scale_2": stored(np.zeros((), np.float32)),
    }
    with pytest.raises(WeightsError, match="tensor_scale must be a float32 number above 0"):
        open_checkpoint(write(tmp_path, tensors))["l.weight"]

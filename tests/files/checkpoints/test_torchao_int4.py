"""torchao's integers of 4 bits: bytes, tiles and words by hand, and what the package means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.files.checkpoints import open_checkpoint
from tests.files.checkpoints import slow
from tests.files.checkpoints.by_hand import bfloat16, opened, stored, write
from tests.files.checkpoints.test_torchao import metadata

RANDOM = np.random.default_rng(8)
ORDER = (0, 2, 4, 6, 1, 3, 5, 7)  # of the eight codes of a word, from the lowest bits on


def nibbles(packed: np.ndarray, scales: np.ndarray, zeros: np.ndarray) -> dict[str, Any]:
    return {
        "l._weight_qdata": stored(packed),
        "l._weight_scale": stored(scales),
        "l._weight_zero_point": stored(zeros),
    }


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("zero", [0, 1])
def test_integers_of_4_bits_by_hand(tmp_path: Path, dtype: Any, zero: int) -> None:
    """A weight is code * scale + zero point; the last block has 8 weights of 32."""
    packed = RANDOM.integers(0, 256, (3, 20), np.uint8)
    scales = RANDOM.integers(1, 99, (2, 3)).astype(np.float32) / 64
    zeros = zero * RANDOM.integers(-99, 99, (2, 3)).astype(np.float32) / 32
    tensors = nibbles(packed.view(dtype), scales, zeros)
    told = metadata("Int4Tensor", block_size=[1, 32], shape=[3, 40])
    held, about = opened(tmp_path, tensors, "l.weight", metadata=told)
    assert about.layout == "torchao Int4Tensor"
    assert str(about.recipe) == "int4full/32/float32"
    assert isinstance(held, mf.Quantized) == (zero == 0)
    expected = [
        [
            (code - 16 * (code > 7)) * float(scales[k // 32, row]) + float(zeros[k // 32, row])
            for k, code in enumerate(slow.low_nibble_first(packed[row]))
        ]
        for row in range(3)
    ]
    slow.same(held.dequantize(), expected)


def test_scales_of_inputs_are_a_part_and_a_note(tmp_path: Path) -> None:
    scales = np.ones((2, 3), np.float32)
    tensors = nibbles(np.zeros((3, 20), np.uint8), scales, scales)
    tensors["l._weight_act_pre_scale"] = stored(np.ones(40, np.float32))
    told = metadata("Int4Tensor", block_size=[1, 32])
    _, about = opened(tmp_path, tensors, "l.weight", metadata=told)
    assert len(about.parts) == 4
    assert about.note.endswith("; its inputs are multiplied by act_pre_scale")


BROKEN_NIBBLES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "no block size": ({}, {}, "must have a block_size, got None"),
    "no blocks": ({}, {"block_size": []}, "must have a block_size, got []"),
    "a text for blocks": ({}, {"block_size": [1, "32"]}, "must have a block_size, got '32'"),
    "other blocks": ({}, {"block_size": [1, 16]}, "must have shape (3, 3), got (2, 3)"),
    "other numbers": (
        {"l._weight_zero_point": stored(np.zeros((2, 3), np.int8))},
        {"block_size": [1, 32]},
        "must be of type F32, got I8",
    ),
    "words": (
        {"l._weight_qdata": stored(np.zeros((3, 5), np.int32))},
        {"block_size": [1, 32]},
        "must be of type I8 or U8",
    ),
}


@pytest.mark.parametrize("case", BROKEN_NIBBLES)
def test_nibbles_that_do_not_fit_are_skipped_with_the_reason(tmp_path: Path, case: str) -> None:
    changed, settings, reason = BROKEN_NIBBLES[case]
    scales = np.ones((2, 3), np.float32)
    tensors = nibbles(np.zeros((3, 20), np.uint8), scales, scales) | changed
    told = metadata("Int4Tensor", **settings)
    (about,) = open_checkpoint(write(tmp_path, tensors, metadata=told)).skipped
    assert reason in about.skipped


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dimensions", [2, 3])
def test_integers_of_4_bits_are_what_the_package_means(tmp_path: Path, dimensions: int) -> None:
    """Its own functions quantize, dequantize and save; only the two codes of a byte are by hand."""
    torch = pytest.importorskip("torch")
    support = pytest.importorskip("torchao.prototype.safetensors.safetensors_support")
    gptq = pytest.importorskip("torchao.prototype.gptq.api")
    from safetensors.torch import save_file
    from torchao.quantization import Int4Tensor

    random = torch.Generator().manual_seed(3)
    scales = torch.randint(1, 99, (2, 3, 5), generator=random) / 64  # so that all is exact
    zeros = torch.randint(-99, 99, (2, 3, 5), generator=random) / 64
    w = torch.randn(2, 5, 96, generator=random)
    codes, means = [], []
    for part, scale, zero in zip(w, scales, zeros, strict=True):
        codes.append(gptq._int4_row_quantize_zp_precomputed_qparams(part, scale, zero, 32))
        means.append(gptq._int4_row_dequantize_zp(codes[-1], scale, zero, 32))
    held, expected = torch.stack(codes), torch.stack(means)
    if dimensions == 2:
        held, expected, scales, zeros = held[0], expected[0], scales[0], zeros[0]
    packed = (held[..., ::2] & 15) | (held[..., 1::2] << 4)
    sizes = [1] * (dimensions - 1) + [32]
    weight = Int4Tensor(packed, scales, zeros, sizes, expected.shape)
    tensors, told = support.flatten_tensor_state_dict({"0.weight": weight})
    save_file(tensors, tmp_path / "model.safetensors", metadata=told)
    read = open_checkpoint(tmp_path)["0.weight"]
    np.testing.assert_array_equal(read.dequantize(), expected.numpy())


def fragment(tile: np.ndarray, lane: int) -> list[int]:
    """Return the four numbers that a lane has of 8 rows and 16 columns.

    As NVIDIA's PTX manual has them for the matrix B of mma.m16n8k16, whose columns are our rows.
    """
    return [int(tile[lane // 4, 2 * (lane % 4) + i % 2 + 8 * (i // 2)]) for i in range(4)]


def tiles(codes: np.ndarray) -> np.ndarray:
    """Return codes of whole tiles as the GPU packs them: two fragments to a word."""
    down, across = codes.shape[0] // 8, codes.shape[1] // 128
    words = np.empty((down, across, 32, 4), np.uint32)
    for r, c, lane, j in np.ndindex(words.shape):
        rows, start = codes[8 * r : 8 * r + 8], 128 * c + 32 * j
        eight = [n for at in (start, start + 16) for n in fragment(rows[:, at : at + 16], lane)]
        words[r, c, lane, j] = sum(eight[n] << (4 * p) for p, n in enumerate(ORDER))
    return words.view(np.int32)


@pytest.mark.parametrize("zero", [0, 1])
def test_tiles_by_hand(tmp_path: Path, zero: int) -> None:
    """A code n means n - 8; rows and columns that fill up the last tiles do not count."""
    shape, full = (13, 200), (16, 256)
    codes = RANDOM.integers(0, 16, full, np.uint8)
    scales = RANDOM.integers(1, 99, (8, 16)).astype(np.float32) / 64
    zeros = zero * RANDOM.integers(-99, 99, (8, 16)).astype(np.float32) / 32
    tensors = {
        "l._weight_qdata": stored(tiles(codes)),
        "l._weight_scale_and_zero": bfloat16(np.stack([scales, zeros], -1)),
    }
    told = metadata("Int4TilePackedTo4dTensor", block_size=[1, 32], shape=list(shape))
    held, about = opened(tmp_path, tensors, "l.weight", metadata=told)
    assert str(about.recipe) == "int4full/32/bfloat16"
    assert "AMD's have another" in about.note
    assert isinstance(held, mf.Quantized) == (zero == 0)
    expected = [
        [
            (int(codes[r, c]) - 8) * float(scales[c // 32, r]) + float(zeros[c // 32, r])
            for c in range(shape[1])
        ]
        for r in range(shape[0])
    ]
    slow.same(held.dequantize(), expected)


def test_words_by_hand(tmp_path: Path) -> None:
    words = RANDOM.integers(0, 1 << 32, (3, 5), np.uint32)
    scales = RANDOM.integers(1, 99, (2, 3)).astype(np.float16)
    zeros = RANDOM.integers(0, 16, (2, 3), np.int8)
    told = metadata("Int4PlainInt32Tensor", block_size=[1, 32], shape=[3, 40])
    held, _ = opened(
        tmp_path, nibbles(words.view(np.int32), scales, zeros), "l.weight", metadata=told
    )
    assert str(held.recipe) == "uint4/32/float16/zero-point"
    expected = [
        [
            (code - int(zeros[k // 32, row])) * float(scales[k // 32, row])
            for k, code in enumerate(slow.bit_stream(words[row].tolist(), 4, 40))
        ]
        for row in range(3)
    ]
    np.testing.assert_array_equal(held.dequantize(), np.array(expected, np.float32))


TILES = {"_qdata": np.zeros((2, 1, 32, 4), np.int32), "_scale_and_zero": np.ones((4, 16, 2))}
WORDS = {
    "_qdata": np.zeros((3, 5), np.int32),
    "_scale": np.ones((2, 3), np.float16),
    "_zero_point": np.zeros((2, 3), np.int8),
}
BROKEN_WORDS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "tiles without a shape": (TILES, {"block_size": [1, 32]}, "must have a shape, got None"),
    "tiles of fewer rows": (TILES, {"shape": [17, 9]}, "must have a shape within (16, 128)"),
    "tiles of experts": (TILES, {"shape": [1, 9, 9]}, "must have a shape within (16, 128)"),
    "a negative shape": (TILES, {"shape": [-1, 9]}, "must have a shape, got [-1, 9]"),
    "tiles of other blocks": (TILES, {"shape": [9, 9], "block_size": [1, 64]}, "(2, 16, 2), got"),
    "other tiles": (
        TILES | {"_qdata": np.zeros((2, 1, 64, 2), np.int32)}, {"shape": [9, 9]},
        "must have shape (2, 1, 32, 4), got",
    ),
    "tiles of bytes": (TILES | {"_qdata": np.zeros((2, 1, 32, 4), np.int8)}, {}, "of type I32"),
    "tiles without scales": ({"_qdata": TILES["_qdata"]}, {}, "must have a scale_and_zero"),
    "words without a shape": (WORDS, {}, "must have a shape, got None"),
    "words of another shape": (WORDS, {"shape": [3, 39]}, "must have the shape (3, 40)"),
    "words of other blocks": (WORDS, {"shape": [3, 40], "block_size": [1, 8]}, "shape (5, 3)"),
    "an NPU's": (WORDS | {"_zero_point": np.zeros((2, 3), np.float16)}, {}, "be of type I8"),
    "words in 4 dimensions": (WORDS | {"_qdata": TILES["_qdata"]}, {}, "must have 2 dimensions"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN_WORDS)
def test_words_that_do_not_fit_are_skipped_with_the_reason(tmp_path: Path, case: str) -> None:
    parts, settings, reason = BROKEN_WORDS[case]
    tensors = {
        f"l._weight{end}": stored(part) if part.dtype != np.float64 else bfloat16(part)
        for end, part in parts.items()
    }
    kind = "Int4PlainInt32Tensor" if "_scale" in parts else "Int4TilePackedTo4dTensor"
    told = metadata(kind, **{"block_size": [1, 32]} | settings)
    (about,) = open_checkpoint(write(tmp_path, tensors, metadata=told)).skipped
    assert reason in about.skipped


def test_a_zero_point_of_no_code_is_an_error(tmp_path: Path) -> None:
    parts = nibbles(WORDS["_qdata"], WORDS["_scale"], np.full((2, 3), -1, np.int8))
    told = metadata("Int4PlainInt32Tensor", block_size=[1, 32], shape=[3, 40])
    checkpoint = open_checkpoint(write(tmp_path, parts, metadata=told))
    with pytest.raises(mf.files.WeightsError, match="must be codes, got -1"):
        checkpoint["l.weight"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("experts", [0, 2])
def test_tiles_are_what_the_package_means(tmp_path: Path, experts: int) -> None:
    """Its own functions fill up, quantize, dequantize and save; the order in a tile is by hand."""
    torch = pytest.importorskip("torch")
    support = pytest.importorskip("torchao.prototype.safetensors.safetensors_support")
    primitives = pytest.importorskip("torchao.quantization.quant_primitives")
    from safetensors.torch import save_file
    from torchao.quantization import Int4TilePackedTo4dTensor
    from torchao.quantization.utils import pack_tinygemm_scales_and_zeros

    random = torch.Generator().manual_seed(3)
    parts = []
    for _ in range(max(experts, 1)):
        w = torch.nn.functional.pad(torch.randn(13, 300, generator=random), (0, 724, 0, 3))
        w, block, bf16 = w.to(torch.bfloat16), (1, 64), torch.bfloat16
        scale, zero = primitives._choose_qparams_affine_tinygemm(
            w, primitives.MappingType.ASYMMETRIC, block, torch.int32, 0, 15,
            scale_dtype=bf16, zero_point_dtype=bf16,
        )  # fmt: skip
        codes = primitives._quantize_affine_tinygemm(w, block, scale, zero, torch.int32, 0, 15)
        means = primitives._dequantize_affine_tinygemm(
            codes, block, scale.float(), zero.float(), torch.int32, 0, 15,
            output_dtype=torch.float32,
        )  # fmt: skip
        words = torch.from_numpy(tiles(codes.numpy().astype(np.uint8)))
        parts.append((words, scale.reshape(16, -1), zero.reshape(16, -1), means[:13, :300]))
    words, scale, zero, means = (
        torch.stack(each) if experts else each[0] for each in zip(*parts, strict=True)
    )
    both = pack_tinygemm_scales_and_zeros(scale, zero)
    sizes = [1] * (means.ndim - 1) + [64]
    weight = Int4TilePackedTo4dTensor(words, both, sizes, means.shape)
    tensors, told = support.flatten_tensor_state_dict({"0.weight": weight})
    save_file(tensors, tmp_path / "model.safetensors", metadata=told)
    read = open_checkpoint(tmp_path)["0.weight"]
    np.testing.assert_allclose(read.dequantize(), means.numpy(), rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_words_are_what_the_package_means(tmp_path: Path) -> None:
    """Its own functions quantize, dequantize and save, as for an Intel GPU."""
    torch = pytest.importorskip("torch")
    support = pytest.importorskip("torchao.prototype.safetensors.safetensors_support")
    primitives = pytest.importorskip("torchao.quantization.quant_primitives")
    from safetensors.torch import save_file
    from torchao.quantization import Int4PlainInt32Tensor

    w, block = torch.randn(16, 96, generator=torch.Generator().manual_seed(3)).half(), (1, 32)
    scale, zero = primitives.choose_qparams_affine(
        w, primitives.MappingType.ASYMMETRIC, block, torch.int32, 0, 15, 1e-6, None, torch.int32
    )
    codes = primitives.quantize_affine(w, block, scale, zero, torch.int32, 0, 15)
    expected = primitives.dequantize_affine(
        codes, block, scale.float(), zero, torch.int32, 0, 15, output_dtype=torch.float32
    )
    two = (codes[:, 1::2] << 4 | codes[:, ::2]).to(torch.uint8)  # of its _from_hp_xpu
    weight = Int4PlainInt32Tensor(
        two.contiguous().view(torch.int32), scale.reshape(16, -1).T.contiguous(),
        zero.reshape(16, -1).T.contiguous().to(torch.int8), list(block), w.shape,
    )  # fmt: skip
    tensors, told = support.flatten_tensor_state_dict({"0.weight": weight})
    save_file(tensors, tmp_path / "model.safetensors", metadata=told)
    read = open_checkpoint(tmp_path)["0.weight"]
    assert isinstance(read, mf.Quantized)
    np.testing.assert_array_equal(read.dequantize(), expected.numpy())

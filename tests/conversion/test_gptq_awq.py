"""GPTQ's and AWQ's layouts, bit for bit as packed by hand here, and read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.auditing import Verdict, audit
from minifloat.files.checkpoints import awq, gptq, open_checkpoint
from tests.conversion.models import LAYER, converted, numbers

safetensors = pytest.importorskip("safetensors.numpy")

SHAPE = (64, 128)  # outputs, inputs
ORDER = (0, 2, 4, 6, 1, 3, 5, 7)  # AWQ: the outputs in a word, from the lowest nibble on


def words(codes: list[int], bits: int) -> list[int]:
    """Return codes in words of 32 bits, as GPTQ has them."""
    if bits != 3:
        per_word = 32 // bits
        return [
            sum(code << bits * k for k, code in enumerate(codes[start : start + per_word]))
            for start in range(0, len(codes), per_word)
        ]
    packed = []
    for start in range(0, len(codes), 32):  # the codes 10 and 21 run on into the next word
        c = codes[start : start + 32]
        first = sum(c[k] << 3 * k for k in range(10)) | (c[10] & 3) << 30
        second = c[10] >> 2 | sum(c[k] << 3 * (k - 11) + 1 for k in range(11, 21))
        third = c[21] >> 1 | sum(c[k] << 3 * (k - 22) + 2 for k in range(22, 32))
        packed += [first, second | (c[21] & 1) << 31, third]
    return packed


def as_int32(rows: list[list[int]]) -> Any:
    return np.array(rows, np.uint32).view(np.int32)


def parts(q: mf.Quantized) -> tuple[list[list[int]], list[list[int]]]:
    """Return unsigned codes, outputs first, and zero points, groups first."""
    bits = q.fmt.bits
    if q.zero_points is not None:
        return q.codes.tolist(), q.zero_points.T.tolist()
    plus = 1 << (bits - 1)
    signed = [[code - (code >= plus) * 2 * plus for code in row] for row in q.codes.tolist()]
    groups, outputs = q.scales.shape[1], q.shape[0]
    return [[code + plus for code in row] for row in signed], [[plus] * outputs] * groups


def gptq_by_hand(q: mf.Quantized, minus: int) -> dict[str, Any]:
    bits = q.fmt.bits
    codes, zeros = parts(q)
    size = q.shape[1] // q.scales.shape[1]
    packed = [words(row, bits) for row in codes]
    return {
        "qweight": np.ascontiguousarray(as_int32(packed).T),
        "qzeros": as_int32([words([zero - minus for zero in row], bits) for row in zeros]),
        "scales": np.ascontiguousarray(q.scales.T).astype(np.float16),
        "g_idx": np.array([k // size for k in range(q.shape[1])], np.int32),
    }


def awq_by_hand(q: mf.Quantized) -> dict[str, Any]:
    codes, zeros = parts(q)
    columns = [[row[k] for row in codes] for k in range(q.shape[1])]

    def packed(rows: list[list[int]]) -> Any:
        return as_int32([
            [
                sum(row[first + ORDER[p]] << 4 * p for p in range(8))
                for first in range(0, len(row), 8)
            ]
            for row in rows
        ])  # fmt: skip

    return {
        "qweight": packed(columns),
        "qzeros": packed(zeros),
        "scales": np.ascontiguousarray(q.scales.T).astype(np.float16),
    }


def layer(folder: Path) -> dict[str, Any]:
    stem = LAYER.removesuffix("weight")
    every = safetensors.load_file(folder / "model.safetensors")
    del every[f"{stem}bias"]
    return {name.removeprefix(stem): array for name, array in every.items() if stem in name}


def check_equal(got: dict[str, Any], expected: dict[str, Any]) -> None:
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array, err_msg=name, strict=True)


def read_back(folder: Path, q: mf.Quantized, layout: str) -> None:
    checkpoint = open_checkpoint(folder)
    assert checkpoint.layouts == (layout,)
    back = checkpoint[LAYER]
    assert isinstance(back, mf.Quantized)
    assert back.scales.tobytes() == q.scales.tobytes()
    np.testing.assert_array_equal(back.dequantize(), q.dequantize(), strict=True)
    if q.zero_points is not None:
        assert back == q


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize(
    "recipe",
    [
        "uint{}/32/float16/zero-point",
        "int{}/64/float16",
        "int{}full/32/float16",
        "int{}/channel/float16",
    ],
)
def test_gptq(tmp_path: Path, bits: int, version: int, recipe: str) -> None:
    layout = {1: "gptq", 2: "gptq_v2"}[version]
    name = recipe.format(bits)
    folder, q = converted(tmp_path, name, layout)
    check_equal(layer(folder), gptq_by_hand(q, 1 if version == 1 else 0))
    read_back(folder, q, f"GPTQ v{version}")
    settings = json.loads((folder / "config.json").read_text())["quantization_config"]
    assert settings == json.loads((folder / "quantize_config.json").read_text())
    blocks = name.split("/")[1]
    assert settings == {
        "quant_method": "gptq",
        "bits": bits,
        "group_size": -1 if blocks == "channel" else int(blocks),
        "desc_act": False,
        "sym": name.startswith("int"),
        "lm_head": False,
        "checkpoint_format": layout,
        "dynamic": {r"-:^model\.layers\.0\.mlp\.gate$": {}, "-:^lm_head$": {}},
    }


def test_symmetric_zero_points_are_those_that_everybody_has(tmp_path: Path) -> None:
    """0x77777777 in version 1, and 0x88888888 in version 2."""
    for layout, word in (("gptq", 0x77777777), ("gptq_v2", -0x77777778)):
        folder, _ = converted(tmp_path / layout, "int4/32/float16", layout)
        assert (layer(folder)["qzeros"] == word).all()


def test_three_bits_across_words(tmp_path: Path) -> None:
    """Each code alone, and of all of them those that begin in a word and end in the next."""
    for place in range(32):
        for code in range(1, 8):
            codes = [0] * 32
            codes[place] = code
            stream = sum(word << 32 * k for k, word in enumerate(words(codes, 3)))
            assert stream == code << 3 * place


@pytest.mark.parametrize("recipe", ["uint4/32/float16/zero-point", "int4full/128/float16"])
def test_awq(tmp_path: Path, recipe: str) -> None:
    folder, q = converted(tmp_path, recipe, "awq")
    check_equal(layer(folder), awq_by_hand(q))
    read_back(folder, q, "AWQ")
    settings = json.loads((folder / "config.json").read_text())["quantization_config"]
    assert settings == {
        "quant_method": "awq",
        "bits": 4,
        "group_size": int(recipe.split("/")[1]),
        "zero_point": True,
        "version": "gemm",
        "modules_to_not_convert": ["model.layers.0.mlp.gate", "lm_head"],
    }


@pytest.mark.parametrize("recipe", ["int4/32/float16", "int4full/32/float16"])
@pytest.mark.parametrize("layout", ["gptq", "awq"])
def test_audit_knows_symmetric_integers(tmp_path: Path, layout: str, recipe: str) -> None:
    """They are stored with a constant zero point."""
    folder, _ = converted(tmp_path, recipe, layout)
    audited = audit(folder, tmp_path / "source")
    verdicts = {tensor.name: tensor.verdict for tensor in audited.tensors}
    assert verdicts[LAYER] == Verdict.RULE
    assert not audited.wrong


def test_a_zero_point_of_0_needs_version_2(tmp_path: Path) -> None:
    w = np.abs(numbers(SHAPE, 6))
    with pytest.raises(ValueError, match=r"zero points above 0 for GPTQ's version 1.* version 2"):
        converted(tmp_path / "a", "uint4/32/float16/zero-point", "gptq", w)
    folder, q = converted(tmp_path / "b", "uint4/32/float16/zero-point", "gptq_v2", w)
    assert q.zero_points is not None
    assert not q.zero_points.any()
    read_back(folder, q, "GPTQ v2")


REFUSED = {
    "gptq": [
        *("int5/32/float16", "int4/32/bfloat16", "int4/tensor/float16", "int4/2x32/float16"),
        *("uint4/32/float16", "e2m1/32/float16", "int4/32/float16/tensor-scale", "nvfp4"),
    ],
    "awq": ["int8/32/float16", "int4/32/float32", "uint3/32/float16/zero-point", "mxfp4"],
}


@pytest.mark.parametrize(("layout", "recipe"), [(k, r) for k in REFUSED for r in REFUSED[k]])
def test_recipes_without_a_place(tmp_path: Path, layout: str, recipe: str) -> None:
    with pytest.raises(ValueError, match=f"recipe must be one that the layout {layout} stores"):
        converted(tmp_path, recipe, layout)
    q = mf.quantize(np.abs(numbers(SHAPE)), recipe)
    with pytest.raises(ValueError, match=r"q must be a matrix of int"):
        awq.tensors(LAYER, q) if layout == "awq" else gptq.tensors(LAYER, q, less_one=True)


@pytest.mark.parametrize(
    ("layout", "shape"),
    [("gptq", (64, 72)), ("gptq", (36, 64)), ("awq", (36, 64))],
)
def test_shapes_without_a_place(tmp_path: Path, layout: str, shape: tuple[int, int]) -> None:
    bits = 2 if layout == "gptq" else 4
    with pytest.raises(ValueError, match=r"up_proj\.weight must have .*; leave it out by exclude"):
        converted(tmp_path, f"int{bits}/8/float16", layout, numbers(shape))

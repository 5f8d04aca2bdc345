"""Blocks and bytes of the explorer are the library's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import minifloat as mf
from docs.generators.explorer import layouts
from minifloat.codec import encode
from minifloat.files.checkpoints import open_checkpoint
from minifloat.packing import pack
from tests.explorer.cases import words

Run = Callable[[list[dict[str, Any]]], list[Any]]
RECIPES = ("nvfp4", "if4", "e2m2/128/float16", "e2m1/32/e8m0:ceil")
MORE = (
    "mxfp4", "four_over_six",
    "mxfp8e4m3", "mxfp8e5m2", "mxfp6e2m3", "mxfp6e3m2", "mxint8", "nvint4", "if3", "if6",
    "if6_e3m2", "nf4", "bwn", "bitnet_b158", "bfp16_64", "bfp12_64", "fpe2m2", "fp6_llm",
    "e4m3fn/16/float32", "e2m2/8/ue5m3", "int4/7/e8m0", "e2m1@4/16/bfloat16",
    "e2m1|int4|e3m0/16/e4m3fn/tensor-scale",
    *(f"e2m1/16/e8m0:{rule}" for rule in ("floor", "ceil", "nearest", "even", "up", "down")),
    *(f"e2m3/16/e4m3fn:{rule}/tensor-scale" for rule in ("up", "down")), "e2m2b0/channel/bfloat16",
)  # fmt: skip


def rows_of_weights(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    """Return rows of all kinds: normal, with ties, tiny, huge, zero, short."""
    found = []
    for _ in range(count):
        kind, length = rng.integers(6), int(rng.choice([64, 64, 64, 33, 5, 1]))
        row = rng.standard_normal(length)
        if kind == 1:
            row = rng.integers(-28, 29, length) / 4.0
        elif kind == 2:
            row *= 2.0 ** rng.integers(-20, 20, length)
        elif kind == 3:
            row[rng.random(length) < 0.7] = 0
        elif kind == 4:
            row = np.float32(row).astype(np.float64) * 2.0 ** int(rng.integers(-100, 90))
        found.append(row)
    return [*found, np.zeros(32), np.array([-0.0, 1.0])]


def check_rows(run: Run, text: str, count: int) -> None:
    """Codes, scales, choices and values of rows by a recipe."""
    rng = np.random.default_rng(len(text))
    recipe = mf.Recipe.parse(text)
    rows, expected, asked = rows_of_weights(rng, count), [], []
    for row in rows:
        try:
            q = mf.quantize(row[np.newaxis], recipe)
        except ValueError:  # a scale beyond its format
            continue
        expected.append(q)
        asked.append({"ask": "quantize", "recipe": text, "weights": words(row)})
    assert len(asked) > len(rows) // 3
    for q, found in zip(expected, run(asked), strict=True):
        assert [code for b in found["blocks"] for code in b["codes"]] == q.codes[0].tolist()
        assert [b["scale"] for b in found["blocks"]] == words(
            q.scales.astype(np.float64).reshape(-1)
        )
        tensor = None if q.tensor_scale is None else words(np.array([q.tensor_scale]))[0]
        assert found["tensorScale"] == tensor
        if q.choices is not None:
            assert [block["choice"] for block in found["blocks"]] == q.choices.reshape(-1).tolist()
        values = [value for block in found["blocks"] for value in block["values"]]
        assert values == words(q.dequantize()[0].astype(np.float64))


@pytest.mark.parametrize("text", RECIPES)
def test_rows_of_weights(run: Run, text: str) -> None:
    check_rows(run, text, 10)


@pytest.mark.long
@pytest.mark.parametrize("text", [*RECIPES, *MORE])
def test_many_rows_of_weights(run: Run, text: str) -> None:
    check_rows(run, text, 200)


def stored_bytes(run: Run, name: str, tool: str, rng: np.random.Generator) -> None:
    """Bytes of random codes and scales in one tool's layout, by the tool's writer."""
    recipe = mf.Recipe.parse(name)
    shape = next(
        shape
        for shape in layouts.SHAPES
        if (table := _written(recipe, tool, shape, *_random_row(recipe, rng))) is not None
    )
    for tensor in (1.0, 0.123):
        codes, scales = _random_row(recipe, rng)
        if not recipe.tensor_scale and tensor != 1.0:
            continue
        tensor = float(np.float32(tensor))
        table = _written(recipe, tool, shape, codes, scales, tensor)
        own = np.where(codes == 0, 16, codes) if name == "fpe2m2" else codes
        case = {
            "ask": "pack", "recipe": str(recipe), "tool": tool, "codes": own.tolist(),
            "scales": scales.tolist(), "tensorScale": tensor,
        }  # fmt: skip
        assert run([case])[0] == [list(part) for part in table or []], (name, tool)


def _random_row(recipe: mf.Recipe, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    codes = rng.choice([c for c in range(recipe.fmt.code_count) if c != recipe.fmt.unused_code], 64)
    values = rng.uniform(0.01, 2, layouts.block_count(recipe))
    if recipe.scale.name == "float32":
        return codes.astype(np.uint32), values.astype(np.float32).view(np.uint32)
    return codes.astype(np.uint32), encode(values, recipe.scale.name).astype(np.uint32)


def _written(
    recipe: mf.Recipe, tool: str, shape: tuple[int, ...], *parts: Any
) -> list[bytes] | None:
    try:
        return layouts.written(recipe, tool, shape, *parts)
    except ValueError:
        return None


@pytest.mark.parametrize("name", ["nf4", "bnb_fp4"])
def test_bytes_for_bitsandbytes(run: Run, name: str, tmp_path: Path) -> None:
    """The library's reader of bitsandbytes' files gives the codes and the scale back."""
    rng = np.random.default_rng(9)
    codes, scale = rng.integers(0, 16, 64), rng.uniform(0.1, 2, 1).astype(np.float32)
    case = {
        "ask": "pack", "recipe": f"{name}/64/float32", "tool": "bitsandbytes",
        "codes": codes.tolist(), "scales": scale.view(np.uint32).tolist(), "tensorScale": 1,
    }  # fmt: skip
    weight, absmax = (np.array(part, np.uint8) for part in run([case])[0])
    kind = name.removeprefix("bnb_")
    state = {"quant_type": kind, "blocksize": 64, "dtype": "float32", "shape": [1, 64]}
    tensors = {
        "x.weight": weight.reshape(32, 1),
        "x.weight.absmax": absmax.view("<f4"),
        "x.weight.quant_map": mf.parse(name).values().astype(np.float32),
        f"x.weight.quant_state.bitsandbytes__{kind}": np.frombuffer(
            json.dumps(state).encode(), np.uint8
        ),
    }
    save_file(tensors, str(tmp_path / "model.safetensors"))
    q = open_checkpoint(tmp_path)["x.weight"]
    assert isinstance(q, mf.Quantized)
    assert q.codes.reshape(-1).tolist() == codes.tolist()
    assert q.scales.reshape(-1).tolist() == scale.tolist()


@pytest.mark.parametrize(("name", "tool"), [("nvfp4", "modelopt"), ("mxfp4", "compressed-tensors")])
def test_bytes_of_a_layout(run: Run, name: str, tool: str) -> None:
    stored_bytes(run, name, tool, np.random.default_rng(4))


@pytest.mark.long
def test_bytes_of_every_layout(run: Run) -> None:
    rng, seen = np.random.default_rng(5), 0
    for name in layouts.STORED:
        recipe = mf.Recipe.parse(name)
        for tool in (
            "compressed-tensors",
            "modelopt",
            "gptq",
            "gptq_v2",
            "awq",
            "fpe2m2",
            "gpt-oss",
            "gguf",
        ):
            if layouts.layout(recipe, tool) is not None:
                stored_bytes(run, name, tool, rng)
                seen += 1
    assert seen > 20


@pytest.mark.parametrize("bits", [1, 3, 4, 5, 8, 12, 16])
def test_dense_bytes(run: Run, bits: int) -> None:
    codes = np.random.default_rng(bits).integers(0, 2**bits, 37)
    packed = pack(codes.astype(np.uint8 if bits <= 8 else np.uint16), bits)
    assert run([{"ask": "dense", "codes": codes.tolist(), "bits": bits}])[0] == packed.tolist()

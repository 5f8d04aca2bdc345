"""minifloat's own layout: every recipe comes back equal, each tensor without the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.conversion import convert
from minifloat.files import WeightsError
from minifloat.files.checkpoints import open_checkpoint, own
from tests.conversion.models import LAYERS, SECOND, model, numbers, one_shard
from tests.files.checkpoints.by_hand import stored, write

UP, UPPER = (name for name, _ in LAYERS.values())
RECIPES = [
    *mf.RECIPES,
    *("uint3/48/bfloat16/zero-point+mse", "e2m2/64/e5m2/percentile99.5", "int9/tensor/float32"),
    *("e2m1/32/e8m0:ceil", "e3m2/33/float16", "nf4/7/float32/mse+double"),
]


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe(tmp_path: Path, recipe: str) -> None:
    source = model(tmp_path / "source")
    convert(source, tmp_path / "new", recipe, layout="minifloat")
    checkpoint = open_checkpoint(tmp_path / "new")
    assert checkpoint.layouts == ("minifloat",)
    assert not checkpoint.skipped
    for seed, name in ((2, UP), (3, SECOND), (4, UPPER)):
        about = checkpoint.describe(name)
        q = mf.quantize(numbers(about.shape, seed), recipe)
        back = checkpoint[name]
        assert isinstance(back, mf.Quantized)
        assert back == q
        assert (about.recipe, about.shape) == (q.recipe, q.shape)
        assert back.dequantize().tobytes() == q.dequantize().tobytes()
    settings = json.loads((tmp_path / "new/config.json").read_text())["quantization_config"]
    assert settings["quant_method"] == "minifloat"
    assert mf.Recipe.parse(settings["recipe"]) == mf.Recipe.parse(recipe)


def stored_parts(q: mf.Quantized, name: str = "a.weight") -> dict[str, Any]:
    parts = own.tensors(name, q)
    return {each.name: (each.dtype, list(each.shape), each.read().tobytes()) for each in parts}


def test_other_shapes_axes_and_codebooks(tmp_path: Path) -> None:
    """What `convert` does not make, but `save` could."""
    book = mf.Codebook([-2.0, -0.5, 0.25, 3.0], "mine")
    for place, q in enumerate((
        mf.quantize(numbers((6, 8)), book, block=3),
        mf.quantize(numbers((6, 8)), "e2m1/2/float16", axis=0),
        mf.quantize(numbers((2, 3, 4)), "int4/2x2/float16"),
        mf.quantize(np.float32(3), "int4/tensor/float16"),
        mf.quantize(np.zeros((0, 3), np.float32), "nvfp4"),
    )):  # fmt: skip
        folder = tmp_path / str(place)
        folder.mkdir()
        checkpoint = open_checkpoint(write(folder, stored_parts(q)))
        assert checkpoint["a.weight"] == q


def test_the_length_of_the_text_does_not_depend_on_the_weights() -> None:
    def length(w: Any, recipe: str) -> int:
        text = own.tensors("a", mf.quantize(np.asarray(w, np.float32), recipe))[-1]
        assert text.name == "a.minifloat"
        return text.size

    for recipe in ("nvfp4", "qlora", "mxfp4"):
        some = (np.ones((2, 64)), np.zeros((2, 64)), numbers((2, 64)) * 1e-38, numbers((2, 64)))
        assert len({length(w, recipe) for w in some}) == 1


def test_one_tensor_is_read_without_the_others(tmp_path: Path) -> None:
    """Even where the others are damaged."""
    good, bad = (stored_parts(mf.quantize(numbers((4, 32)), "mxfp4"), name) for name in "ab")
    bad["b.codes"] = ("U8", [64], bytes(64))
    bad["b.scales"] = ("U8", [4], b"\xff" * 4)  # NaN, which is a number here
    text = bytes(bad["b.minifloat"][2]).replace(b"e2m1", b"e9m9")
    bad["b.minifloat"] = ("U8", [len(text)], text)
    checkpoint = open_checkpoint(write(tmp_path, {**good, **bad}))
    assert checkpoint["a"] == mf.quantize(numbers((4, 32)), "mxfp4")
    assert [about.name for about in checkpoint.skipped] == ["b"]


def test_hostile_descriptions_are_named(tmp_path: Path) -> None:
    parts = stored_parts(mf.quantize(numbers((4, 32)), "mxfp4"))
    text = parts["a.weight.minifloat"][2].decode()
    for place, (new, reason) in enumerate({
        "": "Expecting value",
        "[]": "",
        "{}": "version",
        text.replace("32]", "33]"): "must have shape",
        text.replace("[4, 32]", "[4, 1e9]"): "",
        text.replace("[4, 32]", "[9999999999, 9999999999]"): "",
        text.replace('"version": 3', '"version": 4'): "version 4",
        text.replace('"axis": 1', '"axis": 5'): "axis",
        text.replace('"axis": 1', '"axis": "1"'): "damaged",
        text.replace("32/e8m0", "32/e8m0/mse+mse"): "options",
    }.items()):  # fmt: skip
        folder = tmp_path / str(place)
        folder.mkdir()
        data = new.encode()
        damaged = {**parts, "a.weight.minifloat": ("U8", [len(data)], data)}
        checkpoint = open_checkpoint(write(folder, damaged))
        assert not list(checkpoint)
        assert reason in checkpoint.skipped[0].skipped


def test_arrays_that_contradict_the_description(tmp_path: Path) -> None:
    parts = stored_parts(mf.quantize(numbers((4, 32)), "int4/32/float16"))
    parts["a.weight.scales"] = stored(np.ones(5, np.float16))
    checkpoint = open_checkpoint(write(tmp_path, parts))
    with pytest.raises(WeightsError, match=r"'a\.weight'"):
        checkpoint["a.weight"]


def test_names_that_clash(tmp_path: Path) -> None:
    held = {"a.weight": stored(numbers((4, 32))), "a.weight.codes": stored(np.ones(2))}
    source = one_shard(tmp_path / "source", held)
    with pytest.raises(ValueError, match=r"must not hold a tensor named 'a\.weight\.codes'"):
        convert(source, tmp_path / "new", "mxfp4", layout="minifloat")


@pytest.mark.parametrize("recipe", [*RECIPES, mf.Recipe(mf.Codebook([-1.0, 0.0, 3.0]), block=8)])
def test_a_file_of_one_tensor_is_read_too(tmp_path: Path, recipe: str | mf.Recipe) -> None:
    q = mf.quantize(numbers((24, 32), 5), recipe)
    path = tmp_path / "q.safetensors"
    mf.save(q, path)
    checkpoint = open_checkpoint(path)
    assert list(checkpoint) == ["weights"]
    assert checkpoint["weights"] == q
    assert checkpoint.layouts == ("minifloat",)


def test_a_damaged_file_of_one_tensor_is_named(tmp_path: Path) -> None:
    arrays = {"codes": stored(np.zeros(4, np.uint8)), "scales": stored(np.zeros(1, np.uint8))}
    for text in ("", "{}", "[]", '{"version": 3}'):
        write(tmp_path, arrays, metadata={"minifloat": text})
        (about,) = open_checkpoint(tmp_path).skipped
        assert about.name == "weights"

"""Models in the layout of FPE2M2's authors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import minifloat as mf
from minifloat.conversion import convert
from minifloat.files.checkpoints import fpe2m2, open_checkpoint
from minifloat.files.checkpoints.sources import tensors_of
from tests.files.checkpoints.by_hand import bfloat16, write

NAME = "layers.0.weight"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    w = np.random.default_rng(1).standard_normal((48, 64)).astype(np.float32)
    folder = tmp_path / "model"
    folder.mkdir()
    return write(folder, {NAME: bfloat16(w), "norm": bfloat16(np.ones(4))})


@pytest.mark.parametrize("recipe", ["fpe2m2", "e2m2b0/channel/bfloat16/authors"])
def test_a_model_is_that_of_its_tensors(model: Path, tmp_path: Path, recipe: str) -> None:
    w = open_checkpoint(model).dequantize(NAME)
    q = mf.quantize(w, recipe)
    assert (q.codes != mf.quantize(w, "fpe2m2").codes).any() == ("authors" in recipe)
    convert(model, tmp_path / "new", recipe, layout="fpe2m2")
    held = open_checkpoint(tmp_path / "new")
    assert held.layouts == ("FPE2M2 checkpoint",)
    np.testing.assert_array_equal(held.dequantize(NAME), q.dequantize())
    expected = {each.name: each.read().tobytes() for each in fpe2m2.tensors(NAME, q)}
    path = tmp_path / "new" / "model.safetensors"
    stored, _ = tensors_of(path, [path])
    written = {name: each.read().tobytes() for name, each in stored.items()}
    assert expected.items() <= written.items()
    for name, key in (("config.json", "quantization_config"), ("quantize_config.json", "")):
        settings = json.loads((tmp_path / "new" / name).read_text())
        settings = settings[key] if key else settings
        assert settings["checkpoint_format"] == "fpe2m2"
        assert (settings["bits"], settings["group_size"]) == (4, -1)


def test_other_recipes_are_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"stores \(fpe2m2, e2m2b0/channel/bfloat16/authors\)"):
        convert(model, tmp_path / "new", "e2m2/channel/bfloat16", layout="fpe2m2")

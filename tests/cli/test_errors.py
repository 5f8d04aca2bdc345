"""Errors of the command: one line, in the words of its options."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from minifloat.cli import main
from minifloat.cli.options import in_terms_of_options
from tests.cli.calls import Capture, run
from tests.files.test_hostile_files import gguf_blob, gguf_tensor

compare_module = import_module("minifloat.comparison")


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

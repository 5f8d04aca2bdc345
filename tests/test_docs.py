"""Pages that are printed by the code equal its output; their numbers, paths and names are right."""

import csv
import importlib
import math
import re
import runpy
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import minifloat as mf
from analysis import absmax_mse, optimal_scale
from docs.generators import (
    accuracy_and_cost,
    allocation,
    arithmetic,
    calibration,
    dot_products,
    equalization,
    few_levels,
    fitted_grids,
    key_value_cache,
    layouts,
    low_rank,
    methods,
    multiplication,
    numerics,
    outliers,
    policies,
    recipes,
    rotations,
    rounding_by_layer,
    text_models,
)

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {
    "policies.md": policies,
    "layouts.md": layouts,
    "recipes.md": recipes,
    "rotations.md": rotations,
    "rounding_by_layer.md": rounding_by_layer,
    "equalization.md": equalization,
    "fitted_grids.md": fitted_grids,
    "few_levels.md": few_levels,
    "low_rank.md": low_rank,
    "outliers.md": outliers,
    "arithmetic.md": arithmetic,
    "numerics_dot_products.md": dot_products,
    "multiplication.md": multiplication,
    "numerics.md": numerics,
    "accuracy_and_cost.md": accuracy_and_cost,
    "allocation.md": allocation,
    "methods.md": methods,
    "calibration.md": calibration,
    "key_value_cache.md": key_value_cache,
    "text_models.md": text_models,
}
WITH_PATHS = ("docs/how_it_works.md", "CONTRIBUTING.md", "README.md")
PATH = re.compile(r"`((?:minifloat|analysis|paper_figures|tests|docs|notebooks)/[\w./]*)`")
NAME = re.compile(r"`((?:minifloat|analysis|paper_figures)(?:\.\w+)+)`")
TEST = re.compile(r"`(?:tests/)?([\w/]+\.py)?(?:::(test_\w+))?`")


@pytest.mark.parametrize("name", PAGES)
def test_a_printed_page_equals_its_generator(name: str) -> None:
    generator = PAGES[name]
    written = (DOCS / name).read_text(encoding="utf-8")
    assert written == generator.page(), f"run python -m {generator.__name__} > docs/{name}"


@pytest.mark.parametrize("page", WITH_PATHS)
def test_the_paths_named_on_a_page_exist(page: str) -> None:
    paths = PATH.findall((ROOT / page).read_text(encoding="utf-8"))
    assert [path for path in paths if not (ROOT / path).exists()] == []
    if page == "docs/how_it_works.md":
        assert len(paths) > 20


def test_the_tests_named_in_the_agreement_exist() -> None:
    """A test without a file is in the file named before it."""
    file, missing, count = None, [], 0
    for name, test in TEST.findall((DOCS / "agreement.md").read_text(encoding="utf-8")):
        file = name or file
        if not (name or test):
            continue
        count += 1
        path = ROOT / "tests" / (file or "")
        if not path.is_file() or f"def {test}" not in path.read_text(encoding="utf-8"):
            missing.append(f"{file}::{test}")
    assert missing == []
    assert count > 40


def test_the_example_agrees_with_ml_dtypes_and_with_its_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    script = runpy.run_path(str(DOCS / "examples" / "own_format.py"))
    printed = capsys.readouterr().out
    assert printed in (DOCS / "own_format.md").read_text(encoding="utf-8")
    assert (tmp_path / "grid.png").stat().st_size

    blocks = script["w"].reshape(-1, 32).astype(float)
    scales = 2 ** np.ceil(np.log2(np.abs(blocks).max(1, keepdims=True) / 7))
    shifted = (blocks / scales * 4).astype(ml_dtypes.float6_e3m2fn)  # its bias is 3
    noise = shifted.astype(float) / 4 * scales - blocks
    sqnr = 10 * np.log10(np.sum(blocks**2) / np.sum(noise**2))
    assert f"SQNR {sqnr:.2f} dB" in printed


def resolved(name: str) -> bool:
    """Whether a dotted name is a module, or an attribute below one."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError as error:
            if error.name and not error.name.startswith(parts[0]):  # PyTorch is not installed
                return True
            continue
        for attribute in parts[end:]:
            if not hasattr(found, attribute):
                return False
            found = getattr(found, attribute)
        return True
    return False


def test_the_names_in_backticks_exist() -> None:
    """Of modules, functions and classes, in docstrings, comments and pages."""
    assert not resolved("minifloat._kernels.stochastic")
    assert resolved("minifloat.Recipe.parse")
    folders = ("minifloat", "analysis", "paper_figures", "tests", "docs")
    sources = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    pages = [*DOCS.glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    places = {
        name: path.relative_to(ROOT)
        for path in (*sources, *pages)
        for name in NAME.findall(path.read_text(encoding="utf-8"))
    }
    assert {name: str(path) for name, path in places.items() if not resolved(name)} == {}
    assert len(places) > 50


def rows(page: str, first: str) -> list[list[str]]:
    """Return the cells of the lines of the table whose head begins with some cells."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith(f"| {first} |"))
    end = next(k for k in range(start, len(lines)) if not lines[k].startswith("|"))
    return [
        [cell.strip() for cell in line.strip("| ").split("|")]
        for line in (lines[start], *lines[start + 2 : end])
    ]


def test_the_exact_errors_on_the_page_are_those_computed() -> None:
    (_, _, best, *sizes), *formats = rows("errors.md", "bits | format | best scale")
    assert best == "best scale"
    assert len(formats) == 6
    for bits, name, *cells in formats:
        fmt = re.split("[ ,]", name)[0].lower()
        errors = [optimal_scale(fmt, "normal")[1]]
        errors += [absmax_mse(fmt, "normal", int(size), "float16") for size in sizes]
        exact = [f"{-10 * math.log10(error):.2f}" for error in errors]
        assert [cell.strip("*") for cell in cells] == exact, name
        assert int(bits) == mf.parse(fmt).bits


def test_the_prediction_for_gaussian_weights_is_that_computed() -> None:
    (_, *formats), (_, *widths), (_, *predicted), *_ = rows(
        "real_weights.md", "relative rms error, blocks of 128"
    )
    for fmt, width, cell in zip(formats, widths, predicted, strict=True):
        error = math.sqrt(absmax_mse(fmt.lower(), "normal", 128, "float16"))
        assert (cell, width) == (f"{100 * error:.2f} %", str(mf.parse(fmt).bits))


def places(number: str) -> int:
    """Return the digits behind the point."""
    return len(number.strip("*").partition(".")[2])


def measured(row: str) -> dict[str, dict[str, str]]:
    """Return the records of a model, text and metric as written on the page, by format."""
    model, *text, metric = row.split(", ")
    with (DOCS / "data" / "models_one_grouping.csv").open(encoding="utf-8") as file:
        file.readline()  # the command
        records = [
            record
            for record in csv.DictReader(file)
            if SHORT.get(record["model"], record["model"]) == model
            and metric in record["metric"].replace("share of ", "")
            and all(record["data"].startswith(part) for part in text)
        ]
    assert records, row
    return {record["format"]: record for record in records}


SHORT = {
    "SmolLM2-135M": "SmolLM2",
    "MiniLM-L6-v2": "MiniLM",
    "PP-OCRv4 recogniser": "recogniser",
    "Silero VAD": "voice detector",
}


def test_the_losses_on_the_page_are_those_measured() -> None:
    (_, *formats), (_, *widths), *lines = rows("models.md", "model, text, metric | E2M2 | INT5")
    assert len(lines) == 8
    for name, *cells in lines:
        records = measured(name)
        values = [float(records[fmt.lower()]["worse_by"]) for fmt in formats]
        for value, cell in zip(values, cells, strict=True):
            assert cell.strip("*") == f"{value:.{places(cell)}f}", name
        for width in ("5", "4"):  # the lowest of each width is bold
            group = [k for k, bits in enumerate(widths) if bits == width]
            lowest = min(group, key=lambda k: values[k])
            assert [k for k in group if cells[k].startswith("**")] == [lowest], name


def test_the_losses_of_e2m2_and_int5_are_those_measured() -> None:
    _, *lines = rows("models.md", "model, text, metric | E2M2 minus fp32")
    assert len(lines) == 8
    for name, ours, theirs, lead in lines:
        e2m2, int5 = (measured(name)[fmt] for fmt in ("e2m2", "int5"))
        for cell, record in ((ours, e2m2), (theirs, int5)):
            value, error = cell.split(" ± ")
            assert value == f"{float(record['worse_by']):.{places(value)}f}", name
            assert error == f"{float(record['standard_error']):.{places(value)}f}", name
        value = lead.split(" ± ")[0]
        difference = float(e2m2["worse_by"]) - float(int5["worse_by"])
        assert value == f"{difference:.{places(value)}f}", name

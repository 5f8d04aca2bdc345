"""Pages that are printed by the code equal its output; their numbers, paths and names are right."""

import csv
import importlib
import math
import re
import runpy
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import minifloat as mf
from analysis import absmax_mse, optimal_scale, range_mse, signed_absmax_mse
from analysis.formats.normal_float import normal_float
from analysis.training import STUDIES as TRAINING
from docs.generators import (
    accuracy_and_cost,
    allocation,
    arithmetic,
    bit_pictures,
    calibration,
    dot_products,
    equalization,
    few_levels,
    fitted_grids,
    image_models,
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
    speech_models,
    text_models,
    training,
)
from paper_figures import FIGURES

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
    "speech_models.md": speech_models,
    "image_models.md": image_models,
    "training.md": training,
}
WITH_PATHS = ("docs/how_it_works.md", "CONTRIBUTING.md", "README.md")
PATH = re.compile(r"`((?:minifloat|analysis|paper_figures|tests|docs|notebooks)/[\w./]*)`")
NAME = re.compile(r"`((?:minifloat|analysis|paper_figures)(?:\.\w+)+)`")
CONTENTS = re.compile(r"toctree(?:\}|::)\n(?: *:.*\n)*\n((?: *[\w/.]+.*\n)+)")
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


def test_every_page_stands_once_in_the_table_of_contents() -> None:
    """A page in two of its lists has two places in the sidebar; in none it has no way to it."""
    entries = []
    paths = [path for suffix in ("md", "rst") for path in DOCS.rglob(f"*.{suffix}")]
    for path in paths:
        for part in CONTENTS.findall(path.read_text(encoding="utf-8")):
            entries += [path.parent / line.strip() for line in part.splitlines()]
    pages = [path.with_suffix("") for path in paths if path != DOCS / "index.md"]
    assert sorted(entry for entry in entries if "../" not in str(entry)) == sorted(pages)


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


def test_the_errors_of_integers_on_the_page_are_those_computed() -> None:
    """Exact ones, the same less what bits beyond 5 would gain, and block sizes of equal errors."""
    errors: dict[str, Callable[[float, str], float]] = {
        "INT5, asymmetric": lambda n, law: range_mse("uint5", law, n),
        "INT5, full range": lambda n, law: signed_absmax_mse("int5full", law, n),
        "INT5, symmetric": lambda n, law: absmax_mse("int5", law, n),
        "E2M2": lambda n, law: absmax_mse("e2m2", law, n),
        "NF5, with a table": lambda n, law: absmax_mse("nf5", law, n),
        "NF5 with the offset of 5 bits": lambda n, law: absmax_mse(normal_float(5), law, n),
    }
    found = {}
    (_, *sizes), *lines = rows("errors.md", "SQNR in dB, less 6.02 dB for each bit beyond 5")
    assert [name for name, *_ in lines] == [*errors]
    for name, *cells in lines:
        bits = 21 if name == "INT5, asymmetric" else 16  # of a block
        found[name] = [-10 * math.log10(errors[name](int(size), "normal")) for size in sizes]
        wanted = [
            f"{sqnr - 20 * math.log10(2) * bits / int(size):.2f}"
            for sqnr, size in zip(found[name], sizes, strict=True)
        ]
        assert [cell.strip("*") for cell in cells] == wanted, name
        assert max(cells, key=lambda cell: float(cell.strip("*"))).startswith("**"), name
    (_, *again), *lines = rows("errors.md", "SQNR in dB, Gaussian weights, exact scales")
    assert (again, len(lines)) == (sizes, 4)
    for name, *cells in lines:
        assert [cell.strip("*") for cell in cells] == [f"{sqnr:.2f}" for sqnr in found[name]]
    _, *lines = rows("errors.md", "E2M2 is equal to INT5 at a block size of")
    for name, *cells in lines:
        stretch = 21 / 16 if "21/16" in name else 1
        for cell, law in zip(cells, ("normal", "laplace"), strict=True):
            step = 10.0 ** -places(cell) / 2
            ahead = [
                errors["E2M2"](n, law) > errors[f"INT5, {name.split(', in')[0]}"](stretch * n, law)
                for n in (float(cell) - step, float(cell) + step)
            ]
            assert ahead == [True, False], (name, law)


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


def test_the_pictures_of_bits_are_those_of_the_formats() -> None:
    for family, names in bit_pictures.FAMILIES.items():
        stored = (DOCS / "figures" / f"bits_{family}.svg").read_text(encoding="utf-8")
        assert stored == bit_pictures.picture(names), "run python -m docs.generators.bit_pictures"
        page = (DOCS / "families" / f"{family}.md").read_text(encoding="utf-8")
        assert f"bits_{family}.svg" in page
        for name in names:
            fmt = mf.parse(name)
            row = stored.partition(f">{name}</text>")[2].partition(f"{fmt.bits} bits</text>")[0]
            assert row.count("<rect") == fmt.bits, name
            assert f">{fmt.max:.4g}<".replace("e+", "e") in row, name


def test_the_gallery_has_every_figure_with_its_numbers() -> None:
    """But for those of studies of training that have no records yet."""
    gallery = (DOCS / "figures.md").read_text(encoding="utf-8")
    records = DOCS / "data" / "training"
    drawn = [n for n in FIGURES if n not in TRAINING or (records / f"{n}.csv").exists()]
    assert re.findall(r"^## (\w+)$", gallery, re.MULTILINE) == drawn
    for name in drawn:
        for file in (f"figures/{name}.png", f"figures/{name}.csv"):
            assert f"]({file})" in gallery
            assert (DOCS / file).is_file(), file


def test_the_speed_of_the_neighbours_is_that_measured() -> None:
    with (DOCS / "figures" / "speed.csv").open(encoding="utf-8") as file:
        file.readline()  # the command
        ratios: dict[tuple[str, str], list[float]] = {}
        for row in csv.DictReader(file):
            if row["format"] == "e4m3fn":
                ratios.setdefault((row["task"], row["library"]), []).append(float(row["ratio"]))
    tasks = {
        "encode float32 to E4M3": "encode float32",
        "decode E4M3 to float32": "decode to float32",
        "decode E4M3 to float16": "decode to float16",
    }
    _, *lines = rows("neighbours.md", "task | minifloat")
    assert [task for task, *_ in lines] == list(tasks)
    for task, ours, others in lines:
        cells = {"minifloat": ours}
        cells |= {name: ratio for ratio, name in re.findall(r"([\d.]+) ([\w.]+)", others)}
        for library, cell in cells.items():
            (measured,) = (
                ratios[key] for key in ratios if key[0] == tasks[task] and library in key[1]
            )
            assert cell == f"{np.median(measured):.3f}", (task, library)


def ragged(text: str) -> list[str]:
    """Return the lines of tables that have other numbers of cells than the first line."""
    found: list[str] = []
    cells = 0
    for line in re.sub(r"^```.*?^```", "", text, flags=re.M | re.S).split("\n"):
        count = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        if cells and count and count != cells:
            found.append(line)
        cells = count if not cells or not count else cells
    return found


def test_the_lines_of_a_table_have_as_many_cells() -> None:
    pages = [*DOCS.rglob("*.md"), *ROOT.glob("*.md")]
    assert [(page.name, ragged(page.read_text(encoding="utf-8"))) for page in pages] == [
        (page.name, []) for page in pages
    ]
    assert ragged("| a | b |\n|---|---|\n| `x|y` | 1 |\n| `x\\|y` | 1 |\n") == ["| `x|y` | 1 |"]


LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


def test_links_to_files_lead_somewhere() -> None:
    """The site checks links between pages; this one all, pictures and data too."""
    pages = [*DOCS.rglob("*.md"), *ROOT.glob("*.md")]
    broken, count = [], 0
    for page in pages:
        text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
        for target in LINK.findall(re.sub(r"`[^`\n]*`", "", text)):
            count += 1
            if not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []
    assert count > 200


def test_a_broken_link_would_be_found() -> None:
    assert LINK.findall("see [x](docs/none.md#a) and ![p](figures/q.png), not [y](https://z)") == [
        "docs/none.md",
        "figures/q.png",
    ]

"""How figures are drawn: legible, adapted by one line, and the same bytes again."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from analysis.output import write_files
from analysis.records import from_csv, to_csv
from paper_figures import FIGURES, style
from paper_figures.__main__ import figure_files, main
from paper_figures.rows import NotAvailable
from tests.paper_figures.figures import (
    IN_DOCS,
    PACKAGE,
    assert_agree,
    drawn_texts,
    mistakes,
    module_of,
    quiet,
)

SHARED = {"__init__", "__main__", "cost_plane", "fields", "rows", "studies", "style"}


def test_every_module_is_a_figure_or_shared() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} == {*FIGURES, *SHARED}
    assert len(set(FIGURES)) == len(FIGURES)


@pytest.mark.parametrize("name", ["best_splits", "real_weights"])  # shades; many small dots
def test_a_palette_changes_no_colour_visibly(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = from_csv((IN_DOCS / f"{name}.csv").read_text(encoding="utf-8"))
    with style.house_style():
        few = style.image(module_of(name).draw(rows), "png")
        monkeypatch.setattr(style, "in_palette", lambda picture: picture)
        all_colours = style.image(module_of(name).draw(rows), "png")
    assert len(few) < len(all_colours) / 2
    one, other = (Image.open(io.BytesIO(picture)).convert("RGB") for picture in (few, all_colours))
    assert max(high for _, high in ImageChops.difference(one, other).getextrema()) <= 10


def test_the_search_for_illegible_texts_has_teeth() -> None:
    with style.house_style():
        figure = style.new_figure(style.COLUMN, 2)
        axes = figure.add_subplot()
        axes.text(0.5, 0.5, "one")
        assert mistakes(figure) == []
        axes.text(0.52, 0.52, "other")
        axes.text(0.1, 0.1, "tiny", fontsize=5)
        figure.text(0.95, 0.9, "goes on beyond")
        assert [mistake.partition(":")[0] for mistake in mistakes(figure)] == [
            "small", "cut off", "on each other",
        ]  # fmt: skip


def test_looks_are_told_apart_in_grey() -> None:
    looks = [*style.LOOKS.values(), *style.SPARE]
    for column in ("colour", "marker", "line"):
        assert len({getattr(look, column) for look in looks}) == len(looks), column


@pytest.mark.parametrize("name", ["anatomy", "block_size", "error_density", "pareto"])
def test_one_line_adapts_a_figure(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_of(name)
    monkeypatch.setattr(module, "FORMATS", ("e3m2", "int6", "binary6p3sf", "sf4"))
    rows = module.data(quiet)
    assert {row["format"] for row in rows} >= {"e3m2", "int6", "binary6p3sf", "sf4"}
    with style.house_style():
        figure = module.draw(from_csv(to_csv(rows, "command")))
        words = "\n".join(drawn_texts(figure))
        assert all(name in words for name in ("E3M2", "INT6", "BINARY6P3SF", "SF4"))


def test_redrawn_figures_are_the_same(tmp_path: Path) -> None:
    for name in ("grid_loss", "models"):
        files = figure_files(name, ["png", "pdf", "svg"])
        assert list(files) == [f"{name}.{kind}" for kind in ("csv", "png", "pdf", "svg")]
        write_files(tmp_path, files)
        again = figure_files(name, ["png", "pdf", "svg"], saved=tmp_path / f"{name}.csv")
        assert again == files


def test_another_process_makes_the_same_bytes(tmp_path: Path) -> None:
    """Whatever the hash seed, the day, and the user's own Matplotlib settings."""
    (tmp_path / "matplotlibrc").write_text(
        "font.size: 20\nlines.linewidth: 9\nfont.family: monospace\nsavefig.bbox: tight\n"
    )
    command = ["--only", "block_size", "--format", "png,pdf,svg", "--out"]
    environment = {
        **os.environ,
        "MPLCONFIGDIR": str(tmp_path), "PYTHONHASHSEED": "7", "SOURCE_DATE_EPOCH": "9",
    }  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-m", "paper_figures", *command, str(tmp_path / "a")],
        check=True, capture_output=True, text=True, env=environment, cwd=PACKAGE.parent,
    )  # fmt: skip
    assert run.stdout == ""
    assert "[1/1] block_size" in run.stderr
    assert main([*command, str(tmp_path / "b")]) == 0
    for kind in ("csv", "png", "pdf", "svg"):
        one, other = (tmp_path / folder / f"block_size.{kind}" for folder in "ab")
        assert one.read_bytes() == other.read_bytes(), kind
    assert one.read_bytes()[:5] == b"<?xml"
    first = (tmp_path / "a" / "block_size.csv").read_text().splitlines()[0]
    assert first == "# python -m paper_figures --only block_size"


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in FIGURES if name != "speed"])
def test_all_figures_are_the_same_again(name: str, tmp_path: Path) -> None:
    kinds = ["png", "pdf", "svg"]
    try:
        files = figure_files(name, kinds)
    except NotAvailable as error:
        pytest.skip(str(error))
    assert figure_files(name, kinds) == files
    rows = from_csv(files[f"{name}.csv"].decode())
    if (IN_DOCS / f"{name}.csv").exists():
        assert_agree(from_csv((IN_DOCS / f"{name}.csv").read_text(encoding="utf-8")), rows)
    with style.house_style():
        assert mistakes(module_of(name).draw(rows)) == []

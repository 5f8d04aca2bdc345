"""Pages that are printed by the code equal its output, and paths and tests named on pages exist."""

import re
import runpy
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from docs.generators import layouts, policies, recipes

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {"policies.md": policies, "layouts.md": layouts, "recipes.md": recipes}
WITH_PATHS = ("docs/how_it_works.md", "CONTRIBUTING.md", "README.md")
PATH = re.compile(r"`((?:minifloat|analysis|paper_figures|tests|docs|notebooks)/[\w./]*)`")
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

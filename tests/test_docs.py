"""Pages that are printed by the code say what the code says."""

import runpy
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from docs.generators import layouts as layout_pictures
from docs.generators import policies as policy_tables

DOCS = Path(__file__).parents[1] / "docs"


PAGES = {"policies.md": policy_tables, "layouts.md": layout_pictures}


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_what_the_library_does(name: str) -> None:
    printer = PAGES[name]
    written = (DOCS / name).read_text(encoding="utf-8")
    assert written == printer.page(), f"run python -m {printer.__name__} > docs/{name}"


def test_the_script_prints_what_ml_dtypes_and_the_page_say(
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

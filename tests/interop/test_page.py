"""The code of the pages for PyTorch runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "pytorch.md"


@pytest.mark.parametrize("page", ["pytorch.md", "start_pytorch.md"])
def test_the_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason='PyTorch is not installed: extra "torch"')
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(
        r"^```python\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.M | re.S
    )
    assert len(blocks) == 2
    names: dict[str, object] = {}
    for block in blocks:
        exec(block, names)
    assert (tmp_path / "model.pt").exists()


def test_the_page_is_one_screen() -> None:
    assert len(PAGE.read_text(encoding="utf-8").splitlines()) <= 70

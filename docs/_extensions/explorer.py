"""The site has a copy of the explorer's page."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "minifloat" / "explorer" / "page"


def copy(app: Any, exception: Exception | None) -> None:
    """Copy the page beside the others."""
    if exception is None and app.builder.name == "html":
        shutil.copytree(FOLDER, Path(app.outdir) / "explorer", dirs_exist_ok=True)


def setup(app: Any) -> dict[str, bool]:
    """Connect the extension to Sphinx."""
    app.connect("build-finished", copy)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

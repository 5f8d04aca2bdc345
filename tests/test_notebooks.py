"""The notebooks as files: numbered, with one kind of opening, no outputs, no machine's paths.

`pytest --nbmake notebooks` runs them.
"""

import copy
import json
import re
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
MAX_CELLS = 13


def faults(notebook, number):
    """Return the faults of a notebook, given as the JSON of its file."""
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]
    problems = []
    if not cells or not cells[0][1].startswith(f"# {number}. "):
        problems.append("number")
    if not cells or not re.search(r"\n\nAt the end you will know ", cells[0][1]):
        problems.append("opening")
    if len(cells) > MAX_CELLS:
        problems.append("length")
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    if any(cell["outputs"] or cell["execution_count"] is not None for cell in code):
        problems.append("outputs")
    text = "\n".join(source for _, source in cells)
    if re.search(r"(?<![\w.:/])/(home|Users|root|tmp|work|mnt|opt|var|usr)\b|\b[A-Z]:\\", text):
        problems.append("absolute path")
    return problems


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_numbered_from_one_without_a_gap():
    assert [path.name[:3] for path in NOTEBOOKS] == [f"{n:02}_" for n in range(1, 7)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_faults(path):
    assert faults(read(path), int(path.name[:2])) == []


@pytest.mark.parametrize(
    ("fault", "plant"),
    [
        ("number", lambda n: n["cells"][0].update(source=["# 9. x\n\nAt the end you will know "])),
        ("opening", lambda n: n["cells"][0].update(source=["# 1. x\n\nHello."])),
        ("length", lambda n: n["cells"].extend(n["cells"][:1] * MAX_CELLS)),
        ("outputs", lambda n: n["cells"][1].update(execution_count=1)),
        ("outputs", lambda n: n["cells"][1].update(outputs=[{"output_type": "stream"}])),
        ("absolute path", lambda n: n["cells"][1].update(source=["open('/home/me/w.npy')"])),
        ("absolute path", lambda n: n["cells"][1].update(source=["open(r'C:\\w.npy')"])),
    ],
)
def test_a_planted_fault_is_found(fault, plant):
    notebook = copy.deepcopy(read(NOTEBOOKS[0]))
    plant(notebook)
    assert faults(notebook, 1) == [fault]

"""The notebooks as files: numbered, one kind of opening, small outputs, a picture, no paths.

`python -m tests.notebook_outputs` runs them, and compares what they print with the outputs here.
"""

import ast
import copy
import json
import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests.notebook_outputs import code_cells, differences, shown

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MAX_BYTES = 200_000
PYTORCH = ROOT / "notebooks" / "07_with_pytorch.ipynb"  # says how to install it
OURS = {"minifloat", "analysis"}
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
    kinds = [set(o.get("data", ())) for cell in code for o in cell["outputs"]]
    if [cell["execution_count"] for cell in code if cell["outputs"]] != [
        place for place, cell in enumerate(code, 1) if cell["outputs"]
    ] or any(output["output_type"] == "error" for cell in code for output in cell["outputs"]):
        problems.append("outputs")
    if not any("image/png" in kind for kind in kinds):
        problems.append("picture")
    if len(json.dumps(notebook)) > MAX_BYTES:
        problems.append("size")
    text = "\n".join([source for _, source in cells] + [shown(cell) for cell in code])
    if re.search(r"(?<![\w.:/])/(home|Users|root|tmp|work|mnt|opt|var|usr)\b|\b[A-Z]:\\", text):
        problems.append("absolute path")
    return problems


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_numbered_from_one_without_a_gap():
    assert [path.name[:3] for path in NOTEBOOKS] == [f"{n:02}_" for n in range(1, 11)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_faults(path):
    assert faults(read(path), int(path.name[:2])) == []


@pytest.mark.parametrize(
    ("fault", "plant"),
    [
        ("number", lambda n: n["cells"][0].update(source=["# 9. x\n\nAt the end you will know "])),
        ("opening", lambda n: n["cells"][0].update(source=["# 1. x\n\nHello."])),
        ("length", lambda n: n["cells"].extend(n["cells"][:1] * MAX_CELLS)),
        ("outputs", lambda n: n["cells"][3].update(execution_count=9)),
        ("outputs", lambda n: n["cells"][3]["outputs"].append({"output_type": "error"})),
        ("picture", lambda n: [c.update(outputs=[]) for c in n["cells"][8:]]),
        ("size", lambda n: n.update(more="x" * MAX_BYTES)),
        ("absolute path", lambda n: n["cells"][1].update(source=["open('/home/me/w.npy')"])),
        ("absolute path", lambda n: n["cells"][1].update(source=["open(r'C:\\w.npy')"])),
    ],
)
def test_a_planted_fault_is_found(fault, plant):
    notebook = copy.deepcopy(read(NOTEBOOKS[0]))
    plant(notebook)
    assert faults(notebook, 1) == [fault]


def imported(source):
    """Return the top names of the modules that a piece of code imports."""
    modules = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules.append(node.module)
    return {name.partition(".")[0] for name in modules}


def packages_of(extra):
    """Return the names of the packages that an extra installs, and the library itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed, seen = [f"minifloat[{extra}]"], set()
    while needed:
        requirement = needed.pop()
        name, extras = re.match(r"([\w.-]+)(?:\[([\w,]+)\])?", requirement).groups()
        if requirement in seen:
            continue
        seen |= {requirement, name.replace("-", "_")}
        if name == "minifloat":
            needed += project["dependencies"]
            for inner in (extras or "").split(","):
                needed += project["optional-dependencies"].get(inner, [])
    return seen


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_extra_has_all_packages_that_a_notebook_imports(path):
    source = "\n".join(
        "".join(cell["source"]) for cell in read(path)["cells"] if cell["cell_type"] == "code"
    )
    needed = imported(source) - OURS - sys.stdlib_module_names
    assert needed <= packages_of("notebooks") | (packages_of("torch") if path == PYTORCH else set())


def test_the_extra_can_read_the_file_of_notebook_5():
    assert "safetensors" in packages_of("notebooks")
    assert "safetensors" not in packages_of("analysis")


def test_pages_say_how_to_install_and_run_the_notebooks():
    for page in ("README.md", "docs/index.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert 'pip install -e ".[notebooks]" && jupyter lab notebooks' in text


def planted(change):
    """Return a notebook, and one with a change."""
    notebook = read(NOTEBOOKS[0])
    other = copy.deepcopy(notebook)
    change([cell for cell in other["cells"] if cell["cell_type"] == "code"])
    return notebook, other


def test_another_output_is_found():
    """Another number, another text, a picture that is missing; not other pixels."""
    texts = [(place, cell) for place, cell in enumerate(code_cells(read(NOTEBOOKS[0])))]
    stream = next(k for k, cell in texts if "text" in str(cell["outputs"][:1]))
    image = next(k for k, cell in texts if "image/png" in str(cell["outputs"]))

    def another_text(cells):
        cells[stream]["outputs"][0]["text"] = ["1.5 and no more\n"]

    def another_number(cells):
        cells[stream]["outputs"][0]["text"] = ["2.5 and no more\n"]

    def no_picture(cells):
        cells[image]["outputs"] = []

    def other_pixels(cells):
        for output in cells[image]["outputs"]:
            output["data"]["image/png"] = "iVBO"

    assert len(differences(*planted(another_text))) == 1
    assert len(differences(*planted(no_picture))) == 1
    assert differences(*planted(other_pixels)) == []
    one, two = planted(another_text)[1], planted(another_number)[1]
    assert len(differences(one, two)) == 1
    assert differences(one, two, numbers=False) == []

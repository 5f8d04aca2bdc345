"""The wheel holds the library and nothing else."""

from __future__ import annotations

import re
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    return Path(next(WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])))


def test_it_holds_only_minifloat(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    inside = {name for name in names if name.startswith("minifloat/")}
    sources = {str(path.relative_to(ROOT)) for path in ROOT.glob("minifloat/**/*.py")}
    page = ROOT.glob("minifloat/explorer/page/**/*.*")
    assert inside == {
        *sources,
        *(str(path.relative_to(ROOT)) for path in page),
        "minifloat/py.typed",
    }
    assert "minifloat/explorer/page/index.html" in inside
    assert all(".dist-info/" in name for name in set(names) - inside)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_it_needs_only_numpy_and_numba(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        dist_info = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = Parser().parsestr(archive.read(dist_info).decode())
    needed = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    assert sorted(needed) == ["numba>=0.61", "numpy>=2.0"]
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"


def test_an_editable_install_exposes_nothing_else(tmp_path: Path) -> None:
    """Not `tests`, `docs` or `analysis`, which could hide a user's own modules of these names."""
    pytest.importorskip("editables")
    builder = WheelBuilder(str(ROOT))
    wheel = next(builder.build(directory=str(tmp_path), versions=["editable"]))
    with zipfile.ZipFile(wheel) as archive:
        paths = {
            name: archive.read(name).decode()
            for name in archive.namelist()
            if ".dist-info/" not in name
        }
    (start,) = [name for name in paths if name.endswith(".pth")]
    (finder,) = set(paths) - {start}
    assert paths[start].split() == ["import", finder.removesuffix(".py")]
    mapped = re.findall(r"map_module\('(\w+)'", paths[finder])
    assert mapped == ["minifloat"]

"""`python -m tests.fuzz`: its names, its message without atheris, and a run with it."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.fuzz import __main__ as command
from tests.fuzz.targets import TARGETS


def test_the_names_are_those_of_the_targets() -> None:
    assert list(command.NAMES) == list(TARGETS)


def test_without_atheris_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "find_spec", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["fuzz", "npy"])
    with pytest.raises(SystemExit, match="2"):
        command.main()
    assert 'pip install "minifloat[fuzz]"' in capsys.readouterr().err


def test_a_target_names_the_package_that_it_lacks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "torch" else name)
    monkeypatch.setattr(sys, "argv", ["fuzz", "pickle"])
    with pytest.raises(SystemExit, match="2"):
        command.main()
    assert "needs the package torch" in capsys.readouterr().err


def test_torch_and_jax_need_not_be_installed() -> None:
    code = "import sys; sys.modules.update(torch=None, jax=None); from tests.fuzz import guided; "
    run = [sys.executable, "-c", code + "guided.import_below('minifloat')"]
    subprocess.run(run, check=True)


@pytest.mark.long
@pytest.mark.skipif(find_spec("atheris") is None, reason="needs atheris")
@pytest.mark.parametrize("target", TARGETS)
def test_a_minute_guided_by_coverage_finds_no_fault(target: str, tmp_path: Path) -> None:
    if target in command.PACKAGES:
        pytest.importorskip(command.PACKAGES[target])
    options = [target, "--seconds", "60", "--found", str(tmp_path)]
    run = [sys.executable, "-m", "tests.fuzz", *options]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]

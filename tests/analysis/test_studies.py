"""`python -m analysis.numerics`, as of all studies: table, records, errors before a long run."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from analysis.models.packages import MissingPackage
from analysis.numerics import newton_root
from analysis.records import Rows, from_csv
from analysis.studies import grown, main

ROWS: Rows = [
    {"quantity": "q", "at": 2.0, "draw": 0, "measured": 0.125, "theory": None},
    {"quantity": "q", "at": 2.0, "draw": 1, "measured": 1.5, "theory": 1.0},
]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Let a study return `ROWS`, and collect whether it was asked for a slice."""
    found: list[bool] = []

    def records(*, quick: bool = False, progress: Any = None) -> Rows:
        found.append(quick)
        return ROWS

    monkeypatch.setattr(newton_root, "records", records)
    return found


def test_a_table_shows_every_record(calls: list[bool], capsys: pytest.CaptureFixture[str]) -> None:
    assert main("analysis.numerics", ["newton_root", "--quick"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[-3:]] == [
        ["quantity", "at", "draw", "measured", "theory"],
        ["q", "2", "0", "0.125"],
        ["q", "2", "1", "1.5", "1"],
    ]
    assert calls == [True]


def test_a_file_has_the_records_and_the_command(calls: list[bool], tmp_path: Path) -> None:
    assert (
        main("analysis.numerics", ["newton_root", "--csv", str(tmp_path / "new" / "roots.csv")])
        == 0
    )
    text = (tmp_path / "new" / "roots.csv").read_text(encoding="utf-8")
    assert text.startswith("# python -m analysis.numerics newton_root\n")
    assert from_csv(text) == ROWS
    assert calls == [False]


def test_a_place_that_cannot_be_written_is_an_error_before_the_run(
    calls: list[bool], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match="2"):
        main("analysis.numerics", ["newton_root", "--csv", str(tmp_path)])
    assert "--csv must be a file, got the folder" in capsys.readouterr().err
    assert (
        main("analysis.numerics", ["newton_root", "--csv", str(tmp_path / "file" / "roots.csv")])
        == 2
    )
    assert "error: " in capsys.readouterr().err
    assert calls == []


def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def records(*, quick: bool = False, progress: Any = None) -> Rows:
        raise MissingPackage("a", "needs the package b")

    monkeypatch.setattr(newton_root, "records", records)
    assert main("analysis.numerics", ["newton_root"]) == 2
    assert "needs the package b" in capsys.readouterr().err


def test_a_study_that_grows_is_written_in_steps_and_goes_on(
    calls: list[bool],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "roots.csv"
    arguments = ["newton_root", "--csv", str(file)]
    given: list[Rows] = []

    def growing(known: Rows, *, quick: bool, progress: Any) -> Iterator[Rows]:
        given.append(known)
        yield ROWS[: len(known) + 1]
        if not known:
            raise KeyboardInterrupt

    monkeypatch.setattr(newton_root, "growing", growing, raising=False)
    assert main("analysis.numerics", arguments) == 130
    assert "stopped; records so far: 1, in" in capsys.readouterr().err
    assert from_csv(file.read_text()) == ROWS[:1]
    assert main("analysis.numerics", arguments) == 0
    assert from_csv(file.read_text()) == ROWS
    assert given == [[], ROWS[:1]]
    assert main("analysis.numerics", [*arguments, "--quick"]) == 2
    assert "name a new file" in capsys.readouterr().err
    assert calls == []


def test_a_study_that_grows_shows_what_it_has_when_it_is_stopped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def growing(known: Rows, *, quick: bool, progress: Any) -> Iterator[Rows]:
        yield ROWS[:1]
        raise KeyboardInterrupt

    monkeypatch.setattr(newton_root, "growing", growing, raising=False)
    assert main("analysis.numerics", ["newton_root"]) == 130
    shown = capsys.readouterr()
    assert "0.125" in shown.out
    assert "stopped; records so far: 1" in shown.err


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "at least one row"),
        ("at,draw\n2,0\n3\n", "row 2 must have 2 cells"),
        ("draw\n0\n", "records must have the column at"),
        ("at\n\xff\n", "codec can't decode"),
    ],
)
def test_a_damaged_file_is_named_and_stays(
    body: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def growing(known: Rows, *, quick: bool, progress: Any) -> Iterator[Rows]:
        yield from grown(known, [1], lambda row: row["at"], lambda case: [{"at": case}], progress)

    monkeypatch.setattr(newton_root, "growing", growing, raising=False)
    file = tmp_path / "roots.csv"
    content = f"# python -m analysis.numerics newton_root\n{body}".encode("latin-1")
    file.write_bytes(content)
    assert main("analysis.numerics", ["newton_root", "--csv", str(file)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "roots.csv is damaged" in error
    assert file.read_bytes() == content


@pytest.mark.parametrize("package", ["analysis.numerics", "analysis.training"])
def test_the_help_says_what_each_study_asks(
    package: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(package, ["--help"])
    lines = capsys.readouterr().out.partition("studies:\n")[2].splitlines()
    assert [line.split()[0] for line in lines] == list(import_module(package).STUDIES)
    assert all(line.endswith(".") for line in lines)

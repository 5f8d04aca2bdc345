"""The command of a package of studies: it runs one by its name, and prints its records.

A study that takes hours has ``growing(known, *, quick, progress)`` in place of ``records``: its
file is written after each step, and a later run leaves out what the file has.

The table goes to stdout, progress to stderr. The exit code is 2 after an error, 130 after Ctrl-C,
which a study that grows answers with the records so far.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Hashable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from analysis.models.evaluation import Progress
from analysis.models.packages import MissingPackage
from analysis.output import write_files
from analysis.records import Row, Rows, from_csv, to_csv
from minifloat.cli.terminal import Table, progress_bar

Case = TypeVar("Case", bound=Hashable)


def main(package: str, arguments: Sequence[str] | None = None) -> int:
    """Run the command ``python -m PACKAGE`` and return its exit code.

    Parameters
    ----------
    package : str
        With the names of its studies in ``STUDIES``, such as "analysis.numerics".
    arguments : sequence of str, optional
        Arguments without the program's name; default those of the process.

    Returns
    -------
    int

    Raises
    ------
    SystemExit
        From `argparse`, for wrong arguments.
    """
    command = f"python -m {package}"
    about = import_module(package)
    first_line = (about.__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(
        prog=command, description=f"Run a study. {first_line}", epilog=_described(about),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("study", choices=about.STUDIES, metavar="STUDY", help="one of those below")
    parser.add_argument("--quick", action="store_true", help="a slice that takes seconds")
    parser.add_argument(
        "--csv", type=Path, metavar="FILE",
        help="write the records there instead; a study that takes hours goes on with those there",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    if options.csv and options.csv.is_dir():
        parser.error(f"--csv must be a file, got the folder {options.csv}")
    found: Rows = []
    try:
        if options.csv:
            write_files(options.csv.parent, {})  # an error now rather than after hours
        title = f"{command} {options.study}{' --quick' * options.quick}"
        with progress_bar(options.study) as progress:
            study = import_module(f"{package}.{options.study}")
            for found in _growing(study, options.csv, title, options.quick, progress):
                if options.csv:
                    text = to_csv(found, title)
                    write_files(options.csv.parent, {options.csv.name: text.encode()})
        if not options.csv:
            print(_table(options.study, found).text())
    except (OSError, MissingPackage, OtherFile) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        if found and not options.csv:
            print(_table(options.study, found).text())
        if found:
            place = f", in {options.csv}: the same command goes on" if options.csv else ""
            print(f"stopped; records so far: {len(found)}{place}", file=sys.stderr)
        return 130
    return 0


def _described(about: ModuleType) -> str:
    """Return the names of studies, each with the first line of its text, which is not run."""
    lines = []
    for name in about.STUDIES:
        text = Path(about.__path__[0], f"{name}.py").read_text("utf-8")
        title = text.partition('"""')[2].partition("\n")[0].removesuffix('"""')
        lines.append(f"  {name:<{max(map(len, about.STUDIES))}}  {title}")
    return "\n".join(["studies:", *lines])


class OtherFile(ValueError):
    """A file holds no records that the study can go on with: those of another one, or damaged."""


def _growing(
    study: ModuleType, file: Path | None, title: str, quick: bool, progress: Progress | None
) -> Iterator[Rows]:
    """Yield the records of a study whenever there are more of them."""
    if not hasattr(study, "growing"):
        yield study.records(quick=quick, progress=progress)
        return
    known: Rows = []
    if file is not None and file.exists():
        try:
            text = file.read_text("utf-8")
            if text.partition("\n")[0] != f"# {title}":
                raise OtherFile(f"{file} must hold records of {title!r}; name a new file")
            known = from_csv(text)
        except OtherFile:
            raise
        except ValueError as error:
            raise _damaged(file, error) from error
    try:
        yield from study.growing(known, quick=quick, progress=progress)
    except OtherFile as error:
        raise _damaged(file, error) from None


def _damaged(file: Path | None, error: ValueError) -> OtherFile:
    return OtherFile(f"{file} is damaged: {error}; mend it or name a new file")


def known_cases(known: Rows, key: Callable[[Row], Case]) -> list[Case]:
    """Return the cases that records of an earlier call are of.

    Raises
    ------
    OtherFile
        If a record lacks a column.

    Examples
    --------
    >>> known_cases([{"at": 1, "square": 1}], lambda row: row["at"])
    [1]
    """
    try:
        return [key(row) for row in known]
    except KeyError as error:
        raise OtherFile(f"records must have the column {error.args[0]}") from None


def grown(
    known: Rows,
    cases: Sequence[Case],
    key: Callable[[Row], Case],
    measure: Callable[[Case], Rows],
    progress: Progress | None = None,
) -> Iterator[Rows]:
    """Measure the cases that are not known, and yield all records after each.

    Parameters
    ----------
    known : list of dict
        Records of an earlier call that was stopped.
    cases : sequence
        In the order in which they are measured.
    key : callable
        Returns the case that a record is of.
    measure : callable
        Returns the records of a case.
    progress : callable, optional
        Called with the cases done and all cases.

    Yields
    ------
    list of dict

    Examples
    --------
    >>> for rows in grown([{"at": 1, "square": 1}], [1, 2], lambda row: row["at"],
    ...                   lambda case: [{"at": case, "square": case**2}]):
    ...     print(rows[-1])
    {'at': 2, 'square': 4}
    {'at': 2, 'square': 4}
    """
    found, done = list(known), set(known_cases(known, key))
    for count, case in enumerate(cases, 1):
        if case not in done:
            found += measure(case)
            yield found
        if progress is not None:
            progress(count, len(cases))
    yield found


def _table(title: str, found: Rows) -> Table:
    texts = tuple(name for name, value in found[0].items() if isinstance(value, str))
    lines = [tuple(map(_cell, row.values())) for row in found]
    return Table(title, tuple(found[0]), texts, lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)

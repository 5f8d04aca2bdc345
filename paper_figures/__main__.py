"""Draw the figures of the paper, each with a CSV file of its numbers.

A figure is left out, with a line that says why, if it needs a package that is not installed or a
file that was not given. The exit code is 1 if `--only` named such a figure, 2 after an error.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from analysis.output import write_files
from analysis.records import from_csv, to_csv
from paper_figures import FIGURES
from paper_figures.rows import NotAvailable, Progress

COMMAND = "python -m paper_figures"
IMAGE_FORMATS = ("png", "pdf", "svg")


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the figures that the arguments name; return the exit code."""
    options = _parser().parse_args(arguments)
    names = options.only or FIGURES
    left_out = False
    try:
        write_files(options.out, {})  # an error now rather than after minutes
        for number, name in enumerate(names, 1):
            show = _Line(f"[{number}/{len(names)}] {name}")
            saved = options.out / f"{name}.csv" if options.redraw else None
            try:
                files = figure_files(name, options.format, show, saved)
            except NotAvailable as error:
                left_out = True
                show.end(f"left out: {error}")
            else:
                write_files(options.out, files)
                show.end(f"{time.perf_counter() - show.start:.1f} s, {options.out / name}.*")
    except ModuleNotFoundError as error:
        print(f"\nerror: figures need {error.name}: pip install -e '.[analysis]'", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: out must be a folder that can be written to: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 1 if left_out and options.only else 0


def figure_files(
    name: str,
    kinds: Sequence[str],
    progress: Progress = lambda done, total: None,
    saved: Path | None = None,
) -> dict[str, bytes]:
    """Compute and draw a figure.

    Parameters
    ----------
    name : str
        One of `paper_figures.FIGURES`.
    kinds : sequence of str
        Image formats: of "png", "pdf", "svg".
    progress : callable, optional
        Called with the steps done and all steps.
    saved : path, optional
        A CSV file of this figure, to draw it again without computing anything.

    Returns
    -------
    dict of str to bytes
        By file name: the CSV file, and one image of each kind.

    Raises
    ------
    NotAvailable
        If a package or a file that the figure needs is missing or cannot be read.
    """
    from paper_figures.style import house_style, image

    module = import_module(f"paper_figures.{name}")
    if saved is None:
        table = to_csv(module.data(progress), f"{COMMAND} --only {name}")
    else:
        table = _read(saved)
    files = {f"{name}.csv": table.encode()}
    with house_style():
        try:
            figure = module.draw(from_csv(table))
        except (LookupError, TypeError, ValueError) as error:
            if saved is None:
                raise
            raise NotAvailable(
                f"{saved} must hold the numbers of {name}, got {type(error).__name__}: {error}"
            ) from None
        for kind in kinds:
            files[f"{name}.{kind}"] = image(figure, kind)
    return files


def _read(saved: Path) -> str:
    try:
        table = saved.read_text(encoding="utf-8")
        from_csv(table)
    except FileNotFoundError:
        raise NotAvailable(f"there is no {saved}; draw the figure without --redraw") from None
    except (OSError, ValueError) as error:
        raise NotAvailable(f"{saved} cannot be read: {error}") from None
    return table


class _Line:
    """A line on stderr for one figure; on a terminal it shows the progress."""

    def __init__(self, name: str) -> None:
        self.name, self.start = f"{name:<30}", time.perf_counter()
        print(self.name, end="", file=sys.stderr, flush=True)

    def __call__(self, done: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{self.name}{done / total:4.0%}", end="", file=sys.stderr, flush=True)

    def end(self, text: str) -> None:
        """Finish the line with a text."""
        start = f"\r{self.name}" if sys.stderr.isatty() else ""
        print(f"{start}{text}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument(
        "--only",
        type=_list_of(FIGURES),
        metavar="NAME,...",
        help=f"draw only these, of: {', '.join(FIGURES)}",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("figures"), metavar="DIR",
        help="folder for the images and their CSV files (default: figures)",
    )  # fmt: skip
    parser.add_argument(
        "--format", type=_list_of(IMAGE_FORMATS), default=["png"], help="png (default), pdf, svg"
    )
    parser.add_argument(
        "--redraw", action="store_true", help="draw the CSV files in DIR; compute nothing"
    )
    return parser


def _list_of(known: Sequence[str]) -> Callable[[str], list[str]]:
    def read(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"must be of {', '.join(known)}, got {name!r}")
        return names

    return read


if __name__ == "__main__":
    sys.exit(main())

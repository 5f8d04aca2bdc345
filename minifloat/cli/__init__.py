"""The `minifloat` command: compare, list, show, encode, decode, registers, vectors.

Results go to stdout, progress and errors to stderr. The exit code is 0, 2 after an error (one
line with a remedy), 130 after Ctrl-C. Commands import what they need when they run, so
that `show` of a format needs the standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from minifloat.cli import codes, compare, formats, registers, vectors
from minifloat.cli.options import Parser, in_terms_of_options, spaced
from minifloat.cli.terminal import printable

COMMANDS = (  # name, its options, the function that runs it, its description
    ("compare", compare.add_options, compare.run, "Quantize a model's weights; print the errors."),
    ("list", formats.add_list_options, formats.run_list, "List the named formats and recipes."),
    (
        "show",
        formats.add_show_options,
        formats.run_show,
        "Show a format or a recipe: its facts, its number line, its values.",
    ),
    (
        "encode",
        codes.add_encode_options,
        codes.run_encode,
        "Round numbers to a format and show the codes.",
    ),
    ("decode", codes.add_decode_options, codes.run_decode, "Show the values of codes."),
    (
        "registers",
        registers.add_options,
        registers.run,
        "Show how a GPU turns codes into float16 pairs.",
    ),
    (
        "vectors",
        vectors.add_options,
        vectors.run,
        "Print inputs with the right outputs, for a test bench.",
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; default those of the process.

    Returns
    -------
    int
        0, 2 after an error, 130 after Ctrl-C, 141 when the reader of stdout has gone.

    Examples
    --------
    >>> main(["decode", "e2m1", "0b0111"])
    code  hex  bits    value  kind
       7  0x7  0 11 1      6  normal
    0
    """
    arguments = sys.argv[1:] if argv is None else argv
    if sys.stdout is None:  # closed by the shell: `minifloat list >&-`
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (open to the end)
    if argv is None and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names in scripts it cannot print
    try:
        options = _parser().parse_args(spaced(arguments))
        options.run(options)
        sys.stdout.flush()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        with contextlib.suppress(OSError, ValueError):  # a closed or replaced stdout has no number
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except MemoryError:
        return _fail("the largest tensor must fit into memory; use a larger machine")
    except (ValueError, OSError) as error:
        return _fail(in_terms_of_options(str(error)))
    return 0


def _fail(message: str) -> int:
    print(f"minifloat: error: {printable(' '.join(message.split()))}", file=sys.stderr)
    return 2


class _Version(argparse.Action):
    def __call__(self, *_: object) -> NoReturn:
        import minifloat

        print(f"minifloat {minifloat.__version__}")
        raise SystemExit(0)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="minifloat", description="The workbench for tiny number formats.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, add_options, run, text in COMMANDS:
        command = commands.add_parser(name, help=text, description=text)
        add_options(command)
        command.set_defaults(run=run)
    return parser

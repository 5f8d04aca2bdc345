"""The `minifloat` command: compare, convert, inspect, audit, list, show, encode, and others.

Results go to stdout, progress and errors to stderr. The exit code is 0, 1 where `audit` finds
something wrong, 2 after an error (one line with a remedy), 130 after Ctrl-C, 141 when the reader
of stdout has gone. Commands import what they need when they run, so that `show` of a format needs
the standard library only.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from minifloat.cli import (
    audit,
    codes,
    compare,
    convert,
    demo,
    explorer,
    formats,
    hardware,
    registers,
    vectors,
)
from minifloat.cli.options import Parser, in_terms_of_options, spaced
from minifloat.cli.terminal import printable, shortened

COMMANDS = (  # name, its options, the function that runs it, its description
    ("demo", demo.add_options, demo.run, "Show what the library does, in seconds."),
    ("compare", compare.add_options, compare.run, "Quantize a model's weights; print the errors."),
    (
        "convert",
        convert.add_options,
        convert.run,
        "Quantize a model into the layout of another tool.",
    ),
    (
        "inspect",
        audit.add_inspect_options,
        audit.run_inspect,
        "Show what is in a checkpoint: recipes, sizes, scales, codes.",
    ),
    (
        "audit",
        audit.add_audit_options,
        audit.run_audit,
        "Hold a quantized checkpoint against its original.",
    ),
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
        "rtl",
        hardware.add_rtl_options,
        hardware.run_rtl,
        "Print a circuit of a format, in Verilog.",
    ),
    (
        "cost",
        hardware.add_cost_options,
        hardware.run_cost,
        "Show what formats take in a circuit: LUTs, transistors.",
    ),
    (
        "vectors",
        vectors.add_options,
        vectors.run,
        "Print inputs with the right outputs, for a test bench.",
    ),
    (
        "explore",
        explorer.add_options,
        explorer.run,
        "Open a page to play with: formats, blocks, registers, matrix units.",
    ),
)

LONGEST_MESSAGE = 2000  # characters; an argument may have a hundred thousand
EXAMPLES = """\
examples:
  minifloat demo
  minifloat compare model.safetensors
  minifloat show e2m2
  minifloat encode e2m2 1.1 -0.3

`minifloat COMMAND --help` says more of a command.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; default those of the process.

    Returns
    -------
    int
        0, 1 where `audit` finds something wrong, 2 after an error, 130 after Ctrl-C, 141 when the
        reader of stdout has gone.

    Examples
    --------
    >>> main(["decode", "e2m1", "0b0111"])
    code  hex  bits    value  kind
       7  0x7  0 11 1      6  normal
    0
    """
    arguments = spaced(sys.argv[1:] if argv is None else argv)
    _open_closed_streams()
    if argv is None and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names in scripts it cannot print
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        code = 141
    except MemoryError:
        code = _fail("the largest tensor must fit into memory; use a larger machine")
    except (ValueError, OSError) as error:
        code = _fail(in_terms_of_options(str(error)))
    _flush_or_discard()
    return code


def _run(arguments: Sequence[str]) -> int:
    parser, commands = _parsers()
    if "_ARGCOMPLETE" in os.environ:  # the shell asks for completions
        import argcomplete

        argcomplete.autocomplete(parser)
    try:
        if arguments and arguments[0] in commands and "--" not in arguments:
            # so that options may stand between VALUEs, which subparsers do not do
            options = commands[arguments[0]].parse_intermixed_args(arguments[1:])
        else:
            options = parser.parse_args(arguments)
    except SystemExit as stop:  # after --help and --version
        return stop.code if isinstance(stop.code, int) else 0
    code = options.run(options)
    return code if isinstance(code, int) else 0


def _open_closed_streams() -> None:
    """Discard what is written to a stream that the shell has closed: `minifloat list >&-`."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (open to the end)
            atexit.register(stream.close)
            setattr(sys, name, stream)


def _flush_or_discard() -> None:
    """Write what is left in the streams; if that fails, Python must not try again at its exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):  # a replaced stream has no number
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _fail(message: str) -> int:
    """Print the message of an error in one line, unless stderr does not take it."""
    line = shortened(printable(" ".join(message.split())), LONGEST_MESSAGE)
    with contextlib.suppress(OSError, ValueError):
        print(f"minifloat: error: {line}", file=sys.stderr)
    return 2


class _Version(argparse.Action):
    def __call__(self, *_: object) -> NoReturn:
        import minifloat

        print(f"minifloat {minifloat.__version__}")
        raise SystemExit(0)


def _parsers() -> tuple[Parser, dict[str, Parser]]:
    """Return the parser of the whole command line, and that of each command."""
    parser = Parser(
        prog="minifloat", description="The workbench for tiny number formats.", epilog=EXAMPLES
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    places = parser.add_subparsers(required=True, metavar="COMMAND")
    commands = {}
    for name, add_options, run, text in COMMANDS:
        commands[name] = places.add_parser(name, help=text, description=text)
        add_options(commands[name])
        commands[name].set_defaults(run=run)
    return parser, commands

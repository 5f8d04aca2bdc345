"""`minifloat inspect` and `minifloat audit`: what is in a checkpoint, and whether it is right."""

from __future__ import annotations

import argparse

from minifloat.cli.options import add_patterns, flat
from minifloat.cli.terminal import Table, can_print, print_parts, progress_bar

KINDS = ".safetensors, .gguf, .onnx, .npz, .pt, or a model's directory"
INSPECT_EXAMPLES = """\
examples:
  minifloat inspect model.safetensors
  minifloat inspect model/ --json

columns:
  bits/weight  stored bits per weight, scales included
  scales       smallest and largest, times the tensor scale
  at max       codes of the format's largest magnitude
  odd          zero or NaN scales, NaN codes, saturated blocks (more than half of the codes at the \
largest magnitude), codes never used. Odd need not be wrong
"""
AUDIT_EXAMPLES = """\
examples:
  minifloat audit quantized/ original/
  minifloat audit model.gguf original.gguf --exclude lm_head.weight

columns:
  SQNR dB  of the checkpoint against the original; higher is better
  rule     of what the recipe gives with scales of absmax
  best     of what it gives with scales of least squares (--best: for all tensors)
  codes    share of codes that are those of the rule
  scales   share of scales and zero points that are

verdicts: as the rule gives; another method (GPTQ, a search, AWQ ...); wrong, with the mistake if \
it is known; missing; unread; of plain numbers equal, rounded or changed.

The exit code is 0 if all is right, 1 if a tensor is wrong, missing or unread, 2 after an error.
"""


def add_inspect_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `inspect` to its parser."""
    parser.epilog = INSPECT_EXAMPLES
    parser.add_argument("path", metavar="FILE", help=KINDS)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run_inspect(options: argparse.Namespace) -> None:
    """Read a checkpoint and print what it holds."""
    from minifloat.auditing import inspect

    with progress_bar("reading") as progress:
        contents = inspect(options.path, progress=progress)
    if options.json:
        print(contents.to_json())
    else:
        _print(contents.report())


def add_audit_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `audit` to its parser."""
    parser.epilog = AUDIT_EXAMPLES
    add = parser.add_argument
    add("quantized", metavar="QUANTIZED", help=KINDS)
    add("original", metavar="ORIGINAL", help="the weights that it was made of")
    add("--best", action="store_true", help="compute least squares for every tensor (slow)")
    add_patterns(parser, "audit only tensors", "leave out tensors")
    add("--json", action="store_true", help="print JSON instead of a table")


def run_audit(options: argparse.Namespace) -> int:
    """Audit, print, and return the exit code."""
    from minifloat.auditing import audit

    with progress_bar("auditing") as progress:
        result = audit(
            options.quantized,
            options.original,
            best=options.best,
            include=flat(options.include),
            exclude=flat(options.exclude) or (),
            progress=progress,
        )
    if options.json:
        print(result.to_json())
    else:
        _print(result.report())
    return 1 if result.wrong else 0


def _print(parts: list[str | Table]) -> None:
    """Print texts and tables, with other bars where the terminal lacks those of a picture."""
    from minifloat.auditing.pictures import ASCII_BARS

    print_parts(
        part if isinstance(part, Table) or can_print(part) else part.translate(ASCII_BARS)
        for part in parts
    )

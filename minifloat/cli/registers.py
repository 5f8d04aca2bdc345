"""`minifloat registers`: programs that turn packed codes into float16 pairs on a GPU."""

from __future__ import annotations

import argparse
import contextlib
from typing import TYPE_CHECKING

from minifloat.cli.options import format_named
from minifloat.cli.terminal import Table, progress_bar
from minifloat.formats import NumberFormat

if TYPE_CHECKING:
    from minifloat.registers import Program

BEST_LAYOUT = "best"
EXAMPLES = """\
examples:
  minifloat registers
  minifloat registers e2m2 --prove
  minifloat registers e2m2 --layout fpe2m2_kernel --emit cuda
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `registers` to its parser."""
    parser.epilog = EXAMPLES
    add = parser.add_argument
    add("format", nargs="?", metavar="FORMAT", help="without one: a table of conversion's cost")
    add(
        "--layout",
        default=BEST_LAYOUT,
        help=f"dense, 1+4, fpe2m2_kernel, ... ({BEST_LAYOUT}: search for it)",
    )
    add("--target", choices=("float16", "bfloat16"), default="float16", help="(float16)")
    add("--fold-scale", action="store_true", help="leave the power of two to the scale")
    add("--emit", choices=("c", "cuda", "asm"), help="print this text only")
    add("--prove", action="store_true", help="check it for all inputs; exit with 2 if it is wrong")


def run(options: argparse.Namespace) -> None:
    """Print a program, or the table of the costs of programs."""
    from minifloat import registers

    if options.format is None:
        _costs(options)
        return
    fmt = format_named(options.format, "FORMAT")
    summary = ""
    if options.layout == BEST_LAYOUT:
        with progress_bar("searching") as progress:
            result = registers.search(
                fmt, options.target, fold_scale=options.fold_scale, progress=progress
            )
        program, summary = result.program, f"{result}\n\n"
    else:
        program = registers.to_half(
            fmt, options.layout, options.target, fold_scale=options.fold_scale
        )
    emit = {"c": registers.to_c, "cuda": registers.to_cuda, "asm": registers.to_assembly}
    if options.emit:
        print(emit[options.emit](program))
    else:
        layout = program.layout
        print(f"{summary}{layout!r}, spelled {layout.spelling}\n{layout.picture()}\n")
        print("\n".join([*_costs_of(fmt, program, options.fold_scale), "", str(program)]))
    if options.prove:
        proof = registers.prove(program, fmt)
        mark = {"c": "// ", "cuda": "// ", "asm": "# "}.get(options.emit, "")
        print("\n".join(mark + line for line in str(proof).splitlines()))
        if not proof:
            raise ValueError(f"the program must give the values of {fmt}, and does not")


def _costs_of(fmt: NumberFormat, program: Program, fold_scale: bool) -> list[str]:
    """Say what finished values cost, and values whose power of two is left to the scale."""
    from minifloat import registers

    programs = [program]
    if not program.table:
        with contextlib.suppress(ValueError):  # the target does not have all values
            programs.append(
                registers.to_half(fmt, program.layout, program.target, fold_scale=not fold_scale)
            )
    lines = {}
    for each in sorted(programs, key=lambda each: each.scale_exponent != 0):
        cost, power = each.cost, each.scale_exponent
        lines[power] = (
            f"{cost.per_weight:.2f} instructions per weight ({cost.total} for {cost.weights}) give "
        ) + (
            f"values times 2**{power}, left to the scale (--fold-scale)" if power else "the values"
        )
    return list(lines.values())


def _costs(options: argparse.Namespace) -> None:
    from minifloat import registers

    with progress_bar("searching") as progress:
        rows = registers.costs(target=options.target, progress=progress)
    totals = ("in all", "at least", "per weight", "with 2**k")
    columns = ("format", "layout", "weights", *registers.KINDS, *totals)
    cells = [
        (
            row.fmt.name,
            row.folded.layout.name,
            str(row.cost.weights),
            *(str(getattr(row.cost, kind)) for kind in registers.KINDS),
            str(row.cost.total),
            str(row.bound),
            f"{row.cost.per_weight:.3f}",
            f"{row.whole.cost.per_weight:.3f}" if row.whole else "-",
        )
        for row in rows
    ]
    title = f"Instructions to {options.target}, 2**k left to the scale; the best layout found"
    Table(title, columns, ("format", "layout"), cells).show()

"""`minifloat demo`: what the library does, in seconds, with nothing but NumPy."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from minifloat._tables import terminal_width
from minifloat.cli.terminal import Table, can_print, number_line, print_parts
from minifloat.formats.names import parse

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EXAMPLES = """\
examples:
  minifloat demo

It computes what it shows, on numbers that it draws, and neither reads nor writes a file.
"""
MOST_COLUMNS = 79
WEIGHTS = (16, 64)
RACES = (  # recipes of equal bits per weight, each with a float16 scale for 64 weights
    ("e2m2/64/float16", "int5/64/float16", "nf5/64/float16"),
    ("e2m1/64/float16", "int4/64/float16", "nf4/64/float16"),
)
ROUNDED = 0.3  # a number on its way into E2M2
TWICE = 0.25 * (1 + 2**-30)  # a little above the middle between 0 and 0.5
ONES = 30  # products in a sum
UNITS = ("hopper/e4m3fn/float32", "blackwell/e4m3fn/float32")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `demo`, which are none, to its parser."""
    parser.epilog = EXAMPLES


def run(options: argparse.Namespace) -> None:
    """Print the parts of the demonstration as they are computed, without compiling anything."""
    from minifloat._jit import interpreted

    with interpreted():
        for number, (question, parts) in enumerate(_parts(), 1):
            print(f"{number}. {question}\n", flush=True)
            print_parts(parts)
            print()
    print(LAST)


def _parts() -> Iterator[tuple[str, Iterator[str | Table]]]:
    yield "What can five bits say?", _values()
    yield "How does a float become a code?", _rounding()
    yield "Why does it matter that each number is rounded once?", _once()
    yield "Which format loses least, at equal bits?", _race()
    yield "What does a GPU's matrix unit do to a sum?", _sums()
    yield "How does a GPU turn packed codes into float16?", _registers()


LAST = """\
Next:
  minifloat show nvfp4                     a recipe, its scale rule, its values
  minifloat compare model.safetensors      formats on your own weights
  minifloat registers e2m2 --prove         the cheapest program, proved for all inputs
  minifloat rtl e2m1 --unit multiplier     a circuit, as Verilog"""


def _values() -> Iterator[str | Table]:
    fmt = parse("e2m2")
    width = min(terminal_width() or MOST_COLUMNS, MOST_COLUMNS)
    yield "E2M2: a sign, two bits of exponent, two of mantissa"
    yield number_line([float(value) for value in fmt.values()], width, can_print("─┼█"))


def _rounding() -> Iterator[str | Table]:
    from minifloat.codec import encode
    from minifloat.formats.rounding import Rounding

    fmt = parse("e2m2")
    rows = fmt.table()
    modes: dict[int, list[str]] = {}
    for mode in Rounding:
        if not mode.is_stochastic:
            modes.setdefault(int(encode(ROUNDED, fmt, rounding=mode)), []).append(mode)
    yield f"{ROUNDED} lies between two values. Where each rounding mode takes it:"
    yield "\n".join(
        f"  {rows[code].bits}  {rows[code].value:<5g} {', '.join(names)}"
        for code, names in sorted(modes.items())
    )


def _once() -> Iterator[str | Table]:
    import numpy as np

    from minifloat.codec import round_to

    yield (
        f"x = 0.25 (1 + 2**-30) to E2M1, whose smallest values are 0 and 0.5:\n"
        f"  rounded once            {round_to(TWICE, 'e2m1'):g}\n"
        f"  by way of float32       {round_to(np.float32(TWICE), 'e2m1'):g}, as in most libraries"
    )


def _race() -> Iterator[str | Table]:
    import numpy as np

    from minifloat.quantization.recipes import Recipe

    w = np.random.default_rng(2).standard_normal(WEIGHTS)
    yield f"{w.size} Gaussian weights in blocks of 64; * marks the best of its width"
    cells = []
    for group in RACES:
        errors = {recipe: _relative_rms(w, recipe) for recipe in group}
        best = min(errors, key=lambda recipe: errors[recipe])
        cells += [
            (
                recipe,
                f"{Recipe.parse(recipe).bits_per_weight:.2f}",
                "*" * (recipe == best) + f"{error:.2%}",
                f"{-20 * math.log10(error):.1f}",
            )
            for recipe, error in errors.items()
        ]
    yield Table("", ("recipe", "bits/weight", "rms error", "SQNR dB"), ("recipe",), cells)


def _relative_rms(w: NDArray[np.float64], recipe: str) -> float:
    import numpy as np

    from minifloat.quantization import quantize

    return float(np.linalg.norm(w - quantize(w, recipe).dequantize()) / np.linalg.norm(w))


def _sums() -> Iterator[str | Table]:
    from minifloat.arithmetic import dot

    a, b = [448, -448, *[1] * ONES], [448, 448, *[1] * ONES]
    lines = [f"  {unit:<26} {float(dot(a, b, unit=unit)):g}" for unit in UNITS]
    exact = sum(x * y for x, y in zip(a, b, strict=True))
    yield f"448 x 448 - 448 x 448 + {ONES} products of 1 and 1, in FP8:"
    yield "\n".join([*lines, f"  {'exact':<26} {exact}"])


def _registers() -> Iterator[str | Table]:
    from minifloat import registers

    program = registers.to_half("e2m1", "4")
    head, *lines = registers.to_assembly(program).splitlines()
    yield head
    yield "\n".join([*lines[:5], "  ...", lines[-1]])

"""`minifloat encode` and `minifloat decode`: numbers to codes and back."""

from __future__ import annotations

import argparse
import math
import sys
from fractions import Fraction
from typing import Any

from minifloat.cli.numbers import Number, read_integer, read_number, rounded
from minifloat.cli.options import format_named, integer
from minifloat.cli.terminal import Table, print_json, shortened
from minifloat.formats import NumberFormat
from minifloat.formats.base import shortest
from minifloat.formats.rounding import NaNPolicy, Overflow, Rounding

STDIN = "-"
BEYOND_FLOAT64 = 2**1024
SHOWN_TEXT = 40  # characters of a VALUE in the table
ENCODE_EXAMPLES = """\
examples:
  minifloat encode e2m2 1.1 -0.3 1/3 0x1.8p-3 -inf
  minifloat encode e4m3fn 500 --overflow ieee
  minifloat encode e2m2 1.1 1.1 1.1 --rounding stochastic --seed 1
  cut -f 2 numbers.tsv | minifloat encode e2m2 - --json

Each VALUE is rounded once, from exactly what was typed: 0.1 is a tenth. The error is the decoded \
value less the VALUE.
"""
DECODE_EXAMPLES = """\
examples:
  minifloat decode e2m2 7 0x1f 0b00101
  echo 1 2 3 | minifloat decode nf4 - --json
"""


def add_encode_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `encode` to its parser."""
    parser.epilog = ENCODE_EXAMPLES
    add = parser.add_argument
    add("format", metavar="FORMAT", help="e2m2, nf4, ... (`minifloat list`)")
    add("values", nargs="+", metavar="VALUE", help="1.1, -0.3, 1e-3, 1/3, -inf, nan; - reads stdin")
    for name, kind in (("rounding", Rounding), ("overflow", Overflow), ("nan", NaNPolicy)):
        modes = [str(mode) for mode in kind]
        add(f"--{name}", default=modes[0], help=f"{', '.join(modes)} ({modes[0]})")
    add("--seed", type=integer(0), help="for stochastic rounding")
    add("--json", action="store_true", help="print JSON instead of a table")


def run_encode(options: argparse.Namespace) -> None:
    """Round numbers to a format and print their codes."""
    fmt = format_named(options.format, "FORMAT")
    texts = _words(options.values, "VALUE")
    numbers = [_number(text) for text in texts]
    from minifloat.codec.exact import encode_exactly

    codes = encode_exactly(
        [number.value for number in numbers],
        fmt,
        rounding=options.rounding,
        overflow=options.overflow,
        nan=options.nan,
        seed=options.seed,
    )
    every = [
        (text, code, _error(text, number, fmt, code))
        for text, number, code in zip(texts, numbers, codes, strict=True)
    ]
    if options.json:
        print_json(
            [
                {"value": text, **_facts(fmt, code, "decoded"), "error": _for_json(error)}
                for text, code, error in every
            ]
        )
        return
    rows = [
        (
            shortened(text, SHOWN_TEXT),
            *_code(fmt, code),
            shortest(fmt.value(code)),
            fmt.kind(code),
            shortened(rounded(error, 4) if isinstance(error, Fraction) else error, SHOWN_TEXT),
        )
        for text, code, error in every
    ]
    columns = ("value", "code", "hex", "bits", "decoded", "kind", "error")
    Table("", columns, ("bits", "kind"), rows).show()


def add_decode_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `decode` to its parser."""
    parser.epilog = DECODE_EXAMPLES
    add = parser.add_argument
    add("format", metavar="FORMAT", help="e2m2, nf4, ... (`minifloat list`)")
    add("codes", nargs="+", metavar="CODE", help="7, 0x1f, 0b00101; - reads stdin")
    add("--json", action="store_true", help="print JSON instead of a table")


def run_decode(options: argparse.Namespace) -> None:
    """Print the values of codes."""
    fmt = format_named(options.format, "FORMAT")
    codes = []
    for text in _words(options.codes, "CODE"):
        code = read_integer(text)
        if code is None:
            raise ValueError(f"CODE must be an integer such as 7, 0x1f or 0b101, got {text!r}")
        fmt.value(code)  # an error outside the format
        codes.append(code)
    if options.json:
        print_json([_facts(fmt, code, "value") for code in codes])
        return
    rows = [(*_code(fmt, code), shortest(fmt.value(code)), fmt.kind(code)) for code in codes]
    Table("", ("code", "hex", "bits", "value", "kind"), ("bits", "kind"), rows).show()


def _words(words: list[str], name: str) -> list[str]:
    """Return the words of the command line, those of stdin in the place of a dash."""
    every: list[str] = []
    for word in words:
        if word == STDIN:
            every += sys.stdin.read().split() if sys.stdin else []
        else:
            every.append(word.strip())
    if not every:
        raise ValueError(f"{name} must be given at least once, got nothing on stdin")
    return every


def _code(fmt: NumberFormat, code: int) -> tuple[str, str, str]:
    return str(code), f"0x{code:0{(fmt.bits + 3) // 4}x}", fmt.bit_string(code)


def _facts(fmt: NumberFormat, code: int, value_name: str) -> dict[str, Any]:
    """Return the facts of a code for JSON."""
    number, hexadecimal, bits = _code(fmt, code)
    value = fmt.value(code)
    return {
        "code": int(number),
        "hex": hexadecimal,
        "bits": bits,
        value_name: value if math.isfinite(value) else str(value),
        "kind": fmt.kind(code),
    }


def _number(text: str) -> Number:
    number = read_number(text)
    if number is None:
        raise ValueError(f"VALUE must be a number such as 1.1, -0.3, 1/3 or nan, got {text!r}")
    return number


def _error(text: str, number: Number, fmt: NumberFormat, code: int) -> Fraction | str:
    """Return the decoded value less the number that was typed; text where no fraction holds it."""
    decoded, value = fmt.value(code), number.value
    if not (math.isfinite(decoded) and isinstance(value, Fraction)):
        return "0" if decoded == value else f"{decoded - float(value):g}"
    if abs(value) > BEYOND_FLOAT64 or (decoded == 0 and not number.is_exact):
        return text.lstrip("+-") if value < 0 else f"-{text.lstrip('+')}"
    return Fraction(decoded) - value


def _for_json(error: Fraction | str) -> float | str:
    """Return an error as a number where it is a float64 number."""
    if isinstance(error, Fraction):
        return float(error)
    return 0.0 if error == "0" else error

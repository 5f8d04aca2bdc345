"""`minifloat encode` and `minifloat decode`: numbers to codes and back."""

from __future__ import annotations

import argparse

from minifloat.cli.options import integer
from minifloat.cli.terminal import Table
from minifloat.formats import NumberFormat
from minifloat.formats.base import shortest
from minifloat.formats.names import parse
from minifloat.formats.rounding import NaNPolicy, Overflow, Rounding


def add_encode_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `encode` to its parser."""
    add = parser.add_argument
    add("format", metavar="FORMAT")
    add("values", nargs="+", metavar="VALUE", help="1.1, -0.3, 1e-3, -inf, nan")
    for name, kind in (("rounding", Rounding), ("overflow", Overflow), ("nan", NaNPolicy)):
        modes = [str(mode) for mode in kind]
        add(f"--{name}", default=modes[0], help=f"{', '.join(modes)} ({modes[0]})")
    add("--seed", type=integer(0), help="for stochastic rounding")


def run_encode(options: argparse.Namespace) -> None:
    """Round numbers to a format and print their codes."""
    fmt = parse(options.format)
    values = [_number(text) for text in options.values]
    from minifloat.codec import encode

    codes = encode(
        values,
        fmt,
        rounding=options.rounding,
        overflow=options.overflow,
        nan=options.nan,
        seed=options.seed,
    )
    rows = []
    for value, text, code in zip(values, options.values, map(int, codes), strict=True):
        decoded = fmt.value(code)
        error = 0.0 if decoded == value else decoded - value
        rows.append(
            (text.strip(), *_code(fmt, code), f"{decoded:.10g}", fmt.kind(code), f"{error:.4g}")
        )
    columns = ("value", "code", "hex", "bits", "decoded", "kind", "error")
    Table("", columns, ("bits", "kind"), rows).show()


def add_decode_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `decode` to its parser."""
    parser.add_argument("format", metavar="FORMAT")
    parser.add_argument("codes", nargs="+", metavar="CODE", help="7, 0x1f, 0b00101")


def run_decode(options: argparse.Namespace) -> None:
    """Print the values of codes."""
    fmt = parse(options.format)
    rows = []
    for text in options.codes:
        try:
            code = int(text if text.isascii() else "", 0)  # no digits of other scripts
        except ValueError:
            raise ValueError(
                f"CODE must be an integer such as 7, 0x1f or 0b101, got {text!r}"
            ) from None
        value = shortest(fmt.value(code))
        rows.append((*_code(fmt, code), value, fmt.kind(code)))
    Table("", ("code", "hex", "bits", "value", "kind"), ("bits", "kind"), rows).show()


def _code(fmt: NumberFormat, code: int) -> tuple[str, str, str]:
    return str(code), f"0x{code:0{(fmt.bits + 3) // 4}x}", fmt.bit_string(code)


def _number(text: str) -> float:
    try:
        return float(text if text.isascii() else "")
    except ValueError:
        raise ValueError(f"VALUE must be a number such as 1.1, -0.3 or nan, got {text!r}") from None

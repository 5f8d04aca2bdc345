"""`minifloat vectors`: inputs of a unit with the right outputs, for a test bench."""

from __future__ import annotations

import argparse

from minifloat.cli.options import TYPED_AS, format_named, in_terms_of_options, integer
from minifloat.cli.terminal import progress_bar
from minifloat.formats.rounding import NaNPolicy, Overflow, Rounding

UNITS = ("encoder", "decoder", "multiplier", "add", "fma", "dot")
FORMATS = ("hex", "csv", "mem")
SOURCES = ("float32", "float16", "bfloat16", "float64")
EXAMPLES = """\
examples:
  minifloat vectors e2m1
  minifloat vectors e4m3fn --format mem --out encoder.mem
  minifloat vectors e4m3fn --unit decoder --source bfloat16 --format csv
  minifloat vectors e2m1 --unit multiplier --output exact --format mem
  minifloat vectors e4m3fn --unit dot --lanes 8 --output float16 --overflow ieee
  minifloat vectors e2m2 --unit dot --with int8 --output exact
"""
HERE = {
    **TYPED_AS,
    **{name: f"--{name}" for name in ("lanes", "output", "source", "unit")},
    "other": "--with",
    "path": "--out",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `vectors` to its parser."""
    parser.epilog = EXAMPLES
    add = parser.add_argument
    add("fmt", metavar="FORMAT")
    add(
        "--unit",
        choices=UNITS,
        default=UNITS[0],
        metavar="UNIT",
        help=f"{', '.join(UNITS)} ({UNITS[0]})",
    )
    add(
        "--format",
        choices=FORMATS,
        default=FORMATS[0],
        help="hex: words; mem: the same for $readmemh; csv: words and values (hex)",
    )
    add(
        "--source",
        choices=SOURCES,
        default=SOURCES[0],
        metavar="TYPE",
        help=f"what an encoder reads and a decoder writes: {', '.join(SOURCES)} ({SOURCES[0]})",
    )
    for name, kind in (("rounding", Rounding), ("overflow", Overflow), ("nan", NaNPolicy)):
        modes = [
            str(mode) for mode in kind if not (isinstance(mode, Rounding) and mode.is_stochastic)
        ]
        add(f"--{name}", default=modes[0], help=f"{', '.join(modes)} ({modes[0]})")
    add("--with", dest="other", metavar="FORMAT", help="the b of the other units (FORMAT)")
    add(
        "--output",
        metavar="FORMAT",
        help="result of the other units, and the c of fma: a format, or exact in two's complement "
        "(FORMAT)",
    )
    add("--lanes", type=integer(1), metavar="N", help="products of dot (16)")
    add("--out", metavar="FILE", help="write a file, and print how many vectors it has (-: stdout)")


def run(options: argparse.Namespace) -> None:
    """Print the vectors of a unit, or write them to a file."""
    fmt = format_named(options.fmt, "FORMAT")
    from minifloat import testing

    to_stdout = options.out in (None, "-")
    names = ("rounding", "overflow", "nan", "source", "other", "output", "lanes")
    settings = {name: getattr(options, name) for name in names}
    for name in ("other", "output"):
        if settings[name] not in (None, "exact"):
            settings[name] = format_named(settings[name], HERE[name])
    try:
        with progress_bar("computing") as progress:
            if to_stdout:
                made = testing.vectors(fmt, options.unit, **settings, progress=progress)
            else:
                count = testing.write_vectors(
                    fmt,
                    options.out,
                    options.unit,
                    format=options.format,
                    **settings,
                    progress=progress,
                )
    except ValueError as error:
        raise ValueError(in_terms_of_options(str(error), HERE)) from None
    except OSError as error:
        raise ValueError(
            f"--out must be a file that can be written, got {options.out} ({error.strerror}); "
            "name another"
        ) from None
    if to_stdout:
        print(made.text(options.format), end="")
    else:
        print(f"{count} vectors in {options.out}")

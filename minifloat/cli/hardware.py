"""`minifloat rtl` and `minifloat cost`: a format as Verilog, and what it takes in a circuit."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minifloat._paths import replacing
from minifloat.cli.options import TYPED_AS, format_named, in_terms_of_options, integer
from minifloat.cli.terminal import Table, print_json, progress_bar

if TYPE_CHECKING:
    from minifloat.hardware import Circuit, Cost, FixedSum, FloatSum

TARGETS = ("xc7", "xcup", "ice40", "ecp5", "cmos")  # of minifloat.hardware.targets
PAIRS = ("converter", "multiplier", "dot", "block_dot")  # units that take two formats
OPTIONS = {  # of each unit, as its function in minifloat.hardware names them
    "decoder": ("target", "encoding", "specials"),
    "encoder": ("source", "rounding", "overflow", "random_bits"),
    "converter": ("rounding", "overflow"),
    "multiplier": ("encoding", "specials"),
    "l_mul": ("variant", "aligned", "encoding", "specials"),
    "dot": ("lanes", "accumulator", "specials"),
    "block_dot": ("scale", "block", "aligned", "specials"),
}
COST_UNITS = ("dot", "multiplier", "l_mul", "decoder")
COUNTED = {  # the column of each count that a target is short of
    "lut6": "LUT6",
    "luts": "LUTs",
    "carry": "carry",
    "transistors": "transistors",
}
ACCUMULATORS = "exact, exact:TERMS, a float as FORMAT or FORMAT:ROUNDING, or none (exact)"
OF_TARGET = {
    "xc7": ("lut6", "carry"),
    "xcup": ("lut6", "carry"),
    "ice40": ("luts", "carry"),
    "ecp5": ("luts", "carry"),
    "cmos": ("transistors",),
}
HERE = {
    **TYPED_AS,
    "source": "--source",
    "target": "--as",  # of a decoder; that of a synthesis is an option with choices
    "form": "--form",
    "random_bits": "--random-bits",
    "lanes": "--lanes",
    "formats": "FORMAT",
    "unit": "--unit",
    "b": "--with",
    "accumulator": "--accumulator",
    "activations": "--activations",
    "variant": "--variant",
}
RTL_EXAMPLES = """\
examples:
  minifloat rtl e2m2 --unit decoder
  minifloat rtl e2m2 --unit multiplier --with int8 --form significands
  minifloat rtl e4m3fn --unit encoder --source float32 --rounding stochastic --check
  minifloat rtl e2m1 --unit block_dot --scale ue4m3 --block 16 --target cmos --out dot.v
"""
COST_EXAMPLES = """\
examples:
  minifloat cost e2m2 int5 e1m3
  minifloat cost e2m2 int5 --activations int8 --target cmos
  minifloat cost e4m3fn int8 --accumulator float32
  minifloat cost e2m2 e4m3fn --unit l_mul --variant addition
  minifloat cost e4m3fn int8 --unit multiplier --form booth --json

Yosys (pip install "minifloat[hardware]") synthesises the forms of the unit; of a dot product \
those whose lane is near the least. The netlist that takes the least is compared with the library. \
LUT6: sites, two small LUTs to one.
"""


def add_rtl_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `rtl` to its parser."""
    parser.epilog = RTL_EXAMPLES
    add = parser.add_argument
    add("fmt", metavar="FORMAT")
    units = ", ".join(OPTIONS)
    add(
        "--unit",
        choices=tuple(OPTIONS),
        default="multiplier",
        metavar="UNIT",
        help=f"{units} (multiplier)",
    )
    add(
        "--with",
        dest="other",
        metavar="FORMAT",
        help="the second factor (FORMAT), or what to convert to",
    )
    add("--form", help="how it is written (default: the first that fits)")
    targets = ", ".join(TARGETS)
    add(
        "--target", choices=TARGETS, metavar="T", help=f"the form that takes the least of {targets}"
    )
    add("--check", action="store_true", help="compare its netlist with the library; 2 if wrong")
    add("--out", metavar="FILE", help="write a file")
    add(
        "--as",
        dest="as_type",
        choices=("fixed", "float16", "bfloat16"),
        help="of a decoder (fixed)",
    )
    add(
        "--source",
        choices=("float16", "bfloat16", "float32", "fixed"),
        help="of an encoder (float16); fixed is an integer of 16 bits",
    )
    add("--rounding", help="of an encoder or converter (nearest_even)")
    add("--overflow", help="of an encoder or converter (saturate)")
    add("--random-bits", type=integer(1), metavar="N", help="of a stochastic encoder (8)")
    add(
        "--encoding",
        choices=("twos_complement", "sign_magnitude"),
        help="of a number (twos_complement)",
    )
    add(
        "--specials",
        choices=("zero", "flag"),
        help="NaN and infinities are 0 (zero), or have flags",
    )
    add("--variant", choices=("formula", "addition"), help="of L-Mul (formula)")
    add(
        "--aligned",
        choices=("yes", "no"),
        help="one integer, or a significand and an exponent: of L-Mul (yes) and block_dot (no)",
    )
    add("--lanes", type=integer(1), metavar="N", help="of a dot product (16)")
    add("--accumulator", metavar="WHAT", help=ACCUMULATORS)
    add("--scale", metavar="FORMAT", help="of a block_dot's scales (e8m0)")
    add("--block", type=integer(1), metavar="N", help="elements of a block_dot (32)")


def run_rtl(options: argparse.Namespace) -> None:
    """Print a circuit, or write it to a file."""
    try:
        circuit, notes = _circuit(options)
        if options.check:
            notes.append(_checked(circuit, options.target or "cmos"))
        notes = [*_meaning(circuit), *notes]
    except ModuleNotFoundError as error:
        raise ValueError(str(error)) from None
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(in_terms_of_options(str(error), HERE)) from None
    text = "".join(f"// {line}\n" for line in notes) + circuit.verilog
    if options.out in (None, "-"):
        print(text, end="")
        return
    try:
        with replacing(Path(options.out)) as file:
            file.write(text.encode("ascii"))
    except OSError as error:
        raise ValueError(
            f"--out must be a file that can be written, got {options.out} ({error.strerror}); "
            "name another"
        ) from None
    print("\n".join([f"{circuit.name} in {options.out}", *notes]))


def _circuit(options: argparse.Namespace) -> tuple[Circuit, list[str]]:
    """Return the circuit that the options describe, and what there is to say of it."""
    from minifloat import hardware

    unit = options.unit
    given = {
        "target": options.as_type,
        **{name: getattr(options, name) for name in set().union(*OPTIONS.values()) - {"target"}},
    }
    given = {name: value for name, value in given.items() if value is not None}
    if options.aligned is not None:
        given["aligned"] = options.aligned == "yes"
    if options.scale is not None:
        given["scale"] = format_named(options.scale, "--scale")
    for name in given:
        if name not in OPTIONS[unit]:
            option = "--as" if name == "target" else f"--{name.replace('_', '-')}"
            raise ValueError(f"{option} must not be given with --unit {unit}; leave it out")
    if options.accumulator is not None:
        given["accumulator"] = accumulator_named(options.accumulator)
    formats = [format_named(options.fmt, "FORMAT")]
    if unit == "converter" and not options.other:
        raise ValueError("--with must name the format to convert to for --unit converter")
    if unit in PAIRS:
        formats.append(format_named(options.other, "--with") if options.other else formats[0])
    elif options.other:
        raise ValueError(f"--with must not be given with --unit {unit}; leave it out")
    if options.target is None or options.form is not None:
        about = {} if options.form is None else {"form": options.form}
        return getattr(hardware, unit)(*formats, **given, **about), []
    with progress_bar("synthesising") as progress:
        choice = hardware.best(unit, *formats, on=options.target, progress=progress, **given)
    return choice.circuit, [_taken(choice.counts)]


def _meaning(circuit: Circuit) -> list[str]:
    """Return what the number at the output is worth, and when it comes, in words."""
    notes = []
    unit = circuit.unit
    if unit is not None:
        [name] = set(circuit.outputs) & {"value", "product", "sum", "magnitude"}
        power = unit.numerator.bit_length() - unit.denominator.bit_length()
        worth = f"2**{power}"  # as floats, values are integers times a power of two
        if "exponent" in circuit.outputs:
            worth += " * 2**exponent"
        notes.append(f"{name} is an integer, and its least bit is worth {worth}")
    if circuit.latency:
        edges = "1 clock edge" if circuit.latency == 1 else f"{circuit.latency} clock edges"
        notes.append(f"sum follows its inputs by {edges}; first is 1 where a new sum begins")
    return notes


def accumulator_named(text: str) -> FixedSum | FloatSum | None:
    """Return the accumulator that ``--accumulator`` names: exact, exact:N, none, or a float."""
    from minifloat.hardware import FixedSum, FloatSum

    word, colon, rest = text.strip().lower().partition(":")
    try:
        if word == "exact":
            return FixedSum(int(rest)) if colon else FixedSum()
        if word == "none" and not colon:
            return None
        return FloatSum(word, rounding=rest) if colon else FloatSum(word)  # type: ignore[arg-type]
    except ValueError as error:
        raise ValueError(f"--accumulator must be {ACCUMULATORS}, got {text}: {error}") from None


def _checked(circuit: Circuit, target: Any) -> str:
    from minifloat import hardware

    with progress_bar("checking"):
        checked = hardware.check(circuit, target)
    if not checked:
        raise ValueError(f"the circuit must be right, and is not: {checked}")
    return str(checked)


def _taken(counts: Any) -> str:
    """Return what a circuit takes, in words."""
    parts = [f"{getattr(counts, name)} {COUNTED[name]}" for name in OF_TARGET[counts.target]]
    parts.append(f"{counts.levels} levels")
    return f"{', '.join(parts)} on {counts.target} ({counts.tool})"


def add_cost_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `cost` to its parser."""
    parser.epilog = COST_EXAMPLES
    add = parser.add_argument
    targets = ", ".join(TARGETS)
    add("formats", nargs="+", metavar="FORMAT")
    add("--activations", metavar="FORMAT", help="the other factor (default: the format itself)")
    add(
        "--unit",
        choices=COST_UNITS,
        default="dot",
        metavar="UNIT",
        help=f"{', '.join(COST_UNITS)} (dot)",
    )
    add("--form", help="count this form alone")
    add("--variant", choices=("formula", "addition"), help="of L-Mul (formula)")
    add("--lanes", type=integer(1), default=16, metavar="N", help="of a dot product (16)")
    add("--accumulator", metavar="WHAT", help=f"of a dot product: {ACCUMULATORS}")
    add(
        "--target",
        action="append",
        choices=TARGETS,
        metavar="T",
        help=f"{targets}; may be repeated (xc7 and cmos)",
    )
    add("--workers", type=integer(1), default=2, metavar="N", help="runs of Yosys at once (2)")
    add("--json", action="store_true", help="print JSON instead of a table")


def run_cost(options: argparse.Namespace) -> None:
    """Print what formats take in a circuit."""
    formats = [format_named(name, "FORMAT") for name in options.formats]
    other = options.activations and format_named(options.activations, "--activations")
    from minifloat import hardware

    about: dict[str, Any] = {
        name: getattr(options, name) for name in ("form", "variant") if getattr(options, name)
    }
    if options.accumulator is not None:
        about["accumulator"] = accumulator_named(options.accumulator)
    try:
        with progress_bar("synthesising") as progress:
            found = hardware.costs(
                formats,
                activations=other,
                unit=options.unit,
                lanes=options.lanes,
                targets=options.target or ("xc7", "cmos"),
                workers=options.workers,
                progress=progress,
                **about,
            )
    except ModuleNotFoundError as error:
        raise ValueError(str(error)) from None
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(in_terms_of_options(str(error), HERE)) from None
    if options.json:
        print_json([_record(cost) for cost in found])
        return
    table(found).show()


def table(found: list[Cost]) -> Table:
    """Return costs as a table: a row for each pair of formats, columns for each target."""
    targets = list(dict.fromkeys(cost.target for cost in found))
    columns = ["format", "bits"]
    for target in targets:
        columns += [f"{target} form", *(COUNTED[name] for name in OF_TARGET[target]), "levels"]
    rows: dict[str, list[str]] = {}
    for cost in found:
        row = rows.setdefault(_factors(cost), [_factors(cost), str(cost.fmt.bits)])
        taken = (getattr(cost.counts, name) / cost.lanes for name in OF_TARGET[cost.target])
        row += [cost.form, *(f"{each:.4g}" for each in taken), str(cost.counts.levels)]
    first = found[0]
    unit = "An l_mul" if first.unit == "l_mul" else f"A {first.unit}"
    lanes = f" of {first.lanes} lanes, a lane" if first.unit == "dot" else ""
    tried = sum(cost.checked.words for cost in found)
    return Table(
        f"{unit}{lanes}, by {first.counts.tool}; {tried} inputs checked on the netlists",
        tuple(columns),
        ("format", *(f"{target} form" for target in targets)),
        [tuple(row) for row in rows.values()],
        ("Before placement: no timing, no routing, no power.",),
    )


def _factors(cost: Cost) -> str:
    same = cost.unit == "decoder" or cost.activations == cost.fmt
    return cost.fmt.name if same else f"{cost.fmt.name} x {cost.activations.name}"


def _record(cost: Cost) -> dict[str, Any]:
    def counted(counts: Any) -> dict[str, Any]:
        names = (field.name for field in fields(counts) if field.name != "netlist")
        return {name: getattr(counts, name) for name in names}

    return {
        "format": cost.fmt.name,
        "activations": None if cost.unit == "decoder" else cost.activations.name,
        "bits": cost.fmt.bits,
        "unit": cost.unit,
        "lanes": cost.lanes,
        "form": cost.form,
        **counted(cost.counts),
        "forms": {name: counted(counts) for name, counts in cost.forms.items()},
        "checked": cost.checked.words,
        "exhaustive": cost.checked.exhaustive,
    }

"""The `minifloat` command: compare, list, show, encode, decode, registers.

Results go to stdout, progress and errors to stderr. The exit code is 0, 2 after an error (one
line that says what to do), 130 after Ctrl-C. Commands import what they need when they run, so
that `list` and `show` need the standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NoReturn

from minifloat.cli.terminal import (
    WINNER,
    Table,
    can_print,
    number_line,
    printable,
    progress_bar,
)
from minifloat.formats import NumberFormat
from minifloat.formats.base import shortest
from minifloat.formats.catalogue import ALIASES, CATALOGUE
from minifloat.formats.names import parse
from minifloat.formats.rounding import NaNPolicy, Overflow, Rounding

if TYPE_CHECKING:
    from minifloat.comparison.records import Comparison, Loss, TensorLosses

FORMATS = "e2m2,int5,nf4,e2m1,int4"
BEST = "best"
SHOWN_CODES = 256  # `show` prints a larger format's table only with --all


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

    Raises
    ------
    Nothing.

    Examples
    --------
    >>> main(["decode", "e2m1", "0b0111"])
    code  hex  bits    value  kind
       7  0x7  0 11 1      6  normal
    0
    """
    arguments = sys.argv[1:] if argv is None else argv
    if argv is None and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names in scripts it cannot print
    # argparse takes -inf and -1e-3 for options unless a space stands before them
    spaced = [f" {word}" if _is_negative_number(word) else word for word in arguments]
    try:
        options = _parser().parse_args(spaced)
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
        return _fail(str(error))
    return 0


def _fail(message: str) -> int:
    print(f"minifloat: error: {printable(' '.join(message.split()))}", file=sys.stderr)
    return 2


def _is_negative_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return word.startswith("-")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message} (see `{self.prog} --help`)")


class _Version(argparse.Action):
    def __call__(self, *_: object) -> NoReturn:
        import minifloat

        print(f"minifloat {minifloat.__version__}")
        raise SystemExit(0)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="minifloat", description="The workbench for tiny number formats.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], None], text: str) -> _Parser:
        sub: _Parser = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    sub = command("compare", _compare, "Say what each format loses on a model's weights.")
    add = sub.add_argument
    add("files", nargs="*", metavar="FILE", help=".safetensors, .npz, .npy, .gguf (default: noise)")
    add("--formats", default=FORMATS, help=f"names, separated by commas (default {FORMATS})")
    add("--block", type=_block, default=128, help="weights to a scale, or channel, tensor (128)")
    add("--axis", type=int, default=-1, help="axis along which blocks run (-1)")
    add("--scale", type=_scale, default="float16", help="float32 or an ExMy: float16, e8m0, ...")
    add("--sort", metavar="KEY", help="name, size, error or a format (default: file order)")
    add("--top", type=_at_least(1), metavar="N", help="list N tensors only; the total stays")
    add("--min-size", type=_at_least(0), default=0, metavar="N", help="leave out smaller tensors")
    add("--workers", type=_at_least(1), default=1, metavar="N", help="tensors at a time (1)")
    add("--details", action="store_true", help="list every figure of every tensor")
    add("--seed", type=_at_least(0), default=0, help="of the noise that stands in for a FILE (0)")
    output = sub.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print JSON instead of tables")
    output.add_argument("--csv", action="store_true", help="print CSV instead of tables")

    command("list", _list, "List the named formats.")

    sub = command("show", _show, "Show a format: its facts, its number line, its values.")
    sub.add_argument("format")
    sub.add_argument("--all", action="store_true", help=f"the table even above {SHOWN_CODES} codes")

    sub = command("encode", _encode, "Round numbers to a format and show the codes.")
    sub.add_argument("format")
    sub.add_argument("values", nargs="+", metavar="VALUE", help="1.1, -0.3, 1e-3, -inf, nan")
    for name, kind in (("rounding", Rounding), ("overflow", Overflow), ("nan", NaNPolicy)):
        modes = [str(mode) for mode in kind]
        add = sub.add_argument
        add(f"--{name}", default=modes[0], help=f"{', '.join(modes)} ({modes[0]})")
    sub.add_argument("--seed", type=_at_least(0), help="for stochastic rounding")

    sub = command("decode", _decode, "Show the values of codes.")
    sub.add_argument("format")
    sub.add_argument("codes", nargs="+", metavar="CODE", help="7, 0x1f, 0b00101")

    sub = command("registers", _registers, "Show how a GPU turns codes into float16 pairs.")
    add = sub.add_argument
    add("format", nargs="?", help="without one: a table of what conversion costs")
    add("--layout", default=BEST, help=f"dense, 1+4, fpe2m2_kernel, ... ({BEST}: search for it)")
    add("--target", choices=("float16", "bfloat16"), default="float16", help="(float16)")
    add("--fold-scale", action="store_true", help="leave the power of two to the scale")
    add("--emit", choices=("c", "cuda", "asm"), help="print this text only")
    add("--prove", action="store_true", help="check it for all inputs; exit with 2 if it is wrong")
    return parser


def _at_least(low: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        with contextlib.suppress(ValueError):
            if int(text) >= low:
                return int(text)
        word = text.strip()
        raise argparse.ArgumentTypeError(f"must be an integer of at least {low}, got {word!r}")

    return read


def _scale(text: str) -> str:
    from minifloat.quantization.scales import scale_format

    try:
        return scale_format(text)[0]
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _block(text: str) -> int | str:
    if text in ("channel", "tensor"):
        return text
    with contextlib.suppress(ValueError):
        if int(text) >= 1:
            return int(text)
    raise argparse.ArgumentTypeError(f"must be channel, tensor or at least 1, got {text.strip()!r}")


def _compare(options: argparse.Namespace) -> None:
    from minifloat.comparison import compare

    formats = [parse(name.strip()) for name in options.formats.split(",")]
    key = _sort_key(options.sort, [fmt.name for fmt in formats])
    with _workers(options.workers) as executor, progress_bar("comparing") as progress:
        result = compare(
            options.files or None,
            formats,
            block_size=options.block if isinstance(options.block, int) else None,
            axis=None if options.block == "tensor" else options.axis,
            scale=options.scale,
            min_size=options.min_size,
            executor=executor,
            progress=progress,
            seed=options.seed,
        )
    tensors = result.tensors if key is None else tuple(sorted(result.tensors, key=key))
    listed = dataclasses.replace(result, tensors=tensors[: options.top])
    if options.json:
        print(listed.to_json())
    elif options.csv:
        print(listed.to_csv(), end="")
    else:
        _show_comparison(listed, result.tensors, options)


def _sort_key(sort: str | None, formats: list[str]) -> Callable[[TensorLosses], Any] | None:
    """Return the key of --sort: names ascending, sizes and errors with the largest first."""
    if sort is None:
        return None
    if sort == "name":
        return lambda tensor: (tensor.file, tensor.name)
    if sort == "size":
        return lambda tensor: -tensor.parameters
    if sort == "error":
        return lambda tensor: -min(loss.relative_rms for loss in tensor.losses)
    if parse(sort).name in formats:
        return lambda tensor: -tensor.loss(parse(sort).name).relative_rms
    raise ValueError(f"--sort must be name, size, error or one of --formats, got {sort}")


@contextlib.contextmanager
def _workers(count: int) -> Iterator[ThreadPoolExecutor | None]:
    if count == 1:
        yield None
        return
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _show_comparison(
    listed: Comparison, compared: Sequence[TensorLosses], options: argparse.Namespace
) -> None:
    blocks = {"channel": "one scale to a channel", "tensor": "one scale to a tensor"}.get(
        options.block, f"blocks of {options.block}"
    )
    axis = "" if options.block == "tensor" else f" along axis {options.axis}"
    print(f"{listed.source}\n{blocks}{axis}, {options.scale} scales; {WINNER} marks the best\n")
    names = [_name(tensor, options.files) for tensor in listed.tensors]
    if options.details:
        _details(listed, names).show()
        print()
    elif len(compared) > 1:
        _overview(listed, names).show()
        print()
    losses = listed.total.losses
    wins = [sum(loss.format in tensor.winners for tensor in compared) for loss in losses]
    title = f"Total: tensors {len(compared)}, parameters {listed.total.parameters}"
    columns = ("format", *FIGURES, "best in")
    rows = [
        (loss.format, *_figures(loss, listed.total), str(count))
        for loss, count in zip(losses, wins, strict=True)
    ]
    Table(title, columns, ("format",), rows).show()
    reasons = dict.fromkeys(skipped.reason for skipped in listed.skipped)
    for reason in reasons:
        names = [printable(one.name) for one in listed.skipped if one.reason == reason]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        print(f"\nSkipped, {reason}: {', '.join(names[:3])}{more}")


FIGURES = ("bits/weight", "relative rms", "SQNR dB", "worst error", "worst/absmax")


def _figures(loss: Loss, tensor: TensorLosses) -> tuple[str, ...]:
    return (
        f"{loss.bits_per_weight:.3f}",
        _percent(loss, tensor, 3),
        f"{loss.sqnr_db:.2f}",
        f"{loss.worst:.4g}",
        f"{loss.worst_relative:.4f}",
    )


def _percent(loss: Loss, tensor: TensorLosses, digits: int) -> str:
    mark = WINNER if loss.format in tensor.winners else ""
    return f"{mark}{100 * loss.relative_rms:.{digits}f}%"


def _name(tensor: TensorLosses, files: Sequence[str]) -> str:
    return printable(f"{tensor.file}: {tensor.name}" if len(files) > 1 else tensor.name)


def _overview(result: Comparison, names: Sequence[str]) -> Table:
    """Return one line for each tensor, with each format's relative rms error."""
    formats = [loss.format for loss in result.total.losses]
    rows = [
        (name, str(tensor.parameters), *(_percent(loss, tensor, 2) for loss in tensor.losses))
        for name, tensor in zip(names, result.tensors, strict=True)
    ]
    columns = ("tensor", "parameters", *formats)
    return Table("Relative rms error", columns, ("tensor",), rows)


def _details(result: Comparison, names: Sequence[str]) -> Table:
    """Return one line for each tensor and format, with all figures."""
    rows = [
        (name, shape, str(tensor.parameters), loss.format, *_figures(loss, tensor))
        for name, tensor in zip(names, result.tensors, strict=True)
        for shape in ["x".join(map(str, tensor.shape)) or "()"]
        for loss in tensor.losses
    ]
    columns = ("tensor", "shape", "parameters", "format", *FIGURES)
    return Table("Every tensor", columns, ("tensor", "format"), rows)


def _list(_: argparse.Namespace) -> None:
    rows = [
        (
            name,
            type(fmt).__name__,
            str(fmt.bits),
            f"{fmt.max:.6g}",
            f"{fmt.smallest:.6g}",
            fmt.describe().get("specials", "none"),
            _aliases(name),
        )
        for name, fmt in CATALOGUE.items()
    ]
    columns = ("name", "kind", "bits", "max", "smallest", "specials", "also called")
    Table("", columns, ("name", "kind", "specials", "also called"), rows).show()
    print("\nAny other eXmY is a format too, for example e3m3, ue5m3 or e4m3b11fnuz.")


def _aliases(name: str) -> str:
    return ", ".join(alias for alias, target in ALIASES.items() if target == name)


def _show(options: argparse.Namespace) -> None:
    fmt = parse(options.format)
    print(f"{type(fmt).__name__} {fmt}")
    facts = fmt.describe()
    if _aliases(fmt.name):
        facts["also called"] = _aliases(fmt.name)
    for key, fact in facts.items():
        print(f"  {key:<{max(map(len, facts))}}  {fact}")
    if fmt.code_count > SHOWN_CODES and not options.all:
        print(f"\n{fmt.code_count} codes; --all prints the number line and every code")
        return
    table = fmt.table()
    width = min(shutil.get_terminal_size().columns, 120)
    print(f"\n{number_line([row.value for row in table], width, can_print('─┼█'))}\n\n{table}")


def _encode(options: argparse.Namespace) -> None:
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


def _decode(options: argparse.Namespace) -> None:
    fmt = parse(options.format)
    rows = []
    for text in options.codes:
        try:
            code = int(text, 0)
        except ValueError:
            raise ValueError(
                f"CODE must be an integer such as 7, 0x1f or 0b101, got {text!r}"
            ) from None
        value = shortest(fmt.value(code))
        rows.append((*_code(fmt, code), value, fmt.kind(code)))
    Table("", ("code", "hex", "bits", "value", "kind"), ("bits", "kind"), rows).show()


def _registers(options: argparse.Namespace) -> None:
    from minifloat import registers

    if options.format is None:
        _register_costs(options)
        return
    fmt = parse(options.format)
    summary = ""
    if options.layout == BEST:
        with progress_bar("searching") as progress:
            found = registers.search(
                fmt, options.target, fold_scale=options.fold_scale, progress=progress
            )
        program, summary = found.program, f"{found}\n\n"
    else:
        program = registers.to_half(
            fmt, options.layout, options.target, fold_scale=options.fold_scale
        )
    emit = {
        "c": registers.to_c,
        "cuda": registers.to_cuda,
        "asm": registers.to_assembly,
    }
    if options.emit:
        print(emit[options.emit](program))
    else:
        layout = program.layout
        print(f"{summary}{layout!r}, spelled {layout.spelling}\n{layout.picture()}\n\n{program}")
    if options.prove:
        proof = registers.prove(program, fmt)
        mark = {"c": "// ", "cuda": "// ", "asm": "# "}.get(options.emit, "")
        print("\n".join(mark + line for line in str(proof).splitlines()))
        if not proof:
            raise ValueError(f"the program must give what {fmt.name} says, and does not")


def _register_costs(options: argparse.Namespace) -> None:
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


def _code(fmt: NumberFormat, code: int) -> tuple[str, str, str]:
    return str(code), f"0x{code:0{(fmt.bits + 3) // 4}x}", fmt.bit_string(code)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"VALUE must be a number such as 1.1, -0.3 or nan, got {text!r}") from None

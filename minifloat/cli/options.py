"""How the command reads options, and how it speaks of them in messages."""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NoReturn

from minifloat.cli.numbers import INTEGER_DIGITS, read_integer, read_number
from minifloat.cli.terminal import folded
from minifloat.formats import NumberFormat
from minifloat.formats.names import UnknownName, parse

if TYPE_CHECKING:
    from minifloat.quantization.recipes import Recipe

# The library's names of arguments, as its messages have them, and the command line's names.
TYPED_AS = {
    "axis": "--axis",
    "block": "--block",
    "code": "CODE",
    "exclude": "--exclude",
    "fmt": "FORMAT",
    "include": "--include",
    "layout": "--layout",
    "min_size": "--min-size",
    "nan": "--nan",
    "original": "ORIGINAL",
    "path": "FILE",
    "overflow": "--overflow",
    "rounding": "--rounding",
    "scale": "--scale",
    "scale_rounding": "the rounding in --scale",
    "seed": "--seed",
    "source": "FILE",
    "target": "--target",
    "x": "VALUE",
}
PARTS = {  # of a recipe, as messages name them
    "fmt": "FORMAT",
    "block": "BLOCK",
    "scale": "SCALE",
    "scale_rounding": "ROUNDING",
    "options": "OPTIONS",
    "recipe": "it",
}
REMEDIES = {  # regular expressions for advice that only Python can follow, and the command's own
    r"replace it, or pass": "use",
    r"scale x, or pass": "use",
    r"to use seed or random": "with --seed",
    r" \(or random=words\)": "",
    r"use fold_scale=True": "use --fold-scale",
    r"leave out aligned": "leave out --aligned",
    r"; minifloat\.Recipe\.parse reads a recipe's text": "; name a format alone",
    r"; use registers\.look_up": "; minifloat.registers.look_up makes one with a table, in Python",
    r"; name a layout": "; use --layout",
    r"^(x must .*?)(, the first)? at index \([\d, ]*\)": r"\1",  # VALUEs have no shape
    r"\bw must\b": "weights must",
    r"; (replace it before quantizing|scale w down)": "",
    r"(?<=: )fmt must\b": "FORMAT must",
    r", or use RECIPES\[.*\]\.replace": "",
}


class Parser(argparse.ArgumentParser):
    """A parser whose errors are ValueErrors of the library's form."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*arguments, **options)

    def format_help(self) -> str:
        """Return the help, no line of it wider than the terminal."""
        return folded(super().format_help(), shutil.get_terminal_size().columns)

    def error(self, message: str) -> NoReturn:
        """Raise argparse's message in the library's form."""
        message = re.sub(
            r"^argument (\S+): invalid choice: (\S+) \(choose from (.*)\)$",
            lambda match: f"{match[1]} must be {_either(match[3])}, got {match[2]}",
            message,
        )
        message = re.sub(r"^argument (\S+): ", r"\1 ", message)
        message = message.replace(" not allowed with argument ", " must stand without ")
        raise ValueError(f"{message} (see `{self.prog} --help`)")


def _either(choices: str) -> str:
    words = choices.replace("'", "").split(", ")
    return " or ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def in_terms_of_options(message: str, names: Mapping[str, str] | None = None) -> str:
    """Return a message of the library in the words of the command line.

    ``names`` says how the user gave each argument; default `TYPED_AS`.

    >>> in_terms_of_options('seed must be given for rounding="stochastic" (or random=words)')
    '--seed must be given for --rounding stochastic'
    """
    names = TYPED_AS if names is None else names
    for words, instead in REMEDIES.items():
        message = re.sub(words, instead, message)
    known = "|".join(names)
    message = re.sub(rf"^({known}) must\b", lambda match: f"{names[match[1]]} must", message)
    return re.sub(
        rf"""\b({known})=["']?(\w+)["']?""",
        lambda match: f"{names[match[1]]} {match[2]}",
        message,
    )


def integer(low: int | None = None) -> Callable[[str], int]:
    """Return a reader of integers, of at least ``low`` unless that is None."""
    rule = "an integer" if low is None else f"an integer of at least {low}"

    def read(text: str) -> int:
        number = read_integer(text)
        if len(text) > INTEGER_DIGITS:
            raise argparse.ArgumentTypeError(f"must have at most {INTEGER_DIGITS} digits")
        if number is None or (low is not None and number < low):
            raise argparse.ArgumentTypeError(f"must be {rule}, got {text.strip()!r}")
        return number

    return read


def names(text: str) -> list[str]:
    """Read names separated by commas."""
    return [name.strip() for name in text.split(",")]


def format_named(name: str, argument: str) -> NumberFormat:
    """Return the format of a name; an error knows the recipes, and their formats.

    Parameters
    ----------
    name : str
    argument : str
        What the command line calls it, for messages.
    """
    if argument == "--formats" and "/" in name:
        raise ValueError(
            f"--formats must be formats alone, got {name!r}, which has parts of a recipe; "
            "use --recipes"
        )
    try:
        return parse(name, argument)
    except UnknownName:
        from minifloat.quantization.recipes import Recipe

        recipe = None
        with contextlib.suppress(ValueError):
            recipe = Recipe.parse(name)
        if recipe is None:
            raise
    text = "" if str(recipe) == name else f" ({recipe})"
    instead = " or use --recipes" if argument == "--formats" else ""
    raise ValueError(
        f"{argument} must be a format, got {name!r}, which is a recipe{text}; name its format "
        f"{recipe.fmt}{instead}"
    )


def recipe_named(text: str, option: str) -> Recipe:
    """Return the recipe of a text, one of those of an option; an error speaks of its parts."""
    from minifloat.quantization.recipes import Recipe

    try:
        return Recipe.parse(text)
    except ValueError as error:
        message = str(error)
        _, got, remedy = message.partition(f", got {text!r}")
        if got:  # the message is about the whole text, which need not be said twice
            rule = "hold recipes" if option.endswith("s") else "be a recipe"
            raise ValueError(f"{option} must {rule}{got}{remedy}") from None
        reason = in_terms_of_options(message, PARTS)
        raise ValueError(f"in {option} {text}: {reason}") from None


def add_patterns(parser: argparse.ArgumentParser, include: str, exclude: str) -> None:
    """Add the options that pick tensors by their names; `flat` joins what they give."""
    for name, what in (("include", include), ("exclude", exclude)):
        parser.add_argument(
            f"--{name}",
            type=names,
            action="append",
            metavar="P,...",
            help=f"{what} of these names or shell patterns ('*.mlp.*'); may be repeated",
        )


def flat(lists: list[list[str]] | None) -> list[str] | None:
    """Return the patterns of an option that may be repeated."""
    return None if lists is None else [pattern for patterns in lists for pattern in patterns]


@contextlib.contextmanager
def executor(workers: int) -> Iterator[ThreadPoolExecutor | None]:
    """Yield a pool of threads for --workers, or None for one."""
    if workers == 1:
        yield None
        return
    pool = ThreadPoolExecutor(workers)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def spaced(arguments: Sequence[str]) -> list[str]:
    """Put a space before negative numbers: argparse takes -inf and -1e-3 for options."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    numbers = [word.startswith("-") and read_number(word) is not None for word in arguments]
    return [
        f" {word}" if index < end and number else word
        for index, (word, number) in enumerate(zip(arguments, numbers, strict=True))
    ]

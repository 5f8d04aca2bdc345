"""`minifloat list` and `minifloat show`: the named formats and recipes, and one of them in full."""

from __future__ import annotations

import argparse
import math
import shutil
from typing import TYPE_CHECKING, Any

from minifloat.cli.options import in_terms_of_options
from minifloat.cli.terminal import Table, can_print, number_line, print_json, print_text
from minifloat.formats import NumberFormat
from minifloat.formats.base import shortest
from minifloat.formats.catalogue import ALIASES, CATALOGUE
from minifloat.formats.names import UnknownName, parse, where_all_are

if TYPE_CHECKING:
    from minifloat.quantization.recipes import Recipe

SHOWN_CODES = 256  # `show` prints the table of a larger format only with --all
SEARCHES = {  # of ScaleSearch, in words; mse has no absmax
    "absmax": "the largest magnitude of a block",
    "percentile": "percentile {percentile} of a block's magnitudes",
    "absmean": "{max:g} times the mean of a block's magnitudes",
    "shrink": "the largest magnitude times 1 - k / 100, k < 80, of the smallest sum |error|**2.4",
}
BLOCKS = {"channel": "all weights along the axis", "tensor": "all weights"}
TENSOR_SCALE = "one float32 number T multiplies all scales; absmax is divided by it first"
DOUBLE = "scales less their mean are E4M3FN codes, with a float32 scale to each 256"
CHOICES = {
    None: "least squared error of a block; the scale alone tells",
    "sign": "least squared error of a block, stored in the sign bit of its scale",
    "bits": "least squared error of a block, stored in bits of its own",
}
ONE_SCALE = "that of the first format; the others' values are stretched to its largest"
ROTATION = "{} neighbours times random signs and a Hadamard matrix, before all else"
ZERO_POINT = "each block has a code that means 0; absmax is then its largest minus its smallest"
AUTHORS = "FPE2M2's own code: scales and quotients are rounded to the float of the weights"
RECIPE_PARTS = {  # as messages name them
    "fmt": "FORMAT",
    "block": "BLOCK",
    "scale": "SCALE",
    "scale_rounding": "ROUNDING",
    "options": "OPTIONS",
    "recipe": "NAME",
}


LIST_EXAMPLES = """\
examples:
  minifloat list
  minifloat list --json

bits/weight counts the scales of blocks; smallest is the smallest value above zero.
"""
SHOW_EXAMPLES = """\
examples:
  minifloat show e2m2
  minifloat show nvfp4
  minifloat show nf4/64/float32
  minifloat show e5m6 --all --json

Without --all, the values of a format of more than {codes} codes are left out.
"""


def add_list_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `list` to its parser."""
    parser.epilog = LIST_EXAMPLES
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def run_list(options: argparse.Namespace) -> None:
    """Print the named formats and the published recipes."""
    from minifloat.quantization.recipes import RECIPE_SOURCES, RECIPES

    formats = [
        {
            "format": name,
            "kind": type(fmt).__name__,
            "bits": fmt.bits,
            "max": fmt.max,
            "smallest": fmt.smallest,
            "specials": fmt.describe().get("specials", "none"),
            "also called": _aliases(name),
        }
        for name, fmt in CATALOGUE.items()
    ]
    recipes = [
        {
            "recipe": name,
            "bits/weight": recipe.bits_per_weight,
            "format": recipe.formats,
            **_block_and_scale(recipe),
            "source": RECIPE_SOURCES[name],
        }
        for name, recipe in RECIPES.items()
    ]
    if options.json:
        print_json({"formats": formats, "recipes": recipes})
        return
    _table(formats, ("format", "kind", "specials", "also called"), 6).show()
    print_text(
        "\nAny other eXmY is a format too, for example e3m3, ue5m3 or e4m3b11fnuz, and so are the"
        "\nvalues of a codebook of your own, in brackets: [-1 -0.4 0 0.3 1].\n"
    )
    _table(recipes, ("recipe", "format", "block", "scale", "options", "source"), 4).show()
    print_text(
        "\nAny FORMAT/BLOCK/SCALE is a recipe too, for example e2m2/128/float16. bits/weight counts"
        "\nthe scales of blocks; those of channels and tensors are few."
    )


def _table(rows: list[dict[str, Any]], left: tuple[str, ...], digits: int) -> Table:
    """Return rows as a table, with so many digits of numbers and lists joined by commas."""

    def cell(fact: Any) -> str:
        if isinstance(fact, list):
            return ", ".join(fact)
        return f"{fact:.{digits}g}" if isinstance(fact, float) else str(fact)

    cells = [tuple(map(cell, row.values())) for row in rows]
    return Table("", tuple(rows[0]), left, cells)


def _block_and_scale(recipe: Recipe) -> dict[str, str]:
    block, scale, *options = recipe.scaling.split("/")
    return {"block": block, "scale": scale, "options": options[0] if options else ""}


def _aliases(name: str) -> list[str]:
    return [alias for alias, target in ALIASES.items() if target == name]


def add_show_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `show` to its parser."""
    parser.epilog = SHOW_EXAMPLES.format(codes=SHOWN_CODES)
    add = parser.add_argument
    add("name", metavar="NAME", help="a format or a recipe: e2m2, nf4, nvfp4, nf4/64/float32")
    add("--all", action="store_true", help=f"the table even above {SHOWN_CODES} codes")
    add("--json", action="store_true", help="print JSON instead of text")


def run_show(options: argparse.Namespace) -> None:
    """Print the facts of a format or a recipe, its number line and its values."""
    shown = _named(options.name)
    if isinstance(shown, NumberFormat):
        fmt, title, values = shown, f"{type(shown).__name__} {shown}", ""
        facts = shown.describe()
        if _aliases(shown.name):
            facts["also called"] = ", ".join(_aliases(shown.name))
    else:
        fmt, title, facts = shown.fmt, f"Recipe {shown}", _recipe_facts(shown)
        values = f"\nValues of {fmt}, each multiplied by its block's scale:"
    listed = not fmt.is_lookup and (fmt.code_count <= SHOWN_CODES or options.all)
    if options.json:
        content = {name: _for_json(shown, name, fact) for name, fact in facts.items()}
        print_json({"name": f"{shown}", **content, "values": _values(fmt) if listed else None})
        return
    print_text(title)
    width = max(map(len, facts))
    print_text("\n".join(f"  {key:<{width}}  {fact}" for key, fact in facts.items()))
    if fmt.is_lookup:
        return
    if values:
        print_text(values)
    if listed:
        _print_values(fmt)
    else:
        print_text(f"\n{fmt.code_count} codes; --all prints the number line and every code")


def _for_json(shown: NumberFormat | Recipe, name: str, fact: str) -> str | int | float:
    """Return a fact that is a number as one, exactly, and any other as its text."""
    if not isinstance(shown, NumberFormat):
        return shown.bits_per_weight if name == "bits per weight" else fact
    number = getattr(shown, name, None)
    return number if isinstance(number, int | float) and not isinstance(number, bool) else fact


def _named(name: str) -> NumberFormat | Recipe:
    """Return the format or else the recipe of a name; an unknown name leads to both kinds."""
    try:
        return parse(name, "NAME")
    except UnknownName:
        pass
    from minifloat.quantization.recipes import RECIPES, Recipe, near_recipes_and_formats

    if "/" in name or name.strip().lower() in RECIPES:
        try:
            return Recipe.parse(name)
        except ValueError as error:
            raise ValueError(in_terms_of_options(str(error), RECIPE_PARTS)) from None
    near = near_recipes_and_formats(name)
    if near:
        remedy = f"did you mean {' or '.join(near)}? ({where_all_are(name)})"
    else:
        remedy = "`minifloat list` shows the named ones, and any eXmY is a format (e3m1, ue5m3)"
    raise ValueError(f"NAME must be a known format or recipe, got {name!r}; {remedy}")


def _recipe_facts(recipe: Recipe) -> dict[str, str]:
    """Return the parts of a recipe in words."""
    from minifloat.quantization.recipes import RECIPE_SOURCES, RECIPES
    from minifloat.quantization.scales import FORMULAS

    names = [name for name, known in RECIPES.items() if known == recipe]
    block = recipe.block
    blocks = (
        "{} rows of {} weights".format(*block)
        if isinstance(block, tuple)
        else BLOCKS.get(str(block), f"{block} weights along the axis")
    )
    bits = f"{recipe.bits_per_weight:.6g} in a large tensor, with block"
    if recipe.fmt.is_lookup:
        table = f"{recipe.fmt.code_count} values of {recipe.scale} for each block"
        return {
            "format": f"{recipe.fmt}, {recipe.fmt.bits} bits",
            "block": blocks,
            "table": f"{table}, those of least squared error",
            "bits per weight": f"{bits} tables",
        }
    largest = recipe.fmt.max_abs
    exponent = math.frexp(recipe.absmax_at)[1] - 1
    rule = FORMULAS[recipe.scale_rounding].format(max=f"{recipe.absmax_at:g}", emax=exponent)
    absmax = SEARCHES.get(recipe.search, "").format(percentile=recipe.percentile, max=largest)
    facts = {
        "also called": ", ".join(names),
        "format": f"{recipe.fmt}, {recipe.fmt.bits} bits, largest magnitude {largest:g}",
        "or": ", ".join(map(str, recipe.alternatives)),
        "choice": CHOICES[recipe.flag] if recipe.alternatives else "",
        "one scale": ONE_SCALE if recipe.one_scale else "",
        "rotation": ROTATION.format(recipe.rotation.size) if recipe.rotation else "",
        "block": blocks,
        "scale": f"{recipe.scale}, {recipe.scale.bits} bits",
        "scale rule": rule if absmax else "of all scales, the one of least squared error",
        "absmax": absmax,
        "tensor scale": TENSOR_SCALE if recipe.tensor_scale else "",
        "double": DOUBLE if recipe.double else "",
        "zero point": ZERO_POINT if recipe.zero_point else "",
        "arithmetic": AUTHORS if recipe.arithmetic == "authors" else "",
        "bits per weight": f"{bits} scales",
        "source": "; ".join(dict.fromkeys(RECIPE_SOURCES[name] for name in names)),
    }
    return {name: fact for name, fact in facts.items() if fact}


def _values(fmt: NumberFormat) -> list[dict[str, Any]]:
    """Return every code with its facts, for JSON."""
    return [
        {
            "code": row.code,
            "bits": row.bits,
            "value": row.value if math.isfinite(row.value) else str(row.value),
            "kind": row.kind,
        }
        for row in fmt.table()
    ]


def _print_values(fmt: NumberFormat) -> None:
    codes = fmt.table()
    rows = [(str(row.code), row.bits, shortest(row.value), row.kind) for row in codes]
    table = Table("", ("code", "bits", "value", "kind"), ("bits", "kind"), rows)
    width = min(shutil.get_terminal_size().columns, 120)
    print(f"\n{number_line([row.value for row in codes], width, can_print('─┼█'))}\n")
    table.show_plainly()

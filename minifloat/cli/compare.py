"""`minifloat compare`: the quantization error of recipes on a model's weights."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minifloat.cli.options import (
    add_patterns,
    executor,
    flat,
    format_named,
    in_terms_of_options,
    integer,
    names,
    recipe_named,
)
from minifloat.cli.terminal import print_parts, progress_bar
from minifloat.formats.names import parse

if TYPE_CHECKING:
    from minifloat.comparison.records import TensorErrors
    from minifloat.quantization.recipes import Recipe

FORMATS = "e2m2,int5,nf4,e2m1,int4"
BLOCK, SCALE = "128", "float16"
EXAMPLES = """\
examples:
  minifloat compare model.safetensors
  minifloat compare model.safetensors --recipes mxfp4,nvfp4,e2m2/128/float16
  minifloat compare model.safetensors --formats e2m2,int5 --block 64 --top 10
  minifloat compare model.safetensors --formats '[-1 -0.4 -0.1 0 0.1 0.4 1],int3'
  minifloat compare model.safetensors --exclude '*.bias,*mask*' --csv

A recipe is FORMAT[/BLOCK[/SCALE[:ROUNDING][/OPTIONS]]] or a name that `minifloat list` shows.

columns, where w are the weights and w' the weights after quantizing:
  bits/weight   stored bits per weight, scales included
  relative rms  sqrt(sum (w - w')^2 / sum w^2); lower is better
  SQNR dB       -20 log10 of the relative rms; higher is better
  max error     the largest |w - w'|
  max/absmax    the largest |w - w'| over the largest |w| of its tensor
  best in       tensors in which it has the lowest relative rms of all recipes with as many \
bits/weight (to 0.01); * marks the best. Ties and all-zero tensors count for none

A tensor that some recipe cannot quantize (inf, NaN, a scale beyond SCALE), or that is damaged, is \
skipped for all recipes and named below the tables (with --csv, on stderr).
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `compare` to its parser."""
    parser.epilog = EXAMPLES
    add = parser.add_argument
    add(
        "files",
        nargs="*",
        metavar="FILE",
        help=".safetensors, .gguf, .npz, .onnx, .pt ... (default: noise)",
    )
    add("--recipes", type=names, metavar="R,...", help="recipes: mxfp4, e2m2/128/float16, ...")
    add("--formats", type=names, metavar="F,...", help=f"or formats alone (default {FORMATS})")
    add("--block", help="weights to a scale: a number, RxC, channel or tensor (128)")
    add("--scale", help="format of the scales: float16, e8m0, e8m0:ceil, ... (float16)")
    add(
        "--axis",
        type=integer(),
        default=-1,
        help="axis along which blocks run (-1); in tensors without it, the last",
    )
    add("--sort", metavar="KEY", help="name, size, error or a recipe (default: file order)")
    add("--top", type=integer(1), metavar="N", help="list N tensors only; the total stays")
    add_patterns(parser, "compare only tensors", "leave out tensors")
    add("--min-size", type=integer(0), default=0, metavar="N", help="leave out smaller tensors")
    add("--workers", type=integer(1), default=1, metavar="N", help="tensors at a time (1)")
    add("--details", action="store_true", help="list every figure of every tensor")
    add("--seed", type=integer(0), default=0, help="of the noise that stands in for a FILE (0)")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print JSON instead of tables")
    output.add_argument("--csv", action="store_true", help="print CSV instead of tables")


def run(options: argparse.Namespace) -> None:
    """Compare and print."""
    from minifloat.comparison import compare
    from minifloat.comparison.tables import left_out

    _check_files(options.files)
    recipes = _recipes(options)
    key = _sort_key(options.sort, recipes)
    with executor(options.workers) as pool, progress_bar("comparing") as progress:
        result = compare(
            options.files or None,
            recipes,
            axis=options.axis,
            include=flat(options.include),
            exclude=flat(options.exclude),
            min_size=options.min_size,
            executor=pool,
            progress=progress,
            seed=options.seed,
        )
    result = dataclasses.replace(
        result,
        skipped=tuple(
            dataclasses.replace(tensor, reason=in_terms_of_options(tensor.reason))
            for tensor in result.skipped
        ),
    )
    tensors = result.tensors if key is None else tuple(sorted(result.tensors, key=key))
    listed = tensors[: options.top]
    if options.json:
        print(dataclasses.replace(result, tensors=listed).to_json())
    elif options.csv:
        print(dataclasses.replace(result, tensors=listed).to_csv(), end="")
        if result.skipped:
            count = len(result.tensors) + len(result.skipped)
            print(left_out(result.skipped, count), file=sys.stderr)
    else:
        print_parts(result.report(listed, every_figure=options.details))


def _check_files(files: list[str]) -> None:
    """Raise if a format stands in the place of a file: after a space, not a comma."""
    for name in files:
        if not Path(name).exists() and _is_format(name):
            raise ValueError(
                f"FILE must be a file, got {name!r}, which is a format; join formats by commas, as "
                f"in --formats e2m2,{name}"
            )


def _is_format(text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _recipes(options: argparse.Namespace) -> list[Recipe]:
    """Return the recipes of --recipes, or those that --formats, --block and --scale stand for."""
    shorthand = [
        name for name in ("formats", "block", "scale") if getattr(options, name) is not None
    ]
    if options.recipes is None:
        return _shorthand(options.formats or names(FORMATS), options.block, options.scale)
    if shorthand:
        raise ValueError(
            f"--recipes must stand without --{shorthand[0]}, which is a shorthand for recipes; "
            "write FORMAT/BLOCK/SCALE"
        )
    return _each_once("--recipes", [recipe_named(text, "--recipes") for text in options.recipes])


def _shorthand(formats: list[str], block: str | None, scale: str | None) -> list[Recipe]:
    from minifloat.quantization.recipes import Recipe

    block, scale = BLOCK if block is None else block, SCALE if scale is None else scale
    try:
        recipes = [
            Recipe(format_named(name, "--formats"), block=block, scale=scale) for name in formats
        ]
    except ValueError as error:
        raise ValueError(in_terms_of_options(str(error), {"fmt": "--formats"})) from None
    return _each_once("--formats", recipes)


def _each_once(option: str, recipes: list[Recipe]) -> list[Recipe]:
    if len(set(recipes)) < len(recipes):
        raise ValueError(f"{option} must hold each recipe once, got {', '.join(map(str, recipes))}")
    return recipes


def _sort_key(sort: str | None, recipes: list[Recipe]) -> Callable[[TensorErrors], Any] | None:
    """Return the key of --sort: names ascending, sizes and errors with the largest first."""
    if sort is None:
        return None
    if sort == "name":
        return lambda tensor: (tensor.file, tensor.name)
    if sort == "size":
        return lambda tensor: -tensor.parameters
    if sort == "error":
        return lambda tensor: -min(error.relative_rms for error in tensor.errors)
    recipe = _compared(sort, recipes)
    return lambda tensor: -tensor.error(str(recipe)).relative_rms


def _compared(text: str, recipes: list[Recipe]) -> Recipe:
    """Return the recipe that a text means, or the only one that has a format of that name."""
    from minifloat.quantization.recipes import Recipe

    with contextlib.suppress(ValueError):
        recipe = Recipe.parse(text)
        if recipe in recipes:
            return recipe
    with contextlib.suppress(ValueError):
        fmt = parse(text)
        [recipe] = [recipe for recipe in recipes if recipe.fmt == fmt]
        return recipe
    compared = ", ".join(map(str, recipes))
    raise ValueError(f"--sort must be name, size, error or one of {compared}, got {text}")

"""Formats and recipes by name, as the explorer's tables have them."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

from analysis import absmax_mse, adaptive_mse
from minifloat.formats import Codebook, Format, Integer, NumberFormat
from minifloat.formats.catalogue import ALIASES, CATALOGUE
from minifloat.formats.exmy import OTHER_NAMES, SHORT_NAMES
from minifloat.formats.published import PUBLISHED
from minifloat.quantization.recipes import RECIPE_SOURCES, RECIPES, Recipe

COUNTS = Path("docs/data/hardware/counts.csv")
BLOCKS = ("128/float16", "64/float16", "32/float16")
MORE_FORMATS = ("nf5", "af4", "sf4", "e4m0", "e5m0")  # beside those whose circuits are counted


def description(fmt: NumberFormat) -> dict[str, Any]:
    """Return the fields of a format under the names of the page's classes."""
    if isinstance(fmt, Format):
        return {
            "exponentBits": fmt.exponent_bits,
            "mantissaBits": fmt.mantissa_bits,
            "bias": fmt.bias,
            "signed": fmt.signed,
            "subnormals": fmt.subnormals,
            "specials": str(fmt.specials),
        }
    if isinstance(fmt, Integer):
        return {"bits": fmt.bits, "signed": fmt.signed, "symmetric": fmt.symmetric}
    assert isinstance(fmt, Codebook)
    return {"values": list(fmt.codebook)}


def formats() -> dict[str, Any]:
    """Return the tables of names."""
    published = {name: Codebook(values, name) for name, values in PUBLISHED.items()}
    named = {**CATALOGUE, **published}
    return {
        "catalogue": {name: description(fmt) for name, fmt in named.items()},
        "aliases": ALIASES,
        "shortNames": list(SHORT_NAMES),
        "reservedNames": [*SHORT_NAMES, *OTHER_NAMES],
    }


def sqnr() -> dict[str, float]:
    """Return the exact SQNR in dB on N(0, 1) of each recipe whose error has a formula."""
    texts = [str(recipe) for recipe in RECIPES.values()]
    found = {}
    names = (*costs(), *MORE_FORMATS)
    for text in (*texts, *(f"{name}/{blocks}" for blocks in BLOCKS for name in names)):
        recipe = Recipe.parse(text)
        try:
            has_two = len(recipe.candidates) == 2
            error = adaptive_mse(recipe, "normal").mse if has_two else absmax_mse(recipe, "normal")
        except ValueError:  # a search, a zero point, or blocks of no known size
            continue
        found[text] = round(-10 * math.log10(error), 2)
    return found


def recipes() -> dict[str, Any]:
    """Return the published recipes: text, source."""
    return {name: [str(recipe), RECIPE_SOURCES[name]] for name, recipe in RECIPES.items()}


def costs() -> dict[str, dict[str, float]]:
    """Return transistors and LUT6 of a lane of an exact dot product of 16, format times itself."""
    lines = [line for line in COUNTS.read_text().splitlines() if not line.startswith("#")]
    found: dict[str, dict[str, float]] = {}
    for row in csv.DictReader(lines):
        if (row["activations"], row["unit"], row["accumulator"]) == ("itself", "dot", "exact"):
            column = {"cmos": "transistors", "xc7": "lut6"}[row["target"]]
            lanes = int(row["lanes"])
            found.setdefault(row["fmt"], {})[column] = round(int(row[column]) / lanes, 1)
    return found

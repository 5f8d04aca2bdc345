"""Print docs/recipes.md: the text form of recipes, and the published ones of the library.

python -m docs.generators.recipes > docs/recipes.md
"""

from __future__ import annotations

from docs.generators.policies import table
from minifloat import RECIPES, ScaleRounding
from minifloat.quantization.recipes import RECIPE_SOURCES

INTRO = """\
# Recipes

A *recipe* says how weights become codes: the format, the block of weights that share a scale, and
the scale itself. It is one value, `minifloat.Recipe`, with a text form:

    FORMAT[/BLOCK[/SCALE[:ROUNDING][/OPTIONS]]]"""

PARTS = {
    "FORMAT": (
        "any format's name: `e2m2`, `int4`, `nf4`, `e4m3fn`; behind `@` the magnitude that absmax "
        "becomes: `e2m1@4`; several with a vertical line between: "
        "[a block is one of them](quantization.md#adaptive-blocks); `lut4`: "
        "a table for each block",
        "",
    ),
    "BLOCK": (
        "a number of weights along the axis; `RxC` for tiles of the last two axes; `channel`; "
        "`tensor`",
        "128",
    ),
    "SCALE": ("`float32` or the name of a format", "float16"),
    "ROUNDING": (
        f"how absmax becomes a scale: {', '.join(f'`{rounding}`' for rounding in ScaleRounding)}",
        "floor if all scales are powers of two, else nearest_even",
    ),
    "OPTIONS": (
        "joined by `+`: a search (`mse`, `shrink`, `percentile99.9`, `absmean`), "
        "`tensor-scale` (or `tensor-scale256`: the largest scale is 256), `double`, "
        "`zero-point`, `one-scale`, `flag-bits`, `authors`, a rotation (`hadamard128`, with a "
        "seed `hadamard128:7`)",
        "absmax",
    ),
}

EXAMPLES = """\
[Quantization](quantization.md) explains the roundings of scales, the searches and the options.

```python
>>> import minifloat as mf
>>> w = [[0.7, -0.1, 0.02, 1.3]]
>>> mf.quantize(w, "nvfp4")                          # a published recipe, by its name
<Quantized e2m1/16/e4m3fn/tensor-scale (1, 4): 14 bits per weight, axis 1>
>>> mf.quantize(w, "e2m2/64/e8m0:ceil")              # any other, by its text
<Quantized e2m2/64/e8m0:ceil (1, 4): 7 bits per weight, axis 1>
>>> mf.quantize(w, "nvfp4", fmt="int4", search="mse")    # with changes
<Quantized int4/16/e4m3fn/mse+tensor-scale (1, 4): 14 bits per weight, axis 1>

```

In a matrix this small, scales take most of the bits. Below are the bits per weight of a large one.

## Published recipes

`minifloat.RECIPES` has these. `python -m docs.generators.recipes` prints this page, and a test
compares them."""

OUTRO = """\
Three names are also formats. Alone, `nf4`, `mxint8` and `fpe2m2` mean the recipe; before a slash
they mean the format (`nf4/128`).

To add one, write a line in `minifloat/quantization/recipes.py` with its source."""


def page() -> str:
    """Return the whole page."""
    published = (
        [
            f"`{name}`",
            f"`{recipe}`",
            f"{recipe.bits_per_weight:.4g}",
            RECIPE_SOURCES[name],
        ]
        for name, recipe in RECIPES.items()
    )
    parts = [
        INTRO,
        table(["part", "meaning", "default"], ([name, *text] for name, text in PARTS.items())),
        EXAMPLES,
        table(["name", "recipe", "bits per weight", "source"], published),
        OUTRO,
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    print(page(), end="")

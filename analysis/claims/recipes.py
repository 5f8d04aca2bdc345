"""The recipes that text models are measured in, by the names that records have."""

from __future__ import annotations

from analysis.formats.normal_float import normal_float
from minifloat import Codebook, Recipe

PAIR = ("e2m2/128/float16", "int5/128/float16")
OWN_OFFSET = "nf5, offset of 5 bits/128/float16"  # the published nf5 keeps the offset of 4 bits
NAMES = (  # by absmax the full range is INT5; blocks of 256 with 8-bit scales: as a scale for a row
    *PAIR, "fpe2m2", "e2m2/channel/float16", "int5/channel/float16", "int5full/128/float16/mse",
    "e2m2/256/e4m3fn/tensor-scale", "int5/256/e4m3fn/tensor-scale",
    "uint5/128/float16/zero-point", "nf5/128/float16", OWN_OFFSET, "e3m1/128/float16",
    "nf4/128/float16", "e2m1/128/float16", "int4/128/float16", "mxfp4", "nvfp4",
    "e2m3/32/e8m0", "int6/128/float16", "e2m3/128/float16", "int8/128/float16",
    "e4m3fn/128/float16",
)  # fmt: skip
FIRST = (  # to be measured before others
    *PAIR, "nf5/128/float16", "uint5/128/float16/zero-point", "int6/128/float16",
    "e2m3/128/float16", "int8/128/float16", "e4m3fn/128/float16",
)  # fmt: skip
TITLES = {
    "fpe2m2": "FPE2M2 as published", "uint5/128/float16/zero-point": "asymmetric INT5",
    "int5full/128/float16/mse": "full-range INT5 (least squares)",
    OWN_OFFSET: "NF5 (its own offset)",
    "e2m3/32/e8m0": "MXFP6 (E2M3)", "fp32": "fp32",
    "e4m3fn/channel/float32": "E4M3FN by row",
    "e2m2/channel/float16": "E2M2 by row",
    "int5/channel/float16": "INT5 by row",
    "e2m2/256/e4m3fn/tensor-scale": "E2M2 by 256 (8-bit scales)",
    "int5/256/e4m3fn/tensor-scale": "INT5 by 256 (8-bit scales)",
}  # fmt: skip


def recipe(name: str) -> Recipe:
    """Return a recipe by its name: one of `NAMES`, or the text of another.

    Parameters
    ----------
    name : str

    Returns
    -------
    Recipe

    Examples
    --------
    >>> recipe("nvfp4").bits_per_weight, recipe(OWN_OFFSET).bits_per_weight
    (4.5, 5.125)
    """
    if name == OWN_OFFSET:
        book = Codebook(normal_float(5).values().tolist(), "nf5own")
        return Recipe(book, block=128, scale="float16")
    return Recipe.parse(name)


def title(name: str) -> str:
    """Return what a recipe is called in tables and figures.

    Parameters
    ----------
    name : str

    Returns
    -------
    str

    Examples
    --------
    >>> title("e2m2/128/float16"), title("fpe2m2")
    ('E2M2', 'FPE2M2 as published')
    """
    return TITLES.get(name, name.removesuffix("/128/float16").upper())

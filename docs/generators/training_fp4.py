"""The part of docs/training.md on the parts of FP4 recipes: right for some seeds or all."""

from __future__ import annotations

from itertools import product
from textwrap import fill

from analysis.records import Row, Rows
from analysis.statistics import Estimate
from analysis.training import fp4_losses as fp4
from analysis.training.recipe import TRAINING_RECIPES
from docs.generators.policies import table
from docs.generators.training_records import number, so_far
from minifloat.quantization.recipes import Recipe

INTRO = """\
## Which parts of an FP4 recipe matter

E2M1 in all three products: five kinds of scales, blocks of 16 and 32, with and without rotations
of both operands, with gradients to nearest or stochastic: 40 recipes, and two of E1M2, Quartet's
and MS-EDEN's beside them (`analysis.training.fp4`). The model has 0.2 million weights and reads
250,000 bytes. The effect of a part is the mean difference of validation's loss, in bits per byte,
with the part minus without it, over all pairs of runs that differ in it alone: below 0 the part
lowers the loss. ± is one standard error over seeds. A part helps or harms if its effect is beyond
0.01 and two standard errors.

The scales of blocks: `e8m0:up` are powers of two, as in MXFP4; `e4m3fn/tensor-scale` is NVFP4's,
E4M3 beside a float32 scale of the whole tensor; UE5M3 has a bit of exponent in place of E4M3's
sign, so that it reaches far smaller blocks. *Hadamard*: both operands of a product are rotated in
blocks. *Stochastic*: gradients are rounded up or down by chance, right in the mean.

The last column has no recipes with E4M3 scales and no tensor scale: there 98 % of the gradients
become 0, since they are too small for E4M3's smallest scale, and what rescues some of them has a
large effect. (It is beside the criteria, and was added when the runs were seen.)"""
NOT_YET = (
    "**Not measured yet:** there are no records. `python -m analysis.training fp4` makes them."
)
PUBLISHED = {  # what is published of a part, and where
    "Hadamard": ("helps", "2509.17791"),
    "stochastic rounding": ("helps", "2509.17791"),
    "blocks of 16, not 32": ("", ""),
    "tensor scale, E4M3": ("helps", "2509.17791"),
    "tensor scale, UE5M3": ("helps", "2509.17791"),
    "UE5M3, not E8M0": ("helps", "2509.17791"),
    "UE5M3, not E4M3": ("helps", "2509.17791"),
    "E1M2, not E2M1": ("helps", "2606.20381"),
}
COLUMNS = {  # rotated, stochastic
    (False, False): "neither", (False, True): "stochastic", (True, False): "Hadamard",
    (True, True): "both",
}  # fmt: skip
HEADS = ["part", "effect, bits per byte", "here", "published", "without E4M3 alone"]
COSTS = "What each recipe costs over float32 with the same seed, in bits per byte:"
PICTURE = """\
![Effects of the parts, and what recipes with blocks of 16 cost over float32](figures/fp4.png)

Bars are two standard errors; effects in the grey band are below the criterion of 0.01; the right
panel has blocks of 16."""
FAR = """\
Published effects are of models of 10⁸ weights and more, over billions of tokens. A model of 0.2
million weights in its first 244 steps can show that a rounding disturbs learning at once, and what
repairs it. That a part does nothing here does not say that it does nothing there: outliers, which
rotations and finer scales are for, grow in larger models, and what stochastic rounding removes, a
bias, adds up over many steps."""


def section(rows: Rows | None = None) -> str:
    """Return the section.

    Parameters
    ----------
    rows : list of dict, optional
        Default the saved records, if they are there.
    """
    if rows is None:
        rows = so_far("fp4")
    return "\n\n".join([INTRO, *(answer(rows) if rows else [NOT_YET]), FAR])


def answer(rows: Rows) -> list[str]:
    """Return what the records say, and what is missing in them."""
    seeds = len({row["seed"] for row in rows})
    wanted = {str(recipe) or "float32" for recipe in fp4.recipes()}
    whole = sum(
        {row["recipe"] for row in rows if row["seed"] == seed} >= wanted for seed in range(seeds)
    )
    state = f"Measured: {len(rows)} runs, {whole} whole seeds of 5."
    if whole < 5:
        state += " **The rest is missing**, and error bars of fewer seeds are rough."
    lines = {line["recipe"]: line for line in fp4.table(rows)}
    return [
        state, table(HEADS, effects(rows)), fill(agreement(rows), 100), *without_rescue(rows),
        COSTS,
        table(["scales", "block", *COLUMNS.values()], grid(lines)),
        table(["recipe", "over float32"], others(lines)), fill(ranking(rows), 100), PICTURE,
    ]  # fmt: skip


def effects(rows: Rows) -> list[list[str]]:
    """Return the lines of the table of effects."""
    found, robust, lines = fp4.effects(rows), fp4.effects(rows, fp4.ROBUST), []
    for name, (word, source) in PUBLISHED.items():
        effect = found.get(name)
        mean = "not measured"
        if effect is not None:
            mean = number(effect.difference, effect.seeds)
            mean += f" (left out: {effect.left_out})" * bool(effect.left_out)
        here = "" if effect is None or effect.seeds < 2 else effect.words or "not seen"
        others = robust.get(name)
        lines.append([
            name, mean, here, f"{word} (arXiv {source})" if word else "",
            "" if others is None else number(others.difference, others.seeds),
        ])  # fmt: skip
    return lines


def agreement(rows: Rows) -> str:
    """Return which effects are as published."""
    found = {name: effect for name, effect in fp4.effects(rows).items() if effect.seeds > 1}
    if not found:
        return (
            "With one seed no effect has an error bar, so none is compared with what is published."
        )
    kinds: dict[str, list[str]] = {"same": [], "not seen": [], "opposite": []}
    for name, (word, _) in PUBLISHED.items():
        if word and name in found:
            words = found[name].words
            kinds["same" if words == word else "opposite" if words else "not seen"].append(name)
    texts = {
        "same": "As published, these help here: ",
        "not seen": "Neither helping nor harming beyond the criterion here: ",
        "opposite": "Against what is published, these harm here: ",
    }
    return " ".join(f"{texts[kind]}{'; '.join(names)}." for kind, names in kinds.items() if names)


def without_rescue(rows: Rows) -> list[str]:
    """Return which parts matter where all scales reach the gradients; nothing for one seed."""
    found = fp4.effects(rows, fp4.ROBUST)
    if not any(effect.seeds > 1 for effect in found.values()):
        return []
    named = [f"{name} {effect.words}" for name, effect in found.items() if effect.words]
    said = "; ".join(named) or "no part helps or harms"
    return [fill(f"By the same criterion, without E4M3 alone: {said}.", 100)]


def grid(lines: dict[str, Row]) -> list[list[str]]:
    """Return the lines of the table of the grid."""
    return [
        [f"`{scale}`", str(block), *(
            cost(lines.get(str(fp4.Parts("e2m1", scale, block, *parts).recipe)))
            for parts in COLUMNS
        )]
        for scale, block in product(fp4.SCALES, (16, 32))
    ]  # fmt: skip


def others(lines: dict[str, Row]) -> list[list[str]]:
    """Return the lines of the table of recipes beside the grid."""
    names = {name: str(TRAINING_RECIPES[name]) for name in fp4.OTHERS[1:]}
    for parts in fp4.UNIFORM:
        with_it = "with" if parts.hadamard else "without"
        names[f"e1m2/16/ue5m3, stochastic, {with_it} Hadamard"] = str(parts.recipe)
    return [[name, cost(lines.get(text))] for name, text in names.items()]


def ranking(rows: Rows) -> str:
    """Return which recipe of the grid is the best."""
    found = fp4.best(rows)
    if found is None:
        return "Which recipe of the grid is the best is not said before two seeds are whole."
    text = f"Of the grid `{Recipe.parse(_element(found.lowest))}` {_parts(found.lowest)} is lowest"
    if not found.tied:
        return f"**{text}, and told apart from all others**, over {found.seeds} seeds."
    return f"{text}; {len(found.tied)} others are not told apart from it over {found.seeds} seeds."


def _element(text: str) -> str:
    return text.partition(" ")[0].removeprefix("forward=")


def _parts(text: str) -> str:
    return f"({COLUMNS['rotation' in text, 'stochastic' in text]} of Hadamard and stochastic)"


def cost(line: Row | None) -> str:
    """Return an excess with its standard error; a diverged run is counted."""
    if line is None:
        return "missing"
    diverged = f"{line['diverged']} of {line['runs']} diverged" if line["diverged"] else ""
    if line["excess"] is None:
        return diverged or "missing"
    excess = Estimate(line["excess"], line["excess_error"])
    text = number(excess, line["runs"] - line["diverged"])
    return f"{text}, {diverged}" if diverged else text

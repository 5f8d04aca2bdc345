"""Tables of what recipes cost a model, by `analysis.claims.figures`, which several pages have."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

import minifloat as mf
from analysis.claims.figures import Figure, figure, item_of, verdict
from analysis.claims.recipes import NAMES, OWN_OFFSET, PAIR, recipe, title
from analysis.methods.contenders import ALLOCATED, BEST, FINEST
from analysis.methods.contenders import REFERENCE as YARDSTICK
from analysis.methods.table_losses import Table
from analysis.models.evaluation import REFERENCE
from analysis.records import Rows
from docs.generators.policies import table
from paper_figures.studies import saved

E2M2, INT5 = PAIR
WIDTHS = (8, 6, 5, 4)  # bits of a code
RIVALS = {  # of each width: one recipe, and those that it is compared with
    8: {"e4m3fn/128/float16": ("int8/128/float16",)},
    6: {"e2m3/128/float16": ("int6/128/float16", "e2m3/32/e8m0")},
    5: {
        E2M2: (
            INT5, "int5full/128/float16/mse", "uint5/128/float16/zero-point", "nf5/128/float16",
            OWN_OFFSET, "e3m1/128/float16", "fpe2m2",
        ),
        "nf5/128/float16": (OWN_OFFSET,),
        "e2m2/channel/float16": ("int5/channel/float16", "e2m2/256/e4m3fn/tensor-scale"),
        "int5/channel/float16": ("int5/256/e4m3fn/tensor-scale",),
    },
    4: {
        "e2m1/128/float16": ("int4/128/float16",),
        "nf4/128/float16": ("int4/128/float16", "e2m1/128/float16"),
        "nvfp4": ("mxfp4",),
    },
}  # fmt: skip
METHODS = (  # of docs/methods.md
    YARDSTICK, "E2My, mse", "INT, mse", "GPTQ, E2My, mse", "GPTQ, INT, mse", BEST, FINEST,
    *ALLOCATED,
)  # fmt: skip


def named(rows: Rows) -> Rows:
    """Return rows whose recipes have the names of `NAMES` where they are texts of recipes."""
    names = {str(recipe(name)): name for name in NAMES}
    return [row | {"recipe": names.get(row["recipe"], row["recipe"])} for row in rows]


def lossless_table(
    rows: Rows, metric: str, second: str, limits: Mapping[str, float], called: str, columns: int
) -> str:
    """Return the table of all recipes that have records, by width.

    Parameters
    ----------
    rows : list of dict
    metric, second : str
        Columns: the one with both errors, and one beside it.
    limits : mapping of str to float
        Of nearly lossless, by metric.
    called : str
        What the change of the first metric is called.
    columns : int
        Weights of a row, for which bits per weight are given.

    Returns
    -------
    str
    """
    head = [
        "weights", "bits", "groupings", "items", called, "over items", "over groupings",
        "of the mean", second, "nearly lossless?",
    ]  # fmt: skip
    lines = []
    for name in ordered(rows):
        found, beside = (figure(rows, one, name, REFERENCE) for one in (metric, second))
        groupings, items = counts(rows, name)
        lines.append([
            title(name), f"{bits(name, columns):.3f}", str(groupings), str(items), with_half(found),
            digits(found.over_items), digits(found.over_draws), digits(found.of_mean),
            with_half(beside), verdict(rows, name, limits),
        ])  # fmt: skip
    return table(head, lines)


def leads(rows: Rows, metric: str, unit: str) -> str:
    """Return the table of paired differences within each width."""
    head = [
        "width", f"{unit}, lower is better", "groupings", "mean", "over items", "over groupings",
        "of the mean", "lead",
    ]  # fmt: skip
    have, lines = set(ordered(rows)), []
    for width, races in RIVALS.items():
        for one, others in races.items():
            for other in others:
                if one in have and other in have:
                    found = figure(rows, metric, one, other)
                    lines.append([
                        str(width), f"{title(one)} minus {title(other)}", str(len(found.draws)),
                        digits(found.mean, sign=True), digits(found.over_items),
                        digits(found.over_draws), digits(found.of_mean),
                        (found.lead or "none") if len(found.draws) > 1 else "one grouping",
                    ])  # fmt: skip
    return table(head, lines)


def lead_sentence(rows: Rows, metric: str, unit: str) -> str:
    """Return how E2M2 stands to INT5 by a metric."""
    found = figure(rows, metric, E2M2, INT5)
    ahead = sum(draw < 0 for draw in found.draws)
    apart = ""
    if found.own_items:
        apart = f" Without the part of its chunks, one grouping deviates by {digits(found.apart)}."
    return (
        f"E2M2 minus INT5 is {with_half(found)} {unit}, and below 0 in {ahead} of "
        f"{len(found.draws)} groupings ({found.lead or 'no lead'}).{apart}"
    )


def how_many_bits(rows: Rows, limits: Mapping[str, float], called: str) -> str:
    """Return the sentence that says which widths are nearly lossless."""
    verdicts = {name: verdict(rows, name, limits) for name in ordered(rows)}
    parts = []
    for width in WIDTHS:
        by_word: dict[str, list[str]] = {}
        for name, word in verdicts.items():
            if recipe(name).fmt.bits == width:
                by_word.setdefault(word, []).append(title(name))
        if by_word:
            said = "; ".join(f"{word}: {', '.join(names)}" for word, names in by_word.items())
            parts.append(f"- {width} bits: {said}")
    enough = [recipe(name).fmt.bits for name, word in verdicts.items() if word == "yes"]
    if enough:
        least = f"needs {min(enough)} bits"
    elif "open" in verdicts.values():
        least = "is reached for certain by no recipe here"
    else:
        least = "needs more bits than any recipe here has"
    return f"Rounded to nearest, nearly lossless {called} {least}:\n\n" + "\n".join(parts)


def bits(name: str, columns: int) -> float:
    """Return bits per weight of a square matrix."""
    return mf.quantize(np.ones((columns, columns), np.float32), recipe(name)).bits_per_weight


def with_half(found: Figure) -> str:
    """Return a mean and half of its interval."""
    return f"{digits(found.mean, sign=True)} ± {digits(found.half)}"


def digits(value: float | None, *, sign: bool = False) -> str:
    """Return a number to five places if it is small, else to four."""
    if value is None:
        return ""
    places = 5 if abs(value) < 0.01 else 4
    return f"{value:{'+' if sign else ''}.{places}f}"


def word(mean: float, half: float, limit: float) -> str:
    """Return whether an increase is nearly lossless: "yes", "no" or "open"."""
    if mean - half > limit:
        return "no"
    return "yes" if mean + half <= limit else "open"


def ordered(rows: Rows) -> list[str]:
    """Return the recipes that rows have, from many bits to few."""
    have = {row["recipe"] for row in rows}
    names = [name for name in NAMES if name in have]
    return sorted(names, key=lambda name: -recipe(name).fmt.bits)


def counts(rows: Rows, name: str) -> tuple[int, int]:
    """Return how many groupings and different items a recipe has."""
    own = [row for row in rows if row["recipe"] == name]
    return len({row["grouping"] for row in own}), len({item_of(row) for row in own})


def methods_table(models: Mapping[str, float | None], budgets: tuple[float, ...]) -> str:
    """Return what GPTQ, the best methods and mixed precision do, from the table of methods.

    Parameters
    ----------
    models : mapping of str to float or None
        Models, with the increase of the loss that is nearly lossless, where there is one.
    budgets : tuple of float
        Bits per weight.

    Returns
    -------
    str
    """
    rows = saved("table", "methods")
    judged = any(limit is not None for limit in models.values())
    lines = []
    for model, limit in models.items():
        losses = Table(rows, model)
        for method in METHODS:
            for budget in budgets:
                if (method, budget) in losses.losses:
                    found = losses.loss(method, budget)
                    half = 2 * found.standard_error
                    cells = [
                        model, method, f"{budget:g}", str(len(losses.draws(method, budget))),
                        f"{digits(found.mean, sign=True)} ± {digits(half)}",
                    ]  # fmt: skip
                    if judged:
                        cells.append("" if limit is None else word(found.mean, half, limit))
                    lines.append(cells)
    if not lines:
        return "**Not measured yet**: `python -m analysis.methods table` does it."
    head = ["model", "method", "bits", "groupings", "over fp32"]
    return table([*head, "nearly lossless?"] if judged else head, lines)


def speed_table(rows: Rows, columns: Mapping[str, tuple[str, float, int]]) -> str:
    """Return the table of a study of speed.

    Parameters
    ----------
    rows : list of dict
        With ``program`` and ``weights``.
    columns : mapping of str to (str, float, int)
        For each column of the records that is shown its heading, a factor, and decimal places.

    Returns
    -------
    str
    """
    lines = [
        [f"{row['program']}, {_shown(row['weights'], 1, 0)}"]
        + [_shown(row[name], *how) for name, (_, *how) in columns.items()]
        for row in rows
    ]  # fmt: skip
    return table(["program, weights", *(heading for heading, _, _ in columns.values())], lines)


def _shown(value: float | str | None, factor: float, places: int) -> str:
    if isinstance(value, str):
        return title(value) if value in NAMES else value
    return "" if value is None else f"{value * factor:.{places}f}"

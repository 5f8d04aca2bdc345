"""Print docs/policies.md: the results of each rounding mode and policy.

python -m docs.generators.policies > docs/policies.md
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

import minifloat as mf

FORMATS = ("e2m2", "e4m3fn", "e5m2", "binary8p3se", "ue4m3", "e8m0", "int4", "nf4")
INPUTS = {
    "above the maximum": 1e300,
    "+inf": np.inf,
    "below the minimum": -1e300,
    "-inf": -np.inf,
    "NaN": np.nan,
}
# between 1 (code 4, even) and 1.25 (code 5) of e2m2, and between 1.25 and 1.5 (code 6, even)
FRACTIONS = {
    "1.01": 1.01,
    "1.125": 1.125,
    "1.2": 1.2,
    "1.26": 1.26,
    "1.375": 1.375,
    "1.45": 1.45,
}


def show(x: float) -> str:
    """Return a value with six digits."""
    return "NaN" if np.isnan(x) else f"{x:.6g}"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)


def rounding_table() -> str:
    """Show six values and their negatives in every deterministic mode."""
    modes = [mode for mode in mf.Rounding if not mode.is_stochastic]
    values = [sign * x for sign in (1, -1) for x in FRACTIONS.values()]
    rows = (
        [f"`{mode}`", *(show(mf.round_to(x, "e2m2", rounding=mode)) for x in values)]
        for mode in modes
    )
    return table(["mode", *map(show, values)], rows)


def rounded(x: float, fmt: str, overflow: str, nan: str) -> str:
    """Return the rounded value, or the word error."""
    try:
        return show(mf.round_to(x, fmt, overflow=overflow, nan=nan))
    except ValueError:
        return "error"


def overflow_table(overflow: str) -> str:
    """Show overflow and infinities under a policy."""
    inputs = {name: x for name, x in INPUTS.items() if name != "NaN"}
    rows = (
        [f"`{fmt}`", *(rounded(x, fmt, overflow, "max") for x in inputs.values())]
        for fmt in FORMATS
    )
    return table(["format", *inputs], rows)


def nan_table() -> str:
    """Show NaN under each policy."""
    rows = (
        [f"`{fmt}`", *(rounded(np.nan, fmt, "saturate", nan) for nan in mf.NaNPolicy)]
        for fmt in FORMATS
    )
    return table(["format", *(f"`{nan}`" for nan in mf.NaNPolicy)], rows)


def page() -> str:
    """Return the whole page."""
    parts = [
        "# Rounding modes and policies",
        "`python -m docs.generators.policies` prints this page from the results of the library, "
        "and a test compares them.",
        "## Rounding",
        "Values of `e2m2` between 1 (code 4), 1.25 (code 5) and 1.5 (code 6), and their negatives.",
        rounding_table(),
        "The stochastic modes (`stochastic`, `stochastic_b`, `stochastic_c`, `stochastic_equal`) "
        "take either neighbour; `minifloat.Rounding` states the probabilities.",
    ]
    for policy in mf.Overflow:
        parts += [f"## `overflow={policy.value!r}`", overflow_table(policy)]
    parts += ["## `nan=`", "A format that has NaN keeps it under every policy.", nan_table()]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    print(page(), end="")

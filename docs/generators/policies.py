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


BOOK = mf.Codebook([0, 1, 3, 2, -4, -1, -3, -2])  # 1 and 2 have odd codes, -1 and -2 too
P3109 = ("binary8p3se", "binary8p3sf", "binary8p3ue", "binary8p3uf")
PARITY = """\
Even and odd are the codes. Of two neighbours one is even and one odd, except in a codebook:
where both are even, or both odd, the one nearer to zero counts as even and the other as odd. So
it is in `Codebook([0, 1, 3, 2, -4, -1, -3, -2])` between 1 (code 1) and 2 (code 3), and between
-1 (code 5) and -2 (code 7):"""
P3109_TEXT = """\
The [Interim Report](https://github.com/P3109/Public) of the IEEE working group P3109, version
4.0.3 of 1 September 2026, defines nine rounding modes (4.7.4): NearestTiesToEven is
`nearest_even`, NearestTiesToAway `nearest_away`, TowardZero `toward_zero`, TowardPositive
`upward`, TowardNegative `downward`, ToOdd `to_odd`, and StochasticA, B and C are `stochastic_a`
(or `stochastic`), `stochastic_b` and `stochastic_c`. Its three saturation modes (4.7.5) are
these policies:"""
SAT_NONE_TEXT = """\
Under SatNone overflow and infinities become NaN in a finite format, and so do negative values in
an unsigned one; only modes that round toward zero there give the largest or lowest value. `ieee`
differs in `to_odd`, which stops at a largest value that has an odd code, as round-to-odd does in
IEEE 754's formats. In P3109 the finite signed and the extended unsigned formats have such a
largest value:"""
OVF_INF_TEXT = """\
Reports up to 3.2 have OvfInf in place of SatNone: the same in extended signed formats, and
SatFinite in finite ones."""


def show(x: float) -> str:
    """Return a value with six digits."""
    return "NaN" if np.isnan(x) else f"{x:.6g}"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; cells may have any character."""
    lines = [[cell.replace("|", "\\|") for cell in line] for line in (head, *rows)]
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


def parity_table() -> str:
    """Show the modes that ask for parity, between two neighbours with odd codes."""
    modes = [mf.Rounding(mode) for mode in ("nearest_even", "nearest_odd", "to_odd")]
    values = [sign * x for sign in (1, -1) for x in (1.25, 1.5, 1.75)]
    rows = (
        [f"`{mode}`", *(show(mf.round_to(x, BOOK, rounding=mode)) for x in values)]
        for mode in modes
    )
    return table(["mode", *map(show, values)], rows)


def to_odd_table() -> str:
    """Show to_odd at the ends of the four kinds of P3109 formats, under the two policies."""
    inputs = {name: x for name, x in INPUTS.items() if name != "NaN"}
    rows = (
        [
            f"`{fmt}`",
            f"`{policy}`",
            *(rounded(x, fmt, policy, "raise", "to_odd") for x in inputs.values()),
        ]
        for fmt in P3109
        for policy in ("ieee", "sat_none")
    )
    return table(["format", "`overflow=`", *inputs], rows)


def p3109_table() -> str:
    """Say which of our policies is which of P3109's, for each kind of format."""
    kinds = ["extended, signed", "finite, signed", "extended, unsigned", "finite, unsigned"]
    either = "`saturate`, `saturate_finite`"
    but_to_odd = "`sat_none`; `ieee` but for `to_odd`"
    rows = [
        ["SatFinite", "`saturate`", either, "`saturate`", either],
        ["SatPropagate", "`saturate_finite`", either, "`saturate_finite`", either],
        ["SatNone", "`sat_none`, `ieee`", but_to_odd, but_to_odd, "`sat_none`, `ieee`"],
    ]
    return table(["P3109", *kinds], rows)


def rounded(x: float, fmt: str, overflow: str, nan: str, rounding: str = "nearest_even") -> str:
    """Return the rounded value, or the word error."""
    try:
        return show(mf.round_to(x, fmt, overflow=overflow, nan=nan, rounding=rounding))
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
        "What each rounding mode and each policy gives, as the library computes it "
        "(`python -m docs.generators.policies` prints this page, and a test compares them).",
        "## Rounding",
        "Values of `e2m2` between 1 (code 4), 1.25 (code 5) and 1.5 (code 6), and their negatives.",
        rounding_table(),
        "The stochastic modes (`stochastic`, `stochastic_b`, `stochastic_c`, `stochastic_equal`) "
        "take either neighbour; `minifloat.Rounding` states the probabilities.",
        PARITY,
        parity_table(),
    ]
    for policy in mf.Overflow:
        parts += [f"## `overflow={policy.value!r}`", overflow_table(policy)]
    parts += [
        "## IEEE P3109",
        P3109_TEXT,
        p3109_table(),
        SAT_NONE_TEXT,
        to_odd_table(),
        OVF_INF_TEXT,
    ]
    parts += ["## `nan=`", "A format that has NaN keeps it under every policy.", nan_table()]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    print(page(), end="")

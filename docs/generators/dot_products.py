"""Print docs/numerics_dot_products.md: errors of dot products, from the records of the study.

python -m docs.generators.dot_products > docs/numerics_dot_products.md
"""

from __future__ import annotations

import textwrap
from functools import cache

from analysis.numerics.dot_products import (
    ALONE,
    DATA,
    ERROR,
    INTERVAL,
    NORMAL,
    POSITIVE,
    STAGNATION,
    agrees,
    exponent,
    units,
)
from analysis.numerics.draws import means
from analysis.records import Row, Rows
from docs.generators.policies import table
from paper_figures.studies import saved

SHOWN = (256, 4096, 16384)
LEAST = 512  # products of the criterion


@cache
def records() -> tuple[Rows, dict[tuple[str, str, int], Row]]:
    """Return all records, and the mean errors."""
    rows = saved("dot_products")
    return rows, {(m["sums"], m["data"], m["at"]): m for m in means(rows, ERROR)}


def error(sums: str, data: str, at: int) -> str:
    """Return a mean error, and the theory behind it if there is one."""
    mean = records()[1][sums, data, at]
    theory = "" if mean["theory"] is None else f" ({mean['theory']:.1e})"
    return f"{mean['mean']:.1e} ± {mean['error']:.0e}{theory}"


def lengths() -> str:
    """Return the table of errors."""
    rows = [
        [
            f"`{name}`",
            *(error(name, POSITIVE, at) for at in SHOWN),
            error(name, NORMAL, 4096),
            stagnation(name),
        ]
        for name in (*units(), *ALONE)
    ]
    head = [f"0 to 1: {at} products" for at in SHOWN]
    return table(["sums", *head, "normals: 4096 products", "stagnates at"], rows)


def stagnation(name: str) -> str:
    """Return the length at which sums stop to grow."""
    own = [row for row in records()[0] if (row["quantity"], row["sums"]) == (STAGNATION, name)]
    found = sorted({row["measured"] for row in own if row["measured"] is not None})
    theory = own[0]["theory"]
    if not found:
        return "-"
    return " to ".join(f"{length:g}" for length in found[:: len(found) - 1 or 1]) + (
        f" ({theory:g})" if theory is not None else ""
    )


def intervals() -> str:
    """Return the table of promotion."""
    found = means(records()[0], INTERVAL)
    rows = []
    for at in sorted({mean["at"] for mean in found}):
        cells = {mean["data"]: mean for mean in found if mean["at"] == at}
        theory = {POSITIVE: f" ({cells[POSITIVE]['theory']:.1e})"}
        rows.append(
            [
                f"{at}",
                *(
                    f"{cells[data]['mean']:.2e} ± {cells[data]['error']:.0e}{theory.get(data, '')}"
                    for data in DATA
                ),
            ]
        )
    return table(["products", *DATA], rows)


def powers() -> str:
    """Return the table of fitted exponents."""
    rows = []
    for sums in ("float32", "bfloat16", "bfloat16:stochastic", "float16", "float16:stochastic"):
        fits = (exponent(records()[0], sums, data) for data in DATA)
        rows.append([f"`{sums}`", *(f"{fit.mean:.2f} ± {fit.standard_error:.2f}" for fit in fits)])
    return table(["sums", *DATA], rows)


def verdict() -> str:
    """Return for how many means the criterion of the theory holds, and the others."""
    own = [m for m in records()[1].values() if m["theory"] is not None and m["at"] >= LEAST]
    others = [mean for mean in own if not agrees(mean)]
    names = ", ".join(
        f"`{m['sums']}` at {m['at']} ({m['mean']:.1e}, theory {m['theory']:.1e})" for m in others
    )
    return f"holds for {len(own) - len(others)} of {len(own)} means, not for {names}"


def findings() -> str:
    """Return what it shows, in words."""
    return "\n".join(
        textwrap.fill(
            " ".join(text.split()),
            100,
            initial_indent="- ",
            subsequent_indent="  ",
            break_on_hyphens=False,
        )
        for text in (
            f"""For positive numbers a unit that cuts toward zero loses a share that grows with the
            length, always in the same direction. Hopper's E4M3 loses
            {percent("hopper/e4m3fn/float32", 4096)} at 4096 products (computed elsewhere: 7.46 %),
            and
            {percent("hopper/e4m3fn/float32", 16384)} at 16384. Blackwell, which keeps 25 bits
            instead of 13, loses a part in a million at 4096.""",
            """With both signs the sum stays small, cut errors cancel, and Hopper's FP8 loses 0.2 %
            of normals. What a test with normals shows is then no bound for attention weights or
            squares, which are positive.""",
            """Promotion every 128 products, as DeepSeek-V3 does it, brings 7.5 % down to 0.055 %:
            the error of a sum of 128 products, whatever the whole length. Every doubling of the
            interval costs a factor of two to five.""",
            """A sum stagnates when its products fall below what it keeps: bfloat16 at 1024
            products, float16 at 8192, Hopper's FP8 at 16384 to 32768.""",
            f"""Stochastic rounding has no such end. Its error grows as the square root of the
            length for signed numbers, and for positive ones until the products are far smaller
            than the gap; then it stops at {percent("bfloat16:stochastic", 16384)} in bfloat16,
            where rounding to nearest loses {percent("bfloat16", 16384)}. At 64 products, long
            before stagnation, rounding to nearest loses {percent("bfloat16", 64)} and stochastic
            rounding {percent("bfloat16:stochastic", 64)}.""",
            f"""Adding in pairs is worth more than bits: bfloat16 in pairs loses
            {percent("bfloat16/order=pairwise", 4096)} at 4096 products, float16 one by one
            {percent("float16", 4096)}.""",
            f"The criterion of the theory {verdict()}; there few sums lose anything at all.",
        )
    )


def page() -> str:
    """Return the whole page."""
    return f"""\
# Errors of dot products

How much a long dot product loses in a matrix unit or an accumulator, measured and predicted.
`python -m analysis.numerics dot_products` measures, and `analysis/numerics/dot_products.py` has the
theory and the criteria; [Numerics](numerics.md) has the other studies. Errors are those of the sums
alone, operands being rounded first: root mean squares over 32 dot products, relative to the sums.
They are means over 8 draws of operands, ± their standard error; in brackets, what the theory says.
It has no free constant, but it was mended once: its first form took variances of gap^2 / 12, which
a first run showed to be too large for FP8 and for stochastic rounding of small products.

![Errors against the length and against the interval of promotion](figures/dot_products.png)

## What it shows

{findings()}

## Errors by length

{lengths()}

A dash in the last column: the sum still grows at 65536 products (8192 with stochastic rounding).

## The interval of promotion

Errors of 4096 products in `hopper/e4m3fn/float32`, whose sum is added to a float32 sum after every
so many products; computed elsewhere for 4096 and 128, without error bars: 7.46e-2 and 5.54e-4
(0 to 1), 1.33e-3 and 1.26e-4 (normals), 1.18e-3 and 1.05e-4 (-1 to 1).

{intervals()}

## How errors grow

The power of the length, fitted to 16 to 16384 products; 0.5 is the square root.

{powers()}
"""


def percent(sums: str, at: int) -> str:
    """Return the error for positive numbers."""
    return f"{100 * records()[1][sums, POSITIVE, at]['mean']:.2g} %"


if __name__ == "__main__":
    print(page(), end="")

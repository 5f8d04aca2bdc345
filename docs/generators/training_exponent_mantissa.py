"""The part of docs/training.md on exponent against mantissa: right for some seeds or all."""

from __future__ import annotations

from analysis.published.scaling_law import DELTA, NU
from analysis.records import Rows
from analysis.statistics import Estimate
from analysis.training import exponent_mantissa_losses as splits
from docs.generators.policies import table
from docs.generators.training_records import number
from paper_figures.style import title

INTRO = """\
## Exponent against mantissa

Every ExMy of 3 to 8 bits in the forward pass, in blocks of 32 with exact scales. The counterpart is
the scaling law of arXiv 2501.02423: at one size and one number of tokens a format costs
k log2(B) / ((E + 1/2)^delta (M + 1/2)^nu). It rounds the backward pass, too, which is not rounded
here. Beside its form stands ours, a power of the exact error of a format on Gaussian numbers, which
beyond E = 3 does not become smaller with more exponent bits. What depends on the sizes of model and
data cannot be seen at one size (`analysis.training.exponent_mantissa`). The model has 0.2 million
weights and reads 250,000 bytes; ± is one standard error over seeds. Splits are not told apart if
the difference of their losses is within two standard errors over seeds."""
PICTURE = "Costs of all splits by exponent bits, and against the exact error"
BARS = (
    "Bars are two standard errors over seeds; the grey curve is the power of the exact error, "
    "fitted."
)
FORMS = {"law": "the published law's", "ours": "power of the exact error"}


def answer(rows: Rows) -> list[str]:
    """Return the tables of splits and blocks, the fits, and the verdicts."""
    found = {
        cell: (Estimate.of(list(runs.values())), len(runs))
        for cell, runs in splits.excesses(rows).items()
    }

    def at(cell: splits.Cell) -> str:
        return number(*found[cell]) if cell in found else ""

    exponents = range(1, max(splits.WIDTHS))
    by_split = [
        [str(bits), *(at(splits.Cell(e, bits - 1 - e, splits.BLOCK)) for e in exponents)]
        for bits in splits.WIDTHS
    ]
    blocks = sorted({*splits.OTHER_BLOCKS, splits.BLOCK})
    by_block = [
        [title(name), *(at(splits.Cell.of(name, block)) for block in blocks)]
        for name in splits.IN_OTHER_BLOCKS
    ]
    parts = [
        "What a format costs over float32, in bits per byte, by its exponent bits:",
        table(["bits", *(f"E{e}" for e in exponents)], by_split),
        "and by the block:",
        table(["format", *map(str, blocks)], by_block),
    ]
    verdicts = splits.verdicts(rows)
    if verdicts:
        parts += [
            "The best split of each width, beside the optimum of the published law:",
            table(
                ["bits", "lowest", "not told apart from it", "published", "it is behind by"],
                [
                    [str(v.bits), title(v.lowest), ", ".join(map(title, v.tied)) or "none",
                     title(v.published), behind(v)]
                    for v in verdicts
                ],
            ),
            best_of_five(verdicts),
        ]  # fmt: skip
    return [*parts, *fitted(splits.fits(rows))]


def behind(verdict: splits.Verdict) -> str:
    """Return by how much the published optimum is behind the lowest split."""
    if verdict.published == verdict.lowest:
        return "it is the lowest"
    return number(verdict.behind, 2, sign=False)


def best_of_five(verdicts: list[splits.Verdict]) -> str:
    """Return whether E2M2 is the best split of five bits."""
    five = next((v for v in verdicts if v.bits == 5), None)
    if five is None:
        return "Five bits are not complete yet."
    if five.lowest == "e2m2":
        if not five.tied:
            return "**At five bits E2M2 is the best here**, as published."
        others = ", ".join(map(title, five.tied))
        return f"**At five bits E2M2 is the lowest here**, but not told apart from {others}."
    if "e2m2" in five.tied:
        return (
            f"**At five bits E2M2 is not told apart here** from {title(five.lowest)}, the lowest."
        )
    return (
        f"**At five bits E2M2 is not the best here**: {title(five.lowest)} is, by "
        f"{number(five.behind, 2, sign=False)} bits per byte."
    )


def fitted(fits: dict[str, splits.Fit]) -> list[str]:
    """Return the fitted forms, with their intervals of 95 %."""
    if not fits:
        return []
    published = {"delta": f"{DELTA:.2f}", "nu": f"{NU:.2f}"}
    lines = []
    for form, fit in fits.items():
        for name, (value, half) in fit.parameters.items():
            same = ""
            if name in published:
                same = "agrees" if splits.agrees(fit, name) else "differs"
            lines.append(
                [FORMS[form], f"`{name}`", f"{value:.2f} ± {half:.2f}", published.get(name, ""),
                 same]
            )  # fmt: skip
    law, ours = fits["law"].misfit, fits["ours"].misfit
    better = "The law's form fits better" if law < ours else "Our form fits better"
    return [
        "The forms, fitted, with 95 % intervals:",
        table(["form", "number", "ours", "published", "verdict"], lines),
        f"{better}: its mean weighted square is {min(law, ours):.2f}, that of the other "
        f"{max(law, ours):.2f}.",
    ]

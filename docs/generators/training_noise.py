"""The part of docs/training.md on noise in place of rounding: right for some seeds or all."""

from __future__ import annotations

from analysis.records import Rows
from analysis.statistics import Estimate
from analysis.training import noise_losses as noises
from analysis.training.noise_laws import SOURCES, noise_bits
from docs.generators.policies import table
from docs.generators.training_records import number
from minifloat.quantization.recipes import Recipe

INTRO = """\
## Noise in place of rounding

Does noise on the weights in training do what their rounding does, so that it prepares them for a
format? That is the claim of pseudo-quantization training (arXiv 2505.11170). Weights are rounded to
nearest (`rounded`), left as they are (`none`), or get noise with the variance of the rounding
error, which is exact for Gaussian numbers: Gaussian noise (`gaussian`); the rounding error of other
Gaussian numbers (`law`); noise over the distance between the values of the format beside the weight
(`cell`); the paper's own (`pqt`, a rounded Gaussian number times 2^(1 - b_t) and the block's
largest magnitude; the formula is from memory, with b_t fixed: ours); and Gaussian noise that does
not change from step to step (`frozen`).

Each trained model is validated three times: with weights as in training (*the same*), *unrounded*,
and *rounded*. A source differs from rounding by the criteria if the difference, of runs with the
same seed, is beyond 0.01 and two standard errors over seeds; ± is one. The ratio is the squared
rounding error of the trained weights over the exact one. Stability over billions of tokens, which
the paper claims too, cannot be seen here: the model has 0.2 million weights and reads 250,000 bytes
(`analysis.training.noise`)."""
PICTURE = "What noises cost beside rounding"
BARS = "Bars are two standard errors over seeds."
KINDS = {
    "training": "in training", "own": "validation, the same", "plain": "validation, unrounded",
    "rounded": "validation, rounded",
}  # fmt: skip


def answer(rows: Rows) -> list[str]:
    """Return the table of noises, and which differ from rounding."""
    lines, differing, whole = [], [], False
    for row in noises.table(rows):
        mine = row["source"] == noises.ROUNDED
        whole |= row["runs"] > 1
        cells = []
        for name in noises.LOSSES:
            mean = Estimate(row[name], row[f"{name}_error"])
            mark = "*" * row[f"{name}_differs"]
            cells.append(number(mean, row["runs"], sign=not mine) + mark)
            if mark and row["source"] in SOURCES:
                differing.append(f"{row['source']} ({KINDS[name]}, {row['recipe']})")
        lines.append([f"`{row['recipe']}`", row["source"], *cells, f"{row['ratio']:.3f}"])
    heads = ["recipe", "weights in training", *(KINDS[name] for name in noises.LOSSES), "ratio"]
    bits = ", ".join(f"{noise_bits(Recipe.parse(r)):.2f} for `{r}`" for r in noises.RECIPES)
    parts = [
        "Losses with rounding in training, and by how much those with other weights are above "
        "them, in bits per byte; `*` differs by the criteria:",
        table(heads, lines),
        f"PQT's b_t that has the variance of the rounding error is {bits}.",
    ]
    if whole:
        said = "; ".join(differing) or "none, by the criteria"
        parts.append(f"Noises that differ from rounding here: {said}.")
        parts.append(prepares(noises.table(rows)))
    return parts


def prepares(lines: Rows) -> str:
    """Return whether PQT's noise prepares weights for a format as rounding in training does."""

    def worse_with(source: str) -> dict[str, bool]:
        return {
            line["recipe"]: bool(line["rounded_differs"] and line["rounded"] > 0)
            for line in lines
            if line["source"] == source
        }

    found, unprepared = worse_with("pqt"), worse_with(noises.NONE)
    worse = [recipe for recipe, is_worse in found.items() if is_worse]
    if not found:
        return "Whether pseudo-quantization training prepares weights is not measured yet."
    if worse:
        names = ", ".join(worse)
        return f"Not as published, `pqt` prepares weights worse than rounding does: {names}."
    if unprepared and not any(unprepared.values()):
        return (
            "Weights that got nothing in training (`none`) lose no more by rounding, either: a "
            "model of this size in its first phase needs no preparation, so that the paper's claim "
            "is neither confirmed nor denied."
        )
    return "As published, `pqt` prepares weights for rounding, here no worse than rounding does."

"""The parts of docs/training.md on studies whose records grow: right for some seeds or all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from textwrap import fill

from analysis.published.scaling_law import DELTA, NU
from analysis.records import Rows
from analysis.statistics import Estimate
from analysis.training import after_training_losses as after
from analysis.training import exponent_mantissa_losses as splits
from analysis.training import many_widths_losses as widths
from analysis.training import noise_losses as noises
from analysis.training.noise_laws import SOURCES, noise_bits
from analysis.training.samplings import WIDTHS
from docs.generators.policies import table
from docs.generators.training_records import number, so_far
from minifloat.quantization.recipes import Recipe
from paper_figures.style import title

FIGURES = Path(__file__).parents[1] / "figures"
NOT_YET = "Its records are not there yet."


def section(study: str, words: Callable[[Rows], list[str]], rows: Rows | None = None) -> str:
    """Return a section of the page: what the study asks, and its answer so far.

    Parameters
    ----------
    study : str
        Of `analysis.training`.
    words : callable
        Returns the parts of the answer.
    rows : list of dict, optional
        Default the saved records, if they are there.
    """
    if rows is None:
        rows = so_far(study)
    state = seeds(rows) if rows else NOT_YET
    answer = words(rows) if rows else []
    if (FIGURES / f"{study}.png").exists():
        answer += [f"![{PICTURES[study]}](figures/{study}.png)", BARS[study]]
    return "\n\n".join([INTROS[study], state, *map(wrapped, answer)])


def wrapped(part: str) -> str:
    """Return a paragraph in lines of at most 100 letters; tables and pictures as they are."""
    if part.startswith(("|", "!")):
        return part
    return fill(part, 100, break_long_words=False, break_on_hyphens=False)


def sections() -> list[str]:
    """Return all sections."""
    return [section(study, words) for study, words in WORDS.items()]


def seeds(rows: Rows) -> str:
    """Return how many seeds there are, and whether the last one has all runs of the first.

    Examples
    --------
    >>> seeds([{"seed": 0}, {"seed": 0}, {"seed": 1}])
    'Seeds: 2, the last one in part.'
    """
    counts = Counter(row["seed"] for row in rows)
    part = len(set(counts.values())) > 1
    return f"Seeds: {len(counts)}" + ", the last one in part" * part + "."


def exponent_mantissa(rows: Rows) -> list[str]:
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


FORMS = {"law": "the published law's", "ours": "power of the exact error"}


def noise(rows: Rows) -> list[str]:
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


KINDS = {
    "training": "in training", "own": "validation, the same", "plain": "validation, unrounded",
    "rounded": "validation, rounded",
}  # fmt: skip


def many_widths(rows: Rows) -> list[str]:
    """Return the table of what widths lose, and the comparisons of sharing and sampling."""
    found = widths.table(rows)
    lines = []
    for kind in dict.fromkeys((loss.family, loss.sharing, loss.sampling) for loss in found):
        mine = {loss.width: loss for loss in found if (loss[:3]) == kind}
        cells = [
            number(mine[w].loss, mine[w].runs) + "*" * (mine[w].words in ("loses", "gains"))
            if w in mine
            else ""
            for w in WIDTHS
        ]
        lines.append([*kind, *cells])
    if not lines:
        return []
    parts = [
        "By how much a width's loss is above that of its dedicated run, in bits per byte; `*` is "
        "beyond the criteria:",
        table(["formats", "weights", "sampling", *(f"{w} bits" for w in WIDTHS)], lines),
    ]
    compared = [
        f"{name}: {number(mean, 2)} over all widths, {number(low, 2)} at 3 bits"
        for name, one, other in COMPARED
        if (mean := widths.difference(rows, one, other, WIDTHS)) is not None
        and (low := widths.difference(rows, one, other, WIDTHS[:1])) is not None
        and mean.standard_error > 0
    ]
    if compared:
        parts.append("Differences, in bits per byte: " + "; ".join(compared) + ".")
    said = [
        f"{claim}: {verdict(mean)}"
        for claim, one, other in PUBLISHED
        if (mean := widths.difference(rows, one, other, WIDTHS)) is not None
        and mean.standard_error > 0
    ]
    if said:
        parts.append("Published, and what is seen here over all widths: " + "; ".join(said) + ".")
    judged = [loss for loss in found if loss.words]
    if judged:
        parts.append(f"Widths that lose by the criteria: {'; '.join(losing(judged))}.")
    return parts


def losing(found: list[widths.Loss]) -> list[str]:
    """Return, for each kind of shared weights, how many widths lose beside their own runs."""
    kinds = dict.fromkeys((loss.family, loss.sharing) for loss in found)
    texts = []
    for family, sharing in kinds:
        mine = [loss.words for loss in found if (loss.family, loss.sharing) == (family, sharing)]
        texts.append(f"{family}, {sharing}, {mine.count('loses')} of {len(mine)}")
    return texts


def verdict(difference: Estimate) -> str:
    """Return whether a lower loss, which is published, is seen.

    Examples
    --------
    >>> verdict(Estimate(-0.03, 0.01)), verdict(Estimate(0.001, 0.01))
    ('agrees', 'not told apart here')
    """
    if abs(difference.mean) <= 2 * difference.standard_error:
        return "not told apart here"
    return "agrees" if difference.mean < 0 else "the opposite here"


PUBLISHED = (  # by LLM-QFA
    (
        "balanced sampling is better than uniform",
        ("exmy", "shared", "balanced"), ("exmy", "shared", "uniform"),
    ),
    (
        "parts of each width are better than shared weights alone",
        ("exmy", "low rank", "whole"), ("exmy", "shared", "whole"),
    ),
)  # fmt: skip
COMPARED = (
    ("ExMy minus integers", ("exmy", "shared", "whole"), ("integers", "shared", "whole")),
    ("balanced minus uniform, ExMy", ("exmy", "shared", "balanced"), ("exmy", "shared", "uniform")),
    (
        "balanced minus uniform, integers",
        ("integers", "shared", "balanced"), ("integers", "shared", "uniform"),
    ),
    ("low-rank parts minus none", ("exmy", "low rank", "whole"), ("exmy", "shared", "whole")),
    ("decoupled minus shared", ("exmy", "decoupled", "whole"), ("exmy", "shared", "whole")),
)  # fmt: skip


def after_training(rows: Rows) -> list[str]:
    """Return the table of methods, and whether aware training beats GPTQ."""
    lines, said, costs = [], [], []
    for line in after.table(rows):
        name = line.recipe.partition("/")[0]
        cells = [
            number(line.over_plain[m], line.runs) for m in (after.NEAREST, after.GPTQ, after.AWARE)
        ]
        recovered = [line.recovered(method) for method in (after.GPTQ, after.AWARE)]
        parts = ["" if part is None else f"{100 * part:.0f} %" for part in recovered]
        lines.append([title(name), *cells, number(line.difference, line.runs), *parts])
        if line.words:
            costs.append(line.over_plain[after.NEAREST].mean / line.between_seeds)
            size = abs(line.difference.mean) / line.between_seeds
            said.append(
                f"{title(name)}: {line.words} (the difference is {size:.2f} standard deviations "
                "between seeds)"
            )
    heads = [
        "format", "nearest", "GPTQ", "aware", "aware minus GPTQ", "GPTQ takes back",
        "aware takes back",
    ]  # fmt: skip
    parts = [
        "Losses of validation over those of the run that rounds nothing, in bits per byte:",
        table(heads, lines),
    ]
    if said:
        parts.append(
            f"Quantization-aware training, in {'; in '.join(said)}. Published of Gemma 3 in four "
            f"bits: it takes back {100 * after.PUBLISHED_RECOVERED:.0f} % of what rounding to "
            "nearest costs in perplexity."
        )
        if max(costs) < 1:
            parts.append(
                f"Rounding to nearest itself costs {min(costs):.2f} to {max(costs):.2f} standard "
                "deviations between seeds here: two trainings differ more than a model and its "
                "rounded self, so that training with rounding has little to win."
            )
    return parts


INTROS = {
    "exponent_mantissa": """\
## Exponent against mantissa

Every ExMy of 3 to 8 bits in the forward pass, in blocks of 32 with exact scales. The counterpart is
the scaling law of arXiv 2501.02423: at one size and one number of tokens a format costs
k log2(B) / ((E + 1/2)^delta (M + 1/2)^nu). It rounds the backward pass, too, which is not rounded
here. Beside its form stands ours, a power of the exact error of a format on Gaussian numbers, which
beyond E = 3 does not become smaller with more exponent bits. What depends on the sizes of model and
data cannot be seen at one size (`analysis.training.exponent_mantissa`). The model has 0.2 million
weights and reads 250,000 bytes; ± is one standard error over seeds. Splits are not told apart if
the difference of their losses is within two standard errors over seeds.""",
    "noise": """\
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
(`analysis.training.noise`).""",
    "many_widths": """\
## One training, many widths

Can one training serve several widths? Weights of 3 to 6 bits are trained together, beside a
*dedicated* run for each width on as many bytes. `shared`: codes of six bits are rounded again to
fewer, integers (`integers`) or E2M3 down to E2M0 (`exmy`), after Double Rounding and arXiv
2502.06786; `low rank`: the same, with two thin matrices for each width; `decoupled`: weights for
each width (both after LLM-QFA, arXiv 2405.20202). In a step all layers have one width (`whole`),
each has its own (`uniform`), or each has one near a mean that moves from few bits to many and back
(`balanced`, LLM-QFA's, whose schedule could not be read: ours).

A width loses, or gains, by the criteria if its difference to the dedicated run with the same seed
is beyond 0.01 and two standard errors over seeds; ± is one. The model has 0.2 million weights and
reads 250,000 bytes. The published methods begin with trained models; these begin with random
weights, so that a width's fewer steps weigh more (`analysis.training.many_widths`).""",
    "after_training": """\
## Quantization-aware training or GPTQ

Does it pay to round weights in training (`aware`), or is it enough to round them afterwards, to
nearest or by GPTQ (arXiv 2210.17323), which rounds each weight so as to make up for the errors of
those before it, as the layer's inputs weigh them (here of training text)? Blocks of 32 have exact
scales. Two methods are told apart if the difference of their losses with the same seed is beyond
two standard errors over seeds; ± is one. *Takes back* is the part of the cost of rounding to
nearest that a method avoids, given where that cost is clear of the errors. The model has 0.2
million weights and reads 500,000 bytes: it is far from the end of its training, where rounding may
cost more (`analysis.training.after_training`).""",
}
PICTURES = {
    "exponent_mantissa": "Costs of all splits by exponent bits, and against the exact error",
    "noise": "What noises cost beside rounding",
    "many_widths": "What each width loses beside its own run",
    "after_training": "What three ways to few bits cost",
}
ERRORS = "Bars are two standard errors over seeds"
BARS = {
    "exponent_mantissa": f"{ERRORS}; the grey curve is the power of the exact error, fitted.",
    "noise": f"{ERRORS}.",
    "many_widths": f"{ERRORS}.",
    "after_training": f"{ERRORS}; the grey band is one standard deviation between seeds.",
}
WORDS: dict[str, Callable[[Rows], list[str]]] = {
    "exponent_mantissa": exponent_mantissa,
    "noise": noise,
    "many_widths": many_widths,
    "after_training": after_training,
}

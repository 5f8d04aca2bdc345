"""The part of docs/training.md on aware training or GPTQ: right for some seeds or all."""

from __future__ import annotations

from analysis.records import Rows
from analysis.training import after_training_losses as after
from docs.generators.policies import table
from docs.generators.training_records import number
from paper_figures.style import title

INTRO = """\
## Quantization-aware training or GPTQ

Does it pay to round weights in training (`aware`), or is it enough to round them afterwards, to
nearest or by GPTQ (arXiv 2210.17323), which rounds each weight so as to make up for the errors of
those before it, as the layer's inputs weigh them (here of training text)? Blocks of 32 have exact
scales. Two methods are told apart if the difference of their losses with the same seed is beyond
two standard errors over seeds; ± is one. *Takes back* is the part of the cost of rounding to
nearest that a method avoids, given where that cost is clear of the errors. The model has 0.2
million weights and reads 500,000 bytes: it is far from the end of its training, where rounding may
cost more (`analysis.training.after_training`)."""
PICTURE = "What three ways to few bits cost"
BARS = (
    "Bars are two standard errors over seeds; the grey band is one standard deviation between "
    "seeds."
)


def answer(rows: Rows) -> list[str]:
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

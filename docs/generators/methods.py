"""Print docs/methods.md: all methods against all at equal bits, from the records of the study.

python -m docs.generators.methods > docs/methods.md
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from analysis.methods import table as study
from analysis.methods.contenders import ALLOCATED, BEST, FINEST, METHODS, REFERENCE
from analysis.methods.mixed_precision import LEVELS
from analysis.methods.subjects import PARTS
from analysis.methods.table_losses import FEW, MANY, Table
from analysis.statistics import Estimate
from docs.generators.policies import table
from paper_figures.studies import saved

BUDGETS = sorted(study.ORDER)
UNITS = {"SmolLM2-135M": (1.0, 3), "MiniLM-L6-v2": (1000.0, 2)}  # factor and digits of a loss

INTRO = """\
# Methods at equal bits

Which way of quantizing weights loses least within a budget? Here all matrices of a model are
quantized by one method to {budgets} bits per weight, with scales, zero points,
tables and flags counted, and never more. Codes have the whole bits, and all else shares the
quarter: blocks of 64 with float16 scales, of 32 with scales of 8 bits (UE5M3), and so on.

- `E2My` is the ExMy format of two exponent bits as wide as the codes: E2M0, E2M1, E2M2. In blocks
  of 128 it takes an eighth of a bit less than the others.
- `mse`: scales of least squared error, else absmax.
- `rotated`: by a random-sign Hadamard matrix of 64 inputs ([rotations](rotations.md)).
- `GPTQ`: with the inputs of calibration texts.
- A normal codebook is the best one for normal weights in blocks under their best scales: one for
  all matrices, as NF4 is. Fitted codebooks are of each matrix, tables of a few rows
  ([fitted grids](fitted_grids.md)).
- `nested`: the top bits of E2M4 codes; the budget counts the bits that are read.
- `act order`: GPTQ takes the most important inputs first; `refined`: codes and scales are moved one
  by one until nothing lowers the error ([rounding by layer](rounding_by_layer.md)).
- Several parts: factors of inputs ([SmoothQuant, AWQ](equalization.md)), the largest weights apart
  and SpQR ([outliers](outliers.md)), sorted columns, thin matrices beside codes of a bit less
  ([low rank](low_rank.md)). What these take, blocks or codes have less.
- `allocated`: each matrix has a budget of its own, {levels} bits, so that the
  mean keeps the budget and the sum of what each does alone, measured on calibration text, is least
  ([allocate](allocation.md)).

```python
>>> import numpy as np
>>> from analysis.methods.bit_budgets import counted
>>> from analysis.methods.contenders import BEST, METHODS
>>> from analysis.methods.subjects import Inputs
>>> from analysis.methods.table import decibels
>>> rng = np.random.default_rng(0)
>>> w = rng.standard_t(5, (128, 256)).astype(np.float32)
>>> x = rng.standard_normal((999, 256)) @ (np.eye(256) + rng.standard_normal((256, 256)) / 32)
>>> inputs = Inputs.of(x.astype(np.float32))
>>> for name in ("E2My", BEST):
...     q = METHODS[name](w, inputs, 4.25)
...     print(f"{{counted(q)}} bits, {{decibels(w, q.dequantize(), inputs.gram):.1f}} dB  {{name}}")
4.25 bits, 19.0 dB  E2My
4.25 bits, 23.4 dB  GPTQ, rotated normal codebook, 8-bit scales, mse

```

The error of outputs is on test inputs: how far it lies below the outputs in dB, the mean over all
matrices and its standard error. The loss is what is added to that of the unchanged model on {parts}
parts of each of two texts: for SmolLM2 in nats per token, for MiniLM 1 - cosine to its own
embeddings, in thousandths. Its error is of the parts and of the draws: of the order of inputs,
hence of rotations and of what shares a scale. Its matrices are all, embeddings among them, but
MiniLM's two rows of token types.

The criteria stand in the docstring of `analysis.methods.table`, and were written before measuring.
`python -m analysis.methods table --csv docs/data/methods/table.csv` takes hours, and goes on where
the file ends. A new method is a function and a line in `analysis.methods.contenders`. The main
methods were measured on [speech](speech_models.md) and [images](image_models.md), too."""

FIGURE = """\
![Loss of two models against bits per weight, by method](figures/methods.png)

Methods of one kind stand above each other. The line connects what loses least. Bars are two
standard errors. E2M2/128 is plain E2M2 in 5.125 bits.
(`python -m paper_figures --only methods`.)"""

GPTQ, REFINED = "GPTQ, E2My, mse", "GPTQ, act order, refined, E2My, mse"
STEPS = {
    "scales of least squared error, for absmax (E2My)": ("E2My, mse", "E2My"),
    "8-bit scales of 32, for float16 of 64 (E2My, mse)": ("E2My, 8-bit scales, mse", "E2My, mse"),
    "INT blocks as a choice (E2My, mse)": ("E2My or INT, mse", "E2My, mse"),
    "the normal codebook, for E2My": (
        "normal codebook, 8-bit scales, mse", "E2My, 8-bit scales, mse",
    ),
    "a rotation, of the normal codebook": (
        "rotated normal codebook, 8-bit scales, mse", "normal codebook, 8-bit scales, mse",
    ),
    "a rotation, of INT": ("rotated INT, mse", "INT, mse"),
    "GPTQ, of the rotated normal codebook": (BEST, "rotated normal codebook, 8-bit scales, mse"),
    "GPTQ, of E2My": ("GPTQ, E2My, mse", "E2My, mse"),
    "a rotation, of GPTQ with the normal codebook": (
        BEST, "GPTQ, normal codebook, 8-bit scales, mse",
    ),
    "a rotation, of GPTQ with E2My": ("GPTQ, rotated E2My, mse", "GPTQ, E2My, mse"),
    "the normal codebook and 8-bit scales, of GPTQ with rotated E2My": (
        BEST, "GPTQ, rotated E2My, mse",
    ),
    "act order, of GPTQ with E2My": ("GPTQ, act order, E2My, mse", "GPTQ, E2My, mse"),
    "descent on codes and scales, after that": (
        REFINED, "GPTQ, act order, E2My, mse",
    ),
    "act order and descent, of GPTQ with the rotated normal codebook": (FINEST, BEST),
    "AWQ's factors and clipping (E2My)": ("AWQ, clipped, E2My", "E2My"),
    "SmoothQuant's factors (E2My, mse)": ("SmoothQuant, E2My, mse", "E2My, mse"),
    "the largest weights apart (E2My, mse)": ("largest apart, E2My, mse", "E2My, mse"),
    "the largest weights apart, of GPTQ": ("GPTQ, largest apart, E2My, mse", "GPTQ, E2My, mse"),
    "sorted columns, of GPTQ": ("GPTQ, sorted columns, E2My, mse", "GPTQ, E2My, mse"),
    "thin matrices beside narrower codes, of GPTQ": (
        "GPTQ, low rank and narrower codes", "GPTQ, INT, mse",
    ),
    "an allocated budget, of the best": (f"allocated {BEST}", BEST),
    "all together, for E2My": (f"allocated {BEST}", "E2My"),
}  # fmt: skip

STEPS_INTRO = """\
## What each step is worth

How much less is lost by a step alone, in the same bits: the error of outputs in dB, and what goes
of the loss, in per cent of it; **more** and **less** where that is beyond two errors of the paired
difference."""

VERDICT = """\
## What is worth its bits

In {few} bits SmolLM2 loses {best} nats per token by GPTQ of a rotated normal
codebook, a third of what plain E2M2 in blocks of 128 loses in 5.125 bits ({yardstick}).
In {many} bits it loses {wide}: {percent} % of perplexity.

What brings it there, for MiniLM in 4.25 bits: **GPTQ**, by far, which takes more than half of the
loss, and no bits, but inputs of calibration texts (here of the same books as the test's) and some
0.6 s per million weights, six times as long as searched scales. With GPTQ a **rotation** takes a
fifth of what E2M1 loses and nearly half of what the normal codebook does; it costs a fast transform
of the inputs in each product. That **codebook with 8-bit scales** takes a third of what is left
then, and is read from a table, where E2M1 has hardware. An **allocated budget** takes another
third; half of MiniLM's weights are word embeddings, which bear fewer bits. Of SmolLM2's loss it
takes nothing: its sensitivities are those of E2M1 by rounding to nearest, and that they are not
those of rotated matrices by GPTQ is our guess at the reason.

**Act order and descent** on codes and scales ([rounding by layer](rounding_by_layer.md)) bring E2M1
by GPTQ from {plain_gptq} to {refined} nats on SmolLM2, so in {few} bits it loses
less than plain E2M2 in 5.125. To the rotated normal codebook they add nothing, and in {many} bits
it loses more with them, {finest}: our guess is that they fit the calibration texts.

Rounded to nearest the same steps are worth less: for MiniLM in {few} bits 8 to 16 % each, about
what other orders of the inputs move a loss by (a standard deviation of {share} %). **AWQ's factors
and clipping** take a quarter there and more than half of SmolLM2's loss, but less than GPTQ does.
**INT as a choice** of each block, the **largest weights apart** and **sorted columns** bring
nothing, and **thin matrices** beside codes of a bit less lose much more.
Decibels of the outputs do not decide: the normal codebook without a rotation is ahead of E2M1 by
them, and not in the loss.

- Where no method of a model and budget was drawn twice, errors are those of the parts alone, which
  are too small. Empty cells are not measured yet.
- SmolLM2 comes in 4 bits (Q4_1, with a lowest value and a step for each 32), which is its own
  reference. Integers with zero points in just its blocks would reproduce it; here they have others.
- The mean in dB is over matrices, whatever their size: of an allocated budget it says little, since
  the many small matrices get the bits."""

DRAWS = """\
## Draws

The losses of methods that were drawn more than once, at most {count} times: with the inputs of each
matrix in other orders, which changes what shares a scale, GPTQ's order and the rotations."""

AIMS = """\
## Two aims

Aim 1 is a loss within {few} bits no larger than that of plain E2M2 in blocks of 128 in 5.125 bits
({yardstick} nats per token here). Aim 2 is a perplexity within 3 % of the unchanged model's in
{many} bits, a loss of 0.030. Each on both texts of SmolLM2, by two errors: reached, missed, or
open."""


def page() -> str:
    """Return the whole page."""
    rows = saved("table", "methods")
    tables = {model: Table(rows, model) for model in UNITS}
    intro = INTRO.format(
        budgets=_listed(BUDGETS),
        levels=_listed(LEVELS),
        parts=PARTS,
    )
    parts = [intro, FIGURE]
    for model, found in tables.items():
        heads = [f"{bits}: {what}" for bits in BUDGETS for what in ("dB", "loss")]
        parts += [f"## {model}", table(["method", *heads], _methods(found))]
    parts += [STEPS_INTRO, table(["step", *_columns(tables)], _steps(tables))]
    smollm2 = tables[next(iter(UNITS))]
    if (REFERENCE, MANY) in smollm2.losses:
        yardstick = _shown(smollm2.loss(REFERENCE, MANY), smollm2.model)
        parts.append(AIMS.format(few=FEW, many=MANY, yardstick=yardstick))
        parts.append(table(["method", "aim 1", "aim 2", *_texts(smollm2)], _aims(smollm2)))
        parts.append(_verdict(tables, yardstick))
    parts.append(DRAWS.format(count=study.DRAWS))
    parts.append(table(["model", "method", "bits", "loss of each draw"], _draws(tables)))
    return "\n\n".join(parts) + "\n"


def _verdict(tables: dict[str, Table], yardstick: str) -> str:
    found, other = tables.values()
    wide = found.loss(BEST, MANY)
    return VERDICT.format(
        few=FEW,
        many=MANY,
        best=_shown(found.loss(BEST, FEW), found.model),
        yardstick=yardstick,
        wide=_shown(wide, found.model),
        plain_gptq=_shown(found.loss(GPTQ, FEW), found.model),
        refined=_shown(found.loss(REFINED, FEW), found.model),
        finest=_shown(found.loss(FINEST, MANY), found.model),
        percent=f"{100 * math.expm1(wide.mean):.1f}",
        share=f"{100 * math.sqrt(other.share_of_draws(FEW)):.0f}",
    )


def _listed(numbers: Sequence[float]) -> str:
    *first, last = map(str, numbers)
    return f"{', '.join(first)} or {last}"


def _methods(found: Table) -> Iterator[list[str]]:
    for method in (*METHODS, *ALLOCATED):
        cells = []
        for budget in BUDGETS:
            if (method, budget) in found.losses:
                outputs = found.decibels(method, budget)
                cells.append(f"{outputs.mean:.1f} ± {outputs.standard_error:.1f}")
                cells.append(_shown(found.loss(method, budget), found.model))
            else:
                cells += ["", ""]
        if any(cells):
            yield [method, *cells]


def _shown(loss: Estimate, model: str) -> str:
    factor, digits = UNITS[model]
    return f"{factor * loss.mean:.{digits}f} ± {factor * loss.standard_error:.{digits}f}"


def _columns(tables: dict[str, Table]) -> list[str]:
    return [f"{model}, {budget}" for model in tables for budget in BUDGETS]


def _steps(tables: dict[str, Table]) -> Iterator[list[str]]:
    for name, (one, other) in STEPS.items():
        cells = []
        for found in tables.values():
            for budget in BUDGETS:
                pair = [(one, budget), (other, budget)]
                if not all(key in found.losses for key in pair):
                    cells.append("")
                    continue
                lead = found.lead(one, other, budget)
                whole = found.loss(other, budget).mean / 100
                verdict = ""
                if abs(lead.mean) > 2 * lead.standard_error:
                    verdict = " **less**" if lead.mean > 0 else " **more**"
                decibels = found.decibels_lead(one, other, budget).mean
                cells.append(
                    f"{decibels:+.1f} dB, {-lead.mean / whole:+.0f} ± "
                    f"{lead.standard_error / whole:.0f} %{verdict}"
                )
        yield [name, *cells]


def _texts(found: Table) -> list[str]:
    texts = next(iter(found.losses.values()))
    return [f"{text}, {budget}" for budget in (FEW, MANY) for text in texts]


def _aims(found: Table) -> Iterator[list[str]]:
    for method in (*METHODS, *ALLOCATED):
        if all((method, budget) in found.losses for budget in (FEW, MANY)):
            losses = [
                found.loss(method, budget, text)
                for budget in (FEW, MANY)
                for text in found.losses[method, budget]
            ]
            yield [method, *found.aims(method), *(_shown(loss, found.model) for loss in losses)]


def _draws(tables: dict[str, Table]) -> Iterator[list[str]]:
    for model, found in tables.items():
        factor, digits = UNITS[model]
        for method, budget in found.losses:
            draws = factor * found.draws(method, budget)
            if len(draws) > 1:
                shown = ", ".join(f"{draw:.{digits}f}" for draw in draws)
                yield [model, method, f"{budget}", shown]


if __name__ == "__main__":
    print(page(), end="")

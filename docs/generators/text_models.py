"""Print docs/text_models.md: what recipes cost a language model and an encoder of sentences.

python -m docs.generators.text_models > docs/text_models.md
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

import minifloat as mf
from analysis.claims import activations, embeddings, measures, text
from analysis.claims.figures import Figure, figure, verdict
from analysis.claims.recipes import NAMES, OWN_OFFSET, PAIR, recipe, title
from analysis.methods.contenders import ALLOCATED, BEST, FINEST
from analysis.methods.contenders import REFERENCE as YARDSTICK
from analysis.methods.table_losses import Table
from analysis.models import minilm, smollm2
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


def page() -> str:
    """Return the page."""
    return "\n\n".join([intro(), *smollm2_parts(), *minilm_parts(), *others()]) + "\n"


def intro() -> str:
    """Return what is measured, and how to measure it again."""
    return """\
# Models of text

What recipes of weights cost [SmolLM2 and MiniLM](models.md), whose embeddings are quantized too.
Weights are rounded to nearest, in blocks of 128 with a float16 absmax scale if nothing else is
said. [What the verdicts mean](models.md#what-the-verdicts-mean) has the criteria; they were fixed
before the measurements. Formats race within a width.

    python -m analysis.claims text --csv FILE          # an hour; goes on where FILE ends
    python -m analysis.claims embeddings --csv FILE    # 15 minutes, likewise
    python -m analysis.claims activations --csv FILE   # 8 minutes, likewise
    python -m analysis.claims measures --csv FILE      # 5 minutes, likewise
    python -m docs.generators.text_models              # this page, from docs/data/claims

A grouping puts the input channels into blocks in another order: one draw of the rounding errors.
**A ± is half of an interval of 95 %**, by Student's quantile, of the larger of two errors, which
the tables show, too: the standard error over items, and the standard deviation over groupings. So
it holds for a model in any one grouping. What is known of the mean over groupings is better: the
column *of the mean* is half of its interval, with both errors in it. A recipe with a scale for each
row has no groupings. Others with one grouping have the error over items alone, a lower bound; leads
of theirs are not judged."""


def smollm2_parts() -> Iterable[str]:
    """Yield what SmolLM2 loses."""
    rows = saved("text", "claims")
    pair, other = (_counts(rows, name) for name in (E2M2, "nf5/128/float16"))
    own = math.fsum(r[text.NATS] for r in rows if r["recipe"] == REFERENCE) / sum(
        r["recipe"] == REFERENCE for r in rows
    )
    yield f"""\
## SmolLM2

The design is nested: each grouping is measured on {2 * text.EACH} chunks of {smollm2.CHUNK} tokens
that no other grouping has, half of them of the King James Bible, half of Python's help. E2M2 and
INT5 have {pair[1]} chunks in {pair[0]} groupings, NF5 has {other[1]} in {other[0]}. The deviation
over groupings has the error of their own chunks in it, and is an upper estimate. The
shipped model, called fp32, has {own:.3f} nats per token: perplexity {math.exp(own):.1f}.
{_done(rows, text.cases())}"""
    yield lossless_table(rows, text.NATS, text.DIVERGENCE, text.LIMITS, "nats per token over fp32")
    yield how_many_bits(rows, text.LIMITS, "text by this model")
    yield leads(rows, text.NATS, "nats per token")
    yield f"""\
- By the loss, {lead_sentence(rows, text.NATS, "nats per token")}
- By the divergence, {lead_sentence(rows, text.DIVERGENCE, "nats")}"""


def minilm_parts() -> Iterable[str]:
    """Yield what MiniLM's embeddings lose."""
    rows = saved("embeddings", "claims")
    groupings, passages = _counts(rows, E2M2)
    yield f"""\
## MiniLM

The design is crossed: {groupings} groupings on the same {passages} passages, half of each text. The
nearest neighbour of a passage is among the others of its text.
{_done(rows, embeddings.cases())}"""
    yield lossless_table(
        rows, embeddings.TURNED, embeddings.CHANGES, embeddings.LIMITS, "1 - cosine to fp32"
    )
    yield how_many_bits(rows, embeddings.LIMITS, "embeddings of sentences")
    yield leads(rows, embeddings.TURNED, "1 - cosine")
    yield f"""\
- By the cosine, {lead_sentence(rows, embeddings.TURNED, "of 1 - cosine")}
- By the neighbours, {lead_sentence(rows, embeddings.CHANGES, "of all")}"""


def lossless_table(
    rows: Rows, metric: str, second: str, limits: Mapping[str, float], called: str
) -> str:
    """Return the table of all recipes that have records, by width."""
    head = [
        "weights", "bits", "groupings", "items", called, "over items", "over groupings",
        "of the mean", second, "nearly lossless?",
    ]  # fmt: skip
    lines = []
    for name in _ordered(rows):
        found, beside = (figure(rows, one, name, REFERENCE) for one in (metric, second))
        groupings, items = _counts(rows, name)
        lines.append([
            title(name), f"{bits(name):.3f}", str(groupings), str(items), with_half(found),
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
    have, lines = set(_ordered(rows)), []
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
    verdicts = {name: verdict(rows, name, limits) for name in _ordered(rows)}
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


def others() -> Iterable[str]:
    """Yield methods, activations and measures."""
    yield methods_part()
    yield activations_part()
    yield measures_part()


def methods_part() -> str:
    """Return what GPTQ, the best methods and mixed precision do, from the table of methods."""
    rows = saved("table", "methods")
    lines = []
    for model in (smollm2.MODEL, minilm.MODEL):
        losses = Table(rows, model)
        for method in METHODS:
            for budget in (4.25, 5.25):
                if (method, budget) in losses.losses:
                    found = losses.loss(method, budget)
                    lines.append([
                        model, method, f"{budget:g}", str(len(losses.draws(method, budget))),
                        f"{digits(found.mean, sign=True)} ± {digits(2 * found.standard_error)}",
                        _word(found.mean, 2 * found.standard_error)
                        if model == smollm2.MODEL else "",
                    ])  # fmt: skip
    head = ["model", "method", "bits", "groupings", "over fp32", "nearly lossless?"]
    return f"""\
## GPTQ, the two best methods, mixed precision

At equal bits, everything counted, from the records of [the table of methods](methods.md): nats per
token of SmolLM2 and 1 - cosine of MiniLM, on 24 parts of each text. These take minutes for a model,
so they have one to three groupings. A ± is two errors of the mean, over parts and groupings; where
there is one grouping its deviation is that of other methods. *Allocated* is mixed precision: each
matrix gets 2.25 to 6.25 bits, so that the model loses least within the mean.

{table(head, lines)}"""


def activations_part() -> str:
    """Return what activations, caches and a unit add."""
    rows = saved("activations", "claims")
    have = {row["recipe"] for row in rows}
    lines = []
    for case in activations.CASES:
        if case.name not in have or case.name == REFERENCE:
            continue
        whole = figure(rows, text.NATS, case.name, REFERENCE)
        added = figure(rows, text.NATS, case.name, case.weights) if case.setting.name else None
        apart = figure(rows, text.DIVERGENCE, case.name, case.weights) if added else None
        lines.append([
            title(case.weights), case.setting.activations or "float32",
            case.setting.cache or "float32", case.setting.unit or "float32",
            str(whole.freedom + 1), with_half(whole), with_half(added) if added else "",
            with_half(apart) if apart else "", _word(added.mean, added.half) if added else "",
        ])  # fmt: skip
    head = [
        "weights", "activations", "cache", "sums", "chunks", "nats per token over fp32",
        "over the same weights", "rise of the divergence", "nearly lossless?",
    ]  # fmt: skip
    return f"""\
## Activations, caches, a matrix unit

SmolLM2 with the inputs of all matrices, or keys and values, in recipes of their own. The weights
have one grouping, the order of the file, which both sides of a difference share; the ± of 95 % is
over chunks. INT8 activations of E2M2 and INT4 weights are multiplied as integers
(`minifloat.linear`, `activations=`); others are rounded and multiplied in float32. Keys are in
blocks along tokens, values along channels ([caches](key_value_cache.md)). The unit is the emulated
one of an H100 in E4M3; it also rounds inputs and weights, as the line above it does.

    python -m analysis.models --only smollm2 --recipes e2m2 --activations int8/channel/float32
    python -m analysis.models --only smollm2 --recipes e2m2 --cache e2m2/32/float16
    python -m analysis.models --only smollm2 --chunks 2 --unit hopper/e4m3fn/float32

{table(head, lines)}"""


def measures_part() -> str:
    """Return how well measures rank the damage."""
    rows, measured = saved("text", "claims"), saved("measures", "claims")
    lines = []
    for called, width in (("all widths", None), ("5 bits", 5)):
        for row in measures.correlations(measured, rows, width):
            line = [called, row["measure"], str(row["cases"])]
            for kind in ("loss", "divergence"):
                line.append(
                    f"{row[kind]:.2f} ({row[f'{kind} low']:.2f} to {row[f'{kind} high']:.2f})"
                )
                ends = row[f"{kind} lead low"], row[f"{kind} lead high"]
                better = "better" if ends[0] > 0 else "worse" if ends[1] < 0 else ""
                line.append("" if row["measure"] == measures.RMS else better)
            lines.append(line)
    head = ["recipes", "measure", "cases", "loss", "than rms", "divergence", "than rms"]
    return f"""\
## Which measure ranks the damage

Spearman's correlation between a measure of the error of SmolLM2's weights and what it does to the
model, over recipes and groupings. In brackets is the interval of 95 % over resampled recipes.
Where nothing stands beside an interval, the lead over the rms error is not resolved. Within a width
rms error misleads: asymmetric INT5 has less of it than E2M2, and full-range INT5 hardly more.

{table(head, lines)}"""


def bits(name: str) -> float:
    """Return bits per weight in rows of 576 weights, as most of SmolLM2's are."""
    return mf.quantize(np.ones((576, 576), np.float32), recipe(name)).bits_per_weight


def with_half(found: Figure) -> str:
    """Return a mean and half of its interval."""
    return f"{digits(found.mean, sign=True)} ± {digits(found.half)}"


def digits(value: float | None, *, sign: bool = False) -> str:
    """Return a number to five places if it is small, else to four."""
    if value is None:
        return ""
    places = 5 if abs(value) < 0.01 else 4
    return f"{value:{'+' if sign else ''}.{places}f}"


def _word(mean: float, half: float) -> str:
    """Return whether an increase of nats per token is nearly lossless."""
    limit = text.LIMITS[text.NATS]
    if mean - half > limit:
        return "no"
    return "yes" if mean + half <= limit else "open"


def _ordered(rows: Rows) -> list[str]:
    """Return the recipes that rows have, from many bits to few."""
    have = {row["recipe"] for row in rows}
    names = [name for name in NAMES if name in have]
    return sorted(names, key=lambda name: -recipe(name).fmt.bits)


def _done(rows: Rows, cases: list[text.Case]) -> str:
    """Return how much of a study is measured."""
    done = len({text.case_of(row) for row in rows})
    return f"Measured are {done} of the {len(cases)} cases of the study, the most important first."


def _counts(rows: Rows, name: str) -> tuple[int, int]:
    """Return how many groupings and different items a recipe has."""
    own = [row for row in rows if row["recipe"] == name]
    return len({row["grouping"] for row in own}), len({row["item"] for row in own})


if __name__ == "__main__":
    print(page(), end="")

"""Print docs/text_models.md: what recipes cost a language model and an encoder of sentences.

python -m docs.generators.text_models > docs/text_models.md
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from analysis.claims import activations, embeddings, measures, text, text_speed
from analysis.claims.figures import figure
from analysis.claims.recipes import title
from analysis.models import minilm, smollm2
from analysis.models.evaluation import REFERENCE
from analysis.records import Rows
from docs.generators.claims import (
    E2M2,
    counts,
    how_many_bits,
    lead_sentence,
    leads,
    lossless_table,
    methods_table,
    speed_table,
    with_half,
    word,
)
from docs.generators.policies import table
from paper_figures.studies import saved

SPEED = f"""\
## Speed

SmolLM2 writes {text_speed.TOKENS} tokens, one after another, beside what a user would pick on a
CPU, in one run in turns (`python -m analysis.claims text_speed`): llama.cpp on the same file, by
the wheel `xllamacpp`, and onnxruntime's MatMulNBits for the seven matrices of one layer. Times are
medians of {text_speed.ROUNDS} rounds; those of the CPU count all threads. Nats are of the first
chunks, without an error.

"""
COLUMNS = {
    "vectors": ("vectors", 1, 0),
    "threads": ("threads", 1, 0),
    "bits per weight": ("bits per weight", 1, 2),
    "nats": ("nats per token", 1, 3),
    "tokens per second": ("tokens per second", 1, 1),
    "cpu in ms per token": ("CPU, ms per token", 1, 1),
    "cpu of a layer in us": ("CPU, us for a layer's products", 1, 0),
}
AFTER = """

NumPy has threads of its own, so float32 has one row. onnxruntime and llama.cpp multiply integers of
4 and 8 bits by vectors of 8 bits. Ours multiplies by the matrices of one input at once
(`analysis.models.joined_llama`). Its second thread gains nothing where a token is one vector: most
matrices are too small to wake a thread for. llama.cpp's threads wait awake, and two gain half."""


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
    pair, other = (counts(rows, name) for name in (E2M2, "nf5/128/float16"))
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
    yield lossless_table(
        rows, text.NATS, text.DIVERGENCE, text.LIMITS, "nats per token over fp32", 576
    )
    yield how_many_bits(rows, text.LIMITS, "text by this model")
    yield leads(rows, text.NATS, "nats per token")
    yield f"""\
- By the loss, {lead_sentence(rows, text.NATS, "nats per token")}
- By the divergence, {lead_sentence(rows, text.DIVERGENCE, "nats")}"""


def minilm_parts() -> Iterable[str]:
    """Yield what MiniLM's embeddings lose."""
    rows = saved("embeddings", "claims")
    groupings, passages = counts(rows, E2M2)
    yield f"""\
## MiniLM

The design is crossed: {groupings} groupings on the same {passages} passages, half of each text. The
nearest neighbour of a passage is among the others of its text.
{_done(rows, embeddings.cases())}"""
    yield lossless_table(
        rows, embeddings.TURNED, embeddings.CHANGES, embeddings.LIMITS, "1 - cosine to fp32", 576
    )
    yield how_many_bits(rows, embeddings.LIMITS, "embeddings of sentences")
    yield leads(rows, embeddings.TURNED, "1 - cosine")
    yield f"""\
- By the cosine, {lead_sentence(rows, embeddings.TURNED, "of 1 - cosine")}
- By the neighbours, {lead_sentence(rows, embeddings.CHANGES, "of all")}"""


def others() -> Iterable[str]:
    """Yield methods, activations, measures and speed."""
    yield methods_part()
    yield activations_part()
    yield measures_part()
    yield SPEED + speed_table(saved("text_speed", "claims"), COLUMNS) + AFTER


def methods_part() -> str:
    """Return what GPTQ, the best methods and mixed precision do."""
    models = {smollm2.MODEL: text.LIMITS[text.NATS], minilm.MODEL: None}
    return f"""\
## GPTQ, the two best methods, mixed precision

At equal bits, everything counted, from the records of [the table of methods](methods.md): nats per
token of SmolLM2 and 1 - cosine of MiniLM, on 24 parts of each text. These take minutes for a model,
so they have one to three groupings. A ± is two errors of the mean, over parts and groupings; where
there is one grouping its deviation is that of other methods. *Allocated* is mixed precision: each
matrix gets 2.25 to 6.25 bits, so that the model loses least within the mean.

{methods_table(models, (4.25, 5.25))}"""


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
        said = word(added.mean, added.half, text.LIMITS[text.NATS]) if added else ""
        lines.append([
            title(case.weights), case.setting.activations or "float32",
            case.setting.cache or "float32", case.setting.unit or "float32",
            str(whole.freedom + 1), with_half(whole), with_half(added) if added else "",
            with_half(apart) if apart else "", said,
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


def _done(rows: Rows, cases: list[text.Case]) -> str:
    """Return how much of a study is measured."""
    done = len({text.case_of(row) for row in rows})
    if done == len(cases):
        return f"All {done} cases of the study are measured."
    return f"Measured are {done} of the {len(cases)} cases of the study, the most important first."


if __name__ == "__main__":
    print(page(), end="")

"""Print docs/outliers.md: dense and sparse, SpQR and sorted columns, and what they are worth.

python -m docs.generators.outliers > docs/outliers.md
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.methods import outliers
from analysis.records import Rows
from analysis.statistics import Estimate
from docs.generators.policies import table
from paper_figures.studies import saved

INTRO = """\
# Outliers and sorted columns

A block's scale follows its largest weight, so one large weight costs its neighbours precision. Two
ways out: the few largest weights are stored apart, or blocks are made of weights of like size. Both
give a `mf.Composite`: weights of several parts, which `mf.linear` multiplies, `mf.save` and
`mf.load` keep, and `np.asarray` dequantizes. All of it is counted.

## Dense and sparse

```python
>>> import numpy as np
>>> import minifloat as mf
>>> from minifloat import composites
>>> rng = np.random.default_rng(0)
>>> w = rng.standard_normal((256, 512)) * np.where(rng.random((256, 512)) < 0.003, 8, 1)
>>> mask = composites.largest(w, 0.003)                        # 0.3 % of the weights
>>> c = composites.split_outliers(w, "int4/128/float16", mask)
>>> c
<Composite int4/128/float16 (256, 512): 4.219 bits per weight; sparse>
>>> c.parts                                                    # bits
{'dense': 540672, 'sparse': 12385}
>>> for q in (mf.quantize(w, "int4/64/float16"), c):           # 4.25 bits, and 4.22
...     print(f"{np.mean((w - np.asarray(q)) ** 2):.4f}")
0.0282
0.0128
>>> y = mf.linear(rng.standard_normal((3, 512)), c)

```

- **Which weights.** Any array of bool; choices are joined by `|`. `largest(w, fraction)` are the
  largest weights, `largest(g**2, fraction)` the most sensitive ones by gradients, and
  `beyond_quartiles(w, 1.8)` has SqueezeLLM's threshold.
- **The rest.** Outliers are 0 for the dense part. Where errors are weighted (tables as `lut3`, the
  search `mse`), theirs do not count: `split_outliers(w, "lut3/channel", mask,
  importance=hessian.diagonal())` is SqueezeLLM's recipe, with the best table instead of k-means'.
- **With `hessian=`** the rest is rounded by `mf.gptq`, and codes at the places of outliers help to
  make up for errors. This is ours.

`composites.spqr(w, "uint3/16/ue4m2/zero-point+tensor-scale", hessian, threshold=0.2)` is SpQR: GPTQ
that looks for outliers as it goes, by what their rounding costs the layer's outputs, and finds each
block's scale without them (`help(composites.spqr)` has the rule). A lower threshold means more
outliers. Leaving out each weight of a block once takes time: 4 times that of `mf.gptq` with blocks
of 16, 8 times with 32 (576 x 576).

**The sparse part** is a matrix in compressed rows. An entry is a float16 and the *gap* to the entry
before it, in as few bits as are best for the matrix, 1 to 16; a row has its number of entries. A
gap that is too long for these bits is cut by entries of value 0, which are counted as any other. So
1 % of outliers take gaps of 7 or 8 bits, some 24 bits an outlier, or 0.24 bits a weight.

## Sorted columns

`composites.sort_columns(w, recipe)` sorts the columns by their norm (or absmax, or numbers of
yours, as `hessian.diagonal()`), so that blocks are made of like columns (K-sort). The order is
stored, in ceil(log2 inputs) bits an input: 9 bits for 512 inputs, 0.035 bits a weight here. It is
taken only if the error is smaller with it, of the weights or, with `hessian=`, of the outputs.

```python
>>> uneven = rng.standard_normal((256, 512)) * np.exp(0.5 * rng.standard_normal(512))
>>> c = composites.sort_columns(uneven, "int4/128/float16")
>>> plain = mf.quantize(uneven, "int4/96/float16")
>>> for q in (plain, c):
...     print(f"{q.bits_per_weight:.2f} {np.mean((uneven - np.asarray(q)) ** 2):.4f}")
4.19 0.0406
4.16 0.0279

```

Where both matrices of a product can be sorted, the order is free. Of keys and queries the channels
within a head can (`composites.sort_heads`); the products of both stay the same, while keys that are
quantized in blocks of channels meet their like:

```python
>>> w_key, w_query = rng.standard_normal((2, 64, 96)) * np.exp(rng.standard_normal((64, 1)))
>>> k, q, order = composites.sort_heads(w_key, w_query, 32)
>>> x = rng.standard_normal((100, 96))
>>> scores, same = (x @ w_query[:32].T) @ (x @ w_key[:32].T).T, (x @ q[:32].T) @ (x @ k[:32].T).T
>>> np.allclose(scores, same)
True

```

So can an inner width: `up[order]` and `down[:, order]` of a layer with an elementwise function
between them. With rotary embeddings pairs of channels turn together: `pairs=True` keeps them, and
the table of angles is sorted, too. An order may hurt: a block with a single large column rounds its
small ones to 0, and loses no more than them; a block of large ones loses a step for each.

## On real layers

The 8 matrices of the attention in two of MiniLM's layers, with half of the tokens for the Hessian
and the error of the outputs on the other half, at equal bits with all counted
(`analysis.methods.outliers`, which has the criteria; SpQR's base alone was chosen after
measuring). INT3 and INT4; those without outliers or an order have blocks of 32 with float16 scales,
or of 13 with scales of 6 bits ("small scales"). Gain in dB over another method: the mean over
matrices and its standard error; **helps** and **hurts** are beyond 0.1 dB and two standard
errors."""

KEYS = """\
Keys of the same two layers, in blocks of channels, with the channels of each head sorted by their
second moments. Gain in dB of the error of all scores, of each layer:"""

WORDS = """\
- **A quarter of a bit is worth 0.3 dB as the largest weights** apart, more than as scales of blocks
  half as long, where weights are rounded to nearest. After GPTQ it is worth nothing.
- By what their own rounding costs weights are a bad choice: they are not the ones that make their
  block's scale large. (Squared gradients, which SqueezeLLM has, are not measured.)
- **SpQR is no better than GPTQ with the same small scales.** It is far better than GPTQ with
  float16 scales, but that gain is one of the scales. Its threshold is the best of three that are
  tried, which leaves it up to 0.14 bits below the budget.
- Tables that know the inputs gain most without GPTQ: 3.4 dB. (At 4.5 bits rows of 384 are too short
  for their 16 values.)
- An order is worth its bits in one of 8 matrices, by 2.1 dB, and does nothing or little in the
  others. Sorting within the heads does nothing for MiniLM's keys, whose channels are alike.
- These are 8 matrices of one small model, without the outliers that large models are known for."""


def page() -> str:
    """Return the whole page."""
    rows = saved("outliers", "methods")
    heads = ["method", "over", *(f"{budget} bits" for budget in outliers.BUDGETS)]
    keys = ["keys", "bits", "gain"]
    parts = [INTRO, table(heads, _lines(rows)), KEYS, table(keys, _key_lines(rows)), WORDS]
    return "\n\n".join(parts) + "\n"


def _lines(rows: Rows) -> Iterator[list[str]]:
    [model] = {row["model"] for row in rows}
    for method, base in outliers.BASES.items():
        if method == base:
            continue
        cells = []
        for budget in outliers.BUDGETS:
            gains = outliers.gains(rows, model, budget, method, base)
            cells.append(shown(Estimate.of(gains)) if gains else "")
        yield [method, base, *cells]


def shown(gain: Estimate) -> str:
    """Return a gain, its error and the verdict."""
    verdict = outliers.verdict(gain)
    return f"{gain.mean:.2f} ± {gain.standard_error:.2f}" + f" **{verdict}**" * bool(verdict)


def _key_lines(rows: Rows) -> Iterator[list[str]]:
    [model] = {row["model"] for row in rows}
    for recipe in outliers.KEYS:
        bits = next(row["bits"] for row in rows if row["method"] == recipe)
        gains = outliers.gains(rows, model, bits, f"{recipe}, sorted", recipe)
        yield [f"`{recipe}`", f"{bits:g}", ", ".join(f"{gain:.2f}" for gain in gains)]


if __name__ == "__main__":
    print(page(), end="")

"""Print docs/low_rank.md: two thin matrices that correct quantized weights.

python -m docs.generators.low_rank > docs/low_rank.md
"""

from __future__ import annotations

from analysis.methods import low_rank
from docs.generators.policies import table
from docs.generators.rotations import name_of
from paper_figures.studies import saved

INTRO = """\
# Low-rank correction

The error of quantized weights can be corrected by a product of two thin matrices, left (outputs,
rank) and right (rank, inputs), each quantized by a recipe of its own. A layer then computes
`dense @ x + left @ (right @ x)`.

```python
>>> import numpy as np
>>> import minifloat as mf
>>> from minifloat.composites import correct_by_low_rank
>>> rng = np.random.default_rng(0)
>>> w = rng.standard_normal((128, 128), np.float32)
>>> x = rng.standard_normal((512, 8), np.float32) @ rng.standard_normal((8, 128), np.float32)
>>> x += rng.standard_normal((512, 128), np.float32)    # inputs with eight strong directions
>>> c = correct_by_low_rank(w, "int3/128/float16", bits=4.125, hessian=x.T @ x)
>>> c.bits_per_weight, c.parts                                  # a rank of 15
(4.091796875, {'dense': 51200, 'low_rank': 15840})
>>> exact = x @ w.T
>>> four = mf.quantize(w, "int4/128/float16"), mf.gptq(w, "int4/128/float16", x.T @ x)
>>> for q in (c.dense, c, *four):
...     error = np.linalg.norm(mf.linear(x, q) - exact) / np.linalg.norm(exact)
...     print(f"{-20 * np.log10(error):.1f} dB")
11.5 dB
21.9 dB
19.1 dB
26.9 dB

```

`rank=` says how many, `bits=` takes the largest rank with which all is at most so many bits per
weight, everything counted. The result is a `Composite`: `linear` multiplies by it, `save` and
`load` keep it.

The methods of the literature differ in the norm of the error that the correction makes smallest,
which `hessian=` says, and in whether the weights are quantized again, less the correction:

| method | call |
|---|---|
| LoRC (ZeroQuant-V2), LQER | `correct_by_low_rank(w, recipe, rank=8)` |
| L2QER | `correct_by_low_rank(w, recipe, rank=8, hessian=channel_scales(x)**2)` |
| the optimum for the layer's outputs | `correct_by_low_rank(w, recipe, rank=8, hessian=x.T @ x)` |
| LoftQ | `correct_by_low_rank(w, "nf4/64/float16", rank=8, rounds=5)` |
| LoRC after GPTQ | `correct_by_low_rank(w, lambda v: mf.gptq(v, recipe, x.T @ x), rank=8)` |

INT2.1 trains both matrices by gradients. For a layer's squared error no training finds a better
product than the third line, which tests compare with the bound of Eckart and Young and with
alternating least squares. `minifloat.composites.low_rank` has the formulas. With each method the
result is never worse, in its own norm, than the weights alone or fewer rounds.

The thin matrices are in 4 bits by default, so that a rank costs half of what it does in 8. The left
matrix is quantized first, and the right one is then fitted to what the left one has become.

**Time.** A round takes as long as the quantizer, and a singular value decomposition: 0.07 s for 384
x 384, 0.4 s for 576 x 1536. A whole Hessian takes 1.2 s once for 1536 inputs.

## Is a rank worth its bits?

Against more bits for each weight, at equal bits: a recipe of fewer bits gets the rank that fills it
up to the bits of the other. Twelve matrices of two layers of MiniLM and six of the first one of
SmolLM2, calibrated on half of the tokens and measured on the others. By how many dB the error of
the outputs is less than that of the other recipe: the mean over matrices and its standard error,
and the mean rank. **Worth** its bits if it is beyond 0.1 dB and two standard errors, else **not
worth** them if as far below. The first line of each contest is the recipe without a correction, in
its fewer bits (`analysis.methods.low_rank`)."""

WORDS = """\
- **After GPTQ a rank is not worth its bits.** In MiniLM more bits for each weight have 1.5 to 5.2
  dB less error, in every contest, whatever the norm; in SmolLM2 no way is worth them.
- **With rounding to nearest it may be**, in the norm of the outputs: a few strong directions of the
  inputs carry much of the error, and a rank removes what they carry. In SmolLM2's first layer that
  is worth more than the bits; in MiniLM it is about even. But GPTQ takes the same Hessian, and of
  the same bits it has 2.7 to 3.7 dB less error in MiniLM, and 1.0 to 1.7 dB in SmolLM2, than
  rounding to nearest with the best rank.
- The sum of squares (LoRC, LQER, LoftQ) is not worth its bits in MiniLM. L2QER's factors, one for
  each input, lie between that and the optimum.
- Quantizing again, for five rounds, is worth 0.3 to 0.7 dB to the optimum where weights are rounded
  to nearest, and after GPTQ nothing but at 2 bits.
- In MiniLM twice the rank in 4 bits beats a rank in 8 by 0.4 to 1.5 dB. In SmolLM2 neither is
  better beyond its error.
- The papers' gains at a given rank are there: compare with the line without a correction.
- In a matrix of more outputs and inputs a rank costs fewer bits a weight. Such models are not
  measured here."""

HOW = {"nearest": "to nearest", "gptq": "GPTQ"}


def page() -> str:
    """Return the page."""
    rows = saved("low_rank", "methods")
    found = low_rank.verdicts(rows)
    models = list(dict.fromkeys(row["model"] for row in rows))
    lines = []
    for recipe, against in low_rank.CONTESTS.items():
        for rounding, words in HOW.items():
            for way in ("none", *low_rank.WAYS):
                verdicts = [found[model, recipe, rounding, way] for model in models]
                cells = [shown(verdict) for verdict in verdicts]
                lines.append([f"{name_of(recipe)} for {name_of(against)}", words, way, *cells])
    headings = ["contest", "rounding", "correction", *models]
    return "\n\n".join([INTRO, table(headings, lines), WORDS]) + "\n"


def shown(verdict: low_rank.Verdict) -> str:
    """Return the gain, its error, the rank and the verdict."""
    gain = f"{verdict.gain.mean:.2f} ± {verdict.gain.standard_error:.2f}"
    if not verdict.rank:
        return gain
    return f"{gain} ({verdict.rank:.0f})" + (f" **{verdict.words}**" if verdict.words else "")


if __name__ == "__main__":
    print(page(), end="")

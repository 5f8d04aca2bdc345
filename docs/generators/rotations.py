"""Print docs/rotations.md: rotations in recipes, and what they do, from the records of the studies.

python -m docs.generators.rotations > docs/rotations.md
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.methods import learned_rotations, rotations
from analysis.records import Rows
from analysis.statistics import Estimate
from docs.generators.policies import table
from minifloat import Recipe
from paper_figures.studies import saved

INTRO = """\
# Rotations

A recipe may rotate weights before they become codes: each block of n neighbours along the axis is
multiplied by random signs and by a Hadamard matrix over sqrt(n). Each rotated weight is a signed
sum of all n, so an outlier is spread over its block, and costs its neighbours no precision.

```python
>>> import numpy as np
>>> import minifloat as mf
>>> rng = np.random.default_rng(0)
>>> w = rng.standard_normal((64, 256), np.float32)
>>> w[:, 7] *= 30                                    # an input with large weights
>>> for recipe in ("int4/128/float16", "int4/128/float16/hadamard128"):
...     print(f"{recipe:28s} {mf.quantize(w, recipe).sqnr(w):.1f} dB")
int4/128/float16             11.9 dB
int4/128/float16/hadamard128 22.1 dB

```

`hadamard128:7` has other signs, those of seed 7. The block of a rotation need not be that of the
scales. It is a power of two, or one times 12, 20, 28, 36 and more sizes that Paley's construction
gives, so that it may be a whole row of 384 or 576 (`help(mf.Rotation)`). It must divide the length
of the axis. A rotation takes no bits: the recipe's text has all of it.

```python
>>> q = mf.quantize(w, "int4/128/float16/hadamard128")
>>> q.bits_per_weight, q.rotation
(4.125, Rotation(size=128, seed=0))
>>> x = rng.standard_normal((3, 256), np.float32)
>>> y = mf.linear(x, q)                              # rotates x, multiplies the packed weights
>>> np.abs(y - x @ q.dequantize().T).max() < 1e-3    # dequantize rotates back
np.True_
>>> turned = mf.Rotation.parse("hadamard128").rotate(x)    # the same by hand
>>> bool((mf.linear(turned, q.stored) == y).all())
True

```

- `mf.linear`, `q @ x` and `x @ q` rotate the other factor, or the products, by a fast transform in
  float32, whose order of additions `help(mf.Rotation.rotate)` states. With `activations=` vectors
  are rotated first, and quantized then.
- `mf.gptq` rotates the Hessian as it rotates the weights. `importance` and a rotation exclude each
  other.
- `mf.save` and `mf.load` keep the rotation, as a part of the recipe's text. Layouts of other tools
  have no place for it, and refuse such weights.
- `q.stored` are the weights that the codes mean, rotated: what a kernel of yours multiplies. Rows
  can be picked (`q[rows]`) unless they lie along the axis of the rotation.

**Time.** One vector takes 1 % longer with a matrix of 4096 x 4096, 8 % with 576 x 1536 and 14 to
20 % with 576 x 576 (E2M2, one thread; a rotation takes 0.3 to 0.5 ns a number of the vector, with
Paley's matrices 0.5 to 1.4, and 5 us a call). `quantize` and `dequantize` take 3 ns a weight more.

The studies are modules of `analysis.methods`, whose docstrings have their criteria, written before
measuring: `python -m analysis.methods rotations --csv FILE`. Their records are in
`docs/data/methods`.

## On laws of weights

Weights of variance 1, drawn independently, or normal ones with an outlier in each block of 128, are
rotated by 128. Squared errors in thousandths of the mean square, measured on two million weights
(standard errors are at most 0.7 % of them), and by theory in brackets."""

THEORY = """\
- Normal weights stay normal, and their errors with them.
- INT loses most by heavy tails, and gains most: 2.8 dB (INT4) and 2.9 dB (INT5) on a Laplace law
  with blocks of 128. E2M2 gains 0.6 dB there, MXFP4 0.8 dB.
- **NVFP4 loses by rotations**, from 0.2 dB on a Laplace law to 0.9 dB with an outlier of 30 sigma,
  except on normal weights. Its blocks of 16 keep an outlier to themselves already, and E2M1 likes
  peaked laws: its values are dense near 0.
- Theory is `analysis.errors.absmax_error` with the exact law of a rotated weight
  (`analysis.errors.rotated`): a signed sum of 128, from its characteristic function. For a fixed
  scale that is exact. With absmax it takes the weights of a block as independent, which they are
  but for one dimension if there is one outlier: theory holds to 0.7 %. Of heavy-tailed laws it
  knows too little: an outlier makes all weights of its block large at the same time, so that blocks
  are *flatter* than independent weights, and INT's error is lower than theory says: by 3 to 5 % on
  Laplace and Student laws, by a third where 1 % of the weights are ten times as large. Of the
  others theory is within 0.6 % on the former, and within 7 % on the latter."""

REAL = """\
## On real layers

All 36 matrices of MiniLM's layers and 21 of SmolLM2's (every tenth layer), with inputs from two
texts. Gain in dB of the error of a matrix's outputs: the mean over matrices, its standard error,
and, in brackets, the standard deviation of that mean between three draws of the signs. A rotation
**helps** or **hurts** if the mean is beyond 0.1 dB and two standard errors, with the same sign in
each draw."""

REAL_WORDS = """\
- **INT4 and INT5 gain** wherever they are used: 0.6 to 0.9 dB with weights alone, 1.9 to 5.8 dB
  where inputs are quantized, too, whose outliers are larger. MXFP4 gains with inputs; with weights
  alone the means are as large, but its matrices do not agree.
- **NVFP4 loses** in both models, as theory says. **E2M2** gains with inputs, and loses with weights
  alone in MiniLM.
- A rotation may cost much where one input is far larger than the others and its weights are rounded
  well as they are: rotated by 64, a matrix of MiniLM has 5 dB more error with E2M2 and 7 dB with
  NVFP4, of the weights alone.
- Whole rows lose less than blocks of 64 where rotations lose in MiniLM; else the two do about as
  much, and 64 is cheaper. The signs matter little: the mean over matrices has a standard deviation
  of at most 0.07 dB between draws.
- SmolLM2 comes in 4 bits (Q4_1); its reference are the weights as shipped.

Rotations also decide between formats. By how many dB one has less error than another of as many
bits, as they are and both rotated by whole rows:"""

PAIRS = {
    "E2M2 over INT5, 5.125 bits": ("e2m2/128/float16", "int5/128/float16"),
    "MXFP4 over INT4 with its scales, 4.25 bits": ("e2m1/32/e8m0", "int4/32/e8m0"),
}

PAIRS_WORDS = """\
The lead of E2M2 over INT5 is one over outliers: without them the two are within 0.2 dB. No rotation
makes INT4 as good as NVFP4 as it is (4.125 and 4.5 bits: 2.1 to 2.4 dB)."""

LEARNED = """\
## Learned scalings and rotations

OSTQuant learns a rotation and a scaling of channels by gradients. A trial of the kind, on the 12
matrices of two layers of MiniLM (`analysis.methods.learned_rotations`): for each 64 inputs a Cayley
transform and a scaling, fitted by L-BFGS to a smooth stand-in for the error, on other tokens than
those of the measurement. Gain in dB over the random Hadamard rotation of 64, the mean over matrices
and its standard error; **beats** if it is above 0.1 dB and two standard errors, **behind** if it is
as far below."""

VERDICT = """\
- Learned rotations beat Hadamard's for INT4, most with a scaling: by 3.8 dB of the weights' error.
  But such a rotation is 64 x 64 numbers for each 64 inputs: of 16 bits, they take 1024 / outputs
  bits per weight, 2.7 where there are 384 outputs, and a bit is worth 6 dB. At equal bits they
  lose. They pay only where the matrix can be merged into the layer before, as OSTQuant does, which
  a recipe of one matrix cannot. Recipes have random rotations, which are free, and no learned ones.
- For E2M2 and NVFP4 a rotation adds nothing to a scaling, and for NVFP4 it takes away. The scaling
  alone takes 16 / outputs bits per weight (0.04 here) and is the better one of the two for both.
- OSTQuant's loss, data and models are not repeated: this is a verdict on the trial."""

QUANTIZED = {"weights": "weights", "both": "weights and inputs"}


def page() -> str:
    """Return the whole page."""
    laws, headings = _theory(saved("rotation_theory", "methods"))
    parts = [INTRO, table(headings, laws), THEORY, REAL]
    layers = saved("rotations", "methods")
    effects = rotations.effects(layers)
    models = list(dict.fromkeys(model for model, *_ in effects))
    heading = ["recipe", "bits", "quantized", "rotated", *models]
    parts += [table(heading, _real(effects, models)), REAL_WORDS]
    heads = [f"{model}, {how}" for model in models for how in ("as they are", "rotated")]
    parts += [table(["lead in dB", "quantized", *heads], _leads(layers, models)),
              PAIRS_WORDS]  # fmt: skip
    learned = saved("learned_rotations", "methods")
    names = ["none", *learned_rotations.METHODS]
    parts += [LEARNED, table(["recipe", "quantized", *names], _learned(learned, names)), VERDICT]
    return "\n\n".join(parts) + "\n"


def name_of(recipe: str) -> str:
    """Return the short name of a recipe."""
    return {"e2m1/16/e4m3fn/tensor-scale": "NVFP4", "e2m1/32/e8m0": "MXFP4"}.get(
        recipe, f"`{recipe}`"
    )


def _theory(rows: Rows) -> tuple[list[list[str]], list[str]]:
    """Return a line for each law, and the headings."""
    recipes = list(dict.fromkeys(row["recipe"] for row in rows))
    lines: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        theory = "" if row["theory"] is None else f" ({1e3 * row['theory']:.2f})"
        cell = f"{1e3 * row['measured']:.2f}{theory}"
        lines.setdefault((row["law"], row["rotated"]), {})[row["recipe"]] = cell
    return (
        [
            [law, rotated, *(cells[recipe] for recipe in recipes)]
            for (law, rotated), cells in lines.items()
        ],
        ["law", "rotated", *map(name_of, recipes)],
    )


def _real(
    effects: dict[tuple[str, str, str, str], rotations.Effect], models: list[str]
) -> Iterator[list[str]]:
    for quantized, words in QUANTIZED.items():
        for text in rotations.RECIPES:
            recipe = Recipe.parse(text)
            for size in rotations.SIZES:
                cells = [shown(effects[model, str(recipe), quantized, size]) for model in models]
                bits = f"{recipe.bits_per_weight:.4g}"
                yield [name_of(str(recipe)), bits, words, size, *cells]


def _leads(rows: Rows, models: list[str]) -> Iterator[list[str]]:
    for name, pair in PAIRS.items():
        for quantized, words in QUANTIZED.items():
            leads = [
                rotations.lead(rows, model, quantized, pair, size)
                for model in models
                for size in ("", rotations.SIZES[1])
            ]
            cells = [f"{lead.mean:.2f} ± {lead.standard_error:.2f}" for lead in leads]
            yield [name, words, *cells]


def shown(effect: rotations.Effect) -> str:
    """Return the gain, its error, the deviation between draws, and the verdict."""
    gain = f"{effect.gain.mean:.2f} ± {effect.gain.standard_error:.2f}"
    verdict = f" **{effect.verdict}**" if effect.verdict else ""
    return f"{gain} ({effect.between_draws:.2f}){verdict}"


def _learned(rows: Rows, names: list[str]) -> Iterator[list[str]]:
    for quantized, words in QUANTIZED.items():
        for recipe in dict.fromkeys(row["recipe"] for row in rows):
            cells = []
            for name in names:
                gain = gain_of(rows, recipe, quantized, name)
                verdict = ""
                if abs(gain.mean) > max(0.1, 2 * gain.standard_error):
                    verdict = " **beats**" if gain.mean > 0 else " **behind**"
                cells.append(f"{gain.mean:.2f} ± {gain.standard_error:.2f}{verdict}")
            yield [name_of(recipe), words, *cells]


def gain_of(rows: Rows, recipe: str, quantized: str, method: str) -> Estimate:
    """Return the mean gain of a method over Hadamard's rotation."""
    key = (recipe, quantized, method)
    return Estimate.of(
        [row["gain"] for row in rows if (row["recipe"], row["quantized"], row["method"]) == key]
    )


if __name__ == "__main__":
    print(page(), end="")

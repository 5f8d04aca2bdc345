"""Print docs/equalization.md: factors, biases and scales of layers, and what they do.

python -m docs.generators.equalization > docs/equalization.md
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.methods import equalization
from analysis.records import Rows
from analysis.statistics import Estimate
from docs.generators.policies import table
from minifloat import Recipe
from paper_figures.studies import saved

INTRO = """\
# Equalization

A layer computes y = W x. What is large among its inputs, weights or channels can be moved to where
a format keeps it at less cost, and the outputs stay the same. These verbs of `minifloat.composites`
find out how far, from inputs that the layer gets:

| verb                  | method                     | bits a weight |
|-----------------------|----------------------------|---------------|
| `smooth`              | SmoothQuant, with a search | 16 / outputs  |
| `activation_aware`    | AWQ, and its clipping      | 16 / outputs  |
| `equalize_layers`     | cross-layer equalization   | none          |
| `correct_bias`        | bias correction, empirical | 32 / inputs   |
| `clipped_normal_mean` | the same, analytic         | 32 / inputs   |
| `shift_exponents`     | LLM-FP4's exponent biases  | E / outputs   |
| `power_of_two_ratios` | ZeroQuant-FP's M2          | none          |
| `cast_exponents`      | its cast of FP4 to FP8     | as FP8        |

## Factors of inputs

`smooth` and `activation_aware` return a `Composite`: weights that were multiplied by a factor for
each input before they became codes. `mf.linear` divides inputs by them.

```python
>>> import numpy as np
>>> import minifloat as mf
>>> from minifloat import composites
>>> rng = np.random.default_rng(0)
>>> w, x = rng.standard_normal((2, 256, 256), np.float32)
>>> x[:, 7] *= 50                                             # an outlier among the inputs
>>> def error(c: mf.Quantized | mf.Composite) -> float:       # of the outputs, relative
...     return round(float(np.linalg.norm(mf.linear(x, c) - x @ w.T) / np.linalg.norm(x @ w.T)), 3)
>>> recipe = "int4/128/float16"
>>> q = mf.quantize(w, recipe)
>>> smooth, aware = composites.smooth(w, x, recipe), composites.activation_aware(w, x, recipe)
>>> clipped = composites.activation_aware(w, x, recipe, clip=True)
>>> [error(c) for c in (q, smooth, aware, clipped)]
[0.126, 0.053, 0.053, 0.047]
>>> smooth
<Composite int4/128/float16 (256, 256): 4.188 bits per weight; input factors>

```

- `activations="int4/128/float16"` searches for factors where inputs are quantized, too: by blocks
  along the last axis, and rotated as the weights are.
- A recipe with a rotation works: the factors come before it, and are searched with it.
- `damp=0.01` rounds by GPTQ, whose Hessian becomes that of the inputs over the factors.
- On the inputs of the search no result is worse than the recipe alone: where no factors gain, there
  are none. The factors are values of float16.
- To fold factors into the layer before (the weights of a norm, say) divide its outputs by
  `c.input_factors`, and keep `c.dense` alone: then they take no bits. Matrices that share inputs
  can share factors: join them by rows.
- `mf.save` and `mf.load` keep composites; `c.bits_per_weight` counts all.

## Neighbouring layers, and the bias

`equalize_layers` divides rows of weights (and their bias) and multiplies columns of the next ones,
where nothing but a ReLU or a product stands between. Scales of single rows do not see factors of
their rows, so with blocks along the inputs the second matrix is what changes.

```python
>>> first, second = [[8.0, 4.0], [1.0, 0.5]], [[0.5, 1.0]]
>>> (first, second), _ = composites.equalize_layers([first, second])
>>> first.tolist(), second.tolist()
([[2.0, 1.0], [1.0, 0.5]], [[2.0, 1.0]])

```

`correct_bias` adds the mean error of the outputs to the bias. It needs inputs, or their mean:
`clipped_normal_mean` has that of a ReLU after a batch norm.

```python
>>> x = np.maximum(rng.standard_normal((100, 256)) + 1, 0)
>>> q = mf.quantize(w, "int3/128/float16")
>>> c = composites.correct_bias(w, q, x)
>>> mean = composites.clipped_normal_mean(np.ones(256), np.ones(256))
>>> analytic = composites.correct_bias(w, q, mean)
>>> error(q), error(c), error(analytic)
(0.249, 0.167, 0.168)

```

## Exponents

`shift_exponents` searches for real-valued exponent biases of E2M1 (scales) of rows and of the
inputs in turn, 100 of each in three rounds. Each input has a power of two, so that small inputs are
not rounded to few values; it goes into the exponents of the weights, whose codes are wider then,
and have no error.

```python
>>> w, x = rng.standard_normal((2, 16, 64))
>>> x[:, 3] *= 16
>>> p = composites.shift_exponents(w, x)                      # E2M1, one scale for all inputs
>>> p.shifts[:6].tolist(), round(p.input_scale, 2)
([3, 3, 3, 0, 3, 3], 3.15)
>>> wide = p.folded("e4m3fn")                                 # a composite: saved, multiplied
>>> bool((np.asarray(wide) == np.asarray(p.weights)).all())
True

```

`power_of_two_ratios` makes the scales of each group of rows differ by powers of two, and then
`cast_exponents` makes FP8 of FP4 by adding to exponents:

```python
>>> q = composites.power_of_two_ratios(w, "e2m1/16/float16", rows=4)
>>> wide = composites.cast_exponents(q, "e5m2", rows=4)
>>> wide
<Quantized e5m2/4x64/float16 (16, 64): 8.062 bits per weight, axis 1>
>>> bool((wide.dequantize() == q.dequantize()).all())
True

```

## On real layers

The 12 matrices of every third layer of MiniLM and the 14 of every fifteenth of SmolLM2. Methods
saw inputs from two texts, and the error of the outputs was measured on other tokens of them. Gain
in dB over the recipe alone, the mean over matrices and its standard error. **Helps** and **hurts**
are verdicts at equal bits: 6.02 dB are taken off for each bit that a method takes, and what is left
must be beyond 0.1 dB and two standard errors (`python -m analysis.methods equalization`, whose
docstring has the criteria; records in `docs/data/methods`). "mse, weighted" is
`mf.quantize(w, recipe, search="mse", importance=mean squares of the inputs)`."""

WORDS = """\
- **Weights alone.** AWQ with its clipping gains most of what has factors: 0.9 to 2.0 dB in MiniLM,
  2.4 to 3.4 dB in SmolLM2. Factors alone gain 0.2 to 0.7 dB in MiniLM, which is about what their
  bits are worth there, unless they are folded. A search for scales with weighted errors takes no
  bits, and gains more than factors with clipping do with E2M2 and NVFP4 (less with INT).
- **Inputs quantized, too.** Here factors pay: AWQ's gain INT4 and INT5 1.8 dB in MiniLM and 5 to 6
  dB in SmolLM2, where single inputs are large; E2M2 less, and NVFP4 least, whose blocks of 16 keep
  an outlier to themselves. In SmolLM2, and with INT in MiniLM, factors and a rotation gain more
  together than either alone with INT and E2M2; with NVFP4 a rotation adds next to nothing.
- AWQ's factors, of means of inputs, are a little better than SmoothQuant's, and in the mean a
  search for the strength is better than 1/2.
- **The bias** takes off 0.5 dB in MiniLM, whose layers have one, so that it is free, and 2 dB in
  SmolLM2, where inputs have large means; less where inputs are quantized.
- **Cross-layer equalization** loses on the two pairs of each model (two matrices are few for an
  error bar): equal ranges of columns are not small errors of outputs.
- GPTQ had 256 tokens here, fewer than some matrices have inputs: take its gain as a lower bound.
  AWQ's factors on top of it gain 0.3 dB in MiniLM and nothing in SmolLM2."""

EXPONENTS = """\
### Exponent biases and powers of two

E2M1 with a scale for each row, inputs in E2M1 with one scale for all tokens: gain over the scales
of absmax. And E2M1 in blocks of 128, weights alone: gain over float32 scales that are free."""


LAST = """\
- The search for biases gains 1.6 to 2.0 dB over absmax, the shifts 6 dB more: one scale for all
  inputs is what they repair.
- M1 costs 1.5 to 1.8 dB, and M2 twice as much or more: it rounds scales down, and the largest
  weights of all blocks but one saturate. Small groups do not help; a row has several blocks
  already. What M2 buys is the cast."""


def on_layers(rows: Rows) -> Iterator[str]:
    """Yield a table for each model and what is quantized, with a line before it."""
    whole, net = (equalization.gains(rows, net=net) for net in (False, True))
    methods = [*equalization.METHODS, *equalization.GPTQ_METHODS, "cross-layer"]
    for quantized, words in (("weights", "weights"), ("both", "weights and inputs")):
        for model in dict.fromkeys(row["model"] for row in rows):
            lines = []
            for method in methods:
                keys = [(model, quantized, recipe, method) for recipe in equalization.RECIPES]
                if any(key in whole for key in keys):
                    lines.append([method, *(cell(whole.get(key), net.get(key)) for key in keys)])
            yield f"**{model}**, {words} quantized:"
            yield table(["gain in dB", *map(shown, equalization.RECIPES)], lines)


def of_exponents(rows: Rows) -> str:
    """Return the table of exponent biases and of powers of two."""
    whole, net = (equalization.gains(rows, net=net) for net in (False, True))
    models = list(dict.fromkeys(row["model"] for row in rows))
    others = (equalization.BIASES, equalization.POWERS)
    every = dict.fromkeys(
        (row["quantized"], row["recipe"], row["method"]) for row in rows if row["recipe"] in others
    )
    lines = [
        [key[2], *(cell(whole[model, *key], net[model, *key]) for model in models)] for key in every
    ]
    return table(["gain in dB", *models], lines)


def shown(recipe: str) -> str:
    """Return a recipe's name, and its bits."""
    name = "NVFP4" if recipe == "nvfp4" else f"`{recipe}`"
    return f"{name}, {Recipe.parse(recipe).bits_per_weight:g} bits"


def cell(gain: Estimate | None, net: Estimate | None) -> str:
    """Return a gain with its error and verdict; "" where it was not measured."""
    if gain is None or net is None:
        return ""
    said = equalization.verdict(net)
    return f"{gain.mean:.2f} ± {gain.standard_error:.2f}" + (f" **{said}**" if said else "")


def page() -> str:
    """Return the whole page."""
    rows = saved("equalization", "methods")
    parts = [INTRO, *on_layers(rows), WORDS, EXPONENTS, of_exponents(rows), LAST]
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"


if __name__ == "__main__":
    print(page(), end="")

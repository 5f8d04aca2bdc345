"""Print docs/allocation.md: a recipe for each tensor, and which sensitivity to give it.

python -m docs.generators.allocation > docs/allocation.md
"""

from __future__ import annotations

from analysis.methods.sensitivities import RECIPES, rank_correlations
from analysis.records import Rows
from docs.generators.policies import table
from minifloat import Recipe
from paper_figures.studies import saved

INTRO = """\
# Allocate: a recipe for each tensor

A model has tensors that bear narrow codes and tensors that do not. `minifloat.allocate` gives each
tensor one of several recipes, so that the whole keeps a budget and the sum of the losses is the
least that any choice has.

```python
>>> import numpy as np
>>> import minifloat as mf
>>> rng = np.random.default_rng(0)
>>> tensors = {
...     "query": rng.standard_normal((64, 256)).astype("f4"),
...     "value": 4 * rng.standard_normal((64, 256)).astype("f4"),
...     "down": rng.standard_t(4, (256, 64)).astype("f4"),
... }
>>> found = mf.allocate(tensors, ["e2m1", "e2m2", "e2m3"], 5.2)  # bits per weight, with scales
>>> for name, recipe in found.recipes.items():
...     print(name, recipe)
query e2m1/128/float16
value e2m3/128/float16
down e2m2/128/float16
>>> round(found.bits_per_weight, 3), round(found.loss)
(5.167, 473)
>>> packed = {name: mf.quantize(w, found.recipes[name]) for name, w in tensors.items()}

```

The wide tensor gets the wide format: its errors are four times as large. None of the 27 choices
within 5.2 bits loses less.

## What a tensor's error does

Without more knowledge the loss of a tensor is the sum of its squared errors. A layer's inputs say
more. With the matrix X^T X of calibration inputs X, the loss is the squared error of the layer's
outputs:

```python
>>> x = rng.standard_normal((512, 256)) * np.r_[np.full(8, 30.0), np.ones(248)]
>>> grams = {"query": x.T @ x, "value": np.eye(256), "down": np.eye(64)}
>>> found = mf.allocate(tensors, ["e2m1", "e2m2", "e2m3"], 5.2, sensitivity=grams)
>>> str(found.recipes["query"])
'e2m3/128/float16'

```

A number for each tensor is a factor for its squared error: the mean diagonal of the Hessian, as in
HAWQ-V2, or of the Fisher information. A function of the name, the weights and the `Quantized`
returns the loss itself, such as the measured loss of the model with this tensor alone quantized."""

STUDY = """\
## Which sensitivity

The study `analysis.methods.sensitivities` quantizes matrices of SmolLM2, each alone, and measures
the divergence of the predicted tokens from those of the unquantized model, on texts that no
prediction has seen. The table has Spearman's correlation, over the {matrices} matrices of every
third layer, between that and what each sensitivity predicts; in brackets 95 % intervals over
resampled matrices.

{table}

The mean diagonal of the Hessian, or of the Fisher information, is better than the squared error
alone: by {gain}. It needs no gradients: one random change of a matrix, forth and back, and what it
does to the loss or to the predicted tokens. The squared error of the matrix says little, its
outputs' squared error nothing: that compares outputs of matrices whose outputs do not matter alike.
(Within a matrix it does say which rounding is better: GPTQ uses it so.) "shape" takes no data but
the tensor's variance and its fitted Student's t, and is as good as the squared error itself. The
change of the loss itself is too small for so few tokens: no correlation with it differs from 0.

```sh
python -m analysis.methods sensitivities --csv docs/data/methods/sensitivities.csv
python -m docs.generators.allocation > docs/allocation.md
```"""

REST = """\
## Other budgets, and all of them

`measured` quantizes once and answers every question after that:

```python
>>> from analysis.hardware.allocation_costs import cost_per_product  # comes with a checkout
>>> from minifloat.allocation import measured
>>> lut6 = cost_per_product(["e2m1", "e2m2", "e2m3"])  # of counted circuits, for each product
>>> choices = measured(tensors, list(lut6), costs={"lut6": lut6}, activation_bits=8)
>>> found = choices.allocate({"bits": 5.5, "lut6": 25 * 3 * 64 * 256})
>>> found.bits_per_weight <= 5.5 and found.costs["lut6"] <= 25 * 3 * 64 * 256
True
>>> for point in choices.front("bits"):  # all allocations that no other beats
...     print(f"{point.bits_per_weight:.3f} bits, loss {point.loss:.0f}")
4.167 bits, loss 3735
4.500 bits, loss 1373
4.833 bits, loss 808
5.167 bits, loss 473
5.500 bits, loss 327
5.833 bits, loss 252
6.167 bits, loss 217

```

`"bit_operations"` is the cost of FLIQS: bits of the weight times bits of the activation, for each
use of a weight (`uses=`: a convolution uses it at each place of its output). Of its published
models of ResNet-18 the front has all mixed ones, E2M1's but for one that a mixed one beats, and of
E4M3 and bfloat16 the most accurate one each. `seconds_per_weight` measures recipes in `mf.linear`,
for `costs={"seconds": ...}`. `columns` cuts matrices (or activations) into blocks of columns that
are tensors of their own.

One budget is an integer program, solved by SciPy's HiGHS (`pip install "minifloat[analysis]"`). The
front adds tensor after tensor and keeps all sums that no other beats. Both are tested against all
choices of small cases, in rational arithmetic, and against each other on large ones. For a model
they take less than a second: nearly all the time goes into quantizing each tensor by each
recipe.

## Activations

COMET mixes 4 and 8 bits in activations: channels are permuted so that the outlying ones lie in the
same blocks, which alone are wide. The permutation is that of the weights' columns, and costs
nothing:

```python
>>> from minifloat.allocation import mix_channels
>>> x = rng.standard_normal((64, 512)).astype("f4")
>>> x[:, [3, 200, 350]] *= 40
>>> mix = mix_channels(x, wide="int8/128/float16", narrow="int4/128/float16", outlier=8)
>>> mix.share, mix.bits_per_value
(0.25, 5.125)
>>> wide, narrow = mix.quantize(x)
>>> f"{np.square(mix.dequantize(wide, narrow) - x).mean() / x.var():.5f}"
'0.00123'
>>> f"{1 / 10 ** (mf.quantize(x, 'int5/128/float16').sqnr(x) / 10):.5f}"  # as many bits
'0.02623'

```

QuantMCU keeps patches of a feature map that hold outliers at 8 bits, and lowers the widths of maps,
one at a time, by a score of the bit operations saved and the entropy lost, until they fit into a
memory. What counts as an outlier and how the score is normalized are ours, in the docstrings:

```python
>>> from minifloat.allocation import outlier_patches, vdqs
>>> maps = {"early": rng.standard_normal((16, 32, 32)), "late": rng.standard_normal((64, 8, 8))}
>>> maps["early"][3, 30, 2] = 40
>>> outlier_patches(maps["early"], 2, 2)
array([[False, False],
       [ True, False]])
>>> vdqs(maps, {"early": 9e6, "late": 1e6}, memory=13_000)
{'early': 4, 'late': 8}

```"""


def correlations(rows: Rows) -> str:
    """Return the table of correlations of each sensitivity, a column for each recipe."""
    found = {recipe: rank_correlations(rows, recipe) for recipe in RECIPES}
    lines = [
        [
            row["prediction"],
            *(
                f"{each[i]['correlation']:.2f} [{each[i]['low']:.2f}, {each[i]['high']:.2f}]"
                for each in found.values()
            ),
        ]
        for i, row in enumerate(found[RECIPES[0]])
    ]
    return table(["sensitivity", *(str(Recipe.parse(recipe)) for recipe in RECIPES)], lines)


def page() -> str:
    """Return the page."""
    rows = saved("sensitivities", "methods")
    matrices = len({row["tensor"] for row in rows})
    best = rank_correlations(rows, RECIPES[0])[-1]
    gain = f"{best['gain']:.2f} [{best['gain_low']:.2f}, {best['gain_high']:.2f}]"
    study = STUDY.format(table=correlations(rows), matrices=matrices, gain=gain)
    return "\n\n".join([INTRO, study, REST]) + "\n"


if __name__ == "__main__":
    print(page(), end="")

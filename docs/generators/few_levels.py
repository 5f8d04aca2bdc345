"""Print docs/few_levels.md: binary, ternary and complex codes.

python -m docs.generators.few_levels > docs/few_levels.md
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

import minifloat as mf
from analysis.errors.few_levels import MEAN_MAGNITUDE, binary_error, ternary_error
from analysis.methods import few_levels
from analysis.published.complex_codes import PUBLISHED, exact_ratio
from analysis.records import Rows
from analysis.statistics import Estimate
from docs.generators.policies import table
from minifloat.quantization.few_levels import OPERATORS, THRESHOLD
from paper_figures.studies import saved

INTRO = """\
# Few levels: binary, ternary, complex

## Recipes

`bipolar_int1` is -1 and 1, `int2` is -1, 0 and 1. The search `mse` gives each block the best
scale: of binary weights the mean of |w|, of ternary ones the best of all thresholds, with the mean
of what is above it. Tests compare both with every threshold, on fractions. `absmean` makes the
mean of |w| the value 1. Three recipes have names:

| recipe | text | source |
|---|---|---|
| `bwn` | `bipolar_int1/channel/float32/absmean` | binary weights of XNOR-Net: the optimum |
| `bitnet_b158` | `int2/tensor/float32/absmean` | BitNet b1.58 |
| `twn` | `int2/tensor/float32/mse` | ternary weight networks, whose rule approximates it |

In a block of n normal weights the best binary scale leaves (1 - 2/pi)(1 - 1/n) of the variance. On
65536 normal weights, in dB:"""

BITS = """\
By absmax all binary weights are as large as the block's largest, and most ternary ones are 0: such
few levels need a search.

A ternary code takes two bits in a file, and in products. Five of them fit into a byte, 1.6 bits
each, in the order of llama.cpp's TQ1_0 (`minifloat.packing.trits`):

```python
>>> import numpy as np
>>> import minifloat as mf
>>> from minifloat.packing.trits import pack_trits, unpack_trits
>>> w = np.random.default_rng(0).standard_normal(1000)
>>> q = mf.quantize(w, "twn")
>>> packed = pack_trits((q.codes + 1) % 4)
>>> q.packed.nbytes, packed.nbytes, bool(((unpack_trits(packed, 1000) + 3) % 4 == q.codes).all())
(250, 200, True)

```

## The operators that BiBench compares

`minifloat.quantization.few_levels.binarize(w, operator)` and `ternarize(w)` quantize as papers do
it in the forward pass. Eight binary operators are four: they differ in whether a row's mean is
subtracted before the sign is taken, and in the scale; what else they have are gradients.

```python
>>> from minifloat.quantization.few_levels import binarize, ternarize
>>> binarize([[1.0, 2.0, 6.0]], "xnor").dequantize(), ternarize([0.1, -2.0, 1.0, 0.3]).dequantize()
(array([[-2., -2.,  2.]], dtype=float32), array([ 0. , -1.5,  1.5,  0. ], dtype=float32))

```

Exact on normal weights, of mean 0 and of mean 0.5 (in standard deviations), as SQNR in dB; and
measured on all matrices of MiniLM's layers and 21 of SmolLM2's, as the mean SQNR of weights, and of
their outputs with its standard error. A learned scale is that of least squared error of the
weights. Nothing is trained, as it would be in the papers (`analysis.methods.few_levels`)."""

ANSWER = """\
- The sign of w with the mean of |w| is the optimum: of all signs and scales no other has less
  squared error. A center, which is not added again, leaves all of the mean as an error; rows of
  real layers have means near 0, and lose 0.05 ± 0.02 dB (MiniLM) and nothing (SmolLM2).
- Without a scale (BNN) all depends on the size of the weights: such networks are trained with
  layers of normalization behind them.
- TWN's threshold of 0.7 mean |w| is within 0.03 dB of the optimum on normal weights, and 0.2 dB
  behind it in SmolLM2. BitNet b1.58's scale loses 1.4 dB on normal weights, and as much in both
  models. It costs no search, and is meant for training.
- A scale for each row in place of one for the tensor takes 0.05 to 0.07 bits, and gains 2.1 ± 0.8
  dB of the outputs in MiniLM, 0.8 ± 0.2 dB in SmolLM2."""

COMPLEX = """\
## Complex codes

iFairy's weights are complex: 1, i, -1 or -i, two bits each. They are a kind of format of their own,
`minifloat.formats.ComplexCodebook`, since complex values have no order: verbs of real numbers
refuse it. A number gets the nearest value; a tie goes to the one counterclockwise of it, so the
sectors are half open as in the paper's code.

```python
>>> from minifloat.codec.complex_codes import decode, encode
>>> from minifloat.formats.complex_codebook import FAIRY, ComplexCodebook
>>> FAIRY, encode([2 + 1j, 1 + 1j, -0.5 - 3j], FAIRY)
(<ComplexCodebook fairy: bits 2, values 4>, array([0, 1, 3], dtype=uint8))

```

`minifloat.quantization.complex_weights.quantize` adds a scale for the real and one for the
imaginary axis, for the tensor or each row. A `ComplexCodebook` of other phases works, too.

```python
>>> from minifloat.quantization import complex_weights
>>> z = complex_weights.quantize([[2 + 1j, -0.5 + 3j], [-4, 1 - 5j]])
>>> z.dequantize().tolist()
[[(3+0j), 4j], [(-3+0j), -4j]]
>>> mf.linear([1, 1j], z)
array([-1.+0.j,  1.+0.j], dtype=complex64)

```

Fairy2i makes real weights complex: with the halves of a vector as real and imaginary part, a real
matrix of even sides is U z + W conj(z), exactly (`to_complex`, `to_real`). U and W are quantized,
and further stages quantize what is left, with one bit for each real weight and stage:

```python
>>> from minifloat.quantization.widely_linear import fairy2i
>>> w = np.random.default_rng(0).standard_normal((256, 512), np.float32)
>>> q = fairy2i(w, 2)
>>> q, round(q.sqnr(w), 1)
(<WidelyLinear fairy (256, 512): 2.002 bits per weight, 2 stages>, 8.9)
>>> mf.linear(w[0], q).shape
(256,)

```

`save` and `load` keep both kinds, and `linear` multiplies by them, a tile of rows at a time: a
product takes as long as decoding all weights. `gptq`, recipes and 8-bit activations have no complex
codes.

The figures on normal weights, in dB:"""

TURNED = """\
Turned by 45 degrees the four phases are the pairs of signs. So with one scale this is
`bipolar_int1` of a rotation of the weights, and one bit's 4.40 dB; two stages are two bits, 8.85
dB, where the best table of four levels has 9.30 dB, and ternary codes 7.21 dB in 1.58 bits."""

RECIPES = ("tensor/float32", "channel/float16", "128/float16", "32/float16")
CENTERED = 0.5
NAMES = {
    "bnn": "BNN", "xnor": "XNOR", "dorefa": "DoReFa", "bireal": "Bi-Real", "xnor++": "XNOR++",
    "react": "ReActNet", "recu": "ReCU", "fda": "FDA", few_levels.TWN: "TWN",
}  # fmt: skip
SCALES = {"one": "1", "mean": "mean", "learned": "learned"}


def page() -> str:
    """Return the page."""
    rows = saved("few_levels", "methods")
    models = list(dict.fromkeys(row["model"] for row in rows))
    columns = [f"{model}, {what}" for model in models for what in ("weights", "outputs")]
    headings = ["rule", "center", "scale", "normal", f"mean {CENTERED}", *columns]
    lines = list(_rules(rows, models))
    parts = [
        INTRO,
        _few_levels(),
        BITS,
        table(headings, lines),
        ANSWER,
        COMPLEX,
        _complex(),
        TURNED,
    ]
    return "\n\n".join(parts) + "\n"


def _few_levels() -> str:
    """Return SQNR of binary and ternary recipes."""
    w = np.random.default_rng(0).standard_normal((64, 1024)).astype(np.float32)
    rows = []
    for scaling in RECIPES:
        for fmt in ("bipolar_int1", "int2"):
            every = [mf.quantize(w, f"{fmt}/{scaling}{m}") for m in ("", "/absmean", "/mse")]
            bits = f"{every[0].bits_per_weight:.3f}"
            rows.append([f"`{fmt}/{scaling}`", bits, *(f"{q.sqnr(w):.2f}" for q in every)])
    return table(["recipe", "bits", "absmax", "`absmean`", "`mse`"], rows)


def _rules(rows: Rows, models: list[str]) -> Iterator[list[str]]:
    for rule in few_levels.RULES:
        center, scale, exact, off = "", "", "", ""
        if rule in OPERATORS:
            operator = OPERATORS[rule]
            center, scale = "mean" if operator.center else "", SCALES[operator.scale]
            exact = decibels(binary_error(rule))
            off = decibels(binary_error(rule, CENTERED) / (1 + CENTERED**2))
        elif rule == few_levels.TWN:
            exact = decibels(ternary_error(THRESHOLD * MEAN_MAGNITUDE))
        elif rule == "bitnet_b158":
            exact = decibels(ternary_error(MEAN_MAGNITUDE / 2, MEAN_MAGNITUDE))
        elif rule == "twn":
            exact = decibels(ternary_error(BEST_THRESHOLD))
        cells = []
        for model in models:
            some = [row for row in rows if (row["model"], row["rule"]) == (model, rule)]
            cells.append(f"{np.mean([row['sqnr'] for row in some]):.2f}")
            outputs = Estimate.of([row["outputs"] for row in some])
            cells.append(f"{outputs.mean:.2f} ± {outputs.standard_error:.2f}")
        yield [NAMES.get(rule, f"`{rule}`"), center, scale, exact, off, *cells]


BEST_THRESHOLD = 0.612003  # of ternary levels on the standard normal law, Lloyd's


def decibels(error: float) -> str:
    """Return a relative error as SQNR."""
    return f"{-10 * math.log10(error):.2f}"


def _complex() -> str:
    rows = [
        [str(stages), str(stages), f"{exact_ratio(stages):.3f}", f"{published:.2f}"]
        for stages, published in PUBLISHED.items()
    ]
    return table(["stages", "bits", "exact", "published"], rows)


if __name__ == "__main__":
    print(page(), end="")

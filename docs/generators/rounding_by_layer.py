"""Print docs/rounding_by_layer.md: GPTQ, descent and learned rounding, from the study's records.

python -m docs.generators.rounding_by_layer > docs/rounding_by_layer.md
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.methods import layer_rounding
from analysis.records import Rows
from analysis.statistics import Estimate
from docs.generators.policies import table
from docs.generators.rotations import name_of
from paper_figures.studies import saved

INTRO = """\
# Rounding that knows the layer

Rounding to nearest makes each weight's error small. What counts is the error of a layer's outputs:
with the inputs X of the layer, X^T X = H, and the differences D of its weights, that is
trace(D H D^T). Three verbs make it small, and need H alone:"""

VERBS = {
    "`mf.gptq(w, recipe, hessian)`": (
        "rounds column by column; the columns to come make up for each error",
        "Frantar et al., arXiv 2210.17323",
    ),
    "`mf.refine(w, q, hessian)`": (
        "moves each code, and each scale, to its best value given all others, until none moves",
        "on codes QuantEase, arXiv 2309.01885, and CDQuant, arXiv 2406.17542; on scales ours",
    ),
    "`mf.learn_rounding(w, q, hessian)`": (
        "learns by gradients whether each weight goes up or down",
        "AdaRound, Nagel et al., arXiv 2004.10568",
    ),
}

USE = """\
```python
>>> import numpy as np
>>> import minifloat as mf
>>> rng = np.random.default_rng(0)
>>> w = rng.standard_normal((64, 128), np.float32)
>>> x = rng.standard_normal((600, 128)) + 2 * rng.standard_normal((600, 1))   # inputs of a kind
>>> x *= rng.exponential(size=128)                                      # some larger than others
>>> calibration, others = x[:400], x[400:]
>>> hessian = calibration.T @ calibration
>>> def gain(q: mf.Quantized | mf.Composite) -> str:             # over nearest, on other inputs
...     errors = [np.linalg.norm(others @ (w - p.dequantize()).T) for p in (nearest, q)]
...     return f"{20 * np.log10(errors[0] / errors[1]):.1f} dB"
>>> nearest = mf.quantize(w, "nvfp4")
>>> q = mf.gptq(w, "nvfp4", hessian)
>>> ordered = mf.gptq(w, "nvfp4", hessian, act_order=True, static_groups=True)
>>> gain(q), gain(ordered)
('6.6 dB', '6.7 dB')
>>> gain(mf.refine(w, q, hessian)), gain(mf.refine(w, ordered, hessian))
('7.1 dB', '7.0 dB')
>>> gain(mf.learn_rounding(w, nearest, hessian))
'6.4 dB'
>>> few = calibration[:60].T @ calibration[:60]                    # fewer samples than inputs
>>> [gain(mf.gptq(w, "nvfp4", few, damp=damp)) for damp in (0.01, 1)]
['4.4 dB', '6.6 dB']

```

All take any format, zero points, adaptive blocks, tiles and rotations, and give a `Quantized` of
the recipe's own bits, which is saved and multiplied as any other. Tables (`lut4`) are refused.

- **Start from the best.** `refine` and `learn_rounding` are never worse than what they are given,
  on trace(D H D^T) with the damped H that `gptq` has too: a row whose error does not fall stays.
- **Calibrate on enough inputs.** With fewer samples than inputs of the layer the methods fit these
  samples, and may lose on others. More `damp`, 0.1 to 1, mends much of it. `learn_rounding` stays
  next to the weights as they are, and fits less.

## GPTQ's options"""

OPTIONS = {
    "`act_order=True`": (
        "columns are rounded by decreasing diagonal of H, the most important ones first; it comes "
        "with `static_groups`"
    ),
    "`static_groups=True`": (
        "the scales are those that `quantize` finds, not of updated weights; allows `double`"
    ),
    "`zero_dead=True`": (
        "weights of inputs that are always 0 become 0 first, as in GPTQ's code; by default they "
        "are rounded to nearest"
    ),
}

MORE = """\
Without static groups blocks follow the order, and the order must be kept. Then the result is a
`Composite`, whose order takes ceil(log2 inputs) bits an input:

```python
>>> from minifloat.composites import ordered_gptq
>>> c = ordered_gptq(w, "nvfp4", hessian)
>>> c
<Composite e2m1/16/e4m3fn/tensor-scale (64, 128): 4.613 bits per weight; order>
>>> gain(c)
'6.8 dB'
>>> bool(np.allclose(mf.linear(others, c), others @ c.dequantize().T, atol=1e-3))
True

```

## Descent

The loss of a row changes by m (m H_kk + 2 g_k) when its weight k moves by m, with g = d H. So the
best value is the format's nearest to w_k - g_k / H_kk: a step, however many values the format has.
The best scale of a block with the units u is less by u g / u H u, rounded to the scale's format.
`rounds=` limits the rounds over all codes and scales; most rows are done after 5 to 20.
`scales=False` moves codes alone. The result is a local minimum: no single code and no scale can be
moved and lower the loss.

## Learned rounding

A weight lies between two values of the format, a and b, whose gap is its own: the values of a float
are not equidistant. It becomes a + (b - a) h(v) with AdaRound's rectified sigmoid h, and Adam
learns v, while a regularizer 1 - |2h - 1|^beta pushes h to 0 or 1
(`minifloat.quantization.learning` has the formulas, and what differs from the paper). H holds all
that squared errors of outputs know, so each step has the gradient of all inputs: no batches,
nothing random. The scales are those of the start: to search them first, as arXiv 2408.06995 does
for 4-bit floats of diffusion models, start from `mf.quantize(w, recipe, search="mse")`.
"""

TIMES = """\
## Time

A matrix of 576 x 576 with `int4/128/float16`, one thread: GPTQ takes 0.05 s, in any
order; descent on codes 0.05 to 0.08 s, on scales too 0.4 s; learned rounding 0.02 s a step, 6 s for
its 300 steps. All grow with outputs times inputs squared."""

REAL = """\
## On real layers

{layers}, with at most 600 inputs, and {rows} rows
of each. Hessians are of calibration inputs, 2000 to 3600 tokens; errors are those of the outputs on
inputs from other passages. Gain in dB over rounding to nearest with the same recipe, the mean over
layers and its standard error; **bold** where it is beyond 0.1 dB and two standard errors. `descent`
moves codes from nearest, or GPTQ's codes; `scales` are moved with codes; `squares` start from the
scales of least squared error of the weights; `ordered blocks` are those of `ordered_gptq`.
`python -m analysis.methods layer_rounding` measures it; its docstring has the criteria."""

OVER_GPTQ = """\
The same over GPTQ: on the calibration inputs, whose error the methods make small, and on others."""

WORDS = """\
- **GPTQ** takes 2.8 to 4.5 dB off the error of rounding to nearest, and costs no bits. Act order
  adds 0.4 to 0.8 dB. Static groups cost nothing with blocks of 128, and NVFP4 0.1 dB. Blocks that
  follow the order are 0.1 to 0.3 dB better than blocks of neighbours in MiniLM, and not better in
  SmolLM2: seldom worth an order that must be kept.
- **Descent** from GPTQ's codes adds 0.3 to 0.6 dB on other inputs, with scales 0.4 to 0.7 dB. On
  the calibration inputs it finds two to three times as much: most of that is in these samples
  alone. From nearest it is as good as GPTQ, within 0.3 dB.
- **Learned rounding** is as good as GPTQ for integers in MiniLM, 0.3 to 0.4 dB behind for floats,
  and 1.2 to 1.4 dB behind in SmolLM2: it moves all weights at once, and only to their neighbours.
  It takes a hundred times as long. Descent after it more than makes up for that.
- **Scales come first.** With the scales of least squared error of the weights (`search="mse"`) all
  are better. Act order from them, and then descent on codes and scales, take 4.0 to 5.8 dB off the
  error of nearest, 1.0 to 1.7 dB more than GPTQ does. Learned rounding in place of act order ends
  within 0.3 dB of that. A bit is worth about 6 dB: this is a sixth to a quarter of a bit over GPTQ,
  and two thirds of one, or nearly a whole one, over nearest.

So the recipe to take:

```python
>>> best = mf.gptq(w, "nvfp4", hessian, search="mse", act_order=True, static_groups=True)
>>> gain(mf.refine(w, best, hessian))
'8.3 dB'

```
"""

CALIBRATION = ("static groups", "act order", "ordered blocks", "descent", "gptq, descent",
               "gptq, scales", "act order, scales", "learned", "learned, scales",
               "squares, act order, scales", "squares, learned, scales")  # fmt: skip


def page() -> str:
    """Return the whole page."""
    rows = saved("layer_rounding", "methods")
    matrices: dict[str, set[str]] = {}
    for row in rows:
        matrices.setdefault(row["model"], set()).add(row["matrix"])
    layers = " and ".join(f"{len(names)} matrices of {model}" for model, names in matrices.items())
    verbs = table(["verb", "what it does", "source"], [[verb, *row] for verb, row in VERBS.items()])
    options = table(["option", "what it does"], map(list, OPTIONS.items()))
    parts = [INTRO, verbs, USE, options, MORE, TIMES]
    parts.append(REAL.format(layers=layers, rows=layer_rounding.ROWS))
    bits: dict[str, float] = {}
    for row in rows:
        bits[row["recipe"]] = min(row["bits"], bits.get(row["recipe"], row["bits"]))
    heads = [f"{name_of(recipe)}, {each:.4g} bits" for recipe, each in bits.items()]
    parts += [table([model, *heads], _over_nearest(rows, model)) for model in matrices]
    parts += [OVER_GPTQ, table(["method", *_heads(rows)], _over_gptq(rows)), WORDS]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _over_nearest(rows: Rows, model: str) -> Iterator[list[str]]:
    gains = layer_rounding.gains(rows, "nearest")
    recipes = list(dict.fromkeys(row["recipe"] for row in rows))
    for method in dict.fromkeys(row["method"] for row in rows):
        if method != "nearest":
            yield [method, *(_cell(gains[model, recipe, method]) for recipe in recipes)]


def _over_gptq(rows: Rows) -> Iterator[list[str]]:
    fitted, others = (layer_rounding.gains(rows, "gptq", c) for c in ("calibrated", "error"))
    keys = dict.fromkeys((row["model"], row["recipe"]) for row in rows)
    for method in CALIBRATION:
        yield [
            method,
            *(f"{fitted[*key, method].mean:.2f}, {_cell(others[*key, method])}" for key in keys
              if key[1] in layer_rounding.RECIPES[:1] or "e2m1" in key[1]),
        ]  # fmt: skip


def _heads(rows: Rows) -> list[str]:
    keys = dict.fromkeys((row["model"], row["recipe"]) for row in rows)
    return [
        f"{model}, {name_of(recipe)}"
        for model, recipe in keys
        if recipe in layer_rounding.RECIPES[:1] or "e2m1" in recipe
    ]


def _cell(gain: Estimate) -> str:
    text = f"{gain.mean:.2f} ± {gain.standard_error:.2f}"
    return f"**{text}**" if layer_rounding.verdict(gain) else text


if __name__ == "__main__":
    print(page(), end="")

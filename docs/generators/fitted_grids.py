"""Print docs/fitted_grids.md: codebooks for the data, and formats inside formats.

python -m docs.generators.fitted_grids > docs/fitted_grids.md
"""

from __future__ import annotations

import math

import numpy as np

import minifloat as mf
from analysis.errors.k_means import excess
from analysis.errors.nested import MIDDLE, nested_error
from docs.generators.policies import table

FITTED = """\
# Fitted grids, nested formats

## The best codebook for data

`mf.fit_codebook(values, levels, weights=None)` returns the codebook with the least weighted
squared error. It is the optimum, found by a dynamic program over the sorted values; tests
compare it with all partitions, on fractions. `weights` are a diagonal of the Fisher information,
as in SqueezeLLM, or of a Hessian.

```python
>>> import numpy as np
>>> import minifloat as mf
>>> list(mf.fit_codebook([0.0, 0.1, 0.9, 1.1, 5.0], 3))
[0.05, 1.0, 5.0]

```

The usual way, k-means, stops at a local minimum. On 20 rows of 1024 normal weights its squared
error is above the least one by (mean, and its standard error):"""

TABLES = """\
With m levels and n values the dynamic program takes some 2 ns times m n log2(n): 70 ms for 16
levels of 131072 values.

## A table for each row or block

The formats `lut1` to `lut8` have no values of their own: each block has a table, of values in
the recipe's scale format, and a code is a place in it. The block is a row (`channel`, as in
SqueezeLLM), a number of weights, a tile or the tensor. The tables are the best ones for
`importance=`, and are counted in the bits:

```python
>>> w = np.random.default_rng(0).standard_normal((64, 1024)).astype(np.float32)
>>> q = mf.quantize(w, "lut4/channel/float16")
>>> q, q.scales.shape
(<Quantized lut4/channel/float16 (64, 1024): 4.25 bits per weight, axis 1>, (64, 1, 16))
>>> round(q.sqnr(w), 1), round(mf.quantize(w, "nf4/64/float16").sqnr(w), 1)
(20.8, 20.7)

```

(`nf4/64/float16` has 4.25 bits, too. On normal weights there is little in a row that a table
could learn.) Such weights are saved, loaded, picked by rows, dequantized and multiplied as
others are; `linear` decodes them a tile at a time, so few vectors take about as long as many.
`gptq` and 8-bit activations refuse them. Fitting takes 0.3 us for a weight with 16 levels, in
blocks of 128, and 0.45 us in rows of 2048.

One codebook for a whole tensor that is quantized in blocks is a `Codebook`, the format of a
recipe as nf4 is. Scales that fit it and the codebook can take turns, and the error falls in each
step:

```python
>>> q = mf.quantize(w, "nf4/64/float16/mse")
>>> scales = np.repeat(q.scales, 64, axis=1).astype(float)
>>> book = mf.fit_codebook(w / scales, 16, weights=scales**2)
>>> again = mf.quantize(w, book, block=64, scale="float16", search="mse")
>>> again.sqnr(w) > q.sqnr(w)
True

```

On 12 linear weights of MiniLM's encoder (every third one, 1.8 million weights), whose rows are
short, a table for each row is not worth its bits: `lut4/channel/float16` has 4.67 bits and 21.21
dB, `nf4/64/float16/mse` 4.25 bits and 21.25 dB. Two turns of a fitted codebook for each tensor
and its scales make that 21.33 dB, in as many bits."""

NESTED = """\
## Formats inside formats

The top bits of an E2M4 code are an E2M3 code, and those are an E2M2 code: ExMy formats with as
many exponent bits nest, and no others of up to 8 bits do (`minifloat.quantization.nested.nests`
tries all codes). So weights can be stored once and be read at several widths. There are three
readings:

| reading | the value of a narrow code | reads |
|---|---|---|
| rounded | the wide value, rounded to the narrow format | all bits |
| cut | the narrow format's: the nearest towards zero (of integers, below) | the top bits |
| middle | the mean of the wide values that begin with these bits: `cut_codebook` | the top bits |

```python
>>> from minifloat.quantization.nested import cut_codebook
>>> q = mf.quantize(w, "e2m4")
>>> round(q.sqnr(w), 1), round(mf.quantize(w, "e2m2").sqnr(w), 1)
(37.6, 25.4)
>>> round(mf.narrow(q, "e2m2").sqnr(w), 1)
24.1
>>> round(mf.narrow(q, cut_codebook("e2m4", 5), reading="cut").sqnr(w), 1)
25.5

```

Rounded integers are Double Rounding's and Matryoshka's. The table has what is exact for normal
weights, as SQNR in dB: in blocks of 128 with the wide format's scales, and with one scale, the
best for the wide format; beside it the narrow format directly. The last column is what nesting
loses in blocks.

![E2M4 and INT8 read at fewer bits, by three readings and directly](figures/nested_formats.png)"""

ANSWER = """\
- The middle of what is cut loses 0.1 dB at most, and mostly it is *better* than the narrow format,
  by up to 0.4 dB: that has a zero and a minus zero where the cut code has two values. It is a
  codebook: what decodes it is a table, not the narrow format's hardware.
- Rounding twice costs 2.2 to 2.6 dB where one bit goes, since half of the wide values lie on a tie,
  and 1.2 to 1.6 dB where more go.
- Cut codes read as the narrow format's own values lose as much by one bit, and about 4 dB by more.
- Nested integers of few bits are better than the integers directly: with absmax as 7 of `int4full`,
  -8 is not used.

On the same weights of MiniLM, E2M4 in blocks of 128 read as E2M2 has 23.95 dB by rounding and
25.41 dB by the middle; E2M2 itself has 25.36 dB.

Tables nest where a cell of fewer levels is split in two (Any-Precision LLM).
`mf.quantize_nested(w, "lut6/channel/float16", 3)` has the best table of 3 bits, and splits its
cells in the best way; `mf.narrow(q, "lut4", reading="cut")` reads it, and needs no other table:
values are the means of those that they stand for. On 20 rows of 1024 normal weights, in dB:"""

PAIRS = (
    ("e2m4", "e2m3"), ("e2m4", "e2m2"), ("e2m4", "e2m1"), ("e2m3", "e2m2"), ("e2m2", "e2m1"),
    ("e3m3", "e3m2"), ("e3m3", "e3m1"), ("int8full", "int6full"), ("int8full", "int4full"),
    ("int8full", "int3full"),
)  # fmt: skip


def page() -> str:
    """Return the page."""
    parts = [FITTED, k_means_table(), TABLES, NESTED, nested_table()]
    return "\n\n".join([*parts, ANSWER, tables_table()]) + "\n"


def weights(rows: int, length: int) -> np.ndarray:
    """Return normal weights."""
    return np.random.default_rng(0).standard_normal((rows, length))


def decibels(error: float) -> str:
    """Return a relative error as SQNR."""
    return f"{-10 * math.log10(error):.2f}"


def k_means_table() -> str:
    """Return the excess of k-means."""
    w, rows = weights(20, 1024), []
    for levels in (4, 8, 16):
        found = [excess(w, levels, starts) * 100 for starts in (1, 10)]
        cells = [f"{e.mean():.1f} ± {e.std(ddof=1) / math.sqrt(len(e)):.1f} %" for e in found]
        rows.append([str(levels), *cells])
    return table(["levels", "one k-means++ start", "the best of 10"], rows)


def nested_table() -> str:
    """Return the exact errors of nested formats."""
    rows = []
    for wide, narrow in PAIRS:
        for reading in ("rounded", "cut", MIDDLE):
            error = nested_error(wide, narrow, "normal", reading)
            loss = 10 * math.log10(error.in_blocks / error.direct_in_blocks)
            errors = (error.in_blocks, error.direct_in_blocks, error.shared, error.direct)
            rows.append([wide, narrow, reading, *map(decibels, errors), f"{loss + 0:.2f}"])
    columns = [
        "stored",
        "read",
        "reading",
        "in blocks",
        "directly",
        "one scale",
        "directly",
        "loss",
    ]
    return table(columns, rows)


def tables_table() -> str:
    """Return SQNR of nested tables."""
    w = weights(20, 1024).astype(np.float32)
    wide, rows = mf.quantize_nested(w, "lut6/channel/float16", 3), []
    for bits in range(3, 7):
        q = wide if bits == 6 else mf.narrow(wide, f"lut{bits}", reading="cut")
        best = mf.quantize(w, f"lut{bits}/channel/float16")
        rows.append([str(bits), f"{q.sqnr(w):.2f}", f"{best.sqnr(w):.2f}"])
    return table(["bits", "nested", "the best table of this width"], rows)


if __name__ == "__main__":
    print(page(), end="")

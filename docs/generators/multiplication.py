"""Print docs/multiplication.md: other ways to multiply, their exact errors and the verdict.

python -m docs.generators.multiplication > docs/multiplication.md
"""

from __future__ import annotations

from analysis.numerics.dyadic_scales import changed_shares
from analysis.numerics.gaussian_products import (
    AS_GOOD,
    RACES,
    Multiplier,
    gaussian_error,
    shift_cost,
)
from analysis.numerics.multiplication import (
    PUBLISHED,
    RelativeError,
    error_table,
    relative_error,
    significand_error,
)
from docs.generators.policies import table
from minifloat.formats.names import parse

INTRO = """\
# Multiplication without a multiplier

Five ways to multiply numbers of few bits that circuits and papers use in place of an exact product.
Each is here bit for bit as it is defined, so that its loss can be measured:

```python
>>> import minifloat as mf
>>> from minifloat import arithmetic
>>> arithmetic.l_mul([1.25, 3.5], [1.5, 1.75], "e4m3fn")  # L-Mul's formula; exactly 1.875, 6.125
array([1.875, 5.25 ])
>>> arithmetic.l_mul([1.25, 3.5], [1.5, 1.75], "e4m3fn", variant="addition")
array([1.875, 6.5  ])
>>> arithmetic.mitchell([12, 100], [13, -7])              # exactly 156, -700
array([ 144., -672.])
>>> arithmetic.shift_add([100, -7], mf.encode([6.0, -10.0], "apot4"), "apot4")
array([600.,  70.])
>>> def planes(values: list[list[float]]) -> arithmetic.BitPlanes:
...     return arithmetic.bit_planes(mf.encode(values, "bipolar_int2"), 2)
>>> arithmetic.bipolar_matmul(planes([[3.0, -1.0]]), planes([[1.0, 3.0], [-3.0, 1.0]]))
array([[  0, -10]])
>>> arithmetic.requantize([1000, -5000], arithmetic.dyadic(0.0123))
array([ 12, -62], dtype=int8)

```

- `l_mul` is [L-Mul](https://arxiv.org/abs/2410.00907): `(1 + f)(1 + g)` becomes
  `1 + f + g + 2^-l`, where l is M for M <= 3 mantissa bits, 3 for M = 4 and 4 for more.
  `variant="formula"` is this formula. `variant="addition"` is the one addition of integers that the
  paper replaces it by: what the fractions carry goes into the exponent. The two part where
  `f + g + 2^-l` is 1 or more.
- `mitchell` is Mitchell's method of 1962: the same addition without `2^-l`, of integers or floats.
- `shift_add` multiplies integers with weights that are sums of powers of two: a shift for each
  power. It is exact; the loss is that of the format. `potN` has powers of two, `sp2_N` sums of two
  ([SP2](https://arxiv.org/abs/2012.04240)), `apotN` additive powers of two
  ([APoT](https://arxiv.org/abs/1909.13144)). `shift_terms` says which shifts any format takes. The
  levels of `potN` and `apotN` are those of APoT's own code (yhhhli/APoT_Quantization, commit
  c31dd73, all widths); those of `sp2_N` follow SP2's formula, and no code of its authors was found
  to compare them with.
- `bipolar_matmul` multiplies bipolar integers ([APT-LLM](https://arxiv.org/abs/2508.19087)), whose
  bit i is worth `+2^i` or `-2^i`: planes of bits are compared and counted, 64 numbers at a time. It
  is exact.
- `requantize` makes int32 sums integers of few bits, as
  [HAWQ-V3](https://arxiv.org/abs/2011.10680) does: the scale is an integer over a power of two, so
  there is no division. A tie goes up.

Operands of `l_mul` are values of the format. Products are exact float64 numbers: nothing rounds
them to the format. Subnormal numbers are first written with a leading 1. The
[API](api/multiplication.rst) has the details.
"""

ERRORS = """\
## Relative errors

Over all pairs of normal numbers of an ExMy, in percent: the mean, the mean of the magnitude, the
largest. They depend on M alone. The error of exact products of rounded operands stands beside them:
real operands, uniform between 1 and 2, that are first rounded to M bits."""

PUBLISHED_TEXT = """\
"Published" is the mean error of [L-Mul in FP8 on an FPGA](https://arxiv.org/abs/2412.18948). It is
that of the formula, to {distance:.2f} points of a percent, and so is the share of inexact products;
the same paper's table of bits describes the addition."""

CLAIMS = """\
### What L-Mul's paper claims

"L-Mul with 3-bit mantissa outperforms float8 E5M2, with 4 bits it is comparable to E4M3." On real
operands, uniform between 1 and 2, rounded to the mantissa bits of each (mean relative error, %;
"rounded": the product is rounded to the format too):"""

CLAIMS_VERDICT = """\
So three bits do beat E5M2, but only with the addition; with four bits neither variant is as good as
E4M3."""

ALL = """\
### All formats of at most 8 bits

The same with subnormal numbers, whose fractions are shorter: mean of the magnitude, in percent,
formula / addition / Mitchell."""

GAUSSIAN = """\
## At equal bits, on Gaussian data

Two operands are standard normals, each rounded to a format at the scale that is best for it; then
they are multiplied. The error is relative, root mean square, in percent. It is a sum over all pairs
of values, not a sample; dot products of signed data have the same error at any length, since the
errors of their terms have mean 0. In `x` * `y` the activations are in the first format and the
weights in the second.

A constant factor costs nothing, since the scale can take it. So the error is given as it is, and
times the best constant. **A method is as good as a format if its error is at most {as_good} times
that of exact products in as many bits** (E2M1, E2M2, E4M3). *Bias* is the error of the mean of
positive products: dot products of positive data keep it however long they are; in brackets what is
left after the constant."""

FIGURE = """\
![Errors of L-Mul and Mitchell, and races at equal bits](figures/multiplication_error.png)

`python -m paper_figures --only multiplication_error` draws it; there draws of 256-term dot products
stand beside the expectation, and agree."""

VERDICT = """\
- **L-Mul's formula** is as good at 4 bits alone, and there with a constant of 0.75.
- **L-Mul's addition** is as good only with a constant: in E2M1 and E2M2 as exact products, and in
  E3M4 as those of E4M3, but not of E3M4 itself. As published, without one, its error is 1.6 to 2.5
  times as large. The offset adds what the scale then takes away: with its own constant, Mitchell's
  method is as good or better in each format.
- **Mitchell** is as good in E2M1 and INT4 as it is, and in E2M2 with a constant. On INT8 it loses
  most: 1.3 % becomes 3.3 %, which is still less than the error of exact E4M3.
- **APoT** is as good at 4 bits and not at 5. Powers of two alone are not: more bits give them
  range, which Gaussian weights do not need. E2M2 itself takes at most two shifts, see below.
- **Bipolar integers** are as good at every width: they are integers with one more value, but no 0.
- INT8 has less error than any 8-bit float on Gaussian data, exact or not. Where outliers are large
  floats have less: `crest_factor` in [Figures](figures.md)."""

SHIFTS = """\
## Shifts of a weight

Signed powers of two (7 is 8 - 1) of a Gaussian weight, on average and at most:"""

DYADIC = """\
## Bits of a dyadic multiplier

The share of all sums whose INT8 result is another than with the scale itself, in percent, with the
standard error over 24 scales. A float32 scale has 24 bits, so it *is* dyadic: HAWQ-V3's 31 bits
lose nothing of it."""

SPEED = """\
## Speed of bipolar products

On one core of a Xeon with AVX-512 and AMX, 128 x 4096 by 4096 x 512, in 10^9 products a second:
bipolar integers of 1, 2, 3, 4 and 8 bits 386, 125, 50, 32 and 7; float32 60 (NumPy) and 70
(PyTorch); int8 566 (PyTorch, by AMX). Packing is not counted; it takes another 6 % at 4 bits.
Counting bits beats float32 up to 2 bits. Where there are instructions for int8 products it beats
them at no width. `python -m tests.benchmarks --only bipolar` compares it with NumPy's float32."""

NAMES = {
    "exact": "exact", "l-mul formula": "L-Mul, formula", "l-mul addition": "L-Mul, addition",
    "mitchell": "Mitchell",
}  # fmt: skip
REFERENCES = {4: "exact:e2m1", 5: "exact:e2m2", 8: "exact:e4m3fn"}


def percent(x: float, digits: int = 2) -> str:
    """Return a share in percent."""
    return f"{100 * x:.{digits}f}"


def triple(error: RelativeError) -> str:
    """Return mean, mean of the magnitude and largest error."""
    return f"{100 * error.mean:+.2f}, {percent(error.mean_abs)}, {percent(error.largest, 1)}"


def errors() -> str:
    """Return the table by mantissa bits."""
    published = {int(name[-1]): (name, mean) for name, (mean, _) in PUBLISHED.items()}
    rows = []
    for m in range(1, 8):
        found = [
            relative_error(method, f"e3m{m}none", normal=True)
            for method in ("l-mul formula", "l-mul addition", "mitchell")
        ]
        name, mean = published.get(m, ("", 0.0))
        cell = f"{percent(mean, 1)} ({name.upper()})" if name else ""
        rows.append([str(m), triple(found[0]), cell, *map(triple, found[1:]),
                     percent(significand_error("exact", m))])  # fmt: skip
    head = ["M", "L-Mul, formula", "published", "L-Mul, addition", "Mitchell", "rounding alone"]
    return table(head, rows)


def claims() -> str:
    """Return the table of the paper's claims."""
    rows = [
        [str(m), *(percent(significand_error(method, m), 1) for method in (
            "exact", "rounded", "l-mul formula", "l-mul addition", "mitchell"))]
        for m in (2, 3, 4)
    ]  # fmt: skip
    names = ("exact (M = 2 is E5M2, M = 3 E4M3)", "rounded")
    return table(["M", *names, "L-Mul, formula", "L-Mul, addition", "Mitchell"], rows)


def everything() -> str:
    """Return the table of all formats, by exponent and mantissa bits."""
    cells: dict[int, dict[int, list[str]]] = {}
    for row in error_table():
        line = cells.setdefault(row.mantissa_bits, {}).setdefault(row.exponent_bits, [])
        line.append(percent(row.all.mean_abs, 1))
    head = ["", *(f"E = {e}" for e in range(1, 7))]
    rows = [
        [f"M = {m}", *(" / ".join(line.get(e, [])) for e in range(1, 7))]
        for m, line in cells.items()
    ]
    return table(head, rows)


def label(m: Multiplier) -> str:
    """Return the formats of a multiplier."""
    return f"`{m.left}`" if m.left == m.right else f"`{m.left}` * `{m.right}`"


def race() -> str:
    """Return the table at equal bits."""
    rows = []
    for bits, texts in RACES.items():
        reference = gaussian_error(REFERENCES[bits]).rms
        for text in texts:
            m, error = Multiplier.of(text), gaussian_error(text)
            good = [x <= AS_GOOD * reference for x in (error.rms, error.rms_with_factor)]
            verdict = "yes" if good[0] else "with the constant" if good[1] else "no"
            bias = f"{100 * error.bias:+.1f} ({100 * error.bias_with_factor:+.1f})"
            rows.append([str(bits), NAMES[m.method], label(m), percent(error.rms, 1),
                         percent(error.rms_with_factor, 1), f"{error.factor:.3f}", bias,
                         verdict])  # fmt: skip
    head = [
        "bits",
        "method",
        "formats",
        "error",
        "times the constant",
        "constant",
        "bias",
        "as good",
    ]
    return table(head, rows)


def shifts() -> str:
    """Return the table of terms."""
    names = (
        "pot4", "sp2_4", "apot4", "int4", "e2m1", "pot5", "apot5", "int5", "e2m2", "sp2_8", "int8",
        "e5m2", "e4m3fn",
    )  # fmt: skip
    costs = [(name, shift_cost(name)) for name in names]
    rows = [
        ["bits", *(str(parse(name).bits) for name, _ in costs)],
        ["on average", *(f"{cost.mean:.2f}" for _, cost in costs)],
        ["at most", *(str(cost.most) for _, cost in costs)],
    ]
    return table(["", *(f"`{name}`" for name, _ in costs)], rows)


def multipliers() -> str:
    """Return the table of dyadic multipliers."""
    widths = (4, 6, 8, 12, 16, 24, 31)
    shares = [changed_shares(bits) for bits in widths]
    cells = [f"{100 * share.mean:.2g} ± {100 * share.standard_error:.1g}" for share in shares]
    return table(["bits", *map(str, widths)], [["changed", *cells]])


def page() -> str:
    """Return the whole page."""
    distance = max(
        abs(relative_error("l-mul formula", f"{name}none", normal=True).mean_abs - mean)
        for name, (mean, _) in PUBLISHED.items()
    )
    return "\n\n".join([
        INTRO.rstrip(), ERRORS, errors(), PUBLISHED_TEXT.format(distance=100 * distance),
        CLAIMS, claims(), CLAIMS_VERDICT, ALL, everything(),
        GAUSSIAN.format(as_good=AS_GOOD), race(), VERDICT, FIGURE, SHIFTS, shifts(), DYADIC,
        multipliers(), SPEED, "`python -m docs.generators.multiplication` prints this page.",
    ]) + "\n"  # fmt: skip


if __name__ == "__main__":
    print(page(), end="")

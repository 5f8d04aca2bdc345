"""Print docs/arithmetic.md: the matrix units, and what each gives for some probes.

python -m docs.generators.arithmetic > docs/arithmetic.md
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from docs.generators.policies import table
from minifloat import arithmetic, round_to
from minifloat.arithmetic import UNIT_SOURCES, UNITS, Unit
from minifloat.formats import Format

INTRO = """\
# Emulated arithmetic

What a GPU's matrix unit really does with small formats: how many products it adds at a time, how
many bits it keeps of them, how it rounds. Ten lines show what Hopper's FP8 does to a matrix:

```python
>>> import numpy as np
>>> import minifloat as mf
>>> from minifloat import arithmetic
>>> rng = np.random.default_rng(0)
>>> a, b = rng.random((64, 4096), np.float32), rng.random((4096, 64), np.float32)  # or your own
>>> a, b = (mf.round_to(x * (448 / np.abs(x).max()), "e4m3fn") for x in (a, b))
>>> exact = a.astype(float) @ b
>>> def error(d: np.ndarray) -> str:
...     return f"{np.linalg.norm(d - exact) / np.linalg.norm(exact):.1e}"
>>> error(arithmetic.matmul(a, b, unit="hopper/e4m3fn/float32"))
'7.5e-02'
>>> hopper = arithmetic.UNITS["hopper/e4m3fn/float32"].accumulator
>>> error(arithmetic.matmul(a, b, accumulator=f"{hopper}+promote=128"))  # as DeepSeek-V3 does it
'5.6e-04'
>>> error(arithmetic.matmul(a, b, unit="blackwell/e4m3fn/float32"))
'1.1e-06'

```

7 % is lost because Hopper keeps 13 bits below the largest term and cuts the rest toward zero: all
these errors have the same sign. To add the result to a float32 sum every 128 products
(`promote=128`) helps.

Other pages have [operations in a format](operations.md), each rounded once,
[arrays that compute in their format](format_array.md),
[multiplication without a multiplier](multiplication.md), and what all this does to long sums, to
models and to numerical methods ([numerics](numerics.md)).

## Verbs

- `arithmetic.sum(x, c)` and `arithmetic.dot(a, b, c)` go along the last axis. Then there are
  `arithmetic.matmul(a, b, c)`, and `arithmetic.linear(x, w, c)` for weights of shape (out, in).
  They take `unit=`, the name of a unit below, or `accumulator=`, a text or an `Accumulator`.
- The result depends on the numbers alone, not on threads, the JIT or the CPU. Each step is exact
  but where the unit cuts or rounds.
- Operands of a unit are values of its format; `minifloat.round_to` makes them. TF32 units cut
  float32 numbers themselves.
- Units with scales (`mxfp4`, `nvfp4`, ...) take what `minifloat.quantize` returns, weights in MXFP4
  with activations in MXFP8 too. Scales enter where the unit takes them, before products are
  aligned. Tensor scales multiply the result. Numbers without scales are taken as they are.
- Float64 units are chains of IEEE's fused multiply-add, in float64.

## Accumulators

`FORMAT[:ROUNDING][/OPTIONS]`; the [API](api/arithmetic.rst) has all options.

```python
>>> x = np.full(1000, 0.001, np.float32)
>>> float(arithmetic.sum(x, accumulator="bfloat16"))  # each sum rounded: it stops at 0.5
0.5
>>> float(arithmetic.sum(x, accumulator="bfloat16/order=pairwise"))
1.0
>>> float(arithmetic.sum(x, accumulator="bfloat16/order=strided:8"))  # as eight lanes of a CPU
0.98046875
>>> float(arithmetic.sum(x, accumulator="bfloat16/terms=all"))  # exact, rounded once
1.0
>>> float(arithmetic.sum([100, 100, 100], accumulator="int8/overflow=wrap"))
44.0
>>> float(arithmetic.sum(x, accumulator="bfloat16:stochastic", seed=0))  # right in the mean
0.94921875
>>> float(arithmetic.sum(x, accumulator="bfloat16:stochastic/random_bits=1", seed=0))  # too few
0.5

```

Numbers enter as they are, and each new sum is rounded to the format: in integers 0.3 is nothing. A
stochastic accumulator takes a `seed`; its bits depend on that and on a result's place, not on
threads or on whether `sum`, `dot` or `matmul` computes it.

## Which accumulator is it?

`arithmetic.reveal(f)` finds out how a function of yours adds, be it a call of a GPU, a library or a
simulation: the order (by FPRev's method), the terms of a step, the bits that terms and sums keep,
the rounding, whether products are rounded before they are added, when a sum is promoted to another,
and an accumulator that gives the same sums for random terms. It chooses numbers that the function
takes, so that all units below are recognized without options; those of 4 and 6 bits as exact sums,
since their products are too near to one another to lose anything. To see more of these let each
term be a block with its own scale.

```python
>>> arithmetic.reveal(np.sum).order                     # NumPy adds 64 numbers in eight sums
'strided:8'
>>> def mine(a: np.ndarray, b: np.ndarray) -> object:
...     return arithmetic.dot(a, b, unit="hopper/e5m2/float32")
>>> arithmetic.reveal(mine, products=True).accumulator
<Accumulator e8m13:toward_zero/terms=32+bits=13>
>>> openblas = arithmetic.reveal(np.dot, 128, products=True, dtype="float64")  # depends on the CPU
>>> x, y = rng.standard_normal((2, 128))
>>> float(arithmetic.dot(x, y, accumulator=openblas.accumulator)) == float(np.dot(x, y))
True

```

## Units

Names are ARCHITECTURE/INPUT/OUTPUT. The probes are computed by this library:

- **example**: (-2^13)(2^10) + (-0.5)(1) + (-0.25)(1) + (-0.125)(1) + 2^23, exactly -0.875
- **extra**: 1 x 1 - (1 - 2^-24), in units of 2^-24; 1 if terms keep a bit more than the sum
- **halves**: 1 plus two products of 2^-24, in units of 2^-23; 1 if they are added before they are
  cut
- **tie**: 1 + 2^-24 + 2^-27, less 1, in units of 2^-23; 1 if the sum is rounded to nearest
- **error**: of products of 4096 numbers between 0 and 1, relative, root mean square

A dash: a format does not have the numbers."""

OUTRO = """\
Sources: [1] P. Xie et al., arXiv 2511.10909, and microsoft/MMA-Sim; [2] F. A. Khattak and
M. Mikaitis, arXiv 2512.07004, and north-numerical-computing/MATLAB-tensor-core; [3] M. Fasi,
N. J. Higham, M. Mikaitis and S. Pranesh, PeerJ Computer Science 7:e330, 2021. Results captured on
V100, A100, Ada and H100 agree in every row (`tests/arithmetic/test_units.py`); the other lines
follow [1], whose authors compared them with hardware. FP8 on a B200 by the instruction `mma.sync`
is another thing (`blackwell-mma`): it runs on the FP16 units, C is added afterwards, and 24 rows of
[2] agree; that an H100's does the same is likely, but no rows show it.
[Errors of dot products](numerics_dot_products.md) shows what all this does to long sums.
`python -m docs.generators.arithmetic` prints this page."""

EXAMPLE = ([-(2.0**13), -0.5, -0.25, -0.125], [2.0**10, 1.0, 1.0, 1.0], 2.0**23)
HALF = 2.0**-12


def probe(
    unit: Unit, a: list[float], b: list[float], c: float, one: float = 1.0, less: float = 0.0
) -> str:
    """Return a result in units of ``one``, after something is subtracted."""
    if unit.output == "float16":
        return "-"
    try:
        return f"{(float(arithmetic.dot(a, b, c, unit=unit)) - less) / one:g}"
    except ValueError:  # no values of the format
        return "-"


def positive(unit: Unit, seed: int) -> NDArray[np.float32]:
    """Return numbers between 0 and 1, rounded to the unit's format."""
    x = np.random.default_rng(seed).random((64, 4096), np.float32)
    fmt = unit.inputs[0]
    return round_to(x, fmt) if isinstance(fmt, Format) else x


def error(unit: Unit) -> str:
    """Return the relative error of long products of positive numbers."""
    a, b = positive(unit, 1), positive(unit, 2)
    if unit.output == "float64":  # BLAS is not more exact than the unit
        a, b = a[:8], b[:8]
        exact = arithmetic.linear(a, b, accumulator="float64/terms=all")
    else:
        exact = a.astype(float) @ b.T
    found = arithmetic.linear(a, b, unit=unit).astype(float)
    return f"{np.linalg.norm(found - exact) / np.linalg.norm(exact):.1e}"


def rows() -> list[list[str]]:
    """Return the rows of the table."""
    found = []
    for name, unit in UNITS.items():
        ulp = 2.0**-23
        probes = [
            probe(unit, *EXAMPLE),
            probe(unit, [1.0], [1.0], -(1 - ulp / 2), ulp / 2),
            probe(unit, [HALF, HALF], [HALF, HALF], 1.0, ulp, 1.0),
            probe(unit, [1.0], [1.0], ulp / 2 + ulp / 16, ulp, 1.0),
        ]
        text = f"`{unit.accumulator}`"
        found.append([f"`{name}`", text, *probes, error(unit), UNIT_SOURCES[name]])
    return found


def page() -> str:
    """Return the whole page."""
    head = ["unit", "accumulator", "example", "extra", "halves", "tie", "error", "source"]
    return "\n\n".join([INTRO, table(head, rows()), OUTRO]) + "\n"


if __name__ == "__main__":
    print(page(), end="")

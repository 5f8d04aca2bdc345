"""Print docs/numerics.md: what arithmetic in small formats does, from the records of the studies.

python -m docs.generators.numerics > docs/numerics.md
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from analysis.numerics import (
    conjugate_gradients,
    heat_equation,
    k_means,
    lu_refinement,
    masked_bits,
    newton_root,
    reproducibility,
    time_steps,
)
from analysis.numerics.arithmetics import NEAREST, Arithmetic
from analysis.numerics.draws import means, power
from analysis.records import Row, Rows
from analysis.statistics import fitted
from docs.generators.policies import table
from paper_figures import style
from paper_figures.studies import ROUNDINGS, saved

INTRO = """\
# Numerics in small formats

What the arithmetic of small formats does to the text of a model, to its loss, and to numerical
methods. Products of models run through [emulated arithmetic](arithmetic.md); methods are plain
NumPy code on arrays that round each operation:

```python
>>> from minifloat import arithmetic
>>> nearest = arithmetic.array([1.0], "bfloat16")
>>> drawn = arithmetic.array([1.0], "bfloat16", rounding="stochastic", seed=0)
>>> for y in (nearest, drawn):
...     for _ in range(1024):  # Euler's method for y' = -y, to t = 1; exactly 0.368
...         y = y - y / 1024
...     print(y.context.rounding, 0.3 < float(y[0]) < 0.45, float(y[0]) == 1)
nearest_even False True
stochastic True False

```

Each study is a module of `analysis.numerics` whose `records` measures, and whose docstring has the
criteria, written before measuring. Records of whole runs are in `docs/data/numerics`:

```sh
python -m analysis.numerics lu_refinement --quick       # a slice, in seconds, as a table
python -m analysis.numerics lu_refinement --csv lu.csv  # the whole study
python -m docs.generators.numerics > docs/numerics.md   # this page, from the records
```

Two parts have pages of their own: [errors of dot products](numerics_dot_products.md) by length,
matrix unit and accumulator, which is the study `dot_products`, and what
[other ways to multiply](multiplication.md#relative-errors) lose, which is computed exactly.

Errors are standard errors: over texts, chunks of text, random matrices, starting points or seeds of
stochastic rounding, as each study says; figures show two of them. u is half the gap above 1 to
nearest, and the whole gap in other modes."""

Group = dict[float, Row]  # by the parameter


def groups(rows: Rows, quantity: str) -> Iterator[tuple[list[str], Group]]:
    """Yield the first cells of a line, format and rounding, and the means of a quantity."""
    found: dict[tuple[str, str], Group] = {}
    for mean in means(rows, quantity):
        found.setdefault((mean["format"], mean["rounding"]), {})[mean["at"]] = mean
    for (fmt, rounding), group in found.items():
        yield [style.title(fmt), ROUNDINGS[rounding][0]], group


def shown(mean: Row | None) -> str:
    """Return a mean with its standard error, if there is one."""
    if mean is None:
        return "-"
    return f"{mean['mean']:.2g}" + (f" ± {mean['error']:.1g}" if mean["error"] else "")


def exponent(points: Group) -> str:
    """Return the fitted exponent of a law of powers and its standard error."""
    value, error = power(points.values())
    return f"{value:.2f} ± {error:.2f}"


def texts_table(rows: Rows) -> str:
    """Show how many texts part under each order."""
    lines = [
        [
            "LayerCast" if part.scheme == reproducibility.LAYERCAST else part.scheme,
            part.order,
            f"{part.parted} of {part.texts}",
            f"{100 * part.low:.0f} to {100 * part.high:.0f} %",
            "-" if part.tokens is None else f"{part.tokens:.0f}",
            f"{part.logit_rms:.2g} ± {part.error:.1g}",
        ]
        for part in reproducibility.summary(rows)
    ]
    head = ["scheme", "order", "texts that part", "95 % interval"]
    return table([*head, "tokens to a parting", "logits, rms"], lines)


def masks_table(rows: Rows) -> str:
    """Show the loss of each mask."""
    lines = [
        [
            loss.kind,
            str(loss.bits),
            f"{loss.mean:+.3g}",
            f"{loss.chunk_error:.1g}",
            f"{loss.draw_error:.1g}",
            loss.verdict,
        ]
        for loss in masked_bits.losses(rows)
    ]
    return table(
        ["masked", "bits", "nats over bfloat16", "error, chunks", "error, draws", "verdict"], lines
    )


def factors_table(rows: Rows) -> str:
    """Show backward errors of LU, and up to which condition number refinement converges."""
    converging = {tuple(cells): group for cells, group in groups(rows, lu_refinement.CONVERGES)}
    lines = []
    for cells, group in groups(rows, lu_refinement.BACKWARD):
        mine = converging[tuple(cells)]
        safe = [at for at, mean in mine.items() if mean["theory"] == 1]
        all_do = [at for at, mean in mine.items() if mean["mean"] == 1]
        none_do = [at for at, mean in mine.items() if mean["mean"] == 0]
        last = group[float(lu_refinement.SIZES[-1])]
        lines.append(
            [
                *cells,
                shown(last),
                exponent(group),
                f"{max(safe):.0f}" if safe else "-",
                f"{max(all_do):.0f}" if all_do else "-",
                f"{min(none_do):.0f}" if none_do else "-",
            ]
        )
    head = ["format", "rounding", f"error over u, n = {lu_refinement.SIZES[-1]}", "exponent of n"]
    return table([*head, "all κu < 1 up to κ", "all converge up to", "none from"], lines)


def gradients_table(rows: Rows) -> str:
    """Show what conjugate gradients attain, and how many steps they take."""
    first, middle, last = conjugate_gradients.KAPPAS
    steps = {tuple(cells): group for cells, group in groups(rows, conjugate_gradients.STEPS_TAKEN)}
    reached: dict[tuple[str, str, float], int] = {}
    for row in rows:
        if row["quantity"] == conjugate_gradients.STEPS_TAKEN and row["measured"] is not None:
            key = style.title(row["format"]), ROUNDINGS[row["rounding"]][0], row["at"]
            reached[key] = reached.get(key, 0) + 1
    lines = []
    for cells, group in groups(rows, conjugate_gradients.ATTAINED):
        fmt, rounding = cells
        mine = steps.get((fmt, rounding), {})
        taken = [
            f"{shown(mine[at])} ({reached[fmt, rounding, at]} of {conjugate_gradients.DRAWS})"
            if at in mine
            else "never"
            for at in (first, middle)
        ]
        lines.append([*cells, *(shown(group.get(at)) for at in (first, middle, last)), *taken])
    head = ["format", "rounding", *(f"residual, κ = {at:.0f}" for at in (first, middle, last))]
    return table([*head, *(f"steps to 10 %, κ = {at:.0f}" for at in (first, middle))], lines)


def euler_table(rows: Rows) -> str:
    """Show the smallest error of Euler's method, and how it grows below that step."""
    lines = []
    for cells, group in groups(rows, time_steps.EULER):
        best = min(group.values(), key=lambda mean: float(mean["mean"]))
        below = {at: mean for at, mean in group.items() if at < best["at"] and mean["mean"] < 0.3}
        smallest = group[min(group)]
        lines.append(
            [
                *cells,
                shown(best),
                f"1/{1 / best['at']:.0f}",
                exponent(below) if len(below) > 2 else "-",
                shown(smallest),
            ]
        )
    head = ["format", "rounding", "smallest error", "at h", "exponent of h below it"]
    return table([*head, f"error at h = 1/{1 / min(time_steps.STEPS):.0f}"], lines)


def lorenz_table(rows: Rows) -> str:
    """Show when Lorenz' trajectories depart."""
    lines = []
    by_rounding: dict[str, Group] = {}
    for mean in means(rows, time_steps.DEPARTS):
        if mean["format"] != "float32":
            by_rounding.setdefault(mean["rounding"], {})[mean["at"]] = mean
    for rounding, group in by_rounding.items():
        bits = np.array(list(group))
        gain, error = fitted(bits, np.array([mean["mean"] for mean in group.values()]))
        lines.append(
            [
                ROUNDINGS[rounding][0],
                *(shown(group[at]) for at in (4.0, 7.0, 10.0)),
                f"{gain:.2f} ± {error:.2f}",
            ]
        )
    head = ["rounding", *(f"{bits} bits" for bits in (4, 7, 10)), "later by a bit"]
    return table(head, lines)


def heat_table(rows: Rows) -> str:
    """Show the errors of the heat equation."""
    idle = {tuple(cells): group for cells, group in groups(rows, heat_equation.IDLE)}
    lines = []
    for cells, group in groups(rows, heat_equation.ERROR):
        large, small = max(group), min(group)
        lines.append(
            [
                *cells,
                shown(group[large]),
                shown(group[small]),
                exponent(group),
                f"{100 * idle[tuple(cells)][small]['mean']:.1f} %",
            ]
        )
    head = ["format", "rounding", "error over u, dt = 1/256", "dt = 1/16384", "exponent of dt"]
    return table([*head, "steps that change nothing"], lines)


def roots_table(rows: Rows) -> str:
    """Show the errors of Newton's square roots."""
    wrong = {tuple(cells): group for cells, group in groups(rows, newton_root.WRONG)}
    other = {tuple(cells): group for cells, group in groups(rows, newton_root.NO_DIVISION)}
    lines = [
        [
            *cells,
            *(shown(group[at]) for at in (0.0, 1.0, 2.0, 8.0)),
            f"{100 * wrong[tuple(cells)][8.0]['mean']:.0f} %",
            shown(other[tuple(cells)][8.0]),
        ]
        for cells, group in groups(rows, newton_root.HERON)
    ]
    head = ["format", "rounding", *(f"step {at}" for at in (0, 1, 2, 8))]
    return table([*head, "not the rounded root", "without division"], lines)


def clusters_table(rows: Rows) -> str:
    """Show the points that k-means puts elsewhere."""
    centres = {tuple(cells): group for cells, group in groups(rows, k_means.CENTRES)}
    last = float(k_means.COUNTS[-1])
    lines = [
        [
            *cells,
            *(_percent(group[float(count)]) for count in k_means.COUNTS),
            f"{100 * (group[last]['theory'] or 0):.2g} %",
            shown(centres[tuple(cells)][last]),
        ]
        for cells, group in groups(rows, k_means.MISASSIGNED)
    ]
    head = ["format", "rounding", *(f"{count} points" for count in k_means.COUNTS)]
    return table([*head, "movable", "error of centres"], lines)


def _percent(mean: Row) -> str:
    return f"{100 * mean['mean']:.2g} ± {100 * mean['error']:.1g} %"


def page() -> str:
    """Return the whole page."""
    return "\n\n".join([INTRO, *_models(), *_systems(), *_steps(), *_others()]) + "\n"


def _models() -> Iterator[str]:
    texts, masked = saved("reproducibility"), saved("masked_bits")
    ours, theirs, p = reproducibility.votes(texts)
    prompts = len({row["prompt"] for row in texts})
    found = reproducibility.summary(texts)
    rounded, exact = (
        np.mean([part.logit_rms for part in found if part.scheme == scheme])
        for scheme in reproducibility.SCHEMES
    )
    ratio = float(rounded / exact)
    margins = [row["margin"] for row in texts if row["margin"] is not None]
    yield f"""\
## A model's text by the order of additions

Seed: "Give Me FP32 or Give Me Death?" (arXiv 2506.09501), which finds that greedy text in bfloat16
changes with the GPU and the batch, and proposes LayerCast: weights in 16 bits, arithmetic in
float32. Here SmolLM2-135M writes {texts[0]["tokens"]} tokens after {prompts} prompts, the
beginnings of passages of two texts. Nothing changes but the order in which products with matrices
are added, bit for bit as `minifloat.arithmetic` computes them. In `bfloat16` operands and results
are rounded to bfloat16 and sums are float32, as frameworks do it; weights are the same in both.

![The share of texts that stay the same, and how logits differ](figures/reproducibility.png)"""
    yield texts_table(texts)
    yield f"""\
Each order is compared with `sequential`; intervals are Wilson's, over texts; "tokens to a parting"
are the tokens that are the same over the texts that part.

- Logits differ {round(ratio, -2):.0f} times less in LayerCast. In bfloat16 a last bit of a
  float32 sum moves some results by 2^-8 of themselves; all orders, blocks and units do so alike.
- Texts part where two logits are nearly equal: their margin was at most {max(margins):.2g}, a step
  of bfloat16 there, against a median of {np.median([r["margin_median"] for r in texts]):.2g}.
- In LayerCast {_layercast(found)} parts. By the criterion, which was written first and asks for
  p < 0.01 in a sign test over texts, LayerCast {_better(ours, theirs, p)}: bfloat16 is worse for
  {ours}, LayerCast for {theirs} (p = {p:.2g}, by the two orders that both have).{_length(texts)}"""
    yield """\
## Masked bits of bfloat16

Seed: "To FP8 and Back Again" (arXiv 2405.18710), which trains with masked operands: there removed
exponent bits destabilise training, even one, and mantissa bits are milder (E8M6 to E8M3 are shown).
Its masks of exponents are not described, so three readings are measured, on the forward pass alone:
a narrower range, and the lowest or the highest bit of the exponent field cleared.

![The loss of SmolLM2 by bits removed](figures/masked_bits.png)"""
    yield masks_table(masked)
    yield """\
- Two bits of the mantissa are harmless (E8M5), four cost about a tenth of a nat masked and half of
  that rounded to nearest (E8M3), six are destructive. That agrees with "milder".
- Three bits of range are harmless (E5M7), and five destructive: the forward pass needs no more
  range than float16 has. What one exponent bit does to training is not seen here if it is a bit of
  range; if a bit of the exponent field is cleared, one is enough to destroy the model."""


def _length(texts: Rows) -> str:
    """Return what to say of records of texts that are shorter than those of the study."""
    if texts[0]["tokens"] == reproducibility.WRITTEN:
        return ""
    return f"""
- Of texts of {texts[0]["tokens"]} tokens too few part for that test. The study now writes
  {reproducibility.WRITTEN}, of which 9 texts in 20 should part in bfloat16; the test needs 8
  to 0."""


def _better(ours: int, theirs: int, p: float) -> str:
    """Return whether LayerCast is better by the criterion."""
    return "is better" if ours > theirs and p < 0.01 else "is not shown to be better"


def _layercast(found: list[reproducibility.Parted]) -> str:
    count = sum(part.parted for part in found if part.scheme == reproducibility.LAYERCAST)
    return f"a text {count} times" if count else "no text"


def _systems() -> Iterator[str]:
    rows = saved("lu_refinement")
    yield """\
## Linear systems

![Backward errors, contraction of refinement, and attained residuals](figures/linear_systems.png)

LU with partial pivoting of random matrices, and refinement in three precisions: factors in the
format, working precision float32, residuals in float64 (Carson and Higham 2018)."""
    yield factors_table(rows)
    largest = lu_refinement.SIZES[-1]
    found = [m for m in means(rows, lu_refinement.BACKWARD) if m["at"] == largest and m["theory"]]
    factor = min(m["theory"] / m["mean"] for m in found)
    yield f"""\
- At n = {largest} the bound n u / (1 - n u) is at least {factor:.0f} times too large. Errors grow
  no faster than the square root of n, toward zero too, since entries and errors have both signs; in
  16 bits more slowly, so that neither of both laws is met within its errors.
- A step of refinement shrinks the error by the spectral radius of I - (LU)^-1 A, the lines of the
  figure.
- The rule κ u < 1, κ in the infinity norm, is safe: of the matrices below it {_unsafe(rows)} fail.
  It is not sharp: refinement of all matrices converges up to a κ 10 to 30 times as large."""
    yield "Conjugate gradients, all in the format:"
    yield gradients_table(saved("conjugate_gradients"))
    yield """\
What is attained is u |A| |x| up to a small factor, whatever κ, as Greenbaum's theory (1997) says.
In 16 bits 10 % takes fewer steps than the bound for exact arithmetic; E4M3, whose u is 1/16, never
gets there."""


def _unsafe(rows: Rows) -> str:
    wrong = sum(
        row["measured"] == 0 and row["theory"] == 1
        for row in rows
        if row["quantity"] == lu_refinement.CONVERGES
    )
    return str(wrong) if wrong else "none"


def _steps() -> Iterator[str]:
    rows = saved("time_steps")
    yield """\
## Time steps

![Euler's method, the heat equation and Lorenz' system](figures/time_steps.png)

Euler's method on y' = -y to t = 1. Theory, as lines in the figure: truncation h / (2 e) plus
rounding, u / (e h), or with stochastic rounding u / (e sqrt(h))."""
    yield euler_table(rows)
    stops = [row for row in rows if row["quantity"] == time_steps.STOPS]
    right = sum(
        abs(row["measured"] - row["theory"]) <= Arithmetic(row["format"]).unit for row in stops
    )
    yield f"""\
- To nearest, y stops where the law says, within a gap, in {right} of the {len(stops)} cases where
  it says so: steps below 2^-(m + 1), m bits of mantissa, are lost.
- With stochastic rounding the error grows as 1 / sqrt(h) in float16 only. Once a step h y is below
  a gap g, it is a coin toss, and the error stops growing at about sqrt(0.23 g), root mean square:
  0.011, 0.030 and 0.12 in float16, bfloat16 and E4M3. The square-root law was the criterion; this
  one was found after the measurement, and it is the one in the figure.
- Toward zero, errors grow more slowly than 1/h: where y has fallen too far it falls less."""
    yield """\
The heat equation in one dimension. Croci and Giles (IMA J. Numer. Anal. 43, 2023): to nearest it
stagnates; with stochastic rounding the error grows as u dt^(-1/4)."""
    yield heat_table(saved("heat_equation"))
    yield """\
The exponent with stochastic rounding is -1/4 within its error in both formats. To nearest the steps
stand still, and the error is up to hundreds of times larger."""
    yield """\
Lorenz' system by Runge and Kutta's method: the time until trajectories are 1 apart from those in
float64. Chaos says 0.765 later for each bit, from the exponent 0.9056 (the grey line)."""
    yield lorenz_table(rows)
    at = {m["at"]: m for m in means(rows, time_steps.DEPARTS) if m["format"] in ("e5m10", "float32")
          and m["rounding"] == NEAREST}  # fmt: skip
    gain = (at[23.0]["mean"] - at[10.0]["mean"]) / 13
    error = (at[23.0]["error"] ** 2 + at[10.0]["error"] ** 2) ** 0.5 / 13
    yield f"""\
With 4 to 10 bits a bit is worth less than chaos says: trajectories are apart before the growth is
exponential. From 10 bits to the 23 of float32 it is {gain:.2f} ± {error:.2f} a bit."""


def _others() -> Iterator[str]:
    yield """\
## Square roots and clusters

![Newton's square roots, and k-means](figures/roots_and_clusters.png)

Heron's iteration for square roots of all numbers of the format from 1 to 4: the largest relative
error over u after each step, and the last one of an iteration without division."""
    yield roots_table(saved("newton_root"))
    yield """\
The error is squared by each step, as exact theory says (dotted), until it stops at about u after
two steps. To nearest about a quarter of the roots, and toward zero a third to a half, are not the
correctly rounded ones.

k-means with four clusters: points that land in another cluster than in float64."""
    yield clusters_table(saved("k_means"))
    yield """\
"Movable" points are so close to a border that the rounding of distances can move them, at 1024
points. Far more are moved to nearest and toward zero, because sums of many points stop growing, so
that centres are wrong. Stochastic rounding keeps sums right on average: bfloat16 then moves about
as many points as distances explain."""


if __name__ == "__main__":
    print(page(), end="")

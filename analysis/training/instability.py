"""Instability: bits of bfloat16 removed from all operands, and higher learning rates.

Both operands of every product, those of attention and the last layer too, are rounded to nearest to
a format alone, without scales: bfloat16 (E8M7), bfloat16 with 1 to 6 bits of mantissa removed (E8M6
to E8M1) or 1 to 4 bits of exponent (E7M7 to E4M7), and not at all. The learning rate is 3e-3, and 4
and 16 times as high. The published counterpart is "To FP8 and Back Again" (arXiv 2405.18710), which
masks bits of the operands of products: removing bits of the exponent, even one, destabilises;
removing bits of the mantissa does less; about 10 % of seeds in bfloat16 diverge; and instability
shows as sharpness before it shows in the loss.

**Criteria**

A run has *diverged* if a loss or a gradient is infinite or NaN, or if it lost what it had learned:
the mean training loss of its last twentieth is at least 0.5 bits per byte above the lowest mean of
any twentieth. A share of diverged runs has Wilson's interval of 95 %. A format is less (or more)
stable than bfloat16 if its interval over all rates and seeds is above (or below) that of bfloat16;
with five seeds and three rates only large differences are told apart. Removing exponent is worse
than removing mantissa if the interval over 1 to 4 removed bits of exponent is above that over 1 to
4 of mantissa.

The *sharpness* is the curvature of validation's loss along its gradient g: d^T H d with d = g/|g|,
in nats for a step of length 1 in weights, with products in float32, so that it is one of the place
that a run has reached, not of rounding. It is measured after half of the steps, by central
differences of gradients, (g(w + h d) - g(w - h d)) d / 2h with h = 0.01. The paper measures
sharpness on logits, by a formula that could not be read: this one is ours, and is compared among
our own runs alone. Losses and sharpness are means over seeds with one standard error, of runs that
did not diverge.

What is ours, too: values beyond a format become its largest, those below its normal numbers are
subnormal, and there is no scaling of the loss. So removing bits of the exponent takes small
gradients away. A model of 0.2 million weights that reads 125,000 bytes in 244 steps shows what
happens at once; the published instabilities come after billions of tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch

from analysis.models.evaluation import Progress
from analysis.records import Row, Rows
from analysis.studies import grown
from analysis.training.instability_losses import BFLOAT16, RATE, Case, cases, part_means
from analysis.training.products import Products
from analysis.training.recipe import TrainingRecipe
from analysis.training.run import Run, Setup
from analysis.training.threads import torch_threads

MODEL, ITEMS, BATCH = "0.2M", 125_000, 4
STEP = 0.01  # length of a step in weights, for differences of gradients


def growing(
    known: Rows, *, quick: bool = False, progress: Progress | None = None
) -> Iterator[Rows]:
    """Yield the records so far: whole seeds in turn.

    Parameters
    ----------
    known : list of dict
        Records of an earlier call, which are not measured again.
    quick : bool
        Whether to run three cases for four steps each.
    progress : callable, optional

    Yields
    ------
    list of dict
        With the columns format, factor (of the learning rate), seed, steps (done), training (mean
        loss of the last twentieth of the steps), lowest (such a mean), validation, not_finite (0 or
        1) and sharpness. The losses, in bits per byte, are None where one is not finite; sharpness
        is None where the run did not reach half of its steps.

    Raises
    ------
    MissingPackage
        If the package of a text is not installed.
    """
    wanted = [Case("float32", 1, 0), Case(BFLOAT16, 16, 0), Case("e4m7", 1, 0)]
    items = 4 * BATCH * 128
    if not quick:
        wanted, items = cases(), ITEMS

    def key(row: Row) -> Case:
        return Case(row["format"], row["factor"], row["seed"])

    yield from grown(known, wanted, key, lambda case: [record(case, items)], progress)


def record(case: Case, items: int = ITEMS) -> Row:
    """Return the record of a run, see `growing`."""
    rate = RATE * case.factor
    setup = Setup(MODEL, case.recipe, seed=case.seed, items=items, batch=BATCH, rate=rate)
    sharp = None
    with torch_threads(1):
        run = Run(setup, setup.data())
        while run.step < setup.steps and not run.diverged:
            if run.step == setup.steps // 2:
                sharp = run_sharpness(run)
            run.advance()
        result = run.result()
    means = [] if run.diverged else part_means(result.losses)
    return {
        **case._asdict(),
        "steps": run.step,
        "training": means[-1] if means else None,
        "lowest": min(means) if means else None,
        "validation": result.validation if math.isfinite(result.validation) else None,
        "not_finite": int(run.diverged or not math.isfinite(result.validation)),
        "sharpness": sharp,
    }


def run_sharpness(run: Run) -> float | None:
    """Return the sharpness where a run is, with products in float32; None if it is not finite.

    The run goes on as if it had not been measured.
    """
    model, batch = run.model, run.data.validation()
    products = [model.products, model.other_products]
    before = [part.recipe for part in products]
    _set_recipes(products, [TrainingRecipe()] * 2)
    try:
        found = sharpness(lambda: run.loss(batch)[0], list(model.parameters()))
    finally:
        _set_recipes(products, before)
        run.optimizer.zero_grad()
    return found if math.isfinite(found) else None


def sharpness(
    loss: Callable[[], torch.Tensor], parameters: Sequence[torch.nn.Parameter], step: float = STEP
) -> float:
    """Return the curvature of a loss along its gradient.

    Parameters
    ----------
    loss : callable
        Computes the loss of the parameters as they are.
    parameters : sequence of Parameter
        Left as they are.
    step : float
        Of central differences.

    Returns
    -------
    float
        NaN where the gradient is 0.

    Examples
    --------
    >>> w = torch.nn.Parameter(torch.tensor([2.0, 0.0]))
    >>> round(sharpness(lambda: 1.5 * w[0] ** 2 + w[1] ** 2, [w]), 3)
    3.0
    """
    start = [p.detach().clone() for p in parameters]
    gradient = torch.autograd.grad(loss(), parameters)
    norm = math.sqrt(sum(float(g.double().square().sum()) for g in gradient))
    if not 0 < norm < math.inf:
        return math.nan
    slopes = []
    with torch.no_grad():
        for sign in (1, -1):
            for p, at, g in zip(parameters, start, gradient, strict=True):
                p.copy_(at + sign * step / norm * g)
            with torch.enable_grad():
                there = torch.autograd.grad(loss(), parameters)
            pairs = zip(there, gradient, strict=True)
            slopes.append(sum(float((t.double() * g.double()).sum()) for t, g in pairs) / norm)
        for p, at in zip(parameters, start, strict=True):
            p.copy_(at)
    return (slopes[0] - slopes[1]) / (2 * step)


def _set_recipes(products: list[Products], recipes: list[TrainingRecipe]) -> None:
    for part, recipe in zip(products, recipes, strict=True):
        part.recipe = recipe

"""One training, many widths: what weights of 3 to 6 bits lose that were trained together.

The weights of the layers have blocks of 32 with an exact scale; activations and gradients are not
rounded. A run trains one of these (`analysis.training.widths`):

    dedicated     a run for each width, rounded at once
    shared        one set of codes of 6 bits, rounded again to read them at fewer: integers as in
                  Double Rounding ("Nearly Lossless Adaptive Bit Switching") and Matryoshka
                  (arXiv 2502.06786), and E2M3 down to E2M0, which nest exactly
    low rank      shared weights, and two thin matrices for each width (LLM-QFA, arXiv 2405.20202).
                  Their product is added before rounding, so that no width has more bits: ours
    decoupled     weights for each width; only what is not in layers is shared

In a step all layers have widths by a sampling: ``whole`` draws one for all; ``uniform`` draws
each layer's; ``balanced`` draws them around a mean that moves evenly between the least and the
most bits, so that few bits everywhere come as often as any mean, which under ``uniform`` they
hardly do. This is what LLM-QFA states of its resource-balanced sampling; its schedule could not be
read, so ours is a triangle of 8 periods with a spread of half a bit.

**Criteria**

A run is validated at each width with all layers at it, in bits per byte. What a width loses is the
difference to its dedicated run with the same seed, which learns from as many bytes, so that a
width of a run of four has a quarter of the steps. It is said to be lossless here if that is at most
0.01 or two standard errors over seeds; sharing or sampling are compared in the same way, by the
mean over widths and at 3 bits.

At 0.2 million weights and 250,000 bytes from random weights; the published methods begin with a
trained model. So a loss here is mostly what fewer steps at a width cost, and interference of the
widths; that LLM-QFA needs decoupling in large models cannot be refuted here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from analysis.models.evaluation import Progress
from analysis.records import Row, Rows
from analysis.studies import grown
from analysis.training.many_widths_losses import DEDICATED
from analysis.training.run import Run, Setup
from analysis.training.samplings import SAMPLINGS, WIDTHS
from analysis.training.through import finish, training_loss, validation
from analysis.training.widths import (
    DECOUPLED,
    FAMILIES,
    LOW_RANK,
    SHARED,
    give_widths,
    set_widths,
    train_widths,
)

MODEL, ITEMS, BATCH, SEEDS = "0.2M", 250_000, 8, 5


class Case(NamedTuple):
    """A run: ``sampling`` is a width for a dedicated one."""

    seed: int
    family: str
    sharing: str
    sampling: str


def cases() -> list[Case]:
    """Return all runs: a whole seed before the next one."""
    return [case for seed in range(SEEDS) for case in _of_seed(seed)]


def _of_seed(seed: int) -> list[Case]:
    alone = [Case(seed, family, DEDICATED, f"{w} bits") for family in FAMILIES for w in WIDTHS]
    together = [Case(seed, family, SHARED, name) for family in FAMILIES for name in SAMPLINGS]
    more = [Case(seed, "exmy", sharing, "whole") for sharing in (LOW_RANK, DECOUPLED)]
    return [*alone, *together, *more]


def growing(
    known: Rows, *, quick: bool = False, progress: Progress | None = None
) -> Iterator[Rows]:
    """Yield the records so far, whole seeds in turn.

    Parameters
    ----------
    known : list of dict
        Records of an earlier call, which are not measured again.
    quick : bool
        Whether to run five of the runs for four steps, with one seed.
    progress : callable, optional

    Yields
    ------
    list of dict
        With the columns seed, family, sharing, sampling, width, training (the mean loss of the last
        twentieth of the steps, over all widths that it trained) and validation, both in bits for
        each byte; None where the run diverged.

    Raises
    ------
    MissingPackage
        If the package of a text is not installed.
    """
    wanted, setup = cases(), Setup(MODEL, items=ITEMS, batch=BATCH)
    if quick:
        wanted = [
            c for c in _of_seed(0) if c.family == "exmy" and c.sampling in ("3 bits", "whole")
        ]
        setup = Setup(MODEL, items=4 * 512, batch=4)
    yield from grown(
        known,
        wanted,
        lambda row: Case(row["seed"], row["family"], row["sharing"], row["sampling"]),
        lambda case: measured(case, setup),
        progress,
    )


def measured(case: Case, setup: Setup) -> Rows:
    """Train a run, and return a record for each of its widths."""
    family = FAMILIES[case.family]
    if case.sharing == DEDICATED:
        width = int(case.sampling.removesuffix(" bits"))
        recipe = f"weights={family.at_once(width)}"
        run = Run(_seeded(setup, case.seed, recipe), setup.data())
        finish(run)
        return [_record(case, width, run)]
    run = Run(_seeded(setup, case.seed), setup.data())
    found = give_widths(run, family, case.sharing)
    train_widths(run, found, case.sampling)
    rows = []
    for width in WIDTHS:
        set_widths(found, [width] * len(found))
        rows.append(_record(case, width, run))
    return rows


def _seeded(setup: Setup, seed: int, recipe: str = "") -> Setup:
    return Setup(setup.model, recipe, seed=seed, items=setup.items, batch=setup.batch)


def _record(case: Case, width: int, run: Run) -> Row:
    losses = {"training": training_loss(run), "validation": validation(run)}
    return case._asdict() | {"width": width} | losses

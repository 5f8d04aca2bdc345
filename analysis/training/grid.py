"""Many runs: through any executor, as records that grow."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, as_completed
from typing import Any

from analysis.models.evaluation import Progress, counter
from analysis.records import Row, Rows
from analysis.studies import known_cases
from analysis.training.recipe import TrainingRecipe
from analysis.training.run import Setup, train

LAST = 0.05  # of the steps, whose mean loss is a record's training loss
_KEYS = ("model", "recipe", "items", "batch", "rate", "seed")


def growing_runs(
    setups: Iterable[Setup],
    known: Rows,
    *,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Iterator[Rows]:
    """Yield the records of runs, in the order of the setups, whenever there are more.

    Parameters
    ----------
    setups : iterable of Setup
    known : list of dict
        Records of an earlier call; their runs are not done again.
    executor : Executor, optional
        Any of `concurrent.futures`; by default runs are done here, one after the other.
    progress : callable, optional

    Yields
    ------
    list of dict
        With the columns model, recipe (a text), items, batch, rate, seed, steps (done), training
        (mean loss of the last twentieth of the steps), validation, accuracy and diverged (0 or 1);
        the three results are None where a run diverged. Losses are in bits for each byte or image.
    """
    wanted = list(setups)
    found = dict(zip(known_cases(known, _key), known, strict=True))
    missing = [setup for setup in wanted if _setup_key(setup) not in found]
    step = counter(progress, len(missing))

    def rows() -> Rows:
        return [found[key] for key in map(_setup_key, wanted) if key in found]

    if not missing:
        yield rows()
        return
    for row in _done(missing, executor):
        found[_key(row)] = row
        step()
        yield rows()


def whole_seeds(
    recipes: Sequence[TrainingRecipe | str], model: str, items: int, batch: int, seeds: int
) -> list[Setup]:
    """Return runs of recipes with each seed: all recipes of a seed before the next one.

    Examples
    --------
    >>> [setup.seed for setup in whole_seeds(["", "quartet"], "0.2M", 512, 4, 2)]
    [0, 0, 1, 1]
    """
    return [
        Setup(model, recipe, seed=seed, items=items, batch=batch)
        for seed in range(seeds)
        for recipe in recipes
    ]


def record(setup: Setup) -> Row:
    """Return the record of a run, see `growing_runs`; a function that executors can send."""
    result = train(setup)
    count = max(1, round(LAST * setup.steps))
    last = result.losses[-count:]
    values: dict[str, Any] = dict.fromkeys(("training", "validation", "accuracy"))
    if not result.diverged:
        values = {
            "training": math.fsum(last) / count,
            "validation": result.validation,
            "accuracy": result.accuracy,
        }
    return (
        dict(zip(_KEYS, _setup_key(setup), strict=True))
        | {"steps": len(result.losses)}
        | values
        | {"diverged": int(result.diverged)}
    )


def _done(setups: list[Setup], executor: Executor | None) -> Iterator[Row]:
    if executor is None:
        yield from map(record, setups)
        return
    waiting: list[Future[Row]] = [executor.submit(record, setup) for setup in setups]
    try:
        for future in as_completed(waiting):
            yield future.result()
    finally:
        for future in waiting:
            future.cancel()


def _setup_key(setup: Setup) -> tuple[Any, ...]:
    recipe = str(TrainingRecipe.parse(setup.recipe)) or "float32"  # an empty cell reads as None
    return (setup.model, recipe, setup.items, setup.batch, setup.rate, setup.seed)


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in _KEYS)

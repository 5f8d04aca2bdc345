"""Random mutations of a target's seeds, without coverage; the same ones for the same seed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from random import Random

from tests.fuzz import faults
from tests.fuzz.mutations import some_bytes
from tests.fuzz.target import Target

MUTATIONS = (1, 1, 1, 2, 4)  # one on top of the other


def mutants(target: Target, random: Random) -> Iterator[bytes]:
    """Yield mutations of the seeds, for ever."""
    seeds = list(target.seeds().values())
    while True:
        data = random.choice(seeds)
        for _ in range(random.choice(MUTATIONS)):
            data = target.mutate(data, random, partial(some_bytes, random=random))
        yield data


def run_some(target: Target, count: int, seed: int = 0) -> None:
    """Run a target on so many mutations."""
    for data, _ in zip(mutants(target, Random(seed)), range(count), strict=False):
        faults.run(target.run, data)


def run_for(target: Target, seconds: float, seed: int = 0) -> int:
    """Run a target on mutations for a time; return how many."""
    end = time.monotonic() + seconds
    for count, data in enumerate(mutants(target, Random(seed))):
        if time.monotonic() > end:
            return count
        faults.run(target.run, data)
    raise AssertionError("there are always more mutations")

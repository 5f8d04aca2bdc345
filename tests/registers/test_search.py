"""`registers.search`: results are right, dense, repeatable, and not worse than named layouts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from minifloat import registers
from minifloat._kernels import annealing
from minifloat.packing.layouts import Layout
from minifloat.registers import prove, search, table_formats, to_half

QUICK = {"restarts": 1, "trials": 30_000}


OTHERS = ["ue2m2", "int3", "uint6", "mxint8", "bipolar_int3"]
FORMATS = [*(fmt.name for fmt in table_formats()), *OTHERS]


@pytest.mark.parametrize(
    ("fmt", "target"),
    [*((fmt, "float16") for fmt in FORMATS), *((fmt, "bfloat16") for fmt in FORMATS[::3])],
)
def test_results_are_right(fmt, target):
    result = search(fmt, target, fold_scale=True, **QUICK)
    assert prove(result.program, fmt)
    assert result.program.layout.is_dense
    assert result.program.cost.total >= result.bound
    costs = dict(result.tried)
    weights = result.program.cost.weights
    for name, cost in costs.items():
        same_group = to_half_or_table(fmt, name, target).cost
        assert same_group.total == cost
        assert result.program.cost.total / weights <= cost / same_group.weights
    assert str(result.bound) in str(result)


def to_half_or_table(fmt, name, target):
    kind, _, layout = name.rpartition(", ")
    if kind:
        return registers.look_up(fmt, layout, target, pairs=kind == "pairs")
    return to_half(fmt, layout, target, fold_scale=True)


def test_the_cheapest_known_programs():
    """The search finds the costs that much longer searches have found."""
    for fmt, instructions in {"e2m2": 42, "int5": 41, "e2m1": 10, "int4": 9, "e5m2": 2}.items():
        result = search(fmt, fold_scale=True)
        assert result.program.cost.total == instructions, result


def test_the_same_seed_finds_the_same():
    first, second = (search("e3m2", seed=7, **QUICK) for _ in range(2))
    assert first == second
    other = search("e3m2", seed=8, **QUICK)
    assert other.program.layout != first.program.layout


def test_progress_and_errors():
    calls = []
    search("nf4", restarts=2, trials=100, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]

    def stop(done, total):
        calls.append((done, total))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        registers.costs(["e2m2", "int5"], progress=stop)
    assert calls[-1] == (0, 2)  # before anything was done
    with pytest.raises(ValueError, match="fmt must have at most 8 bits to be searched, got e4m4"):
        search("e4m4")
    with pytest.raises(ValueError, match="fmt must have subnormals"):
        search("e3m1_nosub", **QUICK)


def test_all_layouts_of_two_small_codes():
    """The best placement of two pairs of two bits in four places of the halves needs 3."""
    costs = set()
    for slots in itertools.permutations(range(9, 13)):
        rows = []
        for item in (slots[:2], slots[2:]):
            rows += [list(item), [slot + 16 for slot in item]]
        costs.add(to_half("ue1m1", Layout(2, 1, rows), fold_scale=True).cost.total)
    assert min(costs) == 3  # the second pair is shifted
    assert max(costs) > 5


def cost_of(places, offsets, targets, width):
    """Count pieces and shifts, slowly."""
    pieces = sum(
        len(
            {
                (slot // width, t + offset - slot % width)
                for slot, t in zip(row, targets, strict=True)
            }
        )
        for row, offset in zip(places, offsets, strict=True)
    )
    shifts = {
        (slot // width, t + offset - slot % width)
        for row, offset in zip(places, offsets, strict=True)
        for slot, t in zip(row, targets, strict=True)
    }
    return pieces + sum(distance != 0 for _, distance in shifts)


@pytest.mark.parametrize("free", [0, 5])
@pytest.mark.parametrize("seed", range(5))
def test_annealing_keeps_the_cost_up_to_date(seed, free):
    """After thousands of accepted and rejected trials the cost equals a new count."""
    targets = np.arange(5) if free else np.array([8, 9, 10, 11, 15])
    items, words, width = 16, 5, 16
    owners = np.random.default_rng(seed).permutation(items * 5)
    places = np.argsort(owners).reshape(items, 5)
    offsets, best = np.zeros(items, np.int64), places.copy()
    used, pieces = np.zeros((words, 3 * width), np.int64), np.zeros(items, np.int64)
    start = cost_of(places, offsets, targets, width)
    state = np.array([seed + 1], np.uint64)
    lowest = annealing.anneal(
        places, offsets, owners, used, pieces, best, targets, width, free, 5000, state
    )
    assert lowest < start
    assert sorted(places.reshape(-1)) == list(range(80)) == sorted(best.reshape(-1))
    assert np.array_equal(np.argsort(owners).reshape(items, 5), places)
    counted = annealing.layout_cost(places, offsets, targets, width, used.copy(), pieces.copy())
    assert counted == cost_of(places, offsets, targets, width)
    rows = {tuple(row) for row in used}
    annealing.layout_cost(places, offsets, targets, width, used, pieces)
    assert {tuple(row) for row in used} == rows, "the counts are wrong"
    if not free:
        assert cost_of(best, offsets, targets, width) == lowest

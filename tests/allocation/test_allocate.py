"""Allocations against brute force over all choices, in exact arithmetic."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import minifloat as mf
from minifloat import allocation
from minifloat.allocation import Choices, allocate, columns, measured
from minifloat.allocation.front import front

RECIPES = tuple(mf.Recipe.parse(name) for name in ("e2m1", "e2m2", "e2m3", "e4m3fn"))
pytest.importorskip("scipy")


def every(choices: Choices, cost: str) -> Iterator[tuple[Fraction, Fraction, tuple[int, ...]]]:
    """Yield cost, loss and recipes of each of the k**n choices."""
    n, k = choices.losses.shape
    for picks in itertools.product(range(k), repeat=n):
        sums = [
            sum((Fraction(table[row, pick]) for row, pick in enumerate(picks)), Fraction(0))
            for table in (choices.costs[cost], choices.losses)
        ]
        yield sums[0], sums[1], picks


def made(losses: Any, **costs: Any) -> Choices:
    """Return choices of equally large tensors."""
    table = np.array(losses, np.float64)
    n, k = table.shape
    names = tuple(f"t{i}" for i in range(n))
    tables = {name: np.array(cost, np.float64) for name, cost in costs.items()}
    return Choices(names, RECIPES[:k], (8,) * n, table, tables)


@st.composite
def tables(draw: st.DrawFn) -> Choices:
    n, k = draw(st.integers(1, 5)), draw(st.integers(1, 4))

    def table(most: int) -> NDArray[np.float64]:
        number = st.integers(0, most)
        return np.array(draw(st.lists(number, min_size=n * k, max_size=n * k))).reshape(n, k)

    return made(table(1000), bytes=table(30), other=table(9))


@settings(max_examples=60)
@given(tables(), st.floats(0, 1), st.floats(0, 1))
def test_no_choice_within_the_budgets_loses_less(choices: Choices, x: float, y: float) -> None:
    limits = {}
    for cost, share in (("bytes", x), ("other", y)):
        low, high = (float(f(choices.costs[cost], axis=1).sum()) for f in (np.min, np.max))
        limits[cost] = np.floor(low + share * (high - low))
    both = zip(every(choices, "bytes"), every(choices, "other"), strict=True)
    kept = [
        loss for (cost, loss, _), (other, _, _) in both
        if cost <= limits["bytes"] and other <= limits["other"]
    ]  # fmt: skip
    if not kept:
        with pytest.raises(ValueError, match="budget must be kept by some allocation"):
            choices.allocate(limits)
        return
    found = choices.allocate(limits)
    assert found.loss == min(kept)
    assert all(found.costs[cost] <= limit for cost, limit in limits.items())
    picks = [choices.recipes.index(found.recipes[name]) for name in choices.names]
    assert found.loss == choices.losses[range(len(picks)), picks].sum()


@settings(max_examples=60)
@given(tables())
def test_front_is_all_that_no_choice_beats(choices: Choices) -> None:
    points = sorted((cost, loss) for cost, loss, _ in every(choices, "bytes"))
    unbeaten, least = [], None
    for cost, loss in points:
        if least is None or loss < least:
            unbeaten.append((cost, loss))
            least = loss
    found = choices.front("bytes")
    assert [(point.costs["bytes"], point.loss) for point in found] == unbeaten
    for point in found:
        assert choices.allocate({"bytes": point.costs["bytes"]}).loss == point.loss


def test_front_and_program_agree_on_many_tensors() -> None:
    rng = np.random.default_rng(1)
    sizes = rng.choice([1, 2, 6], 60)
    losses = np.sort(rng.gamma(1.0, size=(60, 4)) * sizes[:, None], axis=1)[:, ::-1].copy()
    choices = made(losses, bytes=np.outer(sizes, [17.0, 21, 25, 33]))
    points = choices.front("bytes")
    assert len(points) > 100
    for point in points[:: len(points) // 9]:
        found = choices.allocate({"bytes": point.costs["bytes"]})
        assert found.loss == pytest.approx(point.loss, rel=1e-6)


def test_a_limit_is_kept_exactly() -> None:
    """HiGHS lets a sum exceed its limit by a part in 10^6; the best choice here does so."""
    choices = made([[5, 0], [5, 1]], bytes=[[10**9, 10**9 + 1], [0, 0]])
    assert choices.allocate({"bytes": 10**9}).loss == 6
    assert choices.allocate({"bytes": 10**9 + 1}).loss == 1


@settings(max_examples=60)
@given(tables(), st.integers(1, 99))
def test_a_cost_that_is_shown_is_a_budget_that_it_keeps(choices: Choices, size: int) -> None:
    choices = replace(choices, weights=(size,) * len(choices.names))
    for point in choices.front():
        found = choices.allocate(point.bits_per_weight)
        assert found.loss == point.loss
        assert found.bits_per_weight <= point.bits_per_weight


def test_bits_per_weight_are_the_quotient_rounded_once() -> None:
    for size in range(1, 99):
        choices = replace(made([[1, 0]], bytes=[[29, 137]]), weights=(size,))
        assert choices.allocate(8 * 29 / size).costs == {"bits": 8 * 29 / size, "bytes": 29}
        assert choices.allocate(8 * 137 / size).costs == {"bits": 8 * 137 / size, "bytes": 137}


def test_no_limit_is_a_limit_that_all_keep() -> None:
    choices = made([[5, 0], [5, 1]], bytes=[[1, 2], [1, 2]], other=[[1, 3], [1, 3]])
    assert choices.allocate(np.inf).loss == 1
    assert choices.allocate({"bits": 1e308, "other": 4}).loss == 5
    assert choices.allocate({"bytes": 3, "other": np.inf}).loss == 5
    with pytest.raises(ValueError, match="budget must be at least"):
        choices.allocate(-np.inf)


def test_losses_far_below_the_largest_are_told_apart() -> None:
    """One recipe loses 10^9 times as much as others: HiGHS' tolerance is of the largest loss."""
    losses = [[1e9, 4, 1], [1e9, 3, 2], [1e9, 9, 2e-3]]
    choices = made(losses, bytes=[[1, 2, 3]] * 3)
    for budget, want in ((9, 3.002), (8, 4.002), (7, 7.002), (6, 16.0)):
        assert choices.allocate({"bytes": budget}).loss == pytest.approx(want, rel=1e-12)


def test_all_that_a_recipe_costs_is_counted() -> None:
    w = np.random.default_rng(2).standard_normal((6, 256))
    lut6 = {"e2m1": 10, mf.Recipe("nvfp4".replace("nvfp4", "e2m2")): 20.0}
    found = allocate({"a": w, "b": w[:2]}, ["e2m1", "e2m2"], 99, costs={"lut6": lut6})
    packed = [mf.quantize(w, "e2m2"), mf.quantize(w[:2], "e2m2")]
    assert found.costs["bytes"] == sum(q.nbytes for q in packed)
    assert found.bits_per_weight == found.costs["bytes"] * 8 / (8 * 256)
    assert found.costs["bit_operations"] == 8 * 256 * 5 * 16
    assert found.costs["lut6"] == 8 * 256 * 20
    assert found.loss == pytest.approx(
        sum(np.square(x - q.dequantize()).sum() for x, q in zip((w, w[:2]), packed, strict=True))
    )
    limited = allocate(
        {"a": w, "b": w[:2]}, ["e2m1", "e2m2"], {"lut6": 8 * 256 * 19.0}, costs={"lut6": lut6}
    )
    assert set(map(str, limited.recipes.values())) == {"e2m1/128/float16", "e2m2/128/float16"}


def test_sensitivities_are_what_they_say() -> None:
    rng = np.random.default_rng(3)
    w, x = rng.standard_normal((6, 16)), rng.standard_normal((40, 16))
    error = w - mf.quantize(w, "e2m1").dequantize()

    def loss(sensitivity: allocation.losses.Sensitivity) -> float:
        return float(measured({"a": w}, ["e2m1"], sensitivity=sensitivity).losses[0, 0])

    assert loss(None) == pytest.approx(np.square(error).sum())
    assert loss({"a": 3}) == pytest.approx(3 * np.square(error).sum())
    assert loss({"a": np.square(x).sum(0)}) == pytest.approx(np.square(error[:, None] * x).sum())
    assert loss({"a": x.T @ x}) == pytest.approx(np.square(x @ error.T).sum())
    assert loss(lambda name, w, q: len(name) + q.bits_per_weight + w[0, 0] ** 2) == (
        1 + mf.quantize(w, "e2m1").bits_per_weight + w[0, 0] ** 2
    )


def test_a_checkpoint_gives_its_matrices(tmp_path: Path) -> None:
    save = pytest.importorskip("safetensors.numpy").save_file
    w = np.random.default_rng(4).standard_normal((4, 128)).astype(np.float32)
    save({"w": w, "norm": w[0].copy()}, tmp_path / "model.safetensors")
    found = allocate(tmp_path, ["e2m1", "e2m2"], 5)
    assert found.recipes == {"w": mf.Recipe("e2m1")}


def test_columns_are_blocks_of_views() -> None:
    w = np.arange(40.0).reshape(2, 20)
    parts = columns({"w": w}, 8)
    assert np.array_equal(np.concatenate(list(parts.values()), axis=-1), w)
    assert all(np.shares_memory(part, w) for part in parts.values())
    w[:, 8:16] *= 100  # outlying channels
    found = allocate(columns({"w": w}, 8), ["int4/8", "int8/8"], 9.6)
    assert str(found.recipes["w[..., 8:16]"]) == "int8/8/float16"
    assert str(found.recipes["w[..., 0:8]"]) == "int4/8/float16"


def test_progress_counts_tensors() -> None:
    seen: list[tuple[int, int]] = []
    measured({"a": [1.0], "b": [2.0]}, ["e2m1"], progress=lambda *at: seen.append(at))
    assert seen == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"tensors": {}}, "tensors must be one or more, got none"),
        ({"tensors": [1.0]}, "tensors must be a mapping of names to weights"),
        ({"tensors": {"a": []}}, "tensors must not be empty"),
        ({"recipes": []}, "recipes must be one or more"),
        ({"recipes": ["e2m1", "e2m1"]}, "recipes must be one or more, each once"),
        ({"budget": 1}, r"budget must be at least 6 bits, got 1"),
        ({"budget": float("nan")}, "budget must be numbers, got nan for bits"),
        ({"budget": "5"}, "budget must be numbers, got '5' for bits"),
        ({"budget": {}}, "budget must limit a cost, got none"),
        ({"budget": {"byte": 1}}, "cost must be one of bits, bytes, bit_operations, got 'byte'"),
        ({"sensitivity": {}}, "sensitivity must have each tensor, got none for 'a'"),
        ({"sensitivity": {"a": -1}}, "sensitivity must be finite, and at least 0"),
        ({"sensitivity": {"a": [1, 2]}}, "sensitivity must be a number or"),
        ({"sensitivity": {"a": "x"}}, "sensitivity must be numbers, got <U1"),
        ({"sensitivity": lambda *_: float("nan")}, "sensitivity must make losses that are finite"),
        ({"costs": {"bits": {}}}, "costs must have other names than the counted ones"),
        ({"costs": {"lut6": {}}}, "costs must have each recipe, got none of lut6 for e2m1"),
        ({"recipes": ["e2m1/8/float16/hadamard16"]}, "got 'a' by e2m1/8/float16/hadamard16: rotat"),
        ({"threads": 0}, "^threads must be a positive integer"),
        ({"activation_bits": 0}, "activation_bits must be"),
    ],
)  # fmt: skip
def test_bad_arguments(change: dict[str, Any], error: str) -> None:
    arguments = {
        "tensors": {"a": [1.0, 2.0, 3.0, 4.0, 0.5, 0.1, 0.2, 0.3]},
        "recipes": ["e2m1"],
        "budget": 9,
    }
    with pytest.raises((ValueError, TypeError), match=error):
        allocate(**(arguments | change))  # type: ignore[arg-type]


def test_choices_are_checked() -> None:
    with pytest.raises(ValueError, match="losses must be finite, at least 0"):
        made([[np.inf]], bytes=[[1]])
    with pytest.raises(ValueError, match=r"bytes must be finite, at least 0 and of shape \(1, 1\)"):
        made([[1]], bytes=[[1, 2]])
    with pytest.raises(ValueError, match='costs must have "bytes"'):
        made([[1]], lut6=[[1]])


def test_too_many_points_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minifloat.allocation.front.MAX_POINTS", 3)
    choices = made([[4, 2, 1, 0]] * 2, bytes=[[0, 1, 2, 4]] * 2)
    with pytest.raises(ValueError, match="tensors must have at most 3 sums"):
        choices.front()


# ResNet-18 at six widths: billions of bit operations and top-1 accuracy, from the plots of FLIQS
# (arXiv 2308.03290); each row a line of the plot.
FLIQS = {
    "e2m1": [
        (7.78, 58.17), (16.80, 64.18), (29.23, 67.96), (45.08, 70.43), (64.35, 72.08),
        (113.1, 74.22),
    ],
    "e4m3": [
        (31.13, 62.06), (67.19, 67.57), (116.9, 70.56), (180.3, 72.66), (257.4, 73.75),
        (452.5, 75.43),
    ],
    "bfloat16": [(124.5, 62.63), (1810, 75.56)],  # the first and the last
    "mixed, small": [
        (8.18, 59.8), (17.68, 65.77), (30.8, 68.89), (54.6, 72.1), (76.35, 73.5), (128.2, 75.26),
    ],
    "mixed, large": [
        (9.6, 60.99), (19.48, 66.61), (32.78, 70.01), (50.01, 71.92), (68.43, 73.32), (118.2, 74.8),
    ],
}  # fmt: skip


def test_front_of_published_models() -> None:
    """Those unbeaten are mixed, but for E2M1 where nothing else is as cheap."""
    points = [(cost, accuracy, line) for line, row in FLIQS.items() for cost, accuracy in row]
    table = np.array([[cost for cost, _, _ in points]])
    lost = np.array([[100 - accuracy for _, accuracy, _ in points]])
    found = [points[pick] for (pick,) in front(lost, table)]
    unbeaten = [
        p for p in points if not any(q[0] <= p[0] and q[1] >= p[1] and q != p for q in points)
    ]
    assert sorted(found) == sorted(unbeaten)
    assert {line for _, _, line in found} == set(FLIQS)
    assert [p[:2] for p in found if p[2] == "e4m3"] == [(452.5, 75.43)]
    assert [p[:2] for p in found if p[2] == "bfloat16"] == [(1810, 75.56)]
    assert [p for p in FLIQS["e2m1"] if (*p, "e2m1") not in found] == [(64.35, 72.08)]
    assert all((*p, line) in found for line in FLIQS for p in FLIQS[line] if "mixed" in line)


def test_uses_are_counted() -> None:
    """A convolution uses each weight at each position of its output."""
    tensors = {"stem": np.ones((2, 8)), "head": np.ones((4, 8))}
    found = measured(tensors, ["e2m1", "e4m3fn"], activation_bits=8, uses={"stem": 49, "head": 1})
    operations = found.costs["bit_operations"].tolist()
    assert operations == [[16 * 49 * 4 * 8, 16 * 49 * 8 * 8], [32 * 4 * 8, 32 * 8 * 8]]
    chosen = allocate(
        {name: np.random.default_rng(0).standard_normal((4, 128)) for name in tensors},
        ["e2m1", "e4m3fn"],
        {"bit_operations": 512 * 8 * (49 * 4 + 8)},
        activation_bits=8,
        uses={"stem": 49, "head": 1},
    )
    assert [recipe.fmt.bits for recipe in chosen.recipes.values()] == [4, 8]
    for wrong in ({"stem": 1}, {"stem": 1, "head": -1}, {"stem": 1, "head": float("nan")}):
        with pytest.raises(ValueError, match="uses must"):
            measured(tensors, ["e2m1"], uses=wrong)


def test_bit_operations_are_those_of_fliqs() -> None:
    """E2M1, E4M3 and bfloat16 for both operands cost as 1 to 4 to 16, as their models do."""
    cost = [
        measured({"a": np.ones(8)}, [fmt], activation_bits=bits).costs["bit_operations"][0, 0]
        for fmt, bits in (("e2m1", 4), ("e4m3fn", 8), ("bfloat16", 16))
    ]
    assert [each / cost[0] for each in cost] == [1, 4, 16]
    for (narrow, _), (wide, _) in zip(FLIQS["e2m1"], FLIQS["e4m3"], strict=True):
        assert wide / narrow == pytest.approx(4, rel=2e-3)

"""Large weights are diagnosed by the rows that are furthest off, and the mistakes are the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.auditing import Verdict, audit, parts, verdicts
from tests.auditing import planted
from tests.auditing.planted import FP8, INT4, RECIPES, Plant, weights

SMALL = 1 << 13  # weights of a part here: 128 rows of 64


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "LARGEST", SMALL)


CASES = [
    pytest.param(name, plant, recipe, id=f"{name} {recipe}")
    for name, plant, recipes in planted.PLANTED
    for recipe in recipes
]


@pytest.mark.parametrize(("name", "plant", "recipe"), CASES)
@pytest.mark.parametrize("shape", [(384, 64), (3, 256, 64)])
def test_a_planted_mistake_is_named(
    name: str, plant: Plant, recipe: str, shape: tuple[int, ...]
) -> None:
    if "axis" in name and (len(shape) > 2 or recipe == FP8):
        pytest.skip("the scales of the other axis have another shape")
    w = weights(shape)
    [tensor] = audit({"w": plant(mf.quantize(w, recipe))}, {"w": w}).tensors
    assert tensor.text == f"wrong: {name}"


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_concerns_whole_matrices_is_named(recipe: str) -> None:
    w, other = weights((256, 256)), weights((256, 256), seed=2)
    held = {
        "turned": mf.quantize(np.ascontiguousarray(w.T), recipe),
        "another": mf.quantize(other, recipe),
        "times": mf.quantize(4 * w, recipe),
        "unlike": mf.quantize(weights((256, 256), seed=3), recipe),
    }
    result = audit(held, {**dict.fromkeys(held, w), "other": other}, exclude="other")
    texts = [tensor.text for tensor in result.tensors]
    assert texts[:2] == ["wrong: weights transposed", "wrong: weights of other"]
    assert texts[2].startswith(("wrong: all weights times 4", "wrong: all weights times 3.9"))
    assert texts[3] == "wrong: unlike the original"


@pytest.mark.parametrize("row", [0, 200, 383])
def test_the_rows_that_are_off_are_found(row: int) -> None:
    """Of one expert of three 128 rows have their nibbles swapped: one part."""
    w = weights((3, 384, 64))
    q = mf.quantize(w, INT4)
    codes = q.codes.copy()
    rows = slice(row // 128 * 128, row // 128 * 128 + 128)
    codes[1, rows] = codes[1, rows].reshape(-1, 2)[:, ::-1].reshape(codes[1, rows].shape)
    part = parts.worst_part(w, planted.recoded(q, codes).dequantize())
    assert part == parts.Part((1,), rows)
    [tensor] = audit({"w": planted.recoded(q, codes)}, {"w": w}).tensors
    assert tensor.text == "wrong: nibbles swapped"


def test_a_nan_is_furthest_off() -> None:
    w = weights((512, 64))
    held = w + 1
    held[300, 3] = np.nan
    part = parts.worst_part(w, held)
    assert part.rows == slice(256, 384)
    assert np.isnan(part.of(held)).any()


def test_small_weights_are_one_part() -> None:
    w = weights((128, 64))
    assert parts.worst_part(w, w + 1) is parts.ALL
    long = np.ones(SMALL + 1, np.float32)
    assert parts.worst_part(long, long) is parts.ALL


@pytest.mark.parametrize("recipe", ["nvfp4", INT4, "e4m3fn/128x128/float32"])
def test_the_work_does_not_grow_with_the_weights(
    recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    real = verdicts.sqnr

    def sqnr(w: Any, held: Any) -> float:
        sizes.append(w.size)
        return real(w, held)

    monkeypatch.setattr(verdicts, "sqnr", sqnr)
    w = weights((1024, 64))
    q = mf.quantize(weights((1024, 64), seed=9), recipe)
    [tensor] = audit({"w": q}, {"w": w}).tensors
    assert tensor.verdict is Verdict.WRONG
    assert sum(size == w.size for size in sizes) <= 3  # of the checkpoint, the rule, the best
    assert sum(size == SMALL for size in sizes) >= 5
    assert {w.size, SMALL} >= set(sizes)


def test_the_best_of_large_weights_is_that_of_some_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    from minifloat.auditing import original

    w = weights((512, 64))
    exact = mf.quantize(w, "mxfp4", search="mse").sqnr(w)
    monkeypatch.setattr(original, "SEARCHED_SIZE", 1 << 12)
    for axis, given in ((1, w), (0, np.ascontiguousarray(w.T))):
        held = {"w": mf.quantize(given, "mxfp4", axis=axis)}
        [tensor] = audit(held, {"w": given}).tensors
        assert tensor.best_sqnr_db != pytest.approx(exact, abs=1e-9)
        assert tensor.best_sqnr_db == pytest.approx(exact, abs=0.1)
        assert tensor.best_sqnr_db > tensor.rule_sqnr_db
        [tensor] = audit(held, {"w": given}, best=True).tensors
        assert tensor.best_sqnr_db == pytest.approx(exact, abs=1e-9)

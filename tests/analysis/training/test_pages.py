"""Parts of docs/training.md on studies whose records grow: right for none, some and all runs."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.records import Rows
from analysis.training import fp4_losses, instability_losses
from docs.generators import training_fp4, training_instability


def fp4_rows(seeds: int) -> Rows:
    """Return rows in which rotations are worth 0.05 and stochastic rounding harms by 0.05."""
    draw = np.random.default_rng(0)
    rows: Rows = []
    for seed in range(seeds):
        start = 2 + draw.normal(0, 0.3)
        for recipe in fp4_losses.recipes():
            text = str(recipe)
            loss = start + 0.1 * (text != "") - 0.05 * ("rotation" in text)
            loss += 0.05 * ("stochastic" in text) + draw.normal(0, 0.001)
            rows.append({"seed": seed, "recipe": text or "float32", "validation": loss,
                         "diverged": 0})  # fmt: skip
    return rows


def instability_rows() -> Rows:
    """Return rows in which all runs of E4M7 diverge."""
    return [
        {**case._asdict(), "training": 2.0, "lowest": 2.0, "validation": 2.5, "sharpness": 10.0,
         "not_finite": int(case.format == "e4m7")}
        for case in instability_losses.cases()
    ]  # fmt: skip


@pytest.mark.parametrize("page", [training_fp4, training_instability])
def test_without_records_nothing_is_said_to_be_measured(page: object) -> None:
    text = page.section([])  # type: ignore[attr-defined]
    assert "Not measured yet" in text
    assert "Measured:" not in text
    assert "helps here" not in text


def test_effects_are_compared_with_what_is_published() -> None:
    text = " ".join(training_fp4.section(fp4_rows(5)).split())
    assert "Measured: 225 runs, 5 whole seeds of 5." in text
    assert "missing" not in text
    assert "As published, these help here: Hadamard." in text
    assert "Against what is published, these harm here: stochastic rounding." in text
    assert "(Hadamard of Hadamard and stochastic) is lowest" in text
    assert "without E4M3 alone" in text


def test_effects_without_some_scales() -> None:
    rows = fp4_rows(3)
    for row in rows:  # rotations help by 0.05, but with E4M3 scales alone by 1
        is_alone = "/e4m3fn" in row["recipe"] and "tensor" not in row["recipe"]
        row["validation"] -= 0.95 * (is_alone and "rotation" in row["recipe"])
    robust = fp4_losses.effects(rows, fp4_losses.ROBUST)
    assert robust["Hadamard"].difference.mean == pytest.approx(-0.05, abs=0.001)
    assert fp4_losses.effects(rows)["Hadamard"].difference.mean < -0.2
    assert "UE5M3, not E4M3" not in robust


def test_what_is_not_measured_is_missing() -> None:
    rows = fp4_rows(2)[:60]
    text = training_fp4.section(rows)
    assert "Measured: 60 runs, 1 whole seeds of 5. **The rest is missing**" in text
    assert "not said before two seeds are whole" in text
    few = training_fp4.section(rows[:10])
    assert "not measured" in few
    assert "none is compared with what is published" in few
    assert "missing" in few


def test_a_best_recipe_is_told_apart_only_beyond_its_error() -> None:
    assert fp4_losses.best(fp4_rows(1)) is None
    rows = fp4_rows(4)
    winner = str(fp4_losses.GRID[5].recipe)
    for row in rows:
        row["validation"] -= 0.5 * (row["recipe"] == winner)
    assert fp4_losses.best(rows) == fp4_losses.Best(winner, [], 4)
    lost = next(row for row in rows if row["recipe"] == winner)
    lost |= {"validation": None, "diverged": 1}
    other = fp4_losses.best(rows)
    assert other is not None
    assert other.lowest != winner
    assert "1 of 4 diverged" in training_fp4.section(rows)


def test_instability_says_what_diverged_and_what_is_missing() -> None:
    rows = instability_rows()
    text = training_instability.section(rows)
    assert "Measured: 180 of 180 runs." in text
    assert "15 of 15 [0.80, 1.00] | less stable" in text
    assert "missing" not in text
    assert "**removing exponent is worse**, as published" in " ".join(text.split())
    assert "costs more than removing as many bits of the mantissa" in " ".join(text.split())
    some = training_instability.section(rows[:20])
    assert "Measured: 20 of 180 runs. **The rest is missing**" in some
    assert "| missing" in some
    none = training_instability.section(rows[:5])
    assert "not compared before both are measured" in none
    assert "not compared before two seeds are there" in " ".join(none.split())

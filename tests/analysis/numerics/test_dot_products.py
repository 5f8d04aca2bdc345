"""The study of dot products: its theory, its statistics, and the saved records."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analysis.numerics import dot_products
from analysis.numerics.dot_products import (
    DATA,
    ERROR,
    INTERVAL,
    NORMAL,
    POSITIVE,
    PROMOTED,
    SIGNED,
    STAGNATION,
    Sums,
    agrees,
    errors,
    exponent,
    predicted,
    records,
)
from analysis.numerics.draws import means
from paper_figures import studies


@pytest.fixture(scope="module")
def saved() -> list[dict[str, Any]]:
    return studies.saved("dot_products")


@pytest.mark.parametrize(
    "name",
    [
        "bfloat16",
        "bfloat16:stochastic",
        PROMOTED,
        "blackwell-mma/e4m3fn/float32",
        "cdna3/float16/float32",
    ],
)
def test_saved_records_are_those_measured(name: str, saved: Any) -> None:
    """The first draw, bit for bit."""
    for data in (POSITIVE, NORMAL):
        own = [
            row for row in saved
            if (row["quantity"], row["sums"], row["data"], row["draw"]) == (ERROR, name, data, 0)
        ]  # fmt: skip
        again = errors(Sums.of(name), data, dot_products.LENGTHS, 1)
        for row, other in zip(own, again, strict=True):
            assert row == other


def test_a_quick_run_has_all_quantities(saved: Any) -> None:
    calls: list[tuple[int, int]] = []
    quick = records(quick=True, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(k, 5) for k in range(1, 6)]
    assert [list(row) for row in quick] == [list(saved[0])] * len(quick)
    assert {row["quantity"] for row in quick} == {ERROR, INTERVAL, STAGNATION}
    for name in ("bfloat16", PROMOTED):
        own, theirs = (
            {
                row["measured"]
                for row in rows
                if (row["quantity"], row["sums"]) == (STAGNATION, name)
            }
            for rows in (quick, saved)
        )
        assert own <= theirs


def test_saved_records_are_complete(saved: Any) -> None:
    names = {*dot_products.units(), *dot_products.ALONE}
    assert {row["sums"] for row in saved} == names
    draws = dot_products.DRAWS
    count = len(names) * draws * (len(DATA) * len(dot_products.LENGTHS) + 1)
    assert len(saved) == count + draws * len(DATA) * len(dot_products.INTERVALS)


@pytest.mark.parametrize(
    ("data", "plain", "promoted"),
    [(POSITIVE, 7.46e-2, 5.54e-4), (NORMAL, 1.33e-3, 1.26e-4), (SIGNED, 1.18e-3, 1.05e-4)],
)
def test_errors_at_4096_are_those_of_others(
    data: str, plain: float, promoted: float, saved: Any
) -> None:
    found = {mean["at"]: mean for mean in means(saved, INTERVAL) if mean["data"] == data}
    for at, other in ((4096, plain), (128, promoted)):
        mean = found[at]  # theirs is one draw, as ours are
        spread = max(4 * mean["error"] * dot_products.DRAWS**0.5, 0.005 * mean["mean"])
        assert abs(mean["mean"] - other) < spread, (at, mean)


def test_the_theory_holds_where_the_page_says_so(saved: Any) -> None:
    own = [m for m in means(saved, ERROR) if m["theory"] is not None and m["at"] >= 512]
    wrong = {mean["sums"] for mean in own if not agrees(mean)}
    assert len(own) == 69
    assert wrong == {
        "blackwell/e4m3fn/float32",
        "blackwell/e5m2/float32",
        "blackwell-mma/e5m2/float32",
    }


def test_the_theory_knows_what_is_cut() -> None:
    """A bit more or less is another prediction."""
    hopper = Sums.of(PROMOTED)
    text = str(hopper.accumulator)
    (right,) = predicted(hopper, [4096])
    assert right is not None
    assert right == pytest.approx(0.0746, rel=0.01)
    for old, new in (("bits=13", "bits=12"), ("bits=13", "bits=14"), ("e8m13", "e8m12")):
        parse = dot_products.Accumulator.parse
        (other,) = predicted(Sums("", hopper.fmt, parse(text.replace(old, new))), [4096])
        assert other is not None
        assert abs(other - right) > 0.02 * right, (old, new)


@pytest.mark.parametrize("fmt", ["float16", "bfloat16"])
@pytest.mark.parametrize("data", [NORMAL, SIGNED])
def test_the_law_of_the_square_root(fmt: str, data: str, saved: Any) -> None:
    power = exponent(saved, f"{fmt}:stochastic", data)
    assert abs(power.mean - 0.5) < 3 * power.standard_error
    assert power.standard_error < 0.03


def test_exponents_of_exact_powers() -> None:
    rows = [
        {"quantity": ERROR, "sums": "x", "data": NORMAL, "at": k, "draw": draw,
         "measured": (draw + 1) * k**0.75}
        for draw in range(3) for k in (16, 64, 256)
    ]  # fmt: skip
    power = exponent(rows, "x", NORMAL)
    assert power.mean == pytest.approx(0.75)
    assert power.standard_error == pytest.approx(0, abs=1e-12)


def test_stochastic_sums_have_the_right_mean() -> None:
    how = Sums.of("bfloat16:stochastic")
    a, b = np.full((4000, 300), 1 / 16, np.float32), np.full((4000, 300), 1 / 16, np.float32)
    (sums,) = how.sums(a, b, [300], 0)
    standard_error = sums.std() / 4000**0.5
    assert abs(sums.mean() - 300 / 256) < 4 * standard_error
    assert standard_error > 0

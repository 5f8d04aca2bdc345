"""Cost and error of circuits: drawn from the records of the docs, and legible."""

from __future__ import annotations

from analysis.records import from_csv
from paper_figures.circuit_cost import saved
from paper_figures.rows import Rows
from tests.paper_figures.figures import IN_DOCS, assert_agree, assert_legible, assert_seen, changed


def check(rows: Rows) -> None:
    counted = {
        (row["fmt"], row["activations"]): row["transistors"] / row["lanes"]
        for row in saved()
        if row["unit"] in ("dot", "block") and row["target"] == "cmos" and not row["cut"]
    }
    for row in rows:
        assert row["transistors"] == counted[row["format"], row["activations"]], row
        rivals = [
            other
            for other in rows
            if (other["distribution"], other["activations"])
            == (row["distribution"], row["activations"])
        ]
        here = row["transistors"], row["sqnr_db"]
        beaten = any(
            other["transistors"] <= here[0]
            and other["sqnr_db"] >= here[1]
            and (other["transistors"], other["sqnr_db"]) != here
            for other in rivals
        )
        assert row["on_front"] == (not beaten), row


def test_points_are_the_counts_and_the_front_is_not_beaten(computed: dict[str, Rows]) -> None:
    rows = computed["circuit_cost"]
    check(rows)
    assert_seen(check, changed(rows, "transistors", lambda count: count + 1))
    assert_seen(check, changed(rows, "on_front", lambda flag: 1 - flag))


def test_the_figure_of_the_docs_is_that_of_the_records(computed: dict[str, Rows]) -> None:
    shown = (IN_DOCS / "circuit_cost.csv").read_text(encoding="utf-8")
    assert_agree(from_csv(shown), computed["circuit_cost"])
    assert (IN_DOCS / "circuit_cost.png").stat().st_size < 200_000


def test_all_texts_are_legible(computed: dict[str, Rows]) -> None:
    assert_legible("circuit_cost", computed["circuit_cost"])

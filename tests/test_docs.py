"""Pages that are printed by the code say what the code says."""

from pathlib import Path

from tests import policy_tables

ROOT = Path(__file__).parents[1]


def test_the_policy_page_is_what_the_library_does() -> None:
    written = (ROOT / "docs" / "policies.md").read_text(encoding="utf-8")
    assert written == policy_tables.page(), "run python -m tests.policy_tables > docs/policies.md"

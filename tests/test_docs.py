"""Pages that are printed by the code say what the code says."""

from pathlib import Path

import pytest

from tests import layout_pictures, policy_tables

DOCS = Path(__file__).parents[1] / "docs"


PAGES = {"policies.md": policy_tables, "layouts.md": layout_pictures}


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_what_the_library_does(name: str) -> None:
    printer = PAGES[name]
    written = (DOCS / name).read_text(encoding="utf-8")
    assert written == printer.page(), f"run python -m {printer.__name__} > docs/{name}"

"""The scripts run in Node and in a headless browser, each where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.explorer.scripts import BROWSER, NODE, in_browser, in_node


@pytest.fixture(
    params=[
        pytest.param(in_node, marks=pytest.mark.skipif(NODE is None, reason="needs Node")),
        pytest.param(
            in_browser,
            marks=[
                pytest.mark.long,
                pytest.mark.skipif(BROWSER is None, reason="needs Chromium or Chrome"),
            ],
        ),
    ],
    ids=["node", "browser"],
)
def run(request: pytest.FixtureRequest) -> Callable[[list[dict[str, Any]]], list[Any]]:
    """Return a function that has the page's scripts answer cases."""
    found: Callable[[list[dict[str, Any]]], list[Any]] = request.param
    return found

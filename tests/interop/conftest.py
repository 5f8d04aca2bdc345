from __future__ import annotations

import pytest

from tests.interop.libraries import LIBRARIES, Library


@pytest.fixture(params=sorted(LIBRARIES))
def library(request: pytest.FixtureRequest) -> Library:
    """Each library of tensors that is installed."""
    return LIBRARIES[request.param]()

"""Seeds, inputs that once found a fault, and random mutations: no target finds a fault."""

from __future__ import annotations

import pytest

from tests.fuzz import faults, loop
from tests.fuzz.__main__ import PACKAGES
from tests.fuzz.regressions import REGRESSIONS
from tests.fuzz.targets import TARGETS

MINUTE = 60.0
MUTATIONS = {"arrays": 60, "compare_command": 30, "command_lines": 100}
EVERY_REGRESSION = [(target, name) for target, cases in REGRESSIONS.items() for name in cases]


@pytest.fixture(autouse=True)
def _packages() -> None:
    for package in ("gguf", "onnx", "safetensors"):
        pytest.importorskip(package)


@pytest.fixture
def target(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name in PACKAGES:
        pytest.importorskip(PACKAGES[name])
    return name


EVERY = pytest.mark.parametrize("target", TARGETS, indirect=True)


@EVERY
def test_no_seed_finds_a_fault(target: str) -> None:
    for data in TARGETS[target].seeds().values():
        faults.run(TARGETS[target].run, data)


@pytest.mark.parametrize(("target", "name"), EVERY_REGRESSION, indirect=["target"])
def test_no_fault_of_the_past_comes_back(target: str, name: str) -> None:
    faults.run(TARGETS[target].run, REGRESSIONS[target][name]())


@EVERY
def test_some_mutations_find_no_fault(target: str) -> None:
    loop.run_some(TARGETS[target], MUTATIONS.get(target, 60))


@pytest.mark.long
@EVERY
def test_a_minute_of_mutations_finds_no_fault(target: str) -> None:
    assert loop.run_for(TARGETS[target], MINUTE, seed=1) > 100

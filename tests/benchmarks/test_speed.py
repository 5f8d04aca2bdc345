"""The cases under pytest-benchmark, and the table's command on a small size."""

from __future__ import annotations

import json

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tests.benchmarks import starts
from tests.benchmarks.__main__ import main
from tests.benchmarks.cases import CASES, Case, Inputs


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.task}-{case.fmt}")
def test_speed(case: Case, benchmark: BenchmarkFixture) -> None:
    size = case.own_size or (1 << 10 if benchmark.disabled else 1 << 20)
    benchmark(case.prepare(Inputs(min(size, case.size_limit or size))))


def test_the_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starts, "STARTS", starts.STARTS[:2])  # the others compile
    main(["--quick", "--size", "1024", "--only", "^encode e2m2"])
    assert "encode                             e2m2         1024" in capsys.readouterr().out
    main(["--quick", "--size", "1024", "--only", "16 elements"])
    assert "encode / numpy.add, 16 elements    e2m2           16" in capsys.readouterr().out
    main(["--quick", "--calls"])
    assert "microseconds a call" in capsys.readouterr().out
    main(["--quick", "--starts"])
    assert "minifloat encode e2m2 1.1          empty" in capsys.readouterr().out
    main(["--quick", "--size", "1024", "--only", "^decode float32 e2m2", "--json"])
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["task"], row["format"], row["size"]) == ("decode float32", "e2m2", 1024)
    assert row["ratio"] > 0

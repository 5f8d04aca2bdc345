"""The saved records of circuits: whole, of the right widths, and counted again where Yosys is."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.hardware import __main__ as command
from analysis.hardware import circuits
from analysis.hardware.circuits import ITSELF, Job, format_of, jobs
from analysis.hardware.counts import measured, record
from analysis.hardware.tradeoff import of_job
from analysis.records import Row, Rows, from_csv
from minifloat.formats import Format
from minifloat.hardware.synthesis import SynthesisError
from paper_figures.cost_plane import RECORDS, saved

HAS_YOSYS = importlib.util.find_spec("pyosys") is not None


@pytest.fixture(scope="module")
def rows() -> Rows:
    return saved()


def test_records_are_of_jobs_once_each(rows: Rows) -> None:
    assert RECORDS.read_text("utf-8").startswith("# python -m analysis.hardware\n")
    taken = of_job(rows)
    assert len(taken) == len(rows)
    assert set(taken) <= set(jobs())
    assert len(jobs()) == len(set(jobs()))
    for job, row in taken.items():
        assert (row["checked"] > 0) == (job.unit != circuits.DECODER)
        assert row["transistors"] == 0 or job.target == "cmos"
        assert row["lut6"] == 0 or job.target == "xc7"
        if job.unit not in (circuits.DECODER, circuits.TO_FLOAT):  # these can be wires alone
            assert row["transistors"] + row["lut6"] > 0


def exact_width(fmt: str) -> int:
    """Return the bits of a sum of 4096 products of the largest magnitude, in least steps."""
    parsed = format_of(fmt)
    if isinstance(parsed, Format):
        e, m = parsed.exponent_bits, parsed.mantissa_bits
        largest = ((2 << m) - 1) << ((1 << e) - 2)
    else:
        largest = 1 << (parsed.bits - 1)  # the code -2**(n - 1) counts
    return 1 + (4096 * int(largest) ** 2).bit_length()


def test_registers_are_as_wide_as_exact_sums(rows: Rows) -> None:
    seen = 0
    for job, row in of_job(rows).items():
        if job.accumulator != circuits.EXACT or job.activations != ITSELF:
            continue
        parsed = format_of(job.fmt)
        special = isinstance(parsed, Format) and (parsed.has_inf or parsed.has_nan)
        if not special and job.fmt != circuits.NF4:
            assert row["flip_flops"] == row["width"] == exact_width(job.fmt), job
            seen += 1
    assert seen >= 5


def test_what_an_accumulator_drops_its_register_has_not(rows: Rows) -> None:
    taken = of_job(rows)
    for job, row in taken.items():
        if job.accumulator in circuits.ACCUMULATORS and job.accumulator.startswith("cut"):
            whole = taken[job._replace(accumulator=circuits.EXACT)]
            assert whole["flip_flops"] - row["flip_flops"] == int(job.accumulator.split()[1])
            assert row["transistors"] < whole["transistors"]


def test_what_yosys_cannot_do_is_named_when_all_else_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = jobs(quick=True)

    def one_fails(job: Job) -> Row:
        if job == wanted[0]:
            raise SynthesisError("took too long")
        return job._asdict()

    monkeypatch.setattr("analysis.hardware.counts.tool", lambda: "none")
    monkeypatch.setattr("analysis.hardware.counts.record", one_fails)
    found = measured(quick=True)
    assert next(found) == wanted[1]._asdict()
    with pytest.raises(SynthesisError, match=r"^1 circuits were not counted: e2m1/itself/dot"):
        next(found)


def test_a_known_circuit_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.hardware.counts.tool", lambda: "none")
    assert list(measured(known=jobs())) == []


def test_the_command_goes_on_where_the_file_stops(
    tmp_path: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "counts.csv"
    asked: list[list[Job]] = []

    def two_rows(*, known: list[Job], **options: object) -> Iterator[Row]:
        asked.append(known)
        fresh = [row for row in rows[:3] if Job(*(row[x] for x in Job._fields)) not in known]
        yield from fresh[:2]

    monkeypatch.setattr(command, "measured", two_rows)
    assert command.main(["--csv", str(file)]) == 0
    assert from_csv(file.read_text("utf-8")) == rows[:2]
    assert command.main(["--csv", str(file)]) == 0
    assert from_csv(file.read_text("utf-8")) == rows[:3]
    assert asked == [[], list(of_job(rows[:2]))]


@pytest.mark.parametrize("text", ["", "a,b\n1\n", "fmt,unit\ne2m2,dot\n"])
def test_a_file_of_something_else_is_left_alone(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "other.csv"
    file.write_text(text)
    assert command.main(["--csv", str(file)]) == 2
    assert "must have" in capsys.readouterr().err
    assert file.read_text() == text


@pytest.mark.skipif(HAS_YOSYS, reason="Yosys is installed")
def test_without_yosys_the_command_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--csv", str(tmp_path / "counts.csv")]) == 2
    assert "synthesis needs Yosys" in capsys.readouterr().err


@pytest.mark.skipif(not HAS_YOSYS, reason="needs pyosys")
@pytest.mark.parametrize("unit", [circuits.MULTIPLIER, circuits.DECODER])
def test_a_circuit_counted_again_takes_the_same(rows: Rows, unit: str) -> None:
    again = record(Job("e2m1", ITSELF, unit, None, "cmos"))
    if again["tool"] != rows[0]["tool"]:
        pytest.skip("counts depend on the version of Yosys")
    assert again in rows

"""`minifloat rtl` and `minifloat cost`: texts, tables, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from minifloat import hardware
from minifloat.cli import main
from minifloat.cli.hardware import RTL_EXAMPLES
from minifloat.cli.terminal import folded
from minifloat.hardware import synthesis

STOCHASTIC = ["--rounding", "stochastic", "--random-bits", "4"]
Capture = pytest.CaptureFixture[str]

try:
    synthesis.tool()
    MISSING = False
except ModuleNotFoundError:
    MISSING = True
needs_yosys = pytest.mark.skipif(MISSING, reason="needs Yosys: pip install pyosys")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["e2m2", "--unit", "decoder"], hardware.decoder("e2m2")),
        (["e2m2"], hardware.multiplier("e2m2", "e2m2")),
        (
            ["e2m2", "--with", "int8", "--form", "significands", "--specials", "flag"],
            hardware.multiplier("e2m2", "int8", form="significands", specials="flag"),
        ),
        (
            ["e4m3fn", "--unit", "encoder", "--source", "float32", *STOCHASTIC],
            hardware.encoder("e4m3fn", "float32", rounding="stochastic", random_bits=4),
        ),
        (["e2m1", "--unit", "decoder", "--as", "float16"], hardware.decoder("e2m1", "float16")),
        (
            ["e2m1", "--unit", "l_mul", "--variant", "addition"],
            hardware.l_mul("e2m1", variant="addition"),
        ),
        (["e2m1", "--unit", "dot", "--lanes", "3"], hardware.dot("e2m1", "e2m1", 3)),
        (
            ["e2m1", "--unit", "dot", "--accumulator", "bfloat16:upward"],
            hardware.dot(
                "e2m1", "e2m1", accumulator=hardware.FloatSum("bfloat16", rounding="upward")
            ),
        ),
        (
            ["e2m1", "--unit", "dot", "--accumulator", "exact:64"],
            hardware.dot("e2m1", "e2m1", accumulator=hardware.FixedSum(64)),
        ),
        (
            ["e2m1", "--unit", "dot", "--accumulator", "none"],
            hardware.dot("e2m1", "e2m1", accumulator=None),
        ),
        (
            ["e2m1", "--unit", "l_mul", "--aligned", "no"],
            hardware.l_mul("e2m1", aligned=False),
        ),
        (
            [
                "e2m1",
                "--unit",
                "block_dot",
                "--scale",
                "ue4m3",
                "--block",
                "16",
                "--aligned",
                "yes",
            ],
            hardware.block_dot("e2m1", "e2m1", "ue4m3", 16, aligned=True),
        ),
        (
            ["e4m3fn", "--unit", "converter", "--with", "e2m1", "--overflow", "ieee"],
            hardware.converter("e4m3fn", "e2m1", overflow="ieee"),
        ),
    ],
)
def test_options_are_the_arguments_of_the_unit(
    capsys: Capture, arguments: list[str], expected: hardware.Circuit
) -> None:
    assert main(["rtl", *arguments]) == 0
    printed = capsys.readouterr().out
    assert printed.endswith(expected.verilog)
    comment = printed.removesuffix(expected.verilog)
    notes = (expected.unit is not None) + (expected.latency > 0)
    assert comment.count("\n") == comment.count("// ") == notes


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["e2m1"], "product is an integer, and its least bit is worth 2**-2"),
        (["int8"], "product is an integer, and its least bit is worth 2**0"),
        (["mxint8", "--unit", "decoder"], "value is an integer, and its least bit is worth 2**-6"),
        (["e2m1", "--encoding", "sign_magnitude"], "magnitude is an integer, and its least bit is"),
        (["e2m1", "--unit", "dot"], "sum is an integer, and its least bit is worth 2**-2\n"),
        (
            ["e2m1", "--unit", "dot", "--accumulator", "float32"],
            "sum follows its inputs by 1 clock edge; first is 1 where a new sum begins\n",
        ),
        (
            ["e2m1", "--unit", "block_dot", "--scale", "ue4m3"],
            "sum is an integer, and its least bit is worth 2**-20 * 2**exponent\n",
        ),
    ],
)
def test_the_file_says_what_the_number_is_worth(
    capsys: Capture, arguments: list[str], words: str
) -> None:
    assert main(["rtl", *arguments]) == 0
    first = capsys.readouterr().out.splitlines(keepends=True)[0]
    assert first.startswith("// ")
    assert words in first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["e2m2", "--unit", "decoder", "--lanes", "3"], "--lanes must not be given with --unit"),
        (["e2m2", "--unit", "decoder", "--with", "e2m1"], "--with must not be given with --unit"),
        (["int4", "--unit", "l_mul"], "FORMAT must be an ExMy with mantissa bits"),
        (["e2m2", "--unit", "converter"], "--with must name the format to convert to"),
        (["e2m2", "--as", "float16"], "--as must not be given with --unit multiplier"),
        (["e2m2", "--form", "nix"], "--form must be one of significands"),
        (["float16"], "FORMAT must have at most 8 bits"),
        (["mxfp4"], "which is a recipe"),
        (["e8m0", "--unit", "decoder", "--as", "float16"], "--as must hold every value of e8m0"),
        (
            ["e2m1", "--unit", "encoder", "--rounding", "stochastic", "--random-bits", "99"],
            "--random-bits must be in 1..28",
        ),
        (
            ["e2m1", "--unit", "block_dot", "--aligned", "yes"],
            "got e8m0, which gives 522; leave out --aligned",
        ),
        (["e2m2", "--unit", "dot", "--lanes", "257"], "--lanes must be"),
        (["e2m2", "--unit", "encoder", "--rounding", "up"], "--rounding must be"),
        (["e2m2", "--target", "asic"], "--target must be xc7"),
        (["e2m2", "--unit", "dot", "--aligned", "no"], "--aligned must not be given with --unit"),
        (["e2m2", "--accumulator", "exact"], "--accumulator must not be given with --unit"),
        (["e2m2", "--unit", "dot", "--accumulator", "int9"], "--accumulator must be exact, exact:"),
    ],
)
def test_a_circuit_that_cannot_be(capsys: Capture, arguments: list[str], message: str) -> None:
    assert main(["rtl", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_circuit_is_written_to_a_file(capsys: Capture, tmp_path: Path) -> None:
    out = tmp_path / "decoder.v"
    assert main(["rtl", "e2m1", "--unit", "decoder", "--out", str(out)]) == 0
    circuit = hardware.decoder("e2m1")
    says = "value is an integer, and its least bit is worth 2**-1\n"
    assert out.read_text() == f"// {says}{circuit.verilog}"
    assert capsys.readouterr().out == f"{circuit.name} in {out}\n{says}"
    assert main(["rtl", "e2m1", "--out", str(tmp_path / "no" / "file.v")]) == 2
    assert "--out must be a file that can be written" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["rtl", "e2m2", "--check"], ["cost", "e2m2"]])
def test_without_yosys_the_extra_is_named(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setattr(synthesis, "_TOOLS", ())
    assert main(command) == 2
    assert 'pip install "minifloat[hardware]"' in capsys.readouterr().err


@needs_yosys
def test_a_circuit_is_checked(capsys: Capture) -> None:
    assert main(["rtl", "e2m1", "--target", "cmos", "--unit", "decoder", "--check"]) == 0
    worth, taken, checked, first = capsys.readouterr().out.splitlines()[:4]
    assert worth.endswith("worth 2**-1")
    assert "transistors" in taken
    assert checked.endswith("on cmos: all 16 inputs, all right")
    assert first.startswith("module decoder_e2m1")


@needs_yosys
def test_costs_are_a_table_or_json(capsys: Capture) -> None:
    command = ["cost", "e2m1", "int4", "--unit", "multiplier", "--target", "cmos"]
    assert main(command) == 0
    title, columns, *rows = capsys.readouterr().out.splitlines()
    assert title.startswith("A multiplier, by ")
    assert columns.split() == ["format", "bits", "cmos", "form", "transistors", "levels"]
    assert main([*command, "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert [record["format"] for record in records] == ["e2m1", "int4"]
    for record, row in zip(records, rows, strict=False):
        assert record["checked"] == 256
        assert record["exhaustive"]
        least = min(form["transistors"] for form in record["forms"].values())
        assert record["transistors"] == least == record["forms"][record["form"]]["transistors"]
        assert row.split()[-2:] == [str(record["transistors"]), str(record["levels"])]


@needs_yosys
def test_a_lane_is_a_part_of_all_lanes(capsys: Capture) -> None:
    command = ["cost", "int3", "--activations", "int4", "--lanes", "2", "--target", "cmos"]
    assert main(command) == 0
    row = capsys.readouterr().out.splitlines()[2].split()
    assert main([*command, "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert row[:3] == ["int3", "x", "int4"]
    assert float(row[-2]) == float(f"{record['transistors'] / 2:.4g}")


@needs_yosys
def test_one_form_is_counted_alone(capsys: Capture) -> None:
    command = ["cost", "int3", "--lanes", "2", "--target", "cmos", "--form", "booth", "--json"]
    assert main([*command, "--accumulator", "e5m2:toward_zero"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert (record["form"], list(record["forms"])) == ("booth", ["booth"])
    assert record["flip_flops"] == 8


@needs_yosys
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--form", "nix"], "--form must be one of significands"),
        (["--variant", "addition"], "--variant must be left out for dot"),
        (
            ["--unit", "multiplier", "--accumulator", "float16"],
            "--accumulator must be left out for",
        ),
    ],
)
def test_a_cost_that_cannot_be(capsys: Capture, arguments: list[str], message: str) -> None:
    assert main(["cost", "e2m2", *arguments]) == 2
    assert message in capsys.readouterr().err


@needs_yosys
def test_a_wrong_netlist_ends_the_command(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = hardware.decoder("e2m1")
    text = wrong.verilog.replace("4'h7: x_word = 5'hc", "4'h7: x_word = 5'hd")
    object.__setattr__(wrong, "verilog", text)
    monkeypatch.setattr(hardware, "decoder", lambda *_, **__: wrong)
    assert main(["rtl", "e2m1", "--unit", "decoder", "--check"]) == 2
    assert "the circuit must be right, and is not" in capsys.readouterr().err


@pytest.mark.parametrize("width", [40, 60, 79])
def test_an_example_that_is_broken_is_still_a_command(width: int) -> None:
    quoted = "  minifloat compare model.safetensors --formats '[-1 -0.4 0 0.4 1],int3' --top 3"
    for text in (RTL_EXAMPLES, quoted):
        lines = folded(text, width).replace(" \\\n    ", " ")
        assert lines == text
        assert max(map(len, folded(text, width).split("\n"))) <= width

"""Vectors for test benches: right, complete, in order, and read by a simulator of circuits."""

import csv
import os
import shutil
import stat
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

import minifloat as mf
from minifloat.formats.catalogue import CATALOGUE
from minifloat.formats.rounding import Rounding
from minifloat.testing import decision_points, random_formats, vectors, write_vectors

SOURCES = {
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "float32": np.float32,
    "float64": np.float64,
}
DETERMINISTIC = [mode for mode in Rounding if not mode.is_stochastic]
SMALL = [fmt for fmt in CATALOGUE.values() if fmt.bits <= 8]


def floats(port, source):
    dtype = np.dtype(SOURCES[source])
    return port.words.astype(f"u{dtype.itemsize}").view(dtype)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("fmt", ["e2m2", "e4m3fn", "e5m2", "int4", "nf4", "e8m0", "ue4m3"])
def test_an_encoders_vectors_are_what_encode_gives(fmt, source):
    made = vectors(fmt, source=source, nan="max", rounding="nearest_even", overflow="ieee")
    x, code = made.ports
    with np.errstate(invalid="ignore"):  # signalling NaNs
        inputs = floats(x, source).astype(np.float64)
    want = mf.encode(inputs, fmt, overflow="ieee", nan="max")
    assert code.words.tolist() == want.tolist()
    np.testing.assert_array_equal(x.numbers, inputs)
    np.testing.assert_array_equal(code.numbers, mf.parse(fmt).values()[want])
    assert (x.bits, code.bits) == (8 * np.dtype(SOURCES[source]).itemsize, mf.parse(fmt).bits)
    assert len(set(x.words.tolist())) == len(made)


@pytest.mark.parametrize("rounding", DETERMINISTIC)
def test_every_mode(rounding):
    for fmt in random_formats(np.random.default_rng(6), 4, max_bits=6):
        x, code = vectors(fmt, source="float16", rounding=rounding).ports
        inputs = floats(x, "float16")
        assert code.words.tolist() == mf.encode(inputs, fmt, rounding=rounding).tolist()


@pytest.mark.parametrize("source", ["float16", "bfloat16"])
@pytest.mark.parametrize("fmt", ["e2m2", "e4m3fn", "e5m2fnuz", "nf4", "int5", "e3m1_nosub", "e8m0"])
def test_vectors_begin_at_every_change_of_the_code(fmt, source):
    """Found by trying all inputs of 16 bits."""
    dtype = np.dtype(SOURCES[source])
    infinity = int(np.array(np.inf, dtype).view(np.uint16))
    sizes = np.arange(infinity + 1, dtype=np.uint16)
    made = vectors(fmt, source=source).ports[0].words.tolist()
    needed = set()
    for sign in (0, 0x8000):
        words = sizes | np.uint16(sign)
        codes = mf.encode(words.view(dtype).astype(np.float32), fmt).astype(np.int64)
        changes = np.flatnonzero(np.diff(codes))
        needed |= {int(words[k + step]) for k in changes for step in (0, 1)}
    assert needed <= set(made)
    first = made[: 3 * len(needed)]
    assert needed <= {*first, *made[: 4 * len(needed)]}
    last_needed = max(made.index(word) for word in needed)
    assert last_needed < 2 * len(needed) + 4


@pytest.mark.parametrize("source", SOURCES)
def test_ties_have_both_neighbours_and_specials_are_there(source):
    words = set(vectors("e2m2", source=source, nan="zero").ports[0].words.tolist())
    dtype = np.dtype(SOURCES[source])
    unsigned = f"u{dtype.itemsize}"
    for tie in (0.125, 0.875, 2.25, 6.5, -6.5, -0.125):
        word = int(np.array(tie, dtype).view(unsigned))
        assert {word - 1, word, word + 1} <= words
    specials = [0.0, -0.0, np.inf, -np.inf, float(ml_dtypes.finfo(dtype).max)]
    assert {int(np.array(x, dtype).view(unsigned)) for x in specials} <= words
    infinity = int(np.array(np.inf, dtype).view(unsigned))
    sign = 1 << (8 * dtype.itemsize - 1)
    nans = [word for word in words if word & (sign - 1) > infinity]
    assert len(nans) == 8
    assert {infinity + 1, infinity + 1 | sign, sign - 1, 2 * sign - 1} <= set(nans)


def test_points_of_bfloat16_hold_those_of_ml_dtypes():
    for fmt in ("e2m2", "e4m3fn", "nf4", "int8", "e8m0"):
        theirs = decision_points(fmt, ml_dtypes.bfloat16)[:-1]
        needed = theirs[np.abs(theirs.astype(np.float64)) >= 2.0**-120]
        made = set(vectors(fmt, source="bfloat16").ports[0].words.tolist())
        ties = {int(word) for word in needed.view(np.uint16)}
        assert len(ties - made) < 0.02 * len(ties)  # powers of two far outside the format


@pytest.mark.parametrize("source", ["float32", "float64"])
@pytest.mark.parametrize("fmt", SMALL, ids="{}".format)
def test_a_decoders_vectors_are_what_decode_gives(fmt, source):
    if source == "float32" and not np.array_equal(
        fmt.values(), np.float64(np.float32(fmt.values())), equal_nan=True
    ):
        pytest.skip("float32 does not have its values")
    code, y = vectors(fmt, "decoder", source=source).ports
    values = floats(y, source)
    want = mf.decode(code.words.astype(np.uint32), fmt, dtype=SOURCES[source])
    np.testing.assert_array_equal(values, want)
    numbers = ~np.isnan(want)
    np.testing.assert_array_equal(np.signbit(values[numbers]), np.signbit(want[numbers]))
    unused = {code for code in range(fmt.code_count) if fmt.kind(code) == "unused"}
    assert set(code.words.tolist()) == set(range(fmt.code_count)) - unused


def test_a_decoder_writes_bfloat16_and_the_quiet_nan():
    assert vectors("e2m1", "decoder", source="bfloat16").text().splitlines()[:3] == [
        "0 0000", "1 3f00", "2 3f80",
    ]  # fmt: skip
    assert vectors("e4m3fn", "decoder").text().splitlines()[-1] == "ff 7fc00000"


def test_inputs_that_are_an_error_are_left_out():
    everything = vectors("e2m2", nan="zero")
    assert len(vectors("e2m2")) == len(everything) - 8
    small = vectors("e2m2", overflow="raise").ports[0].numbers
    assert np.abs(small).max() < 7.5
    assert len(vectors("e5m2")) - len(vectors("e5m2", overflow="raise")) > 4


def test_text():
    made = vectors("e2m2", source="float16")
    lines = made.text("hex").splitlines()
    assert len(lines) == len(made)
    assert lines[0] == "c681 1f"
    comment, declaration, *mem = made.text("mem").splitlines()
    assert comment == "// encoder: float16 to e2m2, nearest_even, overflow saturate, nan raise"
    assert declaration == (
        f"// reg [23:0] vectors [0:{len(made) - 1}]; x is bits 23..8, code is bits 4..0"
    )
    assert mem == [line.replace(" ", "_") for line in lines]
    head, *rows = csv.reader(made.text("csv").splitlines())
    assert head == ["x_bits", "x_value", "code_bits", "code_value"]
    assert [f"{x} {code}" for x, _, code, _ in rows] == lines
    assert [float(x) for _, x, _, _ in rows] == made.ports[0].numbers.tolist()
    assert [float(y) for *_, y in rows] == made.ports[1].numbers.tolist()


def test_progress():
    calls = []
    count = len(vectors("e4m3fn", nan="max", progress=lambda *call: calls.append(call)))
    assert calls == [(0, count), (1000, count)]


def test_a_file_is_replaced_at_once(tmp_path, monkeypatch):
    path = tmp_path / "vectors.mem"
    path.write_text("old")
    assert write_vectors("e2m1", path, format="mem") == len(vectors("e2m1"))
    assert path.read_bytes().decode() == vectors("e2m1").text("mem")
    assert write_vectors("e2m1", str(path), "decoder", format="csv", source="float16") == 16
    assert path.read_text().startswith("code_bits,code_value,y_bits,y_value\n0,0.0,0000,0.0\n")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    before = path.read_bytes()
    with pytest.raises(OSError, match=r"No space left .*vectors\.mem"):
        write_vectors("e2m2", path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_links_and_modes_stay_and_only_regular_files_are_replaced(tmp_path, monkeypatch):
    target, link, pipe = (tmp_path / name for name in ("target", "link", "pipe"))
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to("target")
    count = write_vectors("e2m1", link)
    assert link.is_symlink()
    assert len(target.read_text().splitlines()) == count
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="Not a regular file"):
        write_vectors("e2m1", pipe)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    with pytest.raises(IsADirectoryError):
        write_vectors("e2m1", tmp_path)
    monkeypatch.setattr("os.access", lambda *_: False)  # chmod does not stop root
    with pytest.raises(PermissionError, match="read-only"):
        write_vectors("e2m2", target)
    assert len(target.read_text().splitlines()) == count
    assert len(list(tmp_path.iterdir())) == 3


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere/vectors\.hex'$"):
        write_vectors("e2m1", tmp_path / "nowhere" / "vectors.hex")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": "adder"}, "unit must be encoder, .* fma or dot, got 'adder'"),
        ({"format": "json"}, "format must be hex, csv or mem, got 'json'"),
        ({"source": "tf32"}, "source must be float16, bfloat16, float32 or float64, got 'tf32'"),
        ({"source": []}, r"source must be float16, bfloat16, float32 or float64, got \[\]"),
        ({"rounding": "nearest"}, "rounding must be one of .* did you mean"),
        (
            {"rounding": "stochastic"},
            "rounding must be a mode without random bits .*check_encoder compares",
        ),
        ({"overflow": "wrap"}, "overflow must be one of saturate"),
        ({"nan": "quiet"}, "nan must be one of raise"),
        ({"unit": "decoder", "rounding": "upward"}, "rounding must be left out for a decoder"),
        ({"unit": "decoder", "nan": "zero"}, "nan must be left out for a decoder, got zero"),
        (
            {"unit": "decoder", "source": "float16", "fmt": "e8m0"},
            "source must have every value of e8m0, got float16; use source='bfloat16'",
        ),
    ],
)
def test_errors(options, message, tmp_path):
    path = tmp_path / "vectors"
    options = {"fmt": "e2m1", **options}
    with pytest.raises(ValueError, match=message):
        write_vectors(path=path, **options)
    assert not path.exists()


def test_neither_ml_dtypes_nor_hypothesis_is_needed():
    program = """
import sys
sys.modules["ml_dtypes"] = sys.modules["hypothesis"] = None
from minifloat.testing import vectors
print(len(vectors("e2m1", source="bfloat16")))
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(vectors("e2m1", source="bfloat16"))


BENCH = """
module bench;
    reg [39:0] vectors [0:{last}];
    integer i, file, fields;
    reg [31:0] x;
    reg [7:0] code;
    initial begin
        $readmemh("vectors.mem", vectors);
        for (i = 0; i <= {last}; i = i + 1)
            $display("%h %h", vectors[i][39:8], vectors[i][7:0]);
        file = $fopen("vectors.hex", "r");
        fields = $fscanf(file, "%h %h", x, code);
        while (fields == 2) begin
            $display("%h %h", x, code);
            fields = $fscanf(file, "%h %h", x, code);
        end
        $finish;
    end
endmodule
"""


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not on PATH")
def test_a_simulator_reads_both_files(tmp_path):
    made = vectors("e4m3fn")
    for format in ("mem", "hex"):
        write_vectors("e4m3fn", tmp_path / f"vectors.{format}", format=format)
    (tmp_path / "bench.v").write_text(BENCH.format(last=len(made) - 1))
    subprocess.run(["iverilog", "-o", "bench", "bench.v"], cwd=tmp_path, check=True)
    done = subprocess.run(
        ["vvp", "bench"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[: 2 * len(made)] == 2 * made.text().splitlines()


def test_memory_files_are_what_readmemh_reads():
    """IEEE 1364-2005, 17.2.9: white space, comments, and numbers of hexadecimal digits and _."""
    made = vectors("e2m2")
    lines = [line.partition("//")[0].strip() for line in made.text("mem").splitlines()]
    words = [int(line.replace("_", ""), 16) for line in lines if line]
    x, code = made.ports
    assert words == [
        (a << 8) | b for a, b in zip(x.words.tolist(), code.words.tolist(), strict=True)
    ]

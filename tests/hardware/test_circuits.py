"""Words of ports, formats as exact integers, and the circuits' texts."""

from __future__ import annotations

import pickle
import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat import hardware
from minifloat.hardware import Circuit
from minifloat.hardware.checks import trials
from minifloat.hardware.circuits import bits_of, join_lanes, split_lanes, to_words, words_of
from minifloat.hardware.integers import integers
from minifloat.hardware.verilog import identifier, is_one_of, literal, tree
from minifloat.testing import exact_decode

SMALL = [name for name, fmt in mf.CATALOGUE.items() if fmt.bits <= 8]


@pytest.mark.parametrize("width", [1, 7, 63, 64, 65, 130])
def test_words_and_bits(width: int) -> None:
    numbers = [0, 1, (1 << width) - 1, (1 << width) // 3]
    words = to_words(np.array(numbers, object), width)
    assert words.tolist() == numbers
    assert words.dtype == (np.uint64 if width <= 64 else object)
    assert to_words([-1], width).tolist() == [(1 << width) - 1]
    bits = bits_of(words, width)
    assert [[number >> i & 1 for i in range(width)] for number in numbers] == bits.tolist()
    assert words_of(bits).tolist() == numbers


@pytest.mark.parametrize(("width", "lanes"), [(4, 16), (5, 16), (8, 3), (1, 1)])
def test_lanes(width: int, lanes: int) -> None:
    fields = np.arange(2 * lanes).reshape(2, lanes) % (1 << width)
    words = join_lanes(fields, width)
    expected = [sum(int(x) << width * i for i, x in enumerate(row)) for row in fields]
    assert words.tolist() == expected
    assert split_lanes(words, width, lanes).tolist() == fields.tolist()


@pytest.mark.parametrize("name", SMALL)
def test_a_format_as_integers(name: str) -> None:
    fmt = mf.parse(name)
    x = integers(fmt)
    assert len(x.values) == 1 << fmt.bits
    for code, value in enumerate(x.values):
        kind = fmt.kind(code) if code < fmt.code_count else "unused"
        if kind in ("zero", "subnormal", "normal"):
            exact = exact_decode(code, fmt)
            assert value * x.unit == Fraction(exact)
            assert x.negative[code] == (np.signbit(exact))
        elif kind != "unused":
            assert value == 0
    assert any(value % 2 for value in x.values), "the unit is the largest one"
    assert -(1 << (x.width - 1)) <= min(x.values)
    assert max(x.values) < 1 << (x.width - 1)


@pytest.mark.parametrize(
    "circuit",
    [
        hardware.decoder("e4m3fn"),
        hardware.decoder("e2m1", "float16"),
        hardware.encoder("e2m1"),
        hardware.encoder("e2m1", rounding="stochastic"),
        hardware.multiplier("e2m1", "int4", specials="flag"),
        hardware.l_mul("e2m1", aligned=False),
        hardware.converter("e3m1", "nf4"),
        hardware.dot("e2m1", "e2m1", 2, accumulator=hardware.FloatSum("float16")),
        hardware.block_dot("e2m1", "e2m1", block=2),
    ],
    ids=lambda circuit: circuit.name,
)
def test_circuits_are_sent_to_other_processes(circuit: Circuit) -> None:
    sent = pickle.loads(pickle.dumps(circuit))
    assert sent == circuit
    words = next(trials(circuit))
    want, got = circuit.meaning(words), sent.meaning(words)
    assert want.keys() == got.keys()
    assert all(np.array_equal(want[name], got[name]) for name in want)


def test_the_unused_code_of_an_integer_is_twos_complement() -> None:
    assert integers(mf.parse("int4")).values[8] == -8


def test_a_wide_format_is_refused() -> None:
    with pytest.raises(ValueError, match="fmt must have at most 8 bits"):
        integers(mf.parse("float16"))


def test_integer_codebook() -> None:
    book = hardware.integer_codebook("nf4")
    assert book.codebook[0] == -127
    assert book.codebook[-1] == 127
    assert book.codebook[1] == round(127 * mf.parse("nf4").value(1))
    with pytest.raises(ValueError, match="apart, got 3; raise it"):
        hardware.integer_codebook("nf4", 3)


def test_an_integer_codebook_whose_name_is_too_long_is_named_by_its_values() -> None:
    values = " ".join(str(k / 30) for k in range(1, 5))
    book = hardware.integer_codebook(f"[{values}]", 4)
    assert book.name == "[1 2 3 4]"
    assert hardware.integer_codebook(mf.Codebook([-1, 0.3, 1], "x" * 60)).name == "[-127 38 127]"


def test_text() -> None:
    assert literal(-1, 3) == "3'h7"
    assert identifier("4bits") == "m_4bits"
    long = [f"[{' '.join(str(k / n) for k in range(n))}]" for n in (100, 101)]
    names = [identifier("decoder", each, "case") for each in long]
    assert len(set(names)) == 2
    assert all(re.fullmatch("decoder_codebook_[0-9a-f]{8}_case", name) for name in names)
    assert is_one_of("x", 3, []) == "1'h0"
    assert tree("x", 2, [0], ["a"]) == "a"


def test_circuits_are_equal_by_their_text() -> None:
    one, same = hardware.decoder("e2m1"), hardware.decoder("e2m1")
    assert one == same
    assert len({one, same, hardware.decoder("e2m2")}) == 2
    assert one != "text"
    assert repr(one) == "<Circuit decoder_e2m1_fixed_case_twos_complement: code[4] -> value[5]>"


GOLDEN = """\
module multiplier_e2m1_e1m2_significands_sign_magnitude (
    input [3:0] a,
    input [3:0] b,
    output sign,
    output [6:0] magnitude
);
    wire a_sign = a[3];
    wire [2:0] a_bits = a[2:0];
    wire [1:0] a_field = a_bits[2:1];
    wire a_leading = a_field != 2'h0;
    wire a_mantissa = a_bits[0];
    wire [1:0] a_significand = {a_leading, a_mantissa};
    wire [1:0] a_exponent = a_field == 2'h0 ? 2'h0 : a_field - 2'h1;
    wire b_sign = b[3];
    wire [2:0] b_bits = b[2:0];
    wire b_field = b_bits[2:2];
    wire b_leading = b_field != 1'h0;
    wire [1:0] b_mantissa = b_bits[1:0];
    wire [2:0] b_significand = {b_leading, b_mantissa};
    wire [4:0] significands = a_significand * b_significand;
    wire [1:0] exponents = a_exponent;
    wire [6:0] product_magnitude = significands << exponents;
    wire product_sign = a_sign ^ b_sign;
    assign sign = product_sign;
    assign magnitude = product_magnitude;
endmodule
"""


def test_the_text_of_a_multiplier() -> None:
    """A change of text changes netlists and counts, so it must be meant."""
    assert hardware.multiplier("e2m1", "e1m2", encoding="sign_magnitude").verilog == GOLDEN


@pytest.mark.parametrize("verb", [hardware.check, hardware.synthesize])
def test_a_text_is_no_circuit(verb: Any) -> None:
    with pytest.raises(TypeError, match="circuit must be a Circuit"):
        verb("module a; endmodule")

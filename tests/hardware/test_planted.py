"""Mistakes planted into circuits' texts: a check finds each of them."""

from __future__ import annotations

import dataclasses

import pytest

from minifloat.hardware import (
    Circuit,
    FixedSum,
    block_dot,
    check,
    converter,
    decoder,
    dot,
    encoder,
    l_mul,
    multiplier,
)
from tests.hardware.bundles import needs_yosys, wrong

LANES = dot("e2m1", "e2m1", 3, accumulator=None)
SUM = dot("e2m1", "e2m1", 4, accumulator=FixedSum(terms=16))
FLAGS = dot("e5m2", "e2m1", 2, accumulator=None, specials="flag")
SCALED = block_dot("e2m1", "e2m1", "ue4m3", 2, specials="flag")
PRODUCT = multiplier("e2m1", "e2m1", encoding="sign_magnitude")
SHIFTED = encoder("e2m1", form="round")
RANDOM = encoder("e2m1", "fixed", width=7, unit=0.125, rounding="stochastic_c", random_bits=3)

ADDED = l_mul("e2m2", variant="addition", aligned=False)
SHIFTS = multiplier("int5", "apot4", form="shifts")
COUNTS = dot("bipolar_int2", "bipolar_int1", 3, form="counts", accumulator=None)
PLANES = multiplier("bipolar_int2", "bipolar_int3", form="planes")

# The mistake, the circuit, and what is replaced in its text by what.
MISTAKES: list[tuple[str, Circuit, dict[str, str]]] = [
    ("an exponent off by one", decoder("e2m1", form="shift"), {"field - 2'h1": "field - 2'h0"}),
    ("-0 lost", decoder("e2m1", encoding="sign_magnitude"), {"= code[3]": "= code > 4'h8"}),
    ("-0 of a product lost", PRODUCT,
     {"sign = product_sign;": "sign = product_sign & (product_magnitude != 0);"}),
    ("a hidden bit of subnormals", PRODUCT, {"a_leading = a_field != 2'h0": "a_leading = 1'h1"}),
    ("an adder one bit too narrow", LANES, {"wide[10:1]": "{wide[9], wide[9:1]}"}),
    ("a carry dropped", LANES, {".carry(sign0)": ".carry(1'h0)"}),
    ("lanes swapped", LANES, {"lane0 (.a(a[3:0])": "lane0 (.a(a[7:4])",
                              "lane1 (.a(a[7:4])": "lane1 (.a(a[3:0])"}),
    ("a sticky bit dropped", SHIFTED, {"sticky = ": "sticky = 1'h0 & "}),
    ("sticky bits of a wide source dropped", encoder("e4m3fn", "float32"),
     {"sticky = |significand[18:0] |": "sticky ="}),
    ("ties to odd", SHIFTED, {"truncated[0] ?": "~truncated[0] ?"}),
    ("an overflow unseen", SHIFTED, {"over = beyond |": "over ="}),
    ("a random tie to the wrong side", RANDOM, {"~random[0]": "random[0]"}),
    ("NaN as infinity", encoder("e5m2", overflow="ieee"), {"size > 15'h7c00": "size > 15'h7c01"}),
    ("a threshold one float off", encoder("e2m1"), {"15'h3d01": "15'h3d02"}),
    ("a NaN scale unseen", SCALED, {"scale_a == 7'h7f": "scale_a == 7'h7e"}),
    ("a scale's significand lost", SCALED, {"$signed({1'h0, factor})": "1"}),
    ("an infinity's sign lost", FLAGS, {"assign negative_inf = ": "assign negative_inf = 1'h0 & "}),
    ("a code of a table", converter("e3m1", "e2m1"), {"5'h2: ": "5'h3: ", "5'h3: ": "5'h2: "}),
    ("L-Mul's offset lost", ADDED, {"a_log + b_log + 6'h9": "a_log + b_log + 6'h8"}),
    ("L-Mul's carry dropped", ADDED, {"= log[5:2]": "= a_log[5:2] + b_log[5:2] + 4'h2"}),
    ("a subnormal's fraction", l_mul("e2m2"), {"a_subnormal = 6'h2": "a_subnormal = 6'h0"}),
    ("a product of 0", l_mul("e2m2"), {"a_live & b_live": "a_live"}),
    ("a negative row that is only inverted", SHIFTS, {"{8'h0, negative1}": "9'h0"}),
    ("a row lost", SHIFTS, {"used1 = 1'h1": "used1 = 1'h0"}),
    ("bits that differ count", PLANES, {"~(b ^ {3{a[0]}})": "(b ^ {3{a[0]}})"}),
    ("lanes that differ count", COUNTS, {"agree1_0 = ~(": "agree1_0 = ("}),
    ("the weight of a pair of planes", COUNTS, {"count1_0, 2'h0": "count1_0, 1'h0"}),
    ("a lane counted twice", COUNTS, {"bits[2]": "bits[1]"}),
    ("a plane's weight", PLANES, {"{plane1, 2'h0}": "{plane1, 1'h0}"}),
]  # fmt: skip
MISTAKES_OF_SUMS: list[tuple[str, Circuit, dict[str, str]]] = [
    ("a sum one bit too narrow", SUM, {"<= after;": "<= {after[11], after[11:0]};"}),
    ("a sum that does not begin anew", SUM, {"~first": "1'h1"}),
    ("a sum that forgets", SUM, {"register & ": "13'h1fff & "}),
]


def planted(place: int, circuit: Circuit, changes: dict[str, str]) -> Circuit:
    """Return a circuit with its text changed, and a name of its own."""
    text = circuit.verilog
    for right in changes:
        assert right in text, right
        text = text.replace(right, f"<{right}>", 1)
    for right, false in changes.items():
        text = text.replace(f"<{right}>", false, 1)
    name = f"planted{place}"
    return dataclasses.replace(circuit, name=name, verilog=text.replace(circuit.name, name))


@needs_yosys
@pytest.mark.parametrize("mistakes", [MISTAKES, MISTAKES_OF_SUMS], ids=["logic", "sums"])
def test_planted_mistakes_are_found(mistakes: list[tuple[str, Circuit, dict[str, str]]]) -> None:
    circuits = [planted(i, circuit, changes) for i, (_, circuit, changes) in enumerate(mistakes)]
    found = wrong(circuits)
    assert [name for i, (name, _, _) in enumerate(mistakes) if f"planted{i}" not in found] == []


@needs_yosys
def test_the_first_wrong_input_is_named() -> None:
    circuit = planted(0, decoder("e2m1", form="shift"), {"field - 2'h1": "field - 2'h0"})
    result = check(circuit)
    assert not result
    assert result.first is not None
    assert result.first.inputs == {"code": 2}
    assert (result.first.outputs, result.first.expected) == ({"value": 4}, {"value": 2})
    assert "planted0 on cmos: " in str(result)
    assert "of all 16 inputs wrong" in str(result)

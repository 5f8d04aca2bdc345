"""The evaluator of netlists: cells by their definitions, then netlists of all units."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest

from minifloat.hardware import (
    Circuit,
    FixedSum,
    FloatSum,
    Netlist,
    block_dot,
    check,
    converter,
    converter_forms,
    decoder,
    decoder_forms,
    dot,
    encoder,
    encoder_forms,
    l_mul,
    l_mul_forms,
    multiplier,
    multiplier_forms,
)
from minifloat.hardware.cells import gate_table
from minifloat.hardware.checks import trials
from minifloat.hardware.netlists import from_planes, look_up, to_planes
from minifloat.hardware.synthesis import netlist
from tests.hardware.bundles import needs_yosys, wrong


def one_cell(
    kind: str, inputs: dict[str, int], outputs: dict[str, int], **parameters: str
) -> Netlist:
    """Return a netlist of one cell, whose pins are ports of the same names."""
    numbers = itertools.count(2)
    bits = {pin: [next(numbers) for _ in range(width)]
            for pin, width in [*inputs.items(), *outputs.items()]}  # fmt: skip
    ports = {pin: {"direction": "input" if pin in inputs else "output", "bits": bits[pin]}
             for pin in bits}  # fmt: skip
    for clock in {"C", "CLK"} & ports.keys():
        ports["clock"] = ports.pop(clock)
    cell = {"type": kind, "parameters": parameters, "connections": bits}
    return Netlist({"ports": ports, "cells": {"cell": cell}})


@pytest.mark.parametrize("inputs", range(1, 7))
def test_look_up(inputs: int) -> None:
    """Random tables, and those that do not depend on some inputs, bit by bit."""
    generator = np.random.default_rng(inputs)
    words = to_planes(np.arange(1 << inputs), inputs)
    tables = [
        int.from_bytes(generator.bytes(8), "little") % (1 << (1 << inputs)) for _ in range(50)
    ]
    tables += [0, (1 << (1 << inputs)) - 1, int("01" * (1 << inputs >> 1), 2)]
    for table in tables:
        found = from_planes([look_up(table, words)], 1 << inputs).tolist()
        assert found == [table >> i & 1 for i in range(1 << inputs)]


@pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
def test_planes(count: int) -> None:
    words = np.random.default_rng(count).integers(0, 1 << 40, count, np.uint64)
    assert from_planes(to_planes(words, 40), count).tolist() == words.tolist()
    rows = np.stack([words, words[::-1], words ^ np.uint64(5)])
    for several in (rows, np.asfortranarray(rows), rows[:, None], rows.T.copy().T[::-1]):
        planes = to_planes(several, 40)
        assert from_planes(planes, count).tolist() == several.tolist()
        assert all(plane.flags.c_contiguous for plane in planes)


@pytest.mark.parametrize(
    ("function", "expected"),
    [("A", 0b10), ("!A", 0b01), ("A^B", 0b0110), ("!((A&B)|C)", 0b00000111),
     ("(A&!S)|(B&S)", 0b11001010), ("!((A|B)&(C|D))", 0b0000000100010001 | 0b1110)],
)  # fmt: skip
def test_functions_of_gates(function: str, expected: int) -> None:
    if "D" in function:
        expected = sum((not ((i & 3) and (i >> 2))) << i for i in range(16))
    assert gate_table(function) == expected


@pytest.mark.parametrize("width", [4, 8])
def test_a_carry_chain_adds(width: int) -> None:
    """With S = a ^ b and DI = a, O is the sum and the last CO its carry (AMD UG474)."""
    carry = {"CI": 1, "CYINIT": 1} if width == 4 else {"CI": 1, "CI_TOP": 1}
    built = one_cell(f"CARRY{width}", {"S": width, "DI": width, **carry}, {"O": width, "CO": width})
    a, b, c = (x.ravel() for x in np.meshgrid(np.arange(1 << width), np.arange(1 << width), [0, 1]))
    words = {"S": a ^ b, "DI": a, "CI": c, next(p for p in carry if p != "CI"): np.zeros_like(a)}
    found = built.run(words)
    total = a + b + c
    assert found["O"].tolist() == (total % (1 << width)).tolist()
    assert (found["CO"] >> np.uint64(width - 1)).tolist() == (total >> width).tolist()


def test_an_ecp5_chain_adds() -> None:
    """Each place is a LUT4 of A ^ B with the generate function A in its low LUT2."""
    names = [f"{p}{i}" for i in (0, 1) for p in "ABCD"]
    built = one_cell(
        "CCU2C",
        {**dict.fromkeys(names, 1), "CIN": 1},
        {"S0": 1, "S1": 1, "COUT": 1},
        INIT0="1001011010101010", INIT1="1001011010101010", INJECT1_0="NO", INJECT1_1="NO",
    )  # fmt: skip
    rows = np.array(list(itertools.product((0, 1), repeat=5)))
    a0, b0, a1, b1, carry = rows.T
    words = {name: np.zeros(len(rows), int) for name in names}
    # INIT is 0x96AA: A in the low half, where D is 0, and A ^ B ^ C where D is 1
    words |= {"A0": a0, "B0": b0, "A1": a1, "B1": b1, "CIN": carry,
              "D0": np.ones_like(a0), "D1": np.ones_like(a0)}  # fmt: skip
    found = built.run(words)
    total = a0 + 2 * a1 + b0 + 2 * b1 + carry
    got = found["S0"] + 2 * found["S1"] + 4 * found["COUT"]
    assert got.tolist() == total.tolist()


@pytest.mark.parametrize(
    ("kind", "pins", "expected"),
    [
        ("FDRE", {"CE": [1, 0, 1, 1], "R": [0, 0, 0, 1]}, [1, 1, 0, 0]),
        ("FDSE", {"CE": [1, 0, 1, 1], "S": [0, 0, 0, 1]}, [1, 1, 0, 1]),
        ("SB_DFFESR", {"E": [1, 0, 1, 1], "R": [0, 0, 0, 1]}, [1, 1, 0, 0]),
        ("SB_DFFSS", {"S": [0, 0, 0, 1]}, [1, 0, 0, 1]),
        ("DFF", {}, [1, 0, 0, 1]),
    ],
)
def test_flip_flops(kind: str, pins: dict[str, list[int]], expected: list[int]) -> None:
    """D is 1, 0, 0, 1 in four clock cycles."""
    built = one_cell(kind, {"C": 1, "D": 1, **dict.fromkeys(pins, 1)}, {"Q": 1})
    assert built.flip_flops == 1
    words = {"D": [1, 0, 0, 1], **pins}
    found = built.run({name: np.array(row)[:, None] for name, row in words.items()})
    assert found["Q"].ravel().tolist() == expected


@pytest.mark.parametrize(("regset", "expected"), [("RESET", [1, 1, 0, 0]), ("SET", [1, 1, 0, 1])])
def test_flip_flops_of_ecp5(regset: str, expected: list[int]) -> None:
    """D is 1, 0, 0, 1 in four clock cycles; the third is enabled, the fourth is set or reset."""
    pins = dict.fromkeys(("CLK", "DI", "CE", "LSR"), 1)
    built = one_cell(
        "TRELLIS_FF", pins, {"Q": 1}, REGSET=regset, CEMUX="CE", SRMODE="LSR_OVER_CE", CLKMUX="CLK"
    )
    words = {"DI": [1, 0, 0, 1], "CE": [1, 0, 1, 1], "LSR": [0, 0, 0, 1]}
    found = built.run({name: np.array(row)[:, None] for name, row in words.items()})
    assert found["Q"].ravel().tolist() == expected


def test_a_netlist_that_is_not_understood() -> None:
    with pytest.raises(ValueError, match="netlist must have cells that are known here, got DSP48"):
        one_cell("DSP48", {"A": 1}, {"P": 1})
    loop: dict[str, Any] = {"type": "$_NOT_", "parameters": {}, "connections": {"A": [2], "Y": [2]}}
    ports = {"y": {"direction": "output", "bits": [2]}}
    with pytest.raises(ValueError, match="netlist must not have nets that depend on each other"):
        Netlist({"ports": ports, "cells": {"loop": loop}})
    with pytest.raises(ValueError, match="netlist must drive each net, and does not drive 2"):
        Netlist({"ports": ports, "cells": {}})
    hostile: list[Any] = [{}, {"ports": 3}, {"ports": {}, "cells": []}, None,
                          {"ports": ports, "cells": {"a": {}}}]  # fmt: skip
    for module in hostile:
        with pytest.raises(ValueError, match="netlist must be a module of Yosys' JSON"):
            Netlist(module)


def test_words_that_do_not_fit() -> None:
    built = one_cell("$_AND_", {"A": 1, "B": 1}, {"Y": 1})
    with pytest.raises(ValueError, match="words must have each input, and lack B"):
        built.run({"A": np.array([1])})
    with pytest.raises(ValueError, match="words must be of one shape"):
        built.run({"A": np.array([1]), "B": np.array([1, 0])})


WORDS = """
always and assign automatic begin buf bufif0 bufif1 case casex casez cell cmos config deassign
default defparam design disable edge else end endcase endconfig endfunction endgenerate endmodule
endprimitive endspecify endtable endtask event for force forever fork function generate genvar
highz0 highz1 if ifnone incdir include initial inout input instance integer join large liblist
library localparam macromodule medium module nand negedge nmos nor noshowcancelled not notif0 notif1
or output parameter pmos posedge primitive pull0 pull1 pulldown pullup pulsestyle_onevent
pulsestyle_ondetect rcmos real realtime reg release repeat rnmos rpmos rtran rtranif0 rtranif1
scalared showcancelled signed small specify specparam strong0 strong1 supply0 supply1 table task
time tran tranif0 tranif1 tri tri0 tri1 triand trior trireg unsigned use vectored wait wand weak0
weak1 while wire wor xnor xor alias assert assume before bind bins binsof bit break byte chandle
class clocking const constraint context continue cover covergroup coverpoint cross dist do endclass
endclocking endgroup endinterface endpackage endprogram endproperty endsequence enum expect export
extends extern final first_match foreach forkjoin iff ignore_bins illegal_bins import inside int
interface intersect join_any join_none local logic longint matches modport new null package packed
priority program property protected pure rand randc randcase randsequence ref return sequence
shortint shortreal solve static string struct super tagged this throughout timeprecision timeunit
type typedef union unique var virtual void wait_order wildcard with within
"""


def units() -> list[Circuit]:
    """Return each unit in each form, small enough for one run of Yosys."""
    forms: list[Circuit] = []
    for name in ("e2m1", "int4", "binary6p3se"):
        forms += [decoder(name, form=form, specials="flag") for form in decoder_forms(name)]  # type: ignore[arg-type]
        forms += [decoder(name, "float16", form=form) for form in decoder_forms(name, "float16")]  # type: ignore[arg-type]
    forms += [encoder("e2m1", form=form) for form in encoder_forms("e2m1")]  # type: ignore[arg-type]
    forms += [
        encoder("e4m3fn", "fixed", width=9, unit=2.0**-6),
        encoder("e2m1", "fixed", width=6, unit=0.125, rounding="stochastic_c", random_bits=3),
        encoder("e2m1", "float32", rounding="to_odd", overflow="ieee"),
    ]
    for a, b in (("e2m1", "e2m1"), ("int4", "int3")):
        forms += [multiplier(a, b, form=form) for form in multiplier_forms(a, b)]  # type: ignore[arg-type]
    forms += [multiplier("bipolar_int2", "bipolar_int1", form="planes")]
    forms += [l_mul("e2m1", form=form) for form in l_mul_forms("e2m1")]  # type: ignore[arg-type]
    forms += [l_mul("e3m1", variant="addition", aligned=False, specials="flag")]
    forms += [multiplier("e3m2", "e2m1", encoding="sign_magnitude", specials="flag")]
    forms += [converter("e3m1", "e2m1", form=form) for form in converter_forms("e3m1", "e2m1")]  # type: ignore[arg-type]
    forms += [
        dot("e2m1", "e1m2", 3, accumulator=None),
        dot("bipolar_int2", "bipolar_int1", 3, form="counts", accumulator=None),
        block_dot("e2m1", "e2m1", block=2, specials="flag"),
        block_dot("e1m2", "e2m1", "ue4m3", 2),
    ]
    return forms


def accumulators() -> list[Circuit]:
    return [
        dot("e2m1", "e2m1", 3, accumulator=FixedSum(terms=64)),
        dot("int3", "int4", 2, accumulator=FixedSum(terms=16, cut=1)),
        dot("binary4p2se", "e2m1", 2, accumulator=FixedSum(terms=8), specials="flag"),
        dot("bipolar_int1", "bipolar_int1", 4, form="counts", accumulator=FixedSum(terms=32)),
    ]


def test_no_name_is_a_word_of_the_language() -> None:
    """Of Verilog-2005 (IEEE 1364-2005, annex B) or SystemVerilog, which some tools read it as."""
    float_sum = dot("e2m1", "e2m1", 2, accumulator=FloatSum("float16"))
    for circuit in [*units(), *accumulators(), float_sum]:
        names = re.findall(
            r"(?:wire|reg|input|output) (?:signed )?(?:\[\d+:0\] )?(\w+)", circuit.verilog
        )
        assert names
        assert set(names).isdisjoint(WORDS.split()), circuit.name


@needs_yosys
def test_netlists_of_all_units() -> None:
    assert wrong(units()) == {}
    assert wrong(accumulators()) == {}


@needs_yosys
def test_netlists_of_luts_and_carry_chains() -> None:
    assert wrong(accumulators()[:2], "xc7") == {}


@needs_yosys
@pytest.mark.long
@pytest.mark.parametrize("target", ["xc7", "xcup", "ice40", "ecp5"])
def test_netlists_of_all_units_on_fpgas(target: Any) -> None:
    assert wrong(units(), target) == {}
    assert wrong(accumulators(), target) == {}


@needs_yosys
def test_check() -> None:
    circuit = decoder("e2m1")
    result = check(circuit)
    assert result
    assert (result.words, result.exhaustive, result.wrong, result.first) == (16, True, 0, None)
    assert str(result).endswith("on cmos: all 16 inputs, all right")
    module = netlist(circuit.verilog, circuit.name, "cmos")
    with pytest.raises(ValueError, match=r"netlist must have the inputs {'code': 5}, got"):
        check(decoder("e2m2"), netlist=module)
    with pytest.raises(ValueError, match="target must be one of"):
        check(circuit, "asic")  # type: ignore[arg-type]


def test_trials_hold_what_they_say() -> None:
    circuit = dot("e5m2", "int4", 4)
    (words,) = trials(circuit)
    assert words["a"].shape == (288, 64)
    assert words["first"][0].tolist() == [1] * 64
    extremes = set(circuit.corners["a"])
    assert {0x7B7B7B7B, 0xFBFBFBFB, 0x80808080, 0x7C7C7C7C} <= extremes
    steady = words["a"][:, :32]
    assert (steady == steady[0]).all()
    assert set(steady[0].tolist()) <= extremes
    corners, random = trials(encoder("e2m1", "float32"))
    assert {0x3F400000, 0x3F3FFFFF, 0x3F400001, 0x80000000} <= set(corners["value"].tolist())
    assert len(random["value"]) == 16384

"""Multipliers, dot products and converters: what they must compute, and their netlists."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat import arithmetic
from minifloat.hardware import (
    Circuit,
    FixedSum,
    block_dot,
    converter,
    converter_forms,
    dot,
    integer_codebook,
    multiplier,
    multiplier_forms,
)
from minifloat.hardware.circuits import join_lanes
from minifloat.testing import exact_decode, exact_encode
from tests.hardware.bundles import needs_yosys, wrong

PAIRS = [
    ("e2m1", "e2m1"), ("e2m2", "int4"), ("e4m3fn", "e5m2"), ("e1m3", "uint4"), ("nf4", "e2m1"),
    ("bipolar_int2", "ue4m3"), ("binary6p3se", "e3m0"), ("e4m3fnuz", "int4full"),
]  # fmt: skip


def signed(word: int, width: int) -> int:
    return word - (word >> (width - 1) << width)


def codes_of(name: str) -> list[int]:
    fmt = mf.parse(name)
    return [code for code in range(fmt.code_count) if code != fmt.unused_code]


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_meaning_of_products(a: str, b: str) -> None:
    """All pairs, by the oracle's values and float64's rules for NaN and infinities."""
    circuit = multiplier(a, b, specials="flag")
    i, j = (grid.ravel() for grid in np.meshgrid(codes_of(a), codes_of(b)))
    found = circuit.meaning({"a": i, "b": j})
    values_a = {code: exact_decode(code, a) for code in codes_of(a)}
    values_b = {code: exact_decode(code, b) for code in codes_of(b)}
    width = circuit.outputs["product"]
    assert circuit.unit is not None
    for place, (code_a, code_b) in enumerate(zip(i.tolist(), j.tolist(), strict=True)):
        x, y = values_a[code_a], values_b[code_b]
        product = float(x) * float(y)
        exact = Fraction(x) * Fraction(y) if math.isfinite(x) and math.isfinite(y) else 0
        assert signed(int(found["product"][place]), width) * circuit.unit == exact
        flags = {
            "nan": math.isnan(product),
            "positive_inf": product == math.inf,
            "negative_inf": product == -math.inf,
        }
        for flag, raised in flags.items():
            assert raised == (flag in found and bool(found[flag][place]))


def test_the_product_of_minus_zero_has_a_sign() -> None:
    circuit = multiplier("e2m1", "e2m1", encoding="sign_magnitude")
    found = circuit.meaning({"a": np.array([8, 8, 0]), "b": np.array([1, 9, 0])})
    assert found["sign"].tolist() == [1, 0, 0]
    assert found["magnitude"].tolist() == [0, 0, 0]


@pytest.mark.parametrize("b", ["pot4", "sp2_4", "apot4", "e2m1", "int4"])
def test_shifts_compute_what_shift_add_does(b: str) -> None:
    circuit = multiplier("int8", b, form="shifts")
    x = mf.parse("int8").values()
    i, j = (grid.ravel() for grid in np.meshgrid(codes_of("int8"), codes_of(b)))
    word = circuit.meaning({"a": i, "b": j})["product"]
    found = [signed(number, circuit.outputs["product"]) for number in word.tolist()]
    expected = arithmetic.shift_add(x[i].astype(int), j, b)
    assert circuit.unit is not None
    assert (np.array(found) * float(circuit.unit)).tolist() == expected.tolist()


@pytest.mark.parametrize(("bits", "others"), [(1, 1), (2, 2), (4, 4), (2, 8)])
def test_planes_compute_what_bipolar_matmul_does(bits: int, others: int) -> None:
    circuit = multiplier(f"bipolar_int{bits}", f"bipolar_int{others}", form="planes")
    assert circuit.unit == 1
    a, b = np.arange(1 << bits), np.arange(1 << others)
    word = circuit.meaning({"a": a[:, None] + 0 * b, "b": 0 * a[:, None] + b})["product"]
    found = [[signed(int(n), circuit.outputs["product"]) for n in row] for row in word]
    planes = (arithmetic.bit_planes(codes[:, None], n) for codes, n in ((a, bits), (b, others)))
    assert found == arithmetic.bipolar_matmul(*planes).tolist()


def exact_sum(a: str, b: str, i: Sequence[int], j: Sequence[int]) -> Fraction:
    return sum(
        (Fraction(exact_decode(x, a)) * Fraction(exact_decode(y, b))
         for x, y in zip(i, j, strict=True)),
        Fraction(0),
    )  # fmt: skip


@pytest.mark.parametrize(("a", "b"), [("e2m1", "e2m1"), ("e5m2", "e5m2"), ("int4", "e2m2")])
def test_meaning_of_dots(a: str, b: str) -> None:
    """Sums over lanes and over clock cycles, by fractions."""
    generator = np.random.default_rng(1)
    finite = {name: [c for c in codes_of(name) if math.isfinite(exact_decode(c, name))]
              for name in (a, b)}  # fmt: skip
    i = generator.choice(finite[a], (6, 3, 4))
    j = generator.choice(finite[b], (6, 3, 4))
    words = {
        "a": join_lanes(i, mf.parse(a).bits),
        "b": join_lanes(j, mf.parse(b).bits),
        "first": np.array([[1, 1, 1], [0, 0, 1], [0, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]]),
    }
    alone, running = dot(a, b, 4, accumulator=None), dot(a, b, 4)
    assert alone.unit == running.unit
    sums = [[exact_sum(a, b, x, y) for x, y in zip(p, q, strict=True)]
            for p, q in zip(i.tolist(), j.tolist(), strict=True)]  # fmt: skip
    found = alone.meaning({name: words[name] for name in ("a", "b")})["sum"]
    total = running.meaning(words)["sum"]
    expected = [Fraction(0)] * 3
    for cycle in range(6):
        for stream in range(3):
            word = signed(int(found[cycle, stream]), alone.outputs["sum"])
            assert word * alone.unit == sums[cycle][stream]
            kept = 0 if words["first"][cycle, stream] else expected[stream]
            expected[stream] = kept + sums[cycle][stream]
            word = signed(int(total[cycle, stream]), running.outputs["sum"])
            assert word * running.unit == expected[stream]


@pytest.mark.parametrize(("form", "expected"), [("significands", -1), ("integer", -2)])
def test_cut_products(form: Any, expected: int) -> None:
    """-1.5 * 1 is -6 in units of 1/4: cut by 2 bits toward zero -1, downward -2."""
    circuit = dot("e2m1", "e2m1", 1, form=form, accumulator=FixedSum(cut=2))
    assert circuit.unit == 1
    words = {"a": np.array([[0b1011]]), "b": np.array([[0b0010]]), "first": np.array([[1]])}
    (found,) = circuit.meaning(words)["sum"].ravel().tolist()
    assert signed(found, circuit.outputs["sum"]) == expected


def test_the_register_holds_as_many_products_as_it_says() -> None:
    """INT4's -8 times -8, 4096 times, is 2**18: 20 bits with a sign."""
    assert dot("int4", "int4").outputs == {"sum": 20}
    assert dot("e2m1", "e2m1", accumulator=FixedSum(terms=1)).outputs == {"sum": 9}
    assert dot("e4m3fn", "e4m3fn").outputs == {"sum": 49}
    assert dot("e5m2", "e5m2").outputs == {"sum": 77}


def test_infinities_of_both_signs_are_nan() -> None:
    circuit = dot("e5m2", "e5m2", 2, accumulator=None, specials="flag")
    inf, one, zero = 0x7C, 0x3C, 0
    lanes = {"a": [[inf, inf], [inf, one], [inf, zero]], "b": [[one, one | 0x80], [one, one],
             [zero, one]]}  # fmt: skip
    found = circuit.meaning({name: join_lanes(np.array(x), 8) for name, x in lanes.items()})
    assert found["nan"].tolist() == [1, 0, 1]
    assert found["positive_inf"].tolist() == [0, 1, 0]
    assert found["negative_inf"].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("element", "scale", "aligned"),
    [("e2m1", "e8m0", False), ("e2m1", "ue4m3", False), ("e2m1", "ue4m3", True),
     ("mxint8", "e8m0", False)],
)  # fmt: skip
def test_meaning_of_blocks(element: str, scale: str, aligned: bool) -> None:
    circuit = block_dot(element, element, scale, 3, aligned=aligned)
    generator = np.random.default_rng(2)
    i, j = (generator.choice(codes_of(element), (50, 3)) for _ in range(2))
    good = [code for code in codes_of(scale) if not math.isnan(exact_decode(code, scale))]
    s, t = (generator.choice(good, 50) for _ in range(2))
    bits = mf.parse(element).bits
    words = {"a": join_lanes(i, bits), "b": join_lanes(j, bits), "scale_a": s, "scale_b": t}
    found = circuit.meaning(words)
    assert circuit.unit is not None
    for place in range(50):
        expected = exact_sum(element, element, i[place].tolist(), j[place].tolist())
        expected *= Fraction(exact_decode(int(s[place]), scale))
        expected *= Fraction(exact_decode(int(t[place]), scale))
        total = signed(int(found["sum"][place]), circuit.outputs["sum"])
        power = 0 if aligned else int(found["exponent"][place])
        assert total * circuit.unit * 2**power == expected


def test_a_scale_that_is_nan() -> None:
    circuit = block_dot("e2m1", "e2m1", block=1, specials="flag")
    found = circuit.meaning({name: np.array([word]) for name, word in
                             [("a", 2), ("b", 2), ("scale_a", 255), ("scale_b", 3)]})  # fmt: skip
    assert {name: int(word[0]) for name, word in found.items()} == {
        "sum": 0, "exponent": 3, "nan": 1,
    }  # fmt: skip


@pytest.mark.parametrize(("a", "b"), [("e4m3fn", "e2m1"), ("e5m2", "e4m3fnuz"), ("nf4", "int4")])
def test_meaning_of_converters(a: str, b: str) -> None:
    codes = codes_of(a)
    found = converter(a, b, rounding="to_odd", overflow="ieee").meaning({"code": np.array(codes)})
    expected = [
        exact_encode(exact_decode(code, a), b, rounding="to_odd", overflow="ieee", nan="zero")
        for code in codes
    ]
    assert found["result"].tolist() == expected


def multipliers(a: Any, b: Any) -> list[Circuit]:
    encodings: Any = ("twos_complement", "sign_magnitude")
    return [
        multiplier(a, b, form=form, encoding=encoding, specials="flag")
        for form in multiplier_forms(a, b)
        for encoding in encodings
    ]


LONG_PAIRS: list[tuple[Any, Any]] = [
    *PAIRS, ("int4", "int4"), ("int8", "int8"), ("e4m3fn", "e4m3fn"), ("e5m2", "e5m2"),
    ("e2m2", "e2m2"), ("e3m2", "e2m3"), ("int8", "e2m2"), ("e6m1", "e1m6"), ("mxint8", "int5"),
    (integer_codebook("nf4"), integer_codebook("nf4")), ("e8m0", "e2m1"), ("e7m0", "int3"),
    ("int8", "pot4"), ("int8", "sp2_4"), ("int8", "apot4"), ("apot4", "int8"), ("e4m3fn", "pot4"),
    ("bipolar_int4", "bipolar_int4"), ("bipolar_int1", "bipolar_int8"),
]  # fmt: skip


@needs_yosys
@pytest.mark.long
@pytest.mark.parametrize("pair", LONG_PAIRS, ids=str)
def test_netlists_of_multipliers(pair: tuple[Any, Any]) -> None:
    """All pairs of codes, by each form."""
    assert wrong(multipliers(*pair)) == {}


@needs_yosys
@pytest.mark.long
@pytest.mark.parametrize("target", ["xc7", "xcup", "ice40", "ecp5"])
def test_netlists_of_multipliers_on_fpgas(target: str) -> None:
    circuits = [c for pair in [("e2m1", "e2m1"), ("e2m2", "int4")] for c in multipliers(*pair)]
    assert wrong(circuits, target) == {}


@needs_yosys
@pytest.mark.long
@pytest.mark.parametrize("target", ["cmos", "xc7"])
@pytest.mark.parametrize(
    ("a", "b", "lanes", "options"),
    [
        ("e2m1", "e2m1", 16, {}),
        ("e2m2", "e1m6", 16, {}),
        ("int5", "int5", 16, {"form": "booth"}),
        ("e4m3fn", "e4m3fn", 16, {"accumulator": FixedSum(cut=14)}),
        ("e5m2", "e5m2", 5, {"specials": "flag"}),
        ("uint4", "int4", 7, {}),
        ("e8m0", "e2m1", 2, {"specials": "flag"}),
    ],
)
def test_netlists_of_dots(a: str, b: str, lanes: int, options: dict[str, Any], target: str) -> None:
    """Streams of extremes and of random words; 4096 products and more."""
    assert wrong([dot(a, b, lanes, **options)], target) == {}
    options = {name: value for name, value in options.items() if name != "accumulator"}
    assert wrong([dot(a, b, lanes, accumulator=None, **options)], target) == {}


@needs_yosys
@pytest.mark.long
@pytest.mark.parametrize("target", ["cmos", "xc7"])
def test_netlists_of_blocks_and_converters(target: str) -> None:
    circuits = [
        block_dot("e2m1", "e2m1", specials="flag"),
        block_dot("e4m3fn", "e4m3fn", block=4, specials="flag"),
        block_dot("mxint8", "mxint8", block=4),
        block_dot("e2m1", "e2m1", "ue4m3", 16, specials="flag"),
        block_dot("e2m1", "e2m1", "ue4m3", 16, aligned=True),
    ]
    assert wrong(circuits, target) == {}
    pairs = [("e4m3fn", "e2m1"), ("e5m2", "e4m3fnuz"), ("int5", "e2m2"), ("nf4", "e2m1")]
    modes: Any = ("nearest_even", "downward", "to_odd")
    converters = [
        converter(a, b, form=form, rounding=mode, overflow="ieee")
        for a, b in pairs
        for form in converter_forms(a, b)
        for mode in modes
    ]
    assert wrong(converters, target) == {}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: multiplier("e2m1", "float16"), "fmt must have at most 8 bits"),
        (lambda: multiplier("e2m1", "e2m1", form="case"), "form must be one of significands"),
        (lambda: dot("e2m1", "e2m1", 0), r"lanes must be in 1\.\.256, got 0"),
        (
            lambda: dot("e2m1", "e2m1", accumulator=7),
            "accumulator must be a FixedSum, a FloatSum or None",
        ),
        (lambda: dot("e2m1", "e2m1", accumulator=FixedSum(cut=8)), "cut must be below the 8 bits"),
        (lambda: FixedSum(terms=0), r"terms must be in 1\.\."),
        (lambda: block_dot("e2m1", "e2m1", "e4m3fn"), "scale must be a Format without a sign"),
        (lambda: block_dot("e2m1", "e2m1", "nf4"), "scale must be a Format without a sign"),
        (
            lambda: block_dot("e2m1", "e2m1", aligned=True),
            "scale must give an aligned sum of at most 128 bits, got e8m0, which gives 522; leave",
        ),
        (lambda: converter("e2m1", "e2m1", rounding="stochastic"), "rounding must be a determin"),
    ],
)
def test_refusals(call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()

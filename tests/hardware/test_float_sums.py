"""Dot products that are added up in a float: against exact rational numbers, and on netlists."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat import arithmetic
from minifloat.hardware import FixedSum, FloatSum, check, checks, dot
from minifloat.hardware.checks import trials
from minifloat.hardware.circuits import split_lanes, to_words
from minifloat.testing import exact_encode
from tests.hardware.bundles import needs_yosys, wrong
from tests.hardware.test_planted import planted

SMALL = dot("e2m1", "e2m1", 2, accumulator=FloatSum("e5m2"))
FINE = dot("e3m1", "e3m2", 1, accumulator=FloatSum("e4m3ieee", rounding="upward"))
CIRCUITS = [
    SMALL,
    FINE,
    dot("int3", "e3m0", 3, accumulator=FloatSum("e5m2", rounding="downward", overflow="saturate")),
    dot(
        "e2m1",
        "binary4p2se",
        2,
        accumulator=FloatSum("bfloat16", rounding="to_odd"),
        specials="flag",
    ),
]
MODES = ["nearest_even", "nearest_away", "toward_zero", "upward", "downward", "to_odd"]


@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize(
    ("name", "a", "b"), [("float16", "e4m3fn", "e2m1"), ("e5m2", "e2m1", "int4")]
)
def test_each_sum_is_rounded_once(name: str, a: str, b: str, rounding: Any) -> None:
    """By the exact oracle, on rational numbers, from sums of all sizes."""
    lanes, fmt = 3, mf.parse(name)
    circuit = dot(a, b, lanes, accumulator=FloatSum(name, rounding=rounding))
    words = list(trials(circuit))[-1]
    few = {port: word[:6] if port in circuit.inputs else word for port, word in words.items()}
    found = circuit.meaning(few)["sum"]
    factors = [
        split_lanes(few[port], mf.parse(each).bits, lanes).astype(int)
        for port, each in (("a", a), ("b", b))
    ]
    # -8 of INT4 is read as it stands; the library's decoder refuses it
    values = [
        [_value(mf.parse(each), code) for code in range(1 << mf.parse(each).bits)]
        for each in (a, b)
    ]
    for stream in range(0, 512, 8):
        total = fmt.value(int(few["sum"][stream]))
        for cycle in range(6):
            if np.isinf(total):
                expected = int(few["sum"][stream])
            else:
                exact = Fraction(total) + sum(
                    (values[0][i] * values[1][j]
                     for i, j in zip(*(part[cycle, stream] for part in factors), strict=True)),
                    Fraction(0),
                )  # fmt: skip
                expected = exact_encode(exact, fmt, rounding=rounding, overflow="ieee")
                if abs(exact) >= Fraction(2) ** int(np.frexp(fmt.max)[1]):
                    expected = exact_encode(
                        float(np.copysign(np.inf, float(exact))), fmt, overflow="ieee"
                    )
            assert found[cycle, stream] == expected
            total = fmt.value(expected)
            few["sum"][stream] = expected


def _value(fmt: mf.NumberFormat, code: int) -> Fraction:
    if code == fmt.unused_code:
        return Fraction(code - fmt.code_count)
    return Fraction(fmt.value(code)) if np.isfinite(fmt.value(code)) else Fraction(0)


@needs_yosys
def test_netlists_of_float_sums() -> None:
    assert wrong(CIRCUITS) == {}
    result = check(SMALL)
    assert result, result
    assert result.words == 288 * 64 + 32 * 512


@needs_yosys
@pytest.mark.long
@pytest.mark.parametrize("target", ["cmos", "xc7", "xcup", "ice40", "ecp5"])
@pytest.mark.parametrize(
    ("name", "to"),
    [
        ("e2m2", "float32"),
        ("int5", "float16"),
        ("int8", "e8m13"),
        ("e4m3fn", "float32"),
        ("e5m2", "float32"),
    ],
)
def test_netlists_of_wide_float_sums(name: str, to: str, target: Any) -> None:
    result = check(dot(name, name, 4, accumulator=FloatSum(to)), target)
    assert result, result


MISTAKES = [
    ("a sticky bit dropped", SMALL, {"sticky = ": "sticky = 1'h0 & "}),
    ("ties to odd", SMALL, {"up = (normal0[13]": "up = (~normal0[13]"}),
    ("an overflow unseen", FINE, {"= over ?": "= 1'h0 ?"}),
    ("an infinity that does not stay", FINE, {"= old_field == 4'hf ?": "= 1'h0 ?"}),
    ("a hidden bit of 0", SMALL, {"old_normal = old_field != 5'h0": "old_normal = 1'h1"}),
    ("an exponent off by one", SMALL, {"7'h1c - zeros": "7'h1d - zeros"}),
    ("a register negated without its carry", SMALL, {".carry(old_sign)": ".carry(1'h0)"}),
    ("a sum that does not begin anew", SMALL, {"~first": "1'h1"}),
    ("a shift by a place too few", SMALL, {"6'h1b - old_place": "6'h1a - old_place"}),
    ("large sums that lose their exponent", SMALL, {"- zeros + beyond": "- zeros"}),
    ("large sums that are not held", SMALL, {"old_place >= 6'h1b": "old_place >= 6'h1d"}),
    (
        "subnormal sums a place too low",
        FINE,
        {"old_normal ? old_field : ": "old_normal ? old_field : 0 & "},
    ),
    (
        "subnormal sums as normal ones",
        FINE,
        {"guide = new_magnitude | ": "guide = new_magnitude | 0 & "},
    ),
    ("rounded up below 0, too", FINE, {"new_sign ? 1'h0 : ": "new_sign ? sticky : "}),
]


@needs_yosys
def test_planted_mistakes_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "CYCLES", 40)
    circuits = [planted(i, circuit, change) for i, (_, circuit, change) in enumerate(MISTAKES)]
    found = wrong(circuits)
    assert [name for i, (name, _, _) in enumerate(MISTAKES) if f"planted{i}" not in found] == []


@pytest.mark.parametrize(
    ("fmt", "message"),
    [
        ("int32", "fmt must be a float with IEEE's infinities and .*, got int32;"),
        ("e4m3fn", "fmt must be a float with IEEE's infinities and .*, got e4m3fn;"),
        ("float64", "fmt must be a float with"),
    ],
)
def test_a_sum_that_is_no_such_float(fmt: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FloatSum(fmt)


def test_products_finer_than_the_float_are_refused() -> None:
    with pytest.raises(ValueError, match=r"accumulator must hold multiples of the products' unit"):
        dot("e5m2", "e5m2", accumulator=FloatSum("float16"))
    with pytest.raises(ValueError, match="rounding must not be stochastic"):
        FloatSum("float32", rounding="stochastic")
    with pytest.raises(TypeError, match="accumulator must be a FixedSum, a FloatSum or None"):
        dot("e2m1", "e2m1", accumulator="float32")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cut", "form", "accumulator"),
    [
        (0, "significands", "fixed13.2/overflow=wrap+terms=4"),
        (0, "integer", "fixed13.2/overflow=wrap+terms=4"),
        (2, "significands", "fixed12.0:toward_zero/overflow=wrap+product=fixed12.0"),
        (2, "integer", "fixed12.0:downward/overflow=wrap+product=fixed12.0"),
    ],
)
def test_fixed_sums_are_those_of_emulated_arithmetic(cut: int, form: Any, accumulator: str) -> None:
    circuit = dot("e2m1", "e2m1", 4, form=form, accumulator=FixedSum(terms=16, cut=cut))
    (words,) = trials(circuit)
    found = circuit.meaning(words)["sum"]
    a, b = (mf.decode(split_lanes(words[port], 4, 4), "e2m1") for port in ("a", "b"))
    total = np.zeros(64)
    for cycle in range(4):  # 16 products
        total = arithmetic.dot(a[cycle], b[cycle], total, accumulator=accumulator)
        assert circuit.unit is not None
        expected = to_words((total / float(circuit.unit)).astype(int), circuit.outputs["sum"])
        begun = words["first"][1 : cycle + 1].any(axis=0)
        assert (found[cycle] == expected)[~begun].all()

"""L-Mul as a circuit: what it must compute, by its definition in fractions, and its netlists."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.arithmetic.multiplication import Variant
from minifloat.formats import Format
from minifloat.hardware import Circuit, l_mul, l_mul_forms
from minifloat.testing import exact_decode
from tests.hardware.bundles import needs_yosys, wrong

OFFSET_BITS = {1: 1, 2: 2, 3: 3, 4: 3, 5: 4, 6: 4}  # l by M, of the paper
VARIANTS: list[Variant] = ["formula", "addition"]
NO_SUBNORMALS = Format(4, 3, subnormals=False)


def product(x: Fraction, y: Fraction, m: int, variant: Variant) -> Fraction:
    """Return L-Mul's product of positive numbers, as equation 1 and figure 2 have it."""
    e, f = fields(x)
    d, g = fields(y)
    fraction = f + g + Fraction(1, 2 ** OFFSET_BITS[m])
    carry = math.floor(fraction) if variant == "addition" else 0
    return (1 + fraction - carry) * Fraction(2) ** (e + d + carry)


def fields(x: Fraction) -> tuple[int, Fraction]:
    e = 0
    while Fraction(2) ** (e + 1) <= x:
        e += 1
    while Fraction(2) ** e > x:
        e -= 1
    return e, x / Fraction(2) ** e - 1


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    "fmt", ["e2m1", "e4m3fn", "e5m2", "e3m4ieee", "ue4m3", "e1m6", NO_SUBNORMALS], ids=str
)
def test_meaning(fmt: Any, variant: Variant, aligned: bool) -> None:
    """Random pairs of codes, and zeros, infinities and NaN."""
    circuit = l_mul(
        fmt, variant=variant, aligned=aligned, encoding="sign_magnitude", specials="flag"
    )
    fmt = mf.parse(fmt)
    i, j = np.random.default_rng(5).integers(0, fmt.code_count, (2, 400))
    i[:3], j[3:6] = 0, [0, fmt.code_count - 1, fmt.code_count // 2]
    found = circuit.meaning({"a": i, "b": j})
    assert circuit.unit is not None
    for place, (a, b) in enumerate(zip(i.tolist(), j.tolist(), strict=True)):
        x, y = exact_decode(a, fmt), exact_decode(b, fmt)
        exact = float(x) * float(y)
        expected = Fraction(0)
        if math.isfinite(x) and math.isfinite(y) and x and y:
            expected = product(abs(Fraction(x)), abs(Fraction(y)), fmt.mantissa_bits, variant)
        power = 0 if aligned else int(found["exponent"][place])
        assert int(found["magnitude"][place]) * circuit.unit * 2**power == expected, (a, b)
        assert (power == 0) or expected
        if not math.isnan(exact):
            assert found["sign"][place] == (math.copysign(1, exact) < 0)
        flags = {"nan": math.isnan(exact), "positive_inf": exact == math.inf,
                 "negative_inf": exact == -math.inf}  # fmt: skip
        for flag, raised in flags.items():
            assert raised == (flag in found and bool(found[flag][place]))


def circuits(fmt: Any) -> list[Circuit]:
    """Return all forms, variants and outputs of a format's L-Mul."""
    return [
        l_mul(fmt, variant=variant, aligned=aligned, form=form, specials="flag")  # type: ignore[arg-type]
        for variant in VARIANTS
        for aligned in (True, False)
        for form in l_mul_forms(fmt)
    ]


@needs_yosys
@pytest.mark.long
@pytest.mark.parametrize("target", ["cmos", "xc7"])
@pytest.mark.parametrize(
    "fmt", ["e2m1", "e2m2", "e4m3fn", "e4m3fnuz", "e5m2", "e3m4ieee", "e1m6", NO_SUBNORMALS],
    ids=str,
)  # fmt: skip
def test_netlists(fmt: Any, target: str) -> None:
    """All pairs of codes."""
    assert wrong(circuits(fmt), target) == {}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: l_mul("int8"), "fmt must be an ExMy with mantissa bits, got "),
        (lambda: l_mul("e3m0"), "fmt must be an ExMy with mantissa bits, got "),
        (lambda: l_mul("float16"), "fmt must have at most 8 bits"),
        (lambda: l_mul("e2m1", variant="exact"), "variant must be one of formula, addition"),  # type: ignore[arg-type]
        (lambda: l_mul("e2m1", form="shift"), "form must be one of fields, table"),  # type: ignore[arg-type]
        (lambda: l_mul("e2m1", aligned=1), "aligned must be a bool"),  # type: ignore[arg-type]
    ],
)
def test_refusals(call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()

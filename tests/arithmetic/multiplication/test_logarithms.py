"""L-Mul and Mitchell's products, for all pairs of codes, against sums of fields by hand."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minifloat as mf
from minifloat import arithmetic
from minifloat.arithmetic.multiplication import logarithms
from tests.arithmetic.multiplication import slow_products

VARIANTS = ("formula", "addition")
SMALL = [f"e{e}m{m}none" for e in range(1, 7) for m in range(1, 7) if e + m <= 5]
EIGHT_BITS = [f"e{e}m{7 - e}none" for e in range(1, 7)]
OTHERS = ["e4m3fn", "e5m2", "e4m3fnuz", "e2m2b0", "e3m2b7", "ue4m3", "e3m3_nosub", "binary8p4se"]
Method = Callable[..., Any]


def check(fmt: mf.Format, variant: str, multiply: Method) -> None:
    """Compare all pairs of finite values above and below 0 with the definition."""
    values = fmt.values()
    codes = [c for c, v in enumerate(values.tolist()) if np.isfinite(v) and v]
    parts = [fields_of(c, fmt) for c in codes]
    got = multiply(values[codes][:, None], values[codes], fmt, variant=variant)
    for i, a in enumerate(parts):
        for j, b in enumerate(parts):
            wanted = slow_products.l_mul(a, b, fmt.mantissa_bits, addition=variant == "addition")
            assert Fraction(got[i, j]) == wanted, (fmt.name, codes[i], codes[j])


def fields_of(code: int, fmt: mf.Format) -> tuple[int, int, int]:
    if not fmt.subnormals:
        m = fmt.mantissa_bits
        sign, field = code >> (fmt.bits - 1), (code >> m) & (2**fmt.exponent_bits - 1)
        return sign, field - fmt.bias, code & (2**m - 1)
    return slow_products.fields(code, fmt.exponent_bits, fmt.mantissa_bits, fmt.bias)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", [*SMALL, "e4m3fn"])
def test_l_mul_equals_its_definition(name: str, variant: str) -> None:
    check(mf.parse(name), variant, arithmetic.l_mul)


@pytest.mark.long
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", [*EIGHT_BITS, *OTHERS])
def test_l_mul_of_8_bits_equals_its_definition(name: str, variant: str) -> None:
    check(mf.parse(name), variant, arithmetic.l_mul)


def other_variant(*args: Any, variant: str) -> Any:
    return arithmetic.l_mul(*args, variant=VARIANTS[variant == "formula"])


@pytest.mark.parametrize("name", ["e1m2none", "e1m5none"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_definition_finds_the_other_variant(name: str, variant: str) -> None:
    with pytest.raises(AssertionError):
        check(mf.parse(name), variant, other_variant)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("m", range(1, 7))
def test_the_definition_finds_a_wrong_offset(
    m: int, variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = logarithms.offset_bits(m)
    monkeypatch.setattr(logarithms, "offset_bits", lambda m: right + 1)
    with pytest.raises(AssertionError):
        check(mf.parse(f"e1m{m}none"), variant, arithmetic.l_mul)


def test_the_definition_finds_a_second_carry_that_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "floor", lambda x: np.asarray(x >= 1, np.float64))
    with pytest.raises(AssertionError):
        check(mf.parse("e1m6none"), "addition", arithmetic.l_mul)


@pytest.mark.parametrize("name", ["e4m3fn", "e5m2", "e3m4ieee", "e2m5none", "bfloat16"])
def test_the_addition_is_one_of_codes(name: str) -> None:
    """Where operands and result are normal: the codes are added as int32, as on a GPU."""
    fmt = mf.parse(name)
    m = fmt.mantissa_bits
    rng = np.random.default_rng(0)
    normal = np.arange(1 << m, fmt.max_code + 1)
    if normal.size > 300:
        normal = np.sort(rng.choice(normal, 300, replace=False))
    offset = (fmt.bias << m) - (1 << (m - (m if m <= 3 else 3 if m == 4 else 4)))
    words = normal[:, None] + normal - offset
    within = (words >= 1 << m) & (words <= fmt.max_code)
    assert within.mean() > 0.3
    values = mf.decode(normal, fmt, dtype=np.float64)
    got = arithmetic.l_mul(values[:, None], values, fmt, variant="addition")
    wanted = mf.decode(words[within], fmt, dtype=np.float64)
    np.testing.assert_array_equal(got[within], wanted)
    signed = arithmetic.l_mul(-values[:, None], values, fmt, variant="addition")
    np.testing.assert_array_equal(signed, -got)


@pytest.mark.parametrize("multiply", [
    partial(arithmetic.l_mul, fmt="e5m2"),
    partial(arithmetic.l_mul, fmt="e5m2", variant="addition"),
    arithmetic.mitchell,
])  # fmt: skip
def test_special_numbers_multiply_as_in_ieee(multiply: Method) -> None:
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.75, -1.75])
    got = multiply(special[:, None], special)
    with np.errstate(invalid="ignore"):
        usual = special[:, None] * special
    odd = np.array([1.75, -1.75])
    ordinary = np.isin(special[:, None], odd) & np.isin(special, odd)
    np.testing.assert_array_equal(got[~ordinary], usual[~ordinary])
    number = ~np.isnan(usual)
    np.testing.assert_array_equal(np.signbit(got[number]), np.signbit(usual[number]))
    assert (got[ordinary] != usual[ordinary]).all()


def check_mitchell(multiply: Method) -> None:
    numbers = np.arange(1, 256)
    got = multiply(numbers[:, None], numbers)
    for a in numbers.tolist():
        for b in numbers[:a].tolist():
            assert Fraction(got[a - 1, b - 1]) == slow_products.mitchell(a, b), (a, b)
    np.testing.assert_array_equal(got, got.T)
    error = got / np.outer(numbers, numbers) - 1
    assert error.max() == 0
    assert error.min() == pytest.approx(-1 / 9, abs=1e-15)


def test_mitchell_equals_its_definition() -> None:
    check_mitchell(arithmetic.mitchell)


@pytest.mark.parametrize("mistake", [
    lambda a, b: np.asarray(a * b, float),
    lambda a, b: arithmetic.l_mul(a, b, "e8m7"),
    lambda a, b: arithmetic.l_mul(a, b, "e8m7", variant="addition"),
])  # fmt: skip
def test_the_definition_of_mitchell_finds_mistakes(mistake: Method) -> None:
    with pytest.raises(AssertionError):
        check_mitchell(mistake)


@given(st.integers(1, 2**53), st.integers(1, 2**53))
def test_mitchell_is_exact_for_large_integers(a: int, b: int) -> None:
    got = arithmetic.mitchell(np.int64(a), np.int64(-b))
    assert Fraction(got) == -slow_products.mitchell(a, b)


def test_shapes_broadcast_and_scalars_stay() -> None:
    product = arithmetic.l_mul(1.5, 1.5, "e2m2")
    assert isinstance(product, np.float64)
    assert arithmetic.mitchell(np.ones((3, 1)), np.ones(4)).shape == (3, 4)
    assert arithmetic.l_mul(np.ones((0, 2)), 1.0, "e2m2").shape == (0, 2)


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: arithmetic.l_mul(1.1, 1.0, "e2m2"), ValueError, "a must hold values of e2m2"),
    (lambda: arithmetic.l_mul(1.0, [1.0, 9.0], "e2m2"), ValueError, r"at index \(1,\)"),
    (lambda: arithmetic.l_mul(1, 1, "e3m0"), ValueError, "fmt must be an ExMy with mantissa bits"),
    (lambda: arithmetic.l_mul(1, 1, "nf4"), ValueError, "fmt must be an ExMy with mantissa bits"),
    (lambda: arithmetic.l_mul(1, 1, "e2m2b900"), ValueError, "fmt must have values in 2"),
    (lambda: arithmetic.l_mul(1, 1, "e2m2", variant="carry"), ValueError, "variant must be one of"),
    (lambda: arithmetic.l_mul(1, 1, "e2m2", variant=[]), ValueError, "variant must be one of"),
    (lambda: arithmetic.l_mul(1, 1, "e2m2", variant=np.ones(2)), ValueError, "variant must be one"),
    (lambda: arithmetic.l_mul("1", 1, "e2m2"), TypeError, "a must"),
    (lambda: arithmetic.l_mul([1, 1], [1, 1, 1], "e2m2"), ValueError, "broadcast"),
    (lambda: arithmetic.mitchell(1e200, 1.0), ValueError, "a must hold zeros and magnitudes"),
    (lambda: arithmetic.mitchell(1.0, [1, 5e-324]), ValueError, r"at index \(1,\); scale it"),
    (lambda: arithmetic.mitchell(2**60, 1), ValueError, r"a must hold integers .* 2\*\*53"),
    (lambda: arithmetic.mitchell(1j, 1), TypeError, "a must"),
])  # fmt: skip
def test_errors(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert re.search("got|broadcast", str(caught.value))

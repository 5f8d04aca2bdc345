"""Vectors of multipliers, adders, multiply-adds and dot products."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

import minifloat as mf
from minifloat import arithmetic, hardware
from minifloat.arithmetic import Accumulator
from minifloat.formats.rounding import NaNPolicy, Overflow, Rounding
from minifloat.testing import Vectors, vectors
from minifloat.testing._inputs import inputs_of
from minifloat.testing._operations import operation

DETERMINISTIC = [mode for mode in Rounding if not mode.is_stochastic]
COMPUTED = {"multiplier": arithmetic.multiply, "add": arithmetic.add, "fma": arithmetic.fma}
CASES = [
    ("multiplier", "e4m3fn", "e4m3fn"), ("add", "e4m3fn", "e4m3fn"), ("fma", "e4m3fn", "e4m3fn"),
    ("multiplier", "e5m2", "e4m3fn"), ("add", "e5m2", "e5m2"), ("fma", "e3m2", "e5m2"),
    ("multiplier", "e2m1", "e2m1"), ("add", "int4", "int4"), ("fma", "e2m1", "e3m2"),
    ("add", "nf4", "nf4"), ("multiplier", "e5m2fnuz", "e2m1"), ("add", "e8m0", "e8m0"),
    ("add", "e5m2", "e2m1"), ("multiplier", "ue4m3", "e5m2"),
]  # fmt: skip


def canonical(codes, fmt):
    """Return codes, all NaN codes as -1."""
    return np.where(np.isnan(mf.parse(fmt).values()[codes]), -1, codes.astype(int))


@pytest.mark.parametrize(("unit", "fmt", "output"), CASES)
def test_the_outputs_are_what_arithmetic_gives_in_every_mode_and_policy(unit, fmt, output):
    for place, (rounding, overflow) in enumerate(product(DETERMINISTIC, Overflow)):
        nan = [NaNPolicy.RAISE, NaNPolicy.ZERO, NaNPolicy.MAX][place % 3]
        options = {"rounding": rounding, "overflow": overflow, "nan": nan}
        if place % (1 if fmt == output == "e4m3fn" and unit != "fma" else 4):
            continue  # every mode, every policy, not each with each
        if nan == "zero" and 0 not in mf.parse(output).values():
            continue
        *inputs, result = vectors(fmt, unit, output=output, **options).ports
        values = COMPUTED[unit](*(port.numbers for port in inputs), output, **options)
        want = mf.encode(values, output, overflow="saturate_finite", nan="max")
        got = result.words.astype(np.int64)
        np.testing.assert_array_equal(canonical(got, output), canonical(want, output))
        np.testing.assert_array_equal(result.numbers, mf.parse(output).values()[got])


@pytest.mark.parametrize(
    ("unit", "fmt"), [("add", "e2m1"), ("multiplier", "e5m2"), ("fma", "e2m1")]
)
def test_what_is_left_out_is_an_error(unit, fmt):
    checked = operation(unit, fmt, None, "e2m1", None)
    inputs = np.array(inputs_of(checked)).T
    *kept, _ = vectors(fmt, unit, output="e2m1", overflow="raise").ports
    rows = {tuple(row) for row in np.array([port.words for port in kept]).T.tolist()}
    left_out = [row for row in inputs.tolist() if tuple(row) not in rows]
    assert 20 < len(left_out) < len(inputs)
    for row in left_out[:: len(left_out) // 20]:
        numbers = [mf.parse(f).values()[c] for f, c in zip(checked.formats, row, strict=True)]
        with pytest.raises(ValueError, match="x must"):
            COMPUTED[unit](*numbers, "e2m1", overflow="raise")


@pytest.mark.parametrize("unit", ["multiplier", "add"])
@pytest.mark.parametrize("fmt", ["e2m3", "e3m2", "int4", "nf4"])
def test_formats_to_6_bits_have_all_pairs_once(unit, fmt):
    a, b, _ = vectors(fmt, unit, nan="zero").ports
    pairs = set(zip(a.words.tolist(), b.words.tolist(), strict=True))
    fmt = mf.parse(fmt)
    used = [code for code in range(fmt.code_count) if fmt.kind(code) != "unused"]
    assert pairs == set(product(used, used))
    assert len(a.words) == len(pairs)


@pytest.mark.parametrize("unit", ["multiplier", "add"])
@pytest.mark.parametrize("fmt", ["e4m3fn", "e5m2", "e3m2", "int8"])
def test_every_tie_and_every_change_of_the_code_that_is_possible_comes_first(unit, fmt):
    """Found by trying all pairs, in floats: these results are exact there."""
    values = mf.parse(fmt).values()
    finite = values[np.isfinite(values)]
    combine = np.multiply if unit == "multiplier" else np.add
    every = np.unique(combine.outer(finite, finite))
    a, b, _ = vectors(fmt, unit, nan="max").ports
    with np.errstate(invalid="ignore"):
        results = combine(a.numbers, b.numbers)
    first = set(results[: 4 * len(values) + 50].tolist())
    largest = mf.parse(fmt).max
    ordered = np.unique(finite)
    ties = set(((ordered[1:] + ordered[:-1]) / 2).tolist())
    assert set(every.tolist()) & ties <= first
    codes = mf.encode(every, fmt).astype(int)
    changes = np.flatnonzero(np.diff(codes))
    assert {float(every[k + step]) for k in changes for step in (0, 1)} - {0.0} <= set(
        results.tolist()
    )
    beyond = every[every > largest]
    assert beyond[0] in first
    assert every[every < -largest][-1] in first


@pytest.mark.parametrize("fmt", ["e4m3fn", "e5m2"])
def test_special_values_subnormals_and_cancellations_are_there(fmt):
    kind = mf.parse(fmt)
    codes = {0, kind.sign_bit, 1, kind.code_count - 1}  # a NaN at the end
    codes |= {int(mf.encode(x, fmt)) for x in (kind.max, -kind.max, kind.min_normal, 1.0)}
    for unit in ("multiplier", "add"):
        a, b, _ = vectors(fmt, unit).ports
        assert set(product(codes, codes)) <= set(
            zip(a.words.tolist(), b.words.tolist(), strict=True)
        )
    opposite = a.numbers == -b.numbers
    assert len(set(a.words[opposite].tolist())) >= np.isfinite(kind.values()).sum()
    products = vectors(fmt, "fma", output="e5m4").ports
    x, y, c = (port.numbers for port in products[:3])
    with np.errstate(invalid="ignore"):
        nearly = np.abs(x * y + c) < np.abs(c) / 16
    assert np.count_nonzero(nearly & (c != 0)) > 50


def test_a_multiply_add_that_rounds_twice_is_among_the_first():
    """The product is a tie, and the addend decides."""
    a, b, c, result = vectors("e4m3fn", "fma").ports
    with np.errstate(invalid="ignore"):
        twice = arithmetic.add(
            arithmetic.multiply(a.numbers, b.numbers, "e4m3fn"), c.numbers, "e4m3fn"
        )
    differ = (twice != result.numbers) & np.isfinite(twice)
    assert np.count_nonzero(differ) > 300
    tiny = np.abs(c.numbers) <= 2.0**-9
    assert np.count_nonzero(differ & tiny) > 50


@pytest.mark.parametrize(
    ("rounding", "overflow"),
    [
        ("nearest_even", "ieee"),
        ("toward_zero", "saturate"),
        ("downward", "saturate"),
        ("upward", "ieee"),
    ],
)
@pytest.mark.parametrize(
    ("fmt", "output"), [("e4m3fn", "e4m3fn"), ("e5m2", "e5m4"), ("e2m1", "e6m3")]
)
def test_dot_products_are_those_of_arithmetic(fmt, output, rounding, overflow):
    made = vectors(fmt, "dot", output=output, lanes=5, rounding=rounding, overflow=overflow)
    a, b, result = made.ports
    assert a.numbers.shape == (len(made), 5)
    shifts = np.array([a.bits // 5 * lane for lane in range(5)])
    codes = (a.words[:, None] >> shifts.astype(np.uint64)) % mf.parse(fmt).code_count
    np.testing.assert_array_equal(mf.decode(codes, fmt, dtype=np.float64), a.numbers)
    with np.errstate(invalid="ignore"):
        terms = a.numbers * b.numbers
    for row, got in list(zip(terms.tolist(), result.numbers.tolist(), strict=True))[::3]:
        exact = _odd(sum(map(Fraction, row))) if all(map(math.isfinite, row)) else sum(row)
        want = mf.round_to(exact, output, rounding=rounding, overflow=overflow)
        assert got == want or (math.isnan(got) and math.isnan(want))


def _odd(x):
    """Round to 53 bits, to odd: to a format of fewer bits it then rounds as the exact number."""
    near = float(x)
    if Fraction(near) == x:
        return near
    other = math.nextafter(near, math.inf if Fraction(near) < x else -math.inf)
    return near if np.float64(near).view(np.uint64) % 2 else other


@pytest.mark.parametrize("rounding", ["nearest_even", "downward"])
def test_a_dot_product_agrees_with_an_accumulator_that_adds_at_once(rounding):
    made = vectors("e4m3fn", "dot", output="e5m2", lanes=8, rounding=rounding)
    a, b, result = made.ports
    accumulator = Accumulator("e5m2", terms="all", rounding=rounding, overflow="saturate")
    want = arithmetic.dot(a.numbers, b.numbers, accumulator=accumulator)
    np.testing.assert_array_equal(result.numbers, want)
    numbers = ~np.isnan(want)
    if (
        rounding == "downward"
    ):  # accumulators have no rule for an exact sum of 0 there; IEEE 754 has
        numbers &= want != 0
    np.testing.assert_array_equal(np.signbit(result.numbers[numbers]), np.signbit(want[numbers]))


@pytest.mark.parametrize("fmt", ["e2m1", "e4m3fn", "e5m2", "int4", "int8", "nf4", "e3m2"])
def test_exact_results_have_the_words_of_the_circuits(fmt):
    made = vectors(fmt, "multiplier", output="exact")
    circuit = hardware.multiplier(fmt, fmt)
    assert _signed(made) == _evaluated(circuit, made)
    assert made.ports[-1].bits == circuit.outputs["product"]
    assert f"in units of {circuit.unit}" in made.about
    made = vectors(fmt, "dot", output="exact", lanes=3)
    circuit = hardware.dot(fmt, fmt, 3, accumulator=None)
    assert _signed(made) == _evaluated(circuit, made)
    assert made.ports[0].bits == circuit.inputs["a"]


def _evaluated(circuit, made):
    words = {port.name: port.words for port in made.ports[:-1]}
    (name, width), *_ = circuit.outputs.items()
    return [_sign(int(word), width) for word in circuit.meaning(words)[name]]


def _signed(made: Vectors) -> list[int]:
    port = made.ports[-1]
    return [_sign(int(word), port.bits) for word in port.words]


def _sign(word: int, bits: int) -> int:
    return word - (1 << bits) if word >> (bits - 1) else word


@pytest.mark.parametrize("unit", ["add", "fma"])
def test_exact_sums(unit):
    made = vectors("e2m3", unit, output="exact")
    *inputs, result = made.ports
    a, b, *c = (port.numbers for port in inputs)
    want = a + b if unit == "add" else a * b + c[0]
    unit_value = 2.0**-3 if unit == "add" else 2.0**-6
    np.testing.assert_array_equal(np.array(_signed(made)) * unit_value, want)
    np.testing.assert_array_equal(result.numbers, want)
    assert max(map(abs, _signed(made))) >= 1 << (result.bits - 2)


def test_text_of_lanes_and_of_wide_words():
    made = vectors("e5m2", "dot", output="exact", lanes=16)
    assert [port.bits for port in made.ports] == [128, 128, made.ports[2].bits]
    line = made.text("hex").splitlines()[0].split(" ")
    assert [int(word, 16) for word in line] == [int(port.words[0]) for port in made.ports]
    assert [len(word) for word in line[:2]] == [32, 32]
    row = made.text("csv").splitlines()[1].split(",")
    assert [float(x) for x in row[1].split(" ")] == pytest.approx(
        made.ports[0].numbers[0], nan_ok=True
    )
    about = made.text("mem").splitlines()[0]
    assert about.startswith("// dot of 16 lanes: e5m2 to ")
    assert vectors("e4m3fn", "fma", rounding="upward").about == (
        "fma: e4m3fn to e4m3fn, upward, overflow saturate, nan raise"
    )


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_few_lanes(lanes):
    made = vectors("e2m1", "dot", lanes=lanes)
    a, b, result = made.ports
    want = mf.round_to((a.numbers * b.numbers).sum(axis=1), "e2m1")
    np.testing.assert_array_equal(result.numbers, want)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"unit": "adder"},
            "unit must be encoder, decoder, multiplier, add, fma or dot, got 'adder'",
        ),
        ({"unit": []}, "unit must be encoder, .* or dot, got"),
        ({"unit": "add", "source": "float16"}, "source must be left out for an add, got float16"),
        ({"unit": "encoder", "output": "e2m1"}, "output must be left out for an encoder, got e2m1"),
        ({"unit": "decoder", "lanes": 4}, "lanes must be left out for a decoder, got 4"),
        ({"unit": "fma", "lanes": 4}, "lanes must be left out but for a dot product, got 4"),
        ({"unit": "dot", "lanes": 0}, "lanes must be in 1..256, got 0"),
        ({"unit": "dot", "lanes": 257}, "lanes must be in 1..256, got 257"),
        ({"unit": "add", "output": "float99"}, "output must be a known format name, got 'float99'"),
        ({"unit": "add", "rounding": "stochastic"}, "rounding must be a mode without random bits"),
        (
            {"unit": "add", "output": "exact", "rounding": "upward"},
            "rounding must be left out for exact results, got upward",
        ),
        (
            {"unit": "add", "output": "exact", "nan": "zero"},
            "nan must be left out for exact results",
        ),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        vectors("e2m1", **arguments)


@pytest.mark.parametrize(("a", "b"), [("e2m2", "int8"), ("int4", "e4m3fn"), ("nf4", "e2m1")])
def test_exact_results_of_two_formats_are_those_of_circuits(a, b):
    if a == "nf4":
        a = hardware.integer_codebook("nf4")
    for unit, circuit in (
        ("multiplier", hardware.multiplier(a, b)),
        ("dot", hardware.dot(a, b, 3, accumulator=None)),
    ):
        lanes = 3 if unit == "dot" else None
        x, y, result = vectors(a, unit, other=b, output="exact", lanes=lanes).ports
        assert {"a": x.bits, "b": y.bits} == circuit.inputs
        assert [result.bits] == list(circuit.outputs.values())
        (got,) = circuit.meaning({"a": x.words, "b": y.words}).values()
        np.testing.assert_array_equal(result.words, got)
        assert len({*zip(x.words.tolist(), y.words.tolist(), strict=True)}) == len(x.words) >= 256


@pytest.mark.parametrize(
    ("unit", "a", "b", "output"),
    [
        ("multiplier", "e2m1", "int8", "e4m3fn"),
        ("add", "e5m2", "int4", "e3m2"),
        ("fma", "e2m1", "int4", "e4m3fn"),
    ],
)
def test_rounded_results_of_two_formats_are_those_of_arithmetic(unit, a, b, output):
    *inputs, result = vectors(a, unit, other=b, output=output, rounding="downward", nan="max").ports
    values = COMPUTED[unit](
        *(port.numbers for port in inputs), output, rounding="downward", nan="max"
    )
    want = mf.encode(values, output, overflow="saturate_finite", nan="max")
    np.testing.assert_array_equal(canonical(result.words, output), canonical(want, output))
    assert [port.bits for port in inputs[:2]] == [mf.parse(a).bits, mf.parse(b).bits]


@pytest.mark.parametrize("unit", ["encoder", "decoder"])
def test_an_encoder_has_one_format(unit):
    with pytest.raises(ValueError, match="other must be left out for a"):
        vectors("e2m1", unit, other="int4")

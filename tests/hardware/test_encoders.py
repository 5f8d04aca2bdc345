"""Encoders against the oracle, and their netlists in all rounding modes."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import minifloat as mf
from minifloat.hardware import Circuit, encoder, encoder_forms
from minifloat.hardware.checks import trials
from minifloat.hardware.sources import float_source, steps
from minifloat.testing import exact_encode, exact_encode_array, exact_steps
from tests.hardware.bundles import needs_yosys, wrong

FORMATS = ["e2m1", "e4m3fn", "e5m2", "e4m3fnuz", "ue4m3", "int4", "uint4", "e8m0", "nf4", "e3m0"]
MODES = [mode for mode in mf.Rounding if not mode.is_stochastic]
POLICIES = ["saturate", "saturate_finite", "ieee", "sat_none"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["e2m1", "e4m3fn", "int4"])
def test_meaning(name: str, mode: mf.Rounding) -> None:
    """All float16 by the oracle's steps."""
    table = exact_steps(name, np.float16, mode, "saturate")
    circuit = encoder(name, rounding=mode)
    words = np.concatenate([np.arange(0x7C01), np.arange(0x8000, 0xFC01)])
    expected = table(words.astype(np.uint16).view(np.float16))
    assert circuit.meaning({"value": words})["code"].tolist() == expected.tolist()


@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", FORMATS)
def test_steps(name: str, policy: str, negative: bool) -> None:
    """All float16; of E8M0 0 and what overflows are NaN under two of the policies."""
    half = float_source("float16")
    magnitudes = np.arange(half.last + 1)

    def codes_of(x: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(mf.encode(x, name, overflow=policy, nan="max"))

    starts, codes = steps(half, codes_of, negative=negative)
    found = np.array(codes)[np.searchsorted(starts, magnitudes, side="right") - 1]
    assert found.tolist() == codes_of(half.numbers(magnitudes, negative)).tolist()


def test_meaning_of_nan() -> None:
    words = {"value": np.array([0x7E00, 0xFE00])}
    assert encoder("e4m3fn").meaning(words)["code"].tolist() == [0x7F, 0x7F]
    assert encoder("e2m1").meaning(words)["code"].tolist() == [0, 0]
    assert encoder("e2m1", nan="max").meaning(words)["code"].tolist() == [7, 7]


@pytest.mark.parametrize("encoding", ["twos_complement", "sign_magnitude"])
def test_meaning_of_integers(encoding: Any) -> None:
    circuit = encoder("e2m2", "fixed", width=8, unit=0.125, encoding=encoding)
    (words,) = trials(circuit)
    codes = circuit.meaning(words)["code"].tolist()
    if encoding == "twos_complement":
        numbers = [(word - (word >> 7 << 8)) / 8 for word in words["value"].tolist()]
    else:
        pairs = zip(words["sign"].tolist(), words["magnitude"].tolist(), strict=True)
        numbers = [-(size / 8) if sign else size / 8 for sign, size in pairs]
    assert codes == exact_encode_array(np.array(numbers), "e2m2").tolist()


@pytest.mark.parametrize("mode", ["stochastic", "stochastic_b", "stochastic_c", "stochastic_equal"])
def test_meaning_of_random_words(mode: Any) -> None:
    circuit = encoder("e2m1", rounding=mode, random_bits=3)
    value = np.float16(0.4375)  # 7/8 of the way from 0 to 0.5
    words = np.full(8, value.view(np.uint16), np.uint64)
    codes = circuit.meaning({"value": words, "random": np.arange(8)})["code"].tolist()
    expected = [
        exact_encode(value, "e2m1", rounding=mode, random=word, random_bits=3) for word in range(8)
    ]
    assert codes == expected
    assert sum(codes) == (4 if mode == "stochastic_equal" else 7)


def encoders(names: list[str], source: Any, policies: list[str], modes: list[Any]) -> list[Circuit]:
    return [
        encoder(name, source, rounding=mode, overflow=overflow, form=form, nan="max")
        for name in names
        for form in encoder_forms(name, source)
        for overflow in policies
        for mode in modes
    ]


@needs_yosys
@pytest.mark.long
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", FORMATS)
def test_netlists_in_all_modes(name: str, policy: str) -> None:
    """All float16, in every deterministic mode, by each form."""
    assert wrong(encoders([name], "float16", [policy], MODES)) == {}


@needs_yosys
@pytest.mark.long
@pytest.mark.parametrize("source", ["bfloat16", "float32"])
def test_netlists_of_other_floats(source: str) -> None:
    names = ["e2m1", "e4m3fn", "e5m2", "int8"]
    assert wrong(encoders(names, source, ["ieee"], ["nearest_even", "to_odd"])) == {}


@needs_yosys
@pytest.mark.long
@pytest.mark.parametrize("encoding", ["twos_complement", "sign_magnitude"])
def test_netlists_of_integers(encoding: Any) -> None:
    circuits = [
        encoder(name, "fixed", form=form, width=width, unit=unit, encoding=encoding, rounding=mode)
        for name, width, unit in [
            ("e2m1", 10, 0.125), ("e2m1", 5, 4), ("e4m3fn", 16, 2.0**-9), ("int4", 9, 0.25),
            ("e3m0", 8, 0.125), ("uint4", 7, 0.5), ("int4", 3, 8),
        ]
        for form in encoder_forms(name, "fixed")
        for mode in ["nearest_even", "upward"]
    ]  # fmt: skip
    assert wrong(circuits) == {}


@needs_yosys
@pytest.mark.long
@pytest.mark.parametrize("bits", [1, 4, 9])
def test_netlists_of_stochastic_encoders(bits: int) -> None:
    circuits = [
        encoder(name, rounding=mode, random_bits=bits)
        for name in ("e2m1", "e4m3fn", "int4")
        for mode in ("stochastic", "stochastic_b", "stochastic_c", "stochastic_equal")
    ]
    assert wrong(circuits) == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "float64"}, "source must be one of float16, bfloat16, float32, fixed"),
        ({"overflow": "raise"}, "overflow and nan must give every number a code"),
        ({"nan": "raise"}, "overflow and nan must give every number a code"),
        ({"source": "fixed", "width": 54}, r"width must be in 2\.\.53, got 54"),
        ({"source": "fixed", "unit": 3}, "unit must be a power of two, got 3"),
        ({"source": "fixed", "unit": Fraction(-1, 2)}, "unit must be a power of two"),
        ({"source": "fixed", "unit": float("inf")}, "unit must be a power of two"),
        ({"form": "case"}, "form must be one of tree, round, got 'case'"),
        ({"rounding": "stochastic", "form": "tree"}, "form must be one of round"),
        ({"rounding": "stochastic", "random_bits": 29}, r"random_bits must be in 1\.\.28"),
        ({"rounding": "nearest"}, "rounding must be one of"),
    ],
)
def test_refusals(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        encoder("e2m1", **options)


def test_a_table_has_no_stochastic_encoder() -> None:
    with pytest.raises(ValueError, match="rounding must not be stochastic for nf4"):
        encoder("nf4", rounding="stochastic")

"""Decoders against the oracle, and their netlists."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.hardware import Circuit, decoder, decoder_forms
from minifloat.hardware.targets import Target
from minifloat.testing import exact_decode
from tests.hardware.bundles import needs_yosys, wrong

SMALL = [name for name, fmt in mf.CATALOGUE.items() if fmt.bits <= 8]
COMMON = ["e2m1", "e2m2", "e3m1", "e4m3fn", "e5m2", "e4m3fnuz", "binary6p3se", "int4", "nf4"]
SHAPES = [  # all ExMy to 8 bits
    f"e{e}m{m}" for e in range(1, 8) for m in range(8 - e) if not (e == 1 and m == 0)
]


def decoders(names: list[str]) -> Iterator[Circuit]:
    """Yield every decoder of each format."""
    for name in names:
        for form in decoder_forms(name):
            options: dict[str, Any] = {"form": form, "specials": "flag"}
            yield decoder(name, **options)
            if form != "wire":
                yield decoder(name, encoding="sign_magnitude", **options)
        for target in ("float16", "bfloat16"):
            for form in decoder_forms(name, target):
                with suppress(ValueError):  # the float cannot hold its values
                    yield decoder(name, target, form=form)


@pytest.mark.parametrize("name", [*SMALL, *SHAPES])
def test_meaning(name: str) -> None:
    """What a circuit must compute, by the oracle, which shares no code with the library."""
    fmt = mf.parse(name)
    codes = np.array([c for c in range(fmt.code_count) if c != fmt.unused_code])
    fixed = decoder(fmt, specials="flag")
    apart = decoder(fmt, encoding="sign_magnitude", form="case")
    found, parts = fixed.meaning({"code": codes}), apart.meaning({"code": codes})
    width = fixed.outputs["value"]
    for i, code in enumerate(codes.tolist()):
        value = exact_decode(code, fmt)
        kinds = {
            "nan": math.isnan(value),
            "positive_inf": value == math.inf,
            "negative_inf": value == -math.inf,
        }
        for flag, raised in kinds.items():
            assert raised == (flag in found and bool(found[flag][i]))
        exact = 0 if any(kinds.values()) else int(value / fixed.unit)
        word = int(found["value"][i])
        assert word - (word >> (width - 1) << width) == exact
        assert int(parts["magnitude"][i]) == abs(exact)
        if value == 0 or exact:
            assert bool(parts["sign"][i]) == (math.copysign(1, value) < 0), "-0 has a sign"


@pytest.mark.parametrize("target", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", COMMON)
def test_meaning_of_floats(name: str, target: str) -> None:
    fmt = mf.parse(name)
    try:
        circuit = decoder(fmt, target)
    except ValueError:
        assert name == "nf4"
        return
    codes = np.array([c for c in range(fmt.code_count) if c != fmt.unused_code])
    words = circuit.meaning({"code": codes})["value"]
    shift = 0 if target == "float16" else 16
    kind = (np.uint16, np.float16) if target == "float16" else (np.uint32, np.float32)
    values = (words << np.uint64(shift)).astype(kind[0]).view(kind[1]).tolist()
    for code, value in zip(codes.tolist(), values, strict=True):
        expected = exact_decode(code, fmt)
        assert repr(float(value)) == repr(float(expected))


def test_codes_without_a_value_are_zero() -> None:
    three = mf.Codebook([-1.0, 0.0, 1.0], "three")
    words = {"code": np.array([0, 1, 2, 3])}
    assert decoder(three).meaning(words)["value"].tolist() == [3, 0, 1, 0]


@needs_yosys
@pytest.mark.long
def test_netlists_of_all_formats() -> None:
    assert wrong(list(decoders([*SMALL, *SHAPES]))) == {}


@needs_yosys
@pytest.mark.long
@pytest.mark.parametrize("target", ["xc7", "xcup", "ice40", "ecp5"])
def test_netlists_of_all_formats_on_fpgas(target: Target) -> None:
    """All but the largest tables, each of which takes minutes to map to LUTs."""

    def is_large(circuit: Circuit) -> bool:
        size = sum(circuit.outputs.values()) << circuit.inputs["code"]
        return "_case" in circuit.name and size > 6000

    circuits = list(decoders([*SMALL, *SHAPES]))
    some = [circuit for circuit in circuits if not is_large(circuit)]
    assert len(some) > 0.95 * len(circuits)
    assert wrong(some, target) == {}


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("float16",), {}, "fmt must have at most 8 bits"),
        (("e2m1", "float64"), {}, "target must be one of fixed, float16, bfloat16, got 'float64'"),
        (("e2m1",), {"form": "tree"}, "form must be one of case, shift, got 'tree'"),
        (("int4",), {"form": "shift"}, "form must be one of wire, case"),
        (("e2m1",), {"encoding": 7}, "encoding must be one of"),
        (("e2m1",), {"specials": None}, "specials must be one of zero, flag, got None"),
        (("e8m0", "float16"), {}, "target must hold every value of"),
    ],
)
def test_refusals(arguments: tuple[str, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decoder(*arguments, **options)

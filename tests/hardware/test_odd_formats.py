"""Circuits of formats at the ends of what is allowed: one bit, one number, lacking codes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import minifloat as mf
from minifloat.hardware import (
    Circuit,
    decoder,
    decoder_forms,
    dot,
    encoder,
    l_mul,
    l_mul_forms,
    multiplier,
    multiplier_forms,
)
from minifloat.hardware.circuits import bits_of, words_of
from minifloat.hardware.verilog import identifier
from tests.hardware.bundles import all_trials, needs_yosys, port, wrong
from tests.hardware.test_simulators import SIMULATORS, simulate

ONE_BIT = mf.Codebook([2.0, -1.0], "one bit")
MIRRORED = mf.Codebook([1.0, -1.0], "mirrored")
LACKS = mf.Codebook([3.0, 0.0, -0.5, 1.0, 2.0], "lacks three codes")
NOT_POSITIVE = mf.Codebook([-2.0, 0.0, -0.5], "not positive")
ROWS = 600  # inputs of each circuit


def odd_units() -> list[Circuit]:
    """Return units of such formats."""
    made: list[Circuit] = []
    for fmt in (ONE_BIT, MIRRORED, NOT_POSITIVE, mf.parse("uint1")):
        made += [decoder(fmt, form=form) for form in decoder_forms(fmt)]  # type: ignore[arg-type]
        made += [encoder(fmt, rounding="toward_zero", overflow="saturate_finite", nan="max")]
        made += [multiplier(fmt, fmt, form=form) for form in multiplier_forms(fmt, fmt)]  # type: ignore[arg-type]
        made += [dot(fmt, "int2", 2, accumulator=None), dot(fmt, fmt, 1, accumulator=None)]
    made += [encoder(ONE_BIT, "fixed", width=2, unit=1 / 128, nan="max")]
    # of its four inputs the code is the one with a top bit: the sign is no part of it
    made += [encoder(mf.Codebook([-5.0, 5.0, 0.0, 1.0], "far"), "fixed", width=2, unit=1 / 128)]
    for other in ("e2m1b1p3109", "e3m2ieee"):  # with infinities
        for fmt in (LACKS, mf.parse("int3")):
            made += [
                multiplier(fmt, other, specials="flag"),
                multiplier(other, fmt, specials="flag"),
            ]
            made += [dot(other, fmt, 2, accumulator=None, specials="flag")]
    for name in ("ue1m1ieee", "e1m1", "e1m2fn"):  # the first has one number
        for form in l_mul_forms(name):
            made += [
                l_mul(name, variant=variant, aligned=False, form=form, specials="flag")  # type: ignore[arg-type]
                for variant in ("formula", "addition")
            ]
    return list({circuit.name: circuit for circuit in made}.values())


@needs_yosys
def test_their_netlists() -> None:
    assert wrong(odd_units()) == {}


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_their_text_by_a_simulator(simulator: str, tmp_path: Path) -> None:
    circuits, words, expected = odd_units(), {}, []
    for i, circuit in enumerate(circuits):
        assert all(width >= 1 for width in circuit.outputs.values())
        trials = all_trials(circuit)
        count = len(next(iter(trials.values())))
        some = {n: w[np.linspace(0, count - 1, ROWS).astype(int)] for n, w in trials.items()}
        meant = circuit.meaning(some)
        words |= {port(i, name): word for name, word in some.items()}
        expected += [bits_of(meant[n], w) for n, w in circuit.outputs.items()]
    found = simulate(simulator, circuits, words, tmp_path)
    assert found == words_of(np.concatenate(expected, axis=-1)).tolist()


def test_a_code_that_a_codebook_lacks_is_zero_beside_an_infinity() -> None:
    circuit = multiplier(LACKS, "e3m2ieee", specials="flag")
    infinity = mf.encode(np.inf, "e3m2ieee", overflow="ieee")
    found = circuit.meaning({"a": np.arange(8), "b": np.full(8, infinity)})
    assert found["nan"].tolist() == [0, 1, 0, 0, 0, 1, 1, 1]


def test_names_without_a_letter_of_ascii() -> None:
    assert identifier("decoder", "äö", "case") == "decoder_case"

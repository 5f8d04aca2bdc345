"""Which forms `best` has synthesised, and in which way, by counts that are made up."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from minifloat.hardware import Circuit, Counts, best, choices
from minifloat.hardware.counts import count

LANES = {  # transistors of a lane by form and way
    "significands": {"plain": 110, "booth": 80, "tables": 90},
    "magnitudes": {"plain": 100, "booth": 100, "tables": 101},
    "integer": {"plain": 101, "booth": 300, "tables": 300},  # over 1.25 times 80
    "booth": {"plain": 300, "tables": 300},
    "table": {"plain": 300, "tables": 120},
    "shifts": {"plain": 300, "tables": 300},
}
WHOLE = {"significands": 1000, "magnitudes": 999}


def made_up(transistors: int) -> Counts:
    nothing = count({"ports": {}, "cells": {}}, "cmos", "by hand")
    return dataclasses.replace(nothing, transistors=transistors)


def test_a_dot_product_is_synthesised_as_its_lane_takes_the_least(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = []

    def mapped_in(circuit: Circuit, target: str, way: str, **_: Any) -> Counts:
        form = next(form for form in LANES if f"_{form}_" in circuit.name)
        if circuit.name.endswith("_lane"):
            return made_up(LANES[form][way])
        whole.append((form, way))
        return made_up(WHOLE[form])

    monkeypatch.setattr(choices, "mapped_in", mapped_in)
    steps: list[tuple[int, int]] = []
    choice = best("dot", "e2m1", "e2m1", on="cmos", progress=lambda *step: steps.append(step))
    assert whole == [("significands", "booth"), ("magnitudes", "plain")]
    assert (choice.form, choice.counts.transistors) == ("magnitudes", 999)
    assert {form: counts.transistors for form, counts in choice.forms.items()} == WHOLE
    assert steps[-1] == (12, 12)

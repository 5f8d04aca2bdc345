"""The recipes that text models are measured in."""

from __future__ import annotations

import numpy as np

import minifloat as mf
from analysis.claims.recipes import NAMES, OWN_OFFSET, PAIR, recipe


def test_names_are_of_different_recipes() -> None:
    found = [recipe(name) for name in NAMES]
    assert len(set(found)) == len(found)
    assert NAMES[:2] == PAIR
    assert [found[k].bits_per_weight for k in (0, 1)] == [5.125, 5.125]


def test_five_bits_have_an_offset_of_their_own() -> None:
    ours, theirs = recipe(OWN_OFFSET).fmt.values(), mf.parse("nf5").values()
    assert len(ours) == len(theirs) == 32
    assert np.abs(ours[1:-1]).max() < np.abs(theirs[1:-1]).max() - 0.04

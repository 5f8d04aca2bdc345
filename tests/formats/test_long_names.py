"""A codebook that is named by its values: whole where a name is read, its ends in messages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat import arithmetic, hardware
from minifloat.formats.base import MAX_TEXT, abridged
from minifloat.formats.codebook import name_of_values
from minifloat.quantization.alternatives import Alternative
from minifloat.quantization.nested import cut_codebook

NAME = name_of_values(np.linspace(-1, 1, 4096).tolist())
FMT = mf.parse(NAME)
RECIPE = mf.Recipe.parse(f"{NAME}|int12/64/float16")
ENDS = f"{' '.join(NAME.split()[:4])} ... 1]"
W = np.random.default_rng(8).standard_normal((4, 64))


def test_the_ends_are_the_first_values_and_the_last() -> None:
    assert f"{FMT}" == ENDS
    assert f"{RECIPE}" == f"{ENDS}|int12/64/float16"
    assert f"{Alternative(FMT, 0.5)}" == f"{ENDS}@0.5"
    assert f"{FMT:>200}" == ENDS.rjust(200)


def test_a_list_of_up_to_500_characters_is_whole() -> None:
    whole, longer = (f"[{first} {'1 ' * 247}1]" for first in ("10", "100"))
    assert (len(whole), len(longer)) == (MAX_TEXT, MAX_TEXT + 1)
    for name in (whole, "no values" * 1000, f"[{' ' * 300}][{' ' * 300}]"):
        assert abridged(name) == name
    assert abridged(f"a{longer}b") == "a[100 1 1 1 ... 1]b"


def test_names_are_whole(tmp_path: Path) -> None:
    assert FMT.name == NAME
    assert mf.parse(str(FMT)) == FMT
    assert mf.Recipe.parse(str(RECIPE)) == RECIPE
    q = mf.quantize(W, RECIPE)
    mf.save(q, tmp_path / "q.npz")
    assert mf.load(tmp_path / "q.npz").recipe == RECIPE


def test_the_ends_are_no_name() -> None:
    for text, read in ((f"{FMT}", mf.parse), (f"{RECIPE}", mf.Recipe.parse)):
        with pytest.raises(ValueError, match=r"fmt must .*; a codebook is its values, finite dec"):
            read(text)


TEXTS: dict[str, Callable[[], Any]] = {
    "repr": lambda: repr(FMT),
    "html": FMT._repr_html_,
    "recipe": lambda: repr(RECIPE),
    "alternative": lambda: repr(Alternative(FMT, 0.5)),
    "quantized": lambda: repr(mf.quantize(W, RECIPE)),
    "quantized html": lambda: mf.quantize(W, RECIPE)._repr_html_(),
    "context": lambda: repr(arithmetic.Context(FMT)),
    "array": lambda: repr(arithmetic.array([1.0], FMT)),
    "formats compared": lambda: str(mf.compare({"w": W}, [f"{NAME}/64/float16", "int12/64"])),
    "recipes compared": lambda: str(mf.compare({"w": W}, [RECIPE, "int12/32"])),
}
FAULTS: dict[str, Callable[[], Any]] = {
    "nan": lambda: mf.encode([np.nan], FMT),
    "overflow": lambda: mf.encode([2.0], FMT, overflow="raise"),
    "code": lambda: mf.decode([4096], FMT, dtype="float64"),
    "dtype": lambda: mf.decode([0], FMT),
    "zero point": lambda: mf.quantize(W, FMT, zero_point=True),
    "hessian": lambda: mf.gptq(W[0], RECIPE, np.eye(64)),
    "activations": lambda: mf.linear(
        np.ones(64), mf.quantize(W, FMT, block=64), activations="int8"
    ),
    "circuit": lambda: hardware.costs([FMT]),
    "narrow": lambda: mf.narrow(mf.quantize(W, "int4/64/float16"), FMT),
}


@pytest.mark.parametrize("make", TEXTS.values(), ids=list(TEXTS))
def test_texts_are_short(make: Callable[[], str]) -> None:
    text = make()
    assert ENDS in text
    assert len(text) < 3 * MAX_TEXT


@pytest.mark.parametrize("call", FAULTS.values(), ids=list(FAULTS))
def test_messages_are_short(call: Callable[[], object]) -> None:
    with pytest.raises((TypeError, ValueError)) as raised:
        call()
    assert ENDS in str(raised.value)
    assert len(str(raised.value)) < MAX_TEXT


def test_cut_codebooks_of_long_names() -> None:
    cut = cut_codebook(FMT, 4)
    want = np.linspace(-1, 1, 4096).reshape(16, -1).mean(1)
    assert list(cut) == want.tolist()
    assert cut == mf.parse(cut.name)

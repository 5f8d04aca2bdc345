"""The two pictures of how numbers become codes show what the definitions give."""

from __future__ import annotations

import struct
from fractions import Fraction

import pytest

from minifloat.formats.names import parse
from minifloat.testing import exact_decode, exact_encode
from paper_figures.packing_steps import WEIGHTS
from paper_figures.rounding_steps import NUMBER
from paper_figures.rows import Rows
from tests.paper_figures.figures import (
    assert_agree,
    assert_legible,
    assert_seen,
    changed,
    in_docs,
    module_of,
    quiet,
)

E2M2 = parse("e2m2")


def check_rounding(rows: Rows) -> None:
    word = "".join(str(row["bit"]) for row in rows if row["part"] == "number")
    (x,) = struct.unpack(">f", int(word, 2).to_bytes(4, "big"))
    assert x == pytest.approx(NUMBER, rel=2**-24)
    code = int("".join(str(row["bit"]) for row in rows if row["part"] == "code"), 2)
    assert code == exact_encode(Fraction(x), E2M2)
    for row in rows:
        if row["part"] == "value":
            assert row["value"] == exact_decode(row["code"], E2M2)


def check_packing(rows: Rows) -> None:
    packed = 0
    for place, weight in enumerate(WEIGHTS):
        scale = Fraction(struct.unpack("f", struct.pack("f", max(WEIGHTS) / 7))[0])
        code = exact_encode(Fraction(weight) / scale, E2M2)
        packed |= code << 5 * place
        own = [row for row in rows if row["weight"] == weight]
        assert {row["code"] for row in own} == {code}
        value = float(Fraction(exact_decode(code, E2M2)) * scale)
        assert own[0]["value"] == pytest.approx(value, rel=2**-23)
    assert sum(row["bit"] << row["position"] for row in rows) == packed


CHECKS = {"rounding_steps": check_rounding, "packing_steps": check_packing}


@pytest.mark.parametrize("name", CHECKS)
def test_a_picture_shows_the_definition(name: str) -> None:
    rows = in_docs(name)
    CHECKS[name](rows)
    assert_agree(rows, module_of(name).data(quiet))
    assert_legible(name, rows)


@pytest.mark.parametrize("name", CHECKS)
def test_a_flipped_bit_is_seen(name: str) -> None:
    assert_seen(CHECKS[name], changed(in_docs(name), "bit", lambda bit: 1 - bit))

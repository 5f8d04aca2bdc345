"""The analytic model against numbers worked out by hand from the paper's table of cells."""

from __future__ import annotations

import pytest

from analysis.hardware.mac_model import TRANSISTORS, cells, transistors


def test_cells_of_integers() -> None:
    assert cells("int8") == {"multiplier": 32 * 64, "adder": 2 * 32 * 8}
    assert cells("int4", 16) == {"multiplier": 256, "adder": 128}


@pytest.mark.parametrize(
    ("fmt", "lanes", "multiplier", "width", "log2", "exponents"),
    [
        ("e4m3fn", 32, 512, 24, 4.584962500721156, 384),  # 2**5 + 6 bits, cut to 24
        ("e2m1", 16, 64, 10, 3.321928094887362, 96),
        ("e2m3", 32, 512, 14, 3.807354922057604, 192),
        ("e3m2", 32, 288, 20, 4.321928094887363, 288),
    ],
)
def test_cells_of_floats(
    fmt: str, lanes: int, multiplier: int, width: int, log2: float, exponents: int
) -> None:
    found = cells(fmt, lanes)
    assert found["multiplier"] == multiplier
    assert found["exponents"] == exponents
    assert found["adder"] == lanes * width
    assert found["aligner"] == pytest.approx(lanes * width * log2, rel=1e-12)
    assert found["normalizer"] == pytest.approx(width * log2, rel=1e-12)


def test_transistors_weigh_every_part() -> None:
    assert {*cells("e4m3fn"), *cells("int8")} == {*TRANSISTORS}
    assert transistors("int8") == 2048 * 34 + 512 * 28


@pytest.mark.parametrize("fmt", ["nf4", "e8m0", "ue4m3"])
def test_other_formats_are_refused(fmt: str) -> None:
    with pytest.raises(ValueError, match="fmt must be an integer or a float with a sign"):
        cells(fmt)

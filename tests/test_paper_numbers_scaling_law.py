"""The figures that arXiv 2501.02423 prints, recomputed from its constants."""

from __future__ import annotations

import pytest

from analysis.scaling_law import critical_tokens, optimal_fields

PRINTED_LAYOUTS = {
    2: (1, 0), 3: (1, 1), 4: (2, 1), 5: (2, 2), 6: (3, 2), 7: (3, 3), 8: (4, 3), 9: (4, 4),
    10: (5, 4), 11: (5, 5), 12: (6, 5), 13: (6, 6), 14: (7, 6), 15: (7, 7), 16: (8, 7),
}  # fmt: skip


@pytest.mark.parametrize("bits", PRINTED_LAYOUTS)
def test_optimal_layouts(bits: int) -> None:
    assert optimal_fields(bits).rounded == PRINTED_LAYOUTS[bits]


def test_fp2_is_a_near_tie_of_its_two_fields() -> None:
    fields = optimal_fields(2)
    assert (round(fields.exponent_bits, 2), round(fields.mantissa_bits, 2)) == (0.54, 0.46)


@pytest.mark.parametrize(
    ("widths", "printed", "digits"),
    [((8, 7), 1730e12, 0), ((4, 3), 27e12, 0), ((2, 1), 0.4e12, 1)],
    ids=["bf16", "e4m3", "e2m1"],
)
def test_critical_tokens_of_a_billion_parameters(
    widths: tuple[int, int], printed: float, digits: int
) -> None:
    """In 1e12 tokens; the paper does not say which block they are for: 128 gives them all."""
    assert round(critical_tokens(1e9, *widths) / 1e12, digits) == printed / 1e12
    assert round(critical_tokens(1e9, *widths, block_size=64) / 1e12, digits) != printed / 1e12

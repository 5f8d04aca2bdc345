"""The best splits beside the scaling law's: equal at 4 and 5 bits, different from 6 on."""

from __future__ import annotations

import pytest

from analysis.formats.best_splits import best_splits
from analysis.formats.format_comparison import splits


def test_the_law_asks_for_more_exponent_bits_than_weights_at_rest() -> None:
    best = {split.bits: split for split in best_splits(block_sizes=[16, 512])}
    names = {bits: split.best_scale.name for bits, split in best.items()}
    assert names == {3: "E1M1", 4: "E2M1", 5: "E2M2", 6: "E2M3", 7: "E2M4", 8: "E2M5"}
    laws = {bits: split.law.rounded for bits, split in best.items()}
    assert laws == {3: (1, 1), 4: (2, 1), 5: (2, 2), 6: (3, 2), 7: (3, 3), 8: (4, 3)}
    for bits, split in best.items():
        assert split.absmax[16].name == ("E2M0" if bits == 3 else f"E1M{bits - 2}")
        assert split.absmax[512] == splits(bits, "normal", 512)[0]
    assert best[8].critical_tokens == pytest.approx(27e12, rel=0.02)  # E4M3, as printed
    assert best[4].critical_tokens == pytest.approx(0.4e12, rel=0.02)


def test_heavier_tails_ask_for_more() -> None:
    for distribution, minimum in (("normal", 2), ("student_t(3)", 2)):
        for split in best_splits([6, 8], distribution, [128]):
            assert split.best_scale.exponent_bits >= minimum
    (heavy,) = best_splits([6], "student_t(3)", [128])
    (light,) = best_splits([6], "uniform", [128])
    assert heavy.absmax[128].exponent_bits > light.absmax[128].exponent_bits == 1

"""The rounding modes against a hand-written table and the overflow rules of IEEE 754."""

from __future__ import annotations

import pytest

from minifloat.formats.rounding import (
    NaNPolicy,
    Overflow,
    Rounding,
    Threshold,
    away_threshold,
    choose,
    overflows_to_infinity,
)

DETERMINISTIC = [mode for mode in Rounding if not mode.is_stochastic]
STOCHASTIC = [mode for mode in Rounding if mode.is_stochastic]

# How values round to the integers: -2.75 -2.5 -2.25 -1.75 -1.5 -1.25 1.25 1.5 1.75 2.25 2.5 2.75
SOURCES = [-2.75, -2.5, -2.25, -1.75, -1.5, -1.25, 1.25, 1.5, 1.75, 2.25, 2.5, 2.75]
ROUNDED = {
    "nearest_even": [-3, -2, -2, -2, -2, -1, 1, 2, 2, 2, 2, 3],
    "nearest_away": [-3, -3, -2, -2, -2, -1, 1, 2, 2, 2, 3, 3],
    "nearest_zero": [-3, -2, -2, -2, -1, -1, 1, 1, 2, 2, 2, 3],
    "nearest_odd": [-3, -3, -2, -2, -1, -1, 1, 1, 2, 2, 3, 3],
    "toward_zero": [-2, -2, -2, -1, -1, -1, 1, 1, 1, 2, 2, 2],
    "away_from_zero": [-3, -3, -3, -2, -2, -2, 2, 2, 2, 3, 3, 3],
    "upward": [-2, -2, -2, -1, -1, -1, 2, 2, 2, 3, 3, 3],
    "downward": [-3, -3, -3, -2, -2, -2, 1, 1, 1, 2, 2, 2],
    "to_odd": [-3, -3, -3, -1, -1, -1, 1, 1, 1, 3, 3, 3],
}

# Whether a positive and a negative value beyond an end of the format becomes infinity (IEEE
# 754-2019, 7.4), if the value at this end has an even code and if it has an odd code
OVERFLOWS = {
    "nearest_even": ((True, True), (True, True)),
    "nearest_away": ((True, True), (True, True)),
    "nearest_zero": ((True, True), (True, True)),
    "nearest_odd": ((True, True), (True, True)),
    "toward_zero": ((False, False), (False, False)),
    "away_from_zero": ((True, True), (True, True)),
    "upward": ((True, False), (True, False)),
    "downward": ((False, True), (False, True)),
    "to_odd": ((True, True), (False, False)),
}


def rounds_away(threshold: Threshold, fraction: float) -> bool:
    """Apply a threshold to a fraction strictly between 0 and 1."""
    match threshold:
        case Threshold.ABOVE_ZERO:
            return fraction > 0
        case Threshold.HALF:
            return fraction >= 0.5
        case Threshold.ABOVE_HALF:
            return fraction > 0.5
        case Threshold.NEVER:
            return False


def test_the_tables_are_complete() -> None:
    assert list(ROUNDED) == list(OVERFLOWS) == [str(mode) for mode in DETERMINISTIC]
    assert len(STOCHASTIC) == 4


@pytest.mark.parametrize("mode", DETERMINISTIC)
def test_away_threshold(mode: Rounding) -> None:
    rounded = []
    for source in SOURCES:
        nearer_to_zero = int(abs(source))
        threshold = away_threshold(mode, odd=nearer_to_zero % 2 == 1, negative=source < 0)
        magnitude = nearer_to_zero + rounds_away(threshold, abs(source) - nearer_to_zero)
        rounded.append(-magnitude if source < 0 else magnitude)
    assert rounded == ROUNDED[mode]


@pytest.mark.parametrize("mode", DETERMINISTIC)
def test_overflows_to_infinity(mode: Rounding) -> None:
    for end_odd in (False, True):
        for negative in (False, True):
            expected = OVERFLOWS[mode][end_odd][negative]
            assert overflows_to_infinity(mode, end_odd=end_odd, negative=negative) == expected


@pytest.mark.parametrize("mode", STOCHASTIC)
def test_stochastic_modes(mode: Rounding) -> None:
    assert overflows_to_infinity(mode, end_odd=True, negative=False)
    with pytest.raises(ValueError, match=f"rounding must be a deterministic mode, got {mode}"):
        away_threshold(mode, odd=False, negative=False)


@pytest.mark.parametrize("kind", [Rounding, Overflow, NaNPolicy])
def test_choose_takes_members_and_their_names(kind: type[Rounding | Overflow | NaNPolicy]) -> None:
    for member in kind:
        assert choose(kind, "option", member) is member
        assert choose(kind, "option", str(member)) is member
        assert str(member) == member.value == member.name.lower()


def test_stochastic_a_is_another_name_of_stochastic() -> None:
    assert choose(Rounding, "rounding", "stochastic_a") is Rounding.STOCHASTIC


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (Rounding, "nearest-even", "rounding must be one of .*did you mean nearest_even"),
        (Rounding, "Upwards", "got 'Upwards'; did you mean upward"),
        (Rounding, "zzz", "rounding must be one of nearest_even, .*, got 'zzz'$"),
        (Rounding, None, "rounding must be one of .*, got None"),
        (Overflow, "clamp", "one of saturate, saturate_finite, ieee, sat_none, raise, got 'clamp'"),
        (Overflow, "saturated", "did you mean saturate"),
        (NaNPolicy, 0, "must be one of raise, zero, max, got 0"),
    ],
)
def test_choose_lists_the_members(kind: type, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose(kind, "rounding", value)

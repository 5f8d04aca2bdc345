"""Formats against integers of their width: cost, error, and a verdict.

An integer with one bit more has a smaller error and takes more: so many transistors a decibel are
the *price* of accuracy. A format is *worth its circuit* against an integer if it is at least as
cheap and as accurate, or if it gains decibels for less than that price. It is *not* if the integer
is, in turn, at least as cheap and as accurate, or the format takes the price or more. Where it is
cheaper and less accurate it is a *trade*. The price is that between the integer and the next wider
one of its encoding that was counted; the next narrower one where there is no wider.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.hardware.tradeoff import Point, points
from analysis.records import Row

TWOS_COMPLEMENT = tuple(f"int{bits}" for bits in range(3, 9))
SIGN_MAGNITUDE = tuple(f"e1m{bits - 2}" for bits in range(3, 9))
RACES = {
    "e2m0": 3, "e2m1": 4, "nf4": 4, "e2m2": 5, "e3m1": 5, "e2m3": 6, "e3m2": 6, "e2m4": 7,
    "e3m3": 7, "e2m5": 8, "e3m4": 8, "e4m3fn": 8, "e5m2": 8,
}  # formats and their widths  # fmt: skip
WORTH, NOT_WORTH, TRADE = "yes", "no", "trade"


@dataclass(frozen=True)
class Race:
    """A format against an integer of its width.

    Attributes
    ----------
    fmt, rival, source : str
    activations : str
        Of the format; an integer's may be the same values in the other encoding.
    more : float
        Cost of the format over that of the integer, less 1.
    gain_db : float
        SQNR of products over that of the integer.
    price : float or None
        What integers take more for a decibel; None where one integer alone was counted.
    asked : float or None
        What the format takes more for a decibel, where it gains any.
    """

    fmt: str
    rival: str
    source: str
    activations: str
    more: float
    gain_db: float
    price: float | None
    asked: float | None

    @property
    def verdict(self) -> str:
        """Of the criterion; empty where the price is not known and would decide."""
        if self.gain_db >= 0 and self.more <= 0:
            return WORTH
        if self.gain_db <= 0 and self.more >= 0:
            return NOT_WORTH
        if self.gain_db < 0:
            return TRADE
        if self.price is None or self.asked is None:
            return ""
        return WORTH if self.asked < self.price else NOT_WORTH


def races(rows: Sequence[Row], source: str, target: str = "cmos", *activations: str) -> list[Race]:
    """Return all races whose two circuits were counted.

    Parameters
    ----------
    rows : sequence of dict
        From `analysis.hardware.counts`.
    source, target, *activations : str
        As for `analysis.hardware.tradeoff.points`.

    Returns
    -------
    list of Race
    """
    counted = {point.fmt: point for point in points(rows, source, target, *activations)}
    found = []
    for fmt, width in RACES.items():
        for integers in (TWOS_COMPLEMENT, SIGN_MAGNITUDE):
            rival = integers[width - 3]
            if fmt not in counted or rival not in counted:
                continue
            mine, other = counted[fmt], counted[rival]
            gain, more = mine.sqnr_db - other.sqnr_db, mine.cost - other.cost
            price = _price([counted.get(name) for name in integers], width - 3)
            asked = more / gain if gain > 0 else None
            found.append(
                Race(fmt, rival, source, mine.activations, more / other.cost, gain, price, asked)
            )
    return found


def _price(integers: Sequence[Point | None], place: int) -> float | None:
    """Return the cost of a decibel at an integer, by a neighbour that was counted."""
    here = integers[place]
    for there in (*integers[place + 1 :], *reversed(integers[:place])):
        if here is not None and there is not None:
            return (there.cost - here.cost) / (there.sqnr_db - here.sqnr_db)
    return None

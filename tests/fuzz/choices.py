"""Decisions that are read from bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Reads bytes from the first to the last, and zeros behind them."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        taken = self.data[self.at : self.at + count]
        self.at += count
        return taken.ljust(count, b"\0")

    def below(self, count: int) -> int:
        """Return a number from 0 to ``count - 1``, of at most 256."""
        return self.take(1)[0] % count

    def one_of(self, options: Sequence[T]) -> T:
        """Return one of them."""
        return options[self.below(len(options))]

    def rest(self, count: int) -> bytes:
        """Return so many bytes, the remaining ones over and over."""
        rest = self.data[self.at :] or b"\0"
        return (rest * (count // len(rest) + 1))[:count]

"""What a target is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import NamedTuple

from tests.fuzz.mutations import Change


class Target(NamedTuple):
    """A function of bytes that raises a `Fault` only where minifloat is at fault.

    Attributes
    ----------
    run : callable
        Takes the input.
    seeds : callable
        Returns inputs to begin with, by their names. None of them is at fault.
    mutate : callable
        Takes an input, a source of random numbers, and a function that changes a few bytes of
        bytes; returns a similar input. It knows the grammar: lengths and checksums stay right.
    """

    run: Callable[[bytes], None]
    seeds: Callable[[], Mapping[str, bytes]]
    mutate: Callable[[bytes, Random, Change], bytes]

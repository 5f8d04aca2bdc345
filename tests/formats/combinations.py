"""Every combination of the arguments of `Format`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

from minifloat.formats import Format, Specials


def combinations() -> Iterator[dict[str, Any]]:
    """Yield all arguments but the bias; there is not a format of each."""
    for exponent_bits, mantissa_bits, signed, subnormals, specials in product(
        range(1, 17), range(16), (True, False), (True, False), Specials
    ):
        yield {
            "exponent_bits": exponent_bits,
            "mantissa_bits": mantissa_bits,
            "signed": signed,
            "subnormals": subnormals,
            "specials": specials,
        }


def first_format(arguments: dict[str, Any], biases: Iterable[int | None]) -> Format | None:
    """Return the format of the first bias with which there is one, or None."""
    for bias in biases:
        try:
            return Format(bias=bias, **arguments)
        except ValueError:
            continue
    return None

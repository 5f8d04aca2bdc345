"""Lookup formats: codes whose values stand in a table of each block of weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from minifloat.formats.base import NumberFormat, check_int

MAX_LOOKUP_BITS = 8


@dataclass(frozen=True, repr=False)
class Lookup(NumberFormat):
    """Codes that have no values of their own: each block of weights has a table of values.

    It is a format of recipes alone (``lut4/channel/float16``), whose scale is then the format of
    the tables' values. What asks it for a value gets a ValueError.

    Parameters
    ----------
    bits : int
        1 to 8; a table has 2**bits values.

    Raises
    ------
    ValueError, TypeError
        If ``bits`` is out of range or no int.

    Examples
    --------
    >>> from minifloat.formats import Lookup
    >>> Lookup(4)
    <Lookup lut4: bits 4, values 16 of each block's own>
    """

    bits: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "bits", check_int("bits", self.bits, 1, MAX_LOOKUP_BITS))

    @property
    def name(self) -> str:
        """The name that `minifloat.parse` reads; ``f"{fmt}"`` prints it."""
        return f"lut{self.bits}"

    @property
    def is_lookup(self) -> bool:
        """Whether values stand in tables of blocks: true."""
        return True

    def value(self, code: int) -> NoReturn:
        """Raise: a code has a value in a block alone."""
        raise self._no_value()

    def kind(self, code: int) -> NoReturn:
        """Raise, as `value`."""
        raise self._no_value()

    @property
    def max(self) -> NoReturn:
        """Raise, as `value`, as all that is asked of the values does."""
        raise self._no_value()

    min = smallest = precision = max_code = min_code = zero_code = max

    def _no_value(self) -> ValueError:
        return ValueError(
            f"fmt must have values of its own, got {self.name}, whose values each block of weights "
            f'has in a table; use it in a recipe, as quantize(w, "{self.name}/channel/float16")'
        )

    def describe(self) -> dict[str, str]:
        """Return the facts that `repr` and the HTML table show, by their names."""
        return {"bits": str(self.bits), "values": f"{self.code_count} of each block's own"}

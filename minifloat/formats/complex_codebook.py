"""Complex codebooks: formats that are a table of complex values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from minifloat.formats.base import check_int, check_name, shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_VALUES = 256
LARGEST = (2 - 2.0**-23) * 2.0**127  # of float32


@dataclass(frozen=True, repr=False, init=False)
class ComplexCodebook:
    """A table of complex values: code ``i`` means ``codebook[i]``.

    It is no `NumberFormat`: complex values have no order, so that there is no largest one, no sign
    and no rounding up or down, and verbs of real numbers refuse it.
    `minifloat.codec.complex_codes` encodes and decodes, and
    `minifloat.quantization.complex_weights` adds scales.

    Parameters
    ----------
    codebook : sequence of complex
        2 to 256 finite values in code order, no value twice, with parts of at most float32's
        largest number. A part that is -0 counts as 0.
    name : str
        For printing: 1 to 64 printable characters, no space at its ends. Comparisons see it as
        they see the values.

    Raises
    ------
    ValueError
        If there are too few or too many values, a value is not finite or too large, or occurs
        twice, or the name is not allowed.
    TypeError
        If a value is not a number, or the name is not a str.

    Examples
    --------
    >>> from minifloat.formats.complex_codebook import FAIRY, ComplexCodebook
    >>> ComplexCodebook([1 + 1j, -1 - 1j], "mine")
    <ComplexCodebook mine: bits 1, values 2>
    >>> [FAIRY.value(code) for code in range(FAIRY.code_count)]
    [(1+0j), 1j, (-1+0j), -1j]
    """

    codebook: tuple[complex, ...]
    name: str

    def __init__(self, codebook: Sequence[complex], name: str = "complex") -> None:
        values = _numbers(codebook)
        if not 2 <= len(values) <= MAX_VALUES:
            raise ValueError(f"codebook must have 2 to {MAX_VALUES} values, got {len(values)}")
        for code, value in enumerate(values):
            if not max(abs(value.real), abs(value.imag)) <= LARGEST:  # or NaN
                raise ValueError(f"codebook must be of float32 numbers, got {value} at code {code}")
            if value in values[:code]:
                raise ValueError(f"codebook must hold no value twice, got {value} at code {code}")
        object.__setattr__(self, "codebook", values)
        object.__setattr__(self, "name", check_name(name))

    @property
    def bits(self) -> int:
        """Width of a code."""
        return (len(self.codebook) - 1).bit_length()

    @property
    def code_count(self) -> int:
        """Number of codes; they run from 0 to ``code_count - 1``."""
        return len(self.codebook)

    @property
    def is_phases(self) -> bool:
        """Whether all values have magnitude 1, but for float64's rounding of their parts."""
        return all(abs(abs(value) - 1) < 1e-15 for value in self.codebook)

    def value(self, code: int) -> complex:
        """Return the value of one code."""
        return self.codebook[check_int("code", code, 0, self.code_count - 1)]

    def values(self) -> NDArray[np.complex128]:
        """Return the value of every code, indexed by code.

        Returns
        -------
        ndarray of complex128, shape (code_count,)
        """
        import numpy as np

        return np.array(self.codebook, np.complex128)

    def __str__(self) -> str:
        return f"{self.name} (bits {self.bits}, values {self.code_count})"

    def __repr__(self) -> str:
        return f"<ComplexCodebook {self.name}: bits {self.bits}, values {self.code_count}>"


def _numbers(codebook: Sequence[complex]) -> tuple[complex, ...]:
    """Return the values of a codebook as complex numbers, without -0."""
    try:
        given = list(codebook)
    except TypeError:
        raise TypeError(f"codebook must be a sequence of numbers, got {shown(codebook)}") from None
    numbers = []
    for code, value in enumerate(given):
        kind = getattr(getattr(value, "dtype", None), "kind", "")  # "b" of NumPy's bools
        is_number = hasattr(value, "__complex__") or hasattr(value, "__float__")
        if isinstance(value, str | bytes | bool) or kind == "b" or not is_number:
            raise TypeError(f"codebook must hold numbers, got {shown(value)} at code {code}")
        try:
            number = complex(value)
        except OverflowError:
            raise ValueError("codebook must be of float32 numbers, got a greater one") from None
        except TypeError:  # of an array
            raise TypeError(
                f"codebook must hold numbers, got {shown(value)} at code {code}"
            ) from None
        numbers.append(complex(number.real + 0.0, number.imag + 0.0))
    return tuple(numbers)


FAIRY = ComplexCodebook([1, 1j, -1, -1j], "fairy")  # iFairy, arXiv 2508.05571

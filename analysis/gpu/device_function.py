"""A conversion in CUDA C: a device function from words of codes to pairs of 16 bits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from minifloat import registers

TEMPLATES = Path(__file__).with_name("cuda")


@dataclass(frozen=True)
class DeviceFunction:
    """The text of a conversion, and the facts for its caller.

    The function is ``void NAME(const uint32_t w[WORDS], uint32_t out[PAIRS])``, or with a look-up
    table ``void NAME(const uint32_t w[WORDS], const uint32_t *table, uint32_t out[PAIRS])``. Each
    of ``out`` has the value of an even code in its low half, and of the odd one in its high half.

    Parameters
    ----------
    text : str
        CUDA C that defines an inlined device function; it may use ``uint32_t``.
    name : str
        Of the function.
    words : int
        32-bit words of a group of codes.
    pairs : int
        Pairs of codes of a group.
    table_size : int
        Words of the table, for shared memory; 0 without a table.

    Raises
    ------
    ValueError
        If ``name`` is not in ``text``, or a size is out of range.

    Examples
    --------
    >>> from analysis.gpu.device_function import DeviceFunction
    >>> DeviceFunction(
    ...     "__device__ __forceinline__ void f(const uint32_t w[1], uint32_t out[1])"
    ...     "{ out[0] = w[0] << 4; }",
    ...     "f", words=1, pairs=1,
    ... ).codes
    2
    """

    text: str
    name: str
    words: int
    pairs: int
    table_size: int = 0

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or self.name not in self.text:
            raise ValueError(f"name must be a function in text, got {self.name!r}")
        if not 1 <= self.words <= self.pairs:
            raise ValueError(f"words must be in 1..pairs = {self.pairs}, got {self.words}")
        if self.table_size < 0:
            raise ValueError(f"table_size must be at least 0, got {self.table_size}")

    @classmethod
    def of(cls, program: registers.Program) -> DeviceFunction:
        """Return a register program's device function.

        Parameters
        ----------
        program : Program

        Returns
        -------
        DeviceFunction

        Examples
        --------
        >>> from analysis.gpu.device_function import DeviceFunction
        >>> from minifloat import registers
        >>> DeviceFunction.of(registers.to_half("e2m2", "fpe2m2_kernel")).words
        5
        """
        return cls(
            registers.to_cuda(program),
            program.name,
            program.layout.words,
            len(program.outputs),
            len(program.table),
        )

    @property
    def codes(self) -> int:
        """Codes of a group."""
        return 2 * self.pairs

    def source(self, *templates: str) -> str:
        """Return a program that calls the function.

        Parameters
        ----------
        *templates : str
            Files of ``analysis/gpu/cuda``, one after the other. They may use WORDS, PAIRS,
            TABLE_SIZE and CONVERT(w, table, out).

        Returns
        -------
        str
            CUDA C++.
        """
        arguments = "w, table, out" if self.table_size else "w, out"
        return "\n".join(
            (
                "#include <cstdint>",
                f"#define WORDS {self.words}",
                f"#define PAIRS {self.pairs}",
                f"#define TABLE_SIZE {self.table_size}",
                f"#define CONVERT(w, table, out) {self.name}({arguments})",
                self.text,
                *((TEMPLATES / name).read_text(encoding="utf-8") for name in templates),
            )
        )

"""Inputs of a unit with their outputs, as text for a test bench: `Vectors`."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

TextFormat: TypeAlias = Literal["hex", "csv", "mem"]
FORMATS = get_args(TextFormat)

Words: TypeAlias = "NDArray[np.uint64]"


class Port(NamedTuple):
    """An input or output of a unit: its name, its width in bits, its word in each vector.

    ``words`` are uint64, or Python's integers where they are wider. ``numbers`` are their values as
    float64, a row of them for a port with lanes.
    """

    name: str
    bits: int
    words: NDArray[Any]
    numbers: NDArray[np.float64]

    @property
    def digits(self) -> int:
        """Number of hexadecimal digits of a word."""
        return -(-self.bits // 4)


@dataclass(frozen=True, eq=False)
class Vectors:
    """Inputs of a unit with the outputs that they must give.

    Attributes
    ----------
    about : str
        The unit and its settings, in a line.
    ports : tuple of Port
        The inputs, and the output at the end.
    """

    about: str
    ports: tuple[Port, ...]

    def __len__(self) -> int:
        return len(self.ports[0].words)

    def text(self, format: TextFormat = "hex") -> str:
        """Return the vectors as text, one a line.

        Parameters
        ----------
        format : str
            "hex": the words of the ports in hexadecimal, a space between them. "mem": joined by
            ``_``, below comments that give the bits of each port; Verilog's ``$readmemh`` reads it.
            "csv": words and values of the ports, below a line of names.

        Returns
        -------
        str

        Raises
        ------
        ValueError
            If ``format`` is none of these.
        """
        check_text_format(format)
        columns = [
            [f"{word:0{port.digits}x}" for word in port.words.tolist()] for port in self.ports
        ]
        if format == "csv":
            return self._csv(columns)
        between = " " if format == "hex" else "_"
        lines = [between.join(words) for words in zip(*columns, strict=True)]
        comments = self._comments() if format == "mem" else []
        return "".join(f"{line}\n" for line in (*comments, *lines))

    def _comments(self) -> list[str]:
        places, low = [], 0
        for port in reversed(self.ports):
            places.append(f"{port.name} is bits {low + port.bits - 1}..{low}")
            low += 4 * port.digits
        return [
            f"// {self.about}",
            f"// reg [{low - 1}:0] vectors [0:{len(self) - 1}]; {', '.join(reversed(places))}",
        ]

    def _csv(self, columns: list[list[str]]) -> str:
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            name for port in self.ports for name in (f"{port.name}_bits", f"{port.name}_value")
        )
        values = [map(_spelled, port.numbers.tolist()) for port in self.ports]
        pairs = [zip(*pair, strict=True) for pair in zip(columns, values, strict=True)]
        writer.writerows(
            [cell for pair in line for cell in pair] for line in zip(*pairs, strict=True)
        )
        return file.getvalue()


def _spelled(value: float | list[float]) -> str:
    """Return a value, or those of lanes with a space between them."""
    return " ".join(map(repr, value)) if isinstance(value, list) else repr(value)


def check_text_format(format: object) -> None:
    """Raise unless this is one of `FORMATS`."""
    if format not in FORMATS:
        raise ValueError(f"format must be hex, csv or mem, got {format!r}")

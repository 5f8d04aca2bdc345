"""Text of Verilog-2005: modules, literals, tables and trees of comparisons."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from minifloat.formats.codebook import short_name

INDENT = "    "


class Module:
    """A module, line by line.

    Parameters
    ----------
    name : str

    Examples
    --------
    >>> module = Module("twice")
    >>> module.input("a", 3)
    >>> module.output("y", 4, "{a, 1'h0}")
    >>> print(module.text())
    module twice (
        input [2:0] a,
        output [3:0] y
    );
        assign y = {a, 1'h0};
    endmodule
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.inputs: dict[str, int] = {}
        self.outputs: dict[str, int] = {}
        self._ports: list[str] = []
        self._lines: list[str] = []

    def input(self, name: str, width: int, *, signed: bool = False) -> None:
        """Add an input."""
        self.inputs[name] = width
        self._ports.append(f"input {'signed ' * signed}{span(width)}{name}")

    def clock(self) -> None:
        """Add the input ``clock``, which is not among `inputs`."""
        self._ports.append("input clock")

    def output(self, name: str, width: int, value: str, *, signed: bool = False) -> None:
        """Add an output and what it is."""
        self.outputs[name] = width
        self._ports.append(f"output {'signed ' * signed}{span(width)}{name}")
        self.line(f"assign {name} = {value};")

    def wire(self, name: str, width: int, value: str, *, signed: bool = False) -> str:
        """Add a wire and what it is, and return its name."""
        self.line(f"wire {'signed ' * signed}{span(width)}{name} = {value};")
        return name

    def table(self, name: str, width: int, select: str, rows: Mapping[str, int]) -> str:
        """Add a table: the value of each pattern of ``select``; the most frequent is the default.

        A pattern is a literal, and rows exclude each other.
        """
        values = list(rows.values())
        default = max(sorted(set(values)), key=values.count)
        self.line(f"reg {span(width)}{name};")
        self.line(f"always @* case ({select})")
        for pattern, value in rows.items():
            if value != default:
                self.line(f"{INDENT}{pattern}: {name} = {literal(value, width)};")
        self.line(f"{INDENT}default: {name} = {literal(default, width)};")
        self.line("endcase")
        return name

    def instance(self, module: str, name: str, ports: Mapping[str, str]) -> None:
        """Add an instance of another module."""
        connections = ", ".join(f".{port}({net})" for port, net in ports.items())
        self.line(f"{module} {name} ({connections});")

    def line(self, text: str) -> None:
        """Add a line of the body."""
        self._lines.append(text)

    def text(self) -> str:
        """Return the module as text."""
        ports = f",\n{INDENT}".join(self._ports)
        body = "".join(f"{INDENT}{line}\n" for line in self._lines)
        return f"module {self.name} (\n{INDENT}{ports}\n);\n{body}endmodule\n"


def span(width: int) -> str:
    """Return the range of a vector with a space behind it, nothing for one bit.

    Examples
    --------
    >>> span(4), span(1)
    ('[3:0] ', '')
    """
    return f"[{width - 1}:0] " if width > 1 else ""


def bit(word: str, place: int, width: int) -> str:
    """Return one bit of a net of a width: the net itself if it has one bit, which none may select.

    Examples
    --------
    >>> bit("code", 2, 3), bit("code", 0, 1)
    ('code[2]', 'code')
    """
    return f"{word}[{place}]" if width > 1 else word


def literal(value: int, width: int) -> str:
    """Return an integer as a literal of a width, in two's complement.

    Examples
    --------
    >>> literal(-1, 4), literal(5, 70)
    ("4'hf", "70'h5")
    """
    return f"{width}'h{value % (1 << width):x}"


def identifier(*parts: object) -> str:
    """Return parts as one identifier of Verilog.

    Examples
    --------
    >>> identifier("dot", "e2m1", "nf4 in 127ths")
    'dot_e2m1_nf4_in_127ths'
    """
    words = [short_name(str(part)) for part in parts if part]
    plain = [re.sub(r"[^A-Za-z0-9]+", "_", word).strip("_") for word in words]
    text = "_".join(word for word in plain if word)
    return text if text[:1].isalpha() else f"m_{text}"


def is_one_of(word: str, width: int, numbers: Iterable[int]) -> str:
    """Return the condition that a word is one of some numbers, run by run.

    Examples
    --------
    >>> is_one_of("code", 4, [7, 14, 15])
    "(code == 4'h7 | (code >= 4'he & code <= 4'hf))"
    """
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    if not runs:
        return "1'h0"
    terms = [
        f"{word} == {literal(low, width)}"
        if low == high
        else f"({word} >= {literal(low, width)} & {word} <= {literal(high, width)})"
        for low, high in runs
    ]
    return f"({' | '.join(terms)})"


def tree(word: str, width: int, starts: Sequence[int], values: Sequence[str]) -> str:
    """Return a step function of an unsigned word as a balanced tree of comparisons.

    Parameters
    ----------
    word : str
    width : int
        Of the word.
    starts : sequence of int
        Where each step begins, in ascending order; the first step holds below its start, too.
    values : sequence of str
        What holds on each step.

    Examples
    --------
    >>> tree("x", 4, [0, 5, 9], ["a", "b", "c"])
    "(x < 4'h5 ? a : (x < 4'h9 ? b : c))"
    """
    if len(values) == 1:
        return values[0]
    middle = len(values) // 2
    low = tree(word, width, starts[:middle], values[:middle])
    high = tree(word, width, starts[middle:], values[middle:])
    return f"({word} < {literal(starts[middle], width)} ? {low} : {high})"

"""Sums of many numbers: a tree of adders, each a module, with a carry for each sign."""

from __future__ import annotations

from typing import NamedTuple

from minifloat.hardware.integers import signed_width
from minifloat.hardware.verilog import Module


class Range(NamedTuple):
    """The numbers that a net can hold."""

    low: int
    high: int

    @property
    def width(self) -> int:
        """Width in two's complement."""
        return signed_width(self.low, self.high)

    def __add__(self, other: object) -> Range:
        assert isinstance(other, Range)
        return Range(self.low + other.low, self.high + other.high)

    def __mul__(self, count: object) -> Range:
        assert isinstance(count, int)
        return Range(self.low * count, self.high * count)


class Term(NamedTuple):
    """A signed net with its range."""

    net: str
    range: Range


class Adders:
    """The adders of a circuit: modules by their widths, which stay modules until they are mapped.

    Yosys merges the additions of one module into one sum, which it maps without an FPGA's carry
    chains.

    Parameters
    ----------
    prefix : str
        How their names begin.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._modules: dict[str, str] = {}

    def add(
        self, module: Module, name: str, a: Term, b: Term, total: Range, carry: str | None = None
    ) -> Term:
        """Add ``a + b``, and a carry of one bit, to a module: a net that holds ``total``."""
        widths = (a.range.width, b.range.width, total.width)
        kind = "_".join([self.prefix, "add", *map(str, widths), *(["c"] if carry else [])])
        if kind not in self._modules:
            self._modules[kind] = self._text(kind, *widths, with_carry=carry is not None)
        module.line(f"wire signed [{total.width - 1}:0] {name};")
        ports = {"a": a.net, "b": b.net, "sum": name}
        if carry is not None:
            ports["carry"] = carry
        module.instance(kind, f"{name}_adder", ports)
        return Term(name, total)

    def text(self) -> str:
        """Return the modules as text."""
        return "\n".join(self._modules.values())

    def _text(self, name: str, a: int, b: int, total: int, *, with_carry: bool) -> str:
        module = Module(name)
        module.input("a", a, signed=True)
        module.input("b", b, signed=True)
        if with_carry:
            module.input("carry", 1)
        if not with_carry:
            module.output("sum", total, "a + b", signed=True)
        else:  # the carry enters as the sum of 1 and itself
            module.wire("x", total, "a", signed=True)
            module.wire("y", total, "b", signed=True)
            module.wire("wide", total + 1, "{x, 1'h1} + {y, carry}")
            module.output("sum", total, f"wide[{total}:1]", signed=True)
        return module.text()


def add_tree(
    adders: Adders, module: Module, terms: list[Term], carries: list[str], name: str = "tree"
) -> tuple[Term, list[str]]:
    """Add the sum of terms and of carries of one bit, as far as the adders have places for them.

    Parameters
    ----------
    adders : Adders
    module : Module
    terms : list of Term
        At least one.
    carries : list of str
        Nets of one bit that count 1 each.
    name : str
        How nets are named.

    Returns
    -------
    Term
        The sum.
    list of str
        The carries that are not in it yet: one more than there are adders, so one at most of as
        many carries as terms.
    """
    if len(terms) == 1:
        return terms[0], carries
    middle = len(terms) // 2
    used = max(0, min(len(carries), middle))
    low, left = add_tree(adders, module, terms[:middle], carries[:used], f"{name}0")
    high, more = add_tree(adders, module, terms[middle:], carries[used:], f"{name}1")
    left = [*left, *more]
    carry = left.pop(0) if left else None
    total = low.range + high.range
    if carry is not None:
        total = Range(total.low, total.high + 1)
    return adders.add(module, name, low, high, total, carry), left

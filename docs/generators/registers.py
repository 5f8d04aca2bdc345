"""Print the table of docs/registers.md: `python -m docs.generators.registers` (two minutes)."""

from __future__ import annotations

from collections.abc import Iterable

from analysis.gpu.conversion_costs import ConversionCost, conversion_costs
from minifloat.registers import KINDS

HEAD = """\
| format | layout | codes | {kinds} | model | bound | machine | per weight | with 2^k | machine |
|---|---|--:|{rule}--:|--:|--:|--:|--:|--:|"""


def table(costs: Iterable[ConversionCost]) -> str:
    """Return the table in Markdown."""
    lines = [HEAD.format(kinds=" | ".join(KINDS), rule="--:|" * len(KINDS))]
    for cost in costs:
        row, program = cost.row, cost.row.cost
        cells = [
            row.fmt.name,
            row.folded.layout.name,
            program.weights,
            *(getattr(program, kind) or "" for kind in KINDS),
            program.total,
            row.bound,
            machine(cost.folded),
            f"**{program.per_weight:.2f}**",
            row.whole.cost.total if row.whole else "",
            machine(cost.whole),
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def machine(counted: dict) -> str:
    """Return the machine's totals: one number if all architectures agree."""
    totals = [cost.total for cost in counted.values()]
    return str(totals[0]) if len(set(totals)) == 1 else " / ".join(map(str, totals))


if __name__ == "__main__":
    print(table(conversion_costs()))

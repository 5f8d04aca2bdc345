"""Print docs/accuracy_and_cost.md: what formats lose and what their circuits take.

python -m docs.generators.accuracy_and_cost > docs/accuracy_and_cost.md
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from analysis.hardware import circuits, mac_model
from analysis.hardware.circuits import (
    BLOCK_FORMATS,
    DOT,
    FORMATS,
    ITSELF,
    LANES,
    PARTS,
    Job,
)
from analysis.hardware.races import Race, races
from analysis.hardware.tradeoff import Point, error_of, front, of_job, points, shares
from analysis.records import Row, Rows
from docs.generators.policies import table
from paper_figures.circuit_cost import saved
from paper_figures.style import title

NORMAL, LAPLACE = "normal", "laplace"
NO = "-"
INTRO = """\
# Accuracy against cost

What a format loses, by exact theory, against what its circuit takes, counted on a netlist that was
compared with the library. [Circuits](circuits.md) says how they are written and checked,
[What a format costs](circuit_costs.md) what is counted; here each format of 3 to 8 bits is a point.

- **Error**: absmax blocks of 128 with float16 scales, so formats of a width take the same bits;
  Microscaling and NVFP4 as they are defined. Gaussian and Laplace data. In the figure and in races
  both factors count: their relative squared errors, added.
- **Cost**: a lane of a dot product of 16 with an exact accumulator for 4096 products, its share of
  the register included: transistors of `cmos`, LUT6 sites of `xc7`. No timing, placement or power.
- **Form**: of a circuit's forms the one whose multiplier takes the least on the target.
  `minifloat cost` tries the dot product in all of them: its counts can be a little smaller.
- **INT has two encodings**: INT5 is in two's complement, E1M3 the same integers as sign and
  magnitude.
- NF4 is in 127ths of its largest value: its codes are decoded to integers of 8 bits.
- NaN and infinities count as 0; a flag for them would cost more.

```sh
python -m analysis.hardware --quick --csv two.csv              # two circuits, in a minute
python -m analysis.hardware --csv docs/data/hardware/counts.csv  # what the file has not; hours
python -m docs.generators.accuracy_and_cost > docs/accuracy_and_cost.md
```

The file has a row for each circuit, and an interrupted run goes on where it stopped. A dash below
is a circuit that it does not have yet."""


def page() -> str:
    """Return the text of the page."""
    return "\n\n".join(_parts(saved())) + "\n"


def _parts(rows: Rows) -> Iterator[str]:
    taken = of_job(rows)
    whole = sum(job.unit == DOT and not job.cut for job in taken)
    yield INTRO
    yield f"""\
## All formats

{whole} dot products of {len(circuits.jobs())} circuits are in the file, by {rows[0]["tool"]}.

![SQNR of products against transistors a lane](figures/circuit_cost.png)"""
    yield formats_table(rows)
    yield _front(rows)
    yield """\
## Is a float worth its circuit?

The criterion: integers buy decibels by more bits, at a price in transistors. A format is worth its
circuit if it is as cheap and as accurate as the integer of its width, or gains decibels for less
than that price. Where it is cheaper and less accurate it is a trade. `analysis.hardware.races` has
it in full."""
    yield races_table(rows)
    yield from _answers(rows)
    yield """\
## Where the cost goes

Transistors of a lane, for a format times itself, by differences of circuits.

- decode: the significand and the exponent of both codes
- multiply: the product of significands, as that of E1My, which has no exponent
- align: what else the multiplier has, the sum of exponents and the shift
- tree: a dot product without its register, less the multipliers: adders, and the gates that invert
  negative products
- accumulate: the register and its adder

A product of integers is all multiplication; what two's complement spends on signs is in it."""
    yield shares_table(rows)
    yield from _wide(rows)
    yield """\
## Against published models

INT v.s. FP (arXiv 2510.25602) has an analytic model of a multiply-accumulate unit,
`analysis.hardware.mac_model`. The weights of its cells are not at hand, so its ratios, for 32
lanes, are given with all cells alike and with cells of static CMOS."""
    yield model_table(rows)
    yield from _rankings(rows)


def formats_table(rows: Rows) -> str:
    """Show error and cost of each format."""
    taken = of_job(rows)
    best = {point.fmt for point in front(points(rows, NORMAL, "cmos", ITSELF))}
    lines = []
    for width in sorted(FORMATS):
        for fmt in FORMATS[width]:
            cells = [_cost(taken, fmt, *where) for where in _COLUMNS]
            if any(cell != NO for cell in cells):
                lines.append([str(width), _name(fmt, best), *_decibels(fmt), *cells])
    for name, (_, _, lanes) in BLOCK_FORMATS.items():
        row = taken.get(Job(name, ITSELF, circuits.BLOCK, 0, "cmos"))
        if row:
            cost = f"{row['transistors'] / lanes:.0f}"
            bits = f"{error_of(name, NORMAL)[0]:g}"
            lines.append([bits, _name(name, best), *_decibels(name), cost, NO, NO, NO, NO])
    head = [
        "bits",
        "format",
        "SQNR, Gaussian",
        "Laplace",
        "itself",
        "times INT8",
        "times E1M6",
        "times E4M3",
    ]
    return table([*head, "itself, LUT6"], lines)


_COLUMNS = (
    (ITSELF, "cmos"),
    ("int8", "cmos"),
    ("e1m6", "cmos"),
    ("e4m3fn", "cmos"),
    (ITSELF, "xc7"),
)


def races_table(rows: Rows) -> str:
    """Show formats against integers of their width."""
    lines = []
    for activations in (ITSELF, "e1m6", "int8"):
        gaussian = races(rows, NORMAL, "cmos", activations)
        laplace = races(rows, LAPLACE, "cmos", activations)
        for one, other in zip(gaussian, laplace, strict=True):
            against = "itself" if activations == ITSELF else title(activations)
            lines.append(
                [
                    title(one.fmt),
                    title(one.rival),
                    against,
                    f"{100 * one.more:+.0f} %",
                    *_race(one),
                    *_race(other),
                ]
            )
    head = ["format", "integer", "times", "transistors", "dB, Gaussian", "worth it?"]
    return table([*head, "dB, Laplace", "worth it?"], lines)


def shares_table(rows: Rows) -> str:
    """Show where the transistors go."""
    lines = []
    for fmt in PARTS:
        found = shares(rows, fmt)
        if found:
            total = sum(found)
            parts = [f"{part:.0f} ({100 * part / total:.0f} %)" for part in found]
            lines.append([title(fmt), *parts, f"{total:.0f}"])
    return table(["format", "decode", "multiply", "align", "tree", "accumulate", "a lane"], lines)


def model_table(rows: Rows) -> str:
    """Show the ratios of the analytic model beside those counted."""
    taken = of_job(rows)
    lines = []
    for fmt, rival, magnitude in _PAIRS:
        alike = sum(mac_model.cells(fmt).values()) / sum(mac_model.cells(rival).values())
        weighed = mac_model.transistors(fmt) / mac_model.transistors(rival)
        counted = [_ratio(taken, fmt, name) for name in (rival, magnitude)]
        lines.append(
            [title(fmt), title(rival), f"{alike:.2f}", f"{weighed:.2f}", *map(_times, counted)]
        )
    head = ["format", "integer", "model, cells alike", "model, transistors"]
    return table([*head, "counted, two's complement", "counted, sign and magnitude"], lines)


_PAIRS = (
    ("e2m1", "int4", "e1m2"),
    ("e2m2", "int5", "e1m3"),
    ("e2m3", "int6", "e1m4"),
    ("e3m2", "int6", "e1m4"),
    ("e4m3fn", "int8", "e1m6"),
    ("e5m2", "int8", "e1m6"),
)


def _cost(taken: dict[Job, Row], fmt: str, activations: str, target: str) -> str:
    row = taken.get(Job(fmt, activations, DOT, 0, target))
    if row is None:
        return NO
    return f"{row['transistors'] / LANES:.0f}" if target == "cmos" else f"{row['lut6'] / LANES:.1f}"


def _ratio(taken: dict[Job, Row], fmt: str, rival: str) -> float | None:
    one, other = (taken.get(Job(name, ITSELF, DOT, 0, "cmos")) for name in (fmt, rival))
    return one["transistors"] / other["transistors"] if one and other else None


def _times(ratio: float | None) -> str:
    return NO if ratio is None else f"{ratio:.2f}"


def _name(fmt: str, best: set[str]) -> str:
    return f"**{title(fmt)}**" if fmt in best else title(fmt)


def _decibels(fmt: str) -> list[str]:
    """Return the SQNR of weights, Gaussian and Laplace."""
    return [f"{_sqnr(fmt, law):.2f}" for law in (NORMAL, LAPLACE)]


def _race(race: Race) -> list[str]:
    return [f"{race.gain_db:+.2f}", race.verdict or NO]


def _front(rows: Rows) -> str:
    def names(found: list[Point]) -> str:
        return ", ".join(title(point.fmt) for point in front(found))

    lines = [
        f"- {title(law)}, times {'themselves' if activations == ITSELF else title(activations)}: "
        f"{names(found)}"
        for activations in (ITSELF, "e1m6")
        for law in (NORMAL, LAPLACE)
        if (found := points(rows, law, "cmos", activations))
    ]
    head = (
        "SQNR in this table is of the weights alone. Bold: nothing beats it on Gaussian data, times"
    )
    return "\n".join([head, "themselves. The fronts, cheapest first:", "", *lines])


def leads_table() -> str:
    """Show the lead of the best float over the integer of each width."""
    lines = []
    for width, formats in sorted(FORMATS.items()):
        floats = [fmt for fmt in formats if fmt.startswith(("e2", "e3", "e4", "e5"))]
        cells = [str(width)]
        for law in (NORMAL, LAPLACE):
            best = max(floats, key=lambda fmt: _sqnr(fmt, law))
            lead = _sqnr(best, law) - _sqnr(f"int{width}", law)
            cells += [title(best), f"{lead:+.2f}"]
        lines.append(cells)
    return table(["bits", "Gaussian", "lead, dB", "Laplace", "lead, dB"], lines)


def _sqnr(fmt: str, law: str) -> float:
    return -10 * math.log10(error_of(fmt, law)[1])


def _answers(rows: Rows) -> Iterator[str]:
    for fmt in ("e2m1", "e2m2"):
        mine = {race.rival: race for race in races(rows, NORMAL) if race.fmt == fmt}
        if len(mine) == 2:
            twos, sign = mine.values()
            yield f"""\
**{title(fmt)}** takes {_percent(twos.more)} than {title(twos.rival)} in two's complement, and
{_percent(sign.more)} than the same integer in sign and magnitude."""
    yield """\
The encoding of the integer decides more than the step from integer to float, and nobody gets sign
and magnitude by accident.

A verdict counts transistors alone: the price is that of a decibel by a wider code, which also takes
memory; where it is close it depends on which integers have been counted. At equal memory E2My is
the most accurate ExMy of 3 to 5 bits whatever its circuit takes.

From which width on do integers win? The best float of each width, and its lead over the integer:"""
    yield leads_table()
    yield """\
On Gaussian data the lead is gone at 6 bits and negative from 7 on: there integers are as accurate,
and what a float takes more buys nothing. With Laplace's tails E2My leads at every width. E4M3 and
E5M2 spend bits on a range that a block of 128 does not have: at 8 bits they lose to INT8 on
both."""


def _percent(more: float) -> str:
    return f"{abs(100 * more):.0f} % {'more' if more > 0 else 'fewer'} transistors"


def _wide(rows: Rows) -> Iterator[str]:
    e4m3, integer = shares(rows, "e4m3fn"), shares(rows, "e1m6")
    taken = of_job(rows)
    whole = taken.get(Job("e4m3fn", ITSELF, DOT, 0, "cmos"))
    if e4m3 and integer and whole:
        yield f"""\
What E4M3 saves on significands of 4 bits, {e4m3.multiply:.0f} transistors where E1M6 multiplies by
{integer.multiply:.0f}, goes into alignment, {e4m3.align + e4m3.decode:.0f} with decoding, and
into sums of {whole["width"]} bits: tree and register take {e4m3.tree + e4m3.accumulate:.0f},
those of E1M6 {integer.tree + integer.accumulate:.0f}."""
    cuts = [
        f"{cut} bits leaves {row['transistors'] / LANES:.0f}"
        for cut in circuits.CUTS["e4m3fn"]
        if (row := taken.get(Job("e4m3fn", ITSELF, DOT, cut, "cmos")))
    ]
    if cuts and whole:
        yield f"""\
Low bits of E4M3's products can be dropped before they are added. A lane takes
{whole["transistors"] / LANES:.0f} transistors with all of them; dropping {", ".join(cuts)}."""


def _rankings(rows: Rows) -> Iterator[str]:
    taken = of_job(rows)
    found = []
    for claim, published, pairs in _CLAIMS:
        ratios = {f"{title(a)} / {title(b)}": _ratio(taken, a, b) for a, b in pairs}
        known = {name: ratio for name, ratio in ratios.items() if ratio is not None}
        if known:
            here = "; ".join(f"{name} {ratio:.2f}" for name, ratio in known.items())
            holds = {True: "yes", False: "no"}
            verdicts = dict.fromkeys(holds[ratio > 1] for ratio in known.values())
            ranking = "in one encoding" if len(verdicts) > 1 else next(iter(verdicts))
            found.append([claim, published, here, ranking])
    yield """\
The model has every float above its integer. Counted, floats of 4 and 5 bits take fewer transistors
than two's complement: the model's aligner shifts each product over the whole width of a sum that is
rounded, while an exact product of E2My is shifted by at most four places, once."""
    yield "Rankings, by transistors of a lane; they hold where the float takes more:"
    yield table(["published", "its figure", "here", "holds"], found)
    yield """\
Figures are of other circuits: INT v.s. FP models blocks that share scales, FormatScope adds a
float32 accumulator with rounding to every format, and FP8 versus INT8 counts 8-bit units of one
lane. So only the ranking is compared. *Post-Training Quantization with Low-precision Minifloats and
Integers on FPGAs* (arXiv 2311.12359), whose tables are not at hand, concludes that minifloats are
more accurate from 4 bits on and integers often Pareto-optimal in LUTs. In transistors, the fronts
above agree: at 4 and 5 bits an integer in sign and magnitude at the cheap end, E2My above it."""


_CLAIMS = (
    (
        "INT v.s. FP: MXINT8 saves energy over MXFP8",
        "37 %",
        (("e4m3fn", "int8"), ("e4m3fn", "e1m6")),
    ),
    ("INT v.s. FP: NVINT4 over NVFP4", "38 %", (("e2m1", "int4"), ("e2m1", "e1m2"))),
    (
        "FormatScope: area of FP8 over INT8",
        "1.13",
        (("e4m3fn", "int8"), ("e4m3fn", "e1m6")),
    ),
    (
        "FP8 versus INT8: FP8 is less efficient",
        "1.5 to 2.8",
        (("e4m3fn", "int8"), ("e5m2", "int8")),
    ),
)


if __name__ == "__main__":
    print(page(), end="")

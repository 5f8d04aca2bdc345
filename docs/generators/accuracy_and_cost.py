"""Print docs/accuracy_and_cost.md: what formats lose and what their circuits take.

python -m docs.generators.accuracy_and_cost > docs/accuracy_and_cost.md
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from analysis.hardware import circuits
from analysis.hardware.circuits import ACCUMULATORS, DOT, EXACT, FLOAT32, ITSELF, LANES, Job
from analysis.hardware.errors import LAWS, MODELS, lead, loss, model_bias
from analysis.hardware.races import Race, races
from analysis.hardware.rankings import Agreement
from analysis.hardware.shares import shares
from analysis.hardware.tradeoff import front, of_job, points
from analysis.records import Rows
from docs.generators import cost_tables, published_costs
from docs.generators.cost_tables import SETTINGS, ratio
from docs.generators.policies import table
from paper_figures.cost_plane import encoding, saved
from paper_figures.style import title

INTRO = """\
# Accuracy against cost

What a format loses against what its circuit takes, counted on a netlist that was compared with the
library. [Circuits](circuits.md) says how they are written and checked,
[What a format costs](circuit_costs.md) what is counted; here each format of 3 to 8 bits is a point.

- **Error**: absmax blocks of 128 with float16 scales, so formats of a width take the same bits;
  Microscaling and NVFP4 as they are defined, scales counted. On Gaussian and Laplace data it is
  exact theory. On layers of MiniLM and SmolLM2 (of these every fifth) it is measured, as the mean
  over matrices of decibels; SmolLM2's file has weights of 4 bits, in blocks of 32 with two floats.
- **Error of a product**: the relative squared errors of both factors, added: to first order that is
  the error of a sum of products, too. Weights times floats have the weights' error alone.
- **Cost**: a lane of a dot product of 16 with an exact accumulator for 4096 products, its share of
  the register included: transistors of `cmos`, LUT6 sites of `xc7`. Blocks with scales of their own
  have 16 or 32 lanes, the product of both scales, and no register. For weights times floats a
  decoder of one weight to float16, the only part that depends on the format. No timing, placement
  or power.
- **Form**: of a circuit's forms, and of Yosys' ways to map them, those whose multiplier takes the
  least; products in two's complement and with signs apart are both tried in the dot product, since
  their adders differ. `minifloat cost` tries it in all forms: its counts can be a little smaller.
- **INT has two encodings**: INT5 is in two's complement, E1M3 or ±INT5 the same integers as sign
  and magnitude. *Times INT8* is the cheaper of INT8 and ±INT8 as activations.
- NF4 is in 127ths of its largest value: its codes are decoded to integers of 8 bits.
- NaN and infinities count as 0; a flag for them would cost more.

```sh
python -m analysis.hardware --quick --csv two.csv                       # two circuits, in a minute
python -m analysis.hardware --csv docs/data/hardware/counts.csv         # what it has not; hours
python -m analysis.hardware layers --csv docs/data/hardware/layers.csv  # real layers, minutes
python -m analysis.hardware losses --csv docs/data/hardware/losses.csv  # MiniLM, half an hour
python -m paper_figures --only circuit_cost,circuit_shares,circuit_loss
python -m docs.generators.accuracy_and_cost > docs/accuracy_and_cost.md
```

An interrupted run of circuits goes on where it stopped; {counted} of {all} are counted, by {tool}.
A dash below is what these files do not have."""


def page() -> str:
    """Return the text of the page."""
    return "\n\n".join(_parts(saved())) + "\n"


def _parts(rows: Rows) -> Iterator[str]:
    yield INTRO.format(counted=len(rows), all=len(circuits.jobs()), tool=rows[0]["tool"])
    yield "## Answers"
    yield "\n".join(_filled(f"- {answer}", "  ") for answer in _answers(rows))
    yield """\
## All formats

![SQNR of products against the cost of a lane](figures/circuit_cost.png)"""
    yield cost_tables.formats_table(rows)
    yield """\
The decibels are of weights alone. *Decoder* is to float16, for weights times floats; that of an
integer in two's complement is a table of its codes: counting zeros instead, INT8's would be
smaller. Bold: times themselves, nothing beats it on Gaussian data.

What no other beats:"""
    yield cost_tables.fronts(rows)
    yield from _worth(rows)
    yield from _widths(rows)
    yield from _model_losses(rows)
    yield from _shares(rows)
    yield from _wide(rows)
    yield from _published(rows)


def _filled(text: str, indent: str = "") -> str:
    """Break lines again, since numbers differ in length."""
    return textwrap.fill(
        " ".join(text.split()), 100, subsequent_indent=indent, break_on_hyphens=False
    )


def _answers(rows: Rows) -> Iterator[str]:
    worth = {
        (setting, race.rival): race
        for setting in ("themselves", "8-bit integers")
        for race in races(rows, "normal", "cmos", *SETTINGS[setting])
        if race.fmt == "e2m2"
    }
    luts = {r.rival: r for r in races(rows, "normal", "xc7", ITSELF) if r.fmt == "e2m2"}
    itself, sign = worth["themselves", "int5"], worth["themselves", "e1m3"]
    by_int8, by_int8_sign = worth["8-bit integers", "int5"], worth["8-bit integers", "e1m3"]
    real = [
        lead("e2m2", "int5", source, name).mean for source in MODELS for name in ("int8", ITSELF)
    ]
    losses = [loss(fmt, "int8") for fmt in ("e2m2", "int5")]
    turned = [f"{100 * each.mean:.2f} ± {100 * each.standard_error:.2f} %" for each in losses]
    yield f"""\
**Is E2M2 worth its circuit against INT5?** Against two's complement yes: {percent(itself)}
  transistors times itself ({percent(luts["int5"])} LUT6), {percent(by_int8)} times INT8, and
  {itself.gain_db:.2f} dB more on Gaussian data, {min(real):.1f} to {max(real):.1f} dB on products
  of real layers; times INT8, MiniLM loses {turned[0]} and not {turned[1]}. Against the same
  integers in sign and magnitude it takes {percent(sign)} times itself
  ({percent(luts["e1m3"])} LUT6), and times INT8 as much ({percent(by_int8_sign)}): there it is
  worth it, in transistors, where data have tails, as real layers have, and times INT8. The
  encoding of the integer decides more than the step from integer to float, and nobody gets sign and
  magnitude by accident."""
    more, more_luts = (
        ", ".join(
            f"{100 * race.more:.0f}"
            for race in races(rows, "normal", target, ITSELF)
            if race.fmt.startswith("e2m") and race.rival.startswith("e1m")
        )
        for target in circuits.TARGETS
    )
    eight = {
        race.rival: race for race in races(rows, "smollm2", "cmos", ITSELF) if race.fmt == "e4m3fn"
    }
    yield f"""\
**From which width on do integers win?** In error, on Gaussian data from 7 bits on, by 0.1 dB; on
  real layers E2My leads at every width, still by about 0.5 dB at 8 bits, and on Laplace data by
  more than 2 dB from 4 bits on. In circuits, times themselves, E2My takes more transistors than
  ±INT at every width, but less and less: {more} % from 3 bits on; of LUT6 {more_luts} % more.
  INT8 wins over E4M3 and E5M2, whose bits go into a range that
  a block of 128 does not have: E4M3 loses {-eight["int8"].gain_db:.1f} dB even on SmolLM2, where
  activations have outliers, and takes {percent(eight["int8"])} transistors with exact sums."""
    parts = shares(rows, "e4m3fn")
    taken = of_job(rows)
    integer = taken[Job("int8", ITSELF, DOT, EXACT, "cmos")]["transistors"] / LANES
    cuts = {
        name: row["transistors"] / LANES
        for name in ACCUMULATORS
        if name.startswith("cut")
        and (row := taken.get(Job("e4m3fn", ITSELF, DOT, name, "cmos"))) is not None
    }
    if parts and cuts:
        total = sum(parts)
        dropped = ", ".join(f"{cost:.0f} ({name[4:]} bits)" for name, cost in cuts.items())
        first = next((name[4:] for name, cost in cuts.items() if cost < integer), None)
        yield f"""\
**What do E4M3's alignment and accumulator cost?** Of {total:.0f} transistors a lane, decoding and
  shifts take {100 * (parts.align + parts.decode) / total:.0f} %, the tree of exact sums
  {100 * parts.tree / total:.0f} %, the register {100 * parts.accumulate / total:.0f} % and the
  product itself {100 * parts.multiply / total:.0f} %. It is exactness that costs: with low bits of
  products dropped a lane takes {dropped}, and what sums lose stays far below what the format loses.
  With {first} bits dropped E4M3 takes less than INT8 and its {integer:.0f}. A float32 accumulator
  that rounds once in 16 products takes more than an exact one."""
    agreed = published_costs.model_agreement(rows, within=True, target="cmos")
    if agreed:
        yield f"""\
**Do the rankings of published models hold?** At 8 bits INT8 comes before FP8, in both encodings,
  as published, if accumulators are exact; the order hangs on how many bits of E4M3's products are
  kept. At 4 to 6 bits it holds against integers in sign and magnitude; over those in two's
  complement E2My takes fewer transistors. The analytic model of INT v.s. FP orders {agreed.same}
  of {agreed.pairs} pairs of a width as the counts do."""
    yield """\
**What this rests on.** Netlists by Yosys, each compared with the library, before placement: there
  is no timing and no power. Another order of ABC's passes changes a count by some percent, so a
  difference of one or two percent is none. Two small models."""


def _worth(rows: Rows) -> Iterator[str]:
    yield """\
## Is a float worth its circuit?

The criterion: integers buy decibels by more bits, at a price in transistors. A format is worth its
circuit if it is as cheap and as accurate as the integer of its width, or gains decibels for less
than that price. Where it is cheaper and less accurate it is a trade. `analysis.hardware.races` has
it in full. Decibels are of products; where verdicts differ, they are in the order of the data."""
    for setting in ("8-bit integers", "themselves"):
        yield f"Times {setting}:"
        yield cost_tables.races_table(rows, setting)
    for fmt in ("e2m2", "e2m1"):
        yield "\n".join(_against_integers(rows, fmt))
    yield _real_leads()
    biases = {
        model: [model_bias(source, name).mean for name in ("float", "int8", "itself")]
        for source, model in MODELS.items()
    }
    yield _filled(f"""\
Real products are better than the sum of both factors' errors says, by {_span(biases["MiniLM"])} dB
on MiniLM and {_span(biases["SmolLM2"])} dB on SmolLM2, for all formats about alike (standard
deviation 0.2 to 0.4 dB): what is added has a common part, its errors have not.""")
    yield """\
A verdict counts transistors, or LUT6, alone: the price is that of a decibel by a wider code, which
also takes memory."""


def _span(values: list[float]) -> str:
    return f"{min(values):.1f} to {max(values):.1f}"


def _against_integers(rows: Rows, fmt: str) -> Iterator[str]:
    yield f"**{title(fmt)}**"
    yield ""
    for setting, activations in SETTINGS.items():
        found = {r.rival: r for r in races(rows, "normal", "cmos", *activations) if r.fmt == fmt}
        luts = {r.rival: r for r in races(rows, "normal", "xc7", *activations) if r.fmt == fmt}
        told = []
        for rival, race in found.items():
            text = f"{percent(race)} transistors than {encoding(rival)}"
            if rival in luts:
                text += f" ({percent(luts[rival])} LUT6)"
            told.append(text)
        if told:
            unit = "a decoder to float16 takes" if setting == "floats" else "a lane takes"
            yield _filled(f"- times {setting}: {unit} {' and '.join(told)}", "  ")


def percent(race: Race) -> str:
    """Return what a format takes more or less, as text."""
    return f"{abs(100 * race.more):.0f} % {'more' if race.more > 0 else 'fewer'}"


def _real_leads() -> str:
    lines = []
    for source, model in MODELS.items():
        found = [lead("e2m2", "int5", source, name) for name in ("float", "int8", "itself")]
        cells = [f"{each.mean:.2f} ± {each.standard_error:.2f}" for each in found]
        lines.append([model, *cells])
    head = ["E2M2 over INT5, dB", "times floats", "times INT8", "times themselves"]
    return (
        "On real layers E2M2's lead was measured on products, too; ± is the standard error over "
        "matrices:\n\n" + table(head, lines)
    )


def _widths(rows: Rows) -> Iterator[str]:
    yield """\
## From which width on do integers win?

The best float of each width and its lead over the integer, weights alone; and what E2My takes more
than the integer in sign and magnitude, the cheapest rival that there is."""
    yield cost_tables.leads_table(rows)


def _model_losses(rows: Rows) -> Iterator[str]:
    yield """\
## What a model loses

![MiniLM's loss against transistors a lane](figures/circuit_loss.png)

1 - cosine of MiniLM's embeddings to those of float32, weights and activations of its layers
rounded. Errors are over draws: other groupings of the channels into blocks. For SmolLM2 the nats
per token over fp32, a mean of two texts, that [Models](models.md) has with their errors."""
    yield cost_tables.losses_table(rows)
    eight = [100 * loss(fmt, "int8").mean for fmt in ("int8", "e4m3fn")]
    yield _filled(f"""\
On MiniLM E2My loses less than INT at 3 to 6 bits, in each setting. At 8 bits, times INT8, INT8
loses {eight[0]:.2f} % and E4M3 {eight[1]:.2f} %. On SmolLM2 E2M2 loses less than INT5, and E2M1 as
much as INT4.""")


def _shares(rows: Rows) -> Iterator[str]:
    yield """\
## Where the cost goes

![Transistors of the parts of a lane](figures/circuit_shares.png)

Transistors of a lane, for a format times itself, by differences of circuits.

- decode: the significand and the exponent of both codes
- multiply: the product of significands, as that of E1My, which has no exponent
- align: what else the multiplier has, the sum of exponents and the shift
- tree: a dot product without its register, less the multipliers: adders, and the gates that invert
  negative products
- accumulate: the register and its adder

A product of integers is all multiplication; what two's complement spends on signs is in it."""
    yield cost_tables.shares_table(rows)


def _wide(rows: Rows) -> Iterator[str]:
    e4m3, integer = shares(rows, "e4m3fn"), shares(rows, "e1m6")
    taken = of_job(rows)
    whole = taken.get(Job("e4m3fn", ITSELF, DOT, EXACT, "cmos"))
    yield "## What do E4M3's alignment and accumulator cost?"
    if e4m3 and integer and whole:
        yield _filled(f"""\
What E4M3 saves on significands of 4 bits, {e4m3.multiply:.0f} transistors where E1M6 multiplies by
{integer.multiply:.0f}, goes into alignment, {e4m3.align + e4m3.decode:.0f} with decoding, and
into sums of {whole["width"]} bits: tree and register take {e4m3.tree + e4m3.accumulate:.0f},
those of E1M6 {integer.tree + integer.accumulate:.0f}.""")
    yield cost_tables.accumulators_table(rows)
    yield """\
What sums lose is that of blocks of 128 products, to be held against what E4M3 loses: 29 dB. A
float32 accumulator takes the exact sum of 16 products and of the register, and rounds once; its
alignment, normalization and rounding are shared by 16 lanes:"""
    yield cost_tables.float_sums_table(rows)
    pairs = (("e4m3fn", "int8"), ("e4m3fn", "e1m6"), ("e2m2", "int5"), ("e2m2", "e1m3"))
    both = [
        f"{title(one)} over {encoding(other)} {found:.2f}"
        for one, other in pairs
        if (found := ratio(taken, one, other, accumulator=FLOAT32)) is not None
    ]
    yield _filled(f"Both with float32: {', '.join(both)}.")


def _published(rows: Rows) -> Iterator[str]:
    yield """\
## Against published models

INT v.s. FP (arXiv 2510.25602) has an analytic model of a multiply-accumulate unit,
`analysis.hardware.mac_model`. The weights of its cells are not at hand, so its ratios, for 32
lanes, are given with all cells alike and with cells of static CMOS."""
    yield published_costs.model_table(rows)
    yield """\
Rank correlation of the model, in transistors, with the counts (Kendall's tau; in brackets the
middle 95 % when formats are drawn again):"""
    yield "\n".join(_correlations(rows))
    yield """\
The model has every float above its integer in two's complement. Counted, E2My takes fewer
transistors: the model's aligner shifts each product over the whole width of a sum that is rounded,
while an exact product of E2My is shifted by at most four places, once; and its multiplier of
integers knows no signs."""
    yield "Published figures, of other circuits, so only the ranking is compared:"
    yield published_costs.claims_table(rows)
    yield published_costs.areas_table(rows)
    scope = published_costs.areas_agreement(rows)
    yield _filled(f"""\
Rank correlation with FormatScope: {told(scope)}. It adds a
float32 accumulator with rounding to every format, and its cells are of sky130.""")
    yield from _fpga(rows)


def _fpga(rows: Rows) -> Iterator[str]:
    found = points(rows, "normal", "xc7", ITSELF)
    if found:
        best = {source: front(points(rows, source, "xc7", ITSELF)) for source in LAWS}
        names = {source: ", ".join(title(p.fmt) for p in best[source]) for source in LAWS}
        yield f"""\
*Post-Training Quantization with Low-precision Minifloats and Integers on FPGAs* (arXiv 2311.12359),
whose tables are not at hand, concludes that minifloats are more accurate from 4 bits on and
integers often Pareto-optimal in LUTs. Here the fronts in LUT6 are

- on Gaussian data: {names["normal"]}
- on Laplace data: {names["laplace"]}"""


def _correlations(rows: Rows) -> Iterator[str]:
    for target, unit in (("cmos", "transistors"), ("xc7", "LUT6")):
        for within, pairs in ((False, "all pairs of formats"), (True, "pairs within a width")):
            found = published_costs.model_agreement(rows, within=within, target=target)
            if found:
                yield f"- {unit}, {pairs}: {told(found)}"


def told(found: Agreement) -> str:
    """Return a rank correlation as text."""
    return (
        f"{found.tau:.2f} [{found.low:.2f}, {found.high:.2f}], "
        f"{found.same} of {found.pairs} pairs in the same order"
    )


if __name__ == "__main__":
    print(page(), end="")

"""The tables of docs/accuracy_and_cost.md, each of the records of `analysis.hardware`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from analysis.hardware.accumulators import sum_error
from analysis.hardware.circuits import (
    ACCUMULATORS,
    BLOCK,
    BLOCK_FORMATS,
    DOT,
    EXACT,
    FLOAT,
    FLOAT32,
    FORMATS,
    ITSELF,
    LANES,
    NF4,
    PARTS,
    WITH_ACCUMULATORS,
    WITH_FLOATS,
    Job,
)
from analysis.hardware.errors import (
    DATA,
    LAWS,
    MODELS,
    TWOS_COMPLEMENT,
    bits_of,
    decibels,
    loss,
    weight_error,
)
from analysis.hardware.layers import LOSSES_OF, LOSSY
from analysis.hardware.races import RACES, Race, races
from analysis.hardware.shares import shares
from analysis.hardware.tradeoff import INTEGERS, Point, front, of_job, points
from analysis.records import Row, Rows, from_csv
from docs.generators.policies import table
from minifloat.hardware.targets import Target
from paper_figures.cost_plane import encoding, source_title
from paper_figures.style import title

FIGURES = DATA.parents[1] / "figures"
SOURCES = (*LAWS, *MODELS)
SETTINGS = {  # of weights: what they are multiplied by
    "floats": (FLOAT,),
    "8-bit integers": INTEGERS,
    "E4M3": ("e4m3fn",),
    "themselves": (ITSELF,),
}
NO = "-"
FEW = 6  # fewer formats make no front and no ranking


def formats_table(rows: Rows) -> str:
    """Show error and cost of each format."""
    by_setting = {
        (name, target): {p.fmt: p for p in points(rows, "normal", target, *activations)}
        for target in ("cmos", "xc7")
        for name, activations in SETTINGS.items()
    }
    best = {point.fmt for point in front(points(rows, "normal", "cmos", ITSELF))}
    names = [fmt for width in sorted(FORMATS) for fmt in FORMATS[width]]
    lines = []
    for fmt in sorted([*names, *BLOCK_FORMATS], key=bits_of):
        costs = [_cost(by_setting[name, "cmos"].get(fmt), "cmos") for name in SETTINGS]
        costs += [
            _cost(by_setting[name, "xc7"].get(fmt), "xc7")
            for name in ("8-bit integers", "themselves")
        ]
        if any(cost != NO for cost in costs):
            name = f"**{title(fmt)}**" if fmt in best else title(fmt)
            errors = [f"{decibels(weight_error(fmt, source)):.2f}" for source in SOURCES]
            lines.append([f"{bits_of(fmt):g}", name, *errors, *costs])
    head = ["bits", "format", *map(source_title, SOURCES), "decoder", "times INT8", "times E4M3"]
    return table([*head, "itself", "LUT6, times INT8", "LUT6, itself"], lines)


def _cost(point: Point | None, target: str) -> str:
    if point is None:
        return NO
    return f"{point.cost:.0f}" if target == "cmos" else f"{point.cost:.1f}"


def fronts(rows: Rows) -> str:
    """List what no other format beats, for each setting and source."""
    lines = []
    for target, unit in (("cmos", "transistors"), ("xc7", "LUT6")):
        for name, activations in SETTINGS.items():
            for source in SOURCES:
                found = points(rows, source, target, *activations)
                if len(found) >= FEW:
                    best = ", ".join(title(point.fmt) for point in front(found))
                    lines.append([unit, name, source_title(source), best])
    return table(["cost", "times", "data", "the front, cheapest first"], lines)


def races_table(rows: Rows, setting: str) -> str:
    """Show formats against integers of their width."""
    activations = SETTINGS[setting]
    by_source = {s: _by_pair(races(rows, s, "cmos", *activations)) for s in SOURCES}
    luts = {s: _by_pair(races(rows, s, "xc7", *activations)) for s in SOURCES}
    lines = []
    for pair, race in by_source["normal"].items():
        gains = [f"{by_source[source][pair].gain_db:+.2f}" for source in SOURCES]
        known = pair in luts["normal"]
        in_luts = f"{100 * luts['normal'][pair].more:+.0f} %" if known else NO
        verdicts = _verdicts(by_source[source][pair] for source in SOURCES)
        lines.append(
            [
                title(race.fmt),
                encoding(race.rival),
                f"{100 * race.more:+.0f} %",
                in_luts,
                *gains,
                verdicts,
                _verdicts(luts[source][pair] for source in SOURCES) if known else NO,
            ]
        )
    head = ["format", "integer", "transistors", "LUT6"]
    gains = [f"dB, {source_title(source)}" for source in SOURCES]
    return table([*head, *gains, "worth it?", "in LUT6?"], lines)


def _verdicts(found: Iterable[Race]) -> str:
    """Return verdicts as text; one word where all are the same."""
    words = [race.verdict or NO for race in found]
    return ", ".join(words) if len({*words}) > 1 else words[0]


def _by_pair(found: Iterable[Race]) -> dict[tuple[str, str], Race]:
    return {(race.fmt, race.rival): race for race in found}


def leads_table(rows: Rows) -> str:
    """Show for each width the most accurate float, its lead, and what E2My takes more."""
    lines = []
    for width, formats in sorted(FORMATS.items()):
        floats = [fmt for fmt in formats if fmt in RACES and fmt != NF4]
        integer = f"e1m{width - 2}"
        cells = [str(width)]
        for source in SOURCES:
            best = min(floats, key=lambda fmt: weight_error(fmt, source))
            lead = decibels(weight_error(best, source)) - decibels(weight_error(integer, source))
            cells.append(f"{title(best)} {lead:+.2f}")
        for name in ("themselves", "8-bit integers"):
            found = _by_pair(races(rows, "normal", "cmos", *SETTINGS[name]))
            race = found.get((f"e2m{width - 3}", integer))
            cells.append(f"{100 * race.more:+.0f} %" if race else NO)
        lines.append(cells)
    head = ["bits", *(f"{source_title(source)}, dB" for source in SOURCES)]
    return table([*head, "E2My over ±INT, times themselves", "times INT8"], lines)


def losses_table(rows: Rows) -> str:
    """Show MiniLM's loss and what a lane takes."""
    found = {
        name: {p.fmt: p.cost for p in points(rows, "normal", "cmos", *SETTINGS[name])}
        for name in ("8-bit integers", "themselves")
    }
    smollm2 = _nats()
    lines = []
    for fmt in sorted(LOSSY, key=bits_of):
        losses = [loss(fmt, activations) for activations in LOSSES_OF]
        sign = next((name for name, same in TWOS_COMPLEMENT.items() if same == fmt), None)
        cells = [f"{100 * each.mean:.3g} ± {100 * each.standard_error:.1g}" for each in losses]
        nats = smollm2.get(fmt)
        cells.append(f"{np.mean(nats):.3f}" if nats else NO)
        for costs in found.values():
            both = [costs[name] for name in (fmt, sign) if name in costs]
            cells.append(" / ".join(f"{cost:.0f}" for cost in both) or NO)
        lines.append([f"{bits_of(fmt):g}", title(fmt), *cells])
    head = ["bits", "format", "MiniLM, %, times floats", "times INT8", "times themselves"]
    head += ["SmolLM2, nats, times floats"]
    return table([*head, "a lane, times INT8", "a lane, itself (INT / ±INT)"], lines)


def _nats() -> dict[str, list[float]]:
    """Return SmolLM2's loss over fp32 on each text, weights alone, in one grouping."""
    found: dict[str, list[float]] = {}
    for row in from_csv((FIGURES.parent / "data" / "models_one_grouping.csv").read_text("utf-8")):
        if row["model"] == "SmolLM2-135M":
            found.setdefault(row["format"], []).append(row["worse_by"])
    return found


def shares_table(rows: Rows) -> str:
    """Show where the transistors go."""
    lines = []
    for width in sorted(FORMATS):
        for fmt in (fmt for fmt in PARTS if fmt in FORMATS[width]):
            found = shares(rows, fmt)
            if found:
                total = sum(found)
                parts = [f"{part:.0f} ({100 * part / total:.0f} %)" for part in found]
                lines.append([encoding(fmt), *parts, f"{total:.0f}"])
    return table(["format", "decode", "multiply", "align", "tree", "accumulate", "a lane"], lines)


def accumulators_table(rows: Rows, fmt: str = "e4m3fn") -> str:
    """Show what accumulators take, and what those that drop bits lose."""
    taken = of_job(rows)
    lines = []
    rivals = [lane(taken, rival) for rival in ("int8", "e1m6")]
    for name, accumulator in ACCUMULATORS.items():
        row = taken.get(Job(fmt, ITSELF, DOT, name, "cmos"))
        if row is None:
            continue
        cost = row["transistors"] / LANES
        ratios = [NO if other is None else f"{cost / other:.2f}" for other in rivals]
        found = [sum_error(fmt, accumulator, law).mean for law in LAWS]
        errors = [f"{decibels(x):.0f} dB" if x else "nothing" for x in found]
        lines.append([name, str(row["flip_flops"]), f"{cost:.0f}", *ratios, *errors])
    head = ["accumulator", "register, bits", "a lane", "over INT8", "over ±INT8"]
    return table([*head, *(f"sums lose, {source_title(law)}" for law in LAWS)], lines)


def float_sums_table(rows: Rows) -> str:
    """Show what a float32 accumulator takes beside an exact one."""
    taken = of_job(rows)
    lines = []
    for fmt in (*WITH_ACCUMULATORS, *WITH_FLOATS):
        both = [taken.get(Job(fmt, ITSELF, DOT, name, "cmos")) for name in (EXACT, FLOAT32)]
        if all(both):
            exact, rounded = (row["transistors"] / LANES for row in both if row)
            more = f"{100 * (rounded / exact - 1):+.0f} %"
            lines.append([encoding(fmt), f"{exact:.0f}", f"{rounded:.0f}", more])
    return table(["format", "exact, a lane", "float32, a lane", "more"], lines)


def lane(
    taken: dict[Job, Row], name: str, target: Target = "cmos", accumulator: str = EXACT
) -> float | None:
    """Return what a lane of a format, or of a recipe with scales of its own, takes."""
    own = name in BLOCK_FORMATS
    job = Job(name, ITSELF, BLOCK if own else DOT, None if own else accumulator, target)
    row = taken.get(job)
    if row is None:
        return None
    return float(row["transistors" if target == "cmos" else "lut6"] / row["lanes"])


def ratio(
    taken: dict[Job, Row],
    one: str,
    other: str,
    target: Target = "cmos",
    accumulator: str = EXACT,
) -> float | None:
    """Return the cost of a lane of one format over another's; None if not both are counted."""
    costs = [lane(taken, name, target, accumulator) for name in (one, other)]
    return None if costs[0] is None or costs[1] is None else costs[0] / costs[1]


def times(found: float | None) -> str:
    """Return a ratio as text."""
    return NO if found is None else f"{found:.2f}"

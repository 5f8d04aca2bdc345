"""The tables of docs/accuracy_and_cost.md, each of the records of `analysis.hardware`."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from analysis.hardware import circuits, mac_model
from analysis.hardware.circuits import (
    ACCUMULATORS,
    BLOCK,
    BLOCK_FORMATS,
    DOT,
    EXACT,
    FLOAT,
    FORMATS,
    ITSELF,
    LANES,
    NF4,
    PARTS,
    TO_FLOAT,
    Job,
)
from analysis.hardware.cuts import cut_error
from analysis.hardware.errors import (
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
from analysis.hardware.rankings import Agreement, agreement
from analysis.hardware.shares import shares
from analysis.hardware.tradeoff import INTEGERS, Point, front, of_job, points
from analysis.records import Row, Rows
from docs.generators.policies import table
from paper_figures.cost_plane import encoding, kind_of, source_title
from paper_figures.style import title

SOURCES = (*LAWS, *MODELS)
SETTINGS = {  # of weights: what they are multiplied by
    "floats": (FLOAT,),
    "8-bit integers": INTEGERS,
    "E4M3": ("e4m3fn",),
    "themselves": (ITSELF,),
}
NO = "-"
FEW = 6  # fewer formats make no front and no ranking
PAIRS = (  # a float, and the integers of its width in two's complement and in sign and magnitude
    ("e2m0", "int3", "e1m1"),
    ("e2m1", "int4", "e1m2"),
    ("e3m0", "int4", "e1m2"),
    ("e2m2", "int5", "e1m3"),
    ("e3m1", "int5", "e1m3"),
    ("e2m3", "int6", "e1m4"),
    ("e3m2", "int6", "e1m4"),
    ("e2m4", "int7", "e1m5"),
    ("e3m3", "int7", "e1m5"),
    ("e2m5", "int8", "e1m6"),
    ("e3m4", "int8", "e1m6"),
    ("e4m3fn", "int8", "e1m6"),
    ("e5m2", "int8", "e1m6"),
)
FORMATSCOPE = {  # github.com/SiHeonOh/FormatScope 68e835d: dot products of 32, sky130, fastest
    "int4": 27906,
    "mxfp4": 35967,
    "int8": 100177,
    "mxint8": 110692,
    "e4m3fn": 111259,
}
CLAIMS = (  # what is published, its figure, the target, and ratios of a float's cost
    (
        "INT v.s. FP: MXINT8 saves energy over MXFP8",
        "37 %",
        "cmos",
        (("mxfp8e4m3", "mxint8"), ("e4m3fn", "int8"), ("e4m3fn", "e1m6")),
    ),
    (
        "INT v.s. FP: NVINT4 saves energy over NVFP4",
        "38 %",
        "cmos",
        (("e2m1", "int4"), ("e2m1", "e1m2")),
    ),
    ("FormatScope: FP8 takes more area than INT8", "1.11", "cmos", (("e4m3fn", "int8"),)),
    (
        "FP8 versus INT8: FP8 is less efficient",
        "1.5 to 2.8",
        "cmos",
        (("e4m3fn", "int8"), ("e5m2", "int8")),
    ),
    (
        "Damsgaard et al. (TCAD 2025): minifloats take more FPGA resources than integers",
        "1.2 to 2.8",
        "xc7",
        (
            ("e2m1", "int4"),
            ("e2m2", "int5"),
            ("e3m1", "int5"),
            ("e2m3", "int6"),
            ("e3m2", "int6"),
            ("e4m3fn", "int8"),
            ("e5m2", "int8"),
        ),
    ),
)


def formats_table(rows: Rows) -> str:
    """Show error and cost of each format."""
    by_setting = {
        (name, target): {p.fmt: p for p in points(rows, "normal", target, *activations)}
        for target in ("cmos", "xc7")
        for name, activations in SETTINGS.items()
    }
    best = {
        point.fmt
        for name, activations in SETTINGS.items()
        if name == "themselves"
        for point in front(points(rows, "normal", "cmos", *activations))
    }
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
    luts = _by_pair(races(rows, "normal", "xc7", *activations))
    lines = []
    for pair, race in by_source["normal"].items():
        gains = [f"{by_source[source][pair].gain_db:+.2f}" for source in SOURCES]
        verdicts = [by_source[source][pair].verdict or NO for source in SOURCES]
        in_luts = f"{100 * luts[pair].more:+.0f} %" if pair in luts else NO
        lines.append(
            [
                title(race.fmt),
                encoding(race.rival),
                f"{100 * race.more:+.0f} %",
                in_luts,
                *gains,
                ", ".join(verdicts) if len({*verdicts}) > 1 else verdicts[0],
            ]
        )
    head = ["format", "integer", "transistors", "LUT6"]
    gains = [f"dB, {source_title(source)}" for source in SOURCES]
    return table([*head, *gains, "worth it?"], lines)


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
    lines = []
    for fmt in sorted(LOSSY, key=bits_of):
        losses = [loss(fmt, activations) for activations in LOSSES_OF]
        sign = next((name for name, same in TWOS_COMPLEMENT.items() if same == fmt), None)
        cells = [f"{100 * each.mean:.3g} ± {100 * each.standard_error:.1g}" for each in losses]
        for costs in found.values():
            both = [costs[name] for name in (fmt, sign) if name in costs]
            cells.append(" / ".join(f"{cost:.0f}" for cost in both) or NO)
        lines.append([f"{bits_of(fmt):g}", title(fmt), *cells])
    head = ["bits", "format", "loss, %, times floats", "times INT8", "times themselves"]
    return table([*head, "a lane, times INT8", "a lane, itself (INT / ±INT)"], lines)


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
        cut = getattr(accumulator, "cut", 0)
        if name == EXACT:
            errors = ["none"] * len(LAWS)
        elif cut:
            found = [cut_error(fmt, cut, law).mean for law in LAWS]
            errors = [f"{decibels(x):.0f} dB" if x else "none" for x in found]
        else:
            errors = [NO] * len(LAWS)
        lines.append([name, str(row["flip_flops"]), f"{cost:.0f}", *ratios, *errors])
    head = ["accumulator", "register, bits", "a lane", "over INT8", "over ±INT8"]
    return table([*head, *(f"sums lose, {source_title(law)}" for law in LAWS)], lines)


def model_table(rows: Rows) -> str:
    """Show the ratios of the analytic model beside those counted."""
    taken = of_job(rows)
    lines = []
    for fmt, *rivals in PAIRS:
        counted = [ratio(taken, fmt, rival) for rival in rivals]
        if all(found is None for found in counted):
            continue
        alike = sum(mac_model.cells(fmt).values()) / sum(mac_model.cells(rivals[0]).values())
        weighed = mac_model.transistors(fmt) / mac_model.transistors(rivals[0])
        luts = [ratio(taken, fmt, rival, "xc7") for rival in rivals]
        cells = [f"{alike:.2f}", f"{weighed:.2f}", *map(times, counted), *map(times, luts)]
        lines.append([title(fmt), title(rivals[0]), *cells])
    head = ["format", "integer", "model, cells alike", "model, transistors", "counted", "over ±INT"]
    return table([*head, "LUT6, counted", "LUT6, over ±INT"], lines)


def model_agreement(rows: Rows, *, within: bool, target: str) -> Agreement | None:
    """Return how the analytic model ranks formats times themselves, against the counts, if any.

    An integer in sign and magnitude has no model of its own and is left out.
    """
    costs = {
        point.fmt: point.cost
        for point in points(rows, "normal", target, ITSELF)
        if kind_of(point.fmt) in ("ExMy", "integer, two's complement")
    }
    if len(costs) < FEW:
        return None
    modelled = [mac_model.transistors(fmt) for fmt in costs]
    widths = [circuits.format_of(fmt).bits for fmt in costs] if within else None
    return agreement(list(costs.values()), modelled, widths)


def claims_table(rows: Rows) -> str:
    """Show published ratios of costs beside those counted."""
    taken = of_job(rows)
    lines = []
    for claim, published, target, pairs in CLAIMS:
        found = {
            f"{title(one)} / {title(other)}": ratio(taken, one, other, target)
            for one, other in pairs
        }
        known = {name: x for name, x in found.items() if x is not None}
        if known:
            holds = sum(x > 1 for x in known.values())
            verdict = {0: "no", len(known): "yes"}.get(holds, f"{holds} of {len(known)}")
            here = "; ".join(f"{name} {x:.2f}" for name, x in known.items())
            lines.append([claim, published, here, verdict])
    return table(["published", "its figure", "here", "the float takes more"], lines)


def areas_table(rows: Rows) -> str:
    """Show FormatScope's areas beside the transistors of the same formats."""
    taken = of_job(rows)
    lines = []
    for fmt, area in FORMATSCOPE.items():
        found = lane(taken, fmt)
        over = times(ratio(taken, fmt, "int8"))
        cells = [f"{area / FORMATSCOPE['int8']:.2f}", over]
        lines.append([title(fmt), f"{area:,}", *cells, NO if found is None else f"{found:.0f}"])
    head = ["format", "FormatScope, μm²", "over INT8", "here, over INT8", "here, a lane"]
    return table(head, lines)


def areas_agreement(rows: Rows) -> Agreement:
    """Return how FormatScope's areas rank formats, against the counts."""
    taken = of_job(rows)
    found = {fmt: cost for fmt in FORMATSCOPE if (cost := lane(taken, fmt)) is not None}
    return agreement(list(found.values()), [float(FORMATSCOPE[fmt]) for fmt in found])


def lane(taken: dict[Job, Row], name: str, target: str = "cmos") -> float | None:
    """Return what a lane of a format, or of a recipe with scales of its own, takes."""
    unit, accumulator = (BLOCK, None) if name in BLOCK_FORMATS else (DOT, EXACT)
    row = taken.get(Job(name, ITSELF, unit, accumulator, target))
    if row is None:
        return None
    return float(row["transistors" if target == "cmos" else "lut6"] / row["lanes"])


def ratio(taken: dict[Job, Row], one: str, other: str, target: str = "cmos") -> float | None:
    """Return the cost of a lane of one format over another's; None if not both are counted."""
    costs = lane(taken, one, target), lane(taken, other, target)
    return None if costs[0] is None or costs[1] is None else costs[0] / costs[1]


def times(found: float | None) -> str:
    """Return a ratio as text."""
    return NO if found is None else f"{found:.2f}"


def decoders(taken: dict[Job, Row], fmt: str, target: str = "cmos") -> float | None:
    """Return what a decoder to float16 takes."""
    row = taken.get(Job(fmt, FLOAT, TO_FLOAT, None, target))
    return None if row is None else float(row["transistors" if target == "cmos" else "lut6"])


def mean_and_error(values: Iterable[float]) -> str:
    """Return a mean with its standard error over draws."""
    x = np.array(list(values))
    return f"{x.mean():.2f} ± {x.std(ddof=1) / math.sqrt(x.size):.2f}"

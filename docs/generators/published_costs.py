"""Tables of published costs of formats beside those counted."""

from __future__ import annotations

from analysis.hardware import mac_model
from analysis.hardware.circuits import ITSELF, format_of
from analysis.hardware.rankings import Agreement, agreement
from analysis.hardware.tradeoff import of_job, points
from analysis.records import Rows
from docs.generators.cost_tables import FEW, NO, lane, ratio, times
from docs.generators.policies import table
from paper_figures.cost_plane import kind_of
from paper_figures.style import title

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
    widths = [format_of(fmt).bits for fmt in costs] if within else None
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

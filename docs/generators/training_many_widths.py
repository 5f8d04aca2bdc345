"""The part of docs/training.md on one training for many widths: right for some seeds or all."""

from __future__ import annotations

from analysis.records import Rows
from analysis.statistics import Estimate
from analysis.training import many_widths_losses as widths
from analysis.training.samplings import WIDTHS
from docs.generators.policies import table
from docs.generators.training_records import number

INTRO = """\
## One training, many widths

Can one training serve several widths? Weights of 3 to 6 bits are trained together, beside a
*dedicated* run for each width on as many bytes. `shared`: codes of six bits are rounded again to
fewer, integers (`integers`) or E2M3 down to E2M0 (`exmy`), after Double Rounding and arXiv
2502.06786; `low rank`: the same, with two thin matrices for each width; `decoupled`: weights for
each width (both after LLM-QFA, arXiv 2405.20202). In a step all layers have one width (`whole`),
each has its own (`uniform`), or each has one near a mean that moves from few bits to many and back
(`balanced`, LLM-QFA's, whose schedule could not be read: ours).

A width loses, or gains, by the criteria if its difference to the dedicated run with the same seed
is beyond 0.01 and two standard errors over seeds; ± is one. The model has 0.2 million weights and
reads 250,000 bytes. The published methods begin with trained models; these begin with random
weights, so that a width's fewer steps weigh more (`analysis.training.many_widths`)."""
PICTURE = "What each width loses beside its own run"
BARS = "Bars are two standard errors over seeds."
PUBLISHED = (  # by LLM-QFA
    (
        "balanced sampling is better than uniform",
        ("exmy", "shared", "balanced"), ("exmy", "shared", "uniform"),
    ),
    (
        "parts of each width are better than shared weights alone",
        ("exmy", "low rank", "whole"), ("exmy", "shared", "whole"),
    ),
)  # fmt: skip
COMPARED = (
    ("ExMy minus integers", ("exmy", "shared", "whole"), ("integers", "shared", "whole")),
    ("balanced minus uniform, ExMy", ("exmy", "shared", "balanced"), ("exmy", "shared", "uniform")),
    (
        "balanced minus uniform, integers",
        ("integers", "shared", "balanced"), ("integers", "shared", "uniform"),
    ),
    ("low-rank parts minus none", ("exmy", "low rank", "whole"), ("exmy", "shared", "whole")),
    ("decoupled minus shared", ("exmy", "decoupled", "whole"), ("exmy", "shared", "whole")),
)  # fmt: skip


def answer(rows: Rows) -> list[str]:
    """Return the table of what widths lose, and the comparisons of sharing and sampling."""
    found = widths.table(rows)
    lines = []
    for kind in dict.fromkeys((loss.family, loss.sharing, loss.sampling) for loss in found):
        mine = {loss.width: loss for loss in found if (loss[:3]) == kind}
        cells = [
            number(mine[w].loss, mine[w].runs) + "*" * (mine[w].words in ("loses", "gains"))
            if w in mine
            else ""
            for w in WIDTHS
        ]
        lines.append([*kind, *cells])
    if not lines:
        return []
    parts = [
        "By how much a width's loss is above that of its dedicated run, in bits per byte; `*` is "
        "beyond the criteria:",
        table(["formats", "weights", "sampling", *(f"{w} bits" for w in WIDTHS)], lines),
    ]
    compared = [
        f"{name}: {number(mean, 2)} over all widths, {number(low, 2)} at 3 bits"
        for name, one, other in COMPARED
        if (mean := widths.difference(rows, one, other, WIDTHS)) is not None
        and (low := widths.difference(rows, one, other, WIDTHS[:1])) is not None
        and mean.standard_error > 0
    ]
    if compared:
        parts.append("Differences, in bits per byte: " + "; ".join(compared) + ".")
    said = [
        f"{claim}: {verdict(mean)}"
        for claim, one, other in PUBLISHED
        if (mean := widths.difference(rows, one, other, WIDTHS)) is not None
        and mean.standard_error > 0
    ]
    if said:
        parts.append("Published, and what is seen here over all widths: " + "; ".join(said) + ".")
    judged = [loss for loss in found if loss.words]
    if judged:
        parts.append(f"Widths that lose by the criteria: {'; '.join(losing(judged))}.")
    return parts


def losing(found: list[widths.Loss]) -> list[str]:
    """Return, for each kind of shared weights, how many widths lose beside their own runs."""
    kinds = dict.fromkeys((loss.family, loss.sharing) for loss in found)
    texts = []
    for family, sharing in kinds:
        mine = [loss.words for loss in found if (loss.family, loss.sharing) == (family, sharing)]
        texts.append(f"{family}, {sharing}, {mine.count('loses')} of {len(mine)}")
    return texts


def verdict(difference: Estimate) -> str:
    """Return whether a lower loss, which is published, is seen.

    Examples
    --------
    >>> verdict(Estimate(-0.03, 0.01)), verdict(Estimate(0.001, 0.01))
    ('agrees', 'not told apart here')
    """
    if abs(difference.mean) <= 2 * difference.standard_error:
        return "not told apart here"
    return "agrees" if difference.mean < 0 else "the opposite here"

"""The part of docs/training.md on instability: right for some seeds or all."""

from __future__ import annotations

from textwrap import fill

from analysis.records import Rows
from analysis.training import instability_losses as study
from docs.generators.policies import table
from docs.generators.training_records import number, so_far

INTRO = """\
## Which bits of bfloat16 keep training stable

arXiv 2405.18710 states that training becomes unstable if even one bit of bfloat16's exponent is
removed, and less so without bits of its mantissa; and that sharpness shows it before the loss does.
Here both operands of every product are rounded to bfloat16 (E8M7) with bits of either removed,
without scales, at learning rates of 3e-3 and 4 and 16 times as much
(`analysis.training.instability`). The model has 0.2 million weights and reads 125,000 bytes. A run
has *diverged* if a loss or a gradient is not finite, or its last twentieth is 0.5 bits per byte or
more above its lowest one. Brackets are Wilson's intervals of 95 %; ± is one standard error over
seeds, of runs that did not diverge. The last column says "less stable" or "more stable" where the
interval over all rates is above or below that of bfloat16, and nothing where they are not told
apart."""
NOT_YET = (
    "**Not measured yet:** there are no records. `python -m analysis.training instability` makes "
    "them."
)
SHARP = """\
*Sharpness* is the curvature of validation's loss along its gradient after half of the steps, with
products in float32: nats for a step of length 1 in weights, squared. arXiv 2405.18710 measures it
on logits by a formula that could not be read; this one is ours, so only differences here mean
something."""
PICTURE = """\
![Shares of diverged runs, and losses over bfloat16, by bits removed](figures/instability.png)

Bars are Wilson's intervals above, and two standard errors below."""
FAR = """\
The published runs have 10⁸ weights and more and billions of tokens, and ours end after 244 steps;
"about 10 % of seeds in bfloat16 diverge" cannot be tested with five seeds at all. There is no
scaling of the loss here: removing bits of the exponent takes small gradients away, and a run that
learns nothing for that reason is not called diverged, but has a loss far above bfloat16's."""


def section(rows: Rows | None = None) -> str:
    """Return the section.

    Parameters
    ----------
    rows : list of dict, optional
        Default the saved records, if they are there.
    """
    if rows is None:
        rows = so_far("instability")
    return "\n\n".join([INTRO, *(answer(rows) if rows else [NOT_YET]), FAR])


def answer(rows: Rows) -> list[str]:
    """Return what the records say, and what is missing in them."""
    wanted = len(study.cases())
    state = f"Measured: {len(rows)} of {wanted} runs."
    if len(rows) < wanted:
        state += " **The rest is missing**, and error bars of fewer seeds are rough."
    rates = [f"rate x {factor}" for factor in study.FACTORS]
    return [
        state, "Runs that diverged:",
        table(["format", *rates, "all", "beside bfloat16"], shares(rows)),
        fill(kinds(rows), 100), "Validation's loss over that of bfloat16, in bits per byte:",
        table(["format", *rates], means(rows, "validation", excess=True)),
        fill(by_loss(rows), 100), SHARP,
        table(["format", *rates], means(rows, "sharpness", excess=False)), PICTURE,
    ]  # fmt: skip


def shares(rows: Rows) -> list[list[str]]:
    """Return the lines of the table of diverged runs."""
    return [
        [title(name), *(text(study.share(rows, format=name, factor=k)) for k in study.FACTORS),
         text(study.share(rows, format=name)), study.verdict(rows, name)]
        for name in study.FORMATS
    ]  # fmt: skip


def means(rows: Rows, column: str, *, excess: bool) -> list[list[str]]:
    """Return the lines of a table of means."""
    lines = []
    for name in study.FORMATS:
        cells = []
        for factor in study.FACTORS:
            runs = study.share(rows, format=name, factor=factor)
            whole = runs.all - runs.some if runs else 0
            found = study.mean(rows, column, name, factor, excess=excess)
            if found is None:
                cells.append("missing" if runs is None or runs.some < runs.all else "all diverged")
            elif excess:
                cells.append(number(found, whole))
            else:
                cells.append(f"{found.mean:.3g}" + f" ± {found.standard_error:.2g}" * (whole > 1))
        lines.append([title(name), *cells])
    return lines


def kinds(rows: Rows) -> str:
    """Return whether removing exponent destabilises more than removing mantissa."""
    found = study.by_kind(rows)
    if len(found) < 2:
        return "Exponent and mantissa are not compared before both are measured."
    exponent, mantissa = found["exponent"], found["mantissa"]
    said = (
        f"With 1 to 4 bits removed, {text(exponent)} runs diverged where they were the exponent's, "
        f"{text(mantissa)} where they were the mantissa's:"
    )
    if exponent.interval[0] > mantissa.interval[1]:
        return f"{said} **removing exponent is worse**, as published."
    if mantissa.interval[0] > exponent.interval[1]:
        return f"{said} **removing mantissa is worse**, against what is published."
    return f"{said} they are not told apart. Published is that removing exponent is worse."


def by_loss(rows: Rows) -> str:
    """Return where removing exponent costs more than removing mantissa, and where less."""
    found = study.exponent_over_mantissa(rows)
    if not found:
        return "By their losses exponent and mantissa are not compared before two seeds are there."
    more = [case for case, one in found.items() if one.mean > 2 * one.standard_error]
    less = [case for case, one in found.items() if one.mean < -2 * one.standard_error]
    return (
        "By their losses, of runs that did not diverge, removing exponent costs more than removing "
        f"as many bits of the mantissa, by more than two standard errors: {places(more)}. It costs "
        f"less: {places(less)}. (This is no criterion; it was added when the losses were seen.)"
    )


def places(cases: list[tuple[int, int]]) -> str:
    """Return rates, by their factors, and numbers of bits in words.

    Examples
    --------
    >>> places([(1, 3), (1, 4), (4, 4)]), places([])
    ('3 and 4 bits at rate x 1; 4 bits at rate x 4', 'nowhere')
    """
    bits: dict[int, list[str]] = {}
    for factor, count in cases:
        bits.setdefault(factor, []).append(str(count))
    each = [f"{' and '.join(counts)} bits at rate x {k}" for k, counts in bits.items()]
    return "; ".join(each) or "nowhere"


def text(share: study.Share | None) -> str:
    """Return a share with its interval.

    Examples
    --------
    >>> text(study.Share(1, 5)), text(None)
    ('1 of 5 [0.04, 0.62]', 'missing')
    """
    if share is None:
        return "missing"
    low, high = share.interval
    return f"{share.some} of {share.all} [{low:.2f}, {high:.2f}]"


def title(name: str) -> str:
    """Return a format's name as it is written in text.

    Examples
    --------
    >>> title("e8m7"), title("e5m7"), title("float32")
    ('E8M7 (bfloat16)', 'E5M7', 'float32')
    """
    if name == study.PLAIN:
        return name
    return name.upper() + " (bfloat16)" * (name == study.BFLOAT16)

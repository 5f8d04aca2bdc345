"""Records of studies of training as far as there are, and numbers with their errors."""

from __future__ import annotations

from analysis.records import Rows
from analysis.statistics import Estimate
from paper_figures.rows import NotAvailable
from paper_figures.studies import saved


def so_far(study: str) -> Rows:
    """Return the records of a study of `analysis.training`; none where it has no file yet."""
    try:
        return saved(study, "training")
    except NotAvailable:
        return []


def number(mean: Estimate, runs: int, *, sign: bool = True) -> str:
    """Return a mean and its standard error, which a single run does not have.

    Examples
    --------
    >>> number(Estimate(0.01234, 0.001), 5), number(Estimate(0.01234, 0.0), 1)
    ('+0.0123 ± 0.0010', '+0.0123')
    """
    text = f"{mean.mean:+.4f}" if sign else f"{mean.mean:.4f}"
    return text if runs < 2 else f"{text} ± {mean.standard_error:.4f}"

"""The best exponent and mantissa widths for each width of a code, beside the scaling law's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.errors.distributions import Distribution
from analysis.formats.format_comparison import BLOCK_SIZES, SplitError, splits
from analysis.published.scaling_law import FieldWidths, critical_tokens, optimal_fields

WIDTHS = (3, 4, 5, 6, 7, 8)


@dataclass(frozen=True)
class BestSplit:
    """One width: the split with the smallest error, and the scaling law's optimum.

    Attributes
    ----------
    bits : int
        Width of a code: 1 + E + M.
    best_scale : SplitError
        The best split under its best single scale.
    absmax : dict of int to SplitError
        The best split under absmax scaling, by block size.
    law : FieldWidths
        The optimum of the scaling law of arXiv 2501.02423.
    critical_tokens : float
        The law's D_crit for ``law.rounded`` and the given parameters, in tokens.
    """

    bits: int
    best_scale: SplitError
    absmax: dict[int, SplitError]
    law: FieldWidths
    critical_tokens: float


def best_splits(
    widths: Sequence[int] = WIDTHS,
    distribution: Distribution | str = "normal",
    block_sizes: Sequence[int] = BLOCK_SIZES,
    *,
    parameters: float = 1e9,
) -> tuple[BestSplit, ...]:
    """Return the best split of each width, and the scaling law's optimum.

    Both count a sign. They need not agree: the error of trained weights depends on the precision
    where weights are dense, the law on weights, activations and gradients during training.

    Parameters
    ----------
    widths : sequence of int
        3..8.
    distribution : Distribution or str
        Of the weights.
    block_sizes : sequence of int
        For absmax scaling with exact scales.
    parameters : float
        Of the model whose critical number of tokens is given.

    Returns
    -------
    tuple of BestSplit

    Raises
    ------
    ValueError
        As `analysis.formats.format_comparison.splits`.

    Examples
    --------
    >>> from analysis.formats.best_splits import best_splits
    >>> five, = best_splits([5], block_sizes=[16, 128])
    >>> five.best_scale.name, five.absmax[16].name, five.absmax[128].name, five.law.rounded
    ('E2M2', 'E1M3', 'E2M2', (2, 2))
    """
    best = []
    for bits in widths:
        law = optimal_fields(bits)
        best.append(
            BestSplit(
                bits,
                splits(bits, distribution)[0],
                {size: splits(bits, distribution, size)[0] for size in block_sizes},
                law,
                critical_tokens(parameters, *law.rounded),
            )
        )
    return tuple(best)

"""The scaling law of floating-point quantized training (arXiv 2501.02423, ICML 2025).

After training N parameters on D tokens with every operand rounded to ExMy, with one scale for each
B elements, the paper fits the loss, in nats per token,

    L = n / N^alpha + d / D^beta + epsilon
        + (D^beta / N^alpha) log2(B) / (gamma (E + 1/2)^delta (M + 1/2)^nu).

The last term is the cost of the format. It grows with D, so beyond some number of tokens more
tokens raise the loss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# The paper's symbols and the constants that it prints.
N_COEFFICIENT = 69.2343  # n
ALPHA = 0.2368
D_COEFFICIENT = 68973.0621  # d
BETA = 0.5162
EPSILON = 1.9061  # nats per token
GAMMA = 11334.5197
DELTA = 3.1926
NU = 2.9543


@dataclass(frozen=True)
class FieldWidths:
    """The widths with the smallest loss at a number of bits, real and as the paper rounds them.

    Attributes
    ----------
    bits : int
        P, in all: 1 + E + M.
    exponent_bits, mantissa_bits : float
        E_opt and M_opt, where the law's derivative vanishes.
    """

    bits: int
    exponent_bits: float
    mantissa_bits: float

    @property
    def rounded(self) -> tuple[int, int]:
        """E and M rounded to whole bits; they add up to ``bits - 1``."""
        return round(self.exponent_bits), round(self.mantissa_bits)


def training_loss(
    parameters: float,
    tokens: float,
    exponent_bits: float,
    mantissa_bits: float,
    *,
    block_size: float = 128,
) -> float:
    """Return the loss after training, by the law.

    Parameters
    ----------
    parameters, tokens : float
        N and D, positive.
    exponent_bits, mantissa_bits : float
        E and M, at least 0.
    block_size : float
        B, elements that share a scale, at least 1. A scale per channel counts as ``2**13.1567``.

    Returns
    -------
    float
        L, nats per token.

    Raises
    ------
    ValueError
        If an argument is out of range.

    References
    ----------
    arXiv 2501.02423, the joint scaling law.

    Examples
    --------
    >>> from analysis.published.scaling_law import training_loss
    >>> round(training_loss(1e9, 1e11, 4, 3), 3), round(training_loss(1e9, 1e11, 2, 1), 3)
    (2.563, 2.598)
    """
    capacity = _capacity(exponent_bits, mantissa_bits)
    _check_positive("parameters", parameters)
    _check_positive("tokens", tokens)
    _check_block_size(block_size)
    size, data = parameters**ALPHA, tokens**BETA
    precision = data / size * math.log2(block_size) / (GAMMA * capacity)
    return float(N_COEFFICIENT / size + D_COEFFICIENT / data + EPSILON + precision)


def optimal_fields(bits: int) -> FieldWidths:
    """Return the exponent and mantissa widths with the smallest loss among those of ``bits`` bits.

    Parameters
    ----------
    bits : int
        P, at least 2.

    Returns
    -------
    FieldWidths

    Raises
    ------
    ValueError
        If ``bits`` is below 2.

    Notes
    -----
    With E + M + 1 = P the two brackets add up to P, and the product of their powers delta and nu is
    largest if they share P in that ratio: E_opt = delta P / (delta + nu) - 1/2,
    M_opt = nu P / (delta + nu) - 1/2.

    References
    ----------
    arXiv 2501.02423, the optimal layout of the float.

    Examples
    --------
    >>> from analysis.published.scaling_law import optimal_fields
    >>> optimal_fields(5).rounded, optimal_fields(8).rounded
    ((2, 2), (4, 3))
    """
    if bits < 2:
        raise ValueError(f"bits must be at least 2 (a sign and one more), got {bits}")
    share = bits / (DELTA + NU)
    return FieldWidths(bits, DELTA * share - 0.5, NU * share - 0.5)


def critical_tokens(
    parameters: float, exponent_bits: float, mantissa_bits: float, *, block_size: float = 128
) -> float:
    """Return the number of tokens beyond which more training data raise the loss.

    Parameters
    ----------
    parameters : float
        N, positive.
    exponent_bits, mantissa_bits : float
        E and M, at least 0.
    block_size : float
        B, elements that share a scale, more than 1. The paper's printed figures follow from 128.

    Returns
    -------
    float
        D_crit, tokens.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Notes
    -----
    dL/dD = 0 at D = [d gamma N^alpha (E + 1/2)^delta (M + 1/2)^nu / log2 B]^(1 / (2 beta)).

    References
    ----------
    arXiv 2501.02423, the critical data size.

    Examples
    --------
    >>> from analysis.published.scaling_law import critical_tokens
    >>> f"{critical_tokens(1e9, 2, 2):.2g} tokens"
    '1.7e+12 tokens'
    """
    capacity = _capacity(exponent_bits, mantissa_bits)
    _check_positive("parameters", parameters)
    _check_block_size(block_size)
    if block_size == 1:
        raise ValueError("block_size must be more than 1, got 1: no precision is lost there")
    power = D_COEFFICIENT * GAMMA * parameters**ALPHA * capacity / math.log2(block_size)
    return float(power ** (1 / (2 * BETA)))


def _capacity(exponent_bits: float, mantissa_bits: float) -> float:
    """Return the law's factor of the format: (E + 1/2)^delta (M + 1/2)^nu."""
    for name, value in (("exponent_bits", exponent_bits), ("mantissa_bits", mantissa_bits)):
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be at least 0 and finite, got {value}")
    return float((exponent_bits + 0.5) ** DELTA * (mantissa_bits + 0.5) ** NU)


def _check_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be positive and finite, got {value}")


def _check_block_size(block_size: float) -> None:
    if not 1 <= block_size < math.inf:
        raise ValueError(f"block_size must be at least 1 and finite, got {block_size}")

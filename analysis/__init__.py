"""Studies on top of `minifloat`: what formats lose, in closed form and on real weights.

>>> from analysis import expected_mse, optimal_scale
>>> scale, mse = optimal_scale("e2m2", "normal")
>>> f"{scale:.4f} {mse:.6f}"
'0.4828 0.003256'
"""

from analysis.absmax_error import absmax_mse, absmax_mse_at
from analysis.distributions import Distribution, Empirical, parse_distribution
from analysis.expected_error import code_entropy, expected_mse, optimal_scale

__all__ = [
    "Distribution",
    "Empirical",
    "absmax_mse",
    "absmax_mse_at",
    "code_entropy",
    "expected_mse",
    "optimal_scale",
    "parse_distribution",
]

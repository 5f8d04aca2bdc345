"""Studies on top of `minifloat`: quantization errors of formats, exact and on real weights.

>>> from analysis import expected_mse, optimal_scale
>>> scale, mse = optimal_scale("e2m2", "normal")
>>> f"{scale:.4f} {mse:.6f}"
'0.4828 0.003256'

It comes with a checkout, in whose root Python finds it, and not with a wheel. Distributions
have variance 1. A name is loaded on its first use, since SciPy takes a second to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

_HOME = {
    "Distribution": "errors.distributions",
    "Empirical": "errors.empirical",
    "parse_distribution": "errors.distributions",
    "code_entropy": "errors.expected_error",
    "expected_mse": "errors.expected_error",
    "optimal_scale": "errors.expected_error",
    "AdaptiveError": "errors.adaptive_error",
    "adaptive_mse": "errors.adaptive_error",
    "absmax_mse": "errors.absmax_error",
    "absmax_mse_at": "errors.absmax_error",
    "absmax_mse_of_weights": "errors.empirical",
    "range_mse": "errors.range_error",
    "signed_absmax_mse": "errors.signed_absmax",
}

if TYPE_CHECKING:
    from analysis.errors.absmax_error import absmax_mse, absmax_mse_at
    from analysis.errors.adaptive_error import AdaptiveError, adaptive_mse
    from analysis.errors.distributions import Distribution, parse_distribution
    from analysis.errors.empirical import Empirical, absmax_mse_of_weights
    from analysis.errors.expected_error import code_entropy, expected_mse, optimal_scale
    from analysis.errors.range_error import range_mse
    from analysis.errors.signed_absmax import signed_absmax_mse

__all__ = [
    "AdaptiveError",
    "Distribution",
    "Empirical",
    "absmax_mse",
    "absmax_mse_at",
    "absmax_mse_of_weights",
    "adaptive_mse",
    "code_entropy",
    "expected_mse",
    "optimal_scale",
    "parse_distribution",
    "range_mse",
    "signed_absmax_mse",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'analysis' has no attribute {name!r}")
    value = getattr(import_module(f"analysis.{_HOME[name]}"), name)
    globals()[name] = value
    return value

"""P3109's operations on formats (4.14), by their names."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from minifloat.arithmetic.operations.results import Fmt
from minifloat.arithmetic.p3109.external import External, target_of
from minifloat.arithmetic.p3109.names import named
from minifloat.formats import Format, NumberFormat

Property = int | float | str


def _signedness(fmt: Format) -> str:
    return "Signed" if fmt.signed else "Unsigned"


def _domain(fmt: Format) -> str:
    return "Extended" if fmt.has_inf else "Finite"


def _max_subnormal(fmt: Format) -> float:
    has_some = fmt.smallest < fmt.min_normal
    return fmt.min_normal - fmt.smallest if has_some else math.nan


OF_FORMATS: Mapping[str, Callable[[Format], Property]] = {
    "BitwidthOf": lambda fmt: fmt.bits,
    "PrecisionOf": lambda fmt: fmt.precision,
    "SignednessOf": _signedness,
    "DomainOf": _domain,
    "ExponentBitwidthOf": lambda fmt: fmt.exponent_bits,
    "TrailingSignificandBitwidthOf": lambda fmt: fmt.mantissa_bits,
    "ExponentBiasOf": lambda fmt: fmt.bias,
    "MaxFiniteOf": lambda fmt: fmt.max,
    "MinFiniteOf": lambda fmt: fmt.min,
    "MinPositiveOf": lambda fmt: fmt.smallest,
    "MaxSubnormalOf": _max_subnormal,
    "MinNormalOf": lambda fmt: fmt.min_normal,
}
OF_EXTERNALS: Mapping[str, Callable[[External], Property]] = {
    "BitwidthOf": lambda fmt: fmt.bits,
    "PrecisionOf": lambda fmt: fmt.precision,
    "SignednessOf": lambda _: "Signed",
    "DomainOf": lambda _: "Extended",
    "ExponentBitwidthOf": lambda fmt: fmt.bits - fmt.precision,
    "TrailingSignificandBitwidthOf": lambda fmt: fmt.precision - 1,
    "ExponentBiasOf": lambda fmt: fmt.bias,
    "MaxFiniteOf": lambda fmt: fmt.max,
    "MinFiniteOf": lambda fmt: -fmt.max,
    "MinPositiveOf": lambda fmt: float(np.finfo(fmt.dtype).smallest_subnormal),
    "MaxSubnormalOf": lambda fmt: math.ldexp(1 - 2.0 ** (1 - fmt.precision), 1 - fmt.bias),
    "MinNormalOf": lambda fmt: math.ldexp(1.0, 1 - fmt.bias),
}


def property_of(name: str, fmt: Fmt) -> Property:
    """Return what a format-level operation says of a format.

    Parameters
    ----------
    name : str
        One of BitwidthOf, PrecisionOf, SignednessOf, DomainOf, ExponentBitwidthOf,
        TrailingSignificandBitwidthOf, ExponentBiasOf, MaxFiniteOf, MinFiniteOf, MinPositiveOf,
        MaxSubnormalOf and MinNormalOf.
    fmt : format or str
        An ExMy format, as P3109's, binary16 and BFloat16 are, or binary32 or binary64.

    Returns
    -------
    int, float or str
        An integer for bits and biases, ``"Signed"`` or ``"Unsigned"``, ``"Extended"`` or
        ``"Finite"``, and a value of the format otherwise: NaN for the largest subnormal if there is
        none.

    Raises
    ------
    ValueError
        If there is no such operation, or ``fmt`` is a codebook or an integer.

    Examples
    --------
    >>> from minifloat.arithmetic import p3109
    >>> p3109.property_of("ExponentBiasOf", "binary8p3se")
    16
    >>> p3109.property_of("DomainOf", "binary32")
    'Extended'
    """
    of_format = named("name", name, OF_FORMATS)
    target: NumberFormat | External = target_of(fmt)
    if isinstance(target, External):
        return OF_EXTERNALS[name](target)
    if not isinstance(target, Format):
        raise ValueError(f"fmt must be an ExMy format for {name}, got {target.name}")
    return of_format(target)

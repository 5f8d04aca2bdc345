"""Published codebooks: their values, by name, in the order of their codes.

`minifloat.formats.catalogue` makes formats of them and says where each was published.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable


def bipolar_values(bits: int) -> tuple[float, ...]:
    """Return the values of a bipolar integer: bit i means +2**i or -2**i.

    Examples
    --------
    >>> bipolar_values(2)
    (-3.0, -1.0, 1.0, 3.0)
    """
    return tuple(float(2 * code - (2**bits - 1)) for code in range(2**bits))


def power_of_two_values(bits: int) -> tuple[float, ...]:
    """Return 0 and plus or minus a power of two, from 1 on, in ascending order.

    As in the code of APoT, `apot_values`, which compares itself with them.

    Examples
    --------
    >>> power_of_two_values(3)
    (-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0)
    """
    return _sums_of_powers(range(2 ** (bits - 1) - 1))


def two_powers_values(bits: int) -> tuple[float, ...]:
    """Return the values of SP2, plus or minus a sum of at most two powers of two, ascending.

    Chang et al., "Mix and Match", arXiv 2012.04240, by its formula alone: no code was found.
    One bit is the sign; ``bits / 2`` bits choose the first power or none, the others the second.
    The width is even: in an odd one the two powers would have the same choices.

    Examples
    --------
    >>> two_powers_values(4)[6:]
    (0.0, 1.0, 2.0, 4.0, 5.0, 6.0, 8.0)
    """
    first, second = bits // 2, bits // 2 - 1
    return _sums_of_powers(range(1, 2**first), range(1, 2**second))


def apot_values(bits: int) -> tuple[float, ...]:
    """Return the values of APoT, additive powers of two, in ascending order.

    Li et al., arXiv 1909.13144, by the code of its authors (yhhhli/APoT_Quantization, commit
    c31dd73, ``build_power_value`` with a bit less, for the sign), where the largest value is 1.

    Examples
    --------
    >>> apot_values(4)[7:]
    (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0)
    """
    return _sums_of_powers(*APOT_EXPONENTS[bits])


def _sums_of_powers(*terms: Iterable[int]) -> tuple[float, ...]:
    """Return plus or minus the sums of at most one ``2**-exponent`` of each term.

    They are multiplied by the power of two that makes the smallest one 1.
    """
    choices = [[None, *exponents] for exponents in terms]
    last = max(e for exponents in choices for e in exponents if e is not None)
    sums = {
        sum(2 ** (last - e) for e in chosen if e is not None)
        for chosen in itertools.product(*choices)
    }
    return tuple(float(value) for value in sorted(sums | {-value for value in sums}))


def _float32(values: Iterable[float]) -> tuple[float, ...]:
    """Round published decimals to float32, as their implementations do."""
    return tuple(struct.unpack("<f", struct.pack("<f", value))[0] for value in values)


# fmt: off
NF4_VALUES = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
    -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)
AF4_VALUES = (
    -1.0, -0.69441008, -0.51243739, -0.3736951, -0.25607552, -0.14982478, -0.04934812, 0.0,
    0.04273164, 0.12934483, 0.21961274, 0.31675666, 0.42563882, 0.55496234, 0.72424863, 1.0,
)
AF4_32_VALUES = (
    -1.0, -0.72380075, -0.54068711, -0.3963985, -0.2723577, -0.15956821, -0.05258802, 0.0,
    0.04554747, 0.13780891, 0.23375854, 0.33656744, 0.4508456, 0.58437857, 0.75299116, 1.0,
)
SF4_VALUES = (
    -1.0, -0.627781, -0.454736, -0.334331, -0.237434, -0.152899, -0.074982, 0.0,
    0.065513, 0.132965, 0.204661, 0.283835, 0.375805, 0.491076, 0.656781, 1.0,
)
NF5_VALUES = (
    -1.0, -0.8258410692214966, -0.7102505564689636, -0.6202539205551147,
    -0.5447700619697571, -0.4786291718482971, -0.4189668893814087, -0.36401233077049255,
    -0.3125815987586975, -0.26383399963378906, -0.21714182198047638, -0.17201533913612366,
    -0.12805640697479248, -0.08492807298898697, -0.04233347252011299, 0.0,
    0.039682723581790924, 0.07958032935857773, 0.11991596966981888, 0.16093017160892487,
    0.20289181172847748, 0.24611228704452515, 0.2909652590751648, 0.33791518211364746,
    0.3875614404678345, 0.44070979952812195, 0.4984961152076721, 0.5626169443130493,
    0.6358054280281067, 0.7229567170143127, 0.8344157934188843, 1.0,
)
BNB_FP4_TWELFTHS = (0, 0.0625, 8, 12, 4, 6, 2, 3, -0.0, -0.0625, -8, -12, -4, -6, -2, -3)
# By the bits of a code, sign included: the exponents of each power, which may also be left out.
APOT_EXPONENTS: dict[int, tuple[tuple[int, ...], ...]] = {
    3: ((1, 2, 3),),
    4: ((1, 2, 4), (3,)),
    5: ((1, 3, 5), (2, 4, 6)),
    6: ((1, 3, 6), (2, 4, 7), (5,)),
    7: ((1, 4, 7), (2, 5, 8), (3, 6, 9)),
}
# fmt: on

PUBLISHED: dict[str, tuple[float, ...]] = {
    "mxint8": tuple(code / 64 for code in (*range(128), *range(-128, 0))),
    "nf4": _float32(NF4_VALUES),
    "nf5": _float32(NF5_VALUES),
    "af4": _float32(AF4_VALUES),
    "af4_32": _float32(AF4_32_VALUES),
    "sf4": _float32(SF4_VALUES),
    "bnb_fp4": _float32(value / 12 for value in BNB_FP4_TWELFTHS),
    **{f"bipolar_int{bits}": bipolar_values(bits) for bits in range(1, 9)},
    **{f"pot{bits}": power_of_two_values(bits) for bits in range(2, 9)},
    **{f"sp2_{bits}": two_powers_values(bits) for bits in (4, 6, 8)},
    **{f"apot{bits}": apot_values(bits) for bits in APOT_EXPONENTS},
}

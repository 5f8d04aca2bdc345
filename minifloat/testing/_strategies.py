"""Random formats, codes and numbers: a seeded generator and hypothesis strategies.

Give properties that call the library ``@settings(deadline=None)``: the call in which its loops are
compiled or loaded takes longer than the 200 ms that hypothesis allows.
"""

from __future__ import annotations

from fractions import Fraction
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from minifloat.formats import Codebook, Format, Integer, NumberFormat, Specials
from minifloat.formats.catalogue import CATALOGUE
from minifloat.formats.names import parse
from minifloat.testing._meaning import ends, power_of_two
from minifloat.testing._points import FloatOrder, landmarks, middles, to_float

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Width: TypeAlias = Literal[16, 32, 64]


def random_formats(rng: np.random.Generator, count: int, *, max_bits: int = 8) -> list[Format]:
    """Return different ExMy formats with random widths, biases, signs, subnormals and specials.

    Parameters
    ----------
    rng : numpy.random.Generator
    count : int
    max_bits : int
        3 to 16.

    Returns
    -------
    list of Format

    Raises
    ------
    ValueError
        If ``max_bits`` is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from minifloat.testing import random_formats
    >>> len(random_formats(np.random.default_rng(1), 5))
    5
    """
    if not 3 <= max_bits <= 16:
        raise ValueError(f"max_bits must be in 3..16, got {max_bits}")
    formats: dict[Format, None] = {}
    while len(formats) < count:
        exponent_bits = int(rng.integers(1, min(max_bits, 8) + 1))
        mantissa_bits = int(rng.integers(0, max_bits))
        usual = 2 ** (exponent_bits - 1) - 1
        try:
            fmt = Format(
                exponent_bits,
                mantissa_bits,
                bias=usual + int(rng.choice([0, 0, 1, -1, int(rng.integers(-40, 40))])),
                signed=bool(rng.random() < 0.7),
                subnormals=bool(rng.random() < 0.75),
                specials=Specials(rng.choice(list(Specials))),
            )
        except ValueError:
            continue  # too wide, or without a positive value
        if fmt.bits <= max_bits:
            formats[fmt] = None
    return list(formats)


def _need_hypothesis() -> None:
    if find_spec("hypothesis") is None:
        raise ImportError(
            "the strategies of minifloat.testing need the package hypothesis; "
            'pip install "minifloat[testing]"'
        )


def formats(*, max_bits: int = 16) -> SearchStrategy[NumberFormat]:
    """Return a hypothesis strategy for formats: catalogue, ExMy, Integer and Codebook.

    Parameters
    ----------
    max_bits : int
        Largest width of a code, 3 to 16 (TF32, with 19 bits, is left out).

    Returns
    -------
    SearchStrategy

    Raises
    ------
    ImportError
        If hypothesis is not installed.

    Examples
    --------
    >>> from hypothesis import given
    >>> from minifloat.testing import formats
    >>> @given(formats(max_bits=8))
    ... def test_width(fmt):
    ...     assert fmt.bits <= 8
    >>> test_width()
    """
    _need_hypothesis()
    from hypothesis import strategies as st

    named = [fmt for fmt in CATALOGUE.values() if fmt.bits <= max_bits]
    integers = st.builds(Integer, st.integers(2, max_bits), st.booleans(), st.booleans())
    numbers = st.floats(-(2.0**64), 2.0**64).map(lambda v: v + 0.0 if abs(v) > 2.0**-64 else 0.0)
    codebooks = st.lists(numbers, min_size=2, max_size=min(2**max_bits, 40), unique=True)
    return st.one_of(
        st.sampled_from(named),
        _exmy(max_bits),
        integers,
        codebooks.map(Codebook),
    )


def _exmy(max_bits: int) -> SearchStrategy[Format]:
    from hypothesis import strategies as st

    @st.composite
    def draw_format(draw: st.DrawFn) -> Format:
        signed = draw(st.booleans())
        exponent_bits = draw(st.integers(1, min(max_bits - signed, 10)))
        mantissa_bits = draw(st.integers(0, max_bits - signed - exponent_bits))
        subnormals = draw(st.booleans())
        specials = draw(st.sampled_from(Specials))
        # every bias with which the last bit and the largest value are float64 values
        low, high = 2**exponent_bits - 1023, 1074 - mantissa_bits
        usual = 2 ** (exponent_bits - 1) - 1
        bias = draw(st.just(usual) | st.integers(low, high))
        try:
            return Format(
                exponent_bits,
                mantissa_bits,
                bias=bias,
                signed=signed,
                subnormals=subnormals,
                specials=specials,
            )
        except ValueError:  # an unsigned FNUZ, or no positive value
            return Format(exponent_bits, mantissa_bits, bias=bias, signed=signed)

    return draw_format()


def codes(fmt: NumberFormat | str) -> SearchStrategy[int]:
    """Return a hypothesis strategy for the codes of a format, with NaN codes, without unused ones.

    Parameters
    ----------
    fmt : format or str

    Returns
    -------
    SearchStrategy

    Raises
    ------
    ImportError
        If hypothesis is not installed.

    Examples
    --------
    >>> from hypothesis import given
    >>> from minifloat.testing import codes
    >>> @given(codes("int4"))
    ... def test_code(code):
    ...     assert 0 <= code < 16 and code != 8
    >>> test_code()
    """
    _need_hypothesis()
    from hypothesis import strategies as st

    fmt = parse(fmt)
    unused = 2 ** (fmt.bits - 1) if isinstance(fmt, Integer) and fmt.symmetric else None
    return st.integers(0, fmt.code_count - 1).filter(lambda code: code != unused)


def values(
    fmt: NumberFormat | str, *, width: Width = 64, nan: bool = False
) -> SearchStrategy[float]:
    """Return a hypothesis strategy for floats that test a format well.

    They are the values of the format, floats near its ties, floats near powers of two, floats of
    about its range, and arbitrary floats with infinities.

    Parameters
    ----------
    fmt : format or str
    width : int
        16, 32 or 64; each number is a float of this width.
    nan : bool
        Whether NaN may be drawn.

    Returns
    -------
    SearchStrategy

    Raises
    ------
    ImportError
        If hypothesis is not installed.
    ValueError
        If ``width`` is not 16, 32 or 64.

    Examples
    --------
    >>> import numpy as np
    >>> from hypothesis import given
    >>> from minifloat.testing import values
    >>> @given(values("e4m3fn", width=32))
    ... def test_value(x):
    ...     assert np.float32(x) == x
    >>> test_value()
    """
    _need_hypothesis()
    from hypothesis import strategies as st

    fmt, dtype = parse(fmt), _dtype_of_width(width)
    limits = ends(fmt)
    span = min(2 * max(-limits.lowest, limits.largest), float(np.finfo(dtype).max))
    span = float(np.nextafter(dtype.type(span), dtype.type(0)))
    anything = st.floats(width=width, allow_nan=nan)
    inside = st.floats(-span, span, width=width)
    return st.one_of(
        _around(st.sampled_from(landmarks(fmt)), dtype),
        near_ties(fmt, width=width),
        _around(st.integers(-1074, 1023).map(power_of_two), dtype),
        inside,
        anything,
    )


def near_ties(fmt: NumberFormat | str, *, width: Width = 64) -> SearchStrategy[float]:
    """Return a hypothesis strategy for floats at or near the midpoint of two values.

    Parameters
    ----------
    fmt : format or str
    width : int
        16, 32 or 64; each number is a float of this width, at most two units in its last place away
        from the midpoint.

    Returns
    -------
    SearchStrategy

    Raises
    ------
    ImportError
        If hypothesis is not installed.
    ValueError
        If ``width`` is not 16, 32 or 64.

    Examples
    --------
    >>> from hypothesis import given
    >>> from minifloat.testing import near_ties
    >>> @given(near_ties("int4"))
    ... def test_tie(x):
    ...     assert abs(abs(x) % 1 - 0.5) < 1e-14
    >>> test_tie()
    """
    _need_hypothesis()
    from hypothesis import strategies as st

    fmt, dtype = parse(fmt), _dtype_of_width(width)
    return _around(st.sampled_from(middles(fmt)), dtype)


def _around(exact: SearchStrategy[Fraction], dtype: np.dtype[Any]) -> SearchStrategy[float]:
    """Return a strategy for finite floats within two units in the last place of a number."""
    from hypothesis import strategies as st

    order = FloatOrder(dtype)

    def move(value: Fraction, steps: int, sign: int) -> float:
        with np.errstate(over="ignore"):
            start = np.array([to_float(sign * value)], np.float64).astype(dtype)
        keys = np.clip(order.keys(start) + steps, order.first + 1, order.last - 1)
        return float(order.floats(keys)[0])

    return st.builds(move, exact, st.integers(-2, 2), st.sampled_from((1, -1)))


def _dtype_of_width(width: Width) -> np.dtype[Any]:
    if width not in (16, 32, 64):
        raise ValueError(f"width must be 16, 32 or 64, got {width}")
    return np.dtype(f"f{width // 8}")

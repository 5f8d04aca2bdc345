"""Compare units that compute with codes with the oracle: `check_multiplier`, `check_adder` ..."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minifloat.formats import NumberFormat
from minifloat.formats.rounding import (
    NaNPolicy,
    Overflow,
    OverflowLike,
    Rounding,
    RoundingLike,
    choose,
)
from minifloat.testing._calls import UnderTest, listed, under_test
from minifloat.testing._checks import with_one_nan
from minifloat.testing._inputs import Inputs, inputs_of
from minifloat.testing._meaning import exact_decode
from minifloat.testing._operations import NO_CODE, PORTS, Operation, operation, rounded
from minifloat.testing._oracle import code_dtype

Unit: TypeAlias = Callable[..., Any]

DETERMINISTIC = tuple(mode for mode in Rounding if not mode.is_stochastic)
MAX_SHOWN = 8
MAX_RAISING = 16
WORD = 64


def check_multiplier(
    multiply: Unit,
    fmt: NumberFormat | str,
    *,
    other: NumberFormat | str | None = None,
    output: NumberFormat | str | None = None,
    roundings: Iterable[RoundingLike] = DETERMINISTIC,
    overflows: Iterable[OverflowLike] = Overflow,
) -> int:
    """Compare a multiplier of codes with the oracle, at the inputs of `vectors`.

    Parameters
    ----------
    multiply : callable
        Your function of two arrays of codes, which returns an array of codes: ``f(a, b)``,
        ``f(a, b, fmt)``, or with the options ``rounding`` and ``overflow`` too. It is given those
        that its signature has. Without them, name the one mode or policy that it has. Or a function
        of a `ctypes.CDLL`, which fills ``codes``:
        ``void f(const uint8_t *a, const uint8_t *b, uint8_t *codes, size_t n)``. Codes are uint16
        in formats of 9 to 16 bits, uint32 in wider ones.
    fmt : format or str
        Of the codes that it takes.
    other : format or str, optional
        Of the codes ``b``. Default: ``fmt``.
    output : format or str, optional
        Of the codes that it returns. Default: ``fmt``. "exact": it returns exact results as int64,
        in the unit that `vectors` says; modes and policies do not matter then.
    roundings, overflows : iterable of Rounding, of Overflow
        No stochastic modes.

    Returns
    -------
    int
        The number of results compared. Results of NaN are left out where the output has none.

    Raises
    ------
    AssertionError
        At the first mode and policy where a result differs, or where the function does not raise
        ValueError exactly when ``Overflow.RAISE`` demands it. The message shows the first eight
        wrong inputs with their bits and values. Any NaN is right for a NaN.
    TypeError
        If the function lacks the argument for one of several modes or policies, or needs others.
    ValueError
        If an option has no such value, or exact results have more than 64 bits.

    Examples
    --------
    >>> import numpy as np
    >>> from minifloat.testing import check_multiplier
    >>> def int4(a, b):
    ...     a, b = ((codes.astype(np.int8) << 4) >> 4 for codes in (a, b))
    ...     return np.clip(a * b, -7, 7).astype(np.uint8) & 15
    >>> check_multiplier(int4, "int4", roundings=["nearest_even"], overflows=["saturate"])
    225
    """
    return _check(
        "multiply",
        multiply,
        operation("multiplier", fmt, other, output, None),
        roundings,
        overflows,
    )


def check_adder(
    add: Unit,
    fmt: NumberFormat | str,
    *,
    other: NumberFormat | str | None = None,
    output: NumberFormat | str | None = None,
    roundings: Iterable[RoundingLike] = DETERMINISTIC,
    overflows: Iterable[OverflowLike] = Overflow,
) -> int:
    """Compare an adder of two codes with the oracle; arguments as for `check_multiplier`.

    Examples
    --------
    >>> import minifloat as mf
    >>> from minifloat import arithmetic
    >>> from minifloat.testing import check_adder
    >>> def add(a, b, fmt, *, rounding):
    ...     sums = arithmetic.add(mf.decode(a, fmt), mf.decode(b, fmt), fmt, rounding=rounding)
    ...     return mf.encode(sums, fmt)
    >>> check_adder(add, "e2m1", overflows=["saturate"])
    2304
    """
    return _check("add", add, operation("add", fmt, other, output, None), roundings, overflows)


def check_fma(
    fma: Unit,
    fmt: NumberFormat | str,
    *,
    other: NumberFormat | str | None = None,
    output: NumberFormat | str | None = None,
    roundings: Iterable[RoundingLike] = DETERMINISTIC,
    overflows: Iterable[OverflowLike] = Overflow,
) -> int:
    """Compare a fused multiply-add with the oracle, a b + c rounded once.

    It takes three arrays, ``f(a, b, c)``; ``c`` has codes of ``output``, of ``fmt`` if that is
    exact. Other arguments are as for `check_multiplier`.
    """
    return _check("fma", fma, operation("fma", fmt, other, output, None), roundings, overflows)


def check_dot(
    dot: Unit,
    fmt: NumberFormat | str,
    *,
    lanes: int = 16,
    other: NumberFormat | str | None = None,
    output: NumberFormat | str | None = None,
    roundings: Iterable[RoundingLike] = DETERMINISTIC,
    overflows: Iterable[OverflowLike] = Overflow,
) -> int:
    """Compare dot products with the oracle: products added exactly, and rounded once.

    The function takes two arrays of shape (n, ``lanes``) and returns n results. Other arguments
    are as for `check_multiplier`; n is the last argument of a function of C.

    Examples
    --------
    >>> import numpy as np
    >>> from minifloat.testing import check_dot
    >>> def int8(a, b):
    ...     return np.sum(a.view(np.int8).astype(np.int64) * b.view(np.int8), axis=1)
    >>> check_dot(int8, "int8", lanes=4, output="exact") > 3000
    True
    """
    return _check("dot", dot, operation("dot", fmt, other, output, lanes), roundings, overflows)


def _check(
    name: str,
    function: Unit,
    checked: Operation,
    roundings: Iterable[RoundingLike],
    overflows: Iterable[OverflowLike],
) -> int:
    modes = [choose(Rounding, "roundings", mode) for mode in listed("roundings", roundings)]
    policies = [choose(Overflow, "overflows", policy) for policy in listed("overflows", overflows)]
    for mode in modes:
        if mode.is_stochastic:
            raise ValueError(f"roundings must be modes without random bits, got {mode}")
    tested = under_test(function, name, ("rounding", "overflow"), PORTS[checked.unit][:-1])
    if checked.output is None:
        return _check_exact(tested, checked)
    tested.check_choices(name, modes, policies)
    inputs, compared = inputs_of(checked), 0
    for rounding in modes:
        results = checked.results(inputs, downward=rounding is Rounding.DOWNWARD)
        for overflow in policies:
            want = rounded(results, checked.output, rounding, overflow, NaNPolicy.RAISE)
            call = partial(tested.call, rounding=rounding, overflow=overflow)
            about = f"{checked.unit} {rounding} {overflow}"
            compared += _compare_codes(call, checked, inputs, want, about)
            overflown = (want == NO_CODE) & ~np.isnan(results.signs)
            _expect_errors(call, checked, _at(inputs, overflown), about)
    return compared


def _check_exact(tested: UnderTest, checked: Operation) -> int:
    if checked.width > WORD:
        raise ValueError(
            f'output must not be "exact" for {checked.fmt}, whose results have {checked.width} '
            f"bits, more than {WORD}; use vectors"
        )
    inputs = inputs_of(checked)
    want = checked.results(inputs).amounts.astype(np.int64)
    got = np.asarray(tested.call(_ports(checked, inputs), checked.fmt, want.dtype))
    _same_kind(got, want, checked)
    _fail_where(
        got != want, got, want, checked, inputs, f"{checked.unit} exact", lambda word: f"{word}"
    )
    return len(want)


def _compare_codes(
    call: Callable[..., Any], checked: Operation, inputs: Inputs, want: NDArray[Any], about: str
) -> int:
    fmt, right = checked.output, want != NO_CODE
    assert fmt is not None
    inputs = _at(inputs, right)
    codes = want[right].astype(code_dtype(fmt))
    got = np.asarray(call(_ports(checked, inputs), checked.fmt, codes.dtype))
    _same_kind(got, codes, checked)
    wrong = with_one_nan(got, fmt) != codes

    def spelled(code: int) -> str:
        return f"{code:#x} ({exact_decode(code, fmt) if code < fmt.code_count else 'outside'})"

    _fail_where(wrong, got, codes, checked, inputs, about, spelled)
    return len(codes)


def _expect_errors(
    call: Callable[..., Any], checked: Operation, inputs: Inputs, about: str
) -> None:
    """Call a few inputs that must raise one by one."""
    count = len(inputs[0])
    for place in range(0, count, max(1, count // MAX_RAISING)):
        one = _at(inputs, slice(place, place + 1))
        try:
            code = call(_ports(checked, one), checked.fmt, np.uint32)
        except ValueError:
            continue
        raise AssertionError(
            f"{checked.fmt} {about}: {_spelled(checked, one, 0)} must be an error, got {code}"
        )


def _at(inputs: Inputs, places: Any) -> Inputs:
    return tuple(x[places] for x in inputs)


def _ports(checked: Operation, inputs: Inputs) -> list[NDArray[Any]]:
    """Return inputs in the dtypes of codes."""
    formats = checked.formats
    return [x.astype(code_dtype(fmt)) for x, fmt in zip(inputs, formats, strict=True)]


def _same_kind(got: NDArray[Any], want: NDArray[Any], checked: Operation) -> None:
    if got.shape != want.shape or got.dtype != want.dtype:
        raise AssertionError(
            f"{checked.fmt} {checked.unit}: results must be {want.dtype} of shape {want.shape}, "
            f"got {got.dtype} of shape {got.shape}"
        )


def _fail_where(
    wrong: NDArray[np.bool_],
    got: NDArray[Any],
    want: NDArray[Any],
    checked: Operation,
    inputs: Inputs,
    about: str,
    spelled: Callable[[int], str],
) -> None:
    places = np.flatnonzero(wrong)
    if not len(places):
        return
    lines = [f"{checked.fmt} {about}: {len(places)} of {len(want)} results differ"]
    lines += [
        f"  {_spelled(checked, inputs, place)}: got {spelled(int(got[place]))}, "
        f"expected {spelled(int(want[place]))}"
        for place in places[:MAX_SHOWN]
    ]
    raise AssertionError("\n".join(lines))


def _spelled(checked: Operation, inputs: Inputs, place: int) -> str:
    """Return the inputs at a place: their bits and values, for lanes those of each."""
    ports = []
    for name, fmt, codes in zip(PORTS[checked.unit], checked.formats, inputs, strict=False):
        words = np.atleast_1d(codes[place]).tolist()
        ports.append(
            f"{name} = " + ", ".join(f"{word:#x} ({exact_decode(word, fmt)})" for word in words)
        )
    return "; ".join(ports)

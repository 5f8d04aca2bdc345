"""The codec: `encode` values to codes, `decode` codes to values, `round_to` both in one pass.

How a float becomes a code. The same numbers stand in the kernels (`minifloat._kernels.scalar`,
`minifloat._kernels.codec`) and in the oracle (`minifloat.testing`), which shares no code with them.

1. Give NaN and infinities, which are not rounded, a special code. NaN stays NaN; in a format
   without NaN the argument ``nan`` decides. For infinities ``overflow`` decides.
2. Split the number into its sign and its magnitude.
3. Find the two neighbours of the magnitude among the format's values: the one toward zero, by
   cutting the significand where the format's last bit is, and the one with the next code. Beyond
   the largest value the grid goes on; a codebook ends.
4. Compute the fraction of the gap that lies between the neighbour toward zero and the magnitude.
   It is 0 for a value of the format, which therefore never moves.
5. If the fraction reaches the mode's threshold, round away from zero, else toward zero. The
   threshold depends on whether the code toward zero is odd, and on the sign; a
   stochastic mode draws it (`minifloat.formats.rounding`).
6. Beyond the ends of the format ``overflow`` decides. The low end of an unsigned format is zero, so
   negative values that do not round to zero are beyond it. The low end of a format without zero
   (E8M0) is its smallest value, and zero is beyond it.
7. Add the sign to the code. -0 keeps its sign where the format has -0 and is 0 elsewhere.

Where to find them: `special_codes` has the codes of the steps 1 and 6, `decision_points` the exact
numbers at which step 5 passes to the next value. `records` turns a format and the policies into
one record for the kernels, and `plans` keeps it with the kernel that reads it. `_call` has the rest
of a call: arrays that overlap, errors; `stochastic` what a call draws from. `exact` encodes numbers
that no float holds, one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, SupportsIndex, TypeAlias, TypedDict, TypeVar, Unpack, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from minifloat import _arrays, _tensors
from minifloat._arrays import Codes
from minifloat._tensors import AnyTensor, Tensor
from minifloat._threads import check_threads
from minifloat.codec import plans as _plans
from minifloat.codec._call import Call, raise_for
from minifloat.codec.plans import DecodePlan, EncodePlan, Memo, RoundPlan
from minifloat.codec.stochastic import RANDOM_BITS, stochastic_mode
from minifloat.formats import NumberFormat
from minifloat.formats.names import TorchDtype, parse
from minifloat.formats.rounding import (
    NaNPolicy,
    NaNPolicyLike,
    Overflow,
    OverflowLike,
    Rounding,
    RoundingLike,
    choose,
)

Array = NDArray[Any]


class EncodeOptions(TypedDict, total=False):
    """The options of `encode`, except ``out``; of `round_to`, except ``dtype`` and ``out``."""

    rounding: RoundingLike
    overflow: OverflowLike
    nan: NaNPolicyLike
    seed: SupportsIndex | None
    random: ArrayLike | None
    random_bits: SupportsIndex
    threads: SupportsIndex


# The types of the overloads below. An array or a list gives an array, unless `out` is given; the
# dtype is that of `dtype`, as far as a type checker knows it.
Fmt: TypeAlias = NumberFormat | str
Scalar: TypeAlias = float | np.generic
Code: TypeAlias = np.uint8 | np.uint16 | np.uint32
Numbers: TypeAlias = Sequence[float] | Sequence[Sequence[float]] | NDArray[np.integer[Any]]
Floats: TypeAlias = NDArray[np.floating[Any]]
F = TypeVar("F", bound=np.floating[Any])
DType: TypeAlias = type[F] | np.dtype[F]
Out = TypeVar("Out", bound=Array | AnyTensor)
FloatDtype: TypeAlias = DTypeLike | TorchDtype


class _New(EncodeOptions, total=False):
    out: None


class _NewAsGiven(_New, total=False):
    dtype: None


class _NewDecoded(TypedDict, total=False):
    threads: SupportsIndex
    out: None


_encode_plans = Memo[EncodePlan]()
_decode_plans = Memo[DecodePlan]()
_round_plans = Memo[RoundPlan]()


@overload
def encode(x: Tensor, fmt: Fmt, **options: Unpack[_New]) -> Tensor: ...
@overload
def encode(x: Scalar, fmt: Fmt, **options: Unpack[_New]) -> Code: ...
@overload
def encode(x: ArrayLike, fmt: Fmt, **options: Unpack[_New]) -> Codes: ...
@overload
def encode(
    x: ArrayLike | AnyTensor, fmt: Fmt, *, out: Out, **options: Unpack[EncodeOptions]
) -> Out: ...
def encode(
    x: ArrayLike | AnyTensor,
    fmt: NumberFormat | str,
    *,
    rounding: RoundingLike = Rounding.NEAREST_EVEN,
    overflow: OverflowLike = Overflow.SATURATE,
    nan: NaNPolicyLike = NaNPolicy.RAISE,
    seed: SupportsIndex | None = None,
    random: ArrayLike | None = None,
    random_bits: SupportsIndex = RANDOM_BITS,
    threads: SupportsIndex = 1,
    out: Array | AnyTensor | None = None,
) -> Any:
    """Round ``x`` to ``fmt``, once, and return the codes.

    NaN follows ``nan``; infinities and values beyond the format follow ``overflow``; -0 keeps its
    sign where the format has -0; ties follow ``rounding``. The result depends on the values and, in
    a stochastic mode, on ``seed`` and each element's index in C order, and on nothing else.

    Parameters
    ----------
    x : array_like of float16, bfloat16, float32, float64 or integers up to 2**53
        Any shape and strides; lists and scalars too, and tensors of PyTorch and JAX. The values of
        float8 and ml_dtypes' other small types are copied to float32.
    fmt : format or str
        A `Format`, `Integer` or `Codebook`, or a name such as ``"e2m2"``.
    rounding : Rounding or str
        One of `minifloat.Rounding`.
    overflow : Overflow or str
        saturate, saturate_finite, ieee, sat_none or raise (`minifloat.Overflow`).
    nan : NaNPolicy or str
        The code of NaN in a format without NaN: raise, zero or max (`minifloat.NaNPolicy`).
    seed : int, optional
        0 .. 2**64 - 1, for the stochastic modes.
    random : array_like of unsigned integers, optional
        Random words of your own instead of ``seed``: below ``2**random_bits``, one an element
        (anything that broadcasts to the shape of ``x``).
    random_bits : int
        1 .. 28 random bits to an element.
    threads : int
        Threads to share a contiguous array among; the codes do not depend on it.
    out : ndarray or tensor, optional
        Where to put the codes: the shape of ``x``, dtype as returned. After an error its
        contents are undefined; only where it shares memory with ``x`` it is left as it was.

    Returns
    -------
    ndarray of uint8 (to 8 bits), uint16 (to 16) or uint32 (tf32), of the shape of ``x``
        A NumPy scalar for a scalar or a 0-d array (unless ``out`` is given); a tensor for a tensor.

    Raises
    ------
    TypeError
        If ``x``, ``random`` or ``out`` has a dtype that is not listed above.
    ValueError
        If an option has no such value, ``x`` holds NaN and the format does not, a value overflows
        under ``overflow="raise"``, or an integer is beyond 2**53.

    Notes
    -----
    No temporary is larger than 1/16 of ``x`` (for arrays of 2**16 elements and more).

    Examples
    --------
    >>> import minifloat as mf
    >>> mf.encode([0.3, -1.7, 100.0], "e2m2")
    array([ 1, 23, 15], dtype=uint8)
    >>> mf.encode(464.0, "e4m3fn"), mf.encode(465.0, "e4m3fn", overflow="ieee")
    (np.uint8(126), np.uint8(127))
    """
    _arrays.check_cpu()
    threads = check_threads(threads)
    given = x
    if type(x) is not np.ndarray:
        x = _arrays.as_array("x", x)
    if seed is None and random is None and threads == 1 and random_bits is RANDOM_BITS:
        plan = _encode_plans.find(x, fmt, rounding, overflow, nan)
        codes = None if plan is None else _arrays.direct_output(out, x, plan.code_dtype)
        if plan is not None and codes is not None:
            counts = plan.encode(x.reshape(-1), codes.reshape(-1))
            if counts != (0, 0):
                raise_for(counts, x, plan)
            return _arrays.as_given(given, codes, out)
    values, _, plan = _encode_plan(given, fmt, rounding, overflow, nan)
    mode = stochastic_mode(plan.rounding, seed, random, random_bits, values.shape)
    codes = _arrays.output_array(out, values, plan.code_dtype)
    Call(values, plan, mode, threads).encode(codes, fresh=out is None)
    if mode is None:
        limit = plan.direct_limit(values.dtype)
        _encode_plans.keep(plan, limit, values, fmt, rounding, overflow, nan)
    return _arrays.as_given(given, codes, out)


@overload
def decode(
    codes: Tensor, fmt: Fmt, *, dtype: FloatDtype = ..., **options: Unpack[_NewDecoded]
) -> Tensor: ...
@overload
def decode(codes: Scalar, fmt: Fmt, **options: Unpack[_NewDecoded]) -> np.float32: ...
@overload
def decode(codes: Scalar, fmt: Fmt, *, dtype: DType[F], **options: Unpack[_NewDecoded]) -> F: ...
@overload
def decode(
    codes: Scalar, fmt: Fmt, *, dtype: DTypeLike, **options: Unpack[_NewDecoded]
) -> np.floating[Any]: ...
@overload
def decode(codes: ArrayLike, fmt: Fmt, **options: Unpack[_NewDecoded]) -> NDArray[np.float32]: ...
@overload
def decode(
    codes: ArrayLike, fmt: Fmt, *, dtype: DType[F], **options: Unpack[_NewDecoded]
) -> NDArray[F]: ...
@overload
def decode(
    codes: ArrayLike, fmt: Fmt, *, dtype: DTypeLike, **options: Unpack[_NewDecoded]
) -> Floats: ...
@overload
def decode(
    codes: ArrayLike | AnyTensor,
    fmt: Fmt,
    *,
    dtype: FloatDtype = ...,
    threads: SupportsIndex = 1,
    out: Out,
) -> Out: ...
def decode(
    codes: ArrayLike | AnyTensor,
    fmt: NumberFormat | str,
    *,
    dtype: FloatDtype = np.float32,
    threads: SupportsIndex = 1,
    out: Array | AnyTensor | None = None,
) -> Any:
    """Return the values of ``codes``, exactly.

    Parameters
    ----------
    codes : array_like of integers
        Codes of ``fmt``, of any shape and integer dtype; a tensor, too.
    fmt : format or str
        A `Format`, `Integer` or `Codebook`, or its name.
    dtype : dtype
        float16, bfloat16 (of ml_dtypes), float32 or float64, as text, or as a dtype of NumPy or
        PyTorch; it must hold every value of the format.
    threads : int
        Threads to share a contiguous array among.
    out : ndarray or tensor, optional
        Where to put the values: the shape of ``codes``, of ``dtype``. After an error its
        contents are undefined; only where it shares memory with ``codes`` it is left as it was.

    Returns
    -------
    ndarray of ``dtype``, of the shape of ``codes``
        A NumPy scalar for a scalar or a 0-d array (unless ``out`` is given); a tensor for a tensor.

    Raises
    ------
    TypeError
        If ``codes`` are not integers, ``out`` has another dtype, or ``dtype`` is bfloat16 and
        ml_dtypes is not installed.
    ValueError
        If a code is outside the format or unused in it, or ``dtype`` cannot hold every value.

    Examples
    --------
    >>> import minifloat as mf
    >>> mf.decode([1, 23, 15], "e2m2")
    array([ 0.25, -1.75,  7.  ], dtype=float32)
    """
    _arrays.check_cpu()
    threads = check_threads(threads)
    if threads == 1 and type(codes) is np.ndarray:
        plan = _decode_plans.find(codes, fmt, dtype)
        values = None if plan is None else _arrays.direct_output(out, codes, plan.dtype)
        if plan is not None and values is not None:
            if not plan.decode(codes.reshape(-1), values.reshape(-1)):
                _arrays.check_codes(codes, plan.fmt)
            return _arrays.as_given(codes, values, out)
    plan = _plans.decode_plan(parse(fmt), _plans.dtype_or_error(dtype))
    a = _arrays.code_array(codes)
    values = _arrays.output_array(out, a, plan.dtype)
    is_own_dtype = a.dtype == plan.code_dtype
    is_shared = out is not None and np.may_share_memory(a, values)
    if is_shared or not is_own_dtype:  # else they are checked as they are decoded
        _arrays.check_codes(a, plan.fmt, threads)
    if is_shared and _arrays.overlapping(a, values, in_place=True):
        a = a.copy()

    def decode_chunk(_: int, chunk: Array, target: Array) -> tuple[int, int]:
        return int(not plan.decode(chunk, target)), 0

    arrays = [(a, plan.code_dtype)]
    if _arrays.apply_in_chunks(decode_chunk, arrays, values, threads=threads) != (0, 0):
        _arrays.check_codes(a, plan.fmt, threads)
    if is_own_dtype:
        _decode_plans.keep(plan, _plans.ANY_SIZE, a, fmt, dtype)
    return _arrays.as_given(codes, values, out)


@overload
def round_to(
    x: Tensor, fmt: Fmt, *, dtype: FloatDtype | None = None, **options: Unpack[_New]
) -> Tensor: ...
@overload
def round_to(x: F, fmt: Fmt, **options: Unpack[_NewAsGiven]) -> F: ...
@overload
def round_to(
    x: float | np.integer[Any], fmt: Fmt, **options: Unpack[_NewAsGiven]
) -> np.float64: ...
@overload
def round_to(x: NDArray[F], fmt: Fmt, **options: Unpack[_NewAsGiven]) -> NDArray[F]: ...
@overload
def round_to(x: Numbers, fmt: Fmt, **options: Unpack[_NewAsGiven]) -> NDArray[np.float64]: ...
@overload
def round_to(x: Scalar, fmt: Fmt, *, dtype: DType[F], **options: Unpack[_New]) -> F: ...
@overload
def round_to(
    x: Scalar, fmt: Fmt, *, dtype: DTypeLike | None = None, **options: Unpack[_New]
) -> np.floating[Any]: ...
@overload
def round_to(x: ArrayLike, fmt: Fmt, *, dtype: DType[F], **options: Unpack[_New]) -> NDArray[F]: ...
@overload
def round_to(
    x: ArrayLike, fmt: Fmt, *, dtype: DTypeLike | None = None, **options: Unpack[_New]
) -> Floats: ...
@overload
def round_to(
    x: ArrayLike | AnyTensor,
    fmt: Fmt,
    *,
    dtype: FloatDtype | None = None,
    out: Out,
    **options: Unpack[EncodeOptions],
) -> Out: ...
def round_to(
    x: ArrayLike | AnyTensor,
    fmt: NumberFormat | str,
    *,
    rounding: RoundingLike = Rounding.NEAREST_EVEN,
    overflow: OverflowLike = Overflow.SATURATE,
    nan: NaNPolicyLike = NaNPolicy.RAISE,
    seed: SupportsIndex | None = None,
    random: ArrayLike | None = None,
    random_bits: SupportsIndex = RANDOM_BITS,
    dtype: FloatDtype | None = None,
    threads: SupportsIndex = 1,
    out: Array | AnyTensor | None = None,
) -> Any:
    """Round ``x`` to the values of ``fmt``: ``decode(encode(x))`` in one pass.

    Parameters
    ----------
    x, fmt, rounding, overflow, nan, seed, random, random_bits, threads
        As for `encode`.
    dtype : dtype, optional
        As for `decode`. Default: the dtype of ``x`` (float64 for integers, float32 for float8 and
        other small floats).
    out : ndarray or tensor, optional
        Where to put the values: the shape of ``x``, of ``dtype``; may be ``x`` itself. After an
        error its contents are undefined; only where it shares memory with ``x`` it is left as it
        was.

    Returns
    -------
    ndarray of ``dtype``, of the shape of ``x``
        A NumPy scalar for a scalar or a 0-d array (unless ``out`` is given); a tensor for a tensor.

    Raises
    ------
    TypeError, ValueError
        As `encode` and `decode`; if ``x`` is a tensor that requires a gradient.

    Examples
    --------
    >>> import minifloat as mf
    >>> mf.round_to([0.3, -1.7, 100.0], "e2m2")
    array([ 0.25, -1.75,  7.  ])
    """
    _arrays.check_cpu()
    threads = check_threads(threads)
    given = x
    if type(x) is not np.ndarray:
        _tensors.check_no_gradient("x", x)
        x = _arrays.as_array("x", x)
    if seed is None and random is None and threads == 1 and random_bits is RANDOM_BITS:
        plan = _round_plans.find(x, fmt, rounding, overflow, nan, dtype)
        rounded = None if plan is None else _arrays.direct_output(out, x, plan.decode.dtype)
        if plan is not None and rounded is not None:
            counts = plan.round_to(x.reshape(-1), rounded.reshape(-1), fresh=True)
            if counts != (0, 0):
                raise_for(counts, x, plan.encode)
            return _arrays.as_given(given, rounded, out)
    values, source, encode_plan = _encode_plan(given, fmt, rounding, overflow, nan)
    mode = stochastic_mode(encode_plan.rounding, seed, random, random_bits, values.shape)
    if dtype is None:
        value_dtype = values.dtype.newbyteorder("=") if source == "bfloat16" else np.dtype(source)
    else:
        value_dtype = _plans.dtype_or_error(dtype)
    plan = _plans.round_plan(encode_plan, value_dtype)
    rounded = _arrays.output_array(out, values, value_dtype)
    Call(values, encode_plan, mode, threads).round_to(plan, rounded, fresh=out is None)
    if mode is None:
        limit = plan.direct_limit(values.dtype)
        _round_plans.keep(plan, limit, values, fmt, rounding, overflow, nan, dtype)
    return _arrays.as_given(given, rounded, out)


def _encode_plan(
    x: ArrayLike | AnyTensor,
    fmt: NumberFormat | str,
    rounding: RoundingLike,
    overflow: OverflowLike,
    nan: NaNPolicyLike,
) -> tuple[Array, str, EncodePlan]:
    """Return ``x`` as an array, the float that holds its values, and how they are encoded."""
    fmt = parse(fmt)
    mode = choose(Rounding, "rounding", rounding)
    overflow, nan = choose(Overflow, "overflow", overflow), choose(NaNPolicy, "nan", nan)
    values, source = _arrays.source_array(x)
    return values, source, _plans.encode_plan(fmt, source, mode, overflow, nan)

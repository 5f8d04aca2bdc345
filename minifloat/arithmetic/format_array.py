"""`FormatArray`, an array that computes in its format, and `array`, which makes one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Unpack

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import ArrayLike, DTypeLike, NDArray

from minifloat.arithmetic import functions, ufuncs
from minifloat.arithmetic.array_methods import ArrayMethods
from minifloat.arithmetic.contexts import Context, ContextOptions, InContext
from minifloat.codec import encode
from minifloat.formats import NumberFormat
from minifloat.formats.base import shown

Array = NDArray[Any]


def array(
    x: ArrayLike, fmt: NumberFormat | str | Context, **options: Unpack[ContextOptions]
) -> FormatArray:
    """Return an array that computes in a format: NumPy's operations on it are rounded one by one.

    Parameters
    ----------
    x : array_like
        Numbers, which are rounded to the format; they are copied.
    fmt : format, str or Context
        A format or its name, or the context of another array, ``a.context``.
    rounding, overflow, nan, random_bits
        Of each operation, as in `minifloat.round_to`.
    seed : int, optional
        For the stochastic modes; each operation takes the next of the seeds that it gives.
    accumulator : Accumulator, format or str, optional
        How sums and products of matrices add up (`Context`). Default: one after the other, each
        product and each partial sum rounded.

    Returns
    -------
    FormatArray

    Raises
    ------
    TypeError, ValueError
        As `minifloat.round_to`; if options are given with a context.

    Examples
    --------
    >>> import numpy as np
    >>> from minifloat import arithmetic
    >>> x = arithmetic.array([0.3, 1.7, 100.0], "e4m3fn")
    >>> x
    FormatArray([ 0.3125,  1.75  , 96.    ], 'e4m3fn')
    >>> x * x / 2
    FormatArray([4.6875e-02, 1.5000e+00, 2.2400e+02], 'e4m3fn')
    >>> x.sum(), np.sqrt(x[2])
    (FormatArray(96., 'e4m3fn'), FormatArray(10., 'e4m3fn'))
    """
    if isinstance(fmt, Context):
        if options:
            raise TypeError(
                f"options must not be given with a context, got {', '.join(options)}; use "
                "context.replaced(...)"
            )
        context = fmt
    else:
        context = Context(fmt, **options)
    values = x.storage if isinstance(x, InContext) else x
    return FormatArray(context.rounded(values), context)


def _in_place(ufunc: np.ufunc) -> Any:
    def operator(self: FormatArray, other: Any) -> Any:
        return ufunc(self, other, out=(self,)) if self.ndim else NotImplemented

    return operator


class FormatArray(ArrayMethods, NDArrayOperatorsMixin):
    """An array of values of a format, whose operations are rounded to the format one by one.

    `array` makes one. It is used as a NumPy array is: operators, ufuncs, functions, indexing and
    methods have NumPy's names and shapes. What cannot be done in the format is a TypeError.

    Attributes
    ----------
    context : Context
        The format and how operations are rounded.

    Notes
    -----
    - An operation is computed exactly and rounded once. Plain numbers and arrays that it meets are
      rounded to the format first; comparisons are exact and round nothing.
    - Arrays meet only if their contexts are equal: `astype` converts.
    - An array without axes is a number, as NumPy's scalars are: it cannot be changed.
    - Indexing gives views where NumPy does, and what is assigned is rounded.
    """

    def __init__(self, values: NDArray[np.float64], context: Context) -> None:
        if values.ndim == 0:
            values = values.copy()
            values.flags.writeable = False
        self.storage = values
        self.context = context

    # what it is

    @property
    def fmt(self) -> NumberFormat:
        """The format."""
        return self.context.fmt

    @property
    def values(self) -> NDArray[np.float64]:
        """The values, read-only; they follow the array when it changes."""
        view = self.storage.view()
        view.flags.writeable = False
        return view

    @property
    def codes(self) -> Array:
        """The codes of the values, as `minifloat.encode` gives them."""
        return np.asarray(encode(self.storage, self.fmt))

    @property
    def bits(self) -> Array:
        """The bits of the codes as text, a space between sign, exponent and mantissa."""
        texts = [self.fmt.bit_string(code) for code in self.codes.ravel().tolist()]
        return np.array(texts, str).reshape(self.shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self.storage.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.storage.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.storage.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """None: an array made with it would leave the format.

        Raises
        ------
        AttributeError
            Always.
        """
        raise AttributeError(
            "a FormatArray has a format, x.fmt, and no dtype; use np.zeros_like(x) or "
            "np.zeros(shape, like=x) for arrays like it"
        )

    def __repr__(self) -> str:
        numbers = np.array2string(self.storage, separator=", ", prefix="FormatArray(")
        return f"FormatArray({numbers}, {', '.join(self.context.arguments)})"

    def __str__(self) -> str:
        return str(self.storage)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.ndim == 0 and spec else str(self)

    def __len__(self) -> int:
        return len(self.storage)

    def __bool__(self) -> bool:
        return bool(self.storage)

    def __float__(self) -> float:
        return float(self.storage)

    def __int__(self) -> int:
        return int(self.storage)

    def __contains__(self, x: object) -> bool:
        return x in self.storage

    def __iter__(self) -> Iterator[FormatArray]:
        return (self[k] for k in range(len(self)))

    __hash__ = None  # type: ignore[assignment]  # == compares elements

    # NumPy's protocols

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        values = self.values
        if dtype is not None and values.dtype != np.dtype(dtype):
            if copy is False:
                raise ValueError(f"dtype must be float64 without a copy, got {shown(dtype)}")
            return values.astype(dtype)
        return values.copy() if copy else values

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        return ufuncs.apply(FormatArray, ufunc, method, inputs, out, options)

    def __array_function__(
        self, func: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        return functions.apply(FormatArray, self.context, func, args, kwargs)

    # elements

    def __getitem__(self, index: Any) -> FormatArray:
        return FormatArray(np.asarray(self.storage[index]), self.context)

    def __setitem__(self, index: Any, x: Any) -> None:
        if self.ndim == 0:
            raise TypeError(
                "x must have an axis to be assigned to, got a number of a format, which does not "
                "change; use a new one"
            )
        self.storage[index] = ufuncs.values_of(self.context, x)

    def astype(self, fmt: NumberFormat | str | Context) -> FormatArray:
        """Return the values rounded to another format.

        Parameters
        ----------
        fmt : format, str or Context
            A format or its name; all else stays as it is in this array's context. Or a context.

        Returns
        -------
        FormatArray
            A copy.

        Raises
        ------
        TypeError, ValueError
            If there is no such format; for NumPy's floats use ``np.asarray(x, dtype)``.

        Examples
        --------
        >>> from minifloat import arithmetic
        >>> arithmetic.array([0.3, 1.7], "e4m3fn").astype("e2m1")
        FormatArray([0.5, 2. ], 'e2m1')
        """
        context = fmt if isinstance(fmt, Context) else self.context.replaced(fmt=fmt)
        return FormatArray(context.rounded(self.storage), context)

    def __copy__(self) -> FormatArray:
        return self.copy()

    def __deepcopy__(self, memo: object) -> FormatArray:
        return self.copy()

    def __reduce__(self) -> tuple[Any, ...]:
        return FormatArray, (self.storage, self.context)

    # in place; of a number of a format they make another one

    __iadd__ = _in_place(np.add)
    __isub__ = _in_place(np.subtract)
    __imul__ = _in_place(np.multiply)
    __itruediv__ = _in_place(np.true_divide)
    __ifloordiv__ = _in_place(np.floor_divide)
    __imod__ = _in_place(np.remainder)
    __ipow__ = _in_place(np.power)
    __imatmul__ = _in_place(np.matmul)

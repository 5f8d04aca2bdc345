"""Which arrays the verbs accept and give back, and how work is applied to them in chunks.

A tensor of another library enters as an array of its memory (`as_array`, `check_output`), and a
result leaves as a tensor of that library (`as_given`). Contiguous arrays are handed to the kernels
as they are. Others go through `numpy.nditer` in chunks, which also casts: no temporary is larger
than a chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from minifloat import _tensors
from minifloat._kernels import codec as kernels
from minifloat._tensors import AnyTensor
from minifloat._threads import each
from minifloat.formats import NumberFormat

Array = NDArray[Any]
Codes: TypeAlias = NDArray[np.unsignedinteger[Any]]

SOURCES = ("float16", "bfloat16", "float32", "float64")
SMALL_FLOATS = ("float8_", "float6_", "float4_")  # of ml_dtypes, as SMALL_INTEGERS
SMALL_INTEGERS = ("int1", "int2", "int4", "uint1", "uint2", "uint4")
MAX_EXACT_INTEGER = 2**53
MAX_DIMENSIONS = 64  # of NumPy's arrays
LEAST_NORMAL, HALF = 2.0**-1022, 0.5


def check_cpu() -> None:
    """Raise unless this thread computes with subnormal numbers.

    A mode of the CPU replaces them by 0. `torch.set_flush_denormal` sets it, and so do some shared
    libraries when they are loaded: those that GCC has linked with ``-Ofast`` or ``-ffast-math``.

    Raises
    ------
    RuntimeError
        If it does not.
    """
    if LEAST_NORMAL * HALF == 0:
        raise RuntimeError(
            "the CPU must compute with subnormal numbers, got a thread in which it replaces them "
            "by 0, which would change results; torch.set_flush_denormal(False) undoes it, on Linux "
            "ctypes.CDLL(None).fesetenv(ctypes.c_void_p(-1)) too"
        )


def as_array(name: str, x: ArrayLike | AnyTensor) -> Array:
    """Return ``x`` as an array, or raise an error that calls it by its name.

    Raises
    ------
    TypeError
        If ``x`` is a masked array, or a list of them: `numpy.asarray` would use what lies under the
        mask. If it is a tensor whose values are not in the CPU's memory.
    """
    if type(x) is np.ndarray:
        return x
    tensor = _tensors.tensor_array(name, x)
    if tensor is not None:
        return tensor
    parts = x if isinstance(x, list | tuple) else (x,)
    if any(isinstance(part, np.ma.MaskedArray) for part in parts):
        raise TypeError(
            f"{name} must be an array without a mask, got a masked array; use {name}.filled(0), or "
            "another number for what is masked"
        )
    try:
        return np.asarray(x)
    except (ValueError, TypeError, OverflowError) as error:
        message = f"{name} must be an array or nested lists of one shape: {error}"
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(message) from None


def source_array(x: ArrayLike | AnyTensor, argument: str = "x") -> tuple[Array, str]:
    """Return ``x`` as an array and the float ("float16", "bfloat16", ...) that holds its values.

    Raises
    ------
    TypeError
        If the dtype is not float16, bfloat16, float32, float64, an integer or one of ml_dtypes'
        small types, whose values are copied.
    ValueError
        If an integer is beyond 2**53 in magnitude.
    """
    a = as_array(argument, x)
    name = dtype_name(a.dtype)
    if name in SOURCES:
        return a, name
    if name.startswith(SMALL_FLOATS) and a.dtype.isbuiltin == 2:
        return a.astype(np.float32), "float32"
    if name.startswith(SMALL_INTEGERS) and a.dtype.isbuiltin == 2:
        return a.astype(np.int8), "float64"
    if is_integer(a.dtype):
        _check_integers(argument, a)
        return a, "float64"
    if a.size == 0 and isinstance(x, list | tuple):
        return a.astype(np.float64), "float64"
    is_none = a.ndim == 0 and a.dtype == object and a[()] is None
    got = "None; give an array of numbers" if is_none else f"{name}{_dtype_remedy(argument, a, x)}"
    raise TypeError(
        f"{argument} must be float16, bfloat16, float32, float64 or integers, got {got}"
    )


def code_array(codes: ArrayLike | AnyTensor) -> Array:
    """Return ``codes`` as an array of integers.

    Raises
    ------
    TypeError
        If they are not integers.
    """
    a = as_array("codes", codes)
    if a.size == 0 and isinstance(codes, list | tuple):
        return a.astype(np.uint8)
    if not is_integer(a.dtype):
        raise TypeError(f"codes must be integers, got {a.dtype.name}; {_code_remedy(a, codes)}")
    return a


@lru_cache(maxsize=256)
def dtype_name(dtype: np.dtype[Any]) -> str:
    """Return a dtype's name, which NumPy makes anew each time."""
    return dtype.name


def is_integer(dtype: np.dtype[Any]) -> bool:
    """Return whether this is one of NumPy's own integer types (timedelta64 is not)."""
    return dtype.kind in "iu" and issubclass(dtype.type, np.integer)


def as_given(x: object, result: Array, out: object = None) -> Any:
    """Return a verb's result for an argument ``x``, as the kind that ``x`` is.

    That is ``out`` itself where there is one, a tensor of the library of which ``x`` is one, and
    else an array, or NumPy's scalar.
    """
    if out is not None:
        return out
    if type(x) is not np.ndarray:
        tensor = _tensors.tensor_like(x, result)
        if tensor is not None:
            return tensor
    return result if result.ndim else result[()]


def output_array(out: Any, like: Array, dtype: DTypeLike) -> Array:
    """Return the array of ``out``, checked, or a new one of ``like``'s shape and memory order.

    Raises
    ------
    TypeError
        If ``out`` is not an array or has another dtype.
    ValueError
        If ``out`` has another shape or is read-only.
    """
    if out is None:
        return np.empty_like(like, dtype=dtype, subok=False)
    return check_output(out, like.shape, dtype)


def direct_output(out: Any, like: Array, dtype: np.dtype[Any]) -> Array | None:
    """Return where to put the results of a contiguous array at one go, or None if that cannot be.

    That is a new array, or ``out`` where it is contiguous and shares no memory with ``like``.

    Raises
    ------
    TypeError, ValueError
        As `output_array`.
    """
    if out is None:
        return np.empty(like.shape, dtype)
    a = check_output(out, like.shape, dtype)
    return a if a.flags.c_contiguous and not np.may_share_memory(a, like) else None


def check_output(out: Any, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Return the array of ``out``, checked: of a tensor the one that shares its memory.

    Raises
    ------
    TypeError, ValueError
        As `output_array`.
    """
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        array = _tensors.writable_array(out)
        if array is None:
            raise TypeError(f"out must be a NumPy array, without a mask, got {type(out).__name__}")
        return check_output(array, shape, dtype)
    if out.dtype != np.dtype(dtype):
        raise TypeError(f"out must have dtype {np.dtype(dtype)}, got {out.dtype}")
    if out.shape != shape:
        raise ValueError(f"out must have shape {shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out must be writeable, got a read-only array; pass a copy")
    return out


def apply_in_chunks(
    run: Callable[..., tuple[int, int]],
    arrays: Sequence[tuple[Array, DTypeLike]],
    out: Array | None,
    *,
    chunked: bool = False,
    ordered: bool = False,
    threads: int = 1,
) -> tuple[int, int]:
    """Call ``run(start, *chunks)`` over equally shaped arrays; add up the pairs of counts it gives.

    The chunks are contiguous and one-dimensional. The chunks of ``arrays`` have the dtype beside
    each; the last one is a chunk of ``out``, to be written (without ``out`` there is none).
    ``start`` is the index of the first element, in C order if ``ordered``. ``chunked`` asks for
    small chunks, for a ``run`` with temporaries. Several threads give the same results.
    """
    size = arrays[0][0].size
    if size == 0:
        return 0, 0
    chunk = max(1024, min(size // 64, 1 << 15))
    outs = [] if out is None else [out]
    every = [a for a, _ in arrays] + outs
    dtypes = [np.dtype(dtype) for _, dtype in arrays] + [a.dtype for a in outs]
    if not all(a.flags.c_contiguous and a.dtype == t for a, t in zip(every, dtypes, strict=True)):
        return _apply_buffered(run, every, dtypes, bool(outs), chunk, ordered)
    flat = [a.reshape(-1) for a in every]
    share = max(-(-size // threads), 1 << 16)  # less is not worth a thread
    step = min(chunk, share) if chunked else share
    if size <= step:
        return run(0, *flat)

    def work(first: int) -> tuple[int, int]:
        stop = min(first + share, size)
        return _total(
            run(start, *(a[start : min(start + step, stop)] for a in flat))
            for start in range(first, stop, step)
        )

    return _total(each(work, range(0, size, share), threads))


def overlapping(x: Array, out: Array, *, in_place: bool) -> bool:
    """Return whether writing ``out`` may change elements of ``x`` that are still to be read.

    With ``in_place`` it does no harm where each element is written over the one it comes from.
    """
    if not np.may_share_memory(x, out):
        return False
    if not in_place:
        return True
    same = x.strides == out.strides and x.ctypes.data == out.ctypes.data
    return not (same and x.itemsize == out.itemsize)


def _apply_buffered(
    run: Callable[..., tuple[int, int]],
    arrays: list[Array],
    dtypes: list[np.dtype[Any]],
    writes: bool,
    chunk: int,
    ordered: bool,
) -> tuple[int, int]:
    reads = len(arrays) - writes
    read: list[Literal["readonly", "writeonly"]] = ["readonly"]
    write: list[Literal["readonly", "writeonly"]] = ["writeonly"]
    iterator = np.nditer(
        arrays,
        flags=["external_loop", "buffered"],
        op_flags=[read] * reads + [write] * writes,
        op_dtypes=dtypes,
        order="C" if ordered else "K",
        casting="unsafe",
        buffersize=chunk,
    )
    start = 0
    counts = (0, 0)
    with iterator:
        for item in iterator:
            chunks: tuple[Array, ...] = item if isinstance(item, tuple) else (item,)
            inputs = [np.ascontiguousarray(c) for c in chunks[:reads]]
            targets = [np.empty(c.size, c.dtype) for c in chunks[reads:]]
            counts = _total([counts, run(start, *inputs, *targets)])
            for chunk_out, target in zip(chunks[reads:], targets, strict=True):
                chunk_out[...] = target
            start += chunks[0].size
    return counts


def _total(counts: Iterator[tuple[int, int]] | Sequence[tuple[int, int]]) -> tuple[int, int]:
    first = second = 0
    for a, b in counts:
        first += a
        second += b
    return first, second


def _check_integers(argument: str, a: Array) -> None:
    if a.itemsize < 8 or a.size == 0:
        return
    low, high = int(a.min()), int(a.max())
    if max(-low, high) <= MAX_EXACT_INTEGER:
        return
    extreme = low if -low > high else high
    index = np.unravel_index(int(a.argmin() if extreme == low else a.argmax()), a.shape)
    raise ValueError(
        f"{argument} must hold integers of magnitude at most 2**53, got {extreme} at index "
        f"{tuple(int(i) for i in index)}; convert it to float64 yourself if rounding it is meant"
    )


def _dtype_remedy(argument: str, a: Array, x: object) -> str:
    dtype = a.dtype
    if dtype.kind == "c":
        return f"; encode {argument}.real and {argument}.imag"
    if dtype.char == "g":  # longdouble: a cast would round a second time
        return "; round it to float64 yourself if that is meant"
    if dtype.kind == "b":
        return f"; use {_tensors.cast_remedy(argument, x, 'uint8')}"
    if dtype.kind == "O":
        return (
            f", that is, Python objects (or integers beyond 64 bits){_object_remedy(argument, a)}"
        )
    if dtype.kind in "mM" or (dtype.kind == "V" and dtype.isbuiltin != 2):  # times, records
        return ""
    return f"; use {_tensors.cast_remedy(argument, x, 'float32')}"


def _object_remedy(argument: str, a: Array) -> str:
    try:
        a.astype(np.float64)
    except OverflowError:
        return f"; use numpy.clip({argument}, -1e308, 1e308).astype(float), which float64 holds"
    except (TypeError, ValueError):  # None, text, lists of several lengths
        return ""
    return f"; use numpy.asarray({argument}, float)"


def _code_remedy(a: Array, codes: object) -> str:
    if a.dtype.isbuiltin == 2:  # a type of another package, such as ml_dtypes' float8 and int4
        view = _tensors.view_remedy("codes", codes, f"uint{8 * a.itemsize}")
        return f"use {view}, the codes of such an array"
    return "minifloat.encode makes codes of values"


def code_dtype(bits: int) -> type[np.uint8 | np.uint16 | np.uint32]:
    """Return the smallest unsigned dtype that holds codes of ``bits`` bits."""
    if bits <= 8:
        return np.uint8
    return np.uint16 if bits <= 16 else np.uint32


def check_codes(codes: Array, fmt: NumberFormat, threads: int = 1) -> None:
    """Raise a ValueError unless every code is one of the format's."""
    check_range(codes, fmt.code_count, f"{fmt}", unused=fmt.unused_code, threads=threads)


def check_range(
    codes: Array, count: int, owner: str, *, unused: int | None = None, threads: int = 1
) -> None:
    """Raise a ValueError unless every code is in ``0 .. count - 1`` and none is ``unused``.

    Raises
    ------
    ValueError
        With the first of them and its index.
    """
    own: np.dtype[Any] = np.dtype(code_dtype((count - 1).bit_length()))
    if unused is None and codes.dtype == own:
        if count == 1 << 8 * own.itemsize:
            return
        at_one_go = codes.flags.c_contiguous and threads == 1
        if at_one_go and kernels.largest_code(codes.reshape(-1)) < count:
            return
    as_read = own if codes.dtype == own else np.uint64 if codes.dtype == np.uint64 else np.int64

    def run(_: int, chunk: Array) -> tuple[int, int]:
        if unused is None and chunk.dtype == own and kernels.largest_code(chunk) < count:
            return 0, 0
        words = chunk.view(np.int64) if chunk.dtype == np.uint64 else chunk
        return kernels.count_outside(words, count, -1 if unused is None else unused), 0

    outside, _ = apply_in_chunks(run, [(codes, as_read)], None, threads=threads)
    if outside:
        index = first_index(codes, lambda c: (c < 0) | (c >= count) | (c == unused))
        but = "" if unused is None else f" and not the unused {unused}"
        raise ValueError(
            f"codes must be in 0..{count - 1}{but} for {owner}, got {codes[index]} at index "
            f"{index} ({outside} such codes)"
        )


def first_index(a: Array, test: Callable[[Array], Any]) -> tuple[int, ...] | None:
    """Return the index of the first element, in C order, that passes ``test``."""
    step = 1 << 15
    flat = a.flat if a.ndim <= 32 else a.reshape(-1)  # NumPy has no `flat` of more
    for start in range(0, a.size, step):
        passing = np.flatnonzero(test(flat[start : start + step]))
        if passing.size:
            index = np.unravel_index(start + int(passing[0]), a.shape)
            return tuple(int(i) for i in index)
    return None

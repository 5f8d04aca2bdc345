"""All of NumPy's ufuncs and functions: each computes in the format, or is refused."""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat import arithmetic
from minifloat.arithmetic.arrays import functions, ufuncs

FMT = "e3m2"
MODULES = (
    "numpy",
    "numpy.linalg",
    "numpy.fft",
    "numpy.lib.stride_tricks",
    "numpy.lib.scimath",
    "numpy.lib.recfunctions",
    "numpy.lib.array_utils",
    "numpy.lib.npyio",
    "numpy.strings",
    "numpy.char",
    "numpy.rec",
)
CONVERT = {  # at the caller's wish: functions that NumPy does not let an array answer
    "array", "asanyarray", "asarray", "asarray_chkfinite", "ascontiguousarray", "asfortranarray",
    "asmatrix", "require", "as_strided",
}  # fmt: skip

Function = Callable[..., Any]


def dispatched() -> dict[str, Function]:
    """Return NumPy's functions that ask their arguments (NEP 18)."""
    found: dict[str, Function] = {}
    for name in MODULES:
        module = importlib.import_module(name)
        for key in dir(module):
            f = getattr(module, key)
            if hasattr(f, "_implementation") and callable(f):
                found.setdefault(f"{name}.{key}".removeprefix("numpy."), f)
    return found


def known() -> set[Function]:
    tables = functions.COMPUTED, functions.MOVED, functions.JOINED, functions.WRITTEN
    return {f for table in (*tables, functions.CREATED, functions.ANSWERS) for f in table}


def matrix() -> Any:
    return arithmetic.array([[0.3, 1.7], [-2.0, 3.0]], FMT, nan="zero")


def vector() -> Any:
    return arithmetic.array([0.3, -1.7, 2.0, 3.0], FMT, nan="zero")


OUTSIDE = 0.1  # no value of the format: it must be rounded wherever it is joined
TENTHS = np.array([0.1, 0.2, 0.3, 0.4])


def written(function: Function, *args: Any) -> Any:
    x = vector()
    assert function(x, *args) is None
    return x


def diagonal_filled(x: Any) -> Any:
    np.fill_diagonal(x, OUTSIDE)
    return x


# A call of each function that is known; m is a matrix, v a vector.
CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "all": lambda m, v: np.all(v),
    "allclose": lambda m, v: np.allclose(v, v),
    "amax": lambda m, v: np.amax(m, axis=0),
    "amin": lambda m, v: np.amin(m, axis=0, initial=OUTSIDE),
    "any": lambda m, v: np.any(v),
    "append": lambda m, v: np.append(v, TENTHS),
    "arange": lambda m, v: np.arange(0, 1, 0.3, like=v),
    "argmax": lambda m, v: np.argmax(m, axis=1),
    "argmin": lambda m, v: np.argmin(v),
    "argpartition": lambda m, v: np.argpartition(v, 2),
    "argsort": lambda m, v: np.argsort(v),
    "argwhere": lambda m, v: np.argwhere(v),
    "around": lambda m, v: np.around(v),
    "array": lambda m, v: np.array(TENTHS, like=v),
    "array2string": lambda m, v: np.array2string(v),
    "array_equal": lambda m, v: np.array_equal(v, v),
    "array_equiv": lambda m, v: np.array_equiv(v, v),
    "array_repr": lambda m, v: np.array_repr(v),
    "array_split": lambda m, v: np.array_split(v, 3),
    "array_str": lambda m, v: np.array_str(v),
    "asanyarray": lambda m, v: np.asanyarray(TENTHS, like=v),
    "asarray": lambda m, v: np.asarray(TENTHS, like=v),
    "ascontiguousarray": lambda m, v: np.ascontiguousarray(TENTHS, like=v),
    "asfortranarray": lambda m, v: np.asfortranarray(TENTHS, like=v),
    "atleast_1d": lambda m, v: np.atleast_1d(v[0], OUTSIDE),
    "atleast_2d": lambda m, v: np.atleast_2d(v, OUTSIDE),
    "atleast_3d": lambda m, v: np.atleast_3d(v, TENTHS),
    "average": lambda m, v: np.average(v, weights=np.abs(v)),
    "block": lambda m, v: np.block([[m, m], [m, np.full((2, 2), OUTSIDE)]]),
    "broadcast_arrays": lambda m, v: np.broadcast_arrays(v, TENTHS),
    "broadcast_to": lambda m, v: np.broadcast_to(v, (2, 4)),
    "choose": lambda m, v: np.choose([0, 1, 0, 1], [v, TENTHS]),
    "clip": lambda m, v: np.clip(v, OUTSIDE, 2.3),
    "column_stack": lambda m, v: np.column_stack([v, TENTHS]),
    "compress": lambda m, v: np.compress([True, False], v),
    "concat": lambda m, v: np.concat([v, TENTHS]),
    "concatenate": lambda m, v: np.concatenate([TENTHS, v]),
    "copy": lambda m, v: np.copy(v),
    "copyto": lambda m, v: written(np.copyto, TENTHS),
    "count_nonzero": lambda m, v: np.count_nonzero(v),
    "cumprod": lambda m, v: np.cumprod(v),
    "cumsum": lambda m, v: np.cumsum(m, axis=1),
    "cumulative_prod": lambda m, v: np.cumulative_prod(v),
    "cumulative_sum": lambda m, v: np.cumulative_sum(v),
    "delete": lambda m, v: np.delete(v, 1),
    "diag": lambda m, v: np.diag(v),
    "diagflat": lambda m, v: np.diagflat(v),
    "diagonal": lambda m, v: np.diagonal(m),
    "diff": lambda m, v: np.diff(v, 2),
    "digitize": lambda m, v: np.digitize(TENTHS, np.sort(v)),
    "dot": lambda m, v: np.dot(m, m),
    "dsplit": lambda m, v: np.dsplit(v.reshape(1, 2, 2), 2),
    "dstack": lambda m, v: np.dstack([v, TENTHS]),
    "einsum": lambda m, v: np.einsum("ij,jk->ik", m, m),
    "empty": lambda m, v: np.empty(3, like=v),
    "empty_like": lambda m, v: np.empty_like(v),
    "expand_dims": lambda m, v: np.expand_dims(v, 1),
    "extract": lambda m, v: np.extract(v > 0, v),
    "eye": lambda m, v: np.eye(3, like=v),
    "fill_diagonal": lambda m, v: diagonal_filled(m),
    "fix": lambda m, v: np.fix(v),
    "flatnonzero": lambda m, v: np.flatnonzero(v),
    "flip": lambda m, v: np.flip(v),
    "fliplr": lambda m, v: np.fliplr(m),
    "flipud": lambda m, v: np.flipud(m),
    "full": lambda m, v: np.full(3, OUTSIDE, like=v),
    "full_like": lambda m, v: np.full_like(v, OUTSIDE),
    "hsplit": lambda m, v: np.hsplit(m, 2),
    "hstack": lambda m, v: np.hstack([v, TENTHS]),
    "identity": lambda m, v: np.identity(3, like=v),
    "imag": lambda m, v: np.imag(v),
    "inner": lambda m, v: np.inner(m, m),
    "insert": lambda m, v: np.insert(v, 1, OUTSIDE),
    "intersect1d": lambda m, v: np.intersect1d(v, TENTHS),
    "isclose": lambda m, v: np.isclose(v, TENTHS),
    "iscomplex": lambda m, v: np.iscomplex(v),
    "iscomplexobj": lambda m, v: np.iscomplexobj(v),
    "isin": lambda m, v: np.isin(v, [2.0]),
    "isneginf": lambda m, v: np.isneginf(v),
    "isposinf": lambda m, v: np.isposinf(v),
    "isreal": lambda m, v: np.isreal(v),
    "isrealobj": lambda m, v: np.isrealobj(v),
    "kron": np.kron,
    "lexsort": lambda m, v: np.lexsort((v, v)),
    "lib.stride_tricks.sliding_window_view": lambda m, v: np.lib.stride_tricks.sliding_window_view(
        v, 2
    ),
    "linalg.diagonal": lambda m, v: np.linalg.diagonal(m),
    "linalg.matmul": lambda m, v: np.linalg.matmul(m, m),
    "linalg.matrix_transpose": lambda m, v: np.linalg.matrix_transpose(m),
    "linalg.norm": lambda m, v: np.linalg.norm(v),
    "linalg.outer": lambda m, v: np.linalg.outer(v, v),
    "linalg.tensordot": lambda m, v: np.linalg.tensordot(m, m, axes=1),
    "linalg.trace": lambda m, v: np.linalg.trace(m),
    "linalg.vecdot": lambda m, v: np.linalg.vecdot(m, m),
    "linalg.vector_norm": lambda m, v: np.linalg.vector_norm(m, axis=0),
    "matrix_transpose": lambda m, v: np.matrix_transpose(m),
    "max": lambda m, v: np.max(v, initial=OUTSIDE),
    "may_share_memory": lambda m, v: np.may_share_memory(v, v),
    "mean": lambda m, v: np.mean(v),
    "meshgrid": lambda m, v: np.meshgrid(v, TENTHS),
    "min": lambda m, v: np.min(v, axis=0, keepdims=True),
    "moveaxis": lambda m, v: np.moveaxis(m, 0, 1),
    "nan_to_num": lambda m, v: np.nan_to_num(v, nan=OUTSIDE),
    "nanargmax": lambda m, v: np.nanargmax(v),
    "nanargmin": lambda m, v: np.nanargmin(v),
    "nanmax": lambda m, v: np.nanmax(v),
    "nanmin": lambda m, v: np.nanmin(v),
    "ndim": lambda m, v: np.ndim(v),
    "nonzero": lambda m, v: np.nonzero(v),
    "ones": lambda m, v: np.ones(3, like=v),
    "ones_like": lambda m, v: np.ones_like(v),
    "outer": lambda m, v: np.outer(v, TENTHS),
    "pad": lambda m, v: np.pad(v, 2, constant_values=OUTSIDE),
    "partition": lambda m, v: np.partition(v, 2),
    "permute_dims": lambda m, v: np.permute_dims(m, (1, 0)),
    "place": lambda m, v: written(np.place, v > 0, TENTHS),
    "polyval": lambda m, v: np.polyval(TENTHS, v),
    "prod": lambda m, v: np.prod(v),
    "ptp": lambda m, v: np.ptp(v),
    "put": lambda m, v: written(np.put, [0, 2], TENTHS),
    "put_along_axis": lambda m, v: written(np.put_along_axis, np.array([0, 2]), OUTSIDE, 0),
    "putmask": lambda m, v: written(np.putmask, v > 0, TENTHS),
    "ravel": lambda m, v: np.ravel(m),
    "real": lambda m, v: np.real(v),
    "real_if_close": lambda m, v: np.real_if_close(v),
    "repeat": lambda m, v: np.repeat(v, 2),
    "reshape": lambda m, v: np.reshape(v, (2, 2)),
    "resize": lambda m, v: np.resize(v, 6),
    "roll": lambda m, v: np.roll(v, 1),
    "rollaxis": lambda m, v: np.rollaxis(m, 1),
    "rot90": lambda m, v: np.rot90(m),
    "round": lambda m, v: np.round(v),
    "searchsorted": lambda m, v: np.searchsorted(np.sort(v), TENTHS),
    "select": lambda m, v: np.select([v > 2], [v], OUTSIDE),
    "setdiff1d": lambda m, v: np.setdiff1d(TENTHS, v),
    "setxor1d": lambda m, v: np.setxor1d(v, TENTHS),
    "shape": lambda m, v: np.shape(v),
    "shares_memory": lambda m, v: np.shares_memory(v, v),
    "size": lambda m, v: np.size(v),
    "sort": lambda m, v: np.sort(v),
    "split": lambda m, v: np.split(v, 2),
    "squeeze": lambda m, v: np.squeeze(v[None]),
    "stack": lambda m, v: np.stack([v, TENTHS]),
    "std": lambda m, v: np.std(v),
    "sum": lambda m, v: np.sum(m, axis=0),
    "swapaxes": lambda m, v: np.swapaxes(m, 0, 1),
    "take": lambda m, v: np.take(v, [0, 3]),
    "take_along_axis": lambda m, v: np.take_along_axis(v, np.argsort(v), 0),
    "tensordot": lambda m, v: np.tensordot(m, m),
    "tile": lambda m, v: np.tile(v, 2),
    "trace": lambda m, v: np.trace(m),
    "transpose": lambda m, v: np.transpose(m),
    "tri": lambda m, v: np.tri(3, like=v),
    "tril": lambda m, v: np.tril(m),
    "trim_zeros": lambda m, v: np.trim_zeros(v),
    "triu": lambda m, v: np.triu(m),
    "union1d": lambda m, v: np.union1d(v, TENTHS),
    "unique": lambda m, v: np.unique(v, return_counts=True),
    "unique_all": lambda m, v: np.unique_all(v),
    "unique_counts": lambda m, v: np.unique_counts(v),
    "unique_inverse": lambda m, v: np.unique_inverse(v),
    "unique_values": lambda m, v: np.unique_values(v),
    "unstack": lambda m, v: np.unstack(m),
    "var": lambda m, v: np.var(v),
    "vdot": lambda m, v: np.vdot(m, m),
    "vsplit": lambda m, v: np.vsplit(m, 2),
    "vstack": lambda m, v: np.vstack([v, TENTHS]),
    "where": lambda m, v: np.where(v > 1, v, OUTSIDE),
    "zeros": lambda m, v: np.zeros(3, like=v),
    "zeros_like": lambda m, v: np.zeros_like(v),
}


def leaves(result: Any) -> Iterator[Any]:
    if isinstance(result, list | tuple):
        for part in result:
            yield from leaves(part)
    else:
        yield result


def assert_honest(result: Any, *, answers: bool) -> None:
    """Check that floats are in arrays of the format, and are values of it."""
    for leaf in leaves(result):
        if isinstance(leaf, arithmetic.FormatArray):
            assert not answers
            values = np.asarray(leaf)
            np.testing.assert_array_equal(values, mf.round_to(values, FMT))
        else:
            assert isinstance(leaf, str | bool) or np.asarray(leaf).dtype.kind in "biu", leaf


def test_each_known_function_is_called() -> None:
    """And each that asks an array; those of `like` are no such functions in NumPy's own list."""
    everything = dispatched()
    asked = {name for name, f in everything.items() if f in known()}
    assert asked | {f.__name__ for f in functions.CREATED} == {
        name for name in CALLS if hasattr(np, name.partition(".")[0]) and name in _present()
    }


def _present() -> set[str]:
    """Return the names in CALLS that this NumPy has."""
    found = set()
    for name in CALLS:
        home: Any = np
        for part in name.split("."):
            home = getattr(home, part, None)
        if home is not None:
            found.add(name)
    return found


@pytest.mark.parametrize("name", sorted(_present()))
def test_known_functions_give_values_of_the_format(name: str) -> None:
    home: Any = np
    for part in name.split("."):
        home = getattr(home, part)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert_honest(CALLS[name](matrix(), vector()), answers=home in functions.ANSWERS)


def test_all_other_functions_are_refused() -> None:
    refused = [f for f in dispatched().values() if f not in known()]
    assert len(refused) > 100
    x = vector()
    for f in refused:
        with pytest.raises(TypeError, match=r"must be given plain arrays.*use np\.asarray\(x\)"):
            x.__array_function__(f, (type(x),), (x,), {})


def test_numpy_refuses_by_itself() -> None:
    """A sample through NumPy, which shows that the protocol is asked."""
    m = matrix()
    for call in (
        lambda: np.linalg.solve(m, m),
        lambda: np.fft.fft(m),
        lambda: np.interp(m, m, m),
        lambda: np.emath.sqrt(m),
        lambda: np.median(m),
        lambda: np.result_type(m),
        lambda: np.save("never-written", m),
    ):
        with pytest.raises(TypeError, match="must be given plain arrays"):
            call()


def test_what_numpy_does_not_ask_about_converts_or_fails() -> None:
    """Functions that get no say are conversions that a caller asks for by name."""
    skipped = {"test", "info", "show_config", "show_runtime", "load", "fromfile", "save"}
    for name in MODULES:
        module = importlib.import_module(name)
        for key in sorted(set(dir(module)) - skipped):
            f = getattr(module, key)
            if key.startswith("_") or isinstance(f, type | np.ufunc) or not callable(f):
                continue
            if hasattr(f, "_implementation") or key in CONVERT:
                continue
            for args in ((vector(),), (vector(), vector()), (vector(), 1)):
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        result = f(*args)
                except Exception:
                    continue
                for leaf in leaves(result):
                    is_float = isinstance(leaf, np.ndarray) and leaf.dtype.kind in "fc"
                    assert not is_float, f"{name}.{key}"


def test_masked_arrays_do_not_meet() -> None:
    x = vector()
    masked = np.ma.array(np.ones(4))
    for call in (
        lambda: x + masked,
        lambda: masked + x,
        lambda: np.ma.add(x, x),
        lambda: np.ma.exp(x),
        lambda: np.ma.concatenate([x, x]),
    ):
        with pytest.raises(TypeError, match="mask"):
            call()


ALL_UFUNCS = {f.__name__: f for f in vars(np).values() if isinstance(f, np.ufunc)}


@pytest.mark.parametrize("name", sorted(ALL_UFUNCS))
def test_ufuncs_are_honest_or_refused(name: str) -> None:
    ufunc = ALL_UFUNCS[name]
    m = abs(matrix()) + 1
    knows = ufunc in ufuncs.OPERATIONS or ufunc in ufuncs.ANSWERS or ufunc in ufuncs.CONTRACTED
    calls: list[Callable[[], Any]] = [lambda: ufunc(*[m] * ufunc.nin)]
    if ufunc.signature is None:
        calls += [lambda: ufunc(m, OUTSIDE), lambda: ufunc(OUTSIDE, m)][: 2 * (ufunc.nin == 2)]
        if ufunc.nin == 2:
            calls += [
                lambda: ufunc.reduce(m),
                lambda: ufunc.accumulate(m),
                lambda: ufunc.outer(m, m),
                lambda: ufunc.reduceat(m, [0]),
                lambda: ufunc.at(m, 0, OUTSIDE),
            ]
    refusals = TypeError if ufunc.nout == 1 else (TypeError, ValueError)  # NumPy's, of two results
    for k, call in enumerate(calls):
        result: Any = None
        with contextlib.suppress(refusals):
            result = call()
        assert (result is not None) == knows or k > 0
        if result is not None:
            assert knows
            assert_honest(result, answers=ufunc in ufuncs.ANSWERS)


@pytest.mark.parametrize(
    "name", ["modf", "frexp", "divmod", "nextafter", "spacing", "floor_divide"]
)
def test_what_float64_would_answer_wrongly_is_refused(name: str) -> None:
    ufunc = ALL_UFUNCS[name]
    with pytest.raises(TypeError, match="must be given plain arrays"):
        ufunc(*[vector()] * ufunc.nin)

"""The JIT, loaded when it pays: the decorators of kernels, and `load`.

A kernel is a plain Python function. Until Numba is loaded a small call runs that function as it
stands, which takes about 10 us an element and no compiling. The first larger call loads Numba, and
so does a small call when the process has interpreted `PATIENCE` elements. From then on the name of
a kernel in its module stands for Numba's compiled function, so a call costs nothing more.

Where Numba cannot be imported, or ``NUMBA_DISABLE_JIT`` is set, everything is interpreted. The bits
are the same in all cases.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import cache, update_wrapper
from pathlib import Path
from types import FunctionType
from typing import Any, ParamSpec, TypeVar, overload

import numpy as np

P = ParamSpec("P")
R = TypeVar("R")

SMALL = 64  # elements of a call that is interpreted
PATIENCE = 10_000  # elements that a process interprets in all
AT_ONCE = 1e9  # cost of a kernel that is interpreted only where there is no Numba

NO_WRAPPER = {"no_cpython_wrapper": True}  # of functions that kernels alone call

NO_NUMBA = (
    "Numba cannot be imported ({error}); minifloat gives the same results without it, but slowly. "
    "Install a Numba for this version of Python and NumPy"
)
NO_CACHE = (
    "Numba found no directory to cache minifloat's compiled functions in, so each process compiles "
    "them again; set NUMBA_CACHE_DIR to a directory that can be written"
)

NO_ROOM = (
    "Numba cannot write minifloat's compiled functions to its cache ({error}), so each process "
    "compiles them again; make room there, or set NUMBA_CACHE_DIR to another directory"
)


def jit(function: Callable[P, R]) -> Callable[P, R]:
    """Register a function that kernels call."""
    _compiler.options[function] = NO_WRAPPER
    return function


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """Register a function that kernels call and that LLVM must inline."""
    _compiler.options[function] = NO_WRAPPER | {"forceinline": True}
    return function


def instruction(define: Callable[[], Any]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Register a function that kernels call and that is one instruction where it is compiled.

    ``define`` is called once Numba is loaded and returns that instruction, an intrinsic; or None
    where the CPU does not have it: then the function itself is compiled.
    """

    def decorate(plain: Callable[P, R]) -> Callable[P, R]:
        _compiler.options[plain] = NO_WRAPPER
        _compiler.instructions[plain] = cache(define)
        return plain

    return decorate


@overload
def kernel(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def kernel(*, cost: float) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def kernel(function: Callable[..., Any] | None = None, *, cost: float = 1.0) -> Callable[..., Any]:
    """Register a kernel, which the library calls; its first argument is the array it walks.

    ``cost`` is how many elements of `encode` take as long, interpreted, as one element does here.
    """

    def decorate(plain: Callable[P, R]) -> Callable[P, R]:
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            walked: Any = args[0]
            if _compiler.pays(cost * walked.size) and _compiler.load():
                compiled: Callable[P, R] = _compiler.compiled(plain)
                return compiled(*args, **kwargs)
            with np.errstate(all="ignore"):  # NumPy's integers warn where they wrap
                return plain(*args, **kwargs)

        _compiler.options[plain] = {}
        return update_wrapper(call, plain)

    return decorate if function is None else decorate(function)


def load() -> bool:
    """Load Numba, if that has not been tried, and return whether kernels are compiled."""
    return _compiler.load()


def entry(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Callable[..., R]:
    """Return a kernel compiled for arguments of the types of these, to be called with such alone.

    A call of the kernel itself looks at the types first: with many arguments that takes as long as
    a small product. Arguments of other types have no defined result. Numba must be loaded.
    """
    dispatcher: Any = function
    if not hasattr(dispatcher, "compile"):
        dispatcher = _compiler.compiled(dispatcher.__wrapped__)
    kinds = tuple(dispatcher.typeof_pyval(arg) for arg in args)
    machine_code: Callable[..., R] = dispatcher.compile(kinds)
    return machine_code


@contextlib.contextmanager
def observed(compiling: Callable[[], object]) -> Iterator[None]:
    """Meanwhile, call ``compiling`` whenever Numba begins to compile a function."""
    before, _compiler.compiling = _compiler.compiling, compiling
    try:
        yield
    finally:
        _compiler.compiling = before


@contextlib.contextmanager
def interpreted() -> Iterator[None]:
    """Meanwhile, interpret every call, however large, unless Numba is loaded already."""
    before, _compiler.never_pays = _compiler.never_pays, True
    try:
        yield
    finally:
        _compiler.never_pays = before


class _Compiler:
    """Numba, once it is loaded, and the functions to compile.

    Compiled functions do not share their modules' globals with the plain ones: they call one
    another, while a thread that is in a plain function goes on with plain ones.

    Numba's cache compares the time stamp of a function's own file, not of the files from which
    functions, constants and classes are imported, and it cannot read entries of a class that has
    been renamed. So the functions' names, and with them the names of cached files, end in a digest
    of all kernel files.
    """

    def __init__(self) -> None:
        self.options: dict[Callable[..., Any], dict[str, Any]] = {}
        self.instructions: dict[Callable[..., Any], Callable[[], Any]] = {}
        self.dispatchers: dict[Callable[..., Any], Any] = {}
        self.modules: dict[int, dict[str, Any]] = {}
        self.lock = threading.RLock()
        self.interpreted = 0.0
        self.is_tried = False
        self.never_pays = False
        self.is_cached = True
        self.njit: Callable[..., Any] | None = None
        self.compiling: Callable[[], object] | None = None

    def pays(self, elements: float) -> bool:
        """Count the elements of a call; return whether to load Numba rather than interpret them."""
        if self.never_pays:
            return self.is_tried
        self.interpreted += elements
        return self.is_tried or elements > SMALL or self.interpreted > PATIENCE

    def load(self) -> bool:
        """Import Numba, once, with a warning if there is none."""
        if self.is_tried:
            return self.njit is not None
        problem = None
        with self.lock:
            if not self.is_tried:
                try:
                    import numba

                    if not numba.config.DISABLE_JIT:  # type: ignore[attr-defined]  # set at run time
                        self.watch()
                        self.njit = numba.njit
                except Exception as error:  # also those of a Numba that does not fit its neighbours
                    problem = NO_NUMBA.format(error=error)
                self.is_tried = True
        if problem:
            warnings.warn(problem, RuntimeWarning, stacklevel=2)
        return self.njit is not None

    def watch(self) -> None:
        """Have Numba say when it compiles; it does not where its cache has the function."""
        from numba.core import event

        compiler = self

        class Watch(event.Listener):
            def on_start(self, _: Any) -> None:
                if compiler.compiling is not None:
                    compiler.compiling()

            def on_end(self, _: Any) -> None:
                pass

        register: Callable[[str, event.Listener], None] = event.register
        register("numba:compile", Watch())

    def compiled(self, plain: Any) -> Any:
        """Return Numba's function for a plain one, and put it in its module."""
        with self.lock:
            was_cached = self.is_cached
            dispatcher = self.dispatcher(plain)
            warn = was_cached and not self.is_cached
        if warn:
            warnings.warn(NO_CACHE, RuntimeWarning, stacklevel=2)
        return dispatcher

    def globals_of(self, plain: FunctionType) -> dict[str, Any]:
        """Return the globals of a function's module, with Numba's functions for the plain ones."""
        own = plain.__globals__
        if id(own) in self.modules:
            return self.modules[id(own)]
        names = self.modules[id(own)] = dict(own)
        for name, value in list(names.items()):
            function = getattr(value, "__wrapped__", value)
            if not isinstance(function, FunctionType):
                continue
            found = self.instructions[function]() if function in self.instructions else None
            if found is not None:
                names[name] = found
            elif function in self.options:
                names[name] = self.dispatcher(function)
                if function is not value:
                    own[name] = names[name]
        return names

    def dispatcher(self, plain: FunctionType) -> Any:
        """Make Numba's function for a plain one, which is compiled when it is called."""
        names = self.globals_of(plain)
        if plain not in self.dispatchers:
            code, name = plain.__code__, plain.__name__
            copy = FunctionType(code, names, name, plain.__defaults__, plain.__closure__)
            update_wrapper(copy, plain)
            digest = digest_of(Path(code.co_filename).parent)
            copy.__qualname__ += f".{digest}"
            self.dispatchers[plain] = self.made(copy, self.options[plain])
            if self.is_cached:
                remove_others(self.dispatchers[plain].stats.cache_path, digest)
        return self.dispatchers[plain]

    def made(self, function: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
        """Hand a function to Numba; without a place for its cache, have it compiled uncached."""
        assert self.njit is not None
        options = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True, **options}
        if self.is_cached:
            try:
                dispatcher: Callable[..., Any] = self.njit(cache=True, **options)(function)
            except RuntimeError:  # no locator available
                self.is_cached = False
            else:
                self.guard(dispatcher._cache)  # type: ignore[attr-defined]  # private to Numba
                return dispatcher
        uncached: Callable[..., Any] = self.njit(**options)(function)
        return uncached

    def guard(self, files: Any) -> None:
        """Have Numba compile what it cannot read from its cache, and go on if it cannot write it.

        A file is cut short by a power cut or a full disk; it is replaced by a whole one.
        """
        load, save = files.load_overload, files.save_overload

        def load_or_forget(*args: Any) -> Any:
            try:
                return load(*args)
            except Exception:  # pickle raises many types on a damaged file
                with contextlib.suppress(OSError):
                    files.flush()
                return None

        def try_to_save(*args: Any) -> None:
            try:
                save(*args)
            except Exception as error:
                files.disable()
                if self.is_cached:
                    self.is_cached = False
                    warnings.warn(NO_ROOM.format(error=error), RuntimeWarning, stacklevel=2)

        files.load_overload, files.save_overload = load_or_forget, try_to_save


@cache
def digest_of(folder: Path) -> str:
    """Return a hash of the Python files of a folder; of those that can be read."""
    import hashlib

    digest = hashlib.sha256()
    with contextlib.suppress(OSError):
        for path in sorted(folder.glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


@cache
def remove_others(folder: str, digest: str) -> None:
    """Remove what Numba has cached of other states of the kernel files."""
    for path in Path(folder).glob("*.nb[ic]"):
        if f".{digest}-" not in path.name:
            with contextlib.suppress(OSError):
                path.unlink()


_compiler = _Compiler()

"""A hint to the CPU: what a loop reads soon."""

from typing import Any

from numpy.typing import NDArray

from minifloat._jit import instruction, jit

Array = NDArray[Any]

CACHE_LINE = 64  # bytes


FIRST, SECOND = 3, 2  # levels of the cache, as LLVM numbers them


def fetch(builder: Any, data: Any, index: Any, level: int = FIRST) -> None:
    """Write the instruction for an element of what ``data`` points to.

    Fewer reads can be under way to the first level than to the second.
    """
    from llvmlite import ir
    from numba.core import cgutils

    read, cache = 0, 1  # arguments of LLVM's instruction
    number = ir.IntType(32)
    address = builder.bitcast(builder.gep(data, [index]), ir.IntType(8).as_pointer())
    kind = ir.FunctionType(ir.VoidType(), [address.type, number, number, number])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(function, [address, number(read), number(level), number(cache)])


def _define() -> Any:
    from numba import types
    from numba.extending import intrinsic

    def define(_: Any, array: Any, index: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            data = context.make_array(signature.args[0])(context, builder, args[0]).data
            fetch(builder, data, args[1])
            return context.get_dummy_value()

        return types.none(array, types.intp), build

    return intrinsic(define)


@instruction(_define)
def prefetch(array: Array, index: int) -> None:
    """Ask for ``array[index]``, which need not exist, to be fetched into the cache."""


@jit
def prefetch_block(words: Array, start: int, count: int) -> None:
    """Ask for ``count`` words from ``start`` on.

    For loops that compute so much for each word that their reads would wait for memory.
    """
    stop = min(start + count, words.size)
    for i in range(start, stop, CACHE_LINE // words.itemsize):
        prefetch(words, i)

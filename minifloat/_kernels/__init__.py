"""The loops over arrays, each a plain Python function that Numba can compile.

How a kernel is written. Its first argument is the array that it walks. Arrays are contiguous, and
results go into an array that is passed in. A kernel allocates nothing and raises nothing. The same
steps must give the same bits interpreted and compiled, so operands are cast: NumPy's integers keep
their width only then, and float32 times a Python float is float32 when interpreted, but float64
when compiled. Squares are products, since ``x**2`` is rounded differently in the two.

How it is run. `minifloat._jit` registers kernels (``@kernel``) and the functions that these call
(``@jit``, ``@inlined``); `scalar` has the functions that several files share. Callers write
``kernels.encode(...)``, with the module's name, because the JIT puts the compiled function in its
place. Small calls are interpreted until the JIT is loaded.

Numba's cache holds what has been compiled from the kernel files as they are: after a change in any
of them everything is compiled anew. `lanes` and the files that use it import Numba at their top,
since their vectors are a type that only Numba knows.
"""

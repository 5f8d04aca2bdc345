"""The loops over arrays, each a plain Python function that Numba can compile.

How a kernel is written. Its first argument is the array that it walks. Arrays are contiguous, and
results go into an array that is passed in. A kernel allocates nothing and raises nothing. NumPy's
integers keep their width only if each result is cast, and a float32 meets a Python float in float32
when interpreted, but in float64 when compiled; so each step casts its operands. Squares are written
as products, since ``x**2`` rounds differently in the two.

How it is run. `minifloat._jit` registers kernels (``@kernel``) and the functions that these call
(``@jit``, ``@inlined``). Callers write ``kernels.encode(...)``, with the module's name, because the
JIT puts the compiled function in its place. Small calls are interpreted until the JIT is loaded.

What Numba's cache cannot see. It compares the time stamp of a kernel's own file, so a kernel calls
functions of its own file only, and its file has its own copy of each constant and tuple.

`products` alone imports Numba at its top: its vectors are a type that only Numba knows.
"""

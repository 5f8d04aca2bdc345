"""Run a conversion on a GPU: its results bit by bit, and the speed of a product with it.

The programs are ``cuda/convert.cu`` and ``cuda/gemv.cu``, compiled around the conversion.
"""

from __future__ import annotations

import ctypes
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.gpu.cuda_toolkit import compile_program, run_tool
from analysis.gpu.device_function import DeviceFunction

# As in cuda/gemv.cu.
SCALE_BLOCK = 128
ROWS_AT_ONCE = 4
COLUMNS_STEP, MAX_COLUMNS = 1024, 16384  # whole warps of threads of 32 columns; at most 512 threads

# From cuda.h.
COMPUTE_CAPABILITY_MAJOR, COMPUTE_CAPABILITY_MINOR = 75, 76

Words = NDArray[np.uint32]


@dataclass(frozen=True)
class Gpu:
    """The first GPU of this machine.

    Parameters
    ----------
    name : str
        From the driver.
    arch : str
        Such as "sm_90".
    cuda : tuple of int
        The newest CUDA version of the driver, as in (13, 0).
    """

    name: str
    arch: str
    cuda: tuple[int, int]


def find_gpu() -> Gpu | None:
    """Return the first GPU of NVIDIA's driver.

    Returns
    -------
    Gpu or None
        None without a driver or without a GPU.

    Examples
    --------
    >>> from analysis.gpu.run import find_gpu
    >>> gpu = find_gpu()
    >>> gpu is None or gpu.arch.startswith("sm_")
    True
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    device, version, major, minor = (ctypes.c_int() for _ in range(4))
    name = ctypes.create_string_buffer(256)
    errors = (
        driver.cuInit(0)
        or driver.cuDeviceGet(ctypes.byref(device), 0)
        or driver.cuDriverGetVersion(ctypes.byref(version))
        or driver.cuDeviceGetName(name, len(name), device)
        or driver.cuDeviceGetAttribute(ctypes.byref(major), COMPUTE_CAPABILITY_MAJOR, device)
        or driver.cuDeviceGetAttribute(ctypes.byref(minor), COMPUTE_CAPABILITY_MINOR, device)
    )
    if errors:
        return None
    cuda = (version.value // 1000, version.value % 1000 // 10)
    return Gpu(name.value.decode(), f"sm_{major.value}{minor.value}", cuda)


def convert_on_gpu(function: DeviceFunction, words: Words, table: Words | None = None) -> Words:
    """Convert groups of codes on the GPU.

    Parameters
    ----------
    function : DeviceFunction
        The conversion.
    words : array of uint32, shape (groups, function.words)
        The packed codes.
    table : array of uint32, shape (function.table_size,), optional
        The look-up table, if the conversion has one.

    Returns
    -------
    array of uint32, shape (groups, function.pairs)
        Each with the 16 bits of an even code in its low half, of the odd one in its high half.

    Raises
    ------
    ValueError
        If ``words`` or ``table`` has another shape.
    RuntimeError
        If there is no GPU or no toolkit, or the function does not compile.
    """
    if words.ndim != 2 or words.shape[1] != function.words:
        raise ValueError(f"words must have shape (groups, {function.words}), got {words.shape}")
    program = compile_program(function.source("host.cu", "convert.cu"), _need_gpu().arch)
    inputs = {"words": words.astype(np.uint32), "table": _checked(table, function)}
    results, _ = _run(program, (), inputs)
    return np.frombuffer(results, np.uint32).reshape(len(words), function.pairs)


@dataclass(frozen=True)
class Gemv:
    """A matrix times a vector on a GPU, with packed weights and with their float16 values.

    Parameters
    ----------
    gpu : Gpu
        The GPU of the run.
    rows, columns : int
        The matrix's shape.
    y, y_float16 : array of float32, shape (rows,)
        Both results; the order of the sums differs.
    microseconds : dict of str to float
        Medians: "gemv" and "gemv_float16" for the products, "copy" and "copy_float16" for a copy of
        the same weights within GPU memory, which moves each byte twice.
    """

    gpu: Gpu
    rows: int
    columns: int
    y: NDArray[np.float32]
    y_float16: NDArray[np.float32]
    microseconds: dict[str, float]


def gemv_on_gpu(
    function: DeviceFunction,
    words: Words,
    scales: NDArray[np.float16],
    x: NDArray[np.float16],
    table: Words | None = None,
) -> Gemv:
    """Multiply a matrix of packed codes by a vector on the GPU, and time it.

    Each product multiplies a converted code, which is float16, by an element of ``x``; sums are
    float32. The time is that of the GPU alone, with all weights read from its memory, not its
    cache.

    Parameters
    ----------
    function : DeviceFunction
        The conversion, to float16, in groups of 2, 4, 8, 16 or 32 codes.
    words : array of uint32, shape (rows, columns / function.codes, function.words)
        The packed codes, row by row. Rows are a multiple of 4.
    scales : array of float16, shape (rows, columns / 128)
        One for each 128 codes of a row.
    x : array of float16, shape (columns,)
        The vector: a multiple of 1024 elements, at most 16384.
    table : array of uint32, shape (function.table_size,), optional
        The look-up table, if the conversion has one.

    Returns
    -------
    Gemv

    Raises
    ------
    ValueError
        If a shape is wrong.
    RuntimeError
        If there is no GPU or no toolkit, or the function does not compile.
    """
    rows, columns = len(words), len(x)
    if rows % ROWS_AT_ONCE or columns % COLUMNS_STEP or not rows or not 0 < columns <= MAX_COLUMNS:
        raise ValueError(
            f"rows must be a multiple of {ROWS_AT_ONCE}, columns of {COLUMNS_STEP} up to "
            f"{MAX_COLUMNS}, got {rows} and {columns}"
        )
    shape = (rows, columns // function.codes, function.words)
    if words.shape != shape:
        raise ValueError(f"words must have shape {shape}, got {words.shape}")
    if scales.shape != (rows, columns // SCALE_BLOCK):
        raise ValueError(
            f"scales must have shape {(rows, columns // SCALE_BLOCK)}, got {scales.shape}"
        )
    gpu = _need_gpu()
    program = compile_program(function.source("host.cu", "gemv.cu"), gpu.arch)
    inputs: dict[str, NDArray[np.number]] = {
        "words": words.transpose(0, 2, 1).astype(np.uint32),  # in planes
        "table": _checked(table, function),
        "scales": scales.astype(np.float16),
        "x": x.astype(np.float16),
    }
    results, printed = _run(program, (rows, columns), inputs)
    y, y_float16 = np.frombuffer(results, np.float32).reshape(2, rows)
    return Gemv(gpu, rows, columns, y, y_float16, json.loads(printed))


def time_gemv(
    function: DeviceFunction,
    rows: int = 8192,
    columns: int = 8192,
    table: Words | None = None,
    seed: int = 0,
) -> Gemv:
    """Time `gemv_on_gpu` on random words, with scales and a vector of ones.

    Parameters
    ----------
    function : DeviceFunction
        The conversion, to float16, in groups of 2, 4, 8, 16 or 32 codes.
    rows : int
        A multiple of 4.
    columns : int
        A multiple of 1024, at most 16384.
    table : array of uint32, shape (function.table_size,), optional
        The look-up table, if the conversion has one.
    seed : int
        Of the words.

    Returns
    -------
    Gemv

    Raises
    ------
    ValueError
        If a size or the table's shape is wrong.
    RuntimeError
        If there is no GPU or no toolkit, or the function does not compile.
    """
    shape = (rows, columns // function.codes, function.words)
    words = np.random.default_rng(seed).integers(0, 2**32, shape, np.uint32)
    scales = np.ones((rows, columns // SCALE_BLOCK), np.float16)
    return gemv_on_gpu(function, words, scales, np.ones(columns, np.float16), table)


def _need_gpu() -> Gpu:
    gpu = find_gpu()
    if gpu is None:
        raise RuntimeError("a GPU with NVIDIA's driver must be present, got none")
    return gpu


def _checked(table: Words | None, function: DeviceFunction) -> Words:
    table = np.zeros(0, np.uint32) if table is None else table
    if table.shape != (function.table_size,):
        raise ValueError(f"table must have shape ({function.table_size},), got {table.shape}")
    return table.astype(np.uint32)


def _run(
    program: bytes, numbers: tuple[int, ...], inputs: Mapping[str, NDArray[np.number]]
) -> tuple[bytes, str]:
    """Run a program on numbers and files; return its file of results and its output."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "program"
        path.write_bytes(program)
        path.chmod(0o700)
        results = path.with_name("results")
        for name, array in inputs.items():
            np.ascontiguousarray(array).tofile(path.with_name(name))
        files = [path.with_name(name) for name in inputs]
        printed = run_tool(path, *map(str, numbers), *files, results)
        return results.read_bytes(), printed

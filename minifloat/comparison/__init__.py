"""How much each format loses on the same weights: per tensor and in total.

`compare` quantizes and dequantizes every float tensor in every format and sums the errors. One
tensor is one job; the jobs run one after another, or in any `concurrent.futures` executor.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import lru_cache
from os import PathLike, fspath
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from minifloat.comparison.records import Comparison, Loss, Skipped, TensorLosses, ratio
from minifloat.files.weights import WeightFile, open_weights
from minifloat.formats import NumberFormat
from minifloat.formats.names import parse
from minifloat.quantization import quantize

DEFAULT_FORMATS = ("e2m2", "int5", "nf4", "e2m1", "int4")
GAUSSIAN_SHAPE = (4096, 4096)  # what is compared when there is no source
CHUNK = 1 << 18  # elements of the float64 temporaries
ARRAYS_IN_FLIGHT = 8  # arrays handed to an executor and not yet measured

Array = NDArray[Any]
PathName = str | PathLike[str]


def compare(
    source: PathName | Array | Sequence[PathName] | Mapping[str, Array] | None = None,
    formats: Sequence[str | NumberFormat] = DEFAULT_FORMATS,
    *,
    block_size: int | None = 128,
    axis: int | None = -1,
    scale: str = "float16",
    min_size: int = 0,
    executor: Executor | None = None,
    progress: Callable[[int, int], object] | None = None,
    seed: int = 0,
) -> Comparison:
    """Quantize every float tensor in every format and say what each format loses.

    A tensor with fewer dimensions than ``axis`` asks for is quantized along its last one, a 0-d
    tensor as one element. An empty tensor loses nothing. Memory beyond the source's own is a few
    times the largest tensor (for each worker, with an executor).

    Parameters
    ----------
    source : path or paths, array, mapping of names to arrays, optional
        Files are read by `minifloat.files.open_weights`. Without a source a seeded matrix of 4096 x
        4096 float32 standard normals is compared.
    formats : sequence of str or format
    block_size : int or None
        Weights to a scale; None for one scale along the whole axis (a channel).
    axis : int or None
        Along which blocks run; None for one scale to a tensor.
    scale : str
        Format of the scales: float16, bfloat16 or float32.
    min_size : int
        Tensors with fewer elements are left out and listed as skipped.
    executor : concurrent.futures.Executor, optional
        Threads, processes or a Dask client's ``get_executor()``: each tensor is one job. The
        result is the same. Jobs on files carry the path, so workers must see the same files.
    progress : callable, optional
        Called after each tensor with the parameters done and all parameters.
    seed : int
        Of the Gaussian matrix.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If a format is unknown or given twice, an option is out of range, nothing is left to
        compare, or a tensor holds inf or NaN (the message names it and where).
    WeightsError
        If a file cannot be read (a ValueError too).
    TypeError
        If ``source`` is none of the above.

    Examples
    --------
    >>> import numpy as np
    >>> weights = {"w": np.linspace(-1, 1, 256, dtype=np.float32)}
    >>> result = compare(weights, ["int4", "int8"])
    >>> result.total.winners
    ('int8',)
    """
    fmts = [parse(fmt) for fmt in ([formats] if isinstance(formats, str) else formats)]
    names = [fmt.name for fmt in fmts]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"formats must be one or more, each once, got {', '.join(names) or '()'}")
    description, jobs, skipped = _jobs(source, seed)
    small = [job for job in jobs if job.parameters < min_size]
    skipped += [
        Skipped(job.file, job.name, job.dtype, f"fewer than {min_size} elements") for job in small
    ]
    jobs = [job for job in jobs if job.parameters >= min_size]
    if not jobs:
        raise ValueError(
            f"source must hold a float tensor of at least {min_size} elements, "
            f"got {description}; lower min_size or name another file"
        )
    options = _Options(tuple(fmts), block_size, axis, scale, call=uuid4().hex)
    done, everything = 0, sum(job.parameters for job in jobs)
    tensors = []
    for tensor in _run(jobs, options, executor):
        tensors.append(tensor)
        done += tensor.parameters
        if progress is not None:
            progress(done, everything)
    total = TensorLosses("", "total", "", (), _add(tensors))
    kept = tuple(skipped)
    return Comparison(description, block_size, axis, str(scale), tuple(tensors), total, kept)


@dataclass(frozen=True)
class _Options:
    formats: tuple[NumberFormat, ...]
    block_size: int | None
    axis: int | None
    scale: str
    call: str


@dataclass(frozen=True)
class _Job:
    """One tensor to measure: an array, or the name of one in a file."""

    file: str
    name: str
    dtype: str
    shape: tuple[int, ...]
    array: Array | None = None
    path: str = ""

    @property
    def parameters(self) -> int:
        return math.prod(self.shape)

    def load(self, call: str) -> Array:
        return _opened(self.path, call).load(self.name) if self.array is None else self.array


@lru_cache(maxsize=2)
def _opened(path: str, _call: str) -> WeightFile:
    """Open a file once for all jobs of a call: reading the list of a .gguf takes seconds."""
    return open_weights(path)


def _jobs(source: Any, seed: int) -> tuple[str, list[_Job], list[Skipped]]:
    """Return the source in words, one job for each float tensor, and the other tensors."""
    if source is None:
        array = np.random.default_rng(seed).standard_normal(GAUSSIAN_SHAPE, np.float32)
        size = " x ".join(map(str, array.shape))
        words = f"{size} standard normals (no file given), seed {seed}"
        return words, [_Job("", "gaussian", "float32", array.shape, array)], []
    if isinstance(source, str | PathLike):
        return _file_jobs([source])
    if isinstance(source, np.ndarray):
        return _array_jobs({"array": source})
    if isinstance(source, Mapping):
        return _array_jobs({str(name): np.asarray(array) for name, array in source.items()})
    if isinstance(source, Sequence) and all(isinstance(path, str | PathLike) for path in source):
        return _file_jobs(source)
    raise TypeError(
        "source must be a path, paths, an array, a mapping of names to arrays or None, "
        f"got {type(source).__name__}"
    )


def _array_jobs(arrays: Mapping[str, Array]) -> tuple[str, list[_Job], list[Skipped]]:
    jobs, skipped = [], []
    for name, array in arrays.items():
        if array.dtype.kind == "f" or array.dtype.name == "bfloat16":
            jobs.append(_Job("", name, str(array.dtype), array.shape, array))
        else:
            skipped.append(Skipped("", name, str(array.dtype), "not a float tensor"))
    return "arrays in memory", jobs, skipped


def _file_jobs(paths: Iterable[PathName]) -> tuple[str, list[_Job], list[Skipped]]:
    names = [fspath(path) for path in paths]
    jobs, skipped = [], []
    for file in names:
        weights = open_weights(file)
        path = str(Path(file).absolute())  # a worker may have another working directory
        jobs += [
            _Job(file, info.name, info.dtype, info.shape, path=path) for info in weights.tensors
        ]
        skipped += [Skipped(file, info.name, info.dtype, info.skipped) for info in weights.skipped]
    return ", ".join(names), jobs, skipped


def _run(
    jobs: Sequence[_Job], options: _Options, executor: Executor | None
) -> Iterator[TensorLosses]:
    """Yield the results in the order of the jobs."""
    if executor is None:
        yield from (_measure(job, options) for job in jobs)
        return
    arrays = any(job.array is not None for job in jobs)
    limit = ARRAYS_IN_FLIGHT if arrays else len(jobs)
    pending: deque[Future[TensorLosses]] = deque()
    try:
        for job in jobs:
            if len(pending) == limit:
                yield pending.popleft().result()
            pending.append(executor.submit(_measure, job, options))
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()


def _measure(job: _Job, options: _Options) -> TensorLosses:
    """Return what every format loses on one tensor."""
    weights = np.ascontiguousarray(job.load(options.call))  # makes a 0-d tensor one element
    absmax, squared = _size(weights.reshape(-1))
    axis = options.axis
    if axis is not None and not -weights.ndim <= axis < weights.ndim:
        axis = -1
    losses = []
    for fmt in options.formats:
        if weights.size == 0:
            losses.append(Loss(fmt.name, 0, float(fmt.bits), 0.0, 0.0, 0.0, 0.0))
            continue
        try:
            quantized = quantize(
                weights, fmt, block_size=options.block_size, axis=axis, scale=options.scale
            )
        except ValueError as error:
            where = f"{job.file}: tensor" if job.file else "tensor"
            raise ValueError(f"{where} {job.name!r}: {error}") from error
        worst, squared_error = _size(weights.reshape(-1), quantized.dequantize().reshape(-1))
        bits = float(quantized.bits_per_weight)
        sums = (squared_error, squared, worst, ratio(worst, absmax))
        losses.append(Loss(fmt.name, weights.size, bits, *sums))
    return TensorLosses(job.file, job.name, job.dtype, job.shape, tuple(losses))


def _size(values: Array, minus: Array | None = None) -> tuple[float, float]:
    """Return the largest magnitude and the sum of squares of ``values - minus``, in float64."""
    largest, sums = 0.0, []
    for start in range(0, values.size, CHUNK):
        chunk = values[start : start + CHUNK].astype(np.float64)
        if minus is not None:
            chunk -= minus[start : start + CHUNK]
        largest = max(largest, float(chunk.max()), -float(chunk.min()))
        sums.append(float(np.square(chunk, out=chunk).sum()))
    return largest, math.fsum(sums)


def _add(tensors: Sequence[TensorLosses]) -> tuple[Loss, ...]:
    """Add up each format's losses over the tensors."""
    total = []
    for losses in zip(*(tensor.losses for tensor in tensors), strict=True):
        parameters = sum(loss.parameters for loss in losses)
        bits = math.fsum(loss.bits_per_weight * loss.parameters for loss in losses)
        total.append(
            Loss(
                losses[0].format,
                parameters,
                bits / parameters if parameters else losses[0].bits_per_weight,
                math.fsum(loss.squared_error for loss in losses),
                math.fsum(loss.squared_weight for loss in losses),
                max(loss.worst for loss in losses),
                max(loss.worst_relative for loss in losses),
            )
        )
    return tuple(total)

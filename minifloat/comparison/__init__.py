"""The quantization error of several recipes on the same weights: per tensor and in total.

`compare` quantizes and dequantizes every float tensor by every recipe and sums the errors. One
tensor is one task; the tasks run one after another, or in any `concurrent.futures` executor.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat.comparison.records import RecipeError, Skipped, TensorErrors, ratio
from minifloat.comparison.result import Comparison
from minifloat.files import TensorInfo, WeightFile, open_weights
from minifloat.formats import NumberFormat
from minifloat.formats.base import check_int
from minifloat.quantization import quantize
from minifloat.quantization.recipes import Recipe

DEFAULT_RECIPES = ("e2m2", "int5", "nf4/128/float16", "e2m1", "int4")
GAUSSIAN_SHAPE = (4096, 4096)  # of the weights that are compared without a source
CHUNK = 1 << 18  # elements of the float64 temporaries
ARRAYS_IN_FLIGHT = 8  # arrays handed to an executor and not yet measured

Array = NDArray[Any]
PathName: TypeAlias = str | PathLike[str]
Source: TypeAlias = PathName | Array | Sequence[PathName] | Mapping[str, ArrayLike]
SomeRecipe: TypeAlias = Recipe | NumberFormat | str


def compare(
    source: Source | None = None,
    recipes: SomeRecipe | Sequence[SomeRecipe] = DEFAULT_RECIPES,
    *,
    axis: int = -1,
    min_size: int = 0,
    executor: Executor | None = None,
    progress: Callable[[int, int], object] | None = None,
    seed: int = 0,
) -> Comparison:
    """Quantize every float tensor by every recipe and return the errors.

    A tensor with fewer dimensions than ``axis`` asks for is quantized along its last one, a 0-d
    tensor as one element. An empty tensor has no error. Memory beyond the source's own is a few
    times the largest tensor (for each worker, with an executor).

    Parameters
    ----------
    source : path or paths, array, mapping of names to arrays, optional
        Files are read by `minifloat.files.open_weights`. Without a source a seeded matrix of 4096 x
        4096 float32 standard normals is compared.
    recipes : recipe, or sequence of recipes
        Each a `Recipe`, its text or name (``"nvfp4"``), or a format, which has blocks of 128 and
        float16 scales.
    axis : int
        The axis along which blocks run.
    min_size : int
        Tensors with fewer elements are left out and listed as skipped.
    executor : concurrent.futures.Executor, optional
        Threads, processes or a Dask client's ``get_executor()``: each tensor is one task. The
        result is the same. Tasks on files carry the path, so workers must see the same files.
    progress : callable, optional
        Called after each tensor with the parameters done and all parameters.
    seed : int
        Seed of the Gaussian matrix.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If a recipe is unknown or given twice, two recipes have the same text, nothing is left to
        compare, or a tensor holds inf or NaN (the message names it and where).
    WeightsError
        If a file cannot be read (a ValueError too).
    TypeError
        If ``source`` is none of the above, or an argument has another type.

    Examples
    --------
    >>> import numpy as np
    >>> weights = {"w": np.linspace(-1, 1, 256, dtype=np.float32)}
    >>> result = compare(weights, ["int4", "int8", "nvfp4"])
    >>> result.total.best
    ('int8/128/float16',)
    """
    chosen = _recipes(recipes)
    axis, min_size = check_int("axis", axis), check_int("min_size", min_size)
    seed = check_int("seed", seed, 0)
    description, files = _opened(source, seed)
    tasks = [
        _Task(label, info, file.loader(info.name)) for label, file in files for info in file.tensors
    ]
    skipped = [
        Skipped(label, info.name, info.dtype, info.skipped)
        for label, file in files
        for info in file.skipped
    ]
    small = [task for task in tasks if task.info.parameters < min_size]
    tasks = [task for task in tasks if task.info.parameters >= min_size]
    skipped += [
        Skipped(task.file, task.info.name, task.info.dtype, f"fewer than {min_size} elements")
        for task in small
    ]
    if not tasks:
        raise ValueError(_nothing_left(description, min_size, small, skipped))
    in_flight = len(tasks) if any(label for label, _ in files) else ARRAYS_IN_FLIGHT
    done, everything = 0, sum(task.info.parameters for task in tasks)
    tensors = []
    for tensor in _measured(tasks, chosen, axis, executor, in_flight):
        tensors.append(tensor)
        done += tensor.parameters
        if progress is not None:
            progress(done, everything)
    total = TensorErrors("", "total", "", (), _summed(tensors))
    return Comparison(description, chosen, axis, tuple(tensors), total, tuple(skipped))


@dataclass(frozen=True)
class _Task:
    """One tensor to measure."""

    file: str
    info: TensorInfo
    load: Callable[[], Array]


def _recipes(recipes: SomeRecipe | Sequence[SomeRecipe]) -> tuple[Recipe, ...]:
    several = [recipes] if isinstance(recipes, str | NumberFormat | Recipe) else recipes
    if not isinstance(several, Iterable):
        raise TypeError(f"recipes must be a recipe or several, got {recipes!r}")
    chosen = tuple(Recipe.parse(recipe) for recipe in several)
    texts = [str(recipe) for recipe in chosen]
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"recipes must be one or more, each once, got {', '.join(texts) or '()'}")
    if len(set(texts)) < len(texts):  # results are found by the text
        raise ValueError(
            f"recipes must have a text of their own each, got {', '.join(texts)}; give codebooks "
            "different names"
        )
    return chosen


def _opened(source: Source | None, seed: int) -> tuple[str, list[tuple[str, WeightFile]]]:
    """Return the source in words, and its tensors: files by their names, arrays by no name."""
    if source is None:
        array = np.random.default_rng(seed).standard_normal(GAUSSIAN_SHAPE, np.float32)
        size = " x ".join(map(str, array.shape))
        words = f"{size} standard normals (no file given), seed {seed}"
        return words, [("", open_weights({"gaussian": array}))]
    if isinstance(source, np.ndarray):
        source = {"array": source}
    if isinstance(source, Mapping):
        weights = open_weights(source)
        return weights.source, [("", weights)]
    paths = [source] if isinstance(source, str | PathLike) else source
    if isinstance(paths, Sequence) and all(isinstance(path, str | PathLike) for path in paths):
        names = [fspath(path) for path in paths]
        return ", ".join(names), [(name, open_weights(name)) for name in names]
    raise TypeError(
        "source must be a path, paths, an array, a mapping of names to arrays or None, "
        f"got {type(source).__name__}"
    )


def _nothing_left(
    source: str, min_size: int, small: Sequence[_Task], skipped: Sequence[Skipped]
) -> str:
    """Return the message that no tensor can be compared, with the reason and a remedy."""
    if small:
        largest = max(task.info.parameters for task in small)
        return (
            f"min_size must be at most {largest}, the elements of the largest float tensor of "
            f"{source}, got {min_size}"
        )
    reasons = [f"{tensor.name!r} of {tensor.dtype} is {tensor.reason}" for tensor in skipped[:3]]
    why = f" ({'; '.join(reasons)})" if reasons else ""
    return f"source must hold a float tensor, got {source}{why}; name another file"


def _measured(
    tasks: Sequence[_Task],
    recipes: tuple[Recipe, ...],
    axis: int,
    executor: Executor | None,
    in_flight: int,
) -> Iterator[TensorErrors]:
    """Yield the results in the order of the tasks, of which at most ``in_flight`` are under way."""
    if executor is None:
        yield from (_measure(task, recipes, axis) for task in tasks)
        return
    pending: deque[Future[TensorErrors]] = deque()
    try:
        for task in tasks:
            if len(pending) == in_flight:
                yield pending.popleft().result()
            pending.append(executor.submit(_measure, task, recipes, axis))
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()


def _measure(task: _Task, recipes: tuple[Recipe, ...], axis: int) -> TensorErrors:
    """Return the error of every recipe on one tensor."""
    weights = np.ascontiguousarray(task.load())  # makes a 0-d tensor one element
    flat = weights.reshape(-1)
    absmax, squared = _max_and_squares(flat)
    if not -weights.ndim <= axis < weights.ndim:
        axis = -1
    errors = []
    for recipe in recipes:
        if weights.size == 0:
            errors.append(RecipeError(str(recipe), 0, float(recipe.fmt.bits), 0.0, 0.0, 0.0, 0.0))
            continue
        try:
            quantized = quantize(weights, recipe, axis=axis)
        except ValueError as error:
            where = f"{task.file}: tensor" if task.file else "tensor"
            raise ValueError(f"{where} {task.info.name!r}: {error}") from error
        largest, squared_error = _max_and_squares(flat, quantized.dequantize().reshape(-1))
        bits = float(quantized.bits_per_weight)
        figures = (squared_error, squared, largest, ratio(largest, absmax))
        errors.append(RecipeError(str(recipe), weights.size, bits, *figures))
    info = task.info
    return TensorErrors(task.file, info.name, info.dtype, info.shape, tuple(errors))


def _max_and_squares(values: Array, minus: Array | None = None) -> tuple[float, float]:
    """Return the largest magnitude and the sum of squares of ``values - minus``, in float64."""
    largest, sums = 0.0, []
    for start in range(0, values.size, CHUNK):
        chunk = values[start : start + CHUNK].astype(np.float64)
        if minus is not None:
            chunk -= minus[start : start + CHUNK]
        largest = max(largest, float(chunk.max()), -float(chunk.min()))
        sums.append(float(np.square(chunk, out=chunk).sum()))
    return largest, math.fsum(sums)


def _summed(tensors: Iterable[TensorErrors]) -> tuple[RecipeError, ...]:
    """Add up each recipe's errors over the tensors."""
    total = []
    for errors in zip(*(tensor.errors for tensor in tensors), strict=True):
        parameters = sum(error.parameters for error in errors)
        bits = math.fsum(error.bits_per_weight * error.parameters for error in errors)
        total.append(
            RecipeError(
                errors[0].recipe,
                parameters,
                bits / parameters if parameters else errors[0].bits_per_weight,
                math.fsum(error.squared_error for error in errors),
                math.fsum(error.squared_weight for error in errors),
                max(error.max_abs_error for error in errors),
                max(error.max_abs_error_relative for error in errors),
            )
        )
    return tuple(total)

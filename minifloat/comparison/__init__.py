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
from fractions import Fraction
from functools import partial
from os import PathLike, fspath
from typing import Any, SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat._tensors import AnyTensor, is_jax, is_torch
from minifloat.comparison.measuring import measure
from minifloat.comparison.records import RecipeError, Skipped, TensorErrors
from minifloat.comparison.result import Comparison
from minifloat.comparison.selection import Task, nothing_left, patterns, select
from minifloat.files import WeightFile, open_weights
from minifloat.files.checkpoints import open_checkpoint
from minifloat.formats import NumberFormat
from minifloat.formats.base import check_int, shown
from minifloat.quantization.recipes import Recipe

DEFAULT_RECIPES = ("e2m2", "int5", "nf4/128/float16", "e2m1", "int4")
GAUSSIAN_SHAPE = (4096, 4096)  # of the weights that are compared without a source
ARRAYS_IN_FLIGHT = 8  # arrays handed to an executor and not yet measured

Array = NDArray[Any]
PathName: TypeAlias = str | PathLike[str]
Source: TypeAlias = (
    PathName | Array | AnyTensor | Sequence[PathName] | Mapping[str, ArrayLike | AnyTensor]
)
SomeRecipe: TypeAlias = Recipe | NumberFormat | str


def compare(
    source: Source | None = None,
    recipes: SomeRecipe | Sequence[SomeRecipe] = DEFAULT_RECIPES,
    *,
    axis: SupportsIndex = -1,
    include: str | Sequence[str] | None = None,
    exclude: str | Sequence[str] | None = None,
    min_size: SupportsIndex = 0,
    executor: Executor | None = None,
    progress: Callable[[int, int], object] | None = None,
    seed: SupportsIndex = 0,
) -> Comparison:
    """Quantize every float tensor by every recipe and return the errors.

    A tensor that some recipe cannot quantize (it holds inf or NaN, or needs a scale beyond the
    recipe's scale format) or that cannot be read is skipped, with the reason, and the others are
    compared. It is skipped for all recipes, so that their totals are over the same weights.

    A tensor with fewer dimensions than ``axis`` asks for is quantized along its last one, a 0-d
    tensor as one element. An empty tensor has no error. Memory beyond the source's own is a few
    times the largest tensor (for each worker, with an executor).

    Parameters
    ----------
    source : path or paths, array, tensor, mapping of names to them, optional
        Files are read by `minifloat.files.checkpoints.open_checkpoint`: quantized weights are
        compared as the floats that they mean, and the tensors' notes say so. Without a source a
        seeded matrix of 4096 x 4096 float32 standard normals is compared. A model of PyTorch is
        ``model.state_dict()``.
    recipes : recipe, or sequence of recipes
        Each a `Recipe`, its text or name (``"nvfp4"``), or a format, which has blocks of 128 and
        float16 scales.
    axis : int
        The axis along which blocks run; at least one tensor must have it.
    include, exclude : str, or sequence of str, optional
        Names of tensors, or shell patterns for them (``"*.mlp.*"``): those to compare (default:
        all), and those of them to leave out. The tensors left out are listed as skipped.
    min_size : int
        Tensors with fewer elements are left out and listed as skipped.
    executor : concurrent.futures.Executor, optional
        Threads, processes or a Dask client's ``get_executor()``: each tensor is one task. The
        result is the same. Tasks on files carry the path, so workers must see the same files.
    progress : callable, optional
        Called with the parameters done and all parameters, both ints: after each recipe of each
        tensor, or with an executor after each tensor.
    seed : int
        Seed of the Gaussian matrix.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If a recipe is unknown or given twice, two recipes have the same text, no tensor has the
        axis, a pattern matches nothing, or no tensor is left (the message says why).
    WeightsError
        If a file cannot be read (a ValueError too).
    TypeError
        If ``source`` is none of the above, or an argument has another type.

    Examples
    --------
    >>> import numpy as np
    >>> weights = {"w": np.linspace(-1, 1, 256, dtype=np.float32)}
    >>> result = compare(weights, ["int4", "int8", "e2m1"])
    >>> result.total.best  # of the two with 4.125 bits per weight
    ('int4/128/float16',)
    """
    chosen = distinct_recipes(recipes)
    axis = check_int("axis", axis)
    min_size, seed = check_int("min_size", min_size, 0), check_int("seed", seed, 0)
    if progress is not None and not callable(progress):
        raise TypeError(f"progress must be a function or None, got {progress!r}")
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise TypeError(f"executor must be a concurrent.futures.Executor or None, got {executor!r}")
    wanted = None if include is None else patterns("include", include)
    unwanted = [] if exclude is None else patterns("exclude", exclude)
    description, files = _opened(source, seed)
    tasks, skipped = select(description, files, wanted, unwanted, min_size)
    _check_axis(axis, chosen, tasks)
    in_flight = len(tasks) if any(label for label, _ in files) else ARRAYS_IN_FLIGHT
    report = _Progress(progress, sum(task.info.parameters for task in tasks), len(chosen))
    tensors = []
    for result in _measured(tasks, chosen, axis, executor, in_flight, report):
        if isinstance(result, Skipped):
            skipped.append(result)
        else:
            tensors.append(result)
    if not tensors:
        raise ValueError(nothing_left(description, skipped))
    total = TensorErrors("", "total", "", (), summed(tensors))
    return Comparison(description, chosen, axis, tuple(tensors), total, tuple(skipped))


def distinct_recipes(recipes: SomeRecipe | Sequence[SomeRecipe]) -> tuple[Recipe, ...]:
    """Return one recipe or several as recipes, or raise if two are equal or have one text."""
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
    if isinstance(source, np.ndarray) or is_torch(source) or is_jax(source):
        source = {"array": source}  # type: ignore[dict-item]  # no path is a tensor
    if isinstance(source, Mapping):
        weights = open_weights(source)
        return weights.source, [("", weights)]
    paths = [source] if isinstance(source, str | PathLike) else source
    if isinstance(paths, Sequence) and all(isinstance(path, str | PathLike) for path in paths):
        names = [fspath(path) for path in paths]
        return ", ".join(names), [(name, open_checkpoint(name).weight_file()) for name in names]
    raise TypeError(
        "source must be a path, paths, an array, a mapping of names to arrays or None, "
        f"got {type(source).__name__}; of a model of PyTorch pass model.state_dict()"
    )


def _check_axis(axis: int, recipes: Sequence[Recipe], tasks: Sequence[Task]) -> None:
    ranks = {max(len(task.info.shape), 1) for task in tasks}
    having = [rank for rank in ranks if -rank <= axis < rank]
    if not having:
        most = max(ranks)
        raise ValueError(
            f"axis must be in {-most}..{most - 1}, where some tensor has an axis, got {shown(axis)}"
        )
    if any(axis % rank != rank - 1 for rank in having):
        for recipe in recipes:
            if isinstance(recipe.block, tuple):
                raise ValueError(
                    "axis must be -1 for tiles, which lie in the last two axes, got "
                    f"{axis} with {recipe}"
                )


@dataclass
class _Progress:
    """Tells the caller's function how many parameters have been quantized by all recipes."""

    function: Callable[[int, int], object] | None
    everything: int
    recipes: int
    done: int = 0

    def within(self, task: Task, recipes_done: int) -> None:
        """Report that so many recipes of a tensor are done."""
        if self.function is not None and recipes_done < self.recipes:
            part = task.info.parameters * recipes_done // self.recipes
            self.function(self.done + part, self.everything)

    def after(self, task: Task) -> None:
        """Report that a tensor is done."""
        self.done += task.info.parameters
        if self.function is not None:
            self.function(self.done, self.everything)


def _measured(
    tasks: Sequence[Task],
    recipes: tuple[Recipe, ...],
    axis: int,
    executor: Executor | None,
    in_flight: int,
    progress: _Progress,
) -> Iterator[TensorErrors | Skipped]:
    """Yield the results in the order of the tasks, of which at most ``in_flight`` are under way."""
    if executor is None:
        for task in tasks:
            yield measure(task, recipes, axis, partial(progress.within, task))
            progress.after(task)
        return
    pending: deque[tuple[Task, Future[TensorErrors | Skipped]]] = deque()

    def first() -> TensorErrors | Skipped:
        task, future = pending.popleft()
        result = future.result()
        progress.after(task)
        return result

    try:
        for task in tasks:
            if len(pending) == in_flight:
                yield first()
            pending.append((task, executor.submit(measure, task, recipes, axis)))
        while pending:
            yield first()
    finally:
        for _, future in pending:
            future.cancel()


def summed(tensors: Iterable[TensorErrors]) -> tuple[RecipeError, ...]:
    """Add up each recipe's errors over the tensors."""
    total = []
    for errors in zip(*(tensor.errors for tensor in tensors), strict=True):
        parameters = sum(error.parameters for error in errors)
        bits = math.fsum(error.bits_per_weight * error.parameters for error in errors)
        total.append(
            RecipeError(
                errors[0].recipe,
                errors[0].element_bits,
                parameters,
                bits / parameters if parameters else errors[0].bits_per_weight,
                sum((error.squared_error for error in errors), Fraction(0)),
                sum((error.squared_weight for error in errors), Fraction(0)),
                max(error.max_abs_error for error in errors),
                max(error.max_abs_error_relative for error in errors),
            )
        )
    return tuple(total)

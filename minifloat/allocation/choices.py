"""The losses and costs of all tensors by all recipes, and what is chosen from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from typing import Any, SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays
from minifloat._tensors import AnyTensor
from minifloat._threads import check_threads
from minifloat.allocation.front import front
from minifloat.allocation.losses import Sensitivity, loss_of
from minifloat.allocation.solver import least_loss
from minifloat.comparison import distinct_recipes
from minifloat.files.checkpoints import open_checkpoint
from minifloat.formats import NumberFormat
from minifloat.formats.base import check_int, shown
from minifloat.quantization import quantize
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import Recipe

Floats = NDArray[np.float64]
Costs: TypeAlias = Mapping[str, Mapping[Any, float]]
Tensors: TypeAlias = Mapping[str, ArrayLike | AnyTensor] | str | PathLike[str]
BITS, BYTES, BIT_OPERATIONS = "bits", "bytes", "bit_operations"


@dataclass(frozen=True)
class Allocation:
    """A recipe for each tensor.

    Attributes
    ----------
    recipes : dict of str to Recipe
        By the names of the tensors.
    loss : float
        Summed over the tensors.
    costs : dict of str to float
        Summed over the tensors: "bits" is per weight.
    """

    recipes: dict[str, Recipe]
    loss: float
    costs: dict[str, float]

    @property
    def bits_per_weight(self) -> float:
        """Bits of storage per weight, scales included."""
        return self.costs[BITS]


@dataclass(frozen=True, eq=False)
class Choices:
    """What each tensor loses and costs by each recipe.

    `measured` makes one from weights; from losses that come from elsewhere (a theory, a table of
    another program) it is made as it is.

    Attributes
    ----------
    names : tuple of str
        Of n tensors.
    recipes : tuple of Recipe
        k of them.
    weights : tuple of int
        How many weights each tensor has.
    losses : ndarray of float64, (n, k)
        Finite and at least 0.
    costs : dict of str to ndarray of float64, (n, k)
        Finite and at least 0; of whole tensors. "bytes" is one of them.
    """

    names: tuple[str, ...]
    recipes: tuple[Recipe, ...]
    weights: tuple[int, ...]
    losses: Floats
    costs: dict[str, Floats]

    def __post_init__(self) -> None:
        shape = (len(self.names), len(self.recipes))
        if BYTES not in self.costs or BITS in self.costs or len(self.weights) != shape[0]:
            raise ValueError(
                f'costs must have "bytes" and not "bits", and weights {shape[0]} numbers, got '
                f"{', '.join(self.costs)} and {len(self.weights)}"
            )
        for name, table in {"losses": self.losses, **self.costs}.items():
            if table.shape != shape or not (np.isfinite(table) & (table >= 0)).all():
                raise ValueError(
                    f"{name} must be finite, at least 0 and of shape {shape}, got {shown(table)}"
                )

    def allocate(self, budget: float | Mapping[str, float]) -> Allocation:
        """Return the allocation of least loss within a budget; see `allocate`.

        Parameters
        ----------
        budget : float or mapping of str to float
            As for `allocate`.

        Returns
        -------
        Allocation

        Raises
        ------
        ValueError
            If no allocation keeps the budget, or a cost is not known.
        TypeError
            If the budget is not of numbers.
        ModuleNotFoundError
            Without SciPy.
        """
        limits = self._limits(budget)
        for name, limit in limits.items():
            least = self._cost(name, float(self._table(name).min(axis=1).sum()))
            if least > limit:
                raise ValueError(f"budget must be at least {least:g} {name}, got {limit:g}")
        most = {name: float(self._table(name).max(axis=1).sum()) for name in limits}
        limits = {n: limit for n, limit in limits.items() if limit < self._cost(n, most[n])}
        tables = [self._table(name) for name in limits]
        sums = [self._sum_within(name, limit) for name, limit in limits.items()]
        picks = least_loss(self.losses, tables, sums)
        if picks is None:
            raise ValueError(
                "budget must be kept by some allocation, got limits that each alone allows: "
                f"{', '.join(f'{name} {limit:g}' for name, limit in limits.items())}"
            )
        return self._allocation(picks)

    def front(self, cost: str = BITS) -> list[Allocation]:
        """Return all allocations that no other beats in loss and cost.

        Parameters
        ----------
        cost : str
            "bits", "bytes" or another that was measured.

        Returns
        -------
        list of Allocation
            Of increasing cost and decreasing loss: the first is the cheapest, the last has the
            least loss of all. Of equal ones there is one.

        Raises
        ------
        ValueError
            If there is no such cost, or there are more than 2^16 such allocations of some of the
            tensors.

        Notes
        -----
        Tensor by tensor, all sums of costs and losses that no other sum beats are kept: exact, for
        sums of independent losses. Few recipes, or tensors of few sizes, have few sums.

        Examples
        --------
        >>> import numpy as np
        >>> tensors = {"a": np.linspace(-1, 1, 256), "b": np.linspace(-3, 1, 256)}
        >>> found = measured(tensors, ["int3", "int4"]).front()
        >>> [(point.bits_per_weight, round(point.loss, 2)) for point in found]
        [(3.125, 14.16), (3.625, 4.6), (4.125, 2.68)]
        """
        return [self._allocation(picks) for picks in front(self.losses, self._table(cost))]

    def _limits(self, budget: float | Mapping[str, float]) -> dict[str, float]:
        given = budget if isinstance(budget, Mapping) else {BITS: budget}
        if not given:
            raise ValueError("budget must limit a cost, got none")
        for name, limit in given.items():
            self._table(name)
            if isinstance(limit, bool) or not isinstance(limit, int | float | np.number):
                raise TypeError(f"budget must be numbers, got {shown(limit)} for {name}")
            if math.isnan(limit):
                raise ValueError(f"budget must be numbers, got nan for {name}")
        return {name: float(limit) for name, limit in given.items()}

    def _table(self, cost: str) -> Floats:
        """Return a cost of each tensor by each recipe, in a unit that keeps whole numbers whole."""
        if cost != BITS and cost not in self.costs:
            raise ValueError(f"cost must be one of {', '.join((BITS, *self.costs))}, got {cost!r}")
        return self.costs[BYTES if cost == BITS else cost]

    def _cost(self, name: str, total: float) -> float:
        """Return a cost, as it is shown, of the sum of its table's numbers."""
        return 8 * (total / sum(self.weights)) if name == BITS else total

    def _sum_within(self, name: str, limit: float) -> float:
        """Return the largest such sum whose cost, as it is shown, is within a limit."""
        total = limit / 8 * sum(self.weights) if name == BITS else limit
        while self._cost(name, total) > limit:
            total = math.nextafter(total, -math.inf)
        while self._cost(name, beyond := math.nextafter(total, math.inf)) <= limit:
            total = beyond
        return total

    def _allocation(self, picks: Sequence[int]) -> Allocation:
        rows = range(len(self.names))
        sums = {
            name: self._cost(name, float(self._table(name)[rows, picks].sum()))
            for name in (BITS, *self.costs)
        }
        recipes = [self.recipes[pick] for pick in picks]
        chosen = dict(zip(self.names, recipes, strict=True))
        return Allocation(chosen, float(self.losses[rows, picks].sum()), sums)


def measured(
    tensors: Tensors,
    recipes: Sequence[Recipe | NumberFormat | str],
    *,
    sensitivity: Sensitivity = None,
    costs: Costs | None = None,
    activation_bits: SupportsIndex = 16,
    uses: Mapping[str, float] | None = None,
    threads: SupportsIndex = 1,
    progress: Callable[[int, int], Any] | None = None,
) -> Choices:
    """Quantize each tensor by each recipe, and return what it loses and costs.

    Parameters
    ----------
    tensors, recipes, sensitivity, costs, activation_bits, uses, threads, progress
        As for `allocate`.

    Returns
    -------
    Choices

    Raises
    ------
    ValueError, TypeError
        As for `allocate`.

    Examples
    --------
    >>> found = measured({"a": [[1.0, 0.3]], "b": [[5.0, 0.1]]}, ["int4", "int8"])
    >>> found.losses.round(4).tolist()
    [[0.0002, 0.0], [0.01, 0.0003]]
    """
    chosen, threads = distinct_recipes(recipes), check_threads(threads)
    activation_bits = check_int("activation_bits", activation_bits, 1)
    per_weight = {name: _of_recipes(name, given, chosen) for name, given in (costs or {}).items()}
    per_weight[BIT_OPERATIONS] = np.array([r.fmt.bits * float(activation_bits) for r in chosen])
    loaders = _opened(tensors)
    used = None if uses is None else _checked_uses(uses, loaders)
    names, sizes, losses, storage = [], [], [], []
    for name, load in loaders.items():
        weights = _arrays.source_array(load(), name)[0]
        if weights.size == 0:
            raise ValueError(f"tensors must not be empty, got shape {weights.shape} for {name!r}")
        packed = [_quantized(name, weights, recipe, threads) for recipe in chosen]
        names.append(name)
        sizes.append(weights.size)
        losses.append([loss_of(name, weights, q, sensitivity) for q in packed])
        storage.append([float(q.nbytes) for q in packed])
        if progress is not None:
            progress(len(names), len(loaders))
    tables = {BYTES: np.array(storage)}
    for key, each in per_weight.items():
        counts = np.array(sizes, np.float64)
        if key == BIT_OPERATIONS and used is not None:
            counts *= [used[name] for name in names]
        tables[key] = np.outer(counts, each)
    return Choices(tuple(names), chosen, tuple(sizes), np.array(losses), tables)


def columns(tensors: Mapping[str, ArrayLike], count: SupportsIndex) -> dict[str, NDArray[Any]]:
    """Return the tensors in blocks of columns, each a tensor of its own for `allocate`.

    Outlying channels then get a wide format without the rest of their matrix (COMET mixes 4 and 8
    bits so, in blocks of 128 channels of activations).

    Parameters
    ----------
    tensors : mapping of str to array_like, (..., columns)
    count : int
        Columns of a block; the last of a tensor may have fewer.

    Returns
    -------
    dict of str to ndarray
        Views, by names such as ``"up[:, 128:256]"``.

    Raises
    ------
    ValueError
        If ``count`` is below 1, or a tensor has no dimension.

    Examples
    --------
    >>> [(name, part.shape) for name, part in columns({"up": np.ones((4, 20))}, 16).items()]
    [('up[..., 0:16]', (4, 16)), ('up[..., 16:20]', (4, 4))]
    """
    step = check_int("count", count, 1)
    found = {}
    for name, tensor in tensors.items():
        array = np.asarray(tensor)
        if array.ndim == 0:
            raise ValueError(f"tensors must have columns, got shape () for {name!r}")
        for start in range(0, array.shape[-1], step):
            stop = min(start + step, array.shape[-1])
            found[f"{name}[..., {start}:{stop}]"] = array[..., start:stop]
    return found


def _opened(tensors: Tensors) -> dict[str, Callable[[], Any]]:
    """Return what loads each tensor."""
    if isinstance(tensors, str | PathLike):
        source = open_checkpoint(tensors)
        names = [about.name for about in source.descriptions if len(about.shape) >= 2]
        found: dict[str, Callable[[], Any]]
        found = {name: partial(source.dequantize, name) for name in names}
    elif isinstance(tensors, Mapping):
        found = {name: partial(tensors.__getitem__, name) for name in tensors}
    else:
        raise TypeError(f"tensors must be a mapping of names to weights, got {shown(tensors)}")
    if not found:
        raise ValueError("tensors must be one or more, got none")
    return found


def _quantized(
    name: str, weights: NDArray[Any], recipe: Recipe, threads: SupportsIndex
) -> Quantized:
    try:
        return quantize(weights, recipe, threads=threads)
    except ValueError as error:
        raise ValueError(
            f"tensors must be such as every recipe quantizes, got {name!r} by {recipe}: {error}"
        ) from None


def _checked_uses(uses: Mapping[str, float], names: Iterable[str]) -> dict[str, float]:
    """Return how often each tensor's weights are used."""
    found = {}
    for name in names:
        if name not in uses:
            raise ValueError(f"uses must have each tensor, got none for {name!r}")
        found[name] = float(uses[name])
        if not 0 <= found[name] < math.inf:
            raise ValueError(f"uses must be finite and at least 0, got {found[name]} for {name!r}")
    return found


def _of_recipes(cost: str, given: Mapping[Any, float], recipes: Sequence[Recipe]) -> Floats:
    """Return a cost of one weight for each recipe."""
    if cost in (BITS, BYTES, BIT_OPERATIONS):
        raise ValueError(f"costs must have other names than the counted ones, got {cost!r}")
    by_recipe = {Recipe.parse(recipe): float(number) for recipe, number in given.items()}
    missing = [str(recipe) for recipe in recipes if recipe not in by_recipe]
    if missing:
        raise ValueError(f"costs must have each recipe, got none of {cost} for {missing[0]}")
    return np.array([by_recipe[recipe] for recipe in recipes])

"""Mixed precision: which recipe each tensor gets, so that a budget is kept and the least is lost.

    losses     what a tensor loses by a recipe, for each kind of sensitivity
    choices    the losses and costs of all tensors by all recipes
    solver     one recipe a tensor, within several budgets: an integer program
    front      all allocations that no other beats in loss and cost
    timing     measured time as a cost
    channel_mix, feature_maps    widths of activations: COMET's mix of channels, QuantMCU's search

>>> import numpy as np
>>> rng = np.random.default_rng(3)
>>> tensors = {"a": rng.standard_normal((64, 128)), "b": rng.standard_normal((64, 128)) / 9}
>>> found = allocate(tensors, ["e2m1", "e2m2", "e2m3"], 5.2)
>>> {name: str(recipe) for name, recipe in found.recipes.items()}
{'a': 'e2m3/128/float16', 'b': 'e2m1/128/float16'}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, SupportsIndex

from minifloat.allocation.channel_mix import ChannelMix, mix_channels
from minifloat.allocation.choices import Allocation, Choices, Costs, Tensors, columns, measured
from minifloat.allocation.feature_maps import entropy, outlier_patches, vdqs
from minifloat.allocation.losses import Sensitivity
from minifloat.allocation.timing import seconds_per_weight
from minifloat.formats import NumberFormat
from minifloat.quantization.recipes import Recipe

__all__ = [
    "Allocation",
    "ChannelMix",
    "Choices",
    "allocate",
    "columns",
    "entropy",
    "measured",
    "mix_channels",
    "outlier_patches",
    "seconds_per_weight",
    "vdqs",
]


def allocate(
    tensors: Tensors,
    recipes: Sequence[Recipe | NumberFormat | str],
    budget: float | Mapping[str, float],
    *,
    sensitivity: Sensitivity = None,
    costs: Costs | None = None,
    activation_bits: SupportsIndex = 16,
    uses: Mapping[str, float] | None = None,
    threads: SupportsIndex = 1,
    progress: Callable[[int, int], Any] | None = None,
) -> Allocation:
    """Choose a recipe for each tensor: the least loss within a budget.

    The loss is a sum over tensors, so that this is an integer program (HAWQ-V3, arXiv 2011.10680):
    one recipe a tensor, the sums of its costs within the budget. SciPy's HiGHS solves it. For
    several budgets of the same tensors measure once: ``measured(...)`` has `Choices.allocate` and
    `Choices.front`.

    Parameters
    ----------
    tensors : mapping of str to array_like, or path
        Weights as `minifloat.quantize` takes them, of any shape, not empty. Of a mapping that loads
        lazily, as `minifloat.files.checkpoints.open_checkpoint` gives, one tensor is in memory at a
        time. Of a file those of at least two dimensions are taken.
    recipes : sequence of Recipe, format or str
        Each as for `minifloat.quantize`, and once. One with a wide format (``"bfloat16/channel"``)
        leaves a tensor nearly as it is.
    budget : float or mapping of str to float
        Bits per weight, scales included, as the mean over all weights; or a limit for each cost:
        ``{"bits": 4.5, "bit_operations": 1e9}``. Costs are "bits", "bytes", "bit_operations" and
        the keys of ``costs``.
    sensitivity : optional
        What a tensor's error does. None: its loss is the sum of its squared errors. A mapping of
        names to numbers of at least 0: that times the number (the mean trace of the Hessian, as in
        HAWQ-V2; Fisher information). To arrays (inputs,): a factor for the errors of each input's
        weights. To arrays (inputs, inputs), X^T X of the inputs X: the squared error of the layer's
        outputs. A function of the name, the weights and the `Quantized`: the loss itself, such as
        the measured loss of a model with this tensor alone quantized.
    costs : mapping of str to (mapping of recipe to float), optional
        Other costs, each for one weight: LUTs of a recipe's circuit, or measured seconds. A recipe
        is its text or value.
    activation_bits : int
        Of the operand that weights are multiplied by, for "bit_operations": bits of the weight
        times this, for each use of each weight (FLIQS' cost, arXiv 2308.03290).
    uses : mapping of str to float, optional
        How often each tensor's weights are used, for "bit_operations": the positions of the output
        of a convolution. Default: once.
    threads : int
        As for `minifloat.quantize`.
    progress : callable, optional
        Called with the tensors done and all tensors.

    Returns
    -------
    Allocation

    Raises
    ------
    ValueError
        If no allocation keeps the budget (the message has the least cost), a tensor cannot be
        quantized by a recipe, a loss is negative or not finite, a sensitivity is missing or does
        not fit its tensor, or a cost is not known.
    TypeError
        If an argument has another type.
    ModuleNotFoundError
        Without SciPy.

    Notes
    -----
    The loss is the least up to a part in 10^6 (the tolerance of HiGHS); the budget is kept exactly.
    Quantizing each tensor by each recipe takes nearly all the time.

    Examples
    --------
    A tensor that matters a hundred times as much gets the wide format:

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> tensors = {name: rng.standard_normal((16, 128)) for name in ("up", "down")}
    >>> found = allocate(tensors, ["e2m1", "e2m3"], 5.2, sensitivity={"up": 1, "down": 100})
    >>> {name: str(recipe) for name, recipe in found.recipes.items()}
    {'up': 'e2m1/128/float16', 'down': 'e2m3/128/float16'}
    >>> found.bits_per_weight
    5.125
    """
    found = measured(
        tensors,
        recipes,
        sensitivity=sensitivity,
        costs=costs,
        activation_bits=activation_bits,
        uses=uses,
        threads=threads,
        progress=progress,
    )
    return found.allocate(budget)

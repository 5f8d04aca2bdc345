"""Two recipes for the channels of activations: a wide one where the outliers are (COMET)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays
from minifloat._tensors import AnyTensor
from minifloat.formats import NumberFormat
from minifloat.formats.base import shown
from minifloat.quantization import quantize
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import Recipe


@dataclass(frozen=True, eq=False)
class ChannelMix:
    """Which channels of activations have a wide recipe, and which a narrow one.

    `mix_channels` makes one from activations.

    Attributes
    ----------
    order : ndarray of int64, (channels,)
        Channel k of the permuted activations is channel ``order[k]``: the largest ones come first.
    wide_channels : int
        So many of the first ones have the wide recipe.
    wide, narrow : Recipe
        With blocks along the channels.
    """

    order: NDArray[np.int64]
    wide_channels: int
    wide: Recipe
    narrow: Recipe

    @property
    def share(self) -> float:
        """The share of channels that are wide."""
        return self.wide_channels / len(self.order)

    @property
    def bits_per_value(self) -> float:
        """Bits of an activation, scales included.

        The order is not counted: the columns of the weights, and the rows of those of the layer
        before, are permuted once.
        """
        wide, narrow = self.wide.bits_per_weight, self.narrow.bits_per_weight
        return self.share * wide + (1 - self.share) * narrow

    def split(self, x: ArrayLike | AnyTensor) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the wide and the narrow channels of activations, or the columns of weights.

        Parameters
        ----------
        x : array_like, (..., channels)

        Returns
        -------
        wide, narrow : ndarray
            (..., wide_channels) and (..., channels - wide_channels), so that
            ``x @ w.T == xw @ ww.T + xn @ wn.T``, but for rounding.

        Raises
        ------
        ValueError
            If there are not so many channels.
        """
        array = _arrays.as_array("x", x)
        if not array.ndim or array.shape[-1] != len(self.order):
            raise ValueError(f"x must be of {len(self.order)} channels, got shape {array.shape}")
        permuted = array[..., self.order]
        return permuted[..., : self.wide_channels], permuted[..., self.wide_channels :]

    def quantize(self, x: ArrayLike | AnyTensor) -> tuple[Quantized, Quantized]:
        """Return the wide and the narrow channels of activations, quantized; see `split`."""
        wide, narrow = self.split(x)
        return quantize(wide, self.wide), quantize(narrow, self.narrow)

    def dequantize(self, wide: Quantized, narrow: Quantized) -> NDArray[np.float32]:
        """Return activations, in the order of their channels, from what `quantize` gave."""
        permuted = np.concatenate([wide.dequantize(), narrow.dequantize()], axis=-1)
        x = np.empty_like(permuted)
        x[..., self.order] = permuted
        return x


def mix_channels(
    x: ArrayLike | AnyTensor,
    *,
    wide: Recipe | NumberFormat | str = "int8/128/float16",
    narrow: Recipe | NumberFormat | str = "int4/128/float16",
    outlier: float = 8.0,
) -> ChannelMix:
    """Choose the channels of activations that have a wide recipe: blocks that hold outliers.

    Channels are put in the order of their absmax, the largest first, so that outlying ones lie
    together, and the blocks with an outlying channel are wide (COMET, arXiv 2410.12168, mixes 4 and
    8 bits so). The order, and the rule for outliers, are ours: the paper's are not known to us. For
    a given number of wide blocks no other order has a smaller sum of the squared absmax of blocks,
    each over its squared number of levels, which bounds the squared error.

    Parameters
    ----------
    x : array_like of float, (..., channels)
        Activations on some data, not empty.
    wide, narrow : Recipe, format or str
        As for `minifloat.quantize`, with blocks of the same number of channels.
    outlier : float
        A channel is outlying if its absmax is above this times the median of all channels'.

    Returns
    -------
    ChannelMix

    Raises
    ------
    ValueError
        If ``x`` is empty or not finite, ``outlier`` not positive, or the recipes' blocks are not
        the same number of channels.
    TypeError
        If an argument has another type.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((64, 512))
    >>> x[:, [5, 77, 300]] *= 40
    >>> mix = mix_channels(x)
    >>> mix.order[:3].tolist(), mix.wide_channels, mix.bits_per_value
    ([300, 77, 5], 128, 5.125)
    """
    array = _arrays.source_array(x, "x")[0].astype(np.float64)
    recipes = Recipe.parse(wide), Recipe.parse(narrow)
    block = recipes[1].block
    if not isinstance(block, int) or recipes[0].block != block:
        raise ValueError(
            f"wide and narrow must have blocks of one number of channels, got {recipes[0]} and "
            f"{recipes[1]}"
        )
    if not array.ndim or not array.size:
        raise ValueError(f"x must be activations of some channels, got shape {array.shape}")
    if isinstance(outlier, bool) or not isinstance(outlier, int | float | np.number):
        raise TypeError(f"outlier must be a number, got {shown(outlier)}")
    if not outlier > 0:
        raise ValueError(f"outlier must be positive, got {outlier}")
    absmax = np.abs(array).reshape(-1, array.shape[-1]).max(axis=0)
    if not np.isfinite(absmax).all():
        raise ValueError("x must be finite, got an infinity or NaN")
    outlying = int((absmax > outlier * np.median(absmax)).sum())
    order = np.argsort(-absmax, kind="stable")
    count = min(-(-outlying // block) * block, len(order))
    return ChannelMix(order, count, *recipes)

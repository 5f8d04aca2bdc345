"""Functions of PyTorch's autograd: what they compute, and the gradients that are said to be theirs.

Each computes on the CPU and returns its result on the device that it came from.
"""

from __future__ import annotations

from typing import Any, SupportsIndex

import torch

from minifloat import codec, products
from minifloat.codec import EncodeOptions
from minifloat.formats import NumberFormat
from minifloat.formats.rounding import RoundingLike
from minifloat.quantization import quantize
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import Recipe


def fake(
    weights: torch.Tensor,
    recipe: Recipe,
    axis: SupportsIndex,
    rounding: RoundingLike,
    seed: SupportsIndex | None,
) -> torch.Tensor:
    """Return what `minifloat.quantize` makes of weights, in their dtype."""
    q = quantize(weights.detach().cpu(), recipe, axis=axis, rounding=rounding, seed=seed)
    return torch.from_numpy(q.dequantize()).to(weights)


class StraightThrough(torch.autograd.Function):
    """`fake`; the gradient of the weights is that of the result."""

    @staticmethod
    def forward(ctx: Any, weights: Any, *options: Any) -> Any:
        return fake(weights, *options)

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return gradient, None, None, None, None


class RoundTo(torch.autograd.Function):
    """`minifloat.round_to`; the gradient is 0 beyond the format's range, and for NaN."""

    @staticmethod
    def forward(ctx: Any, x: Any, fmt: NumberFormat, options: EncodeOptions) -> Any:
        end = torch.finfo(x.dtype).max
        ctx.save_for_backward((x < max(fmt.min, -end)) | (x > min(fmt.max, end)) | x.isnan())
        return codec.round_to(x.detach().cpu(), fmt, **options).to(x)

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        (outside,) = ctx.saved_tensors
        return gradient.masked_fill(outside, 0), None, None


class Product(torch.autograd.Function):
    """`minifloat.linear`; packed weights have no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Any, q: Quantized) -> Any:
        ctx.q = q
        return products.linear(x.detach().cpu(), q).to(x.device)

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return products.vecmat(gradient.cpu(), ctx.q).to(gradient.device), None

"""The models: a transformer of bytes in three sizes, and a convolutional net for digits.

Every product is one of `analysis.training.products`. There are no biases.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from analysis.training.products import Products
from analysis.training.recipe import TrainingRecipe

BYTES = 256
SPREAD = 0.02  # standard deviation of weights at the start, as in GPT-2


class Shape(NamedTuple):
    """Sizes of a transformer."""

    width: int
    layers: int
    heads: int
    window: int


SHAPES = {
    "0.2M": Shape(64, 4, 2, 128),
    "0.8M": Shape(128, 4, 4, 128),
    "3M": Shape(256, 4, 8, 128),
}
DIGITS = "digits"


class Model(nn.Module):
    """A model with the products of a recipe."""

    def __init__(self, recipe: TrainingRecipe, seed: int) -> None:
        super().__init__()
        self.products = Products(recipe, seed)
        plain = recipe if recipe.places == "all" else TrainingRecipe()
        self.other_products = Products(plain, seed)  # of attention and the last layer
        self.places = 0
        self.generator = torch.Generator().manual_seed(seed)

    def set_step(self, step: int) -> None:
        """Set the step of the training, on which random numbers depend."""
        self.products.step = self.other_products.step = step

    def weight(self, *shape: int, spread: float = SPREAD) -> nn.Parameter:
        """Return a new parameter, Gaussian."""
        return nn.Parameter(torch.empty(shape).normal_(0, spread, generator=self.generator))

    def place(self) -> int:
        """Return the number of another product."""
        self.places += 1
        return self.places


class Linear(nn.Module):
    """A layer ``x @ weight.T``."""

    def __init__(self, weight: nn.Parameter, products: Products, place: int) -> None:
        super().__init__()
        self.weight, self.products, self.place = weight, products, place

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the product, (..., outputs)."""
        rows = x.reshape(-1, x.shape[-1])
        return self.products(rows, self.weight, self.place).reshape(*x.shape[:-1], -1)


class Transformer(Model):
    """A decoder: learned positions, layer norms before each part, GELU, inner width four times.

    Parameters
    ----------
    shape : Shape
    recipe : TrainingRecipe
    seed : int
        Of the weights at the start, and of all that is stochastic.
    """

    def __init__(self, shape: Shape, recipe: TrainingRecipe, seed: int) -> None:
        super().__init__(recipe, seed)
        width = shape.width
        self.bytes = self.weight(BYTES, width)
        self.positions = self.weight(shape.window, width)
        self.blocks = nn.ModuleList(_Block(self, shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(width, bias=False)
        self.head = Linear(self.weight(BYTES, width), self.other_products, self.place())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits of the next byte, (batch, window, 256), for bytes (batch, window)."""
        h = self.bytes[x] + self.positions[: x.shape[1]]
        for block in self.blocks:
            h = block(h)
        logits: torch.Tensor = self.head(self.norm(h))
        return logits


class _Block(nn.Module):
    """Attention, then two layers with GELU between them."""

    def __init__(self, model: Model, shape: Shape) -> None:
        super().__init__()
        width, self.heads = shape.width, shape.heads
        small = SPREAD / math.sqrt(2 * shape.layers)  # what is added to the stream, as in GPT-2

        def linear(outputs: int, inputs: int, spread: float = SPREAD) -> Linear:
            return Linear(
                model.weight(outputs, inputs, spread=spread), model.products, model.place()
            )

        self.qkv, self.out = linear(3 * width, width), linear(width, width, small)
        self.up, self.down = linear(4 * width, width), linear(width, 4 * width, small)
        self.norm1 = nn.LayerNorm(width, bias=False)
        self.norm2 = nn.LayerNorm(width, bias=False)
        self.products = model.other_products
        self.scores, self.mix = model.place(), model.place()

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        h = h + self.out(self.attention(self.qkv(self.norm1(h))))
        inner: torch.Tensor = self.down(functional.gelu(self.up(self.norm2(h))))
        return h + inner

    def attention(self, qkv: torch.Tensor) -> torch.Tensor:
        batch, window, width = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
        q, k, v = qkv.view(batch, window, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        scores = self.products(q, k, self.scores) / math.sqrt(q.shape[-1])
        later = torch.ones(window, window, dtype=torch.bool).triu(1)
        mixed = self.products(scores.masked_fill(later, -math.inf).softmax(-1), v.mT, self.mix)
        return mixed.transpose(1, 2).reshape(batch, window, width)


class DigitsNet(Model):
    """Two convolutions of 3 x 3 with ReLU, each followed by a maximum over 2 x 2, and a layer.

    Parameters
    ----------
    recipe : TrainingRecipe
    seed : int
    """

    def __init__(self, recipe: TrainingRecipe, seed: int) -> None:
        super().__init__(recipe, seed)
        sizes = ((16, 9), (32, 16 * 9))
        self.convolutions = nn.ModuleList(
            Linear(self.weight(*s, spread=math.sqrt(2 / s[1])), self.products, self.place())
            for s in sizes
        )
        weight = self.weight(10, 32 * 2 * 2, spread=math.sqrt(1 / 128))
        self.head = Linear(weight, self.other_products, self.place())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits of the classes, (batch, 10), for images (batch, 1, 8, 8)."""
        for convolution in self.convolutions:
            patches = functional.unfold(x, 3, padding=1).mT  # (batch, pixels, inputs * 9)
            y = convolution(patches).mT.reshape(len(x), -1, *x.shape[2:])
            x = functional.max_pool2d(functional.relu(y), 2)
        logits: torch.Tensor = self.head(x.flatten(1))
        return logits


def make_model(name: str, recipe: TrainingRecipe, seed: int) -> Model:
    """Return a new model: one of `SHAPES`, or "digits".

    Raises
    ------
    ValueError
        If there is no such model.

    Examples
    --------
    >>> model = make_model("0.2M", TrainingRecipe(), 0)
    >>> sum(weights.numel() for weights in model.parameters())
    238144
    """
    if name == DIGITS:
        return DigitsNet(recipe, seed)
    if name not in SHAPES:
        raise ValueError(f"model must be one of {', '.join((*SHAPES, DIGITS))}, got {name!r}")
    return Transformer(SHAPES[name], recipe, seed)

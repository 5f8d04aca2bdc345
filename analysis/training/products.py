"""The product that all layers use: y = x w^T, with a recipe for it and for both of its gradients.

Each of the three products is a b^T with the inner axis last, and is computed in the same steps:
both operands are rotated along that axis, rounded in blocks along it, and multiplied.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

import minifloat as mf
from analysis.training.operands import Operand, rounded
from analysis.training.recipe import TrainingRecipe
from analysis.training.threads import at_once
from minifloat import arithmetic
from minifloat.quantization.block_parts import rotated

Y, DX, DW = range(3)  # the products of a place
Operands = tuple[Operand | None, Operand | None]


@dataclass
class Products:
    """The products of a model: their recipe, and what random numbers depend on.

    Attributes
    ----------
    recipe : TrainingRecipe
    seed : int
        Of the run.
    step : int
        Of the training; who trains sets it.
    """

    recipe: TrainingRecipe
    seed: int = 0
    step: int = 0

    def __call__(self, x: torch.Tensor, w: torch.Tensor, place: int) -> torch.Tensor:
        """Return ``x @ w.mT``, whose gradients are products by the recipe, too.

        Parameters
        ----------
        x, w : Tensor of float32, (..., rows, inner) and (..., outputs, inner)
            Of as many dimensions.
        place : int
            A number of this product in the model, for its random numbers.

        Raises
        ------
        ValueError
            If an operand that is rounded has an infinity or a NaN.
        """
        y: torch.Tensor = _Product.apply(x, w, self, place)
        return y

    def random_seed(self, step: int, place: int, product: int, operand: int) -> int:
        """Return the seed of an operand's random numbers: a function of all that it depends on."""
        sequence = np.random.SeedSequence((self.seed, step, place, product, operand))
        return int(sequence.generate_state(1, np.uint64)[0])


class Side(NamedTuple):
    """A factor of a product as it lies in memory, and its inner axis, -1 or -2."""

    tensor: torch.Tensor
    axis: int

    @property
    def length(self) -> int:
        """Numbers along the inner axis."""
        return int(self.tensor.shape[self.axis])

    def inner_last(self, values: torch.Tensor) -> torch.Tensor:
        """Return values in this layout with the inner axis last, a view."""
        return values if self.axis == -1 else values.mT


@dataclass
class _Call:
    """One of the three products at a place, in a step."""

    products: Products
    step: int
    place: int
    number: int  # Y, DX or DW

    def rotation(self, length: int, operands: Operands) -> mf.Rotation | None:
        recipe: Any = self.products.recipe
        found = recipe.forward_rotation if self.number == Y else recipe.backward_rotation
        if found is None or length % found.size or operands == (None, None):
            return None
        if self.number == Y:
            return mf.Rotation(found.size, found.seed)
        seed = self.products.random_seed(self.step, self.place, self.number, 2)
        return mf.Rotation(found.size, seed)

    def rounded(
        self,
        side: Side,
        operand: Operand | None,
        number: int,
        rotation: mf.Rotation | None,
        *,
        clipped: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return a side rotated and rounded, in its own layout, and where it was clipped."""
        if operand is None:
            return _rotated(side.tensor, rotation, side.axis), None
        seed = 0
        if operand.rounding in ("stochastic", "eden"):
            seed = self.products.random_seed(self.step, self.place, self.number, number)
        found = rounded(
            side.tensor.numpy(), operand, seed, axis=side.axis, rotation=rotation,
            clipped=clipped, threads=torch.get_num_threads(),
        )  # fmt: skip
        beyond = None if found.clipped is None else torch.from_numpy(found.clipped)
        return torch.from_numpy(found.values), beyond

    def multiply(self, a: torch.Tensor, b: torch.Tensor, operands: Operands) -> torch.Tensor:
        """Return ``a @ b.mT``, over the factors of both operands."""
        accumulator: Any = self.products.recipe.accumulator
        if accumulator is None:
            y = torch.matmul(a, b.mT)
        else:
            sums = arithmetic.matmul(a.numpy(), b.mT.numpy(), accumulator=accumulator)
            y = torch.from_numpy(np.asarray(sums, np.float32))
        factor = math.prod(o.factor for o in operands if o is not None)
        return y if factor == 1 else y.div_(factor)

    def backward(self, a: Side, b: Side, operands: Operands) -> torch.Tensor:
        """Return a product of the backward pass."""
        rotation = self.rotation(a.length, operands)
        sides = [
            side.inner_last(self.rounded(side, operand, number, rotation)[0])
            for number, (side, operand) in enumerate(zip((a, b), operands, strict=True))
        ]
        return self.multiply(sides[0], sides[1], operands)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, w: Any, products: Products, place: int) -> Any:
        call = _Call(products, products.step, place, Y)
        recipe: Any = products.recipe
        operands = (recipe.forward, recipe.weights)
        rotation = call.rotation(x.shape[-1], operands)
        clipped = recipe.gradient == "clipped"
        sides, masks = [], []
        for number, (tensor, operand) in enumerate(zip((x, w), operands, strict=True)):
            values, mask = call.rounded(
                Side(tensor.detach(), -1), operand, number, rotation, clipped=clipped
            )
            sides.append(values)
            masks.append(mask)
        y = call.multiply(sides[0], sides[1], operands)
        if recipe.gradient == "original":
            saved = [x, w]
        else:
            saved = [
                _over_factor(_rotate_back(side, rotation), operand)
                for side, operand in zip(sides, operands, strict=True)
            ]
        ctx.save_for_backward(*saved, *masks)
        ctx.call, ctx.rotation = call, rotation
        return y

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        x, w, x_mask, w_mask = ctx.saved_tensors
        call, recipe = ctx.call, ctx.call.products.recipe
        operands = (recipe.gradients, recipe.backward)

        def gradient(number: int) -> Any:
            if not ctx.needs_input_grad[number - DX]:
                return None
            product = _Call(call.products, call.step, call.place, number)
            if number == DX:
                a, b, mask = Side(g, -1), Side(w, -2), x_mask
            else:
                a, b, mask = Side(g, -2), Side(x, -2), w_mask
            return _masked(product.backward(a, b, operands), mask, ctx.rotation)

        dx, dw = at_once(gradient, (DX, DW))
        return dx, dw, None, None


def _rotated(x: torch.Tensor, rotation: mf.Rotation | None, axis: int = -1) -> torch.Tensor:
    if rotation is None:
        return x
    return torch.from_numpy(rotated(x.numpy(), rotation, axis, threads=torch.get_num_threads()))


def _rotate_back(x: torch.Tensor, rotation: mf.Rotation | None) -> torch.Tensor:
    """Undo a rotation along the last axis, in place."""
    if rotation is not None:
        values = x.numpy()
        rotated(values, rotation, back=True, threads=torch.get_num_threads(), out=values)
    return x


def _over_factor(x: torch.Tensor, operand: Operand | None) -> torch.Tensor:
    return x if operand is None or operand.factor == 1 else x / operand.factor


def _masked(
    gradient: torch.Tensor, clipped: torch.Tensor | None, rotation: mf.Rotation | None
) -> torch.Tensor:
    """Return a gradient, which is overwritten, without what belongs to clipped elements."""
    if clipped is None:
        return gradient
    return _rotate_back(_rotated(gradient, rotation).masked_fill_(clipped, 0), rotation)

"""Layers whose weights pass a function before each product; gradients go straight through it.

For studies in which weights are more than rounded by a recipe: noise, several widths, other codes.
Activations and the backward products are as without a recipe.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from analysis.training.model import Linear, Model
from analysis.training.run import Run

Change = Callable[[torch.Tensor, int], torch.Tensor]  # weights and the product's place


class ThroughWeights:
    """Products of changed weights: ``y = x change(w)^T``, ``dx = g change(w)``, ``dw = g^T x``.

    Parameters
    ----------
    change : callable
        Gets the weights, (outputs, inputs), without gradient, and the product's place.

    Examples
    --------
    >>> x, w = torch.ones(1, 2), torch.ones(1, 2, requires_grad=True)
    >>> y = ThroughWeights(lambda w, _: 3 * w)(x, w, 0)
    >>> y.backward()
    >>> y.item(), w.grad.tolist()
    (6.0, [[1.0, 1.0]])
    """

    def __init__(self, change: Change) -> None:
        self.change = change

    def __call__(self, x: torch.Tensor, w: torch.Tensor, place: int) -> torch.Tensor:
        """Return the product of rows and changed weights."""
        return torch.matmul(x, straight_through(w, self.change(w.detach(), place)).mT)


def straight_through(w: torch.Tensor, changed: torch.Tensor) -> torch.Tensor:
    """Return changed numbers, whose gradient is handed to the numbers that they were."""
    through: torch.Tensor = _Through.apply(w, changed)
    return through


class _Through(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, w: Any, changed: Any) -> Any:
        return changed.view_as(changed)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g, None


def layers(model: Model) -> list[Linear]:
    """Return the layers whose weights recipes round: all but the last one."""
    head = getattr(model, "head", None)
    return [m for m in model.modules() if isinstance(m, Linear) and m is not head]


def change_weights(model: Model, change: Change | None) -> None:
    """Let all `layers` multiply with changed weights, or, with None, by the model's recipe."""
    for layer in layers(model):
        layer.products = model.products if change is None else ThroughWeights(change)  # type: ignore[assignment]


def finish(run: Run) -> None:
    """Train until the last step, or until the run diverges."""
    while run.step < run.setup.steps and not run.diverged:
        run.advance()


def validation(run: Run) -> float | None:
    """Return the loss of validation in bits for each byte, with the products of now.

    None after a run that diverged.
    """
    if run.diverged:
        return None
    with torch.no_grad():
        loss, _ = run.loss(run.data.validation())
    bits: float = loss.item() / math.log(2)
    return bits


def training_loss(run: Run, part: float = 0.05) -> float | None:
    """Return the mean loss of the last part of the steps; None after a run that diverged."""
    if run.diverged:
        return None
    count = max(1, round(part * run.setup.steps))
    return math.fsum(run.losses[-count:]) / count

"""Layers of several widths: which numbers a layer multiplies with at each.

A layer holds what its widths need: shared weights alone; shared weights and a thin product of two
matrices for each width; or weights for each width. At a width it multiplies with these, rounded as
a `Family` says; gradients pass straight through.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import nn

import minifloat as mf
from analysis.training.model import SPREAD
from analysis.training.run import DECAY, Run
from analysis.training.samplings import SAMPLINGS, WIDTHS
from analysis.training.through import layers, straight_through

RANK = 2
SHARED, LOW_RANK, DECOUPLED = "shared", "low rank", "decoupled"


class Family(NamedTuple):
    """Formats inside a format.

    Attributes
    ----------
    formats : dict of int to str
        By width in bits; codes of the widest one are rounded again to read them at fewer bits.
    """

    formats: dict[int, str]

    def at_once(self, width: int) -> mf.Recipe:
        """Return the recipe that rounds weights to a width at once."""
        return mf.Recipe.parse(f"{self.formats[width]}/32/float32")

    def read(self, w: torch.Tensor, width: int) -> torch.Tensor:
        """Return weights as the codes of the widest format give them at a width.

        Examples
        --------
        >>> w = torch.tensor([[7.0, 1.4, 0.9, 0.1]])
        >>> FAMILIES["exmy"].read(w, 6), FAMILIES["exmy"].read(w, 4)
        (tensor([[7.0000, 1.4000, 0.9333, 0.1167]]), tensor([[5.6000, 1.4000, 0.9333, 0.0000]]))
        """
        q = mf.quantize(w.detach().contiguous().numpy(), self.at_once(max(self.formats)))
        if width < max(self.formats):
            q = mf.narrow(q, self.formats[width])
        return torch.from_numpy(q.dequantize())


FAMILIES = {
    "integers": Family({width: f"int{width}full" for width in WIDTHS}),
    "exmy": Family({width: f"e2m{width - 3}" for width in WIDTHS}),
}


class LayerWidths(nn.Module):
    """What a layer multiplies with at each width.

    Parameters
    ----------
    weight : Tensor, (outputs, inputs)
        At the start. Shared weights are this very parameter.
    family : Family
    sharing : str
        "shared", "low rank" or "decoupled".
    generator : torch.Generator
        Of the first of two thin matrices at the start; the second is zero.

    Attributes
    ----------
    width : int
        Of now; who trains sets it.
    """

    def __init__(
        self, weight: nn.Parameter, family: Family, sharing: str, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.family, self.sharing, self.width = family, sharing, max(family.formats)
        outputs, inputs = weight.shape
        self.parts = nn.ParameterDict()
        for width in family.formats:
            if sharing == DECOUPLED:
                self.parts[f"own{width}"] = nn.Parameter(weight.detach().clone())
            elif sharing == LOW_RANK:
                thin = torch.empty(RANK, inputs).normal_(0, SPREAD, generator=generator)
                self.parts[f"in{width}"] = nn.Parameter(thin)
                self.parts[f"out{width}"] = nn.Parameter(torch.zeros(outputs, RANK))

    def forward(self, x: torch.Tensor, w: torch.Tensor, place: int) -> torch.Tensor:
        """Return the product of rows and the layer's weights at the width of now."""
        exact = self.exact(w)
        return torch.matmul(x, straight_through(exact, self.rounded(exact)).mT)

    def exact(self, w: torch.Tensor) -> torch.Tensor:
        """Return the numbers that are rounded."""
        if self.sharing == DECOUPLED:
            return self.parts[f"own{self.width}"]
        if self.sharing == LOW_RANK:
            return w + self.parts[f"out{self.width}"] @ self.parts[f"in{self.width}"]
        return w

    def rounded(self, exact: torch.Tensor) -> torch.Tensor:
        """Return numbers at the width of now: shared ones by their codes, others at once."""
        if self.sharing == SHARED:
            return self.family.read(exact, self.width)
        q = mf.quantize(exact.detach().contiguous().numpy(), self.family.at_once(self.width))
        return torch.from_numpy(q.dequantize())


def give_widths(run: Run, family: Family, sharing: str) -> list[LayerWidths]:
    """Let all layers of a run have widths, and its optimizer their parts.

    Returns
    -------
    list of LayerWidths
        In the order of the layers.
    """
    generator = torch.Generator().manual_seed(run.setup.seed)
    found = []
    for layer in layers(run.model):
        widths = LayerWidths(layer.weight, family, sharing, generator)
        layer.products = widths
        found.append(widths)
    parts = [part for widths in found for part in widths.parameters()]
    if parts:
        run.optimizer.add_param_group({"params": parts, "weight_decay": DECAY})
    return found


def set_widths(found: list[LayerWidths], widths: list[int]) -> None:
    """Set the width of each layer, from one for each."""
    for layer, width in zip(found, widths, strict=True):
        layer.width = width


def train_widths(run: Run, found: list[LayerWidths], sampling: str) -> None:
    """Train a run to its end, in each step at widths that a sampling draws."""
    while run.step < run.setup.steps and not run.diverged:
        draw = np.random.default_rng((run.setup.seed, run.step, len(found)))
        set_widths(found, SAMPLINGS[sampling](draw, run.step / run.setup.steps, len(found)))
        run.advance()

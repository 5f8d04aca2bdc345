"""A training recipe: how every product of the forward and the backward pass is rounded.

A layer has three products: y = x w^T forward, dx = g w and dw = g^T x backward, with the
activations x, the weights w and the gradients g. The text form is a list of KEY=VALUE:

    forward=OPERAND            activations in y, and weights unless these have their own
    weights=OPERAND            weights in y
    backward=OPERAND           weights in dx and activations in dw, and gradients unless ...
    gradients=OPERAND          gradients in dx and dw
    forward-rotation=hadamard32     both operands of y are rotated along the inner axis
    backward-rotation=hadamard32    those of dx and dw, with new signs in each step
    gradient=clipped           of what the rounding does, see `TrainingRecipe`
    accumulator=float16        how products are added up (`minifloat.arithmetic`)
    places=all                 also the products of attention, and the last layer

OPERAND is "none", or as in `analysis.training.operands`. An empty text rounds nothing. Names of
`TRAINING_RECIPES` are texts, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import minifloat as mf
from analysis.training.operands import Operand
from minifloat.arithmetic import Accumulator
from minifloat.formats.grammar import lowered

GRADIENTS = ("straight-through", "clipped", "original")
PLACES = ("layers", "all")
SAME = "same"
_KEYS = {  # of the text
    "forward": "forward", "weights": "weights", "backward": "backward", "gradients": "gradients",
    "forward-rotation": "forward_rotation", "backward-rotation": "backward_rotation",
    "gradient": "gradient", "accumulator": "accumulator", "places": "places",
}  # fmt: skip
_SPACES = re.compile(r"\s+(?![^\[\]]*\])")  # but those within the brackets of a codebook
OperandLike = Operand | str | None


@dataclass(frozen=True, repr=False)
class TrainingRecipe:
    """How a model's products are rounded; ``TrainingRecipe.parse(str(recipe)) == recipe``.

    Parameters
    ----------
    forward, weights, backward, gradients : Operand, str or None
        None, or "none", leaves numbers as they are. ``weights="same"`` are those of ``forward``,
        ``gradients="same"`` those of ``backward``.
    forward_rotation, backward_rotation : Rotation, str or None
        Both operands are rotated, so that the product is as before but for rounding. A product is
        rotated if one of its operands is rounded and the size divides its inner axis. The signs of
        the backward pass come from the run's seed, the step, and the product's place.
    gradient : str
        "straight-through": the backward products take the operands that the forward product
        multiplied, as if these had not been rounded (Bengio et al., arXiv 1308.3432). "clipped":
        the same, and elements that were clipped (after rotation) get no gradient. "original": the
        backward products take the operands before they were rounded, as where a tensor is quantized
        once for each direction.
    accumulator : Accumulator, str or None
        Of all three products; None is PyTorch's float32. Emulated, so for small models.
    places : str
        "layers": the matrices of the layers, as published recipes have it; the products of
        attention and the last layer are in float32. "all": these, too.

    Raises
    ------
    ValueError, TypeError
        If an option has no such value, the accumulator rounds stochastically, or clipped elements
        of tiles of rows, or of recipes with more than scales and values, are asked for.

    Examples
    --------
    >>> from analysis.training.recipe import TrainingRecipe
    >>> r = TrainingRecipe.parse("forward=mxfp4 gradients=stochastic(mxfp4)")
    >>> r.weights, r.backward
    (Operand.parse('e2m1/32/e8m0'), None)
    >>> TrainingRecipe.parse(str(r)) == r
    True
    """

    forward: OperandLike = None
    weights: OperandLike = SAME
    backward: OperandLike = None
    gradients: OperandLike = SAME
    forward_rotation: mf.Rotation | str | None = None
    backward_rotation: mf.Rotation | str | None = None
    gradient: str = "straight-through"
    accumulator: Accumulator | str | None = None
    places: str = "layers"

    def __post_init__(self) -> None:
        for name, source in (
            ("forward", None), ("backward", None), ("weights", "forward"), ("gradients", "backward")
        ):  # fmt: skip
            value = getattr(self, name)
            if value == SAME and source:
                value = getattr(self, source)
            self._set(name, _operand(name, value))
        for name in ("forward_rotation", "backward_rotation"):
            rotation = getattr(self, name)
            if rotation is not None:
                self._set(name, mf.Rotation.parse(rotation))
        _check("gradient", self.gradient, GRADIENTS)
        _check("places", self.places, PLACES)
        for operand in (self.forward, self.weights):
            if self.gradient == "clipped" and isinstance(operand, Operand) and not operand.is_plain:
                raise ValueError(
                    f"gradient must not be clipped for {operand}, whose blocks have more than a "
                    "scale or one row"
                )
        if self.accumulator is not None:
            accumulator = Accumulator.parse(self.accumulator)
            if "stochastic" in str(accumulator):
                raise ValueError(f"accumulator must not be stochastic, got {accumulator}")
            self._set("accumulator", accumulator)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    @classmethod
    def parse(cls, recipe: TrainingRecipe | str) -> TrainingRecipe:
        """Return the recipe that a text, or a name of `TRAINING_RECIPES`, means.

        Raises
        ------
        ValueError
            If a key is unknown or stands twice, or a value has no meaning.
        TypeError
            If it is neither.

        Examples
        --------
        >>> from analysis.training.recipe import TrainingRecipe
        >>> str(TrainingRecipe.parse("")), TrainingRecipe.parse("quartet").backward_rotation
        ('', Rotation(size=32, seed=0))
        """
        if isinstance(recipe, TrainingRecipe):
            return recipe
        if not isinstance(recipe, str):
            raise TypeError(f"recipe must be text or a TrainingRecipe, got {type(recipe).__name__}")
        text = lowered(recipe)
        if text in TRAINING_RECIPES:
            return TRAINING_RECIPES[text]
        values: dict[str, str] = {}
        for part in filter(None, _SPACES.split(text)):
            key, equals, value = part.partition("=")
            if key in TRAINING_RECIPES:
                raise ValueError(
                    f"recipe must be a name alone or KEY=VALUE, got {text!r}; change the text of "
                    f"{key}: {str(TRAINING_RECIPES[key])!r}"
                )
            if key not in _KEYS or not equals or _KEYS[key] in values:
                raise ValueError(
                    f"recipe must be one of {', '.join(TRAINING_RECIPES)}, or KEY=VALUE, without "
                    f"spaces in either, for different keys of {', '.join(_KEYS)}, got {part!r} in "
                    f"{text!r}; such as forward=nvfp4 backward=nvfp4"
                )
            values[_KEYS[key]] = value
        return cls(**values)

    def __str__(self) -> str:
        parts = {}
        for key, name in _KEYS.items():
            value = getattr(self, name)
            usual = TrainingRecipe.__dataclass_fields__[name].default
            if usual == SAME:
                usual = self.forward if name == "weights" else self.backward
            if value != usual:
                parts[key] = "none" if value is None else str(value)
        return " ".join(f"{key}={value}" for key, value in parts.items())

    def __repr__(self) -> str:
        return f"TrainingRecipe.parse({str(self)!r})"


def _operand(name: str, value: Any) -> Operand | None:
    """Return the operand that a value means; an error names the key."""
    try:
        return None if value in (None, "none") else Operand.parse(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _check(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def fp4(
    scale: str,
    block: int,
    *,
    element: str = "e2m1",
    hadamard: bool = False,
    stochastic: bool = False,
) -> TrainingRecipe:
    """Return a recipe of one format in all three products.

    Parameters
    ----------
    scale : str
        The scale's format and options, such as ``e8m0:up`` or ``e4m3fn/tensor-scale``.
    block : int
    element : str
        The format.
    hadamard : bool
        Whether operands are rotated, in both passes, in blocks of `block` numbers.
    stochastic : bool
        Whether gradients are rounded stochastically.

    Examples
    --------
    >>> from analysis.training.recipe import fp4
    >>> print(fp4("e8m0:up", 32, stochastic=True))
    forward=e2m1/32/e8m0:up backward=e2m1/32/e8m0:up gradients=stochastic(e2m1/32/e8m0:up)
    """
    operand = f"{element}/{block}/{scale}"
    rotation = f"hadamard{block}" if hadamard else None
    return TrainingRecipe(
        forward=operand,
        backward=operand,
        gradients=f"stochastic({operand})" if stochastic else SAME,
        forward_rotation=rotation,
        backward_rotation=rotation,
    )


TRAINING_RECIPES: dict[str, TrainingRecipe] = {}  # filled below: `parse` looks names up here
TRAINING_RECIPES |= {
    "float32": TrainingRecipe(),
    "fp4_e8m0": fp4("e8m0:up", 32, hadamard=True, stochastic=True),
    "fp4_e4m3": fp4("e4m3fn/tensor-scale", 16, hadamard=True, stochastic=True),
    "fp4_ue5m3": fp4("ue5m3", 16, hadamard=True, stochastic=True),
    "quartet": TrainingRecipe(
        forward="quest(mxfp4)",
        backward="stochastic(mxfp4,0.75)",
        forward_rotation="hadamard32",
        backward_rotation="hadamard32",
        gradient="clipped",
    ),
    "ms_eden": TrainingRecipe(
        forward="four_over_six",
        backward="eden(e2m1/16/e4m3fn/tensor-scale256)",
        backward_rotation="hadamard128",
    ),
}

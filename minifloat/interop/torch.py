"""PyTorch: quantize a model's weights in place, train through rounding, layers of packed weights.

fake_quantize     a tensor or a model's weights replaced by what a recipe makes of them
straight_through  the same in a forward pass, with a gradient
round_to          rounding to a format's values, with a gradient
QuantizedLinear   a linear layer whose weights stay packed, in ``state_dict`` too

Results are computed on the CPU; a tensor on another device is copied there, and its result back.
`torch.compile` leaves these functions as they are, and compiles what is around them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, SupportsIndex, TypeVar, Unpack

import torch
from numpy.typing import ArrayLike

from minifloat.codec import EncodeOptions
from minifloat.comparison.selection import check_matches, matches, patterns
from minifloat.formats import NumberFormat
from minifloat.formats.names import parse
from minifloat.formats.rounding import Rounding, RoundingLike
from minifloat.interop._gradients import Product, RoundTo, StraightThrough, fake
from minifloat.interop.states import TEXT, from_state, to_state
from minifloat.quantization import quantize
from minifloat.quantization.code_rounding import CodeRounding
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipe_fields import RecipeFields
from minifloat.quantization.recipes import Recipe

__all__ = ["QuantizedLinear", "fake_quantize", "round_to", "straight_through"]

Target = TypeVar("Target", torch.Tensor, torch.nn.Module)

WEIGHT = "weight."  # before the names of a layer's arrays in a state_dict
SEEDS_APART = 1 << 32  # between the seeds of a module's parameters


@torch.compiler.disable
def fake_quantize(
    target: Target,
    recipe: Recipe | NumberFormat | str,
    *,
    include: str | Sequence[str] | None = None,
    exclude: str | Sequence[str] = (),
    axis: SupportsIndex = -1,
    rounding: RoundingLike = Rounding.NEAREST_EVEN,
    seed: SupportsIndex | None = None,
    **changes: Unpack[RecipeFields],
) -> Target:
    """Replace weights, in place, by what a recipe makes of them.

    Parameters
    ----------
    target : Tensor or Module
        Of a module, the floating-point parameters of two dimensions or more; with ``include``,
        those whose names match. The result is rounded to the dtype that they have.
    recipe, axis, rounding, **changes
        As for `minifloat.quantize`. The weights of a linear layer have shape (out, in), so that
        blocks run along the inputs. Those of a convolution end in the kernel's width, which is
        short: pass ``axis=1`` for blocks along the channels that go in.
    seed : int, optional
        As for `minifloat.quantize`, for a tensor and for the first parameter that is quantized. Of
        the others, number k has the seed ``(seed + k * 2**32) % 2**64``: no two share random bits,
        nor do calls with the seeds 0, 1, 2 and so on.
    include, exclude : str or sequence of str, optional
        Names of parameters, or shell patterns for them (``"*.mlp.*"``).

    Returns
    -------
    Tensor or Module
        ``target``.

    Raises
    ------
    TypeError
        If ``target`` is something else, a tensor that is not of floating point, or a tensor with
        ``include`` or ``exclude``.
    ValueError
        If a pattern matches no parameter, none is left, or one cannot be quantized: the message
        names it, and the parameters before it, in the module's order, are quantized.

    Examples
    --------
    >>> import torch
    >>> from minifloat.interop.torch import fake_quantize
    >>> fake_quantize(torch.tensor([0.7, -0.12, 0.33]), "e2m2", scale="float32")
    tensor([ 0.7000, -0.1250,  0.3500])
    """
    if isinstance(target, torch.Tensor):
        if include is not None or exclude:
            raise TypeError("include and exclude must be left out for a tensor, which has no name")
        _check_floating("target", target)
        chosen = {"target": target}
    elif isinstance(target, torch.nn.Module):
        wanted = None if include is None else patterns("include", include)
        chosen = _chosen(target, wanted, patterns("exclude", exclude))
    else:
        raise TypeError(f"target must be a Tensor or a Module, got {type(target).__name__}")
    recipe = Recipe.parse(recipe).replace(**changes)
    CodeRounding.of(rounding, seed, recipe, (0,))  # faults of the options are of no parameter
    for k, (name, weights) in enumerate(chosen.items()):
        own = None if seed is None else (int(seed) + k * SEEDS_APART) % (1 << 64)
        try:
            result = fake(weights, recipe, axis, rounding, own)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        with torch.no_grad():
            weights.copy_(result)
    return target


@torch.compiler.disable
def straight_through(
    weights: torch.Tensor,
    recipe: Recipe | NumberFormat | str,
    *,
    axis: SupportsIndex = -1,
    rounding: RoundingLike = Rounding.NEAREST_EVEN,
    seed: SupportsIndex | None = None,
    **changes: Unpack[RecipeFields],
) -> torch.Tensor:
    """Return what a recipe makes of weights, with the gradient of the weights themselves.

    The gradient of the result becomes that of ``weights`` as it is (Bengio et al., arXiv
    1308.3432), as if quantizing had changed nothing.

    Parameters
    ----------
    weights : Tensor
    recipe, axis, rounding, seed, **changes
        As for `minifloat.quantize`. The same seed is the same random bits, so that training with a
        stochastic mode needs another one for each call: PyTorch's own generator has them, see
        below.

    Returns
    -------
    Tensor
        Of the shape, dtype and device of ``weights``.

    Raises
    ------
    TypeError
        If ``weights`` are not of floating point, and as `minifloat.quantize`.
    ValueError
        As `minifloat.quantize`.

    Examples
    --------
    >>> import torch
    >>> from minifloat.interop.torch import straight_through
    >>> w = torch.tensor([0.7, -0.12, 0.33], requires_grad=True)
    >>> (straight_through(w, "e2m2", scale="float32") ** 2).sum().backward()
    >>> w.grad
    tensor([ 1.4000, -0.2500,  0.7000])

    Rounded at random in each step of training, and the same again after `torch.manual_seed`:

    >>> class Linear(torch.nn.Linear):
    ...     def forward(self, x):
    ...         seed = torch.randint(2**62, ())
    ...         w = straight_through(self.weight, "mxfp4", rounding="stochastic", seed=seed)
    ...         return torch.nn.functional.linear(x, w, self.bias)
    """
    _check_floating("weights", weights)
    recipe = Recipe.parse(recipe).replace(**changes)
    result: torch.Tensor = StraightThrough.apply(weights, recipe, axis, rounding, seed)
    return result


@torch.compiler.disable
def round_to(
    x: torch.Tensor, fmt: NumberFormat | str, **options: Unpack[EncodeOptions]
) -> torch.Tensor:
    """Round to the values of a format, with a gradient: 1 inside of the format's range, else 0.

    Parameters
    ----------
    x : Tensor
    fmt, **options
        As for `minifloat.round_to`.

    Returns
    -------
    Tensor
        Of the shape, dtype and device of ``x``.

    Raises
    ------
    TypeError
        If ``x`` is not of floating point, and as `minifloat.round_to`.
    ValueError
        As `minifloat.round_to`.

    Examples
    --------
    >>> import torch
    >>> from minifloat.interop.torch import round_to
    >>> x = torch.tensor([0.3, -1.7, 100.0], requires_grad=True)
    >>> y = round_to(x, "e2m2")
    >>> y.sum().backward()
    >>> y.detach(), x.grad
    (tensor([ 0.2500, -1.7500,  7.0000]), tensor([1., 1., 0.]))
    """
    _check_floating("x", x)
    result: torch.Tensor = RoundTo.apply(x, parse(fmt), options)
    return result


class QuantizedLinear(torch.nn.Module):
    """A linear layer whose weights stay packed: ``x @ weight.T + bias``, as `minifloat.linear`.

    The weights are no parameters: they do not train, and ``.to()`` leaves them as they are. The
    gradient of ``x`` is the exact one. In ``state_dict`` they are the arrays that `minifloat.save`
    writes, and their description as bytes, so that ``torch.load(..., weights_only=True)`` and
    safetensors read them.

    Parameters
    ----------
    weight : Quantized
        Of shape (out, in).
    bias : Tensor, optional
        Of shape (out,).

    Raises
    ------
    TypeError
        If ``weight`` is not `Quantized`.
    ValueError
        If a shape does not fit.

    Examples
    --------
    >>> import torch
    >>> from minifloat.interop.torch import QuantizedLinear
    >>> layer = QuantizedLinear.from_linear(torch.nn.Linear(64, 32), "mxfp4")
    >>> layer
    QuantizedLinear(in_features=64, out_features=32, bias=True, recipe=e2m1/32/e8m0)
    >>> layer(torch.ones(2, 64)).shape
    torch.Size([2, 32])
    """

    weight: Quantized
    bias: torch.nn.Parameter | None

    def __init__(self, weight: Quantized, bias: torch.Tensor | None = None) -> None:
        super().__init__()
        if not isinstance(weight, Quantized):
            raise TypeError(
                f"weight must be Quantized, got {type(weight).__name__}; minifloat.quantize makes "
                "it of weights"
            )
        if len(weight.shape) != 2:
            raise ValueError(f"weight must be of shape (out, in), got shape {weight.shape}")
        if bias is not None and tuple(bias.shape) != weight.shape[:1]:
            raise ValueError(f"bias must have shape {weight.shape[:1]}, got {tuple(bias.shape)}")
        self.weight = weight
        parameter = None if bias is None else torch.nn.Parameter(bias.detach().clone())
        self.register_parameter("bias", parameter)

    @classmethod
    def from_linear(
        cls,
        linear: torch.nn.Linear,
        recipe: Recipe | NumberFormat | str,
        *,
        axis: SupportsIndex = -1,
        importance: ArrayLike | None = None,
        rounding: RoundingLike = Rounding.NEAREST_EVEN,
        seed: SupportsIndex | None = None,
        **changes: Unpack[RecipeFields],
    ) -> QuantizedLinear:
        """Return the layer that a linear layer becomes; see `minifloat.quantize`.

        Raises
        ------
        TypeError
            If ``linear`` is no `torch.nn.Linear`, and as `minifloat.quantize`.
        ValueError
            As `minifloat.quantize`.
        """
        if not isinstance(linear, torch.nn.Linear):
            raise TypeError(
                f"linear must be a torch.nn.Linear, got {type(linear).__name__}; of other weights "
                "of shape (out, in) make QuantizedLinear(minifloat.quantize(weights, recipe), bias)"
            )
        weight = linear.weight.detach().cpu()
        q = quantize(
            weight,
            recipe,
            axis=axis,
            importance=importance,
            rounding=rounding,
            seed=seed,
            **changes,
        )
        return cls(q, linear.bias)

    @property
    def in_features(self) -> int:
        """Length of a vector that goes in."""
        return self.weight.shape[1]

    @property
    def out_features(self) -> int:
        """Length of a vector that comes out."""
        return self.weight.shape[0]

    @torch.compiler.disable
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the product, in the dtype of ``x``, which is of floating point."""
        _check_floating("x", x)
        y: torch.Tensor = Product.apply(x, self.weight)
        return (y if self.bias is None else y + self.bias).to(x.dtype)

    def extra_repr(self) -> str:
        """Return what is printed between the parentheses."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}, recipe={self.weight.recipe}"
        )

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name, tensor in to_state(self.weight).items():
            destination[f"{prefix}{WEIGHT}{name}"] = tensor

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        start = f"{prefix}{WEIGHT}"
        mine = {key: value for key, value in state_dict.items() if key.startswith(start)}
        rest = {key: value for key, value in state_dict.items() if key not in mine}
        super()._load_from_state_dict(
            rest, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        if f"{start}{TEXT}" not in mine:
            missing_keys.append(f"{start}{TEXT}")
            unexpected_keys.extend(mine)
            return
        try:
            loaded = from_state({key.removeprefix(start): mine[key] for key in mine}, start)
        except ValueError as error:
            error_msgs.append(str(error))
            return
        if loaded.shape != self.weight.shape:
            error_msgs.append(f"{start}* must have shape {self.weight.shape}, got {loaded.shape}")
            return
        self.weight = loaded


def _chosen(
    module: torch.nn.Module, include: list[str] | None, exclude: list[str]
) -> dict[str, torch.Tensor]:
    """Return the parameters to quantize, by their names."""
    parameters = {
        name: weights for name, weights in module.named_parameters() if weights.is_floating_point()
    }
    for argument, several in (("include", include or ()), ("exclude", exclude)):
        for pattern in several:
            check_matches(argument, pattern, list(parameters))
    chosen = {
        name: weights
        for name, weights in parameters.items()
        if (weights.ndim >= 2 if include is None else matches(name, include))
        and not matches(name, exclude)
    }
    if not chosen:
        raise ValueError(
            "target must have a floating-point parameter to quantize, got none that is left of "
            f"{len(parameters)}; without include, those of one dimension are left out"
        )
    return chosen


def _check_floating(name: str, tensor: torch.Tensor) -> None:
    """Raise unless a tensor is of floating point: in another dtype the result would be cut."""
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"{name} must be a Tensor, got {type(tensor).__name__}")
    if not tensor.is_floating_point():
        raise TypeError(
            f"{name} must be of floating point, got {tensor.dtype}; pass {name}.float()"
        )

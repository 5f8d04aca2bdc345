"""From a file's tensors to weights: each layout in turn takes the tensors that it knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from minifloat._arrays import MAX_DIMENSIONS
from minifloat._text import printable
from minifloat.files._safe import WeightsError, quoted, untrusted
from minifloat.files.checkpoints import (
    awq,
    bare,
    bitsandbytes,
    block_fp8,
    compressed_tensors,
    fpe2m2,
    gpt_oss,
    gptq,
    modelopt,
    own,
    own_composites,
    torchao,
)
from minifloat.files.checkpoints.config import Config
from minifloat.files.checkpoints.stored import Array, Stored, Tensors
from minifloat.files.checkpoints.weights import (
    Dequantizable,
    Description,
    Facts,
    Group,
    Layout,
    Value,
)
from minifloat.files.safetensors import BITS

LAYOUTS: Sequence[Layout] = (  # the first that finds a tensor has it
    own,
    own_composites,
    torchao,
    modelopt,
    compressed_tensors,
    gpt_oss,
    block_fp8,
    gptq,
    awq,
    fpe2m2,
    bitsandbytes,
    bare,
)
OF_ACTIVATIONS = (
    "input_scale", "input_global_scale", "input_zero_point", "output_scale", "k_scale", "v_scale",
    "q_scale", "kv_scale", "prob_scale", "input_scale_ub",
)  # fmt: skip
SCALE = "a scale of activations"
LEFT = "part of quantized weights of which another part is missing, or has another type"
PARTS = (
    "weight_scale", "weight_scale_inv", "weight_scale_2", "weight_global_scale", "weight_packed",
    "weight_zero_point", "weight_g_idx", ".g_idx", ".qzeros", ".qweight", ".absmax", ".quant_map",
    ".nested_absmax", ".nested_quant_map", ".sign_map", ".minifloat",
)  # fmt: skip


@dataclass(frozen=True)
class Weights:
    """One tensor of a checkpoint: what is known of it, and how it is read."""

    description: Description
    load: Callable[[], Value]


def weights_of(
    path: Path, tensors: Tensors, config: Config, layouts: Sequence[Layout] = LAYOUTS
) -> list[Weights]:
    """Return the weights that tensors of the file at ``path`` hold, in file order.

    Tensors that belong to no layout are plain numbers. Weights whose parts do not fit together are
    there too, skipped with the reason.

    Raises
    ------
    WeightsError
        If two are named alike.
    """
    left = dict(tensors)
    places = {name: place for place, name in enumerate(tensors)}
    found: dict[str, tuple[int, Weights]] = {}

    def add(place: int, weights: Weights) -> None:
        name = weights.description.name
        if name in found:
            raise WeightsError(f"{path}: holds two tensors named {quoted(name)}; rename one")
        found[name] = (place, weights)

    for layout in layouts:
        for group in list(layout.find(left, config)):
            parts = {stored.name for stored in group.parts.values()}
            if parts <= left.keys():  # none of them is in another group
                for name in parts:
                    del left[name]
                add(min(places[name] for name in parts), _quantized(path, layout, group, config))
    is_quantized = bool(found)
    for name, stored in left.items():
        add(places[name], _plain(path, stored, is_quantized))
    return [weights for _, weights in sorted(found.values(), key=lambda pair: pair[0])]


def _quantized(path: Path, layout: Layout, group: Group, config: Config) -> Weights:
    parts = tuple(stored.name for stored in group.parts.values())
    codes = group.parts["codes"]
    try:
        facts = layout.facts(group, config)
    except ValueError as error:
        if isinstance(error, WeightsError):
            raise
        reason = printable(f"{error}"[:300])
        about = Description(
            group.name, codes.shape, "", None, codes.dtype, group.bits, parts, reason
        )
        return Weights(about, partial(refuse, path, group.name, reason))
    description = Description(
        group.name,
        facts.shape,
        facts.layout,
        facts.recipe,
        codes.dtype,
        group.bits,
        parts,
        note=facts.note,
    )
    return Weights(description, partial(_read, path, layout.value, group, facts))


def _plain(path: Path, stored: Stored, is_quantized: bool) -> Weights:
    last = stored.name.rpartition(".")[2]
    reason = ""
    if stored.dtype not in BITS:
        reason = f"of the unknown type {quoted(stored.dtype)}"
    elif len(stored.shape) > MAX_DIMENSIONS:
        reason = f"of more than {MAX_DIMENSIONS} dimensions"
    elif is_quantized and last in OF_ACTIVATIONS:
        reason = SCALE
    elif stored.name.endswith(PARTS):
        reason = LEFT
    description = Description(
        stored.name, stored.shape, "", None, stored.dtype, stored.bits, (stored.name,), reason
    )
    if reason:
        return Weights(description, partial(refuse, path, stored.name, reason))
    return Weights(description, partial(_numbers, path, stored))


def refuse(path: Path, name: str, reason: str) -> Value:
    """Raise a WeightsError: weights that are skipped were asked for."""
    raise WeightsError(f"{path}: {quoted(name)} cannot be read: {reason}; download it again")


def _numbers(path: Path, stored: Stored) -> Value:
    with untrusted(path):
        return stored.numbers()


@contextmanager
def about_weights(path: Path, name: str) -> Iterator[None]:
    """Say in every error of a file's numbers which weights it is about."""
    with untrusted(path):
        try:
            yield
        except WeightsError:
            raise
        except ValueError as error:
            raise ValueError(f"{quoted(name)}: {error}") from error


def _dequantize(path: Path, name: str, read: Callable[[], Array]) -> Array:
    with about_weights(path, name):
        return read()


def _read(path: Path, value: Callable[[Group, Facts], Value], group: Group, facts: Facts) -> Value:
    with about_weights(path, group.name):
        held = value(group, facts)
    if isinstance(held, Dequantizable):
        read = partial(_dequantize, path, group.name, held.read)
        return Dequantizable(held.shape, held.layout, held.reason, read)
    return held

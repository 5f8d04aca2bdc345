"""The numbers of a Llama that do not follow from its weights, out of its untrusted files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from analysis.models.llama import Shape
from analysis.models.packages import optional
from minifloat.conversion.gguf_names import LLAMAS, metadata
from minifloat.files.weights import WeightsError

ARCHITECTURE = "llama"  # of .gguf files
LARGEST = 1 << 24  # of a count
# What a file may say, and the value at which this forward pass is right; left out is as well.
CONFIG = {
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "sliding_window": None,
    "partial_rotary_factor": 1.0,
}
METADATA = {"expert_count": 0, "rope.scale_linear": 1.0, "attention.sliding_window": 0}


@dataclass(frozen=True)
class Settings:
    """The numbers of a model.

    Attributes
    ----------
    shape : Shape
    width, inner, head : int
        Length of a token's vector, of the feed-forward layer's, and of a head.
    is_tied : bool
        Whether the file says that the output's matrix is that of the embeddings.
    """

    shape: Shape
    width: int
    inner: int
    head: int
    is_tied: bool = False


@lru_cache(maxsize=2)  # a tokenizer's words take seconds
def gguf_metadata(path: Path) -> Mapping[str, Any]:
    """Return the metadata of a .gguf file, read once.

    Parameters
    ----------
    path : Path

    Returns
    -------
    mapping of str to int, float, str, bool or list

    Raises
    ------
    WeightsError
        If the file is damaged.
    MissingPackage
        If gguf is not installed.
    """
    reader = optional("gguf").GGUFReader
    try:
        return {name: field.contents() for name, field in reader(path).fields.items()}
    except Exception as error:  # it raises many types
        raise WeightsError(f"{path}: is damaged ({error}); download it again") from error


def of_gguf(path: Path, divisors: tuple[float, ...]) -> Settings:
    """Return the settings of a .gguf file.

    Parameters
    ----------
    path : Path
    divisors : tuple of float
        Of the turns of pairs, a tensor of the file; empty without it.

    Returns
    -------
    Settings

    Raises
    ------
    WeightsError
        If the file is damaged, or of a model that is not supported.
    MissingPackage
        If gguf is not installed.
    """
    facts = gguf_metadata(path)
    kind = facts.get("general.architecture")
    if kind != ARCHITECTURE:
        raise WeightsError(
            f"{path}: general.architecture must be {ARCHITECTURE!r}, got {kind!r:.40}; other "
            "models are not supported"
        )
    facts = {
        name.removeprefix(f"{ARCHITECTURE}."): value
        for name, value in facts.items()
        if name.startswith(f"{ARCHITECTURE}.")
    }
    _check(path, facts, METADATA)
    scaling = facts.get("rope.scaling.type", "none")
    if scaling == "linear" and not divisors:
        head = _head(path, facts)
        divisors = (_number(path, facts, "rope.scaling.factor"),) * (head // 2)
    elif scaling not in ("none", "linear"):
        raise _unsupported(path, "rope.scaling.type", "none or linear", scaling)
    return _settings(path, facts, divisors, is_tied=False)


def of_config(path: Path, config: Mapping[str, Any]) -> Settings:
    """Return the settings that a config.json tells.

    Parameters
    ----------
    path : Path
        Of the file, for messages.
    config : mapping of str to object

    Returns
    -------
    Settings

    Raises
    ------
    WeightsError
        If a number is missing, or the model is not supported.
    """
    kinds = config.get("architectures")
    if not (isinstance(kinds, list) and any(kind in LLAMAS for kind in kinds)):
        rule = " or ".join(LLAMAS)
        raise _unsupported(path, "architectures", rule, kinds)
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(rope, dict):
        raise _unsupported(path, "rope_scaling", "a JSON object", rope)
    flat = {**config, **rope}
    _check(path, flat, CONFIG)
    try:
        known = metadata(flat | {"rope_scaling": None, "rope_parameters": {}})
    except ValueError as error:
        raise WeightsError(f"{path}: {error}") from error
    facts = {name.removeprefix(f"{ARCHITECTURE}."): value for name, value in known.items()}
    divisors = _rope_divisors(path, rope, _head(path, facts), float(facts["rope.freq_base"]))
    return _settings(path, facts, divisors, is_tied=bool(config.get("tie_word_embeddings")))


def _rope_divisors(
    path: Path, rope: Mapping[str, Any], head: int, base: float
) -> tuple[float, ...]:
    """Return by what each pair's turn is divided, as transformers' `rope_type` has it.

    "llama3" leaves short waves, divides those longer than the original context by ``factor``, and
    blends between: `_compute_llama3_parameters` of its modeling_rope_utils.py.
    """
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return ()
    if kind not in ("linear", "llama3"):
        raise _unsupported(path, "rope_type", "default, linear or llama3", kind)
    factor = _number(path, rope, "factor")
    if kind == "linear":
        return (factor,) * (head // 2)
    context = _number(path, rope, "original_max_position_embeddings")
    low, high = (_number(path, rope, f"{name}_freq_factor") for name in ("low", "high"))
    if not low < high:
        raise WeightsError(f"{path}: low_freq_factor must be below high_freq_factor, got {low}")
    waves = context / (2 * math.pi) * np.power(base, -np.arange(0, head, 2) / head)  # in a context
    kept = np.clip((waves - low) / (high - low), 0, 1)
    return tuple(map(float, 1 / ((1 - kept) / factor + kept)))


def _settings(
    path: Path, facts: Mapping[str, Any], divisors: tuple[float, ...], *, is_tied: bool
) -> Settings:
    heads = _count(path, facts, "attention.head_count")
    kv_heads = _count(path, {"attention.head_count_kv": heads, **facts}, "attention.head_count_kv")
    head = _head(path, facts)
    if heads % kv_heads or head % 2:
        raise WeightsError(
            f"{path}: heads must be a multiple of those of keys, and of even length, got {heads}, "
            f"{kv_heads} and the length {head}; such models are not supported"
        )
    for name in ("attention.key_length", "attention.value_length", "rope.dimension_count"):
        if facts.get(name, head) != head:
            raise _unsupported(path, name, f"{head}, as for all of a head", facts[name])
    if divisors and (len(divisors) != head // 2 or not all(0 < d < math.inf for d in divisors)):
        raise WeightsError(
            f"{path}: rope_freqs.weight must be {head // 2} positive numbers, one for a pair, got "
            f"{divisors!r:.60}; download it again"
        )
    shape = Shape(
        layers=_count(path, facts, "block_count"),
        heads=heads,
        kv_heads=kv_heads,
        rope_base=_number(path, {"rope.freq_base": 10000.0, **facts}, "rope.freq_base"),
        epsilon=_number(path, facts, "attention.layer_norm_rms_epsilon"),
        rope_divisors=divisors,
    )
    width, inner = (_count(path, facts, f"{name}_length") for name in ("embedding", "feed_forward"))
    return Settings(shape, width, inner, head, is_tied)


def _head(path: Path, facts: Mapping[str, Any]) -> int:
    if "attention.key_length" in facts:
        return _count(path, facts, "attention.key_length")
    return _count(path, facts, "embedding_length") // _count(path, facts, "attention.head_count")


def _check(path: Path, facts: Mapping[str, Any], allowed: Mapping[str, object]) -> None:
    for name, value in allowed.items():
        if facts.get(name) not in (None, value):
            raise _unsupported(path, name, repr(value), facts[name])


def _count(path: Path, facts: Mapping[str, Any], name: str) -> int:
    value = facts.get(name)
    if type(value) is not int or not 0 < value < LARGEST:
        raise _unsupported(path, name, "a positive integer", value)
    return value


def _number(path: Path, facts: Mapping[str, Any], name: str) -> float:
    value = facts.get(name)
    if type(value) not in (int, float) or not 0 < value < math.inf:  # type: ignore[operator]  # a number
        raise _unsupported(path, name, "a positive number", value)
    return float(value)  # type: ignore[arg-type]  # the same


def _unsupported(path: Path, name: str, rule: str, value: object) -> WeightsError:
    return WeightsError(
        f"{path}: {name} must be {rule}, got {value!r:.60}; other models are not supported"
    )

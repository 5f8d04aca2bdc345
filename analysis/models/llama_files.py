"""Llamas out of files, .gguf or .safetensors, quantized or not, read layer by layer.

`minifloat.files.checkpoints` reads the tensors, whatever layout they are in. The numbers of the
model come from the metadata of a .gguf file, or from config.json beside .safetensors files. What
this forward pass does not have, such as biases, experts and other scalings of positions, is
refused by name. All models have the names and the order of rows of .gguf files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np

from analysis.models.layers import Array
from analysis.models.llama import MATRICES, Llama, Shape
from analysis.models.llama_settings import Settings, of_config, of_gguf
from minifloat.conversion.gguf_names import OF_LAYER, ROTATIONS, WHOLE, order_of_rows
from minifloat.files.checkpoints import Checkpoint, open_checkpoint
from minifloat.files.checkpoints.config import json_file
from minifloat.files.directory import model_files
from minifloat.files.weights import WeightsError

EMBEDDINGS, NORM, OUTPUT = "token_embd.weight", "output_norm.weight", "output.weight"
DIVISORS = "rope_freqs.weight"  # of a .gguf file


@dataclass(frozen=True)
class LlamaFile:
    """A Llama whose tensors are read when a part of it is asked for, as float32.

    Attributes
    ----------
    shape : Shape
    checkpoint : Checkpoint
    names : mapping of str to str
        Of all tensors of the model: the name in the file.
    halves : bool
        Whether the rows of Q and K are in the order of transformers, which turns the first half of
        a head with the second.
    """

    shape: Shape
    checkpoint: Checkpoint
    names: Mapping[str, str]
    halves: bool

    @property
    def is_tied(self) -> bool:
        """Whether the matrix of embeddings is that of the output, too."""
        return OUTPUT not in self.names

    @property
    def vocabulary(self) -> int:
        """Number of tokens."""
        return self.checkpoint.describe(self.names[EMBEDDINGS]).shape[0]

    def load(self) -> Llama:
        """Return the whole model.

        Raises
        ------
        WeightsError
            If the file is damaged, or has changed.
        """
        return self._part({name: name for name in self.names}, self.shape)

    def embeddings(self) -> Llama:
        """Return the model's beginning, which can `embed`; errors as for `load`."""
        return self._part({EMBEDDINGS: EMBEDDINGS}, replace(self.shape, layers=0))

    def layer(self, index: int) -> Llama:
        """Return a layer as a model of one layer, number 0; errors as for `load`."""
        parts = (*MATRICES, "attn_norm", "ffn_norm")
        names = {f"blk.0.{part}.weight": f"blk.{index}.{part}.weight" for part in parts}
        return self._part(names, replace(self.shape, layers=1))

    def output(self) -> Llama:
        """Return the model's end, which can `project`; errors as for `load`."""
        names = {NORM: NORM, OUTPUT: EMBEDDINGS if self.is_tied else OUTPUT}
        return self._part(names, replace(self.shape, layers=0))

    def _part(self, names: Mapping[str, str], shape: Shape) -> Llama:
        tensors = {new: self._tensor(old) for new, old in names.items()}
        return Llama(
            shape=shape,
            matrices={name: tensor for name, tensor in tensors.items() if tensor.ndim == 2},
            vectors={name: tensor for name, tensor in tensors.items() if tensor.ndim == 1},
        )

    def _tensor(self, name: str) -> Array:
        read = self.checkpoint.dequantize(self.names[name]).astype(np.float32, copy=False)
        heads = {"attn_q": self.shape.heads, "attn_k": self.shape.kv_heads}
        part = name.split(".")[-2]
        if self.halves and part in heads:
            return read[order_of_rows(heads[part], len(read))]
        return read


def open_llama(source: str | PathLike[str]) -> LlamaFile:
    """List the tensors of a Llama, and check that all are there, in their shapes, and no others.

    Parameters
    ----------
    source : path
        A .gguf file; a folder with .safetensors files and config.json, or one of these files; a
        folder with a .gguf file. Weights may be quantized in any layout of
        `minifloat.files.checkpoints`.

    Returns
    -------
    LlamaFile

    Raises
    ------
    WeightsError
        If a file is missing, damaged or hostile, the model is no Llama, a tensor is missing or has
        another shape, or the file has what this forward pass does not know; the message names it.
    MissingPackage
        If the package gguf is needed and not installed.
    """
    checkpoint = open_checkpoint(source)
    path = Path(source)
    files = model_files(path) if path.is_dir() else [path]
    is_gguf = files[0].name.lower().endswith(".gguf")
    if is_gguf:
        settings = of_gguf(files[0], _divisors(checkpoint))
    else:
        config = files[0].parent / "config.json"
        settings = of_config(config, json_file(config))
    shapes = _shapes(settings)
    names = {name: name if is_gguf else _hugging_face(name) for name in shapes}
    if names[OUTPUT] not in checkpoint or settings.is_tied:
        if not (is_gguf or settings.is_tied):
            raise _missing(checkpoint, names[OUTPUT])
        del shapes[OUTPUT]
    ignored = {DIVISORS} if is_gguf else {_hugging_face(OUTPUT)} if settings.is_tied else set()
    _check(checkpoint, {names[name]: shape for name, shape in shapes.items()}, ignored)
    return LlamaFile(
        settings.shape, checkpoint, {name: names[name] for name in shapes}, not is_gguf
    )


def _divisors(checkpoint: Checkpoint) -> tuple[float, ...]:
    if DIVISORS not in checkpoint:
        return ()
    return tuple(map(float, checkpoint.dequantize(DIVISORS).reshape(-1)))


def _shapes(settings: Settings) -> dict[str, tuple[int | None, ...]]:
    """Return the shapes of all tensors; None where any length will do."""
    width, inner, head = settings.width, settings.inner, settings.head
    queries, keys = settings.shape.heads * head, settings.shape.kv_heads * head
    shapes: dict[str, tuple[int | None, ...]] = {EMBEDDINGS: (None, width)}
    layer: dict[str, tuple[int, ...]] = {
        "attn_norm": (width,),
        "attn_q": (queries, width),
        "attn_k": (keys, width),
        "attn_v": (keys, width),
        "attn_output": (width, queries),
        "ffn_norm": (width,),
        "ffn_gate": (inner, width),
        "ffn_up": (inner, width),
        "ffn_down": (width, inner),
    }
    for index in range(settings.shape.layers):
        shapes |= {f"blk.{index}.{part}.weight": shape for part, shape in layer.items()}
    return shapes | {NORM: (width,), OUTPUT: (None, width)}


def _hugging_face(name: str) -> str:
    whole = {new: old for old, new in WHOLE.items()}
    if name in whole:
        return whole[name]
    _, index, part, _ = name.split(".")
    [old] = (old for old, new in OF_LAYER.items() if new == part)
    return f"model.layers.{index}.{old}.weight"


def _check(
    checkpoint: Checkpoint, shapes: Mapping[str, tuple[int | None, ...]], ignored: set[str]
) -> None:
    for name, shape in shapes.items():
        if name not in checkpoint:
            raise _missing(checkpoint, name)
        found = checkpoint.describe(name).shape
        if len(found) != len(shape) or any(
            wanted not in (None, size) for wanted, size in zip(shape, found, strict=True)
        ):
            wanted = tuple("any" if size is None else size for size in shape)
            raise _wrong(checkpoint, f"{name!r} must have the shape {wanted}, got {found}")
    for name in checkpoint:
        if name not in shapes.keys() | ignored and not name.endswith(ROTATIONS):
            kind = "biases are" if name.endswith(".bias") else "this tensor is"
            raise _wrong(checkpoint, f"holds {name!r}: {kind} not supported")


def _missing(checkpoint: Checkpoint, name: str) -> WeightsError:
    reasons = {about.name: f" ({about.skipped})" for about in checkpoint.skipped}
    return _wrong(checkpoint, f"has no tensor {name!r}{reasons.get(name, '')}")


def _wrong(checkpoint: Checkpoint, what: str) -> WeightsError:
    return WeightsError(f"{checkpoint.source}: {what}; name the files of a whole Llama")

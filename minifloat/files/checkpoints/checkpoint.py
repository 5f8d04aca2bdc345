"""`open_checkpoint`: the weights of a model in whatever layout a tool wrote them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from minifloat._paths import file_path
from minifloat._text import printable
from minifloat.files._safe import WeightsError, quoted, untrusted
from minifloat.files._tensors import Load, TensorInfo, WeightFile
from minifloat.files.checkpoints import pickles, plain, sources
from minifloat.files.checkpoints.gguf import of_gguf
from minifloat.files.checkpoints.onnx import of_onnx
from minifloat.files.checkpoints.reading import Weights
from minifloat.files.checkpoints.stored import is_float
from minifloat.files.checkpoints.weights import Description, Value
from minifloat.files.directory import PICKLES, model_files

READERS: dict[str, Callable[[Path], list[Weights]]] = {
    ".safetensors": sources.of_file,
    ".index.json": sources.of_index,
    ".gguf": of_gguf,
    ".npz": plain.of_npz,
    ".npy": plain.of_npy,
    ".onnx": of_onnx,
    **dict.fromkeys(PICKLES, pickles.of_pickle),
}


class Checkpoint(Mapping[str, Value]):
    """The weights of a model, by the names that an unquantized one has, read one by one.

    ``checkpoint[name]`` reads one tensor:

    - a `minifloat.Quantized` with the file's own codes and scales, where one expresses them;
    - a `Dequantizable`, whose ``dequantize()`` gives the exact weights, where none does;
    - an array of plain numbers, bfloat16 widened to float32.

    Attributes
    ----------
    source : str
        The path.
    """

    def __init__(self, source: Path, weights: list[Weights]) -> None:
        self.source = str(source)
        self._weights = {each.description.name: each for each in weights}

    def __getitem__(self, name: str) -> Value:
        """Read one tensor.

        Raises
        ------
        KeyError
            If there is none of that name, or it is skipped; the message says why.
        WeightsError
            If its numbers contradict each other, or the file has changed.
        """
        weights = self._weights.get(name)
        if weights is None or weights.description.skipped:
            reason = "" if weights is None else f": {weights.description.skipped}"
            raise KeyError(f"{printable(self.source)} has no weights {quoted(name)}{reason}")
        return weights.load()

    def __iter__(self) -> Iterator[str]:
        return (about.name for about in self.descriptions)

    def __len__(self) -> int:
        return len(self.descriptions)

    def __contains__(self, name: object) -> bool:
        weights = self._weights.get(name) if isinstance(name, str) else None
        return weights is not None and not weights.description.skipped

    @property
    def descriptions(self) -> tuple[Description, ...]:
        """What is known of each tensor unread, in file order."""
        every = (weights.description for weights in self._weights.values())
        return tuple(about for about in every if not about.skipped)

    @property
    def skipped(self) -> tuple[Description, ...]:
        """The tensors that cannot be read or are no weights, each with the reason."""
        every = (weights.description for weights in self._weights.values())
        return tuple(about for about in every if about.skipped)

    @property
    def layouts(self) -> tuple[str, ...]:
        """The layouts that the file uses, each once; none for plain numbers alone."""
        return tuple(dict.fromkeys(about.layout for about in self.descriptions if about.layout))

    def describe(self, name: str) -> Description:
        """Return what is known of one tensor, skipped or not, without reading it.

        Raises
        ------
        KeyError
            If there is none of that name.
        """
        if name not in self._weights:
            raise KeyError(f"{printable(self.source)} has no weights {quoted(name)}")
        return self._weights[name].description

    def dequantize(self, name: str) -> NDArray[np.generic]:
        """Read one tensor as an array: quantized weights as float32.

        Raises
        ------
        KeyError, WeightsError
            As ``checkpoint[name]``.
        """
        return _floats(partial(self.__getitem__, name))

    def weight_file(self) -> WeightFile:
        """Return the float tensors and the quantized weights, which load as floats.

        Their notes say which layout was read. Integers and what is skipped are skipped there too.
        """
        return WeightFile(self.source, [_as_floats(each) for each in self._weights.values()])

    def __repr__(self) -> str:
        layouts = ", ".join(self.layouts) or "plain numbers"
        return f"<Checkpoint {printable(self.source)}: {len(self)} tensors, {layouts}>"


def _as_floats(weights: Weights) -> tuple[TensorInfo, Load]:
    about = weights.description
    skipped, note = about.skipped, ""
    if not about.layout and not skipped and not is_float(about.dtype):
        skipped = "not a float tensor"
    if about.layout and len(about.parts) > 1:
        recipe = f", {about.recipe}" if about.recipe else ""
        note = f"read with its scales as {about.layout}{recipe}"
    info = TensorInfo(about.name, about.shape, about.dtype, skipped, note)
    return info, partial(_floats, weights.load)


def _floats(load: Callable[[], Value]) -> NDArray[np.generic]:
    value = load()
    return value if isinstance(value, np.ndarray) else value.dequantize()


def open_checkpoint(path: str | PathLike[str]) -> Checkpoint:
    """List the weights of a checkpoint, quantized or not, without reading them.

    The layout is told by the tensors' names, types and shapes, and by config.json beside them where
    these leave a choice; `minifloat.files.checkpoints` lists the layouts.

    Parameters
    ----------
    path : path
        A .safetensors, .gguf, .onnx, .npz or .npy file, the .index.json of a sharded model, a
        file of PyTorch's (.pt, .bin), or a directory, of which `minifloat.files.open_weights` says
        which files are read. The packages gguf, onnx and torch read their own files; the last two
        read them whole.

    Returns
    -------
    Checkpoint

    Raises
    ------
    WeightsError
        If the file is missing, damaged, hostile or of another kind.
    ValueError
        If the path is empty or has a NUL.
    TypeError
        If ``path`` is no path.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from safetensors.numpy import save_file
    >>> from minifloat.files.checkpoints import open_checkpoint
    >>> tensors = {
    ...     "layer.weight_packed": np.full((2, 16), 0x21, np.uint8),  # codes 1 and 2, 0.5 and 1
    ...     "layer.weight_scale": np.full((2, 1), 128, np.uint8),  # 2
    ... }
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_file(tensors, folder + "/model.safetensors")
    ...     checkpoint = open_checkpoint(folder)
    ...     checkpoint["layer.weight"]
    ...     weights = checkpoint.dequantize("layer.weight")
    <Quantized e2m1/32/e8m0 (2, 32): 4.25 bits per weight, axis 1>
    >>> weights[0, :4]
    array([1., 2., 1., 2.], dtype=float32)
    """
    path = file_path("path", path)
    with untrusted(path):
        path.stat()  # which says what is wrong with a path that leads nowhere
        files = model_files(path) if path.is_dir() else [path]
        if path.is_dir() and files[0].name.lower().endswith(PICKLES):
            return Checkpoint(path, pickles.of_pickles(path, pickles.model_pickles(path)))
        if len(files) > 1:
            return Checkpoint(path, sources.of_files(path, files))
        [file] = files
        for suffix, reader in READERS.items():
            if file.name.lower().endswith(suffix):
                return Checkpoint(path, reader(file))
        raise WeightsError(f"{path}: must end in one of {', '.join(READERS)}; convert it to one")

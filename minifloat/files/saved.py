"""Weights in a file of their own: `save` and `load`.

Files are taken as untrusted: nothing in them is ever executed, every field is checked, and
everything that is wrong with one is a `minifloat.files.WeightsError`, which is a ValueError.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minifloat._paths import file_path, replacing
from minifloat.files import complex_weights, composites
from minifloat.files import quantized as plain
from minifloat.files._safe import WeightsError, missing_package, untrusted
from minifloat.files._source import SourceFile
from minifloat.files.npz import npz_arrays
from minifloat.files.quantized import MARK
from minifloat.files.safetensors import read_header, read_tensor
from minifloat.quantization.complex_weights import ComplexQuantized
from minifloat.quantization.composite import Composite
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.widely_linear import WidelyLinear

Array = NDArray[Any]
Weights: TypeAlias = Quantized | Composite | ComplexQuantized | WidelyLinear


def save(quantized: Weights, path: str | os.PathLike[str]) -> None:
    """Write quantized weights to a file, whole or not at all.

    The file holds the arrays

        codes             uint8, the codes in C order as `minifloat.pack` has them: bit b of code i
                          is bit (i * bits + b) % 8 of byte (i * bits + b) // 8
        scales            float32, float16, or uint16, the words of bfloat16; of another format
                          uint8, its codes in C order, packed as codes are; of a format of tables
                          (lut4) the values of each block's codes in place of its scale. If the
                          recipe has the flag "sign", the sign of a scale says whether its block is
                          the second candidate
        choices           uint8, the number of each block's candidate, packed likewise; if the
                          recipe has the flag "bits"
        zero_points       uint8, the codes that mean 0, packed likewise; if the recipe has them
        scales_of_scales  float32, a scale for each 256 scales; if the recipe is double: the scales
                          are E4M3FN codes then, worth value * scale of scales + scale_mean, each
                          operation rounded to float32
        codebook          float64, the value of each code; if the format is a `Codebook`;
                          codebook1, codebook2, ... of its alternatives, if they are

    and a JSON text named "minifloat": in .npz a string array, in .safetensors an entry of the
    metadata. It has version (3), format (the recipe's text up to the first slash), bits, scaling
    (the text behind it), shape and axis (of the weights), tensor_scale and scale_mean (null where
    there is none), layout ("dense") and bit_order ("little"). A weight is its code's value times
    its block's scale; a scale that is NaN makes its block NaN. `numpy.load` and
    `safetensors.numpy.load_file` read the files as they are.

    Of a `Composite` there are

        dense.codes ...      the arrays above of the dense part
        left.codes ...       those of the two thin matrices, left and right; if there are two
        order                uint8, the input of each column of the dense part, packed as codes are
                             in ceil(log2 inputs) bits (at least 1); if the order is another one
        sparse.values        float16, row after row
        sparse.gaps          uint8, packed likewise in gap_bits bits
        sparse.row_lengths   uint8, the entries of each row, packed likewise in the bits that hold
                             the number of inputs
        input_factors        float16
        bias                 float32

    and the JSON text has composite (1), dense, left and right (each a text as above, or null) and
    gap_bits (null without a sparse part).

    Of complex codes there are

        complex.values       float64, (n, 2), the real and the imaginary part of each code's value
        z.codes, z.scales    uint8, the codes, packed likewise, and float32, (..., 2), a scale of
                             the real and one of the imaginary parts; of a `ComplexQuantized`
        u0.codes ...         the same of both matrices of each stage, u0, w0, u1, w1 ...; of a
                             `WidelyLinear`

    and the JSON text has complex (1), format (the codebook's name) and shape (of the complex
    weights).

    Parameters
    ----------
    quantized : Quantized, Composite, ComplexQuantized or WidelyLinear
    path : path
        Ends in .npz or .safetensors. A file that is there is replaced at the end, by one that was
        written beside it and has its permissions; of a symbolic link the target. If the process is
        killed, that file stays: ``.weights.npz.<hex digits>.new`` beside ``weights.npz``, which
        may be removed.

    Raises
    ------
    TypeError
        If ``quantized`` or ``path`` is something else.
    ValueError
        If ``path`` is empty, has a NUL, or ends otherwise, or its writer is not installed.
    OSError
        If the file cannot be written, such as a read-only one; it names ``path``.

    Examples
    --------
    >>> import os, tempfile
    >>> import minifloat as mf
    >>> q = mf.quantize([[0.7, -0.1, 0.02]], "e2m2")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "weights.npz")
    ...     mf.save(q, path)
    ...     bool((mf.load(path).dequantize() == q.dequantize()).all())
    True
    """
    if not isinstance(quantized, Weights):
        raise TypeError(
            f"quantized must be Quantized, Composite or of complex codes, got "
            f"{type(quantized).__name__}; minifloat.quantize makes one"
        )
    path = file_path("path", path)
    write = {".npz": _write_npz, ".safetensors": _write_safetensors}[_suffix(path)]
    if isinstance(quantized, Quantized):
        write(path, *plain.to_arrays(quantized))
    elif isinstance(quantized, Composite):
        write(path, *composites.to_arrays(quantized))
    else:
        write(path, *complex_weights.to_arrays(quantized))


def load(path: str | os.PathLike[str]) -> Weights:
    """Read quantized weights that `save` wrote.

    Parameters
    ----------
    path : path
        Ends in .npz or .safetensors.

    Returns
    -------
    Quantized, Composite, ComplexQuantized or WidelyLinear
        Bit for bit the one that was saved.

    Raises
    ------
    ValueError
        If the file is missing, damaged, hostile, of another kind or of another version, or its
        reader is not installed. The message names the file and the reason.

    Examples
    --------
    >>> import os, tempfile
    >>> import minifloat as mf
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "weights.npz")
    ...     mf.save(mf.quantize([1.0, -0.5], "nf4"), path)
    ...     mf.load(path)
    <Quantized nf4/64/float32 (2,): 20 bits per weight, axis 0>
    """
    path = file_path("path", path)
    read = {".npz": _read_npz, ".safetensors": _read_safetensors}[_suffix(path)]
    with untrusted(path):
        return read(SourceFile(path))


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in (".npz", ".safetensors"):
        raise WeightsError(f"{path}: must end in .npz or .safetensors; rename it")
    return suffix


def _write_npz(path: Path, arrays: dict[str, Array], text: str) -> None:
    members: dict[str, Any] = {**arrays, MARK: np.array(text)}
    with replacing(path) as file:
        np.savez(file, **members)


def _read_npz(file: SourceFile) -> Weights:
    stored = npz_arrays(file)
    names = [info.name for info, _ in stored]
    if MARK not in names:
        raise ValueError(f"it has no array {MARK}, which minifloat.save writes")
    names.remove(MARK)
    from_arrays = _reader(names)
    if any(info.parameters * np.dtype(info.dtype).itemsize > file.size for info, _ in stored):
        raise WeightsError(f"{file.path}: is compressed; write it with minifloat.save")
    arrays = {info.name: load() for info, load in stored}
    return from_arrays(arrays, str(arrays.pop(MARK)))


def _write_safetensors(path: Path, arrays: dict[str, Array], text: str) -> None:
    try:
        from safetensors.numpy import save as to_bytes
    except ImportError:
        raise missing_package(path, "safetensors", "cli") from None
    with replacing(path) as file:
        file.write(to_bytes(arrays, metadata={MARK: text}))


def _read_safetensors(file: SourceFile) -> Weights:
    entries, metadata = read_header(file)
    if MARK not in metadata:
        raise ValueError(f"its metadata has no entry {MARK}, which minifloat.save writes")
    from_arrays = _reader([entry.name for entry in entries])
    arrays = {entry.name: read_tensor(file, entry) for entry in entries}
    return from_arrays(arrays, metadata[MARK])


def _reader(names: list[str]) -> Callable[[dict[str, Array], str], Weights]:
    """Return what makes weights of arrays of these names, and of a text."""
    if "dense.codes" in names:
        composites.check_names(names)
        return composites.from_arrays
    if complex_weights.VALUES in names:
        complex_weights.check_names(names)
        return complex_weights.from_arrays
    plain.check_names(names)
    return plain.from_arrays

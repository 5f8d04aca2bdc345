"""Quantized weights in a file: `save` and `load`.

Files are taken as untrusted: nothing in them is ever executed, all that they say is checked, and
whatever is wrong with one is a `minifloat.files.weights.WeightsError`, which is a ValueError.
"""

from __future__ import annotations

import json
import math
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from minifloat._arrays import check_codes
from minifloat.codec import decode, encode
from minifloat.files.weights import WeightsError, check_file, missing_package, npz_arrays, untrusted
from minifloat.formats import Codebook, NumberFormat
from minifloat.formats.base import check_int
from minifloat.formats.names import parse
from minifloat.packing import pack, unpack
from minifloat.quantization.quantized import (
    DOUBLE_BLOCK,
    DOUBLE_FORMAT,
    DoubleScales,
    Quantized,
    scale_shape,
)
from minifloat.quantization.scales import scale_format

Array = NDArray[Any]

VERSIONS = (1, 2)
MARK = "minifloat"  # the name of the description
MAX_DIMENSIONS = 64  # NumPy's own limit
PLACES = {"layout": "dense", "bit_order": "little"}
FIELDS = {"version", "format", "bits", "shape", "axis", "block_size", "scale_format", *PLACES}
MORE_FIELDS = {"tensor_scale", "scale_mean"}  # of version 2
WORDS = ("float32", "float16", "bfloat16")  # scale formats that are stored in words of their width
ARRAYS = {1: {"codes", "scales", "codebook"}}
ARRAYS[2] = ARRAYS[1] | {"zeros", "scales_of_scales"}


def save(quantized: Quantized, path: str | os.PathLike[str]) -> None:
    """Write quantized weights to a file, whole or not at all.

    The file holds the arrays

        codes      uint8, the codes in C order as `minifloat.pack` has them: bit b of code i is bit
                   (i * bits + b) % 8 of byte (i * bits + b) // 8
        scales     float32, float16, or uint16, the words of bfloat16
        codebook   float64, the value of each code; only if the format is a `Codebook`

    and a JSON text named "minifloat": in .npz a string array, in .safetensors an entry of the
    metadata. It has version (1), format (its name), bits, shape (of the weights), axis, block_size,
    scale_format, layout ("dense") and bit_order ("little"). A weight is its code's value times
    its block's scale. `numpy.load` and `safetensors.numpy.load_file` read the files as they are.

    What has a tensor scale, zeros, scales of another format, or ones that are quantized themselves,
    is written as version 2, with tensor_scale and scale_mean (null where there is none), and

        scales            of another format: uint8, its codes in C order, packed as codes are
        zeros             uint8, the codes that mean 0, packed likewise
        scales_of_scales  float32, a scale for each 256 scales: these are E4M3FN codes, worth
                          value * scale of scales + scale_mean, each operation rounded to float32

    Parameters
    ----------
    quantized : Quantized
    path : path
        Ends in .npz or .safetensors. A file that is there is replaced at the end, by one that was
        written beside it.

    Raises
    ------
    TypeError
        If ``quantized`` is something else.
    ValueError
        If ``path`` ends otherwise, its writer is not installed, or a scale is not a value of its
        format.
    OSError
        If the file cannot be written.

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
    if not isinstance(quantized, Quantized):
        raise TypeError(
            f"quantized must be a Quantized, got {type(quantized).__name__}; minifloat.quantize "
            "makes one"
        )
    path = Path(path)
    write = {".npz": _write_npz, ".safetensors": _write_safetensors}[_suffix(path)]
    arrays: dict[str, Array] = {"codes": quantized.packed}
    if quantized.double is None:
        arrays["scales"] = _stored_scales(quantized)
    else:
        arrays["scales"] = quantized.double.quantized.packed
        arrays["scales_of_scales"] = quantized.double.quantized.scales
    if quantized.zeros is not None:
        arrays["zeros"] = pack(quantized.zeros.reshape(-1), quantized.fmt.bits)
    if isinstance(quantized.fmt, Codebook):
        arrays["codebook"] = np.array(quantized.fmt.codebook, np.float64)
    arrays = {name: np.array(array, order="C") for name, array in arrays.items()}
    write(path, arrays, json.dumps(_description(quantized)))


def load(path: str | os.PathLike[str]) -> Quantized:
    """Read quantized weights that `save` wrote.

    Parameters
    ----------
    path : path
        Ends in .npz or .safetensors.

    Returns
    -------
    Quantized
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
    ...     mf.save(mf.quantize([1.0, -0.5], "nf4", scale="float32"), path)
    ...     mf.load(path)
    <Quantized nf4 (2,): 20 bits per weight, axis 0, block_size 128, scales float32>
    """
    path = Path(path)
    read = {".npz": _read_npz, ".safetensors": _read_safetensors}[_suffix(path)]
    with untrusted(path):
        check_file(path)
        arrays, text = read(path)
        described = json.loads(text)
        if not isinstance(described, dict):
            raise ValueError("its description must be a JSON object")
        return _quantized(path, arrays, described)


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in (".npz", ".safetensors"):
        raise WeightsError(f"{path}: must end in .npz or .safetensors; rename it")
    return suffix


def _description(quantized: Quantized) -> dict[str, Any]:
    double = quantized.double
    more = {
        "tensor_scale": quantized.tensor_scale,
        "scale_mean": None if double is None else double.mean,
    }
    plain = quantized.scale_format in WORDS and quantized.zeros is None
    plain = plain and all(value is None for value in more.values())
    return {
        "version": 1 if plain else 2,
        "format": quantized.fmt.name,
        "bits": quantized.fmt.bits,
        "shape": quantized.shape,
        "axis": quantized.axis,
        "block_size": quantized.block_size,
        "scale_format": quantized.scale_format,
        **PLACES,
        **({} if plain else more),
    }


def _quantized(path: Path, arrays: dict[str, Array], described: dict[str, Any]) -> Quantized:
    """Build what a file describes, each field checked."""
    version = described.get("version")
    if version not in VERSIONS:
        raise WeightsError(
            f"{path}: has version {version!r:.40}, and this minifloat reads versions 1 and 2; "
            "use the minifloat that wrote it"
        )
    fields = FIELDS if version == 1 else FIELDS | MORE_FIELDS
    if described.keys() != fields:
        raise ValueError(f"its description must have {', '.join(sorted(fields))}")
    _check_names(list(arrays), version)
    fmt = _format(described["format"], arrays.get("codebook"))
    shape = _shape(described["shape"])
    axis, block_size = described["axis"], described["block_size"]
    _check_blocks(axis, block_size, len(shape))
    where = scale_shape(shape, block_size, axis)
    double = _double(arrays, described.get("scale_mean"), where)
    if double is None:
        scales = _read_scales(arrays["scales"], described["scale_format"], version, where)
    else:
        scales = double.values().reshape(where)
    zeros = arrays.get("zeros")
    if zeros is not None:
        zeros = _unpack("zeros", zeros, fmt.bits, where)
    quantized = Quantized(
        packed=arrays["codes"],
        scales=_checked(scales),
        fmt=fmt,
        shape=shape,
        block_size=block_size,
        axis=axis,
        scale_format=described["scale_format"],
        tensor_scale=described.get("tensor_scale"),
        zeros=zeros,
        double=double,
    )
    if described != {**_description(quantized), "shape": list(shape)}:
        raise ValueError(
            f"its description contradicts itself or says what version {version} does not"
        )
    check_codes(quantized.codes, fmt)
    return quantized


def _double(
    arrays: dict[str, Array], mean: float | None, shape: tuple[int, ...]
) -> DoubleScales | None:
    """Return the scales that are quantized themselves, if they are."""
    if (mean is None) != ("scales_of_scales" not in arrays):
        raise ValueError("scale_mean must be there with scales_of_scales, and only with them")
    if mean is None:
        return None
    codes = Quantized(
        packed=arrays["scales"],
        scales=arrays["scales_of_scales"],
        fmt=parse(DOUBLE_FORMAT),
        shape=(math.prod(shape),),
        block_size=DOUBLE_BLOCK,
        axis=0,
        scale_format="float32",
    )
    return DoubleScales(codes, mean)


def _format(name: str, codebook: Array | None) -> NumberFormat:
    if codebook is not None:
        if codebook.dtype != np.float64 or codebook.ndim != 1:
            raise ValueError(f"codebook must be float64 and 1-d, got {codebook.dtype}")
        return Codebook(codebook.tolist(), name)
    fmt = parse(name)
    if isinstance(fmt, Codebook):
        raise ValueError(f"the values of the codebook {name} must be there")
    return fmt


def _shape(lengths: list[int]) -> tuple[int, ...]:
    if not isinstance(lengths, list) or len(lengths) > MAX_DIMENSIONS:
        raise ValueError(f"shape must be a list of at most {MAX_DIMENSIONS} lengths")
    for length in lengths:
        check_int("a length of shape", length, 0, 1 << 62)
    return tuple(lengths)


def _check_blocks(axis: int | None, block_size: int | None, dimensions: int) -> None:
    if axis is None:
        if block_size is not None:
            raise ValueError(f"block_size must be null without an axis, got {block_size}")
        return
    check_int("axis", axis, 0, dimensions - 1)
    if block_size is not None:
        check_int("block_size", block_size, 1, 1 << 62)


def _stored_scales(quantized: Quantized) -> Array:
    """Return the scales in the width of their format, or as its packed codes."""
    scales, name = quantized.scales, quantized.scale_format
    if name == "bfloat16":  # the upper half of float32
        stored: Array = np.asarray(scales.view(np.uint32) >> 16).astype(np.uint16)
    elif name in WORDS:
        with np.errstate(over="ignore"):
            stored = scales.astype(name)
    else:
        codes = np.asarray(encode(scales, name, nan="max"))
        stored = pack(codes.reshape(-1), scale_format(name)[1])
    if not np.array_equal(_checked(_read_scales(stored, name, 2, scales.shape)), scales):
        raise ValueError(f"scales must be values of {name}, got others; round them to it first")
    return stored


def _read_scales(
    stored: Array, name: str, version: int, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    if name in WORDS:
        if stored.dtype != np.dtype("uint16" if name == "bfloat16" else name):
            raise ValueError(f"scales must be those of {name}, got {stored.dtype}")
        return _float32(stored)
    if version == 1:
        raise ValueError(f"scale_format must be one of {', '.join(WORDS)}, got {name!r}")
    codes = _unpack("scales", stored, scale_format(name)[1], shape)
    return np.asarray(decode(codes, name), np.float32)


def _unpack(name: str, packed: Array, bits: int, shape: tuple[int, ...]) -> Array:
    if packed.ndim != 1:
        raise ValueError(f"{name} must be packed in one dimension, got shape {packed.shape}")
    return unpack(packed, bits, math.prod(shape)).reshape(shape)


def _checked(scales: NDArray[np.float32]) -> NDArray[np.float32]:
    if not (np.isfinite(scales) & (scales >= 0)).all():
        raise ValueError("scales must be finite and not negative, got others")
    return scales


def _float32(stored: Array) -> NDArray[np.float32]:
    if stored.dtype == np.uint16:
        words = np.asarray(stored.astype(np.uint32) << 16)  # a scalar from a 0-d array
        return words.view(np.float32)
    return stored.astype(np.float32)


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """Give a new file beside ``path``, which takes its place unless there is an exception."""
    new = path.with_name(f".{secrets.token_hex(8)}.new")
    try:
        with new.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _check_names(names: list[str], version: int) -> None:
    known = ARRAYS[version]
    if not ({"codes", "scales"} <= set(names) <= known and len(set(names)) == len(names)):
        perhaps = ", ".join(sorted(known - {"codes", "scales"}))
        raise ValueError(f"it must hold codes, scales and perhaps {perhaps}, got {names}")


def _write_npz(path: Path, arrays: dict[str, Array], text: str) -> None:
    members: dict[str, Any] = {**arrays, MARK: np.array(text)}
    with _replacing(path) as file:
        np.savez(file, **members)


def _read_npz(path: Path) -> tuple[dict[str, Array], str]:
    infos, read = npz_arrays(path)
    names = [info.name for info in infos]
    if MARK not in names:
        raise ValueError(f"it has no array {MARK}, which minifloat.save writes")
    names.remove(MARK)
    _check_names(names, VERSIONS[-1])
    size = path.stat().st_size
    if any(info.parameters * np.dtype(info.dtype).itemsize > size for info in infos):
        raise WeightsError(f"{path}: is compressed; write it with minifloat.save")
    return {name: read(name) for name in names}, str(read(MARK))


def _write_safetensors(path: Path, arrays: dict[str, Array], text: str) -> None:
    try:
        from safetensors.numpy import save as to_bytes
    except ImportError:
        raise missing_package(path, "safetensors", "cli") from None
    with _replacing(path) as file:
        file.write(to_bytes(arrays, metadata={MARK: text}))


def _read_safetensors(path: Path) -> tuple[dict[str, Array], str]:
    try:
        from safetensors import safe_open
    except ImportError:
        raise missing_package(path, "safetensors", "cli") from None
    with safe_open(path, framework="numpy") as file:
        metadata, names = file.metadata() or {}, list(file.keys())
        if MARK not in metadata:
            raise ValueError(f"its metadata has no entry {MARK}, which minifloat.save writes")
        _check_names(names, VERSIONS[-1])
        return {name: file.get_tensor(name) for name in names}, metadata[MARK]

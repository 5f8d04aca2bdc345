"""Quantized weights in a file: `save` and `load`; as arrays and a text: `to_arrays`, `from_arrays`.

Files are taken as untrusted: nothing in them is ever executed, every field is checked, and
everything that is wrong with one is a `minifloat.files.WeightsError`, which is a ValueError.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._paths import file_path, replacing
from minifloat.codec import decode, encode
from minifloat.files._json import json_object
from minifloat.files._safe import WeightsError, missing_package, untrusted
from minifloat.files._source import SourceFile
from minifloat.files.npz import npz_arrays
from minifloat.files.safetensors import read_header, read_tensor
from minifloat.formats import Codebook, NumberFormat
from minifloat.formats.base import check_int, shown
from minifloat.formats.names import parse
from minifloat.packing import pack, unpack
from minifloat.quantization.alternatives import BETWEEN, MOST, Alternative, name_and_magnitude
from minifloat.quantization.blocks import Blocks
from minifloat.quantization.checks import checked_shape
from minifloat.quantization.quantized import DoubleScales, Quantized
from minifloat.quantization.recipes import DOUBLE_RECIPE, Recipe
from minifloat.quantization.scales import ScaleFormat

Array = NDArray[Any]

VERSION = 3
MARK = "minifloat"  # the name of the description
PLACES = {"layout": "dense", "bit_order": "little"}
FIELDS = {"version", "format", "bits", "scaling", "shape", "axis", "tensor_scale", "scale_mean"}
FIELDS |= PLACES.keys()
STORED_AS_WORDS = ("float32", "float16", "bfloat16")  # scale formats; others are packed codes
CODEBOOKS = ("codebook", *(f"codebook{k}" for k in range(1, MOST)))
ARRAYS = {"codes", "scales", "zero_points", "scales_of_scales", "choices", *CODEBOOKS}


def save(quantized: Quantized, path: str | os.PathLike[str]) -> None:
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

    Parameters
    ----------
    quantized : Quantized
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
    if not isinstance(quantized, Quantized):
        raise TypeError(
            f"quantized must be a Quantized, got {type(quantized).__name__}; minifloat.quantize "
            "makes one"
        )
    path = file_path("path", path)
    write = {".npz": _write_npz, ".safetensors": _write_safetensors}[_suffix(path)]
    write(path, *to_arrays(quantized))


def to_arrays(quantized: Quantized) -> tuple[dict[str, Array], str]:
    """Return the arrays and the JSON text that `save` writes.

    Parameters
    ----------
    quantized : Quantized

    Returns
    -------
    dict of str to ndarray
        New arrays: codes, scales, and perhaps zero_points, scales_of_scales, codebook.
    str

    Examples
    --------
    >>> import minifloat as mf
    >>> from minifloat.files.quantized import from_arrays, to_arrays
    >>> arrays, text = to_arrays(mf.quantize([1.0, -0.5], "nf4"))
    >>> list(arrays), from_arrays(arrays, text)
    (['codes', 'scales', 'codebook'], <Quantized nf4/64/float32 (2,): 20 bits per weight, axis 0>)
    """
    arrays: dict[str, Array] = {"codes": quantized.packed}
    if quantized.double is None:
        arrays["scales"] = _stored_scales(quantized)
    else:
        arrays["scales"] = quantized.double.quantized.packed
        arrays["scales_of_scales"] = quantized.double.quantized.scales
    if quantized.zero_points is not None:
        arrays["zero_points"] = pack(quantized.zero_points.reshape(-1), quantized.fmt.bits)
    if quantized.choices is not None and quantized.recipe.flag == "bits":
        flags = quantized.choices.reshape(-1)
        arrays["choices"] = pack(flags, quantized.recipe.flag_bits)
    for name, each in zip(CODEBOOKS, quantized.recipe.candidates, strict=False):
        if each.fmt.is_table:
            arrays[name] = each.fmt.values()
    arrays = {name: np.array(array, order="C") for name, array in arrays.items()}
    return arrays, json.dumps(_description(quantized))


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
    ...     mf.save(mf.quantize([1.0, -0.5], "nf4"), path)
    ...     mf.load(path)
    <Quantized nf4/64/float32 (2,): 20 bits per weight, axis 0>
    """
    path = file_path("path", path)
    read = {".npz": _read_npz, ".safetensors": _read_safetensors}[_suffix(path)]
    with untrusted(path):
        arrays, text = read(SourceFile(path))
        return from_arrays(arrays, text)


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in (".npz", ".safetensors"):
        raise WeightsError(f"{path}: must end in .npz or .safetensors; rename it")
    return suffix


def _description(quantized: Quantized) -> dict[str, Any]:
    double = quantized.double
    return {
        "version": VERSION,
        "format": quantized.recipe.formats,
        "bits": quantized.fmt.bits,
        "scaling": quantized.recipe.scaling,
        "shape": list(quantized.shape),
        "axis": quantized.axis,
        "tensor_scale": quantized.tensor_scale,
        "scale_mean": None if double is None else double.mean,
        **PLACES,
    }


def from_arrays(arrays: dict[str, Array], text: str) -> Quantized:
    """Return the weights that `to_arrays` made arrays and a text of, each field checked.

    Parameters
    ----------
    arrays : dict of str to ndarray
    text : str

    Returns
    -------
    Quantized

    Raises
    ------
    ValueError, TypeError, KeyError
        If the text is no such description, or an array contradicts it.
    """
    books = {name: arrays[name] for name in CODEBOOKS if name in arrays}
    described, recipe, shape, axis = _described(text, books)
    _check_names(list(arrays))
    fmt = recipe.fmt
    scale_shape = Blocks.of(recipe.block, shape, axis).scale_shape + recipe.table_shape
    double = _double(arrays, described["scale_mean"], scale_shape)
    choices = None
    if double is None:
        signed = recipe.flag == "sign"
        scales, choices = _read_scales(arrays["scales"], recipe.scale, scale_shape, signed=signed)
    else:
        scales = double.values().reshape(scale_shape)
    if (recipe.flag == "bits") != ("choices" in arrays):
        raise ValueError(
            "choices must be there with flags in bits of their own, and only with them"
        )
    if recipe.flag == "bits":
        choices = _unpack("choices", arrays["choices"], recipe.flag_bits, scale_shape)
    zero_points = arrays.get("zero_points")
    if zero_points is not None:
        zero_points = _unpack("zero_points", zero_points, fmt.bits, scale_shape)
    quantized = Quantized(
        packed=arrays["codes"],
        scales=scales,
        recipe=recipe,
        shape=shape,
        axis=axis,
        tensor_scale=described["tensor_scale"],
        zero_points=zero_points,
        double=double,
        choices=choices,
    )
    if described != _description(quantized):
        raise ValueError("its description contradicts itself")
    return quantized


def facts_of(
    text: str, codebooks: Mapping[str, Array] | None = None
) -> tuple[Recipe, tuple[int, ...], int | None]:
    """Return the recipe, the shape and the axis of weights, from their text alone.

    Parameters
    ----------
    text : str
        As `to_arrays` returns it.
    codebooks : mapping of str to ndarray, optional
        The arrays named in `CODEBOOKS`; of formats that are a `Codebook`.

    Raises
    ------
    ValueError, TypeError, KeyError
        If the text is no such description.

    Examples
    --------
    >>> import minifloat as mf
    >>> from minifloat.files.quantized import facts_of, to_arrays
    >>> facts_of(to_arrays(mf.quantize([1.0, -0.5], "mxfp4"))[1])
    (<Recipe e2m1/32/e8m0: 4.25 bits per weight>, (2,), 0)
    """
    return _described(text, codebooks or {})[1:]


def _described(
    text: str, codebooks: Mapping[str, Array]
) -> tuple[dict[str, Any], Recipe, tuple[int, ...], int | None]:
    """Return the fields of a description, and the recipe, shape and axis, checked."""
    described = json_object(text)
    if described.get("version") != VERSION:
        raise ValueError(
            f"it has version {described.get('version')!r:.40}, and this minifloat reads version "
            f"{VERSION}; use the minifloat that wrote it"
        )
    if described.keys() != FIELDS:
        raise ValueError(f"its description must have {', '.join(sorted(FIELDS))}")
    (fmt, at), *others = _formats(described["format"], codebooks)
    alternatives = [Alternative(*other) for other in others]
    scaling = described["scaling"]
    recipe = Recipe.scaled(fmt, scaling, absmax_at=at, alternatives=alternatives)
    shape, axis = _shape(described["shape"]), described["axis"]
    if axis is not None:
        check_int("axis", axis, 0, len(shape) - 1)
    return described, recipe, shape, axis


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
        recipe=DOUBLE_RECIPE,
        shape=(math.prod(shape),),
        axis=0,
    )
    return DoubleScales(codes, mean)


def _formats(
    text: object, codebooks: Mapping[str, Array]
) -> list[tuple[NumberFormat, float | None]]:
    """Return the formats of a recipe's text, and the magnitude that absmax becomes in each."""
    if not isinstance(text, str):
        raise ValueError(f"fmt must be a format or the name of one, got {shown(text)}")
    names = [name_and_magnitude(part) for part in text.split(BETWEEN)]
    if len(names) > MOST or not codebooks.keys() <= set(CODEBOOKS[: len(names)]):
        raise ValueError(f"a codebook must be that of one of the formats {text!r:.40}")
    return [
        (_format(name, codebooks.get(book)), at)
        for book, (name, at) in zip(CODEBOOKS, names, strict=False)
    ]


def _format(name: str, codebook: Array | None) -> NumberFormat:
    if codebook is not None:
        if codebook.dtype != np.float64 or codebook.ndim != 1:
            raise ValueError(f"codebook must be float64 and 1-d, got {codebook.dtype}")
        return Codebook(codebook.tolist(), name)
    fmt = parse(name)
    if fmt.is_table:
        raise ValueError(f"the values of the codebook {name} must be there")
    return fmt


def _shape(lengths: list[int]) -> tuple[int, ...]:
    if not isinstance(lengths, list):
        raise ValueError(f"shape must be a list of lengths, got {lengths!r:.40}")
    return checked_shape(lengths)


def _stored_scales(quantized: Quantized) -> Array:
    """Return the scales in the width of their format, or as its packed codes."""
    scales, scale = quantized.scales, quantized.recipe.scale
    signs = quantized.choices if quantized.recipe.flag == "sign" else None
    if scale.name == "bfloat16":  # the upper half of float32; some NaN have nothing there
        words = scales.view(np.uint32) >> 16
        return _with_signs(np.where(np.isnan(scales), 0x7FC0, words).astype(np.uint16), signs, 16)
    if scale.name in STORED_AS_WORDS:
        with np.errstate(invalid="ignore"):  # of a signalling NaN
            floats = np.asarray(scales.astype(scale.name))
        words = floats.view(f"u{floats.itemsize}")
        return _with_signs(words, signs, scale.bits).view(floats.dtype)
    codes = np.asarray(encode(scales, scale.name))
    return pack(_with_signs(codes, signs, scale.bits).reshape(-1), scale.bits)


def _with_signs(words: Array, signs: Array | None, bits: int) -> Array:
    """Return words whose sign bits, which are 0, are these."""
    return words if signs is None else words | signs.astype(words.dtype) << (bits - 1)


def _read_scales(
    stored: Array, scale: ScaleFormat, shape: tuple[int, ...], *, signed: bool
) -> tuple[NDArray[np.float32], NDArray[np.uint8] | None]:
    """Return scales, and their signs if these are flags."""
    if scale.name in STORED_AS_WORDS:
        dtype = np.dtype("uint16" if scale.name == "bfloat16" else scale.name)
        if stored.dtype != dtype:
            raise ValueError(f"scales must be {dtype}, the words of {scale}, got {stored.dtype}")
        words, signs = _split(stored.view(f"u{dtype.itemsize}"), scale.bits, signed=signed)
        return _float32(words.view(dtype)), signs
    words, signs = _split(_unpack("scales", stored, scale.bits, shape), scale.bits, signed=signed)
    return np.asarray(decode(words, scale.name), np.float32), signs


def _split(words: Array, bits: int, *, signed: bool) -> tuple[Array, NDArray[np.uint8] | None]:
    """Return words without their sign bits, and these; the words as they are unless ``signed``."""
    if not signed:
        return words, None
    sign = words.dtype.type(1 << (bits - 1))
    return words & ~sign, (words >> (bits - 1)).astype(np.uint8)


def _unpack(name: str, packed: Array, bits: int, shape: tuple[int, ...]) -> Array:
    if packed.ndim != 1:
        raise ValueError(f"{name} must be packed in one dimension, got shape {packed.shape}")
    return unpack(packed, bits, math.prod(shape)).reshape(shape)


def _float32(stored: Array) -> NDArray[np.float32]:
    if stored.dtype == np.uint16:
        words = np.asarray(stored.astype(np.uint32) << 16)  # a scalar from a 0-d array
        return words.view(np.float32)
    return stored.astype(np.float32)


def _check_names(names: list[str]) -> None:
    optional = ARRAYS - {"codes", "scales"}
    if not ({"codes", "scales"} <= set(names) <= ARRAYS and len(set(names)) == len(names)):
        raise ValueError(
            f"it must hold codes, scales and perhaps {', '.join(sorted(optional))}, got {names}"
        )


def _write_npz(path: Path, arrays: dict[str, Array], text: str) -> None:
    members: dict[str, Any] = {**arrays, MARK: np.array(text)}
    with replacing(path) as file:
        np.savez(file, **members)


def _read_npz(file: SourceFile) -> tuple[dict[str, Array], str]:
    stored = npz_arrays(file)
    names = [info.name for info, _ in stored]
    if MARK not in names:
        raise ValueError(f"it has no array {MARK}, which minifloat.save writes")
    names.remove(MARK)
    _check_names(names)
    if any(info.parameters * np.dtype(info.dtype).itemsize > file.size for info, _ in stored):
        raise WeightsError(f"{file.path}: is compressed; write it with minifloat.save")
    arrays = {info.name: load() for info, load in stored}
    return arrays, str(arrays.pop(MARK))


def _write_safetensors(path: Path, arrays: dict[str, Array], text: str) -> None:
    try:
        from safetensors.numpy import save as to_bytes
    except ImportError:
        raise missing_package(path, "safetensors", "cli") from None
    with replacing(path) as file:
        file.write(to_bytes(arrays, metadata={MARK: text}))


def _read_safetensors(file: SourceFile) -> tuple[dict[str, Array], str]:
    entries, metadata = read_header(file)
    if MARK not in metadata:
        raise ValueError(f"its metadata has no entry {MARK}, which minifloat.save writes")
    _check_names([entry.name for entry in entries])
    return {entry.name: read_tensor(file, entry) for entry in entries}, metadata[MARK]

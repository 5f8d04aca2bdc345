"""Quantized weights as arrays and a text, which files hold: `to_arrays`, `from_arrays`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.codec import decode, encode
from minifloat.files.arrays import description
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
PLACES = {"layout": "dense", "bit_order": "little"}
FIELDS = {"version", "format", "bits", "scaling", "shape", "axis", "tensor_scale", "scale_mean"}
FIELDS |= PLACES.keys()
STORED_AS_WORDS = ("float32", "float16", "bfloat16")  # scale formats; others are packed codes
CODEBOOKS = ("codebook", *(f"codebook{k}" for k in range(1, MOST)))
ARRAYS = {"codes", "scales", "zero_points", "scales_of_scales", "choices", *CODEBOOKS}


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
    arrays |= codebooks_of(quantized.recipe)
    arrays = {name: np.array(array, order="C") for name, array in arrays.items()}
    return arrays, json.dumps(_description(quantized))


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
    check_names(list(arrays))
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
    described = description(text, FIELDS, VERSION)
    recipe = recipe_of(described["format"], described["scaling"], codebooks)
    shape, axis = _shape(described["shape"]), described["axis"]
    if axis is not None:
        check_int("axis", axis, 0, len(shape) - 1)
    return described, recipe, shape, axis


def codebooks_of(recipe: Recipe) -> dict[str, Array]:
    """Return the values of the recipe's codebooks, by the names of `CODEBOOKS`."""
    candidates = zip(CODEBOOKS, recipe.candidates, strict=False)
    return {name: each.fmt.values() for name, each in candidates if each.fmt.is_table}


def recipe_of(formats: object, scaling: str, codebooks: Mapping[str, Array]) -> Recipe:
    """Return the recipe of its two texts and the values of its codebooks.

    Parameters
    ----------
    formats, scaling : str
        As `Recipe.formats` and `Recipe.scaling`.
    codebooks : mapping of str to ndarray
        As `codebooks_of` returns them.

    Raises
    ------
    ValueError, TypeError
        If they are something else.
    """
    (fmt, at), *others = _formats(formats, codebooks)
    alternatives = [Alternative(*other) for other in others]
    return Recipe.scaled(fmt, scaling, absmax_at=at, alternatives=alternatives)


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
    try:
        return unpack(packed, bits, math.prod(shape)).reshape(shape)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{name}: {error}") from None


def _float32(stored: Array) -> NDArray[np.float32]:
    if stored.dtype == np.uint16:
        words = np.asarray(stored.astype(np.uint32) << 16)  # a scalar from a 0-d array
        return words.view(np.float32)
    return stored.astype(np.float32)


def put(name: str, quantized: Quantized, arrays: dict[str, Array]) -> dict[str, Any]:
    """Put weights among the arrays of a file with several, and return what its text tells of them.

    Parameters
    ----------
    name : str
        Of the weights: their arrays are named "name.codes" and so on.
    quantized : Quantized
    arrays : dict of str to ndarray
        Gets the arrays of `to_arrays`.

    Returns
    -------
    dict
        For `take`.
    """
    own, _ = to_arrays(quantized)
    arrays |= {f"{name}.{part}": array for part, array in own.items()}
    return _description(quantized)


def take(name: str, described: object, arrays: dict[str, Array]) -> Quantized:
    """Return weights that `put` put among arrays, which are taken out of them.

    Parameters
    ----------
    name : str
    described : dict
        As `put` returned it.
    arrays : dict of str to ndarray

    Returns
    -------
    Quantized

    Raises
    ------
    ValueError, TypeError, KeyError
        As `from_arrays`.
    """
    return from_arrays(taken(name, arrays), json.dumps(described))


def taken(name: str, arrays: dict[str, Array]) -> dict[str, Array]:
    """Take arrays out whose names begin with this one and a dot; return them by the rest."""
    names = [each for each in arrays if each.startswith(f"{name}.")]
    return {each.removeprefix(f"{name}."): arrays.pop(each) for each in names}


def check_names(names: list[str]) -> None:
    """Raise a ValueError unless these are the names of the arrays of quantized weights."""
    optional = ARRAYS - {"codes", "scales"}
    if not ({"codes", "scales"} <= set(names) <= ARRAYS and len(set(names)) == len(names)):
        raise ValueError(
            f"it must hold codes, scales and perhaps {', '.join(sorted(optional))}, got {names}"
        )

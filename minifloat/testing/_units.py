"""The units that have vectors for a test bench: `vectors`, `write_vectors`."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minifloat._paths import file_path, replacing
from minifloat.formats import NumberFormat
from minifloat.formats.names import parse
from minifloat.formats.rounding import (
    NaNPolicy,
    NaNPolicyLike,
    Overflow,
    OverflowLike,
    Rounding,
    RoundingLike,
    choose,
)
from minifloat.testing._decoders import used_codes
from minifloat.testing._meaning import exact_decode
from minifloat.testing._oracle import encode_number
from minifloat.testing._sources import SOURCES, Source, SourceName, source_of
from minifloat.testing._vectors import Port, TextFormat, Vectors, Words, check_text_format

Unit: TypeAlias = Literal["encoder", "decoder"]
Progress: TypeAlias = Callable[[int, int], object]

NO_CODE = -1


def vectors(
    fmt: NumberFormat | str,
    unit: Unit = "encoder",
    *,
    source: SourceName = "float32",
    rounding: RoundingLike = Rounding.NEAREST_EVEN,
    overflow: OverflowLike = Overflow.SATURATE,
    nan: NaNPolicyLike = NaNPolicy.RAISE,
    progress: Progress | None = None,
) -> Vectors:
    """Return inputs of an encoder or a decoder with the right outputs, from the oracle.

    Those of an encoder begin with the numbers at which the code changes and their neighbours in
    the source. The other `decision_points` follow: values, powers of two, zeros, infinities and
    extremes; then NaNs. Numbers that are an error under the policies are left out. Those of a
    decoder are all codes but the unused ones.

    Parameters
    ----------
    fmt : format or str
    unit : str
        "encoder" (ports ``x`` and ``code``) or "decoder" (ports ``code`` and ``y``).
    source : str
        The float type on the other side: float16, bfloat16, float32 or float64. An encoder reads
        it, a decoder writes it.
    rounding : Rounding or str
        Of an encoder; not a stochastic mode.
    overflow : Overflow or str
        Of an encoder.
    nan : NaNPolicy or str
        Of an encoder.
    progress : callable, optional
        Called with the number of vectors done and their total number.

    Returns
    -------
    Vectors

    Raises
    ------
    ValueError
        If an option has no such value, a decoder is given a policy, or the source does not have
        every value of the format that a decoder gives.

    Examples
    --------
    >>> from minifloat.testing import vectors
    >>> print(vectors("e2m1", "decoder", source="float16").text()[:14])
    0 0000
    1 3800
    """
    if unit not in tuple(UNITS):  # which need not be hashable
        raise ValueError(f"unit must be {' or '.join(UNITS)}, got {unit!r}")
    return UNITS[unit](
        parse(fmt),
        source_of(source),
        choose(Rounding, "rounding", rounding),
        choose(Overflow, "overflow", overflow),
        choose(NaNPolicy, "nan", nan),
        progress or (lambda *_: None),
    )


def write_vectors(
    fmt: NumberFormat | str,
    path: str | os.PathLike[str],
    unit: Unit = "encoder",
    *,
    format: TextFormat = "hex",
    source: SourceName = "float32",
    rounding: RoundingLike = Rounding.NEAREST_EVEN,
    overflow: OverflowLike = Overflow.SATURATE,
    nan: NaNPolicyLike = NaNPolicy.RAISE,
    progress: Progress | None = None,
) -> int:
    """Write `vectors` to a file, which is replaced at once when all of them are there.

    Parameters
    ----------
    fmt, unit, source, rounding, overflow, nan, progress
        As in `vectors`.
    path : path
        A file that is there keeps its permissions; of a symbolic link the target is replaced.
    format : str
        "hex", "csv" or "mem", as in `Vectors.text`.

    Returns
    -------
    int
        The number of vectors.

    Raises
    ------
    ValueError
        As in `vectors`, or if ``format`` is none of these, or ``path`` is empty or has a NUL.
    OSError
        If the file cannot be written: it is read-only, a folder, a pipe or a device, for example.
    """
    check_text_format(format)
    target = file_path("path", path)
    written = vectors(
        fmt,
        unit,
        source=source,
        rounding=rounding,
        overflow=overflow,
        nan=nan,
        progress=progress,
    )
    with replacing(target) as file:
        file.write(written.text(format).encode("ascii"))
    return len(written)


def _encoder(
    fmt: NumberFormat,
    source: Source,
    rounding: Rounding,
    overflow: Overflow,
    nan: NaNPolicy,
    progress: Progress,
) -> Vectors:
    if rounding.is_stochastic:
        raise ValueError(
            f"rounding must be a mode without random bits for vectors, got {rounding}; "
            "minifloat.testing.check_encoder compares such an encoder, in Python"
        )
    points = source.decision_points(fmt)
    words = np.concatenate([points, source.nans()])
    numbers = source.values(words)
    codes = np.full(len(words), NO_CODE)
    for at, number in enumerate(numbers.tolist()):
        with suppress(ValueError):  # an error under the policies
            codes[at] = encode_number(number, fmt, rounding, overflow, nan, 0, 1)
        if at % 1000 == 0:
            progress(at, len(words))
    near = _near_changes(points, codes[: len(points)])
    order = np.concatenate([near, np.setdiff1d(np.arange(len(words)), near)])
    order = order[codes[order] != NO_CODE]
    values = np.array([exact_decode(code, fmt) for code in codes[order].tolist()])
    about = f"encoder: {source.name} to {fmt}, {rounding}, overflow {overflow}, nan {nan}"
    return Vectors(
        about,
        (
            Port("x", source.bits, words[order], numbers[order]),
            Port("code", fmt.bits, codes[order].astype(np.uint64), values),
        ),
    )


def _near_changes(words: Words, codes: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the places of the two words around each change of the code, and of their neighbours.

    A decision point is one of the two or lies between them, so all its neighbours are here.
    """
    before = np.flatnonzero(np.diff(codes))
    wide = np.stack([before - 1, before + 2])
    inside = np.clip(wide, 0, len(words) - 1)
    step = words[inside] - words[np.stack([before, before + 1])]  # 1 or -1 between neighbours
    neighbours = (wide == inside) & ((step == 1) | (~step == 0))
    return np.unique(np.concatenate([before, before + 1, inside[neighbours]]))


def _decoder(
    fmt: NumberFormat,
    source: Source,
    rounding: Rounding,
    overflow: Overflow,
    nan: NaNPolicy,
    progress: Progress,
) -> Vectors:
    for name, value, default in (
        ("rounding", rounding, Rounding.NEAREST_EVEN),
        ("overflow", overflow, Overflow.SATURATE),
        ("nan", nan, NaNPolicy.RAISE),
    ):
        if value != default:
            raise ValueError(f"{name} must be left out for a decoder, got {value}")
    codes = np.array(used_codes(fmt), np.uint64)
    values = np.array([exact_decode(code, fmt) for code in codes.tolist()])
    words = source.words(values)
    if words is None:
        better = [name for name in SOURCES if source_of(name).words(values) is not None]
        raise ValueError(
            f"source must have every value of {fmt}, got {source.name}; use source={better[0]!r}"
        )
    progress(len(codes), len(codes))
    about = f"decoder: {fmt} to {source.name}"
    return Vectors(
        about, (Port("code", fmt.bits, codes, values), Port("y", source.bits, words, values))
    )


UNITS: dict[str, Callable[..., Vectors]] = {"encoder": _encoder, "decoder": _decoder}

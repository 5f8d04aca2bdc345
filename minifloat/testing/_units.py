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
from minifloat.testing._operation_vectors import operation_vectors
from minifloat.testing._operations import NO_CODE, PORTS, operation
from minifloat.testing._oracle import encode_number
from minifloat.testing._sources import SOURCES, Source, SourceName, source_of
from minifloat.testing._vectors import Port, TextFormat, Vectors, Words, check_text_format

Unit: TypeAlias = Literal["encoder", "decoder", "multiplier", "add", "fma", "dot"]
Progress: TypeAlias = Callable[[int, int], object]


def vectors(
    fmt: NumberFormat | str,
    unit: Unit = "encoder",
    *,
    source: SourceName = "float32",
    rounding: RoundingLike = Rounding.NEAREST_EVEN,
    overflow: OverflowLike = Overflow.SATURATE,
    nan: NaNPolicyLike = NaNPolicy.RAISE,
    other: NumberFormat | str | None = None,
    output: NumberFormat | str | None = None,
    lanes: int | None = None,
    progress: Progress | None = None,
) -> Vectors:
    """Return inputs of a unit with the right outputs, from the oracle.

    Those of an encoder begin with the numbers at which the code changes and their neighbours in
    the source. The other `decision_points` follow: values, powers of two, zeros, infinities and
    extremes; then NaNs. Those of a decoder are all codes but the unused ones.

    The other units take codes of ``fmt`` and ``other``, and their exact result is rounded once.
    Those whose results are on or beside a decision point of the output come first: ties, values,
    the ends of the range. Special values, zeros, subnormals and extremes follow, each with each,
    then cancellations; in the end all other inputs if there are at most 4096, or a seeded
    selection.

    Inputs whose output is an error under the policies are left out.

    Parameters
    ----------
    fmt : format or str
    unit : str
        "encoder" (ports ``x`` and ``code``), "decoder" (``code`` and ``y``), "multiplier" (``a``,
        ``b`` and ``product``), "add" (``a``, ``b`` and ``sum``), "fma" (a b + c: ``a``, ``b``,
        ``c`` and ``sum``) or "dot" (``a`` and ``b`` with many lanes each, and ``sum``).
    source : str
        Of an encoder, which reads it, and a decoder, which writes it: float16, bfloat16, float32 or
        float64.
    rounding : Rounding or str
        Not of a decoder; not a stochastic mode.
    overflow : Overflow or str
        Not of a decoder.
    nan : NaNPolicy or str
        Not of a decoder.
    other : format or str, optional
        Not of an encoder or a decoder: the format of ``b``. Default: ``fmt``.
    output : format or str, optional
        Not of an encoder or a decoder: the format of the result, and of ``c``. Default: ``fmt``.
        "exact" is two's complement, wide enough for every result, in units of the least bit of
        ``fmt`` (of a product's factors together), as `minifloat.hardware.multiplier` has it; NaN
        and infinities count as 0 there.
    lanes : int, optional
        Of a dot product, 1 to 256. Default: 16. Lane 0 is at the lowest bits.
    progress : callable, optional
        Called with the number of vectors done and their total number.

    Returns
    -------
    Vectors

    Raises
    ------
    ValueError
        If an option has no such value or is not one of the unit, or the source does not have every
        value of the format that a decoder gives.

    Notes
    -----
    Results of NaN, infinities and zeros are IEEE 754-2019's: 0 times infinity and a difference of
    infinities are NaN, a product's sign is that of its factors' signs, and a sum that is exactly 0
    is 0, or -0 rounded downward, unless all terms are zeros of one sign. A dot product adds its
    lanes to 0 exactly, and rounds once.

    Examples
    --------
    >>> from minifloat.testing import vectors
    >>> print(vectors("e2m1", "decoder", source="float16").text()[:14])
    0 0000
    1 3800
    """
    if unit not in (*UNITS, *PORTS):  # which need not be hashable
        names = [*UNITS, *PORTS]
        raise ValueError(f"unit must be {', '.join(names[:-1])} or {names[-1]}, got {unit!r}")
    settings = (
        choose(Rounding, "rounding", rounding),
        choose(Overflow, "overflow", overflow),
        choose(NaNPolicy, "nan", nan),
    )
    told = progress or (lambda *_: None)
    if unit in PORTS:
        _left_out(unit, source=(source, "float32"))
        return operation_vectors(operation(unit, fmt, other, output, lanes), *settings, told)
    _left_out(unit, other=(other, None), output=(output, None), lanes=(lanes, None))
    return UNITS[unit](parse(fmt), source_of(source), *settings, told)


def _left_out(unit: str, **options: tuple[object, object]) -> None:
    """Raise unless each option has its default."""
    article = "an" if unit[0] in "ae" else "a"
    for name, (value, default) in options.items():
        if value != default:
            raise ValueError(f"{name} must be left out for {article} {unit}, got {value}")


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
    other: NumberFormat | str | None = None,
    output: NumberFormat | str | None = None,
    lanes: int | None = None,
    progress: Progress | None = None,
) -> int:
    """Write `vectors` to a file, which is replaced at once when all of them are there.

    Parameters
    ----------
    fmt, unit, source, rounding, overflow, nan, other, output, lanes, progress
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
        other=other,
        output=output,
        lanes=lanes,
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
    _left_out(
        "decoder",
        rounding=(rounding, Rounding.NEAREST_EVEN),
        overflow=(overflow, Overflow.SATURATE),
        nan=(nan, NaNPolicy.RAISE),
    )
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

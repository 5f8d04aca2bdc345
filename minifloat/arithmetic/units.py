"""Matrix units of GPUs: what they read, how they add, what they return.

`UNITS` names them ARCHITECTURE/INPUT/OUTPUT. An element of ``A @ B + C`` is one dot product to such
a unit, whatever the instruction's shape; longer ones are chained, each result being the next C.

Sources: [1] P. Xie et al., *Bit-Accurate Modeling of GPU Matrix Multiply-Accumulate Units*, arXiv
2511.10909, and its code, microsoft/MMA-Sim. [2] F. A. Khattak and M. Mikaitis, arXiv 2512.07004,
and its code, north-numerical-computing/MATLAB-tensor-core, with results captured on GPUs. [3] M.
Fasi, N. J. Higham, M. Mikaitis and S. Pranesh, *Numerical behavior of NVIDIA tensor cores*, PeerJ
Computer Science 7:e330, 2021.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal, TypeAlias, cast

from minifloat.arithmetic.accumulators import Accumulator
from minifloat.arithmetic.sum_formats import WIDEST, SumFormat
from minifloat.formats import Format
from minifloat.formats.base import check_int, shown
from minifloat.formats.grammar import lowered
from minifloat.formats.names import parse

Output: TypeAlias = Literal["float16", "float32", "float64"]


@dataclass(frozen=True, repr=False)
class Unit:
    """A matrix unit.

    Attributes
    ----------
    inputs : tuple of SumFormat
        Formats that an operand may have, each its own. Arrays are rounded to the first, to nearest
        even, or toward zero if that is TF32, as the units do it.
    output : "float16", "float32" or "float64"
        What results are, and C.
    accumulator : Accumulator
        How products are added.
    scale_block : int, optional
        Operands have a scale for so many neighbours, which enters before products are aligned.
    scale : SumFormat or Format, optional
        Format of these scales.
    nan_bits : int
        The word of the NaN that it returns.

    Raises
    ------
    ValueError, TypeError
        If a part has no such value, or two do not go together.

    Examples
    --------
    >>> from minifloat.arithmetic import UNITS
    >>> UNITS["hopper/e4m3fn/float32"]
    <Unit e4m3fn -> float32: e8m13:toward_zero/terms=32+bits=13+floor=-133>
    """

    inputs: tuple[Format | SumFormat, ...]
    output: Output
    accumulator: Accumulator
    scale_block: int | None = None
    scale: Format | None = None
    nan_bits: int = 0x7FC0_0000

    def __post_init__(self) -> None:
        if not isinstance(self.inputs, tuple) or not self.inputs:
            raise TypeError(f"inputs must be a tuple of formats, got {shown(self.inputs)}")
        for fmt in self.inputs:
            is_exmy = isinstance(fmt, Format) and fmt.binary_grid is not None
            if not (fmt in WIDEST.values() or is_exmy):
                raise ValueError(
                    f"inputs must be float32, float64 or ExMy with subnormals, got {fmt}"
                )
        if self.output not in LARGEST:
            raise ValueError(f"output must be {' or '.join(LARGEST)}, got {shown(self.output)}")
        if not isinstance(self.accumulator, Accumulator):
            raise TypeError(
                f"accumulator must be an Accumulator, got {shown(self.accumulator)}; use "
                "Accumulator.parse"
            )
        sums = self.accumulator.fmt if self.accumulator.promote is None else self.accumulator.outer
        if sums.largest > LARGEST[self.output]:
            raise ValueError(f"output must hold the sums of {sums}, got {self.output}")
        if "float64" in {sums.name, self.output} != {"float64"}:
            raise ValueError(f"output must be float64 with sums of float64, got {self.output}")
        check_int("nan_bits", self.nan_bits, 0, 0xFFFF_FFFF_FFFF_FFFF)
        if (self.scale_block is None) != (self.scale is None):
            raise ValueError("scale must come with scale_block, got one of them")
        if self.scale_block is not None:
            check_int("scale_block", self.scale_block, 1)

    @classmethod
    def parse(cls, unit: Unit | str) -> Unit:
        """Return the unit of a name in `UNITS`.

        Parameters
        ----------
        unit : Unit or str
            A unit is returned as it is.

        Returns
        -------
        Unit

        Raises
        ------
        ValueError
            If there is no unit of this name; the message has similar ones.
        TypeError
            If it is neither.

        Examples
        --------
        >>> from minifloat.arithmetic import Unit
        >>> Unit.parse("volta/float16/float32").accumulator.terms
        4
        """
        if isinstance(unit, Unit):
            return unit
        if not isinstance(unit, str):
            raise TypeError(f"unit must be a Unit or the name of one, got {shown(unit)}")
        name = lowered(unit)
        if name not in UNITS:
            near = _near(name)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise ValueError(f"unit must be one of arithmetic.UNITS, got {shown(unit)}{hint}")
        return UNITS[name]

    def __str__(self) -> str:
        scaled = f" x {self.scale}/{self.scale_block}" if self.scale is not None else ""
        return f"{self.inputs[0].name}{scaled} -> {self.output}: {self.accumulator}"

    def __repr__(self) -> str:
        return f"<Unit {self}>"


# Other names of parts of a unit's name: GPUs, and short names of formats.
MEANT = {
    "v100": "volta", "t4": "turing", "a100": "ampere", "l40s": "ada", "h100": "hopper",
    "h200": "hopper", "gh200": "hopper", "b200": "blackwell", "gb200": "blackwell",
    "mi100": "cdna1", "mi200": "cdna2", "mi250": "cdna2", "mi250x": "cdna2", "mi300": "cdna3",
    "mi300x": "cdna3", "fp64": "float64", "double": "float64", "fp32": "float32",
    "single": "float32", "fp16": "float16", "half": "float16", "bf16": "bfloat16", "xf32": "tf32",
    "fp8": "e4m3fn", "e4m3": "e4m3fn", "fp4": "e2m1", "mxfp8": "mxfp8e4m3", "mxfp6": "mxfp6e2m3",
}  # fmt: skip


def _near(name: str) -> list[str]:
    """Return the names of up to three units whose parts are those of a name, or like them."""
    words = [MEANT.get(word, word) for word in re.split(r"[/ _]+", name) if word]

    def likeness(unit: str) -> float:
        parts = unit.split("/")
        pairs = [[part] for part in parts] if len(words) == len(parts) else [parts] * len(words)
        return sum(
            max(SequenceMatcher(None, word, part).ratio() for part in those)
            for word, those in zip(words, pairs, strict=True)
        )

    close = [unit for unit in UNITS if words and likeness(unit) >= 0.75 * len(words)]
    return sorted(close, key=likeness, reverse=True)[:3]


LARGEST = {"float16": 65504.0} | {name: fmt.largest for name, fmt in WIDEST.items()}

RZ, E8M13 = "float32:toward_zero", "e8m13:toward_zero"
MODEL, SCALED, AMD, CDNA3 = "[1] table 4", "[1] table 5", "[1] table 6", "[1] tables 6, 7"
SEEN = "[1] table 4; [2]"  # with results that are captured
FIRST = "[1] table 4; [2]; [3]"
CHAIN, MMA = "[1]", "[2], mma"  # of fused multiply-adds; FP8 by the FP16 units
BY_32 = "+order=split:32+promote=32"

# fmt: off
_LINES: dict[str, tuple[str, str]] = {
    "volta/float16/float32": (f"{RZ}/terms=4+bits=23+floor=-131", FIRST),
    "volta/float16/float16": ("float16/terms=4+bits=23+floor=-20", FIRST),
    "turing/float16/float32": (f"{RZ}/terms=8+bits=24+floor=-132", FIRST),
    "turing/float16/float16": ("float16/terms=8+bits=24+floor=-21", FIRST),
    "ampere/tf32/float32": (f"{RZ}/terms=4+bits=24+floor=-132", FIRST),
    "ampere/bfloat16/float32": (f"{RZ}/terms=8+bits=24+floor=-132", FIRST),
    "ampere/float16/float32": (f"{RZ}/terms=8+bits=24+floor=-132", FIRST),
    "ampere/float16/float16": ("float16/terms=8+bits=24+floor=-21", FIRST),
    "ampere/float64/float64": ("float64", CHAIN),
    "ada/tf32/float32": (f"{RZ}/terms=4+bits=24+floor=-132", SEEN),
    "ada/bfloat16/float32": (f"{RZ}/terms=8+bits=24+floor=-132", SEEN),
    "ada/float16/float32": (f"{RZ}/terms=8+bits=24+floor=-132", SEEN),
    "ada/float16/float16": ("float16/terms=8+bits=24+floor=-21", SEEN),
    "ada/e4m3fn/float32": (f"{E8M13}/terms=16+bits=13+floor=-132", SEEN),
    "ada/e4m3fn/float16": ("float16/terms=16+bits=13+floor=-21", SEEN),
    "ada/e5m2/float32": (f"{E8M13}/terms=16+bits=13+floor=-132", SEEN),
    "ada/e5m2/float16": ("float16/terms=16+bits=13+floor=-21", SEEN),
    "ada/float64/float64": ("float64", CHAIN),
    "hopper/tf32/float32": (f"{RZ}/terms=8+bits=25+floor=-133", SEEN),
    "hopper/bfloat16/float32": (f"{RZ}/terms=16+bits=25+floor=-133", SEEN),
    "hopper/float16/float32": (f"{RZ}/terms=16+bits=25+floor=-133", SEEN),
    "hopper/float16/float16": ("float16/terms=16+bits=25+floor=-133", f"{MODEL}, wgmma"),
    "hopper-mma/float16/float16": ("float16/terms=16+bits=25+floor=-22", f"{MODEL}, mma; [2]"),
    "hopper/e4m3fn/float32": (f"{E8M13}/terms=32+bits=13+floor=-133", f"{MODEL}, wgmma; [2]"),
    "hopper/e4m3fn/float16": ("float16/terms=32+bits=13+floor=-133", f"{MODEL}, wgmma"),
    "hopper/e5m2/float32": (f"{E8M13}/terms=32+bits=13+floor=-133", f"{MODEL}, wgmma; [2]"),
    "hopper/e5m2/float16": ("float16/terms=32+bits=13+floor=-133", f"{MODEL}, wgmma"),
    "hopper/float64/float64": ("float64", CHAIN),
    "blackwell/tf32/float32": (f"{RZ}/terms=8+bits=25+floor=-133", SEEN),
    "blackwell/bfloat16/float32": (f"{RZ}/terms=16+bits=25+floor=-133", SEEN),
    "blackwell/float16/float32": (f"{RZ}/terms=16+bits=25+floor=-133", SEEN),
    "blackwell/float16/float16": ("float16/terms=16+bits=25+floor=-133", f"{MODEL}, tcgen05"),
    "blackwell/f8f6f4/float32": (f"{RZ}/terms=32+bits=25+floor=-133", MODEL),
    "blackwell/f8f6f4/float16": ("float16/terms=32+bits=25+floor=-133", f"{MODEL}, tcgen05"),
    "blackwell/mxf8f6/float32": (f"{RZ}/terms=32+bits=25+floor=-133", MODEL),
    "blackwell/mxfp4/float32": (f"{RZ}/terms=64+bits=35+floor=-139+group=16", SCALED),
    "blackwell/nvfp4/float32": (f"{RZ}/terms=64+bits=35+floor=-139+group=16", SCALED),
    "blackwell/float64/float64": ("float64", CHAIN),
    "blackwell-mma/fp8/float32": (f"{RZ}/terms=16+bits=25+floor=-133{BY_32}", MMA),
    "blackwell-mma/fp8/float16": (f"float16/terms=16+bits=25+floor=-133{BY_32}+outer=float16", MMA),
    "blackwell-rtx/tf32/float32": (f"{RZ}/terms=8+bits=25+floor=-133", MODEL),
    "blackwell-rtx/bfloat16/float32": (f"{RZ}/terms=16+bits=25+floor=-133", MODEL),
    "blackwell-rtx/float16/float32": (f"{RZ}/terms=16+bits=25+floor=-133", MODEL),
    "blackwell-rtx/float16/float16": ("float16/terms=16+bits=25+floor=-22", f"{MODEL}, mma"),
    "blackwell-rtx/f8f6f4/float32": (f"{RZ}/terms=32+bits=25+floor=-133", MODEL),
    "blackwell-rtx/f8f6f4/float16": ("float16/terms=32+bits=25+floor=-22", f"{MODEL}, mma"),
    "blackwell-rtx/mxf8f6/float32": (f"{RZ}/terms=32+bits=25+floor=-133", MODEL),
    "blackwell-rtx/mxfp4/float32": (f"{RZ}/terms=64+bits=35+floor=-139+group=16", SCALED),
    "blackwell-rtx/nvfp4/float32": (f"{RZ}/terms=64+bits=35+floor=-139+group=16", SCALED),
    "blackwell-rtx/float64/float64": ("float64", CHAIN),
    "cdna1/bfloat16/float32": ("float32/terms=2", AMD),
    "cdna1/float16/float32": ("float32/terms=4", AMD),
    "cdna1/float32/float32": ("float32", AMD),
    "cdna2/bfloat16/float32": ("float32/product=float32+flush+order=pairwise:2", AMD),
    "cdna2-1k/bfloat16/float32": ("float32/product=float32+flush+order=pairwise:4", AMD),
    "cdna2/float16/float32": ("float32/product=float32+flush+order=pairwise:4", AMD),
    "cdna2/float32/float32": ("float32", AMD),
    "cdna2/float64/float64": ("float64", AMD),
    "cdna3/tf32/float32": ("float32/terms=4+bits=24+late=31+limit=128", CDNA3),
    "cdna3/bfloat16/float32": ("float32/terms=8+bits=24+late=31+limit=128", CDNA3),
    "cdna3/float16/float32": ("float32/terms=8+bits=24+late=31+limit=128", CDNA3),
    "cdna3/e4m3fnuz/float32": ("float32/terms=16+bits=24+lanes=2+late=31+drops", CDNA3),
    "cdna3/e5m2fnuz/float32": ("float32/terms=16+bits=24+lanes=2+late=31+drops", CDNA3),
    "cdna3/float32/float32": ("float32", AMD),
    "cdna3/float64/float64": ("float64", AMD),
}
# fmt: on

# Names of inputs that stand for several: the formats, and the scale of a block of so many. The
# operands of one product may differ in format.
_SMALL = ("e4m3fn", "e5m2", "e2m3", "e3m2", "e2m1")
_INPUTS: dict[str, tuple[dict[str, str], str | None, int | None]] = {
    "f8f6f4": ({fmt: fmt for fmt in _SMALL}, None, None),
    "fp8": ({fmt: fmt for fmt in _SMALL[:2]}, None, None),
    "mxf8f6": (
        {"mxfp8e4m3": "e4m3fn", "mxfp8e5m2": "e5m2", "mxfp6e2m3": "e2m3", "mxfp6e3m2": "e3m2"},
        "e8m0", 32,
    ),
    "mxfp4": ({"mxfp4": "e2m1"}, "e8m0", 32),
    "nvfp4": ({"nvfp4": "e2m1"}, "ue4m3", 16),
}  # fmt: skip
NVIDIA_NAN = {"float32": 0x7FFF_FFFF, "float16": 0x7FFF}
IEEE_NAN = {"float32": 0x7FC0_0000, "float64": 0x7FF8_0000_0000_0000}


def _exmy(name: str) -> Format:
    fmt = parse(name)
    assert isinstance(fmt, Format)
    return fmt


def _units() -> Iterator[tuple[str, Unit, str]]:
    for name, (text, source) in _LINES.items():
        architecture, kind, output = name.split("/")
        names, scale, block = _INPUTS.get(kind, ({kind: kind}, None, None))
        words = IEEE_NAN if architecture.startswith("cdna") else IEEE_NAN | NVIDIA_NAN
        for each, own in names.items():
            others = _SMALL if len(names) > 2 else names.values()
            formats = [WIDEST.get(fmt) or _exmy(fmt) for fmt in (own, *others)]
            inputs = tuple(dict.fromkeys(formats))
            accumulator = Accumulator.parse(text)
            scales = None if scale is None else _exmy(scale)
            unit = Unit(inputs, cast("Output", output), accumulator, block, scales, words[output])
            yield f"{architecture}/{each}/{output}", unit, source


UNITS: dict[str, Unit] = {name: unit for name, unit, _ in _units()}
UNIT_SOURCES: dict[str, str] = {name: source for name, _, source in _units()}

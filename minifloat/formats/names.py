"""How formats are named: `parse` reads a name; ``fmt.name`` is the name that it reads back.

    [u]eXmY[bBIAS][none|ieee|fn|fnuz|p3109][_nosub]   e2m2  e4m3fn  e4m3b11fnuz  ue5m3  e2m2b0
    binaryKpP{s,u}{e,f}                               IEEE P3109: binary8p3se
    intN  intNfull  uintN  bipolar_intN               int4 is -7..7, int4full is -8..7
    lutN                                              a table of each block (recipes alone)
    potN  apotN  sp2_N                                sums of powers of two: pot4  apot5  sp2_8
    [VALUE VALUE ...]                                 a codebook of one's own: [-1 -0.4 0 0.3 1]
    a name of the catalogue                           nf4  float16  float8_e4m3fn
    LIBRARY.NAME                                      onnx.INT4  safetensors.F8_E4M3  torch.int8

An ``eXmY`` with nothing behind it means the catalogue's format of that name where there is one
(e5m2, e4m3, e8m0, ue4m3 ... as OCP and others define them) and otherwise a format without
specials. Behind fnuz and p3109 the bias is 2**(E-1) unless given, as in ml_dtypes and P3109;
otherwise 2**(E-1) - 1. A LIBRARY is numpy, ml_dtypes, torch, onnx, safetensors or llvm, and
``fmt.names`` has the names there (`minifloat.formats.dtypes`). Dtypes of NumPy, ml_dtypes, JAX and
PyTorch are taken, too.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, overload

from minifloat.formats import grammar
from minifloat.formats.base import NumberFormat, shown
from minifloat.formats.catalogue import ALIASES, CATALOGUE, bipolar_int, p3109
from minifloat.formats.codebook import Codebook, name_of_values
from minifloat.formats.complex_codebook import ComplexCodebook
from minifloat.formats.dtypes import PREFIXES, format_of_name, name_of_dtype
from minifloat.formats.exmy import Format, Specials, default_bias
from minifloat.formats.integer import Integer
from minifloat.formats.literals import CodebookName, FormatName, IntegerName
from minifloat.formats.lookup import Lookup
from minifloat.formats.published import PUBLISHED

if TYPE_CHECKING:
    import numpy as np


class TorchDtype(Protocol):
    """What a type checker must know of `torch.dtype`, without PyTorch's own types."""

    @property
    def is_floating_point(self) -> bool:
        """Whether numbers of the dtype are floats."""

    def to_complex(self) -> Any:
        """Return the complex dtype of such parts."""


Dtype: TypeAlias = "np.dtype[Any] | type[np.generic] | TorchDtype"

_EXMY_AND_MORE = re.compile(r"u?e[0-9]{1,2}m[0-9]{1,2}[^/]{1,20}")
_WIDE = re.compile(r"(?:fp|float|binary|f)(?:32|64|128)|single|double")  # sources, not formats
_WIDTH = re.compile(r"(?:mx|nv)?(?:fp|float|f)(4|6|8)")  # a width alone names no format
ONNX_REMEDY = '; of ONNX\'s dtypes pass "onnx." + onnx.TensorProto.DataType.Name(dtype)'
OF_WIDTH = {"4": ("e2m1",), "6": ("e3m2", "e2m3"), "8": ("e4m3fn", "e5m2")}


F = TypeVar("F", bound=NumberFormat)


@overload
def parse(name: F, argument: str = "fmt") -> F: ...
@overload
def parse(name: FormatName, argument: str = "fmt") -> Format: ...
@overload
def parse(name: IntegerName, argument: str = "fmt") -> Integer: ...
@overload
def parse(name: CodebookName, argument: str = "fmt") -> Codebook: ...
@overload
def parse(name: str | NumberFormat | Dtype, argument: str = "fmt") -> NumberFormat: ...
def parse(name: str | NumberFormat | Dtype, argument: str = "fmt") -> NumberFormat:
    """Return the format that ``name`` names; a format is returned as it is.

    Parameters
    ----------
    name : str, format or dtype
        A dtype of NumPy, ml_dtypes, JAX or PyTorch. For text see the module's grammar: case and
        spaces around it do not matter, and text in parentheses at the end is skipped, so that
        ``parse(str(fmt)) == fmt``.
    argument : str
        The caller's name for ``name``, for messages.

    Returns
    -------
    Format, Integer, Codebook or Lookup
        A type checker knows which one for names of the catalogue (`minifloat.formats.literals`),
        and for others after ``assert isinstance(fmt, Format)``.

    Raises
    ------
    ValueError
        If the name is unknown, with the nearest known names, or its fields are out of range.
    TypeError
        If ``name`` is neither a str, a format nor a dtype.

    Examples
    --------
    >>> from minifloat.formats.names import parse
    >>> parse("e2m2b0").max, parse("fpe2m2") == parse("e2m2b0")
    (14.0, True)
    >>> parse("binary8p3se")
    <Format binary8p3se: bits 8, bias 16, max 49152, min_normal 3.051757812e-05, \
smallest 7.629394531e-06, specials p3109>
    """
    if isinstance(name, NumberFormat):
        return name
    if isinstance(name, ComplexCodebook):
        raise TypeError(
            f"{argument} must be a format of real numbers, got {name!r}; "
            "minifloat.codec.complex_codes has the verbs of complex ones"
        )
    text = name if isinstance(name, str) else name_of_dtype(name)
    if text is None:
        raise TypeError(
            f"{argument} must be a format or the name of one, got {shown(name)}"
            f"{ONNX_REMEDY if isinstance(name, int) else ''}"
        )
    word = grammar.word_of(text)
    word = ALIASES.get(word, word)
    if word in CATALOGUE:
        return CATALOGUE[word]
    if word in PUBLISHED:
        return Codebook(PUBLISHED[word], word)
    if word.startswith(PREFIXES):
        fmt = format_of_name(word)
        if fmt is None:
            raise ValueError(
                f"{argument} must be a dtype that is a format, all of at most 16 bits, got {text}"
            )
        return fmt
    try:
        fmt = _by_rule(word)
    except ValueError as error:
        raise ValueError(f"{argument} must name a format, got {shown(text)}: {error}") from None
    if fmt is not None:
        return fmt
    raise UnknownName(
        f"{argument} must be a known format name, got {shown(text)}{_suggestion(text)}"
    )


class UnknownName(ValueError):
    """A text names no format; it breaks no rule of a name either."""


def _by_rule(word: str) -> NumberFormat | None:
    """Return the format of a word that follows a rule of the grammar, or None."""
    if match := grammar.EXMY.fullmatch(word):
        return _exmy(match)
    if match := grammar.P3109.fullmatch(word):
        width, precision, end = match.groups()
        if end is None:
            raise ValueError(
                "a name of P3109 ends in se, sf, ue or uf (signed or unsigned, extended by "
                "infinities or finite); write binary8p4se, for example"
            )
        return p3109(int(width), int(precision), signed=end[0] == "s", extended=end[1] == "e")
    if match := grammar.INTEGER.fullmatch(word):
        unsigned, bits, full = match.groups()
        if not (unsigned and full):
            return Integer(int(bits), signed=not unsigned, symmetric=not full)
    if match := grammar.LOOKUP.fullmatch(word):
        return Lookup(int(match[1]))
    if match := grammar.BIPOLAR.fullmatch(word):
        return bipolar_int(int(match[1]))
    if match := grammar.VALUES.fullmatch(word):
        values = [float(number) for number in match[1].split()]
        return Codebook(values, name_of_values(values))
    return None


def _exmy(match: re.Match[str]) -> Format:
    exponent_bits, mantissa_bits = int(match["e"]), int(match["m"])
    specials = Specials(match["s"] or "none")
    bias = None
    if 1 <= exponent_bits <= 16:  # else the constructor says what is wrong
        bias = int(match["b"]) if match["b"] else default_bias(exponent_bits, specials)
    return Format(
        exponent_bits,
        mantissa_bits,
        bias=bias,
        signed=not match["u"],
        subnormals=not match["n"],
        specials=specials,
    )


def is_width(word: str) -> bool:
    """Return whether a word such as fp8 tells a width and no format."""
    return _WIDTH.fullmatch(word) is not None


def near_names(name: str) -> list[str]:
    """Return the known names that an unknown one may mean, the nearest first.

    Examples
    --------
    >>> from minifloat.formats.names import near_names
    >>> near_names("fp8"), near_names("posit")
    (['e4m3fn', 'e5m2'], [])
    """
    word = name.strip().lower()
    if match := _WIDTH.fullmatch(word):
        return list(OF_WIDTH[match[1]])
    return difflib.get_close_matches(word, [*CATALOGUE, *ALIASES], n=3, cutoff=0.5)


def where_all_are(name: str) -> str:
    """Return where the names are that an unknown one may mean: in the list, or by a rule.

    Examples
    --------
    >>> from minifloat.formats.names import where_all_are
    >>> where_all_are("nf7")
    '`minifloat list` shows all'
    """
    if _EXMY_AND_MORE.fullmatch(name.strip().lower()):
        return (
            "behind eXmY may stand a bias, then none, ieee, fn, fnuz or p3109, then _nosub: "
            "e3m2b5, e3m2b5fn, e3m2_nosub"
        )
    return "`minifloat list` shows all"


def _suggestion(name: str) -> str:
    lowered = name.strip().lower()
    if "/" in name:
        return "; minifloat.Recipe.parse reads a recipe's text"
    if "[" in name:
        return (
            "; a codebook is its values, finite decimal numbers, in brackets with spaces between, "
            "as [-1 -0.4 0 0.3 1]"
        )
    if _WIDE.fullmatch(lowered):
        return "; formats have at most 16 bits (tf32 has 19)"
    if near := near_names(name):
        return f"; did you mean {' or '.join(near)}? ({where_all_are(name)})"
    return "; `minifloat list` shows the named ones, and any eXmY is one (e3m1, e4m3fn, ue5m3, ...)"

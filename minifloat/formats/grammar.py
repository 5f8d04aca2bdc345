"""The grammar of names: which words can name a format, without knowing the formats.

`minifloat.formats.names` gives these words their meaning. A codebook must not borrow one.
"""

from __future__ import annotations

import re

EXMY = re.compile(
    r"(?P<u>u?)e(?P<e>\d{1,2})m(?P<m>\d{1,2})(?:b(?P<b>-?\d{1,5}))?"
    r"(?P<s>none|ieee|fnuz|fn|p3109)?(?P<n>_nosub)?",
    re.ASCII,
)
P3109 = re.compile(r"binary(\d{1,2})p(\d{1,2})([su][ef])?", re.ASCII)  # no format without the end
INTEGER = re.compile(r"(u?)int(\d{1,2})(full)?", re.ASCII)
LOOKUP = re.compile(r"lut(\d{1,2})", re.ASCII)
BIPOLAR = re.compile(r"bipolar_int(\d{1,2})", re.ASCII)
# "++" and the like give nothing back: a long number that is none takes no longer than another
_NUMBER = r"[+-]?(?:\d++\.?\d*+|\.\d++)(?:e[+-]?\d++)?+"
VALUES = re.compile(rf"\[ *({_NUMBER}(?: +{_NUMBER})*+) *\]", re.ASCII)

# names of the catalogue, and its aliases, that follow no rule
OTHERS = re.compile(r"half|fpe2m2|tf32|(fp|bf|float|bfloat)16|float\d_\w+", re.ASCII)


def is_rule(word: str) -> bool:
    """Return whether a word means a format by a rule; it may be one that does not exist.

    Examples
    --------
    >>> [is_rule(word) for word in ("e2m2", "int4", "[0 1]", "float8_e5m2", "nf4", "mine")]
    [True, True, True, True, False, False]
    """
    return any(rule.fullmatch(word) for rule in (EXMY, P3109, INTEGER, LOOKUP, VALUES, OTHERS))


def lowered(text: str) -> str:
    """Return text without spaces around it, in lower case where it is ASCII.

    Other letters stay: the lower case of the kelvin sign is a k.

    Examples
    --------
    >>> lowered(" NVFP4 "), lowered(chr(0x212A))
    ('nvfp4', '\u212a')
    """
    stripped = text.strip(" ")
    return stripped.lower() if stripped.isascii() else stripped


def word_of(name: str) -> str:
    """Return the word that a name means: without case, spaces around it, and text in parentheses.

    An empty word, which names nothing, comes of a name that has other than printable ASCII.

    Examples
    --------
    >>> word_of(" E2M2 (bits 5, bias 1)"), word_of("e2m2" + chr(10)), word_of("e2m2 (bits")
    ('e2m2', '', '')
    """
    word, opened, rest = name.partition("(")
    if not (name.isascii() and name.isprintable()) or (opened and not rest.endswith(")")):
        return ""
    return word.strip().lower()

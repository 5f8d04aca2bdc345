"""The words of a transcript, and how many of them are wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence

from analysis.models.packages import optional

NUMBERS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve",
)  # fmt: skip
SPELLINGS = {"mr": "mister", "mrs": "missus", "*": "star", "#": "pound"}


def words(text: str) -> list[str]:
    """Return the words of a text as they are spoken: small letters, no punctuation, no digits.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of str
        Numbers up to twelve are words, and larger ones their digits one by one.

    Examples
    --------
    >>> words("Mr. Smith's 10-key phone: press # or 162.")
    ['mister', "smith's", 'ten', 'key', 'phone', 'press', 'pound', 'or', 'one', 'six', 'two']
    """
    found: list[str] = []
    for word in re.findall(r"[0-9]+|[*#]|[^\W\d_]+(?:'[^\W\d_]+)*", text.lower()):
        if not word.isdecimal():
            found.append(SPELLINGS.get(word, word))
        elif int(word) < len(NUMBERS):
            found.append(NUMBERS[int(word)])
        else:
            found += [NUMBERS[int(digit)] for digit in word]
    return found


def errors(found: Sequence[str], spoken: Sequence[str]) -> int:
    """Return how many words must be inserted, deleted or replaced to get ``spoken``.

    Parameters
    ----------
    found, spoken : sequence of str

    Returns
    -------
    int

    Raises
    ------
    MissingPackage
        If rapidfuzz is not installed.

    Examples
    --------
    >>> errors(words("seven of clubs"), words("seven clubs, please"))
    2
    """
    return int(optional("rapidfuzz.distance").Levenshtein.distance(found, spoken))

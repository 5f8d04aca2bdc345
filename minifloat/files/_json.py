"""JSON out of untrusted files."""

from __future__ import annotations

import json
import re
from typing import Any

TEXTS = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
TEXT_OF_BRACKET = 6  # characters; the list of a file's tensors has 8 for each bracket


def json_object(text: str) -> dict[str, Any]:
    """Return a JSON object, in which no name stands twice.

    Raises
    ------
    ValueError
        If the text is something else, or so full of brackets that its lists would take far more
        memory than the text.
    """
    bare = TEXTS.sub('""', text)
    if bare.count("[") + bare.count("{") > 2 + len(bare) // TEXT_OF_BRACKET:
        raise ValueError("a JSON text of too many brackets")
    value = json.loads(text, object_pairs_hook=_unique)
    if not isinstance(value, dict):
        raise ValueError(f"a JSON object must be there, got {value!r:.40}")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entry = dict(pairs)
    if len(entry) < len(pairs):
        raise ValueError("a JSON object with a name twice")
    "".join(entry).encode()  # half of a surrogate pair is no text
    return entry

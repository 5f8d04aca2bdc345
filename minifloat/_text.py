"""Text out of untrusted files, made fit for messages and tables."""

from __future__ import annotations

LONGEST_NAME = 120  # characters


def printable(text: str) -> str:
    """Return the text with control characters escaped, newlines too."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def shortened(text: str, most: int = LONGEST_NAME) -> str:
    """Return the text, its middle replaced by dots where it is longer than ``most`` characters.

    Examples
    --------
    >>> shortened("model.layers.0.mlp.up_proj.weight", 20)
    'model.la...oj.weight'
    """
    if len(text) <= most:
        return text
    kept = max(most - 3, 2)
    return f"{text[: kept // 2]}...{text[len(text) - (kept - kept // 2) :]}"

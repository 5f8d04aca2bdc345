"""Text out of untrusted files, made fit for messages and tables."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return the text with control characters escaped, newlines too."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)

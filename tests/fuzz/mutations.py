"""Small random changes of bytes, texts and JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

Change = Callable[[bytes], bytes]  # changes a few bytes: `some_bytes`, or libFuzzer's own

INTEGERS = [
    *(0, 1, -1, 2, 3, 7, 8, 64, 65, 100),
    *(sign * 2**bits + more for bits in (8, 16, 31, 32, 53, 62, 63, 64) for more in (-1, 0, 1)
      for sign in (1, -1)),
]  # fmt: skip
WORDS = [
    *("", " ", "w", "a" * 300, "\x1b[31m", "\x00", "\x7f", "\x9b1m", "\u202e", "\n", "\r", "\t"),
    *("=1+1", "@SUM(A1)", "+1", "-1", "'", '"', ",", "\N{ARABIC-INDIC DIGIT TWO}", "\u212a", "é"),
    *("..", "/", "../secret.safetensors", "$OUTSIDE/secret.safetensors", "[red]", "{}", "%s"),
]
VALUES: list[Any] = [*INTEGERS, *WORDS, None, True, False, 0.5, 1e308, -0.0, float("nan"), [], {}]

_TOKEN = re.compile(r"[A-Za-z]+|[0-9]+|.", re.DOTALL)


def some_bytes(data: bytes, random: Random) -> bytes:
    """Return the bytes with a few of them changed, cut out, repeated or inserted."""
    at = random.randrange(len(data) + 1)
    end = min(len(data), at + random.choice([1, 1, 1, 2, 4, 8, 32]))
    number = random.choice(INTEGERS).to_bytes(9, "little", signed=True)
    match random.randrange(7):
        case 0:
            return (
                data[:at]
                + bytes(byte ^ 1 << random.randrange(8) for byte in data[at:end])
                + data[end:]
            )
        case 1:
            return data[:at] + random.randbytes(end - at) + data[end:]
        case 2:
            return data[:at] + data[end:]
        case 3:
            return data[:end] + data[at:]
        case 4:
            width = random.choice([1, 2, 4, 8])
            return data[:at] + number[:width] + data[at + width :]
        case 5:
            return data[:at] + random.choice(WORDS).encode() + data[at:]
        case _:
            return data[:at] if random.random() < 0.3 else data + random.randbytes(3)


def text(source: str, random: Random, words: Sequence[str]) -> str:
    """Return a text with one of its words, numbers or signs changed."""
    tokens = _TOKEN.findall(source)
    at = random.randrange(len(tokens) + 1)
    number = str(
        random.choice([random.randrange(10), random.randrange(130), random.choice(INTEGERS)])
    )
    new = random.choice([number, random.choice(WORDS), *[random.choice(words or WORDS)] * 4])
    if tokens[at : at + 1] and tokens[at].isdecimal() and random.random() < 0.7:
        new = number
    match random.randrange(5):
        case 0:
            tokens[at : at + 1] = []
        case 1:
            tokens[at:at] = tokens[at : at + random.randrange(1, 4)] * random.choice([1, 1, 50])
        case 2:
            tokens[at:at] = [new]
        case _:
            tokens[at : at + 1] = [new]
    return "".join(tokens)


def json_value(value: Any, random: Random, words: Sequence[str] = ()) -> Any:
    """Return a JSON value with one of its parts changed, left out, renamed or repeated."""
    if isinstance(value, str) and random.random() < 0.6:
        return text(value, random, words)
    if not isinstance(value, dict | list) or not value or random.random() < 0.15:
        return random.choice(VALUES)
    items = list(value.items() if isinstance(value, dict) else enumerate(value))
    at = random.randrange(len(items))
    key, part = items[at]
    match random.randrange(8):
        case 0:
            del items[at]
        case 1:
            items[at] = (random.choice(WORDS), part)
        case 2:
            items.append((random.choice(WORDS), part))
        case _:
            items[at] = (key, json_value(part, random, words))
    if isinstance(value, dict):
        return {str(key): part for key, part in items}
    return [part for _, part in items]


def json_text(source: bytes, random: Random, change: Change, words: Sequence[str] = ()) -> bytes:
    """Return a JSON text with one value changed, or with changed bytes if it is none."""
    try:
        value = json.loads(source)
    except (ValueError, RecursionError):
        return change(source)
    if random.random() < 0.2:
        return change(source)
    return json.dumps(json_value(value, random, words)).encode()

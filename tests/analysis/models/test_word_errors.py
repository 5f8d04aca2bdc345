from __future__ import annotations

import pytest

from analysis.models.word_errors import errors, words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("10 of clubs, 4 queen of clubs.", "ten of clubs four queen of clubs"),
        ("Mr. Dashwood", "mister dashwood"),
        ("press 162#", "press one six two pound"),
        ("Don't re-enter...", "DON'T RE ENTER"),
        ("12, 13", "twelve one three"),
    ],
)
def test_spellings_of_the_same_words_are_equal(one: str, other: str) -> None:
    assert words(one) == words(other)
    assert errors(words(one), words(other)) == 0


def test_words_that_differ_are_counted() -> None:
    pytest.importorskip("rapidfuzz")
    spoken = words("a b c d")
    assert [errors(words(text), spoken) for text in ("a b c d", "a c d", "a b x c e", "")] == [
        0, 1, 2, 4,
    ]  # fmt: skip
    assert words("don't") != words("dont")
    assert words("¿Qué?") == ["qué"]
    assert words("") == words("...") == []

"""The text recogniser on clean and degraded print; skipped where a package is missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import rel_entr

import minifloat as mf
from analysis.models import recogniser
from analysis.models.evaluation import difference
from analysis.models.matrices import Array, dense
from analysis.models.recogniser import FONTS, Print, Recogniser, divergence, draw, lines, spell

CLEAN = ("The quick brown fox jumps over", "import numpy as np", "a minifloat has few bits (E2M2)")


@pytest.fixture(scope="module")
def picture(reader: Recogniser) -> Array:
    return draw("measured, not hoped", FONTS[1], Print(16, 0.4, 0.08), np.random.default_rng(5))


@pytest.mark.parametrize("font", FONTS)
def test_clean_print_is_read_without_a_mistake(reader: Recogniser, font: str) -> None:
    letters = recogniser.characters()
    for text in CLEAN:
        likely = reader.probabilities(draw(text, font, Print(), np.random.default_rng(0)))
        assert likely.shape[1] == len(letters)
        assert spell(likely, letters) == text


def test_matrices_replaced_by_themselves_change_no_bit(reader: Recogniser, picture: Array) -> None:
    untouched = replace(reader, shapes={})
    np.testing.assert_array_equal(
        reader.probabilities(picture), untouched.probabilities(picture), strict=True
    )


@pytest.mark.parametrize("mistake", ["not transposed", "twice as large", "taps in another order"])
def test_mistakes_in_putting_back_are_seen(
    reader: Recogniser, picture: Array, mistake: str
) -> None:
    square = next(name for name in sorted(reader.transposed) if len({*reader.shapes[name]}) == 1)
    kernel = next(name for name, shape in reader.shapes.items() if shape[2:] == (3, 3))
    matrices = dict(reader.matrices)
    if mistake == "not transposed":
        matrices[square] = np.ascontiguousarray(dense(matrices[square]).T)
    elif mistake == "twice as large":
        matrices[square] = 2 * dense(matrices[square])
    else:
        matrices[kernel] = np.ascontiguousarray(dense(matrices[kernel])[:, ::-1])
    wrong = replace(reader, matrices=matrices)
    assert divergence(wrong.probabilities(picture), reader.probabilities(picture)) > 1e-3


def test_all_matrices_of_products_are_rounded(reader: Recogniser) -> None:
    packed = reader.quantized("e2m2")
    assert all(isinstance(matrix, mf.Quantized) for matrix in packed.matrices.values())
    kept = [tensor for tensor in reader.vectors.values() if tensor.size > 1000]
    assert {tensor.ndim for tensor in kept} <= {1, 4}
    assert all(tensor.shape[1] == 1 for tensor in kept if tensor.ndim == 4)
    weights = sum(matrix.size for matrix in packed.matrices.values())
    assert weights > 0.96 * (weights + sum(tensor.size for tensor in reader.vectors.values()))
    assert reader.storage == (32.0, 4 * (weights + sum(t.size for t in reader.vectors.values())))


@pytest.mark.parametrize("fmt", ["e2m2", "int5"])
def test_more_bits_are_nearer_to_fp32(reader: Recogniser, picture: Array, fmt: str) -> None:
    wider = {"e2m2": "e2m4", "int5": "int8"}[fmt]
    exact = reader.probabilities(picture)
    few, many = (
        divergence(reader.quantized(f).probabilities(picture), exact) for f in (fmt, wider)
    )
    assert 0 < 2 * many < few


def slow_spell(likely: np.ndarray, letters: list[str]) -> str:
    text, before = "", 0
    for step in likely:
        now = int(np.argmax(step))
        if now not in (0, before):
            text += letters[now]
        before = now
    return text


def test_spelling() -> None:
    rng = np.random.default_rng(6)
    letters = ["", *"abcd"]
    for _ in range(200):
        likely = rng.random((rng.integers(1, 12), 5))
        assert spell(likely, letters) == slow_spell(likely, letters)
    twice = np.eye(5)[[1, 1, 0, 1]]
    assert spell(twice, letters) == "aa" != spell(twice[[0, 1, 3]], letters)


def test_divergence_is_that_of_scipy() -> None:
    p, q = np.random.default_rng(7).dirichlet(np.full(50, 0.2), (2, 30)).astype(np.float32)
    wanted = rel_entr(p.astype(np.float64), q.astype(np.float64)).sum(axis=1).mean()
    assert divergence(q, p) == pytest.approx(wanted, rel=1e-6, abs=0)
    assert divergence(p, p) == 0
    assert divergence(p, q) != pytest.approx(wanted, rel=0.01, abs=0)


def test_pictures(reader: Recogniser) -> None:
    degraded = Print(14, 0.5, 0.1)
    one, same, other = (
        draw("a line", FONTS[0], degraded, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert one.dtype == np.float32
    assert one.shape[:3] == (1, 3, 48)
    assert -1 <= one.min() < -0.5 < 0.5 < one.max() <= 1
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    with pytest.raises(ValueError, match="text must not be blank, got ' '"):
        draw(" ", FONTS[0], degraded, np.random.default_rng(1))


def test_lines_are_of_whole_words() -> None:
    text = "\n\n".join(f"word{k} and some more words that follow it, to the end" for k in range(9))
    chosen = lines(text, 4)
    assert len(chosen) == 4
    assert all(line == "word" + line[4] + " and some more words that" for line in chosen)


def test_formats_are_compared_line_by_line(
    reader: Recogniser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recogniser, "LINES", 3)
    calls: list[tuple[int, int]] = []
    results = recogniser.evaluate(["e2m4", "e2m1"], progress=lambda *at: calls.append(at))
    assert calls == [(k + 1, 6) for k in range(6)]
    names = ["fp32", "e2m4/128/float16", "e2m1/128/float16"]
    assert [result.recipe for result in results[:6]] == names * 2
    assert len(results) == 2 * 2 * 3
    errors, apart = results[:3], results[3:6]
    assert apart[0].value == 0 < apart[1].value < apart[2].value
    assert errors[0].value < errors[2].value
    assert difference(apart[2], apart[1]).mean > 0
    assert {result.packed for result in results} == {False}

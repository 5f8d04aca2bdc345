"""The language models as their packages ship them; skipped where a package is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax

import minifloat as mf
from analysis.models import calibration, command, evaluation, minilm, smollm2, textgenrnn
from analysis.models.evaluation import difference
from analysis.models.llama import MATRICES, Llama
from analysis.models.matrices import dense
from analysis.models.packages import MissingPackage
from analysis.models.texts import TEXTS, bible
from tests.analysis.models.slow_llama import distance, slow_logits

Capture = pytest.CaptureFixture[str]


@contextmanager
def installed() -> Iterator[None]:
    try:
        yield
    except MissingPackage as error:
        pytest.skip(str(error))


def needs(module: ModuleType) -> None:
    with installed():
        for file in module.FILES:
            file.find()


# --- textgenrnn


@pytest.fixture(scope="module")
def characters() -> textgenrnn.CharacterModel:
    needs(textgenrnn)
    with installed():
        return textgenrnn.load()


START = "In the beginning God"
VERSE = "In the beginning God created the heaven and the earth."


def keras_matrices(mistake: str = "") -> dict[str, np.ndarray]:
    """The LSTMs' matrices as Keras' LSTM has them, in its own way of converting from CuDNNLSTM."""
    import h5py

    made = {}
    with h5py.File(textgenrnn.WEIGHTS.find()) as file:
        for layer in ("rnn_1", "rnn_2"):
            kernel, state, bias = (
                file[f"{layer}/{layer}/{name}:0"][...].astype(np.float64)
                for name in ("kernel", "recurrent_kernel", "bias")
            )
            inputs = [k.T.reshape(k.shape, order="F") for k in np.hsplit(kernel, 4)]
            states = [k.T for k in np.hsplit(state, 4)]
            if mistake == "kernel":
                inputs = np.hsplit(kernel, 4)
            if mistake == "state":
                states = np.hsplit(state, 4)
            if mistake == "gates":
                inputs[1], inputs[2] = inputs[2], inputs[1]
            halves = np.split(bias, 2)
            both = halves[0] if mistake == "bias" else halves[0] + halves[1]
            made[layer] = (np.hstack(inputs), np.hstack(states), both)
    return made


def slow_nats(model: textgenrnn.CharacterModel, text: str, mistake: str = "") -> np.ndarray:
    """-log probability in float64, one window and one character after another."""
    layers = keras_matrices(mistake)
    embedding = dense(model.matrices["embedding"]).astype(np.float64)
    output = dense(model.matrices["output"]).astype(np.float64)
    index = [model.vocabulary.get(c, 0) for c in text]
    nats = []
    for t, wanted in enumerate(index):
        window = ([0] * 40 + [model.vocabulary["<s>"], *index[:t]])[-40:]
        h1, c1, h2, c2 = np.zeros((4, 128))
        seen = []
        for character in window:
            x = embedding[character]
            for layer in ("rnn_1", "rnn_2"):
                kernel, state, bias = layers[layer]
                h, c, into = (h1, c1, x) if layer == "rnn_1" else (h2, c2, h1)
                z = into @ kernel + h @ state + bias
                c = expit(z[128:256]) * c + expit(z[:128]) * np.tanh(z[256:384])
                h = expit(z[384:]) * np.tanh(c)
                if layer == "rnn_1":
                    h1, c1 = h, c
                else:
                    h2, c2 = h, c
            seen.append(np.concatenate([x, h1, h2]))
        shares = softmax(np.array(seen) @ model.vectors["attention"].astype(np.float64))
        logits = output @ (shares @ np.array(seen)) + model.vectors["output"]
        nats.append(-log_softmax(logits)[wanted])
    return np.array(nats)


def test_textgenrnn_is_that_of_a_second_forward_pass(
    characters: textgenrnn.CharacterModel,
) -> None:
    assert np.abs(characters.nats(START) - slow_nats(characters, START)).max() < 1e-4


@pytest.mark.parametrize("mistake", ["kernel", "state", "gates", "bias"])
def test_the_second_forward_pass_sees_another_layout(
    characters: textgenrnn.CharacterModel, mistake: str
) -> None:
    wrong = slow_nats(characters, START, mistake)
    assert np.abs(characters.nats(START) - wrong).max() > 0.1
    assert wrong.mean() > characters.nats(START).mean()


def test_textgenrnn_knows_english(characters: textgenrnn.CharacterModel) -> None:
    """log2(95) = 6.6 bits would be no knowledge; a mixed-up verse has the same characters."""
    bits = characters.nats(VERSE).mean() / np.log(2)
    mixed = "".join(np.random.default_rng(60).permutation(list(VERSE)))
    assert bits < 2.5
    assert characters.nats(mixed).mean() / np.log(2) > 4


def test_textgenrnn_is_evaluated_in_all_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    needs(textgenrnn)
    monkeypatch.setattr(textgenrnn, "PASSAGES", 6)
    calls: list[tuple[int, int]] = []
    with installed():
        results = textgenrnn.evaluate(
            ["e2m2", "int4"], progress=lambda done, total: calls.append((done, total))
        )
    assert calls == [(done, 36) for done in range(1, 37)]
    assert [result.format for result in results] == ["fp32"] * 2 + ["e2m2"] * 2 + ["int4"] * 2
    assert [result.data for result in results] == 3 * list(TEXTS)
    assert all(len(result.items) == 6 for result in results)
    for fp32, e2m2, int4 in (results[0::2], results[1::2]):
        assert fp32.bits_per_weight == 32
        assert 5.125 <= e2m2.bits_per_weight < 5.2
        assert int4.nbytes < e2m2.nbytes < fp32.nbytes / 5
        assert (fp32.packed, e2m2.packed, int4.packed) == (False, True, True)
        assert difference(int4, fp32).mean > abs(difference(e2m2, fp32).mean)


# --- MiniLM

SENTENCES = (
    "The weather is lovely today.",
    "It's so sunny outside!",
    "He drove to the stadium.",
)


@pytest.fixture(scope="module")
def encoder() -> minilm.Encoder:
    needs(minilm)
    with installed():
        return minilm.load()


@pytest.mark.long
def test_minilm_gives_the_published_cosines(encoder: minilm.Encoder) -> None:
    """Those of its model card at Hugging Face's sentence-transformers."""
    a, b, c = (encoder.embed(sentence) for sentence in SENTENCES)
    assert [round(float(x), 4) for x in (a @ b, a @ c, b @ c)] == [0.6660, 0.1046, 0.1411]


@pytest.mark.long
@pytest.mark.parametrize(
    "mistake",
    ["pads", "token types", "another activation"],
)
def test_the_cosines_see_mistakes(
    encoder: minilm.Encoder, mistake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = encoder
    if mistake == "pads":
        from tokenizers import Tokenizer

        wrong = replace(encoder, words=Tokenizer.from_file(str(minilm.TOKENIZER.find())))
    elif mistake == "token types":
        name = "embeddings.token_type_embeddings.weight"
        wrong = replace(
            encoder, matrices={**encoder.matrices, name: 0 * dense(encoder.matrices[name])}
        )
    else:
        monkeypatch.setattr(minilm, "_gelu", lambda x: np.maximum(x, 0))
    a, b, c = (wrong.embed(sentence) for sentence in SENTENCES)
    assert [round(float(x), 4) for x in (a @ b, a @ c, b @ c)] != [0.6660, 0.1046, 0.1411]


@pytest.mark.long
def test_minilm_loses_less_in_five_bits_than_in_four(monkeypatch: pytest.MonkeyPatch) -> None:
    needs(minilm)
    monkeypatch.setattr(minilm, "SENTENCES", 12)
    results = minilm.evaluate(["e2m2", "int4"])
    for fp32, e2m2, int4 in (results[0::2], results[1::2]):
        assert set(fp32.items) == {0}
        found = difference(e2m2, int4)
        assert found.mean + 4 * found.standard_error < 0
        assert 0 < e2m2.value < 0.03


# --- SmolLM2


@pytest.fixture(scope="module")
def smol() -> Llama:
    needs(smollm2)
    with installed():
        return smollm2.load()


@pytest.fixture(scope="module")
def words(smol: Llama) -> Any:
    return smollm2.tokenizer()


@pytest.mark.long
def test_the_tokenizer_gives_back_texts_and_keeps_digits_apart(words: Any) -> None:
    assert words.encode("Hello, world! 2024").tokens == [
        "Hello", ",", "Ġworld", "!", "Ġ", "2", "0", "2", "4",
    ]  # fmt: skip
    for read in TEXTS.values():
        text = read()[:200_000]
        assert words.decode(words.encode(text).ids) == text
    assert words.encode("<|im_start|>").ids == [1]


@pytest.mark.long
def test_smollm2_is_that_of_a_second_forward_pass(smol: Llama, words: Any) -> None:
    tokens = np.array(words.encode(VERSE).ids)
    exact = slow_logits(smol, tokens)
    assert distance(smol.logits(tokens), exact) < 1e-4
    for mistake in ({"half_rope": False}, {"base": 1e4}, {"own_heads": False}):
        wrong = slow_logits(smol, tokens, **mistake)  # type: ignore[arg-type]
        assert distance(wrong, exact) > 0.01, mistake


@pytest.mark.long
def test_a_cache_of_smollm2_changes_nothing(smol: Llama, words: Any) -> None:
    tokens = np.array(words.encode(bible()[:1000]).ids)
    cache = smol.cache(len(tokens))
    pieces = [tokens[:100], *tokens[100:120, None], tokens[120:]]
    logits = np.concatenate([smol.logits(piece, cache) for piece in pieces])
    assert distance(logits, smol.logits(tokens)) < 1e-4


@pytest.mark.long
def test_smollm2_knows_english(smol: Llama, words: Any) -> None:
    tokens = np.array(words.encode(bible()[:2000]).ids)
    assert smollm2.nats(smol, tokens) < np.log(12)
    assert smollm2.nats(smol, np.random.default_rng(61).permutation(tokens)) > np.log(100)
    text = "".join(smollm2.generate(smol, words, "The capital of France is", 3))
    assert text.startswith(" Paris.")


@pytest.mark.long
def test_a_packed_smollm2_generates(capsys: Capture) -> None:
    needs(smollm2)
    question = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    assert command.main(["generate", question, "--format", "e2m2", "--tokens", "16"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(question)
    assert "Paris" in out.removeprefix(question)
    assert "tokens/s" in err
    assert command.main(["generate", "", "--tokens", "1"]) == 2
    assert command.main(["generate", "Once", "--tokens", "0"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "prompt must not be empty" in err
    assert "count must be at least 1, got 0" in err


@pytest.mark.long
def test_texts_to_calibrate_on_are_not_evaluated(smol: Llama, words: Any) -> None:
    tokens = np.arange(len(words.encode(TEXTS["King James Bible"]()).ids))
    evaluated, calibrating = smollm2.chunks(tokens)
    assert evaluated.shape == calibrating.shape == (smollm2.CHUNKS, smollm2.CHUNK)
    assert not np.intersect1d(evaluated, calibrating).size
    with pytest.raises(ValueError, match="tokens must be at least"):
        smollm2.chunks(tokens[:5000])


def output_error(w: np.ndarray, packed: mf.Quantized, hessian: np.ndarray) -> float:
    """Squared error of the outputs for inputs of that Hessian, in float64."""
    d = packed.dequantize() - w.astype(np.float64)
    return float(np.sum(d @ hessian * d))


@pytest.mark.long
@pytest.mark.parametrize("fmt", ["e2m2", "int4"])
def test_gptq_lowers_the_output_error_of_every_matrix(smol: Llama, words: Any, fmt: str) -> None:
    """Of all layers: on the text it was calibrated on always, on other text but for a few.

    The few are matrices of 1536 inputs, which so little text does not tell well.
    """
    parts = [smollm2.chunks(np.array(words.encode(read()).ids)) for read in TEXTS.values()]
    unseen, seen = (
        [smol.embed(tokens) for pair in parts for tokens in pair[kind][::step]]
        for kind, step in ((0, 4), (1, 2))
    )
    ratios = []
    for layer in range(smol.shape.layers):
        new_hessians = calibration.hessians(smol, layer, unseen)
        hessians = calibration.hessians(smol, layer, seen)
        assert len(hessians) == len(MATRICES)
        for name, hessian in hessians.items():
            w = dense(smol.matrices[name])
            rounded, by_gptq = evaluation.quantize(w, fmt), calibration.quantize(w, fmt, hessian)
            assert output_error(w, by_gptq, hessian) < 0.7 * output_error(w, rounded, hessian), name
            new = new_hessians[name]
            ratios.append(output_error(w, by_gptq, new) / output_error(w, rounded, new))
        seen, unseen = (
            [smol.layer(layer, x, smol.cache(len(x))) for x in inputs] for inputs in (seen, unseen)
        )
    assert np.median(ratios) < 0.6
    assert np.mean(np.array(ratios) < 1) > 0.95

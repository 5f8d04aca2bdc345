"""textgenrnn against a second forward pass; skipped where its package is missing."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax

from analysis.models import textgenrnn
from analysis.models.evaluation import difference
from analysis.models.matrices import dense
from analysis.models.texts import TEXTS

START = "In the beginning God"
VERSE = "In the beginning God created the heaven and the earth."


def keras_matrices(mistake: str = "") -> dict[str, np.ndarray]:
    """The LSTMs' matrices as Keras' LSTM has them, in its own way of converting from CuDNNLSTM."""
    import h5py

    matrices = {}
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
            matrices[layer] = (np.hstack(inputs), np.hstack(states), both)
    return matrices


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


def test_textgenrnn_is_evaluated_in_all_formats(
    skip_without: Callable[[ModuleType], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_without(textgenrnn)
    monkeypatch.setattr(textgenrnn, "PASSAGES", 6)
    calls: list[tuple[int, int]] = []
    results = textgenrnn.evaluate(
        ["e2m2", "int4"], progress=lambda done, total: calls.append((done, total))
    )
    assert calls == [(done, 36) for done in range(1, 37)]
    assert [result.recipe.partition("/")[0] for result in results] == [
        "fp32", "fp32", "e2m2", "e2m2", "int4", "int4",
    ]  # fmt: skip
    assert [result.data for result in results] == 3 * list(TEXTS)
    assert all(len(result.items) == 6 for result in results)
    for fp32, e2m2, int4 in (results[0::2], results[1::2]):
        assert fp32.bits_per_weight == 32
        assert 5.125 <= e2m2.bits_per_weight < 5.2
        assert int4.nbytes < e2m2.nbytes < fp32.nbytes / 5
        assert (fp32.packed, e2m2.packed, int4.packed) == (False, True, True)
        assert difference(int4, fp32).mean > abs(difference(e2m2, fp32).mean)

"""A Llama of the user's own: layer by layer as at once, and the command."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from analysis.models import command, own_llama, smollm2
from analysis.models.llama import Llama, Shape
from analysis.models.llama_files import LlamaFile, open_llama
from analysis.models.texts import bible
from tests.analysis.models.llama_writers import config_of, hugging_face_tensors, write_folder

Capture = pytest.CaptureFixture[str]
DRAW = np.random.default_rng(9)
TEXTS = {name: [DRAW.integers(0, 30, 19) for _ in range(3)] for name in ("one", "two")}


@pytest.fixture(scope="module")
def file(llama: Llama, tmp_path_factory: pytest.TempPathFactory) -> LlamaFile:
    folder = tmp_path_factory.mktemp("llama")
    return open_llama(write_folder(folder, hugging_face_tensors(llama), config_of(llama)))


def test_layer_by_layer_is_as_at_once(file: LlamaFile, llama: Llama) -> None:
    calls: list[tuple[int, int]] = []
    recipes = ["e2m2/8/float16", "int4/8/float16"]
    results = own_llama.evaluate(
        file, recipes, TEXTS, progress=lambda done, total: calls.append((done, total))
    )
    assert calls == [(done, 12) for done in range(1, 13)]
    models = [llama, *map(llama.quantized, recipes)]
    assert len(results) == 6
    for k, result in enumerate(results):
        model, text = models[k // 2], list(TEXTS)[k % 2]
        assert (result.data, result.recipe) == (text, ["fp32", *recipes][k // 2])
        wanted = [smollm2.nats(model, tokens) for tokens in TEXTS[text]]
        assert result.items == pytest.approx(wanted, rel=1e-6)
        assert (result.bits_per_weight, result.nbytes) == pytest.approx(model.storage)
    assert results[0].items != results[2].items


def test_chunks_are_those_of_smollm2(monkeypatch: pytest.MonkeyPatch) -> None:
    class Words:
        def encode(self, text: str, add_special_tokens: bool = True) -> SimpleNamespace:
            ids = [ord(letter) for letter in text]
            return SimpleNamespace(ids=[7] * (add_special_tokens and self.begins) + ids)

        begins = False

    words = Words()
    text = "".join(map(chr, DRAW.integers(32, 127, 7001)))
    wanted, _ = smollm2.chunks(np.array([ord(letter) for letter in text]))
    assert np.array_equal(own_llama.chunks_of(text, words), wanted)
    words.begins = True
    with_first = np.array(own_llama.chunks_of(text, words))
    assert (with_first[:, 0] == 7).all()
    assert np.array_equal(with_first[:, 1:], wanted)
    assert len(own_llama.chunks_of(text[:400], words)) == 3
    with pytest.raises(ValueError, match="text must have at least 256 tokens, got 255"):
        own_llama.chunks_of(text[:255], words)


def test_memory_does_not_grow_with_the_layers(tmp_path: Path) -> None:
    """That of six layers is that of two: one layer, in float32 and packed, and what tokens need."""
    width, inner = 256, 512
    sizes = {
        "attn_norm": (width,), "attn_q": (width, width), "attn_k": (128, width),
        "attn_v": (128, width), "attn_output": (width, width), "ffn_norm": (width,),
        "ffn_gate": (inner, width), "ffn_up": (inner, width), "ffn_down": (width, inner),
    }  # fmt: skip
    peaks = []
    for layers in (2, 6):
        shapes = {"token_embd.weight": (30, width), "output_norm.weight": (width,)}
        for k in range(layers):
            shapes |= {f"blk.{k}.{name}.weight": size for name, size in sizes.items()}
        tensors = {n: DRAW.normal(size=size).astype(np.float32) for n, size in shapes.items()}
        model = Llama(
            shape=Shape(layers, 8, 4, 100.0, 1e-5),
            matrices={name: w for name, w in tensors.items() if w.ndim == 2},
            vectors={name: w for name, w in tensors.items() if w.ndim == 1},
        )
        folder = write_folder(tmp_path / str(layers), hugging_face_tensors(model), config_of(model))
        results = own_llama.evaluate(open_llama(folder), ["int4/128/float16"], TEXTS)
        peaks.append([result.peak_nbytes or 0 for result in results[::2]])
        layer = sum(4 * w.size for name, w in tensors.items() if name.startswith("blk.0."))
        assert layer < min(peaks[-1]) < 2 * layer
    assert peaks[1] == pytest.approx(peaks[0], rel=0.05)


def test_tokens_of_another_model_are_refused(file: LlamaFile) -> None:
    with pytest.raises(ValueError, match=r"tokens must be below 30.*got 30; use"):
        own_llama.evaluate(file, [], {"one": [np.array([1, 30])]})


def a_tokenizer(path: Path) -> Path:
    """One whose tokens are thirty characters."""
    tokenizers = pytest.importorskip("tokenizers")
    words = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({chr(97 + k): k for k in range(30)}, unk_token="a")
    )
    words.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    words.save(str(path))
    return path


def test_the_command(file: LlamaFile, tmp_path: Path, capsys: Capture) -> None:
    tokenizer = a_tokenizer(tmp_path / "tokenizer.json")
    text = tmp_path / "text.txt"
    text.write_text("".join(map(chr, DRAW.integers(97, 122, 500))))
    base = ["llama", "--weights", file.checkpoint.source, "--tokenizer", str(tokenizer)]
    arguments = [*base, "--text", str(text), "--recipes", "e2m2/8/float16,int5/8/float16"]
    assert command.main([*arguments, "--json", str(tmp_path / "all.json")]) == 0
    out, _ = capsys.readouterr()
    assert "text.txt: nats per token" in out.splitlines()[0]
    assert [line.split()[0] for line in out.splitlines()[-4:] if line] == [
        "fp32", "e2m2/8/float16", "int5/8/float16",
    ]  # fmt: skip
    written: dict[str, Any] = json.loads((tmp_path / "all.json").read_text())
    assert [len(result["items"]) for result in written["results"]] == [3, 3, 3]
    assert written["results"][1]["over_fp32"]["standard_error"] > 0
    assert written["results"][1]["bits_per_weight"] == 7  # 5, and 16 for 8 weights
    for wrong, message in (
        ([*base, "--text", str(tmp_path / "none.txt")], "none.txt"),
        ([*arguments[:-1], "e9m9"], "at most 16 bits together"),
        ([*base[:-1], str(text), "--text", str(text)], "must be a tokenizer.json"),
        ([*base[:-1], str(tmp_path / "no.json"), "--text", str(text)], "no.json"),
        (["llama", "--weights", str(text), *base[3:], "--text", str(text)], "must end in one of"),
    ):
        assert command.main(wrong) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("error: ")) == ("", 1)
        assert message in err


@pytest.mark.long
def test_smollm2_is_as_in_its_own_measurement(smol: Llama, words: Any) -> None:
    chunks = own_llama.chunks_of(bible()[:60_000], words)[:3]
    file = open_llama(smollm2.WEIGHTS.find())
    results = own_llama.evaluate(file, ["e2m2"], {"Bible": chunks})
    for result, model in zip(results, (smol, smol.quantized("e2m2")), strict=True):
        wanted = [smollm2.nats(model, tokens) for tokens in chunks]
        assert result.items == pytest.approx(wanted, rel=1e-6)
        assert (result.bits_per_weight, result.nbytes) == pytest.approx(model.storage)

"""Llamas out of files of transformers and of llama.cpp, and files that are none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.models.llama import Llama
from analysis.models.llama_files import LlamaFile, open_llama
from minifloat.files.weights import WeightsError
from tests.analysis.models.llama_writers import (
    Tensors,
    config_of,
    gguf_facts,
    gguf_tensors,
    hugging_face_tensors,
    write_folder,
    write_gguf,
)
from tests.analysis.models.slow_llama import distance

TOKENS = np.random.default_rng(3).integers(0, 30, 21)


@pytest.fixture(params=["tied", "untied"])
def model(llama: Llama, request: pytest.FixtureRequest) -> Llama:
    if request.param == "tied":
        return llama
    output = np.random.default_rng(7).normal(size=(30, 16)).astype(np.float32)
    return replace(llama, matrices={**llama.matrices, "output.weight": output})


def as_safetensors(folder: Path, model: Llama) -> LlamaFile:
    return open_llama(write_folder(folder, hugging_face_tensors(model), config_of(model)))


def as_gguf(folder: Path, model: Llama) -> LlamaFile:
    return open_llama(write_gguf(folder / "m.gguf", gguf_tensors(model), gguf_facts(model)))


def assert_same(ours: Llama, wanted: Llama) -> None:
    for found, tensors in ((ours.matrices, wanted.matrices), (ours.vectors, wanted.vectors)):
        assert found.keys() == tensors.keys()
        for name, tensor in found.items():
            assert tensor.dtype == np.float32
            assert np.array_equal(tensor, tensors[name]), name


@pytest.mark.parametrize("write", [as_safetensors, as_gguf])
def test_a_model_comes_back(
    write: Callable[[Path, Llama], LlamaFile], model: Llama, tmp_path: Path
) -> None:
    file = write(tmp_path, model)
    ours = file.load()
    assert_same(ours, model)
    assert (file.is_tied, file.vocabulary) == ("output.weight" not in model.matrices, 30)
    assert ours.shape == replace(model.shape, epsilon=ours.shape.epsilon)
    assert ours.shape.epsilon == pytest.approx(model.shape.epsilon)
    x = file.embeddings().embed(TOKENS)
    for index in range(file.shape.layers):
        layer = file.layer(index)
        x = layer.layer(0, x, layer.cache(len(x)))
    assert np.array_equal(file.output().project(x), ours.logits(TOKENS))


LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}  # fmt: skip


def by_definition(base: float, head: int) -> list[float]:
    """Divisors of the turns, by the three cases in which Llama 3's scaling is stated."""
    divisors = []
    for i in range(head // 2):
        wave = 2 * np.pi * base ** (2 * i / head)
        if wave < 32 / 4:
            divisors.append(1.0)
        elif wave > 32 / 1:
            divisors.append(8.0)
        else:
            smooth = (32 / wave - 1) / (4 - 1)
            divisors.append(1 / ((1 - smooth) / 8 + smooth))
    return divisors


def test_scalings_of_positions(llama: Llama, tmp_path: Path) -> None:
    tensors, config = hugging_face_tensors(llama), config_of(llama)
    for rope, wanted in (
        ({"rope_type": "default"}, []),
        ({"type": "linear", "factor": 2.0}, [2.0, 2.0]),
        (LLAMA3, by_definition(100.0, 4)),
        (LLAMA3 | {"rope_theta": 2.0}, by_definition(2.0, 4)),
    ):
        for name in ("rope_scaling", "rope_parameters"):
            write_folder(tmp_path, tensors, config | {name: rope})
            shape = open_llama(tmp_path).shape
            assert shape.rope_divisors == pytest.approx(wanted)
            assert shape.rope_base == rope.get("rope_theta", 100.0)
    assert by_definition(2.0, 4)[0] == 1 < by_definition(2.0, 4)[1] < 8  # blended
    facts = gguf_facts(llama)
    held = {**gguf_tensors(llama), "rope_freqs.weight": np.float32([1.5, 8])}
    assert open_llama(write_gguf(tmp_path / "a.gguf", held, facts)).shape.rope_divisors == (1.5, 8)
    facts |= {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}
    path = write_gguf(tmp_path / "b.gguf", gguf_tensors(llama), facts)
    assert open_llama(path).shape.rope_divisors == (4.0, 4.0)


def test_turns_are_divided(llama: Llama) -> None:
    """A turn divided by 3 at place 3 k is an undivided one at place k."""
    apart = replace(llama, shape=replace(llama.shape, rope_divisors=(3.0, 3.0)))

    def at(model: Llama, step: int) -> np.ndarray:
        cache = model.cache(5)
        cache.positions = lambda count: step * np.arange(count)  # type: ignore[method-assign]
        return model.logits(TOKENS[:5], cache)

    assert np.allclose(at(apart, 3), at(llama, 1), atol=1e-4)
    assert not np.allclose(at(apart, 1), at(llama, 1), atol=0.01)


@pytest.mark.parametrize("is_tied", [False, True])
def test_logits_are_those_of_transformers(is_tied: bool, tmp_path: Path) -> None:
    """Of shards as it saves them, and of .gguf files of its weights: plain, and in Q8_0."""
    torch, transformers = map(pytest.importorskip, ("torch", "transformers"))
    gguf = pytest.importorskip("gguf")
    torch.manual_seed(5)
    config = transformers.LlamaConfig(
        hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=32, vocab_size=80, rms_norm_eps=1e-4,
        tie_word_embeddings=is_tied, initializer_range=0.2,
        rope_parameters=LLAMA3 | {"rope_theta": 20.0},
    )  # fmt: skip
    theirs = transformers.LlamaForCausalLM(config).eval()
    tokens = np.random.default_rng(1).integers(0, 80, 60)

    def their_logits() -> np.ndarray:
        with torch.no_grad():
            logits: np.ndarray = theirs(torch.tensor(tokens[None])).logits[0].numpy()
        return logits

    theirs.save_pretrained(tmp_path / "saved", max_shard_size="60KB")
    assert len(list((tmp_path / "saved").glob("*.safetensors"))) > 2
    ours = open_llama(tmp_path / "saved").load()
    assert distance(ours.logits(tokens), their_logits()) < 1e-5
    plain = replace(ours, shape=replace(ours.shape, rope_divisors=()))
    assert distance(plain.logits(tokens), their_logits()) > 0.01

    tensors, facts = gguf_tensors(ours), gguf_facts(ours)
    divisors = {"rope_freqs.weight": np.array(ours.shape.rope_divisors, np.float32)}
    path = write_gguf(tmp_path / "plain.gguf", tensors | divisors, facts)
    assert distance(open_llama(path).load().logits(tokens), their_logits()) < 1e-5

    kind = gguf.GGMLQuantizationType.Q8_0
    codes = {name: gguf.quants.quantize(w, kind) for name, w in tensors.items() if w.ndim == 2}
    path = write_gguf(tmp_path / "codes.gguf", tensors | divisors | codes, facts)
    ours = open_llama(path).load()
    assert distance(ours.logits(tokens), their_logits()) > 1e-4
    held = {name: torch.tensor(w) for name, w in hugging_face_tensors(ours).items()}
    if is_tied:
        held["lm_head.weight"] = held["model.embed_tokens.weight"]
    theirs.load_state_dict(held)
    assert distance(ours.logits(tokens), their_logits()) < 1e-5


Q = "model.layers.1.self_attn.q_proj"


def without(name: str) -> Callable[[Tensors], object]:
    return lambda tensors: tensors.pop(name)


def extra(name: str, *shape: int) -> Callable[[Tensors], object]:
    return lambda tensors: tensors.update({name: np.ones(shape, np.float32)})


@pytest.mark.parametrize(
    ("change", "config", "message"),
    [
        (without(f"{Q}.weight"), {}, f"has no tensor '{Q}.weight'"),
        (extra(f"{Q}.weight", 16, 8), {}, r"q_proj.weight' must have the shape \(16, 16\), got"),
        (extra(f"{Q}.weight", 256), {}, r"must have the shape \(16, 16\), got \(256,\)"),
        (extra(f"{Q}.bias", 16), {}, f"holds '{Q}.bias': biases are not supported"),
        (extra("model.layers.2.mlp.up_proj.weight", 24, 16), {}, "layers.2.mlp.up_proj.weight'"),
        (None, {"architectures": ["Qwen2ForCausalLM"]}, r"be LlamaFor.* got \['Qwen2"),
        (None, {"architectures": None}, r"architectures must be .* got None"),
        (None, {"tie_word_embeddings": False}, "has no tensor 'lm_head.weight'"),
        (None, {"attention_bias": True}, "attention_bias must be False, got True; other models"),
        (None, {"hidden_act": "gelu"}, "hidden_act must be 'silu', got 'gelu'"),
        (None, {"sliding_window": 4096}, "sliding_window must be None, got 4096"),
        (None, {"num_hidden_layers": "2"}, "must have num_hidden_layers, a positive int"),
        (None, {"num_key_value_heads": 3}, "heads must be a multiple of those of keys"),
        (None, {"rms_norm_eps": -1}, "must have a positive number as rms_norm_eps"),
        (None, {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "rope_type must be def"),
        (None, {"rope_scaling": {"rope_type": "llama3", "factor": 4.0}}, "original_max_position"),
        (None, {"rope_scaling": LLAMA3 | {"high_freq_factor": 1.0}}, "low_freq_factor must be"),
        (None, {"rope_scaling": "none"}, "rope_scaling must be a JSON object, got 'none'"),
        (None, {"hidden_size": 10**30}, "hidden_size"),
    ],
)  # fmt: skip
def test_other_folders_are_refused_by_name(
    change: Callable[[Tensors], object] | None,
    config: dict[str, Any],
    message: str,
    llama: Llama,
    tmp_path: Path,
) -> None:
    tensors = hugging_face_tensors(llama)
    if change is not None:
        change(tensors)
    write_folder(tmp_path, tensors, config_of(llama) | config)
    with pytest.raises(WeightsError, match=message):
        open_llama(tmp_path)


@pytest.mark.parametrize(
    ("facts", "kind", "message"),
    [
        ({}, "qwen2", "general.architecture must be 'llama', got 'qwen2'"),
        ({"llama.expert_count": 8}, "llama", "expert_count must be 0, got 8"),
        ({"llama.rope.scaling.type": "yarn"}, "llama", "rope.scaling.type must be none or linear"),
        ({"llama.rope.dimension_count": 2}, "llama", "rope.dimension_count must be 4"),
        ({"llama.attention.head_count": 0}, "llama", "attention.head_count must be a positive int"),
        ({"llama.feed_forward_length": 25}, "llama", r"must have the shape \(25, 16\), got"),
    ],
)  # fmt: skip
def test_other_gguf_files_are_refused_by_name(
    facts: dict[str, Any], kind: str, message: str, llama: Llama, tmp_path: Path
) -> None:
    path = write_gguf(tmp_path / "m.gguf", gguf_tensors(llama), gguf_facts(llama) | facts, kind)
    with pytest.raises(WeightsError, match=message):
        open_llama(path)


def test_files_that_are_no_models(llama: Llama, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="check the path"):
        open_llama(tmp_path / "nowhere")
    write_folder(tmp_path, hugging_face_tensors(llama), config_of(llama))
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(WeightsError, match="JSON object"):
        open_llama(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(WeightsError, match=r"config\.json"):
        open_llama(tmp_path)
    path = write_gguf(tmp_path / "m.gguf", gguf_tensors(llama), gguf_facts(llama))
    data = path.read_bytes()
    for length in (0, 3, 40, 400):
        path.write_bytes(data[:length])
        with pytest.raises(WeightsError):
            open_llama(path)

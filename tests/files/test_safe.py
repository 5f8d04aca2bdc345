"""Messages without control characters, and files replaced with care."""

from __future__ import annotations

import os
import pickle
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.files import WeightsError, open_weights
from minifloat.testing import write_vectors
from tests.files.test_hostile_files import (
    gguf_blob,
    gguf_tensor,
    npy,
    safetensors_bytes,
    tensor,
    zipped,
)

BAD = "\x1b[31m\x7f\x9b\n\r\t\u2028\u202e\0"
SUFFIXES = (".npz", ".safetensors")


def quantized(value: float = 1.0) -> mf.Quantized:
    return mf.quantize(np.full((3, 20), value, np.float32), "e2m2")


def clean(error: WeightsError) -> None:
    for text in (str(error), str(pickle.loads(pickle.dumps(error)))):
        assert text.isprintable()
        assert "\\x1b[31m" in text
        assert len(text) < 2000


def test_any_message_is_printable() -> None:
    clean(WeightsError(f"w: {BAD}; remove it"))


NAMED = {
    "a name twice in npz": (
        "m.npz", lambda name: zipped(*2 * [(f"{name}.npy", npy((), "'<f4'", bytes(4)))])
    ),
    "objects in npz": ("m.npz", lambda name: zipped((f"{name}.npy", npy((1,), "'|O'", bytes(8))))),
    "cut npz": ("m.npz", lambda name: zipped((f"{name}.npy", npy((9,), "'<f4'", bytes(8))))),
    "npy": ("m.npz", lambda name: zipped((f"{name}.npy", npy((9,), repr(name), bytes(8))))),
    "overlap in safetensors": (
        "m.safetensors",
        lambda name: safetensors_bytes({name: tensor("F32", [1], 4, 8)}, bytes(8)),
    ),
    "shape in safetensors": (
        "m.safetensors",
        lambda name: safetensors_bytes({name: tensor("F32", [-1], 0, 4)}, bytes(4)),
    ),
    "overlap in gguf": (
        "m.gguf",
        lambda name: gguf_blob(gguf_tensor(name.encode(), [99], 0, 0), tensors=1) + bytes(64),
    ),
    "shard outside": (
        "m.index.json",
        lambda name: safetensors_bytes({"weight_map": {"w": f"../{name}"}})[8:],
    ),
    "missing shard": (
        "m.index.json",
        lambda name: safetensors_bytes({"weight_map": {"w": f"{name}.safetensors"}})[8:],
    ),
    "shard of another kind": (
        "m.index.json",
        lambda name: safetensors_bytes({"weight_map": {"w": name}})[8:],
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("case", NAMED)
def test_names_in_files_are_escaped_in_messages(tmp_path: Path, case: str, long: bool) -> None:
    file, content = NAMED[case]
    path = tmp_path / file
    name = BAD.replace("\0", "") + "x" * (20_000 if long else 0)
    if long and ("shard" in case or "npy" in case):
        pytest.skip("a longer name than a file can have, or a header")
    path.write_bytes(content(name))
    with pytest.raises(WeightsError) as caught:
        open_weights(path)
    clean(caught.value)


@pytest.mark.parametrize("suffix", ["npz", "npy", "safetensors", "gguf", "index.json", "bin"])
def test_names_of_files_are_escaped_in_messages(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"\x1b[31m\n.{suffix}"
    for content in (None, b"", b"no model"):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(WeightsError) as caught:
            open_weights(path)
        clean(caught.value)
        if suffix in ("npz", "safetensors"):
            with pytest.raises(WeightsError) as caught:
                mf.load(path)
            clean(caught.value)
    folder = tmp_path / "\x1b[31m"
    folder.mkdir()
    with pytest.raises(WeightsError) as caught:
        open_weights(folder)
    clean(caught.value)


def test_names_stay_as_they_are_in_the_data(tmp_path: Path) -> None:
    path = tmp_path / "\x1b[31m.safetensors"
    path.write_bytes(safetensors_bytes({BAD: tensor("F32", [1], 0, 4)}, struct.pack("<f", 1)))
    weights = open_weights(path)
    assert weights.names() == (BAD,)
    assert weights.load(BAD).tolist() == [1]
    with pytest.raises(ValueError, match=r"got '\\x1b\[31m") as caught:
        weights.load("\x1b[31m")
    assert str(caught.value).isprintable()
    with pytest.raises(TypeError) as wrong:
        open_weights({BAD: Unreadable()})
    assert str(wrong.value).isprintable()


class Unreadable:
    """A tensor that NumPy cannot read, and that says so in colours."""

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError(BAD)


def test_a_replaced_file_keeps_its_mode(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        path = tmp_path / f"w{suffix}"
        mf.save(quantized(), path)
        for mode in (0o600, 0o640, 0o666, 0o444):
            path.chmod(mode)
            if os.access(path, os.W_OK):  # root may write a read-only file
                mf.save(quantized(2), path)
            assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_private_file_is_private_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.npz"
    mf.save(quantized(), path)
    path.chmod(0o600)
    modes = []

    def watched(*_: Any, **__: Any) -> None:
        modes.extend(stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir())

    monkeypatch.setattr(np, "savez", watched)
    mf.save(quantized(), path)
    assert modes == [0o600, 0o600]


def test_a_read_only_file_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.npz"
    mf.save(quantized(), path)
    path.chmod(0o444)
    monkeypatch.setattr(os, "access", lambda *_: False)  # chmod does not stop root
    with pytest.raises(PermissionError, match="read-only") as caught:
        mf.save(quantized(2), path)
    assert caught.value.filename == str(path)
    monkeypatch.undo()
    assert mf.load(path) == quantized()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_link_is_written_through(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "store").mkdir()
    target = tmp_path / "store" / f"real{suffix}"
    link = tmp_path / f"w{suffix}"
    link.symlink_to(Path("store") / target.name)
    for value in (1, 2):  # the first time the target is not there yet
        mf.save(quantized(value), link)
        assert link.is_symlink()
        assert mf.load(link) == mf.load(target) == quantized(value)
    assert sorted(tmp_path.rglob("*")) == sorted([tmp_path / "store", target, link])


def test_a_loop_of_links_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    path.symlink_to(path)
    with pytest.raises(OSError, match="symbolic links") as caught:
        mf.save(quantized(), path)
    assert caught.value.filename == str(path)
    with pytest.raises(WeightsError, match="symbolic links"):
        mf.load(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_pipe_is_not_replaced(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    os.mkfifo(path)
    with pytest.raises(OSError, match="Not a regular file") as caught:
        mf.save(quantized(), path)
    assert caught.value.filename == str(path)
    assert stat.S_ISFIFO(path.stat().st_mode)
    with pytest.raises(WeightsError, match="must be a regular file"):
        mf.load(path)


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_errors_of_save_name_the_path_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / f"folder{suffix}").mkdir()
    q = quantized()
    for name, kind in (
        (f"folder{suffix}", IsADirectoryError),
        (f"nowhere/w{suffix}", FileNotFoundError),
        (f"file/w{suffix}", NotADirectoryError),
        ("x" * 300 + suffix, OSError),
    ):
        for path in (name, Path(name)):
            with pytest.raises(kind) as caught:
                mf.save(q, path)
            assert caught.value.filename == name
            assert str(caught.value).endswith(f": '{name}'")
    with file_size_limit(100), pytest.raises(OSError, match="File too large") as caught:
        mf.save(q, f"w{suffix}")
    assert caught.value.filename == f"w{suffix}"
    assert not list(tmp_path.glob(".*"))
    long = "x" * (255 - len(suffix)) + suffix
    mf.save(q, long)
    assert mf.load(long) == q


def test_a_full_disk_names_the_path_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    for target in ("fsync", "open"):
        with monkeypatch.context() as patch:
            patch.setattr(os, target, full)
            with pytest.raises(OSError, match="No space left on device") as caught:
                mf.save(quantized(), tmp_path / "w.npz")
        assert caught.value.filename == str(tmp_path / "w.npz")
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_leaves_says_whose_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = []

    def watched(*_: Any, **__: Any) -> None:
        names.extend(file.name for file in tmp_path.iterdir())

    monkeypatch.setattr(np, "savez", watched)
    mf.save(quantized(), tmp_path / "weights.npz")
    [name] = names
    assert name.startswith(".weights.npz.")
    assert name.endswith(".new")


@pytest.mark.parametrize("path", ["", "w\0.npz", b"w.npz", 3, None])
def test_a_path_that_no_file_can_have_is_an_error_of_the_argument(path: Any) -> None:
    error = ValueError if isinstance(path, str) else TypeError
    with pytest.raises(error, match=r"^path must be a .*; "):
        mf.save(quantized(), path)
    with pytest.raises(error, match=r"^path must be a .*; "):
        mf.load(path)
    with pytest.raises(error, match=r"^path must be a .*; "):
        write_vectors("e2m1", path)
    with pytest.raises(error, match=r"^source must be a .*; "):
        open_weights(path)


def test_a_missing_folder_is_to_be_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="No such file or directory; make its folder first"):
        mf.save(quantized(), tmp_path / "nowhere" / "w.npz")


def test_the_folder_is_synced_after_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    fsync = os.fsync

    def watched(handle: int) -> None:
        synced.append(stat.S_ISDIR(os.fstat(handle).st_mode))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    mf.save(quantized(), tmp_path / "w.npz")
    assert synced == [False, True]

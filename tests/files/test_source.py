"""What is read of a file belongs together, while other programs replace, change and cut it."""

from __future__ import annotations

import gc
import os
import pickle
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import minifloat as mf
from minifloat.files import WeightFile, WeightsError, _source, open_weights
from minifloat.files._source import SourceFile

Array = NDArray[Any]

safetensors_numpy = pytest.importorskip("safetensors.numpy")
gguf = pytest.importorskip("gguf")

CHANGED = "was written to or replaced after it was opened; open it again"


def model(value: float, size: int = 5000) -> dict[str, Array]:
    return {f"w{index}": np.full(size, value, np.float32) for index in range(4)}


def write_gguf(path: Path, arrays: dict[str, Array]) -> None:
    writer = gguf.GGUFWriter(path, "test")
    for name, array in arrays.items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_index(path: Path, arrays: dict[str, Array]) -> None:
    """Write one shard and, if it is not there, the index beside it."""
    safetensors_numpy.save_file(arrays, path.with_name("shard.safetensors"))
    places = ", ".join(f'"{name}": "shard.safetensors"' for name in arrays)
    path.write_text(f'{{"weight_map": {{{places}}}}}')


WRITERS: dict[str, Callable[[Path, dict[str, Array]], Any]] = {
    "m.npz": lambda path, arrays: np.savez(path, **arrays),
    "c.npz": lambda path, arrays: np.savez_compressed(path, **arrays),
    "m.safetensors": lambda path, arrays: safetensors_numpy.save_file(arrays, path),
    "m.npy": lambda path, arrays: np.save(path, arrays["w0"]),
    "m.gguf": write_gguf,
}


def replace(path: Path, value: float) -> None:
    """Write another model beside the file and give it the file's name."""
    new = path.with_name(f"new-{path.name}")
    WRITERS[path.name](new, model(value))
    new.replace(path)


def values(weights: WeightFile) -> set[float]:
    return {float(x) for name in weights.names() for x in np.unique(weights.load(name))}


@contextmanager
def meanwhile(work: Callable[[int], object]) -> Iterator[None]:
    """Call ``work`` with 0, 1, 2, ... in another thread, again and again."""
    stop = threading.Event()
    failures: list[Exception] = []

    def run() -> None:
        count = 0
        while not stop.is_set():
            try:
                work(count)
            except Exception as error:
                failures.append(error)
                return
            count += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert not failures


@pytest.mark.parametrize("name", WRITERS)
def test_a_replaced_file_is_read_as_it_was_opened(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    WRITERS[name](path, model(1))
    weights = open_weights(path)
    replace(path, 2)
    assert values(weights) == {1}
    assert values(open_weights(path)) == {2}
    path.unlink()
    assert values(weights) == {1}


@pytest.mark.parametrize("name", WRITERS)
def test_open_and_load_see_one_file_while_it_is_replaced(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    WRITERS[name](path, model(1))
    seen = set()
    with meanwhile(lambda count: replace(path, count % 2)):
        for _ in range(60):
            one = values(open_weights(path))
            assert len(one) == 1
            seen |= one
    assert seen <= {0, 1}


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_saved_weights_are_loaded_while_they_are_replaced(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    both = [mf.quantize(np.full((64, 256), value, np.float32), "e2m2") for value in (1, 2)]
    mf.save(both[0], path)
    with meanwhile(lambda count: mf.save(both[count % 2], path)):
        for _ in range(100):
            assert mf.load(path) in both


def test_a_replaced_shard_is_read_as_it_was_opened_or_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond some files none stays open: a process may not open as many as a model may have."""
    index = tmp_path / "model.safetensors.index.json"
    shard = tmp_path / "shard.safetensors"
    write_index(index, model(1))
    kept = open_weights(index)
    monkeypatch.setattr(_source, "MAX_KEPT", 0)
    weights = open_weights(index)
    assert values(weights) == {1}
    safetensors_numpy.save_file(model(2), tmp_path / "new.safetensors")
    (tmp_path / "new.safetensors").replace(shard)
    assert values(kept) == {1}
    with pytest.raises(WeightsError, match=f"^{shard}: {CHANGED}"):
        weights.load("w0")
    assert values(open_weights(index)) == {2}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_does_not_stay_open_is_known_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(_source, "MAX_KEPT", 0)
    path = tmp_path / name
    WRITERS[name](path, model(1))
    weights = open_weights(path)
    assert values(weights) == {1}
    replace(path, 2)
    with pytest.raises(WeightsError, match=f"^{path}: {CHANGED}"):
        weights.load(weights.names()[0])


def test_a_process_may_read_more_files_than_it_may_open(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    for index in range(200):
        safetensors_numpy.save_file({f"w{index}": np.ones(3)}, tmp_path / f"{index}.safetensors")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = max(int(file.name) for file in Path("/dev/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + 100, limits[1]))
    try:
        assert values(open_weights(tmp_path)) == {1}
        several = [open_weights(path) for path in tmp_path.iterdir()]
        assert all(values(weights) == {1} for weights in several)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


CUTS: dict[str, Callable[[Path], object]] = {
    "cut to a page": lambda path: os.truncate(path, 4096),
    "cut by a byte": lambda path: os.truncate(path, path.stat().st_size - 1),
    "emptied": lambda path: os.truncate(path, 0),
    "longer": lambda path: os.truncate(path, path.stat().st_size + 1),
    "written anew": lambda path: path.write_bytes(bytes(path.stat().st_size)),
}


@pytest.mark.parametrize("name", [*WRITERS, "model.safetensors.index.json"])
@pytest.mark.parametrize("change", CUTS)
def test_a_file_changed_in_place_is_an_error(tmp_path: Path, name: str, change: str) -> None:
    """Mapped into memory, a file cut short would kill the process with SIGBUS."""
    path = tmp_path / name
    {**WRITERS, "model.safetensors.index.json": write_index}[name](path, model(1))
    weights = open_weights(path)
    assert values(weights) == {1}
    changed = tmp_path / "shard.safetensors" if "index" in name else path
    os.utime(changed, ns=(0, 0))  # times of change may be 4 ms coarse
    weights = open_weights(path)
    CUTS[change](changed)
    for tensor in weights.names():
        with pytest.raises(WeightsError, match=f"^{changed}: {CHANGED}"):
            weights.load(tensor)


def test_what_was_loaded_stays(tmp_path: Path) -> None:
    for name, write in WRITERS.items():
        path = tmp_path / name
        write(path, model(1))
        loaded = open_weights(path).load(open_weights(path).names()[0])
        os.truncate(path, 100)
        assert (loaded == 1).all()


@pytest.mark.parametrize("name", WRITERS)
def test_another_process_does_not_read_another_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    WRITERS[name](path, model(1))
    os.utime(path, ns=(0, 0))
    weights = open_weights(path)
    travelled = pickle.dumps([weights.loader(tensor) for tensor in weights.names()])
    for load in pickle.loads(travelled):
        assert (load() == 1).all()
    replace(path, 2)
    for load in pickle.loads(travelled):
        with pytest.raises(WeightsError, match=f"^{path}: {CHANGED}"):
            load()
    path.unlink()
    for load in pickle.loads(travelled):
        with pytest.raises(WeightsError, match=r"cannot be read \(No such file"):
            load()


@pytest.mark.parametrize("name", WRITERS)
def test_threads_read_one_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    arrays = {f"w{index}": np.full(1 << 16, index, np.float32) for index in range(8)}
    WRITERS[name](path, arrays)
    weights = open_weights(path)
    loaders = [weights.loader(tensor) for tensor in weights.names()] * 8
    with ThreadPoolExecutor(4) as executor:
        for index, array in enumerate(executor.map(lambda load: load(), loaders)):
            assert (array == index % len(weights.names())).all()


@pytest.mark.parametrize("name", [*WRITERS, "model.safetensors.index.json"])
def test_files_are_closed_with_their_weights(tmp_path: Path, name: str) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")
    path = tmp_path / name
    {**WRITERS, "model.safetensors.index.json": write_index}[name](path, model(1))

    def open_files() -> list[str]:
        links = list(Path("/proc/self/fd").iterdir())
        return [str(link.readlink()) for link in links if link.is_symlink()]

    weights = open_weights(path)
    travelled = pickle.loads(pickle.dumps(weights.loader(weights.names()[0])))
    travelled()
    assert any(str(tmp_path) in file for file in open_files())
    del weights, travelled
    gc.collect()
    assert not any(str(tmp_path) in file for file in open_files())


def test_reads_stay_within_the_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(bytes(range(10)))
    file = SourceFile(path)
    assert file.read(3, 4).tolist() == [3, 4, 5, 6]
    assert file.read(10, 0).size == 0
    for offset, size in ((0, 11), (10, 1), (-1, 2), (3, -1), (2**64, 1), (0, 2**64)):
        with pytest.raises(ValueError, match="beyond the end of the file"):
            file.read(offset, size)
    stream = file.stream()
    assert (stream.seek(-3, os.SEEK_END), stream.read(), stream.read()) == (7, b"\7\10\11", b"")
    assert (stream.seek(2), stream.seek(1, os.SEEK_CUR), stream.read(2)) == (2, 3, b"\3\4")
    with pytest.raises(OSError, match="before the start"):
        stream.seek(-1)
    assert stream.seek(99) == 99
    assert stream.read() == b""


def test_a_stream_takes_no_memory_for_what_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(bytes(range(10)))
    file = SourceFile(path)
    for stream in (file.stream(), file.buffered(16)):
        tracemalloc.start()
        try:
            assert stream.read(1 << 30) == bytes(range(10))
            assert stream.read(1 << 30) == b""
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()
    assert file.buffered().read() == bytes(range(10))
    assert file.buffered().read(None) == bytes(range(10))


def test_without_preadv_the_bytes_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows."""
    monkeypatch.delattr(os, "preadv")
    data = np.random.default_rng(1).integers(0, 256, 300_000, np.uint8)
    data.tofile(tmp_path / "f")
    file = SourceFile(tmp_path / "f")
    with ThreadPoolExecutor(4) as executor:
        for offset, part in executor.map(
            lambda at: (at, file.read(at, 200_000)), [0, 1, 99_999] * 9
        ):
            np.testing.assert_array_equal(part, data[offset : offset + 200_000])

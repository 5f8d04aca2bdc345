"""PyTorch's old files: built by hand, written by torch, damaged, and hostile ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.models.efficientnet import WEIGHTS
from analysis.models.packages import MissingPackage
from analysis.models.torch_file import tensors

MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # as a file of torch 1.4 begins
VERSION = b"\x80\x02M\xe9\x03."
MACHINE = b"\x80\x02}X\x0d\x00\x00\x00little_endian\x88s."
EMPTY = b"ccollections\nOrderedDict\n)R"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
NUMBERS = np.arange(12, dtype=np.float32)


def text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def integers(*values: int) -> bytes:
    return b"(" + b"".join(b"J" + n.to_bytes(4, "little", signed=True) for n in values) + b"t"


def storage(key: str = "7", kind: str = "Float", count: int = 12) -> bytes:
    parts = text("storage"), f"ctorch\n{kind}Storage\n".encode(), text(key), text("cpu")
    return b"(" + b"".join(parts) + integers(count)[1:-1] + b"NtQ"


def tensor(
    shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0, of: bytes = storage()
) -> bytes:
    parts = integers(offset)[1:-1], integers(*shape), integers(*strides), b"\x89", EMPTY
    return REBUILD + b"(" + of + b"".join(parts) + b"tR"


def made(entries: bytes, numbers: np.ndarray = NUMBERS, keys: bytes = text("7")) -> bytes:
    found = b"\x80\x02" + EMPTY + b"(" + entries + b"u."
    stored = len(numbers).to_bytes(8, "little") + numbers.tobytes()
    return MAGIC + VERSION + MACHINE + found + b"\x80\x02](" + keys + b"e." + stored


def read(content: bytes, folder: Path) -> dict[str, np.ndarray]:
    path = folder / "m.pth"
    path.write_bytes(content)
    return tensors(path)


def test_tensors_are_views_of_storages(tmp_path: Path) -> None:
    entries = text("a") + tensor((3, 4), (4, 1)) + text("turned") + tensor((4, 3), (1, 4))
    entries += text("part") + tensor((2,), (3,), 5) + text("one") + tensor((), (), 11)
    entries += text("none") + tensor((0, 4), (4, 1))
    found = read(made(entries), tmp_path)
    a = NUMBERS.reshape(3, 4)
    wanted = {"a": a, "turned": a.T, "part": a.ravel()[[5, 8]], "one": a[2, 3], "none": a[:0]}
    assert list(found) == list(wanted)
    for name, values in wanted.items():
        assert found[name].dtype == np.float32
        assert found[name].flags.c_contiguous
        np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize(("kind", "dtype"), [("Long", "i8"), ("Double", "f8"), ("Byte", "u1")])
def test_storages_have_their_types(tmp_path: Path, kind: str, dtype: str) -> None:
    numbers = np.arange(5).astype(dtype)
    entry = text("n") + tensor((5,), (1,), of=storage(kind=kind, count=5))
    found = read(made(entry, numbers), tmp_path)["n"]
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, numbers)


HOSTILE = {
    "a call": text("a") + b"cos\nsystem\n(" + text("touch called") + b"tR",
    "a class": text("a") + b"cbuiltins\nbytearray\n" + integers(1 << 30) + b"R",
    "another operation": text("a") + b"(cbuiltins\nprint\no",
    "too large": text("a") + tensor((13,), (1,)),
    "beyond the end": text("a") + tensor((2,), (1,), 11),
    "before the start": text("a") + tensor((2,), (1,), -1),
    "backwards": text("a") + tensor((2,), (-1,), 5),
    "repeated": text("a") + tensor((1 << 30, 12), (0, 1)),
    "negative": text("a") + tensor((-1,), (1,)),
    "too few strides": text("a") + tensor((3, 4), (1,)),
    "another storage": text("a") + tensor((2,), (1,), of=storage("8")),
    "a length that is not stored": text("a") + tensor((2,), (1,), of=storage(count=11)),
    "an unknown kind": text("a") + tensor((2,), (1,), of=storage(kind="Quantized")),
    "no tensor": text("a") + text("b"),
    "a key of no name": integers(1) + tensor((2,), (1,)),
    "a deep key": b"(" * 5_000 + b"t" * 5_000 + tensor((2,), (1,)),
    "no mark": b"u",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_other_contents_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"^file must be a dictionary of tensors that PyTorch"):
        read(made(HOSTILE[what]), tmp_path)
    assert not Path("called").exists()


def test_a_memo_of_four_billion_entries_takes_no_memory(tmp_path: Path) -> None:
    entry = text("a") + tensor((12,), (1,)) + b"r\xfe\xff\xff\xff"
    np.testing.assert_array_equal(read(made(entry), tmp_path)["a"], NUMBERS)


def test_damage_is_a_value_error(tmp_path: Path) -> None:
    """Shorter files, a longer one, and every byte changed, which may do no harm."""
    content = made(text("a") + tensor((3, 4), (4, 1)))
    for length in range(0, len(content), 3):
        with pytest.raises(ValueError, match=r"got .*m\.pth"):
            read(content[:length], tmp_path)
    with pytest.raises(ValueError, match="1 bytes are left"):
        read(content + b"\0", tmp_path)
    other = content[: -NUMBERS.nbytes - 8] + bytes([11]) + content[-NUMBERS.nbytes - 7 :]
    with pytest.raises(ValueError, match="another length"):
        read(other, tmp_path)
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= (1, 0x80, 0xFF)[place % 3]
        try:
            found = read(bytes(changed), tmp_path)
        except ValueError:
            continue
        assert all(array.size <= 12 for array in found.values())


def test_files_are_those_of_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    w = torch.arange(24.0).reshape(4, 6)
    state: dict[str, Any] = {
        "w": w, "turned": w.T, "part": w[1:3, ::2], "half": w.half(), "many": torch.arange(300),
        "parameter": torch.nn.Linear(3, 2).weight.detach(), "count": torch.tensor(3),
    }  # fmt: skip
    path = tmp_path / "m.pth"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    found = tensors(path)
    assert list(found) == list(state)
    for name, values in state.items():
        assert found[name].dtype == values.numpy().dtype
        np.testing.assert_array_equal(found[name], values.numpy())


def test_the_packages_file_is_read_as_by_torch() -> None:
    torch = pytest.importorskip("torch")
    try:
        path = WEIGHTS.find()
    except MissingPackage as error:
        pytest.skip(str(error))
    found = tensors(path)
    wanted = torch.load(path, weights_only=True)
    assert list(found) == list(wanted)
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values.numpy())

"""Read the float tensors of a model file, one at a time.

`open_weights` reads .safetensors (sharded too), .npz, .npy and .gguf. Opening reads the list of
tensors and checks it against the file's size; loading a tensor touches only that tensor, so memory
is bounded by the largest one. Files are taken as untrusted: nothing in them is ever executed, and
whatever is wrong with one is a `WeightsError`.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

NPY_HEADER_LIMIT = 1 << 14  # bytes; NumPy itself refuses headers beyond 10 000
INDEX_LIMIT = 100 << 20  # bytes; safetensors' own limit for a header
EXPANSION_LIMIT = 100  # an archive's member may grow further only while it is below 1 GiB
SUFFIXES = ".safetensors, .npz, .npy, .gguf, .index.json"

Array = NDArray[Any]


class WeightsError(ValueError):
    """A file that cannot be read as weights: ``<path>: <what is wrong>; <remedy>``."""


@dataclass(frozen=True)
class TensorInfo:
    """What is known of a tensor without loading it.

    Attributes
    ----------
    name : str
    shape : tuple of int
    dtype : str
        As the file calls it: ``BF16``, ``float32``, ``Q4_1``.
    skipped : str
        Why the tensor is not among the float tensors; empty for those that are.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    skipped: str = ""

    @property
    def parameters(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


class WeightFile:
    """The tensors of a file, loaded one by one; made by `open_weights`.

    Attributes
    ----------
    path : Path
    tensors : tuple of TensorInfo
        The float tensors, in file order.
    skipped : tuple of TensorInfo
        The others, each with the reason.
    """

    def __init__(
        self, path: Path, tensors: Iterable[TensorInfo], read: Callable[[str], Array]
    ) -> None:
        every = tuple(tensors)
        self.path = path
        self.tensors = tuple(info for info in every if not info.skipped)
        self.skipped = tuple(info for info in every if info.skipped)
        self._infos = {info.name: info for info in every}
        self._read = read
        if len(self._infos) < len(every):
            [(name, _)] = Counter(info.name for info in every).most_common(1)
            raise WeightsError(f"{path}: holds two tensors named {name!r}; rename one")

    def names(self) -> tuple[str, ...]:
        """Return the names of the float tensors, in file order."""
        return tuple(info.name for info in self.tensors)

    def load(self, name: str) -> Array:
        """Return one tensor; bfloat16, float8 and GGUF's own types are widened to float32.

        Parameters
        ----------
        name : str
            One of `names`.

        Returns
        -------
        ndarray of float16, float32 or float64
            Exactly the values stored; read-only where the file is mapped into memory.

        Raises
        ------
        ValueError
            If there is no float tensor of that name.
        WeightsError
            If its data are damaged.
        """
        info = self._infos.get(name)
        if info is None or info.skipped:
            reason = f", which is {info.skipped}" if info else ""
            raise ValueError(
                f"name must be a float tensor of {self.path}, got {name!r}{reason}; "
                "names() lists them"
            )
        with untrusted(self.path):
            return self._read(name)


def open_weights(path: str | PathLike[str]) -> WeightFile:
    """List the tensors of a file without loading them.

    Parameters
    ----------
    path : path
        A .safetensors, .npz, .npy or .gguf file, the .index.json of a sharded model, or a
        directory that holds .safetensors files.

    Returns
    -------
    WeightFile

    Raises
    ------
    WeightsError
        If the file is missing, damaged, hostile or of another kind, or its reader is not
        installed.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> np.savez(folder.name + "/model.npz", weight=np.ones((2, 3), np.float32), step=7)
    >>> weights = open_weights(folder.name + "/model.npz")
    >>> weights.tensors
    (TensorInfo(name='weight', shape=(2, 3), dtype='float32', skipped=''),)
    >>> weights.skipped[0].skipped
    'not a float tensor'
    >>> weights.load("weight").sum()
    np.float32(6.0)
    >>> folder.cleanup()
    """
    path = Path(path)
    with untrusted(path):
        if path.is_dir():
            return _open_directory(path)
        check_file(path)
        if path.name.lower().endswith(".index.json"):
            return _open_index(path)
        openers = {
            ".safetensors": _open_safetensors,
            ".npz": _open_npz,
            ".npy": _open_npy,
            ".gguf": _open_gguf,
        }
        if path.suffix.lower() not in openers:
            raise WeightsError(f"{path}: must end in one of {SUFFIXES}; convert it to one of them")
        return openers[path.suffix.lower()](path)


@contextmanager
def untrusted(path: Path) -> Iterator[None]:
    """Turn whatever a reader raises on a bad file into a `WeightsError`."""
    try:
        yield
    except WeightsError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise WeightsError(
            f"{path}: cannot be read ({reason}); check the path and its permissions"
        ) from error
    except MemoryError as error:
        raise WeightsError(f"{path}: does not fit into memory; use a larger machine") from error
    except Exception as error:  # readers of damaged files raise a dozen undocumented types
        reason = " ".join(str(error).split()) or type(error).__name__
        raise WeightsError(
            f"{path}: is damaged or of another kind ({reason[:300]}); download or save it again"
        ) from error


def check_file(path: Path) -> None:
    """Raise a `WeightsError` for what is no regular file (a pipe would block) or empty."""
    if path.exists() and not path.is_file():
        raise WeightsError(f"{path}: must be a regular file; copy its content into one")
    if path.stat().st_size == 0:
        raise WeightsError(f"{path}: is empty; download or save it again")


def missing_package(path: Path, package: str, extra: str) -> WeightsError:
    """Return the error that says what to install to use ``path``."""
    return WeightsError(
        f'{path}: needs the package {package}; pip install "minifloat[{extra}]"',
    )


def _npy_info(path: Path, name: str, head: bytes, size: int) -> TensorInfo:
    """Read the header of an array of ``size`` bytes in all and check that the two agree."""
    stream = io.BytesIO(head)
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise WeightsError(
            f"{path}: {name!r} has npy version {version}; save a plain float array with numpy.save"
        )
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    else:
        shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    if dtype.hasobject:
        raise WeightsError(
            f"{path}: {name!r} holds Python objects, which can run code and are never loaded; "
            "save it as a float array"
        )
    data_size = size - stream.tell()
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != data_size:
        raise WeightsError(
            f"{path}: {name!r} claims shape {shape} of {dtype}, but has {data_size} bytes; "
            "download or save it again"
        )
    return TensorInfo(name, shape, str(dtype), _why_skipped(dtype))


def _why_skipped(dtype: np.dtype[Any]) -> str:
    if dtype.kind != "f":
        return "not a float tensor"
    return "" if dtype.itemsize <= 8 else "wider than float64"


def _native(array: Array) -> Array:
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _open_npy(path: Path) -> WeightFile:
    with path.open("rb") as file:
        info = _npy_info(path, path.stem, file.read(NPY_HEADER_LIMIT), path.stat().st_size)

    def read(name: str) -> Array:
        if info.parameters == 0:  # nothing cannot be mapped
            return _native(np.load(path, allow_pickle=False))
        return _native(np.load(path, mmap_mode="r", allow_pickle=False))

    return WeightFile(path, [info], read)


def npz_arrays(path: Path) -> tuple[list[TensorInfo], Callable[[str], Array]]:
    """List the arrays of an archive, whatever their type, and return what reads one of them."""
    infos, members = [], {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            if name == member.filename:
                infos.append(TensorInfo(name, (), "?", "not an array"))
                continue
            _check_member(path, member)
            with archive.open(member) as file:
                head = file.read(NPY_HEADER_LIMIT)
            infos.append(_npy_info(path, name, head, member.file_size))
            members[name] = member

    def read(name: str) -> Array:
        with zipfile.ZipFile(path) as archive, archive.open(members[name]) as file:
            array: Array = np.lib.format.read_array(file, allow_pickle=False)
            if file.read(1):  # reading to the end also compares the checksum
                raise ValueError(f"bytes left after {name!r}")
            return _native(array)

    return infos, read


def _open_npz(path: Path) -> WeightFile:
    return WeightFile(path, *npz_arrays(path))


def _check_member(path: Path, member: zipfile.ZipInfo) -> None:
    """Refuse members whose size is a lie or a bomb, before a byte of them is read."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise WeightsError(
            f"{path}: {member.filename!r} is compressed in a way numpy does not write; "
            "save it with numpy.savez"
        )
    grows = member.file_size > max(1 << 30, EXPANSION_LIMIT * member.compress_size)
    if grows or member.compress_size > path.stat().st_size:
        raise WeightsError(
            f"{path}: {member.filename!r} claims to grow from {member.compress_size} to "
            f"{member.file_size} bytes; if that is so, save it uncompressed with numpy.savez"
        )


SAFETENSORS_NUMPY = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
SAFETENSORS_FLOAT8 = {
    "F8_E4M3": "e4m3fn",
    "F8_E5M2": "e5m2",
    "F8_E8M0": "e8m0",
    "F8_E4M3FNUZ": "e4m3fnuz",
    "F8_E5M2FNUZ": "e5m2fnuz",
}
# safetensors says how long these are, but not in which order their bits are packed
SAFETENSORS_PACKED = ("F4", "F6_E2M3", "F6_E3M2")


def _open_safetensors(path: Path) -> WeightFile:
    try:
        from safetensors import safe_open
    except ImportError:
        raise missing_package(path, "safetensors", "cli") from None
    # safe_open checks the header and all offsets, but its NumPy side has no bfloat16 and no
    # float8. So the bytes are mapped here, by the offsets it has checked, for all dtypes alike.
    with safe_open(path, framework="numpy"):
        pass
    data = np.memmap(path, np.uint8, "r")
    start = 8 + int.from_bytes(data[:8].tobytes(), "little")
    header = json.loads(data[8:start].tobytes())
    header.pop("__metadata__", None)
    entries = dict(sorted(header.items(), key=lambda item: item[1]["data_offsets"]))
    infos = {}
    for name, entry in entries.items():
        skipped = _why_skipped_safetensors(entry["dtype"])
        infos[name] = TensorInfo(name, tuple(entry["shape"]), entry["dtype"], skipped)

    def read(name: str) -> Array:
        begin, end = entries[name]["data_offsets"]
        raw = np.asarray(data[start + begin : start + end])
        return _widen(raw, infos[name].dtype).reshape(infos[name].shape)

    return WeightFile(path, infos.values(), read)


def _why_skipped_safetensors(dtype: str) -> str:
    if dtype in SAFETENSORS_PACKED:
        return "packed in a bit order that safetensors does not define"
    known = dtype == "BF16" or dtype in SAFETENSORS_NUMPY or dtype in SAFETENSORS_FLOAT8
    return "" if known else "not a float tensor"


def _widen(raw: NDArray[np.uint8], dtype: str) -> Array:
    """Return the bytes of a float tensor as floats, aligned and in this machine's byte order."""
    if dtype == "BF16":
        words = raw.view("<u2").astype(np.uint32)
        words <<= 16  # bfloat16 is the upper half of float32
        return words.view(np.float32)
    if dtype in SAFETENSORS_FLOAT8:
        from minifloat.codec import decode

        return np.asarray(decode(raw, SAFETENSORS_FLOAT8[dtype], dtype=np.float32))
    floats = _native(raw.view(SAFETENSORS_NUMPY[dtype]))
    return floats if floats.flags.aligned else floats.copy()


def _open_directory(path: Path) -> WeightFile:
    indexes = sorted(path.glob("*.safetensors.index.json"))
    if len(indexes) == 1:
        return _open_index(indexes[0])
    shards = sorted(path.glob("*.safetensors"))
    if indexes or not shards:
        found = "several .index.json files" if indexes else "no .safetensors file"
        raise WeightsError(f"{path}: is a directory with {found}; name the file to read")
    return _join_shards(path, shards)


def _open_index(path: Path) -> WeightFile:
    if path.stat().st_size > INDEX_LIMIT:
        raise WeightsError(f"{path}: is longer than 100 MiB; name the .safetensors files instead")
    index = json.loads(path.read_bytes())
    weight_map = index["weight_map"]
    for shard in weight_map.values():
        place = PureWindowsPath(shard)  # knows both separators
        if place.anchor or ".." in place.parts:
            raise WeightsError(
                f"{path}: names the shard {shard!r}, outside its directory; "
                "move the shards beside the index"
            )
    shards = [path.parent / shard for shard in sorted(set(weight_map.values()))]
    weights = _join_shards(path, shards)
    held = {info.name for info in (*weights.tensors, *weights.skipped)}
    if held != weight_map.keys():
        name = min(held ^ weight_map.keys())
        raise WeightsError(
            f"{path}: index and shards disagree about {name!r}; download the model again"
        )
    return weights


def _join_shards(path: Path, shards: Sequence[Path]) -> WeightFile:
    for shard in shards:
        if shard.suffix.lower() != ".safetensors":
            raise WeightsError(f"{path}: names {shard.name!r}; shards must be .safetensors files")
    files = [open_weights(shard) for shard in shards]
    owner = {info.name: file for file in files for info in file.tensors}
    infos = [info for file in files for info in (*file.tensors, *file.skipped)]
    return WeightFile(path, infos, lambda name: owner[name].load(name))


def _open_gguf(path: Path) -> WeightFile:
    try:
        from gguf import GGMLQuantizationType, GGUFReader, dequantize
    except ImportError:
        raise missing_package(path, "gguf", "gguf") from None

    class CheckedReader(GGUFReader):  # type: ignore[misc, unused-ignore]  # untyped package
        def _get(self, offset: int, dtype: Any, count: int = 1, override_order: Any = None) -> Any:
            # the library slices, and past the end that gives fewer elements, or an endless loop
            if offset + int(count) * np.dtype(dtype).itemsize > self.data.size:
                raise ValueError("an offset or length beyond the end of the file")
            return super()._get(offset, dtype, count, override_order)

    reader = CheckedReader(path)
    if reader.byte_order != "I":
        raise WeightsError(f"{path}: is of the other byte order; use gguf-convert-endian")
    kinds = GGMLQuantizationType
    exact = {kinds.F16, kinds.F32, kinds.F64}
    integers = {kinds.I8, kinds.I16, kinds.I32, kinds.I64}
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    infos, end = [], reader.data_offset
    for tensor in sorted(reader.tensors, key=lambda tensor: tensor.data_offset):
        shape = tuple(int(n) for n in reversed(tensor.shape))
        if tensor.data_offset < end or math.prod(shape) != tensor.n_elements:
            raise ValueError(f"{tensor.name!r} overlaps another tensor or has an absurd shape")
        end = tensor.data_offset + tensor.n_bytes
        skipped = "not a float tensor" if tensor.tensor_type in integers else ""
        infos.append(TensorInfo(tensor.name, shape, tensor.tensor_type.name, skipped))

    def read(name: str) -> Array:
        tensor = tensors[name]
        if tensor.tensor_type in exact:
            return np.asarray(tensor.data)
        return np.asarray(dequantize(tensor.data, tensor.tensor_type))

    return WeightFile(path, infos, read)

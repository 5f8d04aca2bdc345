"""`open_checkpoint` on PyTorch's own files: archives with right checksums, and old pickles."""

from __future__ import annotations

import io
import warnings
from random import Random
from typing import Any

from minifloat.files import WeightsError
from minifloat.files.checkpoints import open_checkpoint
from tests.fuzz.checkpoint_files import read_whole
from tests.fuzz.faults import only
from tests.fuzz.mutations import Change
from tests.fuzz.npz_file import DEFLATED, STORED, archive, members_of
from tests.fuzz.target import Target
from tests.fuzz.workplace import spring, trapped, watched, written

NUMBERS = [
    b"K\x00",
    b"K\x01",
    b"K\xff",
    b"J\xff\xff\xff\x7f",
    b"J\xff\xff\xff\xff",
    b"J\x00\x00\x00\x80",
]
NUMBERS += [b"\x8a\x08" + bytes(7) + b"\x40", b"\x8a\x08" + bytes(7) + b"\xff", b"\x88", b"N"]
NAMES = [
    *(b"torch FloatStorage", b"torch BFloat16Storage", b"torch BoolStorage", b"torch Size"),
    *(b"torch LongStorage", b"torch ComplexFloatStorage", b"torch QUInt8Storage", b"torch device"),
    *(b"torch._utils _rebuild_parameter", b"torch._utils _rebuild_sparse_tensor"),
    *(b"torch._utils _rebuild_qtensor", b"torch._utils _rebuild_meta_tensor_no_storage"),
    *(b"torch._utils _rebuild_device_tensor_from_numpy", b"torch._utils _rebuild_nested_tensor"),
    *(b"torch Tensor", b"collections OrderedDict", b"builtins set", b"builtins bytearray"),
    *(b"torch._tensor _rebuild_from_type_v2", b"os system", b"numpy dtype", b"_codecs encode"),
]  # fmt: skip


def run(data: bytes) -> None:
    """Read a file of that content."""
    path = written("m.pt", data)
    with watched(), only(WeightsError):
        read_whole(open_checkpoint(path))


class Trap:
    """Pickled, it tells when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (spring, ())


def saved(value: Any, *, old: bool = False) -> bytes:
    """Return the bytes of a file that PyTorch writes."""
    import torch

    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=not old)
    return stream.getvalue()


def seeds() -> dict[str, bytes]:
    """Return tensors of several kinds, in archives and old files; a trap; and broken ones."""
    import torch

    w = torch.arange(12.0).reshape(3, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such tensors will go
        quantized = torch.quantize_per_tensor(w, 0.1, 0, torch.qint8)
    several = {
        "w": w,
        "turned": w.T,
        "half": w.to(torch.bfloat16),
        "small": w.to(torch.float8_e4m3fn),
        "parameter": torch.nn.Parameter(w[:1]),
        "repeated": w[:1].expand(9, 4),
        "sparse": w.to_sparse(),
        "quantized": quantized,
        "state_dict": {"inner": {"w": w}, 3: w, "step": 7},
    }
    packed = {
        "l.weight_packed": torch.full((2, 16), 0x21, dtype=torch.uint8),
        "l.weight_scale": torch.full((2, 1), 128, dtype=torch.uint8),
    }
    return {
        "one": saved({"w": w}),
        "several": saved(several),
        "packed": saved({"model": packed}),
        "old": saved({"w": w, "v": w.T}, old=True),
        "a list": saved([w, w]),
        "a trap": saved({"w": Trap()}),
        "an old trap": saved({"w": Trap()}, old=True),
        "only a pickle": trapped(),
        "compressed": archive([(n, DEFLATED, c) for n, _, c in members_of(saved({"w": w}))]),
        "no pickle": archive([("archive/version", STORED, b"3\n")]),
        "nothing": b"",
    }


def mutate(data: bytes, random: Random, change: Change) -> bytes:
    """Change bytes of the file; or of a member of an archive, a number or a name of its pickle."""
    members = members_of(data)
    if not members or random.random() < 0.1:
        return change(data) if members or random.random() < 0.3 else _other(data, random, change)
    at = random.randrange(len(members))
    if random.random() < 0.7:
        at = next((k for k, member in enumerate(members) if member[0].endswith("data.pkl")), at)
    name, compression, content = members[at]
    match random.randrange(8):
        case 0:
            del members[at]
            return archive(members)
        case 1 if name.endswith("byteorder"):
            content = random.choice([b"big", b"little", b"x", b""])
        case 2:
            name = random.choice([name + "1", "archive/data/1", "archive/byteorder", "x", "../x"])
        case _:
            content = _other(content, random, change)
    members[at] = (name, compression, content)
    return archive(members)


def _other(pickled: bytes, random: Random, change: Change) -> bytes:
    """Return a pickle with another number, another name, or changed bytes."""
    numbers = [k for k in range(len(pickled)) if pickled[k : k + 1] in (b"K", b"J", b"\x8a")]
    if numbers and random.random() < 0.5:
        at = random.choice(numbers)
        width = {b"K": 2, b"J": 5}.get(pickled[at : at + 1], 10)
        return pickled[:at] + random.choice(NUMBERS) + pickled[at + width :]
    starts = [k for k in range(len(pickled)) if pickled[k : k + 6] in (b"ctorch", b"ccolle")]
    if starts and random.random() < 0.5:
        at = random.choice(starts)
        new = random.choice(NAMES).replace(b" ", b"\n") + b"\n"
        ends = pickled.find(b"\n", pickled.find(b"\n", at) + 1)
        return pickled[: at + 1] + new + pickled[ends + 1 :]
    return change(pickled)


TARGET = Target(run, seeds, mutate)

"""Inputs that once found a fault, by target; what each did stands beside it."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable

import numpy as np

from tests.fuzz import conversion_record, quantized_file, safetensors_file
from tests.fuzz.gguf_file import ARRAY, STRING, UINT8, array, blob, entry, tensors
from tests.fuzz.index_file import index
from tests.fuzz.npz_file import STORED, archive, members_of, npy, npy_of

TABLE, JSON, CSV = 0, 1, 2  # ways in which `compare_command` prints
SAFETENSORS, NPZ, NPY, GGUF = range(4)  # its kinds of file
PLAIN, ESCAPE, FORMULA = range(3)  # its names of files


def gguf_bytes() -> bytes:
    """100 kB of metadata took 72 MB."""
    return blob([entry("a", ARRAY, array(UINT8, 100_000, bytes(100_000)))])


def gguf_strings() -> bytes:
    """30 000 empty strings took 47 MB and 4 s."""
    return blob([entry("a", ARRAY, array(STRING, 30_000, bytes(8 * 30_000)))])


def gguf_tensors() -> bytes:
    """Tensors took half a millisecond each."""
    return blob([], *tensors(*((f"w{n}", "F32", [8]) for n in range(2000))))


def gguf_nan() -> bytes:
    """NaN scales of blocks gave a warning."""
    content = blob([], *tensors(("w", "Q8_0", [32])))
    return content[:-64] + struct.pack("<H", 0x7E00) + content[-62:]


def python_2() -> bytes:
    """A header that Python 2 wrote gave a warning."""
    return npy_of(b"{'descr': '<f4', 'fortran_order': False, 'shape': (1L,)}", b"abcd")


def compared(kind: int, stem: int, way: int, content: bytes) -> bytes:
    """Return an input of `compare_command`."""
    return bytes([kind, stem, way]) + content


def large_float64() -> bytes:
    """Squares beyond float64 gave a warning beside the error."""
    return compared(NPY, PLAIN, TABLE, npy(np.array([1e300, 1.0])))


def signalling_nan() -> bytes:
    """A signalling NaN gave a warning beside the error."""
    return compared(NPY, PLAIN, TABLE, npy(np.array([0x7FA00000, 0], np.uint32).view(np.float32)))


def nan_in_many_dimensions() -> bytes:
    """The search for the first NaN stopped at 32 dimensions, with a traceback."""
    return compared(NPY, PLAIN, TABLE, npy(np.full((1,) * 40, np.nan, np.float32)))


def escape_in_csv() -> bytes:
    """A tensor's name went to the terminal."""
    return compared(NPZ, PLAIN, CSV, archive([("\x1b[31m.npy", STORED, npy(np.ones(4)))]))


def escape_in_a_path() -> bytes:
    """A file's name went to the terminal."""
    return compared(NPY, ESCAPE, TABLE, npy(np.ones(4, np.float32)))


def formula_in_csv() -> bytes:
    """A tensor's name was a spreadsheet's formula."""
    return compared(NPZ, PLAIN, CSV, archive([("=1+1.npy", STORED, npy(np.ones(4)))]))


def codebook_name(suffix: str) -> bytes:
    """Return weights whose codebook has an odd name; `repr` printed it as it is."""
    seed = quantized_file.saved(suffix)["nf4/4/float16"]
    text = json.dumps({"format": "nf4"})[1:-1]
    odd = json.dumps({"format": "\x1b[31mRED\n"})[1:-1]
    if suffix == "safetensors":
        header = json.loads(seed[8 : 8 + int.from_bytes(seed[:8], "little")])
        metadata = header["__metadata__"]
        metadata["minifloat"] = metadata["minifloat"].replace(text, odd)
        return safetensors_file.blob(header, seed[8 + int.from_bytes(seed[:8], "little") :])
    members = []
    for name, compression, content in members_of(seed):
        if name == "minifloat.npy":
            described = str(np.load(io.BytesIO(content))).replace(text, odd)
            content = npy(np.array(described))
        members.append((name, compression, content))
    return archive(members)


def errors_of_no_tensor() -> bytes:
    """A finished shard without the errors of its tensors could not be printed."""
    seed = conversion_record.TARGET.seeds()["whole, compressed-tensors"]
    record = json.loads(seed[1:])
    for done in record["shards"].values():
        done["tensors"] = []
    return seed[:1] + json.dumps(record).encode()


def long_text() -> bytes:
    """A text of 2 GB by its length, in 192 bytes, took 2 GB."""
    return b"\x80\x02X\xff\xff\xff\x74w"


def lines(text: str) -> Callable[[], bytes]:
    """Return a command line."""
    return text.replace(" ", "\n").encode


REGRESSIONS: dict[str, dict[str, Callable[[], bytes]]] = {
    "gguf": {
        "an array of bytes": gguf_bytes,
        "an array of strings": gguf_strings,
        "many tensors": gguf_tensors,
        "NaN scales": gguf_nan,
    },
    "npy": {
        "Python 2": python_2,
    },
    "index": {  # a message with half a surrogate pair cannot be printed
        "a surrogate": lambda: index({"w": "\udc80.safetensors"}),
    },
    "pickle": {"a long text": long_text},
    "conversion": {"errors of no tensor": errors_of_no_tensor},
    "load_npz": {"a codebook's name": lambda: codebook_name("npz")},
    "load_safetensors": {
        "a codebook's name": lambda: codebook_name("safetensors"),
    },
    "compare_command": {
        "large float64": large_float64,
        "signalling NaN": signalling_nan,
        "NaN in many dimensions": nan_in_many_dimensions,
        "ESC in CSV": escape_in_csv,
        "ESC in a path": escape_in_a_path,
        "formula in CSV": formula_in_csv,
        "NaN scales": lambda: compared(GGUF, PLAIN, JSON, gguf_nan()),
    },
    "command_lines": {  # a traceback each
        "a block beyond 64 bits": lines("compare w.npy --block 99999999999999999999999"),
        "a block of 2**63": lines("compare w.npy --recipes e2m2/9223372036854775808"),
        "a tile beyond 64 bits": lines("compare w.npy --block 9999999999999999999x9"),
    },
    "texts": {  # foreign digits were read, and a sign for kelvin as a k
        "digits of a format": "e\N{ARABIC-INDIC DIGIT TWO}m2".encode,
        "digits of an integer": "int\N{ARABIC-INDIC DIGIT FOUR}".encode,
        "a recipe's letter": "e2m2/8/float16/shrin\N{KELVIN SIGN}".encode,
        "a layout's letter": "fpe2m2_\N{KELVIN SIGN}ernel".encode,
    },
}  # fmt: skip

"""`open_checkpoint` on a .safetensors file and the config.json beside it, in every layout.

An input is the length of the config.json (uint32, little-endian), the config.json, and the file.
"""

from __future__ import annotations

import json
import struct
from random import Random
from typing import Any

import numpy as np

from minifloat import Quantized, quantize
from minifloat.files import WeightsError
from minifloat.files.checkpoints import Checkpoint, open_checkpoint, own
from tests.fuzz import mutations, quantized_file, safetensors_file
from tests.fuzz.faults import check, only
from tests.fuzz.mutations import Change
from tests.fuzz.target import Target
from tests.fuzz.workplace import MARK, watched, written

WIDTHS = {"U8": 1, "I8": 1, "I32": 4, "I64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1}
WIDTHS |= {"F8_E8M0": 1, "F8_E5M2": 1}
ENDINGS = [
    "_packed", "_scale", "_scale_2", "_scale_inv", "_global_scale", "_zero_point", "_shape",
    "_g_idx", ".weight", ".qweight", ".qzeros", ".scales", ".g_idx", ".sign_map", "_blocks",
    "_scales", ".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map",
    ".quant_state.bitsandbytes__nf4", "._weight_qdata", "._weight_scale", "a", "weight",
    "._weight_zero_point", "._weight_act_pre_scale", "._weight_per_tensor_scale",
    "._weight_scale_and_zero", ".codes", ".minifloat", ".zero_points", ".scales_of_scales",
    ".codebook",
]  # fmt: skip
SETTINGS = [
    "quant_method", "bits", "group_size", "weight_block_size", "config_groups", "weights",
    "num_bits", "checkpoint_format", "gptq_v2", "modelopt", "quantization_config", "_type",
    "MXTensor", "Float8Tensor", "NVFP4Tensor", "Int8Tensor", "Int4Tensor", "_data", "block_size",
    "IntxUnpackedToInt8Tensor", "target_dtype", "int4", "int3", "blocksize", "nested_offset",
    "shape", "Int4TilePackedTo4dTensor", "Int4PlainInt32Tensor",
]  # fmt: skip


def run(data: bytes) -> None:
    """Read a checkpoint of that content."""
    length = int.from_bytes(data[:4], "little") % (1 << 16)
    written("config.json", data[4 : 4 + length])
    path = written("checkpoint.safetensors", data[4 + length :])
    with watched(), only(WeightsError):
        read_whole(open_checkpoint(path))


def read_whole(checkpoint: Checkpoint) -> None:
    """Read each tensor of a checkpoint, and dequantize it."""
    for about in (*checkpoint.descriptions, *checkpoint.skipped):
        check(all(type(n) is int and n >= 0 for n in about.shape), f"shape is {about.shape}")
        check(not about.skipped or about.skipped.isprintable(), f"skipped is {about.skipped!r}")
    for name in checkpoint:
        with only(WeightsError):
            about, value = checkpoint.describe(name), checkpoint[name]
            check(value.shape == about.shape, f"{about} was read with shape {value.shape}")
            if isinstance(value, Quantized):
                check(value.recipe == about.recipe, f"{about} was read as {value.recipe}")
            weights = value if isinstance(value, np.ndarray) else value.dequantize()
            check(weights.shape == about.shape, f"{about} has weights of shape {weights.shape}")
            check(weights.reshape(-1)[:1].tolist() != [MARK], "the secret was read")


def checkpoint(
    config: Any,
    *parts: tuple[str, str, list[int]],
    metadata: dict[str, str] | None = None,
    **data: bytes,
) -> bytes:
    """Return an input: settings, and tensors, each a name, a dtype and a shape."""
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    at, content = 0, b""
    for name, dtype, shape in parts:
        size = WIDTHS[dtype] * int(np.prod(shape, dtype=np.int64))
        body = data.get(name.rpartition("_")[2]) or bytes((7 * k + 1) % 120 for k in range(size))
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(body)]}
        at += len(body)
        content += body
    text = json.dumps({"quantization_config": config}).encode()
    return struct.pack("<I", len(text)) + text + safetensors_file.blob(header, content)


def seeds() -> dict[str, bytes]:
    """Return a checkpoint of each layout."""
    state = {"blocksize": 64, "shape": [2, 64], "nested_blocksize": 256, "nested_offset": 0.5}
    text = json.dumps(state).encode()
    entry = {"_type": "MXTensor", "_data": {"block_size": 32, "is_swizzled_scales": True}}
    int32 = np.array([4, 32], np.int64).tobytes()
    tiles = {"config_groups": {"g": {"weights": {"num_bits": 8, "block_structure": [2, 16]}}}}
    gptq = [("l.qweight", "I32", [8, 8]), ("l.qzeros", "I32", [2, 1]), ("l.scales", "F16", [2, 8])]
    return {
        "nvfp4": checkpoint(
            {},
            ("a.weight_packed", "U8", [2, 16]),
            ("a.weight_scale", "F8_E4M3", [2, 2]),
            ("a.weight_global_scale", "F32", [1]),
            ("a.input_global_scale", "F32", [1]),
        ),
        "mxfp4": checkpoint(
            {}, ("a.weight_packed", "U8", [2, 16]), ("a.weight_scale", "U8", [2, 1])
        ),
        "integers": checkpoint(
            {"bits": 4},
            ("a.weight_packed", "I32", [4, 4]),
            ("a.weight_scale", "BF16", [4, 2]),
            ("a.weight_zero_point", "I32", [1, 2]),
            ("a.weight_shape", "I64", [2]),
            shape=int32,
        ),
        "act order": checkpoint(
            {"bits": 4},
            ("a.weight_packed", "I32", [4, 4]),
            ("a.weight_scale", "F32", [4, 2]),
            ("a.weight_shape", "I64", [2]),
            ("a.weight_g_idx", "I32", [32]),
            shape=int32,
            idx=np.tile(np.array([1, 0], np.int32), 16).tobytes(),
        ),
        "tiles": checkpoint(
            tiles, ("a.weight", "F8_E4M3", [4, 32]), ("a.weight_scale", "F32", [2, 2])
        ),
        "modelopt": checkpoint(
            {"quant_method": "modelopt"},
            ("a.weight", "U8", [2, 16]),
            ("a.weight_scale", "F8_E4M3", [2, 2]),
            ("a.weight_scale_2", "F32", []),
        ),
        "gpt-oss": checkpoint({}, ("x_blocks", "U8", [1, 2, 2, 16]), ("x_scales", "U8", [1, 2, 2])),
        "deepseek": checkpoint(
            {}, ("a.weight", "F8_E4M3", [4, 4]), ("a.weight_scale_inv", "F32", [1, 1])
        ),
        "gptq": checkpoint({"group_size": 32}, *gptq),
        "gptq in act order": checkpoint(
            {"checkpoint_format": "gptq_v2"},
            *gptq,
            ("l.g_idx", "I32", [64]),
            idx=np.tile(np.array([1, 0], np.int32), 32).tobytes(),
        ),
        "awq": checkpoint(
            {},
            ("l.qweight", "I32", [8, 2]),
            ("l.qzeros", "I32", [2, 2]),
            ("l.scales", "F16", [2, 16]),
        ),
        "fpe2m2": checkpoint(
            {},
            ("l.qweight", "I32", [4, 2]),
            ("l.sign_map", "I32", [1, 2]),
            ("l.scales", "BF16", [1, 2]),
        ),
        "bitsandbytes": checkpoint(
            {},
            ("w", "U8", [64, 1]),
            ("w.absmax", "U8", [2]),
            ("w.quant_map", "F32", [16]),
            ("w.nested_absmax", "F32", [1]),
            ("w.nested_quant_map", "F32", [256]),
            ("w.quant_state.bitsandbytes__nf4", "U8", [len(text)]),
            nf4=text,
        ),
        "torchao": checkpoint(
            {},
            ("l._weight_qdata", "U8", [3, 32]),
            ("l._weight_scale", "F8_E8M0", [32, 16]),
            metadata={"l.weight": json.dumps(entry)},
        ),
        "torchao, bytes": checkpoint(
            {},
            ("l._weight_qdata", "I8", [4, 32]),
            ("l._weight_scale", "F32", [4, 2]),
            ("l._weight_zero_point", "I8", [4, 2]),
            metadata={"l.weight": json.dumps({"_type": "Int8Tensor", "_data": {}})},
        ),
        "torchao, nibbles": checkpoint(
            {},
            ("l._weight_qdata", "U8", [4, 16]),
            ("l._weight_scale", "BF16", [2, 4]),
            ("l._weight_zero_point", "BF16", [2, 4]),
            metadata={
                "l.weight": json.dumps({"_type": "Int4Tensor", "_data": {"block_size": [1, 16]}})
            },
        ),
        "torchao, tiles": checkpoint(
            {},
            ("l._weight_qdata", "I32", [1, 1, 32, 4]),
            ("l._weight_scale_and_zero", "BF16", [4, 8, 2]),
            metadata={"l.weight": _int4("Int4TilePackedTo4dTensor", [7, 100])},
        ),
        "torchao, words": checkpoint(
            {},
            ("l._weight_qdata", "I32", [4, 8]),
            ("l._weight_scale", "F16", [2, 4]),
            ("l._weight_zero_point", "I8", [2, 4]),
            point=bytes(8),
            metadata={"l.weight": _int4("Int4PlainInt32Tensor", [4, 64])},
        ),
        "torchao, floats": checkpoint(
            {},
            ("l._weight_qdata", "F8_E5M2", [4, 8]),
            ("l._weight_scale", "F32", [4, 1]),
            metadata={"l.weight": json.dumps({"_type": "Float8Tensor", "_data": {}})},
        ),
        "gptq of 3 bits": checkpoint(
            {"bits": 3, "group_size": 32, "checkpoint_format": "gptq"},
            ("l.qweight", "I32", [6, 32]),
            ("l.qzeros", "I32", [2, 3]),
            ("l.scales", "F16", [2, 32]),
        ),
        "fpe2m2's kernel": checkpoint(
            {}, ("l.qweight", "I32", [5, 2]), ("l.scales", "BF16", [1, 2])
        ),
        "mxfp6": checkpoint(
            {}, ("a.weight_packed", "U8", [2, 24]), ("a.weight_scale", "U8", [2, 1])
        ),
        "channels": checkpoint(
            {}, ("a.weight", "F8_E4M3", [4, 32]), ("a.weight_scale", "BF16", [4, 1])
        ),
        "bytes": checkpoint(
            {},
            ("a.weight", "I8", [4, 32]),
            ("a.weight_scale", "F32", [4, 1]),
            ("a.weight_zero_point", "I8", [4, 1]),
        ),
        "minifloat": _own(),
        **{
            f"saved, {name}": struct.pack("<I", 2) + b"{}" + file
            for name, file in list(quantized_file.saved("safetensors").items())[:3]
        },
        "plain": checkpoint({}, ("w", "F32", [2, 2]), ("i", "I32", [3]), ("f", "F8_E4M3", [5])),
        "nothing": b"",
    }


def _int4(kind: str, shape: list[int]) -> str:
    return json.dumps({"_type": kind, "_data": {"block_size": [1, 32], "shape": shape}})


def _own() -> bytes:
    """Return a checkpoint in minifloat's own layout: its text, and arrays of all kinds."""
    weights = np.linspace(-1, 1, 64, dtype=np.float32).reshape(2, 32)
    header, content = {}, b""
    for recipe in ("qlora", "uint4/16/float16/zero-point", "nvfp4"):
        for part in own.tensors(recipe[:2], quantize(weights, recipe)):
            data = part.read().tobytes()
            offsets = [len(content), len(content) + len(data)]
            header[part.name] = {
                "dtype": part.dtype, "shape": list(part.shape), "data_offsets": offsets,
            }  # fmt: skip
            content += data
    return struct.pack("<I", 2) + b"{}" + safetensors_file.blob(header, content)


def mutate(data: bytes, random: Random, change: Change) -> bytes:
    """Change the settings, a value or a name of the header, or some bytes."""
    length = int.from_bytes(data[:4], "little") % (1 << 16)
    config, file = data[4 : 4 + length], data[4 + length :]
    match random.randrange(9):
        case 0:
            config = mutations.json_text(config, random, change, SETTINGS)
        case 2 | 3 | 4:
            file = _with_another_tensor(file, random)
        case 1:
            size = int.from_bytes(file[:8], "little")
            text = file[8 : 8 + size].decode(errors="replace")
            changed = mutations.text(text, random, [*ENDINGS, *WIDTHS]).encode()
            file = safetensors_file.blob(changed, file[8 + size :])
        case _:
            file = safetensors_file.mutate(file, random, change)
    return struct.pack("<I", len(config)) + config + file


def _with_another_tensor(file: bytes, random: Random) -> bytes:
    """Change a tensor of a file that stays whole: its shape, dtype, name or numbers; or drop it."""
    size = int.from_bytes(file[:8], "little")
    try:
        header, data = json.loads(file[8 : 8 + size]), file[8 + size :]
        parts = {
            name: (entry["dtype"], entry["shape"], data[slice(*entry["data_offsets"])])
            for name, entry in header.items()
            if name != "__metadata__"
        }
        name = random.choice(list(parts))
        dtype, shape, body = parts.pop(name)
        match random.randrange(5):
            case 0:
                shape = [*shape, 1] if random.random() < 0.3 else shape
                shape[random.randrange(len(shape))] = random.choice([0, 1, 2, 3, 4, 8, 16, 32, 33])
            case 1:
                dtype = random.choice(list(WIDTHS))
            case 2:
                body = random.choice([b"\xff", b"\x00", random.randbytes(7)]) * len(body)
            case 3:
                name = name[: random.randrange(len(name))] + random.choice(ENDINGS)
        count = WIDTHS[dtype] * int(np.prod(shape, dtype=np.int64))
        if random.random() < 0.9 and count <= 1 << 16:
            parts[name] = dtype, shape, (body * (count // max(len(body), 1) + 1))[:count]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError):
        return file
    new: dict[str, Any] = {key: header[key] for key in ("__metadata__",) if key in header}
    at = 0
    for key, (dtype, shape, body) in parts.items():
        new[key] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(body)]}
        at += len(body)
    return safetensors_file.blob(new, b"".join(body for _, _, body in parts.values()))


TARGET = Target(run, seeds, mutate)

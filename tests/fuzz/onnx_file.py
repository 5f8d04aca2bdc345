"""`open_checkpoint` on .onnx: initializers, and the nodes that dequantize them."""

from __future__ import annotations

from random import Random

from minifloat.files import WeightsError
from minifloat.files.checkpoints import open_checkpoint
from tests.fuzz.checkpoint_files import read_whole
from tests.fuzz.faults import only
from tests.fuzz.mutations import Change
from tests.fuzz.target import Target
from tests.fuzz.workplace import watched, written

DTYPES = {"INT8": 8, "UINT8": 8, "INT4": 4, "UINT4": 4, "FLOAT8E4M3FN": 8, "FLOAT": 32}


def run(data: bytes) -> None:
    """Read a model of that content."""
    path = written("m.onnx", data)
    with watched(), only(WeightsError):
        read_whole(open_checkpoint(path))


def model(dtype: str, scales: list[int], zeros: bool = False, **attributes: int) -> bytes:
    """Return a model of a matrix of 4 x 8 with scales of this shape."""
    import onnx

    def tensor(name: str, kind: str, shape: list[int]) -> onnx.TensorProto:
        count = DTYPES[kind]
        for length in shape:
            count *= length
        data = bytes((7 * k + 1) % 120 for k in range(-(-count // 8)))
        return onnx.helper.make_tensor(name, getattr(onnx.TensorProto, kind), shape, data, raw=True)

    initializers = [tensor("w", dtype, [4, 8]), tensor("s", "FLOAT", scales)]
    if zeros:
        initializers.append(tensor("z", dtype, scales))
    names = [each.name for each in initializers]
    node = onnx.helper.make_node("DequantizeLinear", names, ["y"], **attributes)
    graph = onnx.helper.make_graph([node], "g", [], [], initializers)
    return bytes(onnx.helper.make_model(graph).SerializeToString())


def seeds() -> dict[str, bytes]:
    """Return models whose scales are one, of rows, and of blocks."""
    return {
        "one": model("INT8", []),
        "rows": model("UINT8", [4], zeros=True, axis=0),
        "blocks": model("UINT4", [4, 2], zeros=True, axis=1, block_size=4),
        "floats": model("FLOAT8E4M3FN", [8], axis=1),
        "nothing": b"",
    }


def mutate(data: bytes, random: Random, change: Change) -> bytes:
    """Change some bytes."""
    return change(data)


TARGET = Target(run, seeds, mutate)

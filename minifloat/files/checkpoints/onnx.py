"""ONNX models: their initializers, with the scales that a DequantizeLinear applies to them.

    Y = (X - zero_point) * scale    X of INT8, INT4, INT2, unsigned too, or of a small float type;
                                    the scale is one, one for each index of ``axis``, or one for
                                    each ``block_size`` numbers along it

Codes of fewer than 8 bits follow each other from the lowest bits on. Only initializers of the main
graph are read, and none whose data lie in another file. "_quantized" at the end of X's name is
left out. The package onnx parses the file, which is in memory then.

Source: https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minifloat._arrays import MAX_DIMENSIONS
from minifloat.files._safe import WeightsError, missing_package, quoted
from minifloat.files._source import SourceFile
from minifloat.files._tensors import check_shape as check_lengths
from minifloat.files.checkpoints import bare
from minifloat.files.checkpoints.config import Config
from minifloat.files.checkpoints.making import quantized
from minifloat.files.checkpoints.reading import Weights, weights_of
from minifloat.files.checkpoints.stored import (
    SMALL_INTEGERS,
    Array,
    Stored,
    Tensors,
    check_dtype,
    check_shape,
    scale_format,
)
from minifloat.files.checkpoints.weights import Dequantizable, Facts, Group, Layout, Value
from minifloat.files.safetensors import BITS
from minifloat.formats import Integer, NumberFormat
from minifloat.formats.names import parse
from minifloat.packing import byte_count, unpack
from minifloat.quantization.blocks import Blocks
from minifloat.quantization.recipe_fields import Block
from minifloat.quantization.recipes import Recipe

NAME = "ONNX DequantizeLinear"
OPERATOR = "DequantizeLinear"
SUFFIX = "_quantized"
DTYPES = {
    "FLOAT": "F32", "DOUBLE": "F64", "FLOAT16": "F16", "BFLOAT16": "BF16", "BOOL": "BOOL",
    "INT8": "I8", "INT16": "I16", "INT32": "I32", "INT64": "I64",
    "UINT8": "U8", "UINT16": "U16", "UINT32": "U32", "UINT64": "U64",
    "INT4": "I4", "UINT4": "U4", "INT2": "I2", "UINT2": "U2",
    "FLOAT8E4M3FN": "F8_E4M3", "FLOAT8E5M2": "F8_E5M2", "FLOAT8E8M0": "F8_E8M0",
    "FLOAT8E4M3FNUZ": "F8_E4M3FNUZ", "FLOAT8E5M2FNUZ": "F8_E5M2FNUZ",
    "FLOAT4E2M1": "F4", "FLOAT6E2M3": "F6_E2M3", "FLOAT6E3M2": "F6_E3M2",
}  # fmt: skip
WIDTHS = BITS | SMALL_INTEGERS
FIELDS = {"F32": "float_data", "F64": "double_data", "I64": "int64_data"}
FIELDS |= {"U64": "uint64_data", "U32": "uint64_data"}  # the others are in int32_data
INTEGERS = {"I8": 8, "U8": 8, **SMALL_INTEGERS}
AXES = "a scale for each index of an axis of more than two"


class Node(NamedTuple):
    """A DequantizeLinear: the names of its inputs, and its attributes."""

    codes: str
    scale: str
    zeros: str
    axis: int
    block_size: int


def of_onnx(path: Path) -> list[Weights]:
    """Return the weights of an .onnx file."""
    try:
        import onnx
    except ImportError:
        raise missing_package(path, "onnx", "onnx") from None
    file = SourceFile(path)
    model = onnx.ModelProto.FromString(file.read(0, file.size).tobytes())
    tensors: dict[str, Stored] = {}
    for initializer in model.graph.initializer:
        stored = _stored(onnx, initializer)
        if stored.name in tensors:
            raise WeightsError(f"{path}: holds two tensors named {quoted(stored.name)}; rename one")
        tensors[stored.name] = stored
    nodes = tuple(_node(node) for node in model.graph.node if node.op_type == OPERATOR)
    layouts: Sequence[Layout] = (Linear(nodes), bare)
    return weights_of(path, tensors, Config(path.parent, {}), layouts)


def _stored(onnx: Any, initializer: Any) -> Stored:
    """Return an initializer; one that cannot be read has a type of no name."""
    name, shape = initializer.name, tuple(int(length) for length in initializer.dims)
    check_lengths(name, shape)
    number = initializer.data_type
    known = onnx.TensorProto.DataType.values()
    said = onnx.TensorProto.DataType.Name(number) if number in known else f"type {number}"
    dtype = DTYPES.get(said, said)
    if initializer.data_location == onnx.TensorProto.EXTERNAL:
        return Stored(name, f"{dtype} in another file", shape, partial(_none, name))
    if dtype not in WIDTHS:
        return Stored(name, dtype, shape, partial(_none, name))
    return Stored(
        name, dtype, shape, partial(_exactly, name, dtype, shape, _data(initializer, dtype))
    )


def _data(initializer: Any, dtype: str) -> NDArray[np.uint8]:
    """Return the bytes of an initializer, whichever field they are in."""
    if initializer.raw_data:
        return np.frombuffer(initializer.raw_data, np.uint8)
    numbers = np.array(getattr(initializer, FIELDS.get(dtype, "int32_data")))
    width = max(8, WIDTHS[dtype])
    if dtype in ("F32", "F64"):
        kind = f"<f{width // 8}"
    else:
        kind = (
            f"<i{width // 8}" if dtype[0] == "I" and width == WIDTHS[dtype] else f"<u{width // 8}"
        )
    return np.frombuffer(numbers.astype(kind).tobytes(), np.uint8)


def _exactly(
    name: str, dtype: str, shape: tuple[int, ...], data: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    if data.size != byte_count(math.prod(shape), WIDTHS[dtype]):
        raise ValueError(f"{quoted(name)} has another size than its dtype and shape say")
    return data


def _none(name: str) -> NDArray[np.uint8]:
    raise ValueError(f"{quoted(name)} is not in this file")


def _node(node: Any) -> Node:
    codes, scale, zeros, *_ = [*map(str, node.input), "", "", ""]
    attributes = {attribute.name: int(attribute.i) for attribute in node.attribute}
    return Node(codes, scale, zeros, attributes.get("axis", 1), attributes.get("block_size", 0))


@dataclass(frozen=True)
class Linear:
    """The layout of initializers that nodes of a graph dequantize."""

    nodes: tuple[Node, ...]

    def find(self, tensors: Tensors, config: Config) -> Iterator[Group]:
        """Yield initializers that a node dequantizes by a scale that is one, too."""
        for node, name in self._named(tensors).values():
            parts = {"codes": tensors[node.codes], "scale": tensors[node.scale]}
            if node.zeros in tensors:
                parts["zeros"] = tensors[node.zeros]
            yield Group(name, parts)

    def facts(self, group: Group, config: Config) -> Facts:
        """Return what the types, the shapes and the node tell."""
        codes, scale, zeros = (group.parts.get(role) for role in ("codes", "scale", "zeros"))
        assert codes is not None
        assert scale is not None
        node = next(node for node in self.nodes if node.codes == codes.name)
        check_dtype(codes, *INTEGERS, *bare.FORMATS)
        if zeros is not None:
            check_dtype(zeros, codes.dtype)
            check_shape(zeros, scale.shape)
        rank = len(codes.shape)
        if rank > MAX_DIMENSIONS or (scale.size != 1 and not -rank <= node.axis < rank):
            raise ValueError(f"{quoted(codes.name)} has no axis {node.axis}")
        axis = node.axis % rank if rank and scale.size != 1 else None
        block, axis, options = _block(codes.shape, scale, axis, node.block_size)
        is_integer = codes.dtype in INTEGERS
        fmt: NumberFormat = parse(bare.FORMATS.get(codes.dtype, "int8full"))
        if is_integer:
            signed = codes.dtype[0] == "I" and zeros is None
            fmt = Integer(INTEGERS[codes.dtype], signed=signed, symmetric=False)
        has_zeros = is_integer and zeros is not None
        recipe = Recipe(fmt, block=block, scale=scale_format(scale), zero_point=has_zeros)
        expressed = None if options else recipe
        return Facts(codes.shape, expressed, axis, NAME, {"axis": axis, "fmt": fmt})

    def value(self, group: Group, facts: Facts) -> Value:
        """Read codes, scales and zero points."""
        if facts.recipe is None:
            read = partial(_dequantize, group, facts)
            return Dequantizable(facts.shape, facts.layout, AXES, read)
        codes, zeros, scales = _parts(group, facts.options["fmt"])
        return quantized(facts, codes, scales, zero_points=zeros)

    def _named(self, tensors: Tensors) -> dict[str, tuple[Node, str]]:
        """Return each initializer's first node, and the name of the weights."""
        found: dict[str, tuple[Node, str]] = {}
        for node in self.nodes:
            codes = tensors.get(node.codes)
            if codes is None or node.scale not in tensors or node.codes in found:
                continue
            if codes.dtype in INTEGERS or codes.dtype in bare.FORMATS:
                found[node.codes] = node, node.codes.removesuffix(SUFFIX) or node.codes
        return found


def _block(
    shape: tuple[int, ...], scale: Stored, axis: int | None, block_size: int
) -> tuple[Block, int | None, bool]:
    """Return the block, the axis along which it runs, and whether no recipe has it."""
    if axis is None:
        return "tensor", None, False
    if block_size:
        if block_size < 0:
            raise ValueError(f"blocks must have a length above 0, got {block_size}")
        check_shape(scale, Blocks.of(block_size, shape, axis).scale_shape)
        return block_size, axis, False
    check_shape(scale, (shape[axis],))
    if len(shape) == 2:
        return "channel", 1 - axis, False
    return "channel", axis, True


def _parts(group: Group, fmt: NumberFormat) -> tuple[Array, Array | None, Array]:
    """Return codes and zero points, both unsigned where there are zero points, and scales."""
    codes, scales = _codes(group.parts["codes"], fmt.bits), group.parts["scale"].floats()
    stored = group.parts.get("zeros")
    zeros = None if stored is None else _codes(stored, fmt.bits)
    if not fmt.is_integer:
        if zeros is not None and zeros.any():
            raise ValueError(f"{quoted(group.name)} must have zero points of 0 for floats")
        return codes, None, scales
    if zeros is not None and group.parts["codes"].dtype[0] == "I":
        middle = np.uint8(1 << (fmt.bits - 1))
        codes, zeros = codes ^ middle, zeros ^ middle
    return codes, zeros, scales


def _codes(stored: Stored, bits: int) -> NDArray[np.uint8]:
    return np.asarray(unpack(stored.read(), bits, stored.size), np.uint8).reshape(stored.shape)


def _dequantize(group: Group, facts: Facts) -> Array:
    from minifloat.codec import decode

    codes, zeros, scales = _parts(group, facts.options["fmt"])
    beside = [1] * len(facts.shape)
    beside[facts.options["axis"]] = -1
    values = np.asarray(decode(codes, facts.options["fmt"]), np.float32)
    with np.errstate(all="ignore"):
        if zeros is not None:
            values -= zeros.reshape(beside).astype(np.float32)
        return values * scales.reshape(beside)

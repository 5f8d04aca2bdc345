"""Products with 8-bit activations, and the same of onnxruntime."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import minifloat as mf
from tests.benchmarks.cases.case import Case, Inputs, Thunk
from tests.benchmarks.cases.products import float32_product, linear, vectors


def matmul_n_bits(block: int, batch: int = 1) -> Callable[[Inputs], Thunk]:
    """Multiply by onnxruntime, with weights of 4 bits and activations of 8: its MatMulNBits."""

    def prepare(inputs: Inputs) -> Thunk:
        from onnx import TensorProto, helper
        from onnxruntime import InferenceSession, SessionOptions

        x = vectors(inputs, batch)
        length = x.shape[1]
        q = mf.quantize(inputs.x.reshape(-1, length), "uint4", block=block, zero_point=True)
        rows, blocks = q.scales.shape
        node = helper.make_node(
            "MatMulNBits", ["x", "codes", "scales"], ["y"], domain="com.microsoft", K=length,
            N=rows, bits=4, block_size=block, accuracy_level=4,
        )  # fmt: skip
        parts = (
            ("codes", TensorProto.UINT8, (rows, blocks, block // 2), q.packed),
            ("scales", TensorProto.FLOAT, (q.scales.size,), q.scales),
        )
        graph = helper.make_graph(
            [node], "product",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, length])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, rows])],
            [
                helper.make_tensor(name, kind, shape, stored.tobytes(), raw=True)
                for name, kind, shape, stored in parts
            ],
        )  # fmt: skip
        domains = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=domains, ir_version=9)
        options = SessionOptions()
        options.intra_op_num_threads = 1
        session = InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return lambda: session.run(None, {"x": x})

    return prepare


def integer_product_cases() -> Iterator[Case]:
    """Products with 8-bit activations against NumPy's float32, and the same of onnxruntime."""
    name = "linear int8 / NumPy float32"
    for fmt, block, target in (
        ("e2m2", 128, 4.5), ("int4", 128, 4.5), ("e2m1", 32, 4.5), ("int8", 128, None),
        ("e2m3", 32, None),
    ):  # fmt: skip
        activations = f"int8/{block}/float32"
        own = linear(fmt, 1, block=block, activations=activations)
        yield Case(f"{name}, blocks {block}", fmt, target, own, float32_product(1))
    for batch in (4, 16, 64):
        own = linear("e2m2", batch, activations="int8/128/float32")
        yield Case(f"{name}, batch {batch}", "e2m2", None, own, float32_product(batch))
    if find_spec("onnxruntime") is None or find_spec("onnx") is None:
        print("no onnxruntime to compare with: pip install 'minifloat[bench]'", file=sys.stderr)
        return
    for block in (128, 32):
        peer = f"onnxruntime MatMulNBits, blocks {block}"
        yield Case(peer, "uint4", None, matmul_n_bits(block), float32_product(1))
    for batch in (4, 64):
        peer = f"onnxruntime MatMulNBits, batch {batch}"
        yield Case(peer, "uint4", None, matmul_n_bits(128, batch), float32_product(batch))

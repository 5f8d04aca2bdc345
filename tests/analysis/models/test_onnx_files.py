"""Weights inside ONNX models: found in branches, and replaced."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from analysis.models.onnx_files import replaced, weights
from analysis.models.packages import MissingPackage


@pytest.fixture(scope="module")
def branching() -> bytes:
    """``x + (b + c if x's sum is positive else c)``, ``b`` inside the branch, ``c`` a Constant."""
    onnx = pytest.importorskip("onnx")
    make: Any = onnx.helper

    def tensor(name: str, values: list[float]) -> Any:
        return onnx.numpy_helper.from_array(np.array(values, np.float32), name)

    def value(name: str) -> Any:
        return make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2])

    then = make.make_graph(
        [
            make.make_node("Constant", [], ["c"], value=tensor("", [10, 20])),
            make.make_node("Add", ["b", "c"], ["t"]),
        ],
        "then", [], [value("t")], [tensor("b", [1, 2])],
    )  # fmt: skip
    other = make.make_graph(
        [make.make_node("Constant", [], ["c"], value=tensor("", [30, 40]))],
        "else", [], [value("c")],
    )  # fmt: skip
    nodes = [
        make.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        make.make_node("Greater", ["sum", "zero"], ["positive"]),
        make.make_node("If", ["positive"], ["chosen"], then_branch=then, else_branch=other),
        make.make_node("Add", ["x", "chosen"], ["y"]),
    ]
    zero = onnx.numpy_helper.from_array(np.array(0, np.float32), "zero")
    graph = make.make_graph(nodes, "main", [value("x")], [value("y")], [zero])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 15)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def run(model: bytes, x: list[float]) -> list[float]:
    session = pytest.importorskip("onnxruntime").InferenceSession(model)
    return list(session.run(["y"], {"x": np.array(x, np.float32)})[0])


def test_weights_in_branches_are_found_and_replaced(branching: bytes) -> None:
    tensors = [(name, array.tolist()) for name, array in weights(branching)]
    assert tensors == [("zero", 0), ("c", [30, 40]), ("b", [1, 2]), ("c", [10, 20])]
    assert run(branching, [1, 1]) == [12, 23]
    copy = replaced(branching, {"b": np.array([5, 6], np.float32), "zero": np.array(3, np.float32)})
    assert [array.tolist() for _, array in weights(copy)] == [3, [30, 40], [5, 6], [10, 20]]
    assert run(copy, [2, 2]) == [17, 28]
    assert run(copy, [1, 1]) == [31, 41]
    assert weights(branching)[2][1].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.ones(2, np.float32)}, "names must be in the model, got 'a'"),
        ({"c": np.ones(2, np.float32)}, "names must occur once in the model, got 'c' twice"),
        ({"b": np.ones(3, np.float32)}, r"b must be float32 of shape \(2,\), got float32 of \(3,"),
        ({"b": np.ones(2)}, r"b must be float32 of shape \(2,\), got float64 of \(2,\)"),
    ],
)
def test_other_weights_are_refused(branching: bytes, arrays: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replaced(branching, arrays)


def test_onnx_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    calls: tuple[Callable[[], object], ...] = (lambda: weights(b""), lambda: replaced(b"", {}))
    for call in calls:
        with pytest.raises(MissingPackage, match=r'needs the package onnx; pip install "minifloat'):
            call()

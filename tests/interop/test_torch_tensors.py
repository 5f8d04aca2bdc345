"""What only tensors of PyTorch have: gradients, layouts, devices, dtypes that NumPy lacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minifloat as mf

torch = pytest.importorskip("torch", reason='PyTorch is not installed: extra "torch"')

ARRAY = np.random.default_rng(3).standard_normal((6, 40)).astype(np.float32)
Q = mf.quantize(ARRAY, "e2m2")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_any_strides(dtype: Any) -> None:
    x = torch.from_numpy(ARRAY).to(dtype)
    for part in (x.T, x[::2, 1::3], x[:, :1].expand(6, 5), x.permute(1, 0)[3:9]):
        got = mf.encode(part, "e2m2")
        assert torch.equal(got, mf.encode(part.contiguous(), "e2m2"))
        rounded = mf.round_to(part, "e2m2")
        assert rounded.dtype == dtype
        assert torch.equal(rounded.double(), mf.round_to(part.double().contiguous(), "e2m2"))


def test_a_tensor_shares_its_memory_with_what_is_written() -> None:
    x = torch.from_numpy(ARRAY.copy())
    want = mf.encode(x, "e2m2")
    codes = torch.empty(6, 40, dtype=torch.uint8)
    assert mf.encode(x, "e2m2", out=codes) is codes
    assert torch.equal(codes, want)
    codes.zero_()
    assert mf.encode(ARRAY, "e2m2", out=codes) is codes
    assert torch.equal(codes, want)
    array = np.empty((6, 40), np.uint8)
    assert mf.encode(x, "e2m2", out=array) is array
    for dtype in (torch.bfloat16, torch.float32):
        values = torch.empty(6, 40, dtype=dtype)
        assert mf.decode(codes, "e2m2", dtype=dtype, out=values) is values
        assert torch.equal(values.float(), mf.decode(codes, "e2m2"))
    assert mf.round_to(x, "e2m2", out=x) is x
    assert torch.equal(x, values)
    packed = torch.empty(6, 25, dtype=torch.uint8)
    assert mf.pack(codes, 5, out=packed) is packed
    assert mf.unpack(packed, 5, 40, out=codes) is codes
    assert torch.equal(codes, want)


def test_a_tensor_that_is_written_over_itself() -> None:
    codes = torch.arange(32, dtype=torch.uint8).repeat(3)
    values = mf.decode(codes, "e2m2")
    memory = torch.zeros(4 * 96, dtype=torch.uint8)
    memory[:96] = codes
    mf.decode(memory[:96], "e2m2", out=memory.view(torch.float32))
    assert torch.equal(memory.view(torch.float32), values)


def test_parameters_are_quantized_without_their_gradient() -> None:
    p = torch.nn.Parameter(torch.from_numpy(ARRAY))
    assert mf.quantize(p, "e2m2") == Q
    assert not mf.encode(p * 1, "e2m2").requires_grad
    assert Q.sqnr(p) == Q.sqnr(ARRAY)


def test_a_gradient_is_not_lost_in_silence() -> None:
    p = torch.nn.Parameter(torch.from_numpy(ARRAY))
    message = r"must not require a gradient, .* x\.detach\(\), or minifloat\.interop\.torch"
    for call in (
        lambda x: mf.round_to(x, "e2m2"),
        lambda x: mf.linear(x, Q),
        lambda x: Q @ x[0],
        lambda x: x[:, :6] @ Q,
    ):
        with pytest.raises(TypeError, match=message):
            call(p)
        with torch.no_grad():
            assert isinstance(call(p), torch.Tensor)
    with pytest.raises(TypeError, match="bias must not require a gradient"):
        mf.linear(ARRAY, Q, torch.ones(6, requires_grad=True))
    with pytest.raises(TypeError, match=r"out must not require a gradient; pass out\.detach"):
        mf.round_to(ARRAY, "e2m2", out=p)


class Elsewhere(torch.Tensor):  # type: ignore[misc]  # PyTorch's types are not read
    """A tensor that says that it is on a GPU."""

    device = torch.device("cuda", 1)


SPARSE = torch.eye(3).to_sparse()
PAIRS = torch.zeros(4, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
REFUSED: dict[str, Any] = {
    r"x must be on the CPU, got a tensor on cuda:1; use x\.cpu\(\)": torch.ones(3).as_subclass(
        Elsewhere
    ),
    "x must have values, got a tensor on the meta device": torch.ones(3, device="meta"),
    r"x must be a dense tensor, got torch.sparse_coo; use x\.to_dense\(\)": SPARSE,
    r"got complex64; encode x\.real and x\.imag": torch.ones(3, dtype=torch.complex64),
    r"got torch.float4_e2m1fn_x2; minifloat.unpack reads the codes of": PAIRS,
    r"got bool; use x\.to\(torch\.uint8\)": torch.ones(3, dtype=torch.bool),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_taken(message: str) -> None:
    with pytest.raises(TypeError, match=message):
        mf.encode(REFUSED[message], "e2m2")


def test_tensors_without_memory() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        fake = torch.ones(3)
    calls: list[Callable[[], object]] = [
        lambda: mf.encode(fake, "e2m2"),
        lambda: torch.vmap(lambda x: mf.encode(x, "e2m2"))(torch.ones(2, 3)),
    ]
    for call in calls:
        with pytest.raises(TypeError, match="x must be a tensor that has its values in memory"):
            call()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of PyTorch, about itself
def test_a_trace_does_not_hold_what_was_computed_once() -> None:
    class Rounded(torch.nn.Module):  # type: ignore[misc]  # PyTorch's types are not read
        def forward(self, x: Any) -> Any:
            return mf.round_to(x, "e2m2")

    for trace in (
        lambda: torch.jit.trace(Rounded(), torch.ones(3)),
        lambda: torch.fx.symbolic_trace(Rounded()),
    ):
        with pytest.raises(TypeError, match="x must have values, got one that PyTorch traces"):
            trace()


def test_a_negative_view_is_its_values() -> None:
    x = torch.complex(torch.zeros(3), torch.tensor([1.0, -2.0, 3.0])).conj().imag
    assert x.is_neg()
    assert mf.decode(mf.encode(x, "e2m2"), "e2m2").tolist() == [-1, 2, -3]


def test_codes_of_16_bits_and_more() -> None:
    x = torch.tensor([1.0, -2.5])
    assert mf.encode(x, "bfloat16").dtype == torch.uint16
    assert mf.encode(x, "tf32").dtype == torch.uint32
    assert mf.decode(mf.encode(x, "tf32"), "tf32").tolist() == [1, -2.5]


def test_torch_has_the_same_codes_for_bfloat16_and_float8() -> None:
    x = torch.from_numpy(ARRAY * 30)
    for dtype in (
        torch.bfloat16,
        torch.float8_e4m3fn,
        torch.float8_e5m2,
        torch.float8_e4m3fnuz,
        torch.float8_e5m2fnuz,
    ):
        fmt = mf.parse(dtype)
        words = torch.uint16 if fmt.bits == 16 else torch.uint8
        assert torch.equal(mf.encode(x, fmt), x.to(dtype).view(words))
        assert torch.equal(mf.decode(x.to(dtype).view(words), fmt), x.to(dtype).float())


def test_ml_dtypes_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ml_dtypes", None)
    x = torch.ones(2, dtype=torch.bfloat16)
    for call, name in (
        (lambda: mf.encode(x, "e2m2"), "x"),
        (lambda: mf.decode([1], "e2m2", dtype="bfloat16"), "dtype"),
        (lambda: mf.round_to([1.0], "e2m2", dtype=torch.bfloat16), "dtype"),
    ):
        with pytest.raises(TypeError, match=f"{name} must .*bfloat16; pip install ml_dtypes"):
            call()
    assert mf.encode(x.float(), "e2m2").tolist() == [4, 4]

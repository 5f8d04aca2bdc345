"""`minifloat.interop.torch`: weights in place, gradients, layers of packed weights."""

from __future__ import annotations

import copy
import io
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf

torch = pytest.importorskip("torch", reason='PyTorch is not installed: extra "torch"')

from minifloat.interop.torch import (  # noqa: E402
    QuantizedLinear,
    fake_quantize,
    round_to,
    straight_through,
)

F = torch.nn.functional
RECIPES = [
    "nvfp4",
    "qlora",
    "mxfp8e4m3",
    "e2m2/32/bfloat16",
    "uint4/16/float16/zero-point",
    "e4m3fn/8x16/float32",
    "int8/tensor/float32",
]


def model(dtype: Any = torch.float32) -> Any:
    torch.manual_seed(16)
    return torch.nn.Sequential(
        torch.nn.Linear(64, 32), torch.nn.LayerNorm(32), torch.nn.Linear(32, 8)
    ).to(dtype)


def weights_of(module: Any) -> dict[str, Any]:
    return {name: p.detach().clone() for name, p in module.named_parameters()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_tensor_becomes_what_it_dequantizes_to(dtype: Any) -> None:
    w = torch.randn(6, 40).to(dtype)
    want = torch.from_numpy(mf.quantize(w, "nvfp4").dequantize()).to(dtype)
    for held in (w.clone(), torch.nn.Parameter(w.clone()), w.T.clone().T):
        assert fake_quantize(held, "nvfp4") is held
        assert held.dtype == dtype
        assert torch.equal(held, want)


def test_the_matrices_of_a_module_are_quantized() -> None:
    for options, changed in (
        ({}, {"0.weight", "2.weight"}),
        ({"exclude": "2.*"}, {"0.weight"}),
        ({"include": ["0.*"]}, {"0.weight", "0.bias"}),
        ({"include": "*.weight", "exclude": ["1.weight"]}, {"0.weight", "2.weight"}),
    ):
        module = model(torch.bfloat16)
        before = weights_of(module)
        assert fake_quantize(module, "e2m2", block=16, **options) is module
        for name, after in weights_of(module).items():
            same = torch.equal(after, before[name])
            assert same != (name in changed), name
            if name in changed:
                q = mf.quantize(before[name], "e2m2", block=16)
                assert torch.equal(after, torch.from_numpy(q.dequantize()).to(after))
        assert all(p.requires_grad and p.grad_fn is None for p in module.parameters())


def test_the_axis_is_passed_on() -> None:
    w = torch.randn(6, 40)
    want = mf.quantize(w, "e2m2/3/float32", axis=0).dequantize()
    assert torch.equal(fake_quantize(w, "e2m2/3/float32", axis=0), torch.from_numpy(want))


def test_tied_weights_are_quantized_once() -> None:
    module = model()
    module.append(torch.nn.Linear(64, 32))
    module[3].weight = module[0].weight
    want = mf.quantize(module[0].weight, "mxfp4").dequantize()
    fake_quantize(module, "mxfp4")
    assert torch.equal(module[3].weight, torch.from_numpy(want))


@pytest.mark.parametrize("rounding", ["toward_zero", "stochastic", "stochastic_b"])
@pytest.mark.parametrize("recipe", ["nvfp4", "uint4/16/float16/zero-point", "int8/tensor/float32"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_other_modes_have_the_bits_of_quantize(recipe: str, rounding: Any, dtype: Any) -> None:
    w = torch.randn(6, 40).to(dtype)
    options: Any = {"rounding": rounding, "axis": 0}
    if "stochastic" in rounding:
        options["seed"] = 2**64 - 1
    want = torch.from_numpy(mf.quantize(w, recipe, **options).dequantize()).to(dtype)
    assert not torch.equal(want, fake_quantize(w.clone(), recipe, axis=0))
    assert torch.equal(fake_quantize(w.clone(), recipe, **options), want)
    trained = w.clone().requires_grad_()
    y = straight_through(trained, recipe, **options)
    assert torch.equal(y, want)
    upstream = torch.randn_like(w)
    y.backward(upstream)
    assert torch.equal(trained.grad, upstream)


def test_each_parameter_has_random_bits_of_its_own() -> None:
    """The seeds are k * 2**32 apart: their streams meet after 2**32 words at the earliest."""
    last = 2**64 - 5
    for seed in (0, last):
        module = torch.nn.Sequential(*(torch.nn.Linear(16, 16) for _ in range(3)))
        for layer in module:
            layer.weight.data.copy_(module[0].weight)
        before = weights_of(module)
        fake_quantize(module, "int4/16/float32", rounding="stochastic", seed=seed)
        for k in range(3):
            w, own = before[f"{k}.weight"], (seed + k * 2**32) % 2**64
            q = mf.quantize(w, "int4/16/float32", rounding="stochastic", seed=own)
            assert torch.equal(module[k].weight, torch.from_numpy(q.dequantize()))
        assert not torch.equal(module[0].weight, module[1].weight)
    gamma = pow(0x9E3779B97F4A7C15, -1, 2**64)  # a word's place is where its sum with it is equal
    apart = [k * 2**32 * gamma % 2**64 for k in range(1, 200)]
    assert min(min(n, 2**64 - n) for n in apart) >= 2**32


def test_a_seed_may_come_from_the_generator_of_pytorch() -> None:
    w = torch.randn(6, 40)
    drawn = []
    for start in (3, 3, 4):
        torch.manual_seed(start)
        seed = torch.randint(2**62, ())
        drawn.append(straight_through(w, "mxfp4", rounding="stochastic", seed=seed))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_a_layer_is_packed_in_any_mode() -> None:
    linear = model()[0]
    layer = QuantizedLinear.from_linear(linear, "nvfp4", rounding="stochastic", seed=5)
    assert layer.weight == mf.quantize(linear.weight, "nvfp4", rounding="stochastic", seed=5)


def test_faults_of_seeds() -> None:
    module, w = model(), torch.ones(8)
    cases = (
        ({"rounding": "stochastic"}, ValueError, "^seed must be given for rounding="),
        ({"seed": 1}, ValueError, "^rounding must be stochastic to use seed, got nearest_even"),
        ({"rounding": "stochastic", "seed": -1}, ValueError, "^seed must be in 0.."),
        ({"rounding": "stochastic", "seed": 1.5}, TypeError, "^seed must be an int, got 1.5"),
        ({"rounding": "up"}, ValueError, "^rounding must be"),
    )
    before = weights_of(module)
    for options, error, message in cases:
        for call in (fake_quantize, straight_through):
            with pytest.raises(error, match=message):
                call(w, "e2m2", **options)
        with pytest.raises(error, match=message):
            fake_quantize(module, "e2m2", **options)
    assert all(torch.equal(after, before[name]) for name, after in weights_of(module).items())


def test_faults_of_fake_quantize() -> None:
    with pytest.raises(TypeError, match="target must be a Tensor or a Module, got ndarray"):
        fake_quantize(np.ones(3), "e2m2")
    with pytest.raises(TypeError, match="include and exclude must be left out for a tensor"):
        fake_quantize(torch.ones(3), "e2m2", include="w")
    with pytest.raises(TypeError, match=r"target must be of floating point, got torch.int64; pass"):
        fake_quantize(torch.arange(16), "int4/16/float32")
    with pytest.raises(ValueError, match=r"exclude must match .* got '0.wait'.*mean '0.weight'"):
        fake_quantize(model(), "e2m2", exclude="0.wait")
    with pytest.raises(ValueError, match="target must have a floating-point parameter"):
        fake_quantize(torch.nn.LayerNorm(8), "e2m2")
    module = model()
    with torch.no_grad():
        module[2].weight[3, 5] = torch.inf
    with pytest.raises(ValueError, match=r"^2.weight: w must be finite, got inf at index \(3, 5\)"):
        fake_quantize(module, "e2m2")


def test_the_gradient_goes_straight_through() -> None:
    w = torch.randn(6, 40, requires_grad=True)
    target = torch.randn(6, 40)
    y = straight_through(w, "mxfp4")
    assert torch.equal(y, torch.from_numpy(mf.quantize(w, "mxfp4").dequantize()))
    ((y - target) ** 2).sum().backward()
    assert torch.equal(w.grad, 2 * (y.detach() - target))
    half = w.detach().bfloat16().requires_grad_()
    assert straight_through(half, "mxfp4", search="mse").dtype == torch.bfloat16


def test_rounding_has_a_gradient_inside_of_the_range() -> None:
    x = torch.tensor([0.3, -1.7, 7.0, 7.1, -100.0, -7.0, torch.inf], requires_grad=True)
    y = round_to(x, "e2m2")
    assert torch.equal(y.detach(), mf.round_to(x.detach(), "e2m2"))
    factors = torch.arange(1.0, 8)
    (y * factors).sum().backward()
    assert x.grad.tolist() == [1, 2, 3, 0, 0, 6, 0]


def test_a_gradient_that_is_not_finite_does_not_come_from_beyond_the_range() -> None:
    x = torch.tensor([1.0, 100.0], requires_grad=True)
    round_to(x, "e2m2").backward(torch.tensor([1.0, torch.inf]))
    assert x.grad.tolist() == [1, 0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_rounding_keeps_the_dtype_and_takes_its_options(dtype: Any) -> None:
    x = torch.linspace(-9, 9, 64).to(dtype).requires_grad_()
    y = round_to(x, "e2m2", rounding="stochastic", seed=7)
    assert y.dtype == dtype
    want = mf.round_to(x.detach(), "e2m2", rounding="stochastic", seed=7)
    assert torch.equal(y.detach(), want)
    y.sum().backward()
    assert x.grad.dtype == dtype
    limits = {torch.float16: "e5m2", torch.bfloat16: "bfloat16"}
    wide = round_to(x, limits.get(dtype, "bfloat16"))  # a range that the dtype just has
    assert torch.equal(torch.autograd.grad(wide.sum(), x)[0], torch.ones_like(x))


def test_training_through_rounding_finds_a_minimum() -> None:
    torch.manual_seed(1)
    x, w = torch.randn(256, 16), torch.randn(1, 16)
    y = x @ w.T
    trained = torch.zeros(1, 16, requires_grad=True)
    optimizer = torch.optim.SGD([trained], lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        F.mse_loss(x @ straight_through(trained, "int8/16/float32").T, y).backward()
        optimizer.step()
    with torch.no_grad():
        assert F.mse_loss(x @ straight_through(trained, "int8/16/float32").T, y) < 0.01


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_layer_multiplies_by_its_dequantized_weights(recipe: str) -> None:
    linear = model()[0]
    layer = QuantizedLinear.from_linear(linear, recipe)
    assert layer.weight == mf.quantize(linear.weight, recipe)
    w = torch.from_numpy(layer.weight.dequantize())
    x = torch.randn(2, 3, 64, requires_grad=True)
    y = layer(x)
    torch.testing.assert_close(y, F.linear(x, w, linear.bias), rtol=1e-5, atol=1e-5)
    upstream = torch.randn(2, 3, 32)
    y.backward(upstream)
    torch.testing.assert_close(x.grad, upstream @ w, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer.bias.grad, upstream.sum((0, 1)))
    assert layer(x.bfloat16()).dtype == torch.bfloat16
    assert (layer.in_features, layer.out_features) == (64, 32)


def test_a_cast_of_the_module_leaves_packed_weights() -> None:
    layer = QuantizedLinear.from_linear(model()[0], "e2m2/32/float32")
    held = layer.weight
    layer.to(torch.bfloat16).half()
    assert layer.weight is held
    assert layer.bias.dtype == torch.float16
    assert layer(torch.ones(64, dtype=torch.float16)).dtype == torch.float16


@pytest.mark.parametrize("recipe", [*RECIPES, mf.Codebook([-1.0, -0.25, 0.0, 2.0], "mine")])
def test_packed_weights_are_in_the_state_dict(recipe: Any, tmp_path: Path) -> None:
    saved = torch.nn.Sequential(
        QuantizedLinear.from_linear(model()[0], recipe), torch.nn.LayerNorm(32)
    )
    state = saved.state_dict()
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    packed = sum(value.nbytes for key, value in state.items() if key.startswith("0.weight."))
    assert packed < saved[0].weight.nbytes + 400  # the description, a codebook
    torch.save(state, tmp_path / "model.pt")
    loaded = torch.load(tmp_path / "model.pt", weights_only=True)
    other = torch.nn.Sequential(
        QuantizedLinear.from_linear(torch.nn.Linear(64, 32), "int4"), torch.nn.LayerNorm(32)
    )
    assert str(other.load_state_dict(loaded)) == "<All keys matched successfully>"
    assert other[0].weight == saved[0].weight
    assert other[0].weight.recipe == saved[0].weight.recipe
    x = torch.randn(3, 64)
    assert torch.equal(other(x), saved(x))


def test_safetensors_takes_the_state_dict() -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    layer = QuantizedLinear.from_linear(model()[0], "e2m2/32/bfloat16")
    other = QuantizedLinear.from_linear(torch.nn.Linear(64, 32), "int4")
    other.load_state_dict(safetensors.load(safetensors.save(layer.state_dict())))
    assert other.weight == layer.weight


def changed(state: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a state_dict with other tensors for some of the weights' arrays; None: without."""
    every = state | {f"weight.{name}": value for name, value in changes.items()}
    return {key: value for key, value in every.items() if value is not None}


def test_a_state_dict_that_does_not_fit() -> None:
    layer = QuantizedLinear.from_linear(model()[0], "nvfp4")
    state, held = layer.state_dict(), layer.weight
    wide = QuantizedLinear.from_linear(torch.nn.Linear(32, 32), "nvfp4").state_dict()
    cases = {
        r'Missing key\(s\) in state_dict: "weight.minifloat"': changed(state, minifloat=None),
        "must hold codes, scales": changed(state, codes=None),
        "must hold codes, scales.*got .*'extra'": changed(state, extra=torch.ones(1)),
        r"weight\.\* must be packed weights.*: packed must be 1024 bytes": changed(
            state, codes=torch.zeros(5, dtype=torch.uint8)
        ),
        r"weight\.\* must be packed .*: scales: packed must have 128 bytes": changed(
            state, scales=state["weight.scales"][:3]
        ),
        r"weight\.\* must have shape \(32, 64\), got \(32, 32\)": wide,
        "weight.codes must be a Tensor, got float; load what": changed(state, codes=3.0),
        "weight.codes must be a dense tensor.* got torch.bfloat16 on cpu": changed(
            state, codes=torch.ones(4).bfloat16()
        ),
        "weight.codes must be a dense tensor.* on meta": changed(
            state, codes=torch.ones(4, device="meta")
        ),
        "weight.minifloat must be a Tensor, got str; load what": changed(state, minifloat="text"),
        r"weight.minifloat must be the bytes of the JSON text.* got float32 \(3, 2\)": changed(
            state, minifloat=torch.ones(3, 2)
        ),
    }
    for text in (b"", b"hello", b"\xff", b"[1]", bytes(state["weight.minifloat"])[:-5]):
        start = text.decode(errors="replace")[:20]
        cases[
            f"weight.minifloat must be the bytes of the JSON text that describes the weights, "
            f"got {re.escape(repr(start)[:-1])}.*; the entry is damaged: load what state_dict"
        ] = changed(state, minifloat=torch.tensor(list(text), dtype=torch.uint8))
    for message, case in cases.items():
        with pytest.raises(RuntimeError, match=message):
            layer.load_state_dict(case)
        assert layer.weight is held
    loose = layer.load_state_dict(changed(state, minifloat=None), strict=False)
    assert loose.missing_keys == ["weight.minifloat"]
    assert loose.unexpected_keys == ["weight.codes", "weight.scales"]


def test_a_layer_is_copied_and_pickled() -> None:
    layer = QuantizedLinear.from_linear(model()[0], "nvfp4")
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    copies = (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)))
    for other in (*copies, torch.load(file, weights_only=False)):
        assert other.weight == layer.weight
        assert torch.equal(other.bias, layer.bias)


def test_integers_have_no_gradient() -> None:
    with pytest.raises(TypeError, match=r"weights must be of floating point, got torch.int64"):
        straight_through(torch.arange(16), "int4/16/float32")
    with pytest.raises(TypeError, match=r"x must be of floating point, got torch.int64"):
        round_to(torch.arange(16), "e2m2")
    with pytest.raises(TypeError, match=r"x must be a Tensor, got list"):
        round_to([1.0], "e2m2")


def test_attention_of_pytorch_reads_weights_itself() -> None:
    """In `eval` its fast path takes tensors alone; without it packed layers do."""
    torch.manual_seed(0)
    block = torch.nn.TransformerEncoderLayer(32, 4, dim_feedforward=64, batch_first=True).eval()
    for name in ("linear1", "linear2"):
        block.set_submodule(name, QuantizedLinear.from_linear(getattr(block, name), "int8/32"))
    x = torch.randn(2, 5, 32)
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        assert block(x).shape == x.shape
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def test_faults_of_a_layer() -> None:
    q = mf.quantize(np.ones((4, 8), np.float32), "e2m2")
    with pytest.raises(TypeError, match=r"weight must be Quantized, got Tensor; minifloat\.quant"):
        QuantizedLinear(torch.ones(4, 8))
    with pytest.raises(ValueError, match=r"weight must be of shape \(out, in\), got shape \(8,\)"):
        QuantizedLinear(q[0])
    with pytest.raises(ValueError, match=r"bias must have shape \(4,\), got \(3,\)"):
        QuantizedLinear(q, torch.ones(3))
    with pytest.raises(TypeError, match=r"linear must be a torch.nn.Linear, got Embedding; of oth"):
        QuantizedLinear.from_linear(torch.nn.Embedding(4, 8), "e2m2")
    layer = QuantizedLinear(q)
    assert layer.bias is None
    with pytest.raises(TypeError, match=r"x must be of floating point, got torch.int64; pass x.fl"):
        layer(torch.ones(8, dtype=torch.int64))
    assert list(layer.state_dict()) == [f"weight.{n}" for n in ("codes", "scales", "minifloat")]
    with pytest.raises(ValueError, match="x must have 8 elements along the last axis"):
        layer(torch.ones(9))


@pytest.mark.filterwarnings("ignore::UserWarning")  # of PyTorch, about itself
def test_compiled_functions_call_them_as_they_are() -> None:
    layer = QuantizedLinear.from_linear(model()[0], "nvfp4")
    x = torch.randn(3, 64, requires_grad=True)

    def run(x: Any) -> Any:
        return straight_through(layer(round_to(x * 2, "e4m3fn")), "mxfp4") + 1

    assert torch.equal(torch.compile(run, backend="eager")(x), run(x))


def test_weights_are_dequantized_to_a_dtype_and_into_a_tensor_of_pytorch() -> None:
    q = mf.quantize(np.random.default_rng(3).standard_normal((4, 64)), "nvfp4")
    out = torch.empty(4, 64, dtype=torch.bfloat16)
    assert q.dequantize(torch.bfloat16, out=out) is out
    want = q.dequantize("bfloat16").view(np.int16)
    assert np.array_equal(out.view(torch.int16).numpy(), want)

"""The three products: their operands, axes, rotations and seeds, against plain formulas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='PyTorch is not installed: extra "training"')

import minifloat as mf  # noqa: E402
from analysis.training.products import Products  # noqa: E402
from analysis.training.recipe import TrainingRecipe  # noqa: E402
from minifloat import arithmetic  # noqa: E402

ROWS, INNER, OUTPUTS = 64, 32, 96
BLOCKS = "e2m1/16/e8m0"


def tensors(seed: int = 0) -> tuple[Any, Any, Any]:
    draw = np.random.default_rng(seed)
    shapes = ((ROWS, INNER), (OUTPUTS, INNER), (ROWS, OUTPUTS))
    x, w, g = (torch.from_numpy(draw.standard_normal(s).astype(np.float32)) for s in shapes)
    return x, w, g


def run(recipe: str, *, step: int = 0, place: int = 1, seed: int = 0) -> tuple[Any, Any, Any]:
    """Return y, dx and dw."""
    x, w, g = tensors()
    x.requires_grad_()
    w.requires_grad_()
    y = Products(TrainingRecipe.parse(recipe), seed, step)(x, w, place)
    y.backward(g)
    return y.detach(), x.grad, w.grad


def quantized(x: Any, recipe: str = BLOCKS) -> Any:
    """Return a matrix rounded in blocks along its last axis, by the library's own verbs."""
    return torch.from_numpy(mf.quantize(x.contiguous().numpy(), recipe).dequantize())


def test_unquantized_products_are_those_of_torch() -> None:
    x, w, g = tensors()
    x.requires_grad_()
    w.requires_grad_()
    y = torch.nn.functional.linear(x, w)
    y.backward(g)
    for ours, theirs in zip(run(""), (y.detach(), x.grad, w.grad), strict=True):
        assert torch.equal(ours, theirs)


def test_each_product_rounds_its_own_operands_along_its_own_inner_axis() -> None:
    x, w, g = tensors()
    q = quantized
    exact = (x @ w.T, g @ w, g.T @ x)
    cases = {
        f"forward={BLOCKS} gradient=original": (q(x) @ q(w).T, *exact[1:]),
        f"forward={BLOCKS}": (q(x) @ q(w).T, g @ q(w), g.T @ q(x)),
        f"forward={BLOCKS} weights=none": (q(x) @ w.T, g @ w, g.T @ q(x)),
        f"weights={BLOCKS}": (x @ q(w).T, g @ q(w), g.T @ x),
        f"backward={BLOCKS} gradients=none": (exact[0], g @ q(w.T).T, g.T @ q(x.T).T),
        f"gradients={BLOCKS}": (exact[0], q(g) @ w, q(g.T) @ x),
        f"backward={BLOCKS}": (exact[0], q(g) @ q(w.T).T, q(g.T) @ q(x.T).T),
    }
    for recipe, wanted in cases.items():
        for ours, theirs in zip(run(recipe), wanted, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5, msg=recipe)


def test_the_factor_of_an_operand_leaves_the_product() -> None:
    """Powers of two: E2M1's rounding of x/2 is that of x but for clipping, which none is here."""
    halved, whole = run("forward=nearest(e2m1/16/e8m0:up,0.5)"), run("forward=e2m1/16/float32")
    assert abs(halved[0] / whole[0]).median() == pytest.approx(1, abs=0.05)
    for ours, theirs in zip(halved, whole, strict=True):
        assert torch.nn.functional.cosine_similarity(ours, theirs).min() > 0.9
        assert (ours.norm() / theirs.norm()).item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("side", ["forward", "backward"])
def test_rotations_cancel(side: str) -> None:
    """With float16, of 11 bits of precision, a rotated product is the product, nearly."""
    fine = f"{side}=float16 {side}-rotation=hadamard16"
    for ours, theirs in zip(run(fine), run(""), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0.03)


def test_rotated_operands_are_rounded_as_matrices_say() -> None:
    x, w, g = tensors()
    signs = np.sign(mf.Rotation(16, 5).signs(INNER))
    matrix = np.kron(np.eye(2), mf.Rotation(16).matrix()) * signs / 4
    turn = torch.from_numpy(matrix.astype(np.float32))
    y, _, dw = run(f"forward={BLOCKS} forward-rotation=hadamard16:5")
    left = quantized(x @ turn.T)
    torch.testing.assert_close(y, left @ quantized(w @ turn.T).T, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(dw, g.T @ (left @ turn), rtol=1e-4, atol=1e-4)


def test_signs_of_the_backward_rotation_are_new_in_each_step_and_place() -> None:
    recipe = f"backward={BLOCKS} backward-rotation=hadamard16"
    grads = [run(recipe, **change)[1] for change in ({}, {"step": 1}, {"place": 2}, {"seed": 1})]
    assert all(not torch.equal(grads[0], other) for other in grads[1:])
    assert torch.equal(grads[0], run(recipe)[1])


def test_a_length_that_the_rotation_does_not_divide_is_left_as_it_is() -> None:
    plain, turned = (run(f"forward={BLOCKS}{r}") for r in ("", " forward-rotation=hadamard64"))
    assert torch.equal(plain[0], turned[0])


def test_stochastic_rounding_depends_on_seed_step_place_product_and_operand() -> None:
    recipe = f"gradients=stochastic({BLOCKS}:up)"
    first = run(recipe)
    for change in ({"step": 1}, {"place": 2}, {"seed": 1}):
        other = run(recipe, **change)
        assert not torch.equal(first[1], other[1])
        assert not torch.equal(first[2], other[2])
    for ours, theirs in zip(run(recipe), first, strict=True):
        assert torch.equal(ours, theirs)
    products = Products(TrainingRecipe())
    seeds = {products.random_seed(*k) for k in np.ndindex(3, 3, 3, 3)}
    assert len(seeds) == 81


def test_stochastic_gradients_are_right_in_the_mean() -> None:
    recipe = f"gradients=stochastic({BLOCKS}:up)"
    runs = [run(recipe, step=step) for step in range(200)]
    for k in (1, 2):
        grads = torch.stack([r[k] for r in runs]).double()
        exact = run("")[k].double()
        z = (grads.mean(0) - exact) / (grads.std(0) / len(runs) ** 0.5)
        assert abs(z.mean().item()) < 0.05  # its deviation is 1 / sqrt(2048 or more) = 0.02
        assert z.std().item() == pytest.approx(1, abs=0.1)


def test_clipped_elements_have_no_gradient() -> None:
    """E2M1 with OCP's scales clips what is above 6 times the scale."""
    x, w, _ = tensors()
    recipe = "forward=e2m1/16/e8m0 gradient=clipped"
    _, dx, dw = run(recipe)
    free = run("forward=e2m1/16/e8m0")

    def beyond(values: Any) -> Any:
        blocks = values.reshape(len(values), -1, 16).abs()
        scale = 2.0 ** (torch.floor(torch.log2(blocks.amax(-1, keepdim=True))) - 2)
        return (blocks > 6 * scale).reshape(values.shape)

    for values, got, other in ((x, dx, free[1]), (w, dw, free[2])):
        mask = beyond(values)
        assert 0 < mask.sum() < mask.numel() / 5
        assert torch.equal(got, other.masked_fill(mask, 0))


def test_an_accumulator_adds_all_three_products_up() -> None:
    x, w, g = tensors()
    exact = (arithmetic.matmul(a.numpy(), b.numpy(), accumulator="float16")
             for a, b in ((x, w.T), (g, w), (g.T, x)))  # fmt: skip
    for ours, theirs in zip(run("accumulator=float16"), exact, strict=True):
        assert np.array_equal(ours.numpy(), theirs)


def test_products_of_several_dimensions_are_products_of_matrices() -> None:
    draw = np.random.default_rng(1)
    x, w = (torch.from_numpy(draw.standard_normal((2, 3, n, 16), np.float32)) for n in (5, 7))
    x.requires_grad_()
    together = Products(TrainingRecipe.parse(f"forward={BLOCKS} backward={BLOCKS}"))
    y = together(x, w, 1)
    y.square().sum().backward()
    for i, j in np.ndindex(2, 3):
        one = x.detach()[i, j].requires_grad_()
        alone = together(one, w[i, j], 1)
        alone.square().sum().backward()
        torch.testing.assert_close(y[i, j], alone)
        torch.testing.assert_close(x.grad[i, j], one.grad)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    "recipe", ["", "quartet", "ms_eden", "fp4_e4m3", f"forward={BLOCKS} gradient=original"]
)
def test_gradients_computed_at_once_are_those_of_one_thread(recipe: str, two_threads: None) -> None:
    torch.set_num_threads(1)
    wanted = run(recipe)
    torch.set_num_threads(2)
    found = run(recipe)
    for ours, theirs in zip(found, wanted, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(found[1:], wanted[1:], strict=True):
        assert torch.equal(ours, theirs)  # each of them is of one thread
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("at", [(0, 0), (ROWS - 1, OUTPUTS - 1)])
def test_an_error_of_a_gradient_leaves_the_threads_as_they_were(
    at: tuple[int, int], two_threads: None
) -> None:
    x, w, g = tensors()
    x.requires_grad_()
    w.requires_grad_()
    g[at] = np.nan
    y = Products(TrainingRecipe.parse("quartet"))(x, w, 1)
    with pytest.raises(ValueError, match=r"finite|NaN"):
        y.backward(g)
    assert torch.get_num_threads() == 2

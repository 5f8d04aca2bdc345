"""Runs: plain torch to the last bit, stopped and gone on with, grids, and what is refused."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='PyTorch is not installed: extra "training"')

from analysis.training import grid  # noqa: E402
from analysis.training import run as runs  # noqa: E402
from analysis.training.data import Bytes, Images  # noqa: E402
from analysis.training.model import SHAPES, DigitsNet, Linear, Shape, Transformer  # noqa: E402
from analysis.training.products import Products  # noqa: E402
from analysis.training.recipe import TrainingRecipe  # noqa: E402
from analysis.training.run import OtherRun, Run, Setup, train  # noqa: E402

TINY = Shape(width=32, layers=1, heads=2, window=16)
STOCHASTIC = (
    "forward=e2m1/16/e8m0 backward=e2m1/16/e8m0 gradients=stochastic(e2m1/16/e8m0:up) "
    "backward-rotation=hadamard16"
)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHAPES, "tiny", TINY)


@pytest.fixture(scope="module")
def data(text: bytes) -> Bytes:
    return Bytes.of(text, TINY.window)


def setup(recipe: str = "", steps: int = 20, **changes: Any) -> Setup:
    return Setup("tiny", recipe, items=steps * 64, batch=4, **changes)


class Plain(torch.nn.Module):
    """The transformer of one layer, written with torch's own layers."""

    def __init__(self) -> None:
        super().__init__()
        nn = torch.nn
        self.bytes, self.positions = nn.Embedding(256, 32), nn.Embedding(16, 32)
        self.norm1, self.norm2, self.norm = (nn.LayerNorm(32, bias=False) for _ in range(3))
        self.qkv, self.out = nn.Linear(32, 96, bias=False), nn.Linear(32, 32, bias=False)
        self.up, self.down = nn.Linear(32, 128, bias=False), nn.Linear(128, 32, bias=False)
        self.head = nn.Linear(32, 256, bias=False)

    def forward(self, x: Any) -> Any:
        h = self.bytes(x) + self.positions(torch.arange(16))
        q, k, v = self.qkv(self.norm1(h)).split(32, dim=-1)
        heads = [t.view(-1, 16, 2, 16).transpose(1, 2) for t in (q, k, v)]
        scores = heads[0] @ heads[1].transpose(-1, -2) / 4.0
        later = torch.ones(16, 16).tril() == 0
        mixed = scores.masked_fill(later, -math.inf).softmax(dim=-1) @ heads[2]
        h = h + self.out(mixed.transpose(1, 2).reshape(-1, 16, 32))
        h = h + self.down(torch.nn.functional.gelu(self.up(self.norm2(h))))
        return self.head(self.norm(h))


def names(name: str) -> str:
    """Return the name in `Plain` of a parameter of ours."""
    name = name.removeprefix("blocks.0.")
    return f"{name}.weight" if name in ("bytes", "positions") else name


def test_unquantized_training_is_that_of_torch_to_the_last_bit(data: Bytes) -> None:
    run, plain = Run(setup(), data), Plain()
    start = {names(name): value.clone() for name, value in run.model.state_dict().items()}
    plain.load_state_dict(start)
    several = [p for p in plain.parameters() if p.ndim == 2]
    rest = [p for p in plain.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW(
        [{"params": several, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}],
        betas=(0.9, 0.95),
    )
    for step in range(20):
        rate = 3e-3 * (0.1 + 0.9 * (1 + math.cos(math.pi * (step - 1) / 19)) / 2 if step else 1)
        for group in optimizer.param_groups:
            group["lr"] = rate
        inputs, targets = data.batch(0, step, 4)
        loss = torch.nn.functional.cross_entropy(plain(inputs).view(-1, 256), targets.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        ordered = [
            dict(plain.named_parameters())[names(n)] for n, _ in run.model.named_parameters()
        ]
        torch.nn.utils.clip_grad_norm_(ordered, 1.0)
        optimizer.step()
        run.advance()
        assert run.losses[-1] == loss.item() / math.log(2), step
    for name, value in run.model.state_dict().items():
        assert torch.equal(value, plain.state_dict()[names(name)]), name


def test_a_recipe_changes_what_is_learned_and_all_is_a_function_of_the_seed(data: Bytes) -> None:
    first = train(setup(STOCHASTIC, 6), data=data)
    assert train(setup(STOCHASTIC, 6), data=data) == first
    for other in (setup("", 6), setup(STOCHASTIC, 6, seed=1), setup(STOCHASTIC + " places=all", 6)):
        assert train(other, data=data).losses[1:] != first.losses[1:]


def test_each_step_has_random_numbers_of_its_own(
    data: Bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[tuple[int, ...]] = []
    original = Products.random_seed

    def noted(self: Products, *key: int) -> int:
        keys.append(key)
        return original(self, *key)

    monkeypatch.setattr(Products, "random_seed", noted)
    train(setup(STOCHASTIC, 3), data=data)
    assert {key[0] for key in keys} == {0, 1, 2}
    signs = [key for key in keys if key[-1] == 2]  # of a rotation, asked for once in a product
    assert len(set(signs)) == len(signs) == 3 * 4 * 2


def test_it_learns(data: Bytes) -> None:
    result = train(setup(steps=60), data=data)
    assert result.losses[0] == pytest.approx(8, abs=0.2)
    assert result.validation < 4 < 8
    assert not result.diverged


def test_a_stopped_run_goes_on_to_the_same_bits(data: Bytes, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole.pt", tmp_path / "parts.pt"
    wanted = train(setup(STOCHASTIC), data=data, state=whole)
    half = train(setup(STOCHASTIC), data=data, state=parts, stop=10)
    assert len(half.losses) == 10
    assert math.isnan(half.validation)
    assert train(setup(STOCHASTIC), data=data, state=parts) == wanted
    ends = [torch.load(path, weights_only=True) for path in (whole, parts)]
    for name, value in ends[0]["model"].items():
        assert torch.equal(value, ends[1]["model"][name])
    assert train(setup(STOCHASTIC), data=data, state=parts) == wanted  # at its end: nothing to do


def test_a_state_is_written_whole_or_not_at_all(
    data: Bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.pt"
    train(setup(), data=data, state=path, stop=5)
    before = path.read_bytes()

    def fail(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        train(setup(), data=data, state=path, stop=10)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["run.pt"]


def test_the_state_of_another_run_is_refused(data: Bytes, tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    train(setup(), data=data, state=path, stop=2)
    with pytest.raises(OtherRun, match="state must be of"):
        train(setup(seed=1), data=data, state=str(path))


def test_a_damaged_state_is_named(data: Bytes, tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    train(setup(), data=data, state=path, stop=2)
    whole = path.read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2], whole[:-1]):
        path.write_bytes(content)
        with pytest.raises(OtherRun, match=r"state must be a whole file .*run\.pt, or remove it"):
            train(setup(), data=data, state=path)
        assert path.read_bytes() == content
    torch.save({"setup": repr(setup())}, path)
    with pytest.raises(OtherRun, match="state must be a whole file"):
        train(setup(), data=data, state=path)


def test_a_run_that_diverges_says_so(data: Bytes) -> None:
    for recipe in ("", STOCHASTIC):
        result = train(setup(recipe, rate=1e30), data=data)
        assert result.diverged
        assert len(result.losses) < 20
        assert math.isnan(result.validation)


def test_convolutions_are_torchs() -> None:
    net = DigitsNet(TrainingRecipe(), 3)
    x = torch.from_numpy(np.random.default_rng(0).random((5, 1, 8, 8), np.float32))
    y = x
    for layer, (outputs, inputs) in zip(net.convolutions, ((16, 1), (32, 16)), strict=True):
        kernel = layer.weight.view(outputs, inputs, 3, 3)
        y = torch.nn.functional.max_pool2d(torch.relu(torch.conv2d(y, kernel, padding=1)), 2)
    wanted = torch.nn.functional.linear(y.flatten(1), net.head.weight)
    torch.testing.assert_close(net(x), wanted)


def test_digits_are_learned() -> None:
    draw = np.random.default_rng(0)
    classes = torch.from_numpy(draw.integers(0, 10, 400))
    images = torch.from_numpy(draw.random((400, 1, 8, 8), np.float32)) / 4
    images[torch.arange(400), 0, classes // 8 * 4, classes % 8] += 1
    data = Images(images, classes)
    recipe = "forward=e2m1/16/float32 backward=e4m3fn/16/float32"
    result = train(Setup("digits", recipe, items=32 * 40, batch=32, rate=1e-2), data=data)
    assert result.accuracy > 0.6


def test_places_say_which_products_are_rounded(data: Bytes) -> None:
    inputs, _ = data.batch(0, 0, 4)
    text = "forward=e2m1/16/e8m0"
    plain, layers, everything = (
        Transformer(TINY, TrainingRecipe.parse(recipe), 0)(inputs)
        for recipe in ("", text, f"{text} places=all")
    )
    assert not torch.equal(plain, layers)
    assert not torch.equal(layers, everything)
    model = Transformer(TINY, TrainingRecipe.parse(text), 0)
    assert model.head.products.recipe == TrainingRecipe()
    places = [m.place for m in model.modules() if isinstance(m, Linear)]
    assert len(set(places)) == len(places) == 5


def test_the_future_of_a_byte_is_not_seen(data: Bytes) -> None:
    model = Transformer(TINY, TrainingRecipe(), 0)
    inputs, _ = data.batch(0, 0, 2)
    changed = inputs.clone()
    changed[:, 9] += 1
    first, second = model(inputs), model(changed)
    assert torch.equal(first[:, :9], second[:, :9])
    assert not torch.equal(first[:, 9], second[:, 9])


def test_training_and_validating_bytes_are_apart() -> None:
    content = np.arange(25 * 4096, dtype=np.uint32).astype(">u4").tobytes()[: 25 * 4096]
    data = Bytes.of(content, 8)
    assert (
        data.training.tobytes()
        == content[: 9 * 4096] + content[10 * 4096 : 19 * 4096] + (content[20 * 4096 :])
    )
    assert (
        data.validating.tobytes()
        == content[9 * 4096 : 10 * 4096] + (content[19 * 4096 : 20 * 4096])
    )
    inputs, targets = data.batch(0, 0, 3)
    assert torch.equal(inputs[:, 1:], targets[:, :-1])


def test_grids_grow_through_any_executor(data: Bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "texts", lambda window: data)
    setups = [setup(recipe, 4, seed=seed) for recipe in ("", STOCHASTIC) for seed in (0, 1)]
    alone = list(grid.growing_runs(setups, []))
    assert [len(rows) for rows in alone] == [1, 2, 3, 4]
    assert alone[-1][0]["recipe"] == "float32"
    calls: list[Setup] = []
    record = grid.record

    def counted(setup: Setup) -> dict[str, Any]:
        calls.append(setup)
        return record(setup)

    monkeypatch.setattr(grid, "record", counted)
    with ThreadPoolExecutor(1) as executor:
        through = list(grid.growing_runs(setups, alone[1], executor=executor))
    assert through[-1] == alone[-1]
    assert calls == setups[2:]
    assert list(grid.growing_runs(setups, alone[-1])) == [alone[-1]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "9M"}, "model must be one of"),
        ({"seed": -1}, "seed must be in 0"),
        ({"batch": 0}, "batch must be in 1"),
        ({"rate": math.nan}, "rate must be above 0"),
        ({"rate": 0.0}, "rate must be above 0"),
        ({"items": 63}, "items must be those of a batch, 64"),
        ({"recipe": "forward"}, "or KEY=VALUE"),
    ],
)
def test_bad_setups_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Setup(**({"model": "tiny", "items": 64, "batch": 4} | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1.5}, "seed must be an int"),
        ({"items": 640.0}, "items must be an int"),
        ({"batch": "4"}, "batch must be an int"),
        ({"rate": "1e-3"}, "rate must be a number"),
    ],
)
def test_what_is_no_number_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Setup(**({"model": "tiny", "items": 64, "batch": 4} | changes))


def test_numbers_of_numpy_are_the_same_setup() -> None:
    one = Setup("tiny", seed=np.int64(3), items=np.int32(64), batch=4, rate=np.float64(0.5))  # type: ignore[arg-type]
    assert repr(one) == repr(Setup("tiny", seed=3, items=64, batch=4, rate=0.5))


def test_bad_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="window must be 1 to 4095"):
        Bytes.of(bytes(50_000), 0)
    with pytest.raises(ValueError, match="content must have 40960 bytes"):
        Bytes.of(b"short", 16)

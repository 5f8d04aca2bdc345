"""The figures of `compare`, against their definitions, in every executor."""

from __future__ import annotations

import csv
import io
import json
import math
import pickle
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minifloat.comparison import compare
from minifloat.comparison.records import Loss, TensorLosses
from minifloat.files.weights import WeightsError
from minifloat.formats import Codebook
from minifloat.formats.catalogue import CATALOGUE
from minifloat.quantization import quantize

FORMATS = ("e2m2", "int4")
module = import_module("minifloat.comparison")


def normal(shape: tuple[int, ...], seed: int = 1, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.npz"
    arrays = {
        "w": normal((40, 200)),
        "bias": normal((7,)),
        "one": normal(()),
        "none": normal((0, 3)),
    }
    np.savez(path, **arrays, big=normal((300, 1100)), h=normal((5, 64), dtype=np.float16), step=3)
    return path


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("options", [{}, {"block_size": 32}, {"block_size": None}, {"axis": None}])
def test_figures_are_their_definitions(dtype: Any, options: dict[str, Any]) -> None:
    weights = normal((600, 500), dtype=dtype)  # more than one chunk
    result = compare(weights, FORMATS, **options)
    assert [tensor.name for tensor in result.tensors] == ["array"]
    for loss in result.tensors[0].losses:
        quantized = quantize(weights, loss.format, **{"block_size": 128, **options})
        exact = weights.astype(np.float64)
        error = exact - quantized.dequantize().astype(np.float64)
        assert loss.bits_per_weight == quantized.bits_per_weight
        assert loss.parameters == 300_000
        assert loss.relative_rms == pytest.approx(
            math.sqrt((error**2).sum() / (exact**2).sum()), rel=1e-12
        )
        assert loss.sqnr_db == pytest.approx(-20 * math.log10(loss.relative_rms), rel=1e-12)
        assert loss.worst == np.abs(error).max()
        assert loss.worst_relative == np.abs(error).max() / np.abs(exact).max()


def test_total_sums_over_parameters(model: Path) -> None:
    result = compare(model, FORMATS)
    sizes = {tensor.name: tensor.parameters for tensor in result.tensors}
    assert sizes == {"w": 8000, "bias": 7, "one": 1, "none": 0, "big": 330_000, "h": 320}
    assert [(skipped.name, skipped.reason) for skipped in result.skipped] == [
        ("step", "not a float tensor")
    ]
    for fmt in FORMATS:
        losses = [tensor.loss(fmt) for tensor in result.tensors]
        total = result.total.loss(fmt)
        error = sum(loss.squared_error for loss in losses)
        assert total.parameters == sum(sizes.values())
        assert total.relative_rms == pytest.approx(
            math.sqrt(error / sum(loss.squared_weight for loss in losses))
        )
        assert total.bits_per_weight == pytest.approx(
            sum(loss.bits_per_weight * loss.parameters for loss in losses) / total.parameters
        )
        assert total.worst == max(loss.worst for loss in losses)
    assert result.total.winners == ("e2m2",)


def test_empty_zero_and_exact_tensors_divide_nothing_by_zero() -> None:
    arrays = {
        "empty": np.zeros((0, 4), np.float32),
        "zero": np.zeros((3, 4), np.float32),
        "exact": np.array([1.0, -1.0, 0.0], np.float32),
    }
    result = compare(arrays, FORMATS, scale="float32")
    for tensor in result.tensors[:2]:
        assert tensor.winners == FORMATS, "a tie"
        for loss in tensor.losses:
            assert (loss.relative_rms, loss.worst, loss.sqnr_db) == (0, 0, math.inf)
    assert json.loads(result.to_json())["tensors"][0]["sqnr_db"] is None
    nothing = compare({"empty": arrays["empty"]}, FORMATS)
    assert [loss.bits_per_weight for loss in nothing.total.losses] == [5, 4]


def test_error_without_weights_is_infinite() -> None:
    loss = Loss("e8m0", 1, 8, squared_error=1.0, squared_weight=0.0, worst=1, worst_relative=0)
    assert (loss.relative_rms, loss.sqnr_db) == (math.inf, -math.inf)
    record = TensorLosses("", "w", "float32", (1,), (loss,)).records()[0]
    assert record["relative_rms"] is None


def test_axis_of_small_tensors_is_the_last() -> None:
    arrays = {"w": normal((6, 10)), "b": normal((10,))}
    result = compare(arrays, ["int4"], block_size=3, axis=0)
    expected = quantize(arrays["w"], "int4", block_size=3, axis=0).dequantize()
    squares = (arrays["w"].astype(np.float64) - expected) ** 2
    assert result.tensors[0].losses[0].squared_error == pytest.approx(squares.sum())
    along = compare({"b": arrays["b"]}, ["int4"], block_size=3)
    assert result.tensors[1].losses == along.tensors[0].losses
    assert compare(arrays["b"], ["int4"], block_size=3, axis=1).tensors[0].losses == (
        along.tensors[0].losses
    )


def test_min_size_leaves_out_and_says_so(model: Path) -> None:
    result = compare(model, FORMATS, min_size=1000)
    assert [tensor.name for tensor in result.tensors] == ["w", "big"]
    assert ("bias", "fewer than 1000 elements") in [(s.name, s.reason) for s in result.skipped]


def test_without_a_source_a_seeded_gaussian(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.GAUSSIAN_SHAPE == (4096, 4096)
    monkeypatch.setattr(module, "GAUSSIAN_SHAPE", (64, 256))
    result = compare(formats=FORMATS, seed=5)
    assert result.source == "64 x 256 standard normals (no file given), seed 5"
    same = compare(np.random.default_rng(5).standard_normal((64, 256), np.float32), FORMATS)
    assert result.total == same.total
    assert compare(formats=FORMATS, seed=6).total != result.total


def test_sources(model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", normal((40, 200)))
    one = compare(str(model), FORMATS)
    two = compare([model, str(tmp_path / "w.npy")], FORMATS)
    assert two.tensors[: len(one.tensors)] == one.tensors
    assert two.tensors[-1].file == str(tmp_path / "w.npy")
    assert two.tensors[-1].losses == one.tensors[0].losses
    with np.load(model) as arrays:
        mapping = compare(arrays, FORMATS)
    assert [t.losses for t in mapping.tensors] == [t.losses for t in one.tensors]
    assert [skipped.name for skipped in mapping.skipped] == ["step"]


def test_relative_paths(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model.parent)
    result = compare("model.npz", FORMATS)
    assert result.tensors[0].file == "model.npz"


def test_formats_may_be_formats() -> None:
    mine = Codebook([-1.0, -0.25, 0.0, 0.25, 1.0], "mine")
    result = compare(normal((4, 64)), [mine, CATALOGUE["nf4"], "fpe2m2"])
    assert [loss.format for loss in result.total.losses] == ["mine", "nf4", "e2m2b0"]
    assert compare(normal((4, 64)), "e2m2").total.losses[0].format == "e2m2"


def test_bad_arguments(model: Path) -> None:
    with pytest.raises(ValueError, match=r"formats must be one or more, each once, got e4m3fn"):
        compare(model, ["e4m3fn", "e4m3"])
    with pytest.raises(ValueError, match="formats must be one or more"):
        compare(model, [])
    with pytest.raises(ValueError, match="fmt must be a known format name"):
        compare(model, ["e9q"])
    with pytest.raises(TypeError, match=r"source must be a path.*got int"):
        compare(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="source must hold a float tensor"):
        compare(np.arange(10), FORMATS)
    with pytest.raises(ValueError, match=r"at least 10000000 elements, got .*model\.npz; lower"):
        compare(model, FORMATS, min_size=10_000_000)
    with pytest.raises(WeightsError, match="No such file"):
        compare("missing.npy", FORMATS)
    with pytest.raises(ValueError, match="fmt must be one of e2m2, int4, got 'nf4'"):
        compare(model, FORMATS).total.loss("nf4")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_tensor_that_is_not_finite_is_named(tmp_path: Path, bad: float) -> None:
    weights = normal((4, 64))
    weights[2, 3] = bad
    np.savez(tmp_path / "m.npz", fine=normal((4,)), broken=weights)
    with pytest.raises(ValueError, match=r"m\.npz: tensor 'broken': .*2, 3"):
        compare(tmp_path / "m.npz", FORMATS)
    with pytest.raises(ValueError, match="tensor 'broken': "):
        compare({"broken": weights}, FORMATS)


def test_json_and_csv_hold_everything(model: Path) -> None:
    result = compare(model, FORMATS)
    content = json.loads(result.to_json())
    rows = list(csv.DictReader(io.StringIO(result.to_csv())))
    assert len(content["tensors"]) == len(FORMATS) * len(result.tensors)
    assert len(rows) == len(content["tensors"]) + len(content["total"])
    assert (content["block_size"], content["axis"], content["scale"]) == (128, -1, "float16")
    first = content["tensors"][0]
    assert first["shape"] == [40, 200]
    assert first["relative_rms"] == result.tensors[0].losses[0].relative_rms
    assert float(rows[0]["relative_rms"]) == first["relative_rms"]
    assert rows[0]["shape"] == "40x200"
    assert rows[-1]["level"] == "total"
    for record in content["total"]:
        assert record["winner"] == (record["format"] == "e2m2")


def test_progress_counts_parameters(model: Path) -> None:
    calls: list[tuple[int, int]] = []
    result = compare(model, FORMATS, progress=lambda done, total: calls.append((done, total)))
    assert len(calls) == len(result.tensors)
    assert calls[-1] == (result.total.parameters, result.total.parameters)
    assert calls == sorted(calls)


@contextmanager
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(3) as pool:
        yield pool


@contextmanager
def processes() -> Iterator[Executor]:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool


@contextmanager
def dask_cluster() -> Iterator[Executor]:
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True}
    with (
        distributed.LocalCluster(**options, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        client.get_executor() as executor,
    ):
        yield executor


@pytest.mark.filterwarnings("ignore")  # of the cluster, about ports and its own shutdown
@pytest.mark.parametrize("pool", [threads, processes, dask_cluster])
def test_any_executor_gives_the_same_result(model: Path, pool: Any) -> None:
    formats = [*FORMATS, "nf4"]  # a codebook travels too
    arrays = {f"w{index}": normal((10, 64), index) for index in range(20)}
    broken = {**arrays, "bad": np.full((3,), np.nan, np.float32)}
    with pool() as executor:
        assert compare(model, formats, executor=executor) == compare(model, formats)
        assert compare(arrays, formats, executor=executor) == compare(arrays, formats)
        with pytest.raises(ValueError, match="tensor 'bad'"):
            compare(broken, formats, executor=executor)


class CountingExecutor(ThreadPoolExecutor):
    """Remembers the most futures that were not yet done."""

    def __init__(self) -> None:
        super().__init__(1)
        self.unread: list[Future[Any]] = []
        self.most = 0

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        self.unread = [future for future in self.unread if not future.done()]
        self.unread.append(super().submit(*args, **kwargs))
        self.most = max(self.most, len(self.unread))
        return self.unread[-1]


def test_few_arrays_are_in_flight() -> None:
    arrays = {f"w{index}": normal((2, 64), index) for index in range(40)}
    with CountingExecutor() as executor:
        compare(arrays, FORMATS, executor=executor)
        assert executor.most <= module.ARRAYS_IN_FLIGHT


def test_results_can_be_pickled(model: Path) -> None:
    result = compare(model, FORMATS)
    assert pickle.loads(pickle.dumps(result)) == result


def test_memory_is_bounded_by_the_largest_tensor(tmp_path: Path) -> None:
    size = 1 << 22  # bytes of each tensor
    for index in range(6):
        np.save(tmp_path / f"{index}.npy", normal((1024, size >> 12), index))
    paths = [tmp_path / f"{index}.npy" for index in range(6)]
    compare(paths[:1], FORMATS)  # compiles
    tracemalloc.start()
    try:
        compare(paths, FORMATS)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5 * size + 8 * 8 * module.CHUNK

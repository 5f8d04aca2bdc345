"""What `convert` writes is read back bit for bit; what does not fit is refused by name."""

from __future__ import annotations

import json
import tracemalloc
from concurrent.futures import CancelledError, Executor, Future
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

import minifloat as mf
from minifloat.conversion import convert
from minifloat.files import WeightsError
from minifloat.files.checkpoints import open_checkpoint
from tests.comparison.test_comparison import dask_cluster, processes, threads
from tests.conversion.models import LAYERS, OTHERS, SECOND, model, numbers, one_shard, tensors
from tests.files.checkpoints.by_hand import stored, write

UP, UPPER = (name for name, _ in LAYERS.values())
READ_BACK = {  # the recipe that the reader sees
    "mxfp4": "e2m1/32/e8m0",
    "mxfp6e2m3": "e2m3/32/e8m0",
    "mxfp8e4m3": "e4m3fn/32/e8m0",
    "nvfp4": "e2m1/16/e4m3fn/tensor-scale",
    "e2m1/16/e4m3fn/tensor-scale+mse": "e2m1/16/e4m3fn/tensor-scale",
    "int4/32/bfloat16": "int4full/32/bfloat16",
    "int4/128/float16/mse": "int4full/128/float16",
    "int3/channel/float32": "int3full/channel/float32",
    "uint4/64/float16/zero-point": "uint4/64/float16/zero-point",
    "e4m3fn/channel/float32": "e4m3fn/channel/float32",
    "e4m3fn/tensor/bfloat16": "e4m3fn/tensor/bfloat16",
    "e4m3fn/32x64/float32": "e4m3fn/32x64/float32",
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return model(tmp_path / "source")


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of a folder's files, without the record of when they were written."""
    files = (path for path in folder.iterdir() if path.name != "conversion.json")
    return {path.name: path.read_bytes() for path in files}


def test_all_but_layers_is_copied(source: Path, tmp_path: Path) -> None:
    result = convert(source, tmp_path / "new", "nvfp4")
    assert contents(tmp_path / "new").keys() == {
        *LAYERS,
        "model.safetensors.index.json",
        "config.json",
        "tokenizer.json",
    }
    old, new = open_checkpoint(source), open_checkpoint(tmp_path / "new")
    for name in OTHERS:
        assert new.describe(name).dtype == old.describe(name).dtype
        assert np.asarray(new[name]).tobytes() == np.asarray(old[name]).tobytes()
    assert {copied.name for copied in result.copied} == set(OTHERS)
    config = json.loads((tmp_path / "new/config.json").read_text())
    assert config["model_type"] == "llama"
    settings = config["quantization_config"]
    assert settings["format"] == "nvfp4-pack-quantized"
    assert settings["ignore"] == ["model.embed_tokens", "lm_head"]
    index = json.loads((tmp_path / "new/model.safetensors.index.json").read_text())
    assert index["weight_map"][f"{UPPER}_packed"] == list(LAYERS)[1]


@pytest.mark.parametrize("recipe", READ_BACK)
def test_round_trip(source: Path, tmp_path: Path, recipe: str) -> None:
    convert(source, tmp_path / "new", recipe)
    checkpoint = open_checkpoint(tmp_path / "new")
    for seed, name in ((2, UP), (3, SECOND), (4, UPPER)):
        back = checkpoint[name]
        assert isinstance(back, mf.Quantized)
        shape = checkpoint.describe(name).shape
        q = mf.quantize(numbers(shape, seed), recipe)
        assert str(back.recipe) == READ_BACK[recipe]
        assert back.scales.tobytes() == q.scales.tobytes()
        if q.tensor_scale is None:
            assert back.dequantize().tobytes() == q.dequantize().tobytes()
        else:  # its inverse is stored
            assert back.packed.tobytes() == q.packed.tobytes()
            assert back.tensor_scale == pytest.approx(q.tensor_scale, rel=2**-23, abs=0)


def test_modelopt_keeps_the_tensor_scale(source: Path, tmp_path: Path) -> None:
    convert(source, tmp_path / "new", "nvfp4", layout="modelopt")
    checkpoint = open_checkpoint(tmp_path / "new")
    assert checkpoint.layouts == ("ModelOpt NVFP4",)
    for seed, name in ((2, UP), (3, SECOND), (4, UPPER)):
        q = mf.quantize(numbers(checkpoint.describe(name).shape, seed), "nvfp4")
        assert checkpoint[name] == q
    config = json.loads((tmp_path / "new/hf_quant_config.json").read_text())
    assert config["quantization"]["quant_algo"] == "W4A16_NVFP4"


def test_the_package_safetensors_takes_the_files(source: Path, tmp_path: Path) -> None:
    """It refuses holes; tensors that are not aligned cannot be mapped by some readers."""
    safetensors = pytest.importorskip("safetensors")
    convert(source, tmp_path / "new", "uint4/64/float16/zero-point", exclude=SECOND)
    for name in LAYERS:
        path = tmp_path / "new" / name
        data = path.read_bytes()
        start = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:start])
        assert header.pop("__metadata__") == {"format": "pt"}
        for entry in header.values():
            width = int(entry["dtype"].lstrip("BUFI")) // 8
            assert (start + entry["data_offsets"][0]) % width == 0
    with safetensors.safe_open(tmp_path / "new" / next(iter(LAYERS)), framework="np") as file:
        np.testing.assert_array_equal(file.get_tensor(SECOND), numbers((128, 128), 3))


def test_errors_are_those_that_compare_finds(source: Path, tmp_path: Path) -> None:
    result = convert(source, tmp_path / "new", "mxfp4")
    expected = mf.compare(source, "mxfp4", include=[UP, SECOND, UPPER])
    errors = {tensor.name: tensor.errors for tensor in result.errors.tensors}
    assert errors == {tensor.name: tensor.errors for tensor in expected.tensors}
    assert result.errors.total == expected.total
    content = json.loads(result.to_json())
    assert [row["tensor"] for row in content["tensors"]] == list(errors)
    assert content["total"][0]["sqnr_db"] == expected.total.errors[0].sqnr_db
    text = repr(result)
    assert "Total: tensors 3" in text
    assert "Copied 4 of 7 tensors as they are:" in text
    record = json.loads((tmp_path / "new/conversion.json").read_text())
    assert record["complete"] is True
    rows = [row for shard in record["shards"].values() for row in shard["tensors"]]
    assert {row["name"]: row["sqnr_db"] for row in rows} == {
        name: error.sqnr_db for name, (error,) in errors.items()
    }


def test_include_and_exclude(source: Path, tmp_path: Path) -> None:
    def layers(folder: str, **options: Any) -> set[str]:
        result = convert(source, tmp_path / folder, "mxfp4", **options)
        return {tensor.name for tensor in result.errors.tensors}

    assert layers("a", exclude="*.layers.1.*") == {UP, SECOND}
    assert layers("b", include=["lm_head.weight", "*.up_proj.*"]) == {"lm_head.weight", UP, UPPER}
    settings = json.loads((tmp_path / "b/config.json").read_text())["quantization_config"]
    assert settings["ignore"] == ["model.embed_tokens", SECOND.removesuffix(".weight")]


def test_hessians(source: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((300, 128))
    np.savez(tmp_path / "h.npz", **{SECOND: x.T @ x})
    convert(source, tmp_path / "new", "int4/32/float32", hessians=tmp_path / "h.npz")
    checkpoint = open_checkpoint(tmp_path / "new")
    expected = mf.gptq(numbers((128, 128), 3), "int4/32/float32", x.T @ x)
    np.testing.assert_array_equal(checkpoint.dequantize(SECOND), expected.dequantize())
    nearest = mf.quantize(numbers((96, 256), 2), "int4/32/float32")
    np.testing.assert_array_equal(checkpoint.dequantize(UP), nearest.dequantize())
    np.savez(tmp_path / "other.npz", other=np.eye(3))
    with pytest.raises(ValueError, match=r"hessians must be named as the tensors .* got 'other'"):
        convert(source, tmp_path / "x", "int4/32/float32", hessians=tmp_path / "other.npz")


@pytest.mark.filterwarnings("ignore")  # of the cluster, about ports and its own shutdown
@pytest.mark.parametrize("pool", [threads, processes, dask_cluster])
def test_executors_write_the_same(source: Path, tmp_path: Path, pool: Any) -> None:
    convert(source, tmp_path / "new", "nvfp4")
    progress = Mock()
    with pool() as executor:
        folder = tmp_path / "again"
        convert(source, folder, "nvfp4", executor=executor, progress=progress)
    assert contents(folder) == contents(tmp_path / "new")
    everything = 96 * 256 + 128 * 128 + 64 * 128
    assert progress.call_args == ((everything, everything),)
    assert progress.call_count == 3


class Counting(Executor):
    """Does the work at once, and counts the results that wait."""

    def __init__(self) -> None:
        self.waiting: list[int] = [0]

    def submit(self, work: Any, /, *arguments: Any, **named: Any) -> Any:
        waiting = self.waiting

        class Result(Future[Any]):
            def result(self, timeout: float | None = None) -> Any:
                waiting.append(waiting[-1] - 1)
                return super().result(timeout)

        waiting.append(waiting[-1] + 1)
        future = Result()
        future.set_result(work(*arguments, **named))
        return future


def test_up_to_eight_tensors_wait_to_be_written(tmp_path: Path) -> None:
    layers = {f"{i}.up_proj.weight": stored(numbers((2, 32), i)) for i in range(12)}
    one_shard(tmp_path / "source", layers)
    executor = Counting()
    convert(tmp_path / "source", tmp_path / "new", "nvfp4", executor=executor)
    assert max(executor.waiting) == 8
    assert executor.waiting[-1] == 0


class Waiting(Executor):
    """Does the first work, and leaves the rest undone."""

    def __init__(self) -> None:
        self.futures: list[Future[Any]] = []

    def submit(self, work: Any, /, *arguments: Any, **named: Any) -> Any:
        future: Future[Any] = Future()
        if not self.futures:
            future.set_result(work(*arguments, **named))
        self.futures.append(future)
        return future


def test_what_has_not_begun_is_cancelled_by_an_interruption(tmp_path: Path) -> None:
    layers = {f"{i}.up_proj.weight": stored(numbers((2, 32), i)) for i in range(12)}
    one_shard(tmp_path / "source", layers)
    executor, interrupt = Waiting(), Mock(side_effect=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        convert(
            tmp_path / "source", tmp_path / "new", "nvfp4", executor=executor, progress=interrupt
        )
    assert [future.cancelled() for future in executor.futures] == [False] + [True] * 7
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["conversion.json"]


def test_a_cancelled_task_ends_the_conversion(tmp_path: Path) -> None:
    layers = {f"{i}.up_proj.weight": stored(numbers((2, 32), i)) for i in range(3)}
    one_shard(tmp_path / "source", layers)
    executor = Waiting()

    def cancel(done: int, everything: int) -> None:
        executor.futures[1].cancel()

    with pytest.raises(CancelledError):
        convert(tmp_path / "source", tmp_path / "new", "nvfp4", executor=executor, progress=cancel)
    assert executor.futures[2].cancelled()
    whole = convert(tmp_path / "source", tmp_path / "new", "nvfp4")  # goes on in that folder
    assert len(whole.errors.tensors) == 3


def test_a_file_and_an_index_are_models(source: Path, tmp_path: Path) -> None:
    convert(source / "model.safetensors.index.json", tmp_path / "a", "mxfp4")
    assert len(open_checkpoint(tmp_path / "a")) == 7
    convert(source / list(LAYERS)[1], tmp_path / "b", "mxfp4")
    assert contents(tmp_path / "b").keys() == {list(LAYERS)[1], "config.json"}
    assert len(open_checkpoint(tmp_path / "b" / list(LAYERS)[1])) == 4


def test_a_last_layer_that_shares_the_embeddings_is_left_out(tmp_path: Path) -> None:
    """Its weights are in no file, but loaders make the layer, and would quantize it."""
    folder = one_shard(tmp_path / "source", {"a.weight": stored(numbers((32, 32)))})
    convert(folder, tmp_path / "new", "mxfp4")
    config = json.loads((tmp_path / "new/config.json").read_text())
    assert config["quantization_config"]["ignore"] == ["lm_head"]


def test_zeros_are_read_back(tmp_path: Path) -> None:
    zeros = stored(np.zeros((32, 64), np.float32))
    folder = one_shard(tmp_path / "source", {"a.weight": zeros})
    for recipe in ("nvfp4", "mxfp4", "int4/32/float16", "deepseek_fp8"):
        new = tmp_path / recipe.replace("/", "-")
        convert(folder, new, recipe)
        assert not open_checkpoint(new).dequantize("a.weight").any()


def test_memory_is_that_of_the_largest_tensor(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        held = {f"{n}.weight": stored(numbers((512, 1024), n)) for n in range(count)}
        folder = one_shard(tmp_path / str(count), held)
        del held
        tracemalloc.start()
        convert(folder, tmp_path / f"new{count}", "mxfp4")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(1)  # compiles
    two = peak(2)
    assert peak(12) < two + (1 << 20)  # 20 MiB more of weights
    assert two < 8 * 512 * 1024 * 4


MISFITS = {
    "mxint8": "it has no place for e8m0 scales",
    "e2m2/128/float16": "e2m2 with float16 scales",
    "e2m1/64/e8m0": "e8m0 scales",
    "nf4": "nf4 with float32 scales",
    "qlora": "scales of scales",
    "nvint4": "a tensor scale but for nvfp4",
    "int4/16x16/float16": "integers in tiles",
    "int4/64/e4m3fn": "e4m3fn scales",
    "uint4/64/float16": "uint4",
}


@pytest.mark.parametrize("recipe", MISFITS)
def test_recipes_that_the_layout_has_not(source: Path, tmp_path: Path, recipe: str) -> None:
    text = "recipe must be one that the layout compressed-tensors stores .*, got "
    with pytest.raises(ValueError, match=text + ".*" + MISFITS[recipe]):
        convert(source, tmp_path / "new", recipe)
    assert not (tmp_path / "new").exists()


def test_other_refusals(source: Path, tmp_path: Path) -> None:
    def refused(match: str, *arguments: Any, **options: Any) -> None:
        with pytest.raises((ValueError, TypeError), match=match):
            convert(*arguments, **options)

    new = tmp_path / "new"
    refused("it has no place for other recipes", source, new, "mxfp4", layout="modelopt")
    refused("layout must be one of compressed-tensors, modelopt, gptq, .*, got 'x'", source, new,
            "nvfp4", layout="x")  # fmt: skip
    refused("whole blocks of 48 weights", source, new, "int4/48/float16")
    refused("include must match", source, new, "nvfp4", include="nope")
    refused("exclude must match", source, new, "nvfp4", exclude="nope")
    refused("source must hold a float tensor", source, new, "nvfp4", include="*.norm.*")
    refused("progress must be a function", source, new, "nvfp4", progress=1)
    refused("executor must be", source, new, "nvfp4", executor=1)
    refused("destination must not be the folder of source", source, source, "nvfp4")
    refused("destination must not be the folder of source", source, source / "folder/..", "nvfp4")
    refused("cannot be read", tmp_path / "nope", new, "nvfp4")
    refused("must end in .safetensors", source / "tokenizer.json", new, "nvfp4")
    assert not new.exists()
    full = tmp_path / "full"
    full.mkdir()
    (full / "x").write_text("mine")
    refused("destination must be a new or empty directory", source, full, "nvfp4")
    refused("destination must be a directory", source, full / "x", "nvfp4")
    assert (full / "x").read_text() == "mine"


def test_a_model_of_another_recipe_is_refused(source: Path, tmp_path: Path) -> None:
    convert(source, tmp_path / "new", "mxfp4")
    with pytest.raises(WeightsError, match="is quantized already, as compressed-tensors mxfp4"):
        convert(tmp_path / "new", tmp_path / "again", "nvfp4")


def test_infinity_in_config_json_stays(tmp_path: Path) -> None:
    """Python writes it so, and Mamba's settings have it."""
    folder = one_shard(tmp_path / "source", {"a.weight": stored(numbers((32, 32)))})
    (folder / "config.json").write_text('{"time_step_limit": [0.0, Infinity]}')
    convert(folder, tmp_path / "new", "nvfp4")
    config = json.loads((tmp_path / "new/config.json").read_text())
    assert config["time_step_limit"] == [0, np.inf]


def test_weights_that_cannot_be_quantized_are_named(tmp_path: Path) -> None:
    bad = numbers((32, 32))
    bad[3, 4] = np.nan
    held = {"a.weight": stored(numbers((32, 32))), "b.weight": stored(bad)}
    folder = one_shard(tmp_path / "source", held)
    with pytest.raises(ValueError, match=r"'b.weight' cannot be quantized: w must be finite"):
        convert(folder, tmp_path / "new", "mxfp4")
    assert not (tmp_path / "new/model.safetensors").exists()
    assert not (tmp_path / "new/config.json").exists()
    convert(folder, tmp_path / "new", "mxfp4", exclude="b.weight")  # goes on in that folder
    back = open_checkpoint(tmp_path / "new")
    assert np.isnan(np.asarray(back["b.weight"])[3, 4])


def test_names_that_clash(tmp_path: Path) -> None:
    held = {"a.weight": stored(numbers((32, 32))), "a.weight_shape": stored(np.ones(2))}
    folder = one_shard(tmp_path / "source", held)
    with pytest.raises(ValueError, match=r"must not hold a tensor named 'a\.weight_shape'"):
        convert(folder, tmp_path / "new", "int4/32/float16")


def test_hostile_files(tmp_path: Path) -> None:
    def hostile(name: str, weight_map: dict[str, str]) -> Path:
        folder = one_shard(tmp_path / name, {"a.weight": stored(numbers((32, 32)))})
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
        return folder

    def refused(folder: Path, match: str) -> None:
        with pytest.raises(WeightsError, match=match):
            convert(folder, tmp_path / "new", "mxfp4")
        assert not (tmp_path / "new").exists()

    refused(hostile("a", {"a.weight": "../b/model.safetensors"}), "outside its directory")
    refused(hostile("b", {"a.weight": "/etc/passwd"}), "outside its directory")
    refused(hostile("c", {"a.weight": "conversion.json"}), "must be .safetensors files")
    refused(hostile("d", {"b.weight": "model.safetensors"}), "index and shards disagree")
    refused(hostile("e", {}), "names no shard")
    folder = hostile("f", {"a.weight": "model.safetensors", "b.weight": "g/model.safetensors"})
    (folder / "g").mkdir()
    write(folder / "g", {"b.weight": stored(numbers((32, 32)))})
    refused(folder, "names two shards alike")


def test_a_hostile_record_is_refused(source: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    for text in ("", "[]", "{}", '{"shards": {"../x": {}}}', '{"shards": 1, "complete": 1}'):
        new.mkdir(exist_ok=True)
        (new / "conversion.json").write_text(text)
        with pytest.raises(WeightsError, match=r"conversion.json"):
            convert(source, new, "mxfp4")


def test_tensors_are_what_the_models_say() -> None:
    """So that the tests above are about as many tensors as they seem to be."""
    assert sum(map(len, tensors().values())) == 7

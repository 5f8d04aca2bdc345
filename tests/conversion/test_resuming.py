"""A conversion that was killed goes on where it was, and never looks finished before."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from minifloat.conversion import convert
from minifloat.files import WeightsError
from minifloat.files.checkpoints import open_checkpoint
from tests.conversion.models import LAYERS, SECOND, model, numbers, one_shard
from tests.files.checkpoints.by_hand import stored

FIRST, LAST = LAYERS
RECORD = "conversion.json"
KILLED = """
import os, signal, sys
from concurrent.futures import ProcessPoolExecutor
from minifloat.conversion import convert

def main():
    def progress(done, everything):
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    source, new, left, recipe, layout, kind = sys.argv[1:]
    left, executor = int(left), None
    if kind == "processes":
        executor = ProcessPoolExecutor(2)
    elif kind == "dask":
        from distributed import Client, LocalCluster
        cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
        executor = Client(cluster).get_executor()
    convert(source, new, recipe, layout=layout, executor=executor, progress=progress)

if __name__ == "__main__":
    main()
"""
LAYOUTS = {  # what is written, and a recipe of it
    "compressed-tensors": "nvfp4",
    "modelopt": "nvfp4",
    "gptq": "int4/32/float16",
    "gptq_v2": "uint3/64/float16/zero-point",
    "awq": "uint4/64/float16/zero-point",
    "fpe2m2": "fpe2m2",
    "minifloat": "qlora",
    "gguf": "mxfp4",
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return model(tmp_path / "source")


def killed(
    source: Path,
    new: Path,
    after: int,
    recipe: str = "nvfp4",
    layout: str = "compressed-tensors",
    kind: str = "",
) -> None:
    """Convert in another process, which is killed after so many tensors."""
    script = new.parent / "convert.py"
    script.write_text(KILLED)
    command = [sys.executable, str(script), str(source), str(new), str(after), recipe, layout, kind]
    process = subprocess.Popen(command, cwd=Path.cwd(), start_new_session=True)
    assert process.wait() == -signal.SIGKILL
    with suppress(ProcessLookupError):  # its workers
        os.killpg(process.pid, signal.SIGKILL)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != RECORD}


@pytest.mark.parametrize(("after", "kept"), [(1, ()), (2, ()), (3, (FIRST,))])
def test_killed_and_run_again(
    source: Path, tmp_path: Path, after: int, kept: tuple[str, ...]
) -> None:
    new = tmp_path / "new"
    killed(source, new, after)
    unfinished = [path for path in new.iterdir() if path.name.endswith(".new")]
    assert len(unfinished) == 1
    assert not (new / "config.json").exists()
    assert not (new / LAST).exists()
    with pytest.raises(WeightsError):
        open_checkpoint(new)
    facts = {name: (new / name).stat() for name in kept}
    result = convert(source, new, "nvfp4")
    assert result.kept == kept
    assert facts == {name: (new / name).stat() for name in kept}
    whole = convert(source, tmp_path / "whole", "nvfp4")
    assert contents(new) == contents(tmp_path / "whole")
    assert result.errors == whole.errors


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_goes_on(source: Path, tmp_path: Path, layout: str) -> None:
    """A .gguf file is one for all shards, and so begins anew."""
    recipe, new = LAYOUTS[layout], tmp_path / "new"

    def die(done: int, everything: int) -> None:
        if done == everything:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(source, new, recipe, layout=layout, progress=die)
    assert not list(new.glob("config.json")) + list(new.glob("model.gguf"))
    result = convert(source, new, recipe, layout=layout)
    assert result.kept == (() if layout == "gguf" else (FIRST,))
    whole = convert(source, tmp_path / "whole", recipe, layout=layout)
    assert contents(new) == contents(tmp_path / "whole")
    assert result.errors == whole.errors
    assert convert(source, new, recipe, layout=layout).kept == tuple(
        name for name in (FIRST, LAST, "model.gguf") if (new / name).exists()
    )


@pytest.mark.parametrize("kind", ["processes", pytest.param("dask", marks=pytest.mark.long)])
def test_killed_with_workers_and_run_again(source: Path, tmp_path: Path, kind: str) -> None:
    if kind == "dask":
        pytest.importorskip("distributed")
    new = tmp_path / "new"
    killed(source, new, 2, kind=kind)
    assert not (new / "config.json").exists()
    assert not (new / FIRST).exists()
    assert [path.name for path in new.iterdir() if path.name.endswith(".new")]
    convert(source, new, "nvfp4")
    convert(source, tmp_path / "whole", "nvfp4")
    assert contents(new) == contents(tmp_path / "whole")


def test_a_whole_model_is_kept(source: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    first = convert(source, new, "nvfp4")
    before = contents(new)
    again = convert(source, new, "nvfp4")
    assert again.kept == (FIRST, LAST)
    assert again.errors == first.errors
    assert contents(new) == before
    with pytest.raises(ValueError, match="destination must be a new or empty directory, or hold"):
        convert(source, new, "mxfp4")
    assert contents(new) == before


def interrupted(source: Path, new: Path, layout: str = "compressed-tensors") -> None:
    """Make a folder as a conversion leaves it that was killed at its very end."""
    convert(source, new, "nvfp4", layout=layout)
    record = json.loads((new / RECORD).read_text())
    record["complete"] = False
    (new / RECORD).write_text(json.dumps(record))


def test_shards_that_are_not_whole_are_written_again(source: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    convert(source, new, "nvfp4")
    before = contents(new)
    data = (new / FIRST).read_bytes()
    (new / FIRST).write_bytes(data[:-1])
    assert convert(source, new, "nvfp4").kept == (LAST,)
    status = (new / FIRST).stat()
    (new / FIRST).write_bytes(data[:-1] + b"\x55")
    os.utime(new / FIRST, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert convert(source, new, "nvfp4").kept == (LAST,)
    (new / LAST).unlink()
    assert convert(source, new, "nvfp4").kept == (FIRST,)
    assert contents(new) == before


def test_what_the_bytes_depend_on(source: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    interrupted(source, new)
    assert convert(source, new, "nvfp4").kept == (FIRST, LAST)
    interrupted(source, tmp_path / "a")
    assert convert(source, tmp_path / "a", "mxfp4").kept == ()
    interrupted(source, tmp_path / "b")
    assert convert(source, tmp_path / "b", "nvfp4", layout="modelopt").kept == ()
    interrupted(source, tmp_path / "c")
    assert convert(source, tmp_path / "c", "nvfp4", exclude=LAYERS[LAST][0]).kept == (FIRST,)
    interrupted(source, tmp_path / "e")
    np.savez(tmp_path / "h.npz", **{SECOND: np.eye(128)})
    hessians = tmp_path / "h.npz"
    assert convert(source, tmp_path / "e", "nvfp4", hessians=hessians).kept == ()
    status = (source / FIRST).stat()
    os.utime(source / FIRST, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    interrupted_again = tmp_path / "d"
    interrupted(source, interrupted_again)
    os.utime(source / LAST, ns=(status.st_atime_ns, status.st_mtime_ns + 2))
    assert convert(source, interrupted_again, "nvfp4").kept == (FIRST,)


def test_metadata_from_config_json_belongs_to_the_bytes(source: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    interrupted(source, new, "gguf")
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps(config | {"model_type": "qwen3"}))
    assert convert(source, new, "nvfp4", layout="gguf").kept == ()
    assert convert(source, new, "nvfp4", layout="gguf").kept == ("model.gguf",)


def test_no_old_config_stays_beside_new_shards(source: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    interrupted(source, new)
    assert (new / "config.json").exists()
    with pytest.raises(KeyboardInterrupt):
        convert(source, new, "mxfp4", progress=_interrupt)
    assert not (new / "config.json").exists()
    assert convert(source, new, "mxfp4").kept == ()


def _interrupt(done: int, everything: int) -> None:
    raise KeyboardInterrupt


def test_a_folder_of_another_model_is_refused(source: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    killed(source, new, 3)
    before = contents(new)
    other = one_shard(tmp_path / "other", {"a.weight": stored(numbers((32, 32)))})
    with pytest.raises(ValueError, match="which holds another"):
        convert(other, new, "nvfp4")
    assert contents(new) == before

"""A conversion that was killed goes on where it was, and never looks finished before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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
import os, sys
from minifloat.conversion import convert
left = int(sys.argv[3])
def progress(done, everything):
    global left
    left -= 1
    if not left:
        os._exit(9)  # as a kill does: nothing is tidied up
convert(sys.argv[1], sys.argv[2], "nvfp4", progress=progress)
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return model(tmp_path / "source")


def killed(source: Path, new: Path, after: int) -> None:
    """Convert in another process, which dies after so many tensors."""
    command = [sys.executable, "-c", KILLED, str(source), str(new), str(after)]
    assert subprocess.run(command, check=False).returncode == 9


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


def interrupted(source: Path, new: Path) -> None:
    """Make a folder as a conversion leaves it that was killed at its very end."""
    convert(source, new, "nvfp4")
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

"""The files of the new model: shards, one after another, then those that loaders begin with."""

from __future__ import annotations

import hashlib
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._paths import replacing
from minifloat.comparison.records import TensorErrors
from minifloat.conversion import record
from minifloat.conversion.change import Job
from minifloat.conversion.layouts import LAYOUTS
from minifloat.conversion.plan import NewShard, Plan
from minifloat.files import open_weights
from minifloat.files.checkpoints.config import json_file
from minifloat.files.checkpoints.model import Model
from minifloat.files.checkpoints.stored import Stored
from minifloat.quantization.recipes import Recipe

VERSION = 2  # of what is written; a shard of another version is written again
IN_FLIGHT = 8  # tensors handed to an executor and not yet written
CONFIG = "config.json"
TELL = ("hf_quant_config.json", "quantize_config.json", "quant_config.json")  # of the quantization

Result = tuple[list[Stored], TensorErrors]


@dataclass(frozen=True)
class Settings:
    """How a model is converted."""

    recipe: Recipe
    layout: str
    hessians: Path | None


class Writer:
    """Writes shards into a folder, and keeps its record up to date.

    Parameters
    ----------
    folder : Path
    settings : Settings
    plan : Plan
    executor : concurrent.futures.Executor or None
    progress : callable or None
        Called with the weights done and all weights to quantize.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        plan: Plan,
        executor: Executor | None,
        progress: Callable[[int, int], object] | None,
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._plan = plan
        self._executor = executor
        self._progress = progress
        self._weights_done = 0
        self._all_weights = sum(each.info.parameters for each in plan.changes)
        self._hessians = _Hessians(settings.hessians, plan)
        words = {"recipe": str(settings.recipe), "layout": settings.layout}
        self._record = record.Record(words, complete=False, shards={})

    def begin(self, source: Path) -> None:
        """Make the folder, or take the one that an interrupted conversion left.

        Raises
        ------
        ValueError
            If it is that of the source, or holds something else.
        """
        folder = self._folder
        if folder.exists() and folder.samefile(source):
            raise ValueError(
                f"destination must not be the folder of source, got {folder}; name another"
            )
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"destination must be a directory, got {folder}; name another")
        folder.mkdir(parents=True, exist_ok=True)
        _remove_unfinished(folder, record.NAME)
        old = record.read(folder)
        if old is None and any(folder.iterdir()):
            raise ValueError(
                f"destination must be a new or empty directory, got {folder}; name another"
            )
        if old is not None:
            self._check_mine(old)
            self._record.shards = old.shards
            (folder / CONFIG).unlink(missing_ok=True)
        self._record.write(folder)

    def _check_mine(self, old: record.Record) -> None:
        """Refuse a folder of another model, and a whole model that would be written otherwise."""
        shards = {shard.name: shard for shard in self._plan.shards}
        is_other = old.shards.keys() - shards.keys()
        is_whole = all(
            name in old.shards and old.shards[name].made_of == self._made_of(shard)
            for name, shard in shards.items()
        )
        if is_other or (old.complete and not is_whole):
            raise ValueError(
                "destination must be a new or empty directory, or hold an interrupted conversion "
                f"of this model, got {self._folder}, which holds another; name another"
            )

    def write(self, shard: NewShard) -> bool:
        """Write a shard, unless it is there already; return whether it was written."""
        path, made_of = self._folder / shard.name, self._made_of(shard)
        done = self._record.shards.get(shard.name)
        if done is not None and done.is_whole(path, made_of):
            self._advance(sum(change.info.parameters for change in shard.changes))
            return False
        _remove_unfinished(self._folder, shard.name)
        tensors = []
        places = {entry.name: entry for entry in shard.header.entries}
        with replacing(path) as file:

            def put(stored: Stored) -> None:
                place = places.pop(stored.name)
                data = stored.read()
                assert (stored.dtype, stored.shape) == (place.dtype, place.shape)
                assert data.nbytes == place.end - place.begin
                file.seek(place.begin)
                file.write(data.data)

            file.write(shard.header.data)
            for stored in shard.copied:
                put(stored)
            for parts, error in self._results(shard):
                for stored in parts:
                    put(stored)
                tensors.append(error)
                self._advance(error.parameters)
            assert not places
            file.truncate(shard.header.size)
        facts = record.facts_of(path)
        self._record.shards[shard.name] = record.Done(made_of, facts, tuple(tensors))
        self._record.write(self._folder)
        return True

    def finish(self) -> tuple[TensorErrors, ...]:
        """Say in the record that the model is whole; return the errors in file order."""
        self._record.complete = True
        self._record.write(self._folder)
        done = (self._record.shards[shard.name] for shard in self._plan.shards)
        return tuple(tensor for each in done for tensor in each.tensors)

    def _results(self, shard: NewShard) -> Iterator[Result]:
        """Yield the results in the order of the tasks, at most `IN_FLIGHT` of them under way."""
        jobs = (
            Job(
                change,
                self._settings.recipe,
                self._settings.layout,
                self._hessians.of(change.info.name),
            )
            for change in shard.changes
        )
        if self._executor is None:
            yield from (job() for job in jobs)
            return
        pending: deque[Future[Result]] = deque()
        try:
            for job in jobs:
                if len(pending) == IN_FLIGHT:
                    yield pending.popleft().result()
                pending.append(self._executor.submit(Job.__call__, job))
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

    def _made_of(self, shard: NewShard) -> dict[str, Any]:
        """Return all that the bytes of a shard depend on, as JSON holds it."""
        return {
            "version": VERSION,
            "recipe": str(self._settings.recipe),
            "layout": self._settings.layout,
            "source": [list(source.facts) for source in shard.sources],
            "beside": [list(facts) for facts in dict.fromkeys(_beside(shard))],
            "hessians": self._hessians.facts,
            "tensors": [change.info.name for change in shard.changes],
            "header": hashlib.sha256(shard.header.data).hexdigest(),
        }

    def _advance(self, weights: int) -> None:
        self._weights_done += weights
        if self._progress is not None:
            self._progress(self._weights_done, self._all_weights)


def _beside(shard: NewShard) -> Iterator[tuple[int, int]]:
    """Yield the facts of all shards that hold what is fused with a tensor of this one."""
    for change in shard.changes:
        yield from change.beside


class _Hessians:
    """The Hessians of a file, by the names of the weights."""

    def __init__(self, path: Path | None, plan: Plan) -> None:
        self.facts: list[int] | None = None
        self._loaders: dict[str, Callable[[], NDArray[np.floating[Any]]]] = {}
        if path is None:
            return
        file = open_weights(path)
        self.facts = list(record.facts_of(path))
        wanted = {change.info.name for change in plan.changes if not change.is_held}
        for name in file.names():
            if name not in wanted:
                raise ValueError(
                    f"hessians must be named as the tensors that are quantized, got {name!r} in "
                    f"{path}; rename or remove it"
                )
            self._loaders[name] = file.loader(name)

    def of(self, name: str) -> Callable[[], NDArray[np.floating[Any]]] | None:
        return self._loaders.get(name)


def write_others(folder: Path, model: Model, plan: Plan, settings: Settings) -> None:
    """Copy the files that hold no weights, and write those that say what the weights are.

    config.json goes last: without it no loader takes the folder for a model.
    """
    layout = LAYOUTS[settings.layout]
    if not layout.container.copies_others:
        return
    config: dict[str, Any] = {}
    for path in model.others:
        if path.name == CONFIG:
            config = json_file(path)
        elif path.name not in (record.NAME, *TELL):
            _copy(path, folder / path.name)
    for name, content in layout.more(settings.recipe, plan.left_out).items():
        record.write_json(folder / name, content)
    if model.index:
        entries = [(entry, shard.name) for shard in plan.shards for entry in shard.header.entries]
        content = {
            "metadata": {"total_size": sum(entry.end - entry.begin for entry, _ in entries)},
            "weight_map": {entry.name: name for entry, name in entries},
        }
        record.write_json(folder / model.index, content)
    config["quantization_config"] = layout.settings(settings.recipe, plan.left_out)
    record.write_json(folder / CONFIG, config)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as old, replacing(target) as new:
        shutil.copyfileobj(old, new)


def _remove_unfinished(folder: Path, name: str) -> None:
    """Remove what `replacing` leaves of a file when the process is killed."""
    for path in folder.iterdir():
        if path.name.startswith(f".{name[:40]}.") and path.name.endswith(".new"):
            with suppress(FileNotFoundError):
                path.unlink()

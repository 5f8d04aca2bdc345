"""A model quantized into the layout of another tool, file by file.

`convert` reads a model and writes one that other programs load: its shards, the
`quantization_config` of config.json, the files beside it, and the error of each tensor. Read in
this order:

    layouts/      what each layout stores, and its settings
    containers    .safetensors files; gguf_files and gguf_names: llama.cpp's
    plan          which tensors are quantized, and where each goes
    experts, fused, held    tensors of three dimensions, with a common scale, quantized already
    change        the work on one tensor
    writing       the files, one after another; record: what is done already
    result        what is reported
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from os import PathLike
from typing import TypeAlias

from minifloat._paths import file_path
from minifloat.comparison import summed
from minifloat.comparison.records import TensorErrors
from minifloat.comparison.result import Comparison
from minifloat.comparison.selection import patterns
from minifloat.conversion.layouts import LAYOUTS
from minifloat.conversion.layouts.layout import not_stored
from minifloat.conversion.plan import planned
from minifloat.conversion.result import Conversion
from minifloat.conversion.writing import Settings, Writer, write_others
from minifloat.files.checkpoints.model import open_model
from minifloat.formats import NumberFormat
from minifloat.quantization.recipes import Recipe

__all__ = ["Conversion", "convert"]

PathName: TypeAlias = str | PathLike[str]
Patterns: TypeAlias = str | Sequence[str]


def convert(
    source: PathName,
    destination: PathName,
    recipe: Recipe | NumberFormat | str,
    *,
    layout: str = "compressed-tensors",
    include: Patterns | None = None,
    exclude: Patterns | None = None,
    hessians: PathName | None = None,
    executor: Executor | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Conversion:
    """Quantize a model and write it in a layout that other tools load.

    Quantized are matrices of floats named ``*.weight``, without those of embeddings, routers of
    experts and the last layer (`minifloat.conversion.plan.NO_LAYERS`), which loaders expect as they
    are; with ``include``, the matrices that it names; and experts that are one tensor of three
    dimensions, where the layout has a place for them. All other tensors are copied bit for bit
    (vectors as float32 in .gguf files). Weights that are quantized already, by the same recipe, are
    not rounded again: their codes and scales go into the new layout. Layers that vLLM fuses share
    one tensor scale in the layouts that it reads.

    Each shard is written whole or not at all, and config.json last, so that no loader takes an
    unfinished model. Called again after an interruption, the function keeps each shard that it had
    finished: conversion.json in ``destination`` lists them, with all that their bytes depend on
    (recipe, layout, names of the tensors, size and time of change of the files) and with their own
    size and time of change. Memory is a few times that of the largest tensor; with an executor, of
    eight of them.

    Parameters
    ----------
    source : path
        A directory with .safetensors files, an .index.json or a .safetensors file. Of a directory,
        the files that are no weights are copied; folders and hidden files are not.
    destination : path
        A directory, which is made: new, empty, or one that an interrupted conversion left.
    recipe : Recipe, format or str
        One that the layout stores.
    layout : str
        "compressed-tensors", which vLLM and transformers read; "modelopt", for nvfp4; "gptq",
        "gptq_v2", "awq", for integers with float16 scales; "gpt-oss", for mxfp4 experts; "gguf",
        one file for llama.cpp; "minifloat", for every recipe.
    include, exclude : str, or sequence of str, optional
        Names of tensors, or shell patterns for them: those to quantize, and those of them to copy
        as they are. Each must match a tensor.
    hessians : path, optional
        A file of arrays, each named as a tensor of ``source``: the Hessian of its layer's inputs,
        for `minifloat.gptq`. Tensors without one are rounded to nearest.
    executor : concurrent.futures.Executor, optional
        Threads, processes or a Dask client's ``get_executor()``: each tensor is one task. The
        result is the same.
    progress : callable, optional
        Called with the weights done and all weights to quantize, after each tensor.

    Returns
    -------
    Conversion

    Raises
    ------
    ValueError
        If the layout does not store the recipe, or weights of such a shape; if a pattern matches
        no tensor, or leaves out weights that are quantized already; if ``destination`` is that of
        the source, or of something else; if weights cannot be quantized (the message names them).
    WeightsError
        If a file cannot be read, or the model is quantized already, by another recipe (a ValueError
        too).
    OSError
        If a file cannot be written.
    TypeError
        If an argument has another type.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from safetensors.numpy import save_file
    >>> from minifloat.conversion import convert
    >>> from minifloat.files.checkpoints import open_checkpoint
    >>> folder = tempfile.TemporaryDirectory()
    >>> model, new = os.path.join(folder.name, "model"), os.path.join(folder.name, "new")
    >>> os.mkdir(model)
    >>> save_file(
    ...     {"up.weight": np.eye(32, dtype="f4"), "norm.weight": np.ones(32, "f4")},
    ...     os.path.join(model, "model.safetensors"),
    ... )
    >>> convert(model, new, "mxfp4").errors.total.errors[0].sqnr_db
    inf
    >>> open_checkpoint(new)["up.weight"]
    <Quantized e2m1/32/e8m0 (32, 32): 4.25 bits per weight, axis 1>
    >>> folder.cleanup()
    """
    source, folder = file_path("source", source), file_path("destination", destination)
    recipe = Recipe.parse(recipe)
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, got {layout!r}")
    if progress is not None and not callable(progress):
        raise TypeError(f"progress must be a function or None, got {progress!r}")
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise TypeError(f"executor must be a concurrent.futures.Executor or None, got {executor!r}")
    wanted = None if include is None else patterns("include", include)
    unwanted = [] if exclude is None else patterns("exclude", exclude)
    if recipe.flag is not None and layout != "minifloat":
        raise not_stored(layout, "one format", recipe, "flag that tells formats of blocks apart")
    LAYOUTS[layout].settings(recipe, ())  # refuses recipes that it does not store
    model = open_model(source)
    plan = planned(model, recipe, LAYOUTS[layout], wanted, unwanted)
    settings = Settings(
        recipe, layout, None if hessians is None else file_path("hessians", hessians)
    )
    writer = Writer(folder, settings, plan, executor, progress)
    writer.begin(model.folder)
    kept = tuple(shard.name for shard in plan.shards if not writer.write(shard))
    write_others(folder, model, plan, settings)
    tensors = writer.finish()
    total = TensorErrors("", "total", "", (), summed(tensors))
    errors = Comparison(str(source), (recipe,), -1, tensors, total, ())
    return Conversion(str(folder), layout, errors, plan.copied, plan.dropped, kept)

"""Measure recipes on models, or let one write, hear or see: `python -m analysis.models --help`.

The table goes to stdout, progress and missing packages to stderr. The exit code is 0, 1 if a model
was left out because a package is missing, 2 after an error, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import minifloat as mf
from analysis.models import one_input
from analysis.models.evaluation import RECIPES, Result
from analysis.models.packages import MissingPackage, require
from analysis.models.result_tables import records, tables
from analysis.output import write_files
from minifloat.cli.terminal import progress_bar
from minifloat.quantization.recipes import Recipe

MODULES = ("smollm2", "minilm", "textgenrnn", "recogniser", "voice_activity", "speech", "images")
COVERED = (
    "± is one standard error over the items, in one grouping of the input channels. It leaves out\n"
    "the draw of the rounding errors, often twice as much: see python -m analysis.claims."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; default those of the process.

    Returns
    -------
    int

    Raises
    ------
    SystemExit
        From `argparse`, for wrong arguments.
    """
    options = _parser().parse_args(argv)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        return 130
    except (ValueError, OSError, MissingPackage) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m analysis.models",
        description="Measure what each recipe costs models of text, images and sound.",
    )
    parser.set_defaults(run=_evaluate)
    names = ", ".join(MODULES)
    add = parser.add_argument
    add("--only", action="append", choices=MODULES, metavar="NAME", help=f"of {names}; repeatable")
    add("--recipes", default=",".join(RECIPES), help="separated by commas (%(default)s)")
    add("--json", metavar="FILE", help="write all figures there; - for stdout, without the table")
    add("--resume", action="store_true", help="measure only what the file of --json lacks")
    own = parser.add_argument_group("of SmolLM2, with --only smollm2")
    own.add_argument("--activations", default="", metavar="RECIPE", help="of all matrices' inputs")
    own.add_argument("--cache", default="", metavar="RECIPE", help="of keys and values")
    own.add_argument("--unit", default="", metavar="NAME", help="that multiplies, in emulation")
    own.add_argument("--chunks", type=int, metavar="N", help="of each text, 2 to 24 (24)")
    commands = parser.add_subparsers(metavar="{llama,generate,transcribe,classify}")
    text = "Measure what each recipe costs a Llama of your own, layer by layer in bounded memory."
    sub = commands.add_parser("llama", help=text, description=text)
    sub.set_defaults(run=_llama)
    add = sub.add_argument
    add("--weights", type=Path, required=True, help="a .gguf file, or a folder of .safetensors")
    add("--tokenizer", type=Path, required=True, help="its tokenizer.json")
    add("--text", type=Path, help="a text in UTF-8; default: those of SmolLM2")
    add("--recipes", default=",".join(RECIPES), help="separated by commas (%(default)s)")
    add("--json", metavar="FILE", help="write all figures there; - for stdout, without the table")
    one_input.add_commands(commands)
    return parser


def _recipes(options: argparse.Namespace) -> list[Recipe]:
    """Return the recipes; raise an error now rather than after minutes."""
    recipes = [Recipe.parse(text) for text in options.recipes.split(",")]
    if options.json and not Path(options.json).absolute().parent.is_dir():
        raise ValueError(f"--json must be a file in a folder that exists, got {options.json!r}")
    for recipe in recipes:
        mf.quantize([[-1.0, 1.0]], recipe)
    return recipes


def _evaluate(options: argparse.Namespace) -> int:
    recipes = _recipes(options)
    chosen = list(dict.fromkeys(options.only or MODULES))
    special = _special(options, chosen)
    known = _known(options.json, special) if options.resume else []
    results: list[Result] = []
    missing: dict[str, str] = {}
    for name in chosen:
        module = import_module(f"analysis.models.{name}")
        measured = [result for result in known if result.model == module.MODEL]
        have = {result.recipe for result in measured}
        todo = [recipe for recipe in recipes if str(recipe) not in have]
        try:
            if todo:
                require(module.FILES)
                with progress_bar(module.MODEL) as progress:
                    found = module.evaluate(todo, progress=progress, **special)
                measured += [result for result in found if result.recipe not in have]
        except MissingPackage as error:
            missing[module.MODEL] = str(error)
            print(f"{module.MODEL} is left out: {error}", file=sys.stderr)
            continue
        results += measured
        _print(measured, options)
        if options.json not in (None, "-"):
            _write(options.json, results, missing, special)
    if options.json:
        _write(options.json, results, missing, special)
    if results and options.json != "-":
        print(COVERED)
    return 1 if missing else 0


def _print(results: Sequence[Result], options: argparse.Namespace) -> None:
    if options.json != "-":
        for table in tables(results):
            print(table.text(), end="\n\n", flush=True)


def _special(options: argparse.Namespace, chosen: Sequence[str]) -> dict[str, Any]:
    """Return what SmolLM2 alone takes, as arguments of its `evaluate`."""
    setting = {name: getattr(options, name) for name in ("activations", "cache", "unit")}
    if not any(setting.values()) and options.chunks is None:
        return {}
    if chosen != ["smollm2"]:
        raise ValueError(
            f"activations, cache, unit and chunks must go with --only smollm2, got models "
            f"{', '.join(chosen)}"
        )
    from analysis.models.settings import Setting
    from analysis.models.smollm2 import CHUNKS

    count = CHUNKS if options.chunks is None else options.chunks
    if not 2 <= count <= CHUNKS:
        raise ValueError(f"--chunks must be 2 to {CHUNKS}, got {count}")
    return {"setting": Setting(**setting), "chunks_of_each": count}


def _known(target: str | None, special: dict[str, Any]) -> list[Result]:
    """Return the results of an earlier run, with the same options, that its file holds."""
    if target in (None, "-"):
        raise ValueError(f"--resume must go with --json FILE, got {target!r}")
    assert target is not None
    file = Path(target)
    if not file.exists():
        return []
    names = [field.name for field in fields(Result)]
    try:
        written = json.loads(file.read_text(encoding="utf-8"))
        rows = [{name: record[name] for name in names} for record in written["results"]]
        found = [Result(**{**row, "items": tuple(row["items"])}) for row in rows]
        theirs = written["options"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{file} must be a file of --json, got {type(error).__name__}: {error}"
        ) from None
    if theirs != _shown(special):
        raise ValueError(f"{file} must be of the same options to resume, got one of {theirs}")
    return found


def _write(
    target: str, results: Sequence[Result], missing: dict[str, str], special: dict[str, Any]
) -> None:
    written = {"options": _shown(special), "results": records(results), "missing": missing}
    text = json.dumps(written, indent=1)
    if target == "-":
        print(text)
    else:
        file = Path(target)
        write_files(file.parent, {file.name: f"{text}\n".encode()})


def _shown(special: dict[str, Any]) -> dict[str, Any]:
    """Return the options of SmolLM2 as they stand in JSON."""
    return special | {"setting": special["setting"].name} if special else {}


def _llama(options: argparse.Namespace) -> int:
    from analysis.models import llama_files, own_llama

    recipes = _recipes(options)
    file = llama_files.open_llama(options.weights)
    tokenizer = own_llama.tokenizer_of(options.tokenizer)
    texts = own_llama.texts_of(options.text)
    chunks = {name: own_llama.chunks_of(text, tokenizer) for name, text in texts.items()}
    name = options.weights.resolve().name
    with progress_bar(name) as progress:
        results = own_llama.evaluate(file, recipes, chunks, name=name, progress=progress)
    _print(results, options)
    if options.json:
        _write(options.json, results, {}, {})
    return 0

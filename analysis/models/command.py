"""Measure recipes on models, or let one write, hear or see: `python -m analysis.models --help`.

The table goes to stdout, progress and missing packages to stderr. The exit code is 0, 1 if a model
was left out because a package is missing, 2 after an error, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any

import minifloat as mf
from analysis.models.evaluation import RECIPES, REFERENCE, Result, difference
from analysis.models.packages import MissingPackage, require
from analysis.output import write_files
from analysis.statistics import Estimate
from minifloat.cli.terminal import Table, progress_bar
from minifloat.quantization.recipes import Recipe

MODULES = ("smollm2", "minilm", "textgenrnn", "recogniser", "voice_activity", "speech", "images")
COMPARED = ("fp32", "int")  # what a result is compared with; "int" is that of `_integer`
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
    commands = parser.add_subparsers(metavar="{generate,llama,transcribe,classify}")
    text = "Let SmolLM2 continue a text, greedily."
    sub = commands.add_parser("generate", help=text, description=text)
    sub.set_defaults(run=_generate)
    sub.add_argument("prompt")
    sub.add_argument("--recipe", default="e2m2", help="of the weights, or fp32 (%(default)s)")
    sub.add_argument("--tokens", type=int, default=64, help="at most (%(default)s)")
    text = "Measure what each recipe costs a Llama of your own, layer by layer in bounded memory."
    sub = commands.add_parser("llama", help=text, description=text)
    sub.set_defaults(run=_llama)
    add = sub.add_argument
    add("--weights", type=Path, required=True, help="a .gguf file, or a folder of .safetensors")
    add("--tokenizer", type=Path, required=True, help="its tokenizer.json")
    add("--text", type=Path, help="a text in UTF-8; default: those of SmolLM2")
    add("--recipes", default=",".join(RECIPES), help="separated by commas (%(default)s)")
    add("--json", metavar="FILE", help="write all figures there; - for stdout, without the table")
    text = "Print what is said in a recording, in English, as Whisper hears it."
    sub = commands.add_parser("transcribe", help=text, description=text)
    sub.set_defaults(run=_transcribe)
    sub.add_argument("file", type=Path, help="a WAV file of 16 bits a sample")
    sub.add_argument("--recipe", default="e2m2", help="of the weights, or fp32 (%(default)s)")
    text = "Print the five classes of ImageNet that EfficientNet-Lite0 takes for likeliest."
    sub = commands.add_parser("classify", help=text, description=text)
    sub.set_defaults(run=_classify)
    sub.add_argument("file", type=Path, help="a PNG or JPEG file, of which the middle is seen")
    sub.add_argument("--recipe", default="e2m2", help="of the weights, or fp32 (%(default)s)")
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


def _generate(options: argparse.Namespace) -> int:
    from analysis.models import smollm2

    model, words = smollm2.load(), smollm2.tokenizer()
    if options.recipe != REFERENCE:
        model = model.quantized(options.recipe)
    pieces = smollm2.generate(model, words, options.prompt, options.tokens)
    print(options.prompt, end="", flush=True)
    times = []
    for piece in pieces:
        print(piece, end="", flush=True)
        times.append(time.perf_counter())
    print()
    if len(times) > 1:  # the time of the first token includes the prompt
        speed = (len(times) - 1) / (times[-1] - times[0])
        print(f"{options.recipe}: {speed:.1f} tokens/s on one thread", file=sys.stderr)
    return 0


def _transcribe(options: argparse.Namespace) -> int:
    from analysis.models import log_mel, recordings, transcription

    samples = recordings.speech_of(options.file, log_mel.RATE)
    model, tokens = transcription.load(), transcription.vocabulary()
    if options.recipe != REFERENCE:
        model = model.quantized(options.recipe)
    start = time.perf_counter()
    for text in transcription.transcribe(model, tokens, samples):
        print(text, flush=True)
    seconds = time.perf_counter() - start
    length = len(samples) / log_mel.RATE
    print(
        f"{options.recipe}: {length:.1f} s of speech in {seconds:.1f} s on one thread",
        file=sys.stderr,
    )
    return 0


def _classify(options: argparse.Namespace) -> int:
    from analysis.models import efficientnet, images, photos

    image = photos.middle_of(options.file)
    model = efficientnet.load()
    if options.recipe != REFERENCE:
        model = model.quantized(options.recipe)
    try:
        names = images.names()
    except MissingPackage as error:
        names = []
        print(f"classes have no names: {error}", file=sys.stderr)
    for number, probability in images.likeliest(model, image):
        print(f"{probability:6.1%}  {names[number] if names else f'class {number}'}")
    return 0


def _groups(results: Sequence[Result]) -> list[list[Result]]:
    """Return results of the same items together, in their first order."""

    def items(result: Result) -> tuple[str, str, str]:
        return result.model, result.data, result.metric

    order = list(dict.fromkeys(map(items, results)))
    ordered = sorted(results, key=lambda result: order.index(items(result)))
    return [list(group) for _, group in groupby(ordered, items)]


def _integer(result: Result) -> str:
    """Return the label of the symmetric integer of the same width, blocks, scales and method.

    Formats of different widths are not compared. It is "" for fp32, a codebook without a name, and
    widths that integers do not have.
    """
    try:
        recipe = Recipe.parse(result.recipe)
        rival = recipe.replace(fmt=f"int{recipe.fmt.bits}", zero_point=False)
    except ValueError:
        return ""
    return replace(result, recipe=str(rival)).label


def _over(result: Result, group: Sequence[Result]) -> dict[str, Estimate | None]:
    """Return by how much a result is worse than each of `COMPARED`; None if there is none."""
    by_label = {other.label: other for other in group}
    references = (by_label.get(label) for label in (REFERENCE, _integer(result)))
    return {
        name: difference(result, reference) if reference else None
        for name, reference in zip(COMPARED, references, strict=True)
    }


def records(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return results for JSON, with their values and how much worse they are than others.

    Parameters
    ----------
    results : sequence of Result

    Returns
    -------
    list of dict

    Raises
    ------
    ValueError
        As `difference`.
    """
    all_records = []
    for group in _groups(results):
        for result in group:
            record = asdict(result) | {"value": result.value}
            for name, over in _over(result, group).items():
                record[f"over_{name}"] = asdict(over) if over else None
            all_records.append(record)
    return all_records


def tables(results: Sequence[Result]) -> list[Table]:
    """Return the sections of the table, one for each model, data and metric.

    Parameters
    ----------
    results : sequence of Result

    Returns
    -------
    list of Table

    Raises
    ------
    ValueError
        As `difference`.
    """
    columns = (
        "recipe", "bits/weight", "MB", "peak MB", "value", *(f"over {name}" for name in COMPARED),
        "speed", "products", "note",
    )  # fmt: skip
    sections = []
    for group in _groups(results):
        first = group[0]
        title = f"{first.model} ({first.modality}), {first.data}: {first.metric}"
        rows = [
            (
                result.label,
                f"{result.bits_per_weight:.3f}",
                f"{result.nbytes / 1e6:.1f}",
                "" if result.peak_nbytes is None else f"{result.peak_nbytes / 1e6:.1f}",
                f"{result.value:.4g}",
                *map(show, _over(result, group).values()),
                f"{result.speed:.4g} {result.speed_unit}",
                "packed" if result.packed else "float32",
                result.note,
            )
            for result in group
        ]
        sections.append(Table(title, columns, ("recipe", "products", "note"), rows))
    return sections


def show(estimate: Estimate | None) -> str:
    """Return a mean and its standard error, to two digits of the error.

    Parameters
    ----------
    estimate : Estimate or None

    Returns
    -------
    str
        Empty for None, and for a result compared with itself.

    Examples
    --------
    >>> show(Estimate(-0.012345, 0.00067))
    '-0.01235 ± 0.00067'
    """
    if estimate is None or (estimate.mean, estimate.standard_error) == (0, 0):
        return ""
    digits = f"{estimate.standard_error:.1e}"  # 6.7e-04
    places = max(0, 1 - int(digits.partition("e")[2]))
    return f"{estimate.mean:+.{places}f} ± {estimate.standard_error:.{places}f}"

"""Commands that run a model on one input: SmolLM2 writes, Whisper hears, EfficientNet sees."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from analysis.models.evaluation import REFERENCE
from analysis.models.packages import MissingPackage


def add_commands(commands: Any) -> None:
    """Add them to what `argparse` returns for subcommands."""
    text = "Let SmolLM2 continue a text, greedily."
    sub = commands.add_parser("generate", help=text, description=text)
    sub.set_defaults(run=generate)
    sub.add_argument("prompt")
    sub.add_argument("--recipe", default="e2m2", help="of the weights, or fp32 (%(default)s)")
    sub.add_argument("--tokens", type=int, default=64, help="at most (%(default)s)")
    text = "Print what is said in a recording, in English, as Whisper hears it."
    sub = commands.add_parser("transcribe", help=text, description=text)
    sub.set_defaults(run=transcribe)
    sub.add_argument("file", type=Path, help="a WAV file of 16 bits a sample")
    sub.add_argument("--recipe", default="e2m2", help="of the weights, or fp32 (%(default)s)")
    text = "Print the five classes of ImageNet that EfficientNet-Lite0 takes for likeliest."
    sub = commands.add_parser("classify", help=text, description=text)
    sub.set_defaults(run=classify)
    sub.add_argument("file", type=Path, help="a PNG or JPEG file; its middle is seen")
    sub.add_argument("--recipe", default="e2m2", help="of the weights, or fp32 (%(default)s)")


def generate(options: argparse.Namespace) -> int:
    """Let SmolLM2 continue a text."""
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


def transcribe(options: argparse.Namespace) -> int:
    """Print what Whisper hears in a recording."""
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


def classify(options: argparse.Namespace) -> int:
    """Print what EfficientNet-Lite0 sees in an image."""
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

"""How long Whisper base takes for a second of speech, and how much memory.

On one thread times are of the CPU, so that other work on the machine matters less, on two threads
of the clock, and measured only where two cores are free; each is the median of `REPEATS`, on the
longest recording. NumPy has threads of its own, so float32 weights have one row. If it is
installed (``pip install ctranslate2``), CTranslate2 runs the same file beside it, with the same
recording, greedily too. A real-time factor below 1 is faster than speech.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from analysis.claims.timing import free_threads, median_seconds, product_on, threads_of
from analysis.models import transcription
from analysis.models.evaluation import Progress, counter
from analysis.models.layers import Array
from analysis.models.log_mel import RATE, log_mel
from analysis.models.packages import optional
from analysis.models.recordings import recordings
from analysis.models.whisper import Whisper
from analysis.records import Row, Rows

RECIPES = ("e2m2/128/float16", "int5/128/float16", "nf5/128/float16", "int8/128/float16")
PEER = "ctranslate2"
PEER_TYPES = ("float32", "int8")
REPEATS = 3


def records(*, quick: bool = False, progress: Progress | None = None) -> Rows:
    """Return a row for each program and kind of weights.

    Parameters
    ----------
    quick : bool
        Whether to measure the first two kinds of weights of this project alone, once.
    progress : callable, optional

    Returns
    -------
    list of dict
        With the columns program, weights, threads, seconds (of the recording), encoder (seconds),
        decoder (milliseconds for a token), real_time_factor, stored and peak (bytes; None for other
        programs).

    Raises
    ------
    MissingPackage
        If a package of the model or of the recordings is not installed.
    """
    recipes, every = (RECIPES[:1], (1,)) if quick else (RECIPES, free_threads())
    repeats = 1 if quick else REPEATS
    peers = PEER_TYPES if find_spec(PEER) and not quick else ()
    samples = max((recording.samples(RATE) for recording in recordings()), key=len)
    step = counter(progress, 1 + len(recipes) + len(peers))
    rows = []
    tokens = transcription.vocabulary()
    heard = log_mel(samples)
    for weights, model in transcription.load().variants(recipes):
        for threads in threads_of(weights, every):
            used = replace(model, multiply=product_on(threads))
            encoded = used.encode(heard)
            decode = partial(transcription.greedy, used, tokens, encoded)
            count = len(decode())  # compiles the kernels
            encoder = median_seconds(partial(used.encode, heard), repeats, threads)
            decoder = median_seconds(decode, repeats, threads)
            row = _row("minifloat", weights, threads, samples, encoder, decoder, count)
            peak = model.peak(partial(_heard, used, tokens, samples))
            rows.append(row | {"stored": model.storage[1], "peak": peak})
        step()
    for kind in peers:
        for threads in every:
            row = _peer(kind, threads, samples, tokens, repeats)
            rows.append(row | {"stored": None, "peak": None})
        step()
    return rows


def _heard(model: Whisper, tokens: transcription.Vocabulary, samples: Array) -> list[str]:
    return list(transcription.transcribe(model, tokens, samples))


def _row(
    program: str, weights: str, threads: int, samples: Array, encoder: float, decoder: float,
    count: int,
) -> Row:  # fmt: skip
    length = len(samples) / RATE
    front = median_seconds(lambda: log_mel(samples), 3)
    return {
        "program": program,
        "weights": weights,
        "threads": threads,
        "seconds": round(length, 3),
        "encoder": encoder,
        "decoder": 1000 * decoder / (count + 1),  # the end is a token too
        "real_time_factor": (front + encoder + decoder) / length,
    }


def _peer(
    kind: str, threads: int, samples: Array, tokens: transcription.Vocabulary, repeats: int
) -> Row:
    program = optional(PEER)
    with TemporaryDirectory() as folder:
        transcription.write_folder(Path(folder))
        model = program.models.Whisper(folder, compute_type=kind, intra_threads=threads)
    heard = program.StorageView.from_array(np.ascontiguousarray(log_mel(samples)[None]))
    encoded = model.encode(heard)

    def decode() -> Any:
        return model.generate(encoded, [tokens.prompt], beam_size=1)[0]

    count = len(decode().sequences_ids[0])
    encoder = median_seconds(lambda: model.encode(heard), repeats, threads)
    decoder = median_seconds(decode, repeats, threads)
    return _row(f"{PEER} {program.__version__}", kind, threads, samples, encoder, decoder, count)

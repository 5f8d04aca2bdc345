"""Print docs/speech_models.md: what recipes cost a network that hears.

python -m docs.generators.speech_models > docs/speech_models.md
"""

from __future__ import annotations

from collections.abc import Iterable

from analysis.claims import speech
from docs.generators.claims import (
    how_many_bits,
    lead_sentence,
    leads,
    lossless_table,
    methods_table,
    named,
    speed_table,
)  # fmt: skip
from paper_figures.studies import saved

WIDTH = 512  # weights of a row of most matrices
BEFORE = """\
# Models of speech

Whisper base (72.6 million weights, which its package ships in float16) runs in plain NumPy: log-mel
spectrogram, encoder, decoder with its caches, greedy decoding in English without timestamps. Its
linear layers, its convolutions as products, and its token embeddings read packed weights: 98.5 % of
the numbers. On the same file CTranslate2 gives the same encoder's output and logits, within 0.001,
and the same tokens on every clip. fp32 stands for the shipped weights, computed in float32.

    apt-get install pocketsphinx-testdata asterisk-core-sounds-en-wav
    pip install --no-deps useful-moonshine-onnx==20251121
    python -m analysis.claims speech --csv FILE  # an hour on one core; goes on where FILE ends
    python -m analysis.claims speech_speed       # seconds for a second of speech; memory
    python -m docs.generators.speech_models      # this page, from docs/data/claims

The items are nine recordings of four speakers, 132 s and 289 words: a reading in five pieces,
playing cards in five pieces, a short recording, and six prompts of a telephone exchange. The design
is crossed: every grouping of the channels is measured on the same recordings. A ± is half of an
interval of 95 %, by Student's quantile, of the larger of two errors, over recordings and between
groupings ([what the verdicts mean](models.md#what-the-verdicts-mean)). A recipe is nearly lossless
("yes") if two intervals lie below 0.01, of the rise in nats per token and of the words that change.
It is not ("no") if one of them lies above. Otherwise the recordings do not decide ("open"). fp32
has 1.328 nats per token and a word error rate of 2.3 %."""

READING = """\
- **On these recordings E2M2 and INT5 are not told apart.** The grouping of the channels moves
  E2M2's divergence from 0.014 to 0.044, and INT5's from 0.015 to 0.024: in the order of the file
  alone E2M2 would seem to be ahead.
- By the divergence INT8 is 17 times nearer to fp32 than any other format here.
- Many recipes are "open": of five bits and more the transcripts of nine recordings resolve 0.03 to
  0.1 nats per token, and most of the change comes from four words of one recording, the playing
  cards.
- In the order of the file E2M1 repeats itself on one recording: two words are wrong for each that
  is said. On the eight others it changes 5 % of the words."""

METHODS = """\
## GPTQ, the two best methods, mixed precision

At equal bits, everything counted, from the records of [the table of methods](methods.md): the
divergence from fp32 in nats for each token of what fp32 hears, on the nine recordings. GPTQ sees 25
other prompts of the telephone exchange. A ± is two errors of the mean, over recordings and
groupings; where there is one grouping its deviation is that of other methods. *Allocated* is mixed
precision: each matrix gets 2.25 to 6.25 bits, so that the model loses least within the mean."""
GAINS = """\
GPTQ takes three quarters of what E2M1 loses in 4.25 bits; with a rotation, the normal codebook and
8-bit scales a tenth is left, and four bits lose no more than five by rounding to nearest. In 5.25
bits these leave 0.002 to 0.003 nats, where E2M2 by rounding to nearest has 0.018."""

SPEED = """\
## Speed

A recording of 26.7 s (`python -m analysis.claims speech_speed`), on one thread in time of the CPU,
on two by the clock; CTranslate2 runs the same file in the same run.

"""
COLUMNS = {
    "threads": ("threads", 1, 0),
    "encoder": ("encoder, s", 1, 2),
    "decoder": ("decoder, ms per token", 1, 1),
    "real_time_factor": ("seconds for a second of speech", 1, 3),
    "stored": ("stored, MB", 1e-6, 1),
    "peak": ("in memory while working, MB", 1e-6, 1),
}
AFTER = """\
The encoder has 1500 vectors for each matrix, so its products are NumPy's, and unpacking costs it
time; the decoder has one vector, and reads fewer bytes. CTranslate2's INT8 rounds the vectors, too,
and multiplies integers. A second thread gains ours a sixth: attention and sums are NumPy's, on one,
and small matrices are not shared."""


def page() -> str:
    """Return the page."""
    return "\n\n".join([BEFORE, *parts()]) + "\n"


def parts() -> Iterable[str]:
    """Yield what follows the introduction."""
    rows = named(saved("speech", "claims"))
    yield lossless_table(
        rows, speech.NATS, speech.CHANGES, speech.LIMITS, "nats per token over fp32", WIDTH
    )
    yield how_many_bits(rows, speech.LIMITS, "speech by this model")
    yield "## Leads\n\n" + leads(rows, speech.NATS, "nats per token")
    yield leads(rows, speech.DIVERGENCE, "divergence")
    yield leads(rows, speech.CHANGES, "words that change")
    yield f"""\
- By the loss, {lead_sentence(rows, speech.NATS, "nats per token")}
- By the divergence, {lead_sentence(rows, speech.DIVERGENCE, "nats")}
- By the words that change, {lead_sentence(rows, speech.CHANGES, "of all")}"""
    yield READING
    yield METHODS
    yield methods_table({"Whisper base": None}, (4.25, 5.25))
    yield GAINS
    yield SPEED + speed_table(saved("speech_speed", "claims"), COLUMNS)
    yield AFTER


if __name__ == "__main__":
    print(page(), end="")

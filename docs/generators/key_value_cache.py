"""Print docs/key_value_cache.md: caches that are packed, and what that does to a model.

python -m docs.generators.key_value_cache > docs/key_value_cache.md
"""

from __future__ import annotations

from collections.abc import Iterable

from analysis.methods.key_value_cache import MIXED, Summary, summaries, verdict
from docs.generators.policies import table
from minifloat import Recipe
from paper_figures.studies import saved

INTRO = """\
# Key-value caches

Attention needs the keys and values of all tokens so far. In a long text they outweigh the model's
matrices. `minifloat.caches` holds them packed, by any recipe:

```python
>>> import numpy as np
>>> from minifloat.caches import CacheRecipe, KeyValueCache
>>> rng = np.random.default_rng(0)
>>> keys, values = rng.standard_normal((2, 4, 100, 64), np.float32)    # 4 heads, 100 tokens
>>> keys[:, :, 9] *= 20                                                # a channel with large keys
>>> recipe = CacheRecipe("int4/32/float16", "int4/32/float16", window=16)
>>> cache = KeyValueCache(recipe, heads=4, length=64)                  # of one layer
>>> cache.append(keys[:, :90], values[:, :90])                         # a prompt
>>> for token in range(90, 100):                                       # then token by token
...     cache.append(keys[:, [token]], values[:, [token]])
...     queries = rng.standard_normal((8, 1, 64), np.float32)          # two for each head
...     mixed = cache.attend(queries)                                  # (8, 1, 64)
>>> cache
<KeyValueCache 4 heads of 64, 100 tokens of which 64 are packed: 8.64 bits per value>
>>> cache.nbytes, cache.keys().shape
(55296, (4, 100, 64))

```

- **Along tokens or channels.** A block of keys lies along `step` tokens of one channel, a block of
  values along the channels of one token: KIVI's way (arXiv 2402.02750), and the default.
  `keys_along` and `values_along` change it. Some channels of keys are large at all tokens: along
  channels they take their neighbours' precision.
- **What stays wide**, in float16: at least the last `window` tokens (tokens leave `step` at a
  time), the `first` ones, and with `heavy` so many tokens of each head as have got most attention
  (MiKV, arXiv 2402.18096), in float16 or by `heavy_recipe`. MiKV never drops a token: those that
  lose are packed.
- **Channels of keys** can be rotated, by the recipe (`int4/32/float16/hadamard64`, along channels),
  or balanced against queries: `balancer=channel_balancer(queries, keys)`, MiKV's factors, kept in
  float16. Queries are divided by them.
- **Zero points** are those of recipes, whole codes (`uint2/32/float16/zero-point`). MiKV's and
  KIVI's are floats, the least value of a block.
- **All bits count**: codes, scales, zero points, the wide tokens, the balancer, and for heavy
  tokens the positions and the attention so far. `bits_per_value` is that over all numbers of keys
  and values, `nbytes` in bytes.

- **Files**: `cache.save("prompt.npz")` (or .safetensors) keeps a text that many prompts begin with,
  and `KeyValueCache.load("prompt.npz")` goes on with it bit for bit.

Of exact formats the cache returns what came in, bit for bit, and with a window that holds all it
computes what a plain cache of float16 does, bit for bit. Both are tests, as is a second cache,
token by token in lists."""

STUDY = """\
## What it does to a model

The study `analysis.methods.key_value_cache` (its docstring has the criteria) reads {texts} texts of
320 tokens with SmolLM2, whose weights stay as they are; each token sees the tokens before it as the
cache holds them then. The *divergence* is that of the predicted tokens from those with a cache of
float32; *loss* is how much the loss rises; both in nats per token, the mean over texts and its
standard error. *Bits* are those of a packed value; *in all* counts the wide tokens of the end of
the text, too. A cache is *better* or *worse* than the first line of its width if the paired
difference of the divergences is beyond two standard errors and 0.005. Tokens are packed 32 at a
time, so that on average 16 of the last ones are wide.

{formats}

{said}"""

WIDE = """\
## Which tokens stay wide

All with `{mixed}`, {bits} bits when packed. The last tokens are at
least as many as named. A line with first or heavy tokens is **better** than that with 96 last ones
above it, if it is by the criterion and takes no more bits.

{wide}

{said}

```sh
python -m analysis.methods key_value_cache --csv docs/data/methods/key_value_cache.csv
python -m docs.generators.key_value_cache > docs/key_value_cache.md
```

## Time

Packing a token takes what `quantize` takes. `attend` with up to 4 queries a head multiplies by
packed rows; with more it dequantizes, a step of tokens at a time, and NumPy multiplies. Either way
memory holds floats of one step only. A step's matrices are small, so that calls cost more than
arithmetic: this cache says what a recipe does to a model, it is no server's cache."""

LAST = 96  # last tokens, with which other choices of as many are compared

FORMATS_SAID = """\
- **Keys along tokens, values along channels**, KIVI's way, is right here, too. With INT4 the other
  way for either about doubles the divergence; with 2 bits keys along channels triple it. NVFP4,
  with its short blocks, does not mind.
- **Zero points pay most**: in 4.375 bits they have less than half the divergence of INT4's 4.5.
  Without them 2 bits are lost: INT2 has three values.
- **Floats do not help** along tokens by the divergence, which the criterion was set on after the
  first two results: E2M1 and NVFP4 are behind INT4, NF4 is like it. By the loss, whose errors are
  larger, all three are ahead of it. E2M2 is not ahead of INT5.
- **Keys along channels** gain by a rotation, and by MiKV's balancer: with either INT4 is ahead of
  INT4 along tokens; with 2 bits they stay behind.
- Packed at 4 bits, a cache costs this model 0.01 to 0.05 nats per token, at 2 bits a third of a nat
  or more."""
WIDE_SAID = """\
- **Choosing by attention pays.** With keys along tokens, 64 heavy tokens and 32 last ones lose less
  than 128 last ones, which take 1.2 bits more for each value; in INT8, 112 heavy ones fit into
  fewer bits than 96 last ones take, and have an eighth of their divergence.
- Much of that are **the first tokens**: 32 of them in place of 32 last ones more than halve the
  divergence, and take no search.
- The positions of heavy tokens and their attention so far take 0.16 bits a value here. With keys
  along channels (as MiKV has it) the heavy ones lose less, too, but for these bits the criterion
  calls no winner."""


def packed_bits(about: Summary) -> float:
    """Return the bits of a value that is packed, the mean of keys and values."""
    recipes = (about.about["keys"], about.about["values"])
    return sum(Recipe.parse(text).bits_per_weight for text in recipes) / 2


def _numbers(summary: Summary) -> list[str]:
    d, loss = summary.divergence, summary.loss
    return [
        f"{d.mean:.4f} ± {d.standard_error:.4f}",
        f"{loss.mean:.4f} ± {loss.standard_error:.4f}",
    ]


def formats_table(found: Iterable[Summary]) -> str:
    """Return the table of caches without wide tokens, by their widths."""
    chosen = [s for s in found if not (s.about["window"] or s.about["first"] or s.about["heavy"])]
    lines, widths = [], dict[int, Summary]()
    for s in sorted(chosen, key=lambda s: Recipe.parse(s.about["values"]).fmt.bits):
        first = widths.setdefault(Recipe.parse(s.about["values"]).fmt.bits, s)
        about = s.about
        extra = "balanced" if about["balanced"] else ""
        extra = "rotated" if "hadamard" in about["keys"] else extra
        against = "" if s is first else verdict(s, first)
        lines.append(
            [
                f"`{about['values']}`",
                f"{packed_bits(s):.4g}",
                about["keys_along"] + (f", {extra}" if extra else ""),
                about["values_along"],
                *_numbers(s),
                f"**{against}**" if against else "",
            ]
        )
    heads = ["recipe", "bits", "keys along", "values along", "divergence", "loss", ""]
    return table(heads, lines)


def wide_table(found: Iterable[Summary]) -> str:
    """Return the table of caches with wide tokens; those chosen otherwise against the last ones."""
    lines = []
    for along, balanced in (("tokens", 0), ("channels", 1)):
        group = [
            s
            for s in found
            if (s.about["keys"], s.about["values"]) == (MIXED, MIXED)
            and (s.about["keys_along"], s.about["balanced"]) == (along, balanced)
        ]
        last = next(s for s in group if s.about["window"] == LAST)
        for s in sorted(
            group, key=lambda s: (s.about["heavy"], s.about["first"], s.about["window"])
        ):
            about = s.about
            chosen = about["first"] or about["heavy"]
            fair = chosen and about["bits"] <= last.about["bits"]
            against = verdict(s, last) if fair else ""
            lines.append(
                [
                    along + (", balanced" if balanced else ""),
                    str(about["window"]),
                    str(about["first"]),
                    f"{about['heavy']}" + (" in INT8" if about["heavy_recipe"] else ""),
                    f"{about['bits']:.2f}",
                    *_numbers(s),
                    f"**{against}**" if against else "",
                ]
            )
    heads = ["keys along", "last", "first", "heavy", "bits in all", "divergence", "loss", ""]
    return table(heads, lines)


def page() -> str:
    """Return the page."""
    rows = saved("key_value_cache", "methods")
    found = summaries(rows)
    texts = len({(row["text"], row["chunk"]) for row in rows})
    study = STUDY.format(texts=texts, formats=formats_table(found), said=FORMATS_SAID)
    bits = f"{Recipe.parse(MIXED).bits_per_weight:.4g}"
    wide = WIDE.format(mixed=MIXED, bits=bits, wide=wide_table(found), said=WIDE_SAID)
    return "\n\n".join([INTRO, study, wide]) + "\n"


if __name__ == "__main__":
    print(page(), end="")

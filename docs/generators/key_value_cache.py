"""Print docs/key_value_cache.md: caches that are packed, and what that does to a model.

python -m docs.generators.key_value_cache > docs/key_value_cache.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

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

All with `{mixed}` ({bits} bits when packed) and 96 wide tokens of 320, where not less are named;
*against* is the line that it is compared with.

{wide}

{said}

```sh
python -m analysis.methods key_value_cache --csv docs/data/methods/key_value_cache.csv
python -m docs.generators.key_value_cache > docs/key_value_cache.md
```

## Time

Packing a token takes what `quantize` takes. `attend` with up to 4 queries a head multiplies by
packed rows; with more it dequantizes, a step of tokens at a time, and NumPy multiplies. Either way
memory holds floats of one step only. At the head lengths of today (64, 128) a call of a small
matrix costs more than its arithmetic: this cache says what a recipe does to a model, it is no
server's cache."""

FORMATS_SAID = "TODO"
WIDE_SAID = "TODO"


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


def wide_table(found: list[Summary]) -> str:
    """Return the table of caches with wide tokens, each against one with as many."""

    def one(test: Callable[[Summary], bool]) -> list[Summary]:
        return [s for s in found if s.about["values"] == MIXED and test(s)]

    chosen = one(lambda s: s.about["keys"] == MIXED and s.about["values_along"] == "channels")
    lines = []
    for balanced in (0, 1):
        group = [s for s in chosen if s.about["balanced"] == balanced]
        last = next(s for s in group if s.about["window"] == 96)
        for s in group if not balanced else [s for s in group if s.about["window"]]:
            if s.about["keys_along"] == "channels" and not balanced:
                continue
            a = s.about
            heavy = f"{a['heavy']}" + (" in int8" if a["heavy_recipe"] else "")
            against = "" if s is last else verdict(s, last)
            lines.append(
                [
                    a["keys_along"] + (", balanced" if balanced else ""),
                    str(a["window"]),
                    str(a["first"]),
                    heavy,
                    f"{a['bits']:.2f}",
                    *_numbers(s),
                    f"**{against}**" if against else "",
                ]
            )
    heads = ["keys along", "last", "first", "heavy", "bits in all", "divergence", "loss",
             "against 96 last"]  # fmt: skip
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

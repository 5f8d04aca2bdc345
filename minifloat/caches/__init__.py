"""Key-value caches: what attention needs of the tokens so far, packed by recipes.

    recipe       what is to be done: recipes of keys and values, blocks along tokens or channels,
                 which tokens stay wide
    pieces       tokens that are packed together, and products with them
    packed       all pieces
    heavy        the tokens to which most attention was paid, which stay wide (MiKV)
    balancing    factors of channels between keys and queries (MiKV)
    stored       rows of tokens as arrays of a file
    cache        the cache: takes keys and values, returns attention

>>> import numpy as np
>>> from minifloat.caches import CacheRecipe, KeyValueCache
>>> rng = np.random.default_rng(0)
>>> keys, values = rng.standard_normal((2, 8, 300, 64), np.float32)     # 8 heads, 300 tokens
>>> kivi = CacheRecipe("uint2/32/float16/zero-point", "uint2/32/float16/zero-point", window=32)
>>> cache = KeyValueCache(kivi, heads=8, length=64)
>>> cache.append(keys, values)
>>> cache.pack()
>>> cache
<KeyValueCache 8 heads of 64, 300 tokens of which 256 are packed: 4.53 bits per value>
>>> queries = rng.standard_normal((16, 1, 64), np.float32)              # two for each head
>>> cache.attend(queries).shape
(16, 1, 64)
"""

from minifloat.caches.balancing import channel_balancer
from minifloat.caches.cache import KeyValueCache
from minifloat.caches.recipe import Along, CacheRecipe

__all__ = ["Along", "CacheRecipe", "KeyValueCache", "channel_balancer"]

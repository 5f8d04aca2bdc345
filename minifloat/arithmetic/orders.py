"""The order in which a sum adds its terms, as a list of additions.

sequential     ((c + x0) + x1) + x2 ...
reversed       the last term first
split:N        of each N terms first every second pair, 0, 1, 4, 5 ..., then 2, 3, 6, 7 ...; zeros
               fill the last N
pairwise       halves of halves: ((x0 + x1) + (x2 + x3)) ..., and c added to that at the end
pairwise:N     blocks of N terms pairwise, and these sums one after the other to c
blocks:N       blocks of N terms one after the other, and these sums one after the other to c
strided:N      N sums, of every Nth term each, which are then added pairwise, and c at the end
a tree         pairs of pairs of indices, such as ((0, 1), (2, 3)); c is added at the end

The halves of an odd number of terms: the first has one more. A sum begins at 0, so that its first
term is rounded; further terms are added as they are.
"""

from __future__ import annotations

import contextlib
import json
import re
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from minifloat.formats.base import shown

Tree: TypeAlias = "int | tuple[Tree, Tree]"
Order: TypeAlias = "str | Tree"

CHAINS = ("sequential", "reversed", "split")  # which need no list
MAX_DEPTH = 64  # of a tree
_BLOCKS = re.compile(r"(pairwise|blocks|strided):[1-9][0-9]{0,8}|split:[1-9][0-9]{0,3}", re.ASCII)
_TREE = re.compile(r"\([0-9(), ]+\)")


def checked_order(order: object) -> Order:
    """Return an order in its one form: a word, or a tree of ints.

    Raises
    ------
    ValueError
        If it is none.
    """
    if isinstance(order, str):
        word = order.strip(" ")
        if word in ("sequential", "reversed", "pairwise") or _BLOCKS.fullmatch(word):
            return word
        if _TREE.fullmatch(word):
            with contextlib.suppress(ValueError, RecursionError):
                order = _tupled(json.loads(word.replace("(", "[").replace(")", "]")))
    if isinstance(order, tuple):
        return _checked_tree(order)
    raise ValueError(
        "order must be sequential, reversed, split:N, pairwise, pairwise:N, blocks:N, strided:N or "
        f"a tree of indices such as ((0, 1), (2, 3)), got {shown(order)}"
    )


def text_of(order: Order) -> str:
    """Return the text that `checked_order` reads back."""
    return str(order).replace(" ", "")


def _tupled(tree: object) -> object:
    return tuple(map(_tupled, tree)) if isinstance(tree, list) else tree


def _checked_tree(tree: object) -> Tree:
    leaves: list[int] = []
    checked = _walk(tree, leaves, 0)
    if sorted(leaves) != list(range(len(leaves))):
        raise ValueError(f"order must have each index from 0 on once, got {shown(tree)}")
    return checked


def _walk(tree: object, leaves: list[int], depth: int) -> Tree:
    if isinstance(tree, int) and not isinstance(tree, bool):
        leaves.append(tree)
        return tree
    if isinstance(tree, tuple) and len(tree) == 2 and depth < MAX_DEPTH:
        return _walk(tree[0], leaves, depth + 1), _walk(tree[1], leaves, depth + 1)
    raise ValueError(
        f"order must be pairs of pairs of indices, at most {MAX_DEPTH} deep, got {shown(tree)}"
    )


def is_chain(order: Order) -> bool:
    """Return whether terms are added one after the other, or as many at a time as one likes."""
    return isinstance(order, str) and order.partition(":")[0] in CHAINS


@lru_cache(maxsize=64)
def places(order: Order, count: int) -> NDArray[np.intp]:
    """Return the terms of a chain in their order; those from ``count`` on are zeros."""
    assert isinstance(order, str)
    word, _, number = order.partition(":")
    if word == "split":
        whole = np.arange(-(-count // int(number)) * int(number)).reshape(-1, int(number))
        second = np.arange(int(number)) % 4 >= 2
        return np.concatenate([whole[:, ~second], whole[:, second]], axis=1).reshape(-1)
    return np.arange(count)[:: -1 if word == "reversed" else 1]


@lru_cache(maxsize=64)
def additions(order: Order, count: int) -> NDArray[np.int64]:
    """Return the additions of ``count`` terms to a start, as pairs of rows ``(into, other)``.

    Row 0 is the start, and at the end the sum; row ``k + 1`` is term k.

    Raises
    ------
    ValueError
        If the order is a tree of another number of terms.
    """
    pairs: list[tuple[int, int]] = []

    def chain(rows: range) -> int:
        pairs.extend((rows[0], row) for row in rows[1:])
        return rows[0]

    def halves(rows: range) -> int:
        if len(rows) > 1:
            middle = (len(rows) + 1) // 2
            pairs.append((halves(rows[:middle]), halves(rows[middle:])))
        return rows[0]

    def nodes(tree: Tree) -> int:
        if isinstance(tree, int):
            return tree + 1
        into, other = nodes(tree[0]), nodes(tree[1])
        pairs.append((into, other))
        return into

    rows = range(1, count + 1)
    if isinstance(order, tuple):
        leaves: list[int] = []
        _walk(order, leaves, 0)
        if len(leaves) != count:
            raise ValueError(f"order must be a tree of {count} terms, got one of {len(leaves)}")
        pairs.append((0, nodes(order)))
    elif count and isinstance(order, str):
        word, _, number = order.partition(":")
        size = int(number or count)
        if word == "strided":
            firsts = [chain(rows[first::size]) for first in range(min(size, count))]
            halves(range(firsts[0], firsts[-1] + 1))
            pairs.append((0, firsts[0]))
        else:
            add = {"pairwise": halves, "blocks": chain}[word]
            for first in range(0, count, size):
                block = add(rows[first : first + size])
                pairs.append((0, block))
    return np.array(pairs, np.int64).reshape(-1, 2)

"""Trees of sums: which terms are added at once, and which partial sums after that.

A tree is an index of a term, or a tuple of trees that one addition adds. The trees of a function
are revealed by FPRev's method (P. Xie et al., arXiv 2411.00442), those of accumulators follow from
their order, their terms and their promotion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any, TypeAlias

from minifloat.arithmetic.orders import MAX_DEPTH, additions, is_chain, places

Node: TypeAlias = "int | tuple[Node, ...]"
Size: TypeAlias = Callable[[int, int], int]


def revealed_tree(size: Size, leaves: list[int]) -> Node:
    """Return the tree of some terms.

    ``size(i, j)`` is how many terms are in the smallest partial sum that has terms i and j. For a
    first term all others are asked; those with one size are added to the same partial sum.
    """
    if len(leaves) == 1:
        return leaves[0]
    first, others = leaves[0], leaves[1:]
    sizes = {j: size(first, j) for j in others}
    if max(sizes.values()) < len(leaves):  # nothing is lost: they are added exactly
        return tuple(leaves)
    tree: Node = first
    for own, group in groupby(sorted(others, key=lambda j: (sizes[j], j)), sizes.__getitem__):
        tree = _joined(tree, list(_children(size, list(group), own)))
    return tree


def _children(size: Size, leaves: list[int], whole: int) -> Iterator[Node]:
    """Yield the trees of terms that meet only in a partial sum of so many terms."""
    while leaves:
        first = leaves[0]
        together = [j for j in leaves[1:] if size(first, j) < whole]
        yield revealed_tree(size, [first, *together])
        leaves = [j for j in leaves[1:] if j not in together]


def _joined(tree: Node, others: list[Node]) -> Node:
    """Return the sum of some trees at once, by their first terms."""
    return tuple(sorted([tree, *others], key=lambda node: min(leaves_of(node))))


def leaves_of(tree: Node) -> list[int]:
    """Return the terms of a tree."""
    if isinstance(tree, int):
        return [tree]
    return [leaf for child in tree for leaf in leaves_of(child)]


def terms_of(tree: Node) -> int:
    """Return the most terms that are added at once, beside a running sum."""
    if isinstance(tree, int):
        return 1
    if all(isinstance(child, int) for child in tree) and len(tree) == 2:
        return 1  # two terms, or a term and a running sum that begins at 0
    leaves = sum(isinstance(child, int) for child in tree)
    return max(leaves, *map(terms_of, tree))


def later_step(tree: Node) -> tuple[list[int], list[int]] | None:
    """Return the terms of a running sum, and two or more that are added to it at once."""
    if isinstance(tree, int):
        return None
    leaves = [child for child in tree if isinstance(child, int)]
    sums = [child for child in tree if not isinstance(child, int)]
    if sums and len(leaves) > 1:
        return leaves_of(sums[0]), leaves
    return next(filter(None, map(later_step, sums)), None)


def meeting(tree: Node) -> tuple[int, int, int]:
    """Return three terms that are added at once, or two and a third that they meet next."""
    if step := later_step(tree):
        running, leaves = step
        a, b, c = [*leaves, *running][:3]
        return a, b, c
    found: list[tuple[int, list[int], list[int]]] = []

    def walk(node: Node, above: list[int]) -> None:
        if not isinstance(node, int):
            own = leaves_of(node)
            found.append((len(own), own, above))
            for child in node:
                walk(child, own)

    walk(tree, leaves_of(tree))
    _, own, above = min(found, key=lambda node: node[0])
    a, b, *others = sorted(own)
    return a, b, min(others or [leaf for leaf in above if leaf not in own])


def is_binary(tree: Node, depth: int = 0) -> bool:
    """Return whether two are added at a time, and the tree is no deeper than an order may be."""
    if isinstance(tree, int):
        return True
    return depth < MAX_DEPTH and len(tree) == 2 and all(is_binary(t, depth + 1) for t in tree)


def unordered(tree: Node) -> Any:
    """Return a tree as sets, for comparisons."""
    return tree if isinstance(tree, int) else frozenset(map(unordered, tree))


def order_of(tree: Node, count: int) -> tuple[str | None, int | None]:
    """Return the order, and the promotion, of an accumulator that has this tree.

    The order is sequential too where several terms are added at once; it is None if there is none.
    """
    own, terms = unordered(tree), terms_of(tree)
    if terms == count and own == frozenset(range(count)):
        return "sequential", None
    for order in ("sequential", "reversed"):
        if _of_chain(order, terms, None, count) == own:
            return order, None
    words = [f"{w}:{k}" for k in range(2, count) for w in ("strided", "pairwise", "blocks")]
    found = (word for word in ("pairwise", *words) if _of_list(word, count) == own)
    if terms == 1 and (word := next(found, None)):
        return word, None
    for promote in range(2, count):
        for order in ("sequential", f"split:{promote}"):
            if _of_chain(order, terms, promote, count) == own:
                return order, promote
    return None, None


def _of_chain(order: str, terms: int, promote: int | None, count: int) -> Any:
    """Return the sets of steps of so many terms, and of promoted sums."""
    assert is_chain(order)
    leaves = [int(place) if place < count else None for place in places(order, count)]
    total: Any = None
    for begin in range(0, len(leaves), promote or len(leaves)):
        part = leaves[begin : begin + (promote or len(leaves))]
        chain: Any = None
        for k in range(0, len(part), terms):
            chain = _added(chain, [leaf for leaf in part[k : k + terms] if leaf is not None])
        total = _added(total, [] if chain is None else [chain])
    return total


def _added(running: Any, others: list[Any]) -> Any:
    members = [*([] if running is None else [running]), *others]
    if not members:
        return None
    return members[0] if len(members) == 1 else frozenset(members)


def _of_list(order: str, count: int) -> Any:
    rows: dict[int, Any] = {k + 1: k for k in range(count)}
    for into, other in additions(order, count).tolist():
        rows[into] = frozenset((rows[into], rows[other])) if into in rows else rows[other]
    return rows[0]

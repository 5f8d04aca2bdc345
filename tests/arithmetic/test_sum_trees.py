"""Trees of sums: revealed from sizes, and named."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minifloat.arithmetic.orders import additions, places
from minifloat.arithmetic.sum_trees import (
    leaves_of,
    meeting,
    order_of,
    revealed_tree,
    terms_of,
    unordered,
)


@st.composite
def trees(draw: Any, leaves: tuple[int, ...] | None = None) -> Any:
    """Return a tree of several children a node, of leaves in any order."""
    if leaves is None:
        count = draw(st.integers(4, 16))
        leaves = tuple(draw(st.permutations(range(count))))
    if len(leaves) == 1:
        return leaves[0]
    cuts = draw(st.sets(st.integers(1, len(leaves) - 1), min_size=1, max_size=4))
    ends = [0, *sorted(cuts), len(leaves)]
    return tuple(draw(trees(leaves[i:j])) for i, j in pairwise(ends))


def size(tree: Any, i: int, j: int) -> int:
    """Return how many leaves the smallest node with two leaves has, by looking at all nodes."""
    own = [size(child, i, j) for child in tree if not isinstance(child, int)]
    inside = [n for n in own if n]
    leaves = leaves_of(tree)
    return min(inside) if inside else len(leaves) * ({i, j} <= set(leaves))


@given(trees())
def test_sizes_tell_the_tree(tree: Any) -> None:
    leaves = sorted(leaves_of(tree))
    found = revealed_tree(lambda i, j: size(tree, i, j), leaves)
    assert unordered(found) == unordered(tree)


def test_a_chain_takes_a_question_a_term() -> None:
    asked = []

    def chain(i: int, j: int) -> int:
        asked.append((i, j))
        return max(i, j) + 1

    assert revealed_tree(chain, [0, 1, 2, 3, 4]) == ((((0, 1), 2), 3), 4)
    assert len(asked) == 4


@given(trees())
def test_three_terms_that_meet_early(tree: Any) -> None:
    a, b, c = meeting(tree)
    assert len({a, b, c}) == 3
    assert size(tree, a, c) >= size(tree, a, b)


def chain_of(order: str, count: int, terms: int, promote: int) -> Any:
    """Return the tree of a chain with promotion, by adding term by term."""
    total: Any = ()
    for begin in range(0, count, promote):
        running: Any = ()
        listed = [int(k) for k in places(order, count)][begin : begin + promote]
        for k in range(0, len(listed), terms):
            members = [
                *([running] * (running != ())),
                *[i for i in listed[k : k + terms] if i < count],
            ]
            if members:
                running = members[0] if len(members) == 1 else tuple(members)
        both = [part for part in (total, running) if part != ()]
        total = both[0] if len(both) == 1 else tuple(both)
    return total


@pytest.mark.parametrize("count", [13, 16, 21])
def test_orders_have_their_names(count: int) -> None:
    for order in ("pairwise", "pairwise:4", "blocks:3", "strided:2", "strided:4"):
        rows: dict[int, Any] = {k + 1: k for k in range(count)}
        for into, other in additions(order, count):
            rows[into] = (rows[into], rows[other]) if into in rows else rows[other]
        found, promote = order_of(rows[0], count)
        assert promote is None
        assert found is not None
        assert (additions(found, count) == additions(order, count)).all()
    for terms in (1, 3, 4):
        for order in ("sequential", "reversed")[: 1 + (terms == 1)]:
            assert order_of(chain_of(order, count, terms, count), count) == (order, None)
        tree = chain_of("sequential", count, terms, 2 * terms + 2)
        assert terms_of(tree) == terms
        if terms > 1:
            assert order_of(tree, count) == ("sequential", 2 * terms + 2)
    assert order_of(chain_of("split:8", count, 4, 8), count) == ("split:8", 8)

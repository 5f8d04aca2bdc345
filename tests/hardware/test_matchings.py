"""Pairs in graphs: as many as by trying all, and as many as another library finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minifloat.hardware.matchings import matching


def most_pairs(edges: frozenset[tuple[int, int]]) -> int:
    """Return the same by trying each edge or leaving it out."""
    if not edges:
        return 0
    first = min(edges)
    rest = edges - {first}
    apart = frozenset(edge for edge in rest if not set(edge) & set(first))
    return max(1 + most_pairs(apart), most_pairs(rest))


def pairs(count: int, edges: frozenset[tuple[int, int]]) -> int:
    neighbors: list[list[int]] = [[] for _ in range(count)]
    for a, b in edges:
        neighbors[a].append(b)
        neighbors[b].append(a)
    partner = matching(neighbors)
    matched = [(a, b) for a, b in enumerate(partner) if b >= 0]
    assert all(partner[b] == a and b in neighbors[a] for a, b in matched)
    return len(matched) // 2


vertices = st.integers(0, 8)
edge = st.tuples(vertices, vertices).filter(lambda e: e[0] < e[1])


@given(st.frozensets(edge, max_size=14))
def test_as_many_pairs_as_by_trying_all(edges: frozenset[tuple[int, int]]) -> None:
    assert pairs(9, edges) == most_pairs(edges)


@pytest.mark.parametrize("degree", [1.5, 2.5, 4.0])
def test_as_many_pairs_as_networkx_finds(degree: float) -> None:
    networkx = pytest.importorskip("networkx")
    for seed in range(12):
        generator = np.random.default_rng(seed)
        count = 60
        ends = generator.integers(0, count, (int(count * degree / 2), 2)).tolist()
        edges = frozenset((min(e), max(e)) for e in ends if e[0] != e[1])
        found = networkx.max_weight_matching(networkx.Graph(edges), maxcardinality=True)
        assert pairs(count, edges) == len(found)

"""As many pairs of neighbours as can be, by Edmonds' blossoms."""

from __future__ import annotations

from collections.abc import Sequence

NONE = -1


def matching(neighbors: Sequence[Sequence[int]]) -> list[int]:
    """Return the partner of each vertex of a graph, -1 for none, with as many pairs as can be.

    J. Edmonds, Paths, trees, and flowers, 1965. Vertices with few neighbours are paired first,
    which leaves few paths to search for.

    Parameters
    ----------
    neighbors : sequence of sequence of int
        The neighbours of each vertex, in both directions.

    Returns
    -------
    list of int

    Examples
    --------
    >>> matching([[1], [0, 2], [1, 3], [2], []])
    [1, 0, 3, 2, -1]
    """
    partner = [NONE] * len(neighbors)
    order = sorted(range(len(neighbors)), key=lambda vertex: len(neighbors[vertex]))
    for vertex in order:
        if partner[vertex] == NONE:
            free = [other for other in neighbors[vertex] if partner[other] == NONE]
            if free:
                other = min(free, key=lambda other: len(neighbors[other]))
                partner[vertex], partner[other] = other, vertex
    done = [False] * len(neighbors)  # no later path leads through what a search without one reached
    for vertex in order:
        if partner[vertex] == NONE and neighbors[vertex]:
            _grow(neighbors, partner, vertex, done)
    return partner


def _grow(
    neighbors: Sequence[Sequence[int]], partner: list[int], root: int, done: list[bool]
) -> None:
    """Add a pair by a path from a free vertex to another, if one leads there along the pairs."""
    count = len(neighbors)
    base = list(range(count))  # the blossom that a vertex is in, by one of its vertices
    before = [NONE] * count  # the vertex from which an odd one was reached
    even = [False] * count
    even[root] = True
    queue = [root]

    def common(a: int, b: int) -> int:
        """Return the last blossom that the ways from the root to two even vertices share."""
        seen = set()
        while True:
            a = base[a]
            seen.add(a)
            if partner[a] == NONE:
                break
            a = before[partner[a]]
        while base[b] not in seen:
            b = before[partner[base[b]]]
        return base[b]

    def mark(vertex: int, other: int, top: int, blossom: set[int]) -> None:
        """Add the way from a vertex up to ``top`` to a blossom, which is entered from ``other``."""
        while base[vertex] != top:
            blossom |= {base[vertex], base[partner[vertex]]}
            before[vertex] = other
            other = partner[vertex]
            vertex = before[other]

    for vertex in queue:
        for other in neighbors[vertex]:
            if done[other] or base[vertex] == base[other] or partner[vertex] == other:
                continue
            if other == root or (partner[other] != NONE and before[partner[other]] != NONE):
                top = common(vertex, other)
                blossom: set[int] = set()
                mark(vertex, other, top, blossom)
                mark(other, vertex, top, blossom)
                for each in range(count):
                    if base[each] in blossom:
                        base[each] = top
                        if not even[each]:
                            even[each] = True
                            queue.append(each)
            elif before[other] == NONE:
                before[other] = vertex
                if partner[other] == NONE:
                    while other != NONE:  # the pairs of the path change places
                        vertex = before[other]
                        following = partner[vertex]
                        partner[vertex], partner[other] = other, vertex
                        other = following
                    return
                even[partner[other]] = True
                queue.append(partner[other])
    for vertex in range(count):
        done[vertex] = done[vertex] or even[vertex] or before[vertex] != NONE

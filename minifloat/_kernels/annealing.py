"""The loop of `minifloat.registers.search`: place bits so that few instructions gather them.

Items of ``targets.size`` bits each fill words of ``width`` bits. Bit k of an item must move to
position ``targets[k] + offset``; each item has its own offset in 0..``free``. Bits of an item that
move by the same distance from the same word are one piece. The cost is one instruction for each
piece of each item, and one for each nonzero distance by which a word is shifted, whichever items
use it.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import AT_ONCE, jit, kernel

Array = NDArray[Any]

HOT, COLD = 1.0, 0.12  # temperatures in instructions, first and last
OFFSET_TRIALS = 0.02  # share of the trials that change an offset, if there is a choice


@jit
def _draw(state: Array) -> Any:
    """Return a random float in 0..1 (xorshift64*, the same numbers on every machine)."""
    x = np.uint64(state[0])
    x ^= np.right_shift(x, np.uint64(12))
    x ^= np.left_shift(x, np.uint64(25))
    x ^= np.right_shift(x, np.uint64(27))
    state[0] = x
    return np.float64(np.right_shift(x * np.uint64(0x2545F4914F6CDD1D), np.uint64(11))) * 2.0**-53


@jit
def _use(used: Array, width: int, slot: int, arrival: int, by: int) -> int:
    """Add or remove a bit at its word's distance; return the change in the number of shifts."""
    word, position = slot // width, slot % width
    count = used[word, arrival - position + width]
    used[word, arrival - position + width] = count + by
    if arrival == position:
        return 0
    return 1 if count == 0 else -1 if count + by == 0 else 0


@jit
def _pieces(places: Array, targets: Array, width: int) -> int:
    """Count the different (word, distance) of an item's bits; the offset does not matter."""
    count = 0
    for k in range(targets.size):
        word, distance = places[k] // width, targets[k] - places[k] % width
        new = 1
        for j in range(k):
            if places[j] // width == word and targets[j] - places[j] % width == distance:
                new = 0
                break
        count += new
    return count


@jit
def _move(
    places: Array, owners: Array, offsets: Array, used: Array, targets: Array, width: int,
    bit: int, slot: int,
) -> int:  # fmt: skip
    """Move a bit to a slot; return the change in the number of shifts."""
    owners[slot] = bit
    if bit < 0:
        return 0
    item, k = bit // targets.size, bit % targets.size
    arrival = targets[k] + offsets[item]
    change = _use(used, width, places[item, k], arrival, -1)
    places[item, k] = slot
    return change + _use(used, width, slot, arrival, 1)


@jit
def layout_cost(places: Array, offsets: Array, targets: Array, width: int, used: Array,
          pieces: Array) -> int:  # fmt: skip
    """Compute the cost of all items from scratch."""
    used[:] = 0
    cost = 0
    for item in range(pieces.size):
        pieces[item] = _pieces(places[item], targets, width)
        cost += pieces[item]
        for k in range(targets.size):
            cost += _use(used, width, places[item, k], targets[k] + offsets[item], 1)
    return cost


@kernel(cost=AT_ONCE)
def anneal(
    places: Array, offsets: Array, owners: Array, used: Array, pieces: Array, best: Array,
    targets: Array, width: int, free: int, trials: int, state: Array,
) -> int:  # fmt: skip
    """Change ``places`` at random, to higher costs ever more rarely; return the lowest cost.

    ``places`` has the slot of each bit, ``word * width + position``; ``owners`` is its inverse;
    ``best`` receives the places of the lowest cost. A trial swaps two slots. Half of the trials
    choose them so that a bit joins the piece of another bit.
    """
    bits = targets.size
    total = pieces.size * bits
    cost = layout_cost(places, offsets, targets, width, used, pieces)
    lowest = cost
    best[:] = places
    for trial in range(trials):
        temperature = HOT * (COLD / HOT) ** (trial / trials)
        kind = _draw(state)
        bit = int(_draw(state) * total)
        item, k = bit // bits, bit % bits
        if free > 0 and kind < OFFSET_TRIALS:
            old, new = offsets[item], int(_draw(state) * (free + 1))
            change = 0
            for j in range(bits):
                change += _use(used, width, places[item, j], targets[j] + old, -1)
                change += _use(used, width, places[item, j], targets[j] + new, 1)
            if change <= 0 or _draw(state) < math.exp(-change / temperature):
                offsets[item] = new
                cost += change
            else:
                for j in range(bits):
                    _use(used, width, places[item, j], targets[j] + new, -1)
                    _use(used, width, places[item, j], targets[j] + old, 1)
            continue
        first = places[item, k]
        if kind < 0.5:
            other = places[item, int(_draw(state) * bits)]
            j = owners[other] % bits
            position = targets[k] - targets[j] + other % width
            if not 0 <= position < width:
                continue
            second = other // width * width + position
        else:
            second = int(_draw(state) * owners.size)
        displaced = owners[second]
        if second == first:
            continue
        change = _move(places, owners, offsets, used, targets, width, bit, second)
        change += _move(places, owners, offsets, used, targets, width, displaced, first)
        mine = _pieces(places[item], targets, width)
        change += mine - pieces[item]
        other_item = displaced // bits
        theirs = 0
        if displaced >= 0 and other_item != item:
            theirs = _pieces(places[other_item], targets, width)
            change += theirs - pieces[other_item]
        if change <= 0 or _draw(state) < math.exp(-change / temperature):
            cost += change
            pieces[item] = mine
            if displaced >= 0 and other_item != item:
                pieces[other_item] = theirs
            if cost < lowest:
                lowest = cost
                best[:] = places
        else:
            _move(places, owners, offsets, used, targets, width, bit, first)
            _move(places, owners, offsets, used, targets, width, displaced, second)
    return lowest

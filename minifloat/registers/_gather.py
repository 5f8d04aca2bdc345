"""Collect the bits of packed codes in a register: `Gather`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from minifloat.packing.layouts import HALF_BITS, WORD_BITS, Layout
from minifloat.registers._program import AND_OR, AND_XOR, Builder, Op, Operand, Register

ALL_ONES = (1 << WORD_BITS) - 1

Move = tuple[int, int]  # a place in the words, and the bit of the result that it moves to


def moves_to(places: Sequence[int], bits: Iterable[int]) -> list[Move]:
    """Pair each place with the bit of the result that it moves to."""
    return list(zip(places, bits, strict=True))


def in_halves(layout: Layout, even: int, bits: Sequence[int], low: int = 0) -> list[Move]:
    """Move the bits from ``low`` on of a pair of codes to ``bits`` of the two halves."""
    return [
        (layout.places[even + half][low + k], HALF_BITS * half + bit)
        for half in range(2)
        for k, bit in enumerate(bits)
    ]


class Gather:
    """Emits the instructions that move bits of the words to their places in one register.

    Bits of the same word that move by the same distance are one piece. A piece needs a shift, which
    all registers share, and a mask; one LOP3 masks the piece and joins it to the pieces before.
    Whole bytes are moved by PRMT.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.code = Builder(layout.words)

    def __call__(self, moves: Sequence[Move], constant: int = 0) -> Register:
        """Gather the bits and XOR ``constant``."""
        pieces = self.pieces(moves)
        if len(pieces) > 1 or next(iter(pieces))[1] != 0:
            selector = _byte_selector(moves)
            if selector is not None and constant & _mask(moves) == 0:
                return self.code.emit(
                    Op.PRMT, self.code.word(moves[0][0] // WORD_BITS), constant, selector
                )
        result: Operand | None = constant or None
        for (word, shift), mask in pieces.items():
            source = self._shifted(word, shift)
            if mask == _nonzero_bits(shift):
                result = self.code.emit(Op.XOR, source, result) if result is not None else source
            elif result is None:
                result = self.code.emit(Op.AND, source, mask)
            else:
                table = AND_XOR if constant & mask else AND_OR
                result = self.code.emit(Op.LOP3, source, mask, result, table=table)
        assert isinstance(result, Register)
        return result

    @staticmethod
    def pieces(moves: Sequence[Move]) -> dict[tuple[int, int], int]:
        """Return the mask after the shift for each (word, left shift); unshifted pieces first."""
        pieces: dict[tuple[int, int], int] = {}
        for place, bit in sorted(moves, key=lambda move: move[1] != move[0] % WORD_BITS):
            key = (place // WORD_BITS, bit - place % WORD_BITS)
            pieces[key] = pieces.get(key, 0) | 1 << bit
        return pieces

    def _shifted(self, word: int, shift: int) -> Register:
        if shift == 0:
            return self.code.word(word)
        return self.code.emit(Op.SHL if shift > 0 else Op.SHR, self.code.word(word), abs(shift))


def _mask(moves: Sequence[Move]) -> int:
    return sum(1 << bit for _, bit in moves)


def _nonzero_bits(shift: int) -> int:
    """Return the bits that can be nonzero after a shift."""
    return ALL_ONES << shift & ALL_ONES if shift >= 0 else ALL_ONES >> -shift


def _byte_selector(moves: Sequence[Move]) -> int | None:
    """Return the PRMT selector for the moves if they move whole bytes of one word, else None."""
    if len({place // WORD_BITS for place, _ in moves}) > 1:
        return None
    sources: dict[int, set[tuple[int, int]]] = {}
    for place, bit in moves:
        if place % 8 != bit % 8:
            return None
        sources.setdefault(bit // 8, set()).add((place % WORD_BITS // 8, bit % 8))
    selector = 0
    for byte in range(4):
        source_bytes = {source for source, _ in sources.get(byte, ())}
        if not source_bytes:
            selector |= (4 + byte) << 4 * byte
        elif len(source_bytes) == 1 and len(sources[byte]) == 8:
            selector |= source_bytes.pop() << 4 * byte
        else:
            return None
    return selector

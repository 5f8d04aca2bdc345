"""A pair of codes on its way through a GPU's register program to float16.

The picture is drawn from the program itself: the origin of a bit is from
`minifloat.registers.dependencies`, its value from `run`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import minifloat as mf
from minifloat import registers
from minifloat.registers import Program, Register
from paper_figures import style
from paper_figures.fields import COLOURS, MEANINGS, draw_bit, fields
from paper_figures.rows import Progress, Rows, grouped

FORMAT, LAYOUT = "e2m2", "fpe2m2_kernel"
PAIR = 1  # which of the group's pairs of codes to follow
CODES = (0b1_01_10, 0b0_00_11)  # the even one, which goes to the low half, and the odd one
SEED = 21  # of the other codes of the group
WIDTH, HALF = 32, 16  # bits
OTHER = "/////"  # the hatch of bits of other codes


def data(progress: Progress) -> Rows:
    """Return every bit of each register that leads to the pair, and where it comes from."""
    fmt = mf.parse(FORMAT)
    program = registers.to_half(fmt, LAYOUT)
    codes = np.random.default_rng(SEED).integers(0, 1 << fmt.bits, program.layout.count)
    codes[2 * PAIR : 2 * PAIR + 2] = CODES
    words = mf.pack_words(codes, program.layout)
    letters = fields(fmt)[::-1]
    home = {
        place: (code, letters[bit])
        for code in (2 * PAIR, 2 * PAIR + 1)
        for bit, place in enumerate(program.layout.places[code])
    }
    texts = dict(_texts(program))
    result = program.outputs[PAIR]
    halves = registers.run(program, words).view(np.float16)[2 * PAIR : 2 * PAIR + 2]
    rows: Rows = []
    for register in _leading_to(program, result):
        only = replace(program, outputs=(register,) * len(program.outputs))
        value, sources = int(registers.run(only, words)[0]), registers.dependencies(only)[0]
        for bit in reversed(range(WIDTH)):
            half = bit // HALF
            code, letter = home.get(sources[bit].bit_length() - 1, (None, None))
            if register == result:
                code, letter = 2 * PAIR + half, fields(mf.parse("float16"))[::-1][bit % HALF]
            rows.append(
                {
                    "register": texts[register],
                    "bit": bit,
                    "value": value >> bit & 1,
                    "sources": sources[bit].bit_count(),  # input bits that it depends on
                    "code": code,
                    "field": letter,
                    "half": float(halves[half]) if register == result else None,
                }
            )
        progress(len(rows) // WIDTH, len(program.instructions))
    return rows


def _texts(program: Program) -> list[tuple[Register, str]]:
    """Return each register with the instruction that makes it, as assembly."""
    lines = str(program).splitlines()[1:-1]
    words = [(Register(word), f"w{word}") for word in range(program.layout.words)]
    results = [
        (register, " ".join(line.split()))
        for (register, _), line in zip(program.numbered(), lines, strict=True)
    ]
    return words + results


def _leading_to(program: Program, result: Register) -> list[Register]:
    """Return a register and all registers that it depends on, in the program's order."""
    operands = {register: instruction.operands for register, instruction in program.numbered()}
    leading, pending = {result}, [result]
    while pending:
        for operand in operands.get(pending.pop(), ()):
            if isinstance(operand, Register) and operand not in leading:
                leading.add(operand)
                pending.append(operand)
    return sorted(leading, key=lambda register: register.index)


def draw(rows: Rows) -> Figure:
    """Draw each register as a row of bits below the instruction that makes it."""
    steps = list(grouped(rows, "register"))
    figure = style.new_figure(style.PAGE, 0.42 * len(steps) + 0.75)
    axes = figure.add_subplot()
    for step, (text, bits) in enumerate(steps):
        axes.text(0, -step - 0.03, text, va="bottom", family="DejaVu Sans Mono")
        for place, bit in enumerate(bits):
            known = bit["sources"] == 0 and bit["half"] is None
            other = bit["field"] is None and not known
            draw_bit(
                axes, place, -step - 0.24, "" if other else str(bit["value"]),
                colour=COLOURS.get(bit["field"], "white"),
                edge=style.GREY if other or known else "black",
                ink=style.GREY if known else None,
                hatch=OTHER if other else None,
            )  # fmt: skip
    for position in (*range(0, WIDTH, 4), WIDTH - 1):
        axes.text(WIDTH - position - 0.5, 0.3, str(position), ha="center", color=style.GREY)
    _halves(axes, steps[-1][1], -len(steps) + 0.5)
    _legend(axes, {row["field"] for row in rows} - {None}, -len(steps) - 0.3)
    axes.set(xlim=(-0.2, WIDTH + 0.2), ylim=(-len(steps) - 0.6, 0.6))
    axes.axis("off")
    return figure


def _halves(axes: Axes, bits: Rows, y: float) -> None:
    """Write the codes and values of the halves below the last register."""
    for half in (0, 1):
        bit = next(bit for bit in bits if bit["bit"] // HALF == half)
        value = f"{bit['half']:g}".replace("-", "−")
        axes.text(
            WIDTH - HALF * half - HALF / 2, y, f"code {bit['code']}: {value}",
            ha="center", va="top", fontsize=8,
        )  # fmt: skip


def _legend(axes: Axes, letters: set[str], y: float) -> None:
    meanings = [letter for letter in MEANINGS if letter in letters]
    for place, letter in enumerate(meanings):
        draw_bit(axes, 6.5 * place, y, colour=COLOURS[letter])
        axes.text(6.5 * place + 1.3, y, MEANINGS[letter], va="center")
    x = 6.5 * len(meanings)
    draw_bit(axes, x, y, edge=style.GREY, hatch=OTHER)
    axes.text(x + 1.3, y, "bits of other codes", va="center")

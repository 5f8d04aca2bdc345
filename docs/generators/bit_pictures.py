"""Draw the bits of the formats of each family: `python -m docs.generators.bit_pictures`.

It writes docs/figures/bits_FAMILY.svg. The widths, letters and numbers come from the formats.
"""

from __future__ import annotations

from pathlib import Path

from minifloat.formats.exmy import Format
from minifloat.formats.names import parse
from paper_figures.fields import COLOURS, MEANINGS, fields
from paper_figures.style import BLACK

FOLDER = Path(__file__).resolve().parents[1] / "figures"
FAMILIES = {
    "minifloats": ("e1m3", "e2m1", "e2m2", "e3m1", "e2m3", "e3m2", "e3m4"),
    "fp8": ("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz", "e4m3b11fnuz", "e4m3ieee", "e3m4ieee"),
    "microscaling": ("e2m1", "e2m3", "e3m2", "e4m3fn", "e5m2", "mxint8", "e8m0", "ue4m3", "ue5m3"),
    "integers": ("int2", "int4", "int5", "int8", "int8full", "uint4", "bipolar_int4"),
    "codebooks": ("nf4", "af4", "sf4", "bnb_fp4", "nf5", "pot4", "apot4"),
    "p3109": ("binary8p3se", "binary8p4se", "binary8p4sf", "binary8p4ue", "binary4p2se"),
    "wide": ("float16", "bfloat16", "tf32"),
}  # fmt: skip
BOX, ROW, LEFT, TOP = 22, 32, 118, 30  # pixels
TEXT = 'font-family="DejaVu Sans, Verdana, Arial, sans-serif" font-size="13"'


def picture(names: tuple[str, ...]) -> str:
    """Return a picture of the codes of formats, one in each row, as SVG."""
    formats = [parse(name) for name in names]
    letters = [fields(fmt) for fmt in formats]
    most = max(map(len, letters))
    facts = LEFT + BOX * most + 16
    width, height = facts + 300, TOP + ROW * (len(formats) + 1)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" {TEXT}>',
        f'<rect width="{width}" height="{height}" rx="6" fill="#ffffff"/>',
        _text(facts, 20, "bias"),
        *(_text(facts + x, 20, head) for x, head in ((60, "smallest"), (150, "largest"))),
    ]
    for place, (name, fmt, code) in enumerate(zip(names, formats, letters, strict=True)):
        y = TOP + ROW * place
        lines.append(_text(LEFT - 10, y + 17, name, 'text-anchor="end" font-weight="bold"'))
        for bit, letter in enumerate(code):
            lines += _box(LEFT + BOX * (most - len(code) + bit), y, letter)
        bias = str(fmt.bias) if isinstance(fmt, Format) else "none"
        for x, fact in ((0, bias), (60, _number(fmt.smallest)), (150, _number(fmt.max))):
            lines.append(_text(facts + x, y + 17, fact))
        lines.append(_text(facts + 230, y + 17, f"{fmt.bits} bits", 'fill="#555555"'))
    y, x = TOP + ROW * len(formats), LEFT
    for letter, meaning in MEANINGS.items():
        if letter in "".join(letters):
            lines += [*_box(x, y, letter), _text(x + BOX + 6, y + 17, meaning)]
            x += BOX + 26 + 8 * len(meaning)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _box(x: int, y: int, letter: str) -> list[str]:
    colour = COLOURS[letter]
    ink = "white" if colour == BLACK else "black"
    return [
        f'<rect x="{x}" y="{y}" width="{BOX}" height="24" fill="{colour}" stroke="black"/>',
        _text(x + BOX // 2, y + 17, letter, f'text-anchor="middle" fill="{ink}"'),
    ]


def _text(x: int, y: int, text: str, more: str = "") -> str:
    return f'<text x="{x}" y="{y}"{" " * bool(more)}{more}>{text}</text>'


def _number(value: float) -> str:
    return f"{value:.4g}".replace("e+", "e")


def main() -> None:
    """Write all pictures."""
    for family, names in FAMILIES.items():
        (FOLDER / f"bits_{family}.svg").write_text(picture(names), encoding="utf-8")


if __name__ == "__main__":
    main()

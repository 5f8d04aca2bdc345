"""Print docs/layouts.md: where each layout puts the bits, as the library does it.

python -m docs.generators.layouts > docs/layouts.md
"""

from __future__ import annotations

from minifloat.packing.layouts import Layout, parse_layout

LAYOUTS = {
    ("dense", 5): "One code after another, across words. As little-endian bytes the words equal "
    "`minifloat.pack(codes, bits)`, for every width; here 5 bits.",
    ("nvfp4", 4): "Two 4-bit codes in a byte, the even code in the low nibble: the same as dense.",
    ("4", 4): "One plane: dense, in another order, which AWQ's words have, too.",
    ("1+4", 5): "The top bit (the sign) in one plane, the others in another.",
    ("4+2", 6): "The two low bits in a plane of their own.",
    ("2+4", 6): "The two high bits in a plane of their own.",
    ("1+2+4", 7): "Three planes.",
    ("fpe2m2_checkpoint", 5): "FPE2M2's checkpoints. Words 0 to 3 of a group, one in each row, are "
    "`qweight[in/8, out]`, and word 4 is `sign_map[in/32, out]`. The authors write an exact zero "
    "with sign 1, the code of -0. `pack_words` writes each code as it is; "
    '`pack_words(np.where(codes == 0, 16, codes), "fpe2m2_checkpoint")` writes the bits of their '
    "files.",
    ("fpe2m2_kernel", 5): "FPE2M2's kernels. Word 4 shifted left by i has the signs of codes 2i "
    "and 2i + 1 at bits 15 and 31, the sign bits of a pair of float16. The prototype kernel "
    "published with the paper swaps the halves of word 4 (code 0 at bit 31, code 1 at bit 15), but "
    "not those of words 0 to 3, so that each code of a pair gets its neighbour's sign; this layout "
    "swaps neither.",
}

OWN = """\
```python
>>> import minifloat as mf
>>> from minifloat import registers
>>> places = [[28 - 4 * code + bit for bit in range(4)] for code in range(8)]
>>> layout = mf.Layout(4, 1, places, "mine")
>>> [f"{word:08x}" for word in mf.pack_words([1, 2, 3, 4, 5, 6, 7, 8], layout)]
['12345678']
>>> bool(registers.prove(registers.to_half("e2m1", layout), "e2m1"))
True

```"""


def section(layout: Layout, text: str) -> list[str]:
    """Return the paragraphs about one layout."""
    words = "word" if layout.words == 1 else "words"
    facts = f"{layout.count} codes of {layout.bits} bits in {layout.words} {words}."
    return [f"## `{layout.name}`", f"{text} {facts}", f"```\n{layout.picture()}\n```"]


def page() -> str:
    """Return the whole page."""
    parts = [
        "# Layouts",
        "The places of packed codes in 32-bit words. `python -m docs.generators.layouts` prints "
        "this page, and a test compares them.",
        "`7.3` is bit 3 of code 7, and a dot is an idle bit. Codes and bits are counted from 0, "
        "bits from the least significant one. `minifloat.parse_layout(name, bits)` finds a layout "
        "by its name.",
        "A name such as `1+4` means planes of these widths (1, 2, 4, 8 or 16), the code's highest "
        "bits first. In the words of a plane the even codes lie in the low half and the odd codes "
        "in the high half, so that one mask extracts a pair of codes.",
        "`minifloat.Layout` takes a table of any other places; here the first code is in the "
        "highest nibble. Programs are written for it, and proved, as for the others:",
        OWN,
    ]
    for (name, bits), text in LAYOUTS.items():
        parts += section(parse_layout(name, bits), text)
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    print(page(), end="")

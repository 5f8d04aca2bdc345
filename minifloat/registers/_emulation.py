"""What programs in C need beside C: arithmetic on halves and PRMT, in integers only.

No compiler's option for floating point (``-ffast-math``, x87, flush-to-zero) can change a bit of a
result, and no header but ``<stdint.h>`` is needed.
"""

from __future__ import annotations

from minifloat.formats.exmy import SHORT_NAMES
from minifloat.registers._program import Target


def halves_in_c(target: Target) -> str:
    """Return the function ``fma2_TARGET`` in C: a * b + c on each half, rounded once."""
    half = SHORT_NAMES[target]
    m, bias = half.mantissa_bits, half.bias
    return f"""
#ifndef MINIFLOAT_{target.upper()}
#define MINIFLOAT_{target.upper()}
/* Magnitudes are integers times powers of two, in units of the smallest subnormal. */
static uint64_t {target}_significand(uint32_t magnitude, int *exponent)
{{
    *exponent = magnitude >> {m} ? (int)(magnitude >> {m}) - 1 : 0;
    return magnitude - ((uint32_t)*exponent << {m});
}}

/* The bits that are cut off leave a 1 in the last place, unless they are all 0. */
static uint64_t {target}_cut(uint64_t x, int bits)
{{
    if (bits > 63) return x != 0;
    return x >> bits | ((x & (((uint64_t)1 << bits) - 1)) != 0);
}}

static uint32_t {target}_rounded(uint64_t x, int exponent)
{{
    uint64_t word, half, rest;
    int bits = 0, drop;
    while (x >> bits) bits++;
    drop = bits - {m + 1} > -exponent ? bits - {m + 1} : -exponent;
    exponent += drop;
    if (drop > 62) drop = 62; /* x is below 2**61, so it is rounded to 0 all the same */
    if (drop > 0) {{
        half = (uint64_t)1 << (drop - 1);
        rest = x & (2 * half - 1);
        word = x >> drop;
        word += rest > half || (rest == half && (word & 1));
    }} else {{
        word = x << -drop;
    }}
    word += (uint64_t)exponent << {m};
    return word < {half.inf_magnitude:#x} ? (uint32_t)word : {half.inf_magnitude:#x};
}}

static uint32_t {target}_fma(uint32_t a, uint32_t b, uint32_t c)
{{
    const uint32_t infinity = {half.inf_magnitude:#x}, nan = 0x7fff;
    uint32_t x = a & 0x7fff, y = b & 0x7fff, z = c & 0x7fff;
    uint32_t sign = (a ^ b) & 0x8000, other = c & 0x8000;
    uint64_t product, addend;
    int i, j, up;
    if (x > infinity || y > infinity || z > infinity) return nan;
    if (x == infinity || y == infinity)
        return !x || !y || (z == infinity && sign != other) ? nan : sign | infinity;
    if (z == infinity) return c;
    product = {target}_significand(x, &i);
    product *= {target}_significand(y, &j);
    i += j - {bias + m - 1};
    addend = {target}_significand(z, &j);
    if (!product) i = j;
    if (!addend) j = i;
    up = i > j ? i - j : j - i; /* the larger exponent comes down to the smaller, if 64 bits do */
    if (up > 38) up = 38;
    if (i > j) {{
        product <<= up;
        i -= up;
        addend = {target}_cut(addend, i - j);
    }} else {{
        addend <<= up;
        j -= up;
        product = {target}_cut(product, j - i);
        i = j;
    }}
    if (sign == other) return sign | {target}_rounded(product + addend, i);
    if (product == addend) return 0;
    if (product > addend) return sign | {target}_rounded(product - addend, i);
    return other | {target}_rounded(addend - product, i);
}}

static uint32_t fma2_{target}(uint32_t a, uint32_t b, uint32_t c)
{{
    return {target}_fma(a & 0xffff, b & 0xffff, c & 0xffff)
         | {target}_fma(a >> 16, b >> 16, c >> 16) << 16;
}}
#endif
"""


PRMT_IN_C = """
#ifndef MINIFLOAT_PRMT
#define MINIFLOAT_PRMT
static uint32_t prmt(uint32_t a, uint32_t b, uint32_t selector)
{
    uint64_t bytes = (uint64_t)b << 32 | a;
    uint32_t out = 0;
    for (int k = 0; k < 4; k++) {
        uint32_t nibble = selector >> 4 * k & 15, byte = (bytes >> 8 * (nibble & 7)) & 0xff;
        if (nibble & 8) byte = byte & 0x80 ? 0xff : 0;
        out |= byte << 8 * k;
    }
    return out;
}
#endif
"""

"""Operations in a format: each result is the exact one, rounded once.

The verbs are in `minifloat.arithmetic`. In the order of a result's way:

algebraic        sums, products, quotients, square roots, fused ones: `add`, `fma` ...
remainders       `fmod`, `remainder`, `ieee_remainder`
selections       one of the operands, perhaps with another sign: `minimum`, `absolute` ...
comparisons      `equal`, `less` ...
elementary       exponentials, logarithms, circular and hyperbolic functions ...
results          from operands to a rounded result: what all of them share
singles          operands of float32, several times as fast
functions        the elementary functions: approximated, enclosed, and known where rational
approximations   those in float64
enclosures       those in fractions, to any number of bits
odd_rounding     exact numbers as float64 numbers that are rounded to odd
"""

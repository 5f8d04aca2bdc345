"""Studies on top of `minifloat`: what formats lose, in closed form and on real weights."""

"""E3M2 with bias 5 in blocks of 32 with E8M0 scales: its SQNR on a random matrix, and its grid."""

import matplotlib.pyplot as plt
import numpy as np

import minifloat as mf

fmt = mf.Format(3, 2, bias=5)
w = np.random.default_rng(0).standard_normal((256, 1024), np.float32)

q = mf.quantize(w, fmt, block=32, scale="e8m0:up")
print(fmt)
print(f"{q.bits_per_weight} bits per weight")
print(f"SQNR {q.sqnr(w):.2f} dB")

fig, ax = plt.subplots(figsize=(7, 1.2), layout="constrained")
ax.vlines(fmt.values(), 0, 1, linewidth=0.8)
ax.set(xlabel=f"values of {fmt.name}", yticks=[])
fig.savefig("grid.png")

"""Programs twice: in NumPy, and with one `SlowFormat` number at a time, in the same order.

NumPy's have no word of formats in them. Each takes arrays, or nested lists of floats, and returns
arrays or nested lists.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.arithmetic.arrays.slow_numbers import SlowFormat

Matrix = list[list[float]]


def lu(a: Any) -> Any:
    """Factorize by Gauss with partial pivoting: L below the diagonal, U above, rows' order."""
    a = a.copy()
    order = np.arange(len(a))
    for k in range(len(a) - 1):
        p = k + np.argmax(np.abs(a[k:, k]))
        a[[k, p]] = a[[p, k]]
        order[[k, p]] = order[[p, k]]
        a[k + 1 :, k] /= a[k, k]
        a[k + 1 :, k + 1 :] -= np.outer(a[k + 1 :, k], a[k, k + 1 :])
    return a, order


def slow_lu(f: SlowFormat, a: Matrix) -> tuple[Matrix, list[int]]:
    a = [list(row) for row in a]
    order = list(range(len(a)))
    for k in range(len(a) - 1):
        p = max(range(k, len(a)), key=lambda i: (abs(a[i][k]), -i))
        a[k], a[p], order[k], order[p] = a[p], a[k], order[p], order[k]
        for i in range(k + 1, len(a)):
            a[i][k] = f.divide(a[i][k], a[k][k])
            for j in range(k + 1, len(a)):
                a[i][j] = f.subtract(a[i][j], f.multiply(a[i][k], a[k][j]))
    return a, order


def lorenz(y: Any) -> Any:
    """Return the derivatives of Lorenz' system, scaled by 1/10."""
    x, y, z = y
    return np.stack([10 * (y - x), x * (28 - z) - y, x * y - z * 8 / 3]) / 10


def runge_kutta(y: Any, h: float, steps: int) -> Any:
    """Take steps of the classical method of order 4."""
    for _ in range(steps):
        k1 = lorenz(y)
        k2 = lorenz(y + h / 2 * k1)
        k3 = lorenz(y + h / 2 * k2)
        k4 = lorenz(y + h * k3)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return y


def slow_lorenz(f: SlowFormat, v: list[float]) -> list[float]:
    x, y, z = v
    r = f.rounded
    first = f.multiply(r(10), f.subtract(y, x))
    second = f.subtract(f.multiply(x, f.subtract(r(28), z)), y)
    third = f.subtract(f.multiply(x, y), f.divide(f.multiply(z, r(8)), r(3)))
    return [f.divide(d, r(10)) for d in (first, second, third)]


def slow_runge_kutta(f: SlowFormat, y: list[float], h: float, steps: int) -> list[float]:
    def ahead(h: float, k: list[float]) -> list[float]:
        return [f.add(a, f.multiply(f.rounded(h), b)) for a, b in zip(y, k, strict=True)]

    for _ in range(steps):
        k1 = slow_lorenz(f, y)
        k2 = slow_lorenz(f, ahead(h / 2, k1))
        k3 = slow_lorenz(f, ahead(h / 2, k2))
        k4 = slow_lorenz(f, ahead(h, k3))
        two = f.rounded(2)
        total = [
            f.add(f.add(f.add(a, f.multiply(two, b)), f.multiply(two, c)), d)
            for a, b, c, d in zip(k1, k2, k3, k4, strict=True)
        ]
        y = ahead(h / 6, total)
    return y


def softmax(x: Any) -> Any:
    """Return the exponentials of each row, divided by their sum."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def slow_softmax(f: SlowFormat, rows: Matrix) -> Matrix:
    results = []
    for row in rows:
        e = [f.exp(f.subtract(x, max(row))) for x in row]
        total = f.sum(e)
        results.append([f.divide(x, total) for x in e])
    return results


def conjugate_gradients(a: Any, b: Any, steps: int) -> Any:
    """Solve a x = b for a symmetric positive definite matrix."""
    x, r = np.zeros_like(b), b.copy()
    p, rr = r, r @ r
    for _ in range(steps):
        q = a @ p
        step = rr / (p @ q)
        x = x + step * p
        r = r - step * q
        new = r @ r
        p = r + new / rr * p
        rr = new
    return x


def slow_conjugate_gradients(f: SlowFormat, a: Matrix, b: list[float], steps: int) -> list[float]:
    def moved(start: list[float], step: float, by: list[float]) -> list[float]:
        return [f.add(s, f.multiply(step, v)) for s, v in zip(start, by, strict=True)]

    x, r = [0.0] * len(b), list(b)
    p, rr = r, f.dot(r, r)
    for _ in range(steps):
        q = [f.dot(row, p) for row in a]
        step = f.divide(rr, f.dot(p, q))
        x = moved(x, step, p)
        r = [f.subtract(s, f.multiply(step, v)) for s, v in zip(r, q, strict=True)]
        new = f.dot(r, r)
        p = moved(r, f.divide(new, rr), p)
        rr = new
    return x


def horner(coefficients: list[float], x: Any) -> Any:
    """Evaluate a polynomial, the highest power first."""
    y = np.zeros_like(x)
    for c in coefficients:
        y *= x
        y += c
    return y


def slow_horner(f: SlowFormat, coefficients: list[float], xs: list[float]) -> list[float]:
    results = []
    for x in xs:
        y = 0.0
        for c in coefficients:
            y = f.add(f.multiply(y, x), f.rounded(c))
        results.append(y)
    return results


def k_means_step(points: Any, centres: Any) -> Any:
    """Return which centre is next to each point, the means of these groups, and the distances."""
    distances = ((points[:, None] - centres[None]) ** 2).sum(axis=-1)
    nearest = distances.argmin(axis=1)
    means = [
        points[nearest == k].mean(axis=0) if (nearest == k).any() else centres[k]
        for k in range(len(centres))
    ]
    return nearest, np.stack(means), np.sqrt(distances)


def slow_k_means_step(
    f: SlowFormat, points: Matrix, centres: Matrix
) -> tuple[list[int], Matrix, Matrix]:
    distances = [
        [
            f.sum([f.power(f.subtract(x, y), 2) for x, y in zip(point, centre, strict=True)])
            for centre in centres
        ]
        for point in points
    ]
    nearest = [min(range(len(row)), key=row.__getitem__) for row in distances]
    means = []
    for k, centre in enumerate(centres):
        mine = [point for point, near in zip(points, nearest, strict=True) if near == k]
        columns = zip(*mine, strict=True)
        means.append([f.divide(f.sum(x), len(mine)) for x in columns] if mine else centre)
    return nearest, means, [[f.sqrt(d) for d in row] for row in distances]

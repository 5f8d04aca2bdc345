"""The exact error of absmax scaling against nested quadrature, enumeration and experiments."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from numpy.typing import NDArray

import minifloat as mf
from analysis import Empirical, absmax_mse, absmax_mse_at, absmax_mse_of_weights, parse_distribution
from analysis.errors import absmax_error as module
from analysis.errors.absmax_error import checked_scaling
from analysis.errors.distributions import Distribution
from analysis.errors.grids import grid_of
from analysis.errors.laws import Law
from analysis.errors.panels import sampled_panels
from analysis.errors.scale_rules import ScaleRule, scale_rule
from minifloat.formats import Codebook

Array = NDArray[np.float64]
SIGMAS = 5.0  # of the experiments: one in two million fails by chance


def scales_by_definition(name: str, absmax: Array, fmt: str, tensor_scale: float) -> Array:
    """Return the scales of blocks, without `analysis.errors.scale_rules`."""
    top = min(mf.parse(fmt).max, -mf.parse(fmt).min)
    if name == "float32":
        return absmax / top
    if name == "e8m0":
        return 2.0 ** (np.floor(np.log2(absmax)) - math.floor(math.log2(top)))
    if name == "e8m0:up":
        return 2.0 ** np.ceil(np.log2(absmax / top))
    wanted = absmax / top / tensor_scale
    rounded = np.asarray(mf.round_to(wanted, name, dtype=np.float64))
    return tensor_scale * np.where(rounded == 0, mf.parse(name).smallest, rounded)


def rule_of(fmt: str, scale: str, law: Law) -> ScaleRule:
    """Return the rule of scales that `absmax_mse` uses for a format and scales."""
    return checked_scaling(fmt, law, 32, scale, None)[2]


def block_errors(fmt: str, blocks: Array, scales: Array) -> Array:
    """Return each block's mean square error."""
    values = grid_of(fmt).values
    out = np.empty(len(blocks))
    for start in range(0, len(blocks), 2000):
        chunk = slice(start, start + 2000)
        quotient = blocks[chunk] / scales[chunk, None]
        index = np.searchsorted((values[1:] + values[:-1]) / 2, quotient)
        out[chunk] = ((quotient - values[index]) * scales[chunk, None]).__pow__(2).mean(axis=1)
    return out


SAMPLERS: dict[str, Callable[[np.random.Generator, tuple[int, int]], Array]] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "laplace": lambda rng, shape: rng.laplace(0, math.sqrt(0.5), shape),
    "logistic": lambda rng, shape: rng.logistic(0, math.sqrt(3) / math.pi, shape),
    "uniform": lambda rng, shape: rng.uniform(-math.sqrt(3), math.sqrt(3), shape),
    "student_t(7)": lambda rng, shape: rng.standard_t(7, shape) * math.sqrt(5 / 7),
}


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize(
    ("fmt", "block_size", "scale"),
    [
        ("e2m2", 128, "float32"),
        ("int5", 32, "float32"),
        ("nf4", 64, "float32"),
        ("int4full", 8, "float32"),
        ("bipolar_int3", 16, "float32"),
        ("e2m1", 32, "e8m0"),
        ("e4m3fn", 32, "e8m0"),
        ("int5", 32, "e8m0:up"),
        ("nf5", 16, "e8m0"),
        ("e2m1", 16, "e4m3fn"),
        ("nf4", 16, "ue5m3"),
        ("e2m2", 4, "e3m2"),
        ("int8", 64, "bfloat16"),
    ],
)
def test_against_an_experiment(name: str, fmt: str, block_size: int, scale: str) -> None:
    """Within five standard errors of the mean over 40 000 seeded blocks or 1 000 000 weights."""
    count = min(40_000, 1_000_000 // block_size)
    blocks = SAMPLERS[name](np.random.default_rng(11), (count, block_size))
    absmax = np.abs(blocks).max(axis=1)
    tensor_scale = {"e4m3fn": 0.011, "ue5m3": 1e-4, "e3m2": 0.021}.get(scale, 1.0)
    errors = block_errors(fmt, blocks, scales_by_definition(scale, absmax, fmt, tensor_scale))
    given = None if scale in ("float32", "bfloat16") or "e8m0" in scale else tensor_scale
    expected = absmax_mse(fmt, name, block_size, scale, tensor_scale=given)
    sigma = errors.std(ddof=1) / math.sqrt(count)
    assert abs(errors.mean() - expected) < SIGMAS * sigma
    assert sigma < 0.1 * expected  # else the test says little


@pytest.mark.parametrize("scale", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("fmt", ["e2m2", "int5", "nf4", "int4full", "e4m3fn"])
def test_it_is_what_quantize_does(fmt: str, scale: str) -> None:
    """`minifloat.quantize` on a million seeded normals, within five standard errors."""
    weights = np.random.default_rng(12).standard_normal((8192, 128)).astype(np.float32)
    quantized = mf.quantize(weights, fmt, block=128, scale=scale)
    errors = ((weights.astype(np.float64) - quantized.dequantize()) ** 2).mean(axis=1)
    sigma = errors.std(ddof=1) / math.sqrt(len(errors))
    assert abs(errors.mean() - absmax_mse(fmt, "normal", 128, scale)) < SIGMAS * sigma


@pytest.mark.parametrize("rounding", [*mf.ScaleRounding][1:])
@pytest.mark.parametrize("fmt", ["e2m1", "e4m3fn", "int5", "nf4", "mxint8"])
def test_powers_of_two_are_those_of_quantize(fmt: str, rounding: str) -> None:
    """At the thresholds, beside them, and in between."""
    edges = np.array([1, 1.5, 1.75, 6, 7, 448, 127 / 64])[:, None] * 2.0 ** np.arange(-5, 6)
    m = np.concatenate([edges, np.nextafter(np.float32(edges), 0, dtype=np.float32)]).reshape(-1)
    m = np.concatenate([m, np.random.default_rng(3).uniform(0.01, 99, 500)]).astype(np.float32)
    normal = parse_distribution("normal")
    if rounding == "even" and mf.parse(fmt).precision is None:
        with pytest.raises(ValueError, match="even"):
            absmax_mse(fmt, normal, 8, "e8m0:even")
        return
    recipe = mf.Recipe(fmt, block=1, scale=f"e8m0:{rounding}")
    scales = mf.quantize(m[:, None], recipe).scales
    rule = scale_rule(recipe, normal)
    assert np.array_equal(rule(m.astype(np.float64)), scales[:, 0])


@pytest.mark.parametrize("scale", ["float16:ceil", "e4m3fn:floor", "ue4m3", "e5m0", "float32:up"])
def test_scales_of_other_formats_are_those_of_quantize(scale: str) -> None:
    m = np.random.default_rng(4).uniform(0.5, 99, 500).astype(np.float32)
    recipe = mf.Recipe("e2m1", block=1, scale=scale)
    scales = mf.quantize(m[:, None], recipe).scales
    rule = scale_rule(recipe, parse_distribution("normal"))
    assert np.array_equal(rule(m.astype(np.float64)), scales[:, 0])


@pytest.mark.parametrize(
    "recipe",
    ["mxfp4", "mxfp8e4m3", "mxint8", "bfp12_64", "e2m2", "int5/16/float16", "e2m1/4x8/e8m0:even"],
)
def test_recipes_have_the_expected_error(recipe: str) -> None:
    weights = np.random.default_rng(21).standard_normal((16384, 128)).astype(np.float32)
    errors = (weights.astype(np.float64) - mf.quantize(weights, recipe).dequantize()) ** 2
    errors = errors.reshape(4096, 4, -1).mean(axis=(1, 2))  # rows of tiles
    sigma = errors.std(ddof=1) / math.sqrt(len(errors))
    assert abs(errors.mean() - absmax_mse(recipe, "normal")) < SIGMAS * sigma


@pytest.mark.parametrize("recipe", ["nvfp4", "nvint4", "e2m1/32/e8m0/tensor-scale"])
def test_recipes_with_a_tensor_scale_have_the_expected_error(recipe: str) -> None:
    """With the tensor scale that `minifloat.quantize` found, and nearly the same by default."""
    weights = np.random.default_rng(22).standard_normal((1 << 13, 1 << 8)).astype(np.float32)
    quantized = mf.quantize(weights, recipe)
    errors = ((weights.astype(np.float64) - quantized.dequantize()) ** 2).mean(axis=1)
    sigma = errors.std(ddof=1) / math.sqrt(len(errors))
    expected = absmax_mse(recipe, "normal", tensor_scale=quantized.tensor_scale)
    assert abs(errors.mean() - expected) < SIGMAS * sigma
    if "e8m0" not in recipe:  # the error depends on the place of T within its binade
        assert absmax_mse(recipe, "normal") == pytest.approx(expected, rel=0.01)


def test_recipes_and_arguments_say_the_same() -> None:
    assert absmax_mse("e2m1/32/e8m0:up", "laplace") == absmax_mse("e2m1", "laplace", 32, "e8m0:up")
    assert absmax_mse("nvfp4", "laplace") == absmax_mse("e2m1", "laplace", 16, "e4m3fn")
    assert absmax_mse("nf4", "laplace") == absmax_mse("nf4", "laplace", 64)  # the recipe nf4
    assert absmax_mse(mf.Recipe("e2m2"), "normal") == absmax_mse("e2m2", "normal", 128, "float16")


@pytest.mark.parametrize(
    ("recipe", "complaint"),
    [
        ("e2m2/128/float16/mse", "search absmax.*got e2m2/128/float16/mse; measure it by"),
        ("qlora", "without double and zero points"),
        ("uint4/128/float16/zero-point", "without double and zero points"),
        ("fp6_llm", r"blocks of a known size.*got e3m2/channel/float16; use recipe\.replace"),
        ("uint4/128", "fmt must have values of both signs"),
    ],
)
def test_recipes_without_an_exact_error_are_refused(recipe: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        absmax_mse(recipe, "normal")


def error_given_maximum(fmt: str, density: Distribution, n: float, m: float, scale: float) -> float:
    """Return the mean square error in a block of absmax m, by quadrature."""
    grid = grid_of(fmt)
    near = [sign * 4.0**k for k in range(10) for sign in (1, -1)]  # where the integrand is large
    edges = [-m, *(scale * grid.middles), m, 0.0, *near]
    edges = np.unique([edge for edge in edges if -m <= edge <= m]).tolist()
    inside = math.fsum(
        scipy.integrate.quad(
            lambda t: (t - scale * float(grid.nearest(t / scale))) ** 2 * float(density.pdf(t)),
            low,
            high,
            epsabs=1e-14,
            epsrel=1e-11,
        )[0]
        for low, high in itertools.pairwise(edges)
    )
    below = 1 - 2 * float(density.upper_moments(m).zeroth)
    own = [(x - scale * float(grid.nearest(x / scale))) ** 2 for x in (m, -m)]
    return ((n - 1) * inside / below + sum(own) / 2) / n


@pytest.mark.parametrize("name", ["normal", "student_t(4)"])
@pytest.mark.parametrize(("fmt", "n"), [("e2m2", 128), ("nf4", 2.5), ("int4full", 32)])
def test_against_nested_quadrature(fmt: str, n: float, name: str) -> None:
    """The integral over m itself, not over its Gumbel variable, with exact scales."""
    density, max_abs = parse_distribution(name), mf.parse(fmt).max_abs

    def integrand(m: float) -> float:
        below = 1 - 2 * float(density.upper_moments(m).zeroth)
        chance = n * 2 * float(density.pdf(m)) * below ** (n - 1)
        return chance * error_given_maximum(fmt, density, n, m, m / max_abs)

    ends = [1e-9, 0.1, 0.2, 0.4, *np.arange(0.7, 7, 0.35), 8, 10, 13, 17, 22, 30]
    if name == "student_t(4)":
        ends += np.geomspace(40, 1e6, 24).tolist()
    nodes, weights = np.polynomial.legendre.leggauss(8)
    total = math.fsum(
        (high - low) / 2 * weight * integrand(low + (high - low) * (1 + node) / 2)
        for low, high in itertools.pairwise(ends)
        for node, weight in zip(nodes, weights, strict=True)
    )
    assert absmax_mse(fmt, name, n) == pytest.approx(total, rel=1e-8, abs=0)


@pytest.mark.parametrize("scale", ["float32", "e8m0", "e4m3fn", "bfloat16"])
@pytest.mark.parametrize("name", ["normal", "uniform", "student_t(3)"])
@pytest.mark.parametrize("fmt", ["e2m2", "nf4", "int4full"])
def test_given_the_quantile_of_the_maximum(fmt: str, name: str, scale: str) -> None:
    density, n = parse_distribution(name), 32
    rule = rule_of(fmt, scale, density)
    for quantile in (0.01, 0.18, 0.5, 0.99, 0.997):  # int4full uses -8 at the second
        below = quantile ** (1 / n)
        m = float(density.magnitude_beyond(1 - below))
        s = float(rule(np.array([m]))[0])
        found = absmax_mse_at(fmt, density, quantile, n, scale)
        assert float(found) == pytest.approx(
            error_given_maximum(fmt, density, n, m, s), rel=1e-8, abs=0
        )


@pytest.mark.parametrize("name", ["normal", "laplace", "student_t(5)"])
def test_the_mean_over_quantiles_is_the_whole(name: str) -> None:
    """Over (0, 1) in the variable that spreads both ends, by the midpoint rule."""
    z = np.linspace(-12, 30 if name != "student_t(5)" else 60, 20_001)
    z = (z[1:] + z[:-1]) / 2
    quantiles = np.exp(-np.exp(-z))
    usable = (quantiles > 0) & (quantiles < 1)
    weight = np.exp(-z - np.exp(-z)) * (z[1] - z[0])
    errors = absmax_mse_at("e2m2", name, quantiles[usable], 64)
    rest = 1e-6  # beyond the quantile 1 - 1e-16
    assert weight[usable] @ errors == pytest.approx(absmax_mse("e2m2", name, 64), rel=rest, abs=0)


@pytest.mark.parametrize("scale", ["float32", "e8m0", "e8m0:nearest", "e3m2", "float16"])
@pytest.mark.parametrize(
    ("fmt", "n"), [("e2m1", 1), ("int3", 2), ("nf4", 3), ("int4full", 3), ("bipolar_int2", 3)]
)
def test_draws_from_weights_by_enumeration(fmt: str, n: int, scale: str) -> None:
    """Every block of n draws from seven weights, zeros and opposite twins among them."""
    weights = np.array([0.0, 0.3, -0.3, 0.8, -1.1, 1.7, 1.1])
    law, grid = Empirical(weights), grid_of(fmt)
    rule = rule_of(fmt, scale, law)
    errors = []
    for block in itertools.product(law.sorted, repeat=n):
        absmax = max(map(abs, block))
        if absmax == 0:
            errors.append(0.0)
            continue
        s = float(rule(np.array([absmax]))[0])
        errors += [float(np.min((x - s * grid.values) ** 2)) / n for x in block]
    wanted = math.fsum(errors) / weights.size**n
    found = absmax_mse_of_weights(fmt, weights, n, scale)
    assert found == pytest.approx(wanted, rel=1e-12, abs=1e-18)


def test_many_weights_tend_to_their_density() -> None:
    weights = scipy.stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    for scale in ("float32", "e8m0"):
        found = absmax_mse_of_weights("e2m2", weights, 32, scale)
        assert found == pytest.approx(absmax_mse("e2m2", "normal", 32, scale), rel=1e-3, abs=0)


@pytest.mark.parametrize("name", ["normal", "laplace", "logistic", "uniform", "student_t(2.5)"])
@pytest.mark.parametrize(
    ("fmt", "n", "scale"),
    [
        ("e2m2", 128, "float32"),
        ("int8", 1.5, "float32"),
        ("nf4", 4096, "e8m0"),
        ("e2m2", 8, "e4m3fn"),
        ("e2m2", 128, "bfloat16"),
        ("e2m2", 2, "float16"),
    ],
)
def test_more_nodes_change_nothing(
    fmt: str, n: float, scale: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim of 1e-8: three times the nodes, a longer range, every step integrated."""
    found = absmax_mse(fmt, name, n, scale)
    orders = ((0.02, 5), (0.1, 9), (math.inf, 25))
    rules = {nodes: np.polynomial.legendre.leggauss(nodes) for _, nodes in orders}
    monkeypatch.setattr(module, "ORDERS", orders)
    monkeypatch.setattr(module, "RULES", rules)
    monkeypatch.setattr(module, "DIGITS", 30.0)
    monkeypatch.setattr(module, "MIN_GUMBEL", -4.2)
    if scale in ("float16", "bfloat16") and name in ("normal", "student_t(2.5)"):
        monkeypatch.setattr("analysis.errors.panels.SAMPLES", 10**6)
    assert found == pytest.approx(absmax_mse(fmt, name, n, scale), rel=1e-8, abs=0)


def test_fine_scales_are_nearly_exact() -> None:
    """Rounding a scale to p bits changes the error by the order of 4**-p, and by some of 2**-p."""
    exact = absmax_mse("e2m2", "normal", 128)
    assert absmax_mse("e2m2", "normal", 128, "float32") == exact
    changes = [
        abs(absmax_mse("e2m2", "normal", 128, scale) / exact - 1)
        for scale in ("float16", "bfloat16", "e7m3", "e8m0")
    ]
    assert changes == sorted(changes)
    assert changes[0] < 1e-6
    assert changes[1] < 1e-4


def test_blocks_of_one_weight_have_no_error() -> None:
    for fmt in ("e2m2", "nf4", "bipolar_int2"):
        assert absmax_mse(fmt, "normal", 1) < 1e-30
        assert absmax_mse(fmt, "normal", 1, "float16") < 2.0**-24


def test_the_asymmetric_integer_scales_by_its_smaller_side() -> None:
    """-8 of int4full is never used: the absmax becomes 7, as in `quantize`."""
    assert absmax_mse("int4full", "normal", 64) == pytest.approx(
        absmax_mse("int4", "normal", 64), rel=1e-12, abs=0
    )
    assert absmax_mse("int4full", "normal", 64, "e8m0") < absmax_mse("int4", "normal", 64, "e8m0")


def test_an_asymmetric_codebook_scales_by_its_smaller_side() -> None:
    book = Codebook([-0.5, 0.0, 0.25, 1.0], "asymmetric")
    weights = np.random.default_rng(13).standard_normal((20_000, 8)).astype(np.float32)
    quantized = mf.quantize(weights, book, block=8, scale="float32")
    errors = ((weights.astype(np.float64) - quantized.dequantize()) ** 2).mean(axis=1)
    sigma = errors.std(ddof=1) / math.sqrt(len(errors))
    assert abs(errors.mean() - absmax_mse(book, "normal", 8)) < SIGMAS * sigma


def test_a_scale_of_one_value_is_a_fixed_scale() -> None:
    """Then the blocks do not matter."""
    from analysis import expected_mse

    fixed = mf.Format(1, 0, signed=False, bias=2)  # 0 and 0.5
    for n in (2, 100):
        found = absmax_mse("e2m2", "normal", n, fixed, tensor_scale=0.8)
        assert found == pytest.approx(expected_mse("e2m2", "normal", 0.4), rel=1e-9, abs=0)


def test_scale_rules() -> None:
    normal = parse_distribution("normal")
    m = np.array([0.9, 3.0, 4.0, 6.0, 6.1, 9.0])

    def scales(scale: str) -> list[float]:
        return rule_of("e2m1", scale, normal)(m).tolist()

    assert scales("ue8m0") == [0.125, 0.5, 1, 1, 1, 2]
    assert scales("e8m0:up") == [0.25, 0.5, 1, 1, 2, 2]
    assert scales("e8m0:down") == [0.125, 0.5, 0.5, 1, 1, 1]
    assert scales("e8m0:ceil") == [0.25, 1, 1, 2, 2, 4]
    assert scales("e8m0:nearest") == [0.25, 1, 1, 2, 2, 2]
    assert scales("e8m0:even") == [0.25, 0.5, 1, 1, 1, 2]  # 0.9 rounds to 1 in two bits
    float16 = rule_of("e2m1", "float16", normal)
    assert float16(m).tolist() == np.float16(m / 6.0).tolist()
    assert float16(np.array([1e-9, 1e7])).tolist() == [2.0**-24, 65504]
    # NVFP4's tensor scale: the absmax of 2**24 normals gets the largest scale, 448
    e4m3 = rule_of("e2m1", "e4m3fn", normal)
    assert e4m3.scales[-1] * 6 == pytest.approx(5.5, abs=0.2)
    assert e4m3(np.array([e4m3.scales[-1] * 6]))[0] == e4m3.scales[-1]


def test_options_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"block_size must be finite and at least 1, got 0\.5"):
        absmax_mse("e2m2", "normal", 0.5)
    with pytest.raises(ValueError, match="fmt must have values of both signs"):
        absmax_mse("ue4m3", "normal", 8)
    with pytest.raises(ValueError, match="got 'upwards'"):
        absmax_mse("e2m2", "normal", 8, "float16:upwards")
    with pytest.raises(ValueError, match="scale must be float32 or a Format such as e8m0, got nf4"):
        absmax_mse("e2m2", "normal", 8, "nf4:up")
    with pytest.raises(ValueError, match="block_size must be left out for a recipe, got 8"):
        absmax_mse(mf.Recipe("e2m2"), "normal", 8)
    with pytest.raises(ValueError, match="scale must be a known format name, got 'no'"):
        absmax_mse("e2m2", "normal", 8, "no")
    with pytest.raises(ValueError, match="tensor_scale must be positive and finite, got 0"):
        absmax_mse("e2m2", "normal", 8, "float16", tensor_scale=0.0)
    with pytest.raises(ValueError, match="tensor_scale must be left out for exact scales"):
        absmax_mse("e2m2", "normal", 8, tensor_scale=1.0)
    with pytest.raises(ValueError, match=r"quantile must be in \(0, 1\)"):
        absmax_mse_at("e2m2", "normal", [0.5, 1.0], 8)
    weights = Empirical([1.0, 2.0])
    with pytest.raises(TypeError, match="use absmax_mse_of_weights"):
        absmax_mse("e2m2", weights, 8)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="use absmax_mse_of_weights"):
        absmax_mse_at("e2m2", weights, 0.5, 8)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 20, 21, 500, 5000])
def test_sampled_panels_sum_as_all_do(count: int) -> None:
    ends = np.concatenate([np.linspace(2, 3, count + 1), np.linspace(3, 5, count + 1)[1:]])
    groups = (ends[:-1] > 2.3).astype(int)
    indices, often = sampled_panels(ends, groups)
    integrals = np.exp(-(ends[:-1] ** 2)) - np.exp(-(ends[1:] ** 2))
    assert often @ integrals[indices] == pytest.approx(
        math.exp(-4) - math.exp(-25), rel=1e-7, abs=0
    )
    assert indices.size <= min(2 * count, 80)

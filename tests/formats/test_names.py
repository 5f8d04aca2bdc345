"""Names parse and print: `parse(str(f)) == f`, aliases, and errors for unknown names."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import minifloat.formats.names
from minifloat.formats import Codebook, Format, Integer
from minifloat.formats.catalogue import ALIASES, CATALOGUE
from minifloat.formats.codebook import name_of_values
from minifloat.formats.names import parse
from tests.formats.combinations import combinations, first_format


def every_format(bias_offset: int | None) -> list[Format]:
    """Return all combinations of arguments, at the default bias plus an offset."""
    formats = []
    for arguments in combinations():
        usual = 2 ** (arguments["exponent_bits"] - 1) - 1
        bias = None if bias_offset is None else usual + bias_offset
        if (fmt := first_format(arguments, [bias])) is not None:
            formats.append(fmt)
    return formats


def test_every_name_parses_to_its_format() -> None:
    formats = every_format(None)
    assert len(formats) > 1500
    for fmt in formats:
        assert parse(str(fmt)) == fmt
    assert len({fmt.name for fmt in formats}) == len(formats)


@pytest.mark.parametrize("bias_offset", [-211, -1, 1, 97])
def test_every_name_with_a_bias_parses_to_its_format(bias_offset: int) -> None:
    for fmt in every_format(bias_offset):
        assert parse(str(fmt)) == fmt


@pytest.mark.parametrize("name", CATALOGUE)
def test_catalogue_names_print_unchanged(name: str) -> None:
    fmt = CATALOGUE[name]
    assert parse(name) is fmt
    assert fmt.name == f"{fmt}" == name
    assert str(fmt).startswith(f"{name} (bits ")


@pytest.mark.parametrize("alias", ALIASES)
def test_aliases_name_catalogue_formats(alias: str) -> None:
    assert alias not in CATALOGUE
    assert parse(alias) is CATALOGUE[ALIASES[alias]]


@pytest.mark.parametrize("bits", range(2, 17))
def test_integer_names(bits: int) -> None:
    for fmt in (Integer(bits), Integer(bits, symmetric=False), Integer(bits, signed=False)):
        assert parse(str(fmt)) == fmt
    assert Integer(bits).name == f"int{bits}"
    assert Integer(bits, symmetric=False).name == f"int{bits}full"
    assert Integer(bits, signed=False).name == f"uint{bits}"


@pytest.mark.parametrize(
    ("name", "fmt"),
    [
        ("e3m1b5", Format(3, 1, bias=5)),
        ("e3m1b-5", Format(3, 1, bias=-5)),
        ("ue3m1", Format(3, 1, signed=False)),
        ("e4m3", Format(4, 3, specials="fn")),
        ("e4m3none", Format(4, 3)),
        ("e5m2", Format(5, 2, specials="ieee")),
        ("e5m2none", Format(5, 2)),
        ("e2m2ieee", Format(2, 2, specials="ieee")),
        ("e4m3fnuz", Format(4, 3, bias=8, specials="fnuz")),
        ("e4m3b7fnuz", Format(4, 3, bias=7, specials="fnuz")),
        ("e3m2_nosub", Format(3, 2, subnormals=False)),
        ("e3m2b1fn_nosub", Format(3, 2, bias=1, specials="fn", subnormals=False)),
        ("binary8p4se", Format(4, 3, bias=8, specials="p3109")),
        ("binary8p4sf", Format(4, 3, bias=8, specials="fnuz")),
        ("binary8p4ue", Format(5, 3, bias=16, signed=False, specials="p3109")),
        ("binary8p4uf", Format(5, 3, bias=16, signed=False, specials="fn")),
        ("tf32", Format(8, 10, specials="ieee")),
        ("int4", Integer(4)),
        ("uint1", Integer(1, signed=False)),
        ("  E4M3FN ", Format(4, 3, specials="fn")),
        ("FLOAT8_E5M2", Format(5, 2, specials="ieee")),
    ],
)
def test_the_grammar(name: str, fmt: Format | Integer) -> None:
    assert parse(name) == fmt


def test_the_values_of_a_codebook_are_a_name() -> None:
    texts = {
        "[-1 -0.4 0 0.3 1]": (-1.0, -0.4, 0.0, 0.3, 1.0),
        "[ -0  0 ]": (-0.0, 0.0),
        "[1E3 +2. .5 1e-5 -1e+30] (mine)": (1000.0, 2.0, 0.5, 1e-5, -1e30),
        "[3 1 2]": (3.0, 1.0, 2.0),  # in the order of the codes
    }
    for text, values in texts.items():
        fmt = parse(text)
        assert isinstance(fmt, Codebook)
        assert list(map(str, fmt.codebook)) == list(map(str, values)), "with the sign of zero"
        assert parse(fmt.name) == parse(str(fmt)) == fmt
        assert parse(fmt.name).name == fmt.name
    assert parse("[1E3 +2. .5]").name == "[1000 2 0.5]"


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, unique_by=repr))
def test_any_finite_values_are_a_name(values: list[float]) -> None:
    name = name_of_values(values)
    assert [value.hex() for value in parse(name)] == [value.hex() for value in values]
    assert Codebook(values, name).name == name, "of any length"


@pytest.mark.parametrize("text", ["[{}x]", "[{}.{}x]", "[1e{}x]", "[1 {}"])
def test_a_long_number_is_refused_at_once(text: str) -> None:
    """Where digits could be shared out in many ways, this took minutes."""
    text = text.replace("{}", "1" * 100_000)
    start = time.perf_counter()
    with pytest.raises(ValueError, match="must be a known format name"):
        parse(text)
    assert time.perf_counter() - start < 5


def test_printed_names_are_the_short_ones() -> None:
    printed = {
        "e3m1b3": "e3m1",
        "e4m3b7fn": "e4m3fn",
        "e4m3b7": "e4m3none",
        "e4m3b8p3109": "binary8p4se",
        "binary8p4sf": "e4m3fnuz",
        "e2m2b1none": "e2m2",
        "e5m2ieee": "e5m2",
        "float8_e8m0fnu": "e8m0",
    }
    assert {name: parse(name).name for name in printed} == printed


def test_a_format_parses_to_itself() -> None:
    fmt = Format(3, 3)
    assert parse(fmt) is fmt


def test_a_codebook_prints_its_own_name() -> None:
    assert f"{Codebook([0, 1], 'mine')}" == Codebook([0, 1], "mine").name == "mine"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("e4m3fnn", "fmt must be a known format name, got 'e4m3fnn'; did you mean e4m3fn"),
        ("nf7", "did you mean nf5 or nf4"),
        ("e3m2nosub", r"did you mean e3m2 .*\(behind eXmY may stand a bias, .* e3m2_nosub\)"),
        ("e3m2fnb5", r"\(behind eXmY may stand a bias, then none, ieee, .* e3m2b5fn"),
        ("bfloat", "did you mean bfloat16"),
        ("floot16", "did you mean float16"),
        ("fp4", r"got 'fp4'; did you mean e2m1\?"),
        ("FP8", r"got 'FP8'; did you mean e4m3fn or e5m2\?"),
        ("float6", r"did you mean e3m2 or e2m3\?"),
        ("mxfp4", r"did you mean e2m1\?"),
        ("nvfp4", r"did you mean e2m1\?"),
        ("posit", "any eXmY is one"),
        ("", "fmt must be a known format name, got ''"),
        ("[-1, 0]", r"known format name, got '\[-1, 0\]'; a codebook is its values, finite d"),
        ("[]", "fmt must be a known format name"),
        ("[0 x]", "fmt must be a known format name"),
        ("[0 nan]", r"got '\[0 nan\]'; a codebook is its values, finite decimal numbers, in b"),
        ("[" + "1 " * 999 + "x]", r"got '\[1 [1 ]*' and 1501 characters more; a codebook is"),
        ("[" + "1 " * 999 + "]", r"got '\[1 [1 ]*' and 1500 characters more: codebook mu"),
        ("[0 1_0]", "fmt must be a known format name"),
        ("[0 \u0661]", "fmt must be a known format name"),
        (
            "[1]",
            r"fmt must name a format, got '\[1\]': codebook must have 2 to 65536 values, got 1",
        ),
        ("[1 0 1.0]", "codebook must hold no value twice, got 1.0 at code 2"),
        ("[0 1e999]", "codebook must be finite, got inf at code 1"),
        ("uint4full", "fmt must be a known format name"),
        ("e2m2 b0", "fmt must be a known format name"),
        ("e0m3", r"exponent_bits must be in 1\.\.16, got 0"),
        ("e17m3", r"exponent_bits must be in 1\.\.16, got 17"),
        ("e4m16", r"mantissa_bits must be in 0\.\.15, got 16"),
        ("e8m9", "at most 16 bits together"),
        ("int1", r"fmt must name a format, got 'int1': bits must be in 2\.\.16, got 1"),
        ("INT99", r"fmt must name a format, got 'INT99': bits must be in 2\.\.16, got 99"),
        ("uint0", r"fmt must name a format, got 'uint0': bits must be in 1\.\.16, got 0"),
        ("lut9", r"fmt must name a format, got 'lut9': bits must be in 1\.\.8, got 9"),
        ("binary8p9", "got 'binary8p9': a name of P3109 ends in se, sf, ue or uf .* write binary8"),
        ("binary2p1se", r"'binary2p1se': K must be in 3\.\.16 in binary\{K\}p\{P\}, got 2"),
        ("binary8p8se", r"'binary8p8se': P must be in 1\.\.7 in binary8p\{P\}, got 8"),
        ("binary16p1se", "got 'binary16p1se': every value must be a float64 value"),
        ("bipolar_int9", r"got 'bipolar_int9': bits must be in 1\.\.8, got 9"),
        ("ue4m3fnuz", "use specials='fn'"),
        ("e2m2\n", r"fmt must be a known format name, got 'e2m2\\n'; did you mean e2m2"),
        ("\te2m2", "fmt must be a known format name"),
        ("e2m2\0", "fmt must be a known format name"),
        ("e\u0662m2", "fmt must be a known format name, got 'e\u0662m2'"),
        ("int\u0664", "fmt must be a known format name"),
        ("binary\uff18p3se", "fmt must be a known format name"),
        ("bipolar_int\u0662", "fmt must be a known format name"),
        ("\u212ealf", "fmt must be a known format name"),
        ("e2m2 (bits 5", "fmt must be a known format name"),
        ("e2m2 (bits 5) more", "fmt must be a known format name"),
        ("e2m2 (\x1b)", "fmt must be a known format name"),
    ],
)
def test_unknown_names(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(name)


def test_a_name_is_a_str() -> None:
    with pytest.raises(TypeError, match="fmt must be a format or the name of one, got 4"):
        parse(4)


def test_messages_name_the_callers_argument() -> None:
    with pytest.raises(ValueError, match=r"^scale must be a known format name, got 'e9q'"):
        parse("e9q", "scale")
    with pytest.raises(ValueError, match=r"^scale must name a format, got 'int99': bits must"):
        parse("int99", "scale")
    with pytest.raises(TypeError, match=r"^scale must be a format or the name of one, got 4"):
        parse(4, "scale")


def test_the_grammar_in_the_module_docstring_is_true() -> None:
    words = minifloat.formats.names.__doc__.split()
    for name in ("e2m2", "e4m3fn", "e4m3b11fnuz", "ue5m3", "e2m2b0", "nf4", "float8_e4m3fn"):
        assert name in words
        parse(name)

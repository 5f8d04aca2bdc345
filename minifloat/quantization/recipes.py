"""Recipes: how weights become codes, as one value with a text form.

    FORMAT[/BLOCK[/SCALE[:ROUNDING][/OPTIONS]]]     e2m2    e2m2/64    e2m1/32/e8m0:ceil
                                                    nf4/64/float32/double+mse

FORMAT     any name that `minifloat.parse` reads
BLOCK      a number of weights along the axis, RxC for tiles of the last two axes (128x128),
           "channel" (the whole axis) or "tensor"; default 128
SCALE      float32 or the name of a `Format`; default float16. The format of the tables' values
           where FORMAT is lut1 to lut8. After the colon stands a
           `ScaleRounding`; by default "floor" for scales that are powers of two (e8m0), as OCP
           Microscaling has it, else "nearest_even"
OPTIONS    joined by +: mse, shrink, percentile99.9 (a `ScaleSearch`; default absmax), tensor-scale,
           double, zero-point, authors (an arithmetic)

`RECIPES` has the published ones by name, and such a name alone is a text too. Three names are also
those of a format (nf4, mxint8, fpe2m2): alone they mean the recipe, before a slash the format.
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, SupportsIndex, TypeAlias, TypedDict, Unpack

from minifloat.formats import Format, NumberFormat
from minifloat.formats.base import check_bool, check_int, shown
from minifloat.formats.grammar import lowered
from minifloat.formats.names import is_width, near_names, parse
from minifloat.formats.rounding import choose
from minifloat.quantization.scales import (
    ScaleFormat,
    ScaleRounding,
    ScaleRoundingLike,
    ScaleSearch,
    ScaleSearchLike,
    absmax_to_scale,
)

Block: TypeAlias = int | tuple[int, int] | Literal["channel", "tensor"]
ArithmeticLike: TypeAlias = Literal["exact", "authors"]
BlockLike: TypeAlias = SupportsIndex | tuple[SupportsIndex, SupportsIndex] | str


class Scaling(TypedDict, total=False):
    """The fields of a recipe, except its format, as `Recipe` takes them.

    ``tensor_scale`` is a bool in a recipe; `minifloat.quantize` and `minifloat.gptq` take a number,
    too.
    """

    block: BlockLike
    scale: ScaleFormat | Format | str
    scale_rounding: ScaleRoundingLike | None
    search: ScaleSearchLike
    percentile: float | None
    tensor_scale: bool | float
    double: bool
    zero_point: bool
    arithmetic: ArithmeticLike


class RecipeFields(Scaling, total=False):
    """The fields of a recipe, as `Recipe` takes them."""

    fmt: NumberFormat | str


ARITHMETICS = ("exact", "authors")
_FLAGS = ("tensor_scale", "double", "zero_point")
WHOLE: tuple[Literal["channel"], Literal["tensor"]] = ("channel", "tensor")
PERCENTILE = 99.9
MAX_SIZE = 1 << 62  # rows or columns of a block: what the kernels' integers hold
SEARCHED_ZERO_BITS = 8  # with zero points, least squares tries every zero point
_TILE = re.compile(r"([0-9]+)x([0-9]+)")
_PERCENTILE = re.compile(r"percentile([0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?)")  # in a text
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?(e-?[0-9]+)?")


@dataclass(frozen=True, repr=False, init=False)
class Recipe:
    """How weights become codes: their format, the blocks that share a scale, and the scales.

    Parameters
    ----------
    fmt : format or str
        A `Format`, `Integer`, `Codebook` or `Lookup`, or its name. With a `Lookup` (lut4) each
        block has, in place of a scale, a table of the values that its codes mean, which are of the
        format ``scale``.
    block : int, (int, int), "channel" or "tensor"
        Weights that share a scale: so many along the axis (the last block may be shorter); a tile
        of so many rows and columns of the last two axes (also as text, "128x128"); the whole axis;
        or all.
    scale : str, Format or ScaleFormat
        Format of the scales: float32, or a `Format` whose values float32 holds. As text it may end
        with a rounding: "e8m0:ceil".
    scale_rounding : ScaleRounding or str, optional
        How a scale becomes a value of its format. Default: "floor" where that has powers of two
        alone (e8m0), as OCP Microscaling has it, else "nearest_even".
    search : ScaleSearch or str
        How a block's scale is chosen.
    percentile : float, optional
        0 to 100, with ``search="percentile"`` (then 99.9 by default).
    tensor_scale : bool
        Whether all block scales are multiplied by one float32 number T: the largest scale over the
        largest value of ``scale`` (over 1 where scales are powers of two). absmax in the rules is
        then absmax / T.
    double : bool
        Whether the scales, which are then float32, are quantized to E4M3FN in blocks of 256 after
        their mean is subtracted (QLoRA).
    zero_point : bool
        Whether each block has, beside its scale, a code that means 0; for unsigned integers.
    arithmetic : str
        "exact": each weight is rounded once. "authors": scales and quotients are rounded as by
        FPE2M2's own code (`minifloat.quantization.authors`), so that its files come out bit for
        bit; the codes depend on the float that the weights have.

    Raises
    ------
    ValueError
        If an option has no such value, or two do not go together.
    TypeError
        If an option has another type.

    Examples
    --------
    >>> import minifloat as mf
    >>> mf.Recipe("e2m2")
    <Recipe e2m2/128/float16: 5.125 bits per weight>
    >>> str(mf.Recipe("e2m1", block=32, scale="e8m0:ceil"))
    'e2m1/32/e8m0:ceil'
    >>> mf.RECIPES["mxfp4"] == mf.Recipe.parse("e2m1/32/e8m0")
    True
    """

    fmt: NumberFormat
    block: Block
    scale: ScaleFormat
    scale_rounding: ScaleRounding
    search: ScaleSearch
    percentile: float | None
    tensor_scale: bool
    double: bool
    zero_point: bool
    arithmetic: ArithmeticLike

    def __init__(
        self,
        fmt: NumberFormat | str,
        *,
        block: BlockLike = 128,
        scale: ScaleFormat | Format | str = "float16",
        scale_rounding: ScaleRoundingLike | None = None,
        search: ScaleSearchLike = ScaleSearch.ABSMAX,
        percentile: float | None = None,
        tensor_scale: bool = False,
        double: bool = False,
        zero_point: bool = False,
        arithmetic: ArithmeticLike = "exact",
    ) -> None:
        scale_format, rounding = _scale(scale, scale_rounding)
        search = _search(search)
        if search is ScaleSearch.PERCENTILE and percentile is None:
            percentile = PERCENTILE
        fields = {
            "fmt": _format(fmt) if isinstance(fmt, str) else parse(fmt),
            "block": _block(block),
            "scale": scale_format,
            "scale_rounding": rounding,
            "search": search,
            "percentile": None if percentile is None else _percentile(percentile),
            "tensor_scale": tensor_scale,
            "double": double,
            "zero_point": zero_point,
            "arithmetic": arithmetic,
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        for name in _FLAGS:
            check_bool(name, getattr(self, name))
        if self.fmt.is_lookup:
            self._check_lookup()
        else:
            absmax_to_scale(self.fmt, self.scale_rounding, 1.0)  # an error without such a rounding
        if self.percentile is not None and self.search is not ScaleSearch.PERCENTILE:
            raise ValueError(
                f'percentile must come with search="percentile", got search="{self.search}"'
            )
        if self.double and (self.scale.name != "float32" or self.tensor_scale):
            scales = f"{self.scale}{' with tensor_scale' if self.tensor_scale else ''}"
            raise ValueError(
                'scale must be "float32", without tensor_scale, to be quantized by double, got '
                f'{scales}; use scale="float32"'
            )
        if self.zero_point:
            self._check_zero_point()
        if self.arithmetic not in ARITHMETICS:
            raise ValueError(f"arithmetic must be exact or authors, got {shown(self.arithmetic)}")
        if self.arithmetic == "authors":
            self._check_authors()

    def _check_lookup(self) -> None:
        """Refuse what tables have not."""
        if self.scale.name != "float32" and parse(self.scale.name).min >= 0:
            raise ValueError(
                f"scale must be a signed format for the tables of {self.fmt.name}, got "
                f"{self.scale}; use float16"
            )
        plain = Recipe("int4", block=self.block, scale=self.scale)
        for name in ("scale_rounding", "search", *_FLAGS, "arithmetic"):
            wanted, got = getattr(plain, name), getattr(self, name)
            if got != wanted:
                raise ValueError(
                    f"{name} must be {wanted} for {self.fmt.name}, whose blocks have tables and no "
                    f"scales, got {got}; leave it out"
                )

    def _check_authors(self) -> None:
        """Refuse what FPE2M2's code has not."""
        others = [name for name in _FLAGS if getattr(self, name)]
        if others or self.scale_rounding is not ScaleRounding.NEAREST_EVEN:
            got = others[0] if others else f"{self.scale}:{self.scale_rounding}"
            raise ValueError(
                'arithmetic must be "exact" for scales that are more than absmax / max, got '
                f'"authors" with {got}; leave one of them out'
            )

    def _check_zero_point(self) -> None:
        if not (self.fmt.is_integer and self.fmt.min >= 0):
            raise ValueError(
                f"fmt must be an unsigned integer such as uint4 for zero_point, got {self.fmt.name}"
            )
        if self.search is ScaleSearch.MSE and self.fmt.bits > SEARCHED_ZERO_BITS:
            raise ValueError(
                f"fmt must have at most {SEARCHED_ZERO_BITS} bits for zero_point with "
                f'search="mse", which tries every zero point, got {self.fmt.name}; use '
                'search="absmax"'
            )

    @classmethod
    def parse(cls, recipe: Recipe | NumberFormat | str) -> Recipe:
        """Return the recipe that a text or the name of one in `RECIPES` means.

        Parameters
        ----------
        recipe : Recipe, format or str
            A recipe is returned as it is; a format alone has the default block and scale. Case does
            not matter.

        Returns
        -------
        Recipe
            ``Recipe.parse(str(recipe)) == recipe``, except for a `Codebook` that is not in the
            catalogue.

        Raises
        ------
        ValueError
            If a part of the text has no meaning, or two do not go together.
        TypeError
            If it is none of these.

        Examples
        --------
        >>> import minifloat as mf
        >>> mf.Recipe.parse("e4m3fn/128x128/float32").block
        (128, 128)
        >>> mf.Recipe.parse("nvfp4")
        <Recipe e2m1/16/e4m3fn/tensor-scale: 4.5 bits per weight>
        """
        if isinstance(recipe, Recipe):
            return recipe
        if isinstance(recipe, NumberFormat):
            return cls(recipe)
        if not isinstance(recipe, str):
            raise TypeError(f"recipe must be a Recipe, a format or text, got {shown(recipe)}")
        text = lowered(recipe)
        if text in RECIPES:
            return RECIPES[text]
        name, slash, scaling = text.partition("/")
        return cls.scaled(_format(name.strip(" ")), scaling) if slash else cls(_format(name))

    @classmethod
    def scaled(cls, fmt: NumberFormat | str, scaling: str) -> Recipe:
        """Return the recipe of a format and the text behind it; see `scaling`.

        Examples
        --------
        >>> import minifloat as mf
        >>> mf.Recipe.scaled(mf.Codebook([-1, 0, 2, 3]), "64/float32")
        <Recipe codebook/64/float32: 2.5 bits per weight>
        """
        parts = [part.strip(" ") for part in scaling.split("/")]
        if len(parts) > 3:
            raise ValueError(f"recipe must be FORMAT/BLOCK/SCALE/OPTIONS, got {len(parts)} slashes")
        fields: dict[str, Any] = dict(zip(("block", "scale"), parts, strict=False))
        if len(parts) == 3:
            fields |= _options(parts[2])
        return cls(fmt, **fields)

    def replace(self, **changes: Unpack[RecipeFields]) -> Recipe:
        """Return this recipe with other values of some fields.

        Parameters
        ----------
        **changes
            Fields of a recipe. A new ``scale`` has its own default rounding, and a new ``search``
            its own percentile.

        Returns
        -------
        Recipe

        Raises
        ------
        ValueError, TypeError
            As `Recipe`, or if there is no such field.

        Examples
        --------
        >>> import minifloat as mf
        >>> mf.RECIPES["nvfp4"].replace(fmt="int4", search="mse")
        <Recipe int4/16/e4m3fn/mse+tensor-scale: 4.5 bits per weight>
        """
        if not changes:
            return self
        fields: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        unknown = [name for name in changes if name not in fields]
        if unknown:
            raise TypeError(
                f"changes must be fields of a recipe, {', '.join(fields)}, got {unknown[0]!r}"
            )
        if "scale" in changes:
            fields["scale_rounding"] = None
        if "search" in changes:
            fields["percentile"] = None
        return Recipe(**{**fields, **changes})

    @property
    def bits_per_weight(self) -> float:
        """Bits of storage per weight of a large tensor.

        Scales and zero points of blocks are counted; those of a channel or a tensor, and a tensor
        scale, which a large tensor has few of, are not (`Quantized.bits_per_weight` counts all).
        """
        if isinstance(self.block, str):
            return float(self.fmt.bits)
        size = self.block if isinstance(self.block, int) else self.block[0] * self.block[1]
        scale = DOUBLE_RECIPE.bits_per_weight if self.double else self.scale.bits
        scale *= math.prod(self.table_shape)
        return self.fmt.bits + (scale + self.zero_point * self.fmt.bits) / size

    @property
    def table_shape(self) -> tuple[int, ...]:
        """Shape of what a block has: () for a scale, (2**bits,) for a table of values.

        Examples
        --------
        >>> import minifloat as mf
        >>> mf.Recipe("lut4").table_shape, mf.Recipe("int4").table_shape
        ((16,), ())
        """
        return (self.fmt.code_count,) if self.fmt.is_lookup else ()

    @property
    def scaling(self) -> str:
        """The text behind the format: blocks, scales and options."""
        block = self.block if isinstance(self.block, int | str) else "{}x{}".format(*self.block)
        scale = self.scale.name
        if self.scale_rounding is not self.scale.default_rounding:
            scale += f":{self.scale_rounding}"
        options = [] if self.search is ScaleSearch.ABSMAX else [str(self.search)]
        if self.percentile is not None:
            options = [f"percentile{_shortest(self.percentile)}"]
        options += [name.replace("_", "-") for name in _FLAGS if getattr(self, name)]
        if self.arithmetic != "exact":
            options.append(self.arithmetic)
        return "/".join([str(block), scale, *(["+".join(options)] * bool(options))])

    def __str__(self) -> str:
        return f"{self.fmt.name}/{self.scaling}"

    def __repr__(self) -> str:
        return f"<Recipe {self}: {self.bits_per_weight:.4g} bits per weight>"


def _shortest(number: float) -> str:
    return repr(number).removesuffix(".0")


def _format(name: str) -> NumberFormat:
    """Return the format of a recipe's text; an error knows the recipes' names too."""
    try:
        return parse(name)
    except ValueError as error:
        if name in RECIPES:
            raise ValueError(
                f"recipe must begin with a format, got {name}, which is a recipe itself: "
                f'{RECIPES[name]}; change its text, or use RECIPES["{name}"].replace'
            ) from None
        if not _near_recipes(name) or "known format name" not in str(error):
            raise
        near = near_recipes_and_formats(name)
        raise ValueError(
            f"recipe must be a recipe or begin with a format, got {name!r}; did you mean "
            f"{' or '.join(near)}? (`minifloat list` shows all)"
        ) from None


def near_recipes_and_formats(name: str) -> list[str]:
    """Return the known names that an unknown one may mean, the nearest first.

    A name that tells a width alone has that width's formats first.

    Examples
    --------
    >>> from minifloat.quantization.recipes import near_recipes_and_formats
    >>> near_recipes_and_formats("mxpf4"), near_recipes_and_formats("fp4")
    (['mxfp4', 'sf4', 'nf4'], ['e2m1', 'nvfp4', 'mxfp4'])
    """
    word = name.strip().lower()
    formats, recipes = near_names(word), _near_recipes(word)
    if is_width(word):
        return [*formats, *recipes][:3]
    names = dict.fromkeys([*recipes, *formats])
    return difflib.get_close_matches(word, names, n=3, cutoff=0)


def _near_recipes(word: str) -> list[str]:
    return difflib.get_close_matches(word, RECIPES, n=2, cutoff=0.7)


def _block(block: object) -> Block:
    if isinstance(block, str):
        text = lowered(block)
        for word in WHOLE:
            if text == word:
                return word
        if match := _TILE.fullmatch(text[:60]):  # more digits are too many, and int refuses 4301
            block = (int(match[1]), int(match[2]))
        elif text.isascii() and text.isdecimal():
            block = int(text[:60])
    sizes: tuple[Any, ...] = block if isinstance(block, tuple) else (1, block)
    try:
        rows, columns = (check_int("block", size, 1, MAX_SIZE) for size in sizes)
    except (TypeError, ValueError):
        large = any(isinstance(size, int) and size > MAX_SIZE for size in sizes)
        raise ValueError(
            "block must be a positive int, two of them (or RxC), channel or tensor, got "
            f"{shown(block)}{'; use at most 2**62, or channel' if large else ''}"
        ) from None
    return (rows, columns) if rows > 1 else columns


def _search(search: object) -> ScaleSearch:
    if isinstance(search, str) and (match := _PERCENTILE.fullmatch(search)):
        raise ValueError(
            f"search must be one of {', '.join(ScaleSearch)}, got {search!r}; use "
            f'search="percentile", percentile={match[1]}'
        )
    return choose(ScaleSearch, "search", search)


def _percentile(percentile: float) -> float:
    if not isinstance(percentile, Real) or isinstance(percentile, bool):
        raise TypeError(f"percentile must be a number in 0..100, got {shown(percentile)}")
    if not 0 <= percentile <= 100:
        raise ValueError(f"percentile must be in 0..100, got {shown(percentile)}")
    return float(percentile)


def _scale(
    scale: ScaleFormat | Format | str, rounding: ScaleRounding | str | None
) -> tuple[ScaleFormat, ScaleRounding]:
    if isinstance(scale, str):
        scale, colon, after = scale.partition(":")
        if colon:
            if rounding is not None:
                raise ValueError(
                    f"scale_rounding must not be given twice, got {rounding!s} and {after}"
                )
            rounding = after.strip(" ")
    scale_format = ScaleFormat.parse(scale)
    if rounding is None:
        return scale_format, scale_format.default_rounding
    return scale_format, choose(ScaleRounding, "scale_rounding", rounding)


def _options(text: str) -> dict[str, Any]:
    """Return the fields that the last part of a recipe's text means."""
    changes: dict[str, Any] = {}
    for option in text.split("+"):
        word = option.strip(" ")
        if word.startswith("percentile"):
            new: dict[str, Any] = {"search": "percentile"}
            if word != "percentile":
                number = word.removeprefix("percentile")
                if not _NUMBER.fullmatch(number):
                    new = {}
                else:
                    new["percentile"] = float(number)
        elif word in list(ScaleSearch):
            new = {"search": word}
        elif word in ("tensor-scale", "double", "zero-point"):
            new = {word.replace("-", "_"): True}
        elif word in ARITHMETICS:
            new = {"arithmetic": word}
        else:
            new = {}
        if not new or not changes.keys().isdisjoint(new):
            raise ValueError(
                "options must be mse, shrink, percentile99.9, tensor-scale, double, zero-point or "
                f"authors, each kind once, joined by +, got {text!r}"
            )
        changes |= new
    return changes


DOUBLE_RECIPE = Recipe("e4m3fn", block=256, scale="float32")  # of scales less their mean
_PUBLISHED: dict[str, tuple[str, str]] = {
    "mxfp8e4m3": ("e4m3fn/32/e8m0", "OCP Microscaling 1.0"),
    "mxfp8e5m2": ("e5m2/32/e8m0", "OCP Microscaling 1.0"),
    "mxfp6e2m3": ("e2m3/32/e8m0", "OCP Microscaling 1.0"),
    "mxfp6e3m2": ("e3m2/32/e8m0", "OCP Microscaling 1.0"),
    "mxfp4": ("e2m1/32/e8m0", "OCP Microscaling 1.0"),
    "mxint8": ("mxint8/32/e8m0", "OCP Microscaling 1.0"),
    "nvfp4": ("e2m1/16/e4m3fn/tensor-scale", "NVIDIA, NVFP4"),
    "nvint4": ("int4/16/e4m3fn/tensor-scale", "INT v.s. FP, 2025: NVFP4's scales"),
    "nf4": ("nf4/64/float32", "QLoRA, arXiv 2305.14314"),
    "qlora": ("nf4/64/float32/double", "QLoRA, arXiv 2305.14314"),
    "bfp16_64": ("int8/64/e8m0:up", "arXiv 2403.20137"),
    "bfp12_64": ("int4/64/e8m0:up", "arXiv 2403.20137"),
    "fpe2m2": ("e2m2b0/channel/bfloat16", "FPE2M2, Findings of ACL 2025"),
    "fp6_llm": ("e3m2/channel/float16", "FP6-LLM, arXiv 2401.14112"),
    "deepseek_fp8": ("e4m3fn/128x128/float32", "DeepSeek-V3, arXiv 2412.19437"),
}
RECIPES: dict[str, Recipe] = {}  # filled below: `Recipe.parse` looks names up here
RECIPES |= {name: Recipe.parse(text) for name, (text, _) in _PUBLISHED.items()}
RECIPE_SOURCES: dict[str, str] = {name: source for name, (_, source) in _PUBLISHED.items()}

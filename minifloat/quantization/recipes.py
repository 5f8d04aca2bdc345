"""Recipes: how weights become codes, as one value with a text form.

    FORMAT[/BLOCK[/SCALE[:ROUNDING][/OPTIONS]]]     e2m2    e2m2/64    e2m1/32/e8m0:ceil
                                                    nf4/64/float32/double+mse
                                                    e2m1|int4/16/e4m3fn/tensor-scale

FORMAT     any name that `minifloat.parse` reads, and perhaps @ and the magnitude that a block's
           absmax becomes (e2m1@4); or several of these with | between, of which each block has the
           one of least squared error (`minifloat.quantization.alternatives`)
BLOCK      a number of weights along the axis, RxC for tiles of the last two axes (128x128),
           "channel" (the whole axis) or "tensor"; default 128
SCALE      float32 or the name of a `Format`; default float16. The format of the tables' values
           where FORMAT is lut1 to lut8. After the colon stands a
           `ScaleRounding`; by default "floor" for scales that are powers of two (e8m0), as OCP
           Microscaling has it, else "nearest_even"
OPTIONS    joined by +: mse, shrink, percentile99.9 (a `ScaleSearch`; default absmax), tensor-scale
           (tensor-scale256: the largest scale is 256), double, zero-point, one-scale, flag-bits,
           authors (an arithmetic), hadamard128 (a `Rotation`), and with the seed of its signs
           hadamard128:7

`RECIPES` has the published ones by name, and such a name alone is a text too. Three names are also
those of a format (nf4, mxint8, fpe2m2): alone they mean the recipe, before a slash the format.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Unpack

import numpy as np

from minifloat.formats import Format, NumberFormat
from minifloat.formats.base import abridged, shown
from minifloat.formats.grammar import lowered
from minifloat.formats.names import UnknownName, is_width, near_names, parse, where_all_are
from minifloat.quantization import recipe_rules
from minifloat.quantization.alternatives import (
    BETWEEN,
    Alternative,
    AlternativeLike,
    FlagLike,
    alternatives_of,
    checked_magnitude,
    name_and_magnitude,
    only_one,
    shortest,
    text_of,
)
from minifloat.quantization.recipe_fields import (
    PERCENTILE,
    SWITCHES,
    ArithmeticLike,
    Block,
    BlockLike,
    RecipeFields,
    block_of,
    options_of,
    percentile_of,
    scale_of,
    search_of,
)
from minifloat.quantization.rotations import Rotation
from minifloat.quantization.scales import (
    ScaleFormat,
    ScaleRounding,
    ScaleRoundingLike,
    ScaleSearch,
    ScaleSearchLike,
)


@dataclass(frozen=True, repr=False, init=False)
class Recipe:
    """How weights become codes: their format, the blocks that share a scale, and the scales.

    Parameters
    ----------
    fmt : format or str
        A `Format`, `Integer`, `Codebook` or `Lookup`, or its name. As text it may end with the
        magnitude that absmax becomes, and with alternatives: "e2m1@4", "e2m1|int4". With a `Lookup`
        (lut4) each block has, in place of a scale, a table of the values that its codes mean, which
        are of the format ``scale``.
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
    largest_scale : float, optional
        With ``tensor_scale``: the largest scale, in place of the largest value of ``scale`` (or 1).
    double : bool
        Whether the scales, which are then float32, are quantized to E4M3FN in blocks of 256 after
        their mean is subtracted (QLoRA).
    zero_point : bool
        Whether each block has, beside its scale, a code that means 0; for unsigned integers.
    arithmetic : str
        "exact": each weight is rounded once. "authors": scales and quotients are rounded as by
        FPE2M2's own code (`minifloat.quantization.authors`), so that its files come out bit for
        bit; the codes depend on the float that the weights have.
    rotation : Rotation or str, optional
        Weights are rotated along the axis before all else: "hadamard128", or "hadamard128:7" with
        a seed. `Quantized.dequantize` rotates them back, and products rotate the other factor.
    absmax_at : float, optional
        The magnitude of ``fmt`` that absmax becomes: the rules of scales have it in place of max.
        Default: the largest, max itself.
    alternatives : sequence of Alternative, format or str
        What a block may be instead of ``fmt``, in codes of the same width: the block becomes the
        candidate of least squared error, of equal errors the first.
    one_scale : bool
        Whether all candidates have the scale of the first. The values of an alternative are then
        multiplied by the first one's ``absmax_at`` over its own, as a float32 number, times the
        tensor scale.
    flag : str, optional
        Where it is stored which candidate a block is: "sign", the sign bit of its scale (one of
        two candidates, and scales of a format that has -0), or "bits", in bits of its own.
        Default: "sign" where that is possible, else "bits". It is None where all candidates read a
        code alike, so that only the scale tells them apart.

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
    largest_scale: float | None
    double: bool
    zero_point: bool
    arithmetic: ArithmeticLike
    rotation: Rotation | None
    absmax_at: float
    alternatives: tuple[Alternative, ...]
    one_scale: bool
    flag: FlagLike | None

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
        largest_scale: float | None = None,
        double: bool = False,
        zero_point: bool = False,
        arithmetic: ArithmeticLike = "exact",
        rotation: Rotation | str | None = None,
        absmax_at: float | None = None,
        alternatives: Sequence[AlternativeLike] = (),
        one_scale: bool = False,
        flag: FlagLike | None = None,
    ) -> None:
        if isinstance(fmt, str):
            fmt, absmax_at, alternatives = _candidates(fmt, absmax_at, alternatives)
        parsed, others = parse(fmt), alternatives_of(alternatives)
        scale_format, rounding = scale_of(scale, scale_rounding)
        search = search_of(search)
        if search is ScaleSearch.PERCENTILE and percentile is None:
            percentile = PERCENTILE
        fields = {
            "fmt": parsed,
            "block": block_of(block),
            "scale": scale_format,
            "scale_rounding": rounding,
            "search": search,
            "percentile": None if percentile is None else percentile_of(percentile),
            "tensor_scale": tensor_scale,
            "largest_scale": largest_scale,
            "double": double,
            "zero_point": zero_point,
            "arithmetic": arithmetic,
            "rotation": None if rotation is None else Rotation.parse(rotation),
            "absmax_at": checked_magnitude(absmax_at, parsed),
            "alternatives": others,
            "one_scale": one_scale,
            "flag": flag,
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        recipe_rules.check(self)
        object.__setattr__(self, "flag", recipe_rules.flag_of(self))

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
        return cls.scaled(name.strip(" "), scaling) if slash else cls(name)

    @classmethod
    def scaled(cls, fmt: NumberFormat | str, scaling: str, **fields: Any) -> Recipe:
        """Return the recipe of a format and the text behind it; see `scaling`.

        Other ``fields`` are those that stand in a recipe's text before the first slash.

        Examples
        --------
        >>> import minifloat as mf
        >>> mf.Recipe.scaled(mf.Codebook([-1, 0, 2, 3]), "64/float32")
        <Recipe codebook/64/float32: 2.5 bits per weight>
        """
        parts = [part.strip(" ") for part in scaling.split("/")]
        if len(parts) > 3:
            raise ValueError(f"recipe must be FORMAT/BLOCK/SCALE/OPTIONS, got {len(parts)} slashes")
        if len(parts) > 1 and "+" in parts[1]:
            scale, _, options = parts[1].partition("+")
            raise ValueError(
                f"scale must be a format and its rounding, got {shown(parts[1])}; options follow a "
                f"slash: {shown(f'{scale}/{options}')}"
            )
        fields |= zip(("block", "scale"), parts, strict=False)
        if len(parts) == 3:
            fields |= options_of(parts[2])
        return cls(fmt, **fields)

    def replace(self, **changes: Unpack[RecipeFields]) -> Recipe:
        """Return this recipe with other values of some fields.

        Parameters
        ----------
        **changes
            Fields of a recipe. A new ``scale`` has its own default rounding and flag, a new
            ``search`` its own percentile, a new ``tensor_scale`` its own largest scale, and a new
            ``fmt`` its own ``absmax_at`` and alternatives: none, if its text has none.

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
            near = difflib.get_close_matches(unknown[0], fields, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise TypeError(
                f"changes must be fields of a recipe, {', '.join(fields)}, got {unknown[0]!r}{hint}"
            )
        for name, others in _DEPENDENT.items():
            if name in changes:
                fields |= others
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
        return self.fmt.bits + (scale + self.zero_point * self.fmt.bits + self.flag_bits) / size

    @property
    def is_plain(self) -> bool:
        """Whether each weight is what its code means in ``fmt``, times scales, and no more.

        Not so where weights are rotated, blocks are of several formats, or have tables. What reads
        codes and scales alone, such as the layouts of other tools, takes plain weights alone.
        """
        return self.rotation is None and self.flag is None and not self.fmt.is_lookup

    @property
    def flag_bits(self) -> int:
        """Bits of a block, beside its scale, that say which candidate it is."""
        return len(self.alternatives).bit_length() if self.flag == "bits" else 0

    @cached_property
    def candidates(self) -> tuple[Recipe, ...]:
        """What a block may be, as recipes without alternatives; the recipe itself without any.

        Of those that have ``one_scale`` the values must be multiplied, see `factors`.
        """
        if not self.alternatives:
            return (self,)
        plain = self.replace(alternatives=(), one_scale=False, flag=None)
        return (
            plain,
            *(
                plain.replace(fmt=other.fmt, absmax_at=other.absmax_at)
                for other in self.alternatives
            ),
        )

    def factors(self, tensor_scale: float | None) -> tuple[float, ...]:
        """Return what multiplies the scales of each candidate: the tensor scale, stretched.

        Parameters
        ----------
        tensor_scale : float, optional
            A float32 number; 1 if there is none.

        Returns
        -------
        tuple of float
            float32 numbers.

        Examples
        --------
        >>> import minifloat as mf
        >>> mf.RECIPES["if3"].factors(1.0), mf.RECIPES["four_over_six"].factors(None)
        ((1.0, 1.3333333730697632), (1.0, 1.0))
        """
        tensor = tensor_scale or 1.0
        if not self.one_scale:
            return (tensor,) * len(self.candidates)
        stretched = [tensor * self.absmax_at / each.absmax_at for each in self.candidates]
        limits = np.finfo(np.float32)
        return tuple(
            float(np.float32(min(max(factor, float(limits.tiny)), float(limits.max))))
            for factor in stretched
        )

    @property
    def formats(self) -> str:
        """The text before the first slash: the format and its alternatives."""
        return BETWEEN.join([text_of(self.fmt, self.absmax_at), *map(str, self.alternatives)])

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
            options = [f"percentile{shortest(self.percentile)}"]
        options += [name.replace("_", "-") for name in SWITCHES if getattr(self, name)]
        if self.largest_scale is not None:
            number = shortest(self.largest_scale)
            options[options.index("tensor-scale")] += number
        if self.flag == "bits" and self.replace(flag=None).flag == "sign":
            options.append("flag-bits")
        if self.arithmetic != "exact":
            options.append(self.arithmetic)
        if self.rotation is not None:
            options.append(str(self.rotation))
        return "/".join([str(block), scale, *(["+".join(options)] * bool(options))])

    def __str__(self) -> str:
        return f"{self.formats}/{self.scaling}"

    def __format__(self, spec: str) -> str:
        return format(abridged(str(self)), spec)

    def __repr__(self) -> str:
        return f"<Recipe {self}: {self.bits_per_weight:.4g} bits per weight>"


_DEPENDENT: dict[str, dict[str, Any]] = {  # fields that have their defaults after a change
    "scale": {"scale_rounding": None, "flag": None},
    "search": {"percentile": None},
    "tensor_scale": {"largest_scale": None},
    "fmt": {"absmax_at": None, "alternatives": (), "one_scale": False, "flag": None},
}


def _candidates(
    text: str, absmax_at: float | None, alternatives: Sequence[AlternativeLike]
) -> tuple[NumberFormat, float | None, Sequence[AlternativeLike]]:
    """Return the format of a text, the magnitude behind it and its alternatives."""
    first, *others = text.split(BETWEEN)
    if others and alternatives:
        raise ValueError(f"alternatives must not be given twice, got {text!r} and more")
    name, at = name_and_magnitude(first)
    magnitude = only_one("absmax_at", absmax_at, at)
    named = [Alternative(_format(name), at) for name, at in map(name_and_magnitude, others)]
    return _format(name), magnitude, named or alternatives


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
        if not _near_recipes(name) or not isinstance(error, UnknownName):
            raise
        near = near_recipes_and_formats(name)
        raise ValueError(
            f"recipe must be a recipe or begin with a format, got {name!r}; did you mean "
            f"{' or '.join(near)}? ({where_all_are(name)})"
        ) from None


def near_recipes_and_formats(name: str) -> list[str]:
    """Return the known names that an unknown one may mean, the nearest first.

    Recipes whose names begin with the word come first; a name that tells a width alone has that
    width's formats next.

    Examples
    --------
    >>> from minifloat.quantization.recipes import near_recipes_and_formats
    >>> near_recipes_and_formats("mxpf4"), near_recipes_and_formats("fp4")
    (['mxfp4', 'sf4', 'nf4'], ['e2m1', 'nvfp4', 'mxfp4'])
    >>> near_recipes_and_formats("mxfp8")
    ['mxfp8e4m3', 'mxfp8e5m2', 'e4m3fn']
    """
    word = name.strip().lower()
    formats, recipes = near_names(word), _near_recipes(word)
    if is_width(word):
        longer = [name for name in RECIPES if name.startswith(word)]
        return list(dict.fromkeys([*longer, *formats, *recipes]))[:3]
    names = dict.fromkeys([*recipes, *formats])
    return difflib.get_close_matches(word, names, n=3, cutoff=0)


def _near_recipes(word: str) -> list[str]:
    return difflib.get_close_matches(word, RECIPES, n=2, cutoff=0.7)


DOUBLE_RECIPE = Recipe("e4m3fn", block=256, scale="float32")  # of scales less their mean
IF = "IF4 and its kin, arXiv 2603.28765"
_PUBLISHED: dict[str, tuple[str, str]] = {
    "mxfp8e4m3": ("e4m3fn/32/e8m0", "OCP Microscaling 1.0"),
    "mxfp8e5m2": ("e5m2/32/e8m0", "OCP Microscaling 1.0"),
    "mxfp6e2m3": ("e2m3/32/e8m0", "OCP Microscaling 1.0"),
    "mxfp6e3m2": ("e3m2/32/e8m0", "OCP Microscaling 1.0"),
    "mxfp4": ("e2m1/32/e8m0", "OCP Microscaling 1.0"),
    "mxint8": ("mxint8/32/e8m0", "OCP Microscaling 1.0"),
    "nvfp4": ("e2m1/16/e4m3fn/tensor-scale", "NVIDIA, NVFP4"),
    "nvint4": ("int4/16/e4m3fn/tensor-scale", "INT v.s. FP, 2025: NVFP4's scales"),
    "four_over_six": ("e2m1|e2m1@4/16/e4m3fn/tensor-scale256", "Four Over Six, arXiv 2512.02010"),
    "if3": ("e2m0|int3/16/e4m3fn/tensor-scale+one-scale", IF),
    "if4": ("e2m1|int4/16/e4m3fn/tensor-scale+one-scale", IF),
    "if6": ("e2m3|int6/16/e4m3fn/tensor-scale+one-scale", IF),
    "if6_e3m2": ("e3m2|int6/16/e4m3fn/tensor-scale+one-scale", IF),
    "nf4": ("nf4/64/float32", "QLoRA, arXiv 2305.14314"),
    "qlora": ("nf4/64/float32/double", "QLoRA, arXiv 2305.14314"),
    "bwn": ("bipolar_int1/channel/float32/absmean", "XNOR-Net, arXiv 1603.05279"),
    "bitnet_b158": ("int2/tensor/float32/absmean", "BitNet b1.58, arXiv 2402.17764"),
    "twn": ("int2/tensor/float32/mse", "TWN, arXiv 1605.04711: its exact optimum"),
    "bfp16_64": ("int8/64/e8m0:up", "arXiv 2403.20137"),
    "bfp12_64": ("int4/64/e8m0:up", "arXiv 2403.20137"),
    "fpe2m2": ("e2m2b0/channel/bfloat16", "FPE2M2, Findings of ACL 2025"),
    "fp6_llm": ("e3m2/channel/float16", "FP6-LLM, arXiv 2401.14112"),
    "deepseek_fp8": ("e4m3fn/128x128/float32", "DeepSeek-V3, arXiv 2412.19437"),
}
RECIPES: dict[str, Recipe] = {}  # filled below: `Recipe.parse` looks names up here
RECIPES |= {name: Recipe.parse(text) for name, (text, _) in _PUBLISHED.items()}
RECIPE_SOURCES: dict[str, str] = {name: source for name, (_, source) in _PUBLISHED.items()}

"""Which fields of a recipe go together: each rule an error that names the remedy."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

from minifloat.formats import NumberFormat
from minifloat.formats.base import check_bool, shown
from minifloat.formats.names import parse
from minifloat.quantization.alternatives import FLAGS, MOST, FlagLike, text_of
from minifloat.quantization.recipe_fields import ARITHMETICS, SWITCHES
from minifloat.quantization.scales import ScaleRounding, ScaleSearch, absmax_to_scale

if TYPE_CHECKING:
    from minifloat.quantization.recipes import Recipe

SEARCHED_ZERO_BITS = 8  # with zero points, least squares tries every zero point


def check(recipe: Recipe) -> None:
    """Raise unless the fields of a recipe go together."""
    for name in SWITCHES:
        check_bool(name, getattr(recipe, name))
    if recipe.largest_scale is not None:
        _check_largest_scale(recipe)
    if recipe.fmt.is_lookup:
        _check_lookup(recipe)
    else:
        for fmt in (recipe.fmt, *(other.fmt for other in recipe.alternatives)):
            absmax_to_scale(fmt, recipe.scale_rounding, 1.0)  # an error without such a rounding
    if recipe.percentile is not None and recipe.search is not ScaleSearch.PERCENTILE:
        raise ValueError(
            f'percentile must come with search="percentile", got search="{recipe.search}"'
        )
    if recipe.search is ScaleSearch.ABSMEAN:
        _check_absmean(recipe)
    if recipe.double and (recipe.scale.name != "float32" or recipe.tensor_scale):
        scales = f"{recipe.scale}{' with tensor_scale' if recipe.tensor_scale else ''}"
        raise ValueError(
            'scale must be "float32", without tensor_scale, to be quantized by double, got '
            f'{scales}; use scale="float32"'
        )
    if recipe.zero_point:
        _check_zero_point(recipe)
    if recipe.arithmetic not in ARITHMETICS:
        raise ValueError(f"arithmetic must be exact or authors, got {shown(recipe.arithmetic)}")
    if recipe.arithmetic == "authors":
        _check_authors(recipe)
    if recipe.rotation is not None:
        _check_rotation(recipe)
    _check_alternatives(recipe)


def _check_rotation(recipe: Recipe) -> None:
    if recipe.block == "tensor":
        raise ValueError(
            "block must be along an axis for a rotation, which is along it too, got tensor; "
            "use channel"
        )
    if recipe.arithmetic == "authors":
        raise ValueError(
            'arithmetic must be "exact" for a rotation, got "authors", which rounds weights as '
            "they are given; leave one of them out"
        )
    if recipe.fmt.min >= 0 and not recipe.zero_point:
        raise ValueError(
            "fmt must have negative values for a rotation, or zero points, got "
            f"{recipe.fmt}; use zero_point=True, or another format"
        )


def _check_absmean(recipe: Recipe) -> None:
    """Refuse what says which value absmax becomes: the mean becomes 1."""
    others = ["zero_point"] * recipe.zero_point + ["alternatives"] * bool(recipe.alternatives)
    if not (others or recipe.fmt.is_lookup) and recipe.absmax_at != recipe.fmt.max_abs:
        others = ["absmax_at"]
    if others:
        raise ValueError(f"search must be another one than absmean with {others[0]}; leave one out")


def _check_largest_scale(recipe: Recipe) -> None:
    number = recipe.largest_scale
    if not isinstance(number, Real) or isinstance(number, bool):
        raise TypeError(f"largest_scale must be a number above 0, got {shown(number)}")
    if not recipe.tensor_scale:
        raise ValueError(f"largest_scale must come with tensor_scale, got {shown(number)}")
    if not 0 < number <= recipe.scale.values.largest:
        raise ValueError(
            f"largest_scale must be above 0 and at most {recipe.scale.values.largest:g}, the "
            f"largest value of {recipe.scale}, got {shown(number)}"
        )


def _check_alternatives(recipe: Recipe) -> None:
    """Refuse alternatives that do not fit one another; find the flag."""
    if not recipe.alternatives:
        if recipe.one_scale or recipe.flag is not None:
            name = "one_scale" if recipe.one_scale else "flag"
            raise ValueError(f"{name} must come with alternatives, got none; leave it out")
        return
    every = candidates_of(recipe)
    texts = " and ".join(text_of(*each) for each in every)
    if len(every) > MOST or len(set(every)) < len(every):
        raise ValueError(
            f"alternatives must be at most {MOST - 1}, each another than fmt and the others, "
            f"got {texts}"
        )
    widths = {fmt.bits for fmt, _ in every}
    if len(widths) > 1 or len({fmt.min < 0 for fmt, _ in every}) > 1:
        rule = "be of one width" if len(widths) > 1 else "all have values below 0, or none"
        raise ValueError(f"alternatives must {rule} with fmt, got {texts}")
    taken = [name for name in ("double", "zero_point") if getattr(recipe, name)]
    taken += ["authors"] * (recipe.arithmetic == "authors")
    if taken:
        raise ValueError(f"alternatives must come without {taken[0]}, got {texts}")
    searches = (ScaleSearch.ABSMAX, ScaleSearch.PERCENTILE)
    if recipe.one_scale and recipe.search not in searches:
        raise ValueError(
            f"one_scale must come with the search absmax or percentile, got {recipe.search}; "
            "leave it out: then each candidate finds its own scale"
        )


def flag_of(recipe: Recipe) -> FlagLike | None:
    """Return where a checked recipe stores which candidate a block is."""
    if not recipe.alternatives:
        return None
    every = candidates_of(recipe)
    if recipe.flag is not None and recipe.flag not in FLAGS:
        raise ValueError(f"flag must be sign or bits, got {shown(recipe.flag)}")
    read_alike = {each if recipe.one_scale else each[0] for each in every}
    if len(read_alike) == 1:
        if recipe.flag is not None:
            raise ValueError(
                f"flag must be left out where all candidates are of one format, got {recipe.flag}"
            )
        return None
    has_room = len(every) == 2 and recipe.scale.has_free_sign
    if recipe.flag == "sign" and not has_room:
        reason = f"{len(every)} candidates" if len(every) > 2 else f"{recipe.scale} scales"
        raise ValueError(
            "flag must be bits unless there are two candidates and scales of a format with "
            f"-0, got sign with {reason}"
        )
    return recipe.flag or ("sign" if has_room else "bits")


def candidates_of(recipe: Recipe) -> list[tuple[NumberFormat, float]]:
    """Return what a block may be: formats, and the magnitudes that absmax becomes."""
    others = [(other.fmt, other.absmax_at) for other in recipe.alternatives]
    return [(recipe.fmt, recipe.absmax_at), *others]


def _check_lookup(recipe: Recipe) -> None:
    """Refuse what tables have not."""
    if recipe.scale.name != "float32" and parse(recipe.scale.name).min >= 0:
        raise ValueError(
            f"scale must be a signed format for the tables of {recipe.fmt}, got "
            f"{recipe.scale}; use float16"
        )
    plain = type(recipe)("int4", block=recipe.block, scale=recipe.scale)
    others = ("scale_rounding", "search", "arithmetic", "rotation", "alternatives")
    for name in (*SWITCHES, *others):
        wanted, got = getattr(plain, name), getattr(recipe, name)
        if got != wanted:
            raise ValueError(
                f"{name} must be {wanted} for {recipe.fmt}, whose blocks have tables and no "
                f"scales, got {got}; leave it out"
            )


def _check_authors(recipe: Recipe) -> None:
    """Refuse what FPE2M2's code has not."""
    others = [name for name in SWITCHES if getattr(recipe, name)]
    others += ["absmax_at"] * (recipe.absmax_at != recipe.fmt.max_abs)
    if others or recipe.scale_rounding is not ScaleRounding.NEAREST_EVEN:
        got = others[0] if others else f"{recipe.scale}:{recipe.scale_rounding}"
        raise ValueError(
            'arithmetic must be "exact" for scales that are more than absmax / max, got '
            f'"authors" with {got}; leave one of them out'
        )


def _check_zero_point(recipe: Recipe) -> None:
    if not (recipe.fmt.is_integer and recipe.fmt.min >= 0):
        raise ValueError(
            f"fmt must be an unsigned integer such as uint4 for zero_point, got {recipe.fmt}"
        )
    if recipe.search is ScaleSearch.MSE and recipe.fmt.bits > SEARCHED_ZERO_BITS:
        raise ValueError(
            f"fmt must have at most {SEARCHED_ZERO_BITS} bits for zero_point with "
            f'search="mse", which tries every zero point, got {recipe.fmt}; use '
            'search="absmax"'
        )

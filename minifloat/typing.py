"""Types for annotations in typed code that calls minifloat, as `numpy.typing` has them for NumPy.

What arguments take: a member of the enumeration, or its string, which a type checker knows. Text
that is read at run time becomes a member by a call: ``minifloat.Rounding(text)``.

RoundingLike        `minifloat.Rounding`
OverflowLike        `minifloat.Overflow`
NaNPolicyLike       `minifloat.NaNPolicy`
SpecialsLike        `minifloat.Specials`
ScaleRoundingLike   `minifloat.ScaleRounding`
ScaleSearchLike     `minifloat.ScaleSearch`
BitOrder            "little" or "big", of `minifloat.pack` and `minifloat.unpack`
ArithmeticLike      "exact" or "authors", of a `minifloat.Recipe`
AlternativeLike     an alternative of a `minifloat.Recipe`
FlagLike            "sign" or "bits", of a `minifloat.Recipe`
Block               blocks of a `minifloat.Recipe`
Target              "float16" or "bfloat16", of `minifloat.registers`

Keyword arguments that a function passes on, each a TypedDict for ``**options: Unpack[...]``:

EncodeOptions       of `minifloat.encode`, and of `minifloat.round_to`
RecipeFields        of `minifloat.Recipe`, and of `minifloat.quantize` and `minifloat.gptq`
SearchOptions       of `minifloat.search_format`

Results:

Codes               an array of unsigned integers
Row                 a row of `minifloat.Comparison.rows`

>>> from typing import Unpack
>>> import minifloat as mf
>>> from minifloat.typing import EncodeOptions
>>> def count_zeros(x: list[float], **options: Unpack[EncodeOptions]) -> int:
...     return int((mf.encode(x, "e2m2", **options) == 0).sum())
>>> count_zeros([0.1, 0.2, 0.3], rounding="toward_zero")
2
"""

from minifloat._arrays import Codes
from minifloat.codec import EncodeOptions
from minifloat.comparison.records import Row
from minifloat.formats.exmy import SpecialsLike
from minifloat.formats.rounding import NaNPolicyLike, OverflowLike, RoundingLike
from minifloat.packing import BitOrder
from minifloat.quantization import SearchOptions
from minifloat.quantization.alternatives import AlternativeLike, FlagLike
from minifloat.quantization.recipe_fields import ArithmeticLike, Block, RecipeFields
from minifloat.quantization.scales import ScaleRoundingLike, ScaleSearchLike
from minifloat.registers._program import Target

__all__ = [
    "AlternativeLike",
    "ArithmeticLike",
    "BitOrder",
    "Block",
    "Codes",
    "EncodeOptions",
    "FlagLike",
    "NaNPolicyLike",
    "OverflowLike",
    "RecipeFields",
    "RoundingLike",
    "Row",
    "ScaleRoundingLike",
    "ScaleSearchLike",
    "SearchOptions",
    "SpecialsLike",
    "Target",
]

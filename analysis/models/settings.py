"""What else of a language model is quantized than its weights, and how its products are added."""

from __future__ import annotations

from dataclasses import dataclass, replace

from analysis.models.activations import OnUnit, RoundedInputs
from analysis.models.llama import Llama
from analysis.models.packed_cache import PackedCache
from minifloat import Recipe
from minifloat.caches import CacheRecipe


@dataclass(frozen=True)
class Setting:
    """Activations, key-value cache and arithmetic of a model; each "" for float32.

    Attributes
    ----------
    activations : str
        The recipe of every matrix's inputs, such as "int8/channel/float32".
    cache : str
        The recipe of keys, in blocks along tokens, and of values, along channels; no token stays
        wide once 32 have come after it.
    unit : str
        The matrix unit that multiplies, of `minifloat.arithmetic.UNITS`; not with activations,
        whose format is then the unit's.

    Raises
    ------
    ValueError
        If a text is no recipe or unit, or there are both activations and a unit.

    Examples
    --------
    >>> Setting(activations="int8/channel/float32", cache="int4/32/float16").name
    'activations int8/channel/float32 + cache int4/32/float16'
    """

    activations: str = ""
    cache: str = ""
    unit: str = ""

    def __post_init__(self) -> None:
        if self.activations and self.unit:
            raise ValueError(
                f"activations must be left out with a unit, whose format they have, got "
                f"{self.activations!r}"
            )
        for text in filter(None, (self.activations, self.cache)):
            Recipe.parse(text)
        if self.unit:
            OnUnit(self.unit)

    @property
    def name(self) -> str:
        """What is set."""
        parts = {"activations": self.activations, "cache": self.cache, "unit": self.unit}
        return " + ".join(f"{part} {value}" for part, value in parts.items() if value)

    def applied(self, model: Llama) -> Llama:
        """Return the model with its products so."""
        if self.activations:
            return replace(model, multiply=RoundedInputs(self.activations))
        return replace(model, multiply=OnUnit(self.unit)) if self.unit else model

    def cache_for(self, model: Llama, capacity: int) -> PackedCache | None:
        """Return an empty cache for so many tokens of one text; None for the model's own."""
        if not self.cache:
            return None
        return PackedCache(model, CacheRecipe(self.cache, self.cache), capacity)


FLOAT32 = Setting()

"""Accumulators: how products are added up, as one value with a text form.

    FORMAT[:ROUNDING][/OPTIONS]      float32     e8m13:toward_zero/terms=32+bits=13+floor=-133

FORMAT     of the running sum: any name that `SumFormat.parse` reads
ROUNDING   of each new sum: a `Rounding`; default nearest_even
OPTIONS    joined by +, those of `Accumulator` that differ from the default

One step adds ``terms`` products to the running sum:

1. The products are exact, or rounded to the format ``product`` one by one.
2. Terms are aligned: each is cut at ``bits`` below the largest exponent among them and the running
   sum, as ``cut`` says. The exponent of a product is the sum of its operands' exponents, whatever
   the product of their significands; that of a subnormal is its format's lowest. Below ``floor`` no
   exponent counts. Without ``bits`` nothing is cut.
3. What is left is added exactly; the running sum too, unless it is ``late``.
4. The sum is rounded to the format, and is the next running sum.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from typing import Any, Literal, SupportsIndex, TypeAlias

from minifloat.arithmetic.orders import Order, checked_order, is_chain, text_of
from minifloat.arithmetic.sum_formats import FLOAT32, FLOAT64, SumFormat
from minifloat.codec.stochastic import RANDOM_BITS
from minifloat.formats import NumberFormat
from minifloat.formats.base import check_bool, check_int, shown
from minifloat.formats.grammar import lowered
from minifloat.formats.rounding import Rounding, RoundingLike, choose

OverflowOfSums: TypeAlias = Literal["infinity", "saturate", "wrap"]
Cut: TypeAlias = Literal["toward_zero", "downward", "nearest_even"]

OVERFLOWS = ("infinity", "saturate", "wrap")
CUTS = ("toward_zero", "downward", "nearest_even")
ALL = "all"
MAX_TERMS = 1 << 20
MAX_BITS = 40
FLOAT64_BITS = 48  # aligned terms of so many bits are added exactly in float64
MAX_RANDOM_BITS = 28
DRAWN_BITS = 50  # of a sum and its random bits: float64's, less a half step and a sticky bit


@dataclass(frozen=True, repr=False, init=False)
class Accumulator:
    """How products, or numbers, are added up.

    Parameters
    ----------
    fmt : str, Format or SumFormat
        Format of the running sum (see `SumFormat`).
    rounding : Rounding or str
        How each new running sum is rounded to it. In a stochastic mode `sum`, `dot` and the others
        take a ``seed``.
    overflow : "infinity", "saturate" or "wrap", optional
        What becomes of a rounded sum beyond the format: infinity, whatever the rounding; the
        largest or lowest value; or what remains in two's complement (intN and fixedN.F only).
        Default: infinity in formats that have it, else saturate.
    terms : int or "all"
        Products that one step adds before the sum is rounded.
    bits : int, optional
        Bits below the largest exponent that a term keeps. Default: all.
    cut : "toward_zero", "downward" or "nearest_even"
        How terms are cut to ``bits``.
    floor : int, optional
        The least exponent to which terms are aligned.
    group : int
        Neighbouring products that are added exactly before they are aligned as one term.
    lanes : int
        2: the even and the odd products of a step are aligned and added apart.
    late : int, optional
        The running sum enters after the products: their sum keeps ``late + 1`` bits, the running
        sum ``bits``, the new sum ``late``, all cut downward. Default: it is one of the terms.
    drops : bool
        Whether a late running sum is dropped if it is more than ``bits + 1`` binades below.
    limit : int, optional
        Products of ``2**limit`` and more are infinite.
    product : str, Format or SumFormat, optional
        Format that each product is rounded to, as sums are. Default: products are exact.
    flush : bool
        Whether subnormal operands are read as 0, and subnormal results become 0.
    order : str or tree
        sequential, reversed, split:N, pairwise, pairwise:N, blocks:N, strided:N or a tree of
        indices (`minifloat.arithmetic.orders`).
    promote : int, optional
        After so many products the running sum is added to an outer sum, to nearest even, and
        begins again at 0. What the sum starts from is in the outer sum.
    outer : str, Format or SumFormat
        Format of that outer sum.
    random_bits : int, optional
        Random bits of a stochastic rounding, as for `minifloat.round_to`: at most 28, and 50 with
        the mantissa bits of ``fmt`` or ``product``. Default: 24, or as many as these leave.

    Raises
    ------
    ValueError
        If an option has no such value, or two do not go together.
    TypeError
        If an option has another type.

    Examples
    --------
    >>> import minifloat as mf
    >>> from minifloat.arithmetic import Accumulator
    >>> Accumulator("bfloat16")
    <Accumulator bfloat16>
    >>> str(Accumulator("float32", rounding="toward_zero", terms=8, bits=24, floor=-132))
    'float32:toward_zero/terms=8+bits=24+floor=-132'
    >>> Accumulator.parse("bfloat16:stochastic/random_bits=8")
    <Accumulator bfloat16:stochastic/random_bits=8>
    """

    fmt: SumFormat
    rounding: Rounding
    overflow: OverflowOfSums
    terms: int | Literal["all"]
    bits: int | None
    cut: Cut
    floor: int | None
    group: int
    lanes: int
    late: int | None
    drops: bool
    limit: int | None
    product: SumFormat | None
    flush: bool
    order: Order
    promote: int | None
    outer: SumFormat
    random_bits: int | None

    def __init__(
        self,
        fmt: SumFormat | NumberFormat | str,
        *,
        rounding: RoundingLike = Rounding.NEAREST_EVEN,
        overflow: OverflowOfSums | None = None,
        terms: SupportsIndex | Literal["all"] = 1,
        bits: SupportsIndex | None = None,
        cut: Cut = "toward_zero",
        floor: SupportsIndex | None = None,
        group: SupportsIndex = 1,
        lanes: SupportsIndex = 1,
        late: SupportsIndex | None = None,
        drops: bool = False,
        limit: SupportsIndex | None = None,
        product: SumFormat | NumberFormat | str | None = None,
        flush: bool = False,
        order: Order = "sequential",
        promote: SupportsIndex | None = None,
        outer: SumFormat | NumberFormat | str = FLOAT32,
        random_bits: SupportsIndex | None = None,
    ) -> None:
        def optional(name: str, value: object, low: int, high: int) -> int | None:
            return None if value is None else check_int(name, value, low, high)

        if isinstance(fmt, str) and not {":", "/"}.isdisjoint(fmt):
            raise ValueError(
                f"fmt must be a format alone, got {shown(fmt)}; Accumulator.parse reads its options"
            )
        own = SumFormat.parse(fmt)
        values: dict[str, Any] = {
            "fmt": own,
            "rounding": choose(Rounding, "rounding", rounding),
            "overflow": _one_of(
                "overflow", overflow or ("infinity" if own.has_inf else "saturate"), OVERFLOWS
            ),
            "terms": ALL if terms == ALL else check_int("terms", terms, 1, MAX_TERMS),
            "bits": optional("bits", bits, 1, MAX_BITS),
            "cut": _one_of("cut", cut, CUTS),
            "floor": optional("floor", floor, -300, 300),
            "group": check_int("group", group, 1, MAX_TERMS),
            "lanes": check_int("lanes", lanes, 1, 2),
            "late": optional("late", late, 1, MAX_BITS),
            "drops": drops,
            "limit": optional("limit", limit, -300, 300),
            "product": None if product is None else SumFormat.parse(product, "product"),
            "flush": flush,
            "order": checked_order(order),
            "promote": optional("promote", promote, 1, 1 << 62),
            "outer": SumFormat.parse(outer, "outer"),
            "random_bits": optional("random_bits", random_bits, 1, MAX_RANDOM_BITS),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        if random_bits is None and self.rounding.is_stochastic:
            object.__setattr__(self, "random_bits", self._defaults()["random_bits"])
        self._check()

    def _check(self) -> None:
        check_bool("drops", self.drops)
        check_bool("flush", self.flush)
        if self.random_bits is not None:
            self._check_random_bits(self.random_bits)
        if self.overflow == "wrap" and not self.fmt.is_fixed:
            raise ValueError(f"overflow must not be wrap in {self.fmt}; use intN or fixedN.F")
        if self.overflow == "infinity" and not self.fmt.has_inf:
            raise ValueError(f"overflow must be saturate in {self.fmt}, which has no infinity")
        if self.flush and self.fmt.is_fixed:
            raise ValueError(f"flush must be False in {self.fmt}, which has no subnormals")
        if self.late is not None and self.fmt.is_fixed:
            raise ValueError(f"late must be None in {self.fmt}, which has no exponents")
        if self.bits is None:
            self._refuse("bits", ("cut", "floor", "group", "lanes", "late", "limit"))
        else:
            self._check_aligned(self.bits)
        if self.late is None:
            self._refuse("late", ("lanes", "drops"))
        if self.terms != 1 or self.bits is not None:
            names = ("product", *["order"] * (not is_chain(self.order)))
            given = [name for name in names if self._is_given(name)]
            if given:
                raise ValueError(
                    f"{given[0]} must be its default where terms are added at once, got "
                    f"{self._text_of(given[0])}; use terms=1 without bits"
                )
        if self.promote is None:
            self._refuse("promote", ("outer",))
        elif not is_chain(self.order):
            raise ValueError(
                "order must be sequential, reversed or split:N for promote, got "
                f"{text_of(self.order)}"
            )
        self._check_double()

    def _check_random_bits(self, bits: int) -> None:
        if not self.rounding.is_stochastic:
            raise ValueError(
                f"random_bits must come with a stochastic rounding, got {bits} with {self.rounding}"
            )
        if bits > self._room_for_random_bits():
            raise ValueError(
                f"random_bits must be at most {self._room_for_random_bits()} for sums of {self.fmt}"
                f", of which float64 holds {DRAWN_BITS} bits with those, got {bits}"
            )

    def _room_for_random_bits(self) -> int:
        widest = self.fmt.mantissa_bits
        if self.product is not None:
            widest = max(widest, self.product.mantissa_bits)
        return max(1, min(MAX_RANDOM_BITS, DRAWN_BITS - widest))

    def _check_double(self) -> None:
        if self.fmt == FLOAT64:
            own = ("rounding", "overflow", "bits", "flush", "promote")
            given = [name for name in own if self._is_given(name)]
            if given:
                raise ValueError(
                    f"{given[0]} must be its default in float64, got {self._text_of(given[0])}"
                )
            if self.terms not in (1, ALL):
                raise ValueError(f"terms must be 1 or all in float64, got {self.terms}")
            if self.product not in (None, FLOAT64):
                raise ValueError(f"product must be float64 in float64, got {self.product}")
        for name in ("product", "outer"):
            if getattr(self, name) == FLOAT64 != self.fmt:
                raise ValueError(f"{name} must not be float64 in {self.fmt}, got float64")

    def _check_aligned(self, bits: int) -> None:
        if self.terms == ALL:
            raise ValueError("terms must be an int with bits, got all")
        assert isinstance(self.terms, int)
        most = (1 << FLOAT64_BITS - bits) - 1
        if self.terms > most:
            raise ValueError(
                f"terms must be at most {most} with bits={bits}, which float64 holds, got "
                f"{self.terms}"
            )
        if self.terms % self.group or (self.group > 1 and (self.late or self.limit is not None)):
            raise ValueError(
                "group must divide terms, and be 1 with late or limit, got "
                f"group={self.group} of terms={self.terms}"
            )
        if self.limit is not None and self.cut != "toward_zero":
            raise ValueError(f'cut must be "toward_zero" with limit, got "{self.cut}"')

    def _refuse(self, missing: str, names: tuple[str, ...]) -> None:
        for name in names:
            if self._is_given(name):
                raise ValueError(f"{name} must come with {missing}, got {self._text_of(name)}")

    def _is_given(self, name: str) -> bool:
        return bool(getattr(self, name) != self._defaults()[name])

    def _defaults(self) -> dict[str, Any]:
        overflow = "infinity" if self.fmt.has_inf else "saturate"
        drawn = self.rounding.is_stochastic
        return dict.fromkeys(("bits", "floor", "late", "limit", "product", "promote")) | {
            "overflow": overflow, "terms": 1, "cut": "toward_zero", "group": 1, "lanes": 1,
            "drops": False, "flush": False, "order": "sequential", "outer": FLOAT32,
            "rounding": Rounding.NEAREST_EVEN,
            "random_bits": min(RANDOM_BITS, self._room_for_random_bits()) if drawn else None,
        }  # fmt: skip

    def _text_of(self, name: str) -> str:
        value = getattr(self, name)
        if value is True:
            return name
        return f"{name}={text_of(value) if name == 'order' else value}"

    @classmethod
    def parse(cls, accumulator: Accumulator | SumFormat | NumberFormat | str) -> Accumulator:
        """Return the accumulator that a text means.

        Parameters
        ----------
        accumulator : Accumulator, format or str
            An accumulator is returned as it is; a format alone has the default options.

        Returns
        -------
        Accumulator
            ``Accumulator.parse(str(a)) == a``.

        Raises
        ------
        ValueError
            If a part of the text has no meaning, or two do not go together.
        TypeError
            If it is none of these.

        Examples
        --------
        >>> from minifloat.arithmetic import Accumulator
        >>> Accumulator.parse("int32/overflow=wrap").fmt.largest
        2147483647.0
        """
        if isinstance(accumulator, Accumulator):
            return accumulator
        if isinstance(accumulator, SumFormat | NumberFormat):
            return cls(accumulator)
        if not isinstance(accumulator, str):
            raise TypeError(f"accumulator must be an Accumulator or text, got {shown(accumulator)}")
        head, slash, rest = lowered(accumulator).partition("/")
        name, colon, rounding = (part.strip(" ") for part in head.partition(":"))
        options: dict[str, Any] = {"rounding": rounding} if colon else {}
        for option in rest.split("+") if slash else ():
            key, equals, text = (part.strip(" ") for part in option.partition("="))
            if key in options or key not in OPTIONS or bool(equals) == (key in ("drops", "flush")):
                near = [] if key in OPTIONS else difflib.get_close_matches(key, OPTIONS, 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise ValueError(
                    f"options must be {', '.join(OPTIONS)}, each once, as name=value (drops and "
                    f"flush alone), joined by +, got {shown(rest)}{hint}"
                )
            options[key] = True if not equals else _number(text)
        return cls(SumFormat.parse(name, "accumulator"), **options)

    def __str__(self) -> str:
        head = self.fmt.name
        if self.rounding is not Rounding.NEAREST_EVEN:
            head += f":{self.rounding}"
        given = [self._text_of(name) for name in OPTIONS if self._is_given(name)]
        return "/".join([head, *(["+".join(given)] * bool(given))])

    def __repr__(self) -> str:
        return f"<Accumulator {self}>"


OPTIONS = tuple(field.name for field in fields(Accumulator))[2:]


def _number(text: str) -> int | str:
    digits = text.removeprefix("-")
    short = digits.isascii() and digits.isdecimal() and len(digits) <= 20
    return int(text) if short else text


def _one_of(name: str, value: object, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {shown(value)}")
    return str(value)

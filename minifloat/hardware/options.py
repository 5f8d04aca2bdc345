"""Options that several circuits share, and how they are checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from minifloat.formats.base import shown

Encoding: TypeAlias = Literal["twos_complement", "sign_magnitude"]
Specials: TypeAlias = Literal["zero", "flag"]

ENCODINGS = ("twos_complement", "sign_magnitude")
SPECIALS = ("zero", "flag")


def one_of(name: str, value: object, allowed: Sequence[str]) -> str:
    """Return an option's value, or raise unless it is one of those allowed.

    Examples
    --------
    >>> one_of("specials", "zero", SPECIALS)
    'zero'
    """
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {shown(value)}")
    return value


def form_of(form: object, forms: Sequence[str]) -> str:
    """Return the form asked for, or the first of those that there are.

    Examples
    --------
    >>> form_of(None, ["case", "shift"])
    'case'
    """
    return forms[0] if form is None else one_of("form", form, forms)

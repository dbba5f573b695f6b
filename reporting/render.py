"""From a template with placeholders to text: the only place where values enter a sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from reporting.phrases import phrases
from reporting.sentences import Language

PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


class RenderError(ValueError):
    """A template does not hold exactly the placeholders it was given values for."""


def render(template: str, values: Mapping[str, str | None], language: Language) -> str:
    """Fill the placeholders of a template and capitalise its first letter.

    A value of ``None`` becomes a visible gap, never a default.

    Raises:
        RenderError: A placeholder is unknown, missing or used twice, or a brace is left over.

    Example:
        >>> render("activity {activity}.", {"activity": None}, "en")
        'Activity [not provided: activity].'
    """
    used = PLACEHOLDER.findall(template)
    if sorted(used) != sorted(values):
        raise RenderError(f"the template holds {sorted(used)} instead of {sorted(values)}")
    if set(PLACEHOLDER.sub("", template)) & set("{}"):
        raise RenderError("the template holds a brace that belongs to no placeholder")
    words = phrases(language)
    text = PLACEHOLDER.sub(lambda match: values[match[1]] or words.gap(match[1]), template)
    return text[:1].upper() + text[1:]


def number(value: float | None, language: Language, *, decimals: int) -> str | None:
    """Write a number exactly as the table has it, with at least ``decimals`` decimals; ``None`` stays ``None``.

    Nothing is rounded: 124.6 never becomes 125, and 14.63 stays 14.63.

    Example:
        >>> number(8.0, "en", decimals=1), number(16.0, "en", decimals=0), number(14.63, "de", decimals=1)
        ('8.0', '16', '14,63')
    """
    if value is None:
        return None
    whole, _, fraction = format(Decimal(repr(float(value))), "f").partition(".")
    fraction = fraction.rstrip("0").ljust(decimals, "0")
    mark = "," if language == "de" else "."
    return f"{whole}{mark}{fraction}" if fraction else whole


def measured(value: float | None, unit: str, language: Language, *, decimals: int) -> str | None:
    """Write a number with its unit; ``None`` stays ``None``.

    Example:
        >>> measured(3.8, "mL", "de", decimals=1)
        '3,8 mL'
    """
    text = number(value, language, decimals=decimals)
    return None if text is None else f"{text} {unit}"

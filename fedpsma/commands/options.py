"""What several commands read from their options."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedpsma.domain.tracer import Tracer


class Units(StrEnum):
    """What the caller can say of a PET without units."""

    SUV = "suv"


class Contour(StrEnum):
    """How the edge of a lesion is drawn."""

    SUV3 = "suv3"
    SUV4 = "suv4"
    PCT41 = "pct41"
    PCT45 = "pct45"
    PCT50 = "pct50"
    LIVER = "liver"
    MANUAL = "manual"


def tracer_named(name: str | None) -> Tracer | None:
    """Return the tracer of this name, in any case of letters.

    Raises:
        InputError: There is none.
    """
    from fedpsma.domain.tracer import Tracer
    from fedpsma.errors import InputError

    known = {one.lower(): one for one in Tracer}
    if name is not None and name.lower() not in known:
        raise InputError(f"{name!r} is not a known tracer", where="--tracer", remedy=f"give one of {', '.join(Tracer)}")
    return None if name is None else known[name.lower()]

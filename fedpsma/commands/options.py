"""What several commands read from their options."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedpsma.domain.tracer import Tracer


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

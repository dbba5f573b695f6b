"""Where the anatomy of a synthetic patient comes from: one small interface, two providers.

:class:`Parametric` draws the body from its parameters alone; :class:`fedpsma.phantom.labelmap.LabelMap` takes organs
from the label maps of real people.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fedpsma.phantom.anatomy import Anatomy, build_anatomy
from fedpsma.phantom.body import BodyParameters


class AnatomyProvider(Protocol):
    """A source of bodies; all that is random about a body is already in its parameters."""

    @property
    def told(self) -> str | None:
        """What the name of a data set says of it; ``None`` for the usual source."""
        ...

    def provide(self, index: int, parameters: BodyParameters, spacing_mm: float) -> Anatomy:
        """Return the body of patient ``index`` (from 0) on an isotropic working grid.

        x grows to the patient's right from the midline of the lungs. ``Anatomy.parameters`` may differ from those given
        where the provider knows better (scale, field of view); they lead from standard to real millimetres. The same
        arguments give the same body.
        """
        ...


@dataclass(frozen=True)
class Parametric:
    """Our own parametric body: nobody's anatomy, drawn from the parameters."""

    @property
    def told(self) -> str | None:
        """Nothing: this is the usual source."""
        return None

    def provide(self, index: int, parameters: BodyParameters, spacing_mm: float) -> Anatomy:
        """Return the body that the parameters describe; ``index`` plays no part."""
        return build_anatomy(parameters, spacing_mm)


PARAMETRIC: AnatomyProvider = Parametric()

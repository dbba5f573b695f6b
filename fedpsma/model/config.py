"""What has to be known to build the network again."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fedpsma.domain.anatomy import anatomy_classes
from fedpsma.domain.tracer import Tracer

_MOST_CHANNELS = 1024

VOXEL_CLASSES = ("background", "physiological", "suspicious")
BACKGROUND, PHYSIOLOGICAL, SUSPICIOUS = range(3)


class NetworkConfig(BaseModel):
    """Architecture of :class:`fedpsma.model.network.LesionNet`, written into every model card.

    ``grid_mm`` is the edge of the isotropic voxels the network works on. ``channels`` are the features at each
    resolution, the first at full resolution; every further one halves the grid, and the anatomy lives on the second.
    ``tracers`` fixes the order of the conditioning vector and ``anatomy_classes`` the number of anatomical classes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    grid_mm: float = Field(default=4.0, gt=0)
    channels: tuple[int, ...] = Field(default=(16, 32, 64, 96, 96), min_length=2)
    norm_groups: Literal[4, 8] = 8
    tracers: tuple[Tracer, ...] = tuple(Tracer)
    anatomy_classes: int = Field(default_factory=lambda: len(anatomy_classes()))

    @model_validator(mode="after")
    def _require_groups_that_fit(self) -> Self:
        if any(count % self.norm_groups or not 0 < count <= _MOST_CHANNELS for count in self.channels):
            raise ValueError(f"channels must be multiples of {self.norm_groups}, {_MOST_CHANNELS} at most")
        return self

    @property
    def stride(self) -> int:
        """The multiple that the edges of a patch have to be, in voxels."""
        return int(2 ** (len(self.channels) - 1))

"""What has to be known to build a model again: what the arrays of a checkpoint are the weights of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from fedpsma.domain.anatomy import anatomy_classes
from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError, first_problem

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


class AdapterConfig(BaseModel):
    """LoRA matrices (Hu et al. 2021, arXiv 2106.09685) on a language model that every site has and nobody sends.

    ``base`` names that model and ``base_sha256`` is the SHA-256 over its weights. ``targets`` are the names of the
    linear maps that have matrices of ``rank``, scaled by ``alpha / rank``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")
    base_sha256: str
    rank: int = Field(ge=1)
    alpha: float = Field(gt=0)
    targets: tuple[str, ...] = Field(min_length=1)


ModelConfig = NetworkConfig | AdapterConfig
_CONFIGS: TypeAdapter[ModelConfig] = TypeAdapter(ModelConfig)


def model_config_of(described: Mapping[str, Any], *, where: str) -> ModelConfig:
    """Return what weights are, as an order or a model card describes it.

    Raises:
        InputError: It describes nothing that this version knows.
    """
    try:
        return _CONFIGS.validate_python(described)
    except ValidationError as error:
        raise InputError(
            f"describes no model known here ({first_problem(error)[1]})", where=where, remedy="install the same version"
        ) from error


def require_network(config: ModelConfig, *, where: str) -> NetworkConfig:
    """Return the configuration of a lesion network.

    Raises:
        InputError: The weights are those of an adapter.
    """
    if isinstance(config, NetworkConfig):
        return config
    what = f"holds an adapter of the language model {config.base}, no lesion network"
    raise InputError(what, where=where, remedy="give the checkpoint of a lesion network")


def require_adapter(config: ModelConfig, *, where: str) -> AdapterConfig:
    """Return the configuration of an adapter.

    Raises:
        InputError: The weights are those of a lesion network.
    """
    if isinstance(config, AdapterConfig):
        return config
    remedy = "give a checkpoint made by: fedpsma report adapter start"
    raise InputError("holds a lesion network, no adapter of a language model", where=where, remedy=remedy)

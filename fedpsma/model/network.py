"""The network: a small 3D U-Net whose bottleneck and lesion head know the tracer."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from fedpsma.model.blocks import Convolution, ResidualUnit, UpSample
from fedpsma.model.config import VOXEL_CLASSES, NetworkConfig

INPUT_CHANNELS = 5
_OUT_OF_PLACE_RELU = ("relu", {"inplace": False})


class DenseLogits(NamedTuple):
    """Logits of both heads: (batch, voxel class, x, y, z), and (batch, anatomy class, x/2, y/2, z/2).

    Organs and regions are larger than two voxels, and half the grid costs an eighth.
    """

    voxel: Tensor
    anatomy: Tensor


class Film(nn.Module):
    """Feature-wise linear modulation (Perez et al. 2018, arXiv 1709.07871): scale and shift a feature by the tracer.

    Starts as the identity.
    """

    def __init__(self, tracers: int, channels: int) -> None:
        super().__init__()
        self.project = nn.Linear(tracers, 2 * channels, bias=False)
        nn.init.zeros_(self.project.weight)

    def forward(self, features: Tensor, tracer: Tensor) -> Tensor:
        """Modulate (batch, channel, x, y, z) by a (batch, tracer) mixture."""
        scale, shift = self.project(tracer)[:, :, None, None, None].chunk(2, dim=1)
        modulated: Tensor = features * (1 + scale) + shift
        return modulated


class LesionNet(nn.Module):
    """Dense voxel classes and anatomy from PET, CT and tracer.

    Group normalisation only, nothing in place, no batch statistics: a patient's gradient depends on that patient alone.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        full, *deeper = config.channels
        bottom = config.channels[-1]
        self.stem = self._unit(INPUT_CHANNELS, full, subunits=2)
        self.down = nn.ModuleList(
            self._unit(fine, coarse, strides=2, subunits=2)
            for fine, coarse in zip(config.channels[:-1], deeper, strict=True)
        )
        self.tracer_film = Film(len(config.tracers), bottom)
        self.bottleneck = self._unit(bottom, bottom, subunits=1)
        pairs = list(zip(config.channels[:-1], deeper, strict=True))[::-1]
        self.up = nn.ModuleList(self._upsample(coarse, fine) for fine, coarse in pairs)
        self.merge = nn.ModuleList(self._unit(fine, fine, subunits=1) for fine, _ in pairs)
        self.lesion_film = Film(len(config.tracers), full)
        self.lesion_features = self._unit(full, full, subunits=1, kernel_size=1)
        self.voxel_head = nn.Conv3d(full, len(VOXEL_CLASSES), 1)
        self.anatomy_head = nn.Conv3d(deeper[0], config.anatomy_classes, 1)

    def forward(self, image: Tensor, tracer: Tensor) -> DenseLogits:
        """Return the logits of a (batch, 5, x, y, z) image with edges divisible by ``config.stride``.

        ``tracer`` is (batch, tracer), each row summing to one; :func:`fedpsma.model.inputs.tracer_vector` makes it.
        """
        skips = [self.stem(image)]
        for down in self.down:
            skips.append(down(skips[-1]))
        features = self.bottleneck(self.tracer_film(skips.pop(), tracer))
        coarse = features
        for up, merge in zip(self.up, self.merge, strict=True):
            coarse = features
            features = merge(up(features) + skips.pop())
        lesion = self.lesion_features(self.lesion_film(features, tracer))
        return DenseLogits(self.voxel_head(lesion), self.anatomy_head(coarse))

    def _unit(
        self, inside: int, outside: int, *, subunits: int, strides: int = 1, kernel_size: int = 3
    ) -> ResidualUnit:
        return ResidualUnit(
            spatial_dims=3,
            in_channels=inside,
            out_channels=outside,
            strides=strides,
            kernel_size=kernel_size,
            subunits=subunits,
            act=_OUT_OF_PLACE_RELU,
            norm=("group", {"num_groups": self.config.norm_groups}),
        )

    @staticmethod
    def _upsample(coarse: int, fine: int) -> UpSample:
        return UpSample(
            spatial_dims=3,
            in_channels=coarse,
            out_channels=fine,
            mode="nontrainable",
            pre_conv=Convolution(3, coarse, fine, kernel_size=1, conv_only=True),
            interp_mode="linear",
            align_corners=False,
        )


def build(config: NetworkConfig, *, seed: int = 0) -> LesionNet:
    """Build a network with its initial weights drawn from ``seed``, leaving the global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LesionNet(config)

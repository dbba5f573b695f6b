from __future__ import annotations

import pytest
import torch
from torch import nn

from fedpsma.contract import TrainingPlan
from fedpsma.errors import InputError
from fedpsma.model.config import NetworkConfig
from fedpsma.model.network import DenseLogits, build
from fedpsma.training.readiness import check_trainable

PLAN = TrainingPlan(patch_voxels=16, scope="all")


class _Toy(nn.Module):
    def __init__(self, *layers: nn.Module, unused: bool = False) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv3d(5, 4, 1), *layers)
        self.head = nn.Conv3d(4, 45, 1)
        self.extra = nn.Linear(2, 2) if unused else None

    def forward(self, image: torch.Tensor, tracer: torch.Tensor) -> DenseLogits:
        found = self.head(self.body(image))
        return DenseLogits(found[:, :3], found[:, 3:])


class _CentredByBatch(nn.Module):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features - features.mean(dim=0, keepdim=True)


class _HandedOn(nn.Module):
    """Lets every patient see the one before him, never the one after."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features + features.roll(1, 0) * torch.tensor([0.0, 1.0, 1.0])[: len(features), None, None, None, None]


class _FromOne(nn.Module):
    """Lets one patient of the batch, by his place in it, be seen by another."""

    def __init__(self, seen: int, by: int) -> None:
        super().__init__()
        self.seen, self.by = seen, by

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        added = torch.zeros_like(features)
        added[self.by] = features[self.seen]
        return features + added


class _NormalisedBetween(_Toy):
    """Normalises over the batch between two layers, with a function."""

    def forward(self, image: torch.Tensor, tracer: torch.Tensor) -> DenseLogits:
        found = self.head(nn.functional.batch_norm(self.body(image), None, None, training=True))
        return DenseLogits(found[:, :3], found[:, 3:])


class _MixedAtTheEnd(_Toy):
    """Mixes patients behind its last layer."""

    def forward(self, image: torch.Tensor, tracer: torch.Tensor) -> DenseLogits:
        found = super().forward(image, tracer)
        return DenseLogits(found.voxel - found.voxel.mean(dim=0), found.anatomy)


class _InPlace(nn.Module):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        found = features.exp()
        found += 1
        return found


@pytest.mark.parametrize("scope", ["all", "adaptive"])
def test_our_network_is_ready(scope) -> None:
    net = build(NetworkConfig(channels=(16, 16), norm_groups=4))
    check_trainable(net, PLAN.model_copy(update={"scope": scope}))


@pytest.mark.parametrize("layer", [nn.GroupNorm(2, 4), nn.InstanceNorm3d(4), nn.PReLU(), nn.Dropout()])
def test_layers_that_treat_patients_alone_pass(layer: nn.Module) -> None:
    check_trainable(_Toy(layer), PLAN)


@pytest.mark.parametrize(
    ("net", "where", "what"),
    [
        (_Toy(nn.BatchNorm3d(4)), "body.1", "statistics"),
        (_Toy(nn.ReLU(), nn.BatchNorm3d(4, track_running_stats=False)), "body.2", "mixes"),
        (_Toy(nn.InstanceNorm3d(4, track_running_stats=True)), "body.1", "statistics"),
        (_Toy(_CentredByBatch()), "body.1", "mixes"),
        (_Toy(_HandedOn()), "body.1", "mixes"),
        (_Toy(_FromOne(-1, 0)), "body.1", "mixes"),
        (_Toy(_FromOne(-1, 1)), "body.1", "mixes"),
        (_Toy(_FromOne(0, -1)), "body.1", "mixes"),
        (_NormalisedBetween(), "head", "or the code just before it"),
        (_MixedAtTheEnd(), "_MixedAtTheEnd", "mixes"),
        (_Toy(nn.GroupNorm(2, 4), _InPlace()), "body.2", "backward step fails"),
        (_Toy(unused=True), "extra.weight", "no finite gradient"),
    ],
    ids=[
        "batch norm",
        "batch norm without buffers",
        "tracking instance norm",
        "batch mean",
        "one way only",
        "the first sees the last",
        "the second sees the last",
        "the last sees the first",
        "a function between layers",
        "behind the last layer",
        "in place",
        "unused",
    ],
)
def test_the_module_at_fault_is_named(net: nn.Module, where: str, what: str) -> None:
    with pytest.raises(InputError, match=what) as caught:
        check_trainable(net, PLAN)
    assert caught.value.where == where


def test_a_scope_that_trains_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="no parameter is trained"):
        check_trainable(_Toy(), PLAN.model_copy(update={"scope": "adaptive"}))
